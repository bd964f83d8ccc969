//! Clusters for the tests of this room, built from Changes as the feed brings them.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use crate::cluster::{
    Capacity, Cause, Change, Cluster, Crashes, FeedItem, Peer, Placement, Progress, RejectedBy, RunnerUp,
    Sample, SchedulerName, TaskUse, Term, What, WorkerHealth, WorkerRecord, WorkerSample,
};
use crate::task::{EventId, HostPort, State, Task, TaskId, TaskSpec, TaskStatus, WorkerId};

use super::event::{Action, Event, Purpose};
use super::model::{Model, Title};
use super::picture::{Format, render_once};
use super::theme::Theme;
use super::update::update;
use crate::manager::logs::{LogItem, TaskLine};
use crate::manager::why::Why;
use crate::scheduler::{Request, View, explain};
use crate::worker::runtime::OutputStream;

/// 2026-11-24T12:00:00Z.
pub(super) fn start() -> Timestamp {
    Timestamp::from_second(1_795_521_600).unwrap()
}

pub(super) fn task_id(number: u64) -> TaskId {
    TaskId(uuid::Uuid::from_u64_pair(number << 32 | 0x4000, 0x8000_0000_0000_0000 | number))
}

/// A manager's log in the making.
pub(super) struct Log {
    pub(super) revision: u64,
    pub(super) now: Timestamp,
}

impl Log {
    pub(super) fn new() -> Self {
        Self { revision: 0, now: start() }
    }

    pub(super) fn after(&mut self, seconds: i64) -> &mut Self {
        self.now += SignedDuration::from_secs(seconds);
        self
    }

    pub(super) fn change(&mut self, cause: Cause, what: What) -> Arc<Change> {
        self.revision += 1;
        Arc::new(Change { revision: self.revision, time: self.now, cause, what })
    }

    pub(super) fn worker(
        &mut self,
        id: &str,
        health: WorkerHealth,
        edit: fn(&mut WorkerRecord),
    ) -> Arc<Change> {
        let mut worker = WorkerRecord::new(WorkerId::from(id), false, self.now);
        worker.health = health;
        worker.peer = Peer::Cube;
        worker.capacity = Capacity { cpus: 8.0, memory_bytes: 16 << 30, disk_bytes: 100 << 30 };
        edit(&mut worker);
        self.change(Cause::WorkerLink, What::Worker { worker })
    }

    pub(super) fn submit(&mut self, number: u64, name: &str, image: &str) -> Arc<Change> {
        let spec = TaskSpec { name: name.into(), image: image.into(), ..TaskSpec::default() };
        let task = Task { id: task_id(number), spec: Arc::new(spec), ..Task::default() };
        let event = EventId(uuid::Uuid::from_u128(number.into()));
        self.change(Cause::Dashboard, What::Submitted { event, task })
    }

    pub(super) fn schedule(&mut self, number: u64, worker: &str) -> Arc<Change> {
        let (task, worker) = (task_id(number), WorkerId::from(worker));
        self.change(Cause::Scheduler, What::scheduled(task, worker, 0))
    }

    pub(super) fn observe(&mut self, number: u64, edit: impl FnOnce(&mut TaskStatus)) -> Arc<Change> {
        let mut status = TaskStatus { start_time: Some(self.now), ..TaskStatus::default() };
        status.container_id = format!("5c51c7fd7753{number:052x}");
        edit(&mut status);
        self.change(Cause::WorkerReport, What::Observed { task: task_id(number), status })
    }

    pub(super) fn run(&mut self, number: u64) -> Arc<Change> {
        self.observe(number, |status| {
            status.state = State::Running;
            let port = HostPort { host_ip: "0.0.0.0".into(), host_port: (32_700 + number).to_string() };
            status.host_ports.insert("80/tcp".into(), vec![port]);
        })
    }

