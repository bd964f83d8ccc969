//! The default store: one redb file, a row a Change. A commit is durable when it returns.

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use redb::{Database, DatabaseError, ReadableDatabase, TableDefinition};

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
    /// `None` after a failed write, until the next `load`: redb takes nothing more in an open file that failed once.
    database: Option<Database>,
    path: PathBuf,
    create: Create,
}

/// Opens the file at a path, or makes it.
type Create = fn(&Path) -> Result<Database, DatabaseError>;

impl RedbStore {
    /// Opens the file at `path`, or makes it.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        Self::open_with(path, |path| Database::builder().set_cache_size(CACHE).create(path))
    }

    fn open_with(path: &Path, create: Create) -> Result<Self, StoreError> {
        let mut store = Self { database: None, path: path.to_owned(), create };
        store.opened()?;
        Ok(store)
    }

    /// The file, opened anew if a write failed in it.
    fn opened(&mut self) -> Result<&Database, StoreError> {
        let database = match self.database.take() {
            Some(database) => database,
            None => self.create()?,
        };
        Ok(self.database.insert(database))
    }

    fn create(&self) -> Result<Database, StoreError> {
        let error = |why: &dyn Display| StoreError::Open { path: self.path.clone(), why: why.to_string() };
        let database = (self.create)(&self.path).map_err(|why| error(&why))?;
        // Readers find the table from the first start on.
        let transaction = database.begin_write().map_err(|why| error(&why))?;
        transaction.open_table(CHANGES).map_err(|why| error(&why))?;
        transaction.commit().map_err(|why| error(&why))?;
        Ok(database)
    }

    fn damaged(&self, revision: Revision, why: &dyn Display) -> StoreError {
        StoreError::Damaged { path: self.path.clone(), revision, why: why.to_string() }
    }

    fn write(&self, why: &dyn Display) -> StoreError {
        StoreError::Write { path: self.path.clone(), why: why.to_string() }
    }

    fn try_append(&self, database: &Database, changes: &[Arc<Change>]) -> Result<(), StoreError> {
        let transaction = database.begin_write().map_err(|why| self.write(&why))?;
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

impl Store for RedbStore {
    fn load(&mut self) -> Result<Cluster, StoreError> {
        let mut cluster = Cluster::default();
        let transaction = self.opened()?.begin_read();
        let transaction = transaction.map_err(|why| self.damaged(0, &why))?;
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
        let Some(database) = self.database.take() else {
            return Err(self.write(&"an earlier write failed; it is yet to be read again"));
        };
        self.try_append(&database, changes)?;
        self.database = Some(database);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::atomic::{AtomicBool, Ordering};

    use jiff::Timestamp;
    use redb::StorageBackend;
    use redb::backends::FileBackend;

    use super::*;
    use crate::cluster::{Cause, What};
    use crate::task::{EventId, Task};

    static DISK_IS_FULL: AtomicBool = AtomicBool::new(false);

    /// A file on a disk that can fill up.
    #[derive(Debug)]
    struct FillingDisk(FileBackend);

    fn need_room() -> io::Result<()> {
        if DISK_IS_FULL.load(Ordering::Relaxed) { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    impl StorageBackend for FillingDisk {
        fn len(&self) -> io::Result<u64> {
            self.0.len()
        }

        fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
            self.0.read(offset, out)
        }

        fn set_len(&self, len: u64) -> io::Result<()> {
            need_room()?;
            self.0.set_len(len)
        }

        fn sync_data(&self) -> io::Result<()> {
            self.0.sync_data()
        }

        fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
            need_room()?;
            self.0.write(offset, data)
        }
    }

    fn create(path: &Path) -> Result<Database, DatabaseError> {
        let mut options = std::fs::OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(false).open(path).unwrap();
        Database::builder().create_with_backend(FillingDisk(FileBackend::new(file)?))
    }

    fn submitted(revision: Revision) -> [Arc<Change>; 1] {
        let what = What::Submitted { event: EventId::random(), task: Task::default() };
        [Arc::new(Change { revision, time: Timestamp::UNIX_EPOCH, cause: Cause::Command, what })]
    }

    #[test]
    fn a_store_on_a_full_disk_goes_on_once_there_is_room_again() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = RedbStore::open_with(&folder.path().join("changes.redb"), create).unwrap();
        store.append(&submitted(1)).unwrap();

        DISK_IS_FULL.store(true, Ordering::Relaxed);
        assert!(store.append(&submitted(2)).unwrap_err().is_temporary());
        // Also when somebody looks before there is room.
        let _ = store.load();

        DISK_IS_FULL.store(false, Ordering::Relaxed);
        assert_eq!(store.load().unwrap().revision(), 1, "what was refused is not there");
        store.append(&submitted(2)).unwrap();
        assert_eq!(store.load().unwrap().revision(), 2);
    }
}
