//! A worker's own policy file: what tasks may do on this host. Its owner writes it; no manager can.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::cluster::Allows;
use crate::task::{Capability, is_plain_path};

/// What a policy is called in a data folder.
pub const POLICY: &str = "policy.toml";

/// Why a policy can't be followed. Nothing runs then: it may forbid more than anybody guesses.
#[derive(Debug, thiserror::Error)]
#[error("cannot read the policy {}: {why}", path.display())]
pub struct PolicyError {
    path: PathBuf,
    why: String,
}

/// The file's lines. What is misspelt is refused, with its line.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "each is a line of its own")]
struct PolicyFile {
    host_network: bool,
    privileged: bool,
    host_pid: bool,
    host_ipc: bool,
    host_paths: Vec<HostPath>,
    devices: Vec<DevicePath>,
    capabilities: Vec<CapabilityName>,
}

#[derive(Deserialize)]
#[serde(try_from = "String")]
struct HostPath(String);

impl TryFrom<String> for HostPath {
    type Error = String;

    fn try_from(path: String) -> Result<Self, String> {
        if is_plain_path(&path) {
            return Ok(Self(path));
        }
        Err(format!("expected an absolute path without `..` or a `/` at its end, found {path:?}"))
    }
}

/// A device, a folder of them, or `/`: all there are.
#[derive(Deserialize)]
#[serde(try_from = "String")]
struct DevicePath(String);

impl TryFrom<String> for DevicePath {
    type Error = String;

    fn try_from(path: String) -> Result<Self, String> {
        let is_device = path == "/" || path == "/dev" || path.starts_with("/dev/");
        if is_device && is_plain_path(&path) {
            return Ok(Self(path));
        }
        Err(format!("expected a device or a folder of them, /dev/NAME, or / for all of them, found {path:?}"))
    }
}

#[derive(Deserialize)]
#[serde(try_from = "String")]
struct CapabilityName(Capability);

impl TryFrom<String> for CapabilityName {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        let capability: Capability = name.parse()?;
        capability.check_known()?;
        Ok(Self(capability))
    }
}

impl From<PolicyFile> for Allows {
    fn from(file: PolicyFile) -> Self {
        Self {
            host_network: file.host_network,
            privileged: file.privileged,
            host_pid: file.host_pid,
            host_ipc: file.host_ipc,
            host_paths: file.host_paths.into_iter().map(|path| path.0).collect(),
            devices: file.devices.into_iter().map(|path| path.0).collect(),
            capabilities: file.capabilities.iter().map(|name| name.0.to_string()).collect(),
        }
    }
}

/// Reads the policy at `path`. A file that is not there allows nothing, unless it `must_be_there`.
pub fn read_policy(path: &Path, must_be_there: bool) -> Result<Allows, PolicyError> {
    let failed = |why: String| PolicyError { path: path.to_owned(), why };
    match fs::read_to_string(path) {
        Ok(text) => {
            let file: Result<PolicyFile, _> = toml::from_str(&text);
            file.map(Allows::from).map_err(|error| failed(error.to_string()))
        }
        // Where there is not even a folder, whoever claims it says so.
        Err(error)
            if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) && !must_be_there =>
        {
            Ok(Allows::default())
        }
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
        for wrong in [
            "host_netwrok = true",
            "host_paths = \"/srv\"",
            "host_paths = [\"srv\"]",
            "host_paths = [\"/srv/../etc\"]",
            "host_paths = [\"/srv/\"]",
            "devices = [\"fuse\"]",
            "devices = [\"/etc\"]",
            "devices = [\"/dev/../etc\"]",
            "devices = [\"/device\"]",
            "capabilities = [\"NET_ADMINN\"]",
            "capabilities = [\"net admin\"]",
        ] {
            fs::write(&path, format!("# mine\n{wrong}\n")).unwrap();
            let error = read_policy(&path, false).unwrap_err().to_string();
            assert!(error.contains("policy.toml") && error.contains(wrong), "{error}");
            assert!(error.contains("line 2"), "{error}");
        }
    }

    #[test]
    fn a_whole_policy_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(POLICY);
        let text = "host_network = true\nprivileged = true\nhost_pid = true\nhost_ipc = true\nhost_paths = [\"/\"]\n\
                    devices = [\"/\"]\ncapabilities = [\"cap_all\"]\n";
        fs::write(&path, text).unwrap();
        assert_eq!(read_policy(&path, true).unwrap(), Allows::all());
    }
}
