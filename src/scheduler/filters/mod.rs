//! The filters: each looks at one worker for one task, and rejects it with the numbers or lets it pass. Know no ranking.

mod labels;
mod readiness;
mod resources;

use super::{Filter, Rejection, Request};
use crate::cluster::{Cluster, Reserved, Resources, WorkerRecord};

/// One worker as the filters see it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Context<'a> {
    pub(super) request: &'a Request<'a>,
    pub(super) worker: &'a WorkerRecord,
    pub(super) reserved: &'a Reserved,
    /// What may be promised of it in all; zeros where it told nothing.
    pub(super) promised: Resources,
}

impl<'a> Context<'a> {
    pub(super) fn new(request: &'a Request<'a>, cluster: &'a Cluster, place: usize) -> Self {
        static NOTHING: std::sync::OnceLock<Reserved> = std::sync::OnceLock::new();
        let worker = &cluster.workers()[place];
        let reserved = cluster.reserved_at(place).unwrap_or_else(|| NOTHING.get_or_init(Reserved::default));
        let promised = Resources::promised(worker.capacity, cluster.settings().overcommit);
        Self { request, worker, reserved, promised }
    }
}

type Check = fn(Context<'_>) -> Option<Rejection>;

/// In the order in which they are asked: the cheap ones and those that need somebody's hand first.
const CHECKS: [(Filter, Check); 12] = [
    (Filter::Readiness, readiness::readiness),
    (Filter::Runtime, readiness::runtime),
    (Filter::Cordon, readiness::cordon),
    (Filter::Lease, readiness::lease),
    (Filter::Policy, readiness::policy),
    (Filter::Secrets, readiness::secrets),
    (Filter::Cpu, resources::cpu),
    (Filter::Memory, resources::memory),
    (Filter::Disk, resources::disk),
    (Filter::HostPorts, resources::host_ports),
    (Filter::Constraints, labels::constraints),
    (Filter::Affinity, labels::affinity),
];

/// Whether the worker can take it: the first objection.
pub(super) fn check(context: Context<'_>) -> Result<(), Rejection> {
    CHECKS.iter().find_map(|(_, check)| check(context)).map_or(Ok(()), Err)
}

/// Every objection.
pub(super) fn objections(context: Context<'_>) -> impl Iterator<Item = Rejection> {
    CHECKS.iter().filter_map(move |(_, check)| check(context))
}

/// The first objection that does not go away by waiting.
pub(super) fn lasting(context: Context<'_>) -> Option<Rejection> {
    objections(context).find(|rejection| !rejection.is_temporary())
}

/// What each filter says.
pub(super) fn all(context: Context<'_>) -> impl Iterator<Item = (Filter, Result<(), Rejection>)> {
    CHECKS.iter().map(move |(filter, check)| (*filter, check(context).map_or(Ok(()), Err)))
}

/// The numbers of a filter that lets it pass, as short as they stand in a table.
pub(super) fn in_short(filter: Filter, context: Context<'_>) -> String {
    match filter {
        Filter::Readiness => context.worker.health.name().to_owned(),
        Filter::Cpu | Filter::Memory | Filter::Disk => resources::in_short(filter, context),
        _ => String::new(),
    }
}

/// The numbers of a filter that lets it pass.
pub(super) fn passes(filter: Filter, context: Context<'_>) -> String {
    match filter {
        Filter::Readiness => context.worker.health.name().to_owned(),
        Filter::Cpu | Filter::Memory | Filter::Disk => resources::numbers(filter, context),
        Filter::HostPorts if context.request.ports.is_empty() => "wants none".to_owned(),
        Filter::HostPorts => format!("{} free", context.request.ports.join(", ")),
        Filter::Constraints | Filter::Affinity => labels::numbers(filter, context),
        Filter::Runtime
        | Filter::Cordon
        | Filter::Lease
        | Filter::Policy
        | Filter::Secrets
        | Filter::History
        | Filter::Busy
        | Filter::HeldBack => String::new(),
    }
}
