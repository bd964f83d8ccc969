//! The book's JSON, written: in the order and the manner of its peers.

use std::collections::BTreeMap;

use serde::{
    Serialize, Serializer,
    ser::{SerializeMap, SerializeStruct},
};

use super::super::fields::EmptyObject;
use super::super::flat::{TASK_EVENT_FIELDS, TASK_FIELDS, ZERO_TIME};
use super::super::{
    Capability, HealthCheck, HostPort, NetworkMode, Privileges, Probe, PullPolicy, State, Task, TaskEvent,
};

impl Serialize for State {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u8(self.number())
    }
}

impl Serialize for Task {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serialize_task(self, Audience::Ours, serializer)
    }
}

impl Serialize for TaskEvent {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serialize_task_event(self, &self.task, serializer)
    }
}

/// An event as a request to a peer of the book: see [`TaskEvent::for_book_peer`].
#[derive(Clone, Debug, PartialEq)]
pub struct BookTaskEvent(TaskEvent);

impl TaskEvent {
    /// The same wish as a book's worker or manager understands it: a start has Task.State 1, and what is
    /// unset or none of its business is left out (its manager and its oldest workers refuse unknown fields).
    /// The restart policy stays here: the manager carries it out, and the peer's engine must not do so too.
    /// Its worker names the container like the task and leaves it there when it has ended, so each generation
    /// after the first has a name of its own.
    pub fn for_book_peer(&self) -> BookTaskEvent {
        let mut event = self.clone();
        event.task.status.state = if self.is_stop() { State::Completed } else { State::Scheduled };
        BookTaskEvent(event)
    }
}

impl Serialize for BookTaskEvent {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serialize_task_event(&self.0, &BookTask(&self.0.task), serializer)
    }
}

struct BookTask<'a>(&'a Task);

impl Serialize for BookTask<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serialize_task(self.0, Audience::BookPeer, serializer)
    }
}

fn serialize_task_event<S: Serializer>(
    event: &TaskEvent,
    task: &impl Serialize,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let mut out = serializer.serialize_struct("TaskEvent", TASK_EVENT_FIELDS.len())?;
    out.serialize_field("ID", &event.id)?;
    out.serialize_field("State", &event.state)?;
    out.serialize_field("Timestamp", &event.timestamp)?;
    out.serialize_field("Task", task)?;
    out.end()
}

/// Who reads what is written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Audience {
    /// This program and everyone who asks it: all fields of the book, then whatever is set.
    Ours,
    /// A peer of the book that is asked for something: only what its first edition knows, and what is set.
    BookPeer,
}

/// Writes the fields in the order of [`TASK_FIELDS`].
fn serialize_task<S: Serializer>(task: &Task, audience: Audience, serializer: S) -> Result<S::Ok, S::Error> {
    let (spec, status) = (&*task.spec, &task.status);
    let ours = audience == Audience::Ours;
    let mut out = serializer.serialize_struct("Task", TASK_FIELDS.len())?;
    out.serialize_field("ID", &task.id)?;
    out.serialize_field("ContainerID", &status.container_id)?;
    if ours || status.generation == 0 || spec.name.is_empty() {
        out.serialize_field("Name", &spec.name)?;
    } else {
        out.serialize_field("Name", &format!("{}-{}", spec.name, status.generation))?;
    }
    out.serialize_field("State", &status.state)?;
    out.serialize_field("Image", &spec.image)?;
    out.serialize_field("Cpu", &GoFloat(spec.cpu))?;
    out.serialize_field("Memory", &spec.memory_bytes)?;
    out.serialize_field("Disk", &spec.disk_bytes)?;
    out.serialize_field("ExposedPorts", &spec.exposed_ports.as_deref().map(PortSet))?;
    let host_ports = PublishedPorts(&status.host_ports);
    if ours || !host_ports.is_empty() {
        out.serialize_field("HostPorts", &(!host_ports.is_empty()).then_some(host_ports))?;
    }
    out.serialize_field("PortBindings", &spec.port_bindings)?;
    let restart_policy = if ours { spec.restart_policy.to_string() } else { String::new() };
    out.serialize_field("RestartPolicy", &restart_policy)?;
    out.serialize_field("StartTime", &status.start_time.unwrap_or(ZERO_TIME))?;
    out.serialize_field("FinishTime", &status.finish_time.unwrap_or(ZERO_TIME))?;
    let health_check = spec.health_check.as_ref().map_or_else(String::new, |check| check.probe.wire());
    optional(&mut out, "HealthCheck", &health_check, ours || !health_check.is_empty())?;
    optional(&mut out, "RestartCount", &status.restart_count, ours || status.restart_count != 0)?;

    optional(&mut out, "Cmd", &spec.cmd, !spec.cmd.is_empty())?;
    optional(&mut out, "Entrypoint", &spec.entrypoint, !spec.entrypoint.is_empty())?;
    optional(&mut out, "Env", &spec.env, !spec.env.is_empty())?;
    let pull_policy = spec.pull_policy;
    optional(&mut out, "PullPolicy", pull_policy.name(), pull_policy != PullPolicy::default())?;
    let network_mode = spec.network_mode;
    optional(&mut out, "NetworkMode", network_mode.name(), network_mode != NetworkMode::default())?;
    optional(&mut out, "Mounts", &spec.mounts, !spec.mounts.is_empty())?;
    privileges(&mut out, spec.privileges.as_deref())?;
    let secrets: Vec<_> = spec.secrets.iter().map(ToString::to_string).collect();
    optional(&mut out, "Secrets", &secrets, !secrets.is_empty())?;
    optional(&mut out, "Labels", &spec.labels, !spec.labels.is_empty())?;
    optional(&mut out, "StopTimeout", &spec.stop_timeout_s, spec.stop_timeout_s.is_some())?;
    // No peer of the book would carry these out.
    health_options(&mut out, spec.health_check.as_ref().filter(|_| ours))?;
    optional(&mut out, "Exclusive", &spec.exclusive, spec.exclusive)?;
    let constraints: Vec<String> = spec.constraints.iter().map(ToString::to_string).collect();
    optional(&mut out, "Constraints", &constraints, !constraints.is_empty())?;
    optional(&mut out, "Priority", &spec.priority, spec.priority != 0)?;
    optional(&mut out, "Preempt", &spec.preempt, spec.preempt)?;
    optional(&mut out, "Generation", &status.generation, ours && status.generation != 0)?;
    optional(&mut out, "ExitCode", &status.exit_code, ours && status.exit_code.is_some())?;
    optional(&mut out, "Reason", &status.reason, ours && !status.reason.is_empty())?;
    optional(&mut out, "Interrupted", &status.is_interrupted, ours && status.is_interrupted)?;
    optional(&mut out, "NeverRan", &status.never_ran, ours && status.never_ran)?;
    let health = status.health.as_deref().filter(|_| ours);
    optional(&mut out, "Health", health.map_or("", |health| health.verdict.name()), health.is_some())?;
    let failure = health.map_or("", |health| &*health.failure);
    optional(&mut out, "HealthFailure", failure, !failure.is_empty())?;
    out.end()
}

