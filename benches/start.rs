//! What the whole program costs before and after its work, in a pseudo-terminal: exec to the first frame and to the
//! first answer, keys, rest, memory, restarts (G12, G13, and what screens.md promises). `cargo bench --bench start`

#![expect(clippy::unwrap_used, reason = "a bench that fails may panic")]

mod measure;
#[path = "../tests/support/mod.rs"]
mod support;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use cube_tui::client::{ManagerClient, http_client};
use cube_tui::cluster::{Cause, Change, What, WorkerRecord};
use cube_tui::manager::store::{RedbStore, Store};
use cube_tui::task::{EventId, NetworkMode, State, Task, TaskEvent, TaskId, TaskSpec, TaskStatus, WorkerId};
use jiff::Timestamp;
use measure::{
    Goal, cpu_time, median, ms, percentile, product::tasks, pty::Pty, status_of, tell, tell_load, wake_ups,
};
use portable_pty::CommandBuilder;
use support::Image;

const PROGRAM: &str = env!("CARGO_BIN_EXE_cube-tui");
const STARTS: usize = 15;
/// With a port after it, this program is [`bare_server`].
const BARE: &str = "bare-server";
const KEYS: usize = 100;
const IDLE: Duration = Duration::from_mins(1);
const CONTAINERS: usize = 20;

fn main() {
    if !measure::is_bench() {
        return;
    }
    if let Some(port) = std::env::args().skip_while(|argument| argument != BARE).nth(1) {
        return bare_server(port.parse().unwrap());
    }
    tell_load();
    if std::env::args().any(|argument| argument == "restart") {
        return restart(100_000);
    }
    first_frame();
    first_answer();
    restart(10_000);
    restart(100_000);
    keys();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(idle());
    tell_load();
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// The dashboard on this data folder.
fn dashboard(folder: &Path, port: u16) -> Pty {
    let mut command = CommandBuilder::new(PROGRAM);
    command.arg("--data-dir");
    command.arg(folder);
    command.env("HOME", folder);
    command.env("TERM", "xterm-256color");
    command.env("CUBE_PORT", "0");
    command.env("CUBE_MANAGER_PORT", port.to_string());
    Pty::start(command, 200, 60)
}

/// Answers /healthz, and has nothing to read, keep or ask for: what a start takes on this machine, whoever's it is.
fn bare_server(port: u16) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let router = axum::Router::new().route("/healthz", axum::routing::get(async || "ok"));
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await.unwrap();
        axum::serve(listener, router).await.unwrap();
    });
}

