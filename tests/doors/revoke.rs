//! A worker that is let go while tasks live there: at once, or drained first. The real command line, on workers without
//! an engine.

use cube_tui::cluster::WorkerRecord;
use cube_tui::task::State;
use serde_json::{Value, json};

use crate::cluster::{Cluster, Worker};
use crate::support::process::{Ended, Home, Manager};

/// A manager and its workers `old` and `new`; these tasks run on the first of them.
struct Scene {
    cluster: Cluster,
    manager: Manager,
    home: Home,
    old: Worker,
    _new: Worker,
}

impl Scene {
    async fn with(tasks: &[Value]) -> Self {
        let cluster = Cluster::start().await;
        let old = cluster.worker("old").await;
        cluster.until_worker("old", "is ready", WorkerRecord::takes_work).await;
        let (_, port) = cluster.node.manager_address.rsplit_once(':').unwrap();
        let manager = Manager::at(port.parse().unwrap());
        for task in tasks {
            let task = manager.submit(task).await;
            manager.until_state(task, State::Running).await;
        }
        let new = cluster.worker("new").await;
        cluster.until_worker("new", "is ready", WorkerRecord::takes_work).await;
        Self { cluster, manager, home: Home::without_engine(), old, _new: new }
    }

    fn run(&self, line: &str) -> Ended {
        let mut command = self.home.command(line);
        command.env("CUBE_MANAGER_PORT", self.manager.port.to_string());
        Ended::of(command)
    }

    async fn until_let_go(&self) {
        let is_gone = |worker: &WorkerRecord| worker.joined.is_none() && worker.reason.contains("revoked");
        self.cluster.until_worker("old", "is let go", is_gone).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_is_drained_before_it_is_let_go_if_somebody_asks_for_that() {
    let scene =
        Scene::with(&[json!({"Name": "web", "Image": "x"}), json!({"Name": "db", "Image": "x"})]).await;
    let ended = scene.run("token revoke old --drain").expect(0, &["draining old", "2 tasks there"]);
    assert_eq!(ended.stdout, "old is let go; nothing was left there\n");
    scene.until_let_go().await;
    let cluster = scene.manager.cluster().await;
    assert_eq!(scene.old.runtime.containers().len(), 0, "what ran there was stopped");
    for task in cluster.task_db() {
        assert_eq!(cluster.worker_of(task.task.id), Some(&"new".into()));
        assert_eq!(task.state(), State::Running, "it was moved while it ran");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_not_be_moved_in_time_is_named_when_its_worker_is_let_go() {
    let pinned = json!({"Name": "pinned", "Image": "x", "Constraints": ["worker=old"]});
    let scene = Scene::with(&[pinned, json!({"Name": "web", "Image": "x"})]).await;
    let why = ["draining old, for 2s at most: 2 tasks there", "pinned (", "stays on old, which is drained"];
    let ended = scene.run("token revoke old --drain=2s").expect(0, &why);
    assert!(ended.stdout.starts_with("old is let go; left there, and to start elsewhere"), "{ended:?}");
    assert!(ended.stdout.contains("pinned (") && !ended.stdout.contains("web"), "{ended:?}");
    scene.until_let_go().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoke_at_once_says_how_many_tasks_move() {
    let exclusive = json!({"Name": "db", "Image": "x", "Exclusive": true});
    let scene = Scene::with(&[json!({"Name": "web", "Image": "x"}), exclusive]).await;
    scene.run("token revoke nobody --drain").expect(2, &["\"nobody\" is no worker", "cube-tui token list"]);
    let ended = scene.run("token revoke old").expect(0, &[]);
    assert!(ended.stdout.starts_with("old is let go; 2 tasks there move to other workers"), "{ended:?}");
    assert!(ended.stdout.contains("; of these, Exclusive: 1, to start elsewhere"), "{ended:?}");
    scene.until_let_go().await;
    let ended = scene.run("token revoke new --output json").expect(0, &[]);
    let line = &ended.json()[0];
    assert_eq!((&line["name"], &line["role"]), (&json!("new"), &json!("worker")));
    assert!(line["tasks"].is_number(), "{line}");
}
