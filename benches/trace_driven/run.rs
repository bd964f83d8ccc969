//! One run: the real core of the manager on virtual time, with workers that start at once whatever they are sent, end it
//! when its time is over, and tell every four seconds how loaded they are. No engine, no store, no network.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::time::Duration;

use cube_tui::cluster::{Capacity, Cause, Peer, Sample, SchedulerName};
use cube_tui::manager::decide::{ConfiguredWorker, Effect, Input, Manager, Now, SendOutcome, Wish};
use cube_tui::task::{State, Task, TaskEvent, TaskId, WorkerId};
use jiff::Timestamp;
use uuid::Uuid;

use super::figures::{Figures, Worker};
use super::workload::{FROM_S, Traced, UNTIL_S, capacity};

/// How often a worker tells that it lives and how loaded it is, in seconds; each second a part of them does.
const PARTS: u64 = 4;

/// What still waits this long after the last arrival is not waited for.
const PATIENCE: Duration = Duration::from_hours(2);

/// What happens next, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Arrive(usize),
    End(usize),
    Second(u64),
}

/// All of `tasks` under one scheduler.
pub fn run(workers: usize, tasks: &[Traced], scheduler: SchedulerName) -> Figures {
    let mut run = Run {
        manager: Manager::default(),
        now: Duration::ZERO,
        tasks,
        events: BinaryHeap::new(),
        workers: (0..workers).map(worker).collect(),
        homes: vec![None; tasks.len()],
        figures: Figures::new(scheduler),
    };
    run.begin(scheduler);
    run.go();
    run.figures
}

fn worker(number: usize) -> Worker {
    let id = WorkerId::from(format!("w{number}:5555").as_str());
    Worker { id, capacity: capacity(number), cpus: 0.0, memory_bytes: 0.0 }
}

fn id(task: usize) -> TaskId {
    TaskId(Uuid::from_u128(task as u128 + 1))
}

fn place(id: TaskId) -> usize {
    usize::try_from(id.0.as_u128()).unwrap() - 1
}

struct Run<'a> {
    manager: Manager,
    now: Duration,
    tasks: &'a [Traced],
    events: BinaryHeap<Reverse<(Duration, Event)>>,
    workers: Vec<Worker>,
    /// The worker that a task was sent to.
    homes: Vec<Option<usize>>,
    figures: Figures,
}