    /// It runs for a second and fails, for the `in_a_row`-th time; the Changes of all that.
    pub(super) fn crash(&mut self, number: u64, worker: &str, in_a_row: u32) -> Vec<Arc<Change>> {
        let mut changes = vec![self.schedule(number, worker), self.run(number)];
        let finish_time = Some(self.after(1).now);
        changes.push(self.observe(number, |status| {
            status.state = State::Failed;
            status.exit_code = Some(3);
            status.reason = "exit code 3".into();
            status.finish_time = finish_time;
        }));
        let crashes = Crashes { in_a_row, failed: true, last: "exit code 3".into() };
        let reason = if crashes.is_loop() {
            format!("crash loop: {}", crashes.words())
        } else {
            format!("restart {in_a_row} after: exit code 3")
        };
        let retry_at = self.now + SignedDuration::from_secs(1 << (in_a_row - 1));
        let (task, generation, restart_count) = (task_id(number), in_a_row, in_a_row);
        let what =
            What::Restarting { task, generation, restart_count, crashes, reason, retry_at, by_hand: false };
        changes.push(self.change(Cause::RestartPolicy, what));
        self.now = retry_at;
        changes
    }

    pub(super) fn waiting(&mut self, number: u64, reason: &str) -> Arc<Change> {
        self.change(Cause::Scheduler, What::Waiting { task: task_id(number), reason: reason.into() })
    }
}

/// The dashboard before anything came, in UTC and without colour.
pub(super) fn loading(width: u16, height: u16) -> Model {
    let theme = Theme { color: true };
    Model::new(theme, Title::default(), TimeZone::UTC, start(), width, height)
}

/// Attached to a cluster without workers and tasks.
pub(super) fn empty(width: u16, height: u16) -> Model {
    let mut model = loading(width, height);
    update(&mut model, Event::Watching(Box::default()));
    model
}

/// A day's work: five workers in five healths, tasks in every state.
pub(super) fn busy(width: u16, height: u16) -> Model {
    let mut model = empty(width, height);
    let mut log = Log::new();
    for change in busy_log(&mut log) {
        feed(&mut model, change);
    }
    for (index, worker) in (0_u32..).zip(["worker-1:5555", "worker-2:5555", "worker-4:5555"]) {
        for step in 0..30 {
            sample(&mut model, worker, f64::from((index * 30 + step * 3) % 100), &log);
        }
    }
    let progress = Progress { task: task_id(2), text: "pulling 37 %".into() };
    update(&mut model, Event::Feed(FeedItem::Progress(progress)));
    at(&mut model, log.now + SignedDuration::from_secs(2));
    model.take_needs_draw();
    model
}

pub(super) fn busy_log(log: &mut Log) -> Vec<Arc<Change>> {
    let mut changes = vec![
        log.worker("worker-1:5555", WorkerHealth::Ready, |_| {}),
        log.worker("worker-2:5555", WorkerHealth::Ready, |worker| worker.insecure = true),
        log.worker("worker-3:5555", WorkerHealth::Ready, |worker| {
            worker.runtime_problem = "no Docker Engine at /var/run/docker.sock".into();
        }),
        log.worker("worker-4:5555", WorkerHealth::Ready, |_| {}),
        log.worker("book-1:5555", WorkerHealth::Lost, |worker| {
            worker.peer = Peer::Book;
            worker.reason = "silent for 40s (connection refused)".into();
        }),
    ];
    log.after(5);
    let names = [
        "api-1",
        "api-2",
        "cache-1",
        "cache-2",
        "etl-8",
        "etl-9",
        "logs-ja-日本語",
        "web-1",
        "web-2",
        "web-3",
    ];
    for (number, name) in (1..).zip(names) {
        changes.push(log.submit(number, name, "shop/web:1.9"));
    }
    log.after(1);
    for (number, worker) in [(1, 1), (2, 2), (3, 1), (4, 4), (5, 4), (7, 2), (8, 1), (9, 2), (10, 4)] {
        changes.push(log.schedule(number, &format!("worker-{worker}:5555")));
    }
    log.after(2);
    for number in [1, 3, 4, 5, 7, 8, 9, 10] {
        changes.push(log.run(number));
    }
    changes.push(log.waiting(6, "no worker fits: memory 0/5"));
    log.after(250);
    changes.push(log.observe(5, |status| {
        status.state = State::Failed;
        status.exit_code = Some(137);
        status.reason = "out of memory (exit code 137)".into();
        status.finish_time = Some(start() + SignedDuration::from_secs(250));
    }));
    changes.push(log.observe(3, |status| {
        status.state = State::Completed;
        status.exit_code = Some(0);
        status.finish_time = Some(start() + SignedDuration::from_secs(255));
    }));
    changes.push(log.change(Cause::Dashboard, What::StopRequested { task: task_id(9) }));
    changes.push(log.worker("worker-4:5555", WorkerHealth::Stale, |worker| {
        worker.reason = "no heartbeat for 7s".into();
    }));
    changes
}

