//! `demo`: an ephemeral cluster with tasks in it, on the container engine or, without one, as plain processes.
//! Nothing of it stays behind.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Duration;

use jiff::Timestamp;

use super::args::{DemoArgs, DemoTaskArgs};
use super::environment::Environment;
use super::exit::{CliError, Exit};
use super::no_ui::print_until_signal;
use super::node::{local_worker, manager_listener, print_listeners, stop};
use super::print::Printer;
use crate::demo::{self, DemoImage};
use crate::node::{self, Begun, Engine, Node};

/// An engine on this machine answers at once.
const ENGINE_ANSWERS_WITHIN: Duration = Duration::from_secs(3);

/// What the demo's image is called where plain processes stand in for it.
const PROCESS_IMAGE: &str = "cube-tui-demo";

pub async fn demo(args: &DemoArgs, environment: &Environment) -> Result<Exit, CliError> {
    let mut printer = Printer::new(args.output);
    let image = match import(&environment.docker_host).await {
        Ok(image) => Some(image),
        Err(why) => {
            printer.remark(&format!("{why}; the demo's tasks run as plain processes instead"));
            None
        }
    };
    let ended = match start(environment, image.as_ref()).await {
        Ok(node) => {
            let name = image.as_ref().map_or(PROCESS_IMAGE, |image| &image.name);
            let ended = on_node(args, &node, name, &mut printer).await;
            stop(node, ended).await
        }
        Err(error) => Err(error),
    };
    if let Some(image) = image
        && let Err(error) = image.remove().await
    {
        printer.remark(&format!("the demo's image is left behind: {error}"));
    }
    ended
}

/// One of the demo's own tasks.
pub async fn task(args: DemoTaskArgs) -> Result<ExitCode, CliError> {
    let ended = demo::run_program(args.program, args.port, args.greeting).await;
    ended.map_err(|error| CliError::new(Exit::TaskFailed, error.to_string()))
}

async fn on_node(args: &DemoArgs, node: &Node, image: &str, printer: &mut Printer) -> Result<Exit, CliError> {
    let events = demo::tasks(image, Timestamp::now());
    if args.no_ui {
        print_listeners(node, args.output)?;
        return print_until_signal(events, &node.handle, printer).await;
    }
    // The dashboard goes here, as in `node`.
    Err(CliError::usage("the dashboard is not built yet; use --no-ui"))
}

/// A cluster of its own on free ports: it can be looked at beside a real one.
async fn start(environment: &Environment, image: Option<&DemoImage>) -> Result<Node, CliError> {
    let mut environment = environment.clone();
    (environment.worker.port, environment.manager.port) = (0, 0);
    let engine = match image {
        Some(_) => Engine::Docker(environment.docker_host.clone()),
        None => Engine::Processes(BTreeMap::from([(PROCESS_IMAGE.to_owned(), vec![own_executable()?])])),
    };
    let config = node::Config {
        folder: None,
        manager: manager_listener(&environment),
        local_worker: Some(local_worker(&environment, engine)),
        workers: Vec::new(),
    };
    match node::start(config).await? {
        Begun::Node(node) => Ok(node),
        Begun::Held(_) => Err(CliError::unreachable("a cluster in memory has no folder that could be held")),
    }
}

fn own_executable() -> Result<String, CliError> {
    let path = std::env::current_exe()
        .map_err(|error| CliError::unreachable(format!("cannot find this program's own file: {error}")))?;
    Ok(path.display().to_string())
}

/// The demo's image in the engine, or why there is none.
async fn import(docker_host: &str) -> Result<DemoImage, String> {
    let docker = bollard::Docker::connect_with_host(docker_host)
        .map_err(|error| format!("no container engine at {docker_host} ({error})"))?;
    match tokio::time::timeout(ENGINE_ANSWERS_WITHIN, docker.negotiate_version()).await {
        Ok(Ok(docker)) => DemoImage::import(docker).await.map_err(|error| error.to_string()),
        Ok(Err(error)) => Err(format!("no container engine answers at {docker_host} ({error})")),
        Err(_) => Err(format!("the container engine at {docker_host} does not answer")),
    }
}
