//! A file cut anywhere, and any bit of it flipped: everything is there, or the start is refused and says where and what
//! to do. No panic leaves the store, and nothing is silently gone.

use std::path::{Path, PathBuf};

use redb::backends::InMemoryBackend;
use redb::{Database, DatabaseError, StorageBackend as _};

use super::super::witness::Witness;
use super::super::{RedbStore, Store, StoreError, salvage};
use super::contract::LITTLE;
use super::histories::{fold, picture, seeded};
use crate::cluster::Cluster;

const CHANGES: usize = 300;

/// A copy of the file in memory: thousands of files a second.
fn copy(path: &Path) -> Result<Database, DatabaseError> {
    let bytes = std::fs::read(path).unwrap();
    let memory = InMemoryBackend::new();
    memory.set_len(bytes.len() as u64).unwrap();
    memory.write(0, &bytes).unwrap();
    Database::builder().set_check_integrity_on_open(true).create_with_backend(memory)
}

struct Sample {
    _folder: tempfile::TempDir,
    path: PathBuf,
    bytes: Vec<u8>,
    picture: String,
}

/// A store with tasks and a log, closed in order or killed.
fn sample(is_killed: bool) -> Sample {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("changes.redb");
    let changes = seeded(5, CHANGES);
    let mut store = RedbStore::open_keeping(&path, LITTLE).unwrap();
    for batch in changes.chunks(3) {
        store.append(batch).unwrap();
    }
    let mut bytes = std::fs::read(&path).unwrap();
    drop(store);
    if !is_killed {
        bytes = std::fs::read(&path).unwrap();
    }
    Sample { _folder: folder, path, bytes, picture: picture(&fold(&changes)) }
}

impl Sample {
    /// Whether the damaged file still gives everything; fails if neither does it nor is it refused.
    fn survives(&self, bytes: &[u8], what: impl Fn() -> String) -> bool {
        std::fs::write(&self.path, bytes).unwrap();
        match self.load() {
            Ok(cluster) => {
                assert_eq!(picture(&cluster), self.picture, "{}: something is silently gone", what());
                true
            }
            Err(error) => {
                let told = error.to_string();
                let names_all = told.contains("changes.redb") && told.contains("cube-tui recover");
                assert!(names_all || matches!(error, StoreError::Newer { .. }), "{}: {told}", what());
                false
            }
        }
    }

    fn load(&self) -> Result<Cluster, StoreError> {
        RedbStore::open_with(&self.path, copy, LITTLE)?.load()
    }
}

#[test]
fn a_file_cut_anywhere_gives_all_or_is_refused() {
    for is_killed in [false, true] {
        let sample = sample(is_killed);
        let end = sample.bytes.len();
        // Every byte of the last pages, the first ones, and some of each page between.
        let lengths = (0..end).filter(|length| *length > end - 8_192 || *length < 4_200 || length % 509 == 0);
        for length in lengths {
            sample.survives(&sample.bytes[..length], || format!("cut to {length} of {end}"));
        }
        assert!(sample.survives(&sample.bytes, || "whole".to_owned()));
    }
}

#[test]
fn a_flipped_bit_anywhere_loses_nothing_silently() {
    for is_killed in [false, true] {
        let mut random = fastrand::Rng::with_seed(7);
        let sample = sample(is_killed);
        let mut refused = 0;
        // What redb uses of its header.
        let header = 0..320 * 8;
        let anywhere = (0..1_500).map(|_| random.usize(0..sample.bytes.len() * 8));
        for bit in header.chain(anywhere) {
            let mut bytes = sample.bytes.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            refused += usize::from(!sample.survives(&bytes, || format!("bit {bit}, killed: {is_killed}")));
        }
        assert!(refused > 300, "the file is mostly in use: {refused}");
    }
}

#[test]
fn what_can_be_read_of_a_damaged_store_is_salvaged_and_the_rest_is_named() {
    let sample = sample(false);
    let whole = salvage(&sample.path).unwrap();
    assert_eq!((picture(&whole.cluster), whole.lost.len()), (sample.picture.clone(), 0));
    let mut random = fastrand::Rng::with_seed(9);
    let (mut opened, mut whole_tasks) = (0, 0);
    for _ in 0..500 {
        let mut bytes = sample.bytes.clone();
        let bit = random.usize(4_096 * 8..bytes.len() * 8);
        bytes[bit / 8] ^= 1 << (bit % 8);
        std::fs::write(&sample.path, &bytes).unwrap();
        if let Ok(salvaged) = salvage(&sample.path) {
            opened += 1;
            whole_tasks += usize::from(salvaged.cluster.task_db().len() == whole.cluster.task_db().len());
            let is_all = picture(&salvaged.cluster) == sample.picture;
            assert!(is_all || !salvaged.lost.is_empty(), "bit {bit}: something is gone and not named");
        }
        assert_eq!(std::fs::read(&sample.path).unwrap(), bytes, "it stays as it was");
    }
    assert!(opened > 400 && whole_tasks > 300, "one bit spoils little: {opened}, {whole_tasks}");
}

#[test]
fn a_broken_witness_is_no_obstacle() {
    let sample = sample(false);
    let witness = Witness::path(&sample.path);
    let whole = std::fs::read(&witness).unwrap();
    for bit in 0..whole.len() * 8 {
        let mut bytes = whole.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        std::fs::write(&witness, &bytes).unwrap();
        assert!(sample.survives(&sample.bytes, || format!("bit {bit} of the witness")));
    }
    std::fs::remove_file(&witness).unwrap();
    assert!(sample.survives(&sample.bytes, || "without a witness".to_owned()));
}