fn privileges<S: SerializeStruct>(out: &mut S, asked: Option<&Privileges>) -> Result<(), S::Error> {
    let nothing = Privileges::default();
    let Privileges { privileged, cap_add, devices, host_pid, host_ipc } = asked.unwrap_or(&nothing);
    let cap_add: Vec<&str> = cap_add.iter().map(Capability::as_str).collect();
    let devices: Vec<String> = devices.iter().map(ToString::to_string).collect();
    optional(out, "Privileged", privileged, *privileged)?;
    optional(out, "CapAdd", &cap_add, !cap_add.is_empty())?;
    optional(out, "Devices", &devices, !devices.is_empty())?;
    optional(out, "PidMode", "host", *host_pid)?;
    optional(out, "IpcMode", "host", *host_ipc)
}

/// A command, and what differs from the default pace.
fn health_options<S: SerializeStruct>(out: &mut S, check: Option<&HealthCheck>) -> Result<(), S::Error> {
    let default = HealthCheck::new(Probe::Tcp { port: None });
    let check = check.unwrap_or(&default);
    let words = match &check.probe {
        Probe::Command(words) => &words[..],
        Probe::Http { .. } | Probe::Tcp { .. } => &[],
    };
    optional(out, "HealthCmd", words, !words.is_empty())?;
    let start_period_s = check.start_period_s;
    optional(out, "HealthStartPeriod", &start_period_s, start_period_s != default.start_period_s)?;
    optional(out, "HealthInterval", &check.interval_s, check.interval_s != default.interval_s)?;
    optional(out, "HealthTimeout", &check.timeout_s, check.timeout_s != default.timeout_s)?;
    optional(out, "HealthRetries", &check.retries, check.retries != default.retries)
}

fn optional<S: SerializeStruct, T: Serialize + ?Sized>(
    out: &mut S,
    field: &'static str,
    value: &T,
    is_set: bool,
) -> Result<(), S::Error> {
    if is_set { out.serialize_field(field, value) } else { out.skip_field(field) }
}

/// A float as Go prints it: 2, not 2.0.
pub(in crate::task) struct GoFloat(pub(in crate::task) f64);

impl Serialize for GoFloat {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        const EXACT: f64 = 4_294_967_296.0;
        if self.0.fract() == 0.0 && (0.0..EXACT).contains(&self.0) {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "whole and in range")]
            serializer.serialize_u64(self.0 as u64)
        } else {
            serializer.serialize_f64(self.0)
        }
    }
}

/// `{"80/tcp":{}}`
struct PortSet<'a>(&'a [String]);

impl Serialize for PortSet<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_map(Some(self.0.len()))?;
        for port in self.0 {
            out.serialize_entry(port, &EmptyObject {})?;
        }
        out.end()
    }
}

/// Published ports; one without bindings is left out, since `null` or `[]` makes a book's manager panic.
struct PublishedPorts<'a>(&'a BTreeMap<String, Vec<HostPort>>);

impl PublishedPorts<'_> {
    fn is_empty(&self) -> bool {
        self.0.values().all(Vec::is_empty)
    }
}

impl Serialize for PublishedPorts<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().filter(|(_, bindings)| !bindings.is_empty()))
    }
}
