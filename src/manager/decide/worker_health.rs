//! Which workers can be counted on. Late is `stale`, silent for long is `lost`; neither says that a task failed.

use std::time::Duration;

use super::join::not_of_this_run;
use super::watch::FLAPPING;
use super::{ConfiguredWorker, Manager, Now, Timer, Turn};
use crate::cluster::{Allows, Capacity, Cause, Facts, Peer, What, WorkerHealth, WorkerRecord};
use crate::task::WorkerId;

/// No word for this long: stale. Two and a half heartbeats, so that one may be lost.
pub const STALE_AFTER: Duration = Duration::from_secs(5);

/// No word for this long: lost. Within the ten seconds that faults.md promises.
pub const LOST_AFTER: Duration = Duration::from_secs(9);

/// A worker that is heard and tells no load for so long: what it told is not believed any more. Three samples.
const FRESH_FOR: Duration = Duration::from_secs(15);

/// A tick that comes so much later than it was asked for means that the manager itself stood still (suspended, or kept
/// from the CPU): the silence was its own.
const OWN_PAUSE: Duration = Duration::from_secs(2);

/// How the reason begins of a worker that has joined and was never reached.
const NOT_REACHED: &str = "joined, but not reached at";

/// A worker's problem that only changes its words is told this often.
const PROBLEM_AGAIN: Duration = Duration::from_secs(30);

impl Manager {
    /// Takes in the workers of this run. Those of an earlier run that are not named now are lost, and say why; their
    /// tasks move when the workers of this run had the time to show themselves.
    pub(super) fn configure(&mut self, turn: &mut Turn, workers: Vec<ConfiguredWorker>) {
        let known: Vec<WorkerRecord> = self.cluster.workers().to_vec();
        self.configured = workers.iter().map(|worker| worker.id.clone()).collect();
        let joined = known.iter().filter(|known| known.joined.is_some()).map(|known| known.id.clone());
        // Nobody has to name them again.
        let joined: Vec<_> = joined.filter(|id| !self.configured.contains(id)).collect();
        self.configured.extend(joined.iter().cloned());
        let joined = joined.into_iter().map(|id| ConfiguredWorker { id, insecure: false });
        let workers = workers.into_iter().chain(joined);
        for ConfiguredWorker { id, insecure } in workers {
            let mut record = WorkerRecord::new(id, insecure, turn.now.wall);
            if let Some(known) = known.iter().find(|known| known.id == record.id) {
                record.peer = known.peer;
                record.capacity = known.capacity;
                record.facts.clone_from(&known.facts);
                record.availability = known.availability;
                record.allows.clone_from(&known.allows);
                record.joined.clone_from(&known.joined);
            }
            self.watch_health(turn, &record.id);
            self.set_worker(turn, Cause::Manager, record);
        }
        for mut record in known {
            if !self.configured.contains(&record.id) {
                self.leases.desert(record.id.clone());
                record.health = WorkerHealth::Lost;
                record.reason = not_of_this_run(&record);
                self.watch_health(turn, &record.id);
                self.set_worker(turn, Cause::Manager, record);
            }
        }
    }

    pub(super) fn worker_up(
        &mut self,
        turn: &mut Turn,
        worker: &WorkerId,
        peer: Peer,
        (capacity, allows): (Capacity, Option<Allows>),
        runtime_problem: String,
        facts: Facts,
    ) {
        if self.is_a_double(turn, worker, &facts) {
            return;
        }
        self.seen(turn, worker);
        self.forget_load(worker);
        if let Some(mut record) = self.cluster.worker(worker).cloned() {
            self.count_on(turn.now, &mut record);
            record.peer = peer;
            record.capacity = capacity;
            record.allows = allows;
            record.runtime_problem = runtime_problem;
            record.facts = facts;
            self.set_worker(turn, Cause::WorkerLink, record);
        }
        // Its list follows.
        self.leaving.forget_left_behind(worker);
        // Stops that did not reach it while it was away.
        for task in self.assigned(worker) {
            self.send_stop(turn, task);
        }
    }

