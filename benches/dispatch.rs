//! Tasks through the manager to a no-op engine beside the HTTP ping-pong of the same libraries (G6), and what a
//! durable acknowledgement costs beside its parts (G10). `cargo bench --bench dispatch`

#![expect(clippy::unwrap_used, reason = "a bench that fails may panic")]

mod measure;

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::{Router, body::Bytes, http::StatusCode, routing::post};
use cube_tui::client::http_client;
use cube_tui::cluster::{Cause, Change, What};
use cube_tui::manager::store::{MemoryStore, RedbStore, Store};
use cube_tui::task::{EventId, State, Task, TaskEvent, TaskId, TaskSpec, parse_task_event};
use cube_tui::worker::{Limits, runtime::Fake};
use futures_util::{StreamExt as _, stream};
use jiff::Timestamp;
use measure::{
    Goal, cpu_time, median, ms, per_second,
    product::{PATIENCE, Product, Worker, tasks, until},
    tell, tell_load,
};
use tokio::net::TcpListener;
use uuid::Uuid;

/// Clients at once.
const CLIENTS: usize = 16;
const MANY_CLIENTS: usize = 64;
/// Events in a submit.
const BATCH: usize = 100;
const TASKS: usize = 20_000;
/// So many that the store has to fold old Changes away meanwhile.
const MANY_TASKS: usize = 100_000;
const PINGS: usize = 20_000;
const SINGLE_SUBMITS: usize = 20_000;
const REPETITIONS: usize = 5;
/// With one of them dead, or not.
const WORKERS: usize = 20;
/// Of one client, one after the other.
const ACKS: usize = 300;

fn main() {
    if !measure::is_bench() {
        return;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        tell_load();
        let ping_pong = PingPong::start().await;
        if std::env::args().any(|argument| argument == "without-a-pause") {
            return without_a_pause(&ping_pong).await;
        }
        if std::env::args().any(|argument| argument == "acks") {
            return acks(&ping_pong).await;
        }
        let (mut pings, mut accepted, mut running, mut single, mut many, mut cpu) =
            (Vec::new(), Vec::new(), Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for _ in 0..REPETITIONS {
            pings.push(ping_pong.rate(CLIENTS).await);
            let dispatched = dispatch(TASKS).await;
            accepted.push(per_second(TASKS, dispatched.accepted));
            running.push(per_second(TASKS, dispatched.running));
            cpu.push(ms(dispatched.cpu) * 1000.0 / per_second(TASKS, Duration::from_secs(1)));
            for (rates, clients) in [(&mut single, CLIENTS), (&mut many, MANY_CLIENTS)] {
                let engine = [Fake::default()];
                rates.push(single_submits(product(&engine).await, &engine, clients).await);
            }
        }
        let pings = median(&pings);
        tell("", "ping-pong, reqwest to axum, c=16", pings, "/s", Goal::None);
        tell("", "batched submit to accepted by the worker, c=16", median(&accepted), "/s", Goal::None);
        tell("G6", "  beside the ping-pong", median(&accepted) / pings, "x", Goal::AtLeast(0.8));
        tell("", "batched submit to Running in the feed, c=16", median(&running), "/s", Goal::None);
        tell("", "  beside the ping-pong", median(&running) / pings, "x", Goal::None);
        tell("", "  CPU a task, everything in this process", median(&cpu), "us", Goal::None);
        tell("", "single submits over POST /tasks, durable, c=16", median(&single), "/s", Goal::None);
        tell("", "  beside the ping-pong", median(&single) / pings, "x", Goal::None);
        tell("", "single submits over POST /tasks, durable, c=64", median(&many), "/s", Goal::None);
        tell("", "  beside the ping-pong", median(&many) / pings, "x", Goal::None);
        acks(&ping_pong).await;
        without_a_pause(&ping_pong).await;
        one_dead_worker().await;
        durable_ack(&ping_pong).await;
        tell_load();
    });
}

fn spec() -> TaskSpec {
    TaskSpec { name: "bench".to_owned(), image: "shop/web:1.9".to_owned(), ..TaskSpec::default() }
}

/// A server that reads a TaskEvent and says 201, and a client of it.
struct PingPong {
    http: reqwest::Client,
    url: String,
    body: Bytes,
}

impl PingPong {
    async fn start() -> Self {
        let pong = async |body: Bytes| match parse_task_event(&body) {
            Ok(_) => StatusCode::CREATED,
            Err(_) => StatusCode::BAD_REQUEST,
        };
        let router = Router::new().route("/tasks", post(pong));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/tasks", listener.local_addr().unwrap());
        // Lives as long as the bench.
        tokio::spawn(async { axum::serve(listener, router).await });
        Self { http: http_client(), url, body: event_of_566_bytes() }
    }

