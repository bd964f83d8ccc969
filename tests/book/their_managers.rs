//! The book's managers drive our worker: what they send, and what they can read of the answers.

use std::collections::BTreeMap;

use cube_tui::worker::runtime::{Fake, Script};
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::{
    http::{Message, go_request},
    stand_in::Chapter,
    support::{
        wait_for,
        worker::{PATIENCE, TestWorker},
    },
};

/// A manager as the book has it, with one worker: ours.
struct BookManager {
    /// Seven stands for all those that stop by POST.
    chapter: Chapter,
    worker: TestWorker,
    task_db: BTreeMap<String, Map<String, Value>>,
}

impl BookManager {
    async fn start(chapter: Chapter, runtime: Fake) -> Self {
        let worker = TestWorker::start(runtime, Uuid::new_v4()).await;
        Self { chapter, worker, task_db: BTreeMap::new() }
    }

    async fn ask(&self, method: &str, path: &str, body: Option<&str>) -> Message {
        go_request(self.worker.addr, method, path, body).await
    }

    async fn post(&self, state: u8, task: &Map<String, Value>) {
        let event = json!({
            "ID": Uuid::new_v4(), "State": state, "Timestamp": "2026-11-24T09:00:00.123456789+01:00",
            "Task": task,
        });
        let answer = self.ask("POST", "/tasks", Some(&event.to_string())).await;
        // Anything but a 201 loses the task there.
        assert_eq!(answer.status(), 201, "{answer:?}");
        readable(&answer.json());
    }

    async fn submit(&mut self, more: Value) -> String {
        let id = Uuid::new_v4().to_string();
        let mut task = json!({
            "ID": id, "ContainerID": "", "Name": "web", "State": 1, "Image": "web", "Cpu": 0, "Memory": 0,
            "Disk": 0, "ExposedPorts": {"80/tcp": {}}, "PortBindings": {"80/tcp": "8080"},
            "RestartPolicy": "", "StartTime": "0001-01-01T00:00:00Z", "FinishTime": "0001-01-01T00:00:00Z",
        });
        let fields = task.as_object_mut().unwrap();
        if self.chapter == Chapter::Twelve {
            fields.extend([
                ("HostPorts".to_owned(), Value::Null),
                ("HealthCheck".to_owned(), json!("/health")),
                ("RestartCount".to_owned(), json!(0)),
            ]);
        }
        fields.extend(more.as_object().cloned().unwrap_or_default());
        self.post(2, fields).await;
        self.task_db.insert(id.clone(), fields.clone());
        id
    }

    /// What theirs do every 15 s.
    async fn update_tasks(&mut self) {
        let answer = self.ask("GET", "/tasks", None).await;
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.header("content-type"), Some("application/json"));
        for task in answer.json().as_array().unwrap() {
            readable(task);
            let known = self.task_db.get_mut(task["ID"].as_str().unwrap()).expect("it was sent from here");
            for field in ["State", "StartTime", "FinishTime", "ContainerID", "HostPorts"] {
                if self.chapter == Chapter::Twelve || field != "HostPorts" {
                    known.insert(field.to_owned(), task[field].clone());
                }
            }
        }
    }

    async fn until_state(&mut self, id: &str, state: u8) {
        let start = std::time::Instant::now();
        while self.task_db[id]["State"] != state {
            assert!(start.elapsed() < PATIENCE, "{:?} is not in state {state}", self.task_db[id]);
            tokio::task::yield_now().await;
            self.update_tasks().await;
        }
    }

    async fn stop(&self, id: &str) {
        if self.chapter == Chapter::Twelve {
            let answer = self.ask("DELETE", &format!("/tasks/{id}"), None).await;
            assert_eq!((answer.status(), answer.body.as_str()), (204, ""));
        } else {
            let mut task = self.task_db[id].clone();
            task.insert("State".to_owned(), json!(3));
            self.post(3, &task).await;
        }
    }

    /// Theirs restart what failed or is not healthy, up to three times.
    async fn restart(&mut self, id: &str) {
        let task = self.task_db.get_mut(id).unwrap();
        task.insert("State".to_owned(), json!(1));
        let count = task.get("RestartCount").and_then(Value::as_u64).unwrap_or(0);
        task.insert("RestartCount".to_owned(), json!(count + 1));
        let task = task.clone();
        self.post(2, &task).await;
    }
}

/// What makes their decoders fail, or panic later.
fn readable(task: &Value) {
    task["ID"].as_str().unwrap().parse::<Uuid>().unwrap();
    assert!(task["State"].as_u64().unwrap() <= 4, "{task}");
    for field in ["ContainerID", "Name", "Image", "RestartPolicy", "HealthCheck"] {
        assert!(task[field].is_string(), "{field} of {task}");
    }
    for field in ["Memory", "Disk", "RestartCount"] {
        assert!(task[field].is_i64() || task[field].is_u64(), "{field} of {task}");
    }
    assert!(task["Cpu"].is_number());
    for field in ["StartTime", "FinishTime"] {
        task[field].as_str().unwrap().parse::<Timestamp>().unwrap();
    }
    for field in ["ExposedPorts", "HostPorts", "PortBindings"] {
        assert!(task[field].is_null() || task[field].is_object(), "{field} of {task}");
    }
    for (port, bindings) in task["HostPorts"].as_object().into_iter().flatten() {
        assert!(bindings[0]["HostPort"].is_string(), "{port}: they look at the first one");
    }
}

