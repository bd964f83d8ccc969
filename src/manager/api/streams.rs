//! The routes that stream: what tasks say, and a way to a command in a task's container.

use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::extract::{Path, Query, State as Shared};
use axum::response::Response;
use futures_util::StreamExt;
use hyper_util::rt::TokioIo;

use super::Api;
use super::read::Asking;
use super::refusals::Refusals;
use crate::http::{Refusal, json_lines, together};
use crate::manager::logs::LogItem;
use crate::task::{ErrorBody, TaskId};
use crate::worker::runtime::{Exec, LogsQuery};
use crate::worker::{Upgrade, switching};

/// What tasks say, the lines of all of them in one stream
///
/// It ends with the item `end`; without that it was cut.
#[utoipa::path(
    get, path = "/v1/logs", tag = "tasks",
    params(
        ("task" = Vec<TaskId>, Query, description = "Full ids"),
        ("follow" = Option<bool>, Query, description = "Goes on with what comes"),
        ("since" = Option<Timestamp>, Query, description = "Only lines of this time and later"),
        ("tail" = Option<u64>, Query, description = "Only so many of each, the newest")
    ),
    responses(
        (status = 200, description = "An item a line", body = LogItem, content_type = "application/x-ndjson"),
        (status = 404, description = "One of them is not there", body = ErrorBody),
        Refusals
    )
)]
pub(super) async fn logs(
    Shared(api): Shared<Api>,
    query: Result<Query<Vec<(String, String)>>, QueryRejection>,
) -> Result<Response, Refusal> {
    let Query(pairs) = query?;
    let (tasks, query) = asked(&pairs)?;
    let items = api.handle.logs(tasks, query).await?;
    // An error ends the stream without its End: whoever reads it knows.
    let items = items.take_while(|item| std::future::ready(item.is_ok()));
    let items = items.filter_map(|item| std::future::ready(item.ok()));
    Ok(json_lines(together(items.take_until(api.cancel.clone().cancelled_owned()))))
}

fn asked(pairs: &[(String, String)]) -> Result<(Vec<TaskId>, LogsQuery), Refusal> {
    let mut tasks = Vec::new();
    let mut query = LogsQuery::default();
    for (name, value) in pairs {
        let expected = |what: &str| Refusal::new(400, format!("{name}: expected {what}, found {value:?}"));
        match name.as_str() {
            "task" => tasks.push(value.parse().map_err(|_| expected("the id of a task"))?),
            "follow" => query.follow = value.parse().map_err(|_| expected("true or false"))?,
            "since" => {
                query.since =
                    Some(value.parse().map_err(|_| expected("a time such as 2026-11-24T07:00:00Z"))?);
            }
            "tail" => query.tail = Some(value.parse().map_err(|_| expected("a number of lines"))?),
            _ => {
                return Err(Refusal::new(400, format!("{name}: expected task, follow, since or tail")));
            }
        }
    }
    Ok((tasks, query))
}

/// Runs a command in a task's container
///
/// A tunnel to the worker: with `Connection: upgrade` and `Upgrade: cube-exec` the connection becomes one that carries
/// frames, which are nobody's business here.
#[utoipa::path(
    post, path = "/v1/tasks/{id}/exec", tag = "tasks",
    params(("id" = TaskId, Path, description = "Its full id"), Asking),
    request_body(content = Exec, content_type = "application/json"),
    responses(
        (status = 101, description = "From here on, frames"),
        (status = 404, description = "There is no such task", body = ErrorBody),
        (status = 409, description = "It does not run", body = ErrorBody),
        (status = 415, description = "The body is not said to be JSON", body = ErrorBody),
        (status = 422, description = "The body is not a command", body = ErrorBody),
        (status = 426, description = "The connection was not to be upgraded", body = ErrorBody),
        (status = 502, description = "Its worker's answer makes no sense", body = ErrorBody),
        Refusals
    )
)]
pub(super) async fn exec(
    Shared(api): Shared<Api>,
    id: Result<Path<String>, PathRejection>,
    _: Asking,
    Upgrade(upgrade): Upgrade,
    exec: Result<Json<Exec>, JsonRejection>,
) -> Result<Response, Refusal> {
    let (Path(id), Json(exec)) = (id?, exec?);
    let task =
        id.parse().map_err(|error| Refusal::new(400, format!("{id:?} is not the id of a task: {error}")))?;
    let mut worker = api.handle.exec(task, &exec).await?;
    let cancel = api.cancel.clone();
    // Not joined: it holds nothing but two connections, and ends with either, or with the manager.
    tokio::spawn(cancel.run_until_cancelled_owned(async move {
        let Ok(client) = upgrade.await else { return };
        // An error is a connection that was cut: the other one is closed for it, and that says it.
        let _ = tokio::io::copy_bidirectional(&mut TokioIo::new(client), &mut worker).await;
    }));
    Ok(switching())
}

#[cfg(test)]
mod tests {
    use super::asked;

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn tasks_repeat_and_what_is_not_understood_is_named() {
        let id = "55ab01fe-0000-4000-8000-000000000001";
        let (tasks, query) =
            asked(&pairs(&[("task", id), ("task", id), ("follow", "true"), ("tail", "3")])).unwrap();
        assert_eq!((tasks.len(), query.follow, query.tail, query.since), (2, true, Some(3), None));
        for (name, value) in
            [("task", "web"), ("follow", "yes"), ("since", "5m"), ("tail", "-1"), ("taks", id)]
        {
            assert!(asked(&pairs(&[(name, value)])).is_err(), "{name}={value}");
        }
    }
}
