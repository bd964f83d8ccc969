//! A worker as the book has it, as far as the wire shows: written from the recordings and the facts in `wire`, on a
//! bare socket. Its engine only exists in memory.

use std::{
    collections::{BTreeMap, VecDeque},
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use cube_tui::task::WorkerId;
use serde_json::{Map, Value, json};
use tokio::{
    io::AsyncWriteExt as _,
    net::{TcpListener, TcpStream},
};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::http::Message;

/// Theirs look at their queue every 10 s, one task a turn; a test has no time for that.
const TURN: Duration = Duration::from_millis(150);

const ZERO_TIME: &str = "0001-01-01T00:00:00Z";

const TASK_FIELDS: [&str; 16] = [
    "ID",
    "ContainerID",
    "Name",
    "State",
    "Image",
    "Cpu",
    "Memory",
    "Disk",
    "ExposedPorts",
    "HostPorts",
    "PortBindings",
    "RestartPolicy",
    "StartTime",
    "FinishTime",
    "HealthCheck",
    "RestartCount",
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chapter {
    /// Stops by POST, knows no ports, health checks or restarts.
    Seven,
    Twelve,
}

/// How it answers a start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Manners {
    #[default]
    Good,
    Refuses,
    Hangs,
    Says200,
}

/// Clones are the same worker.
#[derive(Clone, Debug)]
pub struct StandIn {
    pub addr: SocketAddr,
    inner: Arc<Mutex<Inner>>,
    _end: Arc<DropGuard>,
}

#[derive(Debug)]
struct Inner {
    chapter: Chapter,
    manners: Manners,
    /// It does not look at its queue.
    is_asleep: bool,
    queue: VecDeque<Map<String, Value>>,
    db: BTreeMap<String, Map<String, Value>>,
    /// Containers that are there, by name: the id, and whether it runs.
    containers: BTreeMap<String, (String, bool)>,
    started: u32,
    /// Every event that came.
    posts: Vec<Value>,
    /// DELETEs whose connection was dropped.
    dropped: u32,
}

impl StandIn {
    pub async fn start(chapter: Chapter, manners: Manners) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let token = CancellationToken::new();
        let inner = Arc::new(Mutex::new(Inner {
            chapter,
            manners,
            is_asleep: false,
            queue: VecDeque::new(),
            db: BTreeMap::new(),
            containers: BTreeMap::new(),
            started: 0,
            posts: Vec::new(),
            dropped: 0,
        }));
        let stand_in = Self { addr, inner, _end: Arc::new(token.clone().drop_guard()) };
        let (inner, ticking) = (stand_in.inner.clone(), stand_in.inner.clone());
        tokio::spawn(token.clone().run_until_cancelled_owned(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer(stream, inner.clone()));
            }
        }));
        tokio::spawn(token.run_until_cancelled_owned(async move {
            let mut turns = tokio::time::interval(TURN);
            loop {
                turns.tick().await;
                lock(&ticking).turn();
            }
        }));
        stand_in
    }

    pub fn id(&self) -> WorkerId {
        WorkerId::from(self.addr.to_string().as_str())
    }

    pub fn posts(&self) -> Vec<Value> {
        lock(&self.inner).posts.clone()
    }

    pub fn dropped(&self) -> u32 {
        lock(&self.inner).dropped
    }

    pub fn sleeps(&self, is_asleep: bool) {
        lock(&self.inner).is_asleep = is_asleep;
    }

    /// The names of the containers that run.
    pub fn running(&self) -> Vec<String> {
        let inner = lock(&self.inner);
        inner.containers.iter().filter(|(_, (_, runs))| *runs).map(|(name, _)| name.clone()).collect()
    }

    /// The container ends by itself; it is still there then.
    pub fn exit(&self, name: &str) {
        lock(&self.inner).containers.get_mut(name).expect("it is there").1 = false;
    }

    /// It starts anew and knows nothing any more.
    pub fn forget(&self) {
        let mut inner = lock(&self.inner);
        inner.queue.clear();
        inner.db.clear();
    }
}

fn lock(inner: &Mutex<Inner>) -> MutexGuard<'_, Inner> {
    inner.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Status, type and body; `None` drops the connection.
