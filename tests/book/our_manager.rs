//! Our manager drives the book's workers, over real sockets.

use cube_tui::{
    cluster::{Allows, Capacity, Facts, Peer, TaskRecord},
    manager::{self, WorkerAddress, store::MemoryStore},
    task::{State, TaskId, WorkerId},
    worker::{
        report::{Hello, Report},
        runtime::Fake,
    },
};
use serde_json::{Value, json};
use tokio::{io::AsyncWriteExt as _, net::TcpListener};
use tokio_util::sync::{CancellationToken, DropGuard};
use uuid::Uuid;

use crate::{
    http::{Message, go_request},
    stand_in::{Chapter, Manners, StandIn},
    support::{
        wait_for,
        worker::{PATIENCE, TestWorker},
    },
};

pub struct OurManager {
    pub addr: std::net::SocketAddr,
    handle: manager::Handle,
    token: CancellationToken,
    _guard: DropGuard,
    started: manager::Started,
    served: tokio::task::JoinHandle<()>,
}

impl OurManager {
    pub async fn start(workers: &[WorkerId]) -> Self {
        let token = CancellationToken::new();
        let workers: Vec<_> = workers
            .iter()
            .map(|id| WorkerAddress { id: id.clone(), address: id.clone(), insecure: false })
            .collect();
        let http = cube_tui::client::http_client();
        let workers = manager::Workers::new(workers, http);
        let started = manager::start(workers.clone(), Box::new(MemoryStore::default()), &token).unwrap();
        let handle = started.handle.clone();
        let router = manager::api::router(handle.clone(), workers, None, token.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let served = tokio::spawn(cube_tui::http::serve(listener, router, token.clone()));
        Self { addr, handle, token: token.clone(), _guard: token.drop_guard(), started, served }
    }

    /// Waits until every worker was heard.
    pub async fn ready(&self) {
        let all_ready = async || {
            let cluster = self.handle.snapshot().await.unwrap();
            cluster.workers().iter().all(cube_tui::cluster::WorkerRecord::takes_work).then_some(())
        };
        wait_for("all workers ready", PATIENCE, all_ready).await;
    }

    /// Submits as the book's CLI does.
    pub async fn submit(&self, more: Value) -> TaskId {
        let id = TaskId::random();
        let mut task = json!({ "ID": id, "State": 1, "Name": id.to_string(), "Image": "web" });
        task.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap_or_default());
        let event = json!({ "ID": Uuid::new_v4(), "State": 2, "Task": task }).to_string();
        let answer = go_request(self.addr, "POST", "/tasks", Some(&event)).await;
        assert_eq!(answer.status(), 201, "{answer:?}");
        id
    }

    pub async fn stop(&self, task: TaskId) {
        let answer = go_request(self.addr, "DELETE", &format!("/tasks/{task}"), None).await;
        assert_eq!(answer.status(), 204, "{answer:?}");
    }

    pub async fn task(&self, id: TaskId) -> TaskRecord {
        self.handle.snapshot().await.unwrap().task(id).expect("it was submitted").clone()
    }

    /// Waits until the task is as wanted.
    pub async fn until(&self, what: &str, id: TaskId, is_so: impl Fn(&TaskRecord) -> bool) -> TaskRecord {
        wait_for(what, PATIENCE, async || Some(self.task(id).await).filter(|task| is_so(task))).await
    }

    pub async fn until_state(&self, id: TaskId, state: State) -> TaskRecord {
        self.until(&format!("{state}"), id, |task| task.state() == state).await
    }

    pub async fn end(self) {
        self.token.cancel();
        self.started.stopped().await;
        self.served.await.unwrap();
    }
}

async fn with(chapter: Chapter, manners: Manners) -> (OurManager, StandIn) {
    let worker = StandIn::start(chapter, manners).await;
    let manager = OurManager::start(&[worker.id()]).await;
    manager.ready().await;
    (manager, worker)
}