fn headless(folder: &Path, port: u16) -> Child {
    Command::new(PROGRAM)
        .arg("--no-ui")
        .arg("--data-dir")
        .arg(folder)
        .env("CUBE_PORT", "0")
        .env("CUBE_MANAGER_PORT", port.to_string())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

fn terminate(mut child: Child) {
    let pid = rustix::process::Pid::from_child(&child);
    let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
    let _ = child.wait();
}

/// Until the manager answers; a refused connection is tried again at once.
fn until_healthy(port: u16) -> Instant {
    let deadline = Instant::now() + Duration::from_mins(1);
    loop {
        assert!(Instant::now() < deadline, "no answer on port {port}");
        let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else {
            std::thread::sleep(Duration::from_micros(200));
            continue;
        };
        stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        if stream.read_to_string(&mut answer).is_ok() && answer.starts_with("HTTP/1.1 200") {
            return Instant::now();
        }
    }
}

/// A program in the same pty, from exec until `text` is there; none where it is not installed.
fn others_first_frame(program: &str, text: &str) -> Option<f64> {
    Command::new("sh").args(["-c", &format!("command -v {program}")]).output().ok()?.status.success().then(
        || {
            let mut command = CommandBuilder::new(program);
            command.env("TERM", "xterm-256color");
            command.env("LANG", "C.UTF-8");
            let mut pty = Pty::start(command, 200, 60);
            let shown = pty.until_text(text) - pty.started;
            pty.quit();
            ms(shown)
        },
    )
}

fn first_frame() {
    let (mut ours, mut live, mut btop, mut top) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..STARTS {
        let folder = tempfile::tempdir().unwrap();
        let mut pty = dashboard(folder.path(), free_port());
        ours.push(ms(pty.until_text("cube") - pty.started));
        live.push(ms(pty.until_text("LIVE") - pty.started));
        pty.quit();
        btop.extend(others_first_frame("btop", "cpu"));
        top.extend(others_first_frame("top", "PID"));
    }
    tell("G13", "exec to first frame, median", median(&ours), "ms", Goal::AtMost(25.0));
    tell("", "exec to first frame, worst", percentile(&ours, 100), "ms", Goal::None);
    tell("", "exec to a live picture of the cluster, median", median(&live), "ms", Goal::None);
    for (name, times) in [("btop", btop), ("top", top)] {
        if !times.is_empty() {
            tell("", &format!("exec to first frame of {name}, median"), median(&times), "ms", Goal::None);
        }
    }
}

fn first_answer() {
    let (mut times, mut bare) = (Vec::new(), Vec::new());
    let mut memory = 0;
    for _ in 0..STARTS {
        let port = free_port();
        let start = Instant::now();
        let arguments = ["--bench".to_owned(), BARE.to_owned(), port.to_string()];
        let mut child = Command::new(std::env::current_exe().unwrap()).args(arguments).spawn().unwrap();
        bare.push(ms(until_healthy(port) - start));
        child.kill().unwrap();
        child.wait().unwrap();

        let folder = tempfile::tempdir().unwrap();
        let port = free_port();
        let start = Instant::now();
        let child = headless(folder.path(), port);
        times.push(ms(until_healthy(port) - start));
        std::thread::sleep(Duration::from_millis(200));
        memory = status_of(&format!("/proc/{}/status", child.id()), "VmRSS");
        terminate(child);
    }
    tell("G13", "exec to /healthz, median", median(&times), "ms", Goal::AtMost(10.0));
    tell(
        "",
        "  the same of a bare axum server (2.7 ms where the goal was set)",
        median(&bare),
        "ms",
        Goal::None,
    );
    tell("G13", "resident memory, empty, headless", mib(memory), "MiB", Goal::AtMost(20.0));
}

#[expect(clippy::cast_precision_loss, reason = "kilobytes")]
fn mib(kib: u64) -> f64 {
    kib as f64 / 1024.0
}

/// A store in which `count` tasks have come and gone.
fn fill(folder: &Path, count: usize) {
    // A store without its worker's id is refused: it would be a copy.
    std::fs::write(folder.join("worker-id"), uuid::Uuid::new_v4().to_string()).unwrap();
    let mut store = RedbStore::open(&folder.join("changes.redb")).unwrap();
    let now = Timestamp::now();
    let worker = WorkerId::from("worker-1");
    let mut revision = 0;
    let mut change = |what| {
        revision += 1;
        Arc::new(Change { revision, time: now, cause: Cause::Command, what })
    };
    let record = What::Worker { worker: WorkerRecord::new(worker.clone(), false, now) };
    store.append(&[change(record)]).unwrap();
    let numbers: Vec<usize> = (0..count).collect();
    for numbers in numbers.chunks(5_000) {
        let mut changes = Vec::new();
        for number in numbers {
            let id = TaskId::random();
            let name = format!("task-{number:06}");
            let spec = TaskSpec { name, image: "shop/web:1.9".to_owned(), ..TaskSpec::default() };
            let task = Task { id, spec: Arc::new(spec), ..Task::default() };
            let status = TaskStatus {
                state: State::Completed,
                container_id: "0123456789abcdef".repeat(4),
                start_time: Some(now),
                finish_time: Some(now),
                exit_code: Some(0),
                ..TaskStatus::default()
            };
            changes.push(change(What::Submitted { event: EventId::random(), task }));
            changes.push(change(What::scheduled(id, worker.clone(), 0)));
            changes.push(change(What::Observed { task: id, status }));
        }
        store.append(&changes).unwrap();
    }
    // As a manager does that is at rest.
    while store.has_put_off() {
        store.catch_up().unwrap();
    }
}

fn restart(count: usize) {
    let folder = tempfile::tempdir().unwrap();
    fill(folder.path(), count);
    let mut times = Vec::new();
    let mut memory = 0;
    for _ in 0..5 {
        let port = free_port();
        let start = Instant::now();
        let child = headless(folder.path(), port);
        times.push(ms(until_healthy(port) - start));
        memory = status_of(&format!("/proc/{}/status", child.id()), "VmRSS");
        terminate(child);
    }
    let goal = if count >= 100_000 { Goal::AtMost(800.0) } else { Goal::None };
    tell("G13", &format!("restart with {count} tasks, exec to /healthz, median"), median(&times), "ms", goal);
    tell("", &format!("resident memory with {count} tasks"), mib(memory), "MiB", Goal::None);
}

/// With 10,000 tasks in the list.
fn keys() {
    let folder = tempfile::tempdir().unwrap();
    fill(folder.path(), 10_000);
    let mut pty = dashboard(folder.path(), free_port());
    pty.until_text("LIVE");
    pty.until_text("task-000001");
    pty.listen(Duration::from_secs(1));
    let mut times = Vec::new();
    for number in 0..KEYS {
        // Out of step with everything that comes once a second.
        pty.listen(Duration::from_millis(37));
        let key = if number / 20 % 2 == 0 { "j" } else { "k" };
        let start = Instant::now();
        pty.press(key);
        let chunk = pty.chunks.recv_timeout(Duration::from_secs(5)).expect("a key shows");
        pty.screen.process(&chunk.bytes);
        times.push(ms(chunk.at - start));
    }
    pty.quit();
    tell("", "key to screen, 10,000 tasks, 200x60, p50", median(&times), "ms", Goal::None);
    tell("keys", "key to screen, 10,000 tasks, 200x60, p95", percentile(&times, 95), "ms", Goal::AtMost(8.0));
}

/// The dashboard at rest over running containers, looked at and not.
async fn idle() {
    let Some(docker) = support::engine().await else {
        println!("skipped: {}", support::NO_ENGINE);
        return;
    };
    let image = Image::build(&docker).await;
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("policy.toml"), "host_network = true\n").unwrap();
    let port = free_port();
    let mut pty = dashboard(folder.path(), port);
    pty.until_text("LIVE");
    tell("", "resident memory, empty, dashboard", mib(rss(&pty)), "MiB", Goal::None);
    let spec = TaskSpec {
        name: "idle".to_owned(),
        image: image.name.clone(),
        cmd: vec!["sleep".to_owned()],
        network_mode: NetworkMode::Host,
        stop_timeout_s: Some(1),
        ..TaskSpec::default()
    };
    let all: Vec<TaskEvent> =
        tasks(spec, CONTAINERS).into_iter().map(|task| TaskEvent::start(task, Timestamp::now())).collect();
    let ids: Vec<TaskId> = all.iter().map(|event| event.task.id).collect();
    let manager = ManagerClient::new(http_client(), &format!("http://localhost:{port}"));
    manager.submit(&all, Cause::Command).await.unwrap();
    pty.until_text(&format!("▸{CONTAINERS}"));
    pty.listen(Duration::from_secs(3));

    let [btop, top] = ["btop", "top"].map(others_at_rest);
    measure_rest(&mut pty, "focused", Goal::AtMost(300.0));
    // What a terminal says when the focus leaves it.
    pty.press("\x1b[O");
    pty.listen(Duration::from_secs(2));
    measure_rest(&mut pty, "unfocused", Goal::AtMost(0.0));
    for (name, other) in [("btop", btop), ("top", top)] {
        if let Some(other) = other {
            tell("", &format!("{name} at rest: CPU"), other.finish(), "%", Goal::None);
        }
    }
    manager.stop(&ids, Cause::Command).await.unwrap();
    let deadline = Instant::now() + Duration::from_secs(90);
    loop {
        let cluster = manager.snapshot().await.unwrap();
        if ids.iter().all(|id| cluster.task(*id).is_some_and(|record| record.state().has_ended())) {
            break;
        }
        assert!(Instant::now() < deadline, "containers are left");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    pty.quit();
    image.remove(&docker).await;
}

fn rss(pty: &Pty) -> u64 {
    status_of(&format!("/proc/{}/status", pty.pid()), "VmRSS")
}

fn measure_rest(pty: &mut Pty, name: &str, output: Goal) {
    let pid = pty.pid();
    let (cpu, wakes, start) = (cpu_time(pid), wake_ups(pid), Instant::now());
    let bytes = pty.listen(IDLE);
    let seconds = start.elapsed().as_secs_f64();
    let cpu = cpu_time(pid).saturating_sub(cpu).as_secs_f64() / seconds * 100.0;
    let with = format!("{CONTAINERS} containers, {name}");
    tell("G12", &format!("{with}: CPU of a core over {} s", IDLE.as_secs()), cpu, "%", Goal::AtMost(0.3));
    tell("G12", &format!("{with}: to the terminal"), rate(bytes as u64, seconds), "B/s", output);
    let wakes = wake_ups(pid) - wakes;
    tell("G12", &format!("{with}: wake-ups a second"), rate(wakes, seconds), "/s", Goal::AtMost(5.0));
}

#[expect(clippy::cast_precision_loss, reason = "counts of a minute")]
fn rate(count: u64, seconds: f64) -> f64 {
    count as f64 / seconds
}

/// Another program's rest, measured over the same time as ours.
struct Other {
    pty: Pty,
    cpu: Duration,
    start: Instant,
}

impl Other {
    fn finish(mut self) -> f64 {
        self.pty.listen(Duration::from_millis(10));
        let share = cpu_time(self.pty.pid()).saturating_sub(self.cpu).as_secs_f64()
            / self.start.elapsed().as_secs_f64();
        self.pty.quit();
        share * 100.0
    }
}

fn others_at_rest(program: &str) -> Option<Other> {
    let found = Command::new("sh").args(["-c", &format!("command -v {program}")]).output().ok()?;
    found.status.success().then(|| {
        let mut command = CommandBuilder::new(program);
        command.env("TERM", "xterm-256color");
        command.env("LANG", "C.UTF-8");
        let mut pty = Pty::start(command, 200, 60);
        pty.listen(Duration::from_secs(2));
        Other { cpu: cpu_time(pty.pid()), start: Instant::now(), pty }
    })
}