#[tokio::test]
async fn managers_of_either_chapter_start_watch_and_stop_a_task() {
    for chapter in [Chapter::Seven, Chapter::Twelve] {
        let runtime = Fake::default();
        let mut manager = BookManager::start(chapter, runtime.clone()).await;
        let task = manager.submit(json!({})).await;
        manager.until_state(&task, 2).await;
        let running = &manager.task_db[&task];
        assert_eq!(running["ContainerID"], runtime.containers()[0].container);
        assert!(running["StartTime"].as_str().unwrap() > "2", "{running:?}");
        manager.stop(&task).await;
        manager.until_state(&task, 3).await;
        assert_eq!(runtime.containers(), [], "{chapter:?}");
        assert!(manager.task_db[&task]["FinishTime"].as_str().unwrap() > "2");
        // Theirs stop twice when asked twice.
        manager.stop(&task).await;
        assert_eq!(runtime.starts(), 1);
        manager.worker.end().await;
    }
}

#[tokio::test]
async fn a_health_check_finds_the_host_port() {
    let mut manager = BookManager::start(Chapter::Twelve, Fake::default()).await;
    let task = manager.submit(json!({})).await;
    let start = std::time::Instant::now();
    while manager.task_db[&task]["HostPorts"].is_null() {
        assert!(start.elapsed() < PATIENCE);
        tokio::task::yield_now().await;
        manager.update_tasks().await;
    }
    assert_eq!(manager.task_db[&task]["HostPorts"]["80/tcp"][0]["HostPort"], "8080");
    manager.worker.end().await;
}

#[tokio::test]
async fn a_restart_replaces_the_container() {
    let runtime = Fake::default();
    let mut manager = BookManager::start(Chapter::Twelve, runtime.clone()).await;
    let task = manager.submit(json!({})).await;
    manager.until_state(&task, 2).await;
    let before = manager.task_db[&task]["ContainerID"].clone();
    // Running, and not healthy.
    manager.restart(&task).await;
    let replaced = async || {
        let containers = runtime.containers();
        (runtime.starts() == 2 && containers.len() == 1 && containers[0].container != before).then_some(())
    };
    wait_for("another container, and only that", PATIENCE, replaced).await;
    manager.until_state(&task, 2).await;
    // Failed.
    runtime.exit(task.parse().unwrap(), 3);
    manager.until_state(&task, 4).await;
    manager.restart(&task).await;
    manager.until_state(&task, 2).await;
    assert_eq!(runtime.starts(), 3);
    let running = async || (runtime.containers().len() == 1).then_some(());
    wait_for("the ended container is removed", PATIENCE, running).await;
    manager.worker.end().await;
}

/// Chapter 9 restarts, and stops by POST with what it knew at its last look: the container before the restart.
#[tokio::test]
async fn a_stop_by_post_after_a_restart_stops_what_runs_now() {
    let runtime = Fake::default();
    let mut manager = BookManager::start(Chapter::Seven, runtime.clone()).await;
    let task = manager.submit(json!({})).await;
    manager.until_state(&task, 2).await;
    manager.restart(&task).await;
    wait_for("the restart", PATIENCE, async || (runtime.starts() == 2).then_some(())).await;
    manager.stop(&task).await;
    manager.until_state(&task, 3).await;
    assert_eq!(runtime.containers(), []);
    manager.worker.end().await;
}

#[tokio::test]
async fn a_failed_start_shows_as_state_4() {
    let runtime = Fake::default();
    runtime.script("web", Script { refuse: Some("no".to_owned()), ..Script::default() });
    let mut manager = BookManager::start(Chapter::Twelve, runtime).await;
    let task = manager.submit(json!({})).await;
    manager.until_state(&task, 4).await;
    manager.worker.end().await;
}

/// Without these their E-PVM panics, and two samples must tell a usage.
#[tokio::test]
async fn stats_have_what_their_scheduler_needs() {
    let mut manager = BookManager::start(Chapter::Twelve, Fake::default()).await;
    manager.submit(json!({})).await;
    let total = |stats: &Value| -> u64 {
        ["user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal"]
            .map(|field| stats["CpuStats"][field].as_u64().unwrap())
            .iter()
            .sum()
    };
    let first = manager.ask("GET", "/stats", None).await;
    assert_eq!(first.status(), 200);
    let first = first.json();
    assert!(first["MemStats"]["mem_total"].as_u64().unwrap() > 0);
    assert!(first["MemStats"]["mem_available"].as_u64().unwrap() > 0);
    assert!(first["DiskStats"]["all"].as_u64() > first["DiskStats"]["free"].as_u64());
    assert!(first["LoadStats"]["last1min"].is_number());
    assert_eq!(first["TaskCount"], 1);
    let moved = async || {
        let next = manager.ask("GET", "/stats", None).await.json();
        (total(&next) > total(&first)).then_some(())
    };
    wait_for("time passes in CpuStats", PATIENCE, moved).await;
    manager.worker.end().await;
}
