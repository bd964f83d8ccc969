//! The witness: a small file beside the store that holds the last acknowledged revision. Knows no Change.
//!
//! A store that lost its last commit looks just like one that never had it: a flipped bit in the header makes the
//! commit before it the last one. So what was acknowledged is also written down outside the file. Two slots are
//! written in turn, in place: there is always a whole one, and a full disk is no matter. It is not synced, since only a
//! power cut could then make it late, and a late witness merely sees less.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::cluster::Revision;

/// A revision and its CRC-32, the low bytes first.
const SLOT: usize = 12;

#[derive(Debug)]
pub(super) struct Witness {
    file: File,
    /// Which of the two slots is written next.
    next: u64,
}

impl Witness {
    /// Where the witness of the store at `store` lies.
    pub(super) fn path(store: &Path) -> PathBuf {
        store.with_extension("last")
    }

    /// Opens it, or makes one that has seen nothing; and tells the last revision it saw.
    pub(super) fn open(store: &Path) -> io::Result<(Self, Revision)> {
        let mut options = OpenOptions::new();
        let file = options
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(Self::path(store))?;
        let mut seen = [None; 2];
        for (slot, seen) in (0..).zip(&mut seen) {
            let mut bytes = [0; SLOT];
            if file.read_exact_at(&mut bytes, slot * SLOT as u64).is_ok() {
                *seen = read(bytes);
            }
        }
        // The older one is overwritten first, and a broken one before any.
        let next = u64::from(seen[0] > seen[1]);
        Ok((Self { file, next }, seen.into_iter().flatten().max().unwrap_or(0)))
    }

    pub(super) fn saw(&mut self, revision: Revision) -> io::Result<()> {
        self.file.write_all_at(&slot(revision), self.next * SLOT as u64)?;
        self.next = 1 - self.next;
        Ok(())
    }

    /// Forgets all it saw: the store begins anew.
    pub(super) fn forget(&mut self) -> io::Result<()> {
        self.file.set_len(0)
    }
}

fn slot(revision: Revision) -> [u8; SLOT] {
    let mut slot = [0; SLOT];
    let revision = revision.to_le_bytes();
    slot[..8].copy_from_slice(&revision);
    slot[8..].copy_from_slice(&crc32fast::hash(&revision).to_le_bytes());
    slot
}

fn read(bytes: [u8; SLOT]) -> Option<Revision> {
    let revision = Revision::from_le_bytes(*bytes.first_chunk()?);
    (slot(revision) == bytes).then_some(revision)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_witness_remembers_the_last_revision_even_if_the_newer_slot_is_torn() {
        let folder = tempfile::tempdir().unwrap();
        let store = folder.path().join("changes.redb");
        for revision in 1..=3 {
            let (mut witness, seen) = Witness::open(&store).unwrap();
            assert_eq!(seen, revision - 1);
            witness.saw(revision).unwrap();
        }
        let path = Witness::path(&store);
        let whole = std::fs::read(&path).unwrap();
        for at in 0..whole.len() {
            let mut torn = whole.clone();
            torn[at] ^= 1;
            std::fs::write(&path, torn).unwrap();
            let (_, seen) = Witness::open(&store).unwrap();
            assert!([2, 3].contains(&seen), "byte {at}: {seen}");
        }
    }
}
