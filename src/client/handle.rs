//! A manager, wherever it runs: embedded in this process or behind its HTTP API. Who uses it can't tell.

use futures_util::stream::BoxStream;

use super::ManagerClient;
use crate::cluster::{Cause, Cluster, FeedItem, Mark};
use crate::manager::Handle;
use crate::manager::request::{Recovered, RequestError, Resumed, Stopping, Submitted};
use crate::task::{TaskEvent, TaskId};

/// A manager to talk to.
#[derive(Clone, Debug)]
pub enum ManagerHandle {
    /// In this process.
    Embedded(Handle),
    /// Behind its API.
    Remote(ManagerClient),
}

/// A mirror's start, and everything after it.
pub struct Watch {
    /// The cluster at some revision.
    pub cluster: Cluster,
    /// Every Change after it (fold each into `cluster`; repeats are passed over there), and what passes by.
    /// Ends, or ends with an error, when the connection is cut or this watcher was too slow: then
    /// [resume](ManagerHandle::resume).
    pub items: BoxStream<'static, Result<FeedItem, RequestError>>,
}

/// How a watch goes on.
pub enum Resume {
    /// Every Change after the mirror's last, and what passes by.
    Items(BoxStream<'static, Result<FeedItem, RequestError>>),
    /// The manager can't tell what came after: the mirror starts over.
    Anew(Box<Watch>),
}

impl std::fmt::Debug for Resume {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Items(_) => f.write_str("Items"),
            Self::Anew(watch) => watch.fmt(f),
        }
    }
}

impl std::fmt::Debug for Watch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watch").field("revision", &self.cluster.revision()).finish_non_exhaustive()
    }
}

impl ManagerHandle {
    /// Submits all of `events` or, on an error, none. Returns when they are durable.
    pub async fn submit(&self, events: Vec<TaskEvent>, cause: Cause) -> Result<Vec<Submitted>, RequestError> {
        match self {
            Self::Embedded(handle) => handle.submit(events, cause).await,
            Self::Remote(client) => client.submit(&events, cause).await,
        }
    }

    /// Asks for the stop of all of `tasks` or, on an error, of none. Returns when the wish is durable; the
    /// feed tells when they have ended.
    pub async fn stop(&self, tasks: Vec<TaskId>, cause: Cause) -> Result<Vec<Stopping>, RequestError> {
        match self {
            Self::Embedded(handle) => handle.stop(tasks, cause).await,
            Self::Remote(client) => client.stop(&tasks, cause).await,
        }
    }

    /// Takes over what the workers have and the store does not. Returns when that is durable.
    pub async fn recover(&self, cause: Cause) -> Result<Recovered, RequestError> {
        match self {
            Self::Embedded(handle) => handle.recover(cause).await,
            Self::Remote(client) => client.recover(cause).await,
        }
    }

    /// The cluster as it is now.
    pub async fn snapshot(&self) -> Result<Cluster, RequestError> {
        match self {
            Self::Embedded(handle) => handle.snapshot().await,
            Self::Remote(client) => client.snapshot().await,
        }
    }

    /// A snapshot, and every item after it.
    pub async fn watch(&self) -> Result<Watch, RequestError> {
        match self {
            Self::Embedded(handle) => {
                let (cluster, items) = handle.watch().await?;
                Ok(Watch { cluster, items })
            }
            Self::Remote(client) => client.watch().await,
        }
    }

    /// Goes on where a mirror stands, after a watch was cut: without loss and without repeat.
    pub async fn resume(&self, mark: Mark) -> Result<Resume, RequestError> {
        match self {
            Self::Embedded(handle) => Ok(match handle.resume(mark).await? {
                Resumed::Items(items) => Resume::Items(items),
                Resumed::Anew(cluster, items) => Resume::Anew(Box::new(Watch { cluster: *cluster, items })),
            }),
            Self::Remote(client) => client.resume(mark).await,
        }
    }
}
