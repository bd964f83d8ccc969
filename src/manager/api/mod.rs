//! The manager's HTTP API: the book's routes, and the typed one under /v1 that commands and dashboards use.

mod book;
mod v1;

use axum::Router;
use axum::routing::{delete, get, post};
use tokio_util::sync::CancellationToken;

use super::{Handle, WorkerAddress};
use crate::http::Refusal;
use crate::manager::request::RequestError;

/// What the routes share.
#[derive(Clone, Debug)]
struct Api {
    handle: Handle,
    workers: Vec<WorkerAddress>,
    http: reqwest::Client,
    cancel: CancellationToken,
}

/// Every route of the manager.
pub fn router(
    handle: Handle,
    workers: Vec<WorkerAddress>,
    http: reqwest::Client,
    cancel: CancellationToken,
) -> Router {
    Router::new()
        .route("/tasks", get(book::list_tasks).post(book::post_task))
        .route("/tasks/", get(book::list_tasks).post(book::post_task))
        .route("/tasks/{id}", delete(book::delete_task))
        .route("/tasks/{id}/", delete(book::delete_task))
        .route("/nodes", get(book::list_nodes))
        .route("/nodes/", get(book::list_nodes))
        .route("/v1/snapshot", get(v1::snapshot))
        .route("/v1/changes", get(v1::changes))
        .route("/v1/tasks", post(v1::submit))
        .route("/v1/stop", post(v1::stop))
        .route("/v1/recover", post(v1::recover))
        .route("/healthz", get(|| async { "ok\n" }))
        .with_state(Api { handle, workers, http, cancel })
}

impl From<RequestError> for Refusal {
    fn from(error: RequestError) -> Self {
        let status = match &error {
            RequestError::Invalid(_) => 400,
            RequestError::UnknownTask(_) => 404,
            RequestError::DifferentSpec(_) => 409,
            RequestError::Store(_) | RequestError::Unreachable(_) => 503,
        };
        Self::new(status, error.to_string())
    }
}
