//! All at once: what the other rows do one by one, at random to a whole cluster. Afterwards each task that is wanted runs
//! once, each that was stopped is stopped, and no Exclusive one has ever run twice.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bollard::models::ContainerSummary;
use bollard::query_parameters::{
    EventsOptionsBuilder, KillContainerOptionsBuilder, ListContainersOptionsBuilder,
    RemoveContainerOptionsBuilder, StopContainerOptionsBuilder,
};
use cube_tui::task::{State, TaskId};
use fastrand::Rng;
use futures_util::StreamExt as _;
use libtest_mimic::Trial;
use rustix::process::Signal;
use serde_json::json;
use tokio::task::JoinSet;

use super::cluster::{Worker, all_ready, kill, manager_line};
use super::stage::{Stage, trial};
use super::support::{
    process::{Manager, Running},
    wait_for,
};

pub fn tests() -> Vec<Trial> {
    vec![trial("at_random_faults_leave_each_wanted_task_running_once_and_no_exclusive_one_twice", at_random)]
}

/// Seconds of faults, unless `CUBE_FAULTS_S` says otherwise.
const FAULTS_S: u64 = 20;
/// Milliseconds between two.
const PAUSE: std::ops::Range<u64> = 100..2_000;
/// Milliseconds that a process is away: too short to be missed, or, of a worker, long enough to be lost and its tasks
/// moved. One worker at a time: the others have to be there to take them.
const WORKER_AWAY: std::ops::Range<u64> = 0..18_000;
const MANAGER_AWAY: std::ops::Range<u64> = 0..5_000;
/// Who was ended many times in a row waits for up to five minutes before it starts again.
const HEALS_WITHIN: Duration = Duration::from_mins(7);

/// What the label of a container says.
const TASK: &str = "cube.task";

/// A process, and whether it is away just now.
struct Host {
    process: Process,
    back: Option<(Instant, Back)>,
}

enum Process {
    Manager { line: String, port: u16, running: Running },
    Worker(Worker),
}

#[derive(Clone, Copy)]
enum Back {
    Started,
    Continued,
}

impl Host {
    fn new(process: Process) -> Self {
        Self { process, back: None }
    }

    fn running(&mut self) -> &mut Running {
        match &mut self.process {
            Process::Manager { running, .. } => running,
            Process::Worker(worker) => &mut worker.process,
        }
    }

    /// It is killed, or stands still.
    async fn leave(&mut self, random: &mut Rng) {
        let away = match self.process {
            Process::Manager { .. } => MANAGER_AWAY,
            Process::Worker(_) => WORKER_AWAY,
        };
        let at = Instant::now() + Duration::from_millis(random.u64(away));
        let back = if random.bool() {
            kill(self.running()).await;
            Back::Started
        } else {
            self.running().signal(Signal::STOP);
            Back::Continued
        };
        self.back = Some((at, back));
    }

    async fn come_back(&mut self, stage: &Stage) {
        match self.back.take() {
            Some((_, Back::Continued)) => self.running().signal(Signal::CONT),
            Some((_, Back::Started)) => match &mut self.process {
                Process::Worker(worker) => worker.again(stage).await,
                Process::Manager { line, port, running } => {
                    *running = start_manager(stage, line, *port);
                    running.manager().await;
                }
            },
            None => {}
        }
    }
}

/// On a port of its own after the first time: who is asked stays the same.
fn start_manager(stage: &Stage, line: &str, port: u16) -> Running {
    let mut command = stage.home.command(line);
    command.env("CUBE_MANAGER_PORT", port.to_string());
    Running::start(command)
}

/// Tells how to do the same again.
struct Seed(u64);

impl Drop for Seed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("again with CUBE_FAULTS_SEED={}", self.0);
        }
    }
}

