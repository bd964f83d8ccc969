//! The driver: owns the Manager, feeds it inputs, and runs what it decides once that is durable.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::commit::{Batch, Committer, Work};
use super::decide::{ConfiguredWorker, Decision, Effect, Input, Manager, Now, RequestId};
use super::failure::{Failure, caught};
use super::feed::{self, FeedSender};
use super::link::{self, Parcel};
use super::logs::{Place, WorkerPlace};
use super::message::{FeedStream, Message, Pages, Reply, Watched};
use super::metrics::Metrics;
use super::request::{RequestError, Scheduling, WorkerWish};
use super::secrets::Secrets;
use super::store::{Store, StoreError};
use super::why::Why;
use super::workers::Workers;
use crate::cluster::{FindError, Joined, Peer};
use crate::task::{TaskId, WorkerId};
use crate::worker::WorkerClient;

/// Messages that may wait for the driver; who finds it full waits.
const MESSAGES: usize = 4_096;

/// Messages decided on before their Changes go to the store together.
const MESSAGES_A_TURN: usize = 512;

/// A manager at work.
#[derive(Debug)]
pub struct Started {
    pub handle: super::Handle,
    tracker: TaskTracker,
}

impl Started {
    /// Waits until it has stopped: after the token was cancelled, everything accepted is in the store.
    pub async fn stopped(self) {
        self.tracker.close();
        self.tracker.wait().await;
    }
}

/// Reads the store and starts to manage. Needs a tokio runtime.
pub fn start(
    workers: Workers,
    mut store: Box<dyn Store>,
    cancel: &CancellationToken,
) -> Result<Started, StoreError> {
    let cluster = store.load()?;
    let tracker = TaskTracker::new();
    let (sender, messages) = mpsc::channel(MESSAGES);
    let metrics = Metrics::default();
    let driver = Driver {
        manager: Manager::new(cluster),
        clock: Clock(Instant::now()),
        workers,
        sender: sender.clone(),
        replies: HashMap::new(),
        next_request: 0,
        links: None,
        joined: HashMap::new(),
        cancel: cancel.clone(),
        tracker: tracker.clone(),
        pages: feed::Pages::default(),
        metrics: metrics.clone(),
    };
    tracker.spawn(driver.run(messages, store));
    Ok(Started { handle: super::Handle::new(sender, metrics), tracker })
}

/// Tells both times.
#[derive(Clone, Copy, Debug)]
struct Clock(Instant);

impl Clock {
    fn now(self) -> Now {
        Now { wall: Timestamp::now(), since_start: self.0.elapsed() }
    }

    fn at(self, since_start: Duration) -> tokio::time::Instant {
        (self.0 + since_start).into()
    }
}

struct Driver {
    manager: Manager,
    clock: Clock,
    workers: Workers,
    sender: mpsc::Sender<Message>,
    replies: HashMap<RequestId, Reply>,
    next_request: RequestId,
    /// Ends the links of this run of the manager.
    links: Option<CancellationToken>,
    /// Ends the link to one worker that has joined.
    joined: HashMap<WorkerId, CancellationToken>,
    cancel: CancellationToken,
    tracker: TaskTracker,
    pages: feed::Pages,
    metrics: Metrics,
}

impl Driver {
    async fn run(mut self, mut messages: mpsc::Receiver<Message>, store: Box<dyn Store>) {
        let (committer, mut failures) = Committer::spawn(&self.tracker, store, self.metrics.clone());
        let mut feed = FeedSender::new();
        let mut failed = self.begin(&committer, &mut feed).await.err();
        let mut turn = Vec::with_capacity(MESSAGES_A_TURN);
        loop {
            let wake = match &failed {
                Some(failure) => Some(failure.retry_at),
                None => self.manager.next_wake().map(|due| self.clock.at(due)),
            };
            tokio::select! {
                () = self.cancel.cancelled() => break,
                received = messages.recv_many(&mut turn, MESSAGES_A_TURN) => {
                    if received == 0 { break }
                }
                () = sleep_until(wake) => {
                    if failed.is_some() {
                        failed = self.begin_again(&committer, &mut feed).await.err();
                        continue;
                    }
                    turn.push(Message::Input(Input::Tick));
                }
                Some(why) = failures.recv() => failed = Some(self.halt(why, &feed)),
            }
            let mut batch = Batch::default();
            for message in turn.drain(..) {
                if let Some(failure) = &failed {
                    failure.refuse(message);
                } else if let Err(why) = caught(|| self.take(message, &mut batch, &feed)) {
                    failed = Some(self.halt(why, &feed));
                }
            }
            // Also what was decided before a fault: it was whole.
            if !committer.commit(batch).await {
                break;
            }
        }
        if let Some(links) = self.links.take() {
            links.cancel();
        }
    }

