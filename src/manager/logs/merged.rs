//! Several tasks' streams as one: a reader for each, whose lines are merged as they are asked for. Knows no worker.

use std::collections::HashMap;
use std::task::Poll;

use futures_util::{StreamExt as _, stream};
use jiff::{SignedDuration, Timestamp};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::merge::{Merge, Next};
use super::task_logs::{Said, TaskLogs};
use super::{LogItem, LogItems, Place};
use crate::cluster::FeedItem;
use crate::manager::Handle;
use crate::manager::message::FeedStream;
use crate::task::TaskId;
use crate::worker::runtime::LogsQuery;

/// Lines on the way from a reader: enough to hand many over at once.
const ON_THE_WAY: usize = 256;

/// Older than this when it came, a line was not written just now.
const OLD: SignedDuration = SignedDuration::from_secs(2);

struct Merged {
    merge: Merge<Timestamp, LogItem>,
    readers: Vec<mpsc::Receiver<Said>>,
    /// The time of each stream's last line, which what has no time of its own stands behind.
    times: Vec<Timestamp>,
    /// Ended when this is dropped: nobody reads any more.
    tasks: JoinSet<()>,
    is_over: bool,
}

pub(super) fn merged(
    handle: Handle,
    tasks: Vec<(TaskId, Place)>,
    query: LogsQuery,
    feed: Option<FeedStream>,
) -> LogItems {
    let now = Instant::now();
    let mut merged = Merged {
        merge: Merge::new(tasks.len(), !query.follow, now),
        readers: Vec::new(),
        times: vec![Timestamp::MIN; tasks.len()],
        tasks: JoinSet::new(),
        is_over: false,
    };
    let mut places = HashMap::new();
    for (task, place) in tasks {
        let (place, place_rx) = watch::channel(Some(place));
        let (items, items_rx) = mpsc::channel(ON_THE_WAY);
        merged.readers.push(items_rx);
        merged.tasks.spawn(TaskLogs::new(task, query, place_rx, items).run());
        places.insert(task, place);
    }
    if let Some(feed) = feed {
        merged.tasks.spawn(keep_up(handle, feed, places));
    }
    stream::unfold(merged, |mut merged| async move {
        let item = merged.next().await?;
        Some((Ok(item), merged))
    })
    .boxed()
}

impl Merged {
    async fn next(&mut self) -> Option<LogItem> {
        if self.is_over {
            return None;
        }
        loop {
            self.fill(false).await;
            let until = match self.merge.next(Instant::now()) {
                Next::Line(item) => return Some(item),
                Next::End => {
                    self.is_over = true;
                    return Some(LogItem::End);
                }
                Next::Wait(until) => until,
            };
            let due = async {
                match until {
                    Some(until) => tokio::time::sleep_until(until).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = self.fill(true) => {}
                () = due => {}
            }
        }
    }

    /// Takes in what the readers have, as far as there is room; with `waits`, not before one has something.
    async fn fill(&mut self, waits: bool) {
        std::future::poll_fn(|context| {
            let mut has_news = false;
            for (index, reader) in self.readers.iter_mut().enumerate() {
                while self.merge.has_room(index) {
                    match reader.poll_recv(context) {
                        Poll::Ready(Some(Said::Opened)) => self.merge.opened(index, Instant::now()),
                        Poll::Ready(Some(Said::Item(item))) => {
                            if let LogItem::Line(line) = &item {
                                self.times[index] = line.time;
                            }
                            let time = self.times[index];
                            let is_old = Timestamp::now().duration_since(time) > OLD;
                            self.merge.push(index, time, Instant::now(), is_old, item);
                        }
                        Poll::Ready(None) => self.merge.ended(index),
                        Poll::Pending => break,
                    }
                    has_news = true;
                }
            }
            if has_news || !waits { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }
}

/// Tells each task's reader when its task has changed, or its worker.
async fn keep_up(handle: Handle, feed: FeedStream, places: HashMap<TaskId, watch::Sender<Option<Place>>>) {
    let mut feed = feed.0;
    loop {
        let concerned: Vec<TaskId> = match feed.next().await {
            Some(Ok(FeedItem::Change(change))) => {
                let tasks = change.what.task_id().into_iter().chain(change.what.collected().iter().copied());
                tasks.filter(|task| places.contains_key(task)).collect()
            }
            Some(Ok(FeedItem::Sample(_) | FeedItem::Progress(_))) => continue,
            // It fell behind, or the manager begins anew: everything may have changed.
            Some(Err(_)) | None => {
                let Ok(again) = handle.feed().await else { return };
                feed = again.0;
                places.keys().copied().collect()
            }
        };
        if concerned.is_empty() {
            continue;
        }
        let Ok(now) = handle.places(concerned.clone()).await else { return };
        for (task, place) in concerned.iter().zip(now) {
            if let Some(sender) = places.get(task) {
                sender.send_replace(place);
            }
        }
    }
}
