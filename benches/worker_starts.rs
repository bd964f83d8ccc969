//! Starts through a worker beside starts through the bare engine API, interleaved in one run: the rate (G1), the
//! latency that the worker adds (G3), and what it costs idle (G12). `cargo bench --bench worker_starts`.

#![expect(clippy::unwrap_used, reason = "a bench that fails may panic")]

#[path = "../tests/support/mod.rs"]
mod support;

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use bollard::{
    models::{ContainerCreateBody, HostConfig},
    query_parameters::{CreateContainerOptions, StartContainerOptions},
};
use cube_tui::{
    task::{NetworkMode, State, Task, TaskEvent, TaskSpec},
    worker::{
        Config, Limits,
        report::Report,
        runtime::{Docker, Found, Runtime, RuntimeError, Sign, Started},
    },
};
use futures_util::{StreamExt as _, stream};
use jiff::Timestamp;
use support::{
    Image, remove_containers,
    worker::{TestWorker, spec, task_with},
};
use tokio::sync::mpsc;
use uuid::Uuid;

/// Containers a measurement.
const STARTS: usize = 16;
const REPETITIONS: usize = 3;
const IDLE: Duration = Duration::from_secs(20);

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let Some(docker) = support::engine().await else {
            println!("skipped: {}", support::NO_ENGINE);
            return;
        };
        let image = Image::build(&docker).await;
        for network in [NetworkMode::Bridge, NetworkMode::Host] {
            for concurrency in [4, 16] {
                rate(&docker, &image, network, concurrency).await;
            }
        }
        added_latency(&image).await;
        idle(&image).await;
        image.remove(&docker).await;
    });
}

fn tasks(image: &Image, network_mode: NetworkMode, count: usize) -> Vec<Task> {
    let spec = TaskSpec { network_mode, stop_timeout_s: Some(0), ..spec(&image.name, &["sleep"]) };
    (0..count).map(|_| task_with(spec.clone())).collect()
}

fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers[numbers.len() / 2]
}

/// G1.
async fn rate(docker: &bollard::Docker, image: &Image, network: NetworkMode, concurrency: usize) {
    let (mut bare, mut ours) = (Vec::new(), Vec::new());
    for _ in 0..REPETITIONS {
        bare.push(per_second(bare_starts(docker, image, network, concurrency).await));
        ours.push(per_second(our_starts(image, network, concurrency).await));
    }
    let (bare, ours) = (median(bare), median(ours));
    println!(
        "G1 {} c={concurrency}: bare {bare:.2}/s, through the worker {ours:.2}/s, ratio {:.3}",
        network.name(),
        ours / bare
    );
}

#[expect(clippy::cast_precision_loss, reason = "a small count")]
fn per_second(elapsed: Duration) -> f64 {
    STARTS as f64 / elapsed.as_secs_f64()
}

async fn bare_starts(
    docker: &bollard::Docker,
    image: &Image,
    network: NetworkMode,
    concurrency: usize,
) -> Duration {
    let label = format!("cube.bench={}", Uuid::new_v4());
    let (key, value) = label.split_once('=').unwrap();
    let body = ContainerCreateBody {
        image: Some(image.name.clone()),
        cmd: Some(vec!["sleep".to_owned()]),
        labels: Some([(key.to_owned(), value.to_owned())].into()),
        host_config: Some(HostConfig {
            network_mode: Some(network.name().to_owned()),
            ..HostConfig::default()
        }),
        ..ContainerCreateBody::default()
    };
    let start = Instant::now();
    stream::iter(0..STARTS)
        .for_each_concurrent(concurrency, |_| async {
            let made = docker.create_container(None::<CreateContainerOptions>, body.clone()).await.unwrap();
            docker.start_container(&made.id, None::<StartContainerOptions>).await.unwrap();
        })
        .await;
    let elapsed = start.elapsed();
    remove_containers(docker, &label).await;
    elapsed
}

