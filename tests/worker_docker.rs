//! The worker on a real Docker Engine: limits, ports, labels, stops, restarts, and what others do to its containers.

#![expect(clippy::unwrap_used, reason = "a test that fails may panic")]

mod support;

use std::{
    collections::{BTreeMap, HashMap},
    net::TcpListener,
    time::{Duration, Instant},
};

use bollard::{
    exec::{CreateExecOptions, StartExecOptions},
    models::{ContainerCreateBody, ContainerInspectResponse},
    query_parameters::{
        CreateContainerOptionsBuilder, InspectContainerOptions, KillContainerOptionsBuilder,
        RemoveContainerOptionsBuilder, StartContainerOptions,
    },
};
use cube_tui::{
    cluster::{Allows, TaskUse},
    task::{NetworkMode, Privileges, State, Task, TaskSpec},
    worker::{
        Config, Limits,
        report::Report,
        runtime::{Docker, Runtime as _},
    },
};
use futures_util::{StreamExt as _, future::join_all};
use libtest_mimic::{Completion, Trial};
use support::{
    Image, Sweep, containers_with,
    engine_proxy::{EngineProxy, Mode},
    registry::{NO_REGISTRY, Registry},
    remove_containers, remove_volume, wait_for, with_engine,
    worker::{PATIENCE, TestWorker, spec, task, task_with},
};
use uuid::Uuid;

fn main() {
    support::run(vec![
        trial("a_spec_becomes_a_container_with_its_limits_and_labels", limits_and_labels),
        trial("ports_are_published_as_asked_and_read_back", ports),
        trial("env_entrypoint_volumes_and_network_reach_the_program", inside),
        trial("what_the_policy_allows_of_the_host_reaches_the_program_and_nothing_else", of_the_host),
        trial("a_program_that_ignores_sigterm_is_killed_after_its_stop_timeout", stop_timeout),
        trial("out_of_memory_is_told_as_such", out_of_memory),
        trial("a_container_removed_by_someone_else_fails_within_two_seconds", removed_outside),
        trial("a_kill_from_outside_fails_with_its_code", killed_outside),
        trial("a_port_that_is_taken_fails_the_start_and_leaves_nothing", port_taken),
        trial("a_foreign_container_with_the_same_name_is_left_alone", foreign_name),
        trial("a_restarted_worker_knows_its_containers", restart),
        trial("a_container_made_but_never_started_is_started_once", made_not_started),
        trial("two_workers_on_one_engine_do_not_touch_each_other", two_workers),
        trial("an_ephemeral_worker_leaves_nothing", ephemeral),
        trial("of_a_task_that_crashes_again_only_the_last_container_is_kept", crashes),
        trial("what_is_removed_for_the_limit_is_never_a_running_container", running_is_not_removed),
        trial("a_sample_tells_what_each_task_uses", sample),
        pulls(),
        trial("an_engine_that_hangs_is_told_within_20_seconds_and_recovers", engine_hangs),
        trial("an_end_that_the_engine_never_tells_is_noticed_by_looking", untold_end),
        trial("an_engine_that_goes_away_is_told_at_once_and_what_it_did_is_noticed", engine_gone),
    ]);
}

/// What each test has: an image, an identity, a worker; all removed at its end.
struct Stage {
    docker: bollard::Docker,
    image: Image,
    identity: Uuid,
    worker: TestWorker,
}

impl Stage {
    fn label(&self) -> String {
        format!("cube.worker={}", self.identity)
    }

    async fn inspect(&self, task: &Task) -> ContainerInspectResponse {
        let id = &task.status.container_id;
        self.docker.inspect_container(id, None::<InspectContainerOptions>).await.unwrap()
    }

    /// Runs a task until it is Running.
    async fn running(&self, task: Task) -> Task {
        self.worker.run(&task).await;
        self.worker.until_state(task.id, State::Running).await
    }

    fn sleeper(&self) -> Task {
        task("sleeper", &self.image.name, &["sleep"])
    }

