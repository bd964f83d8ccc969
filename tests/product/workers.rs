//! Several workers as processes of their own on one engine, and what one that hangs or is dead does to the others.

use std::time::{Duration, Instant};

use cube_tui::{
    client::WorkerClient,
    cluster::{Cluster, TaskRecord},
    task::State,
    worker::report::{LEASE, LEASE_GRACE},
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
        trial("two_workers_on_one_engine_take_turns_and_adopt_only_their_own", two_workers),
        trial("a_worker_that_hangs_does_not_delay_another", hangs),
        trial("a_worker_that_is_down_at_dispatch_leaves_the_task_pending_until_it_is_back", down),
        trial("the_start_after_a_failure_passes_over_a_dead_worker", restart_elsewhere),
        trial("an_exclusive_task_runs_while_its_manager_is_heard_and_nowhere_else_meanwhile", exclusive),
        trial("a_lost_workers_task_runs_on_another_and_the_original_is_stopped_when_it_is_back", lost),
    ]
}

pub(super) struct Worker {
    name: &'static str,
    port: u16,
    process: Running,
}

impl Worker {
    pub(super) async fn start(stage: &Stage, name: &'static str, port: u16) -> Self {
        let line = format!("worker --listen localhost:{port} --data-dir {name} --output json");
        let mut process = stage.home.start(&line);
        let port = process.port_of("worker").await;
        Self { name, port, process }
    }

    async fn again(&mut self, stage: &Stage) {
        *self = Self::start(stage, self.name, self.port).await;
    }

    pub(super) fn id(&self) -> String {
        format!("localhost:{}", self.port)
    }
}

/// Waits until all workers are ready.
pub(super) async fn manager_of(stage: &Stage, workers: &[&Worker]) -> (Running, Manager) {
    let mut line = "--no-ui --data-dir data --output json --no-local-worker".to_owned();
    for worker in workers {
        line = format!("{line} --worker {}", worker.id());
    }
    let mut node = stage.home.start(&line);
    let manager = node.manager().await;
    wait_for("all workers are ready", PATIENCE, async || {
        manager
            .cluster()
            .await
            .workers()
            .iter()
            .all(cube_tui::cluster::WorkerRecord::takes_work)
            .then_some(())
    })
    .await;
    (node, manager)
}

fn worker_of(cluster: &Cluster, record: &TaskRecord) -> String {
    cluster.worker_of(record.task.id).unwrap().to_string()
}

async fn two_workers(stage: Stage) {
    let (mut a, mut b) = (Worker::start(&stage, "a", 0).await, Worker::start(&stage, "b", 0).await);
    let (_node, manager) = manager_of(&stage, &[&a, &b]).await;
    let mut tasks = Vec::new();
    for number in 0..4 {
        tasks.push(manager.submit(&stage.sleeper(&format!("task-{number}"))).await);
    }
    let before = manager.all_in(State::Running, &tasks).await;
    let cluster = manager.cluster().await;
    let workers: Vec<_> = before.iter().map(|record| worker_of(&cluster, record)).collect();
    assert!(workers[0] != workers[1] && workers[..2] == workers[2..], "round robin: {workers:?}");

    a.process.end(Signal::KILL).await;
    b.process.end(Signal::KILL).await;
    a.again(&stage).await;
    b.again(&stage).await;
    for worker in [&a, &b] {
        let client = WorkerClient::new(manager.http.clone(), &worker.id().as_str().into());
        let own = wait_for("it has adopted", PATIENCE, async || {
            client.tasks().await.ok().filter(|tasks| !tasks.is_empty())
        })
        .await;
        let mut own: Vec<_> = own.iter().map(|task| task.id).collect();
        own.sort_unstable();
        let id = worker.id().as_str().into();
        let mut expected: Vec<_> = cluster.tasks_of(&id).collect();
        expected.sort_unstable();
        assert_eq!(own, expected, "{}", worker.name);
    }
    let after = manager.all_in(State::Running, &tasks).await;
    for (before, after) in before.iter().zip(&after) {
        assert_eq!(before.status().container_id, after.status().container_id);
    }
    assert_eq!(stage.starts().await, 4);
}

