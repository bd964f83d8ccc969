//! Folds the oldest Changes of the log into the snapshot, within a transaction. Knows no file and no rule of when.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use redb::WriteTransaction;

use super::error::{Blame, StoreError};
use super::places::Places;
use super::retention::Log;
use super::row::RowError;
use super::tables::{CHANGES, HEAD, META, TASKS, WORKERS, WorkerRow};
use crate::cluster::{Change, Part, Revision, TaskEntry, What};
use crate::task::{TaskId, WorkerId};

/// Folds the `count` oldest: only the rows of the tasks they are about are read and written, each once.
pub(super) fn fold(
    transaction: &WriteTransaction,
    snapshot: &mut Part,
    places: &mut Places,
    log: &mut Log,
    count: usize,
    row: &mut Vec<u8>,
    blame: Blame<'_>,
) -> Result<(), StoreError> {
    let changes: Vec<Arc<Change>> = (0..count).map_while(|_| log.pop()).collect();
    let tasks: BTreeSet<TaskId> = changes.iter().flat_map(|change| change.what.task_ids()).collect();
    let mut table = transaction.open_table(TASKS.definition).map_err(|why| blame.writing(why))?;
    let mut before: HashMap<TaskId, Revision> = HashMap::new();
    for id in &tasks {
        for place in places.of(*id) {
            let missing = || blame.row("tasks", format!("revision {place}"), &RowError::Missing);
            let entry = TASKS.get::<TaskEntry>(&table, &place, blame)?.ok_or_else(missing)?;
            if entry.record.task.id == *id {
                before.insert(*id, place);
                snapshot.insert(entry);
                break;
            }
        }
    }
    for change in &changes {
        snapshot.apply(change);
    }
    for id in tasks {
        let entry = snapshot.remove(id);
        let place = entry.as_ref().map(|entry| entry.record.submitted_at);
        let before = before.get(&id).copied();
        if let Some(before) = before.filter(|_| before != place) {
            places.remove(id, before);
            table.remove(before).map_err(|why| blame.writing(why))?;
        }
        if let Some(place) = place.filter(|_| before != place) {
            places.add(id, place);
        }
        if let Some(entry) = entry {
            TASKS.put(&mut table, &entry.record.submitted_at, &entry, row, blame)?;
        }
    }
    put_workers(transaction, snapshot, &changes, row, blame)?;
    put_head(transaction, snapshot, row, blame)?;
    let mut table = transaction.open_table(CHANGES.definition).map_err(|why| blame.writing(why))?;
    for row in log.rows_up_to(snapshot.revision()) {
        table.remove(row).map_err(|why| blame.writing(why))?;
    }
    Ok(())
}

/// Writes the rows of the workers that `changes` are about, and removes those of who was forgotten.
fn put_workers(
    transaction: &WriteTransaction,
    snapshot: &Part,
    changes: &[Arc<Change>],
    row: &mut Vec<u8>,
    blame: Blame<'_>,
) -> Result<(), StoreError> {
    let mut ids: BTreeSet<&WorkerId> = BTreeSet::new();
    let mut forgotten: BTreeSet<&WorkerId> = BTreeSet::new();
    for change in changes {
        match &change.what {
            What::Worker { worker } => _ = ids.insert(&worker.id),
            What::Forgotten { worker } => _ = forgotten.insert(worker),
            _ => {}
        }
    }
    let mut table = transaction.open_table(WORKERS.definition).map_err(|why| blame.writing(why))?;
    if !forgotten.is_empty() {
        // Those after one that is gone have moved up.
        ids.extend(snapshot.workers().iter().map(|worker| &worker.id));
        for id in forgotten {
            table.remove(id.as_str()).map_err(|why| blame.writing(why))?;
        }
    }
    for id in ids {
        if let Some((place, record)) = snapshot.worker(id) {
            WORKERS.put(&mut table, &id.as_str(), &WorkerRow { place, record }, row, blame)?;
        }
    }
    Ok(())
}

pub(super) fn put_head(
    transaction: &WriteTransaction,
    snapshot: &Part,
    row: &mut Vec<u8>,
    blame: Blame<'_>,
) -> Result<(), StoreError> {
    let mut table = transaction.open_table(META.definition).map_err(|why| blame.writing(why))?;
    META.put(&mut table, &HEAD, &snapshot.head(), row, blame)?;
    Ok(())
}
