//! Reads what can be read of a damaged store, from a copy in memory: the file itself stays as it is.

use std::path::Path;
use std::sync::Arc;

use redb::backends::InMemoryBackend;
use redb::{Database, ReadTransaction, ReadableDatabase, StorageBackend as _};

use super::error::{Blame, StoreError};
use super::file::head;
use super::guard::guarded;
use super::tables::{CHANGES, LogRow, TASKS, WORKERS, WorkerRow};
use super::witness::Witness;
use crate::cluster::{Change, Cluster, Part, TaskEntry};

/// What is left of a damaged store.
#[derive(Debug)]
pub struct Salvage {
    /// The readable tasks and workers, with the Changes up to the first unreadable one folded in. How things stood
    /// then: a task may have moved or ended since.
    pub cluster: Cluster,
    /// What is not in it, for people; empty if nothing is known to be missing.
    pub lost: Vec<String>,
}

/// Reads the store at `path`, which nobody may have open. Fails where not even its tables can be found.
pub fn salvage(path: &Path) -> Result<Salvage, StoreError> {
    let blame = Blame(path);
    let bytes = std::fs::read(path).map_err(|why| blame.open(why))?;
    let caught = |why| Err(blame.damaged("the file", why));
    let read = guarded(|| {
        let memory = InMemoryBackend::new();
        memory
            .set_len(bytes.len() as u64)
            .and_then(|()| memory.write(0, &bytes))
            .map_err(|why| blame.open(why))?;
        let database = Database::builder().create_with_backend(memory).map_err(|why| blame.reading(why))?;
        let read = database.begin_read().map_err(|why| blame.reading(why))?;
        Ok((database, read))
    });
    let (database, read) = read.unwrap_or_else(caught)?;
    let mut lost = Vec::new();
    let mut cluster = snapshot(&database, &read, blame, &mut lost);
    let folded = cluster.revision();
    for change in log(&read, blame, &mut lost) {
        if change.revision <= folded {
            continue;
        }
        if change.revision != cluster.revision() + 1 {
            lost.push(format!("the Changes from revision {} on", cluster.revision() + 1));
            break;
        }
        cluster.apply(&change);
    }
    let seen = Witness::open(path).map_or(0, |(_, seen)| seen);
    if seen > cluster.revision() {
        lost.push(format!("{} Changes up to revision {seen}", seen - cluster.revision()));
    }
    // Closing a damaged file may fail in its own ways.
    let _ = guarded(|| drop((read, database)));
    Ok(Salvage { cluster, lost })
}

/// Runs one part of the reading; what it took before it failed stays.
fn attempt(lost: &mut Vec<String>, run: impl FnOnce() -> Result<(), StoreError>) {
    match guarded(run) {
        Ok(Ok(())) => {}
        Ok(Err(StoreError::Damaged { place, why, .. })) => lost.push(format!("{place}: {why}")),
        Ok(Err(error)) => lost.push(error.to_string()),
        Err(why) => lost.push(why),
    }
}

fn snapshot(
    database: &Database,
    read: &ReadTransaction,
    blame: Blame<'_>,
    lost: &mut Vec<String>,
) -> Cluster {
    let mut found = None;
    attempt(lost, || {
        found = head(database, blame)?;
        Ok(())
    });
    let mut workers = Vec::new();
    attempt(lost, || {
        let table = read.open_table(WORKERS.definition).map_err(|why| blame.reading(why))?;
        WORKERS.each(&table, blame, |_, row: Result<WorkerRow, _>, _| {
            workers.push(row?);
            Ok(())
        })
    });
    workers.sort_unstable_by_key(|row| row.place);
    let workers: Vec<_> = workers.into_iter().map(|row| row.record).collect();
    let mut part = Part::new(found.unwrap_or_default(), &workers);
    let mut unreadable = Vec::new();
    attempt(lost, || {
        let table = read.open_table(TASKS.definition).map_err(|why| blame.reading(why))?;
        TASKS.each(&table, blame, |place, row: Result<TaskEntry, _>, _| {
            match row {
                Ok(entry) => part.insert(entry),
                Err(_) => unreadable.push(format!("the task submitted as revision {place}")),
            }
            Ok(())
        })
    });
    lost.append(&mut unreadable);
    part.into_cluster()
}

/// The Changes up to the first unreadable one.
fn log(read: &ReadTransaction, blame: Blame<'_>, lost: &mut Vec<String>) -> Vec<Arc<Change>> {
    let mut changes = Vec::new();
    attempt(lost, || {
        let table = read.open_table(CHANGES.definition).map_err(|why| blame.reading(why))?;
        CHANGES.each(&table, blame, |_, row: Result<LogRow, _>, _| {
            changes.extend(row?.0.into_iter().map(Arc::new));
            Ok(())
        })
    });
    changes
}
