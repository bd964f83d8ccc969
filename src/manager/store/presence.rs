//! Whether the store's file still lies where it was opened; if it was deleted, it is put back from the open file. Knows
//! no table.
//!
//! A deleted file can be written as long as it is open, and is gone with the process: what is acknowledged then would be
//! lost at the next start, without a word.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Seek as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// A file that is known again.
#[derive(Debug)]
pub(super) struct Presence {
    path: PathBuf,
    file: File,
    identity: (u64, u64),
}

/// How a look at the path ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    InPlace,
    /// A copy lies there now: whoever has the file open has one that nobody finds.
    PutBack,
}

impl Presence {
    /// Of the file that lies at `path` now.
    pub(super) fn of(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let identity = identity(&file.metadata()?);
        Ok(Self { path: path.to_owned(), file, identity })
    }

    /// Looks whether it is still there, and puts it back if it is not; nobody may write to it meanwhile.
    pub(super) fn look_after(&mut self) -> io::Result<Found> {
        match fs::metadata(&self.path) {
            Ok(found) if identity(&found) == self.identity => Ok(Found::InPlace),
            Ok(_) => Err(io::Error::other(
                "another file has taken its place: move that one away to go on with what this manager knows, or end \
                 this manager to go on with that file",
            )),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.put_back().map_err(|error| {
                    io::Error::new(error.kind(), format!("it was deleted, and cannot be put back: {error}"))
                })?;
                Ok(Found::PutBack)
            }
            Err(error) => Err(error),
        }
    }

    fn put_back(&mut self) -> io::Result<()> {
        let unfinished = self.path.with_extension("new");
        let mut options = OpenOptions::new();
        let mut copy = options.write(true).create(true).truncate(true).mode(0o600).open(&unfinished)?;
        self.file.rewind()?;
        io::copy(&mut self.file, &mut copy)?;
        copy.sync_all()?;
        fs::rename(&unfinished, &self.path)?;
        *self = Self::of(&self.path)?;
        Ok(())
    }
}

fn identity(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}
