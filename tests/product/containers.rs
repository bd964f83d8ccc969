//! One node and its containers: ports, names, stops, what others do to them.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use cube_tui::task::State;
use libtest_mimic::Trial;
use serde_json::json;

use super::stage::{Stage, trial};
use super::support::{process::Ended, wait_for, worker::PATIENCE};

pub fn tests() -> Vec<Trial> {
    vec![
        trial("a_container_removed_by_someone_else_fails_its_task_and_nothing_else", removed),
        trial("a_bound_port_answers_and_is_read_back", bound_port),
        trial("two_tasks_of_the_same_name_both_run", same_name),
        trial("a_stopped_task_is_completed_and_its_container_is_gone", stopped),
        trial("a_batch_job_that_exits_0_is_completed_and_started_once", batch),
        trial("ten_tasks_do_not_wait_for_one_another", ten_tasks),
    ]
}

const NODE: &str = "--no-ui --data-dir data --output json";

async fn removed(stage: Stage) {
    let mut node = stage.home.start(NODE);
    let manager = node.manager().await;
    let (lost, stays) =
        (manager.submit(&stage.sleeper("lost")).await, manager.submit(&stage.sleeper("stays")).await);
    let running = manager.all_in(State::Running, &[lost, stays]).await;
    stage.remove(&running[0].status().container_id).await;
    let removed = Instant::now();
    let failed = manager.until_state(lost, State::Failed).await;
    assert!(removed.elapsed() <= Duration::from_secs(2), "{:?}", removed.elapsed());
    assert_eq!(failed.status().reason, "container removed by someone else");
    // It goes on as if nothing had been.
    let after = manager.submit(&stage.sleeper("after")).await;
    manager.all_in(State::Running, &[stays, after]).await;
    assert!(!node.stderr().contains("panicked"), "{}", node.stderr());
}

async fn bound_port(stage: Stage) {
    let mut node = stage.home.start(NODE);
    let manager = node.manager().await;
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
    let mut task = stage.task("web", &["http", "7777"]);
    task["PortBindings"] = json!({"7777/tcp": free});
    let bound = manager.submit(&task).await;
    task["PortBindings"] = json!({"7777/tcp": ""});
    let open = manager.submit(&task).await;
    for id in [bound, open] {
        manager.until_state(id, State::Running).await;
        let has_port = |record: &cube_tui::cluster::TaskRecord| !record.status().host_ports.is_empty();
        let running = manager.until("its port", PATIENCE, id, has_port).await;
        let port = running.status().host_ports["7777/tcp"][0].host_port.clone();
        assert_eq!(port == free, id == bound, "{port}");
        assert!(running.status().start_time.is_some(), "the book never sets it");
        let url = format!("http://127.0.0.1:{port}/");
        let page = wait_for("the page", PATIENCE, async || manager.http.get(&url).send().await.ok()).await;
        assert_eq!(page.text().await.unwrap(), "hello\n");
    }
}

async fn same_name(stage: Stage) {
    let mut node = stage.home.start(NODE);
    let manager = node.manager().await;
    let tasks = [manager.submit(&stage.sleeper("twin")).await, manager.submit(&stage.sleeper("twin")).await];
    let running = manager.all_in(State::Running, &tasks).await;
    let mut names = Vec::new();
    for record in &running {
        names.push(stage.inspect(&record.status().container_id).await.name.unwrap());
    }
    assert!(names[0] != names[1] && names.iter().all(|name| name.contains("twin")), "{names:?}");
}

async fn stopped(stage: Stage) {
    let mut node = stage.home.start(NODE);
    let manager = node.manager().await;
    let tasks = [
        manager.submit(&stage.sleeper("by-route")).await,
        manager.submit(&stage.sleeper("by-command")).await,
        manager.submit(&stage.task("ignores-term", &["ignore-term"])).await,
    ];
    manager.all_in(State::Running, &tasks).await;
    assert_eq!(manager.stop(tasks[0]).await, 204);
    let mut command = stage.home.command("stop by-command ignores-term --wait");
    command.env("CUBE_MANAGER_PORT", manager.port.to_string());
    Ended::of(command).expect(0, &[]);
    manager.all_in(State::Completed, &tasks).await;
    assert_eq!(stage.containers().await, [""; 0]);
    let mut again = stage.home.command("stop by-command");
    again.env("CUBE_MANAGER_PORT", manager.port.to_string());
    assert!(Ended::of(again).expect(0, &[]).stdout.contains("had ended before"));
}

async fn batch(stage: Stage) {
    let mut node = stage.home.start(NODE);
    let manager = node.manager().await;
    let mut task = stage.task("batch", &["exit", "0"]);
    task["RestartPolicy"] = json!("on-failure");
    let batch = manager.submit(&task).await;
    let completed = manager.until_state(batch, State::Completed).await;
    assert_eq!((completed.status().exit_code, completed.status().restart_count), (Some(0), 0));
    task["Name"] = json!("crash");
    task["Cmd"] = json!(["exit", "3"]);
    task["RestartPolicy"] = json!("on-failure:1");
    let crash = manager.submit(&task).await;
    let used_up = |record: &cube_tui::cluster::TaskRecord| {
        record.state() == State::Failed && record.status().restart_count == 1
    };
    let failed = manager.until("its one restart is used up", PATIENCE, crash, used_up).await;
    assert_eq!(failed.status().exit_code, Some(3));
    assert_eq!(stage.starts().await, 3, "one of the batch job, two of the other");
}

/// The book's program takes 10 s for each.
async fn ten_tasks(stage: Stage) {
    let mut node = stage.home.start(NODE);
    let manager = node.manager().await;
    let warm = manager.submit(&stage.sleeper("warm")).await;
    manager.until_state(warm, State::Running).await;
    let tasks: Vec<_> = (0..10).map(|number| stage.sleeper(&format!("one-of-ten-{number}"))).collect();
    stage.home.write("ten.json", &json!(tasks));
    let start = Instant::now();
    let mut command = stage.home.command("submit ten.json");
    command.env("CUBE_MANAGER_PORT", manager.port.to_string());
    let submitted = Ended::of(command).expect(0, &[]);
    let ids: Vec<_> = submitted.stdout.lines().map(|id| id.parse().unwrap()).collect();
    assert_eq!(ids.len(), 10);
    manager.all_in(State::Running, &ids).await;
    assert!(start.elapsed() < Duration::from_secs(30), "{:?}", start.elapsed());
}
