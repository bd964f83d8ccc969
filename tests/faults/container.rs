//! Row 22: what somebody does to a container behind the manager's back.

use std::time::Duration;

use bollard::query_parameters::{RenameContainerOptionsBuilder, StopContainerOptionsBuilder};
use cube_tui::task::State;
use libtest_mimic::Trial;

use super::cluster::{NODE, stop_all};
use super::stage::{Stage, trial};

pub fn tests() -> Vec<Trial> {
    vec![trial("f22_rm_stop_and_rename_behind_its_back_are_noticed_and_hurt_no_other_task", behind_its_back)]
}

const NOTICED_WITHIN: Duration = Duration::from_secs(5);

async fn behind_its_back(stage: Stage) {
    let mut node = stage.home.start(NODE);
    let manager = node.manager().await;
    let mut tasks = Vec::new();
    for name in ["removed", "stopped", "renamed", "other"] {
        tasks.push(manager.submit(&stage.sleeper(name)).await);
    }
    let records = manager.all_in(State::Running, &tasks).await;
    let container = |index: usize| records[index].status().container_id.as_str();

    stage.remove(container(0)).await;
    let stop = StopContainerOptionsBuilder::default().t(2).build();
    stage.docker.stop_container(container(1), Some(stop)).await.unwrap();
    let name = format!("renamed-{}", &container(2)[..12]);
    let rename = RenameContainerOptionsBuilder::default().name(&name).build();
    stage.docker.rename_container(container(2), rename).await.unwrap();
    for (task, reason) in [(tasks[0], "removed by someone else"), (tasks[1], "exit code 143")] {
        let ended =
            manager.until("it is noticed", NOTICED_WITHIN, task, |record| record.state().has_ended()).await;
        assert_eq!(ended.state(), State::Failed);
        assert!(ended.status().reason.contains(reason), "{}", ended.status().reason);
    }
    for index in [2, 3] {
        let record = manager.until_state(tasks[index], State::Running).await;
        assert_eq!(record.status().container_id, container(index));
    }
    stage.remove(container(1)).await;
    stop_all(&stage, &manager, &tasks[2..]).await;
}
