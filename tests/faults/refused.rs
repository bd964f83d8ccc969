//! Row 15: a worker that can't start a task. Two engines, of which only one has the image.

use cube_tui::task::State;
use libtest_mimic::Trial;
use serde_json::json;

use super::cluster::{Worker, manager_of, stop_all, worker_of};
use super::second_engine::{SecondEngine, trial};
use super::stage::Stage;
use super::support::{self, worker::PATIENCE};

pub fn tests() -> Vec<Trial> {
    vec![trial("f15_what_one_worker_cannot_start_runs_on_another_and_fails_with_all_reasons", false, refused)]
}

async fn refused(stage: Stage, engine: SecondEngine) -> SecondEngine {
    let without_image = Worker::start_with(&stage, "a", &support::docker_host()).await;
    let with_image = Worker::start(&stage, "b").await;
    let (mut node, manager) = manager_of(&stage, &[&without_image, &with_image]).await;
    let (a, b) = (without_image.id(), with_image.id());

    // Each is the first to be asked at least once.
    let mut tasks = Vec::new();
    for number in 0..2 {
        let mut task = stage.sleeper(&format!("here-{number}"));
        task["NetworkMode"] = json!("none");
        task["PullPolicy"] = json!("never");
        tasks.push(manager.submit(&task).await);
    }
    let running = manager.all_in(State::Running, &tasks).await;
    let cluster = manager.cluster().await;
    assert!(tasks.iter().all(|task| worker_of(&cluster, *task) == b));
    assert!(running.iter().all(|record| record.status().restart_count == 0));
    assert_eq!(running.iter().filter(|record| record.status().generation == 1).count(), 1);
    let told = format!("{a} could not start it: image {} is not on this machine", stage.image.name);
    let changes = tasks.iter().flat_map(|task| cluster.event_db().of_task(*task));
    let lines: Vec<_> = changes.map(|change| format!("{:?}", change.what)).collect();
    assert_eq!(
        lines.iter().filter(|line| line.contains(&told) && line.contains("tried on")).count(),
        1,
        "{lines:#?}"
    );

    // Nobody listens there, so neither engine gets it.
    let mut nowhere = stage.sleeper("nowhere");
    nowhere["Image"] = json!("127.0.0.1:1/nothing:1");
    let nowhere = manager.submit(&nowhere).await;
    let failed = manager.until("it has failed", PATIENCE, nowhere, |record| record.state().has_ended()).await;
    let reason = &failed.status().reason;
    assert_eq!((failed.state(), failed.status().generation), (State::Failed, 1), "{reason}");
    for worker in [&a, &b] {
        let why = format!("{worker} could not start it (image 127.0.0.1:1/nothing:1 could not be pulled");
        assert!(reason.contains(&why), "{reason}");
    }
    stop_all(&stage, &manager, &tasks).await;
    node.end(rustix::process::Signal::TERM).await;
    engine
}
