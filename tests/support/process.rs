//! The real program as a process of its own: in a home of its own, on free ports, killed when a test is over.

#![allow(dead_code, clippy::allow_attributes, reason = "each test binary uses its part of this")]

use std::{
    fs,
    io::{BufRead as _, BufReader, Read},
    path::PathBuf,
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use cube_tui::{
    client::{ManagerClient, http_client},
    cluster::{Cluster, TaskRecord},
    task::{State, TaskId},
};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{wait_for, worker::PATIENCE};

pub const PROGRAM: &str = env!("CARGO_BIN_EXE_cube-tui");

/// Where no engine listens.
pub const NO_ENGINE_HOST: &str = "unix:///nonexistent/docker.sock";

/// A home folder, and the engine that is used from it.
pub struct Home {
    pub dir: TempDir,
    docker_host: String,
}

impl Home {
    pub fn new(docker_host: &str) -> Self {
        Self {
            dir: tempfile::tempdir().expect("a folder for this test"),
            docker_host: docker_host.to_owned(),
        }
    }

    pub fn without_engine() -> Self {
        Self::new(NO_ENGINE_HOST)
    }

    /// The environment of every process: nothing of the machine's own settings gets in.
    pub fn variables(&self) -> Vec<(String, String)> {
        let home = self.dir.path().display().to_string();
        let variables = [
            ("HOME", home.as_str()),
            ("CUBE_PORT", "0"),
            ("CUBE_MANAGER_PORT", "0"),
            ("DOCKER_HOST", &self.docker_host),
            ("PATH", "/usr/local/bin:/usr/bin:/bin"),
        ];
        variables.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec()
    }

    /// `cube-tui` with the words of `line`.
    pub fn command(&self, line: &str) -> Command {
        let mut command = Command::new(PROGRAM);
        command.args(line.split_whitespace()).current_dir(self.dir.path()).env_clear().envs(self.variables());
        command
    }

    /// Runs `line` to its end.
    pub fn run(&self, line: &str) -> Ended {
        Ended::of(self.command(line))
    }

    /// Starts `line`, which must go on until it is ended.
    pub fn start(&self, line: &str) -> Running {
        Running::start(self.command(line))
    }

    pub fn write(&self, name: &str, value: &Value) {
        fs::write(self.dir.path().join(name), value.to_string()).expect("the folder is ours");
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// What is in the file `name` of a data folder.
    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default().trim().to_owned()
    }
}

/// A process that ended.
#[derive(Debug)]
pub struct Ended {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Ended {
    pub fn of(mut command: Command) -> Self {
        // Nobody waits for ever: `timeout` of coreutils is not everywhere, a thread is.
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let pid = Pid::from_child(&child);
        let (ended, is_over) = std::sync::mpsc::channel::<()>();
        let watchdog = thread::spawn(move || {
            if is_over.recv_timeout(PATIENCE * 2).is_err() {
                let _ = kill_process(pid, Signal::KILL);
            }
        });
        let output = child.wait_with_output().expect("its output can be read");
        let _ = ended.send(());
        let _ = watchdog.join();
        Self::from(output)
    }

    /// Panics unless it ended with `code` and said all of `parts` on stderr.
    #[track_caller]
    pub fn expect(self, code: i32, parts: &[&str]) -> Self {
        assert_eq!(self.code, Some(code), "{self:#?}");
        for part in parts {
            assert!(self.stderr.contains(part), "{part:?} is not said: {self:#?}");
        }
        assert!(!self.stderr.contains("panicked"), "{self:#?}");
        self
    }

    pub fn json(&self) -> Vec<Value> {
        self.stdout.lines().map(|line| serde_json::from_str(line).expect("stdout holds JSON only")).collect()
    }

    /// The last line about the task of this name.
    pub fn last_line_of(&self, name: &str) -> Value {
        let mut lines = self.json();
        lines.retain(|line| line["task"]["Name"] == name);
        lines.pop().unwrap_or_else(|| panic!("no line of {name}: {self:#?}"))
    }
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self { code: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) }
    }
}

/// A process that goes on. Killed when dropped.
pub struct Running {
    child: Child,
    stdout: Arc<Mutex<String>>,
    stderr: Arc<Mutex<String>>,
    readers: Vec<thread::JoinHandle<()>>,
}

impl Running {
    pub fn start(mut command: Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let (stdout, reader) = collect(child.stdout.take().expect("it is piped"));
        let (stderr, other_reader) = collect(child.stderr.take().expect("it is piped"));
        Self { child, stdout, stderr, readers: vec![reader, other_reader] }
    }

    pub fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    pub fn stdout(&self) -> String {
        self.stdout.lock().expect("its reader does not panic").clone()
    }

    pub fn stderr(&self) -> String {
        self.stderr.lock().expect("its reader does not panic").clone()
    }

