//! The world: a manager, workers and their engines, the links between them, and everything that can go wrong
//! with each. Events lie in a queue by virtual time; the seed decides delays and faults.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use cube_tui::cluster::{Capacity, Cause, Cluster, Peer};
use cube_tui::manager::decide::{
    Answer, ConfiguredWorker, Decision, Effect, Input, Manager, Now, SendOutcome, Wish,
};
use cube_tui::task::{
    EventId, HealthCheck, Probe, RestartPolicy, State, Task, TaskEvent, TaskId, TaskSpec, WorkerId,
};
use cube_tui::worker::report::Report;
use cube_tui::worker::runtime::{Exit, Probed, Run, RuntimeError, Started};
use cube_tui::worker::{self, Limits, Worker};
use fastrand::Rng;
use jiff::Timestamp;
use uuid::Uuid;

use crate::engine::{Behaviour, Engine, behaviour};
use crate::invariants;

/// Faults and submits happen within this; then the world is left alone to heal.
const TURMOIL: Duration = Duration::from_mins(1);
/// Longer than the longest backoff and all restarts that can still follow.
const HEALING: Duration = Duration::from_mins(15);
const HEARTBEAT: Duration = Duration::from_secs(2);
const RECONNECT: Duration = Duration::from_secs(1);
const ANSWER_WITHIN: Duration = Duration::from_secs(4);

/// Something that happens at a point of virtual time.
#[derive(Debug)]
enum Event {
    Submit,
    StopSome,
    Fault,
    ManagerTick {
        life: u32,
    },
    ManagerStart,
    /// A POST arrives at worker `to`, sent in the manager's `life`.
    Post {
        to: usize,
        wish: Wish,
        task: Task,
        life: u32,
        reply_is_lost: bool,
    },
    Answered {
        life: u32,
        input: Box<Input>,
    },
    /// A line of a report stream arrives.
    Line {
        from: usize,
        session: u64,
        report: Box<Report>,
    },
    Cut {
        worker: usize,
        session: u64,
    },
    Connect {
        worker: usize,
        life: u32,
    },
    Heartbeat {
        worker: usize,
        life: u32,
    },
    WorkerStart {
        worker: usize,
    },
    /// The engine works on an effect of a worker's `life`.
    Engine {
        worker: usize,
        life: u32,
        effect: Box<worker::Effect>,
    },
    /// A worker of that `life` hears of it.
    Tell {
        worker: usize,
        life: u32,
        input: Box<worker::Input>,
    },
    /// A container's program ends by itself.
    Exit {
        worker: usize,
        container: String,
        code: i64,
    },
}

struct WorkerHost {
    id: WorkerId,
    core: Option<Worker>,
    /// Counts its starts: what was under way for an earlier life is lost.
    life: u32,
    engine: Engine,
    /// The report stream to the manager; 0 is none.
    session: u64,
    is_cut_off: bool,
    /// A partition one way: what it is sent arrives, what it says does not.
    is_mute: bool,
    /// When the last line sent will have arrived: lines of a stream keep their order.
    last_line: Duration,
}

pub struct World {
    rng: Rng,
    now: Duration,
    queue: BTreeMap<(Duration, u64), Event>,
    sequence: u64,
    manager: Option<Manager>,
    manager_life: u32,
    manager_started: Duration,
    stored: Cluster,
    workers: Vec<WorkerHost>,
    acknowledged: BTreeSet<TaskId>,
    submitted: Vec<TaskEvent>,
    next_session: u64,
    is_told: bool,
    /// When the manager's next tick is due, if one lies in the queue.
    next_tick: Option<Duration>,
}

impl World {
    pub fn new(seed: u64, is_told: bool) -> Self {
        let mut rng = Rng::with_seed(seed);
        let workers = (0..rng.usize(1..=4)).map(|number| WorkerHost {
            id: WorkerId::from(format!("worker-{number}").as_str()),
            core: None,
            life: 0,
            engine: Engine::default(),
            session: 0,
            is_cut_off: false,
            is_mute: false,
            last_line: Duration::ZERO,
        });
        Self {
            workers: workers.collect(),
            rng,
            now: Duration::ZERO,
            queue: BTreeMap::new(),
            sequence: 0,
            manager: None,
            manager_life: 0,
            manager_started: Duration::ZERO,
            stored: Cluster::default(),
            acknowledged: BTreeSet::new(),
            submitted: Vec::new(),
            next_session: 0,
            is_told,
            next_tick: None,
        }
    }

