//! Typed views of the cluster for who does not keep a mirror: workers, tasks in pages, one task, events.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State as Shared};
use serde::{Deserialize, Serialize};
use utoipa::openapi::schema::{Object, ObjectBuilder, Type};
use utoipa::{IntoParams, ToSchema};

use super::Api;
use super::read::NoQuery;
use super::refusals::Refusals;
use crate::cluster::{self, Change, Cluster, FindError, Revision, TaskRecord, WorkerRecord};
use crate::http::Refusal;
use crate::task::{ErrorBody, State, TaskId, WorkerId};

/// Without a limit, so many come at a time.
const DEFAULT_LIMIT: u32 = 100;

/// More than this at a time is not given: some megabyte.
const MOST: u32 = 1_000;

/// Workers, as they are at a revision
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct WorkerList {
    #[schema(value_type = u64)]
    revision: Revision,
    /// In the order of their appearance.
    workers: Vec<WorkerRow>,
}

#[derive(Debug, Serialize, ToSchema)]
struct WorkerRow {
    #[serde(flatten)]
    worker: WorkerRecord,
    /// The tasks that it was given, ended ones that are kept included.
    tasks: usize,
}

/// Every worker and its health
#[utoipa::path(
    get, path = "/v1/workers", tag = "cluster",
    responses((status = 200, description = "All of them", body = WorkerList), Refusals)
)]
pub(super) async fn workers(Shared(api): Shared<Api>, _: NoQuery) -> Result<Json<WorkerList>, Refusal> {
    let list = api.handle.read(|cluster| {
        let row = |worker: &WorkerRecord| WorkerRow {
            tasks: cluster.tasks_of_len(&worker.id),
            worker: worker.clone(),
        };
        WorkerList { revision: cluster.revision(), workers: cluster.workers().iter().map(row).collect() }
    });
    Ok(Json(list.await?))
}

/// A task, and where it was sent
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct TaskRow {
    #[serde(flatten)]
    record: TaskRecord,
    worker: Option<WorkerId>,
}

impl TaskRow {
    fn of(cluster: &Cluster, record: TaskRecord) -> Self {
        Self { worker: cluster.worker_of(record.task.id).cloned(), record }
    }
}

/// A page of tasks
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct TaskList {
    #[schema(value_type = u64)]
    revision: Revision,
    /// In the order of their submission.
    tasks: Vec<TaskRow>,
    /// The `after` of the next page; `null`: there is none.
    #[schema(value_type = Option<u64>)]
    next: Option<Revision>,
}

#[derive(Clone, Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    /// Only tasks in this state: its name, in any case, or its number.
    #[param(schema_with = state_by_name, required = false)]
    state: Option<String>,
    /// Only tasks of exactly this name.
    name: Option<String>,
    /// Only tasks whose name or id begins with this.
    start: Option<String>,
    /// Only tasks that were sent to this worker.
    worker: Option<String>,
    /// The `next` of the page before.
    #[serde(default)]
    #[param(required = false, format = "uint64")]
    after: u64,
    /// 100 if it is left out.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
}

fn state_by_name() -> Object {
    let names = State::ALL.map(|state| state.name().to_owned());
    let numbers = State::ALL.map(|state| state.number().to_string());
    ObjectBuilder::new().schema_type(Type::String).enum_values(Some(names.into_iter().chain(numbers))).build()
}

/// Tasks, a page at a time
#[utoipa::path(
    get, path = "/v1/tasks", tag = "tasks",
    params(Wanted),
    responses((status = 200, description = "A page", body = TaskList), Refusals)
)]
pub(super) async fn tasks(
    Shared(api): Shared<Api>,
    wanted: Result<Query<Wanted>, QueryRejection>,
) -> Result<Json<TaskList>, Refusal> {
    let Query(wanted) = wanted?;
    let limit = limit(wanted.limit)?;
    let state = wanted.state.as_ref().map(|state| state.parse()).transpose();
    let state = state.map_err(|error: String| Refusal::new(400, format!("state: {error}")))?;
    let _turn = api.whole.acquire().await;
    Ok(Json(api.handle.read(move |cluster| page(cluster, &wanted, state, limit)).await?))
}

fn limit(wanted: Option<u32>) -> Result<usize, Refusal> {
    match wanted.unwrap_or(DEFAULT_LIMIT) {
        limit @ 1..=MOST => Ok(limit as usize),
        other => Err(Refusal::new(400, format!("limit: expected a number of 1 to {MOST}, found {other}"))),
    }
}

fn page(cluster: &Cluster, wanted: &Wanted, state: Option<State>, limit: usize) -> TaskList {
    let fits = |row: &cluster::TaskRow| {
        row.submitted_at() > wanted.after
            && state.is_none_or(|state| row.state() == state)
            && wanted.name.as_ref().is_none_or(|name| row.name() == name)
            && wanted.start.as_ref().is_none_or(|start| begins_with(row, start))
            && wanted.worker.as_ref().is_none_or(|wanted| {
                cluster.worker_of(row.id()).is_some_and(|worker| worker.as_str() == wanted)
            })
    };
    // The first `limit` in order, and one more that tells whether there is a next page.
    let mut first: BTreeMap<Revision, &cluster::TaskRow> = BTreeMap::new();
    for row in cluster.rows() {
        let is_before_last = first.last_key_value().is_none_or(|(last, _)| row.submitted_at() < *last);
        if (first.len() <= limit || is_before_last) && fits(row) {
            first.insert(row.submitted_at(), row);
            if first.len() > limit + 1 {
                first.pop_last();
            }
        }
    }
    let has_more = first.len() > limit;
    let tasks: Vec<_> =
        first.values().take(limit).map(|row| TaskRow::of(cluster, cluster.record(row))).collect();
    let next = tasks.last().filter(|_| has_more).map(|last| last.record.submitted_at);
    TaskList { revision: cluster.revision(), tasks, next }
}