    /// Promises nothing more until all of it is read again: what is known may be ahead of what is stored.
    fn halt(&mut self, why: String, feed: &FeedSender) -> Failure {
        tracing::error!("{why}; trying again every second");
        if let Some(links) = self.links.take() {
            links.cancel();
        }
        // Who watches sees no more of it until it is well again, and is told why.
        feed.cut(RequestError::OutOfOrder(why.clone()));
        for (_, reply) in self.replies.drain() {
            let _ = reply.send(Err(RequestError::OutOfOrder(why.clone())));
        }
        Failure::new(why)
    }

    async fn begin_again(&mut self, committer: &Committer, feed: &mut FeedSender) -> Result<(), Failure> {
        let cluster = committer.reload().await.map_err(Failure::new)?;
        self.manager = Manager::new(cluster);
        self.begin(committer, feed).await
    }

    /// Starts the manager on what was loaded: links to the workers, a feed for new watchers.
    async fn begin(&mut self, committer: &Committer, feed: &mut FeedSender) -> Result<(), Failure> {
        *feed = FeedSender::new();
        self.pages = feed::Pages::default();
        let links = self.cancel.child_token();
        let mut outboxes = HashMap::new();
        let mut workers = Vec::new();
        for worker in self.workers.named() {
            let client = self.workers.client_of_named(worker);
            // Over plain HTTP they stay on this machine.
            let secrets = self.workers.secrets().filter(|_| !worker.insecure).cloned();
            let outbox = self.link(feed, worker.id.clone(), (client, secrets), links.clone());
            outboxes.insert(worker.id.clone(), outbox);
            workers.push(ConfiguredWorker { id: worker.id.clone(), insecure: worker.insecure });
        }
        self.links = Some(links);
        self.joined.clear();
        committer.begin(feed.clone(), outboxes).await;
        let mut batch = Batch::default();
        let joined = self.manager.cluster().workers().iter();
        let joined: Vec<_> =
            joined.filter_map(|worker| Some((worker.id.clone(), worker.joined.clone()?))).collect();
        for (worker, joined) in joined {
            self.link_joined(feed, worker, &joined, &mut batch);
        }
        let decided = caught(|| {
            for input in [self.secrets(), Input::Started { workers }] {
                let decision = self.manager.handle(self.clock.now(), input);
                self.hand_over(decision, &mut batch, feed);
            }
        });
        committer.commit(batch).await;
        decided.map_err(|why| self.halt(why, feed))
    }

    fn link(
        &self,
        feed: &FeedSender,
        worker: WorkerId,
        (client, secrets): (WorkerClient, Option<Secrets>),
        cancel: CancellationToken,
    ) -> mpsc::Sender<Parcel> {
        link::spawn(
            &self.tracker,
            worker,
            (client, secrets),
            self.sender.clone(),
            feed.clone(),
            cancel,
            self.metrics.clone(),
        )
    }

    /// Starts a link to a worker that has joined, in the place of one to where it was before.
    fn link_joined(&mut self, feed: &FeedSender, worker: WorkerId, joined: &Joined, batch: &mut Batch) {
        self.unlink(worker.clone(), batch);
        let Some(client) = self.workers.client_of_joined(joined) else {
            // It stays silent, and is lost soon.
            return tracing::warn!("the certificate of {worker} does not count any more: it is not asked");
        };
        let Some(links) = &self.links else { return };
        let cancel = links.child_token();
        let given = (client, self.workers.secrets().cloned());
        let outbox = self.link(feed, worker.clone(), given, cancel.clone());
        self.joined.insert(worker.clone(), cancel);
        batch.links.push((worker, Some(outbox)));
    }

