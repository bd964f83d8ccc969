//! Cluster: what a manager knows, and `apply`, the one fold that changes it. Decides nothing, knows no IO.

mod change;
mod crashes;
mod ended;
mod event_db;
mod feed;
mod moves;
mod part;
mod sample;
mod snapshot;
mod worker_record;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ops::RangeBounds;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use change::{Cause, Change, Revision, What};
pub use crashes::Crashes;
pub use ended::{ENDED_KEPT_FOR, ENDED_TASKS};
pub use event_db::EventDb;
pub use feed::FeedItem;
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
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskRecord {
    pub task: Task,
    /// The state that somebody wants: Running, or Completed once a stop was asked for.
    pub desired: State,
    /// The revision that brought it in: what "in order of submission" sorts by.
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
}

/// A worker that could not start a task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    pub worker: WorkerId,
    /// In its own words: "image x:1 could not be pulled: ..."
    pub why: String,
}

impl TaskRecord {
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

    /// A stop was asked for and is not done yet.
    pub fn is_stopping(&self) -> bool {
        self.desired == State::Completed && !self.state().has_ended()
    }
}

/// A place in `pending`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Queued {
    /// Its key in `pending`.
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

/// The fold.
impl Cluster {
    /// Folds one Change in. A Change at or below the own revision was folded before and is passed over,
    /// so that a mirror may join the stream anywhere after its snapshot.
    ///
    /// A Change about a task that is not here changes nothing but the revision: old history may have been
    /// compacted away.
    pub fn apply(&mut self, change: &Arc<Change>) {
        if change.revision <= self.revision {
            return;
        }
        self.revision = change.revision;
        self.event_db.push(Arc::clone(change));
        let now = change.time;
        match &change.what {
            What::Submitted { task, .. } => self.submitted(change.revision, now, task),
            What::Scheduled { task, worker, generation } => {
                self.last_worker = self.worker_index.get(worker).copied();
                self.scheduled(*task, now, worker, *generation);
            }
            What::Moved { task, from: _, worker, generation, reason } => {
                self.last_worker = self.worker_index.get(worker).copied();
                self.scheduled(*task, now, worker, *generation);
                self.update(*task, now, |record| {
                    record.task.status.reason.clone_from(reason);
                    record.moves = Some(Moves::next(record.moves, now));
                });
            }
            What::Refused { task, worker, why, to, generation, reason } => {
                let refusal = Refusal { worker: worker.clone(), why: why.clone() };
                self.refused(change.revision, now, *task, refusal, to.as_ref(), *generation);
                self.update(*task, now, |record| record.task.status.reason.clone_from(reason));
            }
            What::Returned { task, reason, retry_at } => {
                self.unassign(*task);
                self.update(*task, now, |record| {
                    record.task.status.state = State::Pending;
                    record.task.status.reason.clone_from(reason);
                    record.attempts += 1;
                });
                self.enqueue(*task, change.revision, now, Some(*retry_at));
            }
            What::Waiting { task, reason } => {
                self.update(*task, now, |record| record.task.status.reason.clone_from(reason));
            }
            What::StopRequested { task } => {
                self.update(*task, now, |record| record.desired = State::Completed);
            }
            What::Observed { task, status } => {
                self.update(*task, now, |record| {
                    record.task.status.clone_from(status);
                    record.attempts = 0;
                    if status.state == State::Running {
                        record.refusals.clear();
                    }
                });
            }
            What::Ended { task, state, reason } => {
                self.dequeue(*task);
                self.update(*task, now, |record| {
                    let status = &mut record.task.status;
                    status.state = *state;
                    status.reason.clone_from(reason);
                    status.finish_time.get_or_insert(now);
                });
            }
            What::Restarting { task, generation, restart_count, crashes, reason, retry_at } => {
                self.unassign(*task);
                self.update(*task, now, |record| {
                    record.task.status = TaskStatus {
                        state: State::Pending,
                        generation: *generation,
                        restart_count: *restart_count,
                        reason: reason.clone(),
                        ..TaskStatus::default()
                    };
                    record.tried = None;
                    record.refusals.clear();
                    record.crashes.clone_from(crashes);
                });
                self.enqueue(*task, change.revision, now, Some(*retry_at));
            }
            What::Adopted { task, worker } => self.adopted(change.revision, now, task, worker),
            What::Collected { tasks } => self.collected(tasks),
            What::Worker { worker } => self.worker_changed(worker),
        }
    }

    fn submitted(&mut self, revision: Revision, now: Timestamp, task: &Task) {
        let mut task = task.clone();
        task.status = TaskStatus { generation: self.first_generation, ..TaskStatus::default() };
        let id = task.id;
        self.put(TaskRecord {
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
            crashes: Crashes::default(),
        });
        self.enqueue(id, revision, now, None);
    }

    fn adopted(&mut self, revision: Revision, now: Timestamp, task: &Task, worker: &WorkerId) {
        self.put(TaskRecord {
            task: task.clone(),
            desired: State::Running,
            submitted_at: revision,
            submitted: task.status.start_time.unwrap_or(now),
            changed: now,
            queued: None,
            tried: Some(worker.clone()),
            attempts: 0,
            moves: None,
            refusals: Vec::new(),
            crashes: Crashes::default(),
        });
        self.assign(task.id, worker);
    }

