//! The world: virtual time, the queue of what happens in it, and everybody who takes part. Who they are and what goes
//! wrong with them is in the files beside this one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use cube_tui::cluster::{Change, Cluster, SchedulerName};
use cube_tui::manager::decide::{Input, Manager};
use cube_tui::manager::request::AvailabilityWish;
use cube_tui::task::{TaskEvent, TaskId, WorkerId};
use fastrand::Rng;
use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use crate::engine::Engine;
use crate::event::Event;
use crate::invariants;
use crate::manager_host::ManagerHost;
use crate::worker_host::WorkerHost;

/// Faults and submits happen within this; then the world is left alone to heal.
pub const TURMOIL: Duration = Duration::from_secs(150);
/// Longer than the longest backoff and all restarts that can still follow.
const HEALING: Duration = Duration::from_mins(15);
/// What is so must stay so: looked at first after this, and then again and again until it is.
const SETTLING: Duration = Duration::from_mins(1);

/// By then what was asked for in the bad times has been heard.
const LATE: Duration = Duration::from_secs(10);

/// What is to go before everything else of its time has a smaller number.
const FIRST: u64 = 1 << 32;

pub struct World {
    pub rng: Rng,
    pub now: Duration,
    queue: BTreeMap<(Duration, u64), Event>,
    sequence: u64,
    /// Until when things go wrong by chance.
    pub turmoil: Duration,
    pub manager: ManagerHost,
    /// What the store holds.
    pub stored: Cluster,
    pub workers: Vec<WorkerHost>,
    pub submitted: Vec<TaskEvent>,
    pub acknowledged: BTreeSet<TaskId>,
    /// Tasks whose stop was acknowledged.
    pub stopped: BTreeSet<TaskId>,
    /// Tasks that something happened to which may fail a task: their end is anybody's guess.
    pub harmed: BTreeSet<TaskId>,
    /// The workers that could not start a task, since it last ran or was restarted.
    pub refused: BTreeMap<TaskId, BTreeSet<WorkerId>>,
    /// Every Change that was stored, if somebody wants to read them.
    pub log: Option<Vec<Arc<Change>>>,
    /// How often every message arrives.
    pub copies: usize,
    /// Every answer to a POST gets lost.
    pub loses_answers: bool,
    pub next_session: u64,
    is_told: bool,
    /// Something changed that an invariant speaks of.
    pub is_touched: bool,
}

impl World {
    fn new(rng: Rng, workers: usize, turmoil: Duration) -> Self {
        Self {
            rng,
            now: Duration::ZERO,
            queue: BTreeMap::new(),
            sequence: FIRST,
            turmoil,
            manager: ManagerHost::default(),
            stored: Cluster::default(),
            workers: (0..workers).map(WorkerHost::new).collect(),
            submitted: Vec::new(),
            acknowledged: BTreeSet::new(),
            stopped: BTreeSet::new(),
            harmed: BTreeSet::new(),
            refused: BTreeMap::new(),
            log: None,
            copies: 1,
            loses_answers: false,
            next_session: 0,
            is_told: false,
            is_touched: false,
        }
    }

    fn begin(&mut self) {
        self.after(Duration::ZERO, Event::ManagerStart);
        for worker in 0..self.workers.len() {
            self.after(Duration::ZERO, Event::WorkerStart { worker });
        }
    }

    /// A cluster in which nothing goes wrong but what a test asks for, at work for some seconds.
    pub fn calm(workers: usize) -> Self {
        let mut world = Self::new(Rng::with_seed(0), workers, Duration::ZERO);
        world.log = Some(Vec::new());
        world.is_told = std::env::var_os("CUBE_SIM_TOLD").is_some();
        world.begin();
        world.pass(Duration::from_secs(3));
        world
    }

    /// One history of faults by chance, to its end.
    pub fn history(seed: u64, is_told: bool) {
        let mut rng = Rng::with_seed(seed);
        let workers = rng.usize(1..=4);
        let mut world = Self::new(rng, workers, TURMOIL);
        world.is_told = is_told;
        world.begin();
        for _ in 0..world.rng.usize(3..25) {
            let when = world.within(TURMOIL);
            let event = world.some_task();
            world.at(when, Event::Submit(event.into()));
        }
        for _ in 0..world.rng.usize(0..8) {
            let when = world.within(TURMOIL);
            world.at(when, Event::StopSome);
        }
        for _ in 0..world.rng.usize(0..8) {
            let when = world.within(TURMOIL);
            world.at(when, Event::RestartSome);
        }
        for _ in 0..world.rng.usize(0..25) {
            let when = world.within(TURMOIL);
            world.at(when, Event::Fault);
        }
        for _ in 0..world.rng.usize(0..6) {
            let (when, worker, wish) =
                (world.within(TURMOIL), world.rng.usize(0..workers), world.some_wish());
            world.at(when, Event::Availability { worker, wish });
        }
        for _ in 0..world.rng.usize(0..6) {
            let when = world.within(TURMOIL);
            world.at(when, Event::Rebalance);
        }
        for worker in 0..workers {
            // Later than any wish of the bad times that nobody had heard yet.
            world.at(TURMOIL + LATE, Event::Availability { worker, wish: AvailabilityWish::Uncordon });
        }
        let scheduler = SchedulerName::ALL[world.rng.usize(0..SchedulerName::ALL.len())];
        world.at(Duration::from_millis(1), Event::Scheduler(scheduler));
        let mut look = TURMOIL + SETTLING;
        loop {
            world.pass(look.saturating_sub(world.now));
            let Err(wrong) = invariants::healed(&world) else { break };
            assert!(look < TURMOIL + HEALING, "not healed: {wrong}");
            look += SETTLING;
        }
        // What is so stays so.
        world.pass(SETTLING);
        invariants::healed(&world).unwrap();
    }

