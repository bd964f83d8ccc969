//! The root command: starts a node, or attaches to the one that is there; the dashboard or `--no-ui` on it; stops
//! it again. Turns arguments into configurations and decides nothing else.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;

use super::address::Address;
use super::args::{Output, RootArgs};
use super::background;
use super::dashboard::{Behind, dashboard, exit, snapshot};
use super::environment::Environment;
use super::exit::{CliError, Exit};
use super::input::task_events;
use super::line::Line;
use super::no_ui::no_ui;
use super::print::Printer;
use super::reach::at_url;
use super::signals::StopSignals;
use crate::client::{ManagerClient, ManagerHandle, http_client};
use crate::cluster::{Allows, Cause};
use crate::manager::WorkerAddress;
use crate::manager::request::Scheduling;
use crate::manager::trust::CERTIFICATE_LIFE;
use crate::node::{self, Engine, Holder, LocalWorker, Node, StartError};
use crate::task::{TaskEvent, WorkerId};
use crate::tui::{Outcome, OwnManager, Title};
use crate::worker::{POLICY, read_policy};

/// What the local worker is called when its port is not known before it listens.
const LOCAL_WORKER: &str = "local";

/// How long a process that has the data folder may take to say where it listens, or to be gone: with this, a start
/// that gets no answer ends within a second.
const ANNOUNCED_WITHIN: Duration = Duration::from_millis(800);
/// A dashboard that leaves its manager running first finishes the starts and stops that are under way.
const HANDED_OVER_WITHIN: Duration = Duration::from_mins(2);
/// An end that takes longer than this says why: a task may use its grace time.
const WORTH_A_WORD: Duration = Duration::from_millis(500);
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(20);

/// Without a command: the dashboard, or `--no-ui`.
pub async fn root(args: &RootArgs, environment: &Environment) -> Result<Exit, CliError> {
    if args.background.is_some() {
        return background::go_on(args, environment).await;
    }
    let events = task_events(&args.submit, Timestamp::now())?;
    if !args.has_dashboard() {
        // From here on a signal ends in order what was begun, and no longer on the spot.
        let goes_on = !args.wait && args.snapshot.is_none();
        let mut signals = goes_on.then(StopSignals::new).transpose()?;
        let stop = async {
            match &mut signals {
                Some(signals) => signals.received().await,
                None => std::future::pending().await,
            }
        };
        let begun = tokio::select! {
            begun = begin(args, environment) => begun?,
            () = stop => return Ok(Exit::Done),
        };
        if let Begun::Elsewhere { note: Some(note), .. } = &begun {
            Printer::new(args.output).remark(note);
        }
        let ended = without_dashboard(args, environment, events, &begun, signals).await;
        return begun.end(ended).await;
    }
    let title = match &args.attach {
        Some(url) => attached_to(url),
        None => own_title(args.ephemeral),
    };
    let (own_args, own_environment) = (args.clone(), environment.clone());
    let (begun, ended) = dashboard(environment, title, async move {
        let begun = begin(&own_args, &own_environment).await?;
        if !events.is_empty() {
            begun.manager().submit(events, Cause::Command).await?;
        }
        Ok(begun)
    })
    .await;
    match (begun, ended) {
        (Some(Begun::Here(node)), Ok(Outcome::LeftRunning)) => {
            background::leave_running(args, environment, *node).await
        }
        (Some(begun), ended) => begun.end(ended.map(exit)).await,
        (None, ended) => ended.map(exit),
    }
}

async fn without_dashboard(
    args: &RootArgs,
    environment: &Environment,
    events: Vec<TaskEvent>,
    begun: &Begun,
    signals: Option<StopSignals>,
) -> Result<Exit, CliError> {
    if let Some(picture) = args.snapshot {
        let title = match begun {
            Begun::Here(_) => own_title(args.ephemeral),
            Begun::Elsewhere { url, .. } => attached_to(url),
        };
        if !events.is_empty() {
            begun.manager().submit(events, Cause::Command).await?;
        }
        return snapshot(environment, title, picture, begun.manager()).await;
    }
    if let Begun::Here(node) = begun {
        print_listeners(node, args.output)?;
    }
    no_ui(args, events, begun.manager(), &mut Printer::new(args.output), signals).await
}

fn own_title(is_ephemeral: bool) -> Title {
    let on_quit = if is_ephemeral { "its containers are removed" } else { "containers keep running" };
    Title { on_quit: on_quit.to_owned(), ..Title::default() }
}

fn attached_to(url: &str) -> Title {
    let cluster = url.split_once("://").map_or(url, |(_, address)| address).to_owned();
    Title { cluster, on_quit: ON_QUIT_ATTACHED.to_owned(), own: None }
}

const ON_QUIT_ATTACHED: &str = "the manager goes on";

/// A manager to work with.
pub(super) enum Begun {
    /// In this process, with what else belongs to a node.
    Here(Box<Node>),
    /// In another process.
    Elsewhere { url: String, manager: ManagerHandle, note: Option<String> },
}

impl Behind for Begun {
    fn manager(&self) -> &ManagerHandle {
        match self {
            Self::Here(node) => &node.handle,
            Self::Elsewhere { manager, .. } => manager,
        }
    }

