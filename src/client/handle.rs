//! A manager, wherever it runs: embedded in this process or behind its HTTP API. Who uses it can't tell.

use futures_util::stream::BoxStream;

use crate::cluster::{Cause, Cluster, FeedItem};
use crate::manager::request::{RequestError, Stopping, Submitted};
use crate::task::{TaskEvent, TaskId};

/// A manager to talk to.
#[derive(Clone, Debug)]
pub enum ManagerHandle {}

/// A mirror's start, and everything after it.
pub struct Watch {
    /// The cluster at some revision.
    pub cluster: Cluster,
    /// Every Change after it (fold each into `cluster`; repeats are passed over there), and what passes by.
    /// Ends with an error when the connection is cut or this watcher was too slow: then watch again.
    pub items: BoxStream<'static, Result<FeedItem, RequestError>>,
}

impl std::fmt::Debug for Watch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watch").field("revision", &self.cluster.revision()).finish_non_exhaustive()
    }
}

impl ManagerHandle {
    /// Submits all of `events` or, on an error, none. Returns when they are durable.
    #[expect(clippy::unused_async, reason = "filled in with the manager")]
    pub async fn submit(&self, events: Vec<TaskEvent>, cause: Cause) -> Result<Vec<Submitted>, RequestError> {
        let _ = (events, cause);
        match *self {}
    }

    /// Asks for the stop of all of `tasks` or, on an error, of none. Returns when the wish is durable; the
    /// feed tells when they have ended.
    #[expect(clippy::unused_async, reason = "filled in with the manager")]
    pub async fn stop(&self, tasks: Vec<TaskId>, cause: Cause) -> Result<Vec<Stopping>, RequestError> {
        let _ = (tasks, cause);
        match *self {}
    }

    /// A snapshot, and every item after it.
    #[expect(clippy::unused_async, reason = "filled in with the manager")]
    pub async fn watch(&self) -> Result<Watch, RequestError> {
        match *self {}
    }
}
