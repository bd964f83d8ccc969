//! The lease of Exclusive tasks: without a manager's word that renews it they are stopped here, so that the manager
//! may start them elsewhere. Knows no clock but the readings it is given.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::{
    core::{Entry, Worker},
    report::{EventAnswer, LEASE, LeaseClock},
};
use crate::task::{State, Task, TaskId};

/// How such an end is told.
const LAPSED: &str = "stopped: it is Exclusive, and no manager renewed its lease for 5 s";

/// Refusals remembered; more than can be under way at once.
const MOST_REFUSED: usize = 10_000;

/// One lease for all of a worker's Exclusive tasks.
#[derive(Debug, Default)]
pub(super) struct Lease {
    /// The newest reading of the host's clock.
    since_boot: Duration,
    /// `None`: nobody gave one yet.
    ends: Option<Duration>,
    /// The Exclusive tasks that may run; entries that have ended are passed over.
    tasks: BTreeSet<TaskId>,
    /// Generations that were refused for want of a lease. Their managers look elsewhere, so a start of such a one that
    /// was sent before, and arrives after, must not be taken.
    refused: BTreeMap<TaskId, u32>,
}

impl Worker {
    /// Tells the time since the host's boot; to be called before `handle`.
    pub fn at(&mut self, since_boot: Duration) -> &mut Self {
        self.lease.since_boot = since_boot;
        self
    }

    /// When the lease of what runs here ends, as time since boot.
    pub fn lease_ends(&self) -> Option<Duration> {
        if self.lease.tasks.is_empty() { None } else { self.lease.ends }
    }

    /// The reading to renew the lease by.
    pub fn lease_clock(&self) -> LeaseClock {
        let since_boot_ms = u64::try_from(self.lease.since_boot.as_millis()).unwrap_or(u64::MAX);
        LeaseClock { since_boot_ms, is_needed: !self.lease.tasks.is_empty() }
    }

    /// Renewed by a manager that heard this reading. A later one than the present is of another boot of this host.
    pub(super) fn renew_lease(&mut self, reading: Duration) -> EventAnswer {
        if reading > self.lease.since_boot {
            return EventAnswer::refused(
                409,
                "this worker's clock never said so: its host was started again",
            );
        }
        let ends = reading + LEASE;
        self.lease.ends = Some(self.lease.ends.map_or(ends, |before| before.max(ends)));
        EventAnswer::stop_accepted()
    }

    /// Whether this generation of an Exclusive task may be started; once refused it stays so.
    pub(super) fn may_start_exclusive(&mut self, task: &Task) -> bool {
        let generation = task.status.generation;
        let refused = self.lease.refused.get(&task.id).copied();
        if self.has_lease() && refused.is_none_or(|refused| generation > refused) {
            self.lease.refused.remove(&task.id);
            return true;
        }
        if self.lease.refused.len() >= MOST_REFUSED {
            self.lease.refused.pop_first();
        }
        self.lease.refused.insert(task.id, refused.unwrap_or(0).max(generation));
        false
    }

    fn has_lease(&self) -> bool {
        self.lease.ends.is_some_and(|ends| ends > self.lease.since_boot)
    }

    /// From now on `task` lives by the lease.
    pub(super) fn put_under_lease(&mut self, task: TaskId) {
        self.lease.tasks.insert(task);
    }

    /// One that was found running has the time of a lease to be heard of again.
    pub(super) fn adopt_under_lease(&mut self, task: TaskId) {
        let first = self.lease.since_boot + LEASE;
        self.lease.ends.get_or_insert(first);
        self.put_under_lease(task);
    }

    /// Stops what the lease no longer covers.
    pub(super) fn check_lease(&mut self) {
        if self.lease.tasks.is_empty() {
            return;
        }
        let db = &self.task_db;
        self.lease.tasks.retain(|task| db.get(task).is_some_and(Entry::is_under_lease));
        if self.has_lease() {
            return;
        }
        for task in std::mem::take(&mut self.lease.tasks) {
            if let Some(entry) = self.task_db.get_mut(&task) {
                entry.has_lapsed = true;
                self.run_task(task);
            }
        }
    }

    /// Nothing of it runs here any more.
    pub(super) fn end_lapsed(&mut self, task: TaskId) {
        let Some(entry) = self.task_db.get_mut(&task) else { return };
        if entry.task.status.state.has_ended() {
            return;
        }
        entry.task.status.is_interrupted = true;
        self.end(task, State::Failed, None, LAPSED.to_owned());
    }
}

impl Entry {
    fn is_under_lease(&self) -> bool {
        // Also one that is being stopped: for a restart or a drain its manager starts it elsewhere once the lease is over.
        self.task.spec.exclusive && !self.task.status.state.has_ended()
    }
}
