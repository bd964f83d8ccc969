//! Workers that come and go at run time: one that joined says where it is, one that was thrown out is lost. Knows no
//! certificate.

use super::{Answer, Effect, Manager, RequestError, RequestId, Turn};
use crate::cluster::{Cause, Joined, WorkerHealth, WorkerRecord};
use crate::task::WorkerId;
use crate::worker::report::{LEASE, LEASE_GRACE};

const REVOKED: &str = "its membership was revoked";

/// Why it is lost, and what can be done about it.
fn revoked(worker: &WorkerId) -> String {
    format!("{REVOKED}; `cube-tui forget {worker}` lets go of it, a new invite takes it back")
}

/// Why a worker of an earlier run is lost in this one, and what can be done about it.
pub(super) fn not_of_this_run(known: &WorkerRecord) -> String {
    if known.reason.starts_with(REVOKED) {
        return revoked(&known.id);
    }
    String::from("not among the workers of this run; add it with --worker")
}

/// What is said of an Exclusive task there. That its lease is over stops it, if the worker's process is there to do so;
/// nobody talks to it any more, so nobody knows.
pub(super) fn exclusive_on_revoked(worker: &WorkerRecord) -> Option<String> {
    let id = &worker.id;
    worker.reason.starts_with(REVOKED).then(|| {
        format!(
            "Exclusive, and its worker {id} was revoked: it ends there within {} s by its lease, if that worker still runs; \
             once it has ended, `cube-tui forget {id}` starts it elsewhere",
            (LEASE + LEASE_GRACE).as_secs()
        )
    })
}

impl Manager {
    /// A worker says where it is: at its start, and now and then. Only news change anything.
    pub(super) fn worker_joined(
        &mut self,
        turn: &mut Turn,
        request: RequestId,
        cause: Cause,
        worker: WorkerId,
        joined: Joined,
    ) {
        let known = self.cluster.worker(&worker);
        let is_of_this_run = self.configured.contains(&worker);
        if is_of_this_run && known.is_some_and(|known| known.joined.is_none()) {
            let why =
                format!("the manager has a worker {worker} of its own; join under another name with --name");
            let answer = Err(RequestError::Invalid(why));
            return turn.effect(Effect::Answer { request, answer });
        }
        if known.is_none_or(|known| known.joined.as_ref() != Some(&joined)) {
            let mut record = WorkerRecord::new(worker.clone(), false, turn.now.wall);
            if let Some(known) = known {
                record.capacity = known.capacity;
                record.allows.clone_from(&known.allows);
                record.facts.clone_from(&known.facts);
                // Whoever kept work from it meant the membership that is over.
                if known.joined.as_ref().is_some_and(|known| known.member == joined.member) {
                    record.availability = known.availability;
                }
            }
            record.joined = Some(joined.clone());
            self.configured.insert(worker.clone());
            self.watch_health(turn, &worker);
            self.set_worker(turn, cause, record);
            turn.effect(Effect::Link { worker, joined });
        }
        turn.effect(Effect::Answer { request, answer: Ok(Answer::Done) });
    }

    /// Nobody talks to it any more: its tasks go elsewhere, as those of a lost worker do.
    pub(super) fn worker_left(
        &mut self,
        turn: &mut Turn,
        request: RequestId,
        cause: Cause,
        worker: &WorkerId,
    ) {
        if let Some(record) = self.cluster.worker(worker).filter(|record| record.joined.is_some()) {
            let mut record = record.clone();
            record.joined = None;
            record.health = WorkerHealth::Lost;
            record.reason = revoked(worker);
            self.configured.remove(worker);
            self.leases.desert(worker.clone());
            self.set_worker(turn, cause, record);
            turn.effect(Effect::Unlink { worker: worker.clone() });
            self.leave(turn, worker);
        }
        turn.effect(Effect::Answer { request, answer: Ok(Answer::Done) });
    }
}
