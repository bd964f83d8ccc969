//! Whether one worker can take one task, and the reason if not. Knows no ranking.

use std::fmt;

use humansize::{BINARY, format_size};

use crate::cluster::{Denied, Peer, WorkerHealth, WorkerRecord};
use crate::task::{TaskSpec, WorkerId};

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
    /// More CPUs than the host has: it never fits there.
    Cpu {
        needs: f64,
        has: f64,
    },
    /// More memory than the host has: it never fits there.
    Memory {
        needs_bytes: u64,
        has_bytes: u64,
    },
    /// The task is Exclusive, and the worker, one of the book's, knows no lease that would keep it from running twice.
    NoLease,
    /// The task names secrets, which don't go to such a worker.
    NoSecrets {
        why: &'static str,
    },
    /// The worker's own policy does not let tasks do what it asks for.
    NotAllowed {
        denied: Denied,
    },
    /// It was sent there before and could not be started: it is not tried there again before its next restart.
    Refused {
        why: String,
    },
    /// The worker has yet to answer for the work it was sent: for a moment, nothing more goes there.
    Busy,
}

impl Rejection {
    /// Whether waiting may help, without a change to task or worker.
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::NotReady { .. } | Self::RuntimeUnhealthy { .. } | Self::Busy => true,
            Self::Cpu { .. }
            | Self::Memory { .. }
            | Self::NoLease
            | Self::NoSecrets { .. }
            | Self::NotAllowed { .. }
            | Self::Refused { .. } => false,
        }
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotReady { health, reason } if reason.is_empty() => write!(f, "is {}", health.name()),
            Self::NotReady { health, reason } => write!(f, "is {} ({reason})", health.name()),
            Self::RuntimeUnhealthy { reason } => write!(f, "runtime unhealthy ({reason})"),
            Self::Cpu { needs, has } => write!(f, "has {has} CPUs, {needs} wanted"),
            Self::Memory { needs_bytes, has_bytes } => {
                write!(
                    f,
                    "has {} of memory, {} wanted",
                    format_size(*has_bytes, BINARY),
                    format_size(*needs_bytes, BINARY)
                )
            }
            Self::NoLease => {
                f.write_str("is one of the book's and can't keep an Exclusive task from running twice")
            }
            Self::NoSecrets { why } => write!(f, "is given no secrets ({why})"),
            Self::NotAllowed { denied: Denied { what, line } } => {
                write!(f, "does not allow {what} (`{line}` in its policy.toml does)")
            }
            Self::Refused { why } => write!(f, "could not start it ({why})"),
            Self::Busy => f.write_str("has yet to answer for earlier work"),
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

    /// Whether a worker that has not refused it takes part again or is given up within seconds: it is late, or yet to
    /// show itself.
    pub fn is_soon_decided(&self) -> bool {
        self.rejections.iter().any(|(_, rejection)| match rejection {
            Rejection::NotReady { health, .. } => match health {
                WorkerHealth::Connecting | WorkerHealth::Stale => true,
                WorkerHealth::Ready | WorkerHealth::Lost => false,
            },
            Rejection::Busy => true,
            Rejection::RuntimeUnhealthy { .. }
            | Rejection::Cpu { .. }
            | Rejection::Memory { .. }
            | Rejection::NoLease
            | Rejection::NoSecrets { .. }
            | Rejection::NotAllowed { .. }
            | Rejection::Refused { .. } => false,
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
        let never = self.rejections.iter().all(|(_, rejection)| !rejection.is_temporary());
        let kind = if never { NEVER_FITS } else { "waiting" };
        write!(f, "{kind}: {}", self.reasons())
    }
}

/// Whether `worker` can take a task like `spec`.
pub(super) fn check(spec: &TaskSpec, worker: &WorkerRecord) -> Result<(), Rejection> {
    if worker.health != WorkerHealth::Ready {
        return Err(Rejection::NotReady { health: worker.health, reason: worker.reason.clone() });
    }
    if !worker.runtime_problem.is_empty() {
        return Err(Rejection::RuntimeUnhealthy { reason: worker.runtime_problem.clone() });
    }
    if spec.exclusive && worker.peer == Peer::Book {
        return Err(Rejection::NoLease);
    }
    if !spec.secrets.is_empty() {
        if worker.peer == Peer::Book {
            return Err(Rejection::NoSecrets { why: "it is one of the book's" });
        }
        if worker.insecure {
            return Err(Rejection::NoSecrets { why: "it is reached without TLS: have it join" });
        }
    }
    // What it has not said is not held against it; the worker itself looks again.
    if let Some(Err(denied)) = worker.allows.map(|allows| allows.check(spec)) {
        return Err(Rejection::NotAllowed { denied });
    }
    let has = worker.capacity;
    // A worker that never said what it has (the book's don't) is not judged by it.
    if has.cpus > 0.0 && spec.cpu > has.cpus {
        return Err(Rejection::Cpu { needs: spec.cpu, has: has.cpus });
    }
    if has.memory_bytes > 0 && spec.memory_bytes > has.memory_bytes {
        return Err(Rejection::Memory { needs_bytes: spec.memory_bytes, has_bytes: has.memory_bytes });
    }
    Ok(())
}
