//! `worker`: a worker alone, for a manager elsewhere, until a signal comes. Its containers keep running.

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use super::args::WorkerArgs;
use super::environment::Environment;
use super::exit::{CliError, Exit};
use super::line::Line;
use super::node::worker_listener;
use super::print::Printer;
use super::signals::StopSignals;
use crate::node::{Claim, Folder, StartError, listen};
use crate::worker::{self, runtime::Docker};

/// The part of the user's state folder that a worker alone has, beside that of a manager on the same machine.
const FOLDER: &str = "worker";

pub async fn worker(args: &WorkerArgs, environment: &Environment) -> Result<Exit, CliError> {
    let path = match &args.data_dir {
        Some(dir) => dir.clone(),
        None => Environment::state_folder()?.join(FOLDER),
    };
    let in_folder = |error| CliError::from(StartError::Folder { path: path.clone(), error });
    let mut folder = match Folder::claim(&path).map_err(in_folder)? {
        Claim::Ours(folder) => folder,
        Claim::Theirs(holder) => {
            let message = format!(
                "process {} has the data folder {}; a second worker here needs its own: --data-dir DIR",
                holder.pid,
                path.display()
            );
            return Err(CliError::unreachable(message));
        }
    };
    let (cluster_id, identity) =
        (folder.id("cluster-id").map_err(in_folder)?, folder.id("worker-id").map_err(in_folder)?);
    let address = args.listen.as_ref().unwrap_or(&environment.worker);
    let mut signals = StopSignals::new()?;
    let listener = listen(&worker_listener(address)).await.map_err(StartError::from)?;
    let token = CancellationToken::new();
    let docker = Docker::new(&environment.docker_host, cluster_id, identity);
    let labels = args.label.iter().cloned().collect();
    let config = worker::Config { labels, ..worker::Config::new(identity) };
    let cannot_serve = |error| CliError::unreachable(format!("cannot serve at {address}: {error}"));
    let started = worker::start(config, docker, listener, token.clone()).await.map_err(cannot_serve)?;
    let here = super::address::Address::new(&address.host, started.addr.port()).to_string();
    folder.announce(Some(here.clone())).map_err(in_folder)?;
    let said =
        Printer::new(args.output.output).line(&Line::of_worker_listening(&here, &here, Timestamp::now()));
    if said.is_ok() {
        signals.received().await;
    }
    token.cancel();
    let ended = started.join().await;
    said?;
    ended.map_err(|error| CliError::unreachable(error.to_string()))?;
    Ok(Exit::Done)
}
