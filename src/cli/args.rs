//! The command line: what can be asked for, with its help. Does nothing.

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Parser, Subcommand, ValueEnum};

use super::address::{Address, loopback_worker};
use super::background::Ports;
use super::events::{After, since};
use super::member_args::{InviteArgs, JoinArgs, TokenCommand, manager_url, member_name};
use super::ps::Filter;
use super::run::RunArgs;
use super::secret::SecretCommand;
use crate::cluster::{OWN_LABELS, Overcommit, SchedulerName};
use crate::demo::{COMMAND as DEMO_TASK, Program};
use crate::task::{Constraint, Test};
use crate::tui::{Format, Size};

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

// A line each: clap breaks them where the terminal ends.
const AFTER_HELP: &str = concat!(
    "Environment: CUBE_HOST, CUBE_PORT (the worker's API, localhost:5555), ",
    "CUBE_MANAGER_HOST, CUBE_MANAGER_PORT (the manager's API, localhost:5556), DOCKER_HOST, NO_COLOR, RUST_LOG.",
    "\n\n",
    "Exit codes: 0 done, 1 a task failed or could not be placed, 2 usage or bad input, 3 timed out, ",
    "4 manager, worker or engine can't be reached, 130 interrupted. ",
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

#[derive(Args, Clone, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch on the command line")]
pub struct RootArgs {
    /// Run without a dashboard: print what happens until SIGINT or SIGTERM
    #[arg(long)]
    pub no_ui: bool,
    /// Submit the tasks in FILE (`-`: stdin) at start; may be repeated
    #[arg(long, value_name = "FILE")]
    pub submit: Vec<PathBuf>,
    /// End once every submitted task has ended
    #[arg(long, requires_all = ["no_ui", "submit"])]
    pub wait: bool,
    /// Give up waiting after this long (90s, 5m)
    #[arg(long, value_name = "DUR", requires = "wait", value_parser = humantime::parse_duration)]
    pub timeout: Option<Duration>,
    /// How output looks
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t, requires = "no_ui")]
    pub output: Output,
    #[command(flatten)]
    pub node: NodeArgs,
    /// What tasks may do on the local worker [default: policy.toml in the data folder]
    #[arg(long, value_name = "FILE", conflicts_with = "no_local_worker")]
    pub policy: Option<PathBuf>,
    /// Leave the TLS listener closed that an earlier `cube-tui invite` opened
    #[arg(long)]
    pub no_listen: bool,
    /// Keep nothing: a cluster of its own in memory, whose containers go with it
    #[arg(long, conflicts_with = "data_dir")]
    pub ephemeral: bool,
    /// Show the manager at URL instead of starting one
    #[arg(long, value_name = "URL", value_parser = manager_url,
          conflicts_with_all = ["worker", "insecure_worker", "no_local_worker", "policy", "no_listen", "data_dir", "ephemeral",
                               "scheduler", "overcommit", "label"])]
    pub attach: Option<String>,
    /// How a worker is selected [default: as before; roundrobin at first]
    #[arg(long, value_name = "NAME", value_parser = scheduler_name())]
    pub scheduler: Option<SchedulerName>,
    /// How many times a worker's capacity may be promised: cpu=2,memory=1.5 [default: as before; once at first]
    #[arg(long, value_name = "FACTORS")]
    pub overcommit: Option<Overcommit>,
    /// A label of the local worker, for constraints; may be repeated
    #[arg(long, value_name = "KEY=VALUE", value_parser = worker_label)]
    pub label: Vec<(String, String)>,
    /// Be the manager that a dashboard leaves running: wait for its folder, and listen where it did
    #[arg(long, value_name = "PORTS", hide = true)]
    pub background: Option<Ports>,
    /// Print one frame as text, or as SVG with WxH.svg, and exit
    #[arg(long, value_name = "WxH", value_parser = picture, conflicts_with = "no_ui")]
    pub snapshot: Option<(Size, Format)>,
}

/// What a manager's start is made of.
#[derive(Args, Clone, Debug, Default)]
pub struct NodeArgs {
    /// Also manage this worker; plain HTTP, so on this machine only; may be repeated
    #[arg(long, value_name = "HOST:PORT", value_parser = loopback_worker)]
    pub worker: Vec<Address>,
    /// Also manage this worker over plain HTTP beyond this machine, such as one of the book's
    #[arg(long, value_name = "HOST:PORT")]
    pub insecure_worker: Vec<Address>,
    /// Run no worker here
    #[arg(long)]
    pub no_local_worker: bool,
    /// Keep the store here instead of in the user's state folder
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
}

impl RootArgs {
    /// Whether the terminal is the dashboard's.
    pub fn has_dashboard(&self) -> bool {
        !self.no_ui && self.snapshot.is_none() && self.background.is_none()
    }
}

#[derive(Args, Debug)]
pub struct SchedulerArgs {
    /// How a worker is to be selected
    #[arg(value_parser = scheduler_name())]
    pub name: Option<SchedulerName>,
    /// How many times a worker's capacity may be promised: cpu=2,memory=1.5
    #[arg(long, value_name = "FACTORS")]
    pub overcommit: Option<Overcommit>,
    #[command(flatten)]
    pub output: OutputArgs,
}