impl Run<'_> {
    fn begin(&mut self, scheduler: SchedulerName) {
        let ids: Vec<_> = self.workers.iter().map(|worker| worker.id.clone()).collect();
        let workers = ids.iter().map(|id| ConfiguredWorker { id: id.clone(), insecure: false }).collect();
        self.give(Input::Started { workers });
        let scheduler = Some(scheduler);
        self.give(Input::SetScheduling { request: None, cause: Cause::Command, scheduler, overcommit: None });
        for (number, worker) in ids.into_iter().enumerate() {
            self.give(Input::WorkerUp {
                worker,
                peer: Peer::Cube,
                capacity: capacity(number),
                runtime_problem: String::new(),
                facts: Box::default(),
                allows: None,
            });
            self.tell_load(number);
        }
        self.events.push(Reverse((Duration::from_secs(1), Event::Second(1))));
        if let Some(first) = self.tasks.first() {
            self.events.push(Reverse((Duration::from_secs_f64(first.at_s), Event::Arrive(0))));
        }
    }

    fn go(&mut self) {
        let end = Duration::from_secs_f64(UNTIL_S);
        while let Some(Reverse((at, event))) = self.events.pop() {
            while let Some(wake) = self.manager.next_wake().filter(|wake| *wake <= at) {
                self.now = self.now.max(wake);
                self.give(Input::Tick);
            }
            self.now = at;
            let nothing_waits = self.manager.cluster().count(State::Pending) == 0;
            if (at > end && nothing_waits) || at > end + PATIENCE {
                break;
            }
            match event {
                Event::Arrive(first) => self.arrive(first),
                Event::End(task) => self.end(task),
                Event::Second(second) => self.second(second),
            }
        }
        let waits = self.homes.iter().filter(|home| home.is_none()).count();
        self.figures.never_placed(waits);
    }

    /// A job: all tasks that come at this moment.
    fn arrive(&mut self, first: usize) {
        let at_s = self.tasks[first].at_s;
        let same = |task: &&Traced| task.at_s.total_cmp(&at_s).is_eq();
        let next = first + self.tasks[first..].iter().take_while(same).count();
        let event = |task: usize| {
            let spec = self.tasks[task].spec.clone();
            TaskEvent::start(Task { id: id(task), spec, ..Task::default() }, self.wall())
        };
        let events = (first..next).map(event).collect();
        self.give(Input::Submit { request: 1, cause: Cause::Api, events });
        if let Some(task) = self.tasks.get(next) {
            self.events.push(Reverse((Duration::from_secs_f64(task.at_s), Event::Arrive(next))));
        }
    }

    fn end(&mut self, task: usize) {
        let Some(home) = self.homes[task] else { return };
        let traced = &self.tasks[task];
        self.workers[home].cpus -= traced.uses_cpus;
        self.workers[home].memory_bytes -= traced.uses_memory_bytes;
        let worker = self.workers[home].id.clone();
        let status = self.manager.cluster().task(id(task)).map(|record| record.task.status.clone());
        let Some(mut status) = status else { return };
        status.state = State::Completed;
        self.give(Input::WorkerTask {
            worker,
            task: Task { id: id(task), spec: traced.spec.clone(), status },
        });
    }

    fn second(&mut self, second: u64) {
        for number in 0..self.workers.len() {
            if number as u64 % PARTS == second % PARTS {
                let worker = self.workers[number].id.clone();
                self.give(Input::Heartbeat { worker, runtime_problem: String::new() });
                self.tell_load(number);
            }
        }
        let now_s = self.now.as_secs_f64();
        if second.is_multiple_of(PARTS) && (FROM_S..UNTIL_S).contains(&now_s) {
            self.figures.look(self.manager.cluster(), &self.workers);
        }
        self.events.push(Reverse((self.now + Duration::from_secs(1), Event::Second(second + 1))));
    }

    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bytes of one host")]
    fn tell_load(&mut self, number: usize) {
        let worker = &self.workers[number];
        let Capacity { cpus, memory_bytes, .. } = worker.capacity;
        let sample = Sample {
            time: self.wall(),
            cpu_percent: Some((worker.cpus / cpus * 100.0).clamp(0.0, 100.0)),
            memory_used_bytes: worker.memory_bytes.max(0.0) as u64,
            memory_total_bytes: memory_bytes,
            ..Sample::default()
        };
        let worker = worker.id.clone();
        self.give(Input::Load { worker, sample: sample.into() });
    }

    fn wall(&self) -> Timestamp {
        Timestamp::UNIX_EPOCH + self.now
    }

    /// One input, and all that follows of it at this moment.
    fn give(&mut self, input: Input) {
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            let now = Now { wall: self.wall(), since_start: self.now };
            for effect in self.manager.handle(now, input).effects {
                if let Effect::Send { worker, wish: Wish::Start, task } = effect {
                    inputs.extend(self.start(worker, task));
                }
            }
        }
    }

    /// The worker has it running at once.
    fn start(&mut self, worker: WorkerId, mut task: Task) -> [Input; 2] {
        let number = place(task.id);
        let traced = &self.tasks[number];
        let home = self.manager.cluster().place_of(&worker).unwrap();
        self.homes[number] = Some(home);
        self.workers[home].cpus += traced.uses_cpus;
        self.workers[home].memory_bytes += traced.uses_memory_bytes;
        self.figures.started(traced, self.now);
        if let Some(duration_s) = traced.duration_s {
            let end = self.now + Duration::from_secs_f64(duration_s);
            self.events.push(Reverse((end, Event::End(number))));
        }
        let generation = task.status.generation;
        let (wish, outcome) = (Wish::Start, SendOutcome::Accepted);
        let sent = Input::Sent { worker: worker.clone(), task: task.id, generation, wish, outcome };
        task.status.state = State::Running;
        [sent, Input::WorkerTask { worker, task }]
    }
}
