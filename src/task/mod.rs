//! Task, TaskEvent and State: the book's nouns, their JSON and their files. Knows no IO.

mod check;
mod constraint;
mod contradiction;
mod fields;
mod file;
mod flat;
mod health;
mod id;
mod mount;
mod privileges;
mod schema;
mod secret;
mod spec;
mod state;
mod stats;
mod wire;

use std::{collections::BTreeMap, sync::Arc};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub use check::is_unprintable;
pub use constraint::{Comparison, Constraint, Pair, Test};
pub use fields::FieldError;
pub use file::{TaskFileError, parse_task_file};
pub use health::{Health, HealthCheck, Probe, Verdict};
pub use id::{EventId, TaskId, WorkerId};
pub use mount::{Mount, MountSource, is_plain_path};
pub use privileges::{Capability, Device, Privileges};
pub use secret::{
    LARGEST_SECRET, MOST_SECRETS, SecretForm, SecretName, SecretOnWire, SecretUse, SecretValue,
};
pub use spec::{NetworkMode, PullPolicy, RestartPolicy, TaskSpec, port_list, port_name};
pub use state::State;
pub use stats::{CpuStats, DiskStats, LoadStats, MemStats, Node, Stats};
pub use wire::{BookTaskEvent, ErrorBody, OwnTaskEvent, WireError, parse_task_event, parse_tasks};

/// A task: what was asked for and how it stands. JSON: the book's flat Task (`wire`).
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Task {
    pub id: TaskId,
    pub spec: Arc<TaskSpec>,
    pub status: TaskStatus,
}

/// How a task stands: the part that workers report.
///
/// Its own JSON (in Changes, under /v1) leaves out what is unset.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct TaskStatus {
    pub state: State,
    /// Counts the starts asked for: 0 the first, one more for each restart or move. An older
    /// generation's report never overwrites a newer one's.
    #[serde(skip_serializing_if = "is_zero")]
    pub generation: u32,
    /// Restarts after an end of its own; what `on-failure:N` counts.
    #[serde(skip_serializing_if = "is_zero")]
    pub restart_count: u32,
    /// Empty until there is one.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub container_id: String,
    /// Container port (`80/tcp`) → where the host publishes it.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub host_ports: BTreeMap<String, Vec<HostPort>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_time: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finish_time: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i64>,
    /// Why it is in this state, for people; empty where the state says it all.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// It ended through no doing of its own and is still wanted: it is started again whatever its restart policy says,
    /// and not counted as a restart.
    #[serde(skip_serializing_if = "is_false")]
    pub is_interrupted: bool,
    /// It failed before anything of this generation ran: its worker could not start it, and another one may try.
    #[serde(skip_serializing_if = "is_false")]
    pub never_ran: bool,
    /// What its health check shows, while it runs and has one. Boxed, for most tasks have none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health: Option<Box<Health>>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands out references")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands out references")]
fn is_false(flag: &bool) -> bool {
    !flag
}

/// One published port, in the engine's words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct HostPort {
    pub host_ip: String,
    pub host_port: String,
}

/// A wish about a task: `state` is the one wanted (Running to start it, Completed to stop it).
#[derive(Clone, Debug, PartialEq)]
pub struct TaskEvent {
    pub id: EventId,
    pub state: State,
    pub timestamp: Timestamp,
    pub task: Task,
}

impl TaskEvent {
    /// The wish to run `task`, asked for at `now`.
    pub fn start(task: Task, now: Timestamp) -> Self {
        Self { id: EventId::random(), state: State::Running, timestamp: now, task }
    }

    /// Whether this asks for a stop, as the book's peers have it: the state wanted is an end.
    pub fn is_stop(&self) -> bool {
        self.state.has_ended()
    }

    /// A new id wherever there is none (or the nil one, which peers send for none).
    pub fn give_missing_ids(&mut self) {
        if self.id.is_nil() {
            self.id = EventId::random();
        }
        if self.task.id.is_nil() {
            self.task.id = TaskId::random();
        }
    }
}