    fn title(&self) -> Option<Title> {
        title_of(self)
    }
}

/// Which of the two it became is only known now.
fn title_of(begun: &Begun) -> Option<Title> {
    match begun {
        Begun::Here(node) if !node.is_ephemeral() => {
            let local_worker = node.local_worker.as_ref().map(|(id, _)| id.clone());
            Some(Title { own: Some(OwnManager { local_worker }), ..own_title(false) })
        }
        Begun::Elsewhere { note: Some(_), .. } => {
            let cluster = "local, attached".to_owned();
            Some(Title { cluster, on_quit: ON_QUIT_ATTACHED.to_owned(), own: None })
        }
        Begun::Here(_) | Begun::Elsewhere { .. } => None,
    }
}

impl Begun {
    fn elsewhere(url: String, manager: ManagerClient, note: Option<String>) -> Self {
        Self::Elsewhere { manager: ManagerHandle::Remote(manager), url, note }
    }

    /// Stops what runs here.
    pub(super) async fn end(self, ended: Result<Exit, CliError>) -> Result<Exit, CliError> {
        match self {
            Self::Here(node) => stop(*node, ended).await,
            Self::Elsewhere { .. } => ended,
        }
    }
}

/// Starts a node, unless another process has the data folder and a manager that can be asked instead.
pub(super) async fn begin(args: &RootArgs, environment: &Environment) -> Result<Begun, CliError> {
    if let Some(url) = &args.attach {
        let manager = at_url(url).await?;
        manager.identify().await?;
        return Ok(Begun::elsewhere(url.clone(), manager, None));
    }
    let patience = if args.background.is_some() { HANDED_OVER_WITHIN } else { ANNOUNCED_WITHIN };
    let give_up = tokio::time::Instant::now() + patience;
    loop {
        let holder = match node::start(config(args, environment)?).await? {
            node::Begun::Node(node) => return Ok(Begun::Here(Box::new(node))),
            node::Begun::Held(holder) => holder,
        };
        if holder.is_worker {
            let message = format!(
                "a worker (process {}) has this data folder; a manager here needs its own: --data-dir DIR",
                holder.pid
            );
            return Err(CliError::unreachable(message));
        }
        // Who takes a folder over does not attach to whom it takes it from.
        if args.background.is_none()
            && let Some(begun) = attach_to(&holder, args).await?
        {
            return Ok(begun);
        }
        if tokio::time::Instant::now() >= give_up {
            let pid = holder.pid;
            let where_to =
                holder.api.map_or("answers nowhere".to_owned(), |api| format!("does not answer at {api}"));
            let message = format!(
                "process {pid} has the data folder and {where_to}; end it, or use another --data-dir"
            );
            return Err(CliError::unreachable(message));
        }
        tokio::time::sleep(LOOK_AGAIN_AFTER).await;
    }
}

/// The manager of the process that holds the data folder; none while it is just starting, or just ending: a process that
/// was killed holds what it has for a moment longer.
async fn attach_to(holder: &Holder, args: &RootArgs) -> Result<Option<Begun>, CliError> {
    let Holder { pid, api: Some(api), .. } = holder else { return Ok(None) };
    let url = format!("http://{api}");
    let manager = ManagerClient::new(http_client(), &url);
    if !manager.is_there().await {
        return Ok(None);
    }
    let options = args.of_a_start();
    if !options.is_empty() {
        let are = if options.len() == 1 { "is" } else { "are" };
        let message = format!(
            "{} {are} for a manager's start; end process {pid} first (`cube-tui shutdown`), or use --ephemeral or another \
             --data-dir",
            options.join(", ")
        );
        return Err(CliError::usage(message));
    }
    let note = format!("another cube-tui (pid {pid}) has this data folder; attached to it at {api}");
    Ok(Some(Begun::elsewhere(url, manager, Some(note))))
}

/// Where this start remembers, if it does.
pub fn folder(args: &RootArgs, environment: &Environment) -> Result<Option<PathBuf>, CliError> {
    match args.node.data_dir.as_ref().or(environment.data_dir.as_ref()) {
        _ if args.ephemeral || args.attach.is_some() => Ok(None),
        Some(dir) => Ok(Some(dir.clone())),
        None => Environment::state_folder().map(Some),
    }
}

fn config(args: &RootArgs, environment: &Environment) -> Result<node::Config, CliError> {
    let folder = folder(args, environment)?;
    let mut local_worker = (!args.node.no_local_worker)
        .then(|| local_worker(environment, Engine::Docker(environment.docker_host.clone())));
    if let Some(local_worker) = &mut local_worker {
        local_worker.allows = policy(args.policy.as_deref(), folder.as_deref())?;
        local_worker.labels = args.label.iter().cloned().collect();
    }
    let worker = |address: &Address, insecure| {
        let address = address.to_string();
        WorkerAddress { id: address.as_str().into(), address: address.as_str().into(), insecure }
    };
    let workers = args.node.worker.iter().map(|address| worker(address, false));
    let insecure_workers = args.node.insecure_worker.iter().map(|address| worker(address, true));
    let mut manager = manager_listener(environment);
    if let Some(ports) = args.background {
        ports.apply(&mut manager, local_worker.as_mut());
    }
    Ok(node::Config {
        folder,
        manager,
        local_worker,
        workers: workers.chain(insecure_workers).collect(),
        scheduling: Scheduling { scheduler: args.scheduler, overcommit: args.overcommit },
        listens: !args.no_listen,
        certificate_life: CERTIFICATE_LIFE,
    })
}

