//! What tasks say, and commands in their containers, from the engine to the command line.

use std::collections::HashSet;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use bollard::query_parameters::TopOptionsBuilder;
use cube_tui::task::{State, TaskId};
use libtest_mimic::Trial;
use rustix::process::Signal;
use serde_json::{Value, json};

use super::stage::{Stage, trial};
use super::support::{
    process::{Ended, Manager, Running},
    wait_for,
    worker::PATIENCE,
};

pub fn tests() -> Vec<Trial> {
    vec![
        trial("logs_keep_one_tasks_streams_apart_and_merge_several_by_time", merged),
        trial("a_follower_hears_a_restarted_task_out_and_ends_with_it", restarted),
        trial("a_follower_goes_on_with_a_task_that_moved_to_another_worker", moved),
        trial("a_waiting_run_prints_every_line_of_its_task", run_prints),
        trial("who_never_started_has_said_nothing_and_what_a_stop_took_is_gone", said_nothing),
        trial("exec_has_the_commands_streams_and_exit_code", exec),
        trial("a_command_whose_user_was_killed_is_not_left_behind", user_killed),
    ]
}

const NODE: &str = "--no-ui --data-dir data --output json";

/// The command line of a client of this manager.
fn client(stage: &Stage, manager: &Manager, line: &str) -> Command {
    let mut command = stage.home.command(line);
    command.env("CUBE_MANAGER_PORT", manager.port.to_string());
    command
}

fn logs(stage: &Stage, manager: &Manager, line: &str) -> Ended {
    Ended::of(client(stage, manager, line)).expect(0, &[])
}

async fn said(stage: &Stage, manager: &Manager, name: &str, words: &[&str]) -> TaskId {
    let id = manager.submit(&stage.task(name, words)).await;
    manager.until_state(id, State::Completed).await;
    id
}

async fn merged(stage: Stage) {
    let mut node = stage.home.start(NODE);
    let manager = node.manager().await;
    let (first, second) = tokio::join!(
        said(&stage, &manager, "first", &["say", "5", "60"]),
        said(&stage, &manager, "second", &["say", "5", "60"]),
    );
    let one = logs(&stage, &manager, "logs first");
    assert_eq!(one.stdout, "out 0\nout 1\nout 2\nout 3\nout 4\n");
    assert_eq!(one.stderr, "err 0\nerr 1\nerr 2\nerr 3\nerr 4\n");
    assert_eq!(logs(&stage, &manager, "logs first --tail 2").stdout, "out 4\n");
    assert_eq!(logs(&stage, &manager, "logs first --since 0s").stdout, "");
    for beginning in ["0000-01-01T00:00:00Z", "1900-01-01T00:00:00Z", "100000d", "500000000000y"] {
        let all = logs(&stage, &manager, &format!("logs first --since {beginning}"));
        assert_eq!(all.stdout.lines().count(), 5, "{beginning}");
    }

    let both = logs(&stage, &manager, "logs first second");
    assert_eq!(both.stdout.lines().count(), 20);
    assert!(both.stdout.contains("first  | out 0\n") && both.stdout.contains("second | err 4\n"));
    let both = logs(&stage, &manager, "logs first second --follow --output json").json();
    let times: Vec<&str> = both.iter().map(|line| line["time"].as_str().unwrap()).collect();
    assert!(times.is_sorted_by_key(|time| time.parse::<jiff::Timestamp>().unwrap()), "{times:?}");
    let ids: HashSet<&str> = both.iter().map(|line| line["task"]["ID"].as_str().unwrap()).collect();
    assert_eq!(ids, HashSet::from([&*first.to_string(), &*second.to_string()]));
    assert!(both.iter().all(|line| line["type"] == "log"));
}

async fn restarted(stage: Stage) {
    let mut node = stage.home.start(NODE);
    let manager = node.manager().await;
    let mut task = stage.task("again", &["say", "3", "200", "3"]);
    task["RestartPolicy"] = json!("on-failure:1");
    let id = manager.submit(&task).await;
    manager.until_state(id, State::Running).await;
    let followed =
        Ended::of(client(&stage, &manager, "logs again -f")).expect(0, &["again: started again on"]);
    assert_eq!(followed.stdout, "out 0\nout 1\nout 2\n".repeat(2));
    let record = manager.until_state(id, State::Failed).await;
    assert_eq!(record.status().restart_count, 1);
}

async fn moved(stage: Stage) {
    let mut worker = stage.home.start("worker --data-dir other --output json");
    let port = worker.port_of("worker").await;
    let other = format!("localhost:{port}");
    let mut node = stage.home.start(&format!("{NODE} --no-local-worker --worker {other}"));
    let manager = node.manager().await;
    let id = manager.submit(&stage.task("there", &["say", "100000", "50"])).await;
    manager.until_state(id, State::Running).await;
    let mut following = Running::start(client(&stage, &manager, "logs there -f"));
    let lines = |following: &Running| following.stdout().lines().count();
    wait_for("lines", PATIENCE, || std::future::ready((lines(&following) > 3).then_some(()))).await;
    // The worker is away for a while, and its containers run on.
    worker.end(Signal::KILL).await;
    let before = lines(&following);
    let mut again = stage.home.command("worker --data-dir other --output json");
    again.env("CUBE_PORT", port.to_string());
    let _again = Running::start(again);
    wait_for("more lines", PATIENCE, || std::future::ready((lines(&following) > before + 10).then_some(())))
        .await;
    // None is missing, and none came twice.
    for (number, line) in following.stdout().lines().enumerate() {
        assert_eq!(line, format!("out {number}"));
    }
    assert_eq!(manager.stop(id).await, 204);
    assert!(following.ended().await.success());
}

