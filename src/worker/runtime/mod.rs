//! What a container engine must be able to do for a worker, and the engines that can. Knows no queue and no API.

mod docker;
mod fake;
mod given;
mod kept_output;
mod output;
mod probe;
mod process;
mod process_io;

use std::{collections::BTreeMap, future::Future, time::Duration};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

pub use docker::{DEFAULT_DOCKER_HOST, Docker};
pub use fake::{Fake, Script};
pub use given::{Given, GivenDevice, GivenFile, GivenPath, HostGiven};
pub use output::{
    Exec, ExecInput, ExecOutput, LONGEST_LOG_LINE, LogLine, LogLines, LogsQuery, OutputStream, TerminalSize,
};
pub use probe::Probed;
pub use process::Process;

use crate::cluster::Capacity;
use crate::task::{HostPort, Probe, Task, TaskId};

/// One start of a task: what at most one live container exists for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Run {
    pub task: TaskId,
    pub generation: u32,
}

impl Run {
    pub fn of(task: &Task) -> Self {
        Self { task: task.id, generation: task.status.generation }
    }
}

/// How a container ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exit {
    pub code: i64,
    /// The kernel killed it for its memory limit.
    pub out_of_memory: bool,
    /// `None` where the engine did not say.
    pub at: Option<Timestamp>,
}

/// A container of this worker, as the engine shows it.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    pub run: Run,
    pub container: String,
    pub state: FoundState,
    /// The task as it was asked for, from the container's label.
    pub task: Task,
    pub host_ports: BTreeMap<String, Vec<HostPort>>,
    pub started: Option<Timestamp>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FoundState {
    /// Never started.
    Created,
    Running,
    Exited(Exit),
    /// Somebody is removing it right now.
    Removing,
}

/// What a runtime notices by itself.
#[derive(Clone, Debug, PartialEq)]
pub enum Sign {
    /// Every container of this worker; the first one lets the worker adopt them.
    Listed(Vec<Found>),
    /// One was started, by us or by somebody else.
    Up {
        run: Run,
        container: String,
    },
    /// Somebody has the engine end one: a user, or the engine itself as it goes down.
    Killed {
        run: Run,
        container: String,
    },
    /// One ended in a way that an inspect has to explain (out of memory, removed by somebody).
    Doubtful {
        run: Run,
        container: String,
        code: Option<i64>,
    },
    Exited {
        run: Run,
        container: String,
        exit: Exit,
    },
    /// One is no more.
    Gone {
        run: Run,
        container: String,
    },
    /// Why the engine can't be used; empty when it can.
    Health(String),
}

/// Why a runtime did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RuntimeError {
    #[error("image {0} is not on this machine")]
    ImageMissing(String),
    /// The engine can't be reached or did not answer in time. What it did is unknown.
    #[error("{0}")]
    Unreachable(String),
    /// The engine said no.
    #[error("{0}")]
    Refused(String),
}

impl RuntimeError {
    /// Whether the same may succeed later without anybody changing the task.
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::Unreachable(_) => true,
            Self::ImageMissing(_) | Self::Refused(_) => false,
        }
    }
}

/// A container that was started, or found for the same run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Started {
    pub container: String,
    /// It was there before, from an attempt whose answer got lost: how it stands is worth an inspect.
    pub was_there: bool,
}

/// What a running container uses, counted since its start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    pub cpu_ns: u64,
    pub memory_bytes: u64,
}

/// A container engine. Every call has a deadline of its own and is safe to repeat.
pub trait Runtime: Send + Sync + 'static {
    /// Creates and starts a container for this run, or takes the one that is there for it. Never pulls. Leaves
    /// nothing behind when the engine refuses.
    fn start(
        &self,
        task: &Task,
        secrets: &Given,
    ) -> impl Future<Output = Result<Started, RuntimeError>> + Send;

    /// Fetches an image; `progress` hears of it in words ("pulling 37 %"), a few times a second at most.
    fn pull(
        &self,
        image: &str,
        progress: mpsc::Sender<String>,
    ) -> impl Future<Output = Result<(), RuntimeError>> + Send;

    /// SIGTERM, after `grace` SIGKILL, then removes it. One that is gone already is a success.
    fn stop(&self, container: &str, grace: Duration)
    -> impl Future<Output = Result<(), RuntimeError>> + Send;

    /// Removes an ended container. One that is gone already is a success.
    fn remove(&self, container: &str) -> impl Future<Output = Result<(), RuntimeError>> + Send;

    /// `None`: there is no such container of this worker.
    fn inspect(&self, container: &str) -> impl Future<Output = Result<Option<Found>, RuntimeError>> + Send;

    /// Every container of this worker, in any state.
    fn list(&self) -> impl Future<Output = Result<Vec<Found>, RuntimeError>> + Send;

    /// Tells what happens, until dropped or `signs` is closed. Begins with `Listed` or with the `Health` that
    /// prevents it; a new `Listed` follows whenever something may have been missed.
    fn watch(&self, signs: mpsc::Sender<Sign>) -> impl Future<Output = ()> + Send;

    /// Tries a running container out; one that takes longer than `timeout` has failed.
    fn probe(&self, container: &str, probe: &Probe, timeout: Duration)
    -> impl Future<Output = Probed> + Send;

    /// The engine's version, once it told; empty before.
    fn version(&self) -> String {
        String::new()
    }

    /// What of the host's capacity the engine has: it may live in a smaller machine or group. All of it until it told.
    fn share_of(&self, host: Capacity) -> Capacity {
        host
    }

    /// What a container has said, also one that ended. Lines are read as they are asked for.
    fn logs(
        &self,
        container: &str,
        query: LogsQuery,
    ) -> impl Future<Output = Result<LogLines, RuntimeError>> + Send;

    /// Runs a command in a container, and returns its exit code once it has ended and all it said was sent to
    /// `output`. It must not stay behind when its user goes: `input` being closed ends it.
    fn exec(
        &self,
        container: &str,
        exec: &Exec,
        input: mpsc::Receiver<ExecInput>,
        output: mpsc::Sender<ExecOutput>,
    ) -> impl Future<Output = Result<i64, RuntimeError>> + Send;

    /// What a container uses, where the host tells; cheap enough to ask every few seconds.
    fn usage(&self, container: &str) -> Option<Usage> {
        let _ = container;
        None
    }
}
