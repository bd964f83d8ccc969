//! The contract, the same for every store.

use std::path::Path;
use std::time::Duration;

use proptest::prelude::*;

use uuid::Uuid;

use super::super::{MemoryStore, RedbStore, Retention, Store, set_aside};
use super::histories::{assert_folds, changes, fold, picture, seeded, what};
use crate::cluster::What;
use crate::task::{EventId, Task, TaskId};

/// Little history, so that much is folded away.
pub(super) const LITTLE: Retention = Retention { count: 32, age: Duration::from_hours(999), bytes: 1 << 20 };

fn open(path: &Path) -> Box<dyn Store> {
    Box::new(RedbStore::open_keeping(path, LITTLE).unwrap())
}

/// `reopen` gives the store after a restart, or the same one.
fn keeps_what_was_appended(mut store: Box<dyn Store>, reopen: impl Fn(Box<dyn Store>) -> Box<dyn Store>) {
    assert_eq!(store.load().unwrap().revision(), 0);
    let changes = seeded(1, 400);
    for (number, batch) in changes.chunks(7).enumerate() {
        store.append(batch).unwrap();
        if number % 5 == 0 {
            store = reopen(store);
        }
        let done = &changes[..changes.len().min((number + 1) * 7)];
        assert_folds(&store.load().unwrap(), done);
    }
    let cluster = reopen(store).load().unwrap();
    assert_folds(&cluster, &changes);
    let history: Vec<_> = cluster.event_db().iter().map(|change| change.revision).collect();
    assert!(history.len() >= 32, "history is kept: {}", history.len());
    assert!(history.iter().copied().eq(400 - history.len() as u64 + 1..=400), "without a gap: {history:?}");
}

#[test]
fn memory_keeps_what_was_appended() {
    keeps_what_was_appended(Box::new(MemoryStore::default()), |store| store);
}

#[test]
fn redb_keeps_what_was_appended_over_restarts() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("changes.redb");
    keeps_what_was_appended(open(&path), |store| {
        drop(store);
        open(&path)
    });
}

#[test]
fn history_is_bounded_and_a_task_outlives_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("changes.redb");
    let all = seeded(2, 1_000);
    let mut store = open(&path);
    for batch in all.chunks(10) {
        store.append(batch).unwrap();
    }
    let busy = store.load().unwrap();
    assert!(busy.event_db().len() <= 4 * 32, "never at rest: {}", busy.event_db().len());
    assert_folds(&busy, &all);
    while store.has_put_off() {
        store.catch_up().unwrap();
    }
    drop(store);
    let cluster = open(&path).load().unwrap();
    assert!((32..=34).contains(&cluster.event_db().len()), "{}", cluster.event_db().len());
    assert_folds(&cluster, &all);
}

/// As many as are read by several threads.
#[test]
fn of_many_tasks_every_one_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("changes.redb");
    let submitted = |number: u128| What::Submitted {
        event: EventId::default(),
        task: Task { id: TaskId(Uuid::from_u128(number)), ..Task::default() },
    };
    let all = changes((0..9_000).map(submitted).collect());
    open(&path).append(&all).unwrap();
    let cluster = open(&path).load().unwrap();
    assert_folds(&cluster, &all);
}

#[test]
fn a_store_that_is_gone_begins_anew_and_one_that_went_back_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("changes.redb");
    let all = seeded(3, 20);
    let mut store = open(&path);
    store.append(&all[..10]).unwrap();
    drop(store);
    let earlier = std::fs::read(&path).unwrap();
    let mut store = open(&path);
    store.append(&all[10..]).unwrap();
    drop(store);

    std::fs::write(&path, earlier).unwrap();
    let error = RedbStore::open(&path).unwrap_err();
    assert!(error.is_damage(), "{error}");
    let error = error.to_string();
    assert!(error.contains("revision 11") && error.contains("cube-tui recover"), "{error}");

    let aside = set_aside(&path).unwrap();
    assert_eq!(open(&path).load().unwrap().revision(), 0, "a new one begins");
    assert!(RedbStore::open(&aside).is_ok() || aside.exists());
    std::fs::remove_file(&path).unwrap();
    assert_eq!(open(&path).load().unwrap().revision(), 0);
}

#[test]
fn a_file_that_is_no_store_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("changes.redb");
    std::fs::write(&path, "my shopping list").unwrap();
    let error = RedbStore::open(&path).unwrap_err().to_string();
    assert!(error.contains("changes.redb") && error.contains("cube-tui recover"), "{error}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "my shopping list");
}

#[test]
fn a_file_whose_making_was_cut_short_is_no_obstacle() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("changes.redb");
    for unfinished in [vec![], vec![0; 5], vec![0; 4_096]] {
        std::fs::write(&path, unfinished).unwrap();
        assert_eq!(open(&path).load().unwrap().revision(), 0);
        std::fs::remove_file(&path).unwrap();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn whatever_is_appended_loads_as_its_fold(
        whats in prop::collection::vec(what(), 1..150), batch in 1..20_usize, kept in 0..40_usize,
        rests in prop::collection::vec(any::<bool>(), 1..8),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("changes.redb");
        let all = changes(whats);
        let retention = Retention { count: kept, ..LITTLE };
        let mut store = RedbStore::open_keeping(&path, retention).unwrap();
        for (batch, rests) in all.chunks(batch).zip(rests.iter().cycle()) {
            store.append(batch).unwrap();
            if *rests && store.has_put_off() {
                store.catch_up().unwrap();
            }
        }
        prop_assert_eq!(picture(&store.load().unwrap()), picture(&fold(&all)));
        drop(store);
        let cluster = RedbStore::open(&path).unwrap().load().unwrap();
        prop_assert_eq!(picture(&cluster), picture(&fold(&all)));
    }
}
