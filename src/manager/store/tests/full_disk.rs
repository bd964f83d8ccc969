//! A disk that is full for a while.

use super::super::{RedbStore, Retention, Store};
use super::disk::{create, fill};
use super::histories::{assert_folds, seeded};

#[test]
fn a_store_on_a_full_disk_goes_on_once_there_is_room_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("changes.redb");
    let mut store = RedbStore::open_with(&path, create, Retention::default()).unwrap();
    let changes = seeded(4, 3);
    store.append(&changes[..1]).unwrap();

    fill(true);
    assert!(store.append(&changes[1..2]).unwrap_err().is_temporary());
    // Also when somebody looks before there is room.
    let _ = store.load();

    fill(false);
    assert_eq!(store.load().unwrap().revision(), 1, "what was refused is not there");
    store.append(&changes[1..]).unwrap();
    assert_folds(&store.load().unwrap(), &changes);
}
