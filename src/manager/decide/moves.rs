//! Moves the tasks of a lost worker to others. Knows no link, and no container.
//!
//! # Who survives
//!
//! A task keeps its place until another worker is chosen for it. With none that could take it, it stays with the lost
//! one and says so: a cluster of one machine, a laptop that slept, a worker that was restarted lose nothing and restart
//! nothing. If the lost worker is back before that, the original survives.
//!
//! Once another worker is chosen, the task is a generation further, and **the newest generation that was given to a
//! worker survives**: whatever its start has met since (a lost answer, a refusal, the loss of that worker too), what
//! still runs of an older one is stopped as soon as its worker shows it, or is back. A worker of the book knows no
//! generations; there everything counts as old that runs where the task no longer belongs.
//!
//! A stop of a task on a lost worker waits for that worker instead: only there it can be done.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;
use std::time::Duration;

use super::join::exclusive_on_revoked;
use super::place::Chosen;
use super::refusals::LOOK_AGAIN;
use super::{Manager, Now, Timer, Turn};
use crate::cluster::{Cause, Moves, TaskRecord, TaskRow, What, WorkerHealth};
use crate::scheduler::Request;
use crate::task::{State, TaskId, TaskStatus, WorkerId};

/// Looked at in one turn: some milliseconds of work, after which everything else has its turn.
const MOVES_A_TURN: usize = 500;

/// Stuck tasks that are held against the workers with new room in one turn, and the most workers one by one.
const LOOKED_AT_A_TURN: usize = 256;
const PLACES: usize = 16;

/// How long a task keeps its place after its `in_a_row`-th move, even if that worker is lost as well: five seconds,
/// doubled each time, at most five minutes. A loss takes longer than the first, so two hosts may fail one right after
/// the other.
pub fn move_backoff(in_a_row: u32) -> Duration {
    const FIRST: Duration = Duration::from_secs(5);
    const MOST: Duration = Duration::from_mins(5);
    FIRST.saturating_mul(1 << in_a_row.saturating_sub(1).min(10)).min(MOST)
}

/// The tasks on lost workers; each is looked at again before anything is done, so an entry may be out of date.
#[derive(Debug, Default)]
pub(super) struct Leaving {
    /// To be tried next.
    due: BTreeSet<TaskId>,
    /// No other worker could take them; tried again when a worker gets better, or has room for them.
    stuck: BTreeSet<TaskId>,
    /// Where room became free since all of the stuck were looked at, how many are yet to be, and who was the last.
    freed: BTreeSet<usize>,
    to_look_at: usize,
    looked_at: Option<TaskId>,
    /// What was moved off each worker since it was lost, and may still run there.
    left_behind: HashMap<WorkerId, BTreeMap<TaskId, u32>>,
}

impl Leaving {
    /// It is no longer there, whatever becomes of it.
    pub(super) fn forget(&mut self, worker: &WorkerId, tasks: &[TaskId]) {
        self.left_behind.remove(worker);
        for task in tasks {
            self.due.remove(task);
            self.stuck.remove(task);
        }
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.due.is_empty() && self.stuck.is_empty() && self.left_behind.is_empty()
    }

    /// A worker got better.
    pub(super) fn unblock(&mut self) {
        self.due.append(&mut self.stuck);
    }

    /// A worker got worse: some are told their reasons anew.
    pub(super) fn retell(&mut self, most: usize) {
        for _ in 0..most {
            let Some(task) = self.stuck.pop_first() else { return };
            self.due.insert(task);
        }
    }

    /// Workers may have room. True if somebody waits for some.
    pub(super) fn room_at(&mut self, freed: &BTreeSet<usize>) -> bool {
        self.to_look_at = self.stuck.len();
        if self.to_look_at > 0 {
            self.freed.extend(freed);
        }
        self.to_look_at > 0
    }

