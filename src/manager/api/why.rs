//! The routes that tell why: of a task that is there, and of tasks that would be.

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, PathRejection, QueryRejection};
use axum::extract::{Path, Query, State as Shared};
use serde::Deserialize;
use utoipa::IntoParams;

use super::Api;
use super::read::Asking;
use super::refusals::Refusals;
use super::v1::{OneOrMany, read_events};
use crate::http::Refusal;
use crate::manager::plan::Plan;
use crate::manager::why::Why;
use crate::task::ErrorBody;

/// Workers that are told one by one, if nobody says otherwise.
const DEFAULT_WORKERS: u32 = 100;

/// More than this are some megabytes.
const MOST_WORKERS: u32 = 1_000;

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct Told {
    /// So many workers are told one by one, the best or nearest first; 100 if it is left out. The rest is counted.
    #[param(minimum = 0, maximum = 1000)]
    workers: Option<u32>,
}

/// Why a task waits, is where it is, or was started again
///
/// What waits is told with every filter's verdict on the workers, what was placed with what spoke for its worker then,
/// as far as that is still kept.
#[utoipa::path(
    get, path = "/v1/tasks/{id}/why", tag = "tasks",
    params(("id" = String, Path, description = "Id, unique beginning of one, or unique name"), Told),
    responses(
        (status = 200, description = "Why", body = Why),
        (status = 404, description = "There is no such task", body = ErrorBody),
        (status = 409, description = "It may be one of several", body = ErrorBody),
        Refusals
    )
)]
pub(super) async fn why(
    Shared(api): Shared<Api>,
    id: Result<Path<String>, PathRejection>,
    told: Result<Query<Told>, QueryRejection>,
) -> Result<Json<Why>, Refusal> {
    let (Path(id), Query(told)) = (id?, told?);
    let most = match told.workers.unwrap_or(DEFAULT_WORKERS) {
        most @ 0..=MOST_WORKERS => most as usize,
        other => {
            let wrong = format!("workers: expected a number of 0 to {MOST_WORKERS}, found {other}");
            return Err(Refusal::new(400, wrong));
        }
    };
    // Every worker is asked, and the history is walked through: one at a time.
    let _turn = api.whole.acquire().await;
    Ok(Json(api.handle.why(id, most).await??))
}

/// Where tasks would go if they were submitted now
///
/// The body is that of a submit, and what would be refused there is refused here. Nothing is changed. What happens by
/// itself meanwhile (an end, a sample of a worker's load) may still change where they go.
#[utoipa::path(
    post, path = "/v1/plan", tag = "tasks",
    params(Asking),
    request_body(content = OneOrMany, content_type = "application/json"),
    responses(
        (status = 200, description = "What would become of each, and of the workers", body = Plan),
        (status = 404, description = "A stop of a task that is not there", body = ErrorBody),
        (status = 409, description = "A task with this ID is there with another spec", body = ErrorBody),
        (status = 429, description = "Too many tasks wait for their start", body = ErrorBody,
         headers(("Retry-After" = u32, description = "Seconds"))),
        Refusals
    )
)]
pub(super) async fn plan(
    Shared(api): Shared<Api>,
    _: Asking,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Plan>, Refusal> {
    let events = read_events(&body?)?;
    let _turn = api.whole.acquire().await;
    Ok(Json(api.handle.plan(events).await?))
}
