//! The worker over HTTP: the book's routes, and ours under /v1. Parses at the edge, asks the driver; decides
//! nothing.

use std::net::SocketAddr;

use axum::{
    Json, Router,
    body::Bytes,
    extract::{DefaultBodyLimit, Path, Request, State as Shared, rejection::BytesRejection},
    http::{StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{delete, get, post},
};
use serde_json::value::RawValue;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tower_http::catch_panic::CatchPanicLayer;

use super::{door, driver::Command, report::EventAnswer, report_stream, stats};
use crate::task::{ErrorBody, State, TaskEvent, TaskId, parse_task_event};

/// A batch of thousands of events fits, a flood does not.
const BODY_LIMIT: usize = 8 << 20;

#[derive(Clone, Debug)]
pub(super) struct Api {
    pub commands: mpsc::Sender<Command>,
    pub token: CancellationToken,
}

/// The routes of a worker that listens at `local`.
pub(super) fn router(api: Api, local: SocketAddr) -> Router {
    Router::new()
        .route("/tasks", post(post_task).get(get_tasks))
        .route("/tasks/", post(post_task).get(get_tasks))
        .route("/tasks/{id}", delete(delete_task))
        .route("/tasks/{id}/", delete(delete_task))
        .route("/stats", get(get_stats))
        .route("/stats/", get(get_stats))
        .route("/v1/events", post(post_events))
        .route("/v1/reports", get(get_reports))
        .route("/healthz", get(async || "ok\n"))
        .fallback(async || refuse(StatusCode::NOT_FOUND, "no such route"))
        .method_not_allowed_fallback(async || {
            refuse(StatusCode::METHOD_NOT_ALLOWED, "this route does not know that method")
        })
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .layer(middleware::from_fn(move |request: Request, next: Next| async move {
            match door::refusal(request.headers(), local) {
                Some(why) => refuse(StatusCode::FORBIDDEN, why),
                None => next.run(request).await,
            }
        }))
        .layer(CatchPanicLayer::new())
        .with_state(api)
}

/// The book's words for "no".
fn refuse(status: StatusCode, message: &str) -> Response {
    let body = ErrorBody { http_status_code: status.as_u16(), message: message.to_owned() };
    (status, Json(body)).into_response()
}

impl IntoResponse for EventAnswer {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        if self.is_accepted() { status.into_response() } else { refuse(status, &self.message) }
    }
}

impl Api {
    /// Asks the driver; the answer to the client when there is none any more.
    async fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> Result<T, Response> {
        let ending = || refuse(StatusCode::SERVICE_UNAVAILABLE, "this worker is shutting down");
        let (answer, answer_rx) = oneshot::channel();
        self.commands.send(command(answer)).await.map_err(|_| ending())?;
        answer_rx.await.map_err(|_| ending())
    }
}

fn readable(body: Result<Bytes, BytesRejection>) -> Result<Bytes, Response> {
    body.map_err(|rejection| refuse(rejection.status(), &rejection.body_text()))
}

async fn post_task(
    Shared(api): Shared<Api>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Response> {
    let mut event = parse_task_event(&readable(body)?)
        .map_err(|error| refuse(StatusCode::BAD_REQUEST, &error.to_string()))?;
    if event.task.id.is_nil() {
        event.task.id = TaskId::random();
    }
    let asked = event.task.clone();
    let (answer, task) = api.ask(|answer| Command::Add(event, answer)).await?;
    if !answer.is_accepted() {
        return Ok(answer.into_response());
    }
    // The book's POST knows one success, also for a stop.
    Ok((StatusCode::CREATED, Json(task.unwrap_or(asked))).into_response())
}

async fn get_tasks(Shared(api): Shared<Api>) -> Result<Response, Response> {
    Ok(Json(api.ask(Command::Tasks).await?).into_response())
}

async fn delete_task(Shared(api): Shared<Api>, Path(id): Path<String>) -> Result<Response, Response> {
    let id: TaskId = id.parse().map_err(|error| {
        refuse(StatusCode::BAD_REQUEST, &format!("{id:?} is not the id of a task: {error}"))
    })?;
    Ok(api.ask(|answer| Command::Stop(id, answer)).await?.into_response())
}

async fn get_stats(Shared(api): Shared<Api>) -> Result<Response, Response> {
    let task_count = api.ask(Command::TaskCount).await?;
    match stats::collect_stats(task_count) {
        Ok(stats) => Ok(Json(stats).into_response()),
        Err(error) => {
            let message = format!("the statistics of this host can't be read: {error}");
            Err(refuse(StatusCode::INTERNAL_SERVER_ERROR, &message))
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

/// Every event gets its own answer, an unreadable one too.
async fn post_events(
    Shared(api): Shared<Api>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Response> {
    let body = readable(body)?;
    // The common case in one pass.
    if let Ok(events) = serde_json::from_slice::<Vec<TaskEvent>>(&body)
        && events.iter().all(|event| check(event).is_ok())
    {
        let answers = api.ask(|answer| Command::Events(events, answer)).await?;
        return Ok(Json(answers).into_response());
    }
    let raw: Vec<&RawValue> = serde_json::from_slice(&body).map_err(|error| {
        refuse(StatusCode::BAD_REQUEST, &format!("expected a JSON array of TaskEvents: {error}"))
    })?;
    let mut answers = Vec::with_capacity(raw.len());
    for event in raw {
        answers.push(match readable_event(event.get()) {
            Err(error) => EventAnswer::refused(400, error),
            Ok(event) => {
                let answered = api.ask(|answer| Command::Events(vec![event], answer)).await?;
                answered.into_iter().next().unwrap_or_else(|| EventAnswer::refused(500, "no answer"))
            }
        });
    }
    Ok(Json(answers).into_response())
}

async fn get_reports(Shared(api): Shared<Api>) -> Result<Response, Response> {
    let subscription = api.ask(Command::Subscribe).await?;
    let body = report_stream::body(subscription, api.token.clone());
    Ok(([(header::CONTENT_TYPE, "application/x-ndjson")], body).into_response())
}
