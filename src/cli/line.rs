//! One line of output for one thing that happened: JSON for scripts, words for people. Prints nothing itself.

use std::borrow::Cow;

use jiff::{Timestamp, tz::TimeZone};
use serde::Serialize;

use super::text::{escaped, printable};
use crate::cluster::{Cause, Change, Cluster, Revision, TaskRecord, What, WorkerHealth, WorkerRecord};
use crate::task::{HostPort, State, Task};

/// A line of output. Its JSON is a promise to scripts: `v` grows only when a field changes its meaning.
#[derive(Clone, Debug, Serialize)]
pub struct Line<'a> {
    v: u8,
    revision: Revision,
    #[serde(serialize_with = "with_milliseconds")]
    time: Timestamp,
    #[serde(rename = "type")]
    kind: Kind,
    state: &'a str,
    cause: Option<&'static str>,
    worker: Option<&'a str>,
    reason: Option<Cow<'a, str>>,
    exit_code: Option<i64>,
    /// A stop is under way.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    stopping: bool,
    /// Only of a task that is held back after it crashed several times in a row.
    #[serde(skip_serializing_if = "Option::is_none")]
    crash_loop: Option<CrashLoop>,
    /// Where a manager or worker listens; of workers, those that have joined.
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    task: Option<Box<Task>>,
}

/// How often in a row it ended, how it did last, and when it is started again.
#[derive(Clone, Debug, Serialize)]
struct CrashLoop {
    in_a_row: u32,
    last: String,
    #[serde(serialize_with = "with_milliseconds")]
    next_start: Timestamp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Task,
    Worker,
    Manager,
}

impl<'a> Line<'a> {
    /// What `change` did, in the cluster `after` it.
    pub fn of_change(change: &'a Change, after: &'a Cluster) -> Option<Self> {
        let (revision, time, cause) = (change.revision, change.time, Some(change.cause));
        match &change.what {
            What::Worker { worker } => Some(Self::of_worker(worker, revision, time, cause)),
            What::Forgotten { worker } => Some(Self {
                revision,
                cause: cause.map(Cause::words),
                state: "forgotten",
                ..Self::of_listening(Kind::Worker, Some(worker.as_str()), None, time)
            }),
            what => {
                let record = after.task(what.task_id()?)?;
                Some(Self { revision, time, ..Self::of_task(&record, after, cause) })
            }
        }
    }

    /// How a task stands.
    pub fn of_task(record: &TaskRecord, cluster: &'a Cluster, cause: Option<Cause>) -> Self {
        let status = record.status();
        Self {
            v: 1,
            revision: cluster.revision(),
            time: record.changed,
            kind: Kind::Task,
            state: status.state.name(),
            cause: cause.map(Cause::words),
            worker: cluster.worker_of(record.task.id).map(crate::task::WorkerId::as_str),
            reason: unless_empty(&status.reason).map(|reason| Cow::Owned(reason.to_owned())),
            exit_code: status.exit_code,
            stopping: record.is_stopping(),
            crash_loop: CrashLoop::of(record),
            address: None,
            task: Some(Box::new(record.task.clone())),
        }
    }

    /// How a worker stands.
    pub fn of_worker_record(worker: &'a WorkerRecord, cluster: &'a Cluster) -> Self {
        Self::of_worker(worker, cluster.revision(), worker.since, None)
    }

    fn of_worker(
        worker: &'a WorkerRecord,
        revision: Revision,
        time: Timestamp,
        cause: Option<Cause>,
    ) -> Self {
        let (state, reason) = if worker.runtime_problem.is_empty() {
            let notice = worker.notice().filter(|_| worker.reason.is_empty()).map(Cow::Owned);
            let state = match worker.availability.name() {
                word if worker.health == WorkerHealth::Ready && !word.is_empty() => word,
                _ => worker.health.name(),
            };
            (state, notice.or(unless_empty(&worker.reason).map(Cow::Borrowed)))
        } else {
            ("runtime unhealthy", Some(Cow::Borrowed(&*worker.runtime_problem)))
        };
        Self {
            v: 1,
            revision,
            time,
            kind: Kind::Worker,
            state,
            cause: cause.map(Cause::words),
            worker: Some(worker.id.as_str()),
            reason,
            exit_code: None,
            stopping: false,
            crash_loop: None,
            address: worker.joined.as_ref().map(|joined| &*joined.address),
            task: None,
        }
    }

