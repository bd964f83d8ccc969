//! Floods at the manager's door: too many submits, bodies without an end, connections that only hold on. Everybody else
//! is served meanwhile, and the memory stays bounded.

use std::fs;
use std::net::SocketAddr;
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use cube_tui::client::http_client;
use libtest_mimic::{Completion, Trial};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::support::{block_on, process::Home, wait_for, worker::PATIENCE};

pub fn tests() -> Vec<Trial> {
    vec![
        trial("a_flood_of_submits_is_429_past_the_bound_whole_and_in_bounded_memory", submits),
        trial("a_flood_of_bodies_is_413_and_is_not_read", bodies),
        trial("a_flood_of_slow_connections_is_ended_and_holds_up_no_one", slow_connections),
    ]
}

fn trial<F, R>(name: &'static str, test: F) -> Trial
where
    F: FnOnce() -> R + Send + 'static,
    R: Future<Output = ()>,
{
    Trial::test(name, move || {
        let run = block_on(async {
            test().await;
            Ok(Completion::Completed)
        });
        run.map(|_| ())
    })
}

/// What the manager may use, whatever comes.
const MOST_KB: u64 = 300 * 1024;

/// The health loop and everybody's requests go on within this. A build for debugging on a busy machine is slower by
/// itself.
const ON_TIME: Duration =
    if cfg!(debug_assertions) { Duration::from_secs(5) } else { Duration::from_secs(1) };

/// A manager and a worker without an engine, whose output nobody reads.
struct Flooded {
    child: Child,
    addr: SocketAddr,
    http: reqwest::Client,
}

impl Flooded {
    async fn start(home: &Home) -> Self {
        let mut command = home.command("--no-ui --data-dir data");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().unwrap();
        let api = wait_for("its address", PATIENCE, async || {
            let holder: Value = serde_json::from_str(&home.read("data/manager.lock")).ok()?;
            holder["api"].as_str().map(|api| api.replace("localhost", "127.0.0.1"))
        });
        let addr = api.await.parse().unwrap();
        let flooded = Self { child, addr, http: http_client() };
        wait_for("its worker", PATIENCE, async || (flooded.health().await? == "ready").then_some(())).await;
        flooded
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.addr)
    }

    /// How its worker does; through the driver's loop, so late when that is.
    async fn health(&self) -> Option<String> {
        let answer = self.http.get(self.url("/v1/workers")).send().await.ok()?;
        let list: Value = answer.json().await.ok()?;
        list["workers"][0]["health"].as_str().map(str::to_owned)
    }

    /// The most memory that it had.
    fn peak_kb(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.split_whitespace().next().unwrap().parse().unwrap()
    }

    /// Asks again and again until `stop`, and tells the longest that an answer took.
    async fn watch_over(self: Arc<Self>, stop: CancellationToken) -> Duration {
        let mut longest = Duration::ZERO;
        while !stop.is_cancelled() {
            let asked = Instant::now();
            assert_eq!(self.health().await.as_deref(), Some("ready"), "its worker is not late");
            longest = longest.max(asked.elapsed());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        longest
    }

    /// What a bare connection is answered to `head`.
    async fn answer_to(&self, head: &str) -> String {
        let mut stream = TcpStream::connect(self.addr).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = vec![0; 4096];
        let read = tokio::time::timeout(PATIENCE, stream.read(&mut answer)).await.expect("in time").unwrap();
        String::from_utf8_lossy(&answer[..read]).into_owned()
    }
}

impl Drop for Flooded {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn submits() {
    const REQUESTS: usize = 100;
    const EACH: usize = 10_000;
    let home = Home::without_engine();
    let flooded = Arc::new(Flooded::start(&home).await);
    let stop = CancellationToken::new();
    let watch = tokio::spawn(Arc::clone(&flooded).watch_over(stop.clone()));
    let events = json!(vec![json!({"State": 2, "Task": {"Name": "n", "Image": "i"}}); EACH]).to_string();
    let events = bytes::Bytes::from(events);
    let (mut taken, mut refused) = (0, 0);
    for _ in 0..REQUESTS {
        let answer = flooded.http.post(flooded.url("/v1/tasks")).body(events.clone()).send().await.unwrap();
        match answer.status().as_u16() {
            200 => taken += 1,
            429 => {
                refused += 1;
                assert!(answer.headers().contains_key("retry-after"));
                let error: Value = answer.json().await.unwrap();
                assert!(
                    error["Message"].as_str().unwrap().contains("submit again when fewer wait"),
                    "{error}"
                );
            }
            other => panic!("{other}: {:?}", answer.text().await),
        }
    }
    assert_eq!((taken, refused), (5, REQUESTS - 5), "50,000 of a million");
    stop.cancel();
    let longest = watch.await.unwrap();
    eprintln!("1,000,000 submits: peak {} kB, longest answer of the loop {longest:?}", flooded.peak_kb());
    assert!(longest <= ON_TIME, "{longest:?}");
    assert!(flooded.peak_kb() <= MOST_KB, "{} kB", flooded.peak_kb());
    let metrics = flooded.http.get(flooded.url("/metrics")).send().await.unwrap().text().await.unwrap();
    assert!(
        metrics.lines().any(|line| line == "cube_tasks{state=\"Pending\"} 50000"),
        "nothing is half done"
    );
    home.write("one.json", &json!({"Name": "n", "Image": "i"}));
    let mut command = home.command("submit one.json");
    command.env("CUBE_MANAGER_PORT", flooded.addr.port().to_string());
    super::support::process::Ended::of(command)
        .expect(1, &["50000 tasks wait", "submit again when fewer wait"]);
}

async fn bodies() {
    let home = Home::without_engine();
    let flooded = Arc::new(Flooded::start(&home).await);
    let before = flooded.peak_kb();
    for path in ["/tasks", "/v1/tasks", "/v1/stop", "/nowhere"] {
        let head =
            format!("POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n", 1_u64 << 30);
        let answer = flooded.answer_to(&head).await;
        assert!(answer.starts_with("HTTP/1.1 413 "), "{path}: {answer}");
    }
    // Without a length: it is read up to the limit.
    let mut flood = JoinSet::new();
    for _ in 0..8 {
        let addr = flooded.addr;
        flood.spawn(async move {
            let mut stream = TcpStream::connect(addr).await.unwrap();
            let head = "POST /v1/tasks HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n";
            stream.write_all(head.as_bytes()).await.unwrap();
            let chunk =
                [format!("{:x}\r\n", 1 << 20).into_bytes(), vec![b' '; 1 << 20], b"\r\n".to_vec()].concat();
            let (mut read, mut write) = stream.split();
            let mut answer = vec![0; 64];
            let writing = async {
                for _ in 0..1024 {
                    if write.write_all(&chunk).await.is_err() {
                        break;
                    }
                }
                std::future::pending::<()>().await;
            };
            tokio::select! {
                () = writing => unreachable!("it has no end"),
                _ = read.read(&mut answer) => {}
            }
            String::from_utf8_lossy(&answer).into_owned()
        });
    }
    while let Some(answer) = flood.join_next().await {
        let answer = answer.unwrap();
        let is_refused = ["413", "503", ""].iter().any(|status| {
            // Cut off in the middle of its writing, a client may not see the answer.
            answer.trim_matches('\0').starts_with(&format!("HTTP/1.1 {status}"))
                || answer.trim_matches('\0').is_empty()
        });
        assert!(is_refused, "{answer}");
    }
    let grown = flooded.peak_kb() - before;
    assert!(grown < 150 * 1024, "{grown} kB for eight gigabytes");
    assert_eq!(flooded.health().await.as_deref(), Some("ready"));
}

async fn slow_connections() {
    const CONNECTIONS: usize = 1_000;
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).unwrap();
    let home = Home::without_engine();
    let flooded = Arc::new(Flooded::start(&home).await);
    let stop = CancellationToken::new();
    let mut held = JoinSet::new();
    for number in 0..CONNECTIONS {
        let addr = flooded.addr;
        held.spawn(async move {
            let mut stream = TcpStream::connect(addr).await.unwrap();
            let start = match number % 3 {
                0 => "POST /tasks HTTP/1.1\r\nHost: loc",
                1 => "POST /tasks HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n{",
                // Large ones wait for their turn.
                _ => "POST /tasks HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n{",
            };
            stream.write_all(start.as_bytes()).await.unwrap();
            let mut answer = Vec::new();
            loop {
                tokio::select! {
                    read = stream.read_buf(&mut answer) => {
                        if read.unwrap_or(0) == 0 { break }
                    }
                    () = tokio::time::sleep(Duration::from_secs(1)) => { let _ = stream.write_all(b"x").await; }
                }
            }
            (number, String::from_utf8_lossy(&answer).into_owned())
        });
    }
    let watch = tokio::spawn(Arc::clone(&flooded).watch_over(stop.clone()));
    let began = Instant::now();
    let all_ended = async {
        while let Some(ended) = held.join_next().await {
            let (number, answer) = ended.unwrap();
            let is_right = answer.is_empty()
                || answer.starts_with("HTTP/1.1 408 ")
                || answer.starts_with("HTTP/1.1 503 ");
            assert!(is_right, "{number}: {answer}");
        }
    };
    tokio::time::timeout(Duration::from_secs(75), all_ended).await.expect("all of them are ended");
    stop.cancel();
    let longest = watch.await.unwrap();
    eprintln!(
        "1,000 slow connections: ended after {:?}, peak {} kB, longest answer {longest:?}",
        began.elapsed(),
        flooded.peak_kb()
    );
    assert!(longest <= ON_TIME, "{longest:?}");
    assert!(flooded.peak_kb() <= MOST_KB, "{} kB", flooded.peak_kb());
}
