//! Health checks on a real Docker Engine: over the network, by command, and while the engine hangs.

#![expect(clippy::unwrap_used, reason = "a test that fails may panic")]

mod support;

use std::{cell::Cell, net::TcpListener, time::Duration};

use bollard::query_parameters::TopOptions;
use cube_tui::{
    task::{HealthCheck, NetworkMode, Probe, State, Task, TaskSpec, Verdict},
    worker::{report::Report, runtime::Docker},
};
use futures_util::{StreamExt as _, future::join_all};
use libtest_mimic::Trial;
use support::{
    Image, Sweep,
    engine_proxy::{EngineProxy, Mode},
    wait_for, with_engine,
    worker::{PATIENCE, TestWorker, spec, task_with},
};
use uuid::Uuid;

fn main() {
    support::run(vec![
        trial("a_service_that_turns_sick_is_stopped_and_failed_with_the_reason", turns_sick),
        trial("services_are_reached_on_every_network", networks),
        trial("nobody_at_the_port_is_a_failure", nobody),
        trial("commands_run_in_the_container_and_tell_by_their_exit_code", commands),
        trial("a_command_that_hangs_is_a_failure_and_does_not_stay", hanging_command),
        trial("a_restarted_worker_checks_again", restarted),
        trial("an_engine_that_hangs_makes_nobody_unhealthy", engine_hangs),
    ]);
}

struct Stage {
    docker: bollard::Docker,
    image: Image,
    identity: Uuid,
    worker: TestWorker,
}

