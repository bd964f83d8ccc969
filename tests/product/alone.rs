//! What the product does where no container is needed: addresses, stores, unknown ids, peers that refuse.

use std::net::TcpListener;

use axum::{Json, Router, http::StatusCode, routing::get};
use cube_tui::task::State;
use libtest_mimic::{Completion, Failed, Trial};
use rustix::process::Signal;
use serde_json::{Value, json};
use uuid::Uuid;

use super::support::{
    block_on,
    process::{Home, Manager},
    wait_for,
    worker::PATIENCE,
};

pub fn tests() -> Vec<Trial> {
    vec![
        trial("a_port_in_use_exits_4_and_names_the_address", port_in_use),
        trial("a_second_start_on_the_same_store_attaches", second_start),
        trial("a_second_worker_on_the_same_folder_exits_4", second_worker),
        trial("unknown_ids_are_404_on_the_api_and_2_on_the_command_line", unknown_ids),
        trial("commands_without_a_manager_exit_4_and_say_what_to_do", no_manager),
        trial("unreadable_json_exits_2_and_is_in_no_store", unreadable),
        trial("a_task_that_fits_nowhere_waits_and_says_why", fits_nowhere),
        trial("a_4xx_of_a_worker_fails_the_task_with_its_message", refused),
        trial("an_engine_that_is_away_is_told_and_the_program_runs_on", engine_away),
    ]
}