    pub fn json(&self) -> Vec<Value> {
        let whole = self.stdout();
        let lines = whole.split_inclusive('\n').filter(|line| line.ends_with('\n'));
        lines.map(|line| serde_json::from_str(line).expect("stdout holds JSON only")).collect()
    }

    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().is_ok_and(|status| status.is_some())
    }

    /// Waits for a line of JSON.
    pub async fn line(&mut self, what: &str, is_it: impl Fn(&Value) -> bool) -> Value {
        wait_for(what, PATIENCE, || {
            let found = self.json().into_iter().find(|line| is_it(line));
            assert!(found.is_some() || !self.has_ended(), "{what}: it ended, and said {}", self.stderr());
            std::future::ready(found)
        })
        .await
    }

    /// The port on which its manager or worker answers.
    pub async fn port_of(&mut self, kind: &str) -> u16 {
        let line = self.line(kind, |line| line["type"] == kind && line["state"] == "listening").await;
        let address = line["address"].as_str().expect("an address").to_owned();
        address.rsplit(':').next().and_then(|port| port.parse().ok()).expect("a port")
    }

    pub async fn manager(&mut self) -> Manager {
        Manager::at(self.port_of("manager").await)
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).expect("it is there");
    }

    /// Sends `signal` and waits for the end.
    pub async fn end(&mut self, signal: Signal) -> ExitStatus {
        self.signal(signal);
        self.ended().await
    }

    pub async fn ended(&mut self) -> ExitStatus {
        let child = &mut self.child;
        let look = || std::future::ready(child.try_wait().expect("it is ours"));
        let status = wait_for("its end", PATIENCE, look).await;
        for reader in self.readers.drain(..) {
            let _ = reader.join();
        }
        status
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if thread::panicking() {
            // What takes its containers with it at its end gets a chance to.
            let _ = kill_process(self.pid(), Signal::TERM);
            let start = Instant::now();
            while !self.has_ended() && start.elapsed() < Duration::from_secs(10) {
                thread::sleep(Duration::from_millis(10));
            }
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            eprintln!("stdout:\n{}stderr:\n{}", self.stdout(), self.stderr());
        }
    }
}

fn collect(from: impl Read + Send + 'static) -> (Arc<Mutex<String>>, thread::JoinHandle<()>) {
    let text = Arc::new(Mutex::new(String::new()));
    let kept = Arc::clone(&text);
    let reader = thread::spawn(move || {
        let mut from = BufReader::new(from);
        let mut line = String::new();
        while from.read_line(&mut line).is_ok_and(|read| read > 0) {
            kept.lock().expect("nobody panics with it").push_str(&line);
            line.clear();
        }
    });
    (text, reader)
}

/// A manager as others see it: through its API.
pub struct Manager {
    pub port: u16,
    pub client: ManagerClient,
    pub http: reqwest::Client,
}

impl Manager {
    pub fn at(port: u16) -> Self {
        let http = http_client();
        Self { port, client: ManagerClient::new(http.clone(), &format!("http://127.0.0.1:{port}")), http }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    pub async fn cluster(&self) -> Cluster {
        self.client.snapshot().await.expect("the manager answers")
    }

    /// Submits `task`, in the shape of a task file, on the book's route.
    pub async fn submit(&self, task: &Value) -> TaskId {
        let event = json!({"State": 2, "Task": task});
        let answer = self.http.post(self.url("/tasks")).json(&event).send().await.expect("an answer");
        assert_eq!(answer.status(), 201);
        let task: Value = answer.json().await.expect("the task");
        task["ID"].as_str().and_then(|id| id.parse().ok()).expect("an id")
    }

    pub async fn stop(&self, task: TaskId) -> u16 {
        let request = self.http.delete(self.url(&format!("/tasks/{task}")));
        request.send().await.expect("an answer").status().as_u16()
    }

    /// Waits until a task is as wanted.
    pub async fn until(
        &self,
        what: &str,
        deadline: Duration,
        task: TaskId,
        is_so: impl Fn(&TaskRecord) -> bool,
    ) -> TaskRecord {
        wait_for(what, deadline, async || {
            let cluster = self.client.snapshot().await.ok()?;
            cluster.task(task).filter(|record| is_so(record))
        })
        .await
    }

    pub async fn until_state(&self, task: TaskId, state: State) -> TaskRecord {
        let what = format!("{task} is {state}");
        self.until(&what, PATIENCE, task, |record| {
            let is_wrong = record.state() != state && record.state().has_ended();
            assert!(!is_wrong, "{} instead of {state}: {}", record.state(), record.status().reason);
            record.state() == state
        })
        .await
    }

    pub async fn all_in(&self, state: State, tasks: &[TaskId]) -> Vec<TaskRecord> {
        let mut records = Vec::new();
        for task in tasks {
            records.push(self.until_state(*task, state).await);
        }
        records
    }
}
