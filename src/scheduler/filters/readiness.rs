//! Whether a worker is there, well, and meant to take work. Knows no amount.

use super::Context;
use crate::cluster::{Allows, Availability, Denied, Peer, WorkerHealth};
use crate::scheduler::Rejection;

pub(super) fn readiness(Context { worker, .. }: Context<'_>) -> Option<Rejection> {
    let reason = || worker.reason.clone();
    (worker.health != WorkerHealth::Ready)
        .then(|| Rejection::NotReady { health: worker.health, reason: reason() })
}

pub(super) fn runtime(Context { worker, .. }: Context<'_>) -> Option<Rejection> {
    (!worker.runtime_problem.is_empty())
        .then(|| Rejection::RuntimeUnhealthy { reason: worker.runtime_problem.clone() })
}

pub(super) fn cordon(Context { worker, .. }: Context<'_>) -> Option<Rejection> {
    (worker.availability != Availability::Active)
        .then_some(Rejection::NotAvailable { availability: worker.availability })
}

pub(super) fn lease(Context { request, worker, .. }: Context<'_>) -> Option<Rejection> {
    (request.spec.exclusive && worker.peer == Peer::Book).then_some(Rejection::NoLease)
}

/// What it has not said is not held against it; the worker itself looks again. One of the book's would pass over what it
/// does not know, and run something else than was asked for.
pub(super) fn policy(Context { request, worker, .. }: Context<'_>) -> Option<Rejection> {
    match (&worker.allows, worker.peer) {
        (Some(allows), _) => {
            let denied = allows.check(request.spec).err()?;
            Some(Rejection::NotAllowed { denied })
        }
        (None, Peer::Book) => {
            let Denied { what, .. } = Allows::default().check(request.spec).err()?;
            Some(Rejection::NotForTheBook { what })
        }
        (None, Peer::Cube | Peer::Unknown) => None,
    }
}

/// Values go to nobody who would hand them on, and over no wire that others can read.
pub(super) fn secrets(Context { request, worker, .. }: Context<'_>) -> Option<Rejection> {
    let why = match worker.peer {
        _ if request.spec.secrets.is_empty() => return None,
        Peer::Book => "it is one of the book's",
        Peer::Cube | Peer::Unknown if worker.insecure => "it is reached without TLS",
        Peer::Cube | Peer::Unknown => return None,
    };
    Some(Rejection::NoSecrets { why })
}
