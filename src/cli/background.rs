//! A manager that goes on without its dashboard: hands the data folder over to a process in the background, and is that
//! process. No container notices. Knows no store and no screen.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::str::FromStr;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::args::{Output, RootArgs};
use super::environment::Environment;
use super::exit::{CliError, Exit};
use super::logging;
use super::node::{begin, folder, stop};
use super::print::Printer;
use super::signals::StopSignals;
use crate::client::{ManagerClient, http_client};
use crate::node::{self, Holder, LocalWorker, Node};

/// From the moment the folder is free; a store with 100,000 tasks is read in a second.
const ANSWERS_WITHIN: Duration = Duration::from_secs(30);
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(20);
/// Of the log, when the process in the background has ended.
const LAST_LINES: usize = 3;

/// Where the process before listened: what is attached to it, and its workers' managers, find the next one there. (The
/// environment may have asked for free ports.)
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ports {
    manager: u16,
    worker: Option<u16>,
}

impl Ports {
    fn of(node: &Node) -> Option<Self> {
        let port = |address: &str| address.rsplit(':').next()?.parse().ok();
        let worker = node.local_worker.as_ref().and_then(|(_, address)| port(address));
        Some(Self { manager: port(&node.manager_address)?, worker })
    }

    pub fn apply(self, manager: &mut node::Address, worker: Option<&mut LocalWorker>) {
        manager.port = self.manager;
        if let (Some(worker), Some(port)) = (worker, self.worker) {
            worker.address.port = port;
        }
    }
}

impl fmt::Display for Ports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.worker {
            Some(worker) => write!(f, "{},{worker}", self.manager),
            None => write!(f, "{}", self.manager),
        }
    }
}

impl FromStr for Ports {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (manager, worker) = match text.split_once(',') {
            Some((manager, worker)) => (manager, Some(worker.parse()?)),
            None => (text, None),
        };
        Ok(Self { manager: manager.parse()?, worker })
    }
}

/// Lets go of the terminal: neither its ^C nor its end reaches this process any more.
pub fn detach() {
    // Fails only for who leads a group of processes, as when somebody types the hidden flag: nothing is lost then.
    let _ = rustix::process::setsid();
}

/// The process in the background: takes the folder over, and manages until a signal comes. Its log and its last words
/// go to stderr, which is the log file.
pub async fn go_on(args: &RootArgs, environment: &Environment) -> Result<Exit, CliError> {
    let mut signals = StopSignals::new()?;
    let begun = tokio::select! {
        begun = begin(args, environment) => begun?,
        () = signals.received() => return Ok(Exit::Done),
    };
    signals.received().await;
    begun.end(Ok(Exit::Done)).await
}

/// Ends this process's node and leaves its work to a process in the background, which waits for the folder already.
pub async fn leave_running(args: &RootArgs, environment: &Environment, node: Node) -> Result<Exit, CliError> {
    let started = match (folder(args, environment)?, Ports::of(&node)) {
        (Some(folder), Some(ports)) => Successor::start(folder, ports, node.manager_address.clone()),
        _ => Err("it has no data folder".to_owned()),
    };
    let stopped = stop(node, Ok(Exit::Done)).await;
    let left = match started {
        Ok(mut successor) => successor.answers().await,
        Err(why) => Err(why),
    };
    let dir =
        args.node.data_dir.as_ref().map_or(String::new(), |dir| format!(" --data-dir {}", dir.display()));
    let Left { pid, address } = left.map_err(|why| {
        CliError::unreachable(format!(
            "the manager could not be left running: {why}; it has ended, containers keep running, and `cube-tui{dir}` \
             starts it again"
        ))
    })?;
    if let Err(error) = stopped {
        Printer::new(Output::Text).failure(&error);
    }
    Printer::new(Output::Text).result(&format!(
        "the manager goes on in the background: pid {pid} at {address}\n  cube-tui{dir}  shows it again\n  cube-tui \
         shutdown{dir}  ends it (containers keep running)"
    ))?;
    Ok(Exit::Done)
}

/// Where the manager is now.
struct Left {
    pid: u32,
    address: String,
}

/// The process that takes over.
struct Successor {
    child: Child,
    folder: PathBuf,
    address: String,
    /// The log, and how much of it was there before.
    log: File,
    log_began: u64,
}

impl Successor {
    /// This very program with the same arguments: it sees by one more that its folder is still held.
    fn start(folder: PathBuf, ports: Ports, address: String) -> Result<Self, String> {
        let path = folder.join(logging::FILE);
        let mut options = OpenOptions::new();
        let log = options.create(true).append(true).read(true).mode(0o600).open(&path);
        let log = log.map_err(|error| format!("cannot write {}: {error}", path.display()))?;
        let last_words = log.try_clone().map_err(|error| error.to_string())?;
        let log_began = log.metadata().map_or(0, |metadata| metadata.len());
        let child = Command::new(program())
            .args(std::env::args_os().skip(1))
            .args(["--background", &ports.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(last_words)
            .spawn()
            .map_err(|error| format!("cannot start {}: {error}", program().display()))?;
        Ok(Self { child, folder, address, log, log_began })
    }

    /// Waits until its manager answers, or says why it does not.
    async fn answers(&mut self) -> Result<Left, String> {
        let pid = self.child.id();
        let client = ManagerClient::new(http_client(), &format!("http://{}", self.address));
        let give_up = Instant::now() + ANSWERS_WITHIN;
        loop {
            let holder = Holder::last_of(&self.folder);
            let has_begun = holder.is_some_and(|holder| holder.pid == pid && holder.api.is_some());
            if has_begun && client.is_there().await {
                return Ok(Left { pid, address: self.address.clone() });
            }
            if let Ok(Some(status)) = self.child.try_wait() {
                return Err(format!("the process in the background ended ({status}){}", self.last_words()));
            }
            if Instant::now() >= give_up {
                let secs = ANSWERS_WITHIN.as_secs();
                return Err(format!(
                    "process {pid} does not answer within {secs} s, and goes on trying{}",
                    self.last_words()
                ));
            }
            sleep(LOOK_AGAIN_AFTER).await;
        }
    }

    /// What it has said.
    fn last_words(&mut self) -> String {
        let mut text = String::new();
        let read =
            self.log.seek(SeekFrom::Start(self.log_began)).and_then(|_| self.log.read_to_string(&mut text));
        let lines: Vec<_> = text.lines().filter(|line| !line.trim().is_empty()).collect();
        let last = lines[lines.len().saturating_sub(LAST_LINES)..].join("; ");
        if read.is_err() || last.is_empty() { String::new() } else { format!(": {last}") }
    }
}

/// This program's file; also when it was deleted or replaced by another version meanwhile.
fn program() -> PathBuf {
    match std::env::current_exe() {
        Ok(path) if path.exists() => path,
        _ => Path::new("/proc/self/exe").to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_come_through_a_command_line() {
        for ports in [Ports { manager: 5556, worker: None }, Ports { manager: 1, worker: Some(65_535) }] {
            assert_eq!(ports.to_string().parse(), Ok(ports));
        }
        assert!("5556,".parse::<Ports>().is_err());
    }
}