    /// Ends a container from inside.
    async fn end_inside(&self, task: &Task) {
        let end = CreateExecOptions { cmd: Some(vec!["/fixture", "end"]), ..CreateExecOptions::default() };
        let exec = self.docker.create_exec(&task.status.container_id, end).await.unwrap().id;
        let detached = StartExecOptions { detach: true, ..StartExecOptions::default() };
        self.docker.start_exec(&exec, Some(detached)).await.unwrap();
    }

    async fn until_it_runs(&self, task: &Task, expected: bool) {
        let runs = async || self.inspect(task).await.state.unwrap().running;
        wait_for("the container", PATIENCE, async || runs().await.filter(|runs| *runs == expected)).await;
    }

    /// Ends the worker and starts it again, with what it has in its data folder.
    async fn restarted(self, meanwhile: impl AsyncFnOnce(&bollard::Docker)) -> Self {
        self.worker.end().await;
        meanwhile(&self.docker).await;
        let worker = TestWorker::start(runtime(self.identity), self.identity).await;
        Self { worker, ..self }
    }
}

fn runtime(identity: Uuid) -> Docker {
    Docker::new(&support::docker_host(), Uuid::nil(), identity)
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
        let worker = TestWorker::start(runtime(identity), identity).await;
        let stage = test(Stage { docker, image, identity, worker }).await;
        stage.worker.end().await;
    })
}

async fn limits_and_labels(stage: Stage) -> Stage {
    let task = task_with(TaskSpec {
        name: "limits".to_owned(),
        cpu: 0.5,
        memory_bytes: 64 << 20,
        labels: BTreeMap::from([("team".to_owned(), "blue".to_owned())]),
        ..spec(&stage.image.name, &["sleep"])
    });
    let running = stage.running(task.clone()).await;
    let container = stage.inspect(&running).await;
    let host = container.host_config.unwrap();
    assert_eq!((host.nano_cpus, host.memory), (Some(500_000_000), Some(64 << 20)));
    assert_eq!(container.name.unwrap(), format!("/cube-limits-{}-0", task.id.short()));
    let labels = container.config.unwrap().labels.unwrap();
    assert_eq!(labels["team"], "blue");
    assert_eq!(labels["cube.worker"], stage.identity.to_string());
    assert_eq!(labels["cube.task"], task.id.to_string());
    assert_eq!(labels["cube.generation"], "0");
    let asked_for: Task = serde_json::from_str(&labels["cube.spec"]).unwrap();
    assert_eq!(asked_for.spec, task.spec);
    stage
}

async fn ports(stage: Stage) -> Stage {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let task = task_with(TaskSpec {
        exposed_ports: Some(vec!["7777/tcp".to_owned(), "8888/tcp".to_owned()]),
        port_bindings: Some(BTreeMap::from([("7777/tcp".to_owned(), free.to_string())])),
        ..spec(&stage.image.name, &["http", "7777"])
    });
    stage.worker.run(&task).await;
    let has_ports = |task: &Task| task.status.host_ports.len() == 2;
    let running = stage.worker.until("both ports are told", task.id, has_ports).await;
    assert_eq!(running.status.state, State::Running);
    let port = |container_port: &str| running.status.host_ports[container_port][0].host_port.clone();
    assert_eq!(port("7777/tcp"), free.to_string());
    assert!(port("8888/tcp").parse::<u16>().is_ok_and(|port| port > 0));
    let url = format!("http://127.0.0.1:{free}/");
    let page = wait_for("the page", PATIENCE, async || stage.worker.http.get(&url).send().await.ok()).await;
    assert_eq!(page.text().await.unwrap(), "hello\n");
    stage
}

