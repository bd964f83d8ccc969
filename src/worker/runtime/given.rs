//! The secrets that a container gets. Tells their values to nobody but the engine.

use std::fmt;
use std::path::PathBuf;

use zeroize::Zeroizing;

/// What a start gives to its container beyond the task.
#[derive(Default)]
pub struct Given {
    /// Name and value.
    pub variables: Vec<(String, Zeroizing<String>)>,
    pub files: Vec<GivenFile>,
    /// The task has secrets and they went into its container when that was made: there is no making another.
    pub is_past: bool,
}

/// A file of the host that shows in the container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GivenFile {
    pub source: PathBuf,
    pub path: String,
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
        f.debug_struct("Given").field("variables", &names).field("files", &self.files).finish_non_exhaustive()
    }
}
