//! Rows 5 and 8: a worker's host is gone; a worker takes connections and never answers.

use std::time::{Duration, Instant};

use cube_tui::{
    cluster::{Cluster, What, WorkerHealth},
    task::{State, TaskId, WorkerId},
};
use jiff::Timestamp;
use libtest_mimic::Trial;
use rustix::process::Signal;
use serde_json::json;

use super::cluster::{Worker, kill, manager_line, manager_of, stop_all, worker_of};
use super::stage::{Stage, trial};
use super::support::{wait_for, worker::PATIENCE};

pub fn tests() -> Vec<Trial> {
    vec![
        trial("f05_the_tasks_of_a_host_that_is_gone_run_elsewhere_within_15_s", host_gone),
        trial("f08_a_worker_that_never_answers_delays_no_placement_on_the_others", never_answers),
        trial("a_worker_named_by_two_addresses_counts_once_and_its_tasks_run_on", two_addresses),
    ]
}

async fn host_gone(stage: Stage) {
    const LOST_WITHIN: Duration = Duration::from_secs(10);
    const RUNNING_WITHIN: Duration = Duration::from_secs(15);
    let (mut a, b) = (Worker::start(&stage, "a").await, Worker::start(&stage, "b").await);
    let (_node, manager) = manager_of(&stage, &[&a, &b]).await;
    let mut tasks = Vec::new();
    for number in 0..4 {
        tasks.push(manager.submit(&stage.sleeper(&format!("task-{number}"))).await);
    }
    let before = manager.all_in(State::Running, &tasks).await;
    let cluster = manager.cluster().await;
    let on_a: Vec<TaskId> =
        tasks.iter().copied().filter(|task| worker_of(&cluster, *task) == a.id()).collect();
    assert_eq!(on_a.len(), 2);

    let gone = Instant::now();
    kill(&mut a.process).await;
    for record in &before {
        if on_a.contains(&record.task.id) {
            stage.remove(&record.status().container_id).await;
        }
    }
    wait_for("it is lost", LOST_WITHIN.saturating_sub(gone.elapsed()), async || {
        let cluster = manager.cluster().await;
        (cluster.worker(&a.id())?.health == WorkerHealth::Lost).then_some(())
    })
    .await;
    for task in &on_a {
        let left = RUNNING_WITHIN.saturating_sub(gone.elapsed());
        let moved = |record: &cube_tui::cluster::TaskRecord| {
            record.state() == State::Running && record.status().generation == 1
        };
        let record = manager.until("its replacement runs", left, *task, moved).await;
        assert_eq!(record.status().restart_count, 0);
        let cluster = manager.cluster().await;
        assert_eq!(worker_of(&cluster, *task), b.id());
        let told = cluster.event_db().of_task(*task).find_map(|change| match &change.what {
            What::Moved { reason, .. } => Some(reason.clone()),
            _ => None,
        });
        let told = told.unwrap();
        assert!(told.contains(a.id().as_str()) && told.contains(b.id().as_str()), "cause and target: {told}");
    }
    a.again(&stage).await;
    wait_for("it is back", PATIENCE, async || {
        manager.cluster().await.worker(&a.id())?.takes_work().then_some(())
    })
    .await;
    assert_eq!(stage.containers().await.len(), tasks.len(), "each once");
    stop_all(&stage, &manager, &tasks).await;
}

async fn two_addresses(stage: Stage) {
    let worker = Worker::start(&stage, "a").await;
    let (mut node, manager) = manager_of(&stage, &[&worker]).await;
    let task = manager.submit(&stage.sleeper("web")).await;
    let before = manager.until_state(task, State::Running).await;
    node.end(Signal::TERM).await;

    let second: WorkerId = format!("127.0.0.1:{}", worker.port).as_str().into();
    let line = format!("{} --worker {second}", manager_line(&[&worker]));
    let mut node = stage.home.start(&line);
    let manager = node.manager().await;
    wait_for("one of them counts", PATIENCE, async || {
        let cluster = manager.cluster().await;
        let (first, second) = (cluster.worker(&worker.id())?, cluster.worker(&second)?);
        let is_told = second.reason.starts_with(&format!("it is {}, by a second address", worker.id()));
        (first.takes_work() && second.health == WorkerHealth::Lost && is_told).then_some(())
    })
    .await;
    let other = manager.submit(&stage.sleeper("other")).await;
    manager.until_state(other, State::Running).await;
    let after = manager.until_state(task, State::Running).await;
    assert_eq!(after.status().container_id, before.status().container_id);
    assert_eq!(stage.starts().await, 2, "nothing was started anew");
    stop_all(&stage, &manager, &[task, other]).await;
}

async fn never_answers(stage: Stage) {
    const PLACED_WITHIN: jiff::SignedDuration = jiff::SignedDuration::from_secs(1);
    let (a, b) = (Worker::start(&stage, "a").await, Worker::start(&stage, "b").await);
    let (_node, manager) = manager_of(&stage, &[&a, &b]).await;
    b.process.signal(Signal::STOP);
    let mut tasks = Vec::new();
    for number in 0..12 {
        let mut task = stage.sleeper(&format!("task-{number}"));
        task["NetworkMode"] = json!("none");
        tasks.push(manager.submit(&task).await);
    }
    let on_a = wait_for("all but what it was sent first run on the other", PATIENCE, async || {
        let cluster = manager.cluster().await;
        let placed = tasks.iter().map(|task| first_placed(&cluster, *task)).collect::<Option<Vec<_>>>()?;
        let on_a: Vec<_> = placed.into_iter().filter(|(worker, ..)| *worker == a.id()).collect();
        (on_a.len() >= tasks.len() / 2).then_some(on_a)
    })
    .await;
    let slowest = on_a.iter().map(|(_, submitted, placed)| placed.duration_since(*submitted)).max().unwrap();
    assert!(slowest <= PLACED_WITHIN, "{slowest:?}");

    b.process.signal(Signal::CONT);
    manager.all_in(State::Running, &tasks).await;
    stop_all(&stage, &manager, &tasks).await;
}

/// Where a task was sent first, when it was submitted, and when it was sent.
fn first_placed(cluster: &Cluster, task: TaskId) -> Option<(WorkerId, Timestamp, Timestamp)> {
    let mut submitted = None;
    for change in cluster.event_db().of_task(task) {
        match &change.what {
            What::Submitted { .. } => submitted = Some(change.time),
            What::Scheduled { worker, .. } => return Some((worker.clone(), submitted?, change.time)),
            _ => {}
        }
    }
    None
}
