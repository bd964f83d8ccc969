//! Rows 1 and 2: kill -9 of the manager, around its store writes and around what its worker accepts.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use cube_tui::task::{State, TaskId};
use libtest_mimic::{Completion, Trial};
use serde_json::{Value, json};

use super::cluster::{NODE, Worker, kill, manager_of, stop_all};
use super::stage::{Stage, trial};
use super::support::{self, process::Home};

pub fn tests() -> Vec<Trial> {
    vec![
        Trial::ignorable_test("f01_every_acknowledged_submit_is_there_after_kills_of_the_manager", || {
            support::block_on(async {
                submits_and_kills().await;
                Ok(Completion::Completed)
            })
        }),
        trial("f02_a_manager_killed_after_its_worker_accepted_starts_nothing_twice", accepted),
    ]
}

const ROUNDS: u64 = 12;
const CLIENTS: usize = 4;

/// Submits until the manager is gone; writes down what was acknowledged.
async fn submit_on(http: reqwest::Client, url: String, acknowledged: Arc<Mutex<Vec<TaskId>>>) {
    let event = json!({"State": 2, "Task": {"Name": "kept", "Image": "nowhere:1"}});
    while let Ok(answer) = http.post(&url).json(&event).send().await {
        assert_eq!(answer.status(), 201);
        let Ok(task) = answer.json::<Value>().await else { return };
        acknowledged.lock().unwrap().push(task["ID"].as_str().unwrap().parse().unwrap());
    }
}

async fn submits_and_kills() {
    let home = Home::without_engine();
    let acknowledged = Arc::new(Mutex::new(Vec::new()));
    for round in 0..ROUNDS {
        let mut node = home.start(&format!("{NODE} --no-local-worker"));
        let manager = node.manager().await;
        let cluster = manager.cluster().await;
        let known = acknowledged.lock().unwrap().clone();
        let lost: Vec<_> = known.iter().filter(|id| cluster.task(**id).is_none()).collect();
        assert!(lost.is_empty(), "round {round}: {} of {} are lost", lost.len(), known.len());
        assert_eq!(cluster.pending_len(), cluster.task_db().len());

        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| submit_on(manager.http.clone(), manager.url("/tasks"), Arc::clone(&acknowledged)))
            .map(tokio::spawn)
            .collect();
        // Anywhere within a store's write, or between two.
        let until_kill = Duration::from_micros(fastrand::u64(5_000..150_000));
        assert!(tokio::time::timeout(until_kill, node.ended()).await.is_err(), "it goes on");
        kill(&mut node).await;
        for client in clients {
            client.await.unwrap();
        }
    }
    let count = acknowledged.lock().unwrap().len();
    assert!(count > 50, "{count} submits are not much of a test");
}

async fn accepted(stage: Stage) {
    let worker = Worker::start(&stage, "a").await;
    let mut tasks = Vec::new();
    let mut containers = Vec::new();
    let (mut node, mut manager) = manager_of(&stage, &[&worker]).await;
    for round in 0..4 {
        let task = manager.submit(&stage.sleeper(&format!("round-{round}"))).await;
        // The worker's answer and its reports are on their way at best.
        worker.knows(&manager, task).await;
        kill(&mut node).await;
        tasks.push(task);
        (node, manager) = manager_of(&stage, &[&worker]).await;
        let after = manager.until_state(task, State::Running).await;
        let known = worker.knows(&manager, task).await;
        assert_eq!(known.status.container_id, after.status().container_id);
        assert_eq!(after.status().generation, 0);
        containers.push(after.status().container_id.clone());
    }
    containers.sort_unstable();
    assert_eq!(stage.containers().await, containers);
    assert_eq!(stage.starts().await, tasks.len(), "nothing was started twice");
    stop_all(&stage, &manager, &tasks).await;
}