#[tokio::test]
async fn a_task_runs_and_stops_on_a_worker_of_either_chapter() {
    for chapter in [Chapter::Seven, Chapter::Twelve] {
        let (manager, worker) = with(chapter, Manners::Good).await;
        let task = manager.submit(json!({ "ExposedPorts": {"80/tcp": {}}, "HealthCheck": "/h" })).await;
        let running = manager
            .until("running, with its ports", task, |task| {
                let has_ports = !task.status().host_ports.is_empty() || chapter == Chapter::Seven;
                task.state() == State::Running && has_ports
            })
            .await;
        assert_eq!(running.status().container_id.len(), 64, "{chapter:?}");
        assert!(running.status().start_time.is_some(), "theirs is zero, so it is the time it was seen");
        assert_eq!(worker.running(), [task.to_string()]);

        manager.stop(task).await;
        let stopped = manager.until_state(task, State::Completed).await;
        assert_eq!(stopped.status().reason, "stopped");
        assert!(stopped.status().finish_time.is_some());
        assert_eq!(worker.running(), [""; 0], "{chapter:?}");

        let posts = worker.posts();
        assert_eq!((&posts[0]["State"], &posts[0]["Task"]["State"]), (&json!(2), &json!(1)));
        assert_eq!(posts[0]["Task"]["HealthCheck"], "/h");
        if chapter == Chapter::Seven {
            // It knows no DELETE, so the stop was an event that names the container.
            assert_eq!((&posts[1]["State"], &posts[1]["Task"]["State"]), (&json!(3), &json!(3)));
            assert_eq!(posts[1]["Task"]["ContainerID"], running.status().container_id);
        }
        assert_eq!(posts.len(), if chapter == Chapter::Seven { 2 } else { 1 }, "{posts:?}");
        let cluster = manager.handle.snapshot().await.unwrap();
        assert_eq!(cluster.workers()[0].peer, Peer::Book);
        manager.end().await;
    }
}

#[tokio::test]
async fn what_a_worker_refuses_fails_with_its_words() {
    let (manager, worker) = with(Chapter::Twelve, Manners::Refuses).await;
    let task = manager.submit(json!({})).await;
    let failed = manager.until_state(task, State::Failed).await;
    assert_eq!(failed.status().reason, format!("{} refused it: no room on this machine", worker.addr));
    assert_eq!(worker.posts().len(), 1);
    manager.end().await;
}

#[tokio::test]
async fn a_worker_that_can_not_start_a_task_fails_it() {
    let (manager, _worker) = with(Chapter::Seven, Manners::Good).await;
    let task = manager.submit(json!({ "Image": "missing" })).await;
    let failed = manager.until_state(task, State::Failed).await;
    assert_eq!(failed.status().reason, "its worker, one of the book's, does not say why");
    manager.end().await;
}

#[tokio::test]
async fn a_200_is_a_success_too() {
    let (manager, worker) = with(Chapter::Seven, Manners::Says200).await;
    let task = manager.submit(json!({})).await;
    manager.until_state(task, State::Running).await;
    assert_eq!(worker.posts().len(), 1);
    manager.end().await;
}

#[tokio::test]
async fn a_hung_worker_holds_up_no_one_and_its_task_goes_elsewhere() {
    let hung = StandIn::start(Chapter::Twelve, Manners::Hangs).await;
    let good = StandIn::start(Chapter::Twelve, Manners::Good).await;
    let manager = OurManager::start(&[hung.id(), good.id()]).await;
    manager.ready().await;
    let mut tasks = Vec::new();
    for _ in 0..2 {
        tasks.push(manager.submit(json!({})).await);
    }
    for task in &tasks {
        manager.until_state(*task, State::Running).await;
    }
    assert_eq!(good.running().len(), 2);
    assert_eq!(hung.running(), [""; 0]);
    manager.end().await;
}

#[tokio::test]
async fn a_stop_whose_connection_is_dropped_is_tried_again_until_it_is_done() {
    let (manager, worker) = with(Chapter::Twelve, Manners::Good).await;
    worker.sleeps(true);
    let task = manager.submit(json!({})).await;
    wait_for("the start arrives", PATIENCE, async || (worker.posts().len() == 1).then_some(())).await;
    manager.stop(task).await;
    // It has it in its queue only, so it knows no such task.
    wait_for("two tries", PATIENCE, async || (worker.dropped() >= 2).then_some(())).await;
    assert!(manager.task(task).await.is_stopping());
    worker.sleeps(false);
    manager.until_state(task, State::Completed).await;
    assert_eq!(worker.running(), [""; 0]);
    assert_eq!(worker.posts().len(), 1, "it was not started again");
    manager.end().await;
}