pub fn trial<F, R>(name: &'static str, test: F) -> Trial
where
    F: FnOnce() -> R + Send + 'static,
    R: Future<Output = ()>,
{
    let run = || -> Result<Completion, Failed> {
        block_on(async {
            test().await;
            Ok(Completion::Completed)
        })
    };
    Trial::test(name, move || run().map(|_| ()))
}

pub const ALONE: &str = "--no-ui --output json --data-dir data --no-local-worker";
/// Of a start that finds the one before there.
const SECOND: &str = "--no-ui --output json --data-dir data";

async fn port_in_use() {
    let home = Home::without_engine();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let in_use = format!("localhost:{port}: another program is using it");
    for (variable, line) in [
        ("CUBE_MANAGER_PORT", "--no-ui --data-dir data"),
        ("CUBE_PORT", "--no-ui --data-dir data"),
        ("CUBE_PORT", "worker --data-dir data"),
    ] {
        let mut command = home.command(line);
        command.env(variable, &port);
        super::support::process::Ended::of(command).expect(4, &[&in_use, variable]);
    }
}

async fn second_start() {
    let home = Home::without_engine();
    let mut first = home.start(ALONE);
    let manager = first.manager().await;
    let pid = format!("another cube-tui (pid {}) has this data folder", first.pid().as_raw_nonzero());

    let mut second = home.start(&format!("{SECOND} --submit task.json"));
    second.ended().await;
    assert!(second.stderr().contains("task.json"), "read before anything else: {}", second.stderr());

    home.write("task.json", &json!({"Name": "through-the-second", "Image": "alpine"}));
    let mut second = home.start(&format!("{SECOND} --submit task.json"));
    let is_it = |line: &Value| line["task"]["Name"] == "through-the-second";
    second.line("the first one's news", is_it).await;
    first.line("its own news", is_it).await;
    assert!(second.stderr().contains(&pid), "{}", second.stderr());
    assert_eq!(second.end(Signal::TERM).await.code(), Some(0));
    assert_eq!(manager.cluster().await.task_db().len(), 1, "the first goes on");
    for (options, said) in [
        ("--worker localhost:1", "--worker is for a manager's start"),
        (
            "--no-local-worker --no-listen --overcommit cpu=2",
            "--no-local-worker, --no-listen, --overcommit are for",
        ),
        ("--scheduler epvm --label a=b", "--scheduler, --label are for"),
    ] {
        home.run(&format!("{SECOND} {options}")).expect(2, &[said, "cube-tui shutdown"]);
    }
    let set_once = home.path(".config/cube-tui");
    std::fs::create_dir_all(&set_once).unwrap();
    std::fs::write(set_once.join("config.toml"), "scheduler = \"epvm\"").unwrap();
    let mut second = home.start(SECOND);
    let is_attached = async || second.stderr().contains(&pid).then_some(());
    wait_for("what the config file sets is no wish of this start", PATIENCE, is_attached).await;
    assert_eq!(second.end(Signal::TERM).await.code(), Some(0));

    // Ended in any way, the folder is free again.
    first.end(Signal::KILL).await;
    let mut third = home.start(ALONE);
    assert_eq!(third.manager().await.cluster().await.task_db().len(), 1);
}

async fn second_worker() {
    let home = Home::without_engine();
    let mut first = home.start("worker --data-dir data --output json");
    first.port_of("worker").await;
    home.run("worker --data-dir data").expect(4, &["data", "--data-dir DIR"]);
}

async fn unknown_ids() {
    let home = Home::without_engine();
    let mut node = home.start(ALONE);
    let manager = node.manager().await;
    let unknown = Uuid::new_v4();
    let answer = manager.http.delete(manager.url(&format!("/tasks/{unknown}"))).send().await.unwrap();
    assert_eq!(answer.status(), 404);
    assert!(answer.text().await.unwrap().contains(&unknown.to_string()));
    let no_id = manager.http.delete(manager.url("/tasks/web")).send().await.unwrap();
    assert_eq!(no_id.status(), 400);
    for name in [&*unknown.to_string(), "web"] {
        let mut command = home.command(&format!("stop {name}"));
        command.env("CUBE_MANAGER_PORT", manager.port.to_string());
        let ended = super::support::process::Ended::of(command).expect(2, &[name, "cube-tui ps"]);
        assert_eq!(ended.stdout, "");
    }
    assert!(!node.has_ended());
}

async fn no_manager() {
    let home = Home::without_engine();
    home.write("task.json", &json!({"Image": "alpine"}));
    // A port that was free a moment ago.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
    let at = format!("localhost:{port}");
    for line in ["ps", "stop web", "submit task.json", "submit task.json --wait", "run alpine"] {
        let mut command = home.command(line);
        command.env("CUBE_MANAGER_PORT", &port);
        let ended = super::support::process::Ended::of(command);
        assert_eq!(ended.expect(4, &[&at, "try `cube-tui --no-ui`"]).stdout, "", "{line}");
    }
}

async fn unreadable() {
    let home = Home::without_engine();
    home.write("good.json", &json!({"Name": "good", "Image": "alpine"}));
    std::fs::write(home.path("broken.json"), "{\"Name\": ").unwrap();
    let mut node = home.start(ALONE);
    let manager = node.manager().await;
    let line = "--no-ui --data-dir data --output json --submit good.json --submit broken.json --wait";
    for line in [line, "submit good.json broken.json"] {
        let mut command = home.command(line);
        command.env("CUBE_MANAGER_PORT", manager.port.to_string());
        let ended = super::support::process::Ended::of(command).expect(2, &["broken.json, line 1"]);
        assert_eq!(ended.stdout, "");
    }
    let over_http = manager.http.post(manager.url("/tasks")).body("{broken").send().await.unwrap();
    assert_eq!(over_http.status(), 400);
    assert_eq!(manager.cluster().await.task_db().len(), 0);
    node.end(Signal::KILL).await;
    let mut again = home.start(ALONE);
    assert_eq!(again.manager().await.cluster().await.task_db().len(), 0);
}

async fn fits_nowhere() {
    let home = Home::without_engine();
    let mut node = home.start(ALONE);
    let manager = node.manager().await;
    let task = manager.submit(&json!({"Name": "waits", "Image": "alpine"})).await;
    let waiting = manager.until("a reason", PATIENCE, task, |task| !task.status().reason.is_empty()).await;
    assert_eq!(waiting.state(), State::Pending);
    assert!(waiting.status().reason.contains("no worker"), "{}", waiting.status().reason);

    // An acknowledged submit is there after kill -9, too.
    node.end(Signal::KILL).await;
    let mut again = home.start(ALONE);
    let manager = again.manager().await;
    assert_eq!(manager.cluster().await.task(task).unwrap().state(), State::Pending);
    assert_eq!(manager.stop(task).await, 204);
    manager.until_state(task, State::Completed).await;
}

async fn refused() {
    let home = Home::without_engine();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let refusal = || async {
        let body = json!({"HTTPStatusCode": 400, "Message": "no task of yours, thank you"});
        (StatusCode::BAD_REQUEST, Json(body))
    };
    let router = Router::new().route("/tasks", get(|| async { Json(json!([])) }).post(refusal));
    let serving = tokio::spawn(async move { axum::serve(listener, router).await });
    let mut node = home.start(&format!("{ALONE} --worker {address}"));
    let manager = node.manager().await;
    let task = manager.submit(&json!({"Name": "refused", "Image": "alpine"})).await;
    let failed = manager.until_state(task, State::Failed).await;
    assert!(failed.status().reason.contains("no task of yours, thank you"), "{}", failed.status().reason);
    serving.abort();
}

async fn engine_away() {
    let home = Home::without_engine();
    let mut node = home.start("--no-ui --output json --data-dir data");
    let port = node.port_of("manager").await;
    let told = node.line("the engine's problem", |line| line["state"] == "runtime unhealthy").await;
    assert!(told["reason"].as_str().unwrap().contains("nonexistent"), "{told}");
    let task = Manager::at(port).submit(&json!({"Name": "waits", "Image": "alpine"})).await;
    let manager = Manager::at(port);
    let waiting = manager.until("a reason", PATIENCE, task, |task| !task.status().reason.is_empty()).await;
    assert_eq!(waiting.state(), State::Pending);
    assert_eq!(node.end(Signal::TERM).await.code(), Some(0));
}
