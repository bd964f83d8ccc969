//! One worker under two names, as two addresses of the same host are: only one of them counts, or each would have the
//! tasks stopped that the other was given. Knows no address.

use super::{Manager, Turn};
use crate::cluster::{Cause, Facts, WorkerHealth};
use crate::task::WorkerId;

impl Manager {
    /// Whether what says `facts` of itself is there as another worker already. Then it is lost under this name, and says
    /// why; the name that was known first stays, also over a restart of the manager.
    pub(super) fn is_a_double(&mut self, turn: &mut Turn, worker: &WorkerId, facts: &Facts) -> bool {
        self.doubles.remove(worker);
        let Some(other) = self.same_as(worker, facts) else { return false };
        self.doubles.insert(worker.clone());
        // Its silence under this name is meant.
        if let Some(watch) = self.watches.get_mut(worker) {
            watch.last_seen = None;
        }
        if let Some(mut record) = self.cluster.worker(worker).cloned() {
            record.health = WorkerHealth::Lost;
            record.reason =
                format!("it is {other}, by a second address; start the manager with only one of them");
            self.set_worker(turn, Cause::WorkerLink, record);
            self.leave(turn, worker);
        }
        true
    }

    /// The other worker of this run that has the same data folder.
    fn same_as(&self, worker: &WorkerId, facts: &Facts) -> Option<WorkerId> {
        let identity = facts.identity?;
        let mut others = self.cluster.workers().iter().filter(|other| other.id != *worker);
        let same = others.find(|other| {
            other.facts.identity == Some(identity)
                && self.configured.contains(&other.id)
                && !self.doubles.contains(&other.id)
        })?;
        Some(same.id.clone())
    }
}
