//! The way back: a worker's own stream of reports or, where the peer only knows the book's routes, polling.

use std::time::Duration;

use futures_util::StreamExt;
use tokio::sync::watch;

use super::Link;
use crate::cluster::{Capacity, Facts, FeedItem, Peer, Sample, WorkerSample};
use crate::http::ClientError;
use crate::manager::decide::{Input, STALE_AFTER};
use crate::worker::report::{Hello, Report};

/// Between two looks at a worker of the book.
const POLL: Duration = Duration::from_secs(1);

/// After a failed connection, doubled up to the longest: a restarted worker is back on the screen at once, an
/// absent one costs next to nothing.
const FIRST_RETRY: Duration = Duration::from_millis(100);
const LONGEST_RETRY: Duration = Duration::from_secs(2);

pub(super) async fn run(link: Link, peer: watch::Sender<Peer>) {
    let mut retry = FIRST_RETRY;
    loop {
        let end = tokio::select! {
            () = link.cancel.cancelled() => return,
            end = follow(&link, &peer, &mut retry) => end,
        };
        let End::Broken { reason, host_is_there } = end else { return };
        if host_is_there && !link.tell(Input::HostIsThere { worker: link.worker.clone() }).await {
            return;
        }
        if !link.tell(Input::LinkDown { worker: link.worker.clone(), reason }).await {
            return;
        }
        tokio::select! {
            () = link.cancel.cancelled() => return,
            () = tokio::time::sleep(retry) => {}
        }
        retry = (retry * 2).min(LONGEST_RETRY);
    }
}

enum End {
    Broken { reason: String, host_is_there: bool },
    DriverGone,
}

fn broken(reason: impl Into<String>) -> End {
    End::Broken { reason: reason.into(), host_is_there: false }
}

async fn follow(link: &Link, peer: &watch::Sender<Peer>, retry: &mut Duration) -> End {
    match link.client.reports().await {
        Ok(reports) => {
            peer.send_replace(Peer::Cube);
            stream(link, reports, retry).await
        }
        Err(ClientError::Refused { status: 404 | 405, .. }) => {
            peer.send_replace(Peer::Book);
            poll(link, retry).await
        }
        Err(error) => {
            End::Broken { reason: error.to_string(), host_is_there: link.client.host_is_there().await }
        }
    }
}

async fn stream(
    link: &Link,
    reports: impl futures_util::Stream<Item = Result<Report, ClientError>>,
    retry: &mut Duration,
) -> End {
    let mut reports = std::pin::pin!(reports);
    loop {
        let report = match tokio::time::timeout(STALE_AFTER, reports.next()).await {
            Ok(Some(Ok(report))) => report,
            Ok(Some(Err(error))) => return broken(error.to_string()),
            Ok(None) => return broken("it closed the connection"),
            Err(_) => return broken(format!("silent for {} s", STALE_AFTER.as_secs())),
        };
        *retry = FIRST_RETRY;
        let worker = link.worker.clone();
        let input = match report {
            Report::Hello(Hello { identity, capacity, runtime_problem, facts, allows }) => {
                let allows = Some(allows);
                let facts = Facts { identity: Some(identity), ..facts }.into();
                Input::WorkerUp { worker, peer: Peer::Cube, capacity, runtime_problem, facts, allows }
            }
            Report::Tasks(tasks) => Input::WorkerTasks { worker, tasks },
            Report::Task(task) => Input::WorkerTask { worker, task },
            Report::LeaseClock(clock) => Input::LeaseClock { worker, clock },
            Report::Heartbeat { runtime_problem } => Input::Heartbeat { worker, runtime_problem },
            Report::Progress(progress) => {
                link.feed.pass_by(FeedItem::Progress(progress));
                continue;
            }
            Report::Sample(sample) => {
                link.metrics.load(&worker, &sample);
                let load = Sample { tasks: Vec::new(), ..sample.clone() };
                let told = Input::Load { worker: worker.clone(), sample: load.into() };
                link.feed.pass_by(FeedItem::Sample(WorkerSample { worker, sample }.into()));
                told
            }
        };
        if !link.tell(input).await {
            return End::DriverGone;
        }
    }
}

async fn poll(link: &Link, retry: &mut Duration) -> End {
    let mut is_up = false;
    loop {
        let tasks = match link.client.tasks().await {
            Ok(tasks) => tasks,
            Err(error) => return broken(error.to_string()),
        };
        *retry = FIRST_RETRY;
        let worker = link.worker.clone();
        if !is_up {
            let up = Input::WorkerUp {
                worker: worker.clone(),
                peer: Peer::Book,
                capacity: Capacity::default(),
                runtime_problem: String::new(),
                facts: Box::default(),
                allows: None,
            };
            if !link.tell(up).await {
                return End::DriverGone;
            }
            is_up = true;
        }
        let heartbeat = Input::Heartbeat { worker: worker.clone(), runtime_problem: String::new() };
        for input in [Input::WorkerTasks { worker, tasks }, heartbeat] {
            if !link.tell(input).await {
                return End::DriverGone;
            }
        }
        tokio::time::sleep(POLL).await;
    }
}