    pub fn run(mut self) {
        self.at(Duration::ZERO, Event::ManagerStart);
        for worker in 0..self.workers.len() {
            self.at(Duration::ZERO, Event::WorkerStart { worker });
        }
        for _ in 0..self.rng.usize(3..25) {
            let when = self.within(TURMOIL);
            self.at(when, Event::Submit);
        }
        for _ in 0..self.rng.usize(0..8) {
            let when = self.within(TURMOIL);
            self.at(when, Event::StopSome);
        }
        for _ in 0..self.rng.usize(0..20) {
            let when = self.within(TURMOIL);
            self.at(when, Event::Fault);
        }
        while let Some(((when, _), event)) = self.queue.pop_first() {
            if when > TURMOIL + HEALING {
                break;
            }
            self.now = when;
            self.tell(|| format!("{event:?}"));
            self.happen(event);
            invariants::always(&self);
        }
        invariants::healed(&self);
    }

    pub fn manager_cluster(&self) -> &Cluster {
        self.manager.as_ref().map_or(&self.stored, Manager::cluster)
    }

    pub fn stored(&self) -> &Cluster {
        &self.stored
    }

    pub fn acknowledged(&self) -> &BTreeSet<TaskId> {
        &self.acknowledged
    }

    pub fn engines(&self) -> impl Iterator<Item = &Engine> {
        self.workers.iter().map(|worker| &worker.engine)
    }

    fn tell(&mut self, line: impl FnOnce() -> String) {
        if self.is_told {
            eprintln!("{:>9.3} {}", self.now.as_secs_f64(), line());
        }
    }

    fn at(&mut self, when: Duration, event: Event) {
        self.sequence += 1;
        self.queue.insert((when, self.sequence), event);
    }

    fn after(&mut self, wait: Duration, event: Event) {
        self.at(self.now + wait, event);
    }

    fn within(&mut self, span: Duration) -> Duration {
        span.mul_f64(self.rng.f64())
    }

    /// A message's way: usually quick, sometimes not.
    fn delay(&mut self) -> Duration {
        let most = if self.is_turmoil() && self.rng.u8(..) < 12 { 3_000 } else { 20 };
        Duration::from_micros(self.rng.u64(100..most * 1_000))
    }

    fn is_turmoil(&self) -> bool {
        self.now < TURMOIL
    }

    /// Whether something goes wrong this time, in so many of 100 cases.
    fn misfortune(&mut self, percent: u8) -> bool {
        self.is_turmoil() && self.rng.u8(0..100) < percent
    }

    fn wall(&self) -> Timestamp {
        Timestamp::UNIX_EPOCH + self.now
    }

    fn uuid(&mut self) -> Uuid {
        Uuid::from_u128(self.rng.u128(..))
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Submit => self.submit(),
            Event::StopSome => self.stop_some(),
            Event::Fault => self.fault(),
            Event::ManagerStart => self.manager_start(),
            Event::ManagerTick { life } => {
                if life == self.manager_life {
                    self.next_tick = None;
                    self.manage(Input::Tick);
                }
            }
            Event::Answered { life, input } => {
                if life == self.manager_life {
                    self.manage(*input);
                }
            }
            Event::Post { to, wish, task, life, reply_is_lost } => {
                self.post(to, wish, &task, life, reply_is_lost);
            }
            Event::Line { from, session, report } => {
                if self.workers[from].session == session {
                    self.line(from, *report);
                }
            }
            Event::Cut { worker, session } => self.cut(worker, session),
            Event::Connect { worker, life } => self.connect(worker, life),
            Event::Heartbeat { worker, life } => self.heartbeat(worker, life),
            Event::WorkerStart { worker } => self.worker_start(worker),
            Event::Engine { worker, life, effect } => self.engine(worker, life, *effect),
            Event::Tell { worker, life, input } => {
                if self.workers[worker].life == life {
                    self.work(worker, *input);
                }
            }
            Event::Exit { worker, container, code } => {
                let exit = Exit { code, out_of_memory: false, at: Some(self.wall()) };
                if self.workers[worker].engine.exit(&container, exit)
                    && let Some(found) = self.workers[worker].engine.containers.get(&container)
                {
                    let input = worker::Input::Exited { run: found.run, container, exit };
                    self.sign(worker, input);
                }
            }
        }
    }
}

