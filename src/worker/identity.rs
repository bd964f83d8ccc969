//! Ids that outlive the program: one uuid in one small file, readable by its owner only. Knows no store.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use uuid::Uuid;

/// The id in the file `name` of `folder`; made (both of them) at the first call.
///
/// # Errors
/// When the file can't be read or made, or holds something else than a uuid: guessing a new one would orphan
/// every container of the old one.
pub fn read_or_create_id(folder: &Path, name: &str) -> io::Result<Uuid> {
    let path = folder.join(name);
    match fs::read_to_string(&path) {
        Ok(text) => text.trim().parse().map_err(|_| {
            io::Error::new(
                io::ErrorKind::InvalidData,
                format!("{} does not hold an id; restore it, or delete it to start anew", path.display()),
            )
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            fs::create_dir_all(folder)?;
            create(&path)
        }
        Err(error) => Err(error),
    }
}

fn create(path: &Path) -> io::Result<Uuid> {
    let id = Uuid::new_v4();
    // Written aside and linked into place: a crash leaves no half id, and of two programs that start at the same
    // time one wins and both read the winner's.
    let aside = path.with_extension(format!("{}.new", id.simple()));
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&aside)?;
    writeln!(file, "{id}")?;
    file.sync_all()?;
    let linked = fs::hard_link(&aside, path);
    fs::remove_file(&aside)?;
    match linked {
        Ok(()) => Ok(id),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            fs::read_to_string(path)?.trim().parse().map_err(io::Error::other)
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _};

    use super::read_or_create_id;

    #[test]
    fn an_id_is_made_once_and_kept_for_its_owner() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let id = read_or_create_id(&data, "worker-id").unwrap();
        assert_eq!(read_or_create_id(&data, "worker-id").unwrap(), id);
        assert_ne!(read_or_create_id(&data, "cluster-id").unwrap(), id);
        let mode = fs::metadata(data.join("worker-id")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(fs::read_dir(&data).unwrap().count(), 2, "nothing is left aside");
    }

    #[test]
    fn a_damaged_id_is_never_replaced_silently() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("worker-id"), "oops").unwrap();
        let error = read_or_create_id(folder.path(), "worker-id").unwrap_err();
        assert!(error.to_string().contains("worker-id"), "{error}");
    }
}
