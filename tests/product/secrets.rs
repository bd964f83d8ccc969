//! Door 10: what is set as a secret is in its container, and nowhere else: not in the data folder, not in what any command
//! says, not in logs, not in a process list.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Stdio;

use cube_tui::task::State;
use libtest_mimic::Trial;
use rustix::process::Signal;
use serde_json::json;

use super::stage::{Stage, trial};
use super::support::{
    process::{Ended, Home},
    wait_for,
    worker::PATIENCE,
};

/// What must be found nowhere.
const MARKER: &str = "M4rk3r-Ch4ng3-M3";

pub fn tests() -> Vec<Trial> {
    vec![
        trial("door_10_a_secret_is_in_its_container_and_nowhere_else", nowhere_else),
        trial("a_task_waits_for_its_secret_and_a_used_one_is_not_removed", waits),
    ]
}

/// Runs `line` on the manager at `port` with everything logged, and `input` on its stdin.
fn on(home: &Home, port: u16, line: &str, input: &str) -> Ended {
    let mut command = home.command(line);
    command.env("CUBE_MANAGER_PORT", port.to_string()).env("RUST_LOG", "trace");
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap().into()
}

fn holds(bytes: &[u8]) -> bool {
    use base64::{Engine as _, prelude::BASE64_STANDARD};
    let written = [MARKER.to_owned(), BASE64_STANDARD.encode(MARKER)];
    // As a list of numbers, the way Debug shows bytes.
    let numbers = format!("{:?}", MARKER.as_bytes());
    let written = written.into_iter().chain([numbers.trim_matches(['[', ']']).to_owned()]);
    written.into_iter().any(|text| bytes.windows(text.len()).any(|window| window == text.as_bytes()))
}

/// The files below `folder` that hold the marker, and those that others may read.
fn bad_files(folder: &Path) -> Vec<String> {
    let mut bad = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            bad.extend(bad_files(&path));
            continue;
        }
        let name = path.display().to_string();
        if holds(&fs::read(&path).unwrap()) {
            bad.push(format!("{name} holds it"));
        }
        let is_ours = ["secrets.json", "secrets.key", "changes.redb"].iter().any(|ours| name.ends_with(ours));
        if is_ours && path.metadata().unwrap().permissions().mode() & 0o077 != 0 {
            bad.push(format!("{name} can be read by others"));
        }
    }
    bad
}

async fn nowhere_else(stage: Stage) {
    let home = &stage.home;
    let mut command = home.command("--no-ui --data-dir data --output json");
    command.env("RUST_LOG", "trace");
    let mut node = super::support::process::Running::start(command);
    let (manager, port) = (node.manager().await, node.port_of("manager").await);
    let mut said = String::new();
    let mut run = |line: &str, input: &str| {
        let ended = on(home, port, line, input);
        said.push_str(&ended.stdout);
        said.push_str(&ended.stderr);
        assert_eq!(ended.code, Some(0), "{line}: {}", ended.stderr);
        ended.stdout
    };
    run("secret set DB --output json", &format!("{MARKER}\n"));
    let mut task = stage.task("app", &["same", "/run/secrets/DB", "PGPASSWORD"]);
    task["Secrets"] = json!(["DB", "DB:env:PGPASSWORD"]);
    let id = manager.submit(&task).await;
    let record = manager.until_state(id, State::Running).await;

    // It is there: the program ends unless both are the same, and the engine shows what one of them is.
    let container = stage.inspect(&record.status().container_id).await;
    let variables = container.config.unwrap().env.unwrap();
    assert!(variables.contains(&format!("PGPASSWORD={MARKER}")), "{variables:?}");
    let mounts = container.mounts.unwrap();
    let source = mounts[0].source.clone().unwrap();
    assert!(source.starts_with("/dev/shm/cube-tui-") && mounts[0].rw == Some(false), "{mounts:?}");
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    let folder = Path::new(&source).parent().unwrap();
    assert_eq!((mode(folder), mode(folder.parent().unwrap())), (0o700, 0o700));

    // And nowhere else.
    for line in [
        "ps --output json",
        "ps",
        "inspect app --output json",
        "inspect app",
        "events --output json",
        "workers --output json",
        "secret list --output json",
        "secret list",
    ] {
        let stdout = run(line, "");
        assert!(line.starts_with("workers") || !stdout.is_empty(), "{line}");
    }
    for id in [node.pid().as_raw_pid()] {
        for file in ["cmdline", "environ"] {
            assert!(!holds(&fs::read(format!("/proc/{id}/{file}")).unwrap()), "{file}");
        }
    }
    for route in ["/v1/snapshot", "/tasks", "/v1/secrets", "/nodes"] {
        let text = reqwest::get(manager.url(route)).await.unwrap().text().await.unwrap();
        assert!(!holds(text.as_bytes()), "{route}");
    }
    run("stop app --wait", "");
    assert!(!holds(said.as_bytes()), "a command says it");
    assert_eq!(bad_files(&home.path("data")), [""; 0]);
    wait_for("its files are gone", PATIENCE, || async { (!folder.exists()).then_some(()) }).await;

    node.end(Signal::TERM).await;
    assert!(node.stderr().contains("TRACE"), "everything is logged");
    assert!(!holds(node.stdout().as_bytes()), "an event says it");
    assert!(!holds(node.stderr().as_bytes()), "the log says it");
}

async fn waits(stage: Stage) {
    let home = &stage.home;
    let mut node = home.start("--no-ui --data-dir data --output json");
    let (manager, port) = (node.manager().await, node.port_of("manager").await);
    let mut task = stage.sleeper("app");
    task["Secrets"] = json!(["KEY:/etc/app/key"]);
    let id = manager.submit(&task).await;
    let says = "secret KEY is not set";
    manager.until("it waits", PATIENCE, id, |record| record.status().reason.contains(says)).await;
    assert_eq!(on(home, port, "secret set KEY", "one").code, Some(0));
    manager.until_state(id, State::Running).await;

    let refused = on(home, port, "secret remove KEY", "").expect(2, &["named by app", "--force"]);
    assert_eq!(refused.stdout, "");
    // A manager that was away still has it: the next start of the task needs it.
    node.end(Signal::TERM).await;
    let mut node = home.start("--no-ui --data-dir data --output json");
    let (manager, port) = (node.manager().await, node.port_of("manager").await);
    assert_eq!(on(home, port, "restart app --wait --timeout 60s", "").code, Some(0));
    assert_eq!(on(home, port, "secret remove KEY --force", "").code, Some(0));
    assert_eq!(on(home, port, "restart app", "").code, Some(0));
    manager.until("it waits again", PATIENCE, id, |record| record.status().reason.contains(says)).await;
    on(home, port, "secret set KEY", "").expect(2, &["is empty"]);
    on(home, port, "secret remove KEY", "").expect(2, &["no secret KEY"]);
    let folder = format!("/dev/shm/cube-tui-{}", home.read("data/worker-id"));
    let is_gone = || async { (!Path::new(&folder).exists()).then_some(()) };
    wait_for("nothing is left in memory", PATIENCE, is_gone).await;
}