async fn hangs(stage: Stage) {
    let (a, b) = (Worker::start(&stage, "a", 0).await, Worker::start(&stage, "b", 0).await);
    let (_node, manager) = manager_of(&stage, &[&a, &b]).await;
    // Two at a time, one for each; how long the one on A takes.
    let time_on_a = async |round: &str| {
        let start = Instant::now();
        let tasks = [
            manager.submit(&stage.sleeper(&format!("{round}-1"))).await,
            manager.submit(&stage.sleeper(&format!("{round}-2"))).await,
        ];
        let first = wait_for("the one on A runs", PATIENCE, async || {
            let cluster = manager.cluster().await;
            let on_a = |id: &&_| cluster.worker_of(**id).is_some_and(|worker| worker.as_str() == a.id());
            let id = *tasks.iter().find(on_a)?;
            (cluster.task(id)?.state() == State::Running).then_some(id)
        })
        .await;
        let took = start.elapsed();
        let other = tasks.into_iter().find(|id| *id != first).unwrap();
        (took, other)
    };
    let (usual, other) = time_on_a("warm").await;
    manager.until_state(other, State::Running).await;

    b.process.signal(Signal::STOP);
    let (with_b_hanging, waits) = time_on_a("hang").await;
    assert!(with_b_hanging <= usual + Duration::from_secs(1), "{with_b_hanging:?} instead of {usual:?}");
    assert_ne!(manager.cluster().await.task(waits).unwrap().state(), State::Running);
    b.process.signal(Signal::CONT);
    let late = manager.until_state(waits, State::Running).await;
    assert_eq!(stage.starts().await, 4, "{late:?}");
    assert_eq!(stage.containers().await.len(), 4, "and none twice");
}

async fn down(stage: Stage) {
    let mut worker = Worker::start(&stage, "a", 0).await;
    let (_node, manager) = manager_of(&stage, &[&worker]).await;
    worker.process.end(Signal::KILL).await;
    let task = manager.submit(&stage.sleeper("waits")).await;
    let waiting = manager
        .until("it waits, and says why", PATIENCE, task, |record| {
            record.state() == State::Pending && !record.status().reason.is_empty()
        })
        .await;
    assert!(waiting.status().reason.contains(&worker.id()), "{}", waiting.status().reason);
    worker.again(&stage).await;
    manager.until_state(task, State::Running).await;
    assert_eq!(stage.starts().await, 1);
}

async fn restart_elsewhere(stage: Stage) {
    let (mut a, mut b) = (Worker::start(&stage, "a", 0).await, Worker::start(&stage, "b", 0).await);
    let (_node, manager) = manager_of(&stage, &[&a, &b]).await;
    let mut task = stage.sleeper("comes-back");
    task["RestartPolicy"] = json!("always");
    let task = manager.submit(&task).await;
    let first = manager.until_state(task, State::Running).await;
    let on = worker_of(&manager.cluster().await, &first);
    let (dies, lives) = if on == a.id() { (&mut b, &mut a) } else { (&mut a, &mut b) };
    dies.process.end(Signal::KILL).await;
    wait_for("the manager knows that it is dead", PATIENCE, async || {
        let cluster = manager.cluster().await;
        cluster.worker(&dies.id().as_str().into()).is_some_and(|worker| !worker.takes_work()).then_some(())
    })
    .await;
    // Its next start would be the dead worker's turn.
    stage.kill(&first.status().container_id, "KILL").await;
    let again = |record: &TaskRecord| record.status().restart_count == 1 && record.state() == State::Running;
    let second = manager.until("it runs again", PATIENCE, task, again).await;
    assert_eq!(worker_of(&manager.cluster().await, &second), lives.id());
    assert_ne!(second.status().container_id, first.status().container_id);
}

