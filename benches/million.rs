//! A million tasks over five thousand workers that are simulated (G8): the real core and the real store, each in its
//! thread as in the manager; no sockets, and workers that take whatever they are sent. `cargo bench --bench million`

#![expect(clippy::unwrap_used, reason = "a bench that fails may panic")]

mod measure;

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use cube_tui::cluster::{Capacity, Cause, Change, Peer};
use cube_tui::manager::decide::{ConfiguredWorker, Decision, Effect, Input, Manager, Now, SendOutcome};
use cube_tui::manager::store::{RedbStore, Store};
use cube_tui::task::{State, Task, TaskEvent, TaskId, TaskSpec, WorkerId};
use jiff::Timestamp;
use measure::{Goal, median, per_second, status_of, tell, tell_load};

const TASKS: usize = 1_000_000;
/// Before those, so that the first of them too are stored while old history is folded away, as in any manager that has
/// worked for a while.
const WARM_UP: usize = 25_000;
const WORKERS: usize = 5_000;
/// In one submit.
const BATCH: usize = 1_000;
/// The first and the last so many are timed apart.
const PART: usize = 100_000;
/// Submits that may wait for the store.
const AHEAD: usize = 16;
/// How often a worker says that it lives.
const HEARTBEAT: Duration = Duration::from_secs(2);

fn main() {
    if !measure::is_bench() {
        return;
    }
    tell_load();
    let folder = tempfile::tempdir().unwrap();
    let (batches, inbox) = sync_channel(AHEAD);
    let (durable, done) = channel();
    let path = folder.path().join("changes.redb");
    let committer = thread::spawn(move || commit(&path, &inbox, &durable));
    let mut run = Run::new(batches, done);
    let seconds = run.go();
    drop(run.batches);
    committer.join().unwrap();
    tell("G8", "simulated: 1,000,000 tasks over 5,000 null workers", seconds, "s", Goal::AtMost(60.0));
    let part = |from: usize| per_second(PART, run.marks[from + 1].saturating_sub(run.marks[from]));
    let parts: Vec<f64> = (0..TASKS / PART).map(part).collect();
    for (number, part) in parts.iter().enumerate() {
        tell("", &format!("  the {}. hundred thousand", number + 1), *part, "/s", Goal::None);
    }
    let last = parts[parts.len() - 1];
    tell("G8", "  the last beside the first", last / parts[0], "x", Goal::AtLeast(0.9));
    // The figures of single parts differ: the disk's and the host's moods.
    tell(
        "",
        "  the last three beside the first three",
        median(&parts[7..]) / median(&parts[..3]),
        "x",
        Goal::None,
    );
    let most = status_of("/proc/self/status", "VmHWM").div_ceil(1_024);
    tell(
        "G8",
        "  resident at most, submitter and store included",
        f64::from(u32::try_from(most).unwrap()),
        "MiB",
        Goal::AtMost(1_024.0),
    );
    tell_load();
}

/// Makes durable what came meanwhile, in one commit, and only then hands the effects on.
fn commit(path: &Path, inbox: &Receiver<Decision>, durable: &Sender<Vec<Effect>>) {
    let mut store = RedbStore::open(path).unwrap();
    store.load().unwrap();
    while let Ok(first) = inbox.recv() {
        let mut changes: Vec<Arc<Change>> = Vec::new();
        let mut effects = Vec::new();
        for decision in std::iter::once(first).chain(inbox.try_iter()) {
            changes.extend(decision.changes);
            effects.extend(decision.effects);
        }
        store.append(&changes).unwrap();
        // Who waited for them may be done.
        let _ = durable.send(effects);
    }
}

struct Run {
    manager: Manager,
    clock: Instant,
    /// When the first was submitted.
    start: Instant,
    batches: SyncSender<Decision>,
    done: Receiver<Vec<Effect>>,
    submitted: usize,
    answered: usize,
    acknowledged: usize,
    /// When each further hundred thousand was acknowledged.
    marks: Vec<Duration>,
    workers: Vec<WorkerId>,
    beat: Instant,
}

impl Run {
    fn new(batches: SyncSender<Decision>, done: Receiver<Vec<Effect>>) -> Self {
        let workers = (0..WORKERS).map(|number| WorkerId::from(&*format!("null-{number}:5555"))).collect();
        let start = Instant::now();
        Self {
            manager: Manager::default(),
            clock: start,
            start,
            batches,
            done,
            submitted: 0,
            answered: 0,
            acknowledged: 0,
            marks: vec![],
            workers,
            beat: start,
        }
    }

