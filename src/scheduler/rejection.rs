//! Why a worker can't take a task, with the numbers. Checks nothing.

use std::fmt;

use humansize::{BINARY, format_size};

use crate::cluster::{Availability, Denied, WorkerHealth};
use crate::task::{TaskId, WorkerId};

/// What is asked of every worker, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Filter {
    Readiness,
    Runtime,
    Cordon,
    Lease,
    Policy,
    Secrets,
    Cpu,
    Memory,
    Disk,
    HostPorts,
    Constraints,
    Affinity,
    /// What became of it there before.
    History,
    /// Work that is under way.
    Busy,
    /// Room that is held back for a task that has waited long.
    HeldBack,
}

impl Filter {
    pub const ALL: [Self; 15] = [
        Self::Readiness,
        Self::Runtime,
        Self::Cordon,
        Self::Lease,
        Self::Policy,
        Self::Secrets,
        Self::Cpu,
        Self::Memory,
        Self::Disk,
        Self::HostPorts,
        Self::Constraints,
        Self::Affinity,
        Self::History,
        Self::Busy,
        Self::HeldBack,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Readiness => "readiness",
            Self::Runtime => "runtime",
            Self::Cordon => "cordon",
            Self::Lease => "lease",
            Self::Policy => "policy",
            Self::Secrets => "secrets",
            Self::Cpu => "cpu",
            Self::Memory => "memory",
            Self::Disk => "disk",
            Self::HostPorts => "host ports",
            Self::Constraints => "constraints",
            Self::Affinity => "affinity",
            Self::History => "history",
            Self::Busy => "busy",
            Self::HeldBack => "held back",
        }
    }
}

/// Why a worker can't take a task.
#[derive(Clone, Debug, PartialEq)]
pub enum Rejection {
    NotReady {
        health: WorkerHealth,
        reason: String,
    },
    RuntimeUnhealthy {
        reason: String,
    },
    /// Somebody keeps new work away from it.
    NotAvailable {
        availability: Availability,
    },
    /// More CPUs than may ever be promised there: it never fits.
    Cpu {
        needs: f64,
        has: f64,
    },
    /// More memory than may ever be promised there: it never fits.
    Memory {
        needs_bytes: u64,
        has_bytes: u64,
    },
    Disk {
        needs_bytes: u64,
        has_bytes: u64,
    },
    /// It fits, but not beside what is reserved there.
    CpuReserved {
        needs: f64,
        free: f64,
        has: f64,
    },
    MemoryReserved {
        needs_bytes: u64,
        free_bytes: u64,
        has_bytes: u64,
    },
    DiskReserved {
        needs_bytes: u64,
        free_bytes: u64,
        has_bytes: u64,
    },
    /// A task there has this port, `8080/tcp`.
    HostPort {
        port: String,
    },
    /// One of its labels is not as it is asked for.
    Constraint {
        wanted: String,
        /// The label and its value there; `None` if it has none.
        label: String,
        has: Option<String>,
    },
    /// No task with the label that it wants to be with.
    NotWith {
        pair: String,
    },
    /// A task lives there that it keeps away from, or that keeps it away.
    KeptApart {
        pair: String,
        by_it: bool,
    },
    /// The task is Exclusive, and the worker, one of the book's, knows no lease that would keep it from running twice.
    NoLease,
    /// The worker's own policy does not let tasks do what it asks for.
    NotAllowed {
        denied: Denied,
    },
    /// The task asks for more than a container of its own, which no worker of the book knows how to give.
    NotForTheBook {
        what: String,
    },
    /// The task names secrets, which don't go to such a worker.
    NoSecrets {
        why: &'static str,
    },
    /// It was sent there before and could not be started: it is not tried there again before its next restart.
    Refused {
        why: String,
    },
    /// The worker has yet to answer for the work it was sent: for a moment, nothing more goes there.
    Busy,
    /// Room there is kept for a task that waits for longer.
    HeldBack {
        task: TaskId,
    },
}

