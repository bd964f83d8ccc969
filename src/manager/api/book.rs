//! The book's routes, as its own CLI and managers expect them.

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, PathRejection};
use axum::extract::{Path, State as Shared};
use axum::http::StatusCode;
use futures_util::future::join_all;

use super::Api;
use super::refusals::Refusals;
use crate::cluster::{Cause, Snapshot};
use crate::http::Refusal;
use crate::task::{ErrorBody, Node, Task, TaskEvent, TaskId, parse_task_event};

/// Submits one TaskEvent
///
/// Read as the book's managers read it: names of fields in any case, unknown ones passed over.
#[utoipa::path(
    post, path = "/tasks", tag = "book",
    request_body(content = TaskEvent, content_type = "application/json"),
    responses(
        (status = 201, description = "The task as it was taken", body = Task),
        (status = 404, description = "A stop of a task that is not there", body = ErrorBody),
        (status = 409, description = "A task with this ID is there with another spec", body = ErrorBody),
        (status = 429, description = "Too many tasks wait for their start; it was not taken", body = ErrorBody,
         headers(("Retry-After" = u32, description = "Seconds"))),
        Refusals
    )
)]
pub(super) async fn post_task(
    Shared(api): Shared<Api>,
    body: Result<Bytes, BytesRejection>,
) -> Result<(StatusCode, Json<Task>), Refusal> {
    let mut event = parse_task_event(&body?).map_err(|error| Refusal::new(400, error.to_string()))?;
    event.give_missing_ids();
    let mut task = event.task.clone();
    let outcomes = api.handle.submit(vec![event], Cause::Api).await?;
    task.status.state = outcomes.first().map_or(task.status.state, |outcome| outcome.state);
    Ok((StatusCode::CREATED, Json(task)))
}

/// All tasks, also what still waits, as State 0
#[utoipa::path(
    get, path = "/tasks", tag = "book",
    responses((status = 200, description = "In the order of their submission", body = Vec<Task>), Refusals)
)]
pub(super) async fn list_tasks(Shared(api): Shared<Api>) -> Result<Json<Vec<Task>>, Refusal> {
    let _turn = api.whole.acquire().await;
    let cluster = api.handle.snapshot().await?;
    Ok(Json(Snapshot::from(&cluster).tasks.into_iter().map(|record| record.task).collect()))
}

/// Stops a task
#[utoipa::path(
    delete, path = "/tasks/{id}", tag = "book",
    params(("id" = TaskId, Path, description = "Its full id")),
    responses(
        (status = 204, description = "It is being stopped, or had ended"),
        (status = 404, description = "There is none", body = ErrorBody),
        Refusals
    )
)]
pub(super) async fn delete_task(
    Shared(api): Shared<Api>,
    id: Result<Path<String>, PathRejection>,
) -> Result<StatusCode, Refusal> {
    let Path(id) = id?;
    let id: TaskId = id.parse().map_err(|error| Refusal::new(400, format!("{id} is no task ID: {error}")))?;
    api.handle.stop(vec![id], Cause::Api).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The book's nodes
///
/// Their stats are asked for now, so that none is old. One that does not answer has zeros.
#[utoipa::path(
    get, path = "/nodes", tag = "book",
    responses((status = 200, description = "All workers", body = Vec<Node>), Refusals)
)]
pub(super) async fn list_nodes(Shared(api): Shared<Api>) -> Result<Json<Vec<Node>>, Refusal> {
    let cluster = api.handle.snapshot().await?;
    let reached = cluster.workers().iter().filter_map(|worker| Some((worker, api.workers.client(worker)?)));
    let nodes = reached.map(|(worker, (client, address))| {
        let task_count = cluster.tasks_of_len(&worker.id);
        async move {
            let stats = client.stats().await.unwrap_or_default();
            Node {
                name: worker.id.to_string(),
                api: address,
                memory: signed(stats.mem_stats.mem_total),
                disk: signed(stats.disk_stats.all),
                stats,
                role: "worker".to_owned(),
                task_count: signed(task_count as u64),
                ..Node::default()
            }
        }
    });
    Ok(Json(join_all(nodes).await))
}

/// The book's numbers have a sign.
fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
