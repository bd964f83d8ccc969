//! Moves that somebody asks for, over real processes and an engine: a rebalance, and preemption.

use std::time::Duration;

use cube_tui::{
    cluster::TaskRecord,
    task::{State, TaskId},
};
use libtest_mimic::Trial;
use serde_json::json;

use super::commands::on;
use super::stage::{Stage, trial};
use super::support::{process::Manager, wait_for, worker::PATIENCE};
use super::workers::{Worker, manager_of};

pub fn tests() -> Vec<Trial> {
    vec![
        trial("a_rebalance_makes_the_moves_that_it_planned_and_a_second_one_none", rebalance),
        trial(
            "a_preempting_task_takes_the_room_of_a_lower_priority_which_is_back_when_there_is_some",
            preempt,
        ),
    ]
}

async fn count_at(manager: &Manager, worker: &Worker) -> usize {
    let cluster = manager.cluster().await;
    cluster.reserved(&worker.id().as_str().into()).unwrap().tasks
}

async fn rebalance(stage: Stage) {
    let (a, b) = (Worker::start(&stage, "a", 0).await, Worker::start(&stage, "b", 0).await);
    let (mut node, manager) = manager_of(&stage, &[&a, &b]).await;
    let port = node.port_of("manager").await;
    on(&stage.home, port, &format!("cordon {}", b.id())).expect(0, &[]);
    let mut tasks: Vec<TaskId> = Vec::new();
    for number in 0..4 {
        tasks.push(manager.submit(&stage.sleeper(&format!("task-{number}"))).await);
    }
    manager.all_in(State::Running, &tasks).await;
    on(&stage.home, port, &format!("uncordon {}", b.id())).expect(0, &[]);

    let plan = on(&stage.home, port, "rebalance --plan --output json").expect(0, &[]).json();
    assert_eq!((&plan[0]["moves"].as_array().unwrap().len(), &plan[0]["is_under_way"]), (&2, &json!(false)));
    assert_eq!(count_at(&manager, &b).await, 0, "a plan moves nothing");
    let told = on(&stage.home, port, "rebalance").expect(0, &[]);
    assert!(told.stdout.contains("2 moves under way"), "{}", told.stdout);
    wait_for("both have two that run", PATIENCE, async || {
        let is_even = (count_at(&manager, &a).await, count_at(&manager, &b).await) == (2, 2);
        is_even.then_some(())
    })
    .await;
    let after = manager.all_in(State::Running, &tasks).await;
    let mut expected: Vec<String> = after.iter().map(|record| record.status().container_id.clone()).collect();
    expected.sort_unstable();
    wait_for("the old runs are gone", PATIENCE, async || {
        (stage.containers().await == expected).then_some(())
    })
    .await;
    assert!(after.iter().all(|record| record.status().restart_count == 0));
    for planned in plan[0]["moves"].as_array().unwrap() {
        assert_eq!(planned["to"], json!(b.id()));
    }
    let again = on(&stage.home, port, "rebalance").expect(0, &[]);
    assert!(again.stdout.starts_with("nothing to move: "), "{}", again.stdout);
    on(&stage.home, port, "rebalance --moves 0").expect(2, &["from 1 to 100"]);
}

async fn preempt(stage: Stage) {
    let a = Worker::start(&stage, "a", 0).await;
    let (_node, manager) = manager_of(&stage, &[&a]).await;
    let cpus = manager.cluster().await.workers()[0].capacity.cpus;
    let mut low = stage.sleeper("low");
    low["Cpu"] = json!(cpus);
    let low = manager.submit(&low).await;
    manager.until_state(low, State::Running).await;
    let mut high = stage.sleeper("high");
    (high["Cpu"], high["Priority"], high["Preempt"]) = (json!(cpus), json!(5), json!(true));
    let high = manager.submit(&high).await;
    let running = manager.until_state(high, State::Running).await;
    assert_eq!(stage.containers().await, [running.status().container_id.clone()]);
    let made_room = manager.until_state(low, State::Pending).await;
    assert_eq!((made_room.status().restart_count, made_room.status().generation), (0, 1));
    manager.stop(high).await;
    let is_back = |record: &TaskRecord| record.state() == State::Running && record.status().generation == 1;
    manager.until("it is back", Duration::from_secs(20), low, is_back).await;
}