impl Rejection {
    /// Whether waiting may help, without a change to task or worker.
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::NotReady { .. }
            | Self::RuntimeUnhealthy { .. }
            | Self::NotAvailable { .. }
            | Self::Busy
            | Self::HeldBack { .. } => true,
            Self::Cpu { .. }
            | Self::Memory { .. }
            | Self::Disk { .. }
            | Self::Constraint { .. }
            | Self::NoLease
            | Self::NotAllowed { .. }
            | Self::NotForTheBook { .. }
            | Self::NoSecrets { .. }
            | Self::Refused { .. } => false,
            other => other.is_full(),
        }
    }

    /// Whether it goes away by itself when tasks there end or start.
    pub fn is_full(&self) -> bool {
        matches!(
            self,
            Self::CpuReserved { .. }
                | Self::MemoryReserved { .. }
                | Self::DiskReserved { .. }
                | Self::HostPort { .. }
                | Self::NotWith { .. }
                | Self::KeptApart { .. }
        )
    }

    /// Which filter says so.
    pub fn filter(&self) -> Filter {
        match self {
            Self::NotReady { .. } => Filter::Readiness,
            Self::RuntimeUnhealthy { .. } => Filter::Runtime,
            Self::NotAvailable { .. } => Filter::Cordon,
            Self::Cpu { .. } | Self::CpuReserved { .. } => Filter::Cpu,
            Self::Memory { .. } | Self::MemoryReserved { .. } => Filter::Memory,
            Self::Disk { .. } | Self::DiskReserved { .. } => Filter::Disk,
            Self::HostPort { .. } => Filter::HostPorts,
            Self::Constraint { .. } => Filter::Constraints,
            Self::NotWith { .. } | Self::KeptApart { .. } => Filter::Affinity,
            Self::NoLease => Filter::Lease,
            Self::NotAllowed { .. } | Self::NotForTheBook { .. } => Filter::Policy,
            Self::NoSecrets { .. } => Filter::Secrets,
            Self::Refused { .. } => Filter::History,
            Self::Busy => Filter::Busy,
            Self::HeldBack { .. } => Filter::HeldBack,
        }
    }

    /// The same in a word or two, for a table.
    pub fn in_short(&self) -> String {
        match self {
            Self::NotReady { health, .. } => health.name().to_owned(),
            Self::RuntimeUnhealthy { .. } => "unhealthy".to_owned(),
            Self::NotAvailable { availability } => availability.name().to_owned(),
            Self::Cpu { has, .. } => format!("has {has}"),
            Self::Memory { has_bytes, .. } | Self::Disk { has_bytes, .. } => {
                format!("has {}", size(*has_bytes))
            }
            Self::CpuReserved { free, .. } => format!("{} free", cpus(*free)),
            Self::MemoryReserved { free_bytes, .. } | Self::DiskReserved { free_bytes, .. } => {
                format!("{} free", size(*free_bytes))
            }
            Self::HostPort { port } => format!("{port} taken"),
            Self::Constraint { label, has: Some(has), .. } => format!("{label}={has}"),
            Self::Constraint { label, has: None, .. } => format!("no {label}"),
            Self::NotWith { pair } => format!("no {pair}"),
            Self::KeptApart { pair, .. } => pair.clone(),
            Self::NoLease => "no lease".to_owned(),
            Self::NotAllowed { .. } => "not allowed".to_owned(),
            Self::NotForTheBook { .. } => "can't".to_owned(),
            Self::NoSecrets { .. } => "none given".to_owned(),
            Self::Refused { .. } => "refused".to_owned(),
            Self::Busy => "busy".to_owned(),
            Self::HeldBack { task } => format!("for {}", task.short()),
        }
    }

    /// What is lacking, as a share of what there is: of two workers the one that lacks less is nearer to taking a task.
    #[expect(clippy::cast_precision_loss, reason = "shares are compared")]
    pub(super) fn shortfall(&self) -> f64 {
        let bytes = |needs: u64, free: u64, has: u64| needs.saturating_sub(free) as f64 / has.max(1) as f64;
        match self {
            Self::Cpu { needs, has } => (needs - has) / has,
            Self::CpuReserved { needs, free, has } => (needs - free) / has,
            Self::Memory { needs_bytes, has_bytes } | Self::Disk { needs_bytes, has_bytes } => {
                bytes(*needs_bytes, *has_bytes, *has_bytes)
            }
            Self::MemoryReserved { needs_bytes, free_bytes, has_bytes }
            | Self::DiskReserved { needs_bytes, free_bytes, has_bytes } => {
                bytes(*needs_bytes, *free_bytes, *has_bytes)
            }
            _ => 0.0,
        }
    }

    /// What would make it go away.
    pub fn remedy(&self, worker: &WorkerId) -> String {
        match self {
            Self::NotReady { .. } => format!("bring {worker} back"),
            Self::RuntimeUnhealthy { .. } => format!("mend the engine of {worker}"),
            Self::NotAvailable { .. } => format!("cube-tui uncordon {worker}"),
            Self::Cpu { has, .. } => format!("ask for at most {} (for {worker})", in_cpus(*has)),
            Self::Memory { has_bytes, .. } => {
                format!("ask for at most {} of memory (for {worker})", size(*has_bytes))
            }
            Self::Disk { has_bytes, .. } => {
                format!("ask for at most {} of disk (for {worker})", size(*has_bytes))
            }
            Self::CpuReserved { needs, free, .. } => {
                let less = if *free > 0.0 {
                    format!(" (or ask for {} at most)", cpus(*free))
                } else {
                    String::new()
                };
                format!("free {} on {worker}{less}", in_cpus(needs - free))
            }
            Self::MemoryReserved { needs_bytes, free_bytes, .. } => {
                let free = size(*free_bytes);
                let less =
                    if *free_bytes > 0 { format!(" (or ask for {free} at most)") } else { String::new() };
                format!("free {} of memory on {worker}{less}", size(needs_bytes.saturating_sub(*free_bytes)))
            }
            Self::DiskReserved { needs_bytes, free_bytes, .. } => {
                format!("free {} of disk on {worker}", size(needs_bytes.saturating_sub(*free_bytes)))
            }
            Self::HostPort { port } => {
                format!("stop the task that has port {port} on {worker}, or ask for another port")
            }
            Self::Constraint { wanted, .. } => {
                format!("label {worker} so that {wanted} holds, or drop that constraint")
            }
            Self::NotWith { pair } => format!("start a task with {pair} on {worker}"),
            Self::KeptApart { pair, by_it: true } => format!("stop the task with {pair} on {worker}"),
            Self::KeptApart { pair, by_it: false } => {
                format!("stop the task on {worker} that keeps {pair} away")
            }
            Self::NoLease => "leave Exclusive out".to_owned(),
            Self::NotAllowed { denied } => format!("write {} in the policy.toml of {worker}", denied.lines),
            Self::NotForTheBook { .. } => format!("run `cube-tui worker` in the place of {worker}"),
            Self::NoSecrets { .. } => format!("have {worker} join by `cube-tui invite`"),
            Self::Refused { .. } => format!("mend why {worker} could not start it, and submit it again"),
            Self::Busy => format!("wait until {worker} has answered"),
            Self::HeldBack { task } => format!("wait until task {} has started", task.short()),
        }
    }
}