    fn unlink(&mut self, worker: WorkerId, batch: &mut Batch) {
        if let Some(link) = self.joined.remove(&worker) {
            link.cancel();
            batch.links.push((worker, None));
        }
    }

    fn take(&mut self, message: Message, batch: &mut Batch, feed: &FeedSender) {
        let input = match message {
            Message::Input(input) => input,
            Message::Submit { events, cause, reply } => {
                Input::Submit { request: self.expect(reply), cause, events }
            }
            Message::Stop { tasks, cause, reply } => {
                Input::Stop { request: self.expect(reply), cause, tasks }
            }
            Message::Restart { tasks, cause, reply } => {
                Input::Restart { request: self.expect(reply), cause, tasks }
            }
            Message::Forget { worker, cause, reply } => {
                Input::Forget { request: self.expect(reply), cause, worker }
            }
            Message::Recover { cause, reply } => Input::Recover { request: self.expect(reply), cause },
            Message::SetAvailability { wish: WorkerWish { worker, wish }, cause, reply } => {
                Input::SetAvailability { request: self.expect(reply), cause, worker, wish }
            }
            Message::Rebalance { wish, reply } => Input::Rebalance { request: self.expect(reply), wish },
            Message::SetScheduling { scheduling: Scheduling { scheduler, overcommit }, cause, reply } => {
                let request = Some(self.expect(reply));
                Input::SetScheduling { request, cause, scheduler, overcommit }
            }
            Message::Why { task, most, reply } => {
                let _ = reply.send(Ok(self.why(task, most)));
                return;
            }
            Message::Plan { events, reply } => {
                match self.manager.planner(self.clock.now(), events) {
                    // It may take as long as the submit would: not in this turn.
                    Ok(planner) => drop(self.tracker.spawn_blocking(|| reply.send(Ok(planner.plan())))),
                    Err(error) => _ = reply.send(Err(error)),
                }
                return;
            }
            Message::Joined { worker, joined, cause, reply } => {
                Input::WorkerJoined { request: self.expect(reply), cause, worker, joined }
            }
            Message::Left { worker, cause, reply } => {
                Input::WorkerLeft { request: self.expect(reply), cause, worker }
            }
            Message::SecretsChanged => self.secrets(),
            Message::Watch { since, reply } => {
                let cluster = self.manager.cluster();
                let stream = FeedStream(Box::pin(feed.watch()));
                // Who asked may have gone away meanwhile.
                let _ = reply.send(Ok(match since.and_then(|mark| cluster.since(mark)) {
                    Some(missed) => Watched::Since(missed, stream),
                    None => Watched::Anew(Box::new(cluster.clone()), stream),
                }));
                return;
            }
            Message::Pages { since, reply } => {
                let cluster = self.manager.cluster();
                let _ = reply.send(Ok(cluster.since(since).map(|missed| Pages {
                    missed,
                    revision: cluster.revision(),
                    stream: Box::pin(self.pages.read(feed)),
                })));
                return;
            }
            Message::Read(question) => {
                (question.0)(Ok(self.manager.cluster()));
                return;
            }
            Message::Snapshot(reply) => {
                let _ = reply.send(Ok(self.manager.cluster().clone()));
                return;
            }
            Message::Places(tasks, reply) => {
                let _ = reply.send(tasks.into_iter().map(|task| self.place(task)).collect());
                return;
            }
            Message::Feed(reply) => {
                let _ = reply.send(FeedStream(Box::pin(feed.watch())));
                return;
            }
        };
        self.metrics.input(&input);
        let decision = self.manager.handle(self.clock.now(), input);
        self.hand_over(decision, batch, feed);
    }

    fn secrets(&self) -> Input {
        Input::Secrets { names: self.workers.secrets().map(Secrets::names).unwrap_or_default() }
    }

