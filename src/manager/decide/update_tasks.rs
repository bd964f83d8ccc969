//! update_tasks: brings the workers' view into the task_db. Level-triggered: reports may come in any order, twice,
//! or late; a generation that is not the current one changes nothing here.

use std::collections::HashMap;

use super::stop_to_move::is_stopped_for_a_drain;
use super::{Manager, Turn, Wish};
use crate::cluster::{Cause, Peer, TaskRecord, TaskRow, What};
use crate::task::{State, Task, TaskId, TaskStatus, WorkerId};
use crate::worker::STOPPING;

/// A book worker lists a task only once it took it off its queue, which it looks at every 10 s, one task a turn.
/// When nothing has happened there for this long, a start that it does not list went missing.
const BOOK_LISTS_WITHIN: jiff::SignedDuration = jiff::SignedDuration::from_secs(120);

impl Manager {
    /// The complete list of a worker.
    pub(super) fn worker_tasks(&mut self, turn: &mut Turn, worker: &WorkerId, tasks: Vec<Task>) {
        let listed: HashMap<TaskId, u32> =
            tasks.iter().map(|task| (task.id, task.status.generation)).collect();
        let is_book = self.is_book(worker);
        self.unknown.begin_list(worker);
        for task in tasks {
            self.update_task(turn, worker, task);
        }
        self.only_these_run(worker, |task| listed.contains_key(&task));
        let has_lost_them = is_book && self.stands_still(turn, worker);
        for task in self.assigned(worker) {
            // It may know the task and not yet this generation of it.
            let ours = self.cluster.row(task).map(TaskRow::generation);
            let is_listed = listed.get(&task).is_some_and(|theirs| is_book || Some(*theirs) >= ours);
            if !is_listed {
                self.not_listed(turn, worker, task, has_lost_them);
            }
        }
        self.tell_unknown(turn, worker);
    }

    /// Whether none of the worker's tasks changed for a while: a long queue moves on, a lost one does not.
    fn stands_still(&self, turn: &Turn, worker: &WorkerId) -> bool {
        let mut rows = self.cluster.tasks_of(worker).filter_map(|task| self.cluster.row(task));
        rows.all(|row| is_long_ago(turn, row.changed()))
    }

    pub(super) fn is_book(&self, worker: &WorkerId) -> bool {
        self.cluster.worker(worker).is_some_and(|worker| worker.peer == Peer::Book)
    }

    /// What was sent to `worker`, in an order that is the same in every run.
    pub(super) fn assigned(&self, worker: &WorkerId) -> Vec<TaskId> {
        let mut tasks: Vec<TaskId> = self.cluster.tasks_of(worker).collect();
        tasks.sort_unstable();
        tasks
    }

    /// A task was sent to `worker`, and `worker` does not know it.
    fn not_listed(&mut self, turn: &mut Turn, worker: &WorkerId, task: TaskId, is_lost: bool) {
        let Some(row) = self.cluster.row(task) else { return };
        if row.state().has_ended() || self.doubt(worker, task) {
            return;
        }
        let Some(record) = self.cluster.task(task) else { return };
        match record.state() {
            State::Scheduled if self.is_book(worker) && !is_lost => {}
            State::Scheduled | State::Running if record.is_stopping() => {
                let reason = "stopped; its worker no longer has it";
                self.end_as_stopped(turn, Cause::WorkerReport, task, reason);
            }
            State::Scheduled => {
                if is_lost {
                    // Said, so that it is seen, and so that the next time is a while away.
                    let generation = record.status().generation;
                    let what = What::scheduled(task, worker.clone(), generation);
                    self.change(turn, Cause::WorkerReport, what);
                }
                self.send_start(turn, worker, task);
            }
            State::Running => {
                let reason = format!("{worker} no longer has it");
                if record.task.spec.exclusive {
                    // Most likely stopped when its lease ended, by a worker that was gone before it could say so.
                    let ended = TaskStatus {
                        state: State::Failed,
                        reason,
                        is_interrupted: true,
                        ..record.status().clone()
                    };
                    self.change(turn, Cause::WorkerReport, What::Observed { task, status: ended });
                    self.after_end(turn, task);
                    return;
                }
                self.change(turn, Cause::WorkerReport, What::Ended { task, state: State::Failed, reason });
                self.after_end(turn, task);
            }
            State::Pending | State::Completed | State::Failed => {}
        }
    }

