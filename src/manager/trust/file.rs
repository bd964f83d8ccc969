//! Where the trust is kept: the authority and the ledger, each a file that only its owner reads, replaced as a whole.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::TrustError;
use super::ledger::Ledger;
use crate::tls::Authority;

/// The authority, as a file has it. Whoever reads it is the manager to everyone.
#[derive(Serialize, Deserialize)]
struct Written {
    certificate: String,
    key: String,
}

/// The files, or nothing for a cluster in memory.
#[derive(Debug)]
pub(super) struct Files(Option<PathBuf>);

impl Files {
    pub(super) fn new(folder: Option<PathBuf>) -> Self {
        Self(folder)
    }

    pub(super) fn read(&self) -> Result<(Option<Authority>, Ledger), TrustError> {
        let authority: Option<Written> = self.read_one("authority.json")?;
        let authority = authority
            .map(|written| Authority::read(&written.certificate, &written.key))
            .transpose()
            .map_err(|error| self.damaged("authority.json", &error))?;
        Ok((authority, self.read_one("members.json")?.unwrap_or_default()))
    }

    pub(super) fn write_authority(&self, authority: &Authority) -> Result<(), TrustError> {
        let written =
            Written { certificate: authority.certificate_pem().to_owned(), key: authority.key_pem() };
        self.write_one("authority.json", &written)
    }

    pub(super) fn write_ledger(&self, ledger: &Ledger) -> Result<(), TrustError> {
        self.write_one("members.json", ledger)
    }

    fn read_one<T: serde::de::DeserializeOwned>(&self, name: &str) -> Result<Option<T>, TrustError> {
        let Some(folder) = &self.0 else { return Ok(None) };
        match fs::read(folder.join(name)) {
            Ok(text) => serde_json::from_slice(&text).map(Some).map_err(|error| self.damaged(name, &error)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(self.damaged(name, &error)),
        }
    }

    fn write_one(&self, name: &str, value: &impl Serialize) -> Result<(), TrustError> {
        let Some(folder) = &self.0 else { return Ok(()) };
        let failed = |error: io::Error| {
            TrustError::Failed(format!("cannot write {}: {error}", folder.join(name).display()))
        };
        let text = serde_json::to_vec_pretty(value).map_err(|error| failed(error.into()))?;
        write_private(&folder.join(name), &text).map_err(failed)
    }

    fn damaged(&self, name: &str, error: &dyn std::fmt::Display) -> TrustError {
        let path = self.0.as_deref().unwrap_or(Path::new("")).join(name);
        TrustError::Failed(format!(
            "cannot read {}: {error}; restore it, or delete it (then everyone who has joined needs a new invite)",
            path.display()
        ))
    }
}

/// Writes a file that only its owner may read, whole or not at all.
pub fn write_private(path: &Path, text: &[u8]) -> io::Result<()> {
    let unfinished = path.with_extension("new");
    // One that is left from before may have another mode.
    match fs::remove_file(&unfinished) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&unfinished)?;
    file.write_all(text)?;
    file.sync_all()?;
    fs::rename(&unfinished, path)?;
    // The name as well is to be there after a power cut.
    match path.parent() {
        Some(folder) => fs::File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}