#[derive(Args, Debug)]
pub struct WorkerNameArgs {
    /// The worker, as the workers pane names it: HOST:PORT
    pub worker: String,
    #[command(flatten)]
    pub output: OutputArgs,
}

#[derive(Args, Debug)]
pub struct DrainArgs {
    #[command(flatten)]
    pub worker: WorkerNameArgs,
    /// Give up after this long (90s, 5m); what is left stays
    #[arg(long, value_name = "DUR", value_parser = humantime::parse_duration)]
    pub deadline: Option<Duration>,
}

#[derive(Args, Debug)]
pub struct WorkerArgs {
    /// Where its API listens; port 0 picks a free one [default: CUBE_HOST:CUBE_PORT, localhost:5555; on every address
    /// once it has joined]
    #[arg(long, value_name = "HOST:PORT")]
    pub listen: Option<Address>,
    /// Join the cluster of this line of `cube-tui invite` (`-`: read it from stdin); later starts need it no more
    #[arg(long, value_name = "LINE")]
    pub join: Option<String>,
    /// What it is called in the cluster [default: this host's name]
    #[arg(long, requires = "join", value_parser = member_name)]
    pub name: Option<String>,
    /// What tasks may do here [default: policy.toml in the data folder]
    #[arg(long, value_name = "FILE")]
    pub policy: Option<PathBuf>,
    /// Keep its ids and its membership here instead of in the user's state folder
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// A label, for constraints; may be repeated
    #[arg(long, value_name = "KEY=VALUE", value_parser = worker_label)]
    pub label: Vec<(String, String)>,
    #[command(flatten)]
    pub output: OutputArgs,
}

#[derive(Args, Debug)]
pub struct DemoArgs {
    /// Run without a dashboard: print what happens until SIGINT or SIGTERM
    #[arg(long)]
    pub no_ui: bool,
    /// How output looks
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t, requires = "no_ui")]
    pub output: Output,
}

#[derive(Args, Debug)]
pub struct DemoTaskArgs {
    pub program: Program,
    /// Where the hello service listens
    #[arg(long, env = "PORT", default_value_t = 8080)]
    pub port: u16,
    /// What it says
    #[arg(long, env = "GREETING", default_value = "hello")]
    pub greeting: String,
}

#[derive(Args, Debug)]
pub struct SubmitArgs {
    /// Task files (`-`: stdin): JSON TaskEvents or Tasks, in an array or one a line
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    #[command(flatten)]
    pub wait: WaitArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

/// Whether to wait for the end.
#[derive(Args, Clone, Copy, Debug, Default)]
pub struct WaitArgs {
    /// Print what happens, and end once the tasks have
    #[arg(long)]
    pub wait: bool,
    /// End at once (the default)
    #[arg(long, conflicts_with = "wait")]
    pub detach: bool,
    /// Give up waiting after this long (90s, 5m)
    #[arg(long, value_name = "DUR", requires = "wait", value_parser = humantime::parse_duration)]
    pub timeout: Option<Duration>,
}

#[derive(Args, Debug)]
pub struct PsArgs {
    #[command(flatten)]
    pub filter: Filter,
    /// Go on: drawn anew on a terminal, otherwise a line for each change
    #[arg(short, long)]
    pub watch: bool,
    #[command(flatten)]
    pub output: OutputArgs,
}

#[derive(Args, Debug)]
pub struct LogsArgs {
    /// Tasks: a full id, the unique start of one, or a unique name
    #[arg(required = true, value_name = "ID")]
    pub ids: Vec<String>,
    /// Go on with what comes, until the tasks have ended
    #[arg(short, long)]
    pub follow: bool,
    /// Only what is younger than a duration (5m) or a time (2026-11-24T07:00:00Z)
    #[arg(long, value_name = "DUR|TIME", value_parser = Since::parse)]
    pub since: Option<Since>,
    /// Only the last N lines of each task
    #[arg(long, value_name = "N")]
    pub tail: Option<usize>,
    /// Begin each line with its time
    #[arg(short, long)]
    pub timestamps: bool,
    #[command(flatten)]
    pub output: OutputArgs,
}

/// From when on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Since {
    Ago(Duration),
    At(jiff::Timestamp),
}

impl Since {
    fn parse(text: &str) -> Result<Self, String> {
        if let Ok(ago) = humantime::parse_duration(text) {
            return Ok(Self::Ago(ago));
        }
        let at = text.parse().map_err(|_| {
            format!("expected a duration such as 5m or a time such as 2026-11-24T07:00:00Z, found {text:?}")
        })?;
        Ok(Self::At(at))
    }
}

