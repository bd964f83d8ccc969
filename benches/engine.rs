//! Containers started through the whole product beside the bare engine API at equal concurrency, interleaved in one
//! run (G1); and the latency that the product adds, durable acknowledgement included (G3).
//! `cargo bench --bench engine`

#![expect(clippy::unwrap_used, reason = "a bench that fails may panic")]

mod measure;
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
    cluster::Allows,
    task::{NetworkMode, Probe, State, Task, TaskSpec},
    worker::{
        Limits,
        runtime::{
            Docker, Exec, ExecInput, ExecOutput, Fake, Found, Given, LogLines, LogsQuery, Probed, Runtime,
            RuntimeError, Sign, Started,
        },
    },
};
use futures_util::{StreamExt as _, stream};
use measure::{
    Goal, cpu_time, median, ms, per_second, percentile,
    product::{Product, Worker, tasks, until},
    tell, tell_load,
};
use support::{Image, remove_containers};
use tokio::sync::mpsc;
use uuid::Uuid;

/// Containers a measurement.
const STARTS: usize = 16;
const REPETITIONS: usize = 5;
/// One after the other, for the added latency.
const SINGLE: usize = 100;
/// Between them: the engine works on after it has answered a start, and shares its CPUs with the next one's.
const SETTLE: Duration = Duration::from_millis(200);

fn main() {
    if !measure::is_bench() {
        return;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let Some(docker) = support::engine().await else {
            println!("skipped: {}", support::NO_ENGINE);
            return;
        };
        let image = Image::build(&docker).await;
        tell_load();
        if !std::env::args().any(|argument| argument == "latency") {
            for network in [NetworkMode::Host, NetworkMode::Bridge] {
                for concurrency in [4, 16] {
                    rate(&docker, &image, network, concurrency).await;
                }
            }
        }
        added_latency(&image).await;
        tell_load();
        image.remove(&docker).await;
    });
}

fn spec(image: &Image, network_mode: NetworkMode) -> TaskSpec {
    TaskSpec {
        name: "bench".to_owned(),
        image: image.name.clone(),
        cmd: vec!["sleep".to_owned()],
        network_mode,
        stop_timeout_s: Some(0),
        ..TaskSpec::default()
    }
}

/// G1.
async fn rate(docker: &bollard::Docker, image: &Image, network: NetworkMode, concurrency: usize) {
    let (mut bare, mut ours, mut cpu) = (Vec::new(), Vec::new(), Vec::new());
    for repetition in 0..REPETITIONS {
        // In turns who goes first.
        if repetition.is_multiple_of(2) {
            bare.push(per_second(STARTS, bare_starts(docker, image, network, concurrency).await));
        }
        let (time, used) = our_starts(image, network, concurrency).await;
        ours.push(per_second(STARTS, time));
        cpu.push(ms(used / u32::try_from(STARTS).unwrap()));
        if !repetition.is_multiple_of(2) {
            bare.push(per_second(STARTS, bare_starts(docker, image, network, concurrency).await));
        }
    }
    let name = format!("{} network, c={concurrency}", network.name());
    tell("", &format!("{name}: bare engine API, containers a second"), median(&bare), "/s", Goal::None);
    tell("", &format!("{name}: submit to Running, containers a second"), median(&ours), "/s", Goal::None);
    let ratio = median(&ours) / median(&bare);
    tell("G1", &format!("{name}: ratio"), ratio, "x", Goal::AtLeast(0.95));
    tell("G1", &format!("{name}: our own CPU a container"), median(&cpu), "ms", Goal::AtMost(5.0));
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

async fn our_starts(image: &Image, network: NetworkMode, concurrency: usize) -> (Duration, Duration) {
    let identity = Uuid::new_v4();
    let docker = Docker::new(&support::docker_host(), Uuid::nil(), identity);
    let limits = Limits { start_concurrency: concurrency, allows: Allows::all(), ..Limits::default() };
    let product = Product::start(vec![Worker::start(docker, identity, limits).await]).await;
    let mut feed = product.feed().await;
    let tasks = tasks(spec(image, network), STARTS);
    let (start, cpu) = (Instant::now(), cpu_time(std::process::id()));
    product.submit(tasks).await;
    until(&mut feed, State::Running, STARTS).await;
    let elapsed = start.elapsed();
    let cpu = cpu_time(std::process::id()).saturating_sub(cpu);
    product.stop().await;
    (elapsed, cpu)
}

/// A runtime that notes how long the last start took inside.
struct Timed {
    docker: Docker,
    inside: Arc<Mutex<Duration>>,
}

impl Runtime for Timed {
    async fn start(&self, task: &Task, secrets: &Given) -> Result<Started, RuntimeError> {
        let start = Instant::now();
        let result = self.docker.start(task, secrets).await;
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

    async fn probe(&self, container: &str, probe: &Probe, timeout: Duration) -> Probed {
        self.docker.probe(container, probe, timeout).await
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

    async fn logs(&self, container: &str, query: LogsQuery) -> Result<LogLines, RuntimeError> {
        self.docker.logs(container, query).await
    }

    async fn exec(
        &self,
        container: &str,
        exec: &Exec,
        input: mpsc::Receiver<ExecInput>,
        output: mpsc::Sender<ExecOutput>,
    ) -> Result<i64, RuntimeError> {
        self.docker.exec(container, exec, input, output).await
    }
}

/// G3: from the submit to Running in the feed, less the time inside the engine calls. And the same without an engine,
/// whose own work goes on after it has answered: what is left is ours.
async fn added_latency(image: &Image) {
    let identity = Uuid::new_v4();
    let inside = Arc::new(Mutex::new(Duration::ZERO));
    let docker = Docker::new(&support::docker_host(), Uuid::nil(), identity);
    let runtime = Timed { docker, inside: Arc::clone(&inside) };
    let spec = spec(image, NetworkMode::Host);
    let limits = Limits { allows: Allows::all(), ..Limits::default() };
    let added = one_by_one(Worker::start(runtime, identity, limits).await, &spec, &inside).await;
    tell("G3", "added latency, submit to Running, p50", median(&added), "ms", Goal::AtMost(3.0));
    tell("G3", "added latency, submit to Running, p99", percentile(&added, 99), "ms", Goal::AtMost(10.0));
    let worker = Worker::start(Fake::default(), identity, limits).await;
    let added = one_by_one(worker, &spec, &Mutex::default()).await;
    tell("", "the same on a no-op engine, p50", median(&added), "ms", Goal::None);
    tell("", "the same on a no-op engine, p99", percentile(&added, 99), "ms", Goal::None);
}

async fn one_by_one(worker: Worker, spec: &TaskSpec, inside: &Mutex<Duration>) -> Vec<f64> {
    let product = Product::start(vec![worker]).await;
    let mut feed = product.feed().await;
    let mut added = Vec::new();
    for task in tasks(spec.clone(), SINGLE) {
        let start = Instant::now();
        product.submit([task]).await;
        until(&mut feed, State::Running, 1).await;
        let total = start.elapsed();
        added.push(ms(total.saturating_sub(*inside.lock().unwrap())));
        tokio::time::sleep(SETTLE).await;
    }
    product.stop().await;
    added
}
