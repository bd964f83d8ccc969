//! `run IMAGE`: its options, the TaskSpec they make, and its submit.

use std::collections::BTreeMap;
use std::sync::Arc;

use clap::Args;

use super::args::{OutputArgs, WaitArgs};
use super::complete;
use super::exit::{CliError, Exit};
use super::logs::{LogPrinter, print_until_end};
use super::print::Printer;
use super::submit::{submit_and_wait_beside, submit_only};
use crate::client::ManagerHandle;
use crate::task::{
    Capability, Constraint, Device, HealthCheck, NetworkMode, Privileges, Probe, PullPolicy, RestartPolicy,
    SecretUse, Task, TaskEvent, TaskId, TaskSpec, port_list, port_name,
};

/// `cube-tui run IMAGE`. With `--wait`, its errors have the exit code of a run: see [`CliError::of_run`].
pub async fn run(args: &RunArgs, manager: &ManagerHandle, color: bool) -> Result<Exit, CliError> {
    let task = Task { id: TaskId::random(), spec: Arc::new(args.spec()?), ..Task::default() };
    let event = TaskEvent::start(task, jiff::Timestamp::now());
    if args.wait.wait {
        // What the task says goes to stdout, and so what cube-tui says of it does not.
        let mut printer = Printer::beside_output(args.output.output);
        let task = event.task.id;
        let said = LogPrinter::new(args.output.output, false, color);
        let said = print_until_end(manager, task, said);
        let waiting =
            Box::pin(submit_and_wait_beside(manager, vec![event], args.wait.timeout, &mut printer, said))
                .await?;
        Ok(waiting.exit_of_run())
    } else {
        let mut printer = Printer::new(args.output.output);
        submit_only(manager, vec![event], &mut printer).await?;
        Ok(Exit::Done)
    }
}

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
    /// The arguments, instead of the image's own
    #[arg(last = true)]
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

impl PrivilegeArgs {
    fn privileges(&self) -> Option<Box<Privileges>> {
        let privileges = Privileges {
            privileged: self.privileged,
            cap_add: self.cap_add.clone(),
            devices: self.device.clone(),
            host_pid: self.pid.is_some(),
            host_ipc: self.ipc.is_some(),
        };
        privileges.boxed()
    }
}

impl RunArgs {
    pub fn spec(&self) -> Result<TaskSpec, CliError> {
        let mut port_bindings = BTreeMap::new();
        for Published { container, host } in &self.publish {
            if port_bindings.insert(container.clone(), host.clone()).is_some() {
                return Err(CliError::usage(format!(
                    "--publish: {container} is there twice; expected it once"
                )));
            }
        }
        let ports = port_list(port_bindings.keys().cloned());
        let spec = TaskSpec {
            name: self.name.clone().unwrap_or_default(),
            image: self.image.clone(),
            cmd: self.cmd.clone(),
            entrypoint: self.entrypoint.clone().into_iter().collect(),
            env: self.env.clone(),
            cpu: self.cpu.unwrap_or_default(),
            memory_bytes: self.memory.unwrap_or_default(),
            exposed_ports: (!ports.is_empty()).then_some(ports),
            port_bindings: (!port_bindings.is_empty()).then_some(port_bindings),
            restart_policy: self.restart.unwrap_or_default(),
            health_check: self.health_check()?,
            pull_policy: self.pull.unwrap_or_default(),
            network_mode: self.network.unwrap_or_default(),
            mounts: self.mount.clone(),
            privileges: self.privileges.privileges(),
            secrets: self.secret.clone(),
            labels: self.label.iter().cloned().collect(),
            stop_timeout_s: self.stop_timeout,
            exclusive: self.exclusive,
            constraints: self.constraint.clone(),
            priority: self.priority.unwrap_or_default(),
            preempt: self.preempt,
            ..TaskSpec::default()
        };
        spec.check()
            .map_err(|error| CliError::usage(format!("{}: {}", option_of(&error.field), error.problem)))?;
        Ok(spec)
    }

    fn health_check(&self) -> Result<Option<HealthCheck>, CliError> {
        let command =
            || Some(Probe::Command(self.health_cmd.as_ref()?.split(' ').map(str::to_owned).collect()));
        let Some(probe) = self.health_check.clone().or_else(command) else {
            let options =
                [self.health_start_period, self.health_interval, self.health_timeout, self.health_retries];
            if options.iter().any(Option::is_some) {
                let problem =
                    "--health-…: there is no check to go with it; add --health-check or --health-cmd";
                return Err(CliError::usage(problem.to_owned()));
            }
            return Ok(None);
        };
        let default = HealthCheck::new(probe);
        Ok(Some(HealthCheck {
            start_period_s: self.health_start_period.unwrap_or(default.start_period_s),
            interval_s: self.health_interval.unwrap_or(default.interval_s),
            timeout_s: self.health_timeout.unwrap_or(default.timeout_s),
            retries: self.health_retries.unwrap_or(default.retries),
            ..default
        }))
    }
}

