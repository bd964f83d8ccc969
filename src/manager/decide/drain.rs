//! Cordon and drain: keeps new work off a worker, and moves what runs there elsewhere, a few tasks at a time. Knows no
//! container.
//!
//! A task starts elsewhere first and is stopped here once it runs there. One that may not run twice, or that has ports of
//! the host, is stopped first. What the store holds (the worker's availability) is enough to go on after a restart.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;

use super::place::Chosen;
use super::refusals::LOOK_AGAIN;
use super::{Answer, Effect, Manager, RequestId, Timer, Turn};
use crate::cluster::{
    Availability, Cause, Cluster, Resources, TaskRecord, TaskRow, What, WorkerHealth, WorkerRecord,
};
use crate::manager::request::{AvailabilityWish, Drained, RequestError};
use crate::scheduler::Rejection;
use crate::task::{State, TaskId, TaskSpec, TaskStatus, WorkerId};

/// Tasks of one worker that are under way at a time: the others serve meanwhile.
const AT_ONCE: usize = 4;

/// How the reason begins of a task that a drain can't move.
pub(super) const STAYS: &str = "stays on ";

/// Tasks that are tried in one turn.
const TRIED: usize = 64;

/// What a drain is at.
#[derive(Clone, Debug, Default)]
pub(super) struct Drain {
    /// Yet to be tried in this round; each is looked at again first.
    left: BTreeSet<TaskId>,
    /// Started elsewhere, and still running here as this generation.
    moving: BTreeMap<TaskId, u32>,
    /// Being stopped here, to be started elsewhere then.
    pub(super) stopping: BTreeSet<TaskId>,
}

impl Drain {
    fn under_way(&self) -> usize {
        self.moving.len() + self.stopping.len()
    }
}

impl Manager {
    /// Somebody wants a worker cordoned, drained or back.
    pub(super) fn set_availability(
        &mut self,
        turn: &mut Turn,
        request: RequestId,
        cause: Cause,
        worker: &WorkerId,
        wish: AvailabilityWish,
    ) {
        let answer = match self.cluster.worker(worker).cloned() {
            None => Err(RequestError::UnknownWorker(worker.clone())),
            Some(mut record) => {
                record.availability = match wish {
                    AvailabilityWish::Uncordon => Availability::Active,
                    AvailabilityWish::Cordon => Availability::Cordoned,
                    AvailabilityWish::Drain { within_s } => Availability::Draining {
                        // One after the end of the calendar is none.
                        until: within_s
                            .and_then(|seconds| turn.now.wall.checked_add(Duration::from_secs(seconds)).ok()),
                    },
                };
                self.set_worker(turn, cause, record);
                self.drain_round(turn, worker);
                if !matches!(wish, AvailabilityWish::Drain { .. }) {
                    self.take_back_drain(turn, worker);
                }
                let left = self.cluster.reserved(worker).map_or(0, |reserved| reserved.tasks);
                Ok(Answer::Availability(Drained { worker: worker.clone(), left }))
            }
        };
        turn.effect(Effect::Answer { request, answer });
    }

    /// After a start: what was being drained goes on, once the workers had the time to show themselves.
    pub(super) fn resume_drains(&mut self, turn: &Turn) {
        let workers = self.cluster.workers().iter();
        let draining = workers.filter(|worker| matches!(worker.availability, Availability::Draining { .. }));
        let draining: Vec<WorkerId> = draining.map(|worker| worker.id.clone()).collect();
        for worker in draining {
            self.wake_once_after(turn.now, LOOK_AGAIN, Timer::Drain(worker));
        }
    }

    /// After a start: what was moved before it, and whose old run still serves.
    pub(super) fn resume_move(&mut self, row: &TaskRow) {
        if let Some(serving) = row.serving() {
            let drain = self.drains.entry(serving.worker.clone()).or_default();
            drain.moving.insert(row.id(), serving.generation);
        }
        self.resume_stop_to_move(row);
    }

    /// One round: everything that lives there is tried, as many at a time as the budget has.
    pub(super) fn drain_round(&mut self, turn: &mut Turn, worker: &WorkerId) {
        let Some(record) = self.cluster.worker(worker) else { return };
        let Availability::Draining { until } = record.availability else { return };
        if until.is_some_and(|until| until <= turn.now.wall) {
            self.end_drain(turn, worker, Availability::DrainGaveUp);
            return;
        }
        let lives =
            |task: &TaskId| self.cluster.task(*task).is_some_and(|record| !record.state().has_ended());
        let left: BTreeSet<TaskId> = self.cluster.tasks_of(worker).filter(lives).collect();
        let drain = self.drains.entry(worker.clone()).or_default();
        if left.is_empty() && drain.under_way() == 0 {
            self.end_drain(turn, worker, Availability::Drained);
            return;
        }
        drain.left = left;
        drain.stopping.retain(|task| drain.left.contains(task));
        let wait = until.map_or(LOOK_AGAIN, |until| until_then(until, turn.now.wall).min(LOOK_AGAIN));
        self.wake_once_after(turn.now, wait, Timer::Drain(worker.clone()));
    }