async fn inside(stage: Stage) -> Stage {
    let image = stage.image.name.clone();
    let volume = format!("cube-test-{}", stage.identity.simple());
    let in_volume =
        |cmd: &[&str]| task_with(TaskSpec { mounts: vec![format!("{volume}:/data")], ..spec(&image, cmd) });
    let write = in_volume(&["write", "/data/note", "kept"]);
    stage.worker.run(&write).await;
    stage.worker.until_state(write.id, State::Completed).await;
    let checks = [
        in_volume(&["read", "/data/note", "kept"]),
        task_with(TaskSpec {
            env: vec!["GREETING=hello world".to_owned()],
            ..spec(&image, &["env", "GREETING", "hello world"])
        }),
        task_with(TaskSpec {
            entrypoint: vec!["/fixture".to_owned(), "exit".to_owned()],
            ..spec(&image, &["0"])
        }),
    ];
    for check in &checks {
        stage.worker.run(check).await;
    }
    for check in &checks {
        stage.worker.until_state(check.id, State::Completed).await;
    }
    for (mode, name) in [(NetworkMode::None, "none"), (NetworkMode::Host, "host")] {
        let task = task_with(TaskSpec { network_mode: mode, ..spec(&image, &["sleep"]) });
        let container = stage.inspect(&stage.running(task).await).await;
        assert_eq!(container.host_config.unwrap().network_mode.as_deref(), Some(name));
    }
    remove_containers(&stage.docker, &stage.label()).await;
    remove_volume(&stage.docker, &volume).await;
    stage
}

/// Privileges as a task file has them.
fn asks(stage: &Stage, cmd: &[&str], mounts: &[String], cap_add: &[&str], devices: &[&str]) -> Task {
    let privileges = Privileges {
        cap_add: cap_add.iter().map(|name| name.parse().unwrap()).collect(),
        devices: devices.iter().map(|device| device.parse().unwrap()).collect(),
        ..Privileges::default()
    };
    task_with(TaskSpec {
        mounts: mounts.to_vec(),
        privileges: privileges.boxed(),
        ..spec(&stage.image.name, cmd)
    })
}

async fn of_the_host(stage: Stage) -> Stage {
    let folder = tempfile::tempdir().unwrap();
    let shared = folder.path().join("shared");
    std::fs::create_dir(&shared).unwrap();
    std::fs::write(shared.join("note"), "hello").unwrap();
    std::os::unix::fs::symlink("/etc", shared.join("out")).unwrap();
    let host_paths = vec![shared.to_str().unwrap().to_owned()];
    let allows = Allows {
        host_paths,
        devices: vec!["/dev/zero".to_owned()],
        capabilities: vec!["NET_ADMIN".to_owned()],
        ..Allows::default()
    };
    let identity = Uuid::new_v4();
    let _sweep = Sweep { label: format!("cube.worker={identity}"), image: String::new() };
    let limits = Limits { allows, ..Limits::default() };
    let worker = TestWorker::with(runtime(identity), Config { limits, ..Config::new(identity) }).await;
    let mount = |inside: &str| vec![format!("{}:{inside}", shared.display())];

    let reads = asks(&stage, &["read", "/in/note", "hello"], &mount("/in:ro"), &[], &[]);
    let writes_ro = asks(&stage, &["write", "/in/new", "x"], &mount("/in:ro"), &[], &[]);
    let writes = asks(&stage, &["write", "/in/new", "x"], &mount("/in"), &[], &[]);
    for (task, state) in
        [(&reads, State::Completed), (&writes_ro, State::Failed), (&writes, State::Completed)]
    {
        worker.run(task).await;
        worker.until_state(task.id, state).await;
    }
    assert_eq!(std::fs::read(shared.join("new")).unwrap(), b"x");

    let holds = asks(&stage, &["sleep"], &[], &["net_admin"], &["/dev/zero:/dev/nil:r"]);
    worker.run(&holds).await;
    let running = worker.until_state(holds.id, State::Running).await;
    let host = stage.inspect(&running).await.host_config.unwrap();
    let cap_add: Vec<String> = host.cap_add.unwrap();
    assert!(matches!(&*cap_add[0], "NET_ADMIN" | "CAP_NET_ADMIN") && cap_add.len() == 1, "{cap_add:?}");
    assert_ne!(host.privileged, Some(true));
    let device = host.devices.unwrap().remove(0);
    assert_eq!(
        (device.path_on_host.as_deref(), device.path_in_container.as_deref()),
        (Some("/dev/zero"), Some("/dev/nil"))
    );

    // Asked for under an allowed name; the worker looks where it leads.
    let out = asks(&stage, &["sleep"], &[format!("{}/out:/in", shared.display())], &[], &[]);
    worker.run(&out).await;
    let failed = worker.until_state(out.id, State::Failed).await;
    assert!(failed.status.reason.contains("host path /etc"), "{}", failed.status.reason);
    let missing = asks(&stage, &["sleep"], &[format!("{}/none:/in", shared.display())], &[], &[]);
    worker.run(&missing).await;
    let failed = worker.until_state(missing.id, State::Failed).await;
    assert!(failed.status.reason.contains("is not there"), "{}", failed.status.reason);
    assert!(!shared.join("none").exists(), "nothing is made up on the host");
    for beyond in [
        asks(&stage, &["sleep"], &["/:/in".to_owned()], &[], &[]),
        asks(&stage, &["sleep"], &[], &["ALL"], &[]),
        asks(&stage, &["sleep"], &[], &[], &["/dev/kmsg"]),
    ] {
        worker.event(&beyond, State::Running, 403).await;
    }
    worker.end().await;
    stage
}

