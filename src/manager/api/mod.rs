//! The manager's HTTP API: the book's routes, and the typed one under /v1 that commands and dashboards use. `openapi`
//! describes all of it.

mod book;
mod changes;
mod look;
mod metrics;
mod openapi;
mod streams;
mod v1;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::middleware::from_fn_with_state;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::{Handle, WorkerAddress};
use crate::http::{Access, Refusal, Routes};
use crate::manager::request::RequestError;

/// When fewer tasks may wait again: a worker takes some thousand a second, containers far fewer.
const TRY_LATER: Duration = Duration::from_secs(5);

/// What the routes share.
#[derive(Clone, Debug)]
struct Api {
    handle: Handle,
    workers: Vec<WorkerAddress>,
    http: reqwest::Client,
    cancel: CancellationToken,
    /// One at a time has the turn to look at all tasks, however many ask: each takes time of the driver's, and memory.
    whole: Arc<Semaphore>,
}

/// Every route of the manager.
pub fn router(
    handle: Handle,
    workers: Vec<WorkerAddress>,
    http: reqwest::Client,
    cancel: CancellationToken,
) -> Router {
    let counting = handle.metrics.clone();
    let whole = Arc::new(Semaphore::new(1));
    routes()
        .into_router(Api { handle, workers, http, cancel, whole })
        .layer(from_fn_with_state(counting, metrics::count))
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
        .get(Viewer, "/v1/changes", changes::changes)
        .get(Viewer, "/v1/workers", look::workers)
        .get(Viewer, "/v1/tasks", look::tasks)
        .get(Viewer, "/v1/tasks/{id}", look::task)
        .get(Viewer, "/v1/events", look::events)
        .post(Admin, "/v1/tasks", v1::submit)
        .post(Admin, "/v1/stop", v1::stop)
        .post(Admin, "/v1/restart", v1::restart)
        .post(Admin, "/v1/forget", v1::forget)
        .post(Admin, "/v1/recover", v1::recover)
        .get(Viewer, "/v1/logs", streams::logs)
        .post(Admin, "/v1/tasks/{id}/exec", streams::exec)
        .get(Viewer, "/metrics", metrics::metrics)
        .get(Anyone, "/openapi.json", openapi::openapi)
        .get(Anyone, "/healthz", openapi::healthz)
}

impl From<RequestError> for Refusal {
    fn from(error: RequestError) -> Self {
        let status = match &error {
            RequestError::Invalid(_) => 400,
            RequestError::UnknownTask(_) => 404,
            RequestError::DifferentSpec(_) => 409,
            RequestError::TooManyWaiting(_) => 429,
            RequestError::Store(_) | RequestError::OutOfOrder(_) | RequestError::Unreachable(_) => 503,
        };
        let refusal = Self::new(status, error.to_string());
        if status == 429 { refusal.retry_after(TRY_LATER) } else { refusal }
    }
}