    fn end_drain(&mut self, turn: &mut Turn, worker: &WorkerId, availability: Availability) {
        if let Some(drain) = self.drains.get_mut(worker) {
            drain.left.clear();
        }
        if let Some(mut record) = self.cluster.worker(worker).cloned() {
            record.availability = availability;
            self.set_worker(turn, Cause::Manager, record);
        }
    }

    /// Goes on with every drain: what runs elsewhere by now is stopped here, and the next are tried.
    pub(super) fn drain_tasks(&mut self, turn: &mut Turn) {
        if self.drains.is_empty() {
            return;
        }
        let workers: Vec<WorkerId> = self.drains.keys().cloned().collect();
        for worker in workers {
            self.finish_moves(turn, &worker);
            let record = self.cluster.worker(&worker);
            let is_draining =
                |record: &&WorkerRecord| matches!(record.availability, Availability::Draining { .. });
            let draining = record.filter(is_draining);
            let is_at_it = draining.is_some_and(|record| record.health == WorkerHealth::Ready);
            if draining.is_none()
                && let Some(drain) = self.drains.get_mut(&worker)
            {
                // Whoever was not tried yet stays.
                drain.left.clear();
            }
            for _ in 0..TRIED {
                let Some(drain) = self.drains.get_mut(&worker).filter(|_| is_at_it) else { break };
                if drain.under_way() >= AT_ONCE {
                    break;
                }
                let Some(task) = drain.left.pop_first() else { break };
                if !drain.moving.contains_key(&task) && !drain.stopping.contains(&task) {
                    self.move_off(turn, &worker, task);
                }
            }
            let is_over = |drain: &Drain| drain.left.is_empty() && drain.under_way() == 0;
            if !is_at_it && self.drains.get(&worker).is_some_and(is_over) {
                self.drains.remove(&worker);
            }
        }
    }

    /// Stops here what runs elsewhere by now, or is not wanted any more.
    fn finish_moves(&mut self, turn: &mut Turn, worker: &WorkerId) {
        let Some(drain) = self.drains.get(worker) else { return };
        let is_done = |task: TaskId| match self.cluster.task(task) {
            None => true,
            Some(record) => record.state() == State::Running || record.state().has_ended(),
        };
        let moved: Vec<(TaskId, u32)> = drain
            .moving
            .iter()
            .filter(|(task, _)| is_done(**task))
            .map(|(task, generation)| (*task, *generation))
            .collect();
        let has_left = |task: &TaskId| self.cluster.worker_of(*task) != Some(worker);
        let stopped: Vec<TaskId> = drain.stopping.iter().copied().filter(has_left).collect();
        for (task, generation) in moved {
            if let Some(drain) = self.drains.get_mut(worker) {
                drain.moving.remove(&task);
            }
            let status = TaskStatus { generation, ..TaskStatus::default() };
            self.stop_leftover(turn, worker, task, status);
            self.freed.extend(self.cluster.place_of(worker));
        }
        if let Some(drain) = self.drains.get_mut(worker) {
            drain.stopping.retain(|task| !stopped.contains(task));
        }
    }

    fn move_off(&mut self, turn: &mut Turn, worker: &WorkerId, task: TaskId) {
        let is_here = self.cluster.worker_of(task) == Some(worker);
        let Some(record) = self.cluster.task(task).filter(|record| is_here && may_leave(record)) else {
            return;
        };
        let spec = &record.task.spec;
        // What it has mounted may be the same on both, and not meant for two at once.
        let stops_first =
            spec.exclusive || spec.fixed_host_ports().next().is_some() || !spec.mounts.is_empty();
        if let Some(unset) = self.unset_secret(spec) {
            // It runs; elsewhere it would not.
            self.stay(turn, worker, task, &unset);
            return;
        }
        match self.choose(turn.now, task, None) {
            Ok(_) if stops_first => self.stop_to_move(turn, worker, task),
            Ok(chosen) => {
                let reason = format!("{worker} is drained; moved to {}", chosen.0);
                self.start_elsewhere(turn, Cause::Scheduler, worker, task, chosen, reason);
            }
            Err(no_worker) if no_worker.is_only_busy() => {}
            Err(no_worker) => self.stay(turn, worker, task, &no_worker.other_than(worker)),
        }
    }

