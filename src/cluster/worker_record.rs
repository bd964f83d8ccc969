//! What the cluster knows of a worker. Load samples are not here: they are not history (see `sample`).

use std::borrow::Cow;
use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::Allows;
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
    /// What it tells of itself beside its capacity. The book's workers tell nothing.
    #[serde(default, skip_serializing_if = "Facts::is_empty")]
    pub facts: Facts,
    /// Whether somebody keeps new work away, or wants it empty.
    #[serde(default, skip_serializing_if = "Availability::is_active")]
    pub availability: Availability,
    /// Set for one that came by an invite: where it is, also after the manager's next start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub joined: Option<Joined>,
    /// What its own policy lets tasks do; `None` until it said so, and of a worker of the book.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allows: Option<Allows>,
}

/// A worker that has joined, and how it is known again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Joined {
    /// `host:port`, where it listens with TLS.
    pub address: String,
    /// What its certificate has to say.
    pub member: Uuid,
}

/// Labels that every worker of this program has without being told.
pub const OWN_LABELS: [&str; 5] = ["worker", "os", "arch", "platform", "engine"];

/// What a worker tells of itself, for constraints.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Facts {
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// As images name it: `linux`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub os: String,
    /// As images name it: `amd64`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub arch: String,
    /// The container engine's version; empty until it told.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub engine: String,
    /// The id in its data folder: the same over restarts and addresses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<Uuid>,
}

impl Facts {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Whether somebody keeps new work away from a worker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Availability {
    #[default]
    Active,
    /// Nothing new goes there; what runs there stays.
    Cordoned,
    /// Nothing new goes there, and what runs there is moved off.
    Draining { until: Option<Timestamp> },
    /// Nothing is left there, and nothing new goes there.
    Drained,
    /// The time for draining was over before everything was moved off. Nothing new goes there.
    DrainGaveUp,
}

impl Availability {
    fn is_active(&self) -> bool {
        *self == Self::Active
    }

    /// One word for panes and JSON; empty for one that takes work.
    pub fn name(self) -> &'static str {
        match self {
            Self::Active => "",
            Self::Cordoned => "cordoned",
            Self::Draining { .. } => "draining",
            Self::Drained => "drained",
            Self::DrainGaveUp => "drain gave up",
        }
    }
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
            joined: None,
            allows: None,
            facts: Facts::default(),
            availability: Availability::default(),
        }
    }

    /// The value of one of its labels: its own name and what it tells of its machine are labels too.
    pub fn label(&self, name: &str) -> Option<Cow<'_, str>> {
        let Facts { labels, os, arch, engine, identity: _ } = &self.facts;
        let told = |text: &'_ str| (!text.is_empty()).then(|| Cow::Owned(text.to_owned()));
        match name {
            "worker" => Some(Cow::Borrowed(self.id.as_str())),
            "os" => told(os),
            "arch" => told(arch),
            "engine" => told(engine),
            "platform" if os.is_empty() => None,
            "platform" => Some(Cow::Owned(format!("{os}/{arch}"))),
            name => labels.get(name).map(|value| Cow::Borrowed(&**value)),
        }
    }

    /// Whether new work may go there.
    pub fn takes_work(&self) -> bool {
        self.health == WorkerHealth::Ready
            && self.runtime_problem.is_empty()
            && self.availability == Availability::Active
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
