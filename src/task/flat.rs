//! The book's flat Task and TaskEvent as they come in: a quick reader for what peers usually send, and a
//! field by field one. Knows neither routes nor files.

use std::{collections::BTreeMap, fmt, str::FromStr, sync::Arc};

use jiff::Timestamp;
use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, Visitor},
};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::fields::{EmptyObject, FieldError, Raw, unknown_field};
use super::{
    EventId, Health, HealthCheck, HostPort, Privileges, Probe, State, Task, TaskEvent, TaskId, TaskSpec,
    TaskStatus, spec,
};

/// Go's zero time, 0001-01-01T00:00:00Z: "none".
pub(super) const ZERO_TIME: Timestamp = Timestamp::constant(-62_135_596_800, 0);

/// The fields of a Task in the order in which the book's peers print them, then ours.
pub(super) const TASK_FIELDS: [&str; 46] = [
    "ID",
    "ContainerID",
    "Name",
    "State",
    "Image",
    "Cpu",
    "Memory",
    "Disk",
    "ExposedPorts",
    "HostPorts",
    "PortBindings",
    "RestartPolicy",
    "StartTime",
    "FinishTime",
    "HealthCheck",
    "RestartCount",
    "Cmd",
    "Entrypoint",
    "Env",
    "PullPolicy",
    "NetworkMode",
    "Mounts",
    "Privileged",
    "CapAdd",
    "Devices",
    "PidMode",
    "IpcMode",
    "Secrets",
    "Labels",
    "StopTimeout",
    "HealthCmd",
    "HealthStartPeriod",
    "HealthInterval",
    "HealthTimeout",
    "HealthRetries",
    "Exclusive",
    "Constraints",
    "Priority",
    "Preempt",
    "Generation",
    "ExitCode",
    "Reason",
    "Interrupted",
    "NeverRan",
    "Health",
    "HealthFailure",
];

pub(super) const TASK_EVENT_FIELDS: [&str; 4] = ["ID", "State", "Timestamp", "Task"];

/// A Task before its words are understood.
#[derive(Default, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase", default)]
#[schema(as = Task)]
#[expect(clippy::struct_excessive_bools, reason = "the wire has them")]
pub(super) struct FlatTask {
    #[serde(rename = "ID")]
    id: TaskId,
    #[serde(rename = "ContainerID")]
    container_id: String,
    name: String,
    state: State,
    image: String,
    cpu: f64,
    memory: u64,
    disk: u64,
    #[serde(deserialize_with = "port_set")]
    #[schema(value_type = Option<BTreeMap<String, EmptyObject>>)]
    exposed_ports: Option<Vec<String>>,
    host_ports: Option<BTreeMap<String, Vec<HostPort>>>,
    port_bindings: Option<BTreeMap<String, String>>,
    restart_policy: String,
    #[serde(deserialize_with = "time")]
    #[schema(value_type = Timestamp, default = json!("0001-01-01T00:00:00Z"))]
    start_time: Option<Timestamp>,
    #[serde(deserialize_with = "time")]
    #[schema(value_type = Timestamp, default = json!("0001-01-01T00:00:00Z"))]
    finish_time: Option<Timestamp>,
    health_check: String,
    restart_count: u32,

    cmd: Vec<String>,
    entrypoint: Vec<String>,
    env: Vec<String>,
    pull_policy: String,
    network_mode: String,
    mounts: Vec<String>,
    privileged: bool,
    cap_add: Vec<String>,
    devices: Vec<String>,
    pid_mode: String,
    ipc_mode: String,
    secrets: Vec<String>,
    labels: BTreeMap<String, String>,
    stop_timeout: Option<u32>,
    health_cmd: Vec<String>,
    health_start_period: Option<u32>,
    health_interval: Option<u32>,
    health_timeout: Option<u32>,
    health_retries: Option<u32>,
    exclusive: bool,
    constraints: Vec<String>,
    priority: i32,
    preempt: bool,
    generation: u32,
    exit_code: Option<i64>,
    reason: String,
    #[serde(rename = "Interrupted")]
    is_interrupted: bool,
    never_ran: bool,
    health: String,
    health_failure: String,

    #[serde(flatten)]
    #[schema(ignore)]
    rest: Rest,
}

/// A TaskEvent before its words are understood.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase", default)]
#[schema(as = TaskEvent)]
pub(super) struct FlatTaskEvent {
    #[serde(rename = "ID")]
    pub(super) id: EventId,
    pub(super) state: State,
    pub(super) timestamp: Timestamp,
    #[schema(value_type = Task, default = json!({}))]
    pub(super) task: FlatTask,
    #[serde(flatten)]
    #[schema(ignore)]
    rest: Rest,
}