fn sample(model: &mut Model, worker: &str, cpu: f64, log: &Log) {
    let sample = Sample {
        time: log.now,
        cpu_percent: Some(cpu),
        memory_used_bytes: 6 << 30,
        memory_total_bytes: 16 << 30,
        disk_used_bytes: 29 << 30,
        disk_total_bytes: 100 << 30,
        load: [2.4, 2.1, 1.8],
        task_count: 4,
        tasks: vec![TaskUse { task: task_id(1), cpu_percent: Some(33.0), memory_bytes: 512 << 20 }],
    };
    let sample = WorkerSample { worker: WorkerId::from(worker), sample };
    update(model, Event::Feed(FeedItem::Sample(Arc::new(sample))));
}

/// A task that failed seven times in a row, beside one that failed once and one that runs. `before_start` seconds
/// are left before the next start.
pub(super) fn crash_looping(width: u16, height: u16, before_start: i64) -> Model {
    let mut model = empty(width, height);
    let mut log = Log::new();
    let mut changes = vec![log.worker("worker-1:5555", WorkerHealth::Ready, |_| {})];
    for (number, name) in [(1, "web-1"), (2, "queue-1"), (3, "import-7")] {
        changes.push(log.submit(number, name, "shop/web:1.9"));
    }
    changes.push(log.schedule(1, "worker-1:5555"));
    changes.push(log.run(1));
    for in_a_row in 1..=6 {
        changes.extend(log.crash(2, "worker-1:5555", in_a_row));
    }
    changes.extend(log.crash(3, "worker-1:5555", 1));
    changes.extend(log.crash(2, "worker-1:5555", 7));
    for change in changes {
        feed(&mut model, change);
    }
    at(&mut model, log.now - SignedDuration::from_secs(before_start));
    model
}

/// A task that waits for room, and one that was chosen a place among several; what is promised is promised to others.
pub(super) fn crowded(width: u16, height: u16) -> Model {
    let mut model = busy(width, height);
    let mut log = Log { revision: model.cluster.revision(), now: model.now };
    for (number, name, cpu, gib, worker) in [
        (21, "hog-1", 6.0, 10, Some("worker-1:5555")),
        (22, "hog-2", 1.0, 8, Some("worker-2:5555")),
        (23, "etl-10", 4.0, 12, None),
    ] {
        let mut change = log.submit(number, name, "shop/etl:2");
        if let What::Submitted { task, .. } = &mut Arc::make_mut(&mut change).what {
            let spec = Arc::make_mut(&mut task.spec);
            (spec.cpu, spec.memory_bytes) = (cpu, gib << 30);
        }
        feed(&mut model, change);
        let Some(worker) = worker else { continue };
        let term = |name: &str, value| Term { name: name.into(), value };
        let placement = Placement {
            scheduler: SchedulerName::Epvm,
            score: 0.91,
            terms: vec![term("cpu", 0.4), term("memory", 0.51)],
            feasible: 2,
            runners_up: vec![RunnerUp { worker: "worker-4:5555".into(), score: 1.02 }],
            rejected: vec![RejectedBy { filter: "readiness".into(), workers: 1 }],
        };
        let (task, worker, placement) = (task_id(number), worker.into(), Some(Box::new(placement)));
        feed(
            &mut model,
            log.change(Cause::Scheduler, What::Scheduled { task, worker, generation: 0, placement }),
        );
        feed(&mut model, log.run(number));
    }
    let now = model.now + SignedDuration::from_secs(38);
    at(&mut model, now);
    model
}

/// What the manager answers when it is asked why.
pub(super) fn answer_why(model: &mut Model, number: u64) {
    let task = task_id(number);
    let record = model.cluster.task(task).unwrap();
    let explanation = record.queued.is_some().then(|| {
        let loads = crate::scheduler::Loads::default();
        let view = View { cluster: &model.cluster, loads: &loads };
        explain(view, &Request::new(&record.task.spec, &model.cluster), |_| None, 100)
    });
    let why = Why::new(&model.cluster, record, explanation);
    update(model, Event::Why { task, result: Ok(Box::new(why)) });
}

