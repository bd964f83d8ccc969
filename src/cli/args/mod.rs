//! The command line: what can be asked for, with its help. Does nothing.

mod duration;
mod members;
mod root;
mod run;
mod secret;
mod tasks;
mod workers;

use std::path::PathBuf;

use clap::parser::ValueSource;
use clap::{ArgMatches, Args, FromArgMatches, Parser, Subcommand, ValueEnum};

pub use duration::{ago, before_now};
pub use members::*;
pub use root::*;
pub use run::*;
pub use secret::*;
pub use tasks::*;
pub use workers::*;

use crate::demo::COMMAND as DEMO_TASK;

/// A container orchestrator for one to fifty machines: dashboard, manager and worker in one.
///
/// Without a command: the dashboard, with a manager and a worker on this machine.
#[derive(Debug, Parser)]
#[command(name = "cube-tui", version, args_conflicts_with_subcommands = true, after_help = AFTER_HELP)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Option<Command>,
    #[command(flatten)]
    pub root: RootArgs,
}

impl Cli {
    /// What was asked for; of what the config file may set, also whether it was typed.
    pub fn of(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut cli = Self::from_arg_matches(matches)?;
        cli.root.is_scheduler_typed = matches.value_source("scheduler") == Some(ValueSource::CommandLine);
        Ok(cli)
    }
}

// A line each: clap breaks them where the terminal ends.
const AFTER_HELP: &str = concat!(
    "Environment: CUBE_HOST, CUBE_PORT (the worker's API, localhost:5555), ",
    "CUBE_MANAGER_HOST, CUBE_MANAGER_PORT (the manager's API, localhost:5556), DOCKER_HOST, NO_COLOR, RUST_LOG.",
    "\n\n",
    "Exit codes: 0 done, 1 a task failed or could not be placed, 2 usage or bad input, 3 timed out, ",
    "4 manager, worker or engine can't be reached, 5 refused (not authorised), 130 interrupted. ",
    "`run --wait` exits with the task's own code, and with 125 when cube-tui itself failed.",
);

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a worker alone, for a manager elsewhere
    Worker(WorkerArgs),
    /// Show a live cluster, on any machine and with no image registry
    Demo(DemoArgs),
    /// What the demo's own tasks run
    #[command(name = DEMO_TASK, hide = true)]
    DemoTask(DemoTaskArgs),
    /// Submit the tasks in files
    Submit(SubmitArgs),
    /// Run an image as a task
    Run(Box<RunArgs>),
    /// List the tasks
    Ps(PsArgs),
    /// List the workers
    Workers(WorkersArgs),
    /// Show what happened
    Events(EventsArgs),
    /// Show all that is known of tasks or workers, as JSON
    Inspect(InspectArgs),
    /// Show why a task waits, is where it is, or was started again
    Why(WhyArgs),
    /// Show where the tasks in files would go, and change nothing
    Plan(PlanArgs),
    /// Show what the tasks use, the hungriest first
    Top(TopArgs),
    /// Print what tasks say
    Logs(LogsArgs),
    /// Run a command in a task's container
    Exec(ExecArgs),
    /// Stop tasks
    Stop(StopArgs),
    /// Show how workers are selected, or change it
    Scheduler(SchedulerArgs),
    /// Keep new work off a worker
    Cordon(WorkerNameArgs),
    /// Let a cordoned or drained worker take work again
    Uncordon(WorkerNameArgs),
    /// Keep new work off a worker and move off what runs there
    Drain(DrainArgs),
    /// Even out the load of the workers with a few moves, or show which
    Rebalance(RebalanceArgs),
    /// Start tasks anew, whatever has become of them
    Restart(RestartArgs),
    /// Count on lost workers of an earlier run no more
    Forget(ForgetArgs),
    /// Take over what the workers run after the store was lost or damaged
    Recover(RecoverArgs),
    /// Print the line with which another host joins
    Invite(InviteArgs),
    /// Use a manager on another host from here
    Join(JoinArgs),
    /// Who has joined, and who may
    #[command(subcommand)]
    Token(TokenCommand),
    /// Secrets that tasks name: set, list and remove them
    #[command(subcommand)]
    Secret(SecretCommand),
    /// End the manager that runs on this machine, in the background too; containers keep running
    Shutdown(ShutdownArgs),
    /// Print what a shell needs to complete this command line
    Completions(CompletionsArgs),
    /// Print the manual page
    Man(ManArgs),
}

/// How output looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// Lines for people
    #[default]
    Text,
    /// One JSON object a line on stdout; everything else goes to stderr
    Json,
}

#[derive(Args, Clone, Copy, Debug, Default)]
pub struct OutputArgs {
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t)]
    pub output: Output,
}

#[derive(Args, Debug)]
pub struct CompletionsArgs {
    pub shell: clap_complete::Shell,
}