    pub(super) fn heartbeat(&mut self, turn: &mut Turn, worker: &WorkerId, runtime_problem: String) {
        self.seen(turn, worker);
        self.tell_unknown(turn, worker);
        let sampled = self.watches.get(worker).map_or(Duration::ZERO, |watch| watch.sampled);
        if turn.now.since_start.saturating_sub(sampled) > FRESH_FOR {
            self.forget_load(worker);
        }
        let Some(record) = self.cluster.worker(worker) else { return };
        let is_back = record.health != WorkerHealth::Ready && !self.is_flapping(turn.now, worker);
        if is_back || self.is_news(turn.now, record, &runtime_problem) {
            let mut record = record.clone();
            self.watches.entry(worker.clone()).or_default().problem_told = turn.now.since_start;
            self.count_on(turn.now, &mut record);
            record.runtime_problem = runtime_problem;
            self.set_worker(turn, Cause::WorkerReport, record);
        }
        self.stop_left_behind(turn, worker);
    }

    /// It is heard, so it is ready; unless its link comes and goes: then it stays what it is until the link has held.
    fn count_on(&self, now: Now, record: &mut WorkerRecord) {
        if !self.is_flapping(now, &record.id) {
            record.health = WorkerHealth::Ready;
            record.reason.clear();
        } else if record.health != WorkerHealth::Lost {
            record.health = WorkerHealth::Stale;
            FLAPPING.clone_into(&mut record.reason);
        }
    }

    fn is_flapping(&self, now: Now, worker: &WorkerId) -> bool {
        self.watches.get(worker).is_some_and(|watch| watch.is_flapping(now.since_start))
    }

    /// Whether a problem is to be told: when it comes, when it goes, and when it is another one by now. An engine
    /// whose every answer fails in other words must not fill the log.
    fn is_news(&self, now: Now, record: &WorkerRecord, problem: &str) -> bool {
        let before = &record.runtime_problem;
        let told = self.watches.get(&record.id).map(|watch| watch.problem_told).unwrap_or_default();
        let is_late = now.since_start.saturating_sub(told) >= PROBLEM_AGAIN;
        before != problem && (before.is_empty() || problem.is_empty() || is_late)
    }

    /// The link says it before the silence does: no new work goes there from now on.
    pub(super) fn link_down(&mut self, turn: &mut Turn, worker: &WorkerId, reason: String) {
        self.unknown.link_down(worker);
        self.attend_no_more(worker);
        let Some(mut record) = self.cluster.worker(worker).cloned() else { return };
        self.went_down(turn.now, worker);
        match record.health {
            WorkerHealth::Ready => record.health = WorkerHealth::Stale,
            WorkerHealth::Connecting | WorkerHealth::Stale => {}
            // Known to be away; how each new try fails is no news.
            WorkerHealth::Lost => return,
        }
        record.reason = match not_reached(&record, &reason) {
            Some(not_reached) => not_reached,
            None if self.is_flapping(turn.now, worker) => FLAPPING.to_owned(),
            None => reason,
        };
        self.set_worker(turn, Cause::WorkerLink, record);
    }

    fn went_down(&mut self, now: Now, worker: &WorkerId) {
        if let Some(watch) = self.watches.get_mut(worker) {
            watch.went_down(now.since_start);
        }
    }

