//! The worker over HTTP: the book's routes, and ours under /v1. Parses at the edge, asks the driver; decides
//! nothing.

use std::sync::Arc;
use std::time::Duration;

use axum::{
    Json, Router,
    body::Bytes,
    extract::{
        Path, State as Shared,
        rejection::{BytesRejection, JsonRejection, PathRejection},
    },
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio::sync::{mpsc, oneshot};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    containers::{Containers, NewestContainer},
    driver::Command,
    exec, logs,
    report::EventAnswer,
    report_stream,
    secrets::{EventsWithSecrets, Values},
    stats,
};
use crate::{
    http::{Access, Answered, Refusal, Route, Routes, read_array},
    task::{State, TaskEvent, TaskId, parse_task_event},
};

/// Events in a request, far more than a manager sends at once.
const MOST_AT_ONCE: usize = 10_000;

#[derive(Clone, Debug)]
pub(super) struct Api {
    pub commands: mpsc::Sender<Command>,
    pub containers: Arc<dyn Containers>,
    /// Commands that run in containers, each on a connection of its own.
    pub execs: TaskTracker,
    pub token: CancellationToken,
}

impl Answered for Api {}

/// Every route of the worker.
pub(super) fn router(api: Api) -> Router {
    routes().into_router(api)
}

/// Every route, for whoever wants to knock at each.
pub fn route_list() -> Vec<Route> {
    routes().list().to_vec()
}

/// Each with who may use it; a worker's admin is its manager.
fn routes() -> Routes<Api> {
    use Access::{Admin, Anyone, Viewer};
    Routes::default()
        .get(Viewer, "/tasks", get_tasks)
        .get(Viewer, "/tasks/", get_tasks)
        .post(Admin, "/tasks", post_task)
        .post(Admin, "/tasks/", post_task)
        .delete(Admin, "/tasks/{id}", delete_task)
        .delete(Admin, "/tasks/{id}/", delete_task)
        .get(Viewer, "/stats", get_stats)
        .get(Viewer, "/stats/", get_stats)
        .post(Admin, "/v1/events", post_events)
        .post(Admin, "/v1/lease", post_lease)
        .get(Viewer, "/v1/reports", get_reports)
        .get(Viewer, "/v1/tasks/{id}/logs", logs::get_logs)
        .post(Admin, "/v1/tasks/{id}/exec", exec::post_exec)
        .get(Anyone, "/healthz", async || "ok\n")
}

/// An answer as it is, or a refusal in the book's form.
type Answer = Result<Response, Refusal>;

fn answer(event: EventAnswer) -> Answer {
    match StatusCode::from_u16(event.status) {
        Ok(status) if event.is_accepted() => Ok(status.into_response()),
        _ => Err(Refusal::new(event.status, event.message)),
    }
}

impl Api {
    /// Asks the driver; the answer to the client when there is none any more.
    async fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> Result<T, Refusal> {
        let ending = || Refusal::new(503, "this worker is shutting down");
        let (answer, answer_rx) = oneshot::channel();
        self.commands.send(command(answer)).await.map_err(|_| ending())?;
        answer_rx.await.map_err(|_| ending())
    }

    /// The container that a task has, or the one that it had last; a refusal where there is none.
    pub(super) async fn newest_container(&self, task: TaskId) -> Result<NewestContainer, Refusal> {
        let (known, newest) = self.ask(|answer| Command::NewestContainer(task, answer)).await?;
        newest.ok_or_else(|| {
            let why = match known {
                None => format!("no task {task} on this worker"),
                Some(state) if state.has_ended() => {
                    format!("task {task} has no container any more: it never had one, a stop took it, or it was too old")
                }
                Some(_) => format!("task {task} has not started yet"),
            };
            Refusal::new(404, why)
        })
    }
}

/// The task that a path names.
pub(super) fn task_id(id: Result<Path<String>, PathRejection>) -> Result<TaskId, Refusal> {
    let Path(id) = id?;
    id.parse().map_err(|error| Refusal::new(400, format!("{id:?} is not the id of a task: {error}")))
}