#[derive(Args, Debug)]
pub struct ExecArgs {
    /// A task: a full id, the unique start of one, or a unique name
    #[arg(value_name = "ID")]
    pub id: String,
    /// Pass on what is typed or piped in
    #[arg(short, long)]
    pub interactive: bool,
    /// Give the command a terminal: this one
    #[arg(short, long)]
    pub tty: bool,
    /// Set a variable; may be repeated
    #[arg(short, long, value_name = "KEY=VALUE")]
    pub env: Vec<String>,
    /// Run it as this user
    #[arg(short, long, value_name = "USER")]
    pub user: Option<String>,
    /// The program and its arguments
    #[arg(last = true, required = true)]
    pub cmd: Vec<String>,
}

#[derive(Args, Debug)]
pub struct StopArgs {
    /// Tasks: a full id, the unique start of one, or a unique name
    #[arg(required = true, value_name = "ID")]
    pub ids: Vec<String>,
    #[command(flatten)]
    pub wait: WaitArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

#[derive(Args, Debug)]
pub struct ShutdownArgs {
    /// The data folder of the manager, if it is not in the user's state folder
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    #[command(flatten)]
    pub output: OutputArgs,
}

#[derive(Args, Debug)]
pub struct RecoverArgs {
    #[command(flatten)]
    pub node: NodeArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

fn scheduler_name() -> impl TypedValueParser<Value = SchedulerName> {
    PossibleValuesParser::new(SchedulerName::ALL.map(SchedulerName::name))
        .try_map(|text| text.parse::<SchedulerName>())
}

/// What a worker is called by constraints.
fn worker_label(text: &str) -> Result<(String, String), String> {
    let expected = || format!("expected KEY=VALUE such as zone=a, found {text:?}");
    let (key, value) = text.split_once('=').ok_or_else(expected)?;
    if OWN_LABELS.contains(&key) {
        return Err(format!("{key} is what every worker tells by itself; expected another name"));
    }
    // What no constraint could ask for is no label.
    match format!("{key}={value}").parse() {
        Ok(Constraint::Label { label, test: Test::Is(value) }) => Ok((label, value)),
        _ => Err(expected()),
    }
}

#[derive(Args, Debug)]
pub struct RestartArgs {
    /// Tasks: a full id, the unique start of one, or a unique name
    #[arg(required = true, value_name = "ID")]
    pub ids: Vec<String>,
    /// Print what happens, and end once the tasks run again
    #[arg(long)]
    pub wait: bool,
    /// Give up waiting after this long (90s, 5m)
    #[arg(long, value_name = "DUR", requires = "wait", value_parser = humantime::parse_duration)]
    pub timeout: Option<Duration>,
    #[command(flatten)]
    pub output: OutputArgs,
}

#[derive(Args, Debug)]
pub struct WorkersArgs {
    /// Go on: drawn anew on a terminal, otherwise a line for each change
    #[arg(short, long)]
    pub watch: bool,
    #[command(flatten)]
    pub output: OutputArgs,
}

#[derive(Args, Debug)]
pub struct ForgetArgs {
    /// Lost workers of an earlier run; their tasks start elsewhere
    #[arg(required = true, value_name = "WORKER")]
    pub workers: Vec<String>,
    #[command(flatten)]
    pub output: OutputArgs,
}

#[derive(Args, Debug)]
pub struct EventsArgs {
    /// Go on with what happens from now on
    #[arg(short, long)]
    pub follow: bool,
    /// Only of this task (a full id, the unique start of one, or a unique name); may be repeated
    #[arg(long, value_name = "ID")]
    pub task: Vec<String>,
    /// Only since then: so long ago (5m), or after a revision (120)
    #[arg(long, value_name = "DUR|REV", value_parser = since)]
    pub since: Option<After>,
    /// The newest so many
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub limit: usize,
    #[command(flatten)]
    pub output: OutputArgs,
}

#[derive(Args, Debug)]
pub struct InspectArgs {
    /// Tasks (a full id, the unique start of one, or a unique name) or workers
    #[arg(required = true, value_name = "ID")]
    pub ids: Vec<String>,
    #[command(flatten)]
    pub output: OutputArgs,
}

#[derive(Args, Debug)]
pub struct TopArgs {
    /// Print one table and end
    #[arg(long)]
    pub once: bool,
    #[command(flatten)]
    pub output: OutputArgs,
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

fn picture(text: &str) -> Result<(Size, Format), String> {
    match text.strip_suffix(".svg") {
        Some(size) => Ok((size.parse()?, Format::Svg)),
        None => Ok((text.parse()?, Format::Text)),
    }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser, error::ErrorKind};

    use super::{Cli, Command, Format, Output, Size};

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
            "token revoke box",
            "--attach https://box:5557 --no-ui",
            "demo",
            "submit a.json b.json --wait --timeout 5m --output json",
            "run alpine --wait -- sh -c exit",
            "ps --state running --output json",
            "ps --state crashloop --state stopping --worker localhost:5555 --name web-* --watch",
            "workers --watch",
            "events --follow --task web --since 5m --limit 20",
            "events --since 120 --output json",
            "inspect web localhost:5555",
            "top --once",
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
            "worker --name box",
            "worker --join x --name ../x",
            "invite --role manager",
            "invite --close --ttl 1m",
            "token",
            "token revoke",
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