async fn stop_timeout(stage: Stage) -> Stage {
    let task = task_with(TaskSpec { stop_timeout_s: Some(1), ..spec(&stage.image.name, &["ignore-term"]) });
    let running = stage.running(task).await;
    let start = Instant::now();
    stage.worker.stop_task(&running).await;
    let stopping = stage.worker.task(running.id).await.unwrap();
    assert_eq!((stopping.status.state, stopping.status.reason.as_str()), (State::Running, "stopping"));
    let stopped = stage.worker.until_state(running.id, State::Completed).await;
    assert!(start.elapsed() >= Duration::from_secs(1), "it got its time");
    assert_eq!((stopped.status.exit_code, stopped.status.reason.as_str()), (Some(137), "stopped"));
    assert_eq!(containers_with(&stage.docker, &stage.label()).await, [""; 0], "removed after the stop");
    stage
}

async fn out_of_memory(stage: Stage) -> Stage {
    let task =
        task_with(TaskSpec { memory_bytes: 16 << 20, ..spec(&stage.image.name, &["allocate", "256"]) });
    stage.worker.run(&task).await;
    let failed = stage.worker.until_state(task.id, State::Failed).await;
    assert_eq!(failed.status.reason, "out of memory (exit code 137)");
    stage
}

async fn removed_outside(stage: Stage) -> Stage {
    let running = stage.running(stage.sleeper()).await;
    let start = Instant::now();
    let force = RemoveContainerOptionsBuilder::default().force(true).build();
    stage.docker.remove_container(&running.status.container_id, Some(force)).await.unwrap();
    let failed = stage.worker.until_state(running.id, State::Failed).await;
    assert_eq!(failed.status.reason, "container removed by someone else");
    assert!(start.elapsed() <= Duration::from_secs(2), "{:?}", start.elapsed());
    stage
}

async fn killed_outside(stage: Stage) -> Stage {
    let (one, two) = (stage.running(stage.sleeper()).await, stage.running(stage.sleeper()).await);
    for (task, signal, code) in [(one, "TERM", 143), (two, "KILL", 137)] {
        let kill = KillContainerOptionsBuilder::default().signal(signal).build();
        stage.docker.kill_container(&task.status.container_id, Some(kill)).await.unwrap();
        let failed = stage.worker.until_state(task.id, State::Failed).await;
        assert_eq!(failed.status.exit_code, Some(code));
        assert_eq!(failed.status.reason, format!("exit code {code}"));
        let container = stage.inspect(&failed).await;
        assert_eq!(container.state.unwrap().running, Some(false), "kept for its logs");
    }
    stage
}

