//! The worker's core: its queue, its task db, and what follows from each input. Knows no clock, engine or HTTP.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    time::Duration,
};

use jiff::Timestamp;

use super::{
    containers::NewestContainer,
    health::Checks,
    kept::{Kept, is_longer_ago},
    lease::Lease,
    report::{EventAnswer, Report},
    runtime::{Exit, Found, Probed, Run, RuntimeError, Sign, Started},
};
use crate::cluster::{Allows, ENDED_KEPT_FOR, ENDED_TASKS};
use crate::task::{Probe, State, Task, TaskEvent, TaskId, Verdict};

/// What a worker hears.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// A manager's wish. Answered.
    Event(TaskEvent),
    /// The book's DELETE: stop whatever runs for this task. Answered.
    Stop(TaskId),
    /// A manager heard this reading of the lease's clock (time since boot). Answered.
    RenewLease(Duration),
    /// The time of [`Worker::lease_ends`] has come.
    LeaseEnds,

    Started {
        run: Run,
        started: Started,
    },
    StartFailed {
        run: Run,
        error: RuntimeError,
    },
    PullProgress {
        image: String,
        text: String,
    },
    Pulled {
        image: String,
        result: Result<(), RuntimeError>,
    },
    Stopped {
        task: TaskId,
        container: String,
        result: Result<(), RuntimeError>,
    },
    /// The time asked for by `Effect::Later` is over.
    Wake(TaskId),
    /// The time asked for by `Effect::ProbeLater` is over.
    ProbeDue {
        run: Run,
        container: String,
    },
    Probed {
        run: Run,
        container: String,
        took: Duration,
        result: Probed,
    },

    /// Every container of this worker: adopted at first, compared later.
    Listed(Vec<Found>),
    /// How one container stands.
    Found(Found),
    Up {
        run: Run,
        container: String,
    },
    /// Somebody has the engine end it.
    Killed {
        run: Run,
        container: String,
    },
    /// It ended, and an inspect has to explain how.
    Doubtful {
        run: Run,
        container: String,
        code: Option<i64>,
    },
    Exited {
        run: Run,
        container: String,
        exit: Exit,
    },
    Gone {
        run: Run,
        container: String,
    },
    /// Why the engine can't be used; empty when it can.
    RuntimeHealth(String),
    /// Time has passed: what was kept for long enough is let go.
    Tick,
}

impl From<Sign> for Input {
    fn from(sign: Sign) -> Self {
        match sign {
            Sign::Listed(found) => Self::Listed(found),
            Sign::Up { run, container } => Self::Up { run, container },
            Sign::Killed { run, container } => Self::Killed { run, container },
            Sign::Doubtful { run, container, code } => Self::Doubtful { run, container, code },
            Sign::Exited { run, container, exit } => Self::Exited { run, container, exit },
            Sign::Gone { run, container } => Self::Gone { run, container },
            Sign::Health(problem) => Self::RuntimeHealth(problem),
        }
    }
}

/// What a worker wants done; each result comes back as an `Input`.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// → `Started` or `StartFailed`
    Start { task: Task },
    /// → `PullProgress`, `Pulled`
    Pull { image: String },
    /// Nobody waits for this image any more. → nothing
    AbandonPull { image: String },
    /// Stop and remove. → `Stopped`
    Stop { task: TaskId, container: String, grace: Duration },
    /// → nothing
    Remove { container: String },
    /// → `Found` or `Gone`
    Inspect { run: Run, container: String },
    /// → `Wake`
    Later { task: TaskId, after: Duration },
    /// → `ProbeDue`
    ProbeLater { run: Run, container: String, after: Duration },
    /// → `Probed`
    Probe { run: Run, container: String, probe: Probe, timeout: Duration },
}

/// What follows from one input.
#[derive(Debug, Default, PartialEq)]
pub struct Output {
    /// Set for `Event`, `Stop` and `RenewLease`.
    pub answer: Option<EventAnswer>,
    pub reports: Vec<Report>,
    pub effects: Vec<Effect>,
}

