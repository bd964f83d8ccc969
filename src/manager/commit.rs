//! The committer: one thread that makes Changes durable, several batches in one commit, and only then lets loose
//! what was decided with them. Nothing it does after a commit waits for anyone.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::runtime;
use tokio::sync::{mpsc, oneshot};
use tokio_util::task::TaskTracker;

use super::decide::{Answer, Wish};
use super::feed::FeedSender;
use super::link::Parcel;
use super::message::Reply;
use super::metrics::Metrics;
use super::request::RequestError;
use super::store::{Store, StoreError};
use crate::cluster::{Change, Cluster};
use crate::task::{Task, WorkerId};

/// Batches that may wait for the disk; the driver waits when there are more.
const BATCHES: usize = 64;

/// Without a batch for this long, the store does what it has put off: longer than clients that wait for an answer are
/// silent between two of their requests.
const QUIET: Duration = Duration::from_millis(20);

/// Without a batch for this long, the store is looked after.
const LOOK_AFTER: Duration = Duration::from_secs(5);

/// What was decided in one turn of the driver.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) changes: Vec<Arc<Change>>,
    pub(super) work: Vec<Work>,
    /// Links that began and ended meanwhile, before any of this work.
    pub(super) links: Vec<(WorkerId, Option<mpsc::Sender<Parcel>>)>,
}

/// What is done once the Changes are durable.
#[derive(Debug)]
pub(super) enum Work {
    Send { worker: WorkerId, wish: Wish, task: Task },
    RenewLease { worker: WorkerId, since_boot_ms: u64 },
    Answer { reply: Reply, answer: Result<Answer, RequestError> },
}

type Outboxes = HashMap<WorkerId, mpsc::Sender<Parcel>>;

enum Order {
    /// From now on Changes go to this feed and work to these links.
    Begin(FeedSender, Outboxes),
    Commit(Batch),
    Reload(oneshot::Sender<Result<Cluster, StoreError>>),
}

/// The way to the committing thread.
pub(super) struct Committer(mpsc::Sender<Order>);

impl Committer {
    /// Starts the thread. It ends when the Committer is dropped; the receiver tells of failed commits.
    pub(super) fn spawn(
        tracker: &TaskTracker,
        store: Box<dyn Store>,
        metrics: Metrics,
    ) -> (Self, mpsc::Receiver<String>) {
        let (orders, inbox) = mpsc::channel(BATCHES);
        let (failed, failures) = mpsc::channel(1);
        let store = Box::new(Measured { store, metrics });
        tracker.spawn_blocking(move || run(store, inbox, &failed));
        (Self(orders), failures)
    }

    pub(super) async fn begin(&self, feed: FeedSender, outboxes: Outboxes) {
        // Fails only if the thread panicked; the next commit tells.
        let _ = self.0.send(Order::Begin(feed, outboxes)).await;
    }

    /// False when the thread is gone.
    pub(super) async fn commit(&self, batch: Batch) -> bool {
        if batch.changes.is_empty() && batch.work.is_empty() && batch.links.is_empty() {
            return true;
        }
        self.0.send(Order::Commit(batch)).await.is_ok()
    }

    /// What the store holds, after a commit failed; until then further batches are refused.
    pub(super) async fn reload(&self) -> Result<Cluster, String> {
        let gone = |()| "its thread is gone".to_owned();
        let (reply, answer) = oneshot::channel();
        self.0.send(Order::Reload(reply)).await.map_err(|_| gone(()))?;
        answer.await.map_err(|_| gone(()))?.map_err(|error| error.to_string())
    }
}

/// A store whose commits are counted and timed.
struct Measured {
    store: Box<dyn Store>,
    metrics: Metrics,
}

impl Store for Measured {
    fn load(&mut self) -> Result<Cluster, StoreError> {
        self.store.load()
    }

    fn append(&mut self, changes: &[Arc<Change>]) -> Result<(), StoreError> {
        let began = Instant::now();
        let result = self.store.append(changes);
        self.metrics.committed(changes.len(), began.elapsed(), result.is_ok());
        result
    }

    fn look_after(&mut self) -> Result<(), StoreError> {
        self.store.look_after()
    }

    fn has_put_off(&self) -> bool {
        self.store.has_put_off()
    }

    fn catch_up(&mut self) -> Result<(), StoreError> {
        self.store.catch_up()
    }
}

