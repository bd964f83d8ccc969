//! Where Changes are kept. One trait; in memory, or in a crash-safe file. Knows no decision.

mod memory;
mod redb;
mod set_aside;

use std::path::PathBuf;
use std::sync::Arc;

pub use self::memory::MemoryStore;
pub use self::redb::RedbStore;
pub use self::set_aside::set_aside;
use crate::cluster::{Change, Cluster, Revision};

/// The log of Changes.
pub trait Store: Send + 'static {
    /// Folds the whole log.
    fn load(&mut self) -> Result<Cluster, StoreError>;

    /// Adds Changes at the end: all of them, durably, or none.
    fn append(&mut self, changes: &[Arc<Change>]) -> Result<(), StoreError>;
}

/// Why the store can't be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error(
        "cannot open the store {}: {why}; if it is damaged, move it away: containers keep running, but the tasks in it are forgotten",
        path.display()
    )]
    Open { path: PathBuf, why: String },
    #[error("the store {} is damaged at revision {revision}: {why}", path.display())]
    Damaged { path: PathBuf, revision: Revision, why: String },
    #[error("cannot write to the store {}: {why}", path.display())]
    Write { path: PathBuf, why: String },
}

impl StoreError {
    /// Whether the same call may succeed later, such as after somebody made room on the disk.
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::Open { .. } | Self::Damaged { .. } => false,
            Self::Write { .. } => true,
        }
    }

    /// Whether the file itself is broken: only `cube-tui recover` helps.
    pub fn is_damage(&self) -> bool {
        matches!(self, Self::Open { .. } | Self::Damaged { .. })
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::cluster::{Cause, What};
    use crate::task::{EventId, Task, TaskId, WorkerId};

    /// The contract, the same for every store.
    fn keeps_what_was_appended(mut open: impl FnMut() -> Box<dyn Store>, is_durable: bool) {
        let task = Task { id: TaskId::random(), ..Task::default() };
        let id = task.id;
        let worker = WorkerId::from("localhost:5555");
        let changes: Vec<_> = [
            What::Submitted { event: EventId::random(), task },
            What::Scheduled { task: id, worker: worker.clone(), generation: 0 },
        ]
        .into_iter()
        .zip(1..)
        .map(|(what, revision)| {
            Arc::new(Change { revision, time: Timestamp::UNIX_EPOCH, cause: Cause::Command, what })
        })
        .collect();
        let mut store = open();
        assert_eq!(store.load().unwrap().revision(), 0);
        store.append(&changes[..1]).unwrap();
        store.append(&changes[1..]).unwrap();
        if is_durable {
            drop(store);
            store = open();
        }
        let cluster = store.load().unwrap();
        assert_eq!(cluster.revision(), 2);
        assert_eq!(cluster.worker_of(id), Some(&worker));
        let events: Vec<_> = cluster.event_db().iter().cloned().collect();
        assert_eq!(events, changes, "the log is read back as it was written");
    }

    #[test]
    fn memory_keeps_what_was_appended() {
        let mut store = Some(MemoryStore::default());
        keeps_what_was_appended(|| Box::new(store.take().unwrap()), false);
    }

    #[test]
    fn redb_keeps_what_was_appended_over_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("changes.redb");
        keeps_what_was_appended(|| Box::new(RedbStore::open(&path).unwrap()), true);
    }

    #[test]
    fn a_file_that_is_no_store_is_refused_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("changes.redb");
        std::fs::write(&path, "my shopping list").unwrap();
        let error = RedbStore::open(&path).unwrap_err().to_string();
        assert!(error.contains("changes.redb") && error.contains("move it away"), "{error}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "my shopping list");
    }
}