fn size(bytes: u64) -> String {
    format_size(bytes, BINARY)
}

/// Without the noise of binary fractions.
pub(super) fn cpus(cpus: f64) -> f64 {
    (cpus * 1e6).round() / 1e6
}

/// `1 CPU`, `0.5 CPUs`.
pub fn in_cpus(amount: f64) -> String {
    let amount = cpus(amount).to_string();
    if amount == "1" { "1 CPU".to_owned() } else { format!("{amount} CPUs") }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let amount = |f: &mut fmt::Formatter<'_>, free: &u64, has: &u64, what: &str, needs: &u64| {
            write!(f, "has {} of {} {what} free, {} wanted", size(*free), size(*has), size(*needs))
        };
        match self {
            Self::NotReady { health, reason } if reason.is_empty() => write!(f, "is {}", health.name()),
            Self::NotReady { health, reason } => write!(f, "is {} ({reason})", health.name()),
            Self::RuntimeUnhealthy { reason } => write!(f, "runtime unhealthy ({reason})"),
            Self::NotAvailable { availability: Availability::DrainGaveUp } => {
                f.write_str("is cordoned (its drain gave up)")
            }
            Self::NotAvailable { availability } => write!(f, "is {}", availability.name()),
            Self::Cpu { needs, has } => write!(f, "has {}, {needs} wanted", in_cpus(*has)),
            Self::Memory { needs_bytes, has_bytes } => {
                write!(f, "has {} of memory, {} wanted", size(*has_bytes), size(*needs_bytes))
            }
            Self::Disk { needs_bytes, has_bytes } => {
                write!(f, "has {} of disk, {} wanted", size(*has_bytes), size(*needs_bytes))
            }
            Self::CpuReserved { needs, free, has } => {
                write!(f, "has {} of {} free, {needs} wanted", cpus(*free), in_cpus(*has))
            }
            Self::MemoryReserved { needs_bytes, free_bytes, has_bytes } => {
                amount(f, free_bytes, has_bytes, "memory", needs_bytes)
            }
            Self::DiskReserved { needs_bytes, free_bytes, has_bytes } => {
                amount(f, free_bytes, has_bytes, "disk", needs_bytes)
            }
            Self::HostPort { port } => write!(f, "has port {port} taken"),
            Self::Constraint { wanted, label, has: Some(has) } => {
                write!(f, "has {label}={has}, {wanted} wanted")
            }
            Self::Constraint { wanted, label, has: None } => {
                write!(f, "has no label {label}, {wanted} wanted")
            }
            Self::NotWith { pair } => write!(f, "has no task with {pair}"),
            Self::KeptApart { pair, by_it: true } => write!(f, "has a task with {pair}"),
            Self::KeptApart { pair, by_it: false } => write!(f, "has a task that keeps {pair} away"),
            Self::NoLease => {
                f.write_str("is one of the book's and can't keep an Exclusive task from running twice")
            }
            Self::NotAllowed { denied: Denied { what, lines } } => {
                write!(f, "does not allow {what} ({lines} in its policy.toml would)")
            }
            Self::NotForTheBook { what } => write!(f, "is one of the book's and can't give it {what}"),
            Self::NoSecrets { why } => write!(f, "is given no secrets ({why})"),
            Self::Refused { why } => write!(f, "could not start it ({why})"),
            Self::Busy => f.write_str("has yet to answer for earlier work"),
            Self::HeldBack { task } => {
                write!(f, "keeps its room for task {}, which waits for longer", task.short())
            }
        }
    }
}

