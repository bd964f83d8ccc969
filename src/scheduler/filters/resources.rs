//! Whether there is room beside what is reserved. A worker that never told what it has (the book's don't) is not judged
//! by it.

use humansize::{BINARY, format_size};

use super::Context;
use crate::scheduler::rejection::cpus as rounded;
use crate::scheduler::{Filter, Rejection};

/// How an amount fits.
enum Room {
    Enough,
    Lacking {
        free: u64,
    },
    /// More than there is in all.
    Never,
}

fn room(needs: u64, taken: u64, has: u64) -> Room {
    let free = has.saturating_sub(taken);
    if has == 0 || needs == 0 || needs <= free {
        Room::Enough
    } else if needs > has {
        Room::Never
    } else {
        Room::Lacking { free }
    }
}

pub(super) fn cpu(Context { request, reserved, promised, .. }: Context<'_>) -> Option<Rejection> {
    let (needs, has) = (request.spec.cpu, cpus(promised.cpu_nanos));
    match room(request.needs.cpu_nanos, reserved.resources.cpu_nanos, promised.cpu_nanos) {
        Room::Enough => None,
        Room::Lacking { free } => Some(Rejection::CpuReserved { needs, free: cpus(free), has }),
        Room::Never => Some(Rejection::Cpu { needs, has }),
    }
}

pub(super) fn memory(Context { request, reserved, promised, .. }: Context<'_>) -> Option<Rejection> {
    let (needs_bytes, has_bytes) = (request.needs.memory_bytes, promised.memory_bytes);
    match room(needs_bytes, reserved.resources.memory_bytes, has_bytes) {
        Room::Enough => None,
        Room::Lacking { free: free_bytes } => {
            Some(Rejection::MemoryReserved { needs_bytes, free_bytes, has_bytes })
        }
        Room::Never => Some(Rejection::Memory { needs_bytes, has_bytes }),
    }
}

pub(super) fn disk(Context { request, reserved, promised, .. }: Context<'_>) -> Option<Rejection> {
    let (needs_bytes, has_bytes) = (request.needs.disk_bytes, promised.disk_bytes);
    match room(needs_bytes, reserved.resources.disk_bytes, has_bytes) {
        Room::Enough => None,
        Room::Lacking { free: free_bytes } => {
            Some(Rejection::DiskReserved { needs_bytes, free_bytes, has_bytes })
        }
        Room::Never => Some(Rejection::Disk { needs_bytes, has_bytes }),
    }
}

pub(super) fn host_ports(Context { request, reserved, .. }: Context<'_>) -> Option<Rejection> {
    let taken = request.ports.iter().find(|port| reserved.has_port(port));
    taken.map(|port| Rejection::HostPort { port: port.clone() })
}

/// Wanted, taken, and there in all.
fn amounts(filter: Filter, Context { request, reserved, promised, .. }: Context<'_>) -> (u64, u64, u64) {
    let (needs, taken) = (request.needs, reserved.resources);
    match filter {
        Filter::Cpu => (needs.cpu_nanos, taken.cpu_nanos, promised.cpu_nanos),
        Filter::Memory => (needs.memory_bytes, taken.memory_bytes, promised.memory_bytes),
        _ => (needs.disk_bytes, taken.disk_bytes, promised.disk_bytes),
    }
}

fn words(filter: Filter, amount: u64) -> String {
    match filter {
        Filter::Cpu => rounded(cpus(amount)).to_string(),
        _ => format_size(amount, BINARY),
    }
}

/// What is free, where some is wanted.
pub(super) fn in_short(filter: Filter, context: Context<'_>) -> String {
    match amounts(filter, context) {
        (0, _, _) => String::new(),
        (_, _, 0) => "not told".to_owned(),
        (_, taken, has) => format!("{} free", words(filter, has.saturating_sub(taken))),
    }
}

/// What is free of what there is, and what is wanted.
pub(super) fn numbers(filter: Filter, context: Context<'_>) -> String {
    let (needs, taken, has) = amounts(filter, context);
    let amount = |amount: u64| words(filter, amount);
    match (needs, has) {
        (0, _) => "wants none".to_owned(),
        (_, 0) => format!("{} wanted, capacity not told", amount(needs)),
        _ => {
            format!("{} of {} free, {} wanted", amount(has.saturating_sub(taken)), amount(has), amount(needs))
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "shown to people")]
fn cpus(nanos: u64) -> f64 {
    nanos as f64 / 1e9
}
