//! One contract for every runtime: the fake one, plain processes and, where there is one, a real Docker Engine.

#![expect(clippy::unwrap_used, reason = "a test that fails may panic")]

mod support;

use std::{collections::BTreeMap, time::Duration};

use cube_tui::{
    task::{HealthCheck, Probe, State, Task, TaskSpec, Verdict},
    worker::{
        Frame, WorkerLog, frames,
        runtime::{Docker, Exec, Fake, LogsQuery, OutputStream, Process, Runtime, Script},
    },
};
use futures_util::StreamExt as _;
use libtest_mimic::{Completion, Trial};
use support::worker::{TestWorker, task};
use support::{Image, block_on, remove_containers, with_engine};
use uuid::Uuid;

fn main() {
    let fake = Trial::test("every_runtime_keeps_the_contract::fake", || {
        block_on(async {
            let runtime = Fake::default();
            runtime.script("exit0", Script { exit: Some(0), ..Script::default() });
            runtime.script("exit3", Script { exit: Some(3), ..Script::default() });
            let says =
                vec![(OutputStream::Stdout, "out 0".to_owned()), (OutputStream::Stderr, "err 0".to_owned())];
            runtime.script("says", Script { exit: Some(0), says, ..Script::default() });
            let refuse = Some("image absent not found: fake".to_owned());
            runtime.script("absent", Script { refuse, ..Script::default() });
            let fail_probe = Some("it is sick".to_owned());
            runtime.script("sick", Script { fail_probe, ..Script::default() });
            let make = |kind: &str| match kind {
                "sleep" => task("sleep", "any", &[]),
                "well" | "sick" => checked(task(kind, kind, &[]), "tcp:8080".parse().unwrap()),
                kind => task(kind, kind, &[]),
            };
            contract(runtime, Uuid::new_v4(), make, ["any", "3", ""]).await;
            Ok(Completion::Completed)
        })
        .map(drop)
    });
    let process = Trial::test("every_runtime_keeps_the_contract::process", || {
        block_on(async {
            let program = support::fixture().to_str().unwrap().to_owned();
            let runtime = Process::new(BTreeMap::from([("fixture".to_owned(), vec![program.clone()])]));
            let failing = [program.as_str(), "exit", "3"];
            contract(runtime, Uuid::new_v4(), |kind| kind_of("fixture", kind, "", failing), failing).await;
            Ok(Completion::Completed)
        })
        .map(drop)
    });
    let docker = with_engine("every_runtime_keeps_the_contract::docker", async |docker| {
        let identity = Uuid::new_v4();
        let image = Image::build(&docker).await;
        let runtime = Docker::new(&support::docker_host(), Uuid::new_v4(), identity);
        let failing = ["/fixture", "exit", "3"];
        contract(runtime, identity, |kind| kind_of(&image.name, kind, "8080", failing), failing).await;
        remove_containers(&docker, &format!("cube.worker={identity}")).await;
        image.remove(&docker).await;
    });
    support::run(vec![fake, process, docker]);
}

/// With a check every second that may fail three times.
fn checked(mut task: Task, probe: Probe) -> Task {
    let check = HealthCheck { start_period_s: 0, interval_s: 1, timeout_s: 5, retries: 3, probe };
    let ports = Some(vec!["8080/tcp".to_owned()]);
    task.spec = TaskSpec { health_check: Some(check), exposed_ports: ports, ..(*task.spec).clone() }.into();
    task
}

fn kind_of(image: &str, kind: &str, port: &str, failing: [&str; 3]) -> Task {
    match kind {
        "sleep" => task(kind, image, &["sleep"]),
        "exit0" => task(kind, image, &["exit", "0"]),
        "says" => task(kind, image, &["say", "1"]),
        "exit3" => task(kind, image, &["exit", "3"]),
        // The process runtime says in PORT where it shall listen.
        "well" => checked(task(kind, image, &["http", port]), "/health".parse().unwrap()),
        "sick" => checked(task(kind, image, &["sleep"]), Probe::Command(failing.map(str::to_owned).to_vec())),
        _ => {
            let mut absent = task(kind, "cube-test-absent:1", &["exit", "0"]);
            let mut spec = (*absent.spec).clone();
            spec.pull_policy = cube_tui::task::PullPolicy::Never;
            absent.spec = spec.into();
            absent
        }
    }
}