/// How a reason begins of a task that no worker can ever take as it is, and no worker is merely away.
pub const NEVER_FITS: &str = "never fits";

/// No worker can take a task: each one's reason.
#[derive(Clone, Debug, PartialEq)]
pub struct NoWorker {
    pub rejections: Vec<(WorkerId, Rejection)>,
}

impl NoWorker {
    /// Whether some worker is only busy, so that the next answer from it makes room.
    pub fn is_only_busy(&self) -> bool {
        self.rejections.iter().any(|(_, rejection)| *rejection == Rejection::Busy)
    }

    /// Whether no worker will ever take it as it is.
    pub fn is_never(&self) -> bool {
        self.rejections.iter().all(|(_, rejection)| !rejection.is_temporary())
    }

    /// Whether it only lacks room somewhere.
    pub fn is_full(&self) -> bool {
        self.rejections.iter().any(|(_, rejection)| rejection.is_full())
    }

    /// Whether a worker that has not refused it takes part again or is given up within seconds (it is late, or yet to
    /// show itself), or will have room.
    pub fn may_yet(&self) -> bool {
        self.rejections.iter().any(|(_, rejection)| match rejection {
            Rejection::NotReady { health, .. } => match health {
                WorkerHealth::Connecting | WorkerHealth::Stale => true,
                WorkerHealth::Ready | WorkerHealth::Lost => false,
            },
            Rejection::Busy | Rejection::HeldBack { .. } => true,
            other => other.is_full(),
        })
    }

    /// Each worker's reason, those first that were tried.
    pub fn tried_first(mut self) -> String {
        self.rejections.sort_by_key(|(_, rejection)| !matches!(rejection, Rejection::Refused { .. }));
        self.reasons()
    }

    /// Each worker's reason, without `worker`, whose task it is.
    pub fn other_than(mut self, worker: &WorkerId) -> String {
        self.rejections.retain(|(id, _)| id != worker);
        if self.rejections.is_empty() { "there is none".to_owned() } else { self.reasons() }
    }

    /// The reasons in a row, the first few in words.
    fn reasons(&self) -> String {
        /// More than this reads badly in a list; the rest is counted.
        const SHOWN: usize = 3;
        let shown = self.rejections.iter().take(SHOWN);
        let mut reasons: Vec<String> =
            shown.map(|(worker, rejection)| format!("{worker} {rejection}")).collect();
        let more = self.rejections.len().saturating_sub(SHOWN);
        if more > 0 {
            reasons.push(format!("and {more} more"));
        }
        reasons.join("; ")
    }
}

impl fmt::Display for NoWorker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.rejections.is_empty() {
            return f.write_str("no worker yet; add one with --worker HOST:PORT");
        }
        let kind = if self.is_never() { NEVER_FITS } else { "waiting" };
        write!(f, "{kind}: {}", self.reasons())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_a_cpu_and_any_other_number_of_them_are_cpus() {
        for (amount, words) in [(1.0, "1 CPU"), (0.1 + 0.9, "1 CPU"), (0.5, "0.5 CPUs"), (2.0, "2 CPUs")] {
            assert_eq!(in_cpus(amount), words);
        }
        let one = Rejection::Cpu { needs: 2.0, has: 1.0 };
        assert_eq!(one.to_string(), "has 1 CPU, 2 wanted");
        assert_eq!(one.remedy(&"b".into()), "ask for at most 1 CPU (for b)");
        let full = Rejection::CpuReserved { needs: 1.0, free: 0.0, has: 1.0 };
        assert_eq!(full.to_string(), "has 0 of 1 CPU free, 1 wanted");
        assert_eq!(full.remedy(&"b".into()), "free 1 CPU on b");
    }
}
