//! The default store: one redb file, a row a Change. A commit is durable when it returns.

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};

use redb::{Database, ReadableDatabase, TableDefinition};

use super::{Store, StoreError};
use crate::cluster::{Change, Cluster, Revision};

/// Revision → a version byte, then the Change as JSON.
const CHANGES: TableDefinition<Revision, &[u8]> = TableDefinition::new("changes");

/// The form of a row; grows when an old program could not read a new row.
const ROW_VERSION: u8 = 1;

/// Rows that are handed on together at a load, and how many such batches may wait to be folded.
const BATCH: usize = 256;
const BATCHES_AHEAD: usize = 16;

#[derive(Debug)]
pub struct RedbStore {
    database: Database,
    path: PathBuf,
}

impl RedbStore {
    /// Opens the file at `path`, or makes it.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let error = |why: &dyn Display| StoreError::Open { path: path.to_owned(), why: why.to_string() };
        let database = Database::create(path).map_err(|why| error(&why))?;
        // Readers find the table from the first start on.
        let transaction = database.begin_write().map_err(|why| error(&why))?;
        transaction.open_table(CHANGES).map_err(|why| error(&why))?;
        transaction.commit().map_err(|why| error(&why))?;
        Ok(Self { database, path: path.to_owned() })
    }

    /// Sends all rows on, in order, in batches.
    fn read(&self, parsed: &mpsc::SyncSender<Vec<Arc<Change>>>) -> Result<(), StoreError> {
        let transaction = self.database.begin_read().map_err(|why| self.damaged(0, &why))?;
        let table = transaction.open_table(CHANGES).map_err(|why| self.damaged(0, &why))?;
        let mut batch = Vec::with_capacity(BATCH);
        for (row, expected) in table.range::<Revision>(..).map_err(|why| self.damaged(0, &why))?.zip(1..) {
            let (key, value) = row.map_err(|why| self.damaged(expected, &why))?;
            if key.value() != expected {
                return Err(self.damaged(expected, &format!("the next one is {}", key.value())));
            }
            batch.push(Arc::new(self.change(expected, value.value())?));
            // A receiver that is gone has panicked, and that is what will be told.
            if batch.len() == BATCH
                && parsed.send(std::mem::replace(&mut batch, Vec::with_capacity(BATCH))).is_err()
            {
                return Ok(());
            }
        }
        let _ = parsed.send(batch);
        Ok(())
    }

    fn change(&self, revision: Revision, row: &[u8]) -> Result<Change, StoreError> {
        match row.split_first() {
            Some((&ROW_VERSION, json)) => Change::from_json(json).map_err(|why| self.damaged(revision, &why)),
            Some((version, _)) => {
                let why = format!("version {version} is not known here; a newer cube-tui wrote it");
                Err(self.damaged(revision, &why))
            }
            None => Err(self.damaged(revision, &"the row is empty")),
        }
    }

    fn damaged(&self, revision: Revision, why: &dyn Display) -> StoreError {
        StoreError::Damaged { path: self.path.clone(), revision, why: why.to_string() }
    }

    fn write(&self, why: &dyn Display) -> StoreError {
        StoreError::Write { path: self.path.clone(), why: why.to_string() }
    }
}

impl Store for RedbStore {
    /// Two threads: one reads and parses, the other folds what was parsed.
    fn load(&mut self) -> Result<Cluster, StoreError> {
        let (parsed, batches) = mpsc::sync_channel(BATCHES_AHEAD);
        std::thread::scope(|scope| {
            let this = &*self;
            let reader = scope.spawn(move || this.read(&parsed));
            let mut cluster = Cluster::default();
            for change in batches.into_iter().flatten() {
                cluster.apply(&change);
            }
            match reader.join() {
                Ok(read) => read.map(|()| cluster),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        })
    }

    fn append(&mut self, changes: &[Arc<Change>]) -> Result<(), StoreError> {
        let transaction = self.database.begin_write().map_err(|why| self.write(&why))?;
        {
            let mut table = transaction.open_table(CHANGES).map_err(|why| self.write(&why))?;
            let mut row = Vec::with_capacity(1_024);
            for change in changes {
                row.clear();
                row.push(ROW_VERSION);
                serde_json::to_writer(&mut row, change).map_err(|why| self.write(&why))?;
                table.insert(change.revision, row.as_slice()).map_err(|why| self.write(&why))?;
            }
        }
        transaction.commit().map_err(|why| self.write(&why))
    }
}
