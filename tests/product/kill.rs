//! kill -9 of everything, of the worker, of the manager; then a start on the same folder: the same containers, the
//! right states, nothing started twice.

use std::time::{Duration, Instant};

use cube_tui::{
    client::WorkerClient,
    cluster::TaskRecord,
    task::{State, TaskId},
};
use libtest_mimic::Trial;
use rustix::process::Signal;
use serde_json::json;

use super::stage::{Stage, trial};
use super::support::{
    process::{Manager, Running},
    wait_for,
    worker::PATIENCE,
};

pub fn tests() -> Vec<Trial> {
    vec![
        trial("a_killed_process_finds_its_containers_again_ten_times", whole_process),
        trial("a_killed_worker_finds_its_containers_again_ten_times", worker),
        trial("a_killed_manager_finds_its_tasks_again", manager),
        trial("what_ended_while_everything_was_dead_is_told_after_the_start", ended_meanwhile),
        trial("a_process_killed_in_the_middle_of_starts_starts_nothing_twice", middle_of_starts),
    ]
}

/// From the start of the process to the right states.
const RIGHT_WITHIN: Duration = Duration::from_secs(5);

const NODE: &str = "--no-ui --data-dir data --output json";

/// Containers and restarts of tasks, in order.
fn containers(records: &[TaskRecord]) -> Vec<(String, u32)> {
    let of = |record: &TaskRecord| (record.status().container_id.clone(), record.status().restart_count);
    records.iter().map(of).collect()
}

/// Waits until manager and worker both say that `tasks` are Running, from `start` on within the deadline.
async fn found_again(start: Instant, manager: &Manager, worker: u16, tasks: &[TaskId]) -> Vec<TaskRecord> {
    let client = WorkerClient::new(manager.http.clone(), &format!("127.0.0.1:{worker}").as_str().into());
    let left = RIGHT_WITHIN.saturating_sub(start.elapsed());
    // The manager's store says Running from before: it is the worker that has to know them again.
    wait_for("the worker has adopted them", left, async || {
        let known = client.tasks().await.ok()?;
        let is_running =
            |id: &TaskId| known.iter().any(|task| task.id == *id && task.status.state == State::Running);
        tasks.iter().all(is_running).then_some(())
    })
    .await;
    let left = RIGHT_WITHIN.saturating_sub(start.elapsed());
    wait_for("the worker is ready, and its tasks are Running", left, async || {
        let cluster = manager.client.snapshot().await.ok()?;
        // One that was killed three times within a minute is heard, and yet to be trusted with new work.
        let is_ready = cluster
            .workers()
            .iter()
            .all(|worker| worker.takes_work() || worker.reason.starts_with("flapping"));
        let records: Vec<_> = tasks.iter().map(|id| cluster.task(*id)).collect::<Option<_>>()?;
        (is_ready && records.iter().all(|record| record.state() == State::Running)).then_some(records)
    })
    .await
}

async fn submit_three(stage: &Stage, manager: &Manager) -> Vec<TaskId> {
    let mut web = stage.task("web", &["http", "7777"]);
    web["PortBindings"] = json!({"7777/tcp": ""});
    web["RestartPolicy"] = json!("always");
    let mut tasks = Vec::new();
    for task in [web, stage.sleeper("one"), stage.sleeper("two")] {
        tasks.push(manager.submit(&task).await);
    }
    tasks
}

/// Stops all and looks whether it worked.
async fn stop_all(stage: &Stage, manager: &Manager, tasks: &[TaskId]) {
    for task in tasks {
        assert_eq!(manager.stop(*task).await, 204);
    }
    manager.all_in(State::Completed, tasks).await;
    assert_eq!(stage.containers().await, [""; 0]);
}

async fn whole_process(stage: Stage) {
    let mut node = stage.home.start(NODE);
    let manager = node.manager().await;
    let tasks = submit_three(&stage, &manager).await;
    let before = containers(&manager.all_in(State::Running, &tasks).await);
    for round in 0..10 {
        node.end(Signal::KILL).await;
        let start = Instant::now();
        node = stage.home.start(NODE);
        let manager = node.manager().await;
        let worker = node.port_of("worker").await;
        let after = found_again(start, &manager, worker, &tasks).await;
        assert_eq!(containers(&after), before, "round {round}");
    }
    assert_eq!(stage.containers().await.len(), 3);
    assert_eq!(stage.starts().await, 3, "nothing was started twice");
    let manager = node.manager().await;
    stop_all(&stage, &manager, &tasks).await;
}

