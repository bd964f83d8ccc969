//! What the dashboard sends out for: requests to the manager, task files, logs, a shell. The answers come back as Events.
//! Knows no Model and draws nothing.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::StreamExt as _;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::attach::{Ended, attach, terminal_size};
use super::event::{Event, Purpose};
use crate::client::ManagerHandle;
use crate::cluster::Cause;
use crate::manager::request::{RequestError, WorkerWish};
use crate::task::{TaskEvent, TaskId};
use crate::worker::runtime::{Exec, LogsQuery};

/// How long a submit or a stop may take.
const REQUEST_DEADLINE: Duration = Duration::from_secs(15);
/// How long requests under way may hold up the end.
const LAST_REQUESTS: Duration = Duration::from_secs(3);
/// Items of logs that are folded together, when they are there together.
const LOG_ITEMS_TOGETHER: usize = 256;
/// Every image that has a shell has this one.
const SHELL: &str = "/bin/sh";
/// A task file is text somebody wrote; anything larger is a mistake.
const TASK_FILE_LIMIT: u64 = 16 << 20;
/// Of an answer to why: more rows than any screen has.
const WHY_WORKERS: usize = 100;

pub(super) struct Errands {
    manager: Option<ManagerHandle>,
    /// What `~/` means in the path of a task file.
    home: Option<PathBuf>,
    requests: JoinSet<Event>,
    /// The reader of logs, at most one: it goes on for longer than a request.
    reading: JoinSet<()>,
    events: mpsc::Sender<Event>,
}

impl Errands {
    pub(super) fn new(home: Option<PathBuf>, events: mpsc::Sender<Event>) -> Self {
        Self { manager: None, home, requests: JoinSet::new(), reading: JoinSet::new(), events }
    }

    /// The manager is there.
    pub(super) fn open(&mut self, manager: ManagerHandle) {
        self.manager = Some(manager);
    }

    pub(super) fn manager(&self) -> Option<&ManagerHandle> {
        self.manager.as_ref()
    }

    /// The next answer to a request; `None` while there is none under way. Cancel safe.
    pub(super) async fn next(&mut self) -> Option<Event> {
        let answer = self.requests.join_next().await?;
        Some(answer.unwrap_or_else(|error| Event::Notice(format!("a request failed: {error}"))))
    }

    pub(super) fn submit(&mut self, events: Vec<TaskEvent>) {
        self.ask(async |manager| manager.submit(events, Cause::Dashboard).await, Event::Submitted);
    }

    pub(super) fn stop(&mut self, tasks: Vec<TaskId>) {
        self.ask(async |manager| manager.stop(tasks, Cause::Dashboard).await, Event::Stopped);
    }

    pub(super) fn set_availability(&mut self, wish: WorkerWish) {
        self.ask(
            async |manager| manager.set_availability(wish, Cause::Dashboard).await,
            Event::AvailabilitySet,
        );
    }

    pub(super) fn restart(&mut self, tasks: Vec<TaskId>) {
        self.ask(async |manager| manager.restart(tasks, Cause::Dashboard).await, Event::Restarted);
    }

    pub(super) fn why(&mut self, task: TaskId) {
        self.ask(
            async move |manager| manager.why(&task.to_string(), WHY_WORKERS).await,
            move |result| Event::Why { task, result: result.map(Box::new) },
        );
    }

    pub(super) fn plan(&mut self, events: Vec<TaskEvent>) {
        self.ask(async |manager| manager.plan(events).await, Event::Planned);
    }

    pub(super) fn read_task_file(&mut self, name: String, purpose: Purpose) {
        let path = match (name.strip_prefix("~/"), &self.home) {
            (Some(rest), Some(home)) => home.join(rest),
            _ => PathBuf::from(&name),
        };
        self.requests.spawn(async move {
            let text = read_text(&path).await.map_err(|error| format!("cannot read {name}: {error}"));
            Event::TaskFile { name, purpose, text }
        });
    }

    pub(super) fn read_logs(&mut self, request: u64, tasks: Vec<TaskId>, query: LogsQuery) {
        self.end_logs();
        let (manager, events) = (self.manager.clone(), self.events.clone());
        self.reading.spawn(read_logs(manager, request, tasks, query, events));
    }

