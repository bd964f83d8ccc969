//! A disk that can fill up, and a process that can be killed between any two writes. One of each a thread.

use std::cell::{Cell, RefCell};
use std::fs::OpenOptions;
use std::io;
use std::path::Path;

use redb::backends::FileBackend;
use redb::{Database, DatabaseError, StorageBackend};

thread_local! {
    static IS_FULL: Cell<bool> = const { Cell::new(false) };
    /// Writes until the kill; that one is torn.
    static LEFT: Cell<Option<u64>> = const { Cell::new(None) };
    /// What was there before each write since the last sync: a power cut may bring it back.
    static BEFORE: RefCell<Vec<(u64, Vec<u8>)>> = const { RefCell::new(Vec::new()) };
}

pub(super) fn fill(is_full: bool) {
    IS_FULL.set(is_full);
}

/// Kills the process at this write; `None` lets it live.
pub(super) fn kill_at(write: Option<u64>) {
    LEFT.set(write);
    BEFORE.take();
}

/// Kills the process here.
pub(super) fn kill_now() {
    LEFT.set(Some(0));
}

/// Cuts the power after a kill: of the writes since the last sync, those that `is_lost` says are undone.
pub(super) fn cut_power(path: &Path, mut is_lost: impl FnMut() -> bool) {
    use std::os::unix::fs::FileExt;
    let file = OpenOptions::new().write(true).open(path).unwrap();
    for (offset, bytes) in BEFORE.take().into_iter().rev() {
        if is_lost() {
            file.write_all_at(&bytes, offset).unwrap();
        }
    }
}

pub(super) fn create(path: &Path) -> Result<Database, DatabaseError> {
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).unwrap();
    let mut builder = Database::builder();
    builder.set_check_integrity_on_open(true).create_with_backend(Disk(FileBackend::new(file)?))
}

#[derive(Debug)]
struct Disk(FileBackend);

fn need_room() -> io::Result<()> {
    if IS_FULL.get() { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
}

/// Whether this write is the last.
fn tick() -> io::Result<bool> {
    match LEFT.get() {
        None => Ok(false),
        Some(0) => Err(io::Error::other("killed")),
        Some(left) => {
            LEFT.set(Some(left - 1));
            Ok(left == 1)
        }
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        need_room()?;
        if tick()? {
            return Err(io::Error::other("killed"));
        }
        self.0.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        if LEFT.get() == Some(0) {
            return Err(io::Error::other("killed"));
        }
        BEFORE.take();
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        need_room()?;
        let is_last = tick()?;
        let mut before = vec![0; data.len()];
        self.0.read(offset, &mut before)?;
        BEFORE.with_borrow_mut(|all| all.push((offset, before)));
        if is_last {
            // A disk tears between sectors.
            self.0.write(offset, &data[..data.len() / 2 / 512 * 512])?;
            return Err(io::Error::other("killed"));
        }
        self.0.write(offset, data)
    }
}