/// A worker as a process of its own on `port` (0: a free one), and its port.
async fn worker_on(stage: &Stage, port: u16) -> (Running, u16) {
    let mut worker =
        stage.home.start(&format!("worker --listen localhost:{port} --data-dir worker --output json"));
    let port = worker.port_of("worker").await;
    (worker, port)
}

async fn worker(stage: Stage) {
    let (mut worker, port) = worker_on(&stage, 0).await;
    let mut node = stage.home.start(&format!("{NODE} --no-local-worker --worker localhost:{port}"));
    let manager = node.manager().await;
    let tasks = submit_three(&stage, &manager).await;
    let before = containers(&manager.all_in(State::Running, &tasks).await);
    for round in 0..10 {
        worker.end(Signal::KILL).await;
        let start = Instant::now();
        (worker, _) = worker_on(&stage, port).await;
        let after = found_again(start, &manager, port, &tasks).await;
        assert_eq!(containers(&after), before, "round {round}");
    }
    assert_eq!(stage.starts().await, 3, "nothing was started twice");
    stop_all(&stage, &manager, &tasks).await;
}

async fn manager(stage: Stage) {
    let (_worker, port) = worker_on(&stage, 0).await;
    let line = format!("{NODE} --no-local-worker --worker localhost:{port}");
    let mut node = stage.home.start(&line);
    let tasks = submit_three(&stage, &node.manager().await).await;
    let before = containers(&node.manager().await.all_in(State::Running, &tasks).await);
    for round in 0..3 {
        node.end(Signal::KILL).await;
        let start = Instant::now();
        node = stage.home.start(&line);
        let after = found_again(start, &node.manager().await, port, &tasks).await;
        assert_eq!(containers(&after), before, "round {round}");
    }
    assert_eq!(stage.starts().await, 3, "nothing was started twice");
    stop_all(&stage, &node.manager().await, &tasks).await;
}

async fn ended_meanwhile(stage: Stage) {
    let mut node = stage.home.start(NODE);
    let manager = node.manager().await;
    let stays = manager.submit(&stage.sleeper("stays")).await;
    let good = manager.submit(&stage.task("good", &["exit", "0", "4000"])).await;
    let bad = manager.submit(&stage.sleeper("killed")).await;
    let removed = manager.submit(&stage.sleeper("removed")).await;
    let records = manager.all_in(State::Running, &[stays, good, bad, removed]).await;
    let container = |index: usize| records[index].status().container_id.clone();
    node.end(Signal::KILL).await;
    stage.kill(&container(2), "TERM").await;
    stage.remove(&container(3)).await;
    wait_for("the good one has ended", PATIENCE, async || {
        (!stage.is_running(&container(1)).await).then_some(())
    })
    .await;

    let start = Instant::now();
    let mut node = stage.home.start(NODE);
    let manager = node.manager().await;
    let ended = |record: &TaskRecord| record.state().has_ended();
    let mut told = Vec::new();
    for task in [good, bad, removed] {
        let left = RIGHT_WITHIN.saturating_sub(start.elapsed());
        let record = manager.until("its end is told", left, task, ended).await;
        told.push((record.state(), record.status().exit_code));
    }
    let expected = [(State::Completed, Some(0)), (State::Failed, Some(143)), (State::Failed, None)];
    assert_eq!(told, expected);
    let cluster = manager.cluster().await;
    assert!(!cluster.task(removed).unwrap().status().reason.is_empty(), "it says why");
    assert_eq!(cluster.task(stays).unwrap().status().container_id, container(0));
    assert_eq!(cluster.task(stays).unwrap().state(), State::Running);
    assert_eq!(stage.starts().await, 4);
}

/// What was accepted runs once, whatever point its start had reached.
async fn middle_of_starts(stage: Stage) {
    let mut node = stage.home.start(NODE);
    let mut tasks = Vec::new();
    for round in 0..5_u64 {
        let manager = node.manager().await;
        for number in 0..2 {
            tasks.push(manager.submit(&stage.sleeper(&format!("{round}-{number}"))).await);
        }
        // Each round gets a little further.
        let further = tokio::time::timeout(Duration::from_millis(60 * round), node.ended()).await;
        assert!(further.is_err(), "it goes on");
        node.end(Signal::KILL).await;
        node = stage.home.start(NODE);
    }
    let manager = node.manager().await;
    let records = manager.all_in(State::Running, &tasks).await;
    let mut ids: Vec<_> = records.iter().map(|record| record.status().container_id.clone()).collect();
    ids.sort_unstable();
    assert_eq!(stage.containers().await, ids, "one container for each task, and no other");
    assert_eq!(stage.starts().await, tasks.len(), "nothing was started twice");
    stop_all(&stage, &manager, &tasks).await;
}
