//! Which workers can be counted on. Late is `stale`, silent for long is `lost`; neither says that a task failed.

use std::time::Duration;

use super::{ConfiguredWorker, Manager, Now, Timer, Turn};
use crate::cluster::{Capacity, Cause, Peer, What, WorkerHealth, WorkerRecord};
use crate::task::WorkerId;

/// No word for this long: stale. Two and a half heartbeats, so that one may be lost.
pub const STALE_AFTER: Duration = Duration::from_secs(5);

/// No word for this long: lost. Within the ten seconds that faults.md promises.
pub const LOST_AFTER: Duration = Duration::from_secs(9);

/// A worker's problem that only changes its words is told this often.
const PROBLEM_AGAIN: Duration = Duration::from_secs(30);

impl Manager {
    /// Takes in the workers of this run. Those of an earlier run that are not named now are lost, and say why.
    pub(super) fn configure(&mut self, turn: &mut Turn, workers: Vec<ConfiguredWorker>) {
        let known: Vec<WorkerRecord> = self.cluster.workers().to_vec();
        self.configured = workers.iter().map(|worker| worker.id.clone()).collect();
        for ConfiguredWorker { id, insecure } in workers {
            let mut record = WorkerRecord::new(id, insecure, turn.now.wall);
            if let Some(known) = known.iter().find(|known| known.id == record.id) {
                record.peer = known.peer;
                record.capacity = known.capacity;
            }
            self.watch_health(turn, &record.id);
            self.set_worker(turn, Cause::Manager, record);
        }
        for mut record in known {
            if !self.configured.contains(&record.id) {
                record.health = WorkerHealth::Lost;
                record.reason = String::from("not among the workers of this run; add it with --worker");
                self.set_worker(turn, Cause::Manager, record);
            }
        }
    }

    pub(super) fn worker_up(
        &mut self,
        turn: &mut Turn,
        worker: &WorkerId,
        peer: Peer,
        capacity: Capacity,
        runtime_problem: String,
    ) {
        self.seen(turn, worker);
        if let Some(mut record) = self.cluster.worker(worker).cloned() {
            record.health = WorkerHealth::Ready;
            record.reason.clear();
            record.peer = peer;
            record.capacity = capacity;
            record.runtime_problem = runtime_problem;
            self.set_worker(turn, Cause::WorkerLink, record);
        }
        // Stops that did not reach it while it was away.
        for task in self.assigned(worker) {
            self.send_stop(turn, task);
        }
    }

    pub(super) fn heartbeat(&mut self, turn: &mut Turn, worker: &WorkerId, runtime_problem: String) {
        self.seen(turn, worker);
        self.tell_unknown(turn, worker);
        let Some(record) = self.cluster.worker(worker) else { return };
        if record.health != WorkerHealth::Ready || self.is_news(turn.now, record, &runtime_problem) {
            let mut record = record.clone();
            self.problem_told.insert(worker.clone(), turn.now.since_start);
            record.health = WorkerHealth::Ready;
            record.reason.clear();
            record.runtime_problem = runtime_problem;
            self.set_worker(turn, Cause::WorkerReport, record);
        }
    }

    /// Whether a problem is to be told: when it comes, when it goes, and when it is another one by now. An engine
    /// whose every answer fails in other words must not fill the log.
    fn is_news(&self, now: Now, record: &WorkerRecord, problem: &str) -> bool {
        let before = &record.runtime_problem;
        let told = self.problem_told.get(&record.id).copied().unwrap_or_default();
        let is_late = now.since_start.saturating_sub(told) >= PROBLEM_AGAIN;
        before != problem && (before.is_empty() || problem.is_empty() || is_late)
    }

    /// The link says it before the silence does: no new work goes there from now on.
    pub(super) fn link_down(&mut self, turn: &mut Turn, worker: &WorkerId, reason: String) {
        self.unknown.link_down(worker);
        let Some(mut record) = self.cluster.worker(worker).cloned() else { return };
        if record.health == WorkerHealth::Ready {
            record.health = WorkerHealth::Stale;
        }
        record.reason = reason;
        self.set_worker(turn, Cause::WorkerLink, record);
    }

    pub(super) fn check_health(&mut self, turn: &mut Turn, worker: &WorkerId) {
        let Some(last_seen) = self.last_seen.get(worker).copied() else { return };
        let silent = turn.now.since_start.saturating_sub(last_seen);
        let Some(mut record) = self.cluster.worker(worker).cloned() else { return };
        let (health, next_look) = if silent >= LOST_AFTER {
            (WorkerHealth::Lost, None)
        } else if silent >= STALE_AFTER {
            (WorkerHealth::Stale, Some(LOST_AFTER.saturating_sub(silent)))
        } else {
            (record.health, Some(STALE_AFTER.saturating_sub(silent)))
        };
        match next_look {
            Some(wait) => self.wake_after(turn.now, wait, Timer::Health(worker.clone())),
            // Nothing to look at again before it speaks.
            None => _ = self.last_seen.remove(worker),
        }
        // One that was never heard of is not late; it becomes lost.
        let never_heard = record.health == WorkerHealth::Connecting && health == WorkerHealth::Stale;
        if record.health == health || never_heard {
            return;
        }
        record.health = health;
        if record.reason.is_empty() {
            record.reason = format!("silent for {} s", silent.as_secs());
        }
        self.set_worker(turn, Cause::WorkerLink, record);
    }

    fn seen(&mut self, turn: &Turn, worker: &WorkerId) {
        match self.last_seen.get_mut(worker) {
            Some(last_seen) => *last_seen = turn.now.since_start,
            None => self.watch_health(turn, worker),
        }
    }

    /// From now on its silence counts.
    fn watch_health(&mut self, turn: &Turn, worker: &WorkerId) {
        self.last_seen.insert(worker.clone(), turn.now.since_start);
        self.wake_after(turn.now, STALE_AFTER, Timer::Health(worker.clone()));
    }

    pub(super) fn set_worker(&mut self, turn: &mut Turn, cause: Cause, mut record: WorkerRecord) {
        let before = self.cluster.worker(&record.id);
        record.since = match before {
            Some(before) if before.health == record.health => before.since,
            _ => turn.now.wall,
        };
        if before == Some(&record) {
            return;
        }
        let takes_work = record.takes_work();
        self.change(turn, cause, What::Worker { worker: record });
        if takes_work {
            self.unblock();
        } else {
            self.retell();
        }
    }
}