#[derive(Args, Debug)]
pub struct ManArgs {
    /// Write a page for each command here instead of the program's page to stdout
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser, error::ErrorKind};

    use super::{Cli, Command, Output};
    use crate::tui::{Format, Size};

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(std::iter::once("cube-tui").chain(line.split_whitespace()))
    }

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_documented_lines_are_understood() {
        for line in [
            "",
            "--no-ui --submit a.json --submit - --wait --timeout 90s --output json",
            "--worker localhost:5560 --insecure-worker 10.0.0.2:5555 --no-local-worker --data-dir /tmp/x",
            "--ephemeral --scheduler roundrobin",
            "--scheduler epvm --overcommit cpu=2,memory=1.5 --label zone=a --label ssd=yes",
            "worker --label zone=a",
            "scheduler",
            "scheduler binpack --output json",
            "rebalance --plan",
            "rebalance --moves 3 --output json",
            "cordon localhost:5560",
            "uncordon localhost:5560",
            "drain localhost:5560 --deadline 5m",
            "--attach http://localhost:5556/",
            "--no-ui --attach localhost:5556",
            "--snapshot 120x36",
            "worker --listen localhost:0",
            "worker --join cube-join:x --name box --policy p.toml",
            "invite",
            "invite --role viewer --ttl 1h --listen 10.0.0.1:5557 --address box --output json",
            "invite --close",
            "join cube-join:x --name me",
            "token list",
            "token rotate --output json",
            "token rotate --address box",
            "token revoke box",
            "token revoke --drain box",
            "token revoke box --drain=5m",
            "--attach https://box:5557 --no-ui",
            "demo",
            "submit a.json b.json --wait --timeout 5m --output json",
            "run alpine --wait -- sh -c exit",
            "run alpine --wait sh -c exit",
            "ps --state running --output json",
            "ps --state crashloop --state stopping --worker localhost:5555 --name web-* --watch",
            "workers --watch",
            "events --follow --task web --since 5m --limit 20",
            "events --since 120 --output json",
            "inspect web localhost:5555",
            "top --once",
            "plan a.json - --output json",
            "why web",
            "why 55ab01fe --workers 5 --output json",
            "restart web 55ab01fe --wait --timeout 90s",
            "forget 10.0.0.2:5555",
            "completions bash",
            "man --dir pages",
            "stop 55ab01fe web --wait",
            "shutdown --data-dir x",
            "logs 55ab01fe web -f --since 5m --tail 10 -t --output json",
            "logs web --since 2026-11-24T07:00:00Z",
            "exec web -- ls -l",
            "exec -it -e A=1 -u nobody web -- sh",
            "recover --data-dir x --worker localhost:5560 --insecure-worker 10.0.0.2:5555 --output json",
        ] {
            if let Err(error) = parse(line) {
                panic!("{line}: {error}");
            }
        }
    }

    #[test]
    fn what_makes_no_sense_is_a_usage_error() {
        for line in [
            "--wait",
            "--no-ui --wait",
            "--no-ui --submit a --timeout 5s",
            "--no-ui --submit a --wait --timeout 5",
            "--output json",
            "--worker 10.0.0.2:5555",
            "--worker localhost",
            "--ephemeral --data-dir x",
            "--attach localhost:1 --ephemeral",
            "--scheduler e-pvm",
            "--overcommit cpu",
            "--label zone",
            "--label os=linux",
            "drain",
            "--attach http://localhost:5556/tasks",
            "--attach localhost",
            "--attach http://:5556",
            "--attach localhost:0",
            "--attach localhost:http",
            "--snapshot 0x10",
            "--no-ui ps",
            "submit",
            "submit a --wait --detach",
            "stop",
            "plan",
            "why",
            "why web --workers some",
            "logs",
            "logs web --since yesterday",
            "logs web --tail -1",
            "exec web",
            "exec web ls",
            "run",
            "ps --state gone",
            "events --since yesterday",
            "restart",
            "restart web --timeout 5s",
            "completions tcsh",
            "frobnicate",
            "worker --join x --name ../x",
            "invite --role manager",
            "invite --close --ttl 1m",
            "token",
            "token revoke",
            "token revoke box --drain=soon",
            "join",
            "--attach ftp://box:1",
        ] {
            let error = parse(line).expect_err(line);
            assert_ne!(error.kind(), ErrorKind::DisplayHelp);
            assert_eq!(error.exit_code(), 2, "{line}");
        }
    }

    #[test]
    fn values_arrive() {
        let cli = parse("--snapshot 120x36").unwrap();
        assert_eq!(cli.root.snapshot, Some((Size { width: 120, height: 36 }, Format::Text)));
        let cli = parse("--snapshot 80x24.svg").unwrap();
        assert_eq!(cli.root.snapshot, Some((Size { width: 80, height: 24 }, Format::Svg)));
        let cli = parse("--no-ui --output json --attach http://localhost:5556/").unwrap();
        assert_eq!(
            (cli.root.output, cli.root.attach.as_deref()),
            (Output::Json, Some("http://localhost:5556"))
        );
        let Some(Command::Run(run)) = parse("run alpine --name a -- sh -c exit").unwrap().command else {
            panic!("not a run");
        };
        assert_eq!((&*run.image, run.cmd.len()), ("alpine", 3));
    }
}