#[tokio::test]
async fn a_worker_that_forgot_a_task_fails_it() {
    let (manager, worker) = with(Chapter::Seven, Manners::Good).await;
    let task = manager.submit(json!({})).await;
    manager.until_state(task, State::Running).await;
    worker.forget();
    let failed = manager.until_state(task, State::Failed).await;
    assert_eq!(failed.status().reason, format!("{} no longer has it", worker.addr));
    manager.end().await;
}

/// Its ended container keeps the name of the task, and it lists the old end until it gets to the restart.
#[tokio::test]
async fn a_restart_gets_a_new_name_and_the_old_end_counts_once() {
    let (manager, worker) = with(Chapter::Twelve, Manners::Good).await;
    let task = manager.submit(json!({ "Name": "web", "RestartPolicy": "on-failure:1" })).await;
    let first = manager.until_state(task, State::Running).await;
    worker.exit("web");
    manager.until("waiting for its restart", task, |task| task.status().restart_count == 1).await;
    let second = manager.until_state(task, State::Running).await;
    assert_eq!(worker.running(), ["web-1"]);
    assert_ne!(first.status().container_id, second.status().container_id);
    worker.exit("web-1");
    let failed = manager.until_state(task, State::Failed).await;
    assert_eq!((failed.status().restart_count, worker.posts().len()), (1, 2));
    manager.end().await;
}

#[tokio::test]
async fn a_worker_of_ours_and_one_of_the_books_share_the_work() {
    let ours = TestWorker::start(Fake::default(), Uuid::new_v4()).await;
    let theirs = StandIn::start(Chapter::Twelve, Manners::Good).await;
    let our_id = WorkerId::from(ours.addr.to_string().as_str());
    let manager = OurManager::start(&[our_id.clone(), theirs.id()]).await;
    manager.ready().await;
    let mut tasks = Vec::new();
    for _ in 0..6 {
        tasks.push(manager.submit(json!({})).await);
    }
    for task in &tasks {
        manager.until_state(*task, State::Running).await;
    }
    let cluster = manager.handle.snapshot().await.unwrap();
    assert_eq!((cluster.tasks_of_len(&our_id), cluster.tasks_of_len(&theirs.id())), (3, 3));
    assert_eq!(theirs.running().len(), 3);
    for task in &tasks {
        manager.stop(*task).await;
    }
    for task in &tasks {
        manager.until_state(*task, State::Completed).await;
    }
    assert_eq!(theirs.running(), [""; 0]);
    manager.end().await;
    ours.end().await;
}

/// A worker of ours gave its place to one of the book's: until the link has learnt it, batches go nowhere.
#[tokio::test]
async fn a_404_to_a_batch_says_nothing_of_its_tasks() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let id = WorkerId::from(listener.local_addr().unwrap().to_string().as_str());
    let token = CancellationToken::new();
    let _guard = token.clone().drop_guard();
    tokio::spawn(token.run_until_cancelled_owned(async move {
        let hello = Hello {
            identity: Uuid::new_v4(),
            capacity: Capacity::default(),
            runtime_problem: String::new(),
            facts: Facts::default(),
            allows: Allows::default(),
        };
        let hello = serde_json::to_string(&Report::Hello(hello)).unwrap();
        let mut held = Vec::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            let Some(request) = Message::read(&mut stream).await else { continue };
            let answer = if request.target() == ("GET", "/v1/reports") {
                format!("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{hello}\n")
            } else {
                "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_owned()
            };
            stream.write_all(answer.as_bytes()).await.unwrap();
            held.push(stream);
        }
    }));
    let manager = OurManager::start(&[id]).await;
    manager.ready().await;
    let task = manager.submit(json!({})).await;
    let back = manager.until("sent, and back", task, |task| task.attempts >= 1).await;
    assert_eq!(back.state(), State::Pending);
    assert!(back.status().reason.contains("404 Not Found"), "{}", back.status().reason);
    manager.end().await;
}
