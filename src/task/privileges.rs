//! What a task may ask of its host beyond a container of its own. Whether it gets that is for each worker to say: this
//! knows no policy.

use std::fmt;
use std::str::FromStr;

use super::check::shown;
use super::mount::is_plain_path;

/// Next to no task asks for any of this, so a spec has it in a box. The host's network and paths stand where every task's
/// network and mounts do.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Privileges {
    /// All capabilities, all devices, no confinement: root on the host.
    pub privileged: bool,
    pub cap_add: Vec<Capability>,
    pub devices: Vec<Device>,
    /// See, and signal, the host's processes.
    pub host_pid: bool,
    /// Share the host's shared memory and semaphores.
    pub host_ipc: bool,
}

impl Privileges {
    /// `None` if nothing is asked for.
    pub fn boxed(self) -> Option<Box<Self>> {
        (self != Self::default()).then(|| Box::new(self))
    }
}

/// Those of Linux up to 6.x (`linux/capability.h`).
const CAPABILITIES: [&str; 41] = [
    "AUDIT_CONTROL",
    "AUDIT_READ",
    "AUDIT_WRITE",
    "BLOCK_SUSPEND",
    "BPF",
    "CHECKPOINT_RESTORE",
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "IPC_LOCK",
    "IPC_OWNER",
    "KILL",
    "LEASE",
    "LINUX_IMMUTABLE",
    "MAC_ADMIN",
    "MAC_OVERRIDE",
    "MKNOD",
    "NET_ADMIN",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_RAW",
    "PERFMON",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYSLOG",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_CHROOT",
    "SYS_MODULE",
    "SYS_NICE",
    "SYS_PACCT",
    "SYS_PTRACE",
    "SYS_RAWIO",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "WAKE_ALARM",
];

/// A capability in its one form, `NET_ADMIN`; `ALL` are all of them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Capability(String);

impl Capability {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether Linux has it. (What is stored may have been taken in when nobody asked.)
    pub fn check_known(&self) -> Result<(), String> {
        if self.0 == "ALL" || CAPABILITIES.contains(&self.as_str()) {
            return Ok(());
        }
        let distance = |known: &&str| strsim::osa_distance(&self.0, known);
        let nearest = CAPABILITIES.into_iter().min_by_key(distance).unwrap_or_default();
        if distance(&nearest) <= 1 + nearest.len() / 4 {
            Err(format!("Linux has no capability {self}; did you mean {nearest}?"))
        } else {
            Err(format!(
                "Linux has no capability {self}; the known ones are ALL, {}",
                CAPABILITIES.join(", ")
            ))
        }
    }
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Capability {
    type Err = String;

    /// In any case, with or without `CAP_`.
    fn from_str(text: &str) -> Result<Self, String> {
        /// No kernel has a longer one.
        const CHARS: usize = 32;
        let upper = text.to_ascii_uppercase();
        let name = upper.strip_prefix("CAP_").unwrap_or(&upper);
        let is_name = (1..=CHARS).contains(&name.len())
            && name.starts_with(|c: char| c.is_ascii_uppercase())
            && name.chars().all(|c| c.is_ascii_uppercase() || c == '_');
        let expected = || format!("expected a capability such as NET_ADMIN, found {:?}", shown(text));
        is_name.then(|| Self(name.to_owned())).ok_or_else(expected)
    }
}

/// One of a task's Devices: `/dev/fuse[:/in/the/container][:rwm]`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Device {
    /// Its path on the host; a folder means all that is in it.
    pub host: String,
    /// Its path in the container.
    pub inside: String,
    /// Of `r` (read), `w` (write) and `m` (make it with mknod), in this order.
    pub access: String,
}

/// What a device can be used for where nobody says.
const ALL_ACCESS: &str = "rwm";

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.host)?;
        if self.inside != self.host {
            write!(f, ":{}", self.inside)?;
        }
        if self.access != ALL_ACCESS {
            write!(f, ":{}", self.access)?;
        }
        Ok(())
    }
}

impl FromStr for Device {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = || {
            format!(
                "expected /dev/NAME, perhaps with :/path/in/the/container and :rwm, found {:?}",
                shown(text)
            )
        };
        let mut parts = text.split(':').peekable();
        let host = parts.next().unwrap_or_default();
        let inside = parts.next_if(|part| part.starts_with('/')).unwrap_or(host);
        let access = match parts.next() {
            None => ALL_ACCESS.to_owned(),
            Some(letters) => access(letters).ok_or_else(expected)?,
        };
        let is_device = |path: &str| is_plain_path(path) && path != "/";
        if parts.next().is_some() || !is_device(host) || !is_device(inside) {
            return Err(expected());
        }
        Ok(Self { host: host.to_owned(), inside: inside.to_owned(), access })
    }
}

/// In the one order, each once.
fn access(letters: &str) -> Option<String> {
    let is_known = !letters.is_empty() && letters.chars().all(|letter| ALL_ACCESS.contains(letter));
    is_known.then(|| ALL_ACCESS.chars().filter(|known| letters.contains(*known)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_have_one_form() {
        for text in ["NET_ADMIN", "net_admin", "CAP_NET_ADMIN", "cap_net_admin"] {
            assert_eq!(text.parse::<Capability>().unwrap().as_str(), "NET_ADMIN");
        }
        assert_eq!("all".parse::<Capability>().unwrap().as_str(), "ALL");
        for text in ["", "CAP_", "_A", "NET ADMIN", "NET-ADMIN", "A\u{1b}", &"A".repeat(33)] {
            assert!(text.parse::<Capability>().unwrap_err().contains("NET_ADMIN"), "{text}");
        }
    }

    #[test]
    fn a_capability_is_one_that_linux_has() {
        let known = |text: &str| text.parse::<Capability>().unwrap().check_known();
        for name in CAPABILITIES.into_iter().chain(["ALL", "cap_bpf"]) {
            assert_eq!(known(name), Ok(()));
        }
        assert_eq!(
            known("NET_ADMNI").unwrap_err(),
            "Linux has no capability NET_ADMNI; did you mean NET_ADMIN?"
        );
        assert!(known("FROBNICATE").unwrap_err().contains("the known ones are ALL, AUDIT_CONTROL"));
    }

    #[test]
    fn devices_come_back_as_they_went_and_in_one_form() {
        for (text, host, inside, access) in [
            ("/dev/fuse", "/dev/fuse", "/dev/fuse", "rwm"),
            ("/dev/fuse:r", "/dev/fuse", "/dev/fuse", "r"),
            ("/dev/sda:/dev/xvda", "/dev/sda", "/dev/xvda", "rwm"),
            ("/dev/sda:/dev/xvda:rw", "/dev/sda", "/dev/xvda", "rw"),
        ] {
            let device: Device = text.parse().unwrap();
            assert_eq!((&*device.host, &*device.inside, &*device.access), (host, inside, access));
            assert_eq!(device.to_string(), text);
        }
        assert_eq!("/dev/fuse:/dev/fuse:mwrr".parse::<Device>().unwrap().to_string(), "/dev/fuse");
        for text in [
            "",
            "/",
            "fuse",
            "/dev/../etc",
            "/dev/",
            "/dev/a:",
            "/dev/a:x",
            "/dev/a:/b:r:w",
            "/dev/a:r:/b",
            "/dev/a:/",
        ] {
            assert!(text.parse::<Device>().is_err(), "{text}");
        }
    }
}
