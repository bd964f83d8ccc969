//! Moves a damaged store out of the way. Knows no format.

use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::StoreError;

/// Moves the store at `path` to a name with the time, which is returned. Nothing is deleted or overwritten. Nobody may
/// have the store open.
pub fn set_aside(path: &Path) -> Result<PathBuf, StoreError> {
    let error = |why: std::io::Error| StoreError::Write {
        path: path.to_owned(),
        why: format!("it can't be moved aside: {why}"),
    };
    let mut name = path.as_os_str().to_owned();
    name.push(Timestamp::now().strftime(".damaged-%Y%m%dT%H%M%S%.6fZ").to_string());
    let aside = PathBuf::from(name);
    std::fs::hard_link(path, &aside).map_err(error)?;
    std::fs::remove_file(path).map_err(error)?;
    Ok(aside)
}
