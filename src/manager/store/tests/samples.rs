//! Files as earlier programs wrote them: they open for ever. Each is a copy of what the program of its time left.

use std::path::Path;

use super::super::row::FORMAT;
use super::super::tables::{HEAD, META};
use super::super::{RedbStore, Retention, Store, StoreError};
use super::histories::picture;
use crate::cluster::Cluster;
use crate::task::State;

/// Loads a copy, twice: as it was, and as the first load left it.
fn load(name: &str, retention: Retention) -> Cluster {
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/samples").join(name);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("changes.redb");
    std::fs::copy(sample, &path).unwrap();
    let first = RedbStore::open_keeping(&path, retention).unwrap().load().unwrap();
    let second = RedbStore::open_keeping(&path, retention).unwrap().load().unwrap();
    assert_eq!(picture(&first), picture(&second));
    assert_eq!(first.event_db().len(), second.event_db().len());
    first
}

/// The tasks of the samples, which the program ran with a real engine: name, state, worker, and a word of the reason.
fn assert_tasks(cluster: &Cluster) {
    let expected = [
        ("web", State::Running, true, ""),
        ("batch", State::Completed, true, ""),
        ("broken", State::Failed, true, "exit code 3"),
        ("stopped", State::Completed, true, "stopped"),
        ("missing", State::Failed, true, "not on this machine"),
        ("huge", State::Pending, false, "never fits"),
    ];
    assert_eq!(cluster.task_db().len(), expected.len());
    for (name, state, has_worker, reason) in expected {
        let record = cluster.task_db().find(|record| record.task.spec.name == name).unwrap();
        assert_eq!(record.state(), state, "{name}");
        assert_eq!(cluster.worker_of(record.task.id).is_some(), has_worker, "{name}");
        assert!(record.status().reason.contains(reason), "{name}: {}", record.status().reason);
    }
    let web = cluster.task_db().find(|record| record.task.spec.name == "web").unwrap();
    assert_eq!(web.task.spec.env, ["MODE=fast"]);
    assert_eq!(web.status().container_id.len(), 64);
    assert_eq!(cluster.workers().len(), 1);
    assert_eq!(cluster.revision(), REVISION);
}

/// Where the samples' histories end.
const REVISION: u64 = 28;

#[test]
fn a_store_of_the_first_format_opens_with_its_tasks_and_history() {
    let cluster = load("store-v1.redb", Retention::default());
    assert_tasks(&cluster);
    assert_eq!(cluster.event_db().len() as u64, REVISION, "all of the history is there");
}

#[test]
fn a_long_log_of_the_first_format_becomes_a_snapshot_and_what_is_kept_of_the_history() {
    let cluster = load("store-v1.redb", Retention { count: 8, ..Retention::default() });
    assert_tasks(&cluster);
    let kept: Vec<_> = cluster.event_db().iter().map(|change| change.revision).collect();
    assert!(kept.iter().copied().eq(REVISION - 7..=REVISION), "{kept:?}");
    assert_eq!(picture(&cluster), picture(&load("store-v1.redb", Retention::default())));
}

#[test]
fn a_store_of_the_second_format_opens_with_its_tasks_and_what_is_left_of_the_history() {
    let cluster = load("store-v2.redb", Retention::default());
    assert_tasks(&cluster);
    assert_eq!(cluster.event_db().len(), 8);
}

#[test]
fn a_store_of_a_newer_format_is_refused_in_words_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("changes.redb");
    drop(RedbStore::open(&path).unwrap());
    let database = redb::Database::create(&path).unwrap();
    let transaction = database.begin_write().unwrap();
    let mut table = transaction.open_table(META.definition).unwrap();
    table.insert(HEAD, [FORMAT + 1, 1, 2, 3].as_slice()).unwrap();
    drop(table);
    transaction.commit().unwrap();
    drop(database);
    for _ in 0..2 {
        let error = RedbStore::open(&path).unwrap_err();
        assert!(matches!(error, StoreError::Newer { format, .. } if format == FORMAT + 1), "{error}");
        assert!(error.to_string().contains("use the newer cube-tui") && !error.is_damage(), "{error}");
    }
}