impl Default for FlatTaskEvent {
    fn default() -> Self {
        Self {
            id: EventId::default(),
            state: State::default(),
            timestamp: ZERO_TIME,
            task: FlatTask::default(),
            rest: Rest::default(),
        }
    }
}

/// The first field of another name, if there was one: unknown, or known in another case.
#[derive(Default)]
struct Rest {
    first: Option<String>,
}

impl<'de> Deserialize<'de> for Rest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct RestVisitor;

        impl<'de> Visitor<'de> for RestVisitor {
            type Value = Rest;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Rest, A::Error> {
                let first = map.next_entry::<String, IgnoredAny>()?.map(|(name, _)| name);
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Rest { first })
            }
        }

        deserializer.deserialize_map(RestVisitor)
    }
}

fn port_set<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<String>>, D::Error> {
    let ports: Option<BTreeMap<String, Option<EmptyObject>>> = Deserialize::deserialize(deserializer)?;
    Ok(ports.map(|ports| ports.into_keys().collect()))
}

fn time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
    Timestamp::deserialize(deserializer).map(unless_zero)
}

fn unless_zero(time: Timestamp) -> Option<Timestamp> {
    (time != ZERO_TIME).then_some(time)
}

/// What to do with a word (a restart policy, say) that this program does not know.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum UnknownWord {
    Refuse,
    /// Takes the default: what somebody else's task says must not spoil the list it is in.
    Default,
}

impl FlatTask {
    /// Whether every field was known and written as the peers write it.
    pub(super) fn is_exact(&self) -> bool {
        self.rest.first.is_none()
    }

    /// Reads one field (of [`TASK_FIELDS`]) over what is there, as Go does it: maps merge, `null` empties
    /// maps and lists and leaves the rest alone.
    pub(super) fn set(&mut self, field: &'static str, value: &RawValue) -> Result<(), FieldError> {
        let raw = Raw { field, value };
        if raw.is_null() {
            self.set_null(field);
            return Ok(());
        }
        match field {
            "ID" => self.id = TaskId(raw.uuid()?),
            "ContainerID" => self.container_id = raw.text()?,
            "Name" => self.name = raw.text()?,
            "State" => self.state = raw.state()?,
            "Image" => self.image = raw.text()?,
            "Cpu" => self.cpu = raw.cpus()?,
            "Memory" => self.memory = raw.bytes()?,
            "Disk" => self.disk = raw.bytes()?,
            "ExposedPorts" => self.exposed_ports.get_or_insert_default().extend(raw.ports()?),
            "HostPorts" => self.host_ports.get_or_insert_default().extend(raw.host_ports()?),
            "PortBindings" => {
                let more: BTreeMap<_, _> = raw.text_map()?;
                self.port_bindings.get_or_insert_default().extend(more);
            }
            "RestartPolicy" => self.restart_policy = raw.text()?,
            "StartTime" => self.start_time = unless_zero(raw.time()?),
            "FinishTime" => self.finish_time = unless_zero(raw.time()?),
            "HealthCheck" => self.health_check = raw.text()?,
            "RestartCount" => self.restart_count = raw.count()?,
            "Cmd" => self.cmd = raw.texts()?,
            "Entrypoint" => self.entrypoint = raw.texts()?,
            "Env" => self.env = raw.texts()?,
            "PullPolicy" => self.pull_policy = raw.text()?,
            "NetworkMode" => self.network_mode = raw.text()?,
            "Mounts" => self.mounts = raw.texts()?,
            "Privileged" => self.privileged = raw.flag()?,
            "CapAdd" => self.cap_add = raw.texts()?,
            "Devices" => self.devices = raw.texts()?,
            "PidMode" => self.pid_mode = raw.text()?,
            "IpcMode" => self.ipc_mode = raw.text()?,
            "Secrets" => self.secrets = raw.texts()?,
            "Labels" => {
                let more: BTreeMap<_, _> = raw.text_map()?;
                self.labels.extend(more);
            }
            "StopTimeout" => self.stop_timeout = Some(raw.count()?),
            "HealthCmd" => self.health_cmd = raw.texts()?,
            "HealthStartPeriod" => self.health_start_period = Some(raw.count()?),
            "HealthInterval" => self.health_interval = Some(raw.count()?),
            "HealthTimeout" => self.health_timeout = Some(raw.count()?),
            "HealthRetries" => self.health_retries = Some(raw.count()?),
            "Exclusive" => self.exclusive = raw.flag()?,
            "Constraints" => self.constraints = raw.texts()?,
            "Priority" => self.priority = raw.whole()?,
            "Preempt" => self.preempt = raw.flag()?,
            "Generation" => self.generation = raw.count()?,
            "ExitCode" => self.exit_code = Some(raw.whole()?),
            "Reason" => self.reason = raw.text()?,
            "Interrupted" => self.is_interrupted = raw.flag()?,
            "NeverRan" => self.never_ran = raw.flag()?,
            "Health" => self.health = raw.text()?,
            "HealthFailure" => self.health_failure = raw.text()?,
            other => return Err(FieldError::new(other, "unknown field")),
        }
        Ok(())
    }