/// What tasks may do here: as `file` says or, without one, the policy of the data folder.
pub fn policy(file: Option<&Path>, folder: Option<&Path>) -> Result<Allows, CliError> {
    let read = match (file, folder) {
        (Some(file), _) => read_policy(file, true),
        (None, Some(folder)) => read_policy(&folder.join(POLICY), false),
        (None, None) => Ok(Allows::default()),
    };
    read.map_err(|error| CliError::usage(error.to_string()))
}

pub fn manager_listener(environment: &Environment) -> node::Address {
    let Address { host, port } = environment.manager.clone();
    node::Address { what: "manager", host, port, variable: "CUBE_MANAGER_PORT" }
}

pub fn worker_listener(address: &Address) -> node::Address {
    let Address { host, port } = address.clone();
    node::Address { what: "worker", host, port, variable: "CUBE_PORT" }
}

fn local_worker_id(environment: &Environment) -> WorkerId {
    match environment.worker.port {
        0 => LOCAL_WORKER.into(),
        _ => environment.worker.to_string().as_str().into(),
    }
}

pub fn local_worker(environment: &Environment, engine: Engine) -> LocalWorker {
    let id = local_worker_id(environment);
    let (allows, labels) = (Allows::default(), BTreeMap::new());
    LocalWorker { id, address: worker_listener(&environment.worker), engine, allows, labels }
}

/// Tells where this node can be asked: with port 0 nobody could know.
pub fn print_listeners(node: &Node, output: Output) -> Result<(), CliError> {
    let mut printer = Printer::new(output);
    printer.line(&Line::of_manager_listening(&node.manager_address, Timestamp::now()))?;
    if let Some((id, address)) = &node.local_worker {
        printer.line(&Line::of_worker_listening(id.as_str(), address, Timestamp::now()))?;
    }
    Ok(())
}

/// Stops the node, whatever came of its work.
pub async fn stop(node: Node, ended: Result<Exit, CliError>) -> Result<Exit, CliError> {
    let mut stopping = std::pin::pin!(node.stop());
    let stopped = if let Ok(stopped) = tokio::time::timeout(WORTH_A_WORD, &mut stopping).await {
        stopped
    } else {
        Printer::new(Output::Text).remark("finishing the starts and stops that are under way");
        stopping.await
    };
    match (ended, stopped) {
        (Ok(Exit::Done), Err(error)) => Err(CliError::unreachable(error.to_string())),
        (ended, Err(error)) => {
            Printer::new(Output::Text).remark(&error.to_string());
            ended
        }
        (ended, Ok(())) => ended,
    }
}

impl From<StartError> for CliError {
    fn from(error: StartError) -> Self {
        let is_usage = matches!(error, StartError::Listen(node::ListenError::BeyondLoopback { .. }));
        let exit = if is_usage { Exit::Usage } else { Exit::Unreachable };
        Self::new(exit, error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::super::args::Cli;
    use super::*;

    fn config_of(line: &str, variables: &[(&str, &str)]) -> node::Config {
        let cli = Cli::try_parse_from(std::iter::once("cube-tui").chain(line.split_whitespace())).unwrap();
        let environment = Environment::read(&crate::cli::config_file::ConfigFile::default(), |name| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        });
        config(&cli.root, &environment.unwrap()).unwrap()
    }

    #[test]
    fn arguments_and_environment_make_the_node() {
        let variables =
            [("CUBE_PORT", "7001"), ("CUBE_MANAGER_PORT", "0"), ("DOCKER_HOST", "unix:///podman")];
        let config =
            config_of("--data-dir /d --worker localhost:5560 --insecure-worker 10.0.0.2:5555", &variables);
        assert_eq!(config.folder.as_deref(), Some(std::path::Path::new("/d")));
        assert_eq!(config.manager.port, 0);
        let local = config.local_worker.unwrap();
        assert_eq!((local.id.as_str(), local.address.port), ("localhost:7001", 7001));
        assert!(matches!(local.engine, Engine::Docker(host) if host == "unix:///podman"));
        let workers: Vec<_> = config.workers.iter().map(|w| (w.id.as_str(), w.insecure)).collect();
        assert_eq!(workers, [("localhost:5560", false), ("10.0.0.2:5555", true)]);
    }

    #[test]
    fn an_ephemeral_node_has_no_folder_and_a_free_port_no_name() {
        let config = config_of("--ephemeral", &[("CUBE_PORT", "0")]);
        assert_eq!(config.folder, None);
        assert_eq!(config.local_worker.unwrap().id.as_str(), LOCAL_WORKER);
        assert!(config_of("--ephemeral --no-local-worker", &[]).local_worker.is_none());
    }
}
