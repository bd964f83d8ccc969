//! The API's description, made from the code that serves it.

use std::sync::LazyLock;

use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use utoipa::OpenApi;

use super::read::NoQuery;
use super::refusals::Refusals;
use super::{book, changes, look, members, metrics, secrets, streams, v1, why};
use crate::task::ErrorBody;

/// Every route. A test compares it with the router's list.
#[derive(Debug, OpenApi)]
#[openapi(
    info(
        title = "cube-tui manager",
        description = "The typed API that the dashboard, the commands and the tests use, and the routes of the book. \
                       Errors have one form: `{\"HTTPStatusCode\":400,\"Message\":\"…\"}`. Fields may be added.",
        license(name = "MIT", identifier = "MIT")
    ),
    tags(
        (name = "tasks", description = "Submit, stop, look"),
        (name = "cluster", description = "Snapshot, changes, workers, events"),
        (name = "members", description = "Who may come, and who is let go"),
        (name = "secrets", description = "What tasks name and nobody is shown"),
        (name = "book", description = "What the book's managers and CLI speak"),
        (name = "about", description = "The manager itself")
    ),
    components(schemas(ErrorBody)),
    paths(
        book::list_tasks,
        book::post_task,
        book::delete_task,
        book::list_nodes,
        v1::snapshot,
        changes::changes,
        look::workers,
        look::tasks,
        look::task,
        why::why,
        why::plan,
        look::events,
        v1::submit,
        v1::stop,
        v1::restart,
        v1::forget,
        v1::recover,
        v1::set_availability,
        v1::rebalance,
        v1::scheduler,
        v1::set_scheduler,
        streams::logs,
        streams::exec,
        members::invite,
        members::listen,
        members::join,
        members::renew,
        members::announce,
        members::list,
        members::rotate,
        members::revoke,
        secrets::list,
        secrets::set,
        secrets::remove,
        metrics::metrics,
        openapi,
        healthz,
    )
)]
struct Description;

static JSON: LazyLock<String> = LazyLock::new(|| {
    Description::openapi().to_pretty_json().unwrap_or_else(|error| format!("{{\"error\":\"{error}\"}}"))
});

/// This description
#[utoipa::path(
    get, path = "/openapi.json", tag = "about",
    responses((status = 200, description = "OpenAPI", body = Object), Refusals)
)]
pub(super) async fn openapi(_: NoQuery) -> Response {
    ([(CONTENT_TYPE, "application/json")], JSON.as_str()).into_response()
}

/// Whether the manager answers
#[utoipa::path(
    get, path = "/healthz", tag = "about",
    responses((status = 200, description = "It does", body = String, content_type = "text/plain"), Refusals)
)]
pub(super) async fn healthz() -> &'static str {
    "ok\n"
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use utoipa::openapi::path::{Operation, PathItem};

    use super::*;

    fn operations(item: &PathItem) -> impl Iterator<Item = (&'static str, &Operation)> {
        let all = [("GET", &item.get), ("POST", &item.post), ("DELETE", &item.delete), ("PUT", &item.put)];
        all.into_iter().filter_map(|(method, operation)| Some((method, operation.as_ref()?)))
    }

    #[test]
    fn every_route_is_described_and_nothing_else_is() {
        let served: BTreeSet<(&str, &str)> = super::super::routes()
            .list()
            .iter()
            // The book's clients write some with a slash at the end; it is the same route.
            .map(|route| (route.method, route.path.strip_suffix('/').unwrap_or(route.path)))
            .collect();
        let description = Description::openapi();
        let described = description.paths.paths.iter().flat_map(|(path, item)| {
            operations(item).map(move |(method, operation)| {
                assert!(operation.summary.is_some(), "{method} {path} says what it is for");
                (method, path.as_str())
            })
        });
        assert_eq!(described.collect::<BTreeSet<_>>(), served);
    }

    #[test]
    fn every_form_that_is_named_is_described() {
        let json: serde_json::Value = serde_json::from_str(&JSON).unwrap();
        let mut open = vec![&json];
        while let Some(value) = open.pop() {
            match value {
                serde_json::Value::Object(fields) => {
                    if let Some(serde_json::Value::String(name)) = fields.get("$ref") {
                        let place = name.strip_prefix('#').unwrap();
                        assert!(json.pointer(place).is_some(), "{name}");
                    }
                    open.extend(fields.values());
                }
                serde_json::Value::Array(items) => open.extend(items),
                _ => {}
            }
        }
    }
}