async fn our_starts(image: &Image, network: NetworkMode, concurrency: usize) -> Duration {
    let identity = Uuid::new_v4();
    let docker = Docker::new(&support::docker_host(), Uuid::nil(), identity);
    let limits = Limits { start_concurrency: concurrency, ..Limits::default() };
    let worker = TestWorker::with(docker, Config { identity, limits, ephemeral: true }).await;
    let mut reports = Box::pin(worker.client.reports().await.unwrap());
    let events: Vec<TaskEvent> = tasks(image, network, STARTS)
        .into_iter()
        .map(|task| TaskEvent::start(task, Timestamp::now()))
        .collect();
    let start = Instant::now();
    worker.client.post_events(&events).await.unwrap();
    let mut running = 0;
    while running < STARTS {
        if let Report::Task(task) = reports.next().await.unwrap().unwrap() {
            assert_eq!(task.status.state, State::Running, "{}", task.status.reason);
            running += 1;
        }
    }
    let elapsed = start.elapsed();
    drop(reports);
    worker.end().await;
    elapsed
}

/// A runtime that notes how long each start took inside.
struct Timed {
    docker: Docker,
    inside: Arc<Mutex<Duration>>,
}

impl Runtime for Timed {
    async fn start(&self, task: &Task) -> Result<Started, RuntimeError> {
        let start = Instant::now();
        let result = self.docker.start(task).await;
        *self.inside.lock().unwrap() = start.elapsed();
        result
    }

    async fn pull(&self, image: &str, progress: mpsc::Sender<String>) -> Result<(), RuntimeError> {
        self.docker.pull(image, progress).await
    }

    async fn stop(&self, container: &str, grace: Duration) -> Result<(), RuntimeError> {
        self.docker.stop(container, grace).await
    }

    async fn remove(&self, container: &str) -> Result<(), RuntimeError> {
        self.docker.remove(container).await
    }

    async fn inspect(&self, container: &str) -> Result<Option<Found>, RuntimeError> {
        self.docker.inspect(container).await
    }

    async fn list(&self) -> Result<Vec<Found>, RuntimeError> {
        self.docker.list().await
    }

    async fn watch(&self, signs: mpsc::Sender<Sign>) {
        self.docker.watch(signs).await;
    }
}

/// G3, the worker's part: from the POST to the report of Running, less the time inside the engine calls.
async fn added_latency(image: &Image) {
    let identity = Uuid::new_v4();
    let inside = Arc::new(Mutex::new(Duration::ZERO));
    let docker = Docker::new(&support::docker_host(), Uuid::nil(), identity);
    let runtime = Timed { docker, inside: Arc::clone(&inside) };
    let worker = TestWorker::with(runtime, Config { ephemeral: true, ..Config::new(identity) }).await;
    let mut reports = Box::pin(worker.client.reports().await.unwrap());
    let mut added = Vec::new();
    for task in tasks(image, NetworkMode::Host, 40) {
        let start = Instant::now();
        worker.run(&task).await;
        while !matches!(reports.next().await.unwrap().unwrap(), Report::Task(told) if told.id == task.id) {}
        let total = start.elapsed();
        added.push(total.saturating_sub(*inside.lock().unwrap()).as_secs_f64() * 1000.0);
    }
    added.sort_by(f64::total_cmp);
    println!(
        "G3 worker's part: p50 {:.2} ms, p99 {:.2} ms",
        added[added.len() / 2],
        added[added.len() * 99 / 100]
    );
    drop(reports);
    worker.end().await;
}

/// G12, the worker's part: its process with 20 containers and somebody who listens.
async fn idle(image: &Image) {
    let identity = Uuid::new_v4();
    let docker = Docker::new(&support::docker_host(), Uuid::nil(), identity);
    let worker = TestWorker::with(docker, Config { ephemeral: true, ..Config::new(identity) }).await;
    let all = tasks(image, NetworkMode::Host, 20);
    for task in &all {
        worker.run(task).await;
    }
    for task in &all {
        worker.until_state(task.id, State::Running).await;
    }
    let mut reports = Box::pin(worker.client.reports().await.unwrap());
    let listening = async { while reports.next().await.is_some() {} };
    let before = cpu_ticks();
    let _ = tokio::time::timeout(IDLE, listening).await;
    let ticks = f64::from(cpu_ticks() - before);
    // A tick is 1/100 s.
    println!("G12 worker and listener, 20 containers: {:.2} % of a core", ticks / IDLE.as_secs_f64());
    worker.end().await;
}

fn cpu_ticks() -> u32 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    fields[11].parse::<u32>().unwrap() + fields[12].parse::<u32>().unwrap()
}
