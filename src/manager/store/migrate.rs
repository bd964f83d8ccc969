//! Makes a file of the first format, or a new one, a file of today's, in one transaction: a crash leaves the old one.

use std::sync::Arc;

use redb::{Database, ReadableTable, ReadableTableMetadata, WriteTransaction};

use super::error::{Blame, StoreError};
use super::fold::put_head;
use super::row::{FORMAT, RowError};
use super::tables::{CHANGES, TASKS, WORKERS, WorkerRow};
use crate::cluster::{Change, Part, Revision};

/// In the first format the log was all there is: each row the version byte 1, then JSON. All but the last `kept`
/// Changes are folded into a snapshot, and those are written anew with their checksums.
pub(super) fn migrate(database: &Database, kept: usize, blame: Blame<'_>) -> Result<(), StoreError> {
    let transaction = database.begin_write().map_err(|why| blame.writing(why))?;
    let mut row = Vec::new();
    let snapshot = rewrite_log(&transaction, kept, &mut row, blame)?;
    put_snapshot(&transaction, snapshot, &mut row, blame)?;
    transaction.commit().map_err(|why| blame.writing(why))
}

fn rewrite_log(
    transaction: &WriteTransaction,
    kept: usize,
    row: &mut Vec<u8>,
    blame: Blame<'_>,
) -> Result<Part, StoreError> {
    let mut snapshot = Part::default();
    let mut table = transaction.open_table(CHANGES.definition).map_err(|why| blame.writing(why))?;
    let last = table.len().map_err(|why| blame.reading(why))?;
    let cut = last.saturating_sub(kept as Revision);
    for revision in 1..=last {
        let found = table.get(revision).map_err(|why| blame.reading(why))?;
        let old = found.ok_or(RowError::Missing);
        let change = old.and_then(|old| read_old(old.value(), revision));
        let change = change.map_err(|why| blame.row("changes", format!("revision {revision}"), &why))?;
        if revision <= cut {
            snapshot.apply(&change);
        } else {
            CHANGES.put(&mut table, &revision, &change, row, blame)?;
        }
    }
    table.retain_in(..=cut, |_, _| false).map_err(|why| blame.writing(why))?;
    Ok(snapshot)
}

fn read_old(row: &[u8], revision: Revision) -> Result<Arc<Change>, RowError> {
    match row.split_first() {
        Some((1, json)) => {
            let change: Change = serde_json::from_slice(json)?;
            if change.revision == revision { Ok(Arc::new(change)) } else { Err(RowError::Checksum) }
        }
        Some((&version, _)) if version > FORMAT => Err(RowError::Newer(version)),
        _ => Err(RowError::Short),
    }
}

fn put_snapshot(
    transaction: &WriteTransaction,
    mut snapshot: Part,
    row: &mut Vec<u8>,
    blame: Blame<'_>,
) -> Result<(), StoreError> {
    put_head(transaction, &snapshot, row, blame)?;
    let mut table = transaction.open_table(WORKERS.definition).map_err(|why| blame.writing(why))?;
    for (place, record) in snapshot.workers().iter().enumerate() {
        WORKERS.put(&mut table, &record.id.as_str(), &WorkerRow { place, record }, row, blame)?;
    }
    let mut table = transaction.open_table(TASKS.definition).map_err(|why| blame.writing(why))?;
    for id in snapshot.task_ids() {
        if let Some(entry) = snapshot.remove(id) {
            TASKS.put(&mut table, &entry.record.submitted_at, &entry, row, blame)?;
        }
    }
    Ok(())
}
