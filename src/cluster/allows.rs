//! What tasks may do on a worker, beyond running in a container of their own: nothing, unless its owner says so. Compares
//! names alone; what a path leads to is looked up where it is. Knows no file.

use std::path::Path;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::task::{Capability, NetworkMode, Privileges, TaskSpec};

/// A worker's policy. A manager is told of it, also one that knows less of it or more.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a line of its own in a policy")]
pub struct Allows {
    /// Share the host's network, with all that listens on its loopback.
    pub host_network: bool,
    /// Be root on the host: all capabilities, all devices.
    #[serde(skip_serializing_if = "is_false")]
    pub privileged: bool,
    /// See, and signal, the host's processes.
    #[serde(skip_serializing_if = "is_false")]
    pub host_pid: bool,
    /// Share the host's shared memory and semaphores.
    #[serde(skip_serializing_if = "is_false")]
    pub host_ipc: bool,
    /// Mount these paths of the host, and what is in them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub host_paths: Vec<String>,
    /// Use these devices, and those in these folders.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub devices: Vec<String>,
    /// Have these capabilities; `ALL` are all of them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub capabilities: Vec<String>,
}

/// What a task asks for and a worker does not allow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denied {
    /// For people: "the host's network and the device /dev/fuse".
    pub what: String,
    /// The lines of a policy that allow it, in backquotes.
    pub lines: String,
}

impl Allows {
    /// Everything.
    pub fn all() -> Self {
        Self {
            host_network: true,
            privileged: true,
            host_pid: true,
            host_ipc: true,
            host_paths: vec!["/".to_owned()],
            devices: vec!["/".to_owned()],
            capabilities: vec![ALL_CAPABILITIES.to_owned()],
        }
    }

    /// Whether a task like `spec` may run there.
    pub fn check(&self, spec: &TaskSpec) -> Result<(), Denied> {
        let mut denied = Found::default();
        let on_host = spec.network_mode == NetworkMode::Host;
        denied.flag("the host's network", "host_network", on_host && !self.host_network);
        let paths = spec.host_paths().filter(|path| !is_in_any(path, &self.host_paths));
        denied.names("the host path", "host_paths", &self.host_paths, paths);
        if let Some(privileges) = &spec.privileges {
            self.check_privileges(privileges, &mut denied);
        }
        denied.verdict()
    }

    fn check_privileges(&self, privileges: &Privileges, denied: &mut Found) {
        let Privileges { privileged, cap_add, devices, host_pid, host_ipc } = privileges;
        denied.flag("to be privileged", "privileged", *privileged && !self.privileged);
        denied.flag("the host's processes", "host_pid", *host_pid && !self.host_pid);
        denied.flag("the host's shared memory", "host_ipc", *host_ipc && !self.host_ipc);
        let has = |name: &str| self.capabilities.iter().any(|allowed| allowed == name);
        let capabilities = cap_add.iter().map(Capability::as_str);
        let capabilities = capabilities.filter(|name| !has(name) && !has(ALL_CAPABILITIES));
        denied.names("the capability", "capabilities", &self.capabilities, capabilities);
        let devices = devices.iter().map(|device| &*device.host);
        let devices = devices.filter(|device| !is_in_any(device, &self.devices));
        denied.names("the device", "devices", &self.devices, devices);
    }
}

/// Whether `path` is one of these, or in one of them: by whole names, so that `/srv` does not hold `/srv2`.
pub fn is_in_any<P: AsRef<Path>>(path: impl AsRef<Path>, folders: &[P]) -> bool {
    folders.iter().any(|folder| path.as_ref().starts_with(folder))
}

impl Denied {
    /// A path that is asked for by a name that is allowed, and leads to `path`, which is not.
    pub fn leads_to(what: &str, key: &str, known: &[String], path: &str) -> Self {
        let mut denied = Found::default();
        denied.names(what, key, known, std::iter::once(path));
        Self { what: denied.what.concat(), lines: denied.lines.concat() }
    }
}

/// What was denied so far.
#[derive(Default)]
struct Found {
    what: Vec<String>,
    lines: Vec<String>,
}

impl Found {
    fn flag(&mut self, what: &str, key: &str, is_denied: bool) {
        if is_denied {
            self.what.push(what.to_owned());
            self.lines.push(format!("`{key} = true`"));
        }
    }

    /// The line names also what is in it already.
    fn names<'a>(&mut self, what: &str, key: &str, known: &[String], denied: impl Iterator<Item = &'a str>) {
        let mut line: Vec<&str> = known.iter().map(String::as_str).collect();
        for name in denied {
            if !line.contains(&name) {
                self.what.push(format!("{what} {name}"));
                line.push(name);
            }
        }
        if line.len() > known.len() {
            self.lines.push(format!("`{key} = {line:?}`"));
        }
    }

    fn verdict(self) -> Result<(), Denied> {
        if self.what.is_empty() {
            return Ok(());
        }
        Err(Denied { what: self.what.join(" and "), lines: self.lines.join(" and ") })
    }
}