/// Users.
impl World {
    fn submit(&mut self) {
        let (kind, restart_policy) = match self.rng.u8(0..6) {
            0 => ("good", RestartPolicy::OnFailure(Some(2))),
            1 => ("bad", RestartPolicy::OnFailure(Some(2))),
            2 => ("bad", RestartPolicy::No),
            3 => ("stays", RestartPolicy::Always),
            _ => ("stays", RestartPolicy::No),
        };
        let spec = TaskSpec {
            name: format!("{kind}-{}", self.submitted.len()),
            image: "sim:1".into(),
            restart_policy,
            // Every third; its probes fail in the bad times.
            health_check: self.submitted.len().is_multiple_of(3).then(|| HealthCheck {
                interval_s: 8,
                retries: 2,
                start_period_s: 5,
                ..HealthCheck::new(Probe::Tcp { port: Some(1) })
            }),
            ..TaskSpec::default()
        };
        let task = Task { id: TaskId(self.uuid()), spec: spec.into(), ..Task::default() };
        let event =
            TaskEvent { id: EventId(self.uuid()), state: State::Running, timestamp: self.wall(), task };
        let copies = if self.misfortune(20) { 2 } else { 1 };
        for _ in 0..copies {
            let events = vec![event.clone()];
            self.manage(Input::Submit { request: 1, cause: Cause::Command, events });
        }
        self.submitted.push(event);
    }

    fn stop_some(&mut self) {
        if let Some(task) = self.rng.choice(&self.submitted).map(|event| event.task.id)
            && self.manager.as_ref().is_some_and(|manager| manager.cluster().task(task).is_some())
        {
            self.manage(Input::Stop { request: 2, cause: Cause::Command, tasks: vec![task] });
        }
    }
}

/// What goes wrong.
impl World {
    fn fault(&mut self) {
        let worker = self.rng.usize(0..self.workers.len());
        let kind = self.rng.u8(0..7);
        let length = self.within(Duration::from_secs(15));
        match kind {
            0 => {
                self.tell(|| "FAULT the manager is killed".into());
                self.kill_manager();
                self.after(length, Event::ManagerStart);
            }
            1 | 2 => {
                self.tell(|| format!("FAULT worker {worker} is killed"));
                let host = &mut self.workers[worker];
                host.core = None;
                host.life += 1;
                let session = host.session;
                self.cut(worker, session);
                self.after(length, Event::WorkerStart { worker });
            }
            3 => {
                self.tell(|| format!("FAULT worker {worker} is cut off"));
                self.workers[worker].is_cut_off = true;
                let session = self.workers[worker].session;
                // What a cut link looks like from outside: first nothing, then an error.
                let notice = self.within(Duration::from_secs(6));
                self.after(notice, Event::Cut { worker, session });
                self.after(length, Event::Fault);
            }
            4 => {
                self.tell(|| format!("FAULT worker {worker} is not heard any more"));
                self.workers[worker].is_mute = true;
                let session = self.workers[worker].session;
                self.cut(worker, session);
            }
            5 => {
                self.tell(|| format!("FAULT somebody removes a container on worker {worker}"));
                let engine = &mut self.workers[worker].engine;
                if let Some((container, found)) = engine.containers.pop_first() {
                    self.sign(worker, worker::Input::Gone { run: found.run, container });
                }
            }
            _ => {
                self.tell(|| format!("FAULT the stream of worker {worker} breaks"));
                let session = self.workers[worker].session;
                self.cut(worker, session);
            }
        }
    }

    fn kill_manager(&mut self) {
        self.manager = None;
        self.manager_life += 1;
        self.next_tick = None;
        for worker in &mut self.workers {
            worker.session = 0;
        }
    }

    // Every partition ends with the turmoil, if no restart of the worker ended it before.

    fn is_reachable(&self, worker: usize) -> bool {
        self.workers[worker].core.is_some() && !(self.workers[worker].is_cut_off && self.is_turmoil())
    }

