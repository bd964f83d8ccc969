//! What can be asked of a manager, embedded or over HTTP, and what it answers. Knows no HTTP.

use futures_util::stream::BoxStream;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

use crate::cluster::{Cluster, FeedItem, Overcommit, SchedulerName};
use crate::scheduler::Measure;
use crate::task::{State, Task, TaskId, WorkerId};

/// What became of one submitted event.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Submitted {
    pub task: TaskId,
    /// False: a task with this id and the same spec was there before, and nothing changed.
    pub is_new: bool,
    /// Its state now (it may be known and ended already).
    pub state: State,
}

/// What became of a stop.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Stopping {
    pub task: TaskId,
    /// False: it had ended before, and nothing changed.
    pub is_new: bool,
    pub state: State,
}

/// What somebody wants of a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "wish")]
pub enum AvailabilityWish {
    /// New work again.
    Uncordon,
    /// No new work.
    Cordon,
    /// No new work, and what runs there moves off.
    Drain {
        /// Gives up after so many seconds; without it, never.
        #[serde(skip_serializing_if = "Option::is_none")]
        within_s: Option<u64>,
    },
}

/// A wish about one worker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "WorkerWishOnWire")]
pub struct WorkerWish {
    pub worker: WorkerId,
    #[serde(flatten)]
    pub wish: AvailabilityWish,
}

/// The same as it is read: with `flatten` a mistyped `within_s` would make a drain without an end.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = WorkerWish)]
pub struct WorkerWishOnWire {
    worker: WorkerId,
    wish: WishName,
    /// Only of a drain: gives up after so many seconds; without it, never.
    within_s: Option<u64>,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum WishName {
    Uncordon,
    Cordon,
    Drain,
}

impl TryFrom<WorkerWishOnWire> for WorkerWish {
    type Error = &'static str;

    fn try_from(wire: WorkerWishOnWire) -> Result<Self, Self::Error> {
        let WorkerWishOnWire { worker, wish, within_s } = wire;
        let wish = match (wish, within_s) {
            (WishName::Drain, within_s) => AvailabilityWish::Drain { within_s },
            (_, Some(_)) => return Err("within_s: only a drain has it"),
            (WishName::Cordon, None) => AvailabilityWish::Cordon,
            (WishName::Uncordon, None) => AvailabilityWish::Uncordon,
        };
        Ok(Self { worker, wish })
    }
}

/// The wish is noted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Drained {
    pub worker: WorkerId,
    /// Tasks that live there now.
    pub left: usize,
}

/// How the load is to be evened out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
// A mistyped `plan` must not make the moves.
#[serde(deny_unknown_fields)]
pub struct RebalanceWish {
    /// So many moves at most.
    #[serde(default = "RebalanceWish::moves")]
    #[schema(default = 10, minimum = 1, maximum = 100)]
    pub moves: usize,
    /// Only told, not made.
    #[serde(default)]
    pub plan: bool,
}

impl RebalanceWish {
    /// A small correction, unless somebody says otherwise.
    pub const MOVES: usize = 10;

    fn moves() -> usize {
        Self::MOVES
    }
}

/// The moves that even out the load, and what that comes to. They are under way, unless only a plan was asked for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Rebalanced {
    pub scheduler: SchedulerName,
    /// What is evened out; nothing, if the scheduler wants it uneven.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub measure: Option<Measure>,
    pub before: Load,
    pub after: Load,
    pub moves: Vec<PlannedMove>,
    pub is_under_way: bool,
    /// Why there is nothing to do, if the scheduler is why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// How the load is spread.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Load {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fullest: Option<WorkerId>,
    /// The load of the fullest worker.
    pub most: f64,
    /// The standard deviation over the workers that take work.
    pub deviation: f64,
}

/// One task goes from one worker to another.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PlannedMove {
    pub task: TaskId,
    pub name: String,
    pub from: WorkerId,
    pub to: WorkerId,
    /// By how much the standard deviation falls with it.
    pub gain: f64,
}

/// How workers are to be selected; what is left out stays as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Scheduling {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheduler: Option<SchedulerName>,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "checked")]
    pub overcommit: Option<Overcommit>,
}

fn checked<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Overcommit>, D::Error> {
    let overcommit: Option<Overcommit> = Deserialize::deserialize(deserializer)?;
    overcommit.map_or(Ok(()), |overcommit| overcommit.check()).map_err(D::Error::custom)?;
    Ok(overcommit)
}

/// What became of a restart by hand.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Restarted {
    pub task: TaskId,
    /// False: it is being restarted already, or waits for a worker and for nothing else.
    pub is_new: bool,
    /// Its state now: what runs is stopped first.
    pub state: State,
}