    /// One task as `worker` sees it.
    pub(super) fn update_task(&mut self, turn: &mut Turn, worker: &WorkerId, report: Task) {
        let Some(row) = self.cluster.row(report.id) else {
            // Nothing is stopped for not being known: the store may be what is missing.
            self.unknown.note(worker, report);
            return;
        };
        let ours = row.generation();
        // The book knows no generations: its worker's word counts for the current one.
        let theirs = if self.is_book(worker) { ours } else { report.status.generation };
        if theirs > ours {
            // Of a store that knew more than this one.
            self.unknown.note(worker, report);
            return;
        }
        self.unknown.forget(worker, report.id);
        if !self.is_book(worker) {
            self.heard_of_run(worker, report.id, theirs, report.status.state.has_ended());
        }
        if self.cluster.worker_of(report.id) != Some(worker) || theirs != ours {
            self.not_current(turn, worker, report, theirs);
            return;
        }
        // It reports the task, so it has the task, whatever becomes of the answer to the POST.
        self.landed(turn, worker, Wish::Start, report.id);
        let Some(record) = self.cluster.task(report.id) else { return };
        let mut status = report.status;
        if self.is_book(worker) {
            if is_of_before_the_restart(turn, &record, &status) {
                return;
            }
            // It has an ID as soon as its container runs, and the book tells no more.
            status.never_ran = status.state == State::Failed && status.container_id.is_empty();
            give_book_reason(&record, &mut status);
        } else if record.state().has_ended() && !status.state.has_ended() {
            // It ended here by a list from before the start arrived; what the list did not show must not go on.
            self.stop_leftover(turn, worker, report.id, status);
            return;
        }
        if let Some(preempted) = record.preempted.as_ref().filter(|_| status.state.has_ended()) {
            if self.has_made_room(report.id, &status) {
                status.is_interrupted = true;
                status.reason.clone_from(&preempted.reason);
            }
        } else if record.is_stopping() && status.exit_code.is_some() {
            count_as_stopped(&mut status);
        }
        if let Some(reason) = self.was_stopped_to_move(worker, &record, &status) {
            status.is_interrupted = true;
            status.reason = reason;
        } else if status.reason == STOPPING && self.cluster.row(report.id).is_some_and(is_stopped_for_a_drain)
        {
            // That says more.
            status.reason.clone_from(&record.status().reason);
        }
        if let Some(status) = news(&record, status, turn.now.wall) {
            if status.never_ran && record.state() == State::Scheduled && record.preempted.is_none() {
                self.could_not_start(turn, worker, report.id, status);
                return;
            }
            let (task, ended) = (report.id, status.state.has_ended());
            self.change(turn, Cause::WorkerReport, What::Observed { task, status });
            if ended {
                self.after_end(turn, task);
            }
        }
    }

    /// `worker` has a task that is not (or no longer) assigned to it as this generation.
    fn not_current(&mut self, turn: &mut Turn, worker: &WorkerId, report: Task, theirs: u32) {
        let Some(record) = self.cluster.task(report.id) else { return };
        let (task, ours) = (report.id, record.status().generation);
        let reply_was_lost =
            record.queued.is_some() && record.tried.as_ref() == Some(worker) && theirs == ours;
        if reply_was_lost || (theirs == ours && self.is_renamed(worker, task)) {
            // What was given to it is what is wanted, so it is taken back.
            let what = What::scheduled(task, worker.clone(), ours);
            self.change(turn, Cause::WorkerReport, what);
            self.update_task(turn, worker, report);
            self.send_stop(turn, task);
        } else if !report.status.state.has_ended() && !self.still_serves(worker, task, theirs) {
            self.stop_leftover(turn, worker, task, TaskStatus { generation: theirs, ..report.status });
        }
    }
}

impl Manager {
    /// Whether `worker` is the one that `task` was given to, under another name: each generation is given to one
    /// worker only, and that one is not among those of this run. (The book's workers know no generations.)
    fn is_renamed(&self, worker: &WorkerId, task: TaskId) -> bool {
        let is_under_way = match self.state_of(task) {
            State::Scheduled | State::Running => true,
            State::Pending | State::Completed | State::Failed => false,
        };
        let is_of_this_run = |home: &WorkerId| self.configured.contains(home);
        is_under_way
            && !self.is_book(worker)
            && self.cluster.worker_of(task).is_some_and(|home| home != worker && !is_of_this_run(home))
    }
}

fn is_long_ago(turn: &Turn, changed: jiff::Timestamp) -> bool {
    turn.now.wall.duration_since(changed) > BOOK_LISTS_WITHIN
}

/// Until a book worker gets to the restart in its queue, it lists how the task ended before. For ever, if it is
/// of a chapter that refuses to restart; so after a while its word counts.
fn is_of_before_the_restart(turn: &Turn, record: &TaskRecord, report: &TaskStatus) -> bool {
    report.state.has_ended()
        && report.restart_count < record.status().restart_count
        && !record.is_stopping()
        && !is_long_ago(turn, record.changed)
}

/// The book's tasks have no reason.
fn give_book_reason(record: &TaskRecord, report: &mut TaskStatus) {
    match report.state {
        State::Completed if record.is_stopping() => "stopped".clone_into(&mut report.reason),
        State::Failed => "its worker, one of the book's, does not say why".clone_into(&mut report.reason),
        State::Pending | State::Scheduled | State::Running | State::Completed => {}
    }
}

/// A worker that was away while its container ended knows of no stop; the exit is what the stop was meant to bring.
fn count_as_stopped(report: &mut TaskStatus) {
    if report.state.has_ended() {
        report.state = State::Completed;
        "stopped".clone_into(&mut report.reason);
    }
}

/// What the record's status becomes by a report of the current generation; `None` if that is nothing new.
fn news(record: &TaskRecord, mut report: TaskStatus, now: jiff::Timestamp) -> Option<TaskStatus> {
    let ours = record.status();
    // A worker's Pending is "in my queue": to us that is Scheduled.
    if report.state == State::Pending {
        report.state = State::Scheduled;
    }
    if !ours.state.can_become(report.state) {
        return None;
    }
    report.generation = ours.generation;
    report.restart_count = ours.restart_count;
    // The book's workers leave the times unset; then the time at which it was seen is the best there is.
    report.start_time = report.start_time.or(ours.start_time);
    if report.state == State::Running {
        report.start_time.get_or_insert(now);
    }
    if report.state.has_ended() {
        report.finish_time.get_or_insert(now);
        if report.container_id.is_empty() {
            report.container_id.clone_from(&ours.container_id);
        }
    }
    (report != *ours).then_some(report)
}
