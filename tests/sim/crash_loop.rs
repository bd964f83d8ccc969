//! A task that crashes for an hour of virtual time, beside others: the real cores, no faults. Knows no network.

use std::collections::BTreeMap;
use std::time::Duration;

use cube_tui::cluster::{Capacity, Cause, Cluster, Peer, What};
use cube_tui::manager::decide::{ConfiguredWorker, Effect, Input, Manager, Now, SendOutcome, Wish};
use cube_tui::task::{RestartPolicy, State, Task, TaskEvent, TaskId, TaskSpec, WorkerId};
use cube_tui::worker::report::Report;
use cube_tui::worker::runtime::{Exit, FoundState, Run, Started};
use cube_tui::worker::{self, Limits, Worker};
use jiff::Timestamp;

use crate::engine::{Behaviour, Engine, behaviour};

const HEARTBEAT: Duration = Duration::from_secs(2);
/// What a message or a call of the engine takes.
const STEP: Duration = Duration::from_millis(5);

enum Event {
    Tick,
    Heartbeat,
    Post(Wish, Task),
    Heard(Report),
    Engine(worker::Effect),
    Exit(String, i64),
}

struct World {
    now: Duration,
    queue: BTreeMap<(Duration, u64), Event>,
    sequence: u64,
    manager: Manager,
    worker: Worker,
    engine: Engine,
    /// Each start of a container and each end of its own, in order.
    starts: Vec<(TaskId, Duration)>,
    ends: Vec<(TaskId, Duration)>,
    changes: Vec<What>,
    most_dead: usize,
    /// Removals that the engine has yet to carry out.
    removing: usize,
    next_tick: Option<Duration>,
}

fn id() -> WorkerId {
    WorkerId::from("a")
}

impl World {
    fn new() -> Self {
        let mut world = Self {
            now: Duration::ZERO,
            queue: BTreeMap::new(),
            sequence: 0,
            manager: Manager::new(Cluster::default()),
            worker: Worker::new(Limits::default()),
            engine: Engine::default(),
            starts: vec![],
            ends: vec![],
            changes: vec![],
            most_dead: 0,
            removing: 0,
            next_tick: None,
        };
        world.manage(Input::Started { workers: vec![ConfiguredWorker { id: id(), insecure: false }] });
        let up = Input::WorkerUp {
            allows: None,
            worker: id(),
            peer: Peer::Cube,
            capacity: Capacity::default(),
            runtime_problem: String::new(),
            facts: Box::default(),
        };
        world.manage(up);
        world.work(worker::Input::Listed(vec![]));
        world.after(HEARTBEAT, Event::Heartbeat);
        world
    }

    fn wall(&self) -> Timestamp {
        Timestamp::UNIX_EPOCH + self.now
    }

    fn after(&mut self, wait: Duration, event: Event) {
        self.sequence += 1;
        self.queue.insert((self.now + wait, self.sequence), event);
    }

    fn submit(&mut self, name: &str, restart_policy: RestartPolicy) -> TaskId {
        let spec =
            TaskSpec { name: name.into(), image: "sim:1".into(), restart_policy, ..TaskSpec::default() };
        let number = u128::try_from(self.manager.cluster().task_db().len()).expect("few") + 1;
        let task = Task { id: TaskId(uuid::Uuid::from_u128(number)), spec: spec.into(), ..Task::default() };
        let (task_id, events) = (task.id, vec![TaskEvent::start(task, self.wall())]);
        self.manage(Input::Submit { request: 1, cause: Cause::Command, events });
        task_id
    }

    fn run(&mut self, until: Duration) {
        while let Some(entry) = self.queue.first_entry() {
            if entry.key().0 > until {
                break;
            }
            let ((when, _), event) = entry.remove_entry();
            self.now = when;
            self.happen(event);
            let dead = self.engine.containers.len() - self.engine.live().count() - self.removing;
            self.most_dead = self.most_dead.max(dead);
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Tick => {
                self.next_tick = None;
                self.manage(Input::Tick);
            }
            Event::Heartbeat => {
                self.manage(Input::Heartbeat { worker: id(), runtime_problem: String::new() });
                self.work(worker::Input::Tick);
                self.after(HEARTBEAT, Event::Heartbeat);
            }
            Event::Post(wish, task) => {
                let state = if wish == Wish::Start { State::Running } else { State::Completed };
                let (task_id, generation) = (task.id, task.status.generation);
                let event = TaskEvent { state, ..TaskEvent::start(task, self.wall()) };
                self.work(worker::Input::Event(event));
                let outcome = SendOutcome::Accepted;
                self.manage(Input::Sent { worker: id(), task: task_id, generation, wish, outcome });
            }
            Event::Heard(Report::Task(task)) => self.manage(Input::WorkerTask { worker: id(), task }),
            Event::Heard(_) => {}
            Event::Engine(effect) => self.engine(effect),
            Event::Exit(container, code) => {
                let exit = Exit { code, out_of_memory: false, at: Some(self.wall()) };
                if self.engine.exit(&container, exit) {
                    let run = self.engine.containers[&container].run;
                    self.ends.push((run.task, self.now));
                    self.work(worker::Input::Exited { run, container, exit });
                }
            }
        }
    }

