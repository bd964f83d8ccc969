//! The arguments of `run`, and what their words mean.

use clap::Args;

use super::super::complete;
use super::{OutputArgs, WaitArgs};
use crate::task::{
    Capability, Constraint, Device, NetworkMode, Probe, PullPolicy, RestartPolicy, SecretUse, port_name,
};

/// What `--restart` may be; a number goes behind `on-failure:`.
fn restart_policies() -> Vec<String> {
    ["no", "on-failure", "always", "unless-stopped"].map(str::to_owned).into()
}

#[derive(Args, Debug)]
pub struct RunArgs {
    pub image: String,
    /// What the task is called; need not be unique
    #[arg(long)]
    pub name: Option<String>,
    /// Set a variable; may be repeated
    #[arg(short, long, value_name = "KEY=VALUE")]
    pub env: Vec<String>,
    /// Publish a port; without HOST on a free one; may be repeated
    #[arg(short, long, value_name = "[HOST:]PORT[/udp]", value_parser = published)]
    pub publish: Vec<Published>,
    /// CPUs it may use (0.5 is half of one)
    #[arg(long, value_name = "CPUS")]
    pub cpu: Option<f64>,
    /// Memory it may use (512m, 2g)
    #[arg(short, long, value_name = "SIZE", value_parser = bytes)]
    pub memory: Option<u64>,
    /// When to start it again: no, on-failure[:N], always, unless-stopped
    #[arg(long, value_name = "POLICY", add = complete::words(restart_policies))]
    pub restart: Option<RestartPolicy>,
    /// When to pull the image: missing, always, never
    #[arg(long, value_name = "WHEN")]
    pub pull: Option<PullPolicy>,
    /// The container's network: bridge, host, none
    #[arg(long, value_name = "MODE")]
    pub network: Option<NetworkMode>,
    /// Mount a named volume, or a path of the host that the worker's policy allows; may be repeated
    #[arg(short = 'v', long, value_name = "VOLUME|/HOST/PATH:/PATH[:ro]")]
    pub mount: Vec<String>,
    #[command(flatten)]
    pub privileges: PrivilegeArgs,
    /// Give it a secret: a file in /run/secrets or at the path, or a variable; may be repeated
    #[arg(long, value_name = "NAME[:/PATH|:env[:VARIABLE]]")]
    pub secret: Vec<SecretUse>,
    /// Set a label; may be repeated
    #[arg(short, long, value_name = "KEY=VALUE", value_parser = label)]
    pub label: Vec<(String, String)>,
    /// Run this instead of the image's entrypoint
    #[arg(long, value_name = "PROGRAM")]
    pub entrypoint: Option<String>,
    /// What tells whether it is healthy: /path, http:8080/path, tcp:5432 or tcp
    #[arg(long, value_name = "CHECK", conflicts_with = "health_cmd")]
    pub health_check: Option<Probe>,
    /// A command in the container that tells whether it is healthy: words between spaces
    #[arg(long, value_name = "COMMAND")]
    pub health_cmd: Option<String>,
    /// How long failed checks don't count after the start
    #[arg(long, value_name = "SECONDS")]
    pub health_start_period: Option<u32>,
    /// From one check to the next
    #[arg(long, value_name = "SECONDS")]
    pub health_interval: Option<u32>,
    /// How long a check may take
    #[arg(long, value_name = "SECONDS")]
    pub health_timeout: Option<u32>,
    /// Failed checks in a row that make it unhealthy
    #[arg(long, value_name = "TIMES")]
    pub health_retries: Option<u32>,
    /// Never run it twice at once, not even for a moment
    #[arg(long)]
    pub exclusive: bool,
    /// Where it may go: zone=a, gpu, with:app=web, spread:zone and the like; may be repeated, all have to hold
    #[arg(long, value_name = "CONSTRAINT")]
    pub constraint: Vec<Constraint>,
    /// Whose turn it is among the waiting: -1000 to 1000 [default: 0]
    #[arg(long, value_name = "NUMBER", allow_negative_numbers = true)]
    pub priority: Option<i32>,
    /// Where there is no room for it, stop tasks of a lower priority; they start again where there is some
    #[arg(long)]
    pub preempt: bool,
    /// Seconds between SIGTERM and SIGKILL
    #[arg(long, value_name = "SECONDS")]
    pub stop_timeout: Option<u32>,
    #[command(flatten)]
    pub wait: WaitArgs,
    #[command(flatten)]
    pub output: OutputArgs,
    /// The arguments, instead of the image's own; from the first on, nothing is an option of `run`
    #[arg(trailing_var_arg = true)]
    pub cmd: Vec<String>,
}

