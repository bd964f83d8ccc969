//! What the user asked for: the part of a task that never changes. Knows no state.

use std::{collections::BTreeMap, fmt, str::FromStr};

use super::{Constraint, HealthCheck, Mount, Privileges, Probe, SecretUse};

/// What to run and how. Shared by `Arc`: the database, the log and every mirror hold the same one.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct TaskSpec {
    pub name: String,
    pub image: String,
    /// Arguments; empty means the image's own.
    pub cmd: Vec<String>,
    pub entrypoint: Vec<String>,
    /// `KEY=VALUE`, in order.
    pub env: Vec<String>,
    /// CPUs (1.5 is one and a half); 0 means no limit.
    pub cpu: f64,
    /// 0 means no limit.
    pub memory_bytes: u64,
    /// Asked for, never enforced (the book's Disk); 0 means none.
    pub disk_bytes: u64,
    /// Container ports, as [`port_list`] has them. `None` is the wire's `null`.
    pub exposed_ports: Option<Vec<String>>,
    /// Container port → host port. `None` is the wire's `null`. An empty or "0" host port asks for a free one.
    pub port_bindings: Option<BTreeMap<String, String>>,
    pub restart_policy: RestartPolicy,
    pub health_check: Option<HealthCheck>,
    pub pull_policy: PullPolicy,
    pub network_mode: NetworkMode,
    /// `VOLUME:/path[:ro]`, or a path of the host in the volume's place.
    pub mounts: Vec<String>,
    pub privileges: Option<Box<Privileges>>,
    /// By name; the values are nowhere in a task.
    pub secrets: Vec<SecretUse>,
    pub labels: BTreeMap<String, String>,
    /// Seconds between SIGTERM and SIGKILL; `None` is the default of 10.
    pub stop_timeout_s: Option<u32>,
    pub exclusive: bool,
    /// Where it may run.
    pub constraints: Vec<Constraint>,
    /// Those with more are placed first.
    pub priority: i32,
    /// Where there is no room for it, tasks of a lower priority are to make some.
    pub preempt: bool,
}

impl TaskSpec {
    /// Seconds a stop waits by default, as Docker does.
    pub const DEFAULT_STOP_TIMEOUT_S: u32 = 10;

    pub fn stop_timeout(&self) -> std::time::Duration {
        let seconds = self.stop_timeout_s.unwrap_or(Self::DEFAULT_STOP_TIMEOUT_S);
        std::time::Duration::from_secs(seconds.into())
    }

    /// The TCP ports that it exposes or publishes, the lowest first.
    pub fn tcp_ports(&self) -> Vec<u16> {
        let exposed = self.exposed_ports.iter().flatten();
        let bound = self.port_bindings.iter().flat_map(BTreeMap::keys);
        let numbers = exposed.chain(bound).filter_map(|port| port.strip_suffix("/tcp")?.parse().ok());
        let mut ports: Vec<u16> = numbers.collect();
        ports.sort_unstable();
        ports.dedup();
        ports
    }

    /// The ports of the host that it asks for by number, `8080/tcp` each: no two tasks of a host can have the same.
    pub fn fixed_host_ports(&self) -> impl Iterator<Item = String> {
        let bindings = self.port_bindings.iter().flatten();
        let is_bridge = self.network_mode == NetworkMode::Bridge;
        bindings.filter(move |(_, host)| is_bridge && !host.is_empty() && *host != "0").map(|(port, host)| {
            let protocol = port.split_once('/').map_or("tcp", |(_, protocol)| protocol);
            format!("{host}/{protocol}")
        })
    }

    /// The paths of the host that it asks for.
    pub fn host_paths(&self) -> impl Iterator<Item = &str> {
        self.mounts.iter().filter_map(|mount| Mount::parse(mount).ok()?.host_path())
    }

    /// What its health check tries, on the first port if it names none.
    pub fn probe(&self) -> Option<Probe> {
        let check = self.health_check.as_ref()?;
        Some(check.probe.clone().or_port(self.tcp_ports().first().copied()))
    }
}

/// A container port in its one form: `80` is `80/tcp`.
pub fn port_name(port: &str) -> String {
    let port = port.to_ascii_lowercase();
    if !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) {
        format!("{port}/tcp")
    } else {
        port
    }
}