    /// A manager's API listens at `address`.
    pub fn of_manager_listening(address: &'a str, time: Timestamp) -> Self {
        Self::of_listening(Kind::Manager, None, Some(address), time)
    }

    /// The API of the worker `id` listens at `address`.
    pub fn of_worker_listening(id: &'a str, address: &'a str, time: Timestamp) -> Self {
        Self::of_listening(Kind::Worker, Some(id), Some(address), time)
    }

    /// A manager has ended.
    pub fn of_manager_ended(time: Timestamp) -> Self {
        Self { state: "ended", ..Self::of_listening(Kind::Manager, None, None, time) }
    }

    fn of_listening(kind: Kind, worker: Option<&'a str>, address: Option<&'a str>, time: Timestamp) -> Self {
        Self {
            v: 1,
            revision: 0,
            time,
            kind,
            state: "listening",
            cause: Some(Cause::Manager.words()).filter(|_| kind == Kind::Manager),
            worker,
            reason: None,
            exit_code: None,
            stopping: false,
            crash_loop: None,
            address,
            task: None,
        }
    }

    pub fn json(&self) -> String {
        // A struct of strings and numbers: there is nothing in it that JSON could not say.
        escaped(&serde_json::to_string(self).unwrap_or_default())
    }

    /// The same for people: `08:00:03  Failed     web (55ab01fe) on localhost:5555: exit 3`.
    pub fn text(&self, zone: &TimeZone) -> String {
        let time = zone.to_datetime(self.time).strftime("%H:%M:%S").to_string();
        let state = if self.stopping {
            "Stopping"
        } else if self.crash_loop.is_some() {
            "CrashLoop"
        } else {
            self.state
        };
        let subject = match (&self.task, self.kind) {
            (Some(task), _) => name_of(task),
            (None, Kind::Worker) => "worker".to_owned(),
            (None, Kind::Task | Kind::Manager) => "manager".to_owned(),
        };
        let place = match (self.worker, &self.task) {
            (Some(worker), Some(_)) => format!(" on {worker}"),
            (Some(worker), None) => match self.address {
                Some(address) if address != worker => format!(" {worker} at {address}"),
                _ => format!(" {worker}"),
            },
            (None, _) => self.address.map(|address| format!(" {address}")).unwrap_or_default(),
        };
        let is_running = |task: &&Task| task.status.state == State::Running && !self.stopping;
        let ports = self.task.as_deref().filter(is_running).map(ports).unwrap_or_default();
        let health = self.task.as_deref().filter(is_running).and_then(|task| task.status.health.as_deref());
        let health = health.map(|health| format!(", {}", health.verdict.name())).unwrap_or_default();
        let why = match (&self.reason, self.exit_code) {
            (Some(reason), _) => format!(": {reason}"),
            (None, Some(code)) if code != 0 => format!(": exit {code}"),
            (None, _) => String::new(),
        };
        let next =
            self.crash_loop.as_ref().and_then(|crash_loop| seconds_until(crash_loop.next_start, self.time));
        let next = next.map(|seconds| format!("; next start in {seconds} s")).unwrap_or_default();
        printable(&format!("{time}  {state:<9}  {subject}{place}{ports}{health}{why}{next}"))
    }
}

impl CrashLoop {
    fn of(record: &TaskRecord) -> Option<Self> {
        let crashes = record.crash_loop()?;
        // Never held back: then it is next.
        let next_start = record.queued.and_then(|queued| queued.retry_at).unwrap_or(record.changed);
        Some(Self { in_a_row: crashes.in_a_row, last: crashes.last.clone(), next_start })
    }
}

