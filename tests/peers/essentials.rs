//! What every engine has to do for a worker.

use bollard::query_parameters::{
    InspectContainerOptions, KillContainerOptionsBuilder, RemoveContainerOptionsBuilder,
};
use cube_tui::{
    task::{HealthCheck, PullPolicy, State, Task, TaskSpec, Verdict},
    worker::{
        Frame, WorkerLog, frames,
        report::Report,
        runtime::{Docker, Exec, LogsQuery, OutputStream, TerminalSize},
    },
};
use futures_util::StreamExt as _;
use libtest_mimic::{Completion, Trial};
use rustix::process::{Pid, Signal, kill_process};
use uuid::Uuid;

use super::peer::{Kind, Peer};
use super::support::{
    self, Sweep, containers_with, remove_containers, wait_for,
    worker::{PATIENCE, TestWorker, spec, task, task_with},
};

pub fn tests() -> Vec<Trial> {
    vec![
        trial("podman_starts_adopts_and_stops_and_others_hands_are_seen", Kind::Podman, lives),
        trial("tcp_starts_adopts_and_stops_and_others_hands_are_seen", Kind::Tcp, lives),
        trial("podman_tells_what_a_task_says_and_runs_a_command_beside_it", Kind::Podman, says),
        trial("tcp_tells_what_a_task_says_and_runs_a_command_beside_it", Kind::Tcp, says),
        trial("podman_limits_publishes_samples_and_checks", Kind::Podman, knows),
        trial("tcp_limits_publishes_samples_and_checks", Kind::Tcp, knows),
        trial("podman_that_went_away_is_told_and_found_again", Kind::Podman, goes_away),
        trial("tcp_that_went_away_is_told_and_found_again", Kind::Tcp, goes_away),
    ]
}

struct Stage {
    peer: Peer,
    identity: Uuid,
    worker: TestWorker,
}