    async fn ping(&self) {
        let answer = self.http.post(&self.url).body(self.body.clone()).send().await.unwrap();
        assert_eq!(answer.status(), 201);
    }

    async fn rate(&self, clients: usize) -> f64 {
        let start = Instant::now();
        stream::iter(0..PINGS).for_each_concurrent(clients, |_| self.ping()).await;
        per_second(PINGS, start.elapsed())
    }
}

/// The size that the baselines were measured with.
fn event_of_566_bytes() -> Bytes {
    let event = |padding: &str| {
        let spec = TaskSpec { env: vec![format!("PAD={padding}")], ..spec() };
        let task = Task { id: TaskId::random(), spec: Arc::new(spec), ..Task::default() };
        let event = TaskEvent::start(task, Timestamp::UNIX_EPOCH);
        serde_json::to_vec(&event.for_book_peer()).unwrap()
    };
    let bare = event("").len();
    Bytes::from(event(&"x".repeat(566_usize.saturating_sub(bare))))
}

struct Dispatched {
    accepted: Duration,
    running: Duration,
    cpu: Duration,
}

async fn product(engines: &[Fake]) -> Product {
    let mut workers = Vec::new();
    for engine in engines {
        workers.push(Worker::start(engine.clone(), Uuid::new_v4(), Limits::default()).await);
    }
    Product::start(workers).await
}

async fn submit_all(product: &Product, count: usize) {
    let batches: Vec<Vec<Task>> = (0..count / BATCH).map(|_| tasks(spec(), BATCH)).collect();
    stream::iter(batches).for_each_concurrent(CLIENTS, |batch| product.submit(batch)).await;
}

