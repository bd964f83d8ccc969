//! The embedded manager's front desk: what others in this process ask it. Knows no HTTP.

use futures_util::StreamExt as _;
use futures_util::stream::{self, BoxStream};
use tokio::sync::{mpsc, oneshot};

use super::decide::Answer;
use super::logs::Place;
use super::message::{FeedStream, Message, Pages, Question, Watched};
use super::metrics::Metrics;
use super::plan::Plan;
use super::request::{
    Drained, Forgotten, RebalanceWish, Rebalanced, Recovered, RequestError, Restarted, Resumed, Scheduling,
    Stopping, Submitted, WorkerWish,
};
use super::why::Why;
use crate::cluster::{Cause, Cluster, FeedItem, FindError, Joined, Mark, Settings};
use crate::task::{TaskEvent, TaskId, WorkerId};

/// A way to the driver. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Handle {
    driver: mpsc::Sender<Message>,
    pub(super) metrics: Metrics,
}

impl Handle {
    pub(super) fn new(driver: mpsc::Sender<Message>, metrics: Metrics) -> Self {
        Self { driver, metrics }
    }

    /// Submits all of `events` or, on an error, none. Returns when they are durable.
    pub async fn submit(&self, events: Vec<TaskEvent>, cause: Cause) -> Result<Vec<Submitted>, RequestError> {
        match self.ask(|reply| Message::Submit { events, cause, reply }).await?? {
            Answer::Submitted(outcomes) => Ok(outcomes),
            _ => Err(gone()),
        }
    }

    /// Wants all of `tasks` stopped or, on an error, none. Returns when the wish is durable.
    pub async fn stop(&self, tasks: Vec<TaskId>, cause: Cause) -> Result<Vec<Stopping>, RequestError> {
        match self.ask(|reply| Message::Stop { tasks, cause, reply }).await?? {
            Answer::Stopping(outcomes) => Ok(outcomes),
            _ => Err(gone()),
        }
    }

    /// Wants all of `tasks` started anew or, on an error, none. Returns when the wish is durable.
    pub async fn restart(&self, tasks: Vec<TaskId>, cause: Cause) -> Result<Vec<Restarted>, RequestError> {
        match self.ask(|reply| Message::Restart { tasks, cause, reply }).await?? {
            Answer::Restarted(outcomes) => Ok(outcomes),
            _ => Err(gone()),
        }
    }

    /// Counts on a lost worker of an earlier run no more. Returns when that is durable.
    pub async fn forget(&self, worker: WorkerId, cause: Cause) -> Result<Forgotten, RequestError> {
        match self.ask(|reply| Message::Forget { worker, cause, reply }).await?? {
            Answer::Forgotten(forgotten) => Ok(forgotten),
            _ => Err(gone()),
        }
    }

    /// Takes over what the workers have and the store does not. Returns when that is durable.
    pub async fn recover(&self, cause: Cause) -> Result<Recovered, RequestError> {
        match self.ask(|reply| Message::Recover { cause, reply }).await?? {
            Answer::Recovered(recovered) => Ok(recovered),
            _ => Err(gone()),
        }
    }

    /// Wants a worker cordoned, drained or back. Returns when the wish is durable; the feed tells how it goes on.
    pub async fn set_availability(&self, wish: WorkerWish, cause: Cause) -> Result<Drained, RequestError> {
        match self.ask(|reply| Message::SetAvailability { wish, cause, reply }).await?? {
            Answer::Availability(drained) => Ok(drained),
            _ => Err(gone()),
        }
    }

    /// Evens out the load, or tells how it could be. Returns when it is under way; the feed tells how it goes on.
    pub async fn rebalance(&self, wish: RebalanceWish) -> Result<Rebalanced, RequestError> {
        match self.ask(|reply| Message::Rebalance { wish, reply }).await?? {
            Answer::Rebalanced(rebalanced) => Ok(*rebalanced),
            _ => Err(gone()),
        }
    }