    fn is_heard(&self, worker: usize) -> bool {
        self.is_reachable(worker) && !(self.workers[worker].is_mute && self.is_turmoil())
    }
}

/// The manager and what carries its effects.
impl World {
    fn manager_start(&mut self) {
        if self.manager.is_some() {
            return;
        }
        self.manager = Some(Manager::new(self.stored.clone()));
        self.manager_started = self.now;
        let workers = self
            .workers
            .iter()
            .map(|worker| ConfiguredWorker { id: worker.id.clone(), insecure: false })
            .collect();
        self.manage(Input::Started { workers });
        for worker in 0..self.workers.len() {
            self.after(Duration::ZERO, Event::Connect { worker, life: self.manager_life });
        }
    }

    fn manage(&mut self, input: Input) {
        let Some(manager) = &mut self.manager else { return };
        let now = Now {
            wall: Timestamp::UNIX_EPOCH + self.now,
            since_start: self.now.saturating_sub(self.manager_started),
        };
        let submitted: Vec<TaskId> = match &input {
            Input::Submit { events, .. } => events.iter().map(|event| event.task.id).collect(),
            _ => vec![],
        };
        let Decision { changes, effects } = manager.handle(now, input);
        let wake = manager.next_wake();
        if self.misfortune(1) {
            // Killed before the store had it: nothing was promised yet.
            self.tell(|| "FAULT the manager is killed before it stored its decision".into());
            self.kill_manager();
            self.after(RECONNECT, Event::ManagerStart);
            return;
        }
        for change in changes {
            let told = format!("  r{} {:?}", change.revision, change.what);
            self.tell(|| told);
            invariants::change_is_legal(&self.stored, &change);
            self.stored.apply(&Arc::clone(&change));
        }
        if self.misfortune(1) {
            self.tell(|| "FAULT the manager is killed before it acted on its decision".into());
            self.kill_manager();
            self.after(RECONNECT, Event::ManagerStart);
            return;
        }
        for effect in effects {
            match effect {
                Effect::Answer { answer: Ok(Answer::Submitted(_)), .. } => {
                    self.acknowledged.extend(&submitted);
                }
                Effect::Answer { .. } => {}
                Effect::Send { worker, wish, task } => self.send(&worker, wish, &task),
            }
        }
        if let Some(due) = wake {
            let when = (self.manager_started + due).max(self.now);
            if self.next_tick.is_none_or(|next| when < next) {
                self.next_tick = Some(when);
                self.at(when, Event::ManagerTick { life: self.manager_life });
            }
        }
    }

    fn send(&mut self, worker: &WorkerId, wish: Wish, task: &Task) {
        let Some(to) = self.workers.iter().position(|host| host.id == *worker) else { return };
        let life = self.manager_life;
        if !self.is_reachable(to) {
            let may_have_arrived = self.rng.bool();
            let reason = "unreachable".to_owned();
            self.answer(to, wish, task, SendOutcome::Failed { reason, may_have_arrived }, ANSWER_WITHIN);
            return;
        }
        if self.misfortune(5) {
            let reason = "no answer in time".to_owned();
            let outcome = SendOutcome::Failed { reason, may_have_arrived: true };
            self.answer(to, wish, task, outcome, ANSWER_WITHIN);
            return;
        }
        // Late duplicates and lost replies are what a network may do to a POST.
        let copies = if self.misfortune(10) { self.rng.usize(2..5) } else { 1 };
        for copy in 0..copies {
            let wait = self.delay();
            let reply_is_lost = copy > 0 || !self.is_heard(to) || self.misfortune(5);
            if copy == 0 && reply_is_lost {
                let reason = "no answer in time".to_owned();
                let outcome = SendOutcome::Failed { reason, may_have_arrived: true };
                self.answer(to, wish, task, outcome, ANSWER_WITHIN);
            }
            self.after(wait, Event::Post { to, wish, task: task.clone(), life, reply_is_lost });
        }
    }

    fn answer(&mut self, from: usize, wish: Wish, task: &Task, outcome: SendOutcome, wait: Duration) {
        let input = Input::Sent {
            worker: self.workers[from].id.clone(),
            task: task.id,
            generation: task.status.generation,
            wish,
            outcome,
        };
        self.after(wait, Event::Answered { life: self.manager_life, input: Box::new(input) });
    }

