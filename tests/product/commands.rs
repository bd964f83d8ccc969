//! The commands on a manager that runs: what they do there, and that nothing in a name reaches the terminal raw.

use std::time::Duration;

use axum::{Json, Router, http::StatusCode, routing::get};
use cube_tui::task::{State, TaskId, is_unprintable};
use libtest_mimic::Trial;
use rustix::process::Signal;
use serde_json::{Value, json};
use uuid::Uuid;

use super::stage::{Stage, trial};
use super::support::{
    process::{Ended, Home, Running},
    wait_for,
    worker::PATIENCE,
};

pub fn tests() -> Vec<Trial> {
    vec![
        trial("a_restart_runs_a_task_in_a_new_container_on_its_worker", restart),
        trial("a_task_that_never_fits_is_not_waited_for", never_fits),
        trial("a_forgotten_workers_task_starts_elsewhere", forget),
        trial("lists_follow_and_top_tells_what_a_task_uses", follow),
        without_engine("what_names_and_environments_hold_reaches_no_terminal_raw", names),
        without_engine("a_manager_that_hangs_is_told_of_after_two_seconds", hangs),
    ]
}

fn without_engine<R: Future<Output = ()> + 'static>(name: &'static str, test: fn() -> R) -> Trial {
    Trial::test(name, move || {
        tokio::runtime::Runtime::new()?.block_on(test());
        Ok(())
    })
}

/// Runs `line` on the manager at `port`.
pub(super) fn on(home: &Home, port: u16, line: &str) -> Ended {
    let mut command = home.command(line);
    command.env("CUBE_MANAGER_PORT", port.to_string());
    Ended::of(command)
}

async fn restart(stage: Stage) {
    let mut node = stage.home.start("--no-ui --data-dir data --output json");
    let (manager, port) = (node.manager().await, node.port_of("manager").await);
    let task = manager.submit(&stage.sleeper("web")).await;
    let before = manager.until_state(task, State::Running).await;
    let ended = on(&stage.home, port, "restart web --wait --timeout 60s --output json").expect(0, &[]);
    let last = ended.last_line_of("web");
    assert_eq!((&last["state"], &last["task"]["RestartCount"]), (&json!("Running"), &json!(1)));
    let after = manager.until_state(task, State::Running).await;
    assert_ne!(after.status().container_id, before.status().container_id);
    assert_eq!(after.status().generation, before.status().generation + 1);
    assert_eq!(stage.containers().await, [after.status().container_id.clone()], "the old one is gone");
    // What has been stopped runs again, too.
    on(&stage.home, port, "stop web --wait").expect(0, &[]);
    let started = on(&stage.home, port, "restart web").expect(0, &[]);
    assert!(started.stdout.starts_with("restarting web"), "{}", started.stdout);
    manager.until("it runs again", PATIENCE, task, |record| record.state() == State::Running).await;
}

async fn never_fits(stage: Stage) {
    let mut node = stage.home.start("--no-ui --data-dir data --output json");
    let port = node.port_of("manager").await;
    let mut huge = stage.sleeper("huge");
    huge["Cpu"] = json!(4000);
    stage.home.write("tasks.json", &huge);
    let waited = on(&stage.home, port, "submit tasks.json --wait --timeout 60s");
    let waited = waited.expect(1, &["huge", "could not be placed", "cube-tui stop"]);
    assert!(waited.stdout.contains("never fits: local has"), "{}", waited.stdout);
    // Nor is what it would have said.
    let run = format!("run {} --cpu 4000 --wait", stage.image.name);
    on(&stage.home, port, &run)
        .expect(125, &["never fits: local has", "could not be placed", "cube-tui stop"]);
}

