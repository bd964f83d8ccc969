//! What the Manager decides, and what is to be done for it. Plain values.

use std::sync::Arc;

use super::super::request::{
    Drained, Forgotten, Rebalanced, Recovered, RequestError, Restarted, Stopping, Submitted,
};
use super::RequestId;
use crate::cluster::{Change, Joined, Settings};
use crate::task::{Task, WorkerId};

/// Something to be done for the manager, once the Changes decided with it are durable.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// POST to the worker that it shall start or stop the task, as this generation.
    Send {
        worker: WorkerId,
        wish: Wish,
        task: Task,
    },
    /// Send a worker's reading of its clock back. Goes out before the starts that are decided after it.
    RenewLease {
        worker: WorkerId,
        since_boot_ms: u64,
    },
    /// Begin to talk to a worker that has joined; a link to it that is there ends.
    Link {
        worker: WorkerId,
        joined: Joined,
    },
    /// Talk to it no more.
    Unlink {
        worker: WorkerId,
    },
    Answer {
        request: RequestId,
        answer: Result<Answer, RequestError>,
    },
}

/// What a worker is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    Start,
    Stop,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    Submitted(Vec<Submitted>),
    Stopping(Vec<Stopping>),
    Restarted(Vec<Restarted>),
    Forgotten(Forgotten),
    Recovered(Recovered),
    Availability(Drained),
    Rebalanced(Box<Rebalanced>),
    Scheduling(Settings),
    /// That it is so now is all there is to say.
    Done,
}

/// What one input led to, in order. Already folded into the manager's own cluster.
#[derive(Debug, Default, PartialEq)]
pub struct Decision {
    pub changes: Vec<Arc<Change>>,
    pub effects: Vec<Effect>,
}
