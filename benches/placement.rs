//! Placements a second by E-PVM over 5,000 workers, and whether they are those of a scan of all of them (G7); how that
//! grows from 10 workers to 10,000; and a million tasks through the manager's core over 5,000 workers that answer at once
//! (G8). `cargo bench --bench placement`

#![expect(clippy::unwrap_used, reason = "a bench that fails may panic")]

mod measure;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cube_tui::cluster::{
    Capacity, Cause, Change, Cluster, Facts, Overcommit, Peer, Sample, SchedulerName, Settings, What,
    WorkerHealth, WorkerRecord,
};
use cube_tui::manager::decide::{ConfiguredWorker, Effect, Input, Manager, Now, SendOutcome, Wish};
use cube_tui::scheduler::{Loads, Rankings, Request, Shape, View, select_worker};
use cube_tui::task::{EventId, State, Task, TaskEvent, TaskId, TaskSpec, WorkerId};
use jiff::Timestamp;
use measure::{Goal, median, per_second, tell, tell_load};
use uuid::Uuid;

const WORKERS: usize = 5_000;
const TASKS: usize = 200_000;
/// Of which the choice is compared with a scan's.
const COMPARED: usize = 1_000;
const REPETITIONS: usize = 5;
const MILLION: usize = 1_000_000;
/// Tasks in a submit.
const BATCH: usize = 1_000;
/// How many run at a time before the first of them ends.
const AT_A_TIME: usize = 100_000;

fn main() {
    if !measure::is_bench() {
        return;
    }
    tell_load();
    compare();
    let rates: Vec<f64> = (0..REPETITIONS).map(|_| rate(WORKERS, TASKS)).collect();
    tell("G7", "E-PVM placements over 5,000 workers", median(&rates), "/s", Goal::AtLeast(100_000.0));
    for workers in [10, 100, 1_000, 10_000] {
        // As many as have room.
        let tasks = TASKS.min(workers * 2_000);
        let rates: Vec<f64> = (0..REPETITIONS).map(|_| rate(workers, tasks)).collect();
        tell("", &format!("  over {workers} workers"), median(&rates), "/s", Goal::None);
    }
    let took = million();
    tell("G8", "a million tasks, submit to end, 5,000 workers", took.as_secs_f64(), "s", Goal::None);
    tell("", "  tasks a second", per_second(MILLION, took), "/s", Goal::None);
    tell_load();
}

fn worker(number: usize) -> WorkerRecord {
    let mut worker =
        WorkerRecord::new(WorkerId::from(format!("w{number}:5555").as_str()), false, Timestamp::UNIX_EPOCH);
    worker.health = WorkerHealth::Ready;
    worker.capacity = capacity(number);
    worker
}

/// Three sizes of machines.
fn capacity(number: usize) -> Capacity {
    let cpus = [16.0, 32.0, 64.0][number % 3];
    Capacity { cpus, memory_bytes: [64, 128, 512][number % 3] << 30, disk_bytes: 1 << 40 }
}

fn spec(number: usize) -> TaskSpec {
    let cpu = [0.1, 0.25, 0.5, 1.0][number % 4];
    TaskSpec { image: "null:1".into(), cpu, memory_bytes: (64 << (number % 4)) << 20, ..TaskSpec::default() }
}

fn id(number: usize) -> TaskId {
    TaskId(Uuid::from_u128(number as u128 + 1))
}

/// A cluster that is placed on.
struct World {
    cluster: Cluster,
    loads: Loads,
    rankings: Rankings,
}

impl World {
    fn new(workers: usize, tasks: usize) -> Self {
        let mut world =
            Self { cluster: Cluster::default(), loads: Loads::default(), rankings: Rankings::default() };
        let settings = Settings {
            scheduler: SchedulerName::Epvm,
            overcommit: Overcommit { cpu: 100.0, memory: 100.0, disk: 1.0 },
        };
        world.apply(What::Settings { settings });
        for number in 0..workers {
            let worker = worker(number);
            let cpu = f64::from(u32::try_from(number * 7_919 % 97).unwrap());
            let sample = Sample { cpu_percent: Some(cpu), ..Sample::default() };
            world.loads.record(&worker.id, &sample);
            world.apply(What::Worker { worker });
        }
        for number in 0..tasks {
            let task = Task { id: id(number), spec: spec(number).into(), ..Task::default() };
            world.apply(What::Submitted { event: EventId::default(), task });
        }
        world
    }

    fn apply(&mut self, what: What) {
        let revision = self.cluster.revision() + 1;
        let change = Change { revision, time: Timestamp::UNIX_EPOCH, cause: Cause::Scheduler, what };
        self.cluster.apply(&Arc::new(change));
    }

