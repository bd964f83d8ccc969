//! The JSON that the book's peers speak, in both directions and with all its oddities. Knows no HTTP.

use std::collections::BTreeMap;

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::Error as _,
    ser::{SerializeMap, SerializeStruct},
};
use serde_json::value::RawValue;

use super::fields::{EmptyObject, FieldError, Fields, Raw, fold};
use super::flat::{FlatTask, FlatTaskEvent, TASK_EVENT_FIELDS, TASK_FIELDS, UnknownWord, ZERO_TIME};
use super::{
    Capability, EventId, HealthCheck, HostPort, NetworkMode, Privileges, Probe, PullPolicy, State, Task,
    TaskEvent,
};

/// What a body is not, for the answer's message: it names the field and what was expected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct WireError(pub String);

impl From<FieldError> for WireError {
    fn from(error: FieldError) -> Self {
        Self(error.to_string())
    }
}

impl From<serde_json::Error> for WireError {
    fn from(error: serde_json::Error) -> Self {
        if error.is_data() { Self(error.to_string()) } else { Self(format!("not JSON: {error}")) }
    }
}

/// The body of an error answer, as the book's peers print it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ErrorBody {
    #[serde(rename = "HTTPStatusCode")]
    pub http_status_code: u16,
    #[serde(rename = "Message")]
    pub message: String,
}

/// Reads a TaskEvent as a peer of the book posts it. A start must be one that could run: see
/// [`super::TaskSpec::check`]; a stop needs no more than the ids.
///
/// What peers usually send is read in one pass; only where that fails (another case, `null`, repeated or
/// unknown keys) is the body read field by field, with Go's rules.
pub fn parse_task_event(body: &[u8]) -> Result<TaskEvent, WireError> {
    let flat = match serde_json::from_slice::<FlatTaskEvent>(body) {
        Ok(flat) if flat.is_exact() => flat,
        _ => read_task_event(serde_json::from_slice(body)?)?,
    };
    let event = flat.into_event()?;
    if !event.is_stop() {
        event.task.spec.check().map_err(|error| error.inside("Task"))?;
    }
    Ok(event)
}

/// Reads the answer of a peer's GET /tasks: `null`, `[]` or an array.
pub fn parse_tasks(body: &[u8]) -> Result<Vec<Task>, WireError> {
    let flat = match serde_json::from_slice::<Vec<FlatTask>>(body) {
        Ok(tasks) if tasks.iter().all(FlatTask::is_exact) => tasks,
        _ => {
            let tasks: Option<Vec<Fields<'_>>> = serde_json::from_slice(body)?;
            let mut flat = Vec::new();
            for (number, fields) in tasks.into_iter().flatten().enumerate() {
                let mut task = FlatTask::default();
                read_task(&mut task, fields).map_err(|error| error.inside(&format!("[{number}]")))?;
                flat.push(task);
            }
            flat
        }
    };
    flat.into_iter().map(|task| Ok(task.into_task(UnknownWord::Default)?)).collect()
}

fn read_task_event(fields: Fields<'_>) -> Result<FlatTaskEvent, FieldError> {
    let mut event = FlatTaskEvent::default();
    for (key, value) in fields.0 {
        let Some(field) = fold(&key, &TASK_EVENT_FIELDS) else { continue };
        let raw = Raw { field, value };
        match field {
            _ if raw.is_null() => {}
            "ID" => event.id = EventId(raw.uuid()?),
            "State" => event.state = raw.state()?,
            "Timestamp" => event.timestamp = raw.time()?,
            _ => read_task(&mut event.task, raw.fields()?).map_err(|error| error.inside("Task"))?,
        }
    }
    Ok(event)
}

fn read_task(task: &mut FlatTask, fields: Fields<'_>) -> Result<(), FieldError> {
    fields.0.into_iter().try_for_each(|(key, value): (String, &RawValue)| match fold(&key, &TASK_FIELDS) {
        Some(field) => task.set(field, value),
        None => Ok(()),
    })
}