/// Many running tasks, straight into a mirror.
pub(super) fn many(count: u64) -> Cluster {
    let mut log = Log::new();
    let mut cluster = Cluster::default();
    cluster.apply(&log.worker("worker-1:5555", WorkerHealth::Ready, |_| {}));
    for number in 1..=count {
        cluster.apply(&log.submit(number, &format!("web-{number}"), "shop/web:1.9"));
        cluster.apply(&log.schedule(number, "worker-1:5555"));
        cluster.apply(&log.run(number));
    }
    cluster
}

pub(super) fn feed(model: &mut Model, change: Arc<Change>) {
    update(model, Event::Feed(FeedItem::Change(change)));
}

pub(super) fn at(model: &mut Model, now: Timestamp) -> Vec<Action> {
    update(model, Event::Clock(now))
}

/// Presses keys: each a character, or a name in angle brackets (`<Enter>`, `<C-c>`). What the form's preview asks
/// meanwhile is left out.
pub(super) fn press(model: &mut Model, keys: &str) -> Vec<Action> {
    let mut actions = Vec::new();
    let mut rest = keys;
    while let Some(char) = rest.chars().next() {
        let (name, after) = match rest.strip_prefix('<').and_then(|rest| rest.split_once('>')) {
            Some((name, after)) => (name, after),
            None => rest.split_at(char.len_utf8()),
        };
        rest = after;
        let (code, modifiers) = match name {
            "Enter" => (KeyCode::Enter, KeyModifiers::NONE),
            "Esc" => (KeyCode::Esc, KeyModifiers::NONE),
            "Tab" => (KeyCode::Tab, KeyModifiers::NONE),
            "Up" => (KeyCode::Up, KeyModifiers::NONE),
            "Down" => (KeyCode::Down, KeyModifiers::NONE),
            "Left" => (KeyCode::Left, KeyModifiers::NONE),
            "Right" => (KeyCode::Right, KeyModifiers::NONE),
            "Backspace" => (KeyCode::Backspace, KeyModifiers::NONE),
            name if name.len() > 1 && name.starts_with('F') => {
                (KeyCode::F(name[1..].parse().unwrap()), KeyModifiers::NONE)
            }
            name if name.starts_with("C-") => {
                (KeyCode::Char(name.chars().last().unwrap()), KeyModifiers::CONTROL)
            }
            name => (KeyCode::Char(name.chars().next().unwrap()), KeyModifiers::NONE),
        };
        actions.extend(update(model, Event::Key(KeyEvent::new(code, modifiers))));
    }
    let is_asked =
        |action: &Action| matches!(action, Action::Plan(_) | Action::ReadTaskFile(_, Purpose::Preview));
    actions.retain(|action| !is_asked(action));
    actions
}

/// The two tasks of the logs say so many lines, with all that may be in them.
pub(super) fn say(model: &mut Model, lines: u64) {
    let line = |number: u64| {
        let (task, name) = if number.is_multiple_of(2) { (1, "api-1") } else { (2, "api-2") };
        let text = match number % 7 {
            0 => format!("\x1b[31mERROR\x1b[0m pool exhausted \x1b]52;c;eA==\x07after {number} requests"),
            3 => format!("GET /cart/{number} 200 {}", "a long line that goes on and on ".repeat(6)),
            5 => format!("注文 {number} を処理しました\tok"),
            _ => format!("GET /cart/{number} 200 12ms"),
        };
        LogItem::Line(TaskLine {
            task: task_id(task),
            name: name.into(),
            time: start() + SignedDuration::from_secs(i64::try_from(number).unwrap()),
            stream: if number.is_multiple_of(7) { OutputStream::Stderr } else { OutputStream::Stdout },
            text,
        })
    };
    let mut items: Vec<LogItem> = (0..lines).map(line).collect();
    items.push(LogItem::Note {
        task: task_id(1),
        name: "api-1".into(),
        text: "started again on worker-2:5555".into(),
    });
    let request = model.log_requests;
    update(model, Event::Logs { request, items });
}

/// What the screen shows, as text.
pub(super) fn screen(model: &Model) -> String {
    render_once(model, Format::Text)
}