    /// Told once: the numbers change with every task that ends somewhere.
    fn stay(&mut self, turn: &mut Turn, worker: &WorkerId, task: TaskId, why: &str) {
        if !self.cluster.row(task).is_some_and(|row| row.reason().starts_with(STAYS)) {
            let reason = format!("{STAYS}{worker}, which is drained: {why}");
            self.change(turn, Cause::Scheduler, What::Waiting { task, reason });
        }
    }

    /// It starts there, and is stopped here when it runs.
    pub(super) fn start_elsewhere(
        &mut self,
        turn: &mut Turn,
        cause: Cause,
        from: &WorkerId,
        task: TaskId,
        (worker, placement): Chosen,
        reason: String,
    ) {
        let Some(record) = self.cluster.task(task) else { return };
        let old = record.status().generation;
        let (generation, to) = (old + 1, worker.clone());
        let what =
            What::Moved { task, from: from.clone(), worker: to, generation, reason, placement, serves: true };
        self.change(turn, cause, what);
        self.drains.entry(from.clone()).or_default().moving.insert(task, old);
        self.send_start(turn, &worker, task);
    }

    /// Whether it was started elsewhere for a drain and its old run still serves, on a worker that is not lost: then
    /// nothing is lost by waiting.
    pub(super) fn is_moved_off(&self, task: TaskId) -> bool {
        let is_lost = |worker| self.cluster.worker(worker).is_none_or(|it| it.health == WorkerHealth::Lost);
        self.drains.iter().any(|(worker, drain)| drain.moving.contains_key(&task) && !is_lost(worker))
    }

    /// `worker` says how this run of a task does: an old run that has ended, or made way for a newer one there, serves no
    /// more, and nothing is won by waiting.
    pub(super) fn heard_of_run(&mut self, worker: &WorkerId, task: TaskId, generation: u32, has_ended: bool) {
        let Some(drain) = self.drains.get_mut(worker) else { return };
        let is_over = |old: u32| generation > old || (generation == old && has_ended);
        if drain.moving.get(&task).is_some_and(|old| is_over(*old)) {
            drain.moving.remove(&task);
            self.freed.extend(self.cluster.place_of(worker));
        }
    }

    /// `worker` has listed all that it has.
    pub(super) fn only_these_run(&mut self, worker: &WorkerId, is_listed: impl Fn(TaskId) -> bool) {
        let Some(drain) = self.drains.get_mut(worker) else { return };
        let before = drain.moving.len();
        drain.moving.retain(|task, _| is_listed(*task));
        if drain.moving.len() < before {
            self.freed.extend(self.cluster.place_of(worker));
        }
    }

    /// Whether this run is what serves until the new one runs elsewhere.
    pub(super) fn still_serves(&self, worker: &WorkerId, task: TaskId, generation: u32) -> bool {
        self.drains.get(worker).is_some_and(|drain| drain.moving.get(&task) == Some(&generation))
    }
}

/// What moves off a worker has its room until it runs elsewhere, although nothing is reserved for it there any more: what
/// that has against placing `task` with this spec. (Its own room is its own.)
pub(super) fn still_taken(
    drains: &BTreeMap<WorkerId, Drain>,
    cluster: &Cluster,
    worker: &WorkerRecord,
    task: TaskId,
    spec: &TaskSpec,
) -> Option<Rejection> {
    let moving = drains.get(&worker.id)?.moving.keys().copied().filter(|moving| *moving != task);
    let first = moving.clone().next()?;
    let mut taken = cluster.reserved(&worker.id)?.clone();
    for row in moving.filter_map(|moving| cluster.row(moving)) {
        taken.count(row.spec(), true);
    }
    taken.count(spec, true);
    let promised = Resources::promised(worker.capacity, cluster.settings().overcommit);
    let is_over = |taken: u64, promised: u64, needs: u64| needs > 0 && promised > 0 && taken > promised;
    let (taken, needs) = (taken.resources, Resources::of(spec));
    let is_full = is_over(taken.cpu_nanos, promised.cpu_nanos, needs.cpu_nanos)
        || is_over(taken.memory_bytes, promised.memory_bytes, needs.memory_bytes)
        || is_over(taken.disk_bytes, promised.disk_bytes, needs.disk_bytes);
    is_full.then_some(Rejection::HeldBack { task: first })
}

/// Whether a drain moves it: what is being stopped ends by itself.
pub(super) fn may_leave(record: &TaskRecord) -> bool {
    match record.state() {
        State::Scheduled | State::Running => record.desired == State::Running,
        State::Pending | State::Completed | State::Failed => false,
    }
}

fn until_then(until: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(until.duration_since(now)).unwrap_or_default() + Duration::from_millis(1)
}
