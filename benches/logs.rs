//! How fast `cube-tui logs` hands over what a container has said, beside `docker logs` of the same container, as whole
//! processes in turns. Where the engine has no command line, beside nothing. `cargo bench --bench logs`

#![expect(clippy::unwrap_used, reason = "a bench that fails may panic")]

mod measure;
#[path = "../tests/support/mod.rs"]
mod support;

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use cube_tui::client::{ManagerClient, http_client};
use cube_tui::cluster::Cause;
use cube_tui::task::{NetworkMode, State, Task, TaskEvent, TaskId, TaskSpec};
use jiff::Timestamp;
use measure::{Goal, cpu_time, median, ms, tell, tell_load};
use support::{Image, wait_for};

const PROGRAM: &str = env!("CARGO_BIN_EXE_cube-tui");
const LINES: usize = 300_000;
const REPETITIONS: usize = 5;
const PATIENCE: Duration = Duration::from_mins(2);

fn main() {
    if !measure::is_bench() {
        return;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let Some(docker) = support::engine().await else {
            println!("skipped: {}", support::NO_ENGINE);
            return;
        };
        tell_load();
        let image = Image::build(&docker).await;
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("policy.toml"), "host_network = true\n").unwrap();
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let node = Node(node(folder.path(), port));
        let (task, container) = say(&image, port).await;
        rates(folder.path(), port, node.0.id(), &container);
        tell_load();
        drop(node);
        support::remove_containers(&docker, &format!("cube.task={task}")).await;
        image.remove(&docker).await;
    });
}

/// A manager and a worker in a process of their own.
struct Node(Child);

impl Drop for Node {
    fn drop(&mut self) {
        let _ = rustix::process::kill_process(
            rustix::process::Pid::from_child(&self.0),
            rustix::process::Signal::TERM,
        );
        let _ = self.0.wait();
    }
}

fn node(folder: &Path, port: u16) -> Child {
    let mut command = cube(folder, port);
    command.arg("--no-ui").arg("--data-dir").arg(folder).stdout(Stdio::null()).spawn().unwrap()
}

fn cube(folder: &Path, port: u16) -> Command {
    let mut command = Command::new(PROGRAM);
    command.stderr(Stdio::null());
    command.env("HOME", folder).env("CUBE_PORT", "0").env("CUBE_MANAGER_PORT", port.to_string());
    command
}

/// Has a task say its lines, and tells it and its container.
async fn say(image: &Image, port: u16) -> (TaskId, String) {
    let spec = TaskSpec {
        name: "chatter".to_owned(),
        image: image.name.clone(),
        cmd: vec!["spam".to_owned(), LINES.to_string()],
        network_mode: NetworkMode::Host,
        ..TaskSpec::default()
    };
    let id = TaskId::random();
    let event = TaskEvent::start(Task { id, spec: spec.into(), ..Task::default() }, Timestamp::now());
    let manager = ManagerClient::new(http_client(), &format!("http://localhost:{port}"));
    let client = &manager;
    let events = &[event];
    let submitted = async || client.submit(events, Cause::Command).await.ok();
    wait_for("a manager", PATIENCE, submitted).await;
    let ended = async || {
        let cluster = client.snapshot().await.ok()?;
        let record = cluster.task(id)?;
        (record.state() == State::Completed).then(|| record.task.status.container_id.clone())
    };
    (id, wait_for("the end of a task that only speaks", PATIENCE, ended).await)
}

#[expect(clippy::cast_precision_loss, reason = "a count of lines")]
fn rates(folder: &Path, port: u16, node: u32, container: &str) {
    let has_docker =
        Command::new("docker").arg("version").output().is_ok_and(|output| output.status.success());
    let (mut ours, mut theirs, mut cpu) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..REPETITIONS {
        if has_docker {
            theirs.push(rate(Command::new("docker").args(["logs", container])));
        }
        let before = cpu_time(node);
        ours.push(rate(cube(folder, port).args(["logs", "chatter"])));
        cpu.push(ms(cpu_time(node).saturating_sub(before)) * 1_000.0 / LINES as f64);
    }
    tell("", &format!("cube-tui logs of {LINES} lines, in lines"), median(&ours), "/s", Goal::None);
    tell("", "  CPU of manager and worker a line", median(&cpu), "us", Goal::None);
    if has_docker {
        tell("", "docker logs of the same", median(&theirs), "/s", Goal::None);
        tell("", "  ours beside it", median(&ours) / median(&theirs), "x", Goal::None);
    }
}

/// Lines a second of a whole process, which has to print them all.
fn rate(command: &mut Command) -> f64 {
    use std::io::{BufRead as _, BufReader};
    let start = Instant::now();
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut out = BufReader::with_capacity(1 << 16, child.stdout.take().unwrap());
    let (mut lines, mut line) = (0, Vec::new());
    while out.read_until(b'\n', &mut line).unwrap() > 0 {
        lines += 1;
        line.clear();
    }
    assert!(child.wait().unwrap().success());
    assert_eq!(lines, LINES, "{command:?}");
    measure::per_second(LINES, start.elapsed())
}