fn trial<F, R>(name: &'static str, kind: Kind, test: F) -> Trial
where
    F: FnOnce(Stage) -> R + Send + 'static,
    R: Future<Output = Stage>,
{
    Trial::ignorable_test(name, move || {
        support::block_on(async move {
            let peer = match Peer::start(kind).await {
                Ok(peer) => peer,
                Err(why) => return Ok(Completion::ignored_with(why)),
            };
            let identity = Uuid::new_v4();
            // A Podman of a test's own goes with all it has.
            let _sweep = (kind == Kind::Tcp)
                .then(|| Sweep { label: format!("cube.worker={identity}"), image: peer.image.name.clone() });
            let worker = worker(&peer, identity).await;
            let stage = test(Stage { peer, identity, worker }).await;
            stage.worker.end().await;
            remove_containers(&stage.peer.docker, &format!("cube.worker={identity}")).await;
            Ok(Completion::Completed)
        })
    })
}

async fn worker(peer: &Peer, identity: Uuid) -> TestWorker {
    TestWorker::start(Docker::new(&peer.host, Uuid::nil(), identity), identity).await
}

async fn kill(peer: &Peer, task: &Task, signal: &str) {
    let kill = KillContainerOptionsBuilder::default().signal(signal).build();
    peer.docker.kill_container(&task.status.container_id, Some(kill)).await.unwrap();
}

impl Stage {
    fn task(&self, cmd: &[&str]) -> Task {
        task("test", &self.peer.image.name, cmd)
    }

    async fn running(&self, task: Task) -> Task {
        self.worker.run(&task).await;
        self.worker.until_state(task.id, State::Running).await
    }

    async fn remove(&self, task: &Task) {
        let force = RemoveContainerOptionsBuilder::default().force(true).build();
        self.peer.docker.remove_container(&task.status.container_id, Some(force)).await.unwrap();
    }

    async fn containers(&self) -> Vec<String> {
        containers_with(&self.peer.docker, &format!("cube.worker={}", self.identity)).await
    }
}

async fn lives(stage: Stage) -> Stage {
    let (stays, killed, removed) = (
        stage.running(stage.task(&["sleep"])).await,
        stage.running(stage.task(&["sleep"])).await,
        stage.running(stage.task(&["sleep"])).await,
    );
    for (signal, code) in [("TERM", 143), ("KILL", 137)] {
        let task = stage.running(stage.task(&["sleep"])).await;
        kill(&stage.peer, &task, signal).await;
        let failed = stage.worker.until_state(task.id, State::Failed).await;
        assert_eq!(
            (failed.status.exit_code, &*failed.status.reason),
            (Some(code), &*format!("exit code {code}"))
        );
    }
    stage.remove(&removed).await;
    let failed = stage.worker.until_state(removed.id, State::Failed).await;
    assert_eq!(failed.status.reason, "container removed by someone else");
    for (code, state) in [("0", State::Completed), ("3", State::Failed)] {
        let ends = stage.task(&["exit", code]);
        stage.worker.run(&ends).await;
        let ended = stage.worker.until_state(ends.id, state).await;
        assert_eq!(ended.status.exit_code, Some(code.parse().unwrap()));
    }

    // Found again by the next start, also what ended meanwhile.
    let Stage { peer, identity, worker: first } = stage;
    first.end().await;
    kill(&peer, &killed, "TERM").await;
    let worker = worker(&peer, identity).await;
    let stage = Stage { peer, identity, worker };
    let adopted = stage.worker.task(stays.id).await.unwrap();
    assert_eq!(
        (&adopted.status.container_id, adopted.status.state),
        (&stays.status.container_id, State::Running)
    );
    assert_eq!(adopted.spec, stays.spec);
    assert!(adopted.status.start_time.is_some());
    let ended = stage.worker.until_state(killed.id, State::Failed).await;
    assert_eq!(ended.status.exit_code, Some(143));

    stage.worker.stop_task(&stays).await;
    let stopped = stage.worker.until_state(stays.id, State::Completed).await;
    assert_eq!(stopped.status.reason, "stopped");
    assert!(!stage.containers().await.contains(&stays.status.container_id));

    let missing =
        task_with(TaskSpec { pull_policy: PullPolicy::Never, ..spec("localhost/cube-test-absent:1", &[]) });
    stage.worker.run(&missing).await;
    let failed = stage.worker.until_state(missing.id, State::Failed).await;
    assert!(failed.status.reason.contains("image localhost/cube-test-absent:1"), "{}", failed.status.reason);
    let no_program = task_with(TaskSpec {
        entrypoint: vec!["/no-such-program".to_owned()],
        ..spec(&stage.peer.image.name, &[])
    });
    let before = stage.containers().await.len();
    stage.worker.run(&no_program).await;
    let failed = stage.worker.until_state(no_program.id, State::Failed).await;
    assert!(failed.status.reason.contains("/no-such-program"), "{}", failed.status.reason);
    assert_eq!(stage.containers().await.len(), before, "what can't start is not left");
    stage
}

async fn says(stage: Stage) -> Stage {
    let talks = stage.task(&["say", "3", "20"]);
    stage.worker.run(&talks).await;
    stage.worker.until_state(talks.id, State::Completed).await;
    let query = LogsQuery { follow: true, ..LogsQuery::default() };
    let all: Vec<_> = stage.worker.client.logs(talks.id, query).await.unwrap().collect().await;
    let lines = |wanted: OutputStream| -> Vec<String> {
        let lines = all.iter().filter_map(|log| match log.as_ref().unwrap() {
            WorkerLog::Line { stream, text, .. } if *stream == wanted => Some(text.clone()),
            _ => None,
        });
        lines.collect()
    };
    assert_eq!(lines(OutputStream::Stdout), ["out 0", "out 1", "out 2"]);
    assert_eq!(lines(OutputStream::Stderr), ["err 0", "err 1", "err 2"]);
    let query = LogsQuery { tail: Some(2), ..LogsQuery::default() };
    let last: Vec<_> = stage.worker.client.logs(talks.id, query).await.unwrap().collect().await;
    let count = last.iter().filter(|log| matches!(log, Ok(WorkerLog::Line { .. }))).count();
    assert_eq!(count, 2, "{last:?}");

    let sleeps = stage.running(stage.task(&["sleep"])).await;
    let run = async |cmd: &[&str], tty: Option<TerminalSize>, typed: &str| {
        let cmd = cmd.iter().map(|&word| word.to_owned()).collect();
        let exec = Exec { cmd, tty, stdin: true, ..Exec::default() };
        let (mut reader, mut writer) = frames(stage.worker.client.exec(sleeps.id, &exec).await.unwrap());
        if !typed.is_empty() {
            writer.send(&Frame::Stdin(typed.to_owned().into())).await.unwrap();
        }
        writer.send(&Frame::StdinEnd).await.unwrap();
        let mut said = Vec::new();
        loop {
            match reader.next().await.unwrap().unwrap() {
                Frame::Stdout(bytes) => said.extend_from_slice(&bytes),
                Frame::Exit(code) => return (code, String::from_utf8(said).unwrap()),
                _ => {}
            }
        }
    };
    assert_eq!(run(&["/fixture", "exit", "3"], None, "").await.0, 3);
    assert_eq!(run(&["/fixture", "cat"], None, "typed\n").await, (0, "typed\n".to_owned()));
    let size = TerminalSize { columns: 80, rows: 24 };
    let (code, said) = run(&["/fixture", "exit", "4"], Some(size), "").await;
    assert_eq!(code, 4, "{said}");
    stage
}

async fn knows(stage: Stage) -> Stage {
    let mut limited = spec(&stage.peer.image.name, &["http", "7777"]);
    limited.cpu = 0.5;
    limited.memory_bytes = 64 << 20;
    limited.exposed_ports = Some(vec!["7777/tcp".to_owned()]);
    limited.health_check = Some(HealthCheck::new("/".parse().unwrap()));
    let task = task_with(limited);
    stage.worker.run(&task).await;
    let is_whole = |task: &Task| {
        !task.status.host_ports.is_empty()
            && task.status.health.as_ref().is_some_and(|health| health.verdict == Verdict::Healthy)
    };
    let running = stage.worker.until("it is published and healthy", task.id, is_whole).await;
    let port = &running.status.host_ports["7777/tcp"][0].host_port;
    assert!(port.parse::<u16>().is_ok_and(|port| port > 0), "{port}");
    let id = &running.status.container_id;
    let container = stage.peer.docker.inspect_container(id, None::<InspectContainerOptions>).await.unwrap();
    let host = container.host_config.unwrap();
    assert_eq!(host.memory, Some(64 << 20));
    assert_eq!(host.nano_cpus, Some(500_000_000));

    let mut reports = Box::pin(stage.worker.client.reports().await.unwrap());
    let sampled = async {
        while let Some(report) = reports.next().await {
            if let Report::Sample(sample) = report.unwrap()
                && let Some(used) = sample.tasks.iter().find(|used| used.task == task.id)
                && used.memory_bytes > 0
            {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, sampled).await.expect("a sample tells what the task uses");
    stage
}

async fn goes_away(mut stage: Stage) -> Stage {
    let (stays, ends) =
        (stage.running(stage.task(&["sleep"])).await, stage.running(stage.task(&["sleep"])).await);
    let id = &ends.status.container_id;
    let container = stage.peer.docker.inspect_container(id, None::<InspectContainerOptions>).await.unwrap();
    let pid = Pid::from_raw(container.state.unwrap().pid.unwrap().try_into().unwrap()).unwrap();
    let mut reports = Box::pin(stage.worker.client.reports().await.unwrap());
    let mut until_problem = async |is_wanted: bool| {
        let told = async {
            loop {
                if let Report::Heartbeat { runtime_problem } = reports.next().await.unwrap().unwrap()
                    && runtime_problem.is_empty() != is_wanted
                {
                    return runtime_problem;
                }
            }
        };
        tokio::time::timeout(PATIENCE, told).await.expect("a heartbeat tells")
    };
    stage.peer.cut();
    let problem = until_problem(true).await;
    assert!(problem.contains("container engine") && problem.contains(&stage.peer.host), "{problem}");
    kill_process(pid, Signal::KILL).unwrap();
    let process = std::path::Path::new("/proc").join(pid.as_raw_nonzero().to_string());
    wait_for("it has ended", PATIENCE, async || (!process.exists()).then_some(())).await;
    stage.peer.mend().await;
    until_problem(false).await;
    let ended = stage.worker.until_state(ends.id, State::Failed).await;
    assert_eq!(ended.status.exit_code, Some(137), "what ended meanwhile is noticed");
    let still = stage.worker.task(stays.id).await.unwrap();
    assert_eq!(
        (still.status.state, &still.status.container_id),
        (State::Running, &stays.status.container_id)
    );
    stage.running(stage.task(&["sleep"])).await;
    stage
}
