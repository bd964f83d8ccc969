//! The typed routes: what the commands and attached dashboards use.

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, QueryRejection};
use axum::extract::{Query, State as Shared};
use axum::response::Response;
use futures_util::{StreamExt, stream};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::Api;
use crate::cluster::{Cause, FeedItem, Revision, Settings, Snapshot};
use crate::http::{Refusal, json_lines};
use crate::manager::request::{
    Drained, Forgotten, Recovered, Restarted, Scheduling, Stopping, Submitted, WorkerWish,
};
use crate::task::{TaskEvent, TaskId, WorkerId};

#[derive(Debug, Deserialize)]
pub(super) struct Asking {
    /// Who asks; without it, some program on the API.
    #[serde(default = "api_request")]
    cause: Cause,
}

fn api_request() -> Cause {
    Cause::Api
}

/// All of them or none.
pub(super) async fn submit(
    Shared(api): Shared<Api>,
    asking: Result<Query<Asking>, QueryRejection>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Vec<Submitted>>, Refusal> {
    let Query(asking) = asking?;
    let mut events: Vec<TaskEvent> = read(&body?)?;
    for (number, event) in events.iter_mut().enumerate() {
        event.give_missing_ids();
        if !event.is_stop() {
            let refused = |error| Refusal::new(400, format!("event {number}: {error}"));
            event.task.spec.check().map_err(refused)?;
        }
    }
    Ok(Json(api.handle.submit(events, asking.cause).await?))
}

pub(super) fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    serde_json::from_slice(body).map_err(|error| Refusal::new(400, error.to_string()))
}

/// All of them or none.
pub(super) async fn stop(
    Shared(api): Shared<Api>,
    asking: Result<Query<Asking>, QueryRejection>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Vec<Stopping>>, Refusal> {
    let Query(asking) = asking?;
    let tasks: Vec<TaskId> = read(&body?)?;
    Ok(Json(api.handle.stop(tasks, asking.cause).await?))
}

/// All of them or none.
pub(super) async fn restart(
    Shared(api): Shared<Api>,
    asking: Result<Query<Asking>, QueryRejection>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Vec<Restarted>>, Refusal> {
    let Query(asking) = asking?;
    let tasks: Vec<TaskId> = read(&body?)?;
    Ok(Json(api.handle.restart(tasks, asking.cause).await?))
}

/// A lost worker of an earlier run.
pub(super) async fn forget(
    Shared(api): Shared<Api>,
    asking: Result<Query<Asking>, QueryRejection>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Forgotten>, Refusal> {
    let Query(asking) = asking?;
    let worker: WorkerId = read(&body?)?;
    Ok(Json(api.handle.forget(worker, asking.cause).await?))
}

/// Takes over what the workers have and the store does not.
pub(super) async fn recover(
    Shared(api): Shared<Api>,
    asking: Result<Query<Asking>, QueryRejection>,
) -> Result<Json<Recovered>, Refusal> {
    let Query(asking) = asking?;
    Ok(Json(api.handle.recover(asking.cause).await?))
}

/// Cordons, drains or takes back a worker.
pub(super) async fn set_availability(
    Shared(api): Shared<Api>,
    asking: Result<Query<Asking>, QueryRejection>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Drained>, Refusal> {
    let Query(asking) = asking?;
    let wish: WorkerWish = read(&body?)?;
    Ok(Json(api.handle.set_availability(wish, asking.cause).await?))
}

/// How workers are selected.
pub(super) async fn scheduler(Shared(api): Shared<Api>) -> Result<Json<Settings>, Refusal> {
    Ok(Json(api.handle.snapshot().await?.settings()))
}

pub(super) async fn set_scheduler(
    Shared(api): Shared<Api>,
    asking: Result<Query<Asking>, QueryRejection>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Settings>, Refusal> {
    let Query(asking) = asking?;
    let scheduling: Scheduling = read(&body?)?;
    Ok(Json(api.handle.set_scheduling(scheduling, asking.cause).await?))
}

pub(super) async fn snapshot(Shared(api): Shared<Api>) -> Result<Json<Snapshot>, Refusal> {
    Ok(Json(Snapshot::from(&api.handle.snapshot().await?)))
}

#[derive(Debug, Deserialize)]
pub(super) struct Since {
    #[serde(default)]
    since: Revision,
}

/// Every Change after `since`, a line each, then what happens from now on. 410 if that is too long ago: then a
/// new snapshot is the way.
pub(super) async fn changes(
    Shared(api): Shared<Api>,
    since: Result<Query<Since>, QueryRejection>,
) -> Result<Response, Refusal> {
    let Query(Since { since }) = since?;
    let (cluster, items) = api.handle.watch().await?;
    let revision = cluster.revision();
    if since > revision {
        return Err(Refusal::new(
            410,
            format!("revision {since} is not reached yet; this cluster is at {revision}"),
        ));
    }
    let Some(missed) = cluster.event_db().after(since) else {
        return Err(Refusal::new(410, format!("revision {since} is too long ago; take a new snapshot")));
    };
    let missed: Vec<FeedItem> = missed.cloned().map(FeedItem::Change).collect();
    // What was not yet durable at the snapshot comes once more; whoever folds passes it over, who prints must not.
    let news = items.filter_map(move |item| {
        let item =
            item.ok().filter(|item| !matches!(item, FeedItem::Change(change) if change.revision <= revision));
        std::future::ready(Some(item))
    });
    // An error ends the stream: the reader comes back with the last revision it has.
    let news = news.take_while(|item| std::future::ready(item.is_some())).filter_map(std::future::ready);
    let stop = api.cancel.clone().cancelled_owned();
    Ok(json_lines(stream::iter(missed).chain(news).take_until(stop)))
}