async fn port_taken(stage: Stage) -> Stage {
    let taken = TcpListener::bind("0.0.0.0:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let task = task_with(TaskSpec {
        port_bindings: Some(BTreeMap::from([("7777/tcp".to_owned(), port)])),
        ..spec(&stage.image.name, &["sleep"])
    });
    stage.worker.run(&task).await;
    let failed = stage.worker.until_state(task.id, State::Failed).await;
    assert!(failed.status.reason.starts_with("start failed: "), "{}", failed.status.reason);
    assert_eq!(containers_with(&stage.docker, &stage.label()).await, [""; 0]);
    let missing = task_with(TaskSpec {
        entrypoint: vec!["/no-such-program".to_owned()],
        ..spec(&stage.image.name, &[])
    });
    stage.worker.run(&missing).await;
    let failed = stage.worker.until_state(missing.id, State::Failed).await;
    assert!(failed.status.reason.contains("/no-such-program"), "{}", failed.status.reason);
    assert_eq!(containers_with(&stage.docker, &stage.label()).await, [""; 0]);
    stage
}

async fn foreign_name(stage: Stage) -> Stage {
    let sleeper = stage.sleeper();
    let name = format!("cube-sleeper-{}-0", sleeper.id.short());
    let foreign = ContainerCreateBody {
        image: Some(stage.image.name.clone()),
        cmd: Some(vec!["sleep".to_owned()]),
        labels: Some(HashMap::from([("cube.test.foreign".to_owned(), stage.identity.to_string())])),
        ..ContainerCreateBody::default()
    };
    let options = CreateContainerOptionsBuilder::default().name(&name).build();
    let foreign = stage.docker.create_container(Some(options), foreign).await.unwrap().id;
    stage.docker.start_container(&foreign, None::<StartContainerOptions>).await.unwrap();

    let running = stage.running(sleeper).await;
    assert_eq!(stage.inspect(&running).await.name.unwrap(), format!("/{name}-2"));
    stage.worker.stop_task(&running).await;
    stage.worker.until_state(running.id, State::Completed).await;
    let still = stage.docker.inspect_container(&foreign, None::<InspectContainerOptions>).await.unwrap();
    assert_eq!(still.state.unwrap().running, Some(true));
    remove_containers(&stage.docker, &format!("cube.test.foreign={}", stage.identity)).await;
    stage
}

async fn restart(stage: Stage) -> Stage {
    let (stays, ends, removed) = (
        stage.running(stage.sleeper()).await,
        stage.running(stage.sleeper()).await,
        stage.running(stage.sleeper()).await,
    );
    let failed_before = task("failed", &stage.image.name, &["exit", "3"]);
    stage.worker.run(&failed_before).await;
    let failed_before = stage.worker.until_state(failed_before.id, State::Failed).await;
    let container_of_ends = ends.status.container_id.clone();
    let container_of_removed = removed.status.container_id.clone();
    let stage = stage
        .restarted(async |docker| {
            let kill = KillContainerOptionsBuilder::default().signal("TERM").build();
            docker.kill_container(&container_of_ends, Some(kill)).await.unwrap();
            let force = RemoveContainerOptionsBuilder::default().force(true).build();
            docker.remove_container(&container_of_removed, Some(force)).await.unwrap();
        })
        .await;
    let adopted = stage.worker.task(stays.id).await.unwrap();
    assert_eq!(adopted.spec, stays.spec);
    assert_eq!(adopted.status.container_id, stays.status.container_id);
    assert_eq!(adopted.status.state, State::Running);
    let drift = adopted.status.start_time.unwrap().duration_since(stays.status.start_time.unwrap());
    assert!(drift.abs().as_secs() < 5, "started when it was started: {drift}");
    let ended = stage.worker.until_state(ends.id, State::Failed).await;
    assert_eq!(ended.status.exit_code, Some(143));
    let again = stage.worker.task(failed_before.id).await.unwrap();
    assert_eq!((again.status.exit_code, again.status.reason.as_str()), (Some(3), "exit code 3"));
    assert_eq!(stage.worker.task(removed.id).await, None);

    // What a manager sends again after the restart starts nothing.
    stage.worker.run(&stays).await;
    stage.worker.run(&failed_before).await;
    assert_eq!(stage.worker.task(stays.id).await, Some(adopted));
    assert_eq!(containers_with(&stage.docker, &stage.label()).await.len(), 3);
    stage.worker.stop_task(&stays).await;
    stage.worker.until_state(stays.id, State::Completed).await;
    stage
}