    fn set_null(&mut self, field: &str) {
        match field {
            "ExposedPorts" => self.exposed_ports = None,
            "HostPorts" => self.host_ports = None,
            "PortBindings" => self.port_bindings = None,
            "Cmd" => self.cmd.clear(),
            "Entrypoint" => self.entrypoint.clear(),
            "Env" => self.env.clear(),
            "Mounts" => self.mounts.clear(),
            "CapAdd" => self.cap_add.clear(),
            "Devices" => self.devices.clear(),
            "Secrets" => self.secrets.clear(),
            "Labels" => self.labels.clear(),
            "Constraints" => self.constraints.clear(),
            "StopTimeout" => self.stop_timeout = None,
            "ExitCode" => self.exit_code = None,
            "HealthCmd" => self.health_cmd.clear(),
            "HealthStartPeriod" => self.health_start_period = None,
            "HealthInterval" => self.health_interval = None,
            "HealthTimeout" => self.health_timeout = None,
            "HealthRetries" => self.health_retries = None,
            _ => {}
        }
    }

    /// Understands the words, and brings ports into their one form (`80` → `80/tcp`, sorted).
    pub(super) fn into_task(self, unknown: UnknownWord) -> Result<Task, FieldError> {
        let health_check = match (self.health_check(), unknown) {
            (Err(_), UnknownWord::Default) => None,
            (check, _) => check?,
        };
        let privileges = self.privileges(unknown)?;
        let health = match &*self.health {
            "" => None,
            text => {
                let verdict = word_or_default("Health", text, unknown)?;
                Some(Box::new(Health { verdict, failure: self.health_failure }))
            }
        };
        let spec = TaskSpec {
            name: self.name,
            image: self.image,
            cmd: self.cmd,
            entrypoint: self.entrypoint,
            env: self.env,
            cpu: self.cpu,
            memory_bytes: self.memory,
            disk_bytes: self.disk,
            exposed_ports: self.exposed_ports.map(spec::port_list),
            port_bindings: self.port_bindings.map(|bindings| {
                bindings.into_iter().map(|(port, host)| (spec::port_name(&port), host)).collect()
            }),
            restart_policy: word_or_default("RestartPolicy", &self.restart_policy, unknown)?,
            health_check,
            pull_policy: word_or_default("PullPolicy", &self.pull_policy, unknown)?,
            network_mode: word_or_default("NetworkMode", &self.network_mode, unknown)?,
            mounts: self.mounts,
            privileges,
            // One that was passed over would be missed by the task alone.
            secrets: self
                .secrets
                .iter()
                .map(|text| text.parse().map_err(|problem: String| FieldError::new("Secrets", problem)))
                .collect::<Result<_, _>>()?,
            labels: self.labels,
            stop_timeout_s: self.stop_timeout,
            exclusive: self.exclusive,
            constraints: listed("Constraints", &self.constraints, unknown)?,
            priority: self.priority,
            preempt: self.preempt,
        };
        let mut host_ports = self.host_ports.unwrap_or_default();
        host_ports.retain(|_, bindings| !bindings.is_empty());
        let status = TaskStatus {
            state: self.state,
            generation: self.generation,
            restart_count: self.restart_count,
            container_id: self.container_id,
            host_ports,
            start_time: self.start_time,
            finish_time: self.finish_time,
            exit_code: self.exit_code,
            reason: self.reason,
            is_interrupted: self.is_interrupted,
            never_ran: self.never_ran,
            health,
        };
        Ok(Task { id: self.id, spec: Arc::new(spec), status })
    }
}

