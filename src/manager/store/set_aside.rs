//! Moves a damaged store out of the way. Knows no format.

use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rustix::fs::{CWD, RenameFlags, renameat_with};

use super::error::{Blame, StoreError};
use super::witness::Witness;

/// Names tried for one second's moves.
const NAMES: u32 = 100;

/// Moves the store at `path` to a name with the time, which is returned. Nothing is deleted or overwritten. Nobody may
/// have the store open.
pub fn set_aside(path: &Path) -> Result<PathBuf, StoreError> {
    let error = |why: io::Error| Blame(path).write(format!("it can't be moved aside: {why}"));
    let now = Timestamp::now().strftime("%Y%m%dT%H%M%SZ").to_string();
    for number in 1..=NAMES {
        let more = if number == 1 { String::new() } else { format!("-{number}") };
        let aside = with_ending(path, &format!("damaged-{now}{more}"));
        match rename(path, &aside) {
            Ok(()) => {
                // What it last acknowledged goes with it; a store never written to has none.
                match rename(&Witness::path(path), &with_ending(&aside, "last")) {
                    Err(why) if why.kind() != io::ErrorKind::NotFound => return Err(error(why)),
                    _ => return Ok(aside),
                }
            }
            Err(why) if why.kind() == io::ErrorKind::AlreadyExists => {}
            Err(why) => return Err(error(why)),
        }
    }
    Err(error(io::ErrorKind::AlreadyExists.into()))
}

fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(ending);
    name.into()
}

/// Fails if there is something at `to`.
fn rename(from: &Path, to: &Path) -> io::Result<()> {
    Ok(renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_is_set_aside_whole_and_twice_in_a_second_nothing_is_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("changes.redb");
        let mut moved = Vec::new();
        for text in ["first", "second"] {
            std::fs::write(&path, text).unwrap();
            std::fs::write(Witness::path(&path), text).unwrap();
            let aside = set_aside(&path).unwrap();
            assert!(!path.exists() && !Witness::path(&path).exists());
            moved.push((aside, text));
        }
        for (aside, text) in moved {
            assert_eq!(std::fs::read_to_string(&aside).unwrap(), text);
            assert_eq!(std::fs::read_to_string(with_ending(&aside, "last")).unwrap(), text);
        }
        assert!(set_aside(&path).is_err(), "there is nothing left");
    }
}
