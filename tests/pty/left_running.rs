//! A dashboard that is left while its manager goes on, and one that is cut off from its manager.

use std::{
    fs,
    time::{Duration, Instant},
};

use bollard::Docker;
use cube_tui::task::State;
use libtest_mimic::Trial;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use super::support::{
    containers_with, docker_host,
    process::{Home, Manager},
    terminal::Terminal,
    wait_for, with_engine,
    worker::PATIENCE,
};
use super::{ALONE, Stage, USUAL, plain};

pub fn tests() -> Vec<Trial> {
    vec![
        plain("quitting_ones_own_manager_is_asked_about_and_escape_stays", asked),
        plain("a_manager_that_can_t_be_left_running_says_why", cannot),
        plain("a_cut_dashboard_says_so_and_heals_also_on_another_store", cut),
        with_engine("a_manager_left_running_keeps_containers_address_and_watchers", left_running),
        with_engine("leaving_a_manager_running_stops_no_exclusive_task_elsewhere", exclusive_elsewhere),
    ]
}

/// A manager in the background: ended with the test.
struct InBackground {
    pid: Pid,
    address: String,
}

impl InBackground {
    /// What the lock file of the data folder names.
    fn of(home: &Home) -> Self {
        let holder: Value = serde_json::from_str(&home.read("data/manager.lock")).unwrap();
        let pid = holder["pid"].as_i64().and_then(|pid| Pid::from_raw(i32::try_from(pid).unwrap())).unwrap();
        Self { pid, address: holder["api"].as_str().unwrap().to_owned() }
    }

    fn manager(&self) -> Manager {
        Manager::at(self.address.rsplit(':').next().unwrap().parse().unwrap())
    }
}

impl Drop for InBackground {
    fn drop(&mut self) {
        let _ = kill_process(self.pid, Signal::KILL);
    }
}

/// Leaves the manager of `terminal` running; the time without a manager is no longer than what is returned.
fn leave(terminal: &mut Terminal, home: &Home) -> (InBackground, Duration) {
    terminal.keys("q");
    terminal.shows(&["quit?", "leave the manager running in the background"]);
    let start = Instant::now();
    terminal.keys("b");
    assert_eq!(terminal.ended(), 0, "{}", terminal.contents());
    let gap = start.elapsed();
    let left = InBackground::of(home);
    assert_ne!(left.pid, terminal.pid);
    let pid = format!("pid {}", left.pid.as_raw_nonzero());
    terminal.shows(&["goes on in the background", &pid, &left.address, "cube-tui shutdown --data-dir data"]);
    terminal.is_given_back();
    (left, gap)
}

fn asked() {
    let home = Home::without_engine();
    let mut terminal = Terminal::start(&home, ALONE, USUAL);
    terminal.shows(&["LIVE"]);
    terminal.keys("q");
    terminal.shows(&["quit?", "containers keep running"]);
    terminal.keys("\x1b");
    terminal.until("the question is gone", |screen| !screen.contents().contains("quit?"));
    assert!(!terminal.has_ended());

    // Attached, there is nothing to ask.
    let mut second = Terminal::start(&home, "--data-dir data", USUAL);
    second.shows(&["LIVE", "attached", "the manager goes on"]);
    second.keys("q");
    assert_eq!(second.ended(), 0);
    terminal.keys("q\r");
    assert_eq!(terminal.ended(), 0);
    terminal.is_given_back();
}

fn cannot() {
    let home = Home::without_engine();
    let mut terminal = Terminal::start(&home, ALONE, USUAL);
    terminal.shows(&["LIVE"]);
    fs::write(home.path("data/cluster-id"), "scribble").unwrap();
    terminal.keys("q");
    terminal.shows(&["quit?"]);
    terminal.keys("b");
    assert_eq!(terminal.ended(), 4);
    terminal.shows(&["could not be left running", "holds no id", "containers keep running"]);
    terminal.is_given_back();
}

/// The port, so that the next one can be found by who was attached to the one before.
const MANAGER: &str = "--no-ui --output json --no-local-worker --data-dir data";

