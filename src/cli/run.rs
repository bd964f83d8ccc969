//! `run IMAGE`: the TaskSpec that its options make, and its submit.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::args::{PrivilegeArgs, Published, RunArgs};
use super::exit::{CliError, Exit};
use super::logs::{LogPrinter, print_until_end};
use super::print::Printer;
use super::submit::{submit_and_wait_beside, submit_only};
use crate::client::ManagerHandle;
use crate::task::{HealthCheck, Privileges, Probe, Task, TaskEvent, TaskId, TaskSpec, port_list};

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

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::super::args::{Cli, Command};
    use super::{CliError, TaskSpec};
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
    fn what_follows_the_first_word_of_the_command_is_the_commands() {
        for (line, cmd) in [
            ("alpine echo hi", &["echo", "hi"][..]),
            ("--name web alpine echo", &["echo"]),
            ("alpine --name web echo -n --name x", &["echo", "-n", "--name", "x"]),
            ("alpine --name web echo -- hi", &["echo", "--", "hi"]),
            ("alpine --name web -- -n hi", &["-n", "hi"]),
            ("alpine --name web -- echo -- hi", &["echo", "--", "hi"]),
        ] {
            let spec = spec(line).expect(line);
            assert_eq!(spec.cmd, cmd, "{line}");
            let name = if line.contains("--name web") { "web" } else { "" };
            assert_eq!((&*spec.image, &*spec.name), ("alpine", name), "{line}");
        }
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
}
