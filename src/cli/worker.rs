//! `worker`: a worker alone, for a manager elsewhere, until a signal comes. Its containers keep running.

use std::path::Path;
use std::pin::pin;

use jiff::Timestamp;
use tokio::net::{TcpListener, lookup_host};
use tokio_util::sync::CancellationToken;

use super::address::Address;
use super::args::WorkerArgs;
use super::environment::Environment;
use super::exit::{CliError, Exit};
use super::join::{host_name, join_line};
use super::line::Line;
use super::node::{policy, worker_listener};
use super::print::Printer;
use super::signals::StopSignals;
use crate::manager::trust::JoinLine;
use crate::node::{Claim, Folder, Keeper, Membership, StartError, listen, listen_anywhere};
use crate::tls::Role;
use crate::worker::{self, Limits, runtime::Docker};

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
    let allows = policy(args.policy.as_deref(), Some(&path))?;
    let joining = Joining::of(args, &path)?;
    let mut signals = StopSignals::new()?;
    // Before the invite is used up: a port that is taken leaves it as it was.
    let (address, listener) = listener(args, environment, joining.is_of_member()).await?;
    let mut manager = vec![];
    let (name, tls, keeper) = match joining.membership(args, &path).await? {
        Some(membership) => {
            manager = membership.manager().to_vec();
            let name = membership.identity().name.clone();
            let (door, keeper) = membership.into_worker()?;
            (Some(name), Some(door), Some(keeper))
        }
        None => (None, None, None),
    };
    let token = CancellationToken::new();
    let docker = Docker::new(&environment.docker_host, cluster_id, identity);
    let cannot_serve = |error| CliError::unreachable(format!("cannot serve at {address}: {error}"));
    let limits = Limits { allows, ..Limits::default() };
    let labels = args.label.iter().cloned().collect();
    let config = worker::Config { limits, labels, tls, ..worker::Config::new(identity) };
    let started = worker::start(config, docker, listener, token.clone()).await.map_err(cannot_serve)?;
    let here = Address::new(&address.host, started.addr.port()).to_string();
    folder.announce(Some(here.clone()), true).map_err(in_folder)?;
    let keeping = keeper.map(|keeper: Keeper| tokio::spawn(keeper.keep(started.addr.port(), token.clone())));
    let line = Line::of_worker_listening(name.as_deref().unwrap_or(&here), &here, Timestamp::now());
    let mut printer = Printer::new(args.output.output);
    if started.addr.ip().is_loopback() && is_elsewhere(&manager).await {
        printer.remark(&format!(
            "only this machine reaches {here}, and the manager at {} does not: leave out --listen, or name an address of \
             this machine that it reaches",
            manager.join(", ")
        ));
    }
    let said = printer.line(&line);
    let mut ending = pin!(started.join());
    let ended = tokio::select! {
        () = signals.received(), if said.is_ok() => None,
        ended = &mut ending, if said.is_ok() => Some(ended),
        else => None,
    };
    token.cancel();
    let ended = match ended {
        Some(ended) => ended,
        None => ending.await,
    };
    if let Some(keeping) = keeping {
        let _ = keeping.await;
    }
    said?;
    ended.map_err(|error| {
        CliError::unreachable(format!(
            "{error}; containers keep running, and the next start finds them again"
        ))
    })?;
    Ok(Exit::Done)
}

/// Without a line it is called what it was called when it joined.
fn called(name: Option<&str>, kept: Option<&Membership>) -> Result<(), CliError> {
    let known = kept.map(|kept| &*kept.identity().name);
    let why = match (name, known) {
        (Some(name), Some(known)) if name != known => {
            format!("this worker joined as {known}; to be called {name} it has to join anew")
        }
        (Some(name), None) => format!("this worker is no member of a cluster that would call it {name}"),
        _ => return Ok(()),
    };
    Err(CliError::usage(format!("{why}: `cube-tui invite` at the manager prints the line for --join")))
}

/// Whether a manager is at one of these, and none of them is on loopback. Of a name that leads nowhere nobody knows.
async fn is_elsewhere(manager: &[String]) -> bool {
    let mut found = vec![];
    for address in manager {
        found.extend(lookup_host(address).await.into_iter().flatten());
    }
    !found.is_empty() && found.iter().all(|address| !address.ip().is_loopback())
}

/// By what a worker is one of a cluster elsewhere, if it is.
enum Joining {
    /// A line, yet to be used up.
    Line(JoinLine),
    /// What an earlier line has brought.
    Kept(Option<Membership>),
}

impl Joining {
    fn of(args: &WorkerArgs, folder: &Path) -> Result<Self, CliError> {
        let Some(line) = &args.join else {
            let kept = Membership::read(&Membership::path_in(folder))?;
            return called(args.name.as_deref(), kept.as_ref()).map(|()| Self::Kept(kept));
        };
        let line = join_line(line)?;
        if line.role != Role::Worker {
            let one = if line.role == Role::Admin { "an" } else { "a" };
            let why = format!("this line invites {one} {}: use `cube-tui join LINE`", line.role.name());
            return Err(CliError::usage(why));
        }
        Ok(Self::Line(line))
    }

    fn is_of_member(&self) -> bool {
        !matches!(self, Self::Kept(None))
    }

    /// What the line brings, or an earlier one has brought.
    async fn membership(self, args: &WorkerArgs, folder: &Path) -> Result<Option<Membership>, CliError> {
        match self {
            Self::Line(line) => {
                let name = args.name.clone().unwrap_or_else(host_name);
                Ok(Some(Membership::join(&Membership::path_in(folder), &line, &name).await?))
            }
            Self::Kept(kept) => Ok(kept),
        }
    }
}

/// Where it listens, and the port that is open there: to anybody for a member, who asks for a certificate.
async fn listener(
    args: &WorkerArgs,
    environment: &Environment,
    is_member: bool,
) -> Result<(Address, TcpListener), CliError> {
    let usual = || {
        if is_member { Address::new("0.0.0.0", environment.worker.port) } else { environment.worker.clone() }
    };
    let address = args.listen.clone().unwrap_or_else(usual);
    let at = worker_listener(&address);
    let listener = if is_member { listen_anywhere(&at).await } else { listen(&at).await };
    Ok((address, listener.map_err(StartError::from)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_manager_is_elsewhere_if_none_of_its_addresses_is_on_loopback() {
        for (addresses, expected) in [
            (&["192.0.2.1:5557"][..], true),
            (&["127.0.0.1:5557"], false),
            (&["localhost:5557"], false),
            (&["192.0.2.1:5557", "[::1]:5557"], false),
            (&[], false),
        ] {
            let addresses: Vec<_> = addresses.iter().map(|address| (*address).to_owned()).collect();
            assert_eq!(is_elsewhere(&addresses).await, expected, "{addresses:?}");
        }
    }
}