/// What the worker gives out, in the order of the streams: two streams are two pipes.
async fn logs(worker: &TestWorker, task: &Task) -> Vec<(OutputStream, String)> {
    let query = LogsQuery { follow: true, ..LogsQuery::default() };
    let all: Vec<_> = worker.client.logs(task.id, query).await.unwrap().collect().await;
    let all: Vec<WorkerLog> = all.into_iter().map(Result::unwrap).collect();
    assert!(matches!(all.first(), Some(WorkerLog::Container { .. })), "{all:?}");
    assert_eq!(all.last(), Some(&WorkerLog::End));
    let mut lines: Vec<_> = all
        .into_iter()
        .filter_map(|log| match log {
            WorkerLog::Line { stream, text, .. } => Some((stream, text)),
            _ => None,
        })
        .collect();
    lines.sort_by_key(|(stream, _)| *stream == OutputStream::Stderr);
    lines
}

async fn contract(runtime: impl Runtime, identity: Uuid, make: impl Fn(&str) -> Task, failing: [&str; 3]) {
    let worker = TestWorker::start(runtime, identity).await;

    // A start runs; a repeat changes nothing.
    let mut service = make("sleep");
    worker.run(&service).await;
    let running = worker.until_state(service.id, State::Running).await;
    assert!(!running.status.container_id.is_empty() && running.status.start_time.is_some());
    worker.run(&service).await;
    assert_eq!(worker.task(service.id).await, Some(running.clone()));

    // A newer generation replaces the container; the older one's repeat is passed over.
    service.status.generation = 1;
    worker.run(&service).await;
    let replaced = worker
        .until("the second generation runs", service.id, |task| {
            task.status.state == State::Running && task.status.generation == 1
        })
        .await;
    assert_ne!(replaced.status.container_id, running.status.container_id);
    service.status.generation = 0;
    worker.run(&service).await;
    assert_eq!(worker.task(service.id).await, Some(replaced));

    // A stop ends it well, and is done once.
    service.status.generation = 1;
    worker.stop_task(&service).await;
    let stopped = worker.until_state(service.id, State::Completed).await;
    assert_eq!(stopped.status.reason, "stopped");
    assert!(stopped.status.finish_time.is_some());
    worker.stop_task(&service).await;
    assert_eq!(worker.task(service.id).await, Some(stopped));

    // An end of its own tells by its code.
    let (good, bad, absent) = (make("exit0"), make("exit3"), make("absent"));
    for task in [&good, &bad, &absent] {
        worker.run(task).await;
    }
    let good = worker.until_state(good.id, State::Completed).await;
    assert_eq!((good.status.exit_code, good.status.reason.as_str()), (Some(0), ""));
    let bad = worker.until_state(bad.id, State::Failed).await;
    assert_eq!((bad.status.exit_code, bad.status.reason.as_str()), (Some(3), "exit code 3"));
    let absent = worker.until_state(absent.id, State::Failed).await;
    assert!(absent.status.reason.contains("image"), "{}", absent.status.reason);

    // What it said is there after its end, and a command beside a task has its exit code.
    let says = make("says");
    worker.run(&says).await;
    worker.until_state(says.id, State::Completed).await;
    let lines = logs(&worker, &says).await;
    assert_eq!(
        lines,
        [(OutputStream::Stdout, "out 0".to_owned()), (OutputStream::Stderr, "err 0".to_owned())]
    );
    let beside = make("sleep");
    worker.run(&beside).await;
    worker.until_state(beside.id, State::Running).await;
    let failing = failing.map(str::to_owned).to_vec();
    let exec = Exec { cmd: failing, stdin: true, ..Exec::default() };
    let (mut reader, mut writer) = frames(worker.client.exec(beside.id, &exec).await.unwrap());
    writer.send(&Frame::StdinEnd).await.unwrap();
    assert_eq!(reader.next().await.unwrap().unwrap(), Frame::Exit(3));
    worker.stop_task(&beside).await;
    let why = worker.client.exec(says.id, &exec).await.unwrap_err().to_string();
    assert!(why.contains("is not running"), "{why}");

    // A stop that overtook its start wins.
    let late = make("sleep");
    worker.stop_task(&late).await;
    worker.run(&late).await;
    let never = worker.until_state(late.id, State::Completed).await;
    assert!(never.status.container_id.is_empty() && never.status.start_time.is_none());

    // What is asked answers, or is stopped and says why.
    let (well, sick) = (make("well"), make("sick"));
    worker.run(&well).await;
    worker.run(&sick).await;
    let healthy =
        |task: &Task| task.status.health.as_ref().is_some_and(|health| health.verdict == Verdict::Healthy);
    worker.until("it is healthy", well.id, healthy).await;
    let sick = worker.until_state(sick.id, State::Failed).await;
    assert!(sick.status.reason.starts_with("health check failed 3 times: "), "{}", sick.status.reason);
    worker.stop_task(&well).await;
    worker.until_state(well.id, State::Completed).await;

    tokio::time::timeout(Duration::from_secs(15), worker.end()).await.expect("a worker ends promptly");
}
