//! The JSON that the book's peers speak: exact names, every one of its oddities. Knows no HTTP.

use std::{collections::BTreeMap, sync::Arc};

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use serde_json::{Map, Value};

use super::{
    EventId, HostPort, NetworkMode, PullPolicy, State, Task, TaskEvent, TaskId, TaskSpec, TaskStatus,
};

/// What a body is not.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct WireError(pub String);

/// Reads a TaskEvent as the book's peers send it.
pub fn parse_task_event(body: &[u8]) -> Result<TaskEvent, WireError> {
    serde_json::from_slice(body).map_err(|error| WireError(error.to_string()))
}

/// Go's zero time: "none".
const ZERO_TIME: &str = "0001-01-01T00:00:00Z";

/// The flat Task, in the order in which the book's peers print it; then ours, left out when unset.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct FlatTask {
    #[serde(rename = "ID", default)]
    id: TaskId,
    #[serde(rename = "ContainerID", default)]
    container_id: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    state: State,
    #[serde(default)]
    image: String,
    #[serde(default)]
    cpu: f64,
    #[serde(default)]
    memory: u64,
    #[serde(default)]
    disk: u64,
    #[serde(default)]
    exposed_ports: Option<BTreeMap<String, Map<String, Value>>>,
    #[serde(default)]
    host_ports: Option<BTreeMap<String, Vec<HostPort>>>,
    #[serde(default)]
    port_bindings: Option<BTreeMap<String, String>>,
    #[serde(default)]
    restart_policy: String,
    #[serde(default, with = "zero_time")]
    start_time: Option<Timestamp>,
    #[serde(default, with = "zero_time")]
    finish_time: Option<Timestamp>,
    #[serde(default)]
    health_check: String,
    #[serde(default)]
    restart_count: u32,

    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    cmd: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    entrypoint: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    env: Vec<String>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pull_policy: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    network_mode: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    mounts: Vec<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    labels: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stop_timeout: Option<u32>,
    #[serde(default, skip_serializing_if = "is_default")]
    exclusive: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    constraints: Vec<String>,
    #[serde(default, skip_serializing_if = "is_default")]
    priority: i32,
    #[serde(default, skip_serializing_if = "is_default")]
    generation: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    exit_code: Option<i64>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    reason: String,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// The book's TaskEvent.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct FlatTaskEvent {
    #[serde(rename = "ID", default)]
    id: EventId,
    #[serde(default)]
    state: State,
    #[serde(default, with = "zero_time")]
    timestamp: Option<Timestamp>,
    #[serde(default)]
    task: Task,
}

impl From<&Task> for FlatTask {
    fn from(task: &Task) -> Self {
        let spec = &*task.spec;
        let status = &task.status;
        let ports = |ports: &Vec<String>| ports.iter().map(|port| (port.clone(), Map::new())).collect();
        let word = |is_default: bool, word: &str| if is_default { String::new() } else { word.to_owned() };
        Self {
            id: task.id,
            container_id: status.container_id.clone(),
            name: spec.name.clone(),
            state: status.state,
            image: spec.image.clone(),
            cpu: spec.cpu,
            memory: spec.memory_bytes,
            disk: spec.disk_bytes,
            exposed_ports: spec.exposed_ports.as_ref().map(ports),
            host_ports: (!status.host_ports.is_empty()).then(|| status.host_ports.clone()),
            port_bindings: spec.port_bindings.clone(),
            restart_policy: spec.restart_policy.to_string(),
            start_time: status.start_time,
            finish_time: status.finish_time,
            health_check: spec.health_check.clone(),
            restart_count: status.restart_count,
            cmd: spec.cmd.clone(),
            entrypoint: spec.entrypoint.clone(),
            env: spec.env.clone(),
            pull_policy: word(spec.pull_policy == PullPolicy::default(), spec.pull_policy.name()),
            network_mode: word(spec.network_mode == NetworkMode::default(), spec.network_mode.name()),
            mounts: spec.mounts.clone(),
            labels: spec.labels.clone(),
            stop_timeout: spec.stop_timeout_s,
            exclusive: spec.exclusive,
            constraints: spec.constraints.clone(),
            priority: spec.priority,
            generation: status.generation,
            exit_code: status.exit_code,
            reason: status.reason.clone(),
        }
    }
}

impl TryFrom<FlatTask> for Task {
    type Error = String;

    fn try_from(flat: FlatTask) -> Result<Self, String> {
        let spec = TaskSpec {
            name: flat.name,
            image: flat.image,
            cmd: flat.cmd,
            entrypoint: flat.entrypoint,
            env: flat.env,
            cpu: flat.cpu,
            memory_bytes: flat.memory,
            disk_bytes: flat.disk,
            exposed_ports: flat.exposed_ports.map(|ports| ports.into_keys().collect()),
            port_bindings: flat.port_bindings,
            restart_policy: flat.restart_policy.parse().map_err(|error| format!("RestartPolicy: {error}"))?,
            health_check: flat.health_check,
            pull_policy: flat.pull_policy.parse().map_err(|error| format!("PullPolicy: {error}"))?,
            network_mode: flat.network_mode.parse().map_err(|error| format!("NetworkMode: {error}"))?,
            mounts: flat.mounts,
            labels: flat.labels,
            stop_timeout_s: flat.stop_timeout,
            exclusive: flat.exclusive,
            constraints: flat.constraints,
            priority: flat.priority,
        };
        let status = TaskStatus {
            state: flat.state,
            generation: flat.generation,
            restart_count: flat.restart_count,
            container_id: flat.container_id,
            host_ports: flat.host_ports.unwrap_or_default(),
            start_time: flat.start_time,
            finish_time: flat.finish_time,
            exit_code: flat.exit_code,
            reason: flat.reason,
        };
        Ok(Self { id: flat.id, spec: Arc::new(spec), status })
    }
}

impl Serialize for Task {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        FlatTask::from(self).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Task {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        FlatTask::deserialize(deserializer)?.try_into().map_err(D::Error::custom)
    }
}

impl Serialize for TaskEvent {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        FlatTaskEvent {
            id: self.id,
            state: self.state,
            timestamp: Some(self.timestamp),
            task: self.task.clone(),
        }
        .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for TaskEvent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let flat = FlatTaskEvent::deserialize(deserializer)?;
        Ok(Self {
            id: flat.id,
            state: flat.state,
            timestamp: flat.timestamp.unwrap_or(Timestamp::UNIX_EPOCH),
            task: flat.task,
        })
    }
}

impl Serialize for State {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u8(self.number())
    }
}

impl<'de> Deserialize<'de> for State {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = u64::deserialize(deserializer)?;
        Self::from_number(number)
            .ok_or_else(|| D::Error::custom(format!("State {number} is not one of 0 to 4")))
    }
}

/// `None` is Go's zero time on the wire.
mod zero_time {
    use super::{Deserialize, Deserializer, Serialize, Serializer, Timestamp, ZERO_TIME};

    #[expect(clippy::ref_option, reason = "serde hands out references")]
    pub(super) fn serialize<S: Serializer>(
        time: &Option<Timestamp>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match time {
            Some(time) => time.serialize(serializer),
            None => serializer.serialize_str(ZERO_TIME),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Timestamp>, D::Error> {
        let time = Timestamp::deserialize(deserializer)?;
        Ok((time.to_string() != ZERO_TIME).then_some(time))
    }
}
