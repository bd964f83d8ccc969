//! What the cluster knows of a worker. Load samples are not here: they are not history (see `sample`).

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::task::WorkerId;

/// A worker as the manager sees it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct WorkerRecord {
    pub id: WorkerId,
    pub health: WorkerHealth,
    /// Why it is not ready, for people; empty when it is.
    pub reason: String,
    /// When `health` last changed.
    pub since: Timestamp,
    pub peer: Peer,
    /// What the host has; zeros until it said so.
    pub capacity: Capacity,
    /// Why its container engine can't be used; empty when it can.
    pub runtime_problem: String,
    /// Plain HTTP beyond loopback, by `--insecure-worker`.
    pub insecure: bool,
    /// Tasks that live there and are not in the store: `recover` takes them over.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub unknown_tasks: usize,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands out references")]
fn is_zero(number: &usize) -> bool {
    *number == 0
}

impl WorkerRecord {
    pub fn new(id: WorkerId, insecure: bool, now: Timestamp) -> Self {
        Self {
            id,
            health: WorkerHealth::Connecting,
            reason: String::new(),
            since: now,
            peer: Peer::Unknown,
            capacity: Capacity::default(),
            runtime_problem: String::new(),
            insecure,
            unknown_tasks: 0,
        }
    }

    /// Whether new work may go there.
    pub fn takes_work(&self) -> bool {
        self.health == WorkerHealth::Ready && self.runtime_problem.is_empty()
    }

    /// What somebody should know of a worker that is well.
    pub fn notice(&self) -> Option<String> {
        let (tasks, take) = match self.unknown_tasks {
            0 => return None,
            1 => ("1 running task here is".to_owned(), "takes it over"),
            count => (format!("{count} running tasks here are"), "takes them over"),
        };
        Some(format!("{tasks} not in the store; `cube-tui recover` {take}"))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum WorkerHealth {
    /// Never heard of since the manager's start.
    Connecting,
    Ready,
    /// Late: its tasks are shown as such, not as failed.
    Stale,
    /// Silent for so long that nobody counts on it.
    Lost,
}

impl WorkerHealth {
    pub fn name(self) -> &'static str {
        match self {
            Self::Connecting => "connecting",
            Self::Ready => "ready",
            Self::Stale => "stale",
            Self::Lost => "lost",
        }
    }
}

/// Which program answers there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Peer {
    Unknown,
    /// This program: streams its reports, takes work in batches, knows generations.
    Cube,
    /// A worker of the book: is polled, takes one event a POST.
    Book,
}

/// What a host has in all.
#[derive(Clone, Copy, Debug, PartialEq, Default, Serialize, Deserialize, ToSchema)]
pub struct Capacity {
    pub cpus: f64,
    pub memory_bytes: u64,
    pub disk_bytes: u64,
}
