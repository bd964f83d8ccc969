//! The root command: starts a node, or attaches to the one that is there; the dashboard or `--no-ui` on it; stops
//! it again. Turns arguments into configurations and decides nothing else.

use std::time::Duration;

use jiff::Timestamp;

use super::address::Address;
use super::args::{Output, RootArgs};
use super::environment::Environment;
use super::exit::{CliError, Exit};
use super::input::task_events;
use super::line::Line;
use super::no_ui::no_ui;
use super::print::Printer;
use crate::client::{ManagerClient, ManagerHandle, http_client};
use crate::manager::WorkerAddress;
use crate::node::{self, Begun, Engine, Holder, LocalWorker, Node, StartError};
use crate::task::TaskEvent;

/// What the local worker is called when its port is not known before it listens.
const LOCAL_WORKER: &str = "local";

/// A process that has the data folder says where it listens within this, or is not going to.
const ANNOUNCED_WITHIN: Duration = Duration::from_secs(5);
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(100);

/// Without a command: the dashboard, or `--no-ui`.
pub async fn root(args: &RootArgs, environment: &Environment) -> Result<Exit, CliError> {
    let events = task_events(&args.submit, Timestamp::now())?;
    if let Some(url) = &args.attach {
        return on_manager(args, events, &remote(url)).await;
    }
    match begin(args, environment).await? {
        Started::Here(node) => {
            if args.no_ui {
                print_listeners(&node, args.output)?;
            }
            let ended = on_manager(args, events, &node.handle).await;
            stop(*node, ended).await
        }
        Started::Elsewhere { pid, api } => {
            let message =
                format!("another cube-tui (pid {pid}) has this data folder; attached to it at {api}");
            Printer::new(args.output).remark(&message);
            if !(args.worker.is_empty() && args.insecure_worker.is_empty()) {
                let message = format!(
                    "--worker and --insecure-worker are for a manager's start; stop process {pid} first, or use \
                     --ephemeral or another --data-dir"
                );
                return Err(CliError::usage(message));
            }
            on_manager(args, events, &remote(&format!("http://{api}"))).await
        }
    }
}

/// The dashboard or `--no-ui` on a manager, wherever it runs.
async fn on_manager(
    args: &RootArgs,
    events: Vec<TaskEvent>,
    manager: &ManagerHandle,
) -> Result<Exit, CliError> {
    if args.no_ui {
        return no_ui(args, events, manager, &mut Printer::new(args.output)).await;
    }
    // The dashboard goes here: submit `events`, then `tui::run` on `manager`, or one frame of it for
    // `args.snapshot`.
    Err(CliError::usage("the dashboard is not built yet; use --no-ui"))
}

fn remote(url: &str) -> ManagerHandle {
    ManagerHandle::Remote(ManagerClient::new(http_client(), url))
}

enum Started {
    Here(Box<Node>),
    Elsewhere { pid: u32, api: String },
}

/// Starts a node, unless another process has the data folder and a manager that can be asked instead.
async fn begin(args: &RootArgs, environment: &Environment) -> Result<Started, CliError> {
    let give_up = tokio::time::Instant::now() + ANNOUNCED_WITHIN;
    loop {
        match node::start(config(args, environment)?).await? {
            Begun::Node(node) => return Ok(Started::Here(Box::new(node))),
            Begun::Held(Holder { pid, api: Some(api) }) => return Ok(Started::Elsewhere { pid, api }),
            // It is just starting, or just ending.
            Begun::Held(Holder { api: None, .. }) if tokio::time::Instant::now() < give_up => {
                tokio::time::sleep(LOOK_AGAIN_AFTER).await;
            }
            Begun::Held(Holder { pid, api: None }) => {
                let message = format!(
                    "process {pid} has the data folder and answers nowhere; end it, or use another --data-dir"
                );
                return Err(CliError::unreachable(message));
            }
        }
    }
}

fn config(args: &RootArgs, environment: &Environment) -> Result<node::Config, CliError> {
    let folder = match (&args.data_dir, args.ephemeral) {
        (_, true) => None,
        (Some(dir), false) => Some(dir.clone()),
        (None, false) => Some(Environment::state_folder()?),
    };
    let local_worker = (!args.no_local_worker)
        .then(|| local_worker(environment, Engine::Docker(environment.docker_host.clone())));
    let worker = |address: &Address, insecure| {
        let address = address.to_string();
        WorkerAddress { id: address.as_str().into(), address: address.as_str().into(), insecure }
    };
    let workers = args.worker.iter().map(|address| worker(address, false));
    let insecure_workers = args.insecure_worker.iter().map(|address| worker(address, true));
    Ok(node::Config {
        folder,
        manager: manager_listener(environment),
        local_worker,
        workers: workers.chain(insecure_workers).collect(),
    })
}

pub fn manager_listener(environment: &Environment) -> node::Address {
    let Address { host, port } = environment.manager.clone();
    node::Address { what: "manager", host, port, variable: "CUBE_MANAGER_PORT" }
}

pub fn worker_listener(address: &Address) -> node::Address {
    let Address { host, port } = address.clone();
    node::Address { what: "worker", host, port, variable: "CUBE_PORT" }
}

pub fn local_worker(environment: &Environment, engine: Engine) -> LocalWorker {
    let id = match environment.worker.port {
        0 => LOCAL_WORKER.into(),
        _ => environment.worker.to_string().as_str().into(),
    };
    LocalWorker { id, address: worker_listener(&environment.worker), engine }
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
    let stopped = node.stop().await;
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
        let environment = Environment::read(|name| {
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
