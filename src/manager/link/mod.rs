//! The link to one worker: carries wishes there and reports back. Decides nothing; a hung worker holds up only
//! its own link.

mod given;
mod outbox;
mod reports;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::decide::{Input, MOST_IN_FLIGHT, Wish};
use super::feed::FeedSender;
use super::message::Message;
use super::metrics::Metrics;
use super::secrets::Secrets;
use crate::cluster::Peer;
use crate::task::{Task, WorkerId};
use crate::worker::WorkerClient;

/// Room for all that the core lets be under way at once, starts and stops.
const OUTBOX: usize = 2 * MOST_IN_FLIGHT + RENEWALS;

/// Renewals of a lease that wait at most; a later one makes up for one that is dropped.
const RENEWALS: usize = 64;

/// Something on its way to a worker.
#[derive(Debug)]
pub(super) enum Parcel {
    Wish { wish: Wish, task: Task },
    RenewLease { since_boot_ms: u64 },
}

/// What both halves of a link share.
#[derive(Clone, Debug)]
struct Link {
    worker: WorkerId,
    client: WorkerClient,
    /// `None`: this worker gets none.
    secrets: Option<Secrets>,
    driver: mpsc::Sender<Message>,
    feed: FeedSender,
    cancel: CancellationToken,
    metrics: Metrics,
}

impl Link {
    /// Tells the core. False when the driver is gone.
    async fn tell(&self, input: Input) -> bool {
        self.driver.send(Message::Input(input)).await.is_ok()
    }
}

/// Starts the link to `worker`, and hands out the way in.
pub(super) fn spawn(
    tracker: &TaskTracker,
    worker: WorkerId,
    (client, secrets): (WorkerClient, Option<Secrets>),
    driver: mpsc::Sender<Message>,
    feed: FeedSender,
    cancel: CancellationToken,
    metrics: Metrics,
) -> mpsc::Sender<Parcel> {
    let (parcels, outbox) = mpsc::channel(OUTBOX);
    let (peer_sender, peer) = tokio::sync::watch::channel(Peer::Unknown);
    let link = Link { worker, client, secrets, driver, feed, cancel, metrics };
    tracker.spawn(outbox::run(link.clone(), outbox, peer));
    tracker.spawn(reports::run(link, peer_sender));
    parcels
}
