//! The default store: one redb file, a row a Change. A commit is durable when it returns.

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use redb::{Database, ReadableDatabase, TableDefinition};

use super::{Store, StoreError};
use crate::cluster::{Change, Cluster, Revision};

/// Revision → a version byte, then the Change as JSON.
const CHANGES: TableDefinition<Revision, &[u8]> = TableDefinition::new("changes");

/// The form of a row; grows when an old program could not read a new row.
const ROW_VERSION: u8 = 1;

/// Pages that redb may keep in memory. A log is read once and then only grows at its end: the default of a gigabyte
/// would keep all of it.
const CACHE: usize = 8 << 20;

#[derive(Debug)]
pub struct RedbStore {
    database: Database,
    path: PathBuf,
}

impl RedbStore {
    /// Opens the file at `path`, or makes it.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let error = |why: &dyn Display| StoreError::Open { path: path.to_owned(), why: why.to_string() };
        let database = Database::builder().set_cache_size(CACHE).create(path).map_err(|why| error(&why))?;
        // Readers find the table from the first start on.
        let transaction = database.begin_write().map_err(|why| error(&why))?;
        transaction.open_table(CHANGES).map_err(|why| error(&why))?;
        transaction.commit().map_err(|why| error(&why))?;
        Ok(Self { database, path: path.to_owned() })
    }

    fn damaged(&self, revision: Revision, why: &dyn Display) -> StoreError {
        StoreError::Damaged { path: self.path.clone(), revision, why: why.to_string() }
    }

    fn write(&self, why: &dyn Display) -> StoreError {
        StoreError::Write { path: self.path.clone(), why: why.to_string() }
    }
}

impl Store for RedbStore {
    fn load(&mut self) -> Result<Cluster, StoreError> {
        let mut cluster = Cluster::default();
        let transaction = self.database.begin_read().map_err(|why| self.damaged(0, &why))?;
        let table = transaction.open_table(CHANGES).map_err(|why| self.damaged(0, &why))?;
        for row in table.range::<Revision>(..).map_err(|why| self.damaged(0, &why))? {
            let expected = cluster.revision() + 1;
            let (key, value) = row.map_err(|why| self.damaged(expected, &why))?;
            if key.value() != expected {
                return Err(self.damaged(expected, &format!("the next one is {}", key.value())));
            }
            let change = match value.value().split_first() {
                Some((&ROW_VERSION, json)) => {
                    serde_json::from_slice::<Change>(json).map_err(|why| self.damaged(expected, &why))?
                }
                Some((version, _)) => {
                    let why = format!("version {version} is not known here; a newer cube-tui wrote it");
                    return Err(self.damaged(expected, &why));
                }
                None => return Err(self.damaged(expected, &"the row is empty")),
            };
            cluster.apply(&Arc::new(change));
        }
        Ok(cluster)
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
