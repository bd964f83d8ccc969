//! Why a task is where it is: what keeps it waiting, why it went where it is, and how it ended before, put together from
//! what a Cluster still keeps. Decides nothing; knows no HTTP and no screen.

mod table;
mod words;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::cluster::{
    Cause, Change, Cluster, Crashes, Placement, Refusal, Revision, TaskRecord, TaskRow, What,
};
use crate::scheduler::Explanation;
use crate::task::{State, TaskId, WorkerId};

pub use table::{Cell, Marks, Table};
pub use words::{Line, kept_away};

/// Ends that are told.
const ENDS: usize = 5;

/// Why a task is where it is
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Why {
    #[schema(value_type = u64)]
    pub revision: Revision,
    pub task: TaskId,
    pub name: String,
    pub state: State,
    /// A stop is under way.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stopping: bool,
    pub worker: Option<WorkerId>,
    /// What the task itself says; may be empty.
    pub reason: String,
    /// When it last changed.
    pub changed: Timestamp,
    /// Only while it waits for a worker, or for another one than its own, which is lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits: Option<Waits>,
    /// The room that others are making for it, while they do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub room: Option<RoomMade>,
    /// Whom it makes room for: it is being stopped for that, and waits for a worker again then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub makes_room_for: Option<Neighbour>,
    /// How it came to the worker where it is, or was last. Empty if it never was on one, or that is no longer kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub placed: Option<Placed>,
    pub restarts: u32,
    /// Its ends in a row, each soon after its start.
    #[serde(default)]
    pub crashes: Crashes,
    /// The newest first, five at most.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ends: Vec<End>,
    /// The workers that could not start it, since it last ran or was restarted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refusals: Vec<Refusal>,
    /// What happened to it first is no longer kept.
    pub is_cut: bool,
}

/// It waits for a worker.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Waits {
    pub since: Timestamp,
    /// Not tried before this, after a failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_start: Option<Timestamp>,
    pub explanation: Explanation,
}

/// Room that is made for a task, and kept for it meanwhile.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RoomMade {
    pub worker: WorkerId,
    /// What is being stopped there for it. Nothing, where it only waits for what ends there anyway.
    pub stopping: Vec<Neighbour>,
}

/// The other side of a preemption.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Neighbour {
    pub task: TaskId,
    pub name: String,
    pub priority: i32,
}

impl Neighbour {
    pub fn of(row: &TaskRow) -> Self {
        Self { task: row.id(), name: row.name().to_owned(), priority: row.spec().priority }
    }
}

/// How a task came to a worker.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Placed {
    pub worker: WorkerId,
    pub at: Timestamp,
    pub how: How,
    pub generation: u32,
    /// Where it came from and why, if it was moved.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// What spoke for this worker; empty where there was only one, or after a refusal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub placement: Option<Placement>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum How {
    Scheduled,
    /// Off a worker that was lost or drained.
    Moved,
    /// Another worker could not start it.
    Refused,
    /// It was found there and taken over.
    TakenOver,
}

/// How it ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct End {
    pub time: Timestamp,
    pub state: State,
    pub cause: Cause,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker: Option<WorkerId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i64>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// Why it was started again; empty if it was not.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub restarted: String,
}

impl Why {
    /// What `cluster` keeps of it, with what its placing says now. The room that others make is yet to be told.
    pub fn new(cluster: &Cluster, record: TaskRecord, explanation: Option<Explanation>) -> Self {
        let task = record.task.id;
        let History { placed, mut ends } = History::of(cluster, task);
        ends.reverse();
        ends.truncate(ENDS);
        let first = cluster.event_db().iter().next().map_or(Revision::MAX, |change| change.revision);
        let queued = record.queued;
        Self {
            revision: cluster.revision(),
            task,
            name: record.task.spec.name.clone(),
            state: record.state(),
            stopping: record.is_stopping(),
            worker: cluster.worker_of(task).cloned(),
            reason: record.status().reason.clone(),
            changed: record.changed,
            waits: explanation.map(|explanation| Waits {
                since: queued.map_or(record.changed, |queued| queued.since),
                next_start: queued.and_then(|queued| queued.retry_at),
                explanation,
            }),
            room: None,
            makes_room_for: record
                .preempted
                .as_ref()
                .and_then(|preempted| cluster.row(preempted.by))
                .map(Neighbour::of),
            placed,
            restarts: record.status().restart_count,
            crashes: record.crashes,
            ends,
            refusals: record.refusals,
            is_cut: first > record.submitted_at,
        }
    }
}

/// What of a task's history answers why.
#[derive(Default)]
struct History {
    placed: Option<Placed>,
    /// The oldest first.
    ends: Vec<End>,
}

impl History {
    fn of(cluster: &Cluster, task: TaskId) -> Self {
        let mut history = Self::default();
        for change in cluster.event_db().of_task(task) {
            history.note(change);
        }
        history
    }

    fn note(&mut self, change: &Change) {
        let placed =
            |worker: &WorkerId, how, generation, reason: &str, placement: &Option<Box<Placement>>| {
                Some(Placed {
                    worker: worker.clone(),
                    at: change.time,
                    how,
                    generation,
                    reason: reason.to_owned(),
                    placement: placement.as_deref().cloned(),
                })
            };
        match &change.what {
            What::Scheduled { worker, generation, placement, .. } => {
                self.placed = placed(worker, How::Scheduled, *generation, "", placement);
            }
            What::Moved { worker, generation, reason, placement, .. } => {
                self.placed = placed(worker, How::Moved, *generation, reason, placement);
            }
            What::Refused { to, generation, reason, .. } => {
                self.placed = to.as_ref().and_then(|to| placed(to, How::Refused, *generation, reason, &None));
            }
            What::Adopted { worker, task } => {
                self.placed = placed(worker, How::TakenOver, task.status.generation, "", &None);
            }
            What::Returned { .. } => self.placed = None,
            What::Observed { status, .. } if status.state.has_ended() => {
                self.end(change, status.state, status.exit_code, &status.reason);
            }
            What::Ended { state, reason, .. } => self.end(change, *state, None, reason),
            What::Restarting { reason, .. } => {
                if let Some(end) = self.ends.last_mut() {
                    end.restarted.clone_from(reason);
                }
            }
            // The same id again is a new task.
            What::Submitted { .. } => *self = Self::default(),
            What::Waiting { .. }
            // It ends next, and its reason tells for whom.
            | What::Preempted { .. }
            | What::StopRequested { .. }
            | What::RestartRequested { .. }
            | What::Observed { .. }
            | What::Collected { .. }
            | What::Worker { .. }
            | What::Settings { .. }
            | What::Forgotten { .. } => {}
        }
    }

    fn end(&mut self, change: &Change, state: State, exit_code: Option<i64>, reason: &str) {
        self.ends.push(End {
            time: change.time,
            state,
            cause: change.cause,
            worker: self.placed.as_ref().map(|placed| placed.worker.clone()),
            exit_code,
            reason: reason.to_owned(),
            restarted: String::new(),
        });
    }
}
