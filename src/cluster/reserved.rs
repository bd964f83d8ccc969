//! What the living tasks of each worker take there: kept by the fold, a few sums a Change. Decides nothing.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Capacity, Cluster, Overcommit};
use crate::task::{Constraint, TaskId, TaskSpec, WorkerId};

/// Amounts that add up exactly and come off exactly.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema,
)]
pub struct Resources {
    /// Billionths of a CPU: floats would not come back to zero.
    pub cpu_nanos: u64,
    pub memory_bytes: u64,
    pub disk_bytes: u64,
}

impl Resources {
    pub fn of(spec: &TaskSpec) -> Self {
        Self { cpu_nanos: nanos(spec.cpu), memory_bytes: spec.memory_bytes, disk_bytes: spec.disk_bytes }
    }

    /// What may be promised of `capacity`; zeros stay zeros, which mean "not told".
    pub fn promised(capacity: Capacity, overcommit: Overcommit) -> Self {
        Self {
            cpu_nanos: nanos(capacity.cpus * overcommit.cpu),
            memory_bytes: times(capacity.memory_bytes, overcommit.memory),
            disk_bytes: times(capacity.disk_bytes, overcommit.disk),
        }
    }

    fn add(&mut self, other: Self) {
        self.cpu_nanos = self.cpu_nanos.saturating_add(other.cpu_nanos);
        self.memory_bytes = self.memory_bytes.saturating_add(other.memory_bytes);
        self.disk_bytes = self.disk_bytes.saturating_add(other.disk_bytes);
    }

    fn subtract(&mut self, other: Self) {
        self.cpu_nanos = self.cpu_nanos.saturating_sub(other.cpu_nanos);
        self.memory_bytes = self.memory_bytes.saturating_sub(other.memory_bytes);
        self.disk_bytes = self.disk_bytes.saturating_sub(other.disk_bytes);
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "saturates, and neither is negative"
)]
fn nanos(cpus: f64) -> u64 {
    (cpus * 1e9).round() as u64
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "saturates; beyond 2^53 bytes a byte more or less is none"
)]
fn times(bytes: u64, factor: f64) -> u64 {
    if (factor - 1.0).abs() > f64::EPSILON { (bytes as f64 * factor) as u64 } else { bytes }
}

/// What the living tasks of one worker take: those that were sent there and have not ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reserved {
    pub resources: Resources,
    pub tasks: usize,
    /// How many of them name no CPU, and no memory: they use some all the same.
    pub without_cpu: usize,
    pub without_memory: usize,
    /// `8080/tcp` → how many have it.
    host_ports: BTreeMap<String, usize>,
    /// `app=web` → how many have this label; and each one's labels all together, if they are several.
    labels: BTreeMap<String, usize>,
    /// `app=web` → how many keep tasks with this label away.
    repelled: BTreeMap<String, usize>,
}

impl Reserved {
    pub fn has_port(&self, port: &str) -> bool {
        self.host_ports.contains_key(port)
    }

    /// How many have this label, `app=web`; or exactly these labels, as [`label_set`] has them.
    pub fn with_label(&self, pair: &str) -> usize {
        self.labels.get(pair).copied().unwrap_or(0)
    }

    /// Whether some task here keeps those with this label away.
    pub fn repels(&self, pair: &str) -> bool {
        self.repelled.contains_key(pair)
    }

    /// A living task with this spec comes, or goes.
    pub fn count(&mut self, spec: &TaskSpec, comes: bool) {
        if comes {
            self.add(spec);
        } else {
            self.remove(spec);
        }
    }

    fn add(&mut self, spec: &TaskSpec) {
        self.resources.add(Resources::of(spec));
        self.tasks += 1;
        self.without_cpu += usize::from(spec.cpu <= 0.0);
        self.without_memory += usize::from(spec.memory_bytes == 0);
        names(spec, |kind, name| *self.map(kind).entry(name).or_default() += 1);
    }

    fn remove(&mut self, spec: &TaskSpec) {
        self.resources.subtract(Resources::of(spec));
        self.tasks = self.tasks.saturating_sub(1);
        self.without_cpu = self.without_cpu.saturating_sub(usize::from(spec.cpu <= 0.0));
        self.without_memory = self.without_memory.saturating_sub(usize::from(spec.memory_bytes == 0));
        names(spec, |kind, name| {
            let map = self.map(kind);
            let left = map.get(&name).map_or(0, |count| count - 1);
            if left == 0 {
                map.remove(&name);
            } else {
                map.insert(name, left);
            }
        });
    }

    fn map(&mut self, kind: Kind) -> &mut BTreeMap<String, usize> {
        match kind {
            Kind::Port => &mut self.host_ports,
            Kind::Label => &mut self.labels,
            Kind::Repelled => &mut self.repelled,
        }
    }
}

#[derive(Clone, Copy)]
enum Kind {
    Port,
    Label,
    Repelled,
}

/// What of a task is counted by its name.
fn names(spec: &TaskSpec, mut each: impl FnMut(Kind, String)) {
    spec.fixed_host_ports().for_each(|port| each(Kind::Port, port));
    for (label, value) in &spec.labels {
        each(Kind::Label, format!("{label}={value}"));
    }
    if spec.labels.len() > 1 {
        each(Kind::Label, label_set(spec));
    }
    for constraint in &spec.constraints {
        if let Constraint::Without(pair) = constraint {
            each(Kind::Repelled, pair.to_string());
        }
    }
}

/// All labels of a task in one word: those with the same are spread over the workers.
pub fn label_set(spec: &TaskSpec) -> String {
    let pairs: Vec<String> = spec.labels.iter().map(|(label, value)| format!("{label}={value}")).collect();
    pairs.join("\n")
}

impl Cluster {
    /// What the living tasks of the worker at this place in [`Self::workers`] take there.
    pub fn reserved_at(&self, place: usize) -> Option<&Reserved> {
        self.reserved.get(place)
    }

    pub fn reserved(&self, worker: &WorkerId) -> Option<&Reserved> {
        self.reserved_at(self.place_of(worker)?)
    }

    /// Counts a task that has come to its worker, or is about to leave it; an ended one takes nothing.
    pub(super) fn count_there(&mut self, task: TaskId, comes: bool) {
        let Some(row) = self.task_db.get(task).filter(|row| !row.state().has_ended()) else { return };
        let Some(seat) = row.worker else { return };
        if let Some(&place) = self.worker_index.get(self.worker_task_map.name(seat)) {
            self.reserved[place].count(row.spec(), comes);
        }
    }

    /// The same as is kept, from scratch.
    pub fn count_reserved(&self, worker: &WorkerId) -> Reserved {
        let mut reserved = Reserved::default();
        for row in self.tasks_of(worker).filter_map(|task| self.row(task)) {
            if !row.state().has_ended() {
                reserved.add(row.spec());
            }
        }
        reserved
    }
}