    /// The next of the stuck, in a circle: so many as are looked at in one turn.
    fn next_stuck(&mut self) -> Vec<TaskId> {
        let most = self.to_look_at.min(LOOKED_AT_A_TURN);
        let after = self.looked_at.map_or(Bound::Unbounded, Bound::Excluded);
        let circle = self.stuck.range((after, Bound::Unbounded)).chain(&self.stuck);
        let next: Vec<TaskId> = circle.take(most).copied().collect();
        self.to_look_at -= most;
        self.looked_at = next.last().copied();
        next
    }

    pub(super) fn due_again(&mut self, task: TaskId) {
        self.due.insert(task);
    }

    /// The worker lists what it has, or will not return in this run.
    pub(super) fn forget_left_behind(&mut self, worker: &WorkerId) {
        self.left_behind.remove(worker);
    }
}

impl Manager {
    /// `worker` is lost: its tasks are to go elsewhere. The work is that of its own tasks.
    pub(super) fn leave(&mut self, turn: &Turn, worker: &WorkerId) {
        let mut later = vec![];
        for task in self.cluster.tasks_of(worker) {
            let Some(record) = self.cluster.task(task).filter(may_move) else { continue };
            let lease = self.lease_wait(turn.now, worker, &record);
            match record.moves.and_then(|moves| wait_of(turn.now, moves)).max(lease) {
                Some(wait) => later.push((wait, task)),
                None => _ = self.leaving.due.insert(task),
            }
        }
        for (wait, task) in later {
            self.wake_once_after(turn.now, wait, Timer::Move(task));
        }
    }

    /// Tries those that were stuck and that a worker with new room can take. So many a turn are looked at, and all of
    /// them in the end: the first, which may be too large for it, must not keep it from the others.
    fn look_at_stuck(&mut self, turn: &Turn) {
        if self.leaving.freed.is_empty() {
            return;
        }
        for task in self.leaving.next_stuck() {
            let can_go = self.cluster.row(task).is_none_or(|row| {
                let request = Request::new(row.spec(), &self.cluster);
                let mut places = self.leaving.freed.iter();
                places.len() > PLACES || places.any(|place| self.view().can_take(&request, *place))
            });
            if can_go && self.leaving.stuck.remove(&task) {
                self.leaving.due.insert(task);
            }
        }
        if self.leaving.to_look_at == 0 {
            self.leaving.freed.clear();
        } else {
            self.wake_once_after(turn.now, Duration::ZERO, Timer::MoveOn);
        }
    }

    /// Tries the tasks of lost workers that are due, so many a turn.
    pub(super) fn move_tasks(&mut self, turn: &mut Turn) {
        self.look_at_stuck(turn);
        for _ in 0..MOVES_A_TURN {
            let Some(task) = self.leaving.due.pop_first() else { return };
            let Some((from, record)) = self.on_lost_worker(task) else { continue };
            if record.task.spec.exclusive && !self.may_replace(turn.now, from) {
                self.keep_exclusive(turn, task);
                continue;
            }
            let (from, was_refused) = (from.clone(), !record.refusals.is_empty());
            match self.choose(turn.now, task, None) {
                Ok(chosen) => self.move_task(turn, task, chosen),
                Err(no_worker) if was_refused && !no_worker.may_yet() => {
                    self.give_up(turn, task, no_worker);
                }
                Err(_) if was_refused => {
                    self.wake_once_after(turn.now, LOOK_AGAIN, Timer::Move(task));
                }
                Err(no_worker) if no_worker.is_only_busy() => {
                    // The next answer makes room.
                    self.leaving.due.insert(task);
                    return;
                }
                Err(no_worker) => {
                    let reason = format!("waits for another worker: {}", no_worker.other_than(&from));
                    if self.cluster.row(task).is_some_and(|row| row.reason() != reason) {
                        self.change(turn, Cause::Scheduler, What::Waiting { task, reason });
                    }
                    self.leaving.stuck.insert(task);
                }
            }
        }
        if !self.leaving.due.is_empty() {
            self.wake_once_after(turn.now, Duration::ZERO, Timer::MoveOn);
        }
    }

