//! `/metrics` for Prometheus, and the counting of requests.

use axum::extract::{MatchedPath, Request, State as Shared};
use axum::http::header::CONTENT_TYPE;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::Api;
use super::refusals::Refusals;
use crate::http::Refusal;
use crate::manager::metrics::{Metrics, Standing};

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

/// Counts every request that found a route, by the route and not by what was asked of it: that may be endless.
pub(super) async fn count(Shared(metrics): Shared<Metrics>, request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let method = request.method().as_str().to_owned();
    let response = next.run(request).await;
    if let Some(route) = route {
        metrics.answered(method, route, response.status().as_u16());
    }
    response
}