/// A part of a second is a second: of what is yet to come it is never said that it is in 0 s.
pub fn seconds_until(at: Timestamp, now: Timestamp) -> Option<u128> {
    (at > now).then(|| at.duration_since(now).as_millis().unsigned_abs().div_ceil(1_000))
}

/// `web (55ab01fe)`; without a name, the image's.
pub fn name_of(task: &Task) -> String {
    let name = if task.spec.name.is_empty() { &task.spec.image } else { &task.spec.name };
    printable(&format!("{name} ({})", task.id.short()))
}

/// `, port 8080->80/tcp`, or nothing. The same port on IPv4 and IPv6 is one.
pub fn ports(task: &Task) -> String {
    let published = published_ports(task);
    match published.len() {
        0 => String::new(),
        1 => format!(", port {}", published[0]),
        _ => format!(", ports {}", published.join(" ")),
    }
}

pub fn published_ports(task: &Task) -> Vec<String> {
    let mut published = Vec::new();
    for (container, bindings) in &task.status.host_ports {
        let mut hosts: Vec<&str> =
            bindings.iter().map(|HostPort { host_port, .. }| host_port.as_str()).collect();
        hosts.dedup();
        published.extend(hosts.into_iter().map(|host| format!("{host}->{container}")));
    }
    published
}

fn unless_empty(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

fn with_milliseconds<S: serde::Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{time:.3}"))
}

#[cfg(test)]
mod tests {
    use jiff::{Timestamp, tz::TimeZone};
    use serde_json::{Value, json};

    use super::super::fixture::{History, id};
    use super::Line;
    use crate::cluster::{Change, Cluster, What, WorkerHealth};
    use crate::task::{Health, HostPort, RestartPolicy, State, Verdict};

    fn json_of(change: &Change, after: &Cluster) -> Value {
        serde_json::from_str(&Line::of_change(change, after).unwrap().json()).unwrap()
    }

    fn text_of(change: &Change, after: &Cluster) -> String {
        Line::of_change(change, after).unwrap().text(&TimeZone::UTC)
    }

