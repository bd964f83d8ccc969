//! The lease of Exclusive tasks, from the manager's side: a worker that was not heard stops them, and only when it
//! must have done so may they be started elsewhere. Knows no container.
//!
//! A worker tells the reading of its own clock; the manager sends it back, and so the lease ends a fixed time after
//! the reading was *taken*, no matter how long a renewal was on its way. The reading was taken before it was heard,
//! so what was heard last says by when the worker has stopped, with no clock compared to another.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use super::{Effect, Manager, Now, Timer, Turn};
use crate::cluster::{Cause, TaskRecord, TaskRow, What};
use crate::task::{State, TaskId, WorkerId};
use crate::worker::report::{LEASE, LEASE_GRACE, LeaseClock};

/// For the engine to kill and for clocks that do not run alike.
const MARGIN: Duration = Duration::from_secs(4);

/// Between two attempts to start an Exclusive task at a worker that does not answer.
const AGAIN: Duration = Duration::from_secs(2);

/// By then a worker has stopped its Exclusive tasks, counted from the last reading that was heard of it.
pub const LEASE_IS_OVER_AFTER: Duration = LEASE.saturating_add(LEASE_GRACE).saturating_add(MARGIN);

/// The last reading of a worker's clock.
#[derive(Clone, Copy, Debug)]
struct Heard {
    since_boot_ms: u64,
    at: Duration,
    is_renewed: bool,
}

/// What is known of the workers' leases.
#[derive(Debug, Default)]
pub(super) struct Leases {
    heard: HashMap<WorkerId, Heard>,
    /// Workers that do not answer on a host that does (gone, or standing still), those that nobody named in this run, and
    /// those that were revoked. What they ran may run on, and nobody may be left there to stop it.
    deserted: HashSet<WorkerId>,
}

impl Leases {
    /// How long until whatever `worker` had under a lease is stopped for sure; `None` if nobody can say.
    pub(super) fn over_in(&self, now: Now, worker: &WorkerId) -> Option<Duration> {
        if self.deserted.contains(worker) {
            return None;
        }
        // Never heard in this run: an earlier one may have renewed it up to this one's start.
        let heard = self.heard.get(worker).map_or(Duration::ZERO, |heard| heard.at);
        Some((heard + LEASE_IS_OVER_AFTER).saturating_sub(now.since_start))
    }

    /// Its host may run without it; until it is heard, what it ran may run on.
    pub(super) fn desert(&mut self, worker: WorkerId) {
        self.deserted.insert(worker);
    }

    pub(super) fn is_deserted(&self, worker: &WorkerId) -> bool {
        self.deserted.contains(worker)
    }
}

impl Manager {
    pub(super) fn lease_clock(&mut self, turn: &mut Turn, worker: WorkerId, clock: LeaseClock) {
        let LeaseClock { since_boot_ms, is_needed } = clock;
        self.leases.deserted.remove(&worker);
        let heard = Heard { since_boot_ms, at: turn.now.since_start, is_renewed: is_needed };
        self.leases.heard.insert(worker.clone(), heard);
        if is_needed {
            turn.effect(Effect::RenewLease { worker, since_boot_ms });
        }
    }

    /// Whether nothing that `worker` had under its lease can still run.
    pub(super) fn may_replace(&self, now: Now, worker: &WorkerId) -> bool {
        self.leases.over_in(now, worker) == Some(Duration::ZERO)
    }

    /// How long an Exclusive task of a lost worker has to wait at least.
    pub(super) fn lease_wait(&self, now: Now, worker: &WorkerId, record: &TaskRecord) -> Option<Duration> {
        let wait = self.leases.over_in(now, worker).filter(|_| record.task.spec.exclusive)?;
        (!wait.is_zero()).then_some(wait)
    }

    pub(super) fn host_is_there(&mut self, worker: WorkerId) {
        self.leases.desert(worker);
    }

    /// Before the first Exclusive task of a worker arrives there, its lease has to.
    pub(super) fn renew_before_start(&mut self, turn: &mut Turn, worker: &WorkerId) {
        if let Some(heard) = self.leases.heard.get_mut(worker).filter(|heard| !heard.is_renewed) {
            heard.is_renewed = true;
            let since_boot_ms = heard.since_boot_ms;
            turn.effect(Effect::RenewLease { worker: worker.clone(), since_boot_ms });
        }
    }

    /// A start of an Exclusive task whose answer is missing may arrive yet: it goes nowhere else meanwhile, and the
    /// same start again is harmless.
    pub(super) fn send_exclusive_again(&mut self, turn: &mut Turn, task: TaskId, reason: String) {
        if self.cluster.row(task).is_some_and(|row| row.reason() != reason) {
            self.change(turn, Cause::WorkerLink, What::Waiting { task, reason });
        }
        self.wake_after(turn.now, AGAIN, Timer::StartAgain(task));
    }

    pub(super) fn start_again(&mut self, turn: &mut Turn, task: TaskId) {
        let is_wanted = |row: &TaskRow| row.state() == State::Scheduled && row.desired() == State::Running;
        if self.cluster.row(task).is_some_and(is_wanted)
            && let Some(worker) = self.cluster.worker_of(task).cloned()
        {
            self.send_start(turn, &worker, task);
        }
    }
}