async fn run_prints(stage: Stage) {
    let mut node = stage.home.start(NODE);
    let manager = node.manager().await;
    let run = |words: &str| {
        let line = format!("run {} --wait --label {} {words}", stage.image.name, stage.mark());
        Ended::of(client(&stage, &manager, &line))
    };
    let spam = run("-- spam 20000").expect(0, &["Running", "Completed"]);
    let lines: Vec<&str> = spam.stdout.lines().collect();
    assert_eq!((lines.len(), lines[0], lines[19_999]), (20_000, "line 0", "line 19999"));
    let failed = run("-- say 2 0 7").expect(7, &["err 0", "err 1", "exit code 7"]);
    assert_eq!(failed.stdout, "out 0\nout 1\n");
    let json = run("--output json -- say 1 0 0").expect(0, &[]).json();
    let kinds: HashSet<&str> = json.iter().map(|line| line["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, HashSet::from(["task", "log"]));
    let said: Vec<&Value> = json.iter().filter(|line| line["type"] == "log").collect();
    assert_eq!(said.len(), 2);
}

async fn said_nothing(stage: Stage) {
    let mut node = stage.home.start(NODE);
    let manager = node.manager().await;
    let on = |line: &str| Ended::of(client(&stage, &manager, line));
    let run = format!("run cube-is-nowhere:1 --pull never --wait --name bad --label {}", stage.mark());
    let ended = on(&run).expect(125, &["Failed", "is not on this machine"]);
    assert!(!ended.stderr.contains("cube-tui: "), "its end says it all: {ended:#?}");
    for line in ["logs bad", "logs bad -f"] {
        on(line).expect(1, &["bad: it never started, and said nothing: image cube-is-nowhere:1 is not on"]);
    }
    let id = manager.submit(&stage.sleeper("box")).await;
    manager.until_state(id, State::Running).await;
    assert_eq!(manager.stop(id).await, 204);
    manager.until_state(id, State::Completed).await;
    on("logs box").expect(1, &["box: its output is gone: a stop takes it away"]);
}

async fn exec(stage: Stage) {
    let mut node = stage.home.start(NODE);
    let manager = node.manager().await;
    let id = manager.submit(&stage.sleeper("box")).await;
    manager.until_state(id, State::Running).await;
    let exec = |line: &str| Ended::of(client(&stage, &manager, line));
    let said = exec("exec box -- /fixture say 2 0 5").expect(5, &["err 0\nerr 1\n"]);
    assert_eq!(said.stdout, "out 0\nout 1\n");
    exec("exec box -e A=x -- /fixture env A x").expect(0, &[]);
    let missing = exec("exec box -- /nothing");
    assert!(matches!(missing.code, Some(126 | 127)), "{missing:#?}");
    exec("exec nobody -- /fixture exit 0").expect(125, &["no task is called"]);
    exec("exec box -t -- /fixture exit 0").expect(125, &["leave -t out"]);

    let mut command = client(&stage, &manager, "exec -i box -- /fixture cat");
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // More than all buffers on the way hold, in both directions.
    let sent: Vec<u8> = (0..3_000_000_u32).flat_map(u32::to_be_bytes).collect();
    let all = sent.clone();
    let typing = std::thread::spawn(move || stdin.write_all(&all).map(|()| drop(stdin)));
    let output = tokio::task::spawn_blocking(move || child.wait_with_output()).await.unwrap().unwrap();
    typing.join().unwrap().unwrap();
    assert!(output.status.success());
    assert!(output.stdout == sent, "{} of {} bytes came back", output.stdout.len(), sent.len());

    assert_eq!(manager.stop(id).await, 204);
    manager.until_state(id, State::Completed).await;
    exec("exec box -- /fixture exit 0").expect(125, &["box is Completed"]);
}

async fn user_killed(stage: Stage) {
    let mut node = stage.home.start(NODE);
    let manager = node.manager().await;
    let id = manager.submit(&stage.sleeper("box")).await;
    let record = manager.until_state(id, State::Running).await;
    let container = record.status().container_id.clone();
    let processes = async || {
        let options = TopOptionsBuilder::default().build();
        let top = stage.docker.top_processes(&container, Some(options)).await.unwrap();
        top.processes.unwrap().len()
    };
    let mut exec = Running::start(client(&stage, &manager, "exec box -- /fixture sleep"));
    wait_for("the command", PATIENCE, async || (processes().await == 2).then_some(())).await;
    exec.end(Signal::KILL).await;
    wait_for("its end", Duration::from_secs(10), async || (processes().await == 1).then_some(())).await;
    assert!(stage.is_running(&container).await);
}
