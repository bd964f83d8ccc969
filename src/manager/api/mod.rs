//! The manager's HTTP API: the book's routes, and the typed one under /v1 that commands and dashboards use.

mod book;
mod streams;
mod v1;

use axum::Router;
use tokio_util::sync::CancellationToken;

use super::{Handle, WorkerAddress};
use crate::http::{Access, Refusal, Routes};
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
    routes().into_router(Api { handle, workers, http, cancel })
}

/// Each with who may use it.
fn routes() -> Routes<Api> {
    use Access::{Admin, Anyone, Viewer};
    Routes::default()
        .get(Viewer, "/tasks", book::list_tasks)
        .get(Viewer, "/tasks/", book::list_tasks)
        .post(Admin, "/tasks", book::post_task)
        .post(Admin, "/tasks/", book::post_task)
        .delete(Admin, "/tasks/{id}", book::delete_task)
        .delete(Admin, "/tasks/{id}/", book::delete_task)
        .get(Viewer, "/nodes", book::list_nodes)
        .get(Viewer, "/nodes/", book::list_nodes)
        .get(Viewer, "/v1/snapshot", v1::snapshot)
        .get(Viewer, "/v1/changes", v1::changes)
        .post(Admin, "/v1/tasks", v1::submit)
        .post(Admin, "/v1/stop", v1::stop)
        .post(Admin, "/v1/restart", v1::restart)
        .post(Admin, "/v1/forget", v1::forget)
        .post(Admin, "/v1/recover", v1::recover)
        .get(Viewer, "/v1/logs", streams::logs)
        .post(Admin, "/v1/tasks/{id}/exec", streams::exec)
        .get(Anyone, "/healthz", async || "ok\n")
}

impl From<RequestError> for Refusal {
    fn from(error: RequestError) -> Self {
        let status = match &error {
            RequestError::Invalid(_) => 400,
            RequestError::UnknownTask(_) => 404,
            RequestError::DifferentSpec(_) => 409,
            RequestError::Store(_) | RequestError::OutOfOrder(_) | RequestError::Unreachable(_) => 503,
        };
        Self::new(status, error.to_string())
    }
}