    fn post(&mut self, to: usize, wish: Wish, task: &Task, life: u32, reply_is_lost: bool) {
        if self.workers[to].core.is_none() {
            if !reply_is_lost && life == self.manager_life {
                let outcome =
                    SendOutcome::Failed { reason: "connection refused".into(), may_have_arrived: false };
                self.answer(to, wish, task, outcome, Duration::from_millis(1));
            }
            return;
        }
        let state = match wish {
            Wish::Start => State::Running,
            Wish::Stop => State::Completed,
        };
        let mut asked = task.clone();
        asked.status.state = if wish == Wish::Start { State::Scheduled } else { State::Completed };
        let event = TaskEvent { id: EventId(self.uuid()), state, timestamp: self.wall(), task: asked };
        let answer = self.work(to, worker::Input::Event(event));
        if reply_is_lost || life != self.manager_life {
            return;
        }
        let answer = answer.expect("an event is answered");
        let outcome = match answer.status {
            200..300 => SendOutcome::Accepted,
            500.. => SendOutcome::Failed { reason: answer.message, may_have_arrived: false },
            status => SendOutcome::Refused { status, message: answer.message },
        };
        let wait = self.delay();
        self.answer(to, wish, task, outcome, wait);
    }
}

/// The report streams.
impl World {
    fn connect(&mut self, worker: usize, life: u32) {
        if life != self.manager_life || self.manager.is_none() || self.workers[worker].session != 0 {
            return;
        }
        if !self.is_heard(worker) {
            let down = Input::LinkDown {
                worker: self.workers[worker].id.clone(),
                reason: "connection refused".into(),
            };
            self.manage(down);
            self.after(RECONNECT, Event::Connect { worker, life: self.manager_life });
            return;
        }
        let core = self.workers[worker].core.as_ref().expect("it is heard");
        if !core.has_adopted() {
            self.after(RECONNECT, Event::Connect { worker, life });
            return;
        }
        let tasks = core.tasks().cloned().collect();
        let hello = worker::report::Hello {
            identity: Uuid::nil(),
            capacity: Capacity::default(),
            runtime_problem: core.runtime_problem().to_owned(),
        };
        self.next_session += 1;
        self.workers[worker].session = self.next_session;
        self.workers[worker].last_line = self.now;
        for report in [Report::Hello(hello), Report::Tasks(tasks)] {
            self.send_line(worker, report);
        }
    }

    fn send_line(&mut self, from: usize, report: Report) {
        let session = self.workers[from].session;
        if session == 0 {
            return;
        }
        let when = (self.now + self.delay()).max(self.workers[from].last_line);
        self.workers[from].last_line = when;
        if self.is_heard(from) {
            self.at(when, Event::Line { from, session, report: Box::new(report) });
        } else {
            // A stream has no holes: what can't be sent ends it.
            self.at(when, Event::Cut { worker: from, session });
        }
    }

    fn line(&mut self, from: usize, report: Report) {
        let worker = self.workers[from].id.clone();
        let input = match report {
            Report::Hello(hello) => Input::WorkerUp {
                worker,
                peer: Peer::Cube,
                capacity: hello.capacity,
                runtime_problem: hello.runtime_problem,
            },
            Report::Tasks(tasks) => Input::WorkerTasks { worker, tasks },
            Report::Task(task) => Input::WorkerTask { worker, task },
            Report::Heartbeat { runtime_problem } => Input::Heartbeat { worker, runtime_problem },
            Report::Progress(_) | Report::Sample(_) => return,
        };
        self.manage(input);
    }

    fn cut(&mut self, worker: usize, session: u64) {
        if session == 0 || self.workers[worker].session != session {
            return;
        }
        self.workers[worker].session = 0;
        let id = self.workers[worker].id.clone();
        self.manage(Input::LinkDown { worker: id, reason: "connection cut".into() });
        self.after(RECONNECT, Event::Connect { worker, life: self.manager_life });
    }
}