    #[test]
    fn a_task_line_has_the_promised_fields() {
        let mut history = History::default();
        let web = id("55ab01fe");
        history.submit(web, "web");
        history.schedule(web);
        let change = history.observe(web, State::Failed, Some(3), "exit 3");
        let mut line = json_of(&change, &history.cluster);
        let task = line.as_object_mut().unwrap().remove("task").unwrap();
        let expected = json!({
            "v": 1, "revision": 3, "time": "2026-11-24T07:00:03.123Z", "type": "task", "state": "Failed",
            "cause": "worker report", "worker": "localhost:5555", "reason": "exit 3", "exit_code": 3,
        });
        assert_eq!(line, expected);
        assert_eq!((&task["ID"], &task["State"], &task["Name"]), (&json!(web), &json!(4), &json!("web")));
        let text = Line::of_change(&change, &history.cluster).unwrap().json();
        assert!(text.starts_with(r#"{"v":1,"revision":3,"time":""#), "{text}");
        assert!(!text.contains('\n'));
    }

    #[test]
    fn what_is_not_known_is_null() {
        let mut history = History::default();
        let change = history.submit(id("55ab01fe"), "web");
        let line = json_of(&change, &history.cluster);
        for field in ["worker", "reason", "exit_code"] {
            assert_eq!(line[field], Value::Null, "{field}");
        }
    }

    #[test]
    fn people_read_time_state_name_worker_and_reason() {
        let mut history = History::default();
        let web = id("55ab01fe");
        let change = history.submit(web, "web");
        assert_eq!(text_of(&change, &history.cluster), "07:00:01  Pending    web (55ab01fe)");
        let change = history.schedule(web);
        assert_eq!(
            text_of(&change, &history.cluster),
            "07:00:02  Scheduled  web (55ab01fe) on localhost:5555"
        );
        let mut status = history.cluster.task(web).unwrap().status().clone();
        status.state = State::Running;
        let binding = |ip: &str| HostPort { host_ip: ip.into(), host_port: "8080".into() };
        status.host_ports.insert("80/tcp".into(), vec![binding("0.0.0.0"), binding("::")]);
        let change =
            history.change(crate::cluster::Cause::WorkerReport, What::Observed { task: web, status });
        assert_eq!(
            text_of(&change, &history.cluster),
            "07:00:03  Running    web (55ab01fe) on localhost:5555, port 8080->80/tcp"
        );
        let mut status = history.cluster.task(web).unwrap().status().clone();
        status.health = Some(Box::new(Health { verdict: Verdict::Healthy, failure: String::new() }));
        let change =
            history.change(crate::cluster::Cause::WorkerReport, What::Observed { task: web, status });
        let text = text_of(&change, &history.cluster);
        assert!(text.ends_with("localhost:5555, port 8080->80/tcp, healthy"), "{text}");
        let change = history.change(crate::cluster::Cause::Command, What::StopRequested { task: web });
        assert_eq!(
            text_of(&change, &history.cluster),
            "07:00:05  Stopping   web (55ab01fe) on localhost:5555"
        );
        assert_eq!(json_of(&change, &history.cluster)["stopping"], true);
        let change = history.observe(web, State::Failed, Some(3), "");
        assert!(text_of(&change, &history.cluster).ends_with("localhost:5555: exit 3"));
    }

    #[test]
    fn a_crash_loop_is_told_with_its_count_its_last_end_and_its_next_start() {
        let mut history = History::default();
        let web = id("55ab01fe");
        history.submit_with(web, "web", RestartPolicy::Always);
        for _ in 0..2 {
            history.schedule(web);
            history.observe(web, State::Failed, Some(3), "exit code 3");
            let change = history.restart(web);
            let line = json_of(&change, &history.cluster);
            assert_eq!((&line["state"], line.get("crash_loop")), (&json!("Pending"), None));
        }
        history.schedule(web);
        history.observe(web, State::Failed, Some(3), "exit code 3");
        let change = history.restart(web);
        let expected =
            json!({ "in_a_row": 3, "last": "exit code 3", "next_start": "2026-11-24T07:00:48.123Z" });
        let line = json_of(&change, &history.cluster);
        assert_eq!((&line["state"], &line["crash_loop"]), (&json!("Pending"), &expected));
        assert_eq!(
            text_of(&change, &history.cluster),
            "07:00:10  CrashLoop  web (55ab01fe): restart; next start in 38 s"
        );
    }

    #[test]
    fn a_worker_without_an_engine_says_so() {
        let mut history = History::default();
        let change = history.worker(|worker| {
            worker.health = WorkerHealth::Ready;
            worker.runtime_problem = "no Docker\x1b[2J".into();
        });
        assert_eq!(
            text_of(&change, &history.cluster),
            "07:00:01  runtime unhealthy  worker localhost:5555: no Docker [2J"
        );
        let line = json_of(&change, &history.cluster);
        assert_eq!((&line["type"], &line["worker"]), (&json!("worker"), &json!("localhost:5555")));
        assert_eq!(line.get("task"), None);
    }

    #[test]
    fn lines_of_listeners_tell_their_address() {
        let line = Line::of_worker_listening("local", "localhost:40001", Timestamp::UNIX_EPOCH);
        assert_eq!(line.text(&TimeZone::UTC), "00:00:00  listening  worker local at localhost:40001");
        let line = Line::of_manager_listening("localhost:5556", Timestamp::UNIX_EPOCH);
        assert_eq!(line.text(&TimeZone::UTC), "00:00:00  listening  manager localhost:5556");
        let line: Value = serde_json::from_str(&line.json()).unwrap();
        assert_eq!((&line["type"], &line["address"]), (&json!("manager"), &json!("localhost:5556")));
    }
}