type Answer = Option<(u16, &'static str, String)>;

async fn answer(mut stream: TcpStream, inner: Arc<Mutex<Inner>>) {
    let Some(request) = Message::read(&mut stream).await else { return };
    let (method, path) = request.target();
    let path = path.trim_end_matches('/');
    let hangs = method == "POST" && path == "/tasks" && lock(&inner).manners == Manners::Hangs;
    if hangs {
        // Until the other side has had enough.
        let _ = Message::read(&mut stream).await;
        return;
    }
    let Some((status, kind, body)) = lock(&inner).answer(method, path, &request.body) else { return };
    let head = format!(
        "HTTP/1.1 {status} {}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        if status < 300 { "OK" } else { "Bad" },
        body.len()
    );
    let _ = stream.write_all((head + &body).as_bytes()).await;
    let _ = stream.shutdown().await;
}

impl Inner {
    fn answer(&mut self, method: &str, path: &str, body: &str) -> Answer {
        const JSON: &str = "application/json";
        const TEXT: &str = "text/plain; charset=utf-8";
        let is_new = self.chapter == Chapter::Twelve;
        match (method, path, path.strip_prefix("/tasks/")) {
            ("POST", "/tasks", _) => Some(match self.add(body) {
                Ok(task) => (if self.manners == Manners::Says200 { 200 } else { 201 }, TEXT, task),
                Err(error) => {
                    let error = json!({ "HTTPStatusCode": 400, "Message": format!("{error}\n") });
                    (400, TEXT, format!("{error}\n"))
                }
            }),
            ("GET", "/tasks", _) if self.db.is_empty() && is_new => Some((200, JSON, "null\n".to_owned())),
            ("GET", "/tasks", _) => {
                let tasks: Vec<Value> = self.db.values().map(|task| self.printed(task)).collect();
                Some((200, JSON, format!("{}\n", Value::Array(tasks))))
            }
            ("GET", "/stats", _) if is_new => Some((200, JSON, "null\n".to_owned())),
            ("DELETE", _, Some(id)) if is_new => {
                let Some(mut task) = self.db.get(id).cloned() else {
                    self.dropped += 1;
                    return None;
                };
                task.insert("State".to_owned(), json!(3));
                self.queue.push_back(task);
                Some((204, TEXT, String::new()))
            }
            ("DELETE", _, Some(_)) | (_, "/tasks", _) => Some((405, TEXT, String::new())),
            _ => Some((404, TEXT, "404 page not found\n".to_owned())),
        }
    }

    /// Takes an event; the strictest of their readers refuses fields that it does not know.
    fn add(&mut self, body: &str) -> Result<String, String> {
        let event: Value = serde_json::from_str(body).map_err(|error| error.to_string())?;
        self.posts.push(event.clone());
        if self.manners == Manners::Refuses {
            return Err("no room on this machine".to_owned());
        }
        let task = event["Task"].as_object().ok_or("no Task")?.clone();
        if let Some(unknown) = task.keys().find(|key| !TASK_FIELDS.contains(&key.as_str())) {
            return Err(format!("json: unknown field \"{unknown}\""));
        }
        for (number, what) in [(&event["State"], "State"), (&task["State"], "Task.State")] {
            if number.as_u64().is_none_or(|number| number > 4) {
                return Err(format!("{what} is {number}"));
            }
        }
        let printed = self.printed(&task);
        self.queue.push_back(task);
        Ok(format!("{printed}\n"))
    }

    /// The task with the fields of the chapter, unset ones too.
    fn printed(&self, task: &Map<String, Value>) -> Value {
        let is_new = self.chapter == Chapter::Twelve;
        let mut out = Map::new();
        for field in TASK_FIELDS {
            let unset = match field {
                "ExposedPorts" | "PortBindings" => json!(null),
                "HostPorts" if is_new => json!({}),
                "RestartCount" if is_new => json!(0),
                "HealthCheck" if is_new => json!(""),
                "HostPorts" | "RestartCount" | "HealthCheck" => continue,
                "State" | "Cpu" | "Memory" | "Disk" => json!(0),
                "StartTime" | "FinishTime" => json!(ZERO_TIME),
                _ => json!(""),
            };
            out.insert(field.to_owned(), task.get(field).cloned().unwrap_or(unset));
        }
        Value::Object(out)
    }

    /// One turn: what became of the containers, then one task off the queue.
    fn turn(&mut self) {
        if self.is_asleep {
            return;
        }
        for task in self.db.values_mut().filter(|task| task["State"] == 2) {
            let runs = self.containers.values().any(|(id, runs)| *runs && task["ContainerID"] == *id);
            if !runs {
                task["State"] = json!(4);
            } else if self.chapter == Chapter::Twelve {
                let ports = task.get("ExposedPorts").and_then(Value::as_object);
                let ports = ports.into_iter().flatten().map(|(port, _)| {
                    let bound = |ip: &str| json!({ "HostIp": ip, "HostPort": "32768" });
                    (port.clone(), json!([bound("0.0.0.0"), bound("::")]))
                });
                let ports = Value::Object(ports.collect());
                task.insert("HostPorts".to_owned(), ports);
            }
        }
        let Some(task) = self.queue.pop_front() else { return };
        self.run_task(task);
    }

    fn run_task(&mut self, mut task: Map<String, Value>) {
        let id = task["ID"].as_str().unwrap_or("").to_owned();
        let from = self.db.get(&id).map_or(1, |known| known["State"].as_u64().unwrap_or(0));
        let to = task["State"].as_u64().unwrap_or(0);
        match (from, to, self.chapter) {
            (_, 3, Chapter::Twelve) | (2, 3, Chapter::Seven) => {
                self.remove(task.get("ContainerID").and_then(Value::as_str).unwrap_or(""));
                // Now, whenever that is.
                task.insert("FinishTime".to_owned(), json!("2026-11-24T08:00:00.123456789Z"));
                self.db.insert(id, task);
            }
            (1, 1, Chapter::Seven) | (_, 1, Chapter::Twelve) => {
                if let Some(before) = task.get("ContainerID").and_then(Value::as_str) {
                    let before = before.to_owned();
                    self.remove(&before);
                }
                let name = task["Name"].as_str().unwrap_or("").to_owned();
                let is_taken = self.containers.contains_key(&name);
                self.started += 1;
                let container = format!("{:064x}", self.started);
                if is_taken || task["Image"] == "missing" {
                    task.insert("State".to_owned(), json!(4));
                } else {
                    self.containers.insert(name, (container.clone(), true));
                    task.insert("ContainerID".to_owned(), json!(container));
                    task.insert("State".to_owned(), json!(2));
                }
                self.db.insert(id, task);
            }
            // Theirs log this and go on. What is new was noted before they looked.
            _ => _ = self.db.entry(id).or_insert(task),
        }
    }

    fn remove(&mut self, container: &str) {
        self.containers.retain(|_, (id, _)| id != container);
    }
}