    fn why(&self, called: String, most: usize) -> Result<Why, FindError> {
        let task = self.manager.cluster().find(&called)?;
        self.manager.why(self.clock.now(), task, most).ok_or(FindError::None(called))
    }

    /// Where a task's container is to be found.
    fn place(&self, task: TaskId) -> Option<Place> {
        let cluster = self.manager.cluster();
        let record = cluster.task(task)?;
        let worker = cluster.worker_of(task).and_then(|id| {
            let peer = cluster.worker(id).map_or(Peer::Unknown, |worker| worker.peer);
            Some(WorkerPlace { id: id.clone(), peer, client: self.client_of(id)? })
        });
        Some(Place::of(&record, worker))
    }

    /// The one way to a worker's API; `None` for one that this start does not know.
    fn client_of(&self, id: &WorkerId) -> Option<WorkerClient> {
        self.workers.client(self.manager.cluster().worker(id)?).map(|(client, _)| client)
    }

    fn expect(&mut self, reply: Reply) -> RequestId {
        self.next_request += 1;
        self.replies.insert(self.next_request, reply);
        self.next_request
    }

    /// Adds a decision to what is committed next, with the replies that its answers go to.
    fn hand_over(&mut self, decision: Decision, batch: &mut Batch, feed: &FeedSender) {
        batch.changes.extend(decision.changes);
        for effect in decision.effects {
            match effect {
                Effect::Send { worker, wish, task } => batch.work.push(Work::Send { worker, wish, task }),
                Effect::RenewLease { worker, since_boot_ms } => {
                    batch.work.push(Work::RenewLease { worker, since_boot_ms });
                }
                Effect::Link { worker, joined } => self.link_joined(feed, worker, &joined, batch),
                Effect::Unlink { worker } => self.unlink(worker, batch),
                Effect::Answer { request, answer } => {
                    if let Some(reply) = self.replies.remove(&request) {
                        batch.work.push(Work::Answer { reply, answer });
                    }
                }
            }
        }
    }
}

async fn sleep_until(wake: Option<tokio::time::Instant>) {
    match wake {
        Some(wake) => tokio::time::sleep_until(wake).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt as _;

    use super::super::store::MemoryStore;
    use super::*;
    use crate::client::http_client;
    use crate::cluster::Cause;
    use crate::task::{Task, TaskEvent, TaskSpec};

    fn wanted() -> Vec<TaskEvent> {
        let spec = TaskSpec { image: "busy:1".into(), ..TaskSpec::default() };
        vec![TaskEvent::start(
            Task { id: TaskId::random(), spec: spec.into(), ..Task::default() },
            Timestamp::now(),
        )]
    }

    #[tokio::test]
    async fn a_fault_of_its_own_costs_a_moment_and_nothing_that_was_accepted() {
        let (workers, cancel) = (Workers::new(Vec::new(), http_client()), CancellationToken::new());
        let started = start(workers, Box::new(MemoryStore::default()), &cancel).unwrap();
        let handle = &started.handle;
        let submitted = handle.submit(wanted(), Cause::Command).await.unwrap();
        let (_, mut watched) = handle.watch().await.unwrap();

        let fault = handle.read(|_| panic!("on purpose")).await.map(|()| "answered");
        assert!(matches!(fault, Err(RequestError::Unreachable(_))), "{fault:?}");
        let told = loop {
            match watched.next().await {
                Some(Ok(_)) => {}
                other => break other,
            }
        };
        let Some(Err(RequestError::OutOfOrder(why))) = &told else { panic!("{told:?}") };
        assert_eq!(why, "a fault of cube-tui's own: on purpose");
        let refused = handle.snapshot().await.unwrap_err();
        assert_eq!(refused, RequestError::OutOfOrder(why.clone()));

        let healed = loop {
            match handle.snapshot().await {
                Ok(cluster) => break cluster,
                Err(_) => tokio::task::yield_now().await,
            }
        };
        assert!(healed.row(submitted[0].task).is_some());
        handle.submit(wanted(), Cause::Command).await.unwrap();
        cancel.cancel();
        started.stopped().await;
    }
}