async fn made_not_started(stage: Stage) -> Stage {
    // What a kill -9 between create and start leaves behind.
    let sleeper = stage.sleeper();
    let labels = HashMap::from([
        ("cube.worker".to_owned(), stage.identity.to_string()),
        ("cube.task".to_owned(), sleeper.id.to_string()),
        ("cube.generation".to_owned(), "0".to_owned()),
        ("cube.spec".to_owned(), serde_json::to_string(&sleeper).unwrap()),
    ]);
    let body = ContainerCreateBody {
        image: Some(stage.image.name.clone()),
        cmd: Some(vec!["sleep".to_owned()]),
        labels: Some(labels),
        ..ContainerCreateBody::default()
    };
    let name = format!("cube-sleeper-{}-0", sleeper.id.short());
    let options = CreateContainerOptionsBuilder::default().name(&name).build();
    let made = stage.docker.create_container(Some(options), body).await.unwrap().id;
    let stage = stage.restarted(async |_| {}).await;
    stage.worker.run(&sleeper).await;
    let running = stage.worker.until_state(sleeper.id, State::Running).await;
    assert_eq!(running.status.container_id, made);
    assert_eq!(containers_with(&stage.docker, &stage.label()).await, [made]);
    stage
}

async fn two_workers(stage: Stage) -> Stage {
    let running = stage.running(stage.sleeper()).await;
    let other_id = Uuid::new_v4();
    let config = Config { ephemeral: true, ..Config::new(other_id) };
    let other = TestWorker::with(runtime(other_id), config).await;
    assert_eq!(other.client.tasks().await.unwrap(), []);
    let theirs = stage.sleeper();
    other.run(&theirs).await;
    other.until_state(theirs.id, State::Running).await;
    assert_eq!(stage.worker.task(theirs.id).await, None);
    other.end().await;
    assert_eq!(containers_with(&stage.docker, &format!("cube.worker={other_id}")).await, [""; 0]);
    assert_eq!(stage.worker.task(running.id).await.unwrap().status.state, State::Running);
    assert_eq!(stage.inspect(&running).await.state.unwrap().running, Some(true));
    stage
}

async fn ephemeral(stage: Stage) -> Stage {
    let identity = Uuid::new_v4();
    let config = Config { ephemeral: true, ..Config::new(identity) };
    let worker = TestWorker::with(runtime(identity), config).await;
    let sleeper = stage.sleeper();
    let ended = task("ended", &stage.image.name, &["exit", "3"]);
    worker.run(&sleeper).await;
    worker.run(&ended).await;
    worker.until_state(sleeper.id, State::Running).await;
    worker.until_state(ended.id, State::Failed).await;
    // And some that are on their way up when the end comes.
    for _ in 0..3 {
        worker.run(&stage.sleeper()).await;
    }
    worker.end().await;
    assert_eq!(containers_with(&stage.docker, &format!("cube.worker={identity}")).await, [""; 0]);
    stage
}

