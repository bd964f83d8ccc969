//! What a container is given beyond its task: secrets, whose values nobody but the engine is told, and parts of the host.

use std::fmt;
use std::path::PathBuf;

use zeroize::Zeroizing;

use crate::task::Device;

/// What a start gives to its container beyond the task.
#[derive(Default)]
pub struct Given {
    /// Name and value.
    pub variables: Vec<(String, Zeroizing<String>)>,
    pub files: Vec<GivenFile>,
    pub host: HostGiven,
    /// The task has secrets and they went into its container when that was made: there is no making another.
    pub is_past: bool,
}

/// A file of the host that shows in the container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GivenFile {
    pub source: PathBuf,
    pub path: String,
}

/// What the task asked for of the host: looked up, and allowed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostGiven {
    pub paths: Vec<GivenPath>,
    pub devices: Vec<GivenDevice>,
}

/// A path of the host that shows in the container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GivenPath {
    pub source: PathBuf,
    pub path: String,
    pub is_read_only: bool,
}

/// A device, and where on the host it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GivenDevice {
    pub source: PathBuf,
    pub device: Device,
}

impl Given {
    /// `NAME=value`.
    pub(super) fn environment(&self) -> impl Iterator<Item = String> {
        self.variables.iter().map(|(name, value)| format!("{name}={}", &**value))
    }
}

impl fmt::Debug for Given {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.variables.iter().map(|(name, _)| name).collect();
        f.debug_struct("Given")
            .field("variables", &names)
            .field("files", &self.files)
            .field("host", &self.host)
            .finish_non_exhaustive()
    }
}
