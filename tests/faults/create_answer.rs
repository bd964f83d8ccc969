//! Row 4: kill -9 of a worker whose engine has created a container and whose record of it never came.

use cube_tui::task::State;
use libtest_mimic::Trial;

use super::cluster::{Worker, kill, manager_of, stop_all};
use super::stage::{Stage, trial};
use super::support::{
    engine_proxy::{EngineProxy, Mode},
    wait_for,
    worker::PATIENCE,
};

pub fn tests() -> Vec<Trial> {
    vec![trial("f04_a_worker_killed_between_create_and_its_record_leaves_one_container", killed)]
}

async fn killed(stage: Stage) {
    let proxy = EngineProxy::start();
    let mut worker = Worker::start_with(&stage, "a", &proxy.host()).await;
    let (_node, manager) = manager_of(&stage, &[&worker]).await;
    proxy.set(Mode::HoldsAnswer("/containers/create"));
    let task = manager.submit(&stage.sleeper("made")).await;
    let made = wait_for("the engine has made it", PATIENCE, async || {
        Some(stage.containers().await).filter(|made| !made.is_empty())
    })
    .await;
    let known = worker.knows(&manager, task).await;
    assert_eq!((known.status.state, &*known.status.container_id), (State::Scheduled, ""), "it has no record");
    kill(&mut worker.process).await;

    worker.again(&stage).await;
    let record = manager.until_state(task, State::Running).await;
    assert_eq!([record.status().container_id.clone()], made[..], "the same one");
    assert_eq!((record.status().restart_count, &*record.status().reason), (0, ""));
    assert_eq!((stage.containers().await, stage.starts().await), (made, 1));
    stop_all(&stage, &manager, &[task]).await;
}