async fn crashes(stage: Stage) -> Stage {
    let mut bad = task("bad", &stage.image.name, &["exit", "3"]);
    let mut last = String::new();
    for generation in 0..3 {
        bad.status.generation = generation;
        stage.worker.run(&bad).await;
        let is_its_end = |task: &Task| task.status.state.has_ended() && task.status.generation == generation;
        last = stage.worker.until("it crashed", bad.id, is_its_end).await.status.container_id;
    }
    wait_for("the earlier ones are removed", PATIENCE, async || {
        let there = containers_with(&stage.docker, &stage.label()).await;
        assert!(there.contains(&last), "the last one stays for its logs");
        (there.len() == 1).then_some(())
    })
    .await;
    stage
}

async fn running_is_not_removed(stage: Stage) -> Stage {
    let running = stage.running(stage.sleeper()).await;
    runtime(stage.identity).remove(&running.status.container_id).await.unwrap();
    assert_eq!(stage.inspect(&running).await.state.unwrap().running, Some(true));
    stage
}

async fn sample(stage: Stage) -> Stage {
    let running = stage.running(task("busy", &stage.image.name, &["spam"])).await;
    let mut reports = Box::pin(stage.worker.client.reports().await.unwrap());
    let is_measured = |usage: &TaskUse| {
        usage.task == running.id && usage.memory_bytes > 0 && usage.cpu_percent.is_some_and(|cpu| cpu > 1.0)
    };
    let measured = async {
        while let Some(report) = reports.next().await {
            if let Report::Sample(sample) = report.unwrap()
                && sample.tasks.iter().any(is_measured)
            {
                return;
            }
        }
        panic!("the stream ended");
    };
    tokio::time::timeout(PATIENCE, measured).await.expect("a sample with the task's use");
    stage
}

/// Ignored, with the reason, where there is no registry to pull from.
fn pulls() -> Trial {
    let name = "a_missing_image_is_pulled_and_one_that_is_nowhere_is_told";
    Trial::ignorable_test(name, move || {
        support::block_on(async move {
            let Some(docker) = support::engine().await else {
                return Ok(Completion::ignored_with(support::NO_ENGINE));
            };
            let Some(registry) = Registry::start().await else {
                return Ok(Completion::ignored_with(NO_REGISTRY));
            };
            pull(docker, registry).await;
            Ok(Completion::Completed)
        })
    })
}

async fn pull(docker: bollard::Docker, registry: Registry) {
    let local = Image::build(&docker).await;
    let identity = Uuid::new_v4();
    let image = registry.push(&docker, &local, &format!("fixture-{}", identity.simple())).await;
    let _sweeps = [&local.name, &image]
        .map(|image| Sweep { label: format!("cube.worker={identity}"), image: image.clone() });
    local.remove(&docker).await;
    let worker = TestWorker::start(runtime(identity), identity).await;
    let mut reports = Box::pin(worker.client.reports().await.unwrap());

    // Two want it at the same time.
    let tasks = [task("one", &image, &["sleep"]), task("two", &image, &["sleep"])];
    for task in &tasks {
        worker.run(task).await;
    }
    for task in &tasks {
        worker.until_state(task.id, State::Running).await;
    }
    let mut words = Vec::new();
    while words.last().is_none_or(|word: &String| !word.is_empty()) {
        if let Report::Progress(progress) = reports.next().await.unwrap().unwrap() {
            words.push(progress.text);
        }
    }
    assert!(words[0].starts_with("pulling"), "{words:?}");

    let absent = format!("{}/absent:1", registry.address);
    let nowhere = task("nowhere", &absent, &["sleep"]);
    worker.run(&nowhere).await;
    let failed = worker.until_state(nowhere.id, State::Failed).await;
    assert!(
        failed.status.reason.starts_with(&format!("image {absent} not found: ")),
        "{}",
        failed.status.reason
    );
    worker.end().await;
}

/// With the worker behind a proxy in our hands. There is no other one with this identity: it would take the containers for its own.
async fn behind_proxy(stage: Stage) -> (Stage, EngineProxy) {
    let proxy = EngineProxy::start();
    stage.worker.end().await;
    let runtime = Docker::new(&proxy.host(), Uuid::nil(), stage.identity);
    let worker = TestWorker::start(runtime, stage.identity).await;
    (Stage { worker, ..stage }, proxy)
}