    pub(super) fn end_logs(&mut self) {
        self.reading.abort_all();
        while self.reading.try_join_next().is_some() {}
    }

    /// Lets requests under way arrive: a stop that was confirmed is not forgotten.
    pub(super) async fn finish(&mut self) {
        self.reading.shutdown().await;
        let all = async { while self.requests.join_next().await.is_some() {} };
        if tokio::time::timeout(LAST_REQUESTS, all).await.is_err() {
            self.requests.shutdown().await;
        }
    }

    /// Asks the manager, and makes an Event of the answer.
    fn ask<T, Fut>(
        &mut self,
        request: impl FnOnce(ManagerHandle) -> Fut,
        told: impl FnOnce(Result<T, RequestError>) -> Event + Send + 'static,
    ) where
        Fut: Future<Output = Result<T, RequestError>> + Send + 'static,
    {
        let asked = self.manager.clone().ok_or_else(not_started).map(request);
        self.requests.spawn(async move {
            told(match asked {
                Ok(request) => in_time(request).await,
                Err(error) => Err(error),
            })
        });
    }
}

/// Passes on what tasks say, as fast as it is folded.
async fn read_logs(
    manager: Option<ManagerHandle>,
    request: u64,
    tasks: Vec<TaskId>,
    query: LogsQuery,
    events: mpsc::Sender<Event>,
) {
    let asked = match manager {
        None => Err(not_started()),
        Some(manager) => in_time(manager.logs(tasks, query)).await,
    };
    let cut = |error: RequestError| Event::LogsCut { request, reason: error.to_string() };
    let items = match asked {
        Ok(items) => items,
        Err(error) => {
            // Nobody is there any more to hear it.
            let _ = events.send(cut(error)).await;
            return;
        }
    };
    // Who has said nothing may say nothing for long.
    if events.send(Event::Logs { request, items: Vec::new() }).await.is_err() {
        return;
    }
    let mut chunks = items.ready_chunks(LOG_ITEMS_TOGETHER);
    while let Some(chunk) = chunks.next().await {
        let mut items = Vec::with_capacity(chunk.len());
        let mut error = None;
        for item in chunk {
            match item {
                Ok(item) => items.push(item),
                Err(failed) => error = Some(failed),
            }
        }
        if events.send(Event::Logs { request, items }).await.is_err() {
            return;
        }
        if let Some(error) = error {
            let _ = events.send(cut(error)).await;
        }
    }
}

/// A shell in a task's container, on this terminal.
pub(super) async fn shell(manager: Option<ManagerHandle>, task: TaskId) -> Result<i64, String> {
    let manager = manager.ok_or_else(|| not_started().to_string())?;
    let exec = Exec {
        cmd: vec![SHELL.to_owned()],
        tty: Some(terminal_size()),
        stdin: true,
        env: vec!["TERM=xterm-256color".to_owned()],
        user: None,
    };
    let connection = in_time(manager.exec(task, &exec)).await.map_err(|error| error.to_string())?;
    match attach(connection, true, true).await {
        Ok(Ended::Exit(code)) => Ok(code),
        Ok(Ended::Failed(why)) => Err(why),
        Err(error) => Err(format!("the terminal failed: {error}")),
    }
}

async fn in_time<T>(request: impl Future<Output = Result<T, RequestError>>) -> Result<T, RequestError> {
    let late = |_| RequestError::Unreachable("the manager did not answer in time".to_owned());
    tokio::time::timeout(REQUEST_DEADLINE, request).await.map_err(late)?
}

fn not_started() -> RequestError {
    RequestError::Unreachable("the manager has not started yet; try again in a moment".to_owned())
}

async fn read_text(path: &Path) -> io::Result<String> {
    let size = tokio::fs::metadata(path).await?;
    if !size.is_file() {
        return Err(io::Error::other("it is not a file"));
    }
    if size.len() > TASK_FILE_LIMIT {
        return Err(io::Error::other("it is larger than 16 MiB"));
    }
    tokio::fs::read_to_string(path).await
}
