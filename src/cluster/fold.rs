//! `apply`, the one fold: what each Change does to a Cluster, and the ways in and out of a row with all that stands
//! elsewhere about it. Decides nothing.

use std::sync::Arc;

use jiff::Timestamp;

use super::{
    Change, Cluster, Moves, Preempted, Queued, Refusal, Revision, Serving, TaskRecord, TaskRow, What,
    WorkerRecord,
};
use crate::task::{State, Task, TaskId, TaskStatus, WorkerId};

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
            What::Scheduled { task, worker, generation, .. } => {
                self.last_worker = self.worker_index.get(worker).copied();
                self.scheduled(*task, now, worker, *generation);
            }
            What::Moved { task, from, worker, generation, reason, serves, .. } => {
                self.last_worker = self.worker_index.get(worker).copied();
                self.scheduled(*task, now, worker, *generation);
                let generation = generation.saturating_sub(1);
                let serving = serves.then(|| Serving { worker: from.clone(), generation });
                self.update(*task, now, |record| moved(record, now, reason, serving));
            }
            What::Refused { task, worker, why, to, generation, reason, .. } => {
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
                self.update(*task, now, |record| {
                    record.desired = State::Completed;
                    record.restart = None;
                    record.preempted = None;
                });
            }
            What::RestartRequested { task } => {
                self.update(*task, now, |record| {
                    record.desired = State::Completed;
                    record.restart = Some(change.cause);
                    record.preempted = None;
                });
            }
            What::Preempted { task, by, reason } => {
                self.update(*task, now, |record| {
                    record.desired = State::Completed;
                    record.preempted = Some(Preempted { by: *by, reason: reason.clone() });
                    record.task.status.reason.clone_from(reason);
                });
            }
            What::Observed { task, status } => {
                self.update(*task, now, |record| observed(record, now, status));
            }
            What::Ended { task, state, reason } => {
                self.dequeue(*task);
                self.update(*task, now, |record| {
                    let status = &mut record.task.status;
                    status.state = *state;
                    status.reason.clone_from(reason);
                    status.finish_time.get_or_insert(now);
                    ended(record, now);
                });
            }
            What::Restarting { task, generation, restart_count, crashes, reason, retry_at, by_hand } => {
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
                    if *by_hand {
                        record.desired = State::Running;
                        record.restart = None;
                        record.forgiven_restarts = *restart_count;
                    }
                });
                self.enqueue(*task, change.revision, now, Some(*retry_at));
            }
            What::Adopted { task, worker } => self.adopted(change.revision, now, task, worker),
            What::Collected { tasks } => self.collected(tasks),
            What::Worker { worker } => self.worker_changed(worker),
            What::Settings { settings } => self.settings = *settings,
            What::Forgotten { worker } => self.forgotten(worker),
        }
    }

    fn submitted(&mut self, revision: Revision, now: Timestamp, task: &Task) {
        let mut task = task.clone();
        task.status = TaskStatus { generation: self.first_generation, ..TaskStatus::default() };
        let id = task.id;
        self.put(TaskRecord::new(task, revision, now));
        self.enqueue(id, revision, now, None);
    }

    fn adopted(&mut self, revision: Revision, now: Timestamp, task: &Task, worker: &WorkerId) {
        self.put(TaskRecord {
            submitted: task.status.start_time.unwrap_or(now),
            tried: Some(worker.clone()),
            ..TaskRecord::new(task.clone(), revision, now)
        });
        self.assign(task.id, worker);
    }

    /// A new row, in the place of an old one if there is one.
    fn put(&mut self, record: TaskRecord) {
        self.take(record.task.id);
        self.insert(record);
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

    pub(super) fn worker_changed(&mut self, worker: &WorkerRecord) {
        if let Some(&index) = self.worker_index.get(&worker.id) {
            self.workers[index].clone_from(worker);
        } else {
            self.worker_index.insert(worker.id.clone(), self.workers.len());
            self.workers.push(worker.clone());
            // Tasks may have been sent there before its record came.
            self.reserved.push(self.count_reserved(&worker.id));
        }
    }

    /// Those after it move up; who was chosen last stays so.
    fn forgotten(&mut self, worker: &WorkerId) {
        let Some(index) = self.worker_index.remove(worker) else { return };
        self.workers.remove(index);
        self.reserved.remove(index);
        for place in self.worker_index.values_mut().filter(|place| **place > index) {
            *place -= 1;
        }
        self.last_worker = match self.last_worker {
            Some(last) if last >= index => last.checked_sub(1),
            last => last,
        };
    }

    /// Changes a row, and keeps the counts and the order of the ended right.
    fn update(&mut self, task: TaskId, now: Timestamp, change: impl FnOnce(&mut TaskRecord)) {
        let Some(row) = self.task_db.slot(task).and_then(|slot| self.task_db.at_mut(slot)) else { return };
        // The spec may be named like another task's: it does not change.
        let mut record = row.record(Arc::clone(row.spec()), &self.worker_task_map);
        let before = record.state();
        self.counts[usize::from(before.number())] -= 1;
        if before.has_ended() {
            self.ended.remove(&(record.changed, task));
        }
        change(&mut record);
        record.changed = now;
        let after = record.state();
        self.counts[usize::from(after.number())] += 1;
        if after.has_ended() {
            self.ended.insert((now, task));
        }
        row.set(record, &mut self.worker_task_map);
        if before.has_ended() != after.has_ended()
            && let Some(seat) = row.worker
            && let Some(&place) = self.worker_index.get(self.worker_task_map.name(seat))
        {
            self.reserved[place].count(row.spec(), !after.has_ended());
        }
    }

    /// Adds a row as it was folded elsewhere; it must not be here yet.
    pub(super) fn insert(&mut self, record: TaskRecord) {
        let (id, state, changed, queued) = (record.task.id, record.state(), record.changed, record.queued);
        let spec = self.specs.shared(&record.task.spec);
        let row = TaskRow::new(record, spec, &mut self.worker_task_map);
        let Some(slot) = self.task_db.insert(row) else { return };
        self.counts[usize::from(state.number())] += 1;
        if state.has_ended() {
            self.ended.insert((changed, id));
        }
        if let Some(queued) = queued {
            self.pending.insert(queued.position, slot);
        }
    }

    /// Takes a row out, with all that stands elsewhere about it.
    pub(super) fn take(&mut self, task: TaskId) -> Option<TaskRecord> {
        self.unassign(task);
        let row = self.task_db.remove(task)?;
        if let Some(queued) = row.queued() {
            self.pending.remove(&queued.position);
        }
        if row.state().has_ended() {
            self.ended.remove(&(row.changed(), task));
        }
        self.counts[usize::from(row.state().number())] -= 1;
        Some(self.record(&row))
    }

    fn enqueue(&mut self, task: TaskId, position: Revision, now: Timestamp, retry_at: Option<Timestamp>) {
        let Some(slot) = self.task_db.slot(task) else { return };
        let Some(row) = self.task_db.at_mut(slot) else { return };
        if let Some(before) = row.queued() {
            self.pending.remove(&before.position);
        }
        row.set_queued(Some(Queued { position, since: now, retry_at }));
        self.pending.insert(position, slot);
    }

    pub(super) fn dequeue(&mut self, task: TaskId) {
        let Some(row) = self.task_db.slot(task).and_then(|slot| self.task_db.at_mut(slot)) else { return };
        if let Some(queued) = row.queued() {
            row.set_queued(None);
            self.pending.remove(&queued.position);
        }
    }

    pub(super) fn assign(&mut self, task: TaskId, worker: &WorkerId) {
        self.unassign(task);
        let Some(slot) = self.task_db.slot(task) else { return };
        let Some(seat) = self.worker_task_map.seat(worker) else { return };
        let Some(row) = self.task_db.at_mut(slot) else { return };
        row.worker = Some(seat);
        row.place = self.worker_task_map.add(seat, slot);
        self.count_there(task, true);
    }

    pub(super) fn unassign(&mut self, task: TaskId) {
        self.count_there(task, false);
        let Some(row) = self.task_db.slot(task).and_then(|slot| self.task_db.at_mut(slot)) else { return };
        let Some(seat) = row.worker.take() else { return };
        let place = row.place;
        let moved = self.worker_task_map.remove(seat, place);
        if let Some(moved) = moved.and_then(|slot| self.task_db.at_mut(slot)) {
            moved.place = place;
        }
    }
}

/// Of a record that may have ended: no old run serves in its place, and who was to make room is wanted as before.
fn ended(record: &mut TaskRecord, now: Timestamp) {
    if !record.state().has_ended() {
        return;
    }
    record.serving = None;
    if record.preempted.take().is_some() {
        record.desired = State::Running;
        record.moves = Some(Moves::next(record.moves, now));
    }
}

fn moved(record: &mut TaskRecord, now: Timestamp, reason: &String, serving: Option<Serving>) {
    record.task.status.reason.clone_from(reason);
    record.moves = Some(Moves::next(record.moves, now));
    // A move is the start anew that somebody may have asked for, and makes the room that somebody needs.
    if record.restart.take().is_some() || record.preempted.take().is_some() {
        record.desired = State::Running;
    }
    // Of several that were moved off, the first is the one that runs.
    record.serving = record.serving.take().or(serving);
}

fn observed(record: &mut TaskRecord, now: Timestamp, status: &TaskStatus) {
    record.task.status.clone_from(status);
    record.attempts = 0;
    if status.state == State::Running {
        record.refusals.clear();
        record.serving = None;
    }
    ended(record, now);
}
