//! Restarts that somebody asked for, whatever the restart policy says. What runs is stopped first, and only when that
//! is done it starts as a new generation: at the same worker if that can take it, where its volumes are.
//!
//! A restart by hand is a restart like any other in `RestartCount`, but it forgives: the crash loop's backoff begins
//! anew, `on-failure:N` counts from here, and workers that refused the task are asked again.

use super::busy::is_busy;
use super::drain::still_taken;
use super::{Answer, Effect, Manager, Now, RequestId, Turn};
use crate::cluster::{Cause, Crashes, Peer, TaskRecord, What, WorkerHealth};
use crate::manager::request::{RequestError, Restarted};
use crate::scheduler::Request;
use crate::task::{State, TaskId, WorkerId};

impl Manager {
    pub(super) fn restart(&mut self, turn: &mut Turn, request: RequestId, cause: Cause, tasks: &[TaskId]) {
        let answer = match tasks.iter().find_map(|task| self.no_restart(*task)) {
            Some(error) => Err(error),
            None => Ok(Answer::Restarted(
                tasks.iter().map(|&task| self.restart_task(turn, cause, task)).collect(),
            )),
        };
        turn.effect(Effect::Answer { request, answer });
    }

    /// Why `task` can't be started anew; looked for before anything is changed.
    fn no_restart(&self, task: TaskId) -> Option<RequestError> {
        let Some(record) = self.cluster.task(task) else { return Some(RequestError::UnknownTask(task)) };
        let worker = self.cluster.worker_of(task).filter(|worker| self.is_book(worker));
        // It would be stopped, and the book's workers start no task again that ended by a stop.
        let worker = worker.filter(|_| !record.state().has_ended())?;
        Some(RequestError::Invalid(format!(
            "{} runs on {worker}, one of the book's workers, which start nothing again that was stopped; stop it and \
             submit it under a new ID",
            record.task.spec.name
        )))
    }

    fn restart_task(&mut self, turn: &mut Turn, cause: Cause, task: TaskId) -> Restarted {
        let is_new = match self.cluster.task(task) {
            None => false,
            Some(record) => match record.state() {
                State::Completed | State::Failed => {
                    self.start_by_hand(turn, cause, task);
                    true
                }
                State::Pending if is_held_back(turn.now, &record) => {
                    self.start_by_hand(turn, cause, task);
                    true
                }
                // Its turn comes as soon as a worker can take it.
                State::Pending => false,
                State::Scheduled | State::Running => self.stop_to_restart(turn, cause, task),
            },
        };
        Restarted { task, is_new, state: self.state_of(task) }
    }

    /// False if that is under way already.
    fn stop_to_restart(&mut self, turn: &mut Turn, cause: Cause, task: TaskId) -> bool {
        if self.cluster.row(task).is_none_or(|row| row.restart().is_some()) {
            return false;
        }
        self.change(turn, cause, What::RestartRequested { task });
        self.send_stop(turn, task);
        let home = self.cluster.worker_of(task).and_then(|home| self.cluster.worker(home));
        if home.is_some_and(|home| home.health == WorkerHealth::Lost) {
            // Nobody there to stop it: it starts elsewhere, as what is lost does.
            self.leaving.due_again(task);
        }
        true
    }

    /// Starts what has ended or is held back.
    pub(super) fn start_by_hand(&mut self, turn: &mut Turn, cause: Cause, task: TaskId) {
        let Some(record) = self.cluster.task(task) else { return };
        let status = record.status();
        let was = match (status.state, status.reason.as_str()) {
            (State::Pending, _) => "was held back".to_owned(),
            (state, "") => format!("was {state}"),
            (state, reason) => format!("was {state}: {reason}"),
        };
        let what = What::Restarting {
            task,
            generation: status.generation + 1,
            restart_count: status.restart_count.saturating_add(1),
            crashes: Crashes::default(),
            reason: format!("restarted by {}; {was}", cause.words()),
            retry_at: turn.now.wall,
            by_hand: true,
        };
        let home = self.cluster.worker_of(task).cloned();
        self.change(turn, cause, what);
        match home.filter(|home| self.can_take(turn.now, home, task)) {
            Some(home) => self.schedule(turn, task, (home, None)),
            None => self.queue(turn, task),
        }
    }

    /// Whether `worker` can take a waiting task, with no regard to others.
    fn can_take(&self, now: Now, worker: &WorkerId, task: TaskId) -> bool {
        let (Some(record), Some(worker)) = (self.cluster.task(task), self.cluster.worker(worker)) else {
            return false;
        };
        let request = Request::new(&record.task.spec, &self.cluster);
        let place = self.cluster.place_of(&worker.id);
        self.unset_secret(&record.task.spec).is_none()
            && worker.peer == Peer::Cube
            && !is_busy(&self.in_flight, now, &worker.id)
            && self.hold.objection(worker, task, record.task.spec.priority).is_none()
            && self.preemption.objection(worker, task, record.task.spec.priority).is_none()
            && still_taken(&self.drains, &self.cluster, worker, &record.task.spec).is_none()
            && place.is_some_and(|place| self.view().can_take(&request, place))
    }
}

/// Whether something of its past keeps a waiting task from being tried.
fn is_held_back(now: Now, record: &TaskRecord) -> bool {
    let waits = record.queued.and_then(|queued| queued.retry_at).is_some_and(|at| at > now.wall);
    waits || !record.refusals.is_empty()
}