    /// Lets time pass.
    pub fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while self.step(end) {}
        self.now = end;
    }

    /// Lets time pass until something is so; how long that took.
    pub fn until(&mut self, what: &str, limit: Duration, is_so: impl Fn(&Self) -> bool) -> Duration {
        let start = self.now;
        while !is_so(self) {
            assert!(self.step(start + limit), "{what}: not within {limit:?}");
        }
        self.now.saturating_sub(start)
    }

    /// Lets the next thing happen, if it does before `end`.
    fn step(&mut self, end: Duration) -> bool {
        let Some(((when, sequence), event)) = self.queue.pop_first() else { return false };
        if when > end {
            self.queue.insert((when, sequence), event);
            return false;
        }
        self.now = when;
        let stands_still_until = match event.for_worker() {
            Some(worker) => self.workers[worker].paused_until,
            None if event.is_for_manager() => self.manager.paused_until,
            None => Duration::ZERO,
        };
        if self.now < stands_still_until {
            if let Event::ManagerTick { life } = event {
                // Who wakes up looks at the clock before the post.
                self.queue.insert((stands_still_until, life.into()), event);
            } else {
                // In its turn, also after a second pause: a stream keeps its order.
                self.queue.insert((stands_still_until, sequence), event);
            }
            return true;
        }
        self.tell(|| format!("{event:?}"));
        self.happen(event);
        self.excuse_two_faults_at_once();
        if std::mem::take(&mut self.is_touched) {
            invariants::always(self);
        }
        true
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Submit(event) => self.submit(*event),
            Event::StopSome => self.stop_some(),
            Event::Availability { worker, wish } => self.set_availability(worker, wish),
            Event::Scheduler(scheduler) => self.set_scheduler(scheduler),
            Event::Rebalance => self.rebalance(),
            Event::Stop(task) => self.stop(task),
            Event::RestartSome => self.restart_some(),
            Event::Restart(task) => self.restart(task),
            Event::Fault => self.fault(),
            Event::Heal(trouble) => self.heal(trouble),
            Event::ManagerStart => self.manager_start(),
            Event::ManagerTick { life } => {
                if life == self.manager.life {
                    self.manager.next_tick = None;
                    self.manage(Input::Tick);
                }
            }
            Event::Answered { life, input } => {
                if life == self.manager.life {
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
            Event::Renewal { to, reading } => {
                self.work(to, cube_tui::worker::Input::RenewLease(reading));
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
            Event::Exit { worker, container, code } => self.exit(worker, &container, code),
        }
    }

    pub fn manager_cluster(&self) -> &Cluster {
        self.manager.core.as_ref().map_or(&self.stored, Manager::cluster)
    }

    pub fn engines(&self) -> impl Iterator<Item = &Engine> {
        self.workers.iter().map(|worker| &worker.engine)
    }

    pub fn tell(&self, line: impl FnOnce() -> String) {
        if self.is_told {
            eprintln!("{:>9.3} {}", self.now.as_secs_f64(), line());
        }
    }

    pub fn at(&mut self, when: Duration, event: Event) {
        self.sequence += 1;
        self.queue.insert((when, self.sequence), event);
    }

    pub fn after(&mut self, wait: Duration, event: Event) {
        self.at(self.now + wait, event);
    }

    pub fn within(&mut self, span: Duration) -> Duration {
        span.mul_f64(self.rng.f64())
    }

    /// A message's way: usually quick, sometimes not.
    pub fn delay(&mut self) -> Duration {
        let most = if self.is_turmoil() && self.rng.u8(..) < 12 { 3_000 } else { 20 };
        Duration::from_micros(self.rng.u64(100..most * 1_000))
    }

    pub fn is_turmoil(&self) -> bool {
        self.now < self.turmoil
    }

    /// Whether something goes wrong this time, in so many of 100 cases.
    pub fn misfortune(&mut self, percent: u8) -> bool {
        self.is_turmoil() && self.rng.u8(0..100) < percent
    }

    /// What a wall clock shows that is off by so much.
    pub fn wall(&self, off: SignedDuration) -> Timestamp {
        const BEGINNING: SignedDuration = SignedDuration::from_hours(24 * 365);
        Timestamp::UNIX_EPOCH + BEGINNING + off + self.now
    }

    pub fn uuid(&mut self) -> Uuid {
        Uuid::from_u128(self.rng.u128(..))
    }
}