    fn manage(&mut self, input: Input) {
        let now = Now { wall: self.wall(), since_start: self.now };
        let decision = self.manager.handle(now, input);
        self.changes.extend(decision.changes.iter().map(|change| change.what.clone()));
        for effect in decision.effects {
            if let Effect::Send { wish, task, .. } = effect {
                self.after(STEP, Event::Post(wish, task));
            }
        }
        if let Some(due) = self.manager.next_wake().map(|due| due.max(self.now))
            && self.next_tick.is_none_or(|next| due < next)
        {
            self.next_tick = Some(due);
            self.after(due.saturating_sub(self.now), Event::Tick);
        }
    }

    fn work(&mut self, input: worker::Input) {
        let output = self.worker.handle(self.wall(), input);
        for report in output.reports {
            self.after(STEP, Event::Heard(report));
        }
        for effect in output.effects {
            self.removing += usize::from(matches!(effect, worker::Effect::Remove { .. }));
            self.after(STEP, Event::Engine(effect));
        }
    }

    fn engine(&mut self, effect: worker::Effect) {
        match effect {
            worker::Effect::Start { task } => {
                let (container, was_there) = self.engine.start(&task, self.wall());
                self.starts.push((task.id, self.now));
                if let Behaviour::Ends { after, code } = behaviour(&task) {
                    self.after(after, Event::Exit(container.clone(), code));
                }
                let started = Started { container, was_there };
                self.work(worker::Input::Started { run: Run::of(&task), started });
            }
            worker::Effect::Remove { container } => {
                self.removing -= 1;
                let removed = self.engine.containers.remove(&container);
                let state = removed.map(|found| found.state);
                assert!(matches!(state, Some(FoundState::Exited(_))), "removed while {state:?}");
            }
            other => panic!("nobody asked for {other:?}"),
        }
    }

    fn times(times: &[(TaskId, Duration)], task: TaskId) -> Vec<Duration> {
        times.iter().filter(|(of, _)| *of == task).map(|(_, at)| *at).collect()
    }
}

#[test]
fn an_hour_of_crashing_is_backed_off_as_documented_keeps_few_dead_containers_and_harms_no_one() {
    let mut world = World::new();
    let stays = world.submit("stays-1", RestartPolicy::Always);
    let done = world.submit("good-1", RestartPolicy::No);
    let bad = world.submit("bad-1", RestartPolicy::Always);
    world.run(Duration::from_secs(1));
    let cluster = world.manager.cluster();
    let container = cluster.task(stays).expect("submitted").status().container_id.clone();
    world.run(Duration::from_hours(1));

    // A second, doubled up to five minutes, each at most a quarter shorter.
    let (starts, ends) = (World::times(&world.starts, bad), World::times(&world.ends, bad));
    assert!((20..=25).contains(&starts.len()), "{} starts in an hour", starts.len());
    for (number, (end, start)) in (0_u32..).zip(ends.iter().zip(&starts[1..])) {
        let longest = Duration::from_secs(1 << number.min(10)).min(Duration::from_mins(5));
        let waited = start.saturating_sub(*end);
        let is_backoff = waited >= longest.mul_f64(0.75) && waited <= longest + 4 * STEP;
        assert!(is_backoff, "start {number} after {waited:?}, not about {longest:?}");
    }
    // One for each task that ended.
    assert!(world.most_dead <= 2, "{} dead containers at once", world.most_dead);

    let cluster = world.manager.cluster();
    let record = cluster.task(bad).expect("submitted");
    let restarts = u32::try_from(ends.len()).expect("few");
    assert_eq!((record.crashes.in_a_row, record.status().restart_count), (restarts, restarts));
    assert_eq!(record.crashes.last, "exit code 3");

    // Others: the same container, no restart, four Changes each; what was done can still be read.
    let record = cluster.task(stays).expect("submitted");
    assert_eq!((record.state(), &record.status().container_id), (State::Running, &container));
    assert_eq!(World::times(&world.starts, stays).len(), 1);
    for (task, expected) in [(stays, 4), (done, 4)] {
        let about = world.changes.iter().filter(|what| what.task_id() == Some(task)).count();
        assert!(about <= expected, "{about} Changes");
    }
    assert!(world.engine.containers.values().any(|found| found.run.task == done));
}

#[test]
fn a_host_full_of_tasks_that_went_down_together_does_not_come_back_in_one_wave() {
    let mut world = World::new();
    for number in 0..100 {
        world.submit(&format!("bad-{number}"), RestartPolicy::Always);
    }
    world.run(Duration::from_mins(20));
    let mut in_a_second: BTreeMap<u64, usize> = BTreeMap::new();
    for (_, at) in world.starts.iter().filter(|(_, at)| *at > Duration::from_mins(5)) {
        *in_a_second.entry(at.as_secs()).or_default() += 1;
    }
    let most = in_a_second.values().max().copied().unwrap_or(0);
    assert!((1..=15).contains(&most), "{most} starts in one second");
    assert!(world.most_dead <= 50, "{} dead containers", world.most_dead);
}