fn run(mut store: Box<dyn Store>, mut inbox: mpsc::Receiver<Order>, failed: &mpsc::Sender<String>) {
    let mut orders = Vec::with_capacity(BATCHES);
    let (mut changes, mut work) = (Vec::new(), Vec::new());
    let mut target: Option<(FeedSender, Outboxes)> = None;
    let mut failure: Option<String> = None;
    loop {
        let may_catch_up = failure.is_none() && store.has_put_off();
        let patience = if may_catch_up { QUIET } else { LOOK_AFTER };
        let done = match receive(&mut inbox, &mut orders, patience) {
            Some(0) => break,
            None if may_catch_up => store.catch_up(),
            None if failure.is_none() => store.look_after(),
            Some(_) | None => Ok(()),
        };
        if let Err(error) = done {
            fail(&error, &mut failure, failed);
        }
        for order in orders.drain(..) {
            match order {
                Order::Commit(batch) => {
                    if let Some((_, outboxes)) = &mut target {
                        relink(outboxes, batch.links);
                    }
                    changes.extend(batch.changes);
                    work.extend(batch.work);
                }
                Order::Begin(feed, outboxes) => target = Some((feed, outboxes)),
                Order::Reload(reply) => {
                    // What waits was decided on top of what failed: it goes the same way.
                    settle(&mut *store, &mut changes, &mut work, target.as_ref(), &mut failure, failed);
                    failure = None;
                    let _ = reply.send(store.load());
                }
            }
        }
        settle(&mut *store, &mut changes, &mut work, target.as_ref(), &mut failure, failed);
    }
    // Nobody looks after it any more.
    if let Err(error) = store.look_after() {
        tracing::error!("{error}");
    }
}

/// Waits for orders, and tells how many came: 0 when there will be no more, `None` if none came for so long.
fn receive(inbox: &mut mpsc::Receiver<Order>, orders: &mut Vec<Order>, patience: Duration) -> Option<usize> {
    let received = async { tokio::time::timeout(patience, inbox.recv_many(orders, BATCHES)).await };
    runtime::Handle::current().block_on(received).ok()
}

fn fail(error: &StoreError, failure: &mut Option<String>, failed: &mpsc::Sender<String>) {
    let why = error.to_string();
    *failure = Some(why.clone());
    // A full channel holds the same news already.
    let _ = failed.try_send(why);
}

/// Commits, then lets loose; or, after a failure, refuses.
fn settle(
    store: &mut dyn Store,
    changes: &mut Vec<Arc<Change>>,
    work: &mut Vec<Work>,
    target: Option<&(FeedSender, Outboxes)>,
    failure: &mut Option<String>,
    failed: &mpsc::Sender<String>,
) {
    if failure.is_none()
        && !changes.is_empty()
        && let Err(error) = store.append(changes)
    {
        fail(&error, failure, failed);
    }
    match (&*failure, target) {
        (None, Some((feed, outboxes))) => {
            feed.changes(changes);
            for work in work.drain(..) {
                release(work, outboxes);
            }
        }
        (why, _) => {
            let why = why.as_deref().unwrap_or("the manager has not begun");
            for work in work.drain(..) {
                if let Work::Answer { reply, .. } = work {
                    let _ = reply.send(Err(RequestError::Store(why.to_owned())));
                }
            }
        }
    }
    changes.clear();
}

fn relink(outboxes: &mut Outboxes, links: Vec<(WorkerId, Option<mpsc::Sender<Parcel>>)>) {
    for (worker, outbox) in links {
        match outbox {
            Some(outbox) => _ = outboxes.insert(worker, outbox),
            None => _ = outboxes.remove(&worker),
        }
    }
}

fn release(work: Work, outboxes: &Outboxes) {
    match work {
        // Who asked may have gone away meanwhile.
        Work::Answer { reply, answer } => _ = reply.send(answer),
        Work::RenewLease { worker, since_boot_ms } => {
            if let Some(outbox) = outboxes.get(&worker) {
                // One that finds no room is made up for by the next.
                let _ = outbox.try_send(Parcel::RenewLease { since_boot_ms });
            }
        }
        Work::Send { worker, wish, task } => {
            let Some(outbox) = outboxes.get(&worker) else { return };
            if let Err(error) = outbox.try_send(Parcel::Wish { wish, task }) {
                // The core lets no more be under way than an outbox holds.
                tracing::error!("a {wish:?} for {worker} was lost: {error}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Has put something off, and tells when it is done.
    struct Behind(Option<oneshot::Sender<()>>);

    impl Store for Behind {
        fn load(&mut self) -> Result<Cluster, StoreError> {
            Ok(Cluster::default())
        }

        fn append(&mut self, _: &[Arc<Change>]) -> Result<(), StoreError> {
            Ok(())
        }

        fn has_put_off(&self) -> bool {
            self.0.is_some()
        }

        fn catch_up(&mut self) -> Result<(), StoreError> {
            self.0.take().map_or(Ok(()), |told| told.send(())).unwrap();
            Ok(())
        }
    }

    #[tokio::test]
    async fn while_nothing_is_to_be_committed_the_store_catches_up() {
        let (told, caught_up) = oneshot::channel();
        let tracker = TaskTracker::new();
        let (committer, _failures) =
            Committer::spawn(&tracker, Box::new(Behind(Some(told))), Metrics::default());
        tokio::time::timeout(Duration::from_secs(10), caught_up).await.unwrap().unwrap();
        drop(committer);
        tracker.close();
        tracker.wait().await;
    }
}