/// Until the engines together have carried out this many starts.
async fn until_started(engines: &[Fake], count: usize) {
    let deadline = Instant::now() + PATIENCE;
    while engines.iter().map(Fake::starts).sum::<u64>() < count as u64 {
        assert!(Instant::now() < deadline, "not started in time");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Batches of tasks through a manager and a worker, both of them in this process.
async fn dispatch(count: usize) -> Dispatched {
    let engine = [Fake::default()];
    let product = product(&engine).await;
    let mut feed = product.feed().await;
    let (start, cpu) = (Instant::now(), cpu_time(std::process::id()));
    let accepted = async {
        until_started(&engine, count).await;
        start.elapsed()
    };
    let running = async {
        until(&mut feed, State::Running, count).await;
        start.elapsed()
    };
    let ((), accepted, running) = tokio::join!(submit_all(&product, count), accepted, running);
    let cpu = cpu_time(std::process::id()).saturating_sub(cpu);
    product.stop().await;
    Dispatched { accepted, running, cpu }
}

/// Many more at once.
async fn without_a_pause(ping_pong: &PingPong) {
    let (mut pings, mut accepted, mut cpu) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..3 {
        pings.push(ping_pong.rate(CLIENTS).await);
        let dispatched = dispatch(MANY_TASKS).await;
        accepted.push(per_second(MANY_TASKS, dispatched.accepted));
        cpu.push(ms(dispatched.cpu) * 1000.0 / per_second(MANY_TASKS, Duration::from_secs(1)));
    }
    tell("", "100,000 tasks without a pause, batched, accepted", median(&accepted), "/s", Goal::None);
    let ratio = median(&accepted) / median(&pings);
    tell("G6", "  beside the ping-pong", ratio, "x", Goal::AtLeast(0.8));
    tell("", "  CPU a task, everything in this process", median(&cpu), "us", Goal::None);
}

/// What an acknowledgement alone costs: nobody is there to start the tasks.
async fn acks(ping_pong: &PingPong) {
    let (mut pings, mut in_memory, mut acks, mut cpu) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..REPETITIONS {
        pings.push(ping_pong.rate(MANY_CLIENTS).await);
        let forgetful = Product::start_with(Vec::new(), Box::new(MemoryStore::default())).await;
        in_memory.push(single_submits(forgetful, &[], MANY_CLIENTS).await);
        let before = cpu_time(std::process::id());
        acks.push(single_submits(product(&[]).await, &[], MANY_CLIENTS).await);
        let used = cpu_time(std::process::id()).saturating_sub(before);
        cpu.push(ms(used) * 1000.0 / per_second(SINGLE_SUBMITS, Duration::from_secs(1)));
    }
    tell("", "single submits that wait for a worker, durable, c=64", median(&acks), "/s", Goal::None);
    tell("", "  CPU a task, everything in this process", median(&cpu), "us", Goal::None);
    tell("", "  beside the same without a store", median(&acks) / median(&in_memory), "x", Goal::None);
    tell(
        "",
        "  what has no store beside the ping-pong",
        median(&in_memory) / median(&pings),
        "x",
        Goal::None,
    );
    tell("G10", "  beside the ping-pong", median(&acks) / median(&pings), "x", Goal::AtLeast(0.6));
}

/// The book's route, a task a request, each answered when it is durable; dispatch goes on meanwhile.
async fn single_submits(product: Product, engine: &[Fake], clients: usize) -> f64 {
    let http = http_client();
    let url = format!("{}/tasks", product.url);
    let bodies: Vec<Vec<u8>> = tasks(spec(), SINGLE_SUBMITS).into_iter().map(body).collect();
    let start = Instant::now();
    stream::iter(bodies)
        .for_each_concurrent(clients, async |body| {
            let answer = http.post(&url).body(body).send().await.unwrap();
            assert_eq!(answer.status(), 201);
        })
        .await;
    let rate = per_second(SINGLE_SUBMITS, start.elapsed());
    if !engine.is_empty() {
        until_started(engine, SINGLE_SUBMITS).await;
    }
    product.stop().await;
    rate
}

fn body(task: Task) -> Vec<u8> {
    serde_json::to_vec(&TaskEvent::start(task, Timestamp::now()).for_book_peer()).unwrap()
}

/// Many workers, of which one dies just before the submit.
async fn one_dead_worker() {
    let (mut healthy, mut wounded) = (Vec::new(), Vec::new());
    for _ in 0..REPETITIONS {
        healthy.push(with_workers(false).await);
        wounded.push(with_workers(true).await);
    }
    tell("", &format!("{WORKERS} workers: submit to accepted"), median(&healthy), "/s", Goal::None);
    let rest = "the same when one dies just before, for what the others get";
    tell("", rest, median(&wounded), "/s", Goal::None);
    tell("G6", "  ratio", median(&wounded) / median(&healthy), "x", Goal::AtLeast(0.95));
}

async fn with_workers(one_dies: bool) -> f64 {
    let engines: Vec<Fake> = (0..WORKERS).map(|_| Fake::default()).collect();
    let mut product = product(&engines).await;
    if one_dies {
        product.workers.remove(WORKERS / 2).stop().await;
    }
    // What was sent to the dead one before its end was known is sent again after half a second, which is a wait and
    // not a cost; so the others' share is what is timed.
    let count = TASKS * (WORKERS - 1) / WORKERS;
    let start = Instant::now();
    let ((), ()) = tokio::join!(submit_all(&product, TASKS), until_started(&engines, count));
    let rate = per_second(count, start.elapsed());
    until_started(&engines, TASKS).await;
    product.stop().await;
    rate
}

/// One client over HTTP, in turns with a bare commit of the same store and a bare round trip.
async fn durable_ack(ping_pong: &PingPong) {
    let engine = [Fake::default()];
    let product = product(&engine).await;
    let http = http_client();
    let url = format!("{}/tasks", product.url);
    let folder = tempfile::tempdir().unwrap();
    let mut store = RedbStore::open(&folder.path().join("changes.redb")).unwrap();
    let (mut acks, mut commits, mut round_trips) = (Vec::new(), Vec::new(), Vec::new());
    for (task, revision) in tasks(spec(), ACKS).into_iter().zip(1..) {
        let what = What::Submitted { event: EventId::random(), task: task.clone() };
        let change = Change { revision, time: Timestamp::now(), cause: Cause::Api, what };
        let start = Instant::now();
        store.append(&[Arc::new(change)]).unwrap();
        commits.push(ms(start.elapsed()));

        let start = Instant::now();
        ping_pong.ping().await;
        round_trips.push(ms(start.elapsed()));

        let body = body(task);
        let start = Instant::now();
        let answer = http.post(&url).body(body).send().await.unwrap();
        acks.push(ms(start.elapsed()));
        assert_eq!(answer.status(), 201);
        // The next one is measured on a manager at rest, as these two parts were.
        until_started(&engine, acks.len()).await;
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    product.stop().await;
    tell("", "durable ack of one client, p50", median(&acks), "ms", Goal::None);
    tell("", "one redb commit, p50", median(&commits), "ms", Goal::None);
    tell("", "one round trip, p50", median(&round_trips), "ms", Goal::None);
    let parts = median(&commits) + median(&round_trips);
    tell("G10", "  ack beside commit plus round trip", median(&acks) / parts, "x", Goal::AtMost(1.5));
}
