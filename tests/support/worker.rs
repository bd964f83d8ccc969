//! A worker in this process, driven over its HTTP API as a manager does it.

#![allow(dead_code, clippy::allow_attributes, reason = "each test binary uses its part of this")]

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc, time::Duration};

use cube_tui::{
    client::WorkerClient,
    cluster::Allows,
    task::{State, Task, TaskEvent, TaskId, TaskSpec, WorkerId},
    worker::{self, Config, Limits, Started, WorkerError, runtime::Runtime},
};
use jiff::Timestamp;
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};
use uuid::Uuid;

use super::wait_for;

/// Everything a test waits for happens within this, also on a loaded machine.
pub const PATIENCE: Duration = Duration::from_mins(1);

pub struct TestWorker {
    pub addr: SocketAddr,
    pub client: WorkerClient,
    pub http: reqwest::Client,
    token: CancellationToken,
    /// Ends the worker also when a test panics.
    _guard: DropGuard,
    started: Started,
}

impl TestWorker {
    pub async fn start(runtime: impl Runtime, identity: Uuid) -> Self {
        let limits = Limits { allows: Allows::all(), ..Limits::default() };
        Self::with(runtime, Config { limits, ..Config::new(identity) }).await
    }

    pub async fn with(runtime: impl Runtime, config: Config) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let token = CancellationToken::new();
        let started = worker::start(config, runtime, listener, token.clone()).await.unwrap();
        let http = cube_tui::client::http_client();
        let id = WorkerId::from(started.addr.to_string().as_str());
        let client = WorkerClient::new(http.clone(), &id);
        let guard = token.clone().drop_guard();
        Self { addr: started.addr, client, http, token, _guard: guard, started }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.addr)
    }

    /// Sends a start; panics unless it is accepted.
    pub async fn run(&self, task: &Task) {
        self.event(task, State::Running, 201).await;
    }

    pub async fn stop_task(&self, task: &Task) {
        self.event(task, State::Completed, 204).await;
    }

    pub async fn event(&self, task: &Task, state: State, expected: u16) {
        let event = TaskEvent { state, ..TaskEvent::start(task.clone(), Timestamp::now()) };
        let answers = self.client.post_events(&[event], &BTreeMap::new()).await.unwrap();
        assert_eq!(answers[0].status, expected, "{}", answers[0].message);
    }

    pub async fn task(&self, id: TaskId) -> Option<Task> {
        self.client.tasks().await.unwrap().into_iter().find(|task| task.id == id)
    }

    /// Waits until the task is as wanted.
    pub async fn until(&self, what: &str, id: TaskId, is_so: impl Fn(&Task) -> bool) -> Task {
        wait_for(what, PATIENCE, async || self.task(id).await.filter(|task| is_so(task))).await
    }

    pub async fn until_state(&self, id: TaskId, state: State) -> Task {
        self.until(&format!("{id} is {state}"), id, |task| {
            assert!(
                task.status.state == state || !task.status.state.has_ended(),
                "{} instead of {state}: {}",
                task.status.state,
                task.status.reason
            );
            task.status.state == state
        })
        .await
    }

    /// Waits until it ends by itself.
    pub async fn ended(self) -> Result<(), WorkerError> {
        tokio::time::timeout(PATIENCE, self.started.join()).await.expect("it ends by itself")
    }

    /// Ends the worker as SIGTERM does.
    pub async fn end(self) {
        self.token.cancel();
        self.started.join().await.unwrap();
    }
}

/// A task as a manager sends it.
pub fn task(name: &str, image: &str, cmd: &[&str]) -> Task {
    task_with(TaskSpec { name: name.to_owned(), ..spec(image, cmd) })
}

pub fn spec(image: &str, cmd: &[&str]) -> TaskSpec {
    TaskSpec {
        name: "test".to_owned(),
        image: image.to_owned(),
        cmd: cmd.iter().map(|&word| word.to_owned()).collect(),
        stop_timeout_s: Some(5),
        ..TaskSpec::default()
    }
}

pub fn task_with(spec: TaskSpec) -> Task {
    let mut task = Task { id: TaskId::random(), spec: Arc::new(spec), ..Task::default() };
    task.status.state = State::Scheduled;
    task
}
