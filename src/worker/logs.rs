//! `GET /v1/tasks/{id}/logs`: what a task's newest container says, a line of JSON each. Gathers nothing: a slow reader
//! holds the engine up.

use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State as Shared};
use axum::response::Response;
use futures_util::{Stream, StreamExt as _, stream};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::api::{Api, task_id};
use super::runtime::{LogLine, LogsQuery, OutputStream, RuntimeError};
use crate::http::{Refusal, json_lines, together};

/// One line of the answer. It begins with `Container`; one that is whole ends with `End`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WorkerLog {
    Container {
        generation: u32,
        container: String,
    },
    Line {
        time: Timestamp,
        stream: OutputStream,
        text: String,
    },
    /// The engine broke off, and why.
    Failed(String),
    /// The container has said no more than this.
    End,
}

impl From<LogLine> for WorkerLog {
    /// JSON is text: what is none is replaced.
    fn from(line: LogLine) -> Self {
        let bytes = line.bytes.strip_suffix(b"\r").unwrap_or(&line.bytes);
        Self::Line { time: line.time, stream: line.stream, text: String::from_utf8_lossy(bytes).into_owned() }
    }
}

pub(super) async fn get_logs(
    Shared(api): Shared<Api>,
    id: Result<Path<String>, PathRejection>,
    query: Result<Query<LogsQuery>, QueryRejection>,
) -> Result<Response, Refusal> {
    let (task, Query(query)) = (task_id(id)?, query?);
    let newest = api.newest_container(task).await?;
    let lines =
        api.containers.logs(newest.container.clone(), query).await.map_err(|error| refused(&error))?;
    let first = WorkerLog::Container { generation: newest.generation, container: newest.container };
    let lines = lines.map(|line| match line {
        Ok(line) => line.into(),
        Err(error) => WorkerLog::Failed(error.to_string()),
    });
    let all = stream::iter([first]).chain(lines).chain(stream::iter([WorkerLog::End]));
    Ok(json_lines(together(until_failed(all)).take_until(api.token.clone().cancelled_owned())))
}

/// Nothing follows a failure, least of all an End.
fn until_failed(all: impl Stream<Item = WorkerLog> + Send) -> impl Stream<Item = WorkerLog> + Send {
    let mut has_failed = false;
    all.take_while(move |log| {
        let goes_on = !has_failed;
        has_failed = matches!(log, WorkerLog::Failed(_));
        std::future::ready(goes_on)
    })
}

pub(super) fn refused(error: &RuntimeError) -> Refusal {
    let status = match error {
        RuntimeError::ImageMissing(_) | RuntimeError::Refused(_) => 409,
        RuntimeError::Unreachable(_) => 503,
    };
    Refusal::new(status, error.to_string())
}
