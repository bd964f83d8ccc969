//! What reaches the driver: inputs for the core, and requests that are answered. Plain values.

use std::sync::Arc;

use futures_util::stream::BoxStream;
use tokio::sync::oneshot;

use super::decide::{Answer, Input};
use super::logs::Place;
use super::request::{RequestError, Scheduling, WorkerWish};
use crate::cluster::{Cause, Cluster, FeedItem, Joined};
use crate::scheduler::Explanation;
use crate::task::{TaskEvent, TaskId, TaskSpec, WorkerId};

/// What the driver is told.
#[derive(Debug)]
pub(super) enum Message {
    Input(Input),
    Submit {
        events: Vec<TaskEvent>,
        cause: Cause,
        reply: Reply,
    },
    Stop {
        tasks: Vec<TaskId>,
        cause: Cause,
        reply: Reply,
    },
    Restart {
        tasks: Vec<TaskId>,
        cause: Cause,
        reply: Reply,
    },
    Forget {
        worker: WorkerId,
        cause: Cause,
        reply: Reply,
    },
    Recover {
        cause: Cause,
        reply: Reply,
    },
    SetAvailability {
        wish: WorkerWish,
        cause: Cause,
        reply: Reply,
    },
    SetScheduling {
        scheduling: Scheduling,
        cause: Cause,
        reply: Reply,
    },
    Explain {
        spec: Arc<TaskSpec>,
        task: Option<TaskId>,
        reply: oneshot::Sender<Explanation>,
    },
    Joined {
        worker: WorkerId,
        joined: Joined,
        cause: Cause,
        reply: Reply,
    },
    Left {
        worker: WorkerId,
        cause: Cause,
        reply: Reply,
    },
    /// Other secrets are set than before.
    SecretsChanged,
    Watch(oneshot::Sender<Result<(Cluster, FeedStream), RequestError>>),
    Snapshot(oneshot::Sender<Result<Cluster, RequestError>>),
    /// Where these tasks are to be found; `None` for one that is unknown.
    Places(Vec<TaskId>, oneshot::Sender<Vec<Option<Place>>>),
    /// What happens from now on.
    Feed(oneshot::Sender<FeedStream>),
}

pub(super) type Reply = oneshot::Sender<Result<Answer, RequestError>>;

/// Wraps the stream for `Debug`'s sake.
pub(super) struct FeedStream(pub(super) BoxStream<'static, Result<FeedItem, RequestError>>);

impl std::fmt::Debug for FeedStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("FeedStream")
    }
}