async fn lost(stage: Stage) {
    let (mut a, mut b) = (Worker::start(&stage, "a", 0).await, Worker::start(&stage, "b", 0).await);
    let (_node, manager) = manager_of(&stage, &[&a, &b]).await;
    let tasks = [manager.submit(&stage.sleeper("one")).await, manager.submit(&stage.sleeper("two")).await];
    let before = manager.all_in(State::Running, &tasks).await;
    let on = worker_of(&manager.cluster().await, &before[0]);
    let (dies, lives) = if on == a.id() { (&mut a, &b) } else { (&mut b, &a) };
    dies.process.end(Signal::KILL).await;

    let moved = |record: &TaskRecord| record.status().generation == 1 && record.state() == State::Running;
    let after = manager.until("it runs elsewhere", Duration::from_secs(15), tasks[0], moved).await;
    assert_eq!(worker_of(&manager.cluster().await, &after), lives.id());
    assert_eq!(after.status().restart_count, 0);
    let original = &before[0].status().container_id;
    assert!(stage.is_running(original).await, "only its worker could stop it");

    dies.again(&stage).await;
    let limit = Duration::from_secs(10);
    wait_for("the original is gone", limit, async || {
        (!stage.containers().await.contains(original)).then_some(())
    })
    .await;
    let end = manager.all_in(State::Running, &tasks).await;
    let mut expected: Vec<String> = end.iter().map(|record| record.status().container_id.clone()).collect();
    expected.sort_unstable();
    assert_eq!(stage.containers().await, expected);
    assert_eq!(end[1].status(), before[1].status(), "the other one was left alone");
}

/// The lease over the real link: renewed while the manager runs, missed when it is gone; and a worker that is gone on
/// a host that is there.
async fn exclusive(stage: Stage) {
    let lapse = LEASE + LEASE_GRACE;
    let (mut a, mut b) = (Worker::start(&stage, "a", 0).await, Worker::start(&stage, "b", 0).await);
    let (mut node, manager) = manager_of(&stage, &[&a, &b]).await;
    let mut task = stage.sleeper("single");
    task["Exclusive"] = json!(true);
    let task = manager.submit(&task).await;
    let before = manager.until_state(task, State::Running).await;
    // Nothing is to happen, for longer than it could live without a renewal.
    tokio::time::sleep(lapse).await;
    let after = manager.until_state(task, State::Running).await;
    assert_eq!(after.status(), before.status(), "its lease is renewed");

    let on = worker_of(&manager.cluster().await, &after);
    let dies = if on == a.id() { &mut a } else { &mut b };
    dies.process.end(Signal::KILL).await;
    let is_kept = |record: &TaskRecord| record.status().reason.contains("start that worker again");
    let kept = manager.until("it is kept", Duration::from_secs(20), task, is_kept).await;
    assert_eq!(kept.status().generation, 0);
    let container = before.status().container_id.clone();
    assert_eq!(stage.containers().await, [container.as_str()], "and runs on, alone");

    dies.again(&stage).await;
    let is_back = |record: &TaskRecord| {
        let status = record.status();
        (status.generation, &status.container_id, status.reason.is_empty()) == (0, &container, true)
    };
    manager.until("it is as before", Duration::from_secs(10), task, is_back).await;
    tokio::time::sleep(lapse).await;
    assert_eq!(stage.containers().await, [container.as_str()], "the new process has a lease, too");

    assert_eq!(node.end(Signal::TERM).await.code(), Some(0));
    let limit = lapse + Duration::from_secs(4);
    wait_for("it is stopped", limit, async || stage.containers().await.is_empty().then_some(())).await;
    let (_node, manager) = manager_of(&stage, &[&a, &b]).await;
    let again = manager.until_state(task, State::Running).await;
    assert_eq!((again.status().generation, again.status().restart_count), (1, 0));
}
