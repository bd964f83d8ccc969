//! Stopping: a wish that is remembered until the task's worker has done it. Knows no container.

use std::time::Duration;

use super::watch::Watch;
use super::{Answer, Effect, Manager, RequestId, SendOutcome, Timer, Turn, Wish};
use crate::cluster::{Cause, What};
use crate::manager::request::{RequestError, Stopping};
use crate::task::{State, Task, TaskId, TaskStatus, WorkerId};

/// How soon a stop that did not reach its worker is sent again. The worker's return sends it at once.
pub(super) const STOP_AGAIN: Duration = Duration::from_secs(2);

impl Manager {
    pub(super) fn stop(&mut self, turn: &mut Turn, request: RequestId, cause: Cause, tasks: &[TaskId]) {
        let unknown = tasks.iter().find(|task| self.cluster.row(**task).is_none());
        let answer = if let Some(unknown) = unknown {
            Err(RequestError::UnknownTask(*unknown))
        } else {
            let outcomes = tasks.iter().map(|&task| {
                let is_new = self.stop_task(turn, cause, task);
                Stopping { task, is_new, state: self.state_of(task) }
            });
            Ok(Answer::Stopping(outcomes.collect()))
        };
        turn.effect(Effect::Answer { request, answer });
    }

    /// Wants `task` stopped. False if there was nothing to do: it has ended, or is being stopped already.
    pub(super) fn stop_task(&mut self, turn: &mut Turn, cause: Cause, task: TaskId) -> bool {
        let Some(row) = self.cluster.row(task) else { return false };
        match row.state() {
            State::Completed | State::Failed => false,
            State::Pending => {
                self.stopped_before_start(turn, task, cause);
                true
            }
            State::Scheduled | State::Running => {
                let is_new = !row.is_stopping() || row.restart().is_some() || row.preempted().is_some();
                if is_new {
                    self.change(turn, cause, What::StopRequested { task });
                }
                self.send_stop(turn, task);
                is_new
            }
        }
    }

    pub(super) fn stopped_before_start(&mut self, turn: &mut Turn, task: TaskId, cause: Cause) {
        if self.cluster.task(task).is_some_and(|record| !record.is_stopping()) {
            self.change(turn, cause, What::StopRequested { task });
        }
        // Of a later generation nobody knows here whether an earlier one ran.
        let is_first = self.cluster.row(task).is_none_or(|row| row.generation() == 0);
        let reason = if is_first { "stopped before it started" } else { "stopped while it waited" };
        self.end_as_stopped(turn, cause, task, reason);
    }

    /// What was to be stopped is gone without its worker's word for it. One that made room is wanted as before.
    pub(super) fn end_as_stopped(&mut self, turn: &mut Turn, cause: Cause, task: TaskId, reason: &str) {
        let Some(record) = self.cluster.task(task) else { return };
        let what = match &record.preempted {
            Some(preempted) => {
                let mut status = record.status().clone();
                status.state = State::Completed;
                status.is_interrupted = true;
                status.reason.clone_from(&preempted.reason);
                status.finish_time = Some(turn.now.wall);
                What::Observed { task, status }
            }
            None => What::Ended { task, state: State::Completed, reason: reason.to_owned() },
        };
        self.change(turn, cause, what);
        self.after_end(turn, task);
    }

    pub(super) fn send_stop(&mut self, turn: &mut Turn, task: TaskId) {
        let (Some(record), Some(worker)) = (self.cluster.task(task), self.cluster.worker_of(task)) else {
            return;
        };
        if record.is_stopping() || self.is_to_stop_for_drain(worker, task) {
            let (worker, task) = (worker.clone(), record.task.clone());
            self.send(turn, &worker, Wish::Stop, task);
        }
    }

    /// Stops what an earlier dispatch, a move or a list from before a start left on `worker`: at most one container a
    /// task, and none of one that has ended. A worker that is
    /// away lists it again when it is back.
    pub(super) fn stop_leftover(
        &mut self,
        turn: &mut Turn,
        worker: &WorkerId,
        task: TaskId,
        status: TaskStatus,
    ) {
        let Some(record) = self.cluster.task(task) else { return };
        let is_up = self.watches.get(worker).is_some_and(Watch::is_up);
        if is_up && !self.is_wanted(worker, task, status.generation) {
            let leftover = Task { id: task, spec: record.task.spec.clone(), status };
            self.send(turn, worker, Wish::Stop, leftover);
        }
    }

    /// Whether this is where and as what the task is to run now, if it is to run at all.
    pub(super) fn is_wanted(&self, worker: &WorkerId, task: TaskId, generation: u32) -> bool {
        self.cluster.worker_of(task) == Some(worker)
            && self
                .cluster
                .row(task)
                .is_some_and(|row| row.generation() == generation && !row.state().has_ended())
    }

    pub(super) fn stop_sent(&mut self, turn: &mut Turn, task: TaskId, outcome: &SendOutcome) {
        if self.cluster.row(task).is_none_or(|row| !row.is_stopping()) {
            self.stop_to_move_sent(turn, task, outcome);
            return;
        }
        match outcome {
            SendOutcome::Accepted => {}
            SendOutcome::Refused { status: 404, .. } => {
                let reason = "stopped; its worker no longer knew it";
                self.end_as_stopped(turn, Cause::WorkerLink, task, reason);
            }
            SendOutcome::Refused { .. } | SendOutcome::Failed { .. } => {
                self.wake_once_after(turn.now, STOP_AGAIN, Timer::StopAgain(task));
            }
        }
    }
}
