//! What one task says, over the restarts and moves of its containers. Knows no other task.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{Stream, StreamExt as _};
use jiff::{SignedDuration, Timestamp};
use tokio::sync::{mpsc, watch};

use super::{LogItem, Place, TaskLine, WorkerPlace};
use crate::cluster::Peer;
use crate::http::ClientError;
use crate::task::TaskId;
use crate::worker::WorkerLog;
use crate::worker::runtime::LogsQuery;

/// After a failure that may pass. A worker that restarts is back within a second or two.
const AGAIN_AFTER: Duration = Duration::from_millis(500);
/// An end may be followed by a new start in the very same commit, which is seen a moment later.
const SETTLED_AFTER: Duration = Duration::from_millis(100);

/// A task that has ended says nothing more: what can't be had of it within some seconds is given up.
const TRIES_AFTER_THE_END: u32 = 10;

/// What a reader hands on.
pub(super) enum Said {
    /// Its container was found: what there is comes now.
    Opened,
    Item(LogItem),
}

/// One task's part of the stream.
pub(super) struct TaskLogs {
    pub(super) task: TaskId,
    pub(super) query: LogsQuery,
    /// Kept up by the feed; without one (nobody follows) it stays as it is.
    pub(super) place: watch::Receiver<Option<Place>>,
    /// Lines that wait here hold up the worker.
    pub(super) items: mpsc::Sender<Said>,
    /// The last line's time, and whose it was.
    last: Option<(u32, Timestamp)>,
    /// The last generation whose container was read.
    generation: Option<u32>,
    /// What was said last about a failure: once is enough.
    told: String,
    /// Failures since something was read last.
    tries: u32,
}

/// How a try to read went.
enum Read {
    /// The container has said all.
    Whole,
    /// Something was in the way, which may pass.
    Broken(String),
    /// There is nothing (yet) to read.
    Nothing(String),
    /// Trying again would not help.
    Refused(String),
    /// Nobody reads any more.
    Unread,
}

type WorkerLogs = Pin<Box<dyn Stream<Item = Result<WorkerLog, ClientError>> + Send>>;

impl TaskLogs {
    pub(super) fn new(
        task: TaskId,
        query: LogsQuery,
        place: watch::Receiver<Option<Place>>,
        items: mpsc::Sender<Said>,
    ) -> Self {
        Self { task, query, place, items, last: None, generation: None, told: String::new(), tries: 0 }
    }

    /// Until the task has ended for good and all was read or, without `follow`, until what is there was.
    pub(super) async fn run(mut self) {
        loop {
            let Some(place) = self.place.borrow_and_update().clone() else {
                return self.none("", "it was collected: it ended long ago").await;
            };
            let read = match &place.worker {
                Some(worker) => self.read(&place, worker).await,
                None => Read::Nothing("it waits for a worker and has said nothing yet".to_owned()),
            };
            if !self.query.follow {
                // A reader that paused for long was cut off at the worker: it goes on where it was.
                if matches!(read, Read::Broken(_)) && self.last.is_some() && self.tries < TRIES_AFTER_THE_END
                {
                    self.tries += 1;
                    tokio::time::sleep(AGAIN_AFTER).await;
                    continue;
                }
                match read {
                    Read::Whole | Read::Unread => {}
                    Read::Nothing(_) if place.is_over => self.none(&place.name, &place.why_none()).await,
                    Read::Nothing(why) => self.note(&place, why).await,
                    Read::Broken(why) | Read::Refused(why) => {
                        self.fail(&place.name, &why).await;
                    }
                }
                return;
            }
            match read {
                Read::Unread => return,
                Read::Refused(why) => return self.fail(&place.name, &why).await,
                Read::Whole => {
                    if self.is_over().await || !self.has_changed(None).await {
                        return;
                    }
                }
                Read::Nothing(_) => {
                    if self.is_over().await {
                        let place = self.place.borrow().clone().unwrap_or(place);
                        if self.generation.is_none() {
                            self.none(&place.name, &place.why_none()).await;
                        }
                        return;
                    }
                    if !self.has_changed(Some(AGAIN_AFTER)).await {
                        return;
                    }
                }
                Read::Broken(why) => {
                    let is_over = self.place.borrow().as_ref().is_none_or(|place| place.is_over);
                    self.tries += 1;
                    if is_over && self.tries > TRIES_AFTER_THE_END {
                        return self.fail(&place.name, &why).await;
                    }
                    if self.told != why {
                        self.note(&place, why.clone()).await;
                        self.told = why;
                    }
                    if !self.has_changed(Some(AGAIN_AFTER)).await {
                        return;
                    }
                }
            }
        }
    }

