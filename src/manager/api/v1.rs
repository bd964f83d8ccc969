//! The typed routes that change the cluster, and the snapshot that mirrors start from.

use axum::body::Bytes;
use axum::extract::State as Shared;
use axum::extract::rejection::BytesRejection;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::Api;
use super::read::{Asking, NoQuery, first_of, read, read_object};
use super::refusals::Refusals;
use crate::cluster::{Cluster, Settings, Snapshot};
use crate::http::{Access, Caller, Refusal, read_array};
use crate::manager::request::{
    Drained, Forgotten, RebalanceWish, Rebalanced, Recovered, Restarted, Scheduling, Stopping, Submitted,
    WorkerWish, WorkerWishOnWire,
};
use crate::task::{ErrorBody, OwnTaskEvent, TaskEvent, TaskId, WorkerId, parse_task_event};

/// Events in a request: some ten megabytes of tasks, and a second of work.
const MOST_AT_ONCE: usize = 20_000;

/// One event, or several.
#[derive(ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "it is read as what it begins with, for the sake of its errors")]
pub(super) enum OneOrMany {
    One(Box<TaskEvent>),
    Many(Vec<TaskEvent>),
}

/// Submits one TaskEvent or an array of them: all or none
///
/// An event with State 2 (or anything but an end) wants its task to run, one with State 3 wants it stopped. A task
/// without an ID gets one; the same ID again is the same task. A field that is not known is refused here. Answered once
/// all of it is in the store.
#[utoipa::path(
    post, path = "/v1/tasks", tag = "tasks",
    params(Asking),
    request_body(content = OneOrMany, content_type = "application/json"),
    responses(
        (status = 200, description = "What became of each, in order", body = Vec<Submitted>),
        (status = 404, description = "A stop of a task that is not there", body = ErrorBody),
        (status = 409, description = "A task with this ID is there with another spec", body = ErrorBody),
        (status = 429, description = "Too many tasks wait for their start; none was taken", body = ErrorBody,
         headers(("Retry-After" = u32, description = "Seconds"))),
        Refusals
    )
)]
pub(super) async fn submit(
    Shared(api): Shared<Api>,
    asking: Asking,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Vec<Submitted>>, Refusal> {
    let events = read_events(&body?)?;
    Ok(Json(api.handle.submit(events, asking.cause).await?))
}

/// One event or an array of them, each fit to be taken in.
pub(super) fn read_events(body: &[u8]) -> Result<Vec<TaskEvent>, Refusal> {
    let is_array = first_of(body) == Some(b'[');
    let events: Result<Vec<OwnTaskEvent>, Refusal> =
        if is_array { read_array(body, MOST_AT_ONCE) } else { read_object(body).map(|event| vec![event]) };
    let events = events.map_err(|refusal| named(body, is_array).unwrap_or(refusal))?;
    let mut events: Vec<TaskEvent> = events.into_iter().map(|event| event.0).collect();
    for (number, event) in events.iter_mut().enumerate() {
        event.give_missing_ids();
        if !event.is_stop() {
            let refused = |error| Refusal::new(400, format!("event {number}: {error}"));
            event.task.spec.check().map_err(refused)?;
        }
    }
    Ok(events)
}

/// What is wrong, by the name of its field: as the book's route says it, which reads field by field.
fn named(body: &[u8], is_array: bool) -> Option<Refusal> {
    if !is_array {
        return parse_task_event(body).err().map(|error| Refusal::new(400, error.to_string()));
    }
    let events: Vec<&RawValue> = serde_json::from_slice(body).ok()?;
    let mut errors = events.iter().map(|event| parse_task_event(event.get().as_bytes()).err()).enumerate();
    errors.find_map(|(number, error)| Some(Refusal::new(400, format!("event {number}: {}", error?))))
}

/// Stops tasks: all or none
///
/// Answered once the wish is in the store; the changes tell when they have ended.
#[utoipa::path(
    post, path = "/v1/stop", tag = "tasks",
    params(Asking),
    request_body(content = Vec<TaskId>, content_type = "application/json"),
    responses(
        (status = 200, description = "What became of each, in order", body = Vec<Stopping>),
        (status = 404, description = "One of them is not there", body = ErrorBody),
        Refusals
    )
)]
pub(super) async fn stop(
    Shared(api): Shared<Api>,
    asking: Asking,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Vec<Stopping>>, Refusal> {
    let tasks: Vec<TaskId> = read(&body?)?;
    Ok(Json(api.handle.stop(tasks, asking.cause).await?))
}

/// Restarts tasks by hand: all or none
///
/// What runs is stopped first. Answered once the wish is in the store.
#[utoipa::path(
    post, path = "/v1/restart", tag = "tasks",
    params(Asking),
    request_body(content = Vec<TaskId>, content_type = "application/json"),
    responses(
        (status = 200, description = "What became of each, in order", body = Vec<Restarted>),
        (status = 404, description = "One of them is not there", body = ErrorBody),
        Refusals
    )
)]
pub(super) async fn restart(
    Shared(api): Shared<Api>,
    asking: Asking,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Vec<Restarted>>, Refusal> {
    let tasks: Vec<TaskId> = read(&body?)?;
    Ok(Json(api.handle.restart(tasks, asking.cause).await?))
}

/// Counts no more on a lost worker that this start did not name
#[utoipa::path(
    post, path = "/v1/forget", tag = "cluster",
    params(Asking),
    request_body(content = WorkerId, content_type = "application/json"),
    responses(
        (status = 200, description = "How many of its tasks wait for another one now", body = Forgotten),
        (status = 404, description = "There is no such worker", body = ErrorBody),
        Refusals
    )
)]
pub(super) async fn forget(
    Shared(api): Shared<Api>,
    asking: Asking,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Forgotten>, Refusal> {
    let worker: WorkerId = read(&body?)?;
    Ok(Json(api.handle.forget(worker, asking.cause).await?))
}

/// Takes over what the workers have and the store does not
#[utoipa::path(
    post, path = "/v1/recover", tag = "cluster",
    params(Asking),
    responses((status = 200, description = "What was taken over, and who has not answered yet", body = Recovered), Refusals)
)]
pub(super) async fn recover(Shared(api): Shared<Api>, asking: Asking) -> Result<Json<Recovered>, Refusal> {
    Ok(Json(api.handle.recover(asking.cause).await?))
}