    /// An Exclusive task may still run, and may not run twice: it stays, and says why.
    fn keep_exclusive(&mut self, turn: &mut Turn, task: TaskId) {
        let Some((from, record)) = self.on_lost_worker(task) else { return };
        let revoked = self.cluster.worker(from).and_then(exclusive_on_revoked);
        let reason = if let Some(revoked) = revoked {
            revoked
        } else if !self.configured.contains(from) {
            let why = self.cluster.worker(from).map(|worker| worker.reason.as_str()).unwrap_or_default();
            format!("Exclusive, and may still run on {from}: {why}")
        } else if self.leases.is_deserted(from) {
            format!(
                "Exclusive, and may still run: the host of {from} is there, but its worker does not answer; start that worker again"
            )
        } else {
            format!("Exclusive: waits until {from} must have stopped it")
        };
        let wait = self.lease_wait(turn.now, from, &record);
        if record.status().reason != reason {
            self.change(turn, Cause::WorkerLink, What::Waiting { task, reason });
        }
        match wait {
            Some(wait) => self.wake_after(turn.now, wait, Timer::Move(task)),
            None => _ = self.leaving.stuck.insert(task),
        }
    }

    /// The lost worker that has `task`, if it is to leave there.
    fn on_lost_worker(&self, task: TaskId) -> Option<(&WorkerId, TaskRecord)> {
        let record = self.cluster.task(task).filter(may_move)?;
        let worker = self.cluster.worker_of(task)?;
        let is_lost = self.cluster.worker(worker).is_some_and(|worker| worker.health == WorkerHealth::Lost);
        is_lost.then_some((worker, record))
    }

    fn move_task(&mut self, turn: &mut Turn, task: TaskId, (worker, placement): Chosen) {
        let Some((from, record)) = self.on_lost_worker(task) else { return };
        let (from, old) = (from.clone(), record.status().generation);
        let why = self.cluster.worker(&from).map(|from| from.reason.clone()).unwrap_or_default();
        let reason = format!("{from} lost: {why}; moved to {worker}");
        let (generation, to) = (old + 1, worker.clone());
        let what = What::Moved {
            task,
            from: from.clone(),
            worker: to,
            generation,
            reason,
            placement,
            serves: false,
        };
        self.change(turn, Cause::WorkerLink, what);
        if self.configured.contains(&from) {
            self.leaving.left_behind.entry(from).or_default().insert(task, old);
        }
        self.send_start(turn, &worker, task);
    }

    /// A lost worker speaks again on a link that never broke, so it will not list what it has: what was moved off it
    /// may still run there.
    pub(super) fn stop_left_behind(&mut self, turn: &mut Turn, worker: &WorkerId) {
        for (task, generation) in self.leaving.left_behind.remove(worker).unwrap_or_default() {
            let status = TaskStatus { generation, ..TaskStatus::default() };
            self.stop_leftover(turn, worker, task, status);
        }
    }
}

/// Whether a task may be started elsewhere while it may still run on a worker that nobody hears.
fn may_move(record: &TaskRecord) -> bool {
    match record.state() {
        State::Scheduled | State::Running => record.is_wanted(),
        State::Pending | State::Completed | State::Failed => false,
    }
}

/// How long a task that moved lately has to wait. Of a wall clock that was set, no more is believed than the backoff.
fn wait_of(now: Now, moves: Moves) -> Option<Duration> {
    let backoff = move_backoff(moves.in_a_row);
    let since = now.wall.duration_since(moves.last);
    let wait = if since.is_negative() { backoff } else { backoff.saturating_sub(since.unsigned_abs()) };
    (!wait.is_zero()).then_some(wait)
}

/// Whether a task that runs is to be left alone, since it moved or made room lately. By a wall clock that was set back it
/// is not: that could be for hours.
pub(super) fn moved_lately(now: Now, row: &TaskRow) -> bool {
    row.moves().is_some_and(|moves| {
        let since = now.wall.duration_since(moves.last);
        !since.is_negative() && since.unsigned_abs() < move_backoff(moves.in_a_row)
    })
}
