//! A manager, wherever it runs: embedded in this process or behind its HTTP API. Who uses it can't tell.

use futures_util::stream::BoxStream;
use tokio::io::{ReadHalf, WriteHalf};

use super::ManagerClient;
use crate::cluster::{Cause, Cluster, FeedItem, Mark, Settings};
use crate::manager::Handle;
use crate::manager::logs::LogItems;
use crate::manager::plan::Plan;
use crate::manager::request::{
    Drained, Forgotten, RebalanceWish, Rebalanced, Recovered, RequestError, Restarted, Resumed, Scheduling,
    Stopping, Submitted, WorkerWish,
};
use crate::manager::why::Why;
use crate::task::{TaskEvent, TaskId, WorkerId};
use crate::worker::runtime::{Exec, LogsQuery};
use crate::worker::{FrameReader, FrameWriter, frames};

/// The two halves of a connection to a command.
pub type ExecConnection =
    (FrameReader<ReadHalf<reqwest::Upgraded>>, FrameWriter<WriteHalf<reqwest::Upgraded>>);

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

    /// Asks for all of `tasks` to be started anew or, on an error, none. Returns when the wish is durable; the
    /// feed tells when they run again.
    pub async fn restart(&self, tasks: Vec<TaskId>, cause: Cause) -> Result<Vec<Restarted>, RequestError> {
        match self {
            Self::Embedded(handle) => handle.restart(tasks, cause).await,
            Self::Remote(client) => client.restart(&tasks, cause).await,
        }
    }

    /// Counts on a lost worker of an earlier run no more. Returns when that is durable.
    pub async fn forget(&self, worker: WorkerId, cause: Cause) -> Result<Forgotten, RequestError> {
        match self {
            Self::Embedded(handle) => handle.forget(worker, cause).await,
            Self::Remote(client) => client.forget(&worker, cause).await,
        }
    }

    /// Takes over what the workers have and the store does not. Returns when that is durable.
    pub async fn recover(&self, cause: Cause) -> Result<Recovered, RequestError> {
        match self {
            Self::Embedded(handle) => handle.recover(cause).await,
            Self::Remote(client) => client.recover(cause).await,
        }
    }

    /// Wants a worker cordoned, drained or back. Returns when the wish is durable.
    pub async fn set_availability(&self, wish: WorkerWish, cause: Cause) -> Result<Drained, RequestError> {
        match self {
            Self::Embedded(handle) => handle.set_availability(wish, cause).await,
            Self::Remote(client) => client.set_availability(&wish, cause).await,
        }
    }

    /// Evens out the load, or tells how it could be. Returns when it is under way.
    pub async fn rebalance(&self, wish: RebalanceWish) -> Result<Rebalanced, RequestError> {
        match self {
            Self::Embedded(handle) => handle.rebalance(wish).await,
            Self::Remote(client) => client.rebalance(wish).await,
        }
    }

    /// Decides how workers are selected from now on, and tells it. Returns when that is durable.
    pub async fn set_scheduling(
        &self,
        scheduling: Scheduling,
        cause: Cause,
    ) -> Result<Settings, RequestError> {
        match self {
            Self::Embedded(handle) => handle.set_scheduling(scheduling, cause).await,
            Self::Remote(client) => client.set_scheduling(scheduling, cause).await,
        }
    }

    /// Why the task that is called so is where it is. The first `most` workers are told one by one.
    pub async fn why(&self, task: &str, most: usize) -> Result<Why, RequestError> {
        match self {
            Self::Embedded(handle) => {
                let why = handle.why(task.to_owned(), most).await?;
                why.map_err(|error| RequestError::Invalid(error.to_string()))
            }
            Self::Remote(client) => client.why(task, most).await,
        }
    }

    /// Where these would go if they were submitted now. Changes nothing.
    pub async fn plan(&self, events: Vec<TaskEvent>) -> Result<Plan, RequestError> {
        match self {
            Self::Embedded(handle) => handle.plan(events).await,
            Self::Remote(client) => client.plan(&events).await,
        }
    }

    /// What `tasks` have said and, with `follow`, what they say until they have ended for good: lines in the order of
    /// their times. Reads no faster than it is read.
    pub async fn logs(&self, tasks: Vec<TaskId>, query: LogsQuery) -> Result<LogItems, RequestError> {
        match self {
            Self::Embedded(handle) => handle.logs(tasks, query).await,
            Self::Remote(client) => client.logs(&tasks, query).await,
        }
    }

    /// Starts a command in a task's container. Who drops the connection ends the command.
    pub async fn exec(&self, task: TaskId, exec: &Exec) -> Result<ExecConnection, RequestError> {
        let connection = match self {
            Self::Embedded(handle) => handle.exec(task, exec).await?,
            Self::Remote(client) => client.exec(task, exec).await?,
        };
        Ok(frames(connection))
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
