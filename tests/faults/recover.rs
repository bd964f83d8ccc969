//! Row 17: the store is deleted or damaged while containers run.

use std::path::Path;

use cube_tui::manager::api::Invitation;
use cube_tui::node::Membership;
use cube_tui::task::{State, TaskId};
use cube_tui::tls::Role;
use libtest_mimic::Trial;
use rustix::process::Signal;
use serde_json::json;

use super::cluster::{NODE, Worker, kill, manager_line, manager_of, stop_all};
use super::stage::{Stage, trial};
use super::support::{
    process::{Ended, Manager},
    wait_for,
    worker::PATIENCE,
};

pub fn tests() -> Vec<Trial> {
    vec![
        trial("f17_a_deleted_store_stops_nothing_and_recover_takes_all_over", deleted),
        trial(
            "f17_a_scribbled_store_refuses_to_start_and_recover_sets_it_aside_and_takes_all_over",
            scribbled,
        ),
        trial("f17_recover_names_workers_that_do_not_answer", two_workers),
    ]
}

const RECOVER: &str = "recover --data-dir data";

async fn submit_three(stage: &Stage, manager: &Manager) -> Vec<TaskId> {
    let mut web = stage.task("web", &["http", "7777"]);
    web["PortBindings"] = json!({"7777/tcp": ""});
    web["RestartPolicy"] = json!("always");
    let mut tasks = Vec::new();
    for task in [web, stage.sleeper("one"), stage.sleeper("two")] {
        tasks.push(manager.submit(&task).await);
    }
    manager.all_in(State::Running, &tasks).await;
    tasks
}

/// A node with three tasks, killed.
async fn killed_node(stage: &Stage) -> (Vec<TaskId>, Vec<String>) {
    let mut node = stage.home.start(NODE);
    let manager = node.manager().await;
    let tasks = submit_three(stage, &manager).await;
    let containers = stage.containers().await;
    kill(&mut node).await;
    (tasks, containers)
}

fn taken(recovered: &Ended) -> Vec<TaskId> {
    let ids = recovered.json().into_iter().map(|line| {
        assert_eq!(line["state"], "Running", "{line}");
        line["task"]["ID"].as_str().unwrap().parse().unwrap()
    });
    let mut ids: Vec<TaskId> = ids.collect();
    ids.sort_unstable();
    ids
}

fn sorted(tasks: &[TaskId]) -> Vec<TaskId> {
    let mut tasks = tasks.to_vec();
    tasks.sort_unstable();
    tasks
}

async fn deleted(stage: Stage) {
    let (tasks, containers) = killed_node(&stage).await;
    std::fs::remove_file(stage.home.path("data/changes.redb")).unwrap();

    let mut node = stage.home.start(NODE);
    let manager = node.manager().await;
    let told = node
        .line("it says what is not in the store", |line| {
            line["type"] == "worker"
                && line["reason"].as_str().is_some_and(|why| why.contains("cube-tui recover"))
        })
        .await;
    assert!(
        told["reason"].as_str().unwrap().starts_with("3 running tasks here are not in the store"),
        "{told}"
    );
    assert_eq!(manager.cluster().await.task_db().len(), 0);
    assert_eq!(stage.containers().await, containers, "nothing was stopped");

    let recovered = stage.home.run(&format!("{RECOVER} --output json")).expect(0, &["attached to it"]);
    assert_eq!(taken(&recovered), sorted(&tasks));
    join(&stage, &manager, "two").await;
    let again = stage.home.run(RECOVER).expect(0, &["two did not answer (it has joined"]);
    assert!(again.stdout.contains("nothing to recover"), "{again:?}");
    let web = manager.until_state(tasks[0], State::Running).await;
    assert_eq!((&*web.task.spec.name, web.status().host_ports.len()), ("web", 1));
    assert_eq!(manager.cluster().await.workers()[0].unknown_tasks, 0);
    assert_eq!((stage.containers().await, stage.starts().await), (containers, 3));

    // It is a task like any other: its restart policy holds, and a stop stops it.
    stage.kill(&web.status().container_id, "KILL").await;
    let restarted = |record: &cube_tui::cluster::TaskRecord| {
        record.status().restart_count == 1 && record.state() == State::Running
    };
    manager.until("it is started again", PATIENCE, tasks[0], restarted).await;
    for task in &tasks {
        assert_eq!(manager.stop(*task).await, 204);
    }
    manager.all_in(State::Completed, &tasks).await;
}