/// Cordon a worker, drain it, or take it back
#[utoipa::path(
    post, path = "/v1/availability", tag = "cluster",
    params(Asking),
    request_body(content = WorkerWishOnWire, content_type = "application/json"),
    responses(
        (status = 200, description = "The wish is noted", body = Drained),
        (status = 404, description = "There is no such worker", body = ErrorBody),
        Refusals
    )
)]
pub(super) async fn set_availability(
    Shared(api): Shared<Api>,
    asking: Asking,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Drained>, Refusal> {
    let wish: WorkerWish = read_object(&body?)?;
    Ok(Json(api.handle.set_availability(wish, asking.cause).await?))
}

/// Even out the load with a few moves, or tell which
///
/// A viewer may ask for the plan; to make the moves takes an admin.
#[utoipa::path(
    post, path = "/v1/rebalance", tag = "cluster",
    params(Asking),
    request_body(content = RebalanceWish, content_type = "application/json"),
    responses((status = 200, description = "The moves, and what they come to", body = Rebalanced), Refusals)
)]
pub(super) async fn rebalance(
    Shared(api): Shared<Api>,
    caller: Option<Extension<Caller>>,
    _: Asking,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Rebalanced>, Refusal> {
    let wish: RebalanceWish = read_object(&body?)?;
    if !wish.plan {
        Access::Admin.admits(caller.as_deref().unwrap_or(&Caller::Nobody))?;
    }
    Ok(Json(api.handle.rebalance(wish).await?))
}

/// How workers are selected
#[utoipa::path(
    get, path = "/v1/scheduler", tag = "cluster",
    responses((status = 200, description = "The scheduler, and how often capacity is promised", body = Settings), Refusals)
)]
pub(super) async fn scheduler(Shared(api): Shared<Api>, _: NoQuery) -> Result<Json<Settings>, Refusal> {
    Ok(Json(api.handle.read(Cluster::settings).await?))
}

/// Select workers in another way from now on
#[utoipa::path(
    post, path = "/v1/scheduler", tag = "cluster",
    params(Asking),
    request_body(content = Scheduling, content_type = "application/json"),
    responses((status = 200, description = "How workers are selected now", body = Settings), Refusals)
)]
pub(super) async fn set_scheduler(
    Shared(api): Shared<Api>,
    asking: Asking,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Settings>, Refusal> {
    let scheduling: Scheduling = read_object(&body?)?;
    Ok(Json(api.handle.set_scheduling(scheduling, asking.cause).await?))
}

/// Everything, at one revision
///
/// What a mirror starts from: then the changes since this revision, each folded in.
#[utoipa::path(
    get, path = "/v1/snapshot", tag = "cluster",
    responses((status = 200, description = "All of it", body = Snapshot), Refusals)
)]
pub(super) async fn snapshot(Shared(api): Shared<Api>, _: NoQuery) -> Result<Response, Refusal> {
    let _turn = api.whole.acquire().await;
    let snapshot = Snapshot::from(&api.handle.snapshot().await?);
    let json = serde_json::to_vec(&snapshot).map_err(|error| Refusal::new(500, error.to_string()))?;
    Ok(([(CONTENT_TYPE, "application/json")], json).into_response())
}