fn begins_with(row: &cluster::TaskRow, start: &str) -> bool {
    row.name().starts_with(start) || row.id().to_string().starts_with(start)
}

/// One task, by its id, the unique beginning of that, or its unique name
#[utoipa::path(
    get, path = "/v1/tasks/{id}", tag = "tasks",
    params(("id" = String, Path, description = "Id, unique beginning of one, or unique name")),
    responses(
        (status = 200, description = "The task", body = TaskRow),
        (status = 404, description = "There is none", body = ErrorBody),
        (status = 409, description = "It may be one of several", body = ErrorBody),
        Refusals
    )
)]
pub(super) async fn task(
    Shared(api): Shared<Api>,
    id: Result<Path<String>, PathRejection>,
    _: NoQuery,
) -> Result<Json<TaskRow>, Refusal> {
    let Path(text) = id?;
    // A full id, which is the common case, is found at once; anything else takes a walk.
    let _turn = match text.parse::<TaskId>() {
        Ok(_) => None,
        Err(_) => Some(api.whole.acquire().await),
    };
    let found = api.handle.read(move |cluster| {
        let id = cluster.find(&text)?;
        cluster.task(id).map(|record| TaskRow::of(cluster, record)).ok_or(FindError::None(text))
    });
    Ok(Json(found.await??))
}

/// What happened
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct EventList {
    #[schema(value_type = u64)]
    revision: Revision,
    /// The oldest first.
    events: Vec<Arc<Change>>,
    /// There are older ones after `since` that fit and are not here.
    has_more: bool,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct Happened {
    /// Only what came after this revision.
    #[serde(default)]
    #[param(required = false, format = "uint64")]
    since: u64,
    /// Only what happened to this task: its full id.
    task: Option<TaskId>,
    /// The newest so many: 100 if it is left out.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
}

/// The newest Changes that are kept in memory, the last 16,384
#[utoipa::path(
    get, path = "/v1/events", tag = "cluster",
    params(Happened),
    responses((status = 200, description = "The oldest first", body = EventList), Refusals)
)]
pub(super) async fn events(
    Shared(api): Shared<Api>,
    happened: Result<Query<Happened>, QueryRejection>,
) -> Result<Json<EventList>, Refusal> {
    let Query(Happened { since, task, limit: wanted }) = happened?;
    let limit = limit(wanted)?;
    let list = api.handle.read(move |cluster| {
        let newest = cluster.event_db().iter().rev().take_while(|change| change.revision > since);
        let mut fitting =
            newest.filter(|change| task.is_none_or(|task| change.what.task_ids().any(|id| id == task)));
        let mut events: Vec<_> = fitting.by_ref().take(limit).cloned().collect();
        events.reverse();
        EventList { revision: cluster.revision(), events, has_more: fitting.next().is_some() }
    });
    Ok(Json(list.await?))
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::cluster::{Cause, What};
    use crate::task::{EventId, Task};

    fn cluster(tasks: u64) -> Cluster {
        let mut cluster = Cluster::default();
        for revision in 1..=tasks {
            let task =
                Task { id: TaskId(uuid::Uuid::from_u128((revision * 7919 % 997).into())), ..Task::default() };
            let what = What::Submitted { event: EventId::default(), task };
            let time = Timestamp::UNIX_EPOCH;
            cluster.apply(&Arc::new(Change { revision, time, cause: Cause::Api, what }));
        }
        cluster
    }

    #[test]
    fn pages_hold_every_task_once_and_in_order() {
        let cluster = cluster(25);
        let mut wanted = Wanted { state: None, name: None, start: None, worker: None, after: 0, limit: None };
        let mut seen = Vec::new();
        let mut sizes = Vec::new();
        loop {
            let page = page(&cluster, &wanted, Some(State::Pending), 10);
            sizes.push(page.tasks.len());
            seen.extend(page.tasks.iter().map(|row| row.record.submitted_at));
            match page.next {
                Some(next) => wanted.after = next,
                None => break,
            }
        }
        assert_eq!(sizes, [10, 10, 5]);
        assert_eq!(seen, (1..=25).collect::<Vec<_>>());
        let all = Wanted { after: 0, ..wanted };
        assert!(page(&cluster, &all, Some(State::Failed), 10).tasks.is_empty());
        let id = cluster.rows().next().map(|row| row.id().to_string()).unwrap();
        let started = |start: &str| {
            page(&cluster, &Wanted { start: Some(start.to_owned()), ..all.clone() }, None, 100).tasks.len()
        };
        assert_eq!((started(""), started(&id), started("no such task")), (25, 1, 0));
    }
}
