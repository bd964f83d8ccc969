//! A worker could not start a task: another one that has not refused it is tried at once, and the task has failed when
//! none is left. Knows no reason that a worker may have.
//!
//! Only what never ran moves like this: the worker said so, or did not take it (4xx). A refusal is remembered until the
//! task runs or is restarted. Who is away or has a sick engine is not waited for, but who is late or yet to show itself
//! is, since that is decided within seconds.

use std::time::Duration;

use super::{Manager, Place, Timer, Turn};
use crate::cluster::{Cause, Refusal, TaskRow, What};
use crate::scheduler::NoWorker;
use crate::task::{State, TaskId, TaskStatus, WorkerId};

/// How soon a refused task looks again at workers that are late or busy.
pub(super) const LOOK_AGAIN: Duration = Duration::from_secs(1);

const STOPPED_BEFORE: &str = "stopped before it started";

impl Manager {
    /// By its worker's report, the task never ran there.
    pub(super) fn could_not_start(
        &mut self,
        turn: &mut Turn,
        worker: &WorkerId,
        task: TaskId,
        mut status: TaskStatus,
    ) {
        if self.cluster.row(task).is_some_and(TaskRow::is_stopping) {
            status.state = State::Completed;
            STOPPED_BEFORE.clone_into(&mut status.reason);
        } else {
            let refusal = Refusal { worker: worker.clone(), why: status.reason.clone() };
            match self.try_elsewhere(turn, Cause::WorkerReport, task, refusal) {
                Ok(()) => return,
                Err(no_worker) if no_worker.rejections.len() > 1 => status.reason = all_tried(no_worker),
                // The only one there is: its own words say it all.
                Err(_) => {}
            }
        }
        self.change(turn, Cause::WorkerReport, What::Observed { task, status });
        self.after_end(turn, task);
    }

    /// By its worker's answer to the start, the task is none for that worker.
    pub(super) fn not_taken(&mut self, turn: &mut Turn, worker: &WorkerId, task: TaskId, message: &str) {
        let (state, reason) = if self.cluster.row(task).is_some_and(TaskRow::is_stopping) {
            self.end_as_stopped(turn, Cause::WorkerLink, task, STOPPED_BEFORE);
            return;
        } else {
            let refusal = Refusal { worker: worker.clone(), why: message.to_owned() };
            match self.try_elsewhere(turn, Cause::WorkerLink, task, refusal) {
                Ok(()) => return,
                Err(no_worker) if no_worker.rejections.len() > 1 => (State::Failed, all_tried(no_worker)),
                Err(_) => (State::Failed, format!("{worker} refused it: {message}")),
            }
        };
        self.change(turn, Cause::WorkerLink, What::Ended { task, state, reason });
        self.after_end(turn, task);
    }

    /// Gives a refused task to another worker, or lets it wait for one that may do. Otherwise every worker's reason.
    fn try_elsewhere(
        &mut self,
        turn: &mut Turn,
        cause: Cause,
        task: TaskId,
        refusal: Refusal,
    ) -> Result<(), NoWorker> {
        let Some(record) = self.cluster.task(task) else { return Ok(()) };
        let generation = record.status().generation + 1;
        let chosen = self.choose(turn.now, task, Some(&refusal));
        let Refusal { worker, why } = refusal;
        let (to, reason) = match chosen {
            Ok((to, _)) => {
                let reason = format!("{worker} could not start it: {why}; tried on {to}");
                (Some(to), reason)
            }
            Err(no_worker) if no_worker.may_yet() || self.is_moved_off(task) => (None, waiting(no_worker)),
            Err(no_worker) => return Err(no_worker),
        };
        self.change(turn, cause, What::Refused { task, worker, why, to: to.clone(), generation, reason });
        match to {
            Some(to) => self.send_start(turn, &to, task),
            None => self.look_again(turn, task),
        }
        Ok(())
    }

    /// A waiting task that was refused before, and that nobody can take now. It holds up nobody else.
    pub(super) fn wait_or_give_up(&mut self, turn: &mut Turn, task: TaskId, no_worker: NoWorker) {
        if !(no_worker.may_yet() || self.is_moved_off(task)) {
            self.give_up(turn, task, no_worker);
            return;
        }
        if no_worker.is_full()
            && let Some(row) = self.cluster.row(task)
        {
            self.preemption.want(row);
        }
        let reason = waiting(no_worker);
        if self.cluster.row(task).is_some_and(|row| row.reason() != reason) {
            self.change(turn, Cause::Scheduler, What::Waiting { task, reason });
        }
        self.look_again(turn, task);
    }

    /// Every worker that can take it has refused it.
    pub(super) fn give_up(&mut self, turn: &mut Turn, task: TaskId, no_worker: NoWorker) {
        let what = What::Ended { task, state: State::Failed, reason: all_tried(no_worker) };
        self.change(turn, Cause::Scheduler, what);
        self.after_end(turn, task);
    }

    fn look_again(&mut self, turn: &Turn, task: TaskId) {
        let Some(queued) = self.cluster.row(task).and_then(TaskRow::queued) else { return };
        let place = Place { position: queued.position, task };
        self.wake_once_after(turn.now, LOOK_AGAIN, Timer::Retry(place));
    }
}

fn all_tried(no_worker: NoWorker) -> String {
    format!("tried on every worker that can take it: {}", no_worker.tried_first())
}

fn waiting(no_worker: NoWorker) -> String {
    format!("waiting: {}", no_worker.tried_first())
}
