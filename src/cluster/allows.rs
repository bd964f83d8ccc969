//! What tasks may do on a worker, beyond running in a container of their own: nothing, unless its owner says so. Knows no
//! file.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::task::{NetworkMode, TaskSpec};

/// A worker's policy, as its `policy.toml` has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Allows {
    /// Share the host's network, with all that listens on its loopback.
    pub host_network: bool,
}

/// Something that a task asks for and a worker does not allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Denied {
    /// For people: "the host's network".
    pub what: &'static str,
    /// The line of a policy that allows it.
    pub line: &'static str,
}

impl Allows {
    /// Everything.
    pub const ALL: Self = Self { host_network: true };

    /// Whether a task like `spec` may run there.
    pub fn check(&self, spec: &TaskSpec) -> Result<(), Denied> {
        if spec.network_mode == NetworkMode::Host && !self.host_network {
            return Err(Denied { what: "the host's network", line: "host_network = true" });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_beyond_a_container_is_allowed_unless_it_says_so() {
        let mut spec = TaskSpec::default();
        assert_eq!(Allows::default().check(&spec), Ok(()));
        spec.network_mode = NetworkMode::None;
        assert_eq!(Allows::default().check(&spec), Ok(()));
        spec.network_mode = NetworkMode::Host;
        assert_eq!(Allows::default().check(&spec).unwrap_err().line, "host_network = true");
        assert_eq!(Allows::ALL.check(&spec), Ok(()));
    }
}
