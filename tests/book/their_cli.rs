//! The book's CLI talks to our manager: run, stop, status, node.

use cube_tui::{task::State, worker::runtime::Fake};
use jiff::Timestamp;
use serde_json::json;
use uuid::Uuid;

use crate::{
    http::go_request,
    our_manager::OurManager,
    stand_in::{Chapter, Manners, StandIn},
    support::worker::TestWorker,
};

#[tokio::test]
async fn run_status_node_and_stop_work() {
    let ours = TestWorker::start(Fake::default(), Uuid::new_v4()).await;
    let theirs = StandIn::start(Chapter::Twelve, Manners::Good).await;
    let manager = OurManager::start(&[ours.addr.to_string().as_str().into(), theirs.id()]).await;
    manager.ready().await;

    // run: the file as it is.
    let id = Uuid::new_v4();
    let file = json!({
        "ID": Uuid::new_v4(), "State": 2,
        "Task": { "State": 1, "ID": id, "Name": "web", "Image": "web", "ExposedPorts": {"80/tcp": {}} },
    });
    let file = format!("{file:#}\n");
    let run = go_request(manager.addr, "POST", "/tasks", Some(&file)).await;
    assert_eq!((run.status(), run.json()["ID"].as_str()), (201, Some(id.to_string().as_str())));
    manager.until_state(id.to_string().parse().unwrap(), State::Running).await;

    // status: a table from the list.
    let status = go_request(manager.addr, "GET", "/tasks", None).await;
    assert_eq!((status.status(), status.header("content-type")), (200, Some("application/json")));
    let tasks = status.json();
    assert_eq!((&tasks[0]["ID"], &tasks[0]["Name"]), (&json!(id), &json!("web")));
    assert_eq!((&tasks[0]["State"], &tasks[0]["Image"]), (&json!(2), &json!("web")));
    tasks[0]["StartTime"].as_str().unwrap().parse::<Timestamp>().unwrap();

    // node: a table from the nodes; the book's worker has no stats yet.
    let nodes = go_request(manager.addr, "GET", "/nodes", None).await;
    let nodes = nodes.json();
    let names: Vec<_> = nodes.as_array().unwrap().iter().map(|node| node["Name"].clone()).collect();
    assert_eq!(names, [json!(ours.addr.to_string()), json!(theirs.addr.to_string())]);
    assert!(nodes[0]["Memory"].as_i64().unwrap() > 0 && nodes[0]["Disk"].as_i64().unwrap() > 0);
    for node in nodes.as_array().unwrap() {
        assert_eq!((&node["Role"], node["Stats"]["CpuStats"].is_object()), (&json!("worker"), true));
        assert_eq!(node["Api"], format!("http://{}", node["Name"].as_str().unwrap()));
    }
    assert_eq!(nodes[0]["TaskCount"].as_i64().unwrap() + nodes[1]["TaskCount"].as_i64().unwrap(), 1);

    // stop, also of what is not there.
    let stop = go_request(manager.addr, "DELETE", &format!("/tasks/{id}"), None).await;
    assert_eq!(stop.status(), 204);
    manager.until_state(id.to_string().parse().unwrap(), State::Completed).await;
    let unknown = format!("/tasks/{}", Uuid::new_v4());
    assert_eq!(go_request(manager.addr, "DELETE", &unknown, None).await.status(), 404);
    manager.end().await;
    ours.end().await;
}

/// A task that no worker can take is listed, as State 0.
#[tokio::test]
async fn status_lists_what_still_waits() {
    let manager = OurManager::start(&["127.0.0.1:1".into()]).await;
    let task = manager.submit(json!({})).await;
    let tasks = go_request(manager.addr, "GET", "/tasks", None).await.json();
    assert_eq!((&tasks[0]["ID"], &tasks[0]["State"]), (&json!(task), &json!(0)));
    // A node that can't be reached has zeros, and is there.
    let nodes = go_request(manager.addr, "GET", "/nodes", None).await.json();
    assert_eq!((&nodes[0]["Name"], &nodes[0]["Memory"]), (&json!("127.0.0.1:1"), &json!(0)));
    manager.end().await;
}
