//! What a task asks of its host beyond a container of its own: refused until that worker's own policy allows it. Real
//! processes and a real engine.

use cube_tui::task::State;
use rustix::process::Signal;
use serde_json::json;
use uuid::Uuid;

use crate::support::{self, Image, NO_ENGINE, Sweep, process::Home, worker::PATIENCE};

#[tokio::test]
async fn what_a_task_asks_of_its_host_waits_for_the_workers_own_policy() {
    let Some(docker) = support::engine().await else { return eprintln!("skipped: {NO_ENGINE}") };
    let image = Image::build(&docker).await;
    let mark = Uuid::new_v4().simple().to_string();
    let _sweep = Sweep { label: format!("cube-test={mark}"), image: image.name.clone() };
    let home = Home::new(&support::docker_host());
    let shared = home.path("shared");
    std::fs::create_dir(&shared).unwrap();
    std::fs::write(shared.join("note"), "hello").unwrap();
    let shared = shared.canonicalize().unwrap().display().to_string();
    let task = |name: &str, cmd: &[&str]| json!({"Name": name, "Image": image.name, "Cmd": cmd, "StopTimeout": 1, "Labels": {"cube-test": mark}});

    let line = "--no-ui --output json --data-dir data";
    let mut node = home.start(line);
    let manager = node.manager().await;
    let mut reads = task("reads", &["read", "/in/note", "hello"]);
    reads["Mounts"] = json!([format!("{shared}:/in:ro")]);
    let reads = manager.submit(&reads).await;
    let mut waiting = vec![(reads, format!(r#"host_paths = ["{shared}"]"#))];
    for (field, value, line) in [
        ("Privileged", json!(true), "privileged = true"),
        ("NetworkMode", json!("host"), "host_network = true"),
        ("PidMode", json!("host"), "host_pid = true"),
        ("IpcMode", json!("host"), "host_ipc = true"),
        ("Mounts", json!(["/:/host"]), r#"host_paths = ["/"]"#),
        ("Mounts", json!(["/var/run/docker.sock:/s"]), r#"host_paths = ["/var/run/docker.sock"]"#),
        ("Devices", json!(["/dev/kmsg"]), r#"devices = ["/dev/kmsg"]"#),
        ("CapAdd", json!(["ALL"]), r#"capabilities = ["ALL"]"#),
    ] {
        let mut asks = task("asks", &["sleep"]);
        asks[field] = value;
        waiting.push((manager.submit(&asks).await, line.to_owned()));
    }
    for (id, line) in &waiting {
        let says = |record: &cube_tui::cluster::TaskRecord| record.status().reason.contains(line);
        let record = manager.until(line, PATIENCE, *id, says).await;
        assert_eq!(record.state(), State::Pending, "{line}");
    }
    assert_eq!(support::containers_with(&docker, &format!("cube-test={mark}")).await, [""; 0]);

    // Its owner changes his mind, in one thing.
    node.end(Signal::TERM).await;
    std::fs::write(home.path("data/policy.toml"), format!("host_paths = [\"{shared}\"]\n")).unwrap();
    let mut node = home.start(line);
    let manager = node.manager().await;
    manager.until_state(reads, State::Completed).await;
    for (id, line) in &waiting[1..] {
        let says = |record: &cube_tui::cluster::TaskRecord| record.status().reason.contains("policy.toml");
        let record = manager.until(line, PATIENCE, *id, says).await;
        assert_eq!(record.state(), State::Pending, "{line}");
    }
}
