//! Every recorded request, as it went over the wire, to our real routers: the answer is the recorded one, or
//! differs where `wire` says that ours does.

use cube_tui::worker::runtime::Fake;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    http::{Message, exchange},
    our_manager::OurManager,
    support::{
        recording::{Recording, as_ours, recording, recordings},
        worker::TestWorker,
    },
};

/// Both kinds of peer, ours, fresh: one recording must not change the answer to another.
struct Ours {
    worker: TestWorker,
    manager: OurManager,
}

impl Ours {
    async fn start() -> Self {
        let worker = TestWorker::start(Fake::default(), Uuid::new_v4()).await;
        let manager = OurManager::start(&[worker.addr.to_string().as_str().into()]).await;
        Self { worker, manager }
    }

    async fn end(self) {
        self.manager.end().await;
        self.worker.end().await;
    }

    /// Sends it to the kind of peer that it was recorded from. Only the Host is another one.
    async fn send(&self, name: &str, recorded: &Recording) -> Message {
        let addr = if name.contains("_manager_") { self.manager.addr } else { self.worker.addr };
        exchange(addr, &recorded.raw_request.replace("Host: peer", &format!("Host: {addr}"))).await
    }
}

/// Where our status is another one, and why.
const REFUSED: [(&str, &str); 6] = [
    // A line separator in a name would spoil every list.
    ("ch12_worker_post_html_escape.http", "expected printable characters"),
    ("ch12_worker_post_state_99.http", "Task.State: expected a state"),
    ("ch12_worker_post_empty_maps.http", "Task.Image: missing"),
    ("ch12_worker_post_hostports.http", "Task.Image: missing"),
    ("ch12_worker_post_nulls.http", "Task.Image: missing"),
    ("ch12_worker_post_times.http", "Task.Image: missing"),
];

#[tokio::test]
async fn every_recorded_post_gets_the_documented_answer() {
    let mut answered = 0;
    for name in recordings().iter().filter(|name| name.contains("_post_")) {
        let recorded = recording(name);
        let ours = Ours::start().await;
        ours.manager.ready().await;
        let answer = ours.send(name, &recorded).await;
        assert_eq!(answer.header("content-type"), Some("application/json"), "{name}");
        let refused = REFUSED.iter().find(|(refused, _)| refused == name);
        if let Some((_, why)) = refused {
            assert_eq!((recorded.status, answer.status()), (201, 400), "{name}: {answer:?}");
            assert!(answer.json()["Message"].as_str().unwrap().contains(why), "{name}: {answer:?}");
        } else {
            assert_eq!(answer.status(), recorded.status, "{name}: {answer:?}");
        }
        if answer.status() == 400 {
            let error = answer.json();
            assert_eq!(error["HTTPStatusCode"], 400, "{name}");
            assert_eq!(error.as_object().unwrap().len(), 2, "{name}");
        } else {
            same_task(name, &recorded, answer.json());
        }
        answered += 1;
        ours.end().await;
    }
    assert_eq!(answered, 15);
}

/// The answer repeats the task. Ours says how it stands, gives an id where there was none, and knows more fields.
fn same_task(name: &str, recorded: &Recording, mut ours: Value) {
    let mut theirs = as_ours(serde_json::from_str(&recorded.response_body).unwrap());
    if theirs["ID"] == json!(Uuid::nil()) {
        assert_ne!(ours["ID"], theirs["ID"], "{name}");
        theirs["ID"] = ours["ID"].clone();
    }
    if name.starts_with("ch7") {
        // Chapter 7 does not know these two, so its answer does not repeat them.
        theirs["HealthCheck"] = json!("/health");
        theirs["RestartCount"] = json!(2);
    }
    let expected = u8::from(!name.contains("_manager_"));
    assert_eq!(ours["State"], expected, "{name}");
    theirs["State"] = json!(expected);
    ours.as_object_mut().unwrap().remove("Cmd");
    assert_eq!(ours, theirs, "{name}");
}

#[tokio::test]
async fn every_recorded_list_and_stop_gets_the_documented_answer() {
    let ours = Ours::start().await;
    ours.manager.ready().await;
    for name in ["ch12_manager_get_tasks_empty.http", "ch7_worker_get_tasks_empty.http"] {
        let answer = ours.send(name, &recording(name)).await;
        assert_eq!((answer.status(), answer.body.as_str()), (200, "[]"), "{name}");
    }
    for name in ["ch12_manager_get_nodes.http", "ch12_worker_get_stats.http"] {
        let recorded = recording(name);
        let answer = ours.send(name, &recorded).await;
        assert_eq!(answer.status(), 200, "{name}");
        let theirs: Value = serde_json::from_str(&recorded.response_body).unwrap();
        same_shape(name, &theirs, &answer.json());
    }

    // What their lists show was posted before.
    let post = recording("ch12_manager_post_tasks.http");
    let posted = ours.send("ch12_manager_post_tasks.http", &post).await;
    assert_eq!(posted.status(), 201);
    let id: cube_tui::task::TaskId = posted.json()["ID"].as_str().unwrap().parse().unwrap();
    ours.manager.until("running, with its port", id, |task| !task.status().host_ports.is_empty()).await;
    for name in ["ch12_manager_get_tasks.http", "ch12_worker_get_tasks.http", "ch7_worker_get_tasks.http"] {
        let recorded = recording(name);
        let answer = ours.send(name, &recorded).await;
        assert_eq!((answer.status(), answer.header("content-type")), (200, Some("application/json")));
        let theirs: Value = serde_json::from_str(&recorded.response_body).unwrap();
        let theirs = theirs.as_array().unwrap().iter().find(|task| task["State"] == 2).unwrap();
        let tasks = answer.json();
        let task = &tasks[0];
        for field in theirs.as_object().unwrap().keys() {
            assert_eq!(kind(&theirs[field]), kind(&task[field]), "{name}: {field}");
        }
        if name.starts_with("ch12") {
            for field in ["ID", "Name", "State", "Image", "ExposedPorts", "PortBindings", "HealthCheck"] {
                assert_eq!(task[field], theirs[field], "{name}: {field}");
            }
        }
    }

    let (stop, unknown) = ("ch12_worker_delete_task.http", "ch12_manager_delete_unknown.http");
    let answer = ours.send(unknown, &recording(unknown)).await;
    assert_eq!(answer.status(), 404);
    let answer = ours.send(stop, &recording(stop)).await;
    assert_eq!((answer.status(), answer.body.as_str()), (204, ""));
    // The recorded stop at the manager is of a task that was not in the recordings.
    let name = "ch12_manager_delete_task.http";
    let mut recorded = recording(name);
    recorded.raw_request =
        recorded.raw_request.replace("21b23589-5d2d-4731-b5c9-a97e9832d021", &id.to_string());
    assert_eq!(ours.send(name, &recorded).await.status(), 204);
    ours.end().await;
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// Every key of theirs is in ours, with a value of the same kind.
fn same_shape(name: &str, theirs: &Value, ours: &Value) {
    assert_eq!(kind(theirs), kind(ours), "{name}: {theirs} {ours}");
    match theirs {
        Value::Object(fields) => {
            for (key, value) in fields {
                same_shape(&format!("{name}: {key}"), value, &ours[key]);
            }
        }
        Value::Array(values) => {
            for (at, value) in values.iter().enumerate() {
                same_shape(name, value, &ours[at]);
            }
        }
        _ => {}
    }
}
