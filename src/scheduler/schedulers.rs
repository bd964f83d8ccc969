//! The schedulers: each puts a number on a worker that can take a task; the lowest is chosen. Know no filter.

use crate::cluster::{Capacity, Reserved, Resources, SchedulerName, Term};

use super::Load;

/// A worker that can take the task, as a scheduler sees it.
#[derive(Clone, Copy, Debug)]
pub struct Candidate<'a> {
    pub capacity: Capacity,
    pub reserved: &'a Reserved,
    /// `None` while nothing fresh is known of it.
    pub live: Option<Load>,
    pub needs: Resources,
}

/// How good a worker is for a task.
pub trait Scheduler: Sync {
    fn name(&self) -> SchedulerName;

    /// Lower is better.
    fn score(&self, candidate: &Candidate<'_>) -> f64;

    /// Whether what the score goes by is not known of this worker: then it comes after all of whom it is.
    fn is_unknown(&self, candidate: &Candidate<'_>) -> bool;

    /// What the score is made of.
    fn terms(&self, candidate: &Candidate<'_>) -> Vec<Term>;
}

/// The one scheduler of this name.
pub fn by_name(name: SchedulerName) -> &'static dyn Scheduler {
    match name {
        SchedulerName::RoundRobin => &RoundRobin,
        SchedulerName::Greedy => &Greedy,
        SchedulerName::Epvm => &Epvm,
        SchedulerName::Spread => &Spread,
        SchedulerName::Binpack => &Binpack,
    }
}

/// A task that names no CPU or memory is taken for one of this size where workers are compared (not where room is
/// reserved): many of them are a load all the same. The sizes are Kubernetes' for the same purpose.
const UNNAMED_CPUS: f64 = 0.1;
const UNNAMED_MEMORY_BYTES: f64 = 200.0 * 1024.0 * 1024.0;

/// Shares of a worker's CPU and memory in use, before the task and with it: what is reserved or what is seen in use,
/// whichever is more.
#[derive(Clone, Copy, Debug, Default)]
struct Shares {
    cpu: (f64, f64),
    memory: (f64, f64),
}

impl Candidate<'_> {
    /// What is reserved of the fuller of CPU and memory, without the task.
    pub(super) fn share(&self) -> f64 {
        let shares = self.shares(None);
        shares.cpu.0.max(shares.memory.0)
    }

    fn is_told(&self) -> bool {
        self.capacity.cpus > 0.0 && self.capacity.memory_bytes > 0
    }

    #[expect(clippy::cast_precision_loss, reason = "shares")]
    fn shares(&self, live: Option<Load>) -> Shares {
        if !self.is_told() {
            return Shares::default();
        }
        let (cpus, bytes) = (self.capacity.cpus, self.capacity.memory_bytes as f64);
        let reserved = &self.reserved.resources;
        let cpu = reserved.cpu_nanos as f64 / 1e9 + self.reserved.without_cpu as f64 * UNNAMED_CPUS;
        let memory =
            reserved.memory_bytes as f64 + self.reserved.without_memory as f64 * UNNAMED_MEMORY_BYTES;
        let needs_cpu =
            if self.needs.cpu_nanos == 0 { UNNAMED_CPUS } else { self.needs.cpu_nanos as f64 / 1e9 };
        let needs_memory = match self.needs.memory_bytes {
            0 => UNNAMED_MEMORY_BYTES,
            bytes => bytes as f64,
        };
        let cpu = (cpu / cpus).max(live.map_or(0.0, |live| live.cpu));
        let memory = (memory / bytes).max(live.map_or(0.0, |live| live.memory));
        Shares { cpu: (cpu, cpu + needs_cpu / cpus), memory: (memory, memory + needs_memory / bytes) }
    }
}

fn term(name: &str, value: f64) -> Term {
    Term { name: name.to_owned(), value: rounded(value) }
}

/// To six decimals: more is no reason.
pub(super) fn rounded(value: f64) -> f64 {
    (value * 1e6).round() / 1e6
}

/// The book's: the next worker in turn. Who is next is a matter of all workers; no worker is better than another.
#[derive(Debug)]
struct RoundRobin;

impl Scheduler for RoundRobin {
    fn name(&self) -> SchedulerName {
        SchedulerName::RoundRobin
    }

    fn score(&self, _: &Candidate<'_>) -> f64 {
        0.0
    }

    fn is_unknown(&self, _: &Candidate<'_>) -> bool {
        false
    }

    fn terms(&self, _: &Candidate<'_>) -> Vec<Term> {
        Vec::new()
    }
}

/// The least loaded: the fuller of CPU and memory counts, with the task.
#[derive(Debug)]
struct Greedy;

impl Scheduler for Greedy {
    fn name(&self) -> SchedulerName {
        SchedulerName::Greedy
    }

    fn score(&self, candidate: &Candidate<'_>) -> f64 {
        let shares = candidate.shares(candidate.live);
        shares.cpu.1.max(shares.memory.1)
    }

    fn is_unknown(&self, candidate: &Candidate<'_>) -> bool {
        !candidate.is_told() || candidate.live.is_none()
    }