    /// Chooses, notes why, and reserves.
    fn place(&mut self, number: usize, compare: bool) {
        let row = self.cluster.row(id(number)).unwrap();
        let view = View { cluster: &self.cluster, loads: &self.loads };
        let request = Request::new(row.spec(), &self.cluster);
        let shape = Shape::of(row.spec()).unwrap();
        let choice = self.rankings.choose(view, &request, &shape, |_| None).unwrap();
        if compare {
            assert_eq!(Ok(&choice), select_worker(view, &request, |_| None).as_ref(), "task {number}");
        }
        let placement = view.placement(&request, &choice);
        let worker = self.cluster.workers()[choice.place].id.clone();
        self.apply(What::Scheduled { task: id(number), worker, generation: 0, placement });
        self.rankings.touch(choice.place);
    }
}

fn compare() {
    let mut world = World::new(WORKERS, COMPARED);
    (0..COMPARED).for_each(|number| world.place(number, true));
    tell("G7", "  choices that differ from a scan's", 0.0, "of 1,000", Goal::None);
    let mut scanned = World::new(WORKERS, COMPARED);
    let start = Instant::now();
    for number in 0..COMPARED {
        let record = scanned.cluster.task(id(number)).unwrap();
        let view = View { cluster: &scanned.cluster, loads: &scanned.loads };
        let request = Request::new(&record.task.spec, &scanned.cluster);
        let choice = select_worker(view, &request, |_| None).unwrap();
        let worker = scanned.cluster.workers()[choice.place].id.clone();
        scanned.apply(What::scheduled(id(number), worker, 0));
    }
    tell("", "  by scans", per_second(COMPARED, start.elapsed()), "/s", Goal::None);
}

fn rate(workers: usize, tasks: usize) -> f64 {
    let mut world = World::new(workers, tasks);
    let start = Instant::now();
    (0..tasks).for_each(|number| world.place(number, false));
    per_second(tasks, start.elapsed())
}

/// The manager's core, with workers that accept, run and end at once what they are sent.
struct Core {
    manager: Manager,
    now: Now,
    running: VecDeque<(WorkerId, Task)>,
    ended: usize,
}

impl Core {
    fn give(&mut self, input: Input) {
        let decision = self.manager.handle(self.now, input);
        self.now.since_start += Duration::from_micros(1);
        for effect in decision.effects {
            if let Effect::Send { worker, wish: Wish::Start, task } = effect {
                self.running.push_back((worker, task));
            }
        }
    }

    fn start_and_end(&mut self, most: usize) {
        while self.running.len() > most {
            let Some((worker, mut task)) = self.running.pop_front() else { return };
            task.status.state = State::Completed;
            self.ended += 1;
            self.give(Input::WorkerTask { worker, task });
        }
    }

    fn accept(&mut self, from: usize) {
        let sent: Vec<_> = self.running.iter().skip(from).cloned().collect();
        for (worker, mut task) in sent {
            let generation = task.status.generation;
            let outcome = SendOutcome::Accepted;
            let (id, wish) = (task.id, Wish::Start);
            self.give(Input::Sent { worker: worker.clone(), task: id, generation, wish, outcome });
            task.status.state = State::Running;
            self.give(Input::WorkerTask { worker, task });
        }
    }
}

fn million() -> Duration {
    let now = Now { wall: Timestamp::UNIX_EPOCH, since_start: Duration::ZERO };
    let mut core = Core { manager: Manager::default(), now, running: VecDeque::new(), ended: 0 };
    let ids: Vec<WorkerId> = (0..WORKERS).map(|number| worker(number).id).collect();
    let workers = ids.iter().map(|id| ConfiguredWorker { id: id.clone(), insecure: false }).collect();
    core.give(Input::Started { workers });
    let overcommit = Some(Overcommit { cpu: 2.0, ..Overcommit::default() });
    let scheduler = Some(SchedulerName::Epvm);
    core.give(Input::SetScheduling { request: None, cause: Cause::Command, scheduler, overcommit });
    for (number, worker) in ids.into_iter().enumerate() {
        let (capacity, facts) = (capacity(number), Facts::default());
        core.give(Input::WorkerUp {
            worker: worker.clone(),
            peer: Peer::Cube,
            capacity,
            runtime_problem: String::new(),
            facts: facts.into(),
            allows: None,
        });
        let sample = Sample { cpu_percent: Some(5.0), ..Sample::default() };
        core.give(Input::Load { worker, sample: sample.into() });
    }
    let start = Instant::now();
    for batch in 0..MILLION / BATCH {
        let events = (batch * BATCH..(batch + 1) * BATCH).map(|number| {
            let task = Task { id: id(number), spec: spec(number).into(), ..Task::default() };
            TaskEvent::start(task, Timestamp::UNIX_EPOCH)
        });
        let before = core.running.len();
        core.give(Input::Submit { request: 1, cause: Cause::Command, events: events.collect() });
        core.accept(before);
        core.start_and_end(AT_A_TIME);
    }
    core.start_and_end(0);
    assert_eq!(core.ended, MILLION);
    start.elapsed()
}