/// What the worker's policy has to allow.
#[derive(Args, Debug)]
pub struct PrivilegeArgs {
    /// Run it as root on the host, where the worker's policy allows it
    #[arg(long)]
    pub privileged: bool,
    /// Give it a capability that the worker's policy allows (NET_ADMIN); may be repeated
    #[arg(long, value_name = "NAME")]
    pub cap_add: Vec<Capability>,
    /// Give it a device that the worker's policy allows; may be repeated
    #[arg(long, value_name = "/DEV/NAME[:/PATH][:rwm]")]
    pub device: Vec<Device>,
    /// Show it the host's processes, where the worker's policy allows it
    #[arg(long, value_name = "host")]
    pub pid: Option<OnHost>,
    /// Share the host's shared memory with it, where the worker's policy allows it
    #[arg(long, value_name = "host")]
    pub ipc: Option<OnHost>,
}

/// The one word that `--pid` and `--ipc` take.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub enum OnHost {
    Host,
}

/// One `--publish`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    pub container: String,
    /// Empty for a free one.
    pub host: String,
}

fn published(text: &str) -> Result<Published, String> {
    let (host, container) = text.rsplit_once(':').unwrap_or(("", text));
    let is_port = |port: &str| port.parse::<u16>().is_ok() && !port.starts_with('+');
    let number = container.split('/').next().unwrap_or_default();
    if !(host.is_empty() || is_port(host)) || !is_port(number) {
        return Err(format!("expected [HOST:]PORT[/udp], such as 8080:80, found {text:?}"));
    }
    Ok(Published { container: port_name(container), host: host.to_owned() })
}

fn label(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) => Ok((key.to_owned(), value.to_owned())),
        None => Err(format!("expected KEY=VALUE, found {text:?}")),
    }
}

/// `512m`, `1.5g`, `64MiB`, `1000`: powers of 1024, as Docker has it.
fn bytes(text: &str) -> Result<u64, String> {
    let expected = || format!("expected a size such as 512m or 2g, found {text:?}");
    let split = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let unit = unit.to_ascii_lowercase();
    let letter = unit.strip_suffix("ib").or_else(|| unit.strip_suffix('b')).unwrap_or(&unit);
    let shift = match letter {
        "" => 0,
        "k" => 10,
        "m" => 20,
        "g" => 30,
        "t" => 40,
        _ => return Err(expected()),
    };
    if let Ok(whole) = number.parse::<u64>() {
        return whole.checked_mul(1 << shift).ok_or_else(expected);
    }
    let number: f64 = number.parse().map_err(|_| expected())?;
    #[expect(clippy::cast_precision_loss, reason = "a power of two is exact")]
    let bytes = number * (1_u64 << shift) as f64;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "not negative; `as` saturates"
    )]
    Ok(bytes.round() as u64)
}

#[cfg(test)]
mod tests {
    use super::bytes;

    #[test]
    fn sizes_are_powers_of_1024() {
        for (text, size) in [
            ("0", 0),
            ("1000", 1000),
            ("1k", 1024),
            ("64M", 64 << 20),
            ("64MiB", 64 << 20),
            ("1.5gb", 3 << 29),
            ("7b", 7),
        ] {
            assert_eq!(bytes(text), Ok(size), "{text}");
        }
        for text in ["", "m", "-1", "1x", "1 m", "1.2.3m", "99999999999t", "1ibb"] {
            assert!(bytes(text).is_err(), "{text}");
        }
    }
}