fn trial<F, R>(name: &'static str, test: F) -> Trial
where
    F: FnOnce(Stage) -> R + Send + 'static,
    R: Future<Output = Stage>,
{
    with_engine(name, async |docker| {
        let image = Image::build(&docker).await;
        let identity = Uuid::new_v4();
        // Also when the test panics.
        let _sweep = Sweep { label: format!("cube.worker={identity}"), image: image.name.clone() };
        let worker = TestWorker::start(runtime(&support::docker_host(), identity), identity).await;
        let stage = test(Stage { docker, image, identity, worker }).await;
        stage.worker.end().await;
    })
}

fn runtime(host: &str, identity: Uuid) -> Docker {
    Docker::new(host, Uuid::nil(), identity)
}

impl Stage {
    /// A task that is checked every second, from its start on, and may fail twice.
    fn checked(&self, cmd: &[&str], probe: Probe) -> TaskSpec {
        let check = HealthCheck { start_period_s: 0, interval_s: 1, timeout_s: 1, retries: 2, probe };
        TaskSpec { health_check: Some(check), ..spec(&self.image.name, cmd) }
    }

    async fn run(&self, spec: TaskSpec) -> Task {
        let task = task_with(spec);
        self.worker.run(&task).await;
        task
    }

    /// Runs a task that fails for its health; says with what reason.
    async fn failure(&self, spec: TaskSpec) -> String {
        let task = self.run(spec).await;
        let failed = self.worker.until_state(task.id, State::Failed).await;
        assert_eq!(failed.status.health.unwrap().verdict, Verdict::Unhealthy);
        failed.status.reason
    }
}

fn http(text: &str) -> Probe {
    text.parse().unwrap()
}

fn command(words: &[&str]) -> Probe {
    Probe::Command(words.iter().map(|&word| word.to_owned()).collect())
}

async fn until_healthy(worker: &TestWorker, task: &Task) -> Task {
    worker
        .until("it is healthy", task.id, |task| {
            assert!(!task.status.state.has_ended(), "{}", task.status.reason);
            task.status.health.as_ref().is_some_and(|health| health.verdict == Verdict::Healthy)
        })
        .await
}

async fn turns_sick(stage: Stage) -> Stage {
    let task = stage.run(stage.checked(&["http", "8080", "3000"], http("http:8080/health"))).await;
    until_healthy(&stage.worker, &task).await;
    let failed = stage.worker.until_state(task.id, State::Failed).await;
    assert_eq!(failed.status.reason, "health check failed 2 times: GET /health on port 8080: 503");
    assert_eq!(failed.status.exit_code, Some(143), "it had its time to end");
    let left = support::containers_with(&stage.docker, &format!("cube.task={}", task.id)).await;
    assert_eq!(left.len(), 0);
    stage
}

async fn networks(stage: Stage) -> Stage {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let on_host = TaskSpec {
        network_mode: NetworkMode::Host,
        ..stage.checked(&["http", &free.to_string()], http(&format!("http:{free}/")))
    };
    let published = TaskSpec {
        exposed_ports: Some(vec!["8081/tcp".to_owned(), "8080/tcp".to_owned()]),
        ..stage.checked(&["http", "8080"], http("/health"))
    };
    let unpublished = stage.checked(&["http", "8080"], http("tcp:8080"));
    let tasks = join_all([on_host, published, unpublished].map(|spec| stage.run(spec))).await;
    join_all(tasks.iter().map(|task| until_healthy(&stage.worker, task))).await;
    stage
}

async fn nobody(stage: Stage) -> Stage {
    let listens_elsewhere = |probe| stage.failure(stage.checked(&["http", "8080"], http(probe)));
    let reasons = join_all(["tcp:8081", "http:8081/", "/"].map(listens_elsewhere)).await;
    assert_eq!(
        reasons,
        [
            "health check failed 2 times: TCP port 8081: connection refused",
            "health check failed 2 times: GET / on port 8081: connection refused",
            "health check failed 2 times: GET /: the container exposes no TCP port; name one, as in http:8080/health",
        ]
    );
    stage
}

async fn commands(stage: Stage) -> Stage {
    let env = vec!["MOOD=good".to_owned()];
    let good = TaskSpec {
        env: env.clone(),
        ..stage.checked(&["sleep"], command(&["/fixture", "env", "MOOD", "good"]))
    };
    let good = stage.run(good).await;
    let bad = TaskSpec { env, ..stage.checked(&["sleep"], command(&["/fixture", "env", "MOOD", "bad"])) };
    let loud = stage.checked(&["sleep"], command(&["/fixture", "no\x1bsuch"]));
    let missing = stage.checked(&["sleep"], command(&["/nothing"]));
    let reasons = join_all([bad, loud, missing].map(|spec| stage.failure(spec))).await;
    assert_eq!(reasons[0], "health check failed 2 times: /fixture env MOOD bad: exit code 1");
    assert!(reasons[1].contains("exit code 64: what is"), "{}", reasons[1]);
    assert!(reasons[2].contains("/nothing"), "{}", reasons[2]);
    until_healthy(&stage.worker, &good).await;
    stage
}

async fn hanging_command(stage: Stage) -> Stage {
    let mut spec = stage.checked(&["sleep"], command(&["/fixture", "sleep"]));
    spec.health_check.as_mut().unwrap().retries = 4;
    let task = stage.run(spec).await;
    let running = stage.worker.until_state(task.id, State::Running).await;
    let most = Cell::new(0);
    let failed = wait_for("it failed", PATIENCE, async || {
        let container = &running.status.container_id;
        if let Ok(top) = stage.docker.top_processes(container, None::<TopOptions>).await {
            // Of a container that is just ending there are none.
            most.set(most.get().max(top.processes.unwrap_or_default().len()));
        }
        stage.worker.task(task.id).await.filter(|task| task.status.state == State::Failed)
    })
    .await;
    let reason = "health check failed 4 times: /fixture sleep: no answer within 1 s";
    assert_eq!(failed.status.reason, reason);
    // Only who may signal the engine's processes can end them.
    if rustix::process::geteuid().is_root() {
        assert_eq!(most.get(), 2, "the task, and one check at a time");
    }
    stage
}

async fn restarted(stage: Stage) -> Stage {
    let task = stage.run(stage.checked(&["http", "8080"], http("http:8080/"))).await;
    let before = until_healthy(&stage.worker, &task).await;
    stage.worker.end().await;
    let worker = TestWorker::start(runtime(&support::docker_host(), stage.identity), stage.identity).await;
    let after = until_healthy(&worker, &task).await;
    assert_eq!(after.status.container_id, before.status.container_id);
    Stage { worker, ..stage }
}

async fn engine_hangs(stage: Stage) -> Stage {
    let proxy = EngineProxy::start();
    let worker = TestWorker::start(runtime(&proxy.host(), stage.identity), stage.identity).await;
    let by_command = task_with(stage.checked(&["sleep"], command(&["/fixture", "exit", "0"])));
    let over_http = task_with(stage.checked(&["http", "8080"], http("http:8080/")));
    for task in [&by_command, &over_http] {
        worker.run(task).await;
        until_healthy(&worker, task).await;
    }
    let mut reports = Box::pin(worker.client.reports().await.unwrap());
    proxy.set(Mode::Hung);
    // Longer than a call to the engine may take, twice.
    let told = tokio::time::timeout(Duration::from_secs(25), async {
        while let Some(report) = reports.next().await {
            if let Report::Task(task) = report.unwrap() {
                return task.status.reason;
            }
        }
        "the stream ended".to_owned()
    });
    assert_eq!(told.await.ok(), None, "nothing is told of the tasks");
    proxy.set(Mode::Open);
    for task in [&by_command, &over_http] {
        until_healthy(&worker, task).await;
    }
    worker.end().await;
    stage
}
