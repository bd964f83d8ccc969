//! send_work: takes tasks off `pending`, has a worker selected, and sends them there; and what became of it.

use std::sync::Arc;
use std::time::Duration;

use super::place::Chosen;
use super::queue::{Closed, Head};
use super::restart_policy::LONGEST_BACKOFF;
use super::stop_task::STOP_AGAIN;
use super::{Manager, Now, Place, SendOutcome, Timer, Turn, Wish};
use crate::cluster::{Cause, TaskRecord, TaskRow, What};
use crate::scheduler::{NEVER_FITS, NoWorker};
use crate::task::{State, Task, TaskId, TaskStatus, WorkerId};

/// How long a task waits after its `attempts`-th dispatch in a row that did not arrive: half a second, doubled
/// each time, at most half a minute.
pub fn dispatch_backoff(attempts: u32) -> Duration {
    const FIRST: Duration = Duration::from_millis(500);
    const MOST: Duration = Duration::from_secs(30);
    FIRST.saturating_mul(1 << attempts.min(10)).min(MOST)
}

/// Of a line that nobody can take, so many are told why at once.
const TOLD: usize = 1_000;

/// So many of those that were told before are told again when a worker got better or worse.
const RETOLD: usize = 64;

/// When something has changed, those that wait are told their reasons anew after so long, and only so many a second: what
/// is told is history, and must not push everything else out of that.
const RETELL_AFTER: Duration = Duration::from_secs(5);
const RETELL_ONE: Duration = Duration::from_millis(500);

/// Whether the next dispatch is a new generation even to the same worker: an earlier one of an Exclusive task, refused
/// or lost, must not be taken for it if it arrives yet.
pub fn must_be_new(record: &TaskRecord) -> bool {
    record.task.spec.exclusive && record.attempts > 0
}

impl Manager {
    /// Tries every task that is due, by priority and then in order. A task that no worker can take stays in `pending`
    /// and says why, and with it all of its shape; the others go on.
    pub(super) fn send_work(&mut self, turn: &mut Turn) {
        self.open_lines(turn.now);
        while let Some(head) = self.queue.first() {
            let task = head.task;
            let is_there = |row: &TaskRow| row.queued().is_some_and(|queued| queued.position == head.turn.1);
            let Some(row) = self.cluster.row(task).filter(|row| is_there(row)) else {
                self.queue.take(&head);
                self.release_hold_of(task, turn.now);
                continue;
            };
            if let Some(reason) = self.unset_secret(row.spec()) {
                self.close_unset(turn, &head, &reason.into());
                continue;
            }
            let was_refused = row.was_refused();
            match self.choose(turn.now, task, None) {
                Ok(chosen) => {
                    self.queue.take(&head);
                    self.schedule(turn, task, chosen);
                    self.release_hold_of(task, turn.now);
                }
                Err(no_worker) if was_refused => {
                    self.queue.take(&head);
                    self.wait_or_give_up(turn, task, no_worker);
                }
                Err(no_worker) => self.close_line(turn, &head, &no_worker),
            }
        }
        self.preempt(turn);
        if self.has_more_to_try() {
            self.wake_once_after(turn.now, Duration::ZERO, Timer::MoveOn);
        }
    }

    /// Whether lines open in the next turn: by room that became free in this one, or by a task that some wait to be with.
    pub(super) fn has_more_to_try(&self) -> bool {
        self.queue.has_closed() && !(self.freed.is_empty() && self.joined.is_empty())
    }

    /// Gives a waiting task to a worker.
    pub(super) fn schedule(&mut self, turn: &mut Turn, task: TaskId, (worker, placement): Chosen) {
        let Some(record) = self.cluster.task(task) else { return };
        let moves = record.tried.as_ref().is_some_and(|tried| *tried != worker);
        let is_new = moves || must_be_new(&record);
        let generation = record.status().generation + u32::from(is_new);
        let what = What::Scheduled { task, worker: worker.clone(), generation, placement };
        self.change(turn, Cause::Scheduler, what);
        self.send_start(turn, &worker, task);
    }

    /// What stands in this line waits for a secret, and is told so whatever it was told before.
    fn close_unset(&mut self, turn: &mut Turn, head: &Head, reason: &Arc<str>) {
        let closed = Closed { reason: Some(Arc::clone(reason)), is_full: false };
        let (tasks, _) = self.queue.close(head, closed, turn.now.since_start, RETOLD);
        for task in tasks {
            self.tell_waiting(turn, task, reason, true);
        }
    }