/// Waits for the heartbeat that says, or no longer says, that the engine can't be used.
async fn until_problem(worker: &TestWorker, expected: bool, deadline: Duration) -> String {
    let mut reports = Box::pin(worker.client.reports().await.unwrap());
    let told = async {
        while let Some(report) = reports.next().await {
            if let Report::Heartbeat { runtime_problem } = report.unwrap()
                && runtime_problem.is_empty() != expected
            {
                return runtime_problem;
            }
        }
        panic!("the stream ended");
    };
    tokio::time::timeout(deadline, told).await.expect("a heartbeat tells")
}

async fn engine_hangs(stage: Stage) -> Stage {
    let (stage, proxy) = behind_proxy(stage).await;
    let worker = &stage.worker;
    let running = stage.running(stage.sleeper()).await;
    proxy.set(Mode::Hung);
    let problem = until_problem(worker, true, Duration::from_secs(20)).await;
    assert!(problem.contains("did not answer"), "{problem}");
    worker.event(&stage.sleeper(), State::Running, 503).await;
    let start = Instant::now();
    assert_eq!(worker.task(running.id).await.unwrap().status.state, State::Running);
    assert!(start.elapsed() < Duration::from_millis(200), "{:?}", start.elapsed());
    // While nobody can see it.
    stage.end_inside(&running).await;
    proxy.set(Mode::Open);
    until_problem(worker, false, PATIENCE).await;
    worker.until_state(running.id, State::Failed).await;
    stage.running(stage.sleeper()).await;
    stage
}

async fn untold_end(stage: Stage) -> Stage {
    let proxy = EngineProxy::start();
    proxy.set(Mode::HoldsAnswer("/events"));
    stage.worker.end().await;
    let runtime = Docker::new(&proxy.host(), Uuid::nil(), stage.identity);
    let runtime = runtime.looking_every(Duration::from_millis(500));
    let worker = TestWorker::start(runtime, stage.identity).await;
    let stage = Stage { worker, ..stage };
    for _ in 0..2 {
        let running = stage.running(stage.sleeper()).await;
        stage.end_inside(&running).await;
        let ended = stage.worker.until_state(running.id, State::Failed).await;
        assert_eq!(ended.status.reason, "exit code 143");
    }
    stage
}

async fn engine_gone(stage: Stage) -> Stage {
    let (stage, proxy) = behind_proxy(stage).await;
    let worker = &stage.worker;
    let [stopped, ended, killed, removed] =
        join_all((0..4).map(|_| stage.running(stage.sleeper()))).await.try_into().unwrap();
    proxy.set(Mode::Gone);
    let problem = until_problem(worker, true, Duration::from_secs(5)).await;
    assert!(problem.contains("container engine"), "{problem}");
    worker.stop_task(&stopped).await;
    stage.end_inside(&ended).await;
    let kill = KillContainerOptionsBuilder::default().signal("TERM").build();
    stage.docker.kill_container(&killed.status.container_id, Some(kill)).await.unwrap();
    let force = RemoveContainerOptionsBuilder::default().force(true).build();
    stage.docker.remove_container(&removed.status.container_id, Some(force)).await.unwrap();
    join_all([&ended, &killed].map(|task| stage.until_it_runs(task, false))).await;
    proxy.set(Mode::Open);
    worker.until_state(stopped.id, State::Completed).await;
    let ended = worker.until_state(ended.id, State::Failed).await;
    assert_eq!(ended.status.reason, "exit code 143");
    let removed = worker.until_state(removed.id, State::Failed).await;
    assert_eq!(removed.status.reason, "container removed by someone else");
    // An engine that goes down kills its containers just like this.
    stage.until_it_runs(&killed, true).await;
    worker.until_state(killed.id, State::Running).await;
    stage
}