/// What a field of the spec is called on this command line.
fn option_of(field: &str) -> &str {
    match field {
        "Image" => "IMAGE",
        "Name" => "--name",
        "Cmd" => "CMD",
        "Entrypoint" => "--entrypoint",
        "Env" => "--env",
        "Cpu" => "--cpu",
        "Memory" => "--memory",
        "ExposedPorts" | "PortBindings" => "--publish",
        "HealthCheck" => "--health-check",
        "HealthCmd" => "--health-cmd",
        "HealthStartPeriod" => "--health-start-period",
        "HealthInterval" => "--health-interval",
        "HealthTimeout" => "--health-timeout",
        "HealthRetries" => "--health-retries",
        "Mounts" => "--mount",
        "CapAdd" => "--cap-add",
        "Devices" => "--device",
        "Secrets" => "--secret",
        "Labels" => "--label",
        "StopTimeout" => "--stop-timeout",
        "Constraints" => "--constraint",
        "Priority" => "--priority",
        other => other,
    }
}

/// One `--publish`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    container: String,
    /// Empty for a free one.
    host: String,
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
    use clap::Parser;

    use super::super::args::{Cli, Command};
    use super::{CliError, TaskSpec, bytes};
    use crate::task::{HealthCheck, RestartPolicy};

    fn spec(line: &str) -> Result<TaskSpec, CliError> {
        let cli = Cli::try_parse_from(["cube-tui", "run"].into_iter().chain(line.split_whitespace()));
        match cli.map_err(|error| CliError::usage(error.to_string()))?.command {
            Some(Command::Run(args)) => args.spec(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn options_become_a_spec() {
        let spec = spec(
            "alpine --name web -e A=1 -e B=x=y -p 8080:80 -p 53/udp --cpu 0.5 -m 64m --restart on-failure:3 \
             -v data:/d:ro -l team=red --stop-timeout 3 --exclusive --constraint zone=a --constraint !gpu \
             --priority -5 --preempt -- sh -c exit",
        )
        .unwrap();
        assert_eq!((&*spec.name, &*spec.image), ("web", "alpine"));
        assert_eq!(spec.cmd, ["sh", "-c", "exit"]);
        assert_eq!(spec.env, ["A=1", "B=x=y"]);
        assert_eq!(spec.exposed_ports.unwrap(), ["53/udp", "80/tcp"]);
        let bindings = spec.port_bindings.unwrap();
        assert_eq!((&*bindings["80/tcp"], &*bindings["53/udp"]), ("8080", ""));
        assert_eq!((spec.cpu.to_string(), spec.memory_bytes), ("0.5".to_owned(), 64 << 20));
        assert_eq!(spec.restart_policy, RestartPolicy::OnFailure(Some(3)));
        assert_eq!(spec.labels["team"], "red");
        assert_eq!((spec.stop_timeout_s, spec.exclusive), (Some(3), true));
        assert_eq!(spec.constraints, ["zone=a", "!gpu"].map(|text| text.parse().unwrap()));
        assert_eq!((spec.priority, spec.preempt), (-5, true));
    }

    #[test]
    fn health_options_become_a_check() {
        let check = |line: &str| spec(line).unwrap().health_check.unwrap();
        let http = check("alpine -p 80 --health-check http:80/up --health-interval 2 --health-retries 1");
        assert_eq!((http.probe.wire().as_str(), http.interval_s, http.retries), ("http:80/up", 2, 1));
        assert_eq!(http.timeout_s, HealthCheck::DEFAULT_TIMEOUT_S);
        assert_eq!(check("alpine --health-cmd true").probe.to_string(), "true");
    }

    #[test]
    fn a_bare_image_sets_nothing_else() {
        assert_eq!(spec("alpine").unwrap(), TaskSpec { image: "alpine".into(), ..TaskSpec::default() });
    }

    #[test]
    fn what_is_wrong_is_named_as_it_was_typed() {
        for (line, option) in [
            ("alpine -e A", "--env"),
            ("alpine -p http", "--publish"),
            ("alpine -p 127.0.0.1:80:80", "--publish"),
            ("alpine -p 80 -p 81:80", "--publish"),
            ("alpine -p 80/xyz", "--publish"),
            ("alpine -p 0", "--publish"),
            ("alpine -m 12x", "--memory"),
            ("alpine --cap-add NET_ADMNI", "--cap-add"),
            ("alpine --cpu NaN", "--cpu"),
            ("alpine --restart sometimes", "--restart"),
            ("alpine -v a:b", "--mount"),
            ("alpine --secret a=b", "--secret"),
            ("alpine --secret a --secret a", "--secret"),
            ("alpine -l cube.task=x", "--label"),
            ("a//b", "IMAGE"),
            ("alpine --health-check health", "--health-check"),
            ("alpine --health-check / --health-cmd true", "--health-cmd"),
            ("alpine -p 80 --health-check tcp:81", "--health-check"),
            ("alpine --health-retries 2", "--health-"),
            ("alpine --health-check / --health-timeout 0", "--health-timeout"),
        ] {
            let error = spec(line).expect_err(line);
            assert!(error.message.contains(option), "{line}: {error}");
            assert_eq!(error.exit.code(), 2);
        }
    }

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