impl<'de> Deserialize<'de> for Task {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        FlatTask::deserialize(deserializer)?.into_task(UnknownWord::Refuse).map_err(D::Error::custom)
    }
}

impl<'de> Deserialize<'de> for TaskEvent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        FlatTaskEvent::deserialize(deserializer)?.into_event().map_err(D::Error::custom)
    }
}

/// A TaskEvent on a route of ours. To the book's peers a field that they don't know is one of somebody else's; here it
/// is a mistyped one, and what it says would be missed.
#[derive(Debug)]
pub struct OwnTaskEvent(pub TaskEvent);

impl<'de> Deserialize<'de> for OwnTaskEvent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let flat = FlatTaskEvent::deserialize(deserializer)?;
        flat.check_known().and_then(|()| flat.into_event()).map(Self).map_err(D::Error::custom)
    }
}

impl<'de> Deserialize<'de> for State {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = u64::deserialize(deserializer)?;
        Self::from_number(number)
            .ok_or_else(|| D::Error::custom(format!("State {number} is not one of 0 to 4")))
    }
}

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
pub(super) struct GoFloat(pub(super) f64);

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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::flat::TASK_FIELDS;
    use super::{State, Task, TaskEvent, parse_task_event, parse_tasks};

    const ID: &str = "21b23589-5d2d-4731-b5c9-a97e9832d021";

    /// An event that starts `web`, with more fields in its Task.
    fn start(more: &str) -> String {
        format!(r#"{{"State":2,"Task":{{"ID":"{ID}","Name":"web","Image":"i"{more}}}}}"#)
    }

    #[track_caller]
    fn event(body: &str) -> TaskEvent {
        parse_task_event(body.as_bytes()).unwrap_or_else(|error| panic!("{body}: {error}"))
    }

    #[track_caller]
    fn refused(body: &str, part: &str) {
        let error = parse_task_event(body.as_bytes()).expect_err(body).to_string();
        assert!(error.contains(part), "{body}: {error}");
    }

    #[test]
    fn an_event_on_a_route_of_ours_has_known_fields_only() {
        let own = |text: &str| serde_json::from_str::<super::OwnTaskEvent>(text).map(|own| own.0);
        for (text, expected) in [
            (r#"{"Task":{"Image":"i","Memry":1}}"#, "Task.Memry: unknown field; did you mean Memory?"),
            (r#"{"Task":{"image":"i"}}"#, "Task.image: unknown field; its name is Image"),
            (r#"{"Stat":2,"Task":{}}"#, "Stat: unknown field; did you mean State?"),
            (r#"{"Image":"i"}"#, "Image: belongs inside Task"),
        ] {
            let error = own(text).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{error}");
            assert!(serde_json::from_str::<TaskEvent>(text).is_ok(), "the book's peers may say more");
        }
        let event = TaskEvent::start(full_task(), jiff::Timestamp::UNIX_EPOCH);
        assert_eq!(
            own(&serde_json::to_string(&event).unwrap()).unwrap(),
            event,
            "all that we write is known"
        );
    }

    #[test]
    fn ids_are_read_in_every_spelling() {
        for id in [
            ID.to_owned(),
            ID.to_uppercase(),
            ID.replace('-', ""),
            format!("{{{ID}}}"),
            format!("urn:uuid:{ID}"),
            format!("URN:UUID:{ID}"),
        ] {
            let event = event(&format!(r#"{{"Task":{{"ID":"{id}","Image":"i"}}}}"#));
            assert_eq!(event.task.id.to_string(), ID, "{id}");
        }
        for id in ["", "nope", "21b23589", "{}", "urn:uuid:"] {
            refused(&format!(r#"{{"Task":{{"ID":"{id}","Image":"i"}}}}"#), "Task.ID: expected a UUID");
        }
    }

    #[test]
    fn keys_are_read_in_any_case_and_the_last_one_counts() {
        let event = event(r#"{"state":2,"TASK":{"nAME":"a","image":"x","Image":"i","Name":"b"}}"#);
        assert_eq!(
            (event.state, &*event.task.spec.name, &*event.task.spec.image),
            (State::Running, "b", "i")
        );
    }

    #[test]
    fn repeated_objects_merge() {
        let event = event(
            r#"{"Task":{"Image":"i","Name":"a","PortBindings":{"1/tcp":"1"}},
                "Task":{"Name":"b","PortBindings":{"2/tcp":"2"},"ExposedPorts":{"80":{}},"ExposedPorts":{"81":null}}}"#,
        );
        let spec = &event.task.spec;
        assert_eq!((&*spec.image, &*spec.name), ("i", "b"));
        assert_eq!(spec.port_bindings.as_ref().unwrap().len(), 2);
        assert_eq!(spec.exposed_ports.as_deref().unwrap(), ["80/tcp", "81/tcp"]);
    }

    #[test]
    fn null_is_accepted_for_any_field() {
        for field in TASK_FIELDS {
            let event = event(&start(&format!(r#","{field}":null"#)));
            assert_eq!(event.task.spec.image, "i", "{field}");
        }
        for field in ["ID", "State", "Timestamp"] {
            event(&format!(r#"{{"{field}":null,"Task":{{"Image":"i"}}}}"#));
        }
    }

    #[test]
    fn unknown_fields_newlines_and_odd_ports_are_passed_over() {
        let body = start(
            r#","Foo":{"a":[1]},"HostPorts":{"1/tcp":null,"2/tcp":[],"3/tcp":[{"hostip":"h","HostPort":"9","x":1}]}"#,
        );
        let task = event(&format!("{body}\n\n")).task;
        assert_eq!(task.status.host_ports.len(), 1);
        assert_eq!(task.status.host_ports["3/tcp"][0].host_ip, "h");
    }

    #[test]
    fn times_keep_their_instant_and_zero_is_none() {
        let body = start(
            r#","StartTime":"2026-11-24T08:00:00.123456789+02:00","FinishTime":"0001-01-01T00:00:00Z""#,
        );
        let status = event(&body).task.status;
        assert_eq!(status.start_time.unwrap().to_string(), "2026-11-24T06:00:00.123456789Z");
        assert_eq!(status.finish_time, None);
    }

    #[test]
    fn what_is_malformed_is_named() {
        refused("{bad", "not JSON");
        refused("", "not JSON");
        refused("[]", "expected an object");
        refused("{}", "Task.Image: missing");
        refused("null", "Task.Image: missing");
        refused(r#"{"Task":{"Cpu":1}}"#, "Task.Image: missing");
        refused(r#"{"State":5,"Task":{"Image":"i"}}"#, "State: expected a state: 0 Pending");
        refused(&start(r#","State":99"#), "Task.State: expected a state");
        refused(&start(r#","State":-1"#), "Task.State: expected a state");
        refused(
            &start(r#","Memory":"12m""#),
            r#"Task.Memory: expected a whole number of bytes, 0 or more (64 MiB is 67108864), found "12m""#,
        );
        refused(&start(r#","Memory":-1"#), "Task.Memory");
        refused(&start(r#","Memory":1.5"#), "Task.Memory");
        refused(&start(r#","Disk":1e30"#), "Task.Disk");
        refused(&start(r#","Cpu":-0.5"#), "Task.Cpu");
        refused(&start(r#","Cpu":1e999"#), "Task.Cpu: expected a number of CPUs");
        refused(&start(r#","StartTime":"""#), "Task.StartTime: expected a time");
        refused(&start(r#","RestartPolicy":"sometimes""#), "Task.RestartPolicy: expected");
        refused(&start(r#","ExposedPorts":["80"]"#), "Task.ExposedPorts: expected an object of ports");
        refused(&start(r#","Env":["A"]"#), "Task.Env: expected KEY=VALUE");
        refused(&start(r#","Cmd":"sh -c x""#), "Task.Cmd: expected an array of strings");
        refused(r#"{"Task":[]}"#, "Task: expected an object");
        refused(&format!("{} x", start("")), "not JSON");
    }

    #[test]
    fn a_stop_needs_no_image() {
        let event = event(&format!(r#"{{"State":3,"Task":{{"ID":"{ID}","State":3,"ContainerID":"c1"}}}}"#));
        assert!(event.is_stop());
        assert_eq!(event.task.status.container_id, "c1");
    }

    #[test]
    fn a_peers_answer_may_be_null_or_hold_words_we_do_not_know() {
        assert_eq!(parse_tasks(b"null").unwrap(), []);
        assert_eq!(parse_tasks(b"[]\n").unwrap(), []);
        let tasks = parse_tasks(br#"[{"Name":"a","RestartPolicy":"sometimes"},{"name":"b"}]"#).unwrap();
        assert_eq!(tasks.iter().map(|task| &*task.spec.name).collect::<Vec<_>>(), ["a", "b"]);
        let error = parse_tasks(br#"[{},{"State":7}]"#).unwrap_err().to_string();
        assert!(error.starts_with("[1].State: expected a state"), "{error}");
        assert!(parse_tasks(br#"{"ID":1}"#).is_err());
    }

    /// A task in which every field is set.
    fn full_task() -> Task {
        let mut task = json!({
            "ID": ID, "ContainerID": "c", "Name": "n", "State": 4, "Image": "i", "Cpu": 1.5, "Memory": 1,
            "Disk": 2, "ExposedPorts": {"80/tcp": {}}, "HostPorts": {"80/tcp": [{"HostIp": "::", "HostPort": "1"}]},
            "PortBindings": {"80/tcp": "1"}, "RestartPolicy": "always", "StartTime": "2026-11-24T08:00:00Z",
            "FinishTime": "2026-11-24T08:00:01.5Z", "HealthCheck": "/h", "RestartCount": 3, "Cmd": ["a"],
            "Entrypoint": ["b"], "Env": ["A=1"], "PullPolicy": "never", "NetworkMode": "host",
            "Mounts": ["data:/d"], "Secrets": ["S:env"], "Labels": {"a": "b"}, "StopTimeout": 1, "HealthStartPeriod": 1, "HealthInterval": 2,
            "HealthTimeout": 3, "HealthRetries": 4, "Exclusive": true, "Constraints": ["c"], "Priority": 1,
            "Preempt": true, "Generation": 1, "ExitCode": 3, "Reason": "r", "Interrupted": true, "NeverRan": true,
            "Health": "unhealthy", "HealthFailure": "f",
        });
        task["Privileged"] = json!(true);
        task["CapAdd"] = json!(["NET_ADMIN"]);
        task["Devices"] = json!(["/dev/fuse:r"]);
        task["PidMode"] = json!("host");
        task["IpcMode"] = json!("host");
        serde_json::from_value(task).unwrap()
    }

    fn keys(text: &str) -> Vec<String> {
        let fields: super::Fields<'_> = serde_json::from_str(text).unwrap();
        fields.0.into_iter().map(|(key, _)| key).collect()
    }

    #[test]
    fn fields_are_written_in_the_peers_order() {
        let text = serde_json::to_string(&full_task()).unwrap();
        let but_the_other_check: Vec<_> =
            TASK_FIELDS.into_iter().filter(|field| *field != "HealthCmd").collect();
        assert_eq!(keys(&text), but_the_other_check);
        assert_eq!(serde_json::from_str::<Task>(&text).unwrap(), full_task());
        let empty = r#"{"ID":"00000000-0000-0000-0000-000000000000","ContainerID":"","Name":"","State":0,"Image":"","Cpu":0,"Memory":0,"Disk":0,"ExposedPorts":null,"HostPorts":null,"PortBindings":null,"RestartPolicy":"","StartTime":"0001-01-01T00:00:00Z","FinishTime":"0001-01-01T00:00:00Z","HealthCheck":"","RestartCount":0}"#;
        assert_eq!(serde_json::to_string(&Task::default()).unwrap(), empty);
    }

    #[test]
    fn a_request_to_a_book_peer_says_state_1_and_nothing_it_may_refuse() {
        let mut event = event(&start(""));
        event.task.status = full_task().status;
        event.task.status.host_ports.clear();
        event.task.status.restart_count = 0;
        let text = serde_json::to_string(&event.for_book_peer()).unwrap();
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["State"], 2);
        assert_eq!(value["Task"]["State"], 1);
        let chapters_5_to_8: Vec<_> =
            TASK_FIELDS[..14].iter().filter(|field| **field != "HostPorts").collect();
        assert_eq!(keys(&value["Task"].to_string()).len(), chapters_5_to_8.len(), "{text}");
        assert!(chapters_5_to_8.iter().all(|field| value["Task"].get(field).is_some()), "{text}");

        event.state = State::Completed;
        event.task = full_task();
        let stop = serde_json::to_value(event.for_book_peer()).unwrap();
        assert_eq!((&stop["State"], &stop["Task"]["State"]), (&json!(3), &json!(3)));
        assert_eq!(stop["Task"]["RestartPolicy"], "");
        assert_eq!(stop["Task"]["HealthCheck"], "/h");
        for field in [
            "Generation",
            "ExitCode",
            "Reason",
            "Interrupted",
            "NeverRan",
            "Health",
            "HealthFailure",
            "HealthInterval",
        ] {
            assert_eq!(stop["Task"].get(field), None, "{field}");
        }
    }

    #[test]
    fn health_checks_come_back_as_they_went() {
        for (text, check) in [
            (r#","HealthCheck":"/h""#, r#""HealthCheck":"/h""#),
            (r#","HealthCheck":"http:80/h","HealthRetries":3"#, r#""HealthCheck":"http:80/h""#),
            (r#","HealthCheck":"tcp","HealthTimeout":9"#, r#""HealthTimeout":9"#),
            (
                r#","HealthCmd":["a","b"],"HealthStartPeriod":0"#,
                r#""HealthCmd":["a","b"],"HealthStartPeriod":0"#,
            ),
        ] {
            let task = event(&start(text)).task;
            let written = serde_json::to_string(&task).unwrap();
            assert!(written.contains(check), "{written}");
            assert!(!written.contains("HealthRetries"), "a default is not written: {written}");
            assert_eq!(serde_json::from_str::<Task>(&written).unwrap(), task, "{text}");
        }
        assert_eq!(event(&start(r#","HealthCheck":"","HealthCmd":null"#)).task.spec.health_check, None);
        refused(&start(r#","HealthCheck":"health""#), "Task.HealthCheck: expected a path such as /health");
        refused(&start(r#","HealthInterval":5"#), "Task.HealthInterval: there is no check");
        refused(&start(r#","HealthCheck":"/","HealthCmd":["a"]"#), "Task.HealthCmd: expected HealthCheck or");
        refused(&start(r#","HealthCmd":"a b""#), "Task.HealthCmd: expected an array of strings");
        let tasks = parse_tasks(br#"[{"HealthCheck":"health","Health":"fine"}]"#).unwrap();
        assert_eq!(tasks[0].spec.health_check, None, "what a peer says of its own task spoils no list");
    }

    #[test]
    fn newer_fields_do_not_stop_the_typed_api() {
        let task: Task = serde_json::from_str(r#"{"Name":"a","FromTheFuture":[1]}"#).unwrap();
        assert_eq!(task.spec.name, "a");
    }
}