fn cut() {
    let home = Home::without_engine();
    let task = |name: &str| json!({"Name": name, "Image": "alpine"});
    home.write("two.json", &json!([task("first"), task("second")]));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut node = home.start(&format!("{MANAGER} --submit two.json"));
    let port = runtime.block_on(node.port_of("manager")).to_string();
    let on_port = |line: &str| {
        let mut command = home.command(line);
        command.env("CUBE_MANAGER_PORT", &port);
        super::support::process::Running::start(command)
    };
    let mut terminal = Terminal::start(&home, &format!("--attach localhost:{port}"), USUAL);
    terminal.line(&["first", "Pending"]);
    terminal.keys("G");
    terminal.line(&["▸", "second"]);

    runtime.block_on(node.end(Signal::KILL));
    terminal.shows(&["CUT 1s ago", "trying again; what you see is as of", "connection"]);
    terminal.until("the cut is no more that of a moment", |screen| screen.contents().contains("CUT 2s ago"));
    terminal.keys("S");
    terminal.shows(&["cut off from the manager", "nothing was sent"]);
    terminal.keys("\x1b");

    let mut node = on_port(MANAGER);
    terminal.shows(&["LIVE"]);
    terminal.line(&["▸", "second"]);
    terminal.keys("S");
    terminal.shows(&["stop 1 task?", "second"]);
    terminal.keys("y\r");
    terminal.line(&["second", "Completed"]);

    // Another cluster at the same address: nothing of the old picture stays.
    runtime.block_on(node.end(Signal::KILL));
    home.write("third.json", &json!([task("third"), task("fourth"), task("fifth"), task("sixth")]));
    let _node = on_port("--no-ui --output json --no-local-worker --data-dir other --submit third.json");
    terminal.line(&["third", "Pending"]);
    terminal.shows(&["another cluster or store answers now", &format!("(localhost:{port})")]);
    terminal.until("the tasks of the old cluster are gone", |screen| !screen.contents().contains("second"));
    terminal.keys("q");
    assert_eq!(terminal.ended(), 0);
    terminal.is_given_back();
}

async fn left_running(docker: Docker) {
    let stage = Stage::new(&docker, &docker_host()).await;
    let mut terminal = stage.start();
    terminal.shows(&["LIVE", "1/1 ready"]);
    stage.submit(&mut terminal, "stays", "sleep", "");
    terminal.line(&["stays", "Running"]);
    let before = stage.container(&docker).await;
    let mut second = stage.start();
    second.line(&["stays", "Running"]);

    let (left, _) = leave(&mut terminal, &stage.home);
    let manager = left.manager();
    let task = manager.cluster().await.task_db().next().unwrap().task.id;
    let found =
        manager.until("it is known again", PATIENCE, task, |record| record.state() == State::Running).await;
    assert_eq!(found.status().container_id, before.id.clone().unwrap());
    assert_eq!((found.status().restart_count, found.status().generation), (0, 0));
    let after = stage.container(&docker).await;
    assert_eq!((after.id, after.state.unwrap().started_at), (before.id, before.state.unwrap().started_at));
    // Who was attached finds it where it was.
    second.shows(&["LIVE", "1/1 ready"]);
    second.keys("Sy\r");
    second.line(&["stays", "Completed"]);
    assert_eq!(containers_with(&docker, &stage.label).await, [""; 0]);

    let pid = left.pid.as_raw_nonzero().to_string();
    let ended = stage.home.run("shutdown --data-dir data").expect(0, &[]);
    assert!(ended.stdout.contains(&pid), "{ended:?}");
    second.shows(&["CUT"]);
    second.keys("q");
    assert_eq!(second.ended(), 0);
    stage.home.run("shutdown --data-dir data").expect(0, &["no manager runs"]);
}

async fn exclusive_elsewhere(docker: Docker) {
    let stage = Stage::new(&docker, &docker_host()).await;
    let mut worker = stage.home.start("worker --listen localhost:0 --data-dir data --output json");
    let port = worker.port_of("worker").await;
    let line = format!("--data-dir managers --no-local-worker --worker localhost:{port}");
    let mut terminal = Terminal::start(&stage.home, &line, USUAL);
    terminal.shows(&["LIVE", "1/1 ready"]);
    let task = json!({"Name": "once", "Image": stage.image.name, "Cmd": ["sleep"], "Exclusive": true});
    stage.home.write("once.json", &task);
    terminal.keys("n");
    terminal.shows(&["new task"]);
    terminal.keys("\x1b[Zonce.json\x13");
    terminal.line(&["once", "Running"]);
    let before = stage.container(&docker).await;

    terminal.keys("q");
    terminal.shows(&["1 Exclusive task on other workers"]);
    let start = Instant::now();
    terminal.keys("b");
    assert_eq!(terminal.ended(), 0, "{}", terminal.contents());
    let gap = start.elapsed();
    let holder: Value = serde_json::from_str(&stage.home.read("managers/manager.lock")).unwrap();
    let pid = i32::try_from(holder["pid"].as_i64().unwrap()).ok().and_then(Pid::from_raw).unwrap();
    let left = InBackground { pid, address: holder["api"].as_str().unwrap().to_owned() };
    // Long after a lease that nobody renewed would have ended.
    let until = start + Duration::from_secs(9);
    let over = async || (Instant::now() > until).then_some(());
    wait_for("the lease is over or renewed", PATIENCE, over).await;
    let record = left.manager().cluster().await.task_db().next().unwrap().clone();
    // A machine so busy that the hand-over took that long says nothing about it.
    if gap < Duration::from_secs(4) {
        assert_eq!(stage.container(&docker).await.id, before.id);
        assert_eq!((record.state(), record.status().restart_count), (State::Running, 0));
    }
}