async fn post_task(Shared(api): Shared<Api>, body: Result<Bytes, BytesRejection>) -> Answer {
    let mut event = parse_task_event(&body?).map_err(|error| Refusal::new(400, error.to_string()))?;
    if !event.task.spec.secrets.is_empty() && event.state != State::Completed {
        return Err(Refusal::new(400, "Secrets: a task gets them from its manager; submit it there"));
    }
    if event.task.id.is_nil() {
        event.task.id = TaskId::random();
    }
    let asked = event.task.clone();
    let (answered, task) = api.ask(|answer| Command::Add(event, answer)).await?;
    if !answered.is_accepted() {
        return answer(answered);
    }
    // The book's POST knows one success, also for a stop.
    Ok((StatusCode::CREATED, Json(task.unwrap_or(asked))).into_response())
}

async fn get_tasks(Shared(api): Shared<Api>) -> Answer {
    Ok(Json(api.ask(Command::Tasks).await?).into_response())
}

async fn delete_task(Shared(api): Shared<Api>, id: Result<Path<String>, PathRejection>) -> Answer {
    let id = task_id(id)?;
    answer(api.ask(|answer| Command::Stop(id, answer)).await?)
}

async fn get_stats(Shared(api): Shared<Api>) -> Answer {
    let task_count = api.ask(Command::TaskCount).await?;
    match stats::collect_stats(task_count) {
        Ok(stats) => Ok(Json(stats).into_response()),
        Err(error) => {
            let message = format!("the statistics of this host can't be read: {error}");
            Err(Refusal::new(500, message))
        }
    }
}

fn readable_event(text: &str) -> Result<TaskEvent, String> {
    let event: TaskEvent = serde_json::from_str(text).map_err(|error| error.to_string())?;
    check(&event)?;
    Ok(event)
}

/// The manager has checked it, but who says that it was a manager.
fn check(event: &TaskEvent) -> Result<(), String> {
    if event.state == State::Completed {
        Ok(())
    } else {
        event.task.spec.check().map_err(|error| error.to_string())
    }
}

/// The events one by one, and the secrets that came with them.
fn raw_events(body: &[u8]) -> Result<(Vec<Box<RawValue>>, Values), Refusal> {
    // An array is the one without secrets; what is wrong with the other says nothing of the values in it.
    if body.trim_ascii_start().starts_with(b"{") {
        let EventsWithSecrets::<&RawValue> { events, secrets } = serde_json::from_slice(body)
            .map_err(|error| Refusal::new(400, format!("expected Events and Secrets: {error}")))?;
        return Ok((read_array(events.get().as_bytes(), MOST_AT_ONCE)?, secrets));
    }
    Ok((read_array(body, MOST_AT_ONCE)?, Values::new()))
}

/// Every event gets its own answer, an unreadable one too.
async fn post_events(Shared(api): Shared<Api>, body: Result<Bytes, BytesRejection>) -> Answer {
    let body = body?;
    // The common case in one pass.
    if let Ok(events) = read_array::<TaskEvent>(&body, MOST_AT_ONCE)
        && events.iter().all(|event| check(event).is_ok())
    {
        let answers = api.ask(|answer| Command::Events(events, Values::new(), answer)).await?;
        return Ok(Json(answers).into_response());
    }
    let (raw, secrets) = raw_events(&body)?;
    let mut answers = Vec::with_capacity(raw.len());
    for event in raw {
        answers.push(match readable_event(event.get()) {
            Err(error) => EventAnswer::refused(400, error),
            Ok(event) => {
                let answered =
                    api.ask(|answer| Command::Events(vec![event], secrets.clone(), answer)).await?;
                answered.into_iter().next().unwrap_or_else(|| EventAnswer::refused(500, "no answer"))
            }
        });
    }
    Ok(Json(answers).into_response())
}

/// A renewal: the reading of this worker's clock that its manager heard.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Renewal {
    pub(super) since_boot_ms: u64,
}

async fn post_lease(Shared(api): Shared<Api>, renewal: Result<Json<Renewal>, JsonRejection>) -> Answer {
    let reading = Duration::from_millis(renewal?.since_boot_ms);
    answer(api.ask(|answer| Command::RenewLease(reading, answer)).await?)
}

async fn get_reports(Shared(api): Shared<Api>) -> Answer {
    let subscription = api.ask(Command::Subscribe).await?;
    let body = report_stream::body(subscription, api.token.clone());
    Ok(([(header::CONTENT_TYPE, "application/x-ndjson")], body).into_response())
}
