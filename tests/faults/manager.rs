//! Rows 1 and 2: kill -9 of the manager, around its store writes and around what its worker accepts.

use std::sync::{Arc, Mutex};

use cube_tui::task::{State, TaskId};
use libtest_mimic::{Completion, Trial};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

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

const ROUNDS: usize = 16;
const CLIENTS: usize = 4;

/// What was acknowledged so far.
type Acknowledged = Arc<Mutex<Vec<TaskId>>>;

/// Submits until the manager is gone, which it is at the `last` acknowledged submit.
async fn submit_until(
    manager: Pid,
    http: reqwest::Client,
    url: String,
    acknowledged: Acknowledged,
    last: usize,
) {
    loop {
        let id = TaskId::random();
        let event = json!({"State": 2, "Task": {"ID": id, "Name": "kept", "Image": "nowhere:1"}});
        let Ok(answer) = http.post(&url).json(&event).send().await else { return };
        assert_eq!(answer.status(), 201);
        let mut acknowledged = acknowledged.lock().unwrap();
        acknowledged.push(id);
        if acknowledged.len() == last {
            // At once: what is yet to be stored never will be.
            kill_process(manager, Signal::KILL).unwrap();
        }
    }
}

async fn submits_and_kills() {
    let home = Home::without_engine();
    let acknowledged = Acknowledged::default();
    for round in 0..ROUNDS {
        let mut node = home.start(&format!("{NODE} --no-local-worker"));
        let manager = node.manager().await;
        let cluster = manager.cluster().await;
        let so_far = acknowledged.lock().unwrap().clone();
        let missing: Vec<_> = so_far.iter().filter(|id| cluster.task(**id).is_none()).collect();
        assert!(missing.is_empty(), "round {round}: {} of {} are missing", missing.len(), so_far.len());
        assert_eq!(cluster.pending_len(), cluster.task_db().len());

        let last = so_far.len() + fastrand::usize(1..60);
        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| {
                let (http, url) = (manager.http.clone(), manager.url("/tasks"));
                tokio::spawn(submit_until(node.pid(), http, url, Arc::clone(&acknowledged), last))
            })
            .collect();
        for client in clients {
            client.await.unwrap();
        }
        node.ended().await;
    }
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