/// The limits a worker keeps.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Containers created and started at the same time; an engine is no faster with more.
    pub start_concurrency: usize,
    /// Ended containers kept for their logs, the oldest removed first; of each task only the last.
    pub kept_containers: usize,
    /// And no longer than this.
    pub containers_kept_for: Duration,
    /// Ended tasks remembered, so that a manager that was away learns how they ended.
    pub ended_tasks: usize,
    /// And no longer than this.
    pub tasks_kept_for: Duration,
    /// Starts that may wait; beyond it the answer is 503.
    pub queue: usize,
    /// What tasks may do here.
    pub allows: Allows,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            // Measured: create+start gains nothing beyond about two per CPU.
            start_concurrency: 4,
            // An engine's own lists stay readable, and what the containers wrote to their disks stays small.
            kept_containers: 50,
            // What broke on a Friday evening is still there on Monday.
            containers_kept_for: Duration::from_hours(72),
            // The same as the manager's: longer than it asks, nobody needs them.
            ended_tasks: ENDED_TASKS,
            tasks_kept_for: ENDED_KEPT_FOR,
            queue: 100_000,
            allows: Allows::default(),
        }
    }
}

/// The problem before the engine has given the first sign of itself.
pub(super) const STILL_LOOKING: &str = "this worker is still looking at its containers";

/// What is said of a task while its stop is under way.
pub const STOPPING: &str = "stopping";

/// Why a task ended that was stopped.
pub const STOPPED: &str = "stopped";

/// The core. `handle` is the only way in.
#[derive(Debug)]
pub struct Worker {
    pub(super) limits: Limits,
    pub(super) task_db: BTreeMap<TaskId, Entry>,
    /// Tasks in `Phase::Queued`, the oldest first; entries that are not (any more) are passed over.
    pub(super) queue: VecDeque<TaskId>,
    /// How many are in `Phase::Starting`.
    pub(super) starting: usize,
    /// Image → the tasks that wait for it.
    pub(super) pulls: HashMap<String, Vec<TaskId>>,
    /// Live containers that nobody wants and that are yet to be stopped.
    pub(super) strays: Vec<Stray>,
    pub(super) lease: Lease,
    pub(super) kept: Kept,
    /// Ended tasks and since when this is known, the oldest first; entries that live again are passed over.
    pub(super) ended: VecDeque<(Timestamp, Run)>,
    pub(super) runtime_problem: String,
    /// Whether the engine's containers are known; before that nothing can be said about any task.
    pub(super) has_adopted: bool,
    pub(super) out: Output,
    pub(super) now: Timestamp,
}

/// A row of the worker's task db.
#[derive(Debug)]
pub(super) struct Entry {
    /// The newest generation asked for; its status is what gets reported.
    pub task: Task,
    pub wish: Wish,
    pub phase: Phase,
    /// Whether this generation's image was pulled already.
    pub is_pulled: bool,
    /// Attempts that failed for a temporary reason, since the last success.
    pub attempts: u32,
    /// A start of this generation got no answer: its container may come up yet.
    pub may_run: bool,
    /// When somebody, not us, had the engine end its container.
    pub killed: Option<Timestamp>,
    /// Its lease ended before it did.
    pub has_lapsed: bool,
    /// Of the live container, if the task has a health check.
    pub checks: Option<Checks>,
}

impl Entry {
    /// One for which nothing was done yet.
    pub(super) fn new(task: Task, wish: Wish) -> Self {
        Self {
            task,
            wish,
            phase: Phase::None,
            is_pulled: false,
            attempts: 0,
            may_run: false,
            killed: None,
            has_lapsed: false,
            checks: None,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    Run,
    Stop,
}

/// What exists for a task on the engine. The generation can be older than the task's, while a replacement
/// waits for it to go.
#[derive(Debug, PartialEq)]
pub(super) enum Phase {
    /// No live container.
    None,
    Queued,
    Pulling {
        image: String,
    },
    /// A start failed for a temporary reason; `Wake` tries again.
    Waiting,
    Starting {
        generation: u32,
        /// What the engine told about its containers before it answered the start.
        early: Vec<Input>,
    },
    Live {
        generation: u32,
        container: String,
    },
    Stopping {
        generation: u32,
        container: String,
    },
}

/// A live container that must go; its stop is under way, or waits for the next try.
#[derive(Debug)]
pub(super) struct Stray {
    pub task: TaskId,
    pub container: String,
    pub grace: Duration,
    pub attempts: u32,
}

impl Worker {
    /// Takes no new work before its first `Input::Listed`: what already runs is adopted first.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            task_db: BTreeMap::new(),
            queue: VecDeque::new(),
            starting: 0,
            pulls: HashMap::new(),
            kept: Kept::default(),
            strays: Vec::new(),
            ended: VecDeque::new(),
            lease: Lease::default(),
            runtime_problem: STILL_LOOKING.to_owned(),
            has_adopted: false,
            out: Output::default(),
            now: Timestamp::UNIX_EPOCH,
        }
    }