/// Every capability that there is.
const ALL_CAPABILITIES: &str = "ALL";

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands out references")]
fn is_false(flag: &bool) -> bool {
    !flag
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(task: &str) -> TaskSpec {
        let task: crate::task::Task = serde_json::from_str(task).unwrap();
        (*task.spec).clone()
    }

    #[test]
    fn nothing_beyond_a_container_is_allowed_unless_its_line_says_so() {
        let allows = |policy: &str| toml::from_str::<Allows>(policy).unwrap();
        for (asked, line) in [
            (r#"{"NetworkMode":"host"}"#, "host_network = true"),
            (r#"{"Privileged":true}"#, "privileged = true"),
            (r#"{"PidMode":"host"}"#, "host_pid = true"),
            (r#"{"IpcMode":"host"}"#, "host_ipc = true"),
            (r#"{"Mounts":["data:/d","/srv/a:/a:ro"]}"#, r#"host_paths = ["/srv/a"]"#),
            (r#"{"Mounts":["/:/host"]}"#, r#"host_paths = ["/"]"#),
            (r#"{"Mounts":["/run/docker.sock:/s"]}"#, r#"host_paths = ["/run/docker.sock"]"#),
            (r#"{"Devices":["/dev/fuse:r"]}"#, r#"devices = ["/dev/fuse"]"#),
            (r#"{"CapAdd":["net_admin"]}"#, r#"capabilities = ["NET_ADMIN"]"#),
            (r#"{"CapAdd":["ALL"]}"#, r#"capabilities = ["ALL"]"#),
        ] {
            let spec = spec(asked);
            assert_eq!(Allows::default().check(&spec).unwrap_err().lines, format!("`{line}`"), "{asked}");
            assert_eq!(allows(line).check(&spec), Ok(()), "{asked}");
            assert_eq!(Allows::all().check(&spec), Ok(()), "{asked}");
        }
        for asked in [r#"{"NetworkMode":"none"}"#, r#"{"Mounts":["data:/d"]}"#, "{}"] {
            assert_eq!(Allows::default().check(&spec(asked)), Ok(()), "{asked}");
        }
    }

    #[test]
    fn a_folder_holds_what_is_in_it_and_no_more() {
        let srv = Allows {
            host_paths: vec!["/srv".into()],
            devices: vec!["/dev/dri".into()],
            capabilities: vec!["NET_RAW".into()],
            ..Allows::default()
        };
        for (asked, is_allowed) in [
            (r#"{"Mounts":["/srv:/a"]}"#, true),
            (r#"{"Mounts":["/srv/a/b:/a"]}"#, true),
            (r#"{"Mounts":["/srv2:/a"]}"#, false),
            (r#"{"Mounts":["/:/a"]}"#, false),
            (r#"{"Mounts":["/srv:/a","/etc:/b"]}"#, false),
            (r#"{"Devices":["/dev/dri/card0"]}"#, true),
            (r#"{"Devices":["/dev/drib"]}"#, false),
            (r#"{"CapAdd":["NET_RAW"]}"#, true),
            (r#"{"CapAdd":["NET_RAW","ALL"]}"#, false),
            (r#"{"Privileged":true}"#, false),
        ] {
            assert_eq!(srv.check(&spec(asked)).is_ok(), is_allowed, "{asked}");
        }
    }

    #[test]
    fn all_that_is_denied_is_told_at_once_with_whole_lines() {
        let some = Allows { host_paths: vec!["/srv".into()], ..Allows::default() };
        let asked = r#"{"Privileged":true,"Mounts":["/srv/a:/a","/etc:/b","/etc:/c"],"CapAdd":["A","B"]}"#;
        let denied = some.check(&spec(asked)).unwrap_err();
        assert_eq!(
            denied.what,
            "the host path /etc and to be privileged and the capability A and the capability B"
        );
        assert_eq!(
            denied.lines,
            r#"`host_paths = ["/srv", "/etc"]` and `privileged = true` and `capabilities = ["A", "B"]`"#
        );
    }

    #[test]
    fn a_policy_is_read_from_those_who_know_less_of_it_or_more() {
        assert!(serde_json::from_str::<Allows>(r#"{"host_network":true}"#).unwrap().host_network);
        let newer = r#"{"host_network":false,"privileged":true,"from_the_future":[1]}"#;
        assert!(serde_json::from_str::<Allows>(newer).unwrap().privileged);
        // An older manager refuses what it does not know: it is told no more than there is.
        assert_eq!(serde_json::to_string(&Allows::default()).unwrap(), r#"{"host_network":false}"#);
    }
}