/// Container ports in their one form, sorted and each once: two specs that ask for the same are the same.
pub fn port_list(ports: impl IntoIterator<Item = String>) -> Vec<String> {
    let mut ports: Vec<_> = ports.into_iter().map(|port| port_name(&port)).collect();
    ports.sort_unstable();
    ports.dedup();
    ports
}

/// When the manager starts a task again after it ended by itself. Docker's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum RestartPolicy {
    /// Never.
    #[default]
    No,
    /// After a failure, at most this many times; `None` is without end.
    OnFailure(Option<u32>),
    Always,
    UnlessStopped,
}

impl RestartPolicy {
    /// Whether a task that ended by itself starts again: `failed` says how it ended, `restart_count` how often
    /// it was started again before.
    pub fn restarts(self, failed: bool, restart_count: u32) -> bool {
        match self {
            Self::No => false,
            Self::OnFailure(limit) => failed && limit.is_none_or(|limit| restart_count < limit),
            Self::Always | Self::UnlessStopped => true,
        }
    }
}

impl fmt::Display for RestartPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::No => Ok(()),
            Self::OnFailure(None) => f.write_str("on-failure"),
            Self::OnFailure(Some(times)) => write!(f, "on-failure:{times}"),
            Self::Always => f.write_str("always"),
            Self::UnlessStopped => f.write_str("unless-stopped"),
        }
    }
}

impl FromStr for RestartPolicy {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected =
            "expected \"\", \"no\", \"on-failure\", \"on-failure:N\", \"always\" or \"unless-stopped\"";
        match text {
            "" | "no" => Ok(Self::No),
            "on-failure" => Ok(Self::OnFailure(None)),
            "always" => Ok(Self::Always),
            "unless-stopped" => Ok(Self::UnlessStopped),
            other => match other.strip_prefix("on-failure:").map(str::parse) {
                Some(Ok(times)) => Ok(Self::OnFailure(Some(times))),
                _ => Err(expected.to_owned()),
            },
        }
    }
}

/// When a worker pulls the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum PullPolicy {
    #[default]
    Missing,
    Always,
    Never,
}

impl PullPolicy {
    pub fn name(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Always => "always",
            Self::Never => "never",
        }
    }
}

impl FromStr for PullPolicy {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "" | "missing" => Ok(Self::Missing),
            "always" => Ok(Self::Always),
            "never" => Ok(Self::Never),
            _ => Err("expected \"missing\", \"always\" or \"never\"".to_owned()),
        }
    }
}

/// The container's network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum NetworkMode {
    #[default]
    Bridge,
    Host,
    None,
}

impl NetworkMode {
    pub fn name(self) -> &'static str {
        match self {
            Self::Bridge => "bridge",
            Self::Host => "host",
            Self::None => "none",
        }
    }
}

impl FromStr for NetworkMode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "" | "bridge" => Ok(Self::Bridge),
            "host" => Ok(Self::Host),
            "none" => Ok(Self::None),
            _ => Err("expected \"bridge\", \"host\" or \"none\"".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{RestartPolicy, port_list};

    #[test]
    fn restart_policies_count_as_dockers_do() {
        let cases = [
            ("", true, 0, false),
            ("on-failure", true, 9, true),
            ("on-failure", false, 0, false),
            ("on-failure:2", true, 1, true),
            ("on-failure:2", true, 2, false),
            ("always", false, 99, true),
            ("unless-stopped", true, 99, true),
        ];
        for (text, failed, count, again) in cases {
            let policy: RestartPolicy = text.parse().unwrap();
            assert_eq!(policy.restarts(failed, count), again, "{text} {failed} {count}");
            assert_eq!(policy.to_string(), text);
        }
        for text in ["on-failure:", "on-failure:-1", "on-failure:x", "On-Failure", "never"] {
            assert!(text.parse::<RestartPolicy>().is_err(), "{text}");
        }
    }

    #[test]
    fn ports_have_one_form() {
        let ports = ["90/UDP", "80", "80/tcp", ""].map(str::to_owned);
        assert_eq!(port_list(ports), ["", "80/tcp", "90/udp"]);
    }
}