    /// Takes one input; says what to report and what to do.
    pub fn handle(&mut self, now: Timestamp, input: Input) -> Output {
        self.now = now;
        self.check_lease();
        match input {
            Input::Event(event) => self.out.answer = Some(self.add_task(event)),
            Input::Stop(task) => self.out.answer = Some(self.stop_task(task)),
            Input::RenewLease(reading) => self.out.answer = Some(self.renew_lease(reading)),
            // Looked at before every input.
            Input::LeaseEnds => {}
            Input::Started { run, started } => self.started(run, started),
            Input::StartFailed { run, error } => self.start_failed(run, error),
            Input::PullProgress { image, text } => self.pull_progress(&image, &text),
            Input::Pulled { image, result } => self.pulled(&image, &result),
            Input::Stopped { task, container, result } => self.stopped(task, &container, result),
            Input::Wake(task) => self.wake(task),
            Input::ProbeDue { run, container } => self.probe_due(run, container),
            Input::Probed { run, container, took, result } => self.probed(run, container, took, result),
            Input::Listed(found) => self.listed(found),
            Input::Found(found) => self.found(found),
            Input::Up { run, container } => self.up(run, container),
            Input::Killed { run, container } => self.killed(run, &container),
            Input::Doubtful { run, container, code } => self.doubtful(run, container, code),
            Input::Exited { run, container, exit } => self.exited(run, container, exit),
            Input::Gone { run, container } => self.gone(run, container),
            Input::RuntimeHealth(problem) => self.runtime_health(problem),
            Input::Tick => self.collect(),
        }
        self.fill_slots();
        std::mem::take(&mut self.out)
    }

    /// Everything it has, by id.
    pub fn tasks(&self) -> impl ExactSizeIterator<Item = &Task> {
        self.task_db.values().map(|entry| &entry.task)
    }

    pub fn task(&self, id: TaskId) -> Option<&Task> {
        self.task_db.get(&id).map(|entry| &entry.task)
    }

    /// The running containers and whose they are.
    pub fn live(&self) -> impl Iterator<Item = (TaskId, &str)> {
        self.task_db.iter().filter_map(|(id, entry)| match &entry.phase {
            Phase::Live { container, .. } | Phase::Stopping { container, .. } => {
                Some((*id, container.as_str()))
            }
            Phase::None | Phase::Queued | Phase::Pulling { .. } | Phase::Waiting | Phase::Starting { .. } => {
                None
            }
        })
    }

    /// The container whose output is a task's: the live one, or the last one that ended and is kept.
    pub fn newest_container(&self, id: TaskId) -> Option<NewestContainer> {
        match self.task_db.get(&id).map(|entry| &entry.phase) {
            Some(Phase::Live { generation, container } | Phase::Stopping { generation, container }) => {
                Some(NewestContainer { generation: *generation, container: container.clone(), is_live: true })
            }
            _ => self.kept.of_task(id).map(|(run, container)| NewestContainer {
                generation: run.generation,
                container: container.to_owned(),
                is_live: false,
            }),
        }
    }

    /// Whether a run has been asked for and has no container yet.
    pub(super) fn is_yet_to_start(&self, run: Run) -> bool {
        self.task_db.get(&run.task).is_some_and(|entry| {
            let status = &entry.task.status;
            status.generation == run.generation && !status.state.has_ended() && status.container_id.is_empty()
        })
    }