/// A lost worker that is counted on no more.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Forgotten {
    pub worker: WorkerId,
    /// So many of its tasks wait for another worker now.
    pub moved: usize,
}

/// What became of a recovery.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Recovered {
    /// By task id.
    pub taken: Vec<TakenOver>,
    /// The workers that have said what they have.
    pub heard: Vec<WorkerId>,
    /// Those that have not: what is only there is not taken over.
    pub silent: Vec<Silent>,
}

/// A task that was not in the store, as its worker has it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TakenOver {
    pub worker: WorkerId,
    pub task: Task,
}

/// A worker that has not said what it has.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Silent {
    pub worker: WorkerId,
    pub reason: String,
    /// It may be only late.
    pub may_come: bool,
}

/// How a watcher goes on after its connection was cut.
pub enum Resumed {
    /// Every Change after the last that it knows, and what passes by.
    Items(BoxStream<'static, Result<FeedItem, RequestError>>),
    /// Not all of them are kept any more: the whole, and everything after it.
    Anew(Box<Cluster>, BoxStream<'static, Result<FeedItem, RequestError>>),
}

impl std::fmt::Debug for Resumed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Items(_) => "Items",
            Self::Anew(..) => "Anew",
        })
    }
}

/// Why a manager did not do what was asked. Nothing was half done.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum RequestError {
    /// The request itself is at fault (HTTP 400).
    #[error("{0}")]
    Invalid(String),
    /// Who asks may not do that (HTTP 401, 403).
    #[error("{0}")]
    NotAuthorised(String),
    /// No such task (HTTP 404).
    #[error("no task {0} here; `cube-tui ps` lists what there is")]
    UnknownTask(TaskId),
    /// No such worker (HTTP 404).
    #[error("no worker {0} here; the workers pane and `cube-tui workers` list what there is")]
    UnknownWorker(WorkerId),
    /// A task with this id is there with another spec (HTTP 409).
    #[error(
        "task {0} was submitted before with a different spec; give this one another ID or leave the ID out"
    )]
    DifferentSpec(TaskId),
    /// As many tasks wait for their start as this manager takes (HTTP 429).
    #[error("{0}")]
    TooManyWaiting(String),
    /// The store can't hold more (HTTP 507 or 503).
    #[error("not stored: {0}")]
    Store(String),
    /// The store takes nothing for now, so that the manager can't say how things stand either; or the manager stumbled
    /// over a fault of its own and reads all of it again (HTTP 503).
    #[error("the manager is out of order ({0}); it tries again every second, and heals by itself")]
    OutOfOrder(String),
    /// The manager can't be reached, or went away.
    #[error("{0}")]
    Unreachable(String),
}

/// How a `Store` begins in words, and so how it is known again in a manager's answer.
const NOT_STORED: &str = "not stored: ";

/// The same of an `OutOfOrder`: before and after the reason.
const OUT_OF_ORDER: (&str, &str) =
    ("the manager is out of order (", "); it tries again every second, and heals by itself");

impl RequestError {
    /// What a manager that could not store something answered.
    pub fn from_answer(message: &str) -> Self {
        let out_of_order = message.strip_prefix(OUT_OF_ORDER.0);
        if let Some(why) = out_of_order.and_then(|rest| rest.strip_suffix(OUT_OF_ORDER.1)) {
            return Self::OutOfOrder(why.to_owned());
        }
        Self::Store(message.strip_prefix(NOT_STORED).unwrap_or(message).to_owned())
    }

    /// Whether the same request may succeed later.
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::Invalid(_)
            | Self::NotAuthorised(_)
            | Self::UnknownTask(_)
            | Self::UnknownWorker(_)
            | Self::DifferentSpec(_) => false,
            Self::TooManyWaiting(_) | Self::Store(_) | Self::OutOfOrder(_) | Self::Unreachable(_) => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn factors_that_nobody_can_mean_are_refused() {
        let read = |cpu: &str| {
            serde_json::from_str::<Scheduling>(&format!(
                r#"{{"overcommit":{{"cpu":{cpu},"memory":1,"disk":1}}}}"#
            ))
        };
        assert!(read("2").is_ok());
        for cpu in ["0", "-1", "1e9"] {
            assert!(
                read(cpu).unwrap_err().to_string().contains("expected factors from 0.01 to 100"),
                "{cpu}"
            );
        }
    }

    #[test]
    fn a_store_error_says_so_once_also_from_a_manager_elsewhere() {
        let error = RequestError::Store("the disk is full".to_owned());
        assert_eq!(RequestError::from_answer(&error.to_string()), error);
        let error = RequestError::OutOfOrder("the disk (/srv) is full".to_owned());
        assert_eq!(RequestError::from_answer(&error.to_string()), error);
        assert_eq!(RequestError::from_answer("busy").to_string(), "not stored: busy");
    }
}