async fn forget(stage: Stage) {
    let worker = async |name: &str| {
        let line = format!("worker --listen localhost:0 --data-dir {name} --output json");
        let mut process = stage.home.start(&line);
        let port = process.port_of("worker").await;
        (process, format!("localhost:{port}"))
    };
    let ((mut gone, first), (_other, second)) = (worker("a").await, worker("b").await);
    let start = |workers: &str| {
        stage.home.start(&format!("--no-ui --no-local-worker --data-dir data --output json {workers}"))
    };
    let mut node = start(&format!("--worker {first}"));
    let manager = node.manager().await;
    let task = manager.submit(&stage.sleeper("web")).await;
    manager.until_state(task, State::Running).await;
    node.end(Signal::TERM).await;
    gone.end(Signal::TERM).await;
    let mut node = start(&format!("--worker {second}"));
    let (manager, port) = (node.manager().await, node.port_of("manager").await);
    on(&stage.home, port, &format!("forget {second}")).expect(2, &["is a worker of this run"]);
    let forgot = on(&stage.home, port, &format!("forget {first}")).expect(0, &[]);
    assert!(forgot.stdout.contains(&format!("forgot {first}")), "{}", forgot.stdout);
    let workers = on(&stage.home, port, "workers --output json").expect(0, &[]).json();
    assert_eq!(workers.iter().map(|line| &line["worker"]).collect::<Vec<_>>(), [&json!(second)]);
    let is_there = || async {
        let cluster = manager.client.snapshot().await.ok()?;
        let runs = cluster.task(task)?.state() == State::Running;
        let home = cluster.worker_of(task)?.to_string();
        (runs && home == second).then_some(())
    };
    wait_for("it runs on the other worker", PATIENCE, is_there).await;
}

async fn follow(stage: Stage) {
    let mut node = stage.home.start("--no-ui --data-dir data --output json");
    let (manager, port) = (node.manager().await, node.port_of("manager").await);
    let follow = |line: &str| {
        let mut command = stage.home.command(line);
        command.env("CUBE_MANAGER_PORT", port.to_string());
        Running::start(command)
    };
    let mut events = follow("events --follow --output json");
    let mut listed = follow("ps --watch --state running --output json");
    let task = manager.submit(&stage.sleeper("web")).await;
    let is =
        |state: &'static str| move |line: &Value| line["task"]["Name"] == "web" && line["state"] == state;
    for state in ["Pending", "Scheduled", "Running"] {
        events.line(state, is(state)).await;
    }
    listed.line("Running", is("Running")).await;
    assert!(!listed.json().iter().any(is("Pending")), "only what runs was asked for");
    let top = on(&stage.home, port, "top --once --output json").expect(0, &[]).json();
    let load = top.iter().find(|line| line["task"]["Name"] == "web").expect("it runs");
    assert_eq!((&load["type"], &load["task"]["ID"]), (&json!("load"), &json!(task)));
    assert!(load["memory_bytes"].is_u64(), "{load}");
    manager.stop(task).await;
    // That it no longer runs is told, although no longer asked for.
    listed.line("Completed", is("Completed")).await;
    for process in [&mut events, &mut listed] {
        assert_eq!(process.end(Signal::INT).await.code(), Some(0), "{}", process.stderr());
    }
}

/// ESC, OSC 52 (writes the clipboard), CR, C1, a mark that turns the writing around, a tag that shows as nothing.
const EVIL: &str = "evil\x1b[2J\x1b]52;c;aGk=\x07\rx\u{9b}31m\u{202e}gpj.exe\u{e0041}";

#[track_caller]
fn assert_harmless(line: &str, text: &str) {
    let raw: String = text.chars().filter(|c| *c != '\n' && is_unprintable(*c)).collect();
    assert!(raw.is_empty(), "{line}: {raw:?} in {text:?}");
}

/// A worker of the book that has a task of such a name, and refuses any other with such words.
async fn evil_worker(task: Uuid) -> (String, tokio::task::JoinHandle<()>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let task = json!({
        "ID": task, "ContainerID": EVIL, "Name": EVIL, "State": 2, "Image": EVIL, "Env": [format!("A={EVIL}")],
        "RestartCount": 0,
    });
    let refusal = || async {
        (StatusCode::BAD_REQUEST, Json(json!({"HTTPStatusCode": 400, "Message": format!("no: {EVIL}")})))
    };
    let list = json!([task]);
    let router =
        Router::new().route("/tasks", get(move || std::future::ready(Json(list.clone()))).post(refusal));
    let serving = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    (address, serving)
}

