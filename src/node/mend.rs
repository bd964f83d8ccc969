//! Gets a data folder ready for a new store where the old one is damaged. Knows no task.

use std::path::{Path, PathBuf};

use super::folder::{Claim, Folder};
use super::start::StartError;
use crate::manager::store::{RedbStore, Store, StoreError, set_aside};

/// How a folder's store was found.
#[derive(Debug)]
pub enum Mended {
    /// It can be read.
    Sound,
    /// There was none.
    Missing,
    /// It was damaged, and is out of the way now.
    SetAside { damage: StoreError, to: PathBuf },
    /// Another process has it, and it works.
    Held,
}

/// Moves the store of the data folder at `path` aside if it is damaged, so that a node starts with a new one.
pub fn mend(path: &Path) -> Result<Mended, StartError> {
    let claim = Folder::claim(path).map_err(|error| StartError::Folder { path: path.to_owned(), error })?;
    let Claim::Ours(folder) = claim else { return Ok(Mended::Held) };
    let store = folder.store();
    let was_there = store.exists();
    match RedbStore::open(&store).and_then(|mut store| store.load()) {
        Ok(_) if was_there => Ok(Mended::Sound),
        Ok(_) => Ok(Mended::Missing),
        Err(damage) if damage.is_damage() => {
            let to = set_aside(&store)?;
            Ok(Mended::SetAside { damage, to })
        }
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_store_is_set_aside_whole_and_a_sound_one_stays() {
        let dir = tempfile::tempdir().unwrap();
        assert!(matches!(mend(dir.path()).unwrap(), Mended::Missing));
        assert!(matches!(mend(dir.path()).unwrap(), Mended::Sound));
        let store = dir.path().join("changes.redb");
        std::fs::write(&store, "scribble").unwrap();
        let Mended::SetAside { to, .. } = mend(dir.path()).unwrap() else { panic!("not set aside") };
        assert_eq!(std::fs::read_to_string(to).unwrap(), "scribble");
        assert!(matches!(mend(dir.path()).unwrap(), Mended::Missing));
        let Claim::Ours(_held) = Folder::claim(dir.path()).unwrap() else { panic!("not ours") };
        assert!(matches!(mend(dir.path()).unwrap(), Mended::Held));
    }
}