    fn terms(&self, candidate: &Candidate<'_>) -> Vec<Term> {
        let shares = candidate.shares(candidate.live);
        vec![term("cpu", shares.cpu.1), term("memory", shares.memory.1)]
    }
}

/// The opportunity cost of Amir and others ("An opportunity cost approach for job assignment in a scalable computing
/// cluster", 2000): what a task adds to the sum of `BASE` to the power of each resource's share. A full worker is dear.
#[derive(Debug)]
struct Epvm;

/// The book's base, Lieb's square ice constant.
const BASE: f64 = 1.539_600_717_839_002;

/// From here on the cost grows in a straight line: powers of a share of thousands are no numbers any more.
const STRAIGHT_FROM: f64 = 8.0;

fn cost(share: f64) -> f64 {
    if share <= STRAIGHT_FROM {
        BASE.powf(share)
    } else {
        BASE.powf(STRAIGHT_FROM) * (1.0 + BASE.ln() * (share - STRAIGHT_FROM))
    }
}

fn added((before, after): (f64, f64)) -> f64 {
    cost(after) - cost(before)
}

impl Scheduler for Epvm {
    fn name(&self) -> SchedulerName {
        SchedulerName::Epvm
    }

    fn score(&self, candidate: &Candidate<'_>) -> f64 {
        let shares = candidate.shares(candidate.live);
        added(shares.cpu) + added(shares.memory)
    }

    fn is_unknown(&self, candidate: &Candidate<'_>) -> bool {
        !candidate.is_told() || candidate.live.is_none()
    }

    fn terms(&self, candidate: &Candidate<'_>) -> Vec<Term> {
        let shares = candidate.shares(candidate.live);
        vec![term("cpu", added(shares.cpu)), term("memory", added(shares.memory))]
    }
}

/// The fewest tasks.
#[derive(Debug)]
struct Spread;

impl Scheduler for Spread {
    fn name(&self) -> SchedulerName {
        SchedulerName::Spread
    }

    #[expect(clippy::cast_precision_loss, reason = "a count of tasks")]
    fn score(&self, candidate: &Candidate<'_>) -> f64 {
        candidate.reserved.tasks as f64
    }

    fn is_unknown(&self, _: &Candidate<'_>) -> bool {
        false
    }

    fn terms(&self, candidate: &Candidate<'_>) -> Vec<Term> {
        vec![term("tasks", self.score(candidate))]
    }
}

/// The fullest by what is reserved, so that others stay empty for what is big.
#[derive(Debug)]
struct Binpack;

impl Scheduler for Binpack {
    fn name(&self) -> SchedulerName {
        SchedulerName::Binpack
    }

    fn score(&self, candidate: &Candidate<'_>) -> f64 {
        let shares = candidate.shares(None);
        -shares.cpu.1.midpoint(shares.memory.1)
    }

    fn is_unknown(&self, candidate: &Candidate<'_>) -> bool {
        !candidate.is_told()
    }

    fn terms(&self, candidate: &Candidate<'_>) -> Vec<Term> {
        let shares = candidate.shares(None);
        vec![term("cpu", shares.cpu.1), term("memory", shares.memory.1)]
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    fn candidate(reserved: &Reserved, live: Option<(f64, f64)>) -> Candidate<'_> {
        Candidate {
            capacity: Capacity { cpus: 4.0, memory_bytes: 8 << 30, disk_bytes: 0 },
            reserved,
            live: live.map(|(cpu, memory)| Load::new(cpu, memory, Timestamp::UNIX_EPOCH)),
            needs: Resources { cpu_nanos: 1_000_000_000, memory_bytes: 1 << 30, disk_bytes: 0 },
        }
    }

    #[test]
    fn cpu_load_counts_for_epvm_as_memory_does() {
        let reserved = Reserved::default();
        let idle = Epvm.score(&candidate(&reserved, Some((0.0, 0.0))));
        let busy_cpu = Epvm.score(&candidate(&reserved, Some((0.9, 0.0))));
        let busy_memory = Epvm.score(&candidate(&reserved, Some((0.0, 0.9))));
        assert!(idle < busy_cpu && idle < busy_memory, "{idle} {busy_cpu} {busy_memory}");
    }

    #[test]
    fn reservations_count_before_they_are_used_and_load_that_nobody_reserved_counts_too() {
        let empty = Reserved::default();
        let mut promised = Reserved::default();
        promised.resources.cpu_nanos = 3_000_000_000;
        for scheduler in [by_name(SchedulerName::Epvm), by_name(SchedulerName::Greedy)] {
            let idle = scheduler.score(&candidate(&empty, Some((0.0, 0.0))));
            assert!(idle < scheduler.score(&candidate(&promised, Some((0.0, 0.0)))));
            let (both, live) =
                (candidate(&promised, Some((0.75, 0.0))), candidate(&empty, Some((0.75, 0.0))));
            assert!((scheduler.score(&both) - scheduler.score(&live)).abs() < 1e-12, "not twice");
        }
    }

    #[test]
    fn without_fresh_stats_a_worker_is_unknown_to_who_goes_by_them() {
        let reserved = Reserved::default();
        for name in SchedulerName::ALL {
            let needs_stats = matches!(name, SchedulerName::Epvm | SchedulerName::Greedy);
            assert_eq!(by_name(name).is_unknown(&candidate(&reserved, None)), needs_stats, "{name}");
            assert!(!by_name(name).is_unknown(&candidate(&reserved, Some((0.0, 0.0)))), "{name}");
        }
    }

    #[test]
    fn a_worker_of_a_million_unnamed_tasks_still_has_a_number() {
        let of = |tasks| {
            let mut reserved = Reserved::default();
            (reserved.tasks, reserved.without_cpu) = (tasks, tasks);
            reserved
        };
        let reserved = of(1_000_000);
        for name in SchedulerName::ALL {
            assert!(by_name(name).score(&candidate(&reserved, Some((1.0, 1.0)))).is_finite(), "{name}");
        }
        let fuller = of(1_000_001);
        let score = |reserved| Greedy.score(&candidate(reserved, Some((1.0, 1.0))));
        assert!(score(&reserved) < score(&fuller));
    }
}
