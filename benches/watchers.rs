//! What watchers cost: the CPU time of a manager's own process for each Change, with one watcher attached over HTTP and
//! with 200, while tasks are submitted at an even pace and as fast as they are taken. `cargo bench --bench watchers`

#![expect(clippy::unwrap_used, reason = "a bench that fails may panic")]

mod measure;

use std::io::Read as _;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use cube_tui::client::http_client;
use flate2::bufread::GzDecoder;
use measure::{Goal, cpu_time, is_bench, tell, tell_load};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

const MANY: usize = 200;

/// As cube-tui's own dashboards and commands ask.
const REQUEST: &[u8] = b"GET /v1/changes HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: gzip\r\n\r\n";

/// Each with what is submitted together, and how often in a second; 0 is without a pause.
const PACES: [(&str, usize, u32, usize); 3] = [
    ("20 changes/s, one at a time", 1, 10, 100),
    ("1,000 changes/s", 10, 50, 500),
    ("without a pause", 100, 0, 200),
];

fn main() {
    if !is_bench() {
        return;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    tell_load();
    for (name, together, per_second, requests) in PACES {
        let [one, many] = [1, MANY].map(|watchers| {
            let mut runs: Vec<f64> =
                (0..3).map(|_| runtime.block_on(run(watchers, together, per_second, requests))).collect();
            runs.sort_by(f64::total_cmp);
            runs[1]
        });
        tell("W", &format!("{name}: CPU for a change, 1 watcher"), one, "µs", Goal::None);
        tell("W", &format!("{name}: CPU for a change, {MANY} watchers"), many, "µs", Goal::None);
        tell("W", &format!("{name}: {MANY} watchers beside one"), many / one, "×", Goal::AtMost(1.1));
    }
}

/// Microseconds of CPU for a Change.
async fn run(watchers: usize, together: usize, per_second: u32, requests: usize) -> f64 {
    let manager = Manager::start().await;
    let mut reading = JoinSet::new();
    for _ in 0..watchers {
        let mut stream = TcpStream::connect(&manager.api).await.unwrap();
        stream.write_all(REQUEST).await.unwrap();
        reading.spawn(async move {
            let mut answer = Vec::new();
            // That it ends with the manager is no matter.
            let _ = stream.read_to_end(&mut answer).await;
            answer
        });
    }
    let events = json!(vec![json!({"State": 2, "Task": {"Name": "n", "Image": "i"}}); together]).to_string();
    let http = http_client();
    let (cpu, before) = (cpu_time(manager.child.id()), manager.revision(&http).await);
    let began = Instant::now();
    for number in 0..requests {
        let url = format!("http://{}/v1/tasks", manager.api);
        let answer = http.post(url).body(events.clone()).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        if per_second > 0 {
            let due = began + Duration::from_secs(1) * u32::try_from(number + 1).unwrap() / per_second;
            tokio::time::sleep_until(due.into()).await;
        }
    }
    // What is on its way to the watchers is part of it.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let used = cpu_time(manager.child.id()).saturating_sub(cpu);
    let changes = manager.revision(&http).await - before;
    drop(manager);
    while let Some(answer) = reading.join_next().await {
        let told = lines(&answer.unwrap());
        assert!(told >= changes, "every watcher was told all of it: {told} of {changes}");
    }
    #[expect(clippy::cast_precision_loss, reason = "counts of a bench are small")]
    let each = used.as_secs_f64() * 1e6 / changes as f64;
    each
}

/// The lines of a chunked and packed answer.
fn lines(answer: &[u8]) -> u64 {
    let body = answer.windows(4).position(|end| end == b"\r\n\r\n").unwrap() + 4;
    let (mut rest, mut packed) = (&answer[body..], Vec::new());
    while let Some(end) = rest.windows(2).position(|end| end == b"\r\n") {
        let length = usize::from_str_radix(std::str::from_utf8(&rest[..end]).unwrap(), 16).unwrap();
        packed.extend_from_slice(&rest[end + 2..end + 2 + length]);
        rest = &rest[end + 2 + length + 2..];
    }
    let mut text = Vec::new();
    // It is cut, and says so.
    let _ = GzDecoder::new(&*packed).read_to_end(&mut text);
    text.split(|byte| *byte == b'\n').count() as u64 - 1
}

struct Manager {
    child: Child,
    api: String,
    _home: tempfile::TempDir,
}

impl Manager {
    async fn start() -> Self {
        let home = tempfile::tempdir().unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_cube-tui"))
            .args(["--no-ui", "--no-local-worker", "--data-dir", "data"])
            .current_dir(home.path())
            .env("CUBE_MANAGER_PORT", "0")
            .env("HOME", home.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lock = home.path().join("data/manager.lock");
        let api = loop {
            let text = std::fs::read_to_string(&lock).unwrap_or_default();
            let holder: Value = serde_json::from_str(&text).unwrap_or_default();
            if let Some(api) = holder["api"].as_str() {
                break api.replace("localhost", "127.0.0.1");
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        };
        Self { child, api, _home: home }
    }

    async fn revision(&self, http: &reqwest::Client) -> u64 {
        let answer = http.get(format!("http://{}/v1/workers", self.api)).send().await.unwrap();
        answer.json::<Value>().await.unwrap()["revision"].as_u64().unwrap()
    }
}

impl Drop for Manager {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