impl FlatTask {
    fn privileges(&self, unknown: UnknownWord) -> Result<Option<Box<Privileges>>, FieldError> {
        let is_host = |field: &str, mode: &str| match (mode, unknown) {
            ("host", _) => Ok(true),
            ("", _) | (_, UnknownWord::Default) => Ok(false),
            _ => Err(FieldError::new(field, "expected \"host\" or nothing")),
        };
        let privileges = Privileges {
            privileged: self.privileged,
            cap_add: listed("CapAdd", &self.cap_add, unknown)?,
            devices: listed("Devices", &self.devices, unknown)?,
            host_pid: is_host("PidMode", &self.pid_mode)?,
            host_ipc: is_host("IpcMode", &self.ipc_mode)?,
        };
        Ok(privileges.boxed())
    }

    /// One check out of its fields, which belong together.
    fn health_check(&self) -> Result<Option<HealthCheck>, FieldError> {
        let options = [
            ("HealthStartPeriod", self.health_start_period),
            ("HealthInterval", self.health_interval),
            ("HealthTimeout", self.health_timeout),
            ("HealthRetries", self.health_retries),
        ];
        let probe = match (&*self.health_check, &*self.health_cmd) {
            ("", []) => {
                let alone = options.iter().find(|(_, value)| value.is_some());
                return alone.map_or(Ok(None), |(field, _)| {
                    Err(FieldError::new(
                        *field,
                        "there is no check that it belongs to; add HealthCheck or HealthCmd",
                    ))
                });
            }
            ("", words) => Probe::Command(words.to_vec()),
            (text, []) => word("HealthCheck", text)?,
            _ => {
                let problem = "expected HealthCheck or HealthCmd, found both";
                return Err(FieldError::new("HealthCmd", problem));
            }
        };
        let default = HealthCheck::new(probe);
        Ok(Some(HealthCheck {
            start_period_s: self.health_start_period.unwrap_or(default.start_period_s),
            interval_s: self.health_interval.unwrap_or(default.interval_s),
            timeout_s: self.health_timeout.unwrap_or(default.timeout_s),
            retries: self.health_retries.unwrap_or(default.retries),
            ..default
        }))
    }
}

/// What to say of a field that a TaskEvent does not have.
pub(super) fn unknown_event_field(name: &str) -> FieldError {
    if TASK_FIELDS.contains(&name) {
        return FieldError::new(name, "belongs inside Task");
    }
    unknown_field(name, &TASK_EVENT_FIELDS, &[])
}

/// Typed from here on; of somebody else's task, those that this program does not know are passed over.
fn listed<T: FromStr<Err = String>>(
    field: &str,
    texts: &[String],
    unknown: UnknownWord,
) -> Result<Vec<T>, FieldError> {
    let parsed = texts.iter().map(|text| text.parse().map_err(|why: String| FieldError::new(field, why)));
    match unknown {
        UnknownWord::Refuse => parsed.collect(),
        UnknownWord::Default => Ok(parsed.filter_map(Result::ok).collect()),
    }
}

fn word<T: FromStr<Err = String>>(field: &str, text: &str) -> Result<T, FieldError> {
    text.parse().map_err(|expected| {
        let shown: String = text.chars().take(40).collect();
        FieldError::new(field, format!("{expected}, found {shown:?}"))
    })
}

fn word_or_default<T: FromStr<Err = String> + Default>(
    field: &str,
    text: &str,
    unknown: UnknownWord,
) -> Result<T, FieldError> {
    match (word(field, text), unknown) {
        (Err(_), UnknownWord::Default) => Ok(T::default()),
        (word, _) => word,
    }
}

impl FlatTaskEvent {
    pub(super) fn is_exact(&self) -> bool {
        self.rest.first.is_none() && self.task.is_exact()
    }

    /// The first field that nobody knows.
    pub(super) fn check_known(&self) -> Result<(), FieldError> {
        if let Some(name) = &self.rest.first {
            return Err(unknown_event_field(name));
        }
        let unknown = self.task.rest.first.as_ref().map(|name| unknown_field(name, &TASK_FIELDS, &[]));
        unknown.map_or(Ok(()), |error| Err(error.inside("Task")))
    }

    pub(super) fn into_event(self) -> Result<TaskEvent, FieldError> {
        let task = self.task.into_task(UnknownWord::Refuse).map_err(|error| error.inside("Task"))?;
        Ok(TaskEvent { id: self.id, state: self.state, timestamp: self.timestamp, task })
    }
}
