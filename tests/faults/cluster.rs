//! A manager and its workers, each a process of its own.

use std::process::Command;

use cube_tui::{
    client::WorkerClient,
    cluster::{Cluster, WorkerRecord},
    task::{State, Task, TaskId, WorkerId},
};
use rustix::process::Signal;

use super::stage::Stage;
use super::support::{
    process::{Manager, Running},
    wait_for,
    worker::PATIENCE,
};

pub const NODE: &str = "--no-ui --data-dir data --output json";

/// A worker's process.
pub struct Worker {
    name: &'static str,
    pub port: u16,
    pub process: Running,
}

impl Worker {
    pub async fn start(stage: &Stage, name: &'static str) -> Self {
        Self::of(stage.home.start(&line(name, 0)), name).await
    }

    /// One that reaches its engine elsewhere.
    pub async fn start_with(stage: &Stage, name: &'static str, docker_host: &str) -> Self {
        Self::of(Running::start(with_host(stage.home.command(&line(name, 0)), docker_host)), name).await
    }

    async fn of(mut process: Running, name: &'static str) -> Self {
        let port = process.port_of("worker").await;
        Self { name, port, process }
    }

    /// The same worker after its end.
    pub async fn again(&mut self, stage: &Stage) {
        *self = Self::of(stage.home.start(&line(self.name, self.port)), self.name).await;
    }

    pub fn id(&self) -> WorkerId {
        format!("localhost:{}", self.port).as_str().into()
    }

    pub fn client(&self, manager: &Manager) -> WorkerClient {
        WorkerClient::new(manager.http.clone(), &format!("127.0.0.1:{}", self.port).as_str().into())
    }

    /// Waits until it knows `task`, and tells it as the worker does.
    pub async fn knows(&self, manager: &Manager, task: TaskId) -> Task {
        let client = self.client(manager);
        wait_for("its worker has it", PATIENCE, async || {
            client.tasks().await.ok()?.into_iter().find(|known| known.id == task)
        })
        .await
    }
}

fn line(name: &str, port: u16) -> String {
    format!("worker --listen localhost:{port} --data-dir {name} --output json")
}

pub fn with_host(mut command: Command, docker_host: &str) -> Command {
    command.env("DOCKER_HOST", docker_host);
    command
}

/// The words that start a manager of `workers`, and nothing else.
pub fn manager_line(workers: &[&Worker]) -> String {
    let workers = workers.iter().map(|worker| format!(" --worker {}", worker.id()));
    format!("{NODE} --no-local-worker{}", workers.collect::<String>())
}

/// Starts a manager, and waits until all its workers are ready.
pub async fn manager_of(stage: &Stage, workers: &[&Worker]) -> (Running, Manager) {
    let mut process = stage.home.start(&manager_line(workers));
    let manager = process.manager().await;
    all_ready(&manager).await;
    (process, manager)
}

pub async fn all_ready(manager: &Manager) {
    wait_for("all workers are ready", PATIENCE, async || {
        manager.cluster().await.workers().iter().all(WorkerRecord::takes_work).then_some(())
    })
    .await;
}

pub fn worker_of(cluster: &Cluster, task: TaskId) -> WorkerId {
    cluster.worker_of(task).cloned().expect("it is assigned")
}

/// Stops all of `tasks` through the manager, and looks whether nothing is left.
pub async fn stop_all(stage: &Stage, manager: &Manager, tasks: &[TaskId]) {
    for task in tasks {
        assert_eq!(manager.stop(*task).await, 204);
    }
    manager.all_in(State::Completed, tasks).await;
    assert_eq!(stage.containers().await, [""; 0]);
}

/// kill -9.
pub async fn kill(process: &mut Running) {
    process.end(Signal::KILL).await;
}
