//! Cluster: what a manager knows. Changed by `apply` alone (`fold.rs`); decides nothing, knows no IO.

mod allows;
mod change;
mod crashes;
mod ended;
mod event_db;
mod feed;
mod find;
mod fold;
mod moves;
mod part;
mod placement;
mod reserved;
mod row;
mod sample;
mod settings;
mod snapshot;
mod specs;
mod task_db;
mod task_record;
mod worker_record;
mod worker_tasks;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::RangeBounds;

use jiff::Timestamp;

pub use allows::{Allows, Denied, is_in_any};
pub use change::{Cause, Change, Revision, What};
pub use crashes::Crashes;
pub use ended::{ENDED_KEPT_FOR, ENDED_TASKS};
pub use event_db::EventDb;
pub use feed::{FeedItem, Mark};
pub use find::FindError;
pub use moves::{Moves, Preempted, Serving};
pub use part::{ClusterHead, Part, TaskEntry};
pub use placement::{Placement, RejectedBy, RunnerUp, Term};
pub use reserved::{Reserved, Resources, label_set};
pub use row::TaskRow;
pub use sample::{Progress, Sample, TaskUse, WorkerSample};
pub use settings::{Overcommit, SchedulerName, Settings};
pub use snapshot::Snapshot;
pub use task_record::{Queued, Refusal, TaskRecord};
pub use worker_record::{
    Availability, Capacity, Facts, Joined, OWN_LABELS, Peer, WorkerHealth, WorkerRecord,
};

use crate::task::{State, TaskId, WorkerId};
use specs::Specs;
use task_db::{Slot, TaskDb};
use worker_tasks::WorkerTaskMap;

/// The state that the book calls the manager's. Only [`Cluster::apply`] changes it, wherever it runs:
/// in the manager, in each dashboard's mirror, and when the log is read at start.
#[derive(Clone, Debug, Default)]
pub struct Cluster {
    revision: Revision,
    /// With each row goes its entry of the book's `task_worker_map`.
    task_db: TaskDb,
    specs: Specs,
    event_db: EventDb,
    /// In the order of joining: the revision that put a task here → the task.
    pending: BTreeMap<Revision, Slot>,
    /// In the order of appearance; round robin walks this.
    workers: Vec<WorkerRecord>,
    /// Where in `workers` an id stands.
    worker_index: HashMap<WorkerId, usize>,
    /// What the living tasks of each worker take there, in the order of `workers`.
    reserved: Vec<Reserved>,
    settings: Settings,
    worker_task_map: WorkerTaskMap,
    last_worker: Option<usize>,
    counts: [usize; 5],
    /// When it ended → the task: the order in which they are let go.
    ended: BTreeSet<(Timestamp, TaskId)>,
    /// What a submitted task starts with: above every generation of a task that was let go, since a worker may
    /// remember one of the same id.
    first_generation: u32,
}

impl Cluster {
    /// The revision of the last Change folded in; 0 before the first.
    pub fn revision(&self) -> Revision {
        self.revision
    }

    pub fn task(&self, id: TaskId) -> Option<TaskRecord> {
        self.row(id).map(|row| self.record(row))
    }

    /// Every task, in no order.
    pub fn task_db(&self) -> impl ExactSizeIterator<Item = TaskRecord> {
        self.task_db.rows().map(|row| self.record(row))
    }

    /// What lies at hand of a task: for a look at many of them, which need not all be put together.
    pub fn row(&self, id: TaskId) -> Option<&TaskRow> {
        self.task_db.get(id)
    }

    /// The rows of all tasks, in no order.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = &TaskRow> {
        self.task_db.rows()
    }

    /// All that a row says.
    pub fn record(&self, row: &TaskRow) -> TaskRecord {
        row.record(row.whole_spec(), &self.worker_task_map)
    }

    /// The worker that was tried last with this task.
    pub fn tried(&self, row: &TaskRow) -> Option<&WorkerId> {
        row.tried.map(|seat| self.worker_task_map.name(seat))
    }

    /// How many tasks are in `state`; kept, not counted.
    pub fn count(&self, state: State) -> usize {
        self.counts[usize::from(state.number())]
    }

    /// The waiting tasks, the oldest first.
    pub fn pending(&self) -> impl DoubleEndedIterator<Item = TaskId> {
        self.pending.values().filter_map(|slot| self.id_at(*slot))
    }

    /// The waiting tasks within a range of places, the oldest first: a window on `pending` without a walk.
    pub fn pending_range(
        &self,
        range: impl RangeBounds<Revision>,
    ) -> impl DoubleEndedIterator<Item = (Revision, TaskId)> {
        self.pending.range(range).filter_map(|(position, slot)| Some((*position, self.id_at(*slot)?)))
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

    /// Where a worker stands in [`Self::workers`].
    pub fn place_of(&self, id: &WorkerId) -> Option<usize> {
        self.worker_index.get(id).copied()
    }

    /// How workers are selected.
    pub fn settings(&self) -> Settings {
        self.settings
    }

    /// The worker that `select_worker` chose last, as its place in [`Self::workers`].
    pub fn last_worker(&self) -> Option<usize> {
        self.last_worker
    }

    /// Where a task was sent: the book's `task_worker_map`.
    pub fn worker_of(&self, task: TaskId) -> Option<&WorkerId> {
        let seat = self.task_db.get(task)?.worker?;
        Some(self.worker_task_map.name(seat))
    }

    /// What was sent to a worker, in no order.
    pub fn tasks_of(&self, worker: &WorkerId) -> impl Iterator<Item = TaskId> {
        self.worker_task_map.tasks_of(worker).iter().filter_map(|slot| self.id_at(*slot))
    }

    pub fn tasks_of_len(&self, worker: &WorkerId) -> usize {
        self.worker_task_map.tasks_of(worker).len()
    }

    fn id_at(&self, slot: Slot) -> Option<TaskId> {
        self.task_db.at(slot).map(TaskRow::id)
    }

    /// The recent Changes.
    pub fn event_db(&self) -> &EventDb {
        &self.event_db
    }
}