    pub(super) fn check_health(&mut self, turn: &mut Turn, worker: &WorkerId) {
        let Some(last_seen) = self.watches.get(worker).and_then(|watch| watch.last_seen) else { return };
        let silent = turn.now.since_start.saturating_sub(last_seen);
        let Some(mut record) = self.cluster.worker(worker).cloned() else { return };
        let (health, next_look) = if silent >= LOST_AFTER {
            (WorkerHealth::Lost, None)
        } else if silent >= STALE_AFTER {
            (WorkerHealth::Stale, Some(LOST_AFTER.saturating_sub(silent)))
        } else {
            (record.health, Some(STALE_AFTER.saturating_sub(silent)))
        };
        if silent >= STALE_AFTER {
            self.went_down(turn.now, worker);
        }
        if let Some(wait) = next_look {
            self.wake_after(turn.now, wait, Timer::Health(worker.clone()));
        } else if let Some(watch) = self.watches.get_mut(worker) {
            // Nothing to look at again before it speaks.
            watch.last_seen = None;
        }
        if health == WorkerHealth::Lost {
            self.lose(turn, record, silent);
            return;
        }
        // One that was never heard of is not late; it becomes lost. One that is lost does not become late again.
        let is_late_only = health == WorkerHealth::Stale && record.health != WorkerHealth::Ready;
        if record.health == health || is_late_only {
            return;
        }
        record.health = health;
        if record.reason.is_empty() {
            record.reason = silent_for(silent);
        }
        self.set_worker(turn, Cause::WorkerLink, record);
    }

    /// Nobody counts on it any more: what it was to run goes elsewhere.
    fn lose(&mut self, turn: &mut Turn, mut record: WorkerRecord, silent: Duration) {
        let worker = record.id.clone();
        if record.health != WorkerHealth::Lost {
            record.health = WorkerHealth::Lost;
            record.reason = match record.reason.as_str() {
                "" => silent_for(silent),
                // The link's own words for a shorter silence.
                reason if reason.starts_with("silent") => silent_for(silent),
                // It never spoke.
                reason if reason.starts_with(NOT_REACHED) => reason.to_owned(),
                reason => format!("{}, {reason}", silent_for(silent)),
            };
            self.set_worker(turn, Cause::WorkerLink, record);
        }
        self.leave(turn, &worker);
    }

    /// After the manager itself stood still, what the workers said meanwhile is yet to be read: each silence counts
    /// from now.
    pub(super) fn make_up_for_a_pause(&mut self, now: Now) {
        let Some((due, _)) = self.timers.first() else { return };
        if now.since_start.saturating_sub(*due) >= OWN_PAUSE {
            let waited_for = self.watches.values_mut().filter_map(|watch| watch.last_seen.as_mut());
            waited_for.for_each(|last_seen| *last_seen = now.since_start);
        }
    }

    fn seen(&mut self, turn: &Turn, worker: &WorkerId) {
        if self.watches.entry(worker.clone()).or_default().heard(turn.now.since_start) {
            self.wake_after(turn.now, STALE_AFTER, Timer::Health(worker.clone()));
        }
    }

    /// From now on its silence counts.
    pub(super) fn watch_health(&mut self, turn: &Turn, worker: &WorkerId) {
        let watch = self.watches.entry(worker.clone()).or_default();
        watch.last_seen = Some(turn.now.since_start);
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
        let took_work = before.is_some_and(WorkerRecord::takes_work);
        let takes_work = record.takes_work();
        let worker = record.id.clone();
        self.change(turn, cause, What::Worker { worker: record });
        if takes_work {
            if !took_work {
                self.resume_rooms_on(turn, &worker);
            }
            self.unblock();
        } else {
            self.retell();
        }
    }
}

/// Of one that came here to say where it is, and did not answer there once. Where it listens nobody else can change.
fn not_reached(record: &WorkerRecord, reason: &str) -> Option<String> {
    let joined = record.joined.as_ref().filter(|_| record.peer == Peer::Unknown)?;
    let address = &joined.address;
    Some(format!(
        "{NOT_REACHED} {address} ({reason}); start it with --listen HOST:PORT that this manager reaches, and see that no \
         firewall is in between"
    ))
}

fn silent_for(silent: Duration) -> String {
    format!("silent for {} s", silent.as_secs())
}