    /// No worker can take what stands in this line. Those that do not know yet are told; an answer that is due tells
    /// nothing.
    fn close_line(&mut self, turn: &mut Turn, head: &Head, no_worker: &NoWorker) {
        let is_full = no_worker.is_full();
        let reason: Option<Arc<str>> = (!no_worker.is_only_busy()).then(|| no_worker.to_string().into());
        let closed = Closed { reason: reason.clone(), is_full };
        let (tasks, again) = self.queue.close(head, closed, turn.now.since_start, TOLD);
        if is_full {
            self.watch_fairness(turn.now);
            if let Some(row) = self.cluster.row(head.task) {
                self.preemption.want(row);
            }
        }
        let Some(reason) = reason else { return };
        for (index, task) in tasks.into_iter().enumerate() {
            self.tell_waiting(turn, task, &reason, again && index < RETOLD);
        }
    }

    /// Tells a waiting task why it waits, if it was not told before or is to be told `again`.
    fn tell_waiting(&mut self, turn: &mut Turn, task: TaskId, reason: &str, again: bool) {
        let Some(row) = self.cluster.row(task).filter(|row| row.queued().is_some()) else { return };
        let known = row.reason();
        let is_placement = known.starts_with("waiting: ") || known.starts_with(NEVER_FITS);
        if known != reason && (again || !is_placement) {
            self.change(turn, Cause::Scheduler, What::Waiting { task, reason: reason.to_owned() });
        }
    }

    /// Sends the start of a task that is assigned to `worker`; again is harmless, the generation is the same.
    pub(super) fn send_start(&mut self, turn: &mut Turn, worker: &WorkerId, task: TaskId) {
        let Some(row) = self.cluster.row(task) else { return };
        let status = TaskStatus {
            state: State::Scheduled,
            generation: row.generation(),
            restart_count: row.restart_count(),
            ..TaskStatus::default()
        };
        let task = Task { id: task, spec: row.whole_spec(), status };
        if task.spec.exclusive {
            self.renew_before_start(turn, worker);
        }
        self.send(turn, worker, Wish::Start, task);
    }

    /// How workers are selected has changed: everything is tried again.
    pub(super) fn open_all(&mut self) {
        let heads: Vec<Head> = self.queue.closed().map(|(head, _, _)| head).collect();
        for head in &heads {
            self.queue.open(head, true);
        }
        self.leaving.unblock();
    }

    /// A worker got better: tasks of lost workers are tried again. (What waits is, where it can take it.)
    pub(super) fn unblock(&mut self) {
        self.retell();
        self.leaving.unblock();
    }

    /// A worker got worse: the first in line are told their reasons anew. Not all of them: a flapping worker
    /// must not cost a Change for each of a million waiting tasks.
    pub(super) fn retell(&mut self) {
        const LINES: usize = 4;
        let heads: Vec<Head> = self.queue.closed().map(|(head, _, _)| head).take(LINES).collect();
        for head in &heads {
            self.queue.open(head, true);
        }
        self.leaving.retell(RETOLD);
    }

    /// What closed lines were told may be no longer so, though none of them can go anywhere.
    pub(super) fn note_news(&mut self, now: Now) {
        self.queue.note_news();
        self.wake_once_after(now, RETELL_AFTER, Timer::Retell);
    }

    /// Some closed lines are told again how things stand, each in its turn.
    pub(super) fn retell_in_turn(&mut self, now: Now) {
        let told = self.queue.open_untold(RETOLD);
        if told > 0 {
            let wait = RETELL_ONE.saturating_mul(u32::try_from(told).unwrap_or(u32::MAX));
            self.wake_once_after(now, wait.max(RETELL_AFTER), Timer::Retell);
        }
    }

    /// Lines a waiting task up: now, or after its backoff.
    pub(super) fn queue(&mut self, turn: &mut Turn, task: TaskId) {
        let now = turn.now;
        let Some(queued) = self.cluster.row(task).and_then(TaskRow::queued) else { return };
        let place = Place { position: queued.position, task };
        match queued.retry_at {
            Some(at) if at > now.wall => {
                // Of a wall clock that was set back between two runs, no more is believed than it was to wait at first.
                let whole = at.duration_since(queued.since).unsigned_abs().min(LONGEST_BACKOFF);
                let wait = at.duration_since(now.wall).unsigned_abs().min(whole);
                self.wake_after(now, wait, Timer::Retry(place));
            }
            _ => self.line_up(turn, place),
        }
    }

    /// Puts a task that is due in its line; if nobody can take those, it is told so.
    pub(super) fn line_up(&mut self, turn: &mut Turn, place: Place) {
        let Some(row) = self.cluster.row(place.task) else { return };
        if row.queued().is_none_or(|queued| queued.position != place.position) {
            return;
        }
        let preempts = row.spec().preempt;
        if let Some(reason) = self.queue.add(row, place.position) {
            if preempts {
                self.wake_once_after(turn.now, Duration::ZERO, Timer::Preempt);
            }
            self.tell_waiting(turn, place.task, &reason, false);
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
                self.queue(turn, task);
            }
        }
    }
}