    /// Decides how workers are selected from now on, and tells it. Returns when that is durable.
    pub async fn set_scheduling(
        &self,
        scheduling: Scheduling,
        cause: Cause,
    ) -> Result<Settings, RequestError> {
        match self.ask(|reply| Message::SetScheduling { scheduling, cause, reply }).await?? {
            Answer::Scheduling(settings) => Ok(settings),
            _ => Err(gone()),
        }
    }

    /// Why the task that is called so is where it is. The first `most` workers are told one by one.
    pub async fn why(&self, task: String, most: usize) -> Result<Result<Why, FindError>, RequestError> {
        self.ask(|reply| Message::Why { task, most, reply }).await?
    }

    /// Where these would go if they were submitted now. Changes nothing.
    pub async fn plan(&self, events: Vec<TaskEvent>) -> Result<Plan, RequestError> {
        self.ask(|reply| Message::Plan { events, reply }).await?
    }

    /// A worker that has joined is where `joined` says. Returns when that is durable.
    pub async fn worker_joined(
        &self,
        worker: WorkerId,
        joined: Joined,
        cause: Cause,
    ) -> Result<(), RequestError> {
        self.ask(|reply| Message::Joined { worker, joined, cause, reply }).await?.map(drop)
    }

    /// A worker was thrown out. Returns when that is durable.
    pub async fn worker_left(&self, worker: WorkerId, cause: Cause) -> Result<(), RequestError> {
        self.ask(|reply| Message::Left { worker, cause, reply }).await?.map(drop)
    }

    /// Other secrets are set than before.
    pub(super) async fn secrets_changed(&self) -> Result<(), RequestError> {
        self.driver.send(Message::SecretsChanged).await.map_err(|_| gone())
    }

    /// The cluster as it is now.
    pub async fn snapshot(&self) -> Result<Cluster, RequestError> {
        self.ask(Message::Snapshot).await?
    }

    /// The cluster as it is now, and everything after it.
    pub async fn watch(
        &self,
    ) -> Result<(Cluster, BoxStream<'static, Result<FeedItem, RequestError>>), RequestError> {
        match self.ask(|reply| Message::Watch { since: None, reply }).await?? {
            Watched::Anew(cluster, stream) => Ok((*cluster, stream.0)),
            Watched::Since(..) => Err(gone()),
        }
    }

    /// Everything after `mark`, or the whole again where that is no longer kept.
    pub async fn resume(&self, mark: Mark) -> Result<Resumed, RequestError> {
        match self.ask(|reply| Message::Watch { since: Some(mark), reply }).await?? {
            Watched::Anew(cluster, stream) => Ok(Resumed::Anew(cluster, stream.0)),
            Watched::Since(missed, stream) => {
                let missed = missed.into_iter().map(|change| Ok(FeedItem::Change(change)));
                Ok(Resumed::Items(stream::iter(missed).chain(stream.0).boxed()))
            }
        }
    }

    /// The same as [`Self::resume`] for who is far away; `None` where the wanted is no longer kept.
    pub(super) async fn pages(&self, since: Mark) -> Result<Option<Pages>, RequestError> {
        self.ask(|reply| Message::Pages { since, reply }).await?
    }

    /// Looks at the cluster in the driver's turn: `look` must not take long.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Cluster) -> T + Send + 'static,
    ) -> Result<T, RequestError> {
        self.ask(|reply| {
            Message::Read(Question(Box::new(move |cluster| {
                // Who asked may have gone away meanwhile.
                let _ = reply.send(cluster.map(look));
            })))
        })
        .await?
    }

    pub(super) async fn places(&self, tasks: Vec<TaskId>) -> Result<Vec<Option<Place>>, RequestError> {
        self.ask(|reply| Message::Places(tasks, reply)).await
    }

    pub(super) async fn feed(&self) -> Result<FeedStream, RequestError> {
        self.ask(Message::Feed).await
    }

    async fn ask<T>(&self, message: impl FnOnce(oneshot::Sender<T>) -> Message) -> Result<T, RequestError> {
        let (reply, answer) = oneshot::channel();
        self.driver.send(message(reply)).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())
    }
}

fn gone() -> RequestError {
    RequestError::Unreachable("the manager has stopped or started anew".to_owned())
}