    /// A new row, in the place of an old one if there is one.
    fn put(&mut self, record: TaskRecord) {
        let (id, state, now) = (record.task.id, record.state(), record.changed);
        if let Some(before) = self.task_db.insert(id, record) {
            self.counts[usize::from(before.state().number())] -= 1;
            self.ended.remove(&(before.changed, id));
            if let Some(queued) = before.queued {
                self.pending.remove(&queued.position);
            }
            self.unassign(id);
        }
        if state.has_ended() {
            self.ended.insert((now, id));
        }
        self.counts[usize::from(state.number())] += 1;
    }

    fn scheduled(&mut self, task: TaskId, now: Timestamp, worker: &WorkerId, generation: u32) {
        self.dequeue(task);
        self.assign(task, worker);
        self.update(task, now, |record| {
            let status = &mut record.task.status;
            *status = TaskStatus {
                state: State::Scheduled,
                generation,
                restart_count: status.restart_count,
                ..TaskStatus::default()
            };
            record.tried = Some(worker.clone());
        });
    }

    fn refused(
        &mut self,
        revision: Revision,
        now: Timestamp,
        task: TaskId,
        refusal: Refusal,
        to: Option<&WorkerId>,
        generation: u32,
    ) {
        if let Some(to) = to {
            self.last_worker = self.worker_index.get(to).copied();
            self.scheduled(task, now, to, generation);
        } else {
            self.unassign(task);
            self.update(task, now, |record| {
                let restart_count = record.status().restart_count;
                record.task.status = TaskStatus { generation, restart_count, ..TaskStatus::default() };
                // The generation is a new one already, wherever it goes.
                record.tried = None;
            });
            self.enqueue(task, revision, now, None);
        }
        self.update(task, now, |record| {
            record.attempts = 0;
            record.refusals.push(refusal);
        });
    }

    fn worker_changed(&mut self, worker: &WorkerRecord) {
        if let Some(&index) = self.worker_index.get(&worker.id) {
            self.workers[index].clone_from(worker);
        } else {
            self.worker_index.insert(worker.id.clone(), self.workers.len());
            self.workers.push(worker.clone());
        }
    }

    /// Changes a row, and keeps the counts and the order of the ended right.
    fn update(&mut self, task: TaskId, now: Timestamp, change: impl FnOnce(&mut TaskRecord)) {
        let Some(record) = self.task_db.get_mut(&task) else { return };
        self.counts[usize::from(record.state().number())] -= 1;
        if record.state().has_ended() {
            self.ended.remove(&(record.changed, task));
        }
        change(record);
        record.changed = now;
        self.counts[usize::from(record.state().number())] += 1;
        if record.state().has_ended() {
            self.ended.insert((now, task));
        }
    }

    /// Adds a row as it was folded elsewhere; it must not be here yet.
    fn insert(&mut self, record: TaskRecord) {
        self.counts[usize::from(record.state().number())] += 1;
        if record.state().has_ended() {
            self.ended.insert((record.changed, record.task.id));
        }
        if let Some(queued) = record.queued {
            self.pending.insert(queued.position, record.task.id);
        }
        if record.state().has_ended() {
            self.ended.insert((record.changed, record.task.id));
        }
        self.task_db.insert(record.task.id, record);
    }

    /// Takes a row out, with all that stands elsewhere about it.
    fn take(&mut self, task: TaskId) -> Option<TaskRecord> {
        self.unassign(task);
        let record = self.task_db.remove(&task)?;
        if let Some(queued) = record.queued {
            self.pending.remove(&queued.position);
        }
        self.ended.remove(&(record.changed, task));
        self.counts[usize::from(record.state().number())] -= 1;
        self.ended.remove(&(record.changed, task));
        Some(record)
    }

    fn enqueue(&mut self, task: TaskId, position: Revision, now: Timestamp, retry_at: Option<Timestamp>) {
        let Some(record) = self.task_db.get_mut(&task) else { return };
        if let Some(before) = record.queued {
            self.pending.remove(&before.position);
        }
        record.queued = Some(Queued { position, since: now, retry_at });
        self.pending.insert(position, task);
    }

    fn dequeue(&mut self, task: TaskId) {
        let Some(record) = self.task_db.get_mut(&task) else { return };
        if let Some(queued) = record.queued.take() {
            self.pending.remove(&queued.position);
        }
    }

    fn assign(&mut self, task: TaskId, worker: &WorkerId) {
        if !self.task_db.contains_key(&task) {
            return;
        }
        self.unassign(task);
        self.task_worker_map.insert(task, worker.clone());
        self.worker_task_map.entry(worker.clone()).or_default().insert(task);
    }

    fn unassign(&mut self, task: TaskId) {
        let Some(worker) = self.task_worker_map.remove(&task) else { return };
        if let Some(tasks) = self.worker_task_map.get_mut(&worker) {
            tasks.remove(&task);
        }
    }
}