    /// Until the last one is acknowledged; the seconds that it took.
    fn go(&mut self) -> f64 {
        let workers =
            self.workers.iter().map(|id| ConfiguredWorker { id: id.clone(), insecure: false }).collect();
        self.take(vec![Input::Started { workers }]);
        let up = |worker: &WorkerId| Input::WorkerUp {
            worker: worker.clone(),
            peer: Peer::Cube,
            capacity: Capacity { cpus: 64.0, memory_bytes: 256 << 30, disk_bytes: 1 << 40 },
            runtime_problem: String::new(),
            allows: None,
            facts: Box::default(),
        };
        self.take(self.workers.iter().map(up).collect());
        self.run_until(WARM_UP);
        self.start = Instant::now();
        self.marks.push(Duration::ZERO);
        self.run_until(WARM_UP + TASKS);
        self.start.elapsed().as_secs_f64()
    }

    fn run_until(&mut self, count: usize) {
        while self.acknowledged < count {
            if self.submitted < count && self.submitted < self.answered * BATCH + AHEAD * BATCH {
                self.submit();
            } else {
                self.wait();
            }
            while let Ok(effects) = self.done.try_recv() {
                self.acknowledge(effects);
            }
            self.keep_alive();
        }
    }

    /// For the store, or until the manager wants to be woken, as its driver does.
    fn wait(&mut self) {
        let wake = self.manager.next_wake().unwrap_or(Duration::MAX).saturating_sub(self.clock.elapsed());
        match self.done.recv_timeout(wake.min(HEARTBEAT)) {
            Ok(effects) => self.acknowledge(effects),
            Err(RecvTimeoutError::Timeout) => self.take(vec![Input::Tick]),
            Err(RecvTimeoutError::Disconnected) => panic!("the store is gone"),
        }
    }

    fn submit(&mut self) {
        let events = (self.submitted..self.submitted + BATCH).map(|number| {
            let spec = TaskSpec {
                name: format!("render-{number:07}"),
                image: "shop/render:1.9".to_owned(),
                cmd: vec!["render".to_owned(), "--all".to_owned()],
                memory_bytes: 64 << 20,
                ..TaskSpec::default()
            };
            let task = Task { id: TaskId::random(), spec: Arc::new(spec), ..Task::default() };
            TaskEvent::start(task, Timestamp::now())
        });
        let events = events.collect();
        self.submitted += BATCH;
        self.take(vec![Input::Submit { request: self.submitted as u64, cause: Cause::Api, events }]);
    }

    /// What a worker was sent it accepts at once, and has it running.
    fn acknowledge(&mut self, effects: Vec<Effect>) {
        let mut answers = Vec::new();
        for effect in effects {
            match effect {
                Effect::Send { worker, wish, mut task } => {
                    let (id, generation) = (task.id, task.status.generation);
                    let outcome = SendOutcome::Accepted;
                    answers.push(Input::Sent { worker: worker.clone(), task: id, generation, wish, outcome });
                    task.status.state = State::Running;
                    answers.push(Input::WorkerTask { worker, task });
                    self.acknowledged += 1;
                }
                Effect::Answer { answer, .. } => {
                    answer.unwrap();
                    self.answered += 1;
                }
                Effect::RenewLease { .. } | Effect::Link { .. } | Effect::Unlink { .. } => {}
            }
        }
        self.take(answers);
        while !self.marks.is_empty() && self.acknowledged >= WARM_UP + self.marks.len() * PART {
            self.marks.push(self.start.elapsed());
        }
    }

    fn keep_alive(&mut self) {
        if self.beat.elapsed() >= HEARTBEAT {
            self.beat = Instant::now();
            let beat = |worker: &WorkerId| Input::Heartbeat {
                worker: worker.clone(),
                runtime_problem: String::new(),
            };
            self.take(self.workers.iter().map(beat).chain([Input::Tick]).collect());
        }
    }

    /// One turn.
    fn take(&mut self, inputs: Vec<Input>) {
        let mut turn = Decision::default();
        for input in inputs {
            let now = Now { wall: Timestamp::now(), since_start: self.clock.elapsed() };
            let decision = self.manager.handle(now, input);
            turn.changes.extend(decision.changes);
            turn.effects.extend(decision.effects);
        }
        if turn != Decision::default() {
            self.batches.send(turn).unwrap();
        }
    }
}
