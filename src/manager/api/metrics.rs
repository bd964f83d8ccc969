//! `/metrics` for Prometheus.

use axum::extract::State as Shared;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};

use super::Api;
use super::refusals::Refusals;
use crate::http::Refusal;
use crate::manager::metrics::Standing;

/// Tasks by state, workers by health, changes, commits, sends, requests and this process's own use
#[utoipa::path(
    get, path = "/metrics", tag = "about",
    responses((status = 200, description = "Prometheus' text format", body = String, content_type = "text/plain"), Refusals)
)]
pub(super) async fn metrics(Shared(api): Shared<Api>) -> Result<Response, Refusal> {
    let standing = api.handle.read(|cluster| Standing::from(cluster)).await?;
    let text = api.handle.metrics.text(&standing);
    Ok(([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response())
}