async fn names() {
    let home = Home::without_engine();
    let id = Uuid::new_v4();
    let (worker, serving) = evil_worker(id).await;
    let mut node = home.start(&format!("--no-ui --no-local-worker --data-dir data --worker {worker}"));
    let port = wait_for("it listens", PATIENCE, || {
        let said = node.stdout();
        let port = said.lines().find_map(|line| line.split_once("manager localhost:")?.1.parse::<u16>().ok());
        std::future::ready(port)
    })
    .await;
    let manager = super::support::process::Manager::at(port);
    // The only ways in: the doors for people refuse such names.
    let recovered = on(&home, port, "recover --data-dir data").expect(0, &[]);
    assert!(recovered.stdout.contains("1 task taken over"), "{}", recovered.stdout);
    assert_harmless("recover", &recovered.stdout);
    assert_eq!(manager.cluster().await.task(TaskId(id)).unwrap().task.spec.name, EVIL);
    let other = manager.submit(&json!({"Name": "other", "Image": "alpine"})).await;
    manager.until("it is refused", PATIENCE, other, |record| record.status().reason.contains(EVIL)).await;
    let mut outputs = Vec::new();
    for line in [
        "ps",
        "ps --output json",
        "workers",
        "events",
        "events --output json",
        &format!("inspect {id}"),
        &format!("inspect {id} --output json"),
        &format!("restart {id}"),
        "top --once",
        &format!("logs {id}"),
        "logs other",
        &format!("exec {id} -- true"),
        &format!("stop {id}"),
        &format!("restart {id} --output json"),
        &format!("stop {id} --wait --timeout 1s --output json"),
        &format!("stop {id} --wait --timeout 1s"),
        &format!("stop {EVIL}"),
        &format!("inspect {EVIL}"),
        &format!("forget {EVIL}"),
        &format!("submit {EVIL}"),
        &format!("run {EVIL}"),
        &format!("run alpine --name {EVIL}"),
        &format!("ps --state {EVIL}"),
    ] {
        let ended = on(&home, port, line);
        assert_harmless(line, &ended.stdout);
        assert_harmless(line, &ended.stderr);
        outputs.push(ended.stdout);
    }
    assert!(outputs[0].contains("evil") && outputs[1].contains("\\u009b"), "{outputs:?}");
    let mut watch = home.command("ps --watch");
    watch.env("CUBE_MANAGER_PORT", port.to_string());
    let mut watch = Running::start(watch);
    wait_for("it lists", PATIENCE, || std::future::ready(watch.stdout().contains("evil").then_some(())))
        .await;
    watch.end(Signal::INT).await;
    assert_harmless("ps --watch", &watch.stdout());
    node.end(Signal::TERM).await;
    serving.abort();
    assert!(node.stdout().contains("evil"), "{}", node.stdout());
    assert_harmless("--no-ui", &node.stdout());
}

async fn hangs() {
    let home = Home::without_engine();
    let mut node = home.start("--no-ui --no-local-worker --data-dir data --output json");
    let port = node.port_of("manager").await;
    node.signal(Signal::STOP);
    let mut command = home.command("ps");
    command.env("CUBE_MANAGER_PORT", port.to_string());
    let mut ps = Running::start(command);
    let words = format!("waiting for the manager at http://localhost:{port}");
    wait_for("the word", Duration::from_secs(20), || {
        std::future::ready(ps.stderr().contains(&words).then_some(()))
    })
    .await;
    node.signal(Signal::CONT);
    assert_eq!(ps.ended().await.code(), Some(0), "{}", ps.stderr());
}
