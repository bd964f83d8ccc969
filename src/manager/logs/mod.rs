//! What tasks say, in one stream: finds each task's worker, follows it over restarts and moves, and merges by time.
//! Reads no faster than it is read.

mod merge;
mod merged;
mod task_logs;

use std::sync::Arc;

use futures_util::stream::BoxStream;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Handle;
use super::request::RequestError;
use crate::cluster::{Peer, TaskRecord};
use crate::task::{State, TaskId, WorkerId};
use crate::worker::WorkerClient;
use crate::worker::runtime::{LogsQuery, OutputStream};

/// Tasks in one stream. Each costs a connection to a worker.
pub const MOST_TASKS: usize = 64;

/// A part of the stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum LogItem {
    Line(TaskLine),
    /// Something to know about the lines around it: a restart, a move, a worker that is away.
    Note {
        task: TaskId,
        #[schema(value_type = String)]
        name: Arc<str>,
        text: String,
    },
    /// No (more) lines of this task can be had, and why.
    Failed {
        task: TaskId,
        #[schema(value_type = String)]
        name: Arc<str>,
        text: String,
        /// There are none: nothing was out of reach.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        are_none: bool,
    },
    /// Nothing is missing before this, and nothing follows.
    End,
}

/// A line that a task wrote.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TaskLine {
    pub task: TaskId,
    #[schema(value_type = String)]
    pub name: Arc<str>,
    pub time: Timestamp,
    pub stream: OutputStream,
    pub text: String,
}

/// A stream of them. An error ends it: the manager went away.
pub type LogItems = BoxStream<'static, Result<LogItem, RequestError>>;

/// Where a task's container is to be found, as the manager knows it.
#[derive(Clone, Debug)]
pub(in crate::manager) struct Place {
    pub(in crate::manager) name: Arc<str>,
    pub(in crate::manager) worker: Option<WorkerPlace>,
    pub(in crate::manager) generation: u32,
    pub(in crate::manager) state: State,
    /// It ended, and is not started again.
    pub(in crate::manager) is_over: bool,
    /// Its last run began.
    pub(in crate::manager) has_started: bool,
    pub(in crate::manager) reason: String,
}

#[derive(Clone, Debug)]
pub(in crate::manager) struct WorkerPlace {
    pub(in crate::manager) id: WorkerId,
    pub(in crate::manager) peer: Peer,
    pub(in crate::manager) client: WorkerClient,
}

impl Place {
    /// Why a task that is over has no lines.
    fn why_none(&self) -> String {
        if self.has_started {
            return "its output is gone: a stop takes it away, and so does time".to_owned();
        }
        let reason = if self.reason.is_empty() { String::new() } else { format!(": {}", self.reason) };
        format!("it never started, and said nothing{reason}")
    }

    pub(in crate::manager) fn of(record: &TaskRecord, worker: Option<WorkerPlace>) -> Self {
        let spec = &record.task.spec;
        let name = if spec.name.is_empty() { record.task.id.short() } else { spec.name.clone() };
        let status = record.status();
        let restarts = record.desired == State::Running
            && (status.is_interrupted
                || spec.restart_policy.restarts(status.state == State::Failed, status.restart_count));
        let is_over = status.state.has_ended() && record.queued.is_none() && !restarts;
        Self {
            name: name.into(),
            worker,
            generation: status.generation,
            state: status.state,
            is_over,
            has_started: status.start_time.is_some(),
            reason: status.reason.clone(),
        }
    }
}

impl Handle {
    /// What `tasks` have said and, with `follow`, what they say until they have ended for good.
    pub async fn logs(&self, tasks: Vec<TaskId>, query: LogsQuery) -> Result<LogItems, RequestError> {
        if tasks.is_empty() || tasks.len() > MOST_TASKS {
            let message = format!("expected 1 to {MOST_TASKS} tasks, found {}", tasks.len());
            return Err(RequestError::Invalid(message));
        }
        let mut unique: Vec<TaskId> = Vec::with_capacity(tasks.len());
        for task in tasks {
            if !unique.contains(&task) {
                unique.push(task);
            }
        }
        // Before the places, so that no change after them is missed.
        let feed = if query.follow { Some(self.feed().await?) } else { None };
        let places = self.places(unique.clone()).await?;
        let mut known = Vec::with_capacity(unique.len());
        for (task, place) in unique.into_iter().zip(places) {
            known.push((task, place.ok_or(RequestError::UnknownTask(task))?));
        }
        Ok(merged::merged(self.clone(), known, query, feed))
    }

    /// Starts a command in a task's container.
    pub async fn exec(
        &self,
        task: TaskId,
        exec: &crate::worker::runtime::Exec,
    ) -> Result<reqwest::Upgraded, RequestError> {
        let place = self.places(vec![task]).await?.pop().flatten();
        let place = place.ok_or(RequestError::UnknownTask(task))?;
        let name = &place.name;
        let Some(worker) = place.worker.filter(|_| place.state == State::Running) else {
            let why = format!("{name} is {}, and a command needs a running container", place.state);
            return Err(RequestError::Invalid(why));
        };
        if worker.peer == Peer::Book {
            let message =
                format!("{} is a worker of the book, which runs no commands in containers", worker.id);
            return Err(RequestError::Invalid(message));
        }
        worker.client.exec(task, exec).await.map_err(|error| match error {
            crate::http::ClientError::Refused { status, message } if status < 500 => {
                RequestError::Invalid(format!("{name}: {message}"))
            }
            error => RequestError::Unreachable(format!("worker {} of {name}: {error}", worker.id)),
        })
    }
}
