//! What the Manager is told. Plain values.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;

use super::super::request::{AvailabilityWish, RebalanceWish};
use super::Wish;
use crate::cluster::{Allows, Capacity, Cause, Facts, Joined, Overcommit, Peer, Sample, SchedulerName};
use crate::task::{SecretName, Task, TaskEvent, TaskId, WorkerId};
use crate::worker::report::LeaseClock;

/// The present, told twice: what the wall clock says is only written down; what waits and times out goes by the
/// time since start, which no one can set back or forth.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Now {
    pub wall: Timestamp,
    pub since_start: Duration,
}

/// Something that the manager has to deal with.
#[derive(Clone, Debug)]
pub enum Input {
    /// First of all, after the log was folded: the workers of this run.
    Started {
        workers: Vec<ConfiguredWorker>,
    },
    Submit {
        request: RequestId,
        cause: Cause,
        events: Vec<TaskEvent>,
    },
    Stop {
        request: RequestId,
        cause: Cause,
        tasks: Vec<TaskId>,
    },
    /// Start tasks anew, whatever has become of them.
    Restart {
        request: RequestId,
        cause: Cause,
        tasks: Vec<TaskId>,
    },
    /// Count on a lost worker of an earlier run no more.
    Forget {
        request: RequestId,
        cause: Cause,
        worker: WorkerId,
    },
    /// Take over what the workers have and the store does not.
    Recover {
        request: RequestId,
        cause: Cause,
    },
    /// A worker that has joined says where it is.
    WorkerJoined {
        request: RequestId,
        cause: Cause,
        worker: WorkerId,
        joined: Joined,
    },
    /// A worker was thrown out.
    WorkerLeft {
        request: RequestId,
        cause: Cause,
        worker: WorkerId,
    },
    /// The secrets that are set now.
    Secrets {
        names: BTreeSet<SecretName>,
    },
    /// What became of an [`Effect::Send`](super::Effect::Send).
    Sent {
        worker: WorkerId,
        task: TaskId,
        generation: u32,
        wish: Wish,
        outcome: SendOutcome,
    },
    /// A worker answered for the first time since the link to it was down.
    WorkerUp {
        worker: WorkerId,
        peer: Peer,
        capacity: Capacity,
        runtime_problem: String,
        facts: Box<Facts>,
        /// What its policy lets tasks do; `None` of a worker of the book.
        allows: Option<Allows>,
    },
    /// Everything a worker has: what is not listed, it does not know.
    WorkerTasks {
        worker: WorkerId,
        tasks: Vec<Task>,
    },
    /// One task changed on a worker.
    WorkerTask {
        worker: WorkerId,
        task: Task,
    },
    /// A worker lives; why its engine can't be used, or "".
    Heartbeat {
        worker: WorkerId,
        runtime_problem: String,
    },
    /// A worker told its load.
    Load {
        worker: WorkerId,
        sample: Box<Sample>,
    },
    /// Somebody wants a worker to take no new work, to be emptied, or back.
    SetAvailability {
        request: RequestId,
        cause: Cause,
        worker: WorkerId,
        wish: AvailabilityWish,
    },
    /// Somebody wants workers selected in another way; what is `None` stays as it is.
    SetScheduling {
        /// `None` for the arguments of a start, which nobody waits for.
        request: Option<RequestId>,
        cause: Cause,
        scheduler: Option<SchedulerName>,
        overcommit: Option<Overcommit>,
    },
    /// Somebody wants the load evened out, or to know how.
    Rebalance {
        request: RequestId,
        wish: RebalanceWish,
    },
    /// A worker told the reading of its lease's clock.
    LeaseClock {
        worker: WorkerId,
        clock: LeaseClock,
    },
    /// A worker does not answer, and its host does: the process is gone, or stands still.
    HostIsThere {
        worker: WorkerId,
    },
    /// The link to a worker broke or could not be made.
    LinkDown {
        worker: WorkerId,
        reason: String,
    },
    /// The time that [`Manager::next_wake`](super::Manager::next_wake) asked for has come.
    Tick,
}

/// A worker that the user named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfiguredWorker {
    pub id: WorkerId,
    pub insecure: bool,
}

/// What became of an [`Effect::Send`](super::Effect::Send).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SendOutcome {
    Accepted,
    /// The worker answered that it won't, with its message (4xx).
    Refused {
        status: u16,
        message: String,
    },
    /// No answer, or "not now" (5xx, 429). Unless `arrived` is impossible, the worker may have taken it.
    Failed {
        reason: String,
        may_have_arrived: bool,
    },
}

/// Ties an [`Effect::Answer`](super::Effect::Answer) to the request.
pub type RequestId = u64;
