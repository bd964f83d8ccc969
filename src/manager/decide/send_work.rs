//! send_work: takes tasks off `pending`, has a worker selected, and sends them there; and what became of it.

use std::time::Duration;

use super::restart_policy::LONGEST_BACKOFF;
use super::stop_task::STOP_AGAIN;
use super::{Manager, Now, Place, SendOutcome, Timer, Turn, Wish};
use crate::cluster::{Cause, TaskRecord, What};
use crate::task::{State, Task, TaskId, TaskStatus, WorkerId};

/// How long a task waits after its `attempts`-th dispatch in a row that did not arrive: half a second, doubled
/// each time, at most half a minute.
pub fn dispatch_backoff(attempts: u32) -> Duration {
    const FIRST: Duration = Duration::from_millis(500);
    const MOST: Duration = Duration::from_secs(30);
    FIRST.saturating_mul(1 << attempts.min(10)).min(MOST)
}

/// Whether the next dispatch is a new generation even to the same worker: an earlier one of an Exclusive task, refused
/// or lost, must not be taken for it if it arrives yet.
pub fn must_be_new(record: &TaskRecord) -> bool {
    record.task.spec.exclusive && record.attempts > 0
}

impl Manager {
    /// Tries every task that is due. A task that no worker can take stays in `pending` and says why; one that
    /// only has to wait for an answer from a worker stays first in line.
    pub(super) fn send_work(&mut self, turn: &mut Turn) {
        while let Some(place) = self.ready.pop_front() {
            let task = place.task;
            let Some(record) = self.cluster.task(task) else { continue };
            if record.queued.is_none_or(|queued| queued.position != place.position) {
                continue;
            }
            if let Some(reason) = self.unset_secret(&record.task.spec) {
                if record.status().reason != reason {
                    self.change(turn, Cause::Scheduler, What::Waiting { task, reason });
                }
                self.blocked.push_back(place);
                continue;
            }
            match self.choose(turn.now, record, None) {
                Ok(worker) => self.schedule(turn, &worker, task),
                Err(no_worker) if !record.refusals.is_empty() => {
                    self.wait_or_give_up(turn, task, no_worker);
                }
                Err(no_worker) if no_worker.is_only_busy() => {
                    self.ready.push_front(place);
                    break;
                }
                Err(no_worker) => {
                    let reason = no_worker.to_string();
                    if record.status().reason != reason {
                        self.change(turn, Cause::Scheduler, What::Waiting { task, reason });
                    }
                    self.blocked.push_back(place);
                }
            }
        }
    }

    /// Gives a waiting task to `worker`.
    pub(super) fn schedule(&mut self, turn: &mut Turn, worker: &WorkerId, task: TaskId) {
        let Some(record) = self.cluster.task(task) else { return };
        let moves = record.tried.as_ref().is_some_and(|tried| tried != worker);
        let is_new = moves || must_be_new(record);
        let generation = record.status().generation + u32::from(is_new);
        self.change(turn, Cause::Scheduler, What::Scheduled { task, worker: worker.clone(), generation });
        self.send_start(turn, worker, task);
    }

    /// Sends the start of a task that is assigned to `worker`; again is harmless, the generation is the same.
    pub(super) fn send_start(&mut self, turn: &mut Turn, worker: &WorkerId, task: TaskId) {
        let Some(record) = self.cluster.task(task) else { return };
        let status = TaskStatus {
            state: State::Scheduled,
            generation: record.status().generation,
            restart_count: record.status().restart_count,
            ..TaskStatus::default()
        };
        let task = Task { id: task, spec: record.task.spec.clone(), status };
        if task.spec.exclusive {
            self.renew_before_start(turn, worker);
        }
        self.send(turn, worker, Wish::Start, task);
    }

    /// A worker got better: what no one could take is tried again.
    pub(super) fn unblock(&mut self) {
        self.ready.append(&mut self.blocked);
        self.leaving.unblock();
    }

    /// A worker got worse: the first in line are told their reasons anew. Not all of them: a flapping worker
    /// must not cost a Change for each of a million waiting tasks.
    pub(super) fn retell(&mut self) {
        const RETOLD: usize = 64;
        let first = self.blocked.len().min(RETOLD);
        self.ready.extend(self.blocked.drain(..first));
        self.leaving.retell(RETOLD);
    }

    /// Lines a waiting task up: now, or after its backoff.
    pub(super) fn queue(&mut self, now: Now, task: TaskId) {
        let Some(queued) = self.cluster.task(task).and_then(|record| record.queued) else { return };
        let place = Place { position: queued.position, task };
        match queued.retry_at {
            Some(at) if at > now.wall => {
                // Of a wall clock that was set back between two runs, no more is believed than the longest backoff.
                let wait = at.duration_since(now.wall).unsigned_abs().min(LONGEST_BACKOFF);
                self.wake_after(now, wait, Timer::Retry(place));
            }
            _ => self.ready.push_back(place),
        }
    }

    /// What became of a POST.
    pub(super) fn sent(
        &mut self,
        turn: &mut Turn,
        worker: &WorkerId,
        task: TaskId,
        generation: u32,
        wish: Wish,
        outcome: SendOutcome,
    ) {
        let is_doubted = self.landed(turn, worker, wish, task);
        if !self.is_wanted(worker, task, generation) {
            if wish == Wish::Stop && matches!(outcome, SendOutcome::Failed { .. }) {
                let again = Timer::LeftoverAgain(worker.clone(), task, generation);
                self.wake_once_after(turn.now, STOP_AGAIN, again);
            }
            return;
        }
        match wish {
            Wish::Start if is_doubted && outcome == SendOutcome::Accepted && !self.is_book(worker) => {
                // By a worker that may have been killed right after: the same start again is harmless.
                if self.state_of(task) == State::Scheduled {
                    self.send_start(turn, worker, task);
                }
            }
            Wish::Start => self.start_sent(turn, worker, task, outcome),
            Wish::Stop => self.stop_sent(turn, task, &outcome),
        }
    }

    fn start_sent(&mut self, turn: &mut Turn, worker: &WorkerId, task: TaskId, outcome: SendOutcome) {
        let Some(record) = self.cluster.task(task) else { return };
        // Its worker may have reported it already; then the answer to the POST says nothing new.
        if record.state() != State::Scheduled {
            return;
        }
        match outcome {
            SendOutcome::Accepted => {}
            SendOutcome::Refused { status: _, message } => self.not_taken(turn, worker, task, &message),
            SendOutcome::Failed { reason: _, may_have_arrived } if record.is_stopping() => {
                if !may_have_arrived {
                    self.stopped_before_start(turn, task, Cause::WorkerLink);
                }
            }
            SendOutcome::Failed { reason, may_have_arrived } => {
                let wait = dispatch_backoff(record.attempts);
                let reason = format!("could not send it to {worker}: {reason}");
                if may_have_arrived && record.task.spec.exclusive {
                    self.send_exclusive_again(turn, task, reason);
                    return;
                }
                let retry_at = turn.now.wall + wait;
                self.change(turn, Cause::WorkerLink, What::Returned { task, reason, retry_at });
                self.queue(turn.now, task);
            }
        }
    }
}
