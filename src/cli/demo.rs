//! `demo`: an ephemeral cluster with tasks in it, on the container engine or, without one, as plain processes.
//! Nothing of it stays behind.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Duration;

use jiff::Timestamp;

use super::args::{DemoArgs, DemoTaskArgs};
use super::dashboard::{Behind, dashboard, exit};
use super::environment::Environment;
use super::exit::{CliError, Exit};
use super::no_ui::print_until_signal;
use super::node::{local_worker, manager_listener, print_listeners, stop};
use super::print::Printer;
use super::signals::StopSignals;
use crate::client::ManagerHandle;
use crate::cluster::Cause;
use crate::demo::{self, DemoImage};
use crate::manager::request::Scheduling;
use crate::manager::trust::CERTIFICATE_LIFE;
use crate::node::{self, Engine, Node};
use crate::tui::Title;

/// An engine on this machine answers at once.
const ENGINE_ANSWERS_WITHIN: Duration = Duration::from_secs(3);

/// Some tens of megabytes, to an engine that may be busy.
const IMPORTED_WITHIN: Duration = Duration::from_mins(1);

/// What the demo's image is called where plain processes stand in for it.
const PROCESS_IMAGE: &str = "cube-tui-demo";

pub async fn demo(args: &DemoArgs, environment: &Environment) -> Result<Exit, CliError> {
    let mut printer = Printer::new(args.output);
    if args.no_ui {
        // From here on a signal no longer ends this on the spot: there may be an image to take away again.
        let signals = StopSignals::new()?;
        let begun = begin(environment).await?;
        if let Some(why) = &begun.why_processes {
            printer.remark(why);
        }
        let events = demo::tasks(&begun.image_name(), Timestamp::now());
        let ended = match print_listeners(&begun.node, args.output) {
            Ok(()) => print_until_signal(events, &begun.node.handle, &mut printer, signals).await,
            Err(error) => Err(error),
        };
        return begun.end(ended, &mut printer).await;
    }
    let title = Title {
        cluster: "demo".to_owned(),
        on_quit: "everything of the demo is removed".to_owned(),
        ..Title::default()
    };
    let own = environment.clone();
    let (begun, ended) = dashboard(environment, title, async move {
        let begun = begin(&own).await?;
        let events = demo::tasks(&begun.image_name(), Timestamp::now());
        begun.node.handle.submit(events, Cause::Command).await?;
        Ok(begun)
    })
    .await;
    let ended = ended.map(exit);
    match begun {
        Some(begun) => begun.end(ended, &mut printer).await,
        None => ended,
    }
}

/// The demo's cluster, and the image in it.
struct Begun {
    node: Node,
    image: Option<DemoImage>,
    /// Where its tasks are plain processes, why.
    why_processes: Option<String>,
}

impl Behind for Begun {
    fn manager(&self) -> &ManagerHandle {
        &self.node.handle
    }

    fn notice(&self) -> Option<&str> {
        self.why_processes.as_deref()
    }
}

impl Begun {
    fn image_name(&self) -> String {
        self.image.as_ref().map_or_else(|| PROCESS_IMAGE.to_owned(), |image| image.name.clone())
    }

    /// Takes all of it away again.
    async fn end(self, ended: Result<Exit, CliError>, printer: &mut Printer) -> Result<Exit, CliError> {
        let ended = stop(self.node, ended).await;
        if let Some(image) = self.image
            && let Err(error) = image.remove().await
        {
            printer.remark(&format!("the demo's image is left behind: {error}"));
        }
        ended
    }
}

async fn begin(environment: &Environment) -> Result<Begun, CliError> {
    let (image, why_processes) = match import(&environment.docker_host).await {
        Ok(image) => (Some(image), None),
        Err(why) => {
            (None, Some(format!("the demo's tasks are plain processes instead of containers: {why}")))
        }
    };
    let node = start(environment, image.as_ref()).await?;
    Ok(Begun { node, image, why_processes })
}

/// One of the demo's own tasks.
pub async fn task(args: DemoTaskArgs) -> Result<ExitCode, CliError> {
    let ended = demo::run_program(args.program, args.port, args.greeting).await;
    ended.map_err(|error| CliError::new(Exit::TaskFailed, error.to_string()))
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
        scheduling: Scheduling::default(),
        listens: false,
        certificate_life: CERTIFICATE_LIFE,
    };
    match node::start(config).await? {
        node::Begun::Node(node) => Ok(node),
        node::Begun::Held(_) => {
            Err(CliError::unreachable("a cluster in memory has no folder that could be held"))
        }
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
        Ok(Ok(docker)) => match tokio::time::timeout(IMPORTED_WITHIN, DemoImage::import(docker)).await {
            Ok(imported) => imported.map_err(|error| error.to_string()),
            Err(_) => Err(format!("the container engine at {docker_host} does not take the demo's image")),
        },
        Ok(Err(error)) => Err(format!("no container engine answers at {docker_host} ({error})")),
        Err(_) => Err(format!("the container engine at {docker_host} does not answer")),
    }
}
