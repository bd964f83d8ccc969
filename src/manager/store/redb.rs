//! The default store: one redb file. A commit is durable when it returns. Knows no table.
//!
//! Every page that is in use is checked when the file is opened (redb's own checksums), every row when it is read, and
//! the last revision against the witness beside the file: what comes out is all that was acknowledged, or an error.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use redb::backends::FileBackend;
use redb::{Database, DatabaseError};

use super::Store;
use super::error::{Blame, StoreError};
use super::file::{Create, StoreFile};
use super::guard::guarded;
use super::presence::{Found, Presence};
use super::retention::Retention;
use crate::cluster::{Change, Cluster};

/// Pages that redb may keep in memory. A store is read once, and then little of it again: the default of a gigabyte
/// would keep all of it.
const CACHE: usize = 8 << 20;

#[derive(Debug)]
pub struct RedbStore {
    /// `None` after a failed write, until the next `load`: redb takes nothing more in an open file that failed once.
    file: Option<StoreFile>,
    presence: Presence,
    path: PathBuf,
    create: Create,
    retention: Retention,
}

impl RedbStore {
    /// Opens the file at `path`, or makes it.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        Self::open_keeping(path, Retention::default())
    }

    /// The same, with another rule for how much history it keeps.
    pub fn open_keeping(path: &Path, retention: Retention) -> Result<Self, StoreError> {
        Self::open_with(path, create, retention)
    }

    pub(super) fn open_with(path: &Path, create: Create, retention: Retention) -> Result<Self, StoreError> {
        let file = caught(path, || StoreFile::open(path, create, &retention))?;
        let presence = Presence::of(path).map_err(|why| Blame(path).open(why))?;
        Ok(Self { file: Some(file), presence, path: path.to_owned(), create, retention })
    }

    fn write(
        &mut self,
        run: impl FnOnce(&mut StoreFile, &Retention) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        self.look_after()?;
        let Some(mut file) = self.file.take() else {
            return Err(Blame(&self.path).write("an earlier write failed; it is yet to be read again"));
        };
        let file = caught(&self.path, || run(&mut file, &self.retention).map(|()| file))?;
        self.file = Some(file);
        Ok(())
    }
}

/// A panic of redb is damage that it did not expect.
fn caught<T>(path: &Path, run: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
    guarded(run).unwrap_or_else(|why| Err(Blame(path).damaged("the file", why)))
}

fn create(path: &Path) -> Result<Database, DatabaseError> {
    let mut options = OpenOptions::new();
    let file = options.read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
    let file = FileBackend::new(file)?;
    Database::builder().set_cache_size(CACHE).set_check_integrity_on_open(true).create_with_backend(file)
}

impl Store for RedbStore {
    fn load(&mut self) -> Result<Cluster, StoreError> {
        self.look_after()?;
        let file = self.file.take();
        let (file, cluster) = caught(&self.path, || {
            let mut file =
                file.map_or_else(|| StoreFile::open(&self.path, self.create, &self.retention), Ok)?;
            let cluster = file.load()?;
            Ok((file, cluster))
        })?;
        self.file = Some(file);
        Ok(cluster)
    }

    fn append(&mut self, changes: &[Arc<Change>]) -> Result<(), StoreError> {
        self.write(|file, retention| file.append(changes, retention))
    }

    fn look_after(&mut self) -> Result<(), StoreError> {
        match self.presence.look_after() {
            Ok(Found::InPlace) => return Ok(()),
            Ok(Found::PutBack) => {}
            Err(why) => return Err(Blame(&self.path).write(why)),
        }
        tracing::warn!(
            "the store {} was deleted while it was in use; it is put back, whole",
            self.path.display()
        );
        // The open one is the deleted one.
        self.file = None;
        let file = caught(&self.path, || StoreFile::open(&self.path, self.create, &self.retention))?;
        self.file = Some(file);
        Ok(())
    }

    fn has_put_off(&self) -> bool {
        self.file.as_ref().is_some_and(|file| file.has_put_off(&self.retention))
    }

    fn catch_up(&mut self) -> Result<(), StoreError> {
        self.write(StoreFile::catch_up)
    }
}
