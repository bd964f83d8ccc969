//! Cluster: what a manager knows. Changed by `apply` alone (`fold.rs`); decides nothing, knows no IO.

mod change;
mod crashes;
mod ended;
mod event_db;
mod feed;
mod find;
mod fold;
mod moves;
mod part;
mod sample;
mod snapshot;
mod worker_record;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ops::RangeBounds;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub use change::{Cause, Change, Revision, What};
pub use crashes::Crashes;
pub use ended::{ENDED_KEPT_FOR, ENDED_TASKS};
pub use event_db::EventDb;
pub use feed::{FeedItem, Mark};
pub use find::FindError;
pub use moves::Moves;
pub use part::{ClusterHead, Part, TaskEntry};
pub use sample::{Progress, Sample, TaskUse, WorkerSample};
pub use snapshot::Snapshot;
pub use worker_record::{Capacity, Peer, WorkerHealth, WorkerRecord};

use crate::task::{State, Task, TaskId, TaskStatus, WorkerId};

/// The state that the book calls the manager's. Only [`Cluster::apply`] changes it, wherever it runs:
/// in the manager, in each dashboard's mirror, and when the log is read at start.
#[derive(Clone, Debug, Default)]
pub struct Cluster {
    revision: Revision,
    task_db: HashMap<TaskId, TaskRecord>,
    event_db: EventDb,
    /// In the order of joining: the revision that put a task here → the task.
    pending: BTreeMap<Revision, TaskId>,
    /// In the order of appearance; round robin walks this.
    workers: Vec<WorkerRecord>,
    /// Where in `workers` an id stands.
    worker_index: HashMap<WorkerId, usize>,
    worker_task_map: HashMap<WorkerId, HashSet<TaskId>>,
    task_worker_map: HashMap<TaskId, WorkerId>,
    last_worker: Option<usize>,
    counts: [usize; 5],
    /// When it ended → the task: the order in which they are let go.
    ended: BTreeSet<(Timestamp, TaskId)>,
    /// What a submitted task starts with: above every generation of a task that was let go, since a worker may
    /// remember one of the same id.
    first_generation: u32,
}

/// A row of the TaskDb.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TaskRecord {
    pub task: Task,
    /// The state that somebody wants: Running, or Completed once a stop was asked for.
    pub desired: State,
    /// The revision that brought it in: what "in order of submission" sorts by.
    #[schema(value_type = u64)]
    pub submitted_at: Revision,
    pub submitted: Timestamp,
    /// When it last changed.
    pub changed: Timestamp,
    /// Set while it waits in `pending`.
    pub queued: Option<Queued>,
    /// The worker that was tried last: only a move to another one needs a new generation.
    pub tried: Option<WorkerId>,
    /// Dispatches that did not arrive, since the last one that did; sets the backoff.
    pub attempts: u32,
    /// Its ends soon after a start; sets the backoff before the next one.
    #[serde(default)]
    pub crashes: Crashes,
    /// Its moves off lost workers; `None` if there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moves: Option<Moves>,
    /// The workers that could not start it, since it last ran or was restarted: they are not asked again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refusals: Vec<Refusal>,
    /// Who wants it started anew once it has ended; it is being stopped for that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restart: Option<Cause>,
    /// Restarts up to the last one by hand: `on-failure:N` begins anew from there.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub forgiven_restarts: u32,
}

/// A worker that could not start a task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Refusal {
    pub worker: WorkerId,
    /// In its own words: "image x:1 could not be pulled: ..."
    pub why: String,
}

impl TaskRecord {
    /// A task that came in with this revision, and is wanted to run.
    fn new(task: Task, revision: Revision, now: Timestamp) -> Self {
        Self {
            task,
            desired: State::Running,
            submitted_at: revision,
            submitted: now,
            changed: now,
            queued: None,
            tried: None,
            attempts: 0,
            moves: None,
            refusals: Vec::new(),
            restart: None,
            forgiven_restarts: 0,
            crashes: Crashes::default(),
        }
    }

    pub fn status(&self) -> &TaskStatus {
        &self.task.status
    }

    pub fn state(&self) -> State {
        self.task.status.state
    }

    /// Why `worker` could not start it, if it tried.
    pub fn refusal_of(&self, worker: &WorkerId) -> Option<&Refusal> {
        self.refusals.iter().find(|refusal| refusal.worker == *worker)
    }

    /// Whether somebody wants it to run: now, or as soon as it is stopped.
    pub fn is_wanted(&self) -> bool {
        self.desired == State::Running || self.restart.is_some()
    }

    /// Whether its policy starts it again after an end like this.
    pub fn policy_restarts(&self, failed: bool) -> bool {
        let counted = self.status().restart_count.saturating_sub(self.forgiven_restarts);
        self.task.spec.restart_policy.restarts(failed, counted)
    }

    /// A stop was asked for and is not done yet.
    pub fn is_stopping(&self) -> bool {
        self.desired == State::Completed && !self.state().has_ended()
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands out references")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// A place in `pending`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Queued {
    /// Its key in `pending`.
    #[schema(value_type = u64)]
    pub position: Revision,
    pub since: Timestamp,
    /// Not to be tried before this, after a failure.
    pub retry_at: Option<Timestamp>,
}

impl Cluster {
    /// The revision of the last Change folded in; 0 before the first.
    pub fn revision(&self) -> Revision {
        self.revision
    }

    pub fn task(&self, id: TaskId) -> Option<&TaskRecord> {
        self.task_db.get(&id)
    }

    /// Every task, in no order.
    pub fn task_db(&self) -> impl ExactSizeIterator<Item = &TaskRecord> {
        self.task_db.values()
    }

    /// How many tasks are in `state`; kept, not counted.
    pub fn count(&self, state: State) -> usize {
        self.counts[usize::from(state.number())]
    }

    /// The waiting tasks, the oldest first.
    pub fn pending(&self) -> impl DoubleEndedIterator<Item = TaskId> {
        self.pending.values().copied()
    }

    /// The waiting tasks within a range of places, the oldest first: a window on `pending` without a walk.
    pub fn pending_range(
        &self,
        range: impl RangeBounds<Revision>,
    ) -> impl DoubleEndedIterator<Item = (Revision, TaskId)> {
        self.pending.range(range).map(|(position, task)| (*position, *task))
    }

    pub fn pending_len(&self) -> usize {
        self.pending.len()
    }

    pub fn workers(&self) -> &[WorkerRecord] {
        &self.workers
    }

    pub fn worker(&self, id: &WorkerId) -> Option<&WorkerRecord> {
        self.worker_index.get(id).map(|&index| &self.workers[index])
    }

    /// The worker that `select_worker` chose last, as its place in [`Self::workers`].
    pub fn last_worker(&self) -> Option<usize> {
        self.last_worker
    }

    /// Where a task was sent.
    pub fn worker_of(&self, task: TaskId) -> Option<&WorkerId> {
        self.task_worker_map.get(&task)
    }

    /// What was sent to a worker, in no order.
    pub fn tasks_of(&self, worker: &WorkerId) -> impl Iterator<Item = TaskId> {
        self.worker_task_map.get(worker).into_iter().flatten().copied()
    }

    pub fn tasks_of_len(&self, worker: &WorkerId) -> usize {
        self.worker_task_map.get(worker).map_or(0, HashSet::len)
    }

    /// The recent Changes.
    pub fn event_db(&self) -> &EventDb {
        &self.event_db
    }
}
