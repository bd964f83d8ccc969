//! The data folder: who holds it, and what lies where in it. Knows no format of a store.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A data folder that this process holds, until it ends in any way.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    lock: File,
}

/// What stands in the lock file: whom to ask instead.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    pub pid: u32,
    /// `host:port` of its manager's API, or of its worker's; none while it is starting.
    pub api: Option<String>,
    /// It is a worker, and has no manager.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_worker: bool,
}

/// What became of the wish to hold a folder.
#[derive(Debug)]
pub enum Claim {
    Ours(Folder),
    /// Another process holds it.
    Theirs(Holder),
}

impl Holder {
    /// Whom the lock file in `folder` names. It may have ended since: only a claim tells.
    pub fn last_of(folder: &Path) -> Option<Self> {
        serde_json::from_str(&fs::read_to_string(lock_of(folder)).ok()?).ok()
    }

    /// Whether the process of that number is the one that holds `folder`, and not a stranger with the same number: the
    /// holder may live where processes are counted anew, as in a container.
    pub fn is_here(&self, folder: &Path) -> bool {
        let Ok(lock) = fs::canonicalize(lock_of(folder)) else { return false };
        let Ok(open) = fs::read_dir(format!("/proc/{}/fd", self.pid)) else {
            // Without a /proc there is nothing to compare.
            return !Path::new("/proc/self/fd").exists();
        };
        open.flatten().any(|file| fs::read_link(file.path()).is_ok_and(|to| to == lock))
    }
}

fn lock_of(folder: &Path) -> PathBuf {
    folder.join("manager.lock")
}

impl Folder {
    /// Claims `path`, which is made if it is missing.
    pub fn claim(path: &Path) -> io::Result<Claim> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(path)?;
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let mut lock = options.open(lock_of(path))?;
        match lock.try_lock() {
            Ok(()) => {
                let mut folder = Self { path: path.to_owned(), lock };
                folder.announce(None, false)?;
                Ok(Claim::Ours(folder))
            }
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                lock.read_to_string(&mut text)?;
                // Empty for the instant between the holder's lock and its first line.
                Ok(Claim::Theirs(serde_json::from_str(&text).unwrap_or(Holder {
                    pid: 0,
                    api: None,
                    is_worker: false,
                })))
            }
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// Tells later starts where this process's manager or worker answers.
    pub fn announce(&mut self, api: Option<String>, is_worker: bool) -> io::Result<()> {
        let holder = Holder { pid: std::process::id(), api, is_worker };
        let text = serde_json::to_string(&holder).map_err(io::Error::other)?;
        self.lock.set_len(0)?;
        self.lock.rewind()?;
        self.lock.write_all(text.as_bytes())
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The store's file.
    pub fn store(&self) -> PathBuf {
        self.path.join("changes.redb")
    }

    /// Whether a store lies here without the file `name` that was made before it: it came from elsewhere.
    pub fn has_store_without(&self, name: &str) -> bool {
        self.store().exists() && !self.path.join(name).exists()
    }

    /// The id in the file `name`: the same for as long as the folder lives.
    pub fn id(&self, name: &str) -> io::Result<Uuid> {
        let path = self.path.join(name);
        match fs::read_to_string(&path) {
            Ok(text) => text.trim().parse().map_err(|error| {
                let why = format!(
                    "{} holds no id ({error}); restore it, or delete it for a new one",
                    path.display()
                );
                io::Error::new(io::ErrorKind::InvalidData, why)
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let id = Uuid::new_v4();
                let unfinished = path.with_extension("new");
                let mut file = OpenOptions::new()
                    .write(true)
                    .create(true)
                    .truncate(true)
                    .mode(0o600)
                    .open(&unfinished)?;
                writeln!(file, "{id}")?;
                file.sync_all()?;
                fs::rename(&unfinished, &path)?;
                Ok(id)
            }
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_held_folder_names_its_holder_and_is_free_again_after() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("cube");
        let Claim::Ours(mut folder) = Folder::claim(&path).unwrap() else { panic!("not ours") };
        folder.announce(Some("127.0.0.1:5556".into()), false).unwrap();
        let Claim::Theirs(holder) = Folder::claim(&path).unwrap() else { panic!("held twice") };
        let (pid, api) = (std::process::id(), Some("127.0.0.1:5556".into()));
        assert_eq!(holder, Holder { pid, api, is_worker: false });
        drop(folder);
        assert!(matches!(Folder::claim(&path).unwrap(), Claim::Ours(_)));
    }

    #[test]
    fn ids_stay_the_same_and_a_broken_one_is_not_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let Claim::Ours(folder) = Folder::claim(dir.path()).unwrap() else { panic!("not ours") };
        let id = folder.id("worker-id").unwrap();
        assert_eq!(folder.id("worker-id").unwrap(), id);
        assert_ne!(folder.id("cluster-id").unwrap(), id);
        fs::write(dir.path().join("worker-id"), "scribble").unwrap();
        let error = folder.id("worker-id").unwrap_err().to_string();
        assert!(error.contains("worker-id") && error.contains("holds no id"), "{error}");
    }
}