    /// Whether a container of this run is there or may come, or may be started again.
    pub(super) fn may_need(&self, run: Run) -> bool {
        self.task_db.get(&run.task).is_some_and(|entry| {
            let is_current =
                entry.task.status.generation == run.generation && !entry.task.status.state.has_ended();
            let is_there = matches!(
                &entry.phase,
                Phase::Starting { generation, .. }
                | Phase::Live { generation, .. }
                | Phase::Stopping { generation, .. } if *generation == run.generation
            );
            is_current || is_there
        })
    }

    pub fn task_count(&self) -> usize {
        self.task_db.len()
    }

    /// Why the engine can't be used; empty when it can.
    pub fn runtime_problem(&self) -> &str {
        &self.runtime_problem
    }

    /// Whether `tasks` tells all: before the first look at the engine it does not.
    pub fn has_adopted(&self) -> bool {
        self.has_adopted
    }

    fn runtime_health(&mut self, problem: String) {
        if self.runtime_problem == problem {
            return;
        }
        self.runtime_problem.clone_from(&problem);
        self.out.reports.push(Report::Heartbeat { runtime_problem: problem });
    }

    /// Reports a task as it stands.
    pub(super) fn report(&mut self, id: TaskId) {
        if let Some(entry) = self.task_db.get(&id) {
            self.out.reports.push(Report::Task(entry.task.clone()));
        }
    }

    /// The end of a task's present generation.
    pub(super) fn end(&mut self, id: TaskId, state: State, exit: Option<Exit>, reason: String) {
        debug_assert!(state.has_ended(), "an end is an end");
        let Some(entry) = self.task_db.get_mut(&id) else { return };
        let status = &mut entry.task.status;
        if status.state.has_ended() {
            return;
        }
        debug_assert!(
            status.state.can_become(state) || status.state == State::Pending,
            "{} can't become {state}",
            status.state
        );
        status.state = state;
        status.reason = reason;
        // What made it fail stays to be seen; of anything else that ended nobody asks.
        status.health.take_if(|health| state != State::Failed || health.verdict != Verdict::Unhealthy);
        status.finish_time = Some(exit.and_then(|exit| exit.at).unwrap_or(self.now));
        if let Some(exit) = exit {
            status.exit_code = Some(exit.code);
        }
        entry.checks = None;
        let run = Run::of(&entry.task);
        self.report(id);
        self.remember_ended(run);
    }

    /// Keeps the list of ended tasks within its limit.
    pub(super) fn remember_ended(&mut self, run: Run) {
        self.ended.push_back((self.now, run));
        while self.ended.len() > self.limits.ended_tasks {
            self.forget_oldest();
        }
    }

    /// Forgets the task that ended first, unless it lives again.
    fn forget_oldest(&mut self) {
        let Some((_, oldest)) = self.ended.pop_front() else { return };
        let is_over = self.task_db.get(&oldest.task).is_some_and(|entry| {
            Run::of(&entry.task) == oldest
                && entry.task.status.state.has_ended()
                && entry.phase == Phase::None
        });
        if is_over {
            self.task_db.remove(&oldest.task);
        }
    }

    /// Keeps an ended container for its logs, and what is kept within its limits.
    pub(super) fn keep(&mut self, run: Run, container: String, exit: Exit) {
        let ended = exit.at.unwrap_or(self.now);
        let gone = self.kept.keep(run, container, ended, &self.limits);
        self.remove(gone);
    }

    /// Lets go of what was kept for long enough.
    fn collect(&mut self) {
        let gone = self.kept.expired(self.now, self.limits.containers_kept_for);
        self.remove(gone);
        let (now, kept_for) = (self.now, self.limits.tasks_kept_for);
        while self.ended.front().is_some_and(|(since, _)| is_longer_ago(*since, now, kept_for)) {
            self.forget_oldest();
        }
    }

    fn remove(&mut self, containers: Vec<String>) {
        let effects = containers.into_iter().map(|container| Effect::Remove { container });
        self.out.effects.extend(effects);
    }
}