/// The workers and their engines.
impl World {
    fn worker_start(&mut self, worker: usize) {
        if self.workers[worker].core.is_some() {
            return;
        }
        self.workers[worker].is_cut_off = false;
        self.workers[worker].is_mute = false;
        self.workers[worker].core = Some(Worker::new(Limits { start_concurrency: 2, ..Limits::default() }));
        let life = self.workers[worker].life;
        let listed =
            worker::Input::Listed(self.workers[worker].engine.containers.values().cloned().collect());
        self.work(worker, listed);
        self.work(worker, worker::Input::RuntimeHealth(String::new()));
        self.after(HEARTBEAT, Event::Heartbeat { worker, life });
    }

    fn heartbeat(&mut self, worker: usize, life: u32) {
        let host = &self.workers[worker];
        if host.life != life {
            return;
        }
        if let Some(core) = &host.core {
            let runtime_problem = core.runtime_problem().to_owned();
            self.send_line(worker, Report::Heartbeat { runtime_problem });
            self.after(HEARTBEAT, Event::Heartbeat { worker, life });
        }
    }

    /// What the engine tells a worker of its own accord. It is told again by the list at the next start.
    fn sign(&mut self, worker: usize, input: worker::Input) {
        let life = self.workers[worker].life;
        let wait = self.delay();
        self.after(wait, Event::Tell { worker, life, input: Box::new(input) });
    }

    fn work(&mut self, worker: usize, input: worker::Input) -> Option<worker::report::EventAnswer> {
        let now = self.wall();
        let life = self.workers[worker].life;
        let output = self.workers[worker].core.as_mut()?.handle(now, input);
        for report in output.reports {
            self.send_line(worker, report);
        }
        for effect in output.effects {
            let wait = match &effect {
                worker::Effect::Later { after, .. } | worker::Effect::ProbeLater { after, .. } => *after,
                _ => Duration::from_millis(self.rng.u64(1..400)),
            };
            self.after(wait, Event::Engine { worker, life, effect: Box::new(effect) });
        }
        output.answer
    }

    /// The engine does what it was asked, also when the asking worker is gone by then.
    fn engine(&mut self, worker: usize, life: u32, effect: worker::Effect) {
        let now = self.wall();
        let fails = self.misfortune(5);
        let engine = &mut self.workers[worker].engine;
        let no_answer = || RuntimeError::Unreachable("the engine does not answer".into());
        let input = match effect {
            worker::Effect::Start { task } => {
                let run = Run::of(&task);
                if self.workers[worker].life != life && self.rng.bool() {
                    return;
                }
                let (container, was_there) = self.workers[worker].engine.start(&task, now);
                if let (Behaviour::Ends { after, code }, false) = (behaviour(&task), was_there) {
                    self.after(after, Event::Exit { worker, container: container.clone(), code });
                }
                if !was_there {
                    // The engine tells everybody, also who never got the answer.
                    self.sign(worker, worker::Input::Up { run, container: container.clone() });
                }
                if fails {
                    worker::Input::StartFailed { run, error: no_answer() }
                } else {
                    worker::Input::Started { run, started: Started { container, was_there } }
                }
            }
            worker::Effect::Pull { image } => worker::Input::Pulled { image, result: Ok(()) },
            worker::Effect::AbandonPull { .. } => return,
            worker::Effect::Stop { task, container, grace: _ } => {
                if !fails {
                    engine.containers.remove(&container);
                }
                let result = if fails { Err(no_answer()) } else { Ok(()) };
                worker::Input::Stopped { task, container, result }
            }
            worker::Effect::Remove { container } => {
                engine.containers.remove(&container);
                return;
            }
            worker::Effect::Inspect { run, container } => match engine.containers.get(&container) {
                Some(found) => worker::Input::Found(found.clone()),
                None => worker::Input::Gone { run, container },
            },
            worker::Effect::Later { task, .. } => worker::Input::Wake(task),
            worker::Effect::ProbeLater { run, container, .. } => worker::Input::ProbeDue { run, container },
            worker::Effect::Probe { run, container, .. } => {
                let result = if self.misfortune(40) { Probed::Failed("no".into()) } else { Probed::Passed };
                worker::Input::Probed { run, container, took: Duration::ZERO, result }
            }
        };
        if self.workers[worker].life == life {
            self.work(worker, input);
        }
    }
}
