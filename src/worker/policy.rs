//! A worker's own policy file: what tasks may do on this host. Its owner writes it; no manager can.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::cluster::Allows;

/// What a policy is called in a data folder.
pub const POLICY: &str = "policy.toml";

/// Why a policy can't be followed. Nothing runs then: it may forbid more than anybody guesses.
#[derive(Debug, thiserror::Error)]
#[error("cannot read the policy {}: {why}", path.display())]
pub struct PolicyError {
    path: PathBuf,
    why: String,
}

/// Reads the policy at `path`. A file that is not there allows nothing, unless it `must_be_there`.
pub fn read_policy(path: &Path, must_be_there: bool) -> Result<Allows, PolicyError> {
    let failed = |why: String| PolicyError { path: path.to_owned(), why };
    match fs::read_to_string(path) {
        Ok(text) => toml::from_str(&text).map_err(|error| failed(error.to_string())),
        Err(error) if error.kind() == ErrorKind::NotFound && !must_be_there => Ok(Allows::default()),
        Err(error) => Err(failed(error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_policy_allows_nothing_and_a_misspelt_one_is_refused_with_its_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(POLICY);
        assert_eq!(read_policy(&path, false).unwrap(), Allows::default());
        assert!(read_policy(&path, true).is_err());
        fs::write(&path, "# mine\nhost_network = true\n").unwrap();
        assert!(read_policy(&path, true).unwrap().host_network);
        fs::write(&path, "# mine\nhost_netwrok = true\n").unwrap();
        let error = read_policy(&path, false).unwrap_err().to_string();
        assert!(error.contains("policy.toml") && error.contains("host_netwrok"), "{error}");
    }
}
