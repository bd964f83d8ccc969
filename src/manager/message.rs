//! What reaches the driver: inputs for the core, and requests that are answered. Plain values.

use std::fmt;
use std::sync::Arc;

use futures_util::stream::BoxStream;
use tokio::sync::oneshot;

use super::decide::{Answer, Input};
use super::feed::Page;
use super::logs::Place;
use super::plan::Plan;
use super::request::{RebalanceWish, RequestError, Scheduling, WorkerWish};
use super::why::Why;
use crate::cluster::{Cause, Change, Cluster, FeedItem, FindError, Joined, Mark, Revision};
use crate::task::{TaskEvent, TaskId, WorkerId};

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
    Rebalance {
        wish: RebalanceWish,
        reply: Reply,
    },
    SetScheduling {
        scheduling: Scheduling,
        cause: Cause,
        reply: Reply,
    },
    /// Why the task that is called so is where it is; the first `most` workers one by one.
    Why {
        task: String,
        most: usize,
        reply: oneshot::Sender<Result<Result<Why, FindError>, RequestError>>,
    },
    /// What would become of a submit.
    Plan {
        events: Vec<TaskEvent>,
        reply: oneshot::Sender<Result<Plan, RequestError>>,
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
    Watch {
        since: Option<Mark>,
        reply: oneshot::Sender<Result<Watched, RequestError>>,
    },
    Pages {
        since: Mark,
        reply: oneshot::Sender<Result<Option<Pages>, RequestError>>,
    },
    Read(Question),
    Snapshot(oneshot::Sender<Result<Cluster, RequestError>>),
    /// Where these tasks are to be found; `None` for one that is unknown.
    Places(Vec<TaskId>, oneshot::Sender<Vec<Option<Place>>>),
    /// What happens from now on.
    Feed(oneshot::Sender<FeedStream>),
}

pub(super) type Reply = oneshot::Sender<Result<Answer, RequestError>>;

/// What a watcher in this process begins with.
pub(super) enum Watched {
    /// All of it; or all of it again, where the wanted Changes are no longer kept.
    Anew(Box<Cluster>, FeedStream),
    /// What it missed, and what comes.
    Since(Vec<Arc<Change>>, FeedStream),
}

/// Wraps the stream for `Debug`'s sake.
pub(super) struct FeedStream(pub(super) BoxStream<'static, Result<FeedItem, RequestError>>);

/// What a watcher from afar begins with.
pub(super) struct Pages {
    pub(super) missed: Vec<Arc<Change>>,
    /// The last that is known when these are read.
    pub(super) revision: Revision,
    pub(super) stream: BoxStream<'static, Arc<Page>>,
}

/// Looks at the cluster, in the driver's turn: it must not take long.
pub(super) struct Question(pub(super) Box<Look>);

/// Given the cluster, or why it can't be looked at.
type Look = dyn FnOnce(Result<&Cluster, RequestError>) + Send;

impl fmt::Debug for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Watched")
    }
}

impl fmt::Debug for FeedStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FeedStream")
    }
}

impl fmt::Debug for Pages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pages").field("revision", &self.revision).finish_non_exhaustive()
    }
}

impl fmt::Debug for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Question")
    }
}