    /// Whether it ended for good: nothing more is to come.
    async fn is_over(&mut self) -> bool {
        let is_over = |place: &Option<Place>| place.as_ref().is_none_or(|place| place.is_over);
        // What ends a container is heard by its reader before the manager has it.
        if !is_over(&self.place.borrow()) {
            return false;
        }
        tokio::time::sleep(SETTLED_AFTER).await;
        is_over(&self.place.borrow())
    }

    /// Waits for a change, at most for so long. False when nobody reads any more, or no change can come.
    async fn has_changed(&mut self, at_most: Option<Duration>) -> bool {
        let pause = async {
            match at_most {
                Some(pause) => tokio::time::sleep(pause).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            changed = self.place.changed() => changed.is_ok(),
            () = pause => true,
            () = self.items.closed() => false,
        }
    }

    async fn read(&mut self, place: &Place, worker: &WorkerPlace) -> Read {
        if worker.peer == Peer::Book {
            let why = format!(
                "{} is a worker of the book, which gives no logs out; `docker logs` on its machine does",
                worker.id
            );
            return Read::Refused(why);
        }
        let query = match (self.last, self.generation) {
            // The same container again: what comes after what was read.
            (Some((generation, last)), _) if generation == place.generation => {
                let since = last.saturating_add(SignedDuration::from_nanos(1)).ok();
                LogsQuery { since, tail: None, ..self.query }
            }
            // A later container: all of it.
            (_, Some(_)) => LogsQuery { tail: None, ..self.query },
            (_, None) => self.query,
        };
        match worker.client.logs(self.task, query).await {
            Ok(logs) => self.pass_on(place, worker, Box::pin(logs)).await,
            Err(ClientError::Refused { status: 404, message }) => Read::Nothing(message),
            Err(ClientError::Refused { status, message }) if status < 500 => Read::Refused(message),
            Err(error) => Read::Broken(format!("worker {} can't be asked ({error})", worker.id)),
        }
    }

    async fn pass_on(&mut self, place: &Place, worker: &WorkerPlace, mut logs: WorkerLogs) -> Read {
        let mut of = place.generation;
        loop {
            let log = tokio::select! {
                log = logs.next() => log,
                () = self.items.closed() => return Read::Unread,
            };
            match log {
                Some(Ok(WorkerLog::Container { generation, .. })) => {
                    // A later container is on its way, and this one was read before.
                    if generation < place.generation && self.last.is_some_and(|(last, _)| last == generation)
                    {
                        return Read::Nothing(String::new());
                    }
                    of = generation;
                    if self.items.send(Said::Opened).await.is_err() {
                        return Read::Unread;
                    }
                    let before = self.generation.replace(generation);
                    if before.is_some_and(|before| before < generation) {
                        self.note(place, format!("started again on {}", worker.id)).await;
                    } else if !self.told.is_empty() {
                        self.note(place, "it goes on".to_owned()).await;
                    }
                    self.told.clear();
                }
                Some(Ok(WorkerLog::Line { time, stream, text })) => {
                    self.last = Some((of, time));
                    self.tries = 0;
                    let line =
                        TaskLine { task: self.task, name: Arc::clone(&place.name), time, stream, text };
                    if self.items.send(Said::Item(LogItem::Line(line))).await.is_err() {
                        return Read::Unread;
                    }
                }
                Some(Ok(WorkerLog::End)) => return Read::Whole,
                Some(Ok(WorkerLog::Failed(why))) => return Read::Broken(why),
                Some(Err(error)) => return Read::Broken(format!("worker {}: {error}", worker.id)),
                None => return Read::Broken(format!("worker {} ended the connection", worker.id)),
            }
        }
    }

    async fn note(&self, place: &Place, text: String) {
        let note = LogItem::Note { task: self.task, name: Arc::clone(&place.name), text };
        // Nobody reads any more: that is noticed at the next line.
        let _ = self.items.send(Said::Item(note)).await;
    }

    /// They can't be had.
    async fn fail(&self, name: &str, text: &str) {
        self.end(name, text, false).await;
    }

    /// There are none.
    async fn none(&self, name: &str, text: &str) {
        self.end(name, text, true).await;
    }

    async fn end(&self, name: &str, text: &str, are_none: bool) {
        let name = if name.is_empty() { self.task.short() } else { name.to_owned() };
        let failed = LogItem::Failed { task: self.task, name: name.into(), text: text.to_owned(), are_none };
        let _ = self.items.send(Said::Item(failed)).await;
    }
}
