//! How a Change is told in one line: glyph, verb, whom it is about, and the rest. Knows no screen.

use crate::cluster::{Availability, Change, What, WorkerHealth};
use crate::scheduler::in_cpus;
use crate::task::{State, TaskStatus, Verdict};

use super::format::{bytes, count};
use super::theme::{Face, Tone};

/// A Change in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) glyph: char,
    pub(super) tone: Tone,
    pub(super) verb: &'static str,
    pub(super) rest: String,
}

/// Tells a Change.
pub(super) fn tell(change: &Change) -> Told {
    let told = |face: Face, verb, rest| Told { glyph: face.glyph(), tone: face.tone(), verb, rest };
    match &change.what {
        What::Submitted { task, .. } => {
            told(Face::Pending, "submitted", format!("{} by {}", task.spec.image, change.cause.words()))
        }
        What::Scheduled { worker, generation, .. } => {
            let again = if *generation == 0 { String::new() } else { format!(", generation {generation}") };
            told(Face::Scheduled, "scheduled", format!("-> {worker}{again}"))
        }
        What::Returned { reason, .. } => {
            Told { glyph: '!', tone: Tone::Warn, verb: "returned", rest: reason.clone() }
        }
        What::Moved { reason, .. } => {
            Told { glyph: '→', tone: Tone::Warn, verb: "moved", rest: reason.clone() }
        }
        What::Refused { reason, .. } => {
            Told { glyph: '→', tone: Tone::Warn, verb: "refused", rest: reason.clone() }
        }
        What::Waiting { reason, .. } => told(Face::Pending, "waiting", reason.clone()),
        What::StopRequested { .. } => {
            told(Face::Stopping, "stop asked", format!("by {}", change.cause.words()))
        }
        What::RestartRequested { .. } => {
            told(Face::Stopping, "restart asked", format!("by {}", change.cause.words()))
        }
        What::Preempted { reason, .. } => told(Face::Stopping, "preempted", reason.clone()),
        What::Observed { status, .. } => {
            let verb = match status.state {
                State::Pending => "pending",
                State::Scheduled => "accepted",
                State::Running => "running",
                State::Completed => "completed",
                State::Failed => "failed",
            };
            told(status.state.into(), verb, observed(status))
        }
        What::Ended { state, reason, .. } => {
            let verb = if *state == State::Completed { "completed" } else { "failed" };
            told((*state).into(), verb, reason.clone())
        }
        What::Restarting { reason, .. } => {
            Told { glyph: '↻', tone: Tone::Warn, verb: "restarting", rest: reason.clone() }
        }
        What::Adopted { worker, .. } => {
            told(Face::Running, "taken over", format!("from {worker}: it was not in the store"))
        }
        What::Collected { tasks } => Told {
            glyph: '·',
            tone: Tone::Dim,
            verb: "collected",
            rest: format!("{} that ended first", count(tasks.len(), "task")),
        },
        What::Settings { settings } => Told {
            glyph: '·',
            tone: Tone::Plain,
            verb: "scheduler",
            rest: format!("{}, overcommit {}", settings.scheduler, settings.overcommit),
        },
        What::Forgotten { .. } => Told {
            glyph: '·',
            tone: Tone::Dim,
            verb: "forgotten",
            rest: format!("by {}", change.cause.words()),
        },
        What::Worker { worker } if !worker.runtime_problem.is_empty() => Told {
            glyph: '!',
            tone: Tone::Bad,
            verb: "no engine",
            rest: format!("runtime unhealthy: {}", worker.runtime_problem),
        },
        What::Worker { worker } => {
            let (glyph, tone, verb) = match worker.health {
                WorkerHealth::Ready if worker.availability != Availability::Active => {
                    ('⊘', Tone::Warn, worker.availability.name())
                }
                WorkerHealth::Connecting => ('◔', Tone::Busy, "connecting"),
                WorkerHealth::Ready => ('✓', Tone::Good, "ready"),
                WorkerHealth::Stale => ('?', Tone::Warn, "stale"),
                WorkerHealth::Lost => ('✗', Tone::Bad, "lost"),
            };
            let capacity = worker.capacity;
            let rest = if let Some(notice) = worker.notice() {
                notice
            } else if worker.reason.is_empty() && capacity.memory_bytes > 0 {
                format!("{}, {} memory", in_cpus(capacity.cpus), bytes(capacity.memory_bytes))
            } else {
                worker.reason.clone()
            };
            Told { glyph, tone, verb, rest }
        }
    }
}

/// What a report adds to the state: ports and container of what runs, code and reason of what ended.
fn observed(status: &TaskStatus) -> String {
    let mut parts = Vec::new();
    match status.exit_code {
        // A reason names the code.
        Some(code) if status.reason.is_empty() => parts.push(format!("exit {code}")),
        _ => {}
    }
    if !status.reason.is_empty() {
        parts.push(status.reason.clone());
    }
    if !status.state.has_ended() {
        // An unhealthy one has a reason that says so.
        if let Some(health) = status.health.as_deref().filter(|health| health.verdict != Verdict::Unhealthy) {
            parts.push(health.verdict.name().to_owned());
        }
        if !status.container_id.is_empty() {
            parts.push(format!("container {}", short_container(&status.container_id)));
        }
        if !status.host_ports.is_empty() {
            parts.push(ports(status));
        }
    }
    parts.join(", ")
}

/// The first twelve characters, as the engine's own lists show it.
pub(super) fn short_container(id: &str) -> &str {
    id.char_indices().nth(12).map_or(id, |(at, _)| &id[..at])
}

/// Published ports: `8080→80 53→53/udp`.
pub(super) fn ports(status: &TaskStatus) -> String {
    let mut text = Vec::new();
    for (container, hosts) in &status.host_ports {
        let container = container.strip_suffix("/tcp").unwrap_or(container);
        // The same port on IPv4 and IPv6 is told once.
        let mut published: Vec<_> = hosts.iter().map(|host| host.host_port.as_str()).collect();
        published.dedup();
        text.extend(published.into_iter().map(|port| format!("{port}→{container}")));
    }
    text.join(" ")
}