/// A worker that has joined, and is away.
async fn join(stage: &Stage, manager: &Manager, name: &str) {
    let invitation = Invitation {
        role: Role::Worker,
        ttl_s: 60,
        listen: Some("127.0.0.1:0".to_owned()),
        address: Some("127.0.0.1".to_owned()),
        replaces: false,
    };
    let line = manager.client.invite(&invitation).await.unwrap().line.parse().unwrap();
    Membership::join(&stage.home.path("member.json"), &line, name).await.unwrap();
}

async fn scribbled(stage: Stage) {
    let (tasks, containers) = killed_node(&stage).await;
    let store = stage.home.path("data/changes.redb");
    let length = std::fs::metadata(&store).unwrap().len();
    std::fs::write(&store, vec![0x5a; usize::try_from(length).unwrap()]).unwrap();
    stage.home.run(NODE).expect(4, &["changes.redb"]);

    let recovered = stage
        .home
        .run(RECOVER)
        .expect(0, &["changes.redb.damaged-", "submit, stop, drain or set them again"]);
    for part in ["web", "one", "two", "local", "Running", "3 tasks taken over"] {
        assert!(recovered.stdout.contains(part), "{part}: {recovered:?}");
    }
    assert_eq!((stage.containers().await, stage.starts().await), (containers.clone(), 3));
    assert_eq!(aside(&stage.home.path("data")), 1, "the old one is kept");
    let again = stage.home.run(RECOVER).expect(0, &[]);
    assert!(again.stdout.contains("nothing to recover"), "{again:?}");

    let mut node = stage.home.start(NODE);
    let manager = node.manager().await;
    let mut ids: Vec<_> = manager.all_in(State::Running, &tasks).await;
    ids.sort_by(|a, b| a.status().container_id.cmp(&b.status().container_id));
    let ids: Vec<_> = ids.into_iter().map(|record| record.status().container_id.clone()).collect();
    assert_eq!(ids, containers);
    stop_all(&stage, &manager, &tasks).await;
}

/// How many stores were set aside in `folder`.
fn aside(folder: &Path) -> usize {
    let names = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
    let names = names.map(|name| name.to_string_lossy().into_owned());
    // With what it last acknowledged in a file beside it.
    let is_store = |name: &String| Path::new(name).extension().is_none_or(|extension| extension != "last");
    names.filter(|name| name.starts_with("changes.redb.damaged-") && is_store(name)).count()
}

async fn two_workers(stage: Stage) {
    let (mut a, mut b) = (Worker::start(&stage, "a").await, Worker::start(&stage, "b").await);
    let (mut node, manager) = manager_of(&stage, &[&a, &b]).await;
    let mut tasks = Vec::new();
    for name in ["one", "two"] {
        tasks.push(manager.submit(&stage.sleeper(name)).await);
    }
    manager.all_in(State::Running, &tasks).await;
    kill(&mut node).await;
    std::fs::remove_file(stage.home.path("data/changes.redb")).unwrap();
    b.process.end(Signal::KILL).await;

    let line = format!("{RECOVER} --no-local-worker --worker {} --worker {}", a.id(), b.id());
    let recovered = stage.home.run(&line).expect(0, &[&format!("{} did not answer", b.id())]);
    assert!(recovered.stdout.contains("1 task taken over"), "{recovered:?}");

    b.again(&stage).await;
    let mut node = stage.home.start(&manager_line(&[&a, &b]));
    let manager = node.manager().await;
    let left = wait_for("the other one is seen", PATIENCE, async || {
        let cluster = manager.client.snapshot().await.ok()?;
        (cluster.worker(&b.id())?.unknown_tasks == 1).then_some(cluster.task_db().len())
    })
    .await;
    assert_eq!(left, 1);
    stage.home.run(RECOVER).expect(0, &[]);
    manager.all_in(State::Running, &tasks).await;
    assert_eq!(stage.starts().await, 2);
    stop_all(&stage, &manager, &tasks).await;

    kill(&mut node).await;
    a.process.end(Signal::KILL).await;
    b.process.end(Signal::KILL).await;
    stage.home.run(&line).expect(4, &["no worker answered", a.id().as_str(), b.id().as_str()]);
}
