//! Rows 9 and 10: the engine restarts, with its containers or without; the engine hangs.

use std::time::{Duration, Instant};

use cube_tui::{
    cluster::{TaskRecord, WorkerRecord},
    task::{State, TaskId},
};
use libtest_mimic::Trial;
use rustix::process::Signal;
use serde_json::json;

use super::cluster::{NODE, all_ready, stop_all};
use super::second_engine::{SecondEngine, trial};
use super::stage::Stage;
use super::support::{
    process::{Manager, Running},
    wait_for,
    worker::PATIENCE,
};

pub fn tests() -> Vec<Trial> {
    vec![
        trial(
            "f09_dockerd_restart_with_live_restore_keeps_ids_and_counts_no_crash",
            true,
            async |stage, engine| restart(stage, engine, Signal::TERM, "sleep").await,
        ),
        trial(
            "f09_dockerd_restart_without_live_restore_brings_all_back_and_counts_no_crash",
            false,
            // One takes all of its ten seconds, in which the others have long ended.
            async |stage, engine| restart(stage, engine, Signal::TERM, "ignore-term").await,
        ),
        trial(
            "f09_dockerd_killed_without_live_restore_brings_all_back_and_counts_no_crash",
            false,
            async |stage, engine| restart(stage, engine, Signal::KILL, "sleep").await,
        ),
        trial("f10_a_dockerd_that_hangs_is_unhealthy_gets_no_work_and_heals", false, hangs),
    ]
}

const BACK_WITHIN: Duration = Duration::from_secs(30);

/// `cmd` is that of one of them.
async fn submit_three(stage: &Stage, manager: &Manager, cmd: &str) -> Vec<TaskId> {
    let mut tasks = Vec::new();
    for policy in ["no", "on-failure:1", "always"] {
        let mut task = stage.task(policy, &[if policy == "always" { cmd } else { "sleep" }]);
        task["RestartPolicy"] = json!(policy);
        task["NetworkMode"] = json!("none");
        tasks.push(manager.submit(&task).await);
    }
    manager.all_in(State::Running, &tasks).await;
    tasks
}

/// What a restart of the engine must not change.
fn identity(record: &TaskRecord) -> (String, u32, u32) {
    let status = record.status();
    (status.container_id.clone(), status.generation, status.restart_count)
}

async fn restart(stage: Stage, mut engine: SecondEngine, signal: Signal, cmd: &str) -> SecondEngine {
    let mut node = stage.home.start(NODE);
    let manager = node.manager().await;
    let tasks = submit_three(&stage, &manager, cmd).await;
    let before: Vec<_> = manager.all_in(State::Running, &tasks).await.iter().map(identity).collect();

    engine.restart(signal).await;
    let is_back = Instant::now();
    for (task, before) in tasks.iter().zip(&before) {
        wait_for("its container runs", BACK_WITHIN.saturating_sub(is_back.elapsed()), async || {
            stage.is_running(&before.0).await.then_some(())
        })
        .await;
        let record = manager.until_state(*task, State::Running).await;
        assert_eq!(identity(&record), *before);
    }
    all_ready(&manager).await;
    let cluster = manager.cluster().await;
    for task in &tasks {
        let ends = cluster
            .event_db()
            .of_task(*task)
            .filter(|change| format!("{:?}", change.what).contains("Failed"));
        assert_eq!(ends.count(), 0, "it never was taken for a crash");
        assert_eq!(cluster.task(*task).unwrap().status().reason, "");
    }

    // An end after it is one.
    stage.kill(&before[0].0, "KILL").await;
    let ended = manager.until("it has ended", PATIENCE, tasks[0], |record| record.state().has_ended()).await;
    assert_eq!(ended.state(), State::Failed);
    stage.remove(&before[0].0).await;
    stop_all(&stage, &manager, &tasks[1..]).await;
    end(node).await;
    engine
}

async fn end(mut node: Running) {
    node.end(Signal::TERM).await;
}

async fn hangs(stage: Stage, engine: SecondEngine) -> SecondEngine {
    const KNOWN_WITHIN: Duration = Duration::from_secs(20);
    const ANSWERS_WITHIN: Duration = Duration::from_millis(200);
    let mut node = stage.home.start(NODE);
    let manager = node.manager().await;
    let worker = node.port_of("worker").await;
    let tasks = submit_three(&stage, &manager, "sleep").await;

    engine.signal(Signal::STOP);
    wait_for("it shows", KNOWN_WITHIN, async || {
        let cluster = manager.cluster().await;
        cluster.workers().iter().all(|worker| !worker.runtime_problem.is_empty()).then_some(())
    })
    .await;
    let mut late = stage.sleeper("late");
    late["NetworkMode"] = json!("none");
    let late = manager.submit(&late).await;
    let waits =
        manager.until("it says why it waits", PATIENCE, late, |record| !record.status().reason.is_empty());
    assert_eq!(waits.await.state(), State::Pending, "no new work goes there");
    let mut slowest = Duration::ZERO;
    for _ in 0..20 {
        for url in [format!("http://127.0.0.1:{worker}/tasks"), manager.url("/tasks")] {
            let start = Instant::now();
            assert!(manager.http.get(&url).send().await.unwrap().status().is_success());
            slowest = slowest.max(start.elapsed());
        }
    }
    assert!(slowest < ANSWERS_WITHIN, "{slowest:?}");
    for task in &tasks {
        assert_eq!(manager.until_state(*task, State::Running).await.status().restart_count, 0);
    }

    engine.signal(Signal::CONT);
    manager.until_state(late, State::Running).await;
    let is_well = |worker: &WorkerRecord| worker.takes_work();
    assert!(manager.cluster().await.workers().iter().all(is_well));
    for task in tasks.iter().chain([&late]) {
        assert_eq!(manager.stop(*task).await, 204);
    }
    manager.all_in(State::Completed, &tasks).await;
    end(node).await;
    engine
}
