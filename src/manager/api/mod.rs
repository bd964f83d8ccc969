//! The manager's HTTP API: the book's routes, and the typed one under /v1 that commands and dashboards use. `openapi`
//! describes all of it.

mod book;
mod changes;
mod door;
mod look;
mod members;
mod metrics;
mod openapi;
mod read;
mod refusals;
mod secrets;
mod streams;
mod v1;
mod why;

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::trust::{Trust, TrustError};
use super::{Handle, Workers};
use crate::cluster::FindError;
use crate::http::{Access, Answered, Refusal, Route, Routes};
use crate::manager::request::RequestError;

pub use door::{Door, DoorOrders};
pub use members::{Announcement, Invitation, Invited, Listening, Renewal, Revocation, Revoked, Rotated};
pub use secrets::{ListedSecret, NewSecret, SecretRemoval, SecretSet};

/// When fewer tasks may wait again: a worker takes some thousand a second, containers far fewer.
const TRY_LATER: Duration = Duration::from_secs(5);

/// What the routes share. Each request has its own copy, several times over.
#[derive(Clone, Debug)]
struct Api(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    handle: Handle,
    workers: Workers,
    gate: Option<Gate>,
    cancel: CancellationToken,
    /// One at a time has the turn to look at all tasks, however many ask: each takes time of the driver's, and memory.
    whole: Arc<Semaphore>,
}

impl Deref for Api {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

impl Answered for Api {
    fn answered(&self, route: Route, status: u16) {
        self.handle.metrics.answered(route.method, route.path, status);
    }
}

/// How others get in.
#[derive(Clone, Debug)]
pub struct Gate {
    pub trust: Trust,
    pub door: Door,
}

/// Every route of the manager. Without a gate nobody can join.
pub fn router(handle: Handle, workers: Workers, gate: Option<Gate>, cancel: CancellationToken) -> Router {
    let whole = Arc::new(Semaphore::new(1));
    routes().into_router(Api(Arc::new(Parts { handle, workers, gate, cancel, whole })))
}

/// Every route, for whoever wants to knock at each.
pub fn route_list() -> Vec<Route> {
    routes().list().to_vec()
}

/// Each with who may use it.
fn routes() -> Routes<Api> {
    use Access::{Admin, Anyone, Member, Viewer, Worker};
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
        .get(Viewer, "/v1/tasks/{id}/why", why::why)
        .post(Viewer, "/v1/plan", why::plan)
        .get(Viewer, "/v1/events", look::events)
        .post(Admin, "/v1/tasks", v1::submit)
        .post(Admin, "/v1/stop", v1::stop)
        .post(Admin, "/v1/restart", v1::restart)
        .post(Admin, "/v1/forget", v1::forget)
        .post(Admin, "/v1/recover", v1::recover)
        .post(Admin, "/v1/availability", v1::set_availability)
        // A plan of it; to make the moves takes an admin.
        .post(Viewer, "/v1/rebalance", v1::rebalance)
        .get(Viewer, "/v1/scheduler", v1::scheduler)
        .post(Admin, "/v1/scheduler", v1::set_scheduler)
        .post(Admin, "/v1/invites", members::invite)
        .post(Admin, "/v1/listen", members::listen)
        .post(Anyone, "/v1/join", members::join)
        .post(Member, "/v1/renew", members::renew)
        .post(Worker, "/v1/announce", members::announce)
        .get(Admin, "/v1/tokens", members::list)
        .post(Admin, "/v1/tokens/rotate", members::rotate)
        .post(Admin, "/v1/tokens/revoke", members::revoke)
        .get(Admin, "/v1/secrets", secrets::list)
        .post(Admin, "/v1/secrets", secrets::set)
        .post(Admin, "/v1/secrets/remove", secrets::remove)
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
            RequestError::NotAuthorised(_) => 403,
            RequestError::UnknownTask(_) | RequestError::UnknownWorker(_) => 404,
            RequestError::DifferentSpec(_) => 409,
            RequestError::TooManyWaiting(_) => 429,
            RequestError::Store(_) | RequestError::OutOfOrder(_) | RequestError::Unreachable(_) => 503,
        };
        let refusal = Self::new(status, error.to_string());
        if status == 429 { refusal.retry_after(TRY_LATER) } else { refusal }
    }
}

impl From<FindError> for Refusal {
    fn from(error: FindError) -> Self {
        let status = match &error {
            FindError::None(_) => 404,
            FindError::Several { .. } => 409,
        };
        Self::new(status, error.to_string())
    }
}

impl From<TrustError> for Refusal {
    fn from(error: TrustError) -> Self {
        let status = match &error {
            TrustError::Invalid(_) => 400,
            TrustError::NotInvited => 401,
            TrustError::Unknown(_) => 404,
            TrustError::NameTaken(..) => 409,
            TrustError::Failed(_) => 503,
        };
        Self::new(status, error.to_string())
    }
}
