//! `demo` and `--ephemeral`: nothing of them stays behind, whatever ends them.

use std::path::Path;

use bollard::{
    Docker,
    query_parameters::{InspectContainerOptions, ListImagesOptionsBuilder},
};
use libtest_mimic::{Completion, Trial};
use rustix::process::Signal;
use serde_json::{Value, json};

use super::stage::{Stage, trial};
use super::support::{
    block_on, docker_host,
    process::{Home, Running},
    wait_for, with_engine,
    worker::PATIENCE,
};

pub fn tests() -> Vec<Trial> {
    vec![
        Trial::test("a_demo_without_an_engine_runs_processes_and_leaves_none", || {
            block_on(async {
                without_engine().await;
                Ok(Completion::Completed)
            })
            .map(|_| ())
        }),
        with_engine("a_demo_on_an_engine_runs_containers_and_leaves_nothing", with_an_engine),
        with_engine("a_demo_that_is_ended_while_it_begins_leaves_nothing", ended_early),
        trial("an_ephemeral_cluster_leaves_no_container_when_it_is_done", ephemeral_done),
        trial("an_ephemeral_cluster_leaves_no_container_after_a_timeout", ephemeral_timeout),
        trial("an_ephemeral_cluster_leaves_no_container_after_a_signal", ephemeral_signal),
    ]
}

/// The task of this name as it runs, with its container, ports and image.
async fn running(demo: &mut Running, name: &str) -> Value {
    let what = format!("{name} runs");
    let has_ports = |task: &Value| task["PortBindings"].is_null() || !task["HostPorts"].is_null();
    let is_it = |line: &Value| {
        let task = &line["task"];
        task["Name"] == name && line["state"] == "Running" && has_ports(task)
    };
    demo.line(&what, is_it).await["task"].clone()
}

async fn says_hello(task: &Value) {
    let ports = task["HostPorts"]["8080/tcp"].as_array().expect("its port is told");
    let port = ports[0]["HostPort"].as_str().unwrap();
    let url = format!("http://127.0.0.1:{port}/");
    let http = cube_tui::client::http_client();
    let page = wait_for("hello", PATIENCE, async || http.get(&url).send().await.ok()).await;
    assert_eq!(page.text().await.unwrap(), "hello from cube-tui\n");
}

async fn without_engine() {
    let home = Home::without_engine();
    let mut demo = home.start("demo --no-ui --output json");
    let mut processes = Vec::new();
    for name in ["hello-1", "hello-2", "batch", "crash"] {
        let task = running(&mut demo, name).await;
        // process-PID-NUMBER
        let container = task["ContainerID"].as_str().unwrap().to_owned();
        processes.push(container.split('-').nth(1).unwrap().to_owned());
        if name.starts_with("hello") {
            says_hello(&task).await;
        }
    }
    assert!(demo.stderr().contains("plain processes instead"), "{}", demo.stderr());
    assert_eq!(demo.end(Signal::TERM).await.code(), Some(0));
    for process in processes {
        assert!(!Path::new("/proc").join(&process).exists(), "process {process} is left");
    }
    assert!(!home.path(".local").exists(), "no store is left");
}

async fn is_there(docker: &Docker, container: &str) -> bool {
    docker.inspect_container(container, None::<InspectContainerOptions>).await.is_ok()
}

/// The images that the demo of this process has made.
async fn images_of(docker: &Docker, demo: &Running) -> Vec<String> {
    let name = format!("cube-tui-demo:{}-*", demo.pid().as_raw_nonzero());
    let filters = std::collections::HashMap::from([("reference", vec![name])]);
    let options = ListImagesOptionsBuilder::default().filters(&filters).build();
    let images = docker.list_images(Some(options)).await.unwrap();
    images.into_iter().flat_map(|image| image.repo_tags).collect()
}

async fn with_an_engine(docker: Docker) {
    let home = Home::new(&docker_host());
    let mut demo = home.start("demo --no-ui --output json");
    let mut containers = Vec::new();
    let mut image = String::new();
    for name in ["hello-1", "hello-2", "batch", "crash"] {
        let task = running(&mut demo, name).await;
        if name.starts_with("hello") {
            says_hello(&task).await;
        }
        containers.push(task["ContainerID"].as_str().unwrap().to_owned());
        task["Image"].as_str().unwrap().clone_into(&mut image);
    }
    let completed = |line: &Value| line["task"]["Name"] == "batch" && line["state"] == "Completed";
    demo.line("the batch job ends well", completed).await;
    let restarted = |line: &Value| line["task"]["Name"] == "crash" && line["task"]["RestartCount"] == 1;
    demo.line("the crash is started again", restarted).await;
    assert!(is_there(&docker, &containers[0]).await);
    assert_eq!(images_of(&docker, &demo).await, [image]);
    // What came later, too.
    for line in demo.json() {
        containers.extend(line["task"]["ContainerID"].as_str().map(str::to_owned));
    }
    assert_eq!(demo.end(Signal::INT).await.code(), Some(0));
    for container in containers.iter().filter(|id| !id.is_empty()) {
        assert!(!is_there(&docker, container).await, "{container} is left");
    }
    assert_eq!(images_of(&docker, &demo).await, [""; 0], "its image is left");
}

/// Before its image is there, while it is packed, while it is imported.
async fn ended_early(docker: Docker) {
    for milliseconds in [5_u64, 50, 150, 400, 900] {
        let home = Home::new(&docker_host());
        let mut demo = home.start("demo --no-ui --output json");
        let goes_on =
            tokio::time::timeout(std::time::Duration::from_millis(milliseconds), demo.ended()).await;
        assert!(goes_on.is_err(), "{}", demo.stderr());
        // At first there is nothing yet that would catch a signal, on a busy machine for longer; nor is there an image.
        let code = demo.end(Signal::TERM).await.code();
        assert!(code == Some(0) || milliseconds < 400, "{code:?} after {milliseconds} ms");
        assert_eq!(images_of(&docker, &demo).await, [""; 0], "after {milliseconds} ms");
    }
}

const EPHEMERAL: &str = "--no-ui --ephemeral --submit tasks.json --output json";

async fn ephemeral_done(stage: Stage) {
    let tasks = json!([stage.task("good", &["exit", "0"]), stage.task("bad", &["exit", "3"])]);
    stage.home.write("tasks.json", &tasks);
    let ended = stage.home.run(&format!("{EPHEMERAL} --wait")).expect(1, &[]);
    assert_eq!(ended.last_line_of("good")["state"], "Completed");
    assert_eq!(stage.starts().await, 2);
    assert_eq!(stage.containers().await, [""; 0]);
    assert!(!stage.home.path(".local").exists(), "no store is left");
}

async fn ephemeral_timeout(stage: Stage) {
    stage.home.write("tasks.json", &json!([stage.sleeper("long"), stage.task("bad", &["exit", "3"])]));
    stage.home.run(&format!("{EPHEMERAL} --wait --timeout 4s")).expect(3, &[]);
    assert_eq!(stage.containers().await, [""; 0]);
}

async fn ephemeral_signal(stage: Stage) {
    stage.home.write("tasks.json", &json!([stage.sleeper("long"), stage.task("stubborn", &["ignore-term"])]));
    for signal in [Signal::TERM, Signal::INT, Signal::HUP] {
        let mut node = stage.home.start(EPHEMERAL);
        for name in ["long", "stubborn"] {
            running(&mut node, name).await;
        }
        assert_eq!(stage.containers().await.len(), 2);
        assert_eq!(node.end(signal).await.code(), Some(0));
        assert_eq!(stage.containers().await, [""; 0], "{signal:?}");
    }
}