fn asked(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

async fn at_random(stage: Stage) {
    let seed = Seed(asked("CUBE_FAULTS_SEED").unwrap_or_else(|| fastrand::u64(..)));
    let mut random = Rng::with_seed(seed.0);
    let overlaps = Overlaps::watch(&stage);
    let workers = [
        Worker::start(&stage, "a").await,
        Worker::start(&stage, "b").await,
        Worker::start(&stage, "c").await,
    ];
    let line = manager_line(&workers.each_ref());
    let mut running = start_manager(&stage, &line, 0);
    let manager = running.manager().await;
    all_ready(&manager).await;
    let mut hosts = vec![Host::new(Process::Manager { line, port: manager.port, running })];
    hosts.extend(workers.into_iter().map(|worker| Host::new(Process::Worker(worker))));
    let (mut wanted, mut stopped) = (Vec::new(), Vec::new());
    for _ in 0..8 {
        wanted.push(submit(&stage, &manager, &overlaps, &mut random).await);
    }

    let end = Instant::now() + Duration::from_secs(asked("CUBE_FAULTS_S").unwrap_or(FAULTS_S));
    while Instant::now() < end {
        for host in &mut hosts {
            if host.back.is_some_and(|(at, _)| at <= Instant::now()) {
                host.come_back(&stage).await;
            }
        }
        let manager_is_there = hosts[0].back.is_none();
        match random.u8(0..10) {
            0 if manager_is_there => hosts[0].leave(&mut random).await,
            1..=3 if hosts[1..].iter().all(|worker| worker.back.is_none()) => {
                let worker = random.usize(1..hosts.len());
                hosts[worker].leave(&mut random).await;
            }
            4..=6 => behind_its_back(&stage, &mut random).await,
            7 | 8 if manager_is_there => {
                wanted.push(submit(&stage, &manager, &overlaps, &mut random).await);
            }
            9 if manager_is_there && wanted.len() > 4 => {
                let task = wanted.swap_remove(random.usize(..wanted.len()));
                assert_eq!(manager.stop(task).await, 204);
                stopped.push(task);
            }
            _ => {}
        }
        tokio::time::sleep(Duration::from_millis(random.u64(PAUSE))).await;
    }
    for host in &mut hosts {
        host.come_back(&stage).await;
    }
    wanted.sort_unstable();
    wait_for("each wanted task runs once, and no other", HEALS_WITHIN, async || {
        let cluster = manager.client.snapshot().await.ok()?;
        let is_in =
            |task: &TaskId, is: fn(State) -> bool| cluster.row(*task).is_some_and(|row| is(row.state()));
        let is_so = wanted.iter().all(|task| is_in(task, |state| state == State::Running))
            && stopped.iter().all(|task| is_in(task, State::has_ended));
        let mut running: Vec<TaskId> = all_running(&stage).await.iter().filter_map(task_of).collect();
        running.sort_unstable();
        (is_so && running == wanted).then_some(())
    })
    .await;
    let twice = overlaps.seen();
    assert!(twice.is_empty(), "Exclusive, and ran twice: {twice:?}");
}

async fn submit(stage: &Stage, manager: &Manager, overlaps: &Overlaps, random: &mut Rng) -> TaskId {
    let mut task = stage.sleeper("wanted");
    task["RestartPolicy"] = json!("always");
    task["NetworkMode"] = json!("none");
    let id = TaskId::random();
    task["ID"] = json!(id);
    if random.u8(0..3) == 0 {
        task["Exclusive"] = json!(true);
        overlaps.exclusive.lock().unwrap().insert(id);
    }
    assert_eq!(manager.submit(&task).await, id);
    id
}

/// Somebody ends a container. It may be gone by then.
async fn behind_its_back(stage: &Stage, random: &mut Rng) {
    let all = all_running(stage).await;
    let Some(container) = random.choice(&all).and_then(|container| container.id.clone()) else { return };
    let docker = &stage.docker;
    let _ = match random.u8(0..4) {
        0 => {
            let force = RemoveContainerOptionsBuilder::default().force(true).build();
            docker.remove_container(&container, Some(force)).await
        }
        1 => {
            let stop = StopContainerOptionsBuilder::default().t(1).build();
            docker.stop_container(&container, Some(stop)).await
        }
        signal => {
            let signal = if signal == 2 { "TERM" } else { "KILL" };
            let kill = KillContainerOptionsBuilder::default().signal(signal).build();
            docker.kill_container(&container, Some(kill)).await
        }
    };
}

async fn all_running(stage: &Stage) -> Vec<ContainerSummary> {
    let filters = HashMap::from([("label", vec![stage.mark()])]);
    let options = ListContainersOptionsBuilder::default().filters(&filters).build();
    stage.docker.list_containers(Some(options)).await.unwrap()
}

fn task_of(container: &ContainerSummary) -> Option<TaskId> {
    container.labels.as_ref()?.get(TASK)?.parse().ok()
}

/// The engine's own word on which Exclusive tasks ran in two containers at once.
struct Overlaps {
    exclusive: Arc<Mutex<HashSet<TaskId>>>,
    seen: Arc<Mutex<Vec<TaskId>>>,
    /// It listens for as long as this lives.
    _listening: JoinSet<()>,
}

impl Overlaps {
    fn watch(stage: &Stage) -> Self {
        let (exclusive, seen) = (Arc::<Mutex<HashSet<TaskId>>>::default(), Arc::<Mutex<Vec<_>>>::default());
        let filters = HashMap::from([
            ("label", vec![stage.mark()]),
            ("event", vec!["start".to_owned(), "die".to_owned()]),
        ]);
        let options = EventsOptionsBuilder::default().filters(&filters).build();
        let docker = stage.docker.clone();
        let mut listening = JoinSet::new();
        listening.spawn({
            let (exclusive, seen) = (Arc::clone(&exclusive), Arc::clone(&seen));
            async move {
                let mut alive: HashMap<TaskId, HashSet<String>> = HashMap::new();
                let mut events = Box::pin(docker.events(Some(options)));
                while let Some(event) = events.next().await {
                    let event = event.unwrap();
                    let actor = event.actor.unwrap();
                    let task: TaskId = actor.attributes.unwrap()[TASK].parse().unwrap();
                    let containers = alive.entry(task).or_default();
                    if event.action.as_deref() == Some("die") {
                        containers.remove(&actor.id.unwrap());
                        continue;
                    }
                    containers.insert(actor.id.unwrap());
                    if containers.len() > 1 && exclusive.lock().unwrap().contains(&task) {
                        seen.lock().unwrap().push(task);
                    }
                }
            }
        });
        Self { exclusive, seen, _listening: listening }
    }

    fn seen(&self) -> Vec<TaskId> {
        self.seen.lock().unwrap().clone()
    }
}
