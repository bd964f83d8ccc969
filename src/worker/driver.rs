//! Owns the core: feeds it commands, signs and results, runs its effects, passes its reports on. Decides nothing.

use std::{collections::HashMap, sync::Arc, time::Duration};

use bytes::Bytes;
use jiff::Timestamp;
use tokio::{
    sync::{broadcast, mpsc, oneshot},
    task::{AbortHandle, JoinError, JoinSet},
    time::{Instant, MissedTickBehavior, interval, sleep_until},
};
use tokio_util::sync::CancellationToken;

use super::{
    containers::NewestContainer,
    core::{Effect, Input, Output, Worker},
    effects::{self, Slots},
    report::{EventAnswer, HEARTBEAT, Hello, Report},
    runtime::{Run, Runtime, Sign},
    secrets::{Secrets, Values},
    start::Config,
    stats::{Sampler, facts},
};
use crate::{
    cluster::{Allows, Capacity, Facts, Sample},
    task::{State, Task, TaskEvent, TaskId},
};

/// Between two samples, when somebody listens.
const SAMPLE_EVERY: Duration = Duration::from_secs(5);
/// Lines of reports that a slow reader may be behind; after that it is cut off and starts over. Their places are made at
/// the start.
const LINES: usize = 2_048;
/// For what is under way at the end: a stop that takes all of Docker's ten seconds, and the removal after it. What
/// takes longer is found by its labels next time.
const DRAIN: Duration = Duration::from_secs(15);
/// Signs and pull progress that may wait for the core.
const SIGNS: usize = 256;
/// Commands taken at once.
const BATCH: usize = 256;

/// What the API asks of the driver.
#[derive(Debug)]
pub(super) enum Command {
    /// With the secrets that their tasks name.
    Events(Vec<TaskEvent>, Values, oneshot::Sender<Vec<EventAnswer>>),
    /// The book's POST: the task as it is then goes into the answer.
    Add(TaskEvent, oneshot::Sender<(EventAnswer, Option<Task>)>),
    Stop(TaskId, oneshot::Sender<EventAnswer>),
    RenewLease(Duration, oneshot::Sender<EventAnswer>),
    Tasks(oneshot::Sender<Vec<Task>>),
    TaskCount(oneshot::Sender<usize>),
    /// The task's state if it is known, and its newest container if there is one.
    NewestContainer(TaskId, oneshot::Sender<(Option<State>, Option<NewestContainer>)>),
    Subscribe(oneshot::Sender<Subscription>),
}

/// The report stream's beginning, and everything after it.
#[derive(Debug)]
pub(super) struct Subscription {
    pub first: Vec<Bytes>,
    pub rest: broadcast::Receiver<Bytes>,
}

/// What a finished piece of work brings.
enum Done {
    Input(Option<Input>),
    Sampled(Box<Sampler>, Sample),
}

/// One thing that the loop woke up for.
enum Turn {
    Commands,
    Input(Input),
    Done(Result<Done, JoinError>),
    Heartbeat,
    Sample,
    End,
}

pub(super) struct Driver<R> {
    core: Worker,
    runtime: Arc<R>,
    host: Capacity,
    hello: Hello,
    allows: Arc<Allows>,
    is_ephemeral: bool,
    lines: broadcast::Sender<Bytes>,
    /// Engine work: finished before the end.
    work: JoinSet<Done>,
    /// Pulls, timers, probes, samples: given up at the end.
    waits: JoinSet<Done>,
    pulls: HashMap<String, AbortHandle>,
    slots: Arc<Slots>,
    secrets: Secrets,
    inputs: mpsc::Sender<Input>,
    inputs_rx: mpsc::Receiver<Input>,
    /// Absent while a sample is being taken.
    sampler: Option<Box<Sampler>>,
    /// Told once, when the engine's containers or its problem are known.
    adopted: Option<oneshot::Sender<()>>,
}

impl<R: Runtime> Driver<R> {
    pub(super) fn new(
        config: &Config,
        runtime: Arc<R>,
        capacity: Capacity,
        adopted: oneshot::Sender<()>,
    ) -> Self {
        let (inputs, inputs_rx) = mpsc::channel(SIGNS);
        Self {
            core: Worker::new(config.limits.clone()),
            runtime,
            host: capacity,
            hello: Hello {
                identity: config.identity,
                capacity,
                runtime_problem: String::new(),
                facts: facts(&config.labels),
                allows: config.limits.allows.clone(),
            },
            allows: Arc::new(config.limits.allows.clone()),
            is_ephemeral: config.ephemeral,
            lines: broadcast::channel(LINES).0,
            work: JoinSet::new(),
            waits: JoinSet::new(),
            pulls: HashMap::new(),
            slots: Arc::default(),
            secrets: Secrets::new(config.identity),
            inputs,
            inputs_rx,
            sampler: Some(Box::default()),
            adopted: Some(adopted),
        }
    }

    /// Until `token` is cancelled; then what is under way is finished.
    pub(super) async fn run(
        mut self,
        mut commands: mpsc::Receiver<Command>,
        token: CancellationToken,
    ) -> Result<(), String> {
        let (signs, mut signs_rx) = mpsc::channel::<Sign>(SIGNS);
        let mut watching = JoinSet::new();
        watching.spawn(effects::watch(Arc::clone(&self.runtime), signs));
        let mut heartbeat = interval(HEARTBEAT);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut sample = interval(SAMPLE_EVERY);
        sample.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut batch = Vec::with_capacity(BATCH);
        loop {
            let turn = tokio::select! {
                count = commands.recv_many(&mut batch, BATCH) => {
                    if count == 0 { Turn::End } else { Turn::Commands }
                }
                Some(sign) = signs_rx.recv() => Turn::Input(sign.into()),
                Some(input) = self.inputs_rx.recv() => Turn::Input(input),
                Some(done) = self.work.join_next() => Turn::Done(done),
                Some(done) = self.waits.join_next() => Turn::Done(done),
                _ = heartbeat.tick() => Turn::Heartbeat,
                _ = sample.tick() => Turn::Sample,
                () = lease_end(self.core.lease_ends()) => Turn::Input(Input::LeaseEnds),
                () = token.cancelled() => Turn::End,
            };
            match turn {
                Turn::Commands => batch.drain(..).for_each(|command| self.command(command)),
                Turn::Input(input) => {
                    self.input(input);
                }
                Turn::Done(done) => {
                    // What an effect told on its way comes before its end.
                    while let Ok(input) = self.inputs_rx.try_recv() {
                        self.input(input);
                    }
                    self.done(done);
                    while let Some(done) = self.work.try_join_next() {
                        self.done(done);
                    }
                }
                Turn::Heartbeat => {
                    self.heartbeat();
                    self.input(Input::Tick);
                    // Before that, nobody knows which are needed.
                    if self.core.has_adopted() {
                        self.secrets.sweep(|run| self.core.may_need(run));
                    }
                }
                Turn::Sample => self.sample(),
                Turn::End => break,
            }
        }
        drop(signs_rx);
        watching.shutdown().await;
        self.drain().await
    }

    fn command(&mut self, command: Command) {
        // Whoever asked may have gone; then the answer has no reader, and that is all.
        match command {
            Command::Events(events, secrets, answer) => {
                let answers = events.into_iter().map(|event| self.event(event, &secrets));
                let _ = answer.send(answers.collect());
            }
            Command::Add(event, answer) => {
                let id = event.task.id;
                let answered = self.ask(Input::Event(event));
                let _ = answer.send((answered, self.core.task(id).cloned()));
            }
            Command::Stop(id, answer) => {
                let _ = answer.send(self.ask(Input::Stop(id)));
            }
            Command::RenewLease(reading, answer) => {
                let _ = answer.send(self.ask(Input::RenewLease(reading)));
            }
            Command::Tasks(answer) => {
                let _ = answer.send(self.core.tasks().cloned().collect());
            }
            Command::TaskCount(answer) => {
                let _ = answer.send(self.core.task_count());
            }
            Command::NewestContainer(id, answer) => {
                let state = self.core.task(id).map(|task| task.status.state);
                let _ = answer.send((state, self.core.newest_container(id)));
            }
            Command::Subscribe(answer) => {
                let _ = answer.send(self.subscription());
            }
        }
    }

    /// The secrets are there before the core can want to start anything.
    fn event(&mut self, event: TaskEvent, secrets: &Values) -> EventAnswer {
        let run = Run::of(&event.task);
        if let Err(missing) = self.secrets.hold(&event, secrets) {
            return EventAnswer::refused(400, missing);
        }
        let answer = self.ask(Input::Event(event));
        if !self.core.is_yet_to_start(run) {
            self.secrets.let_go(run);
        }
        answer
    }

    fn ask(&mut self, input: Input) -> EventAnswer {
        self.input(input).expect("the core answers every wish")
    }

    fn input(&mut self, input: Input) -> Option<EventAnswer> {
        if let Input::Started { run, .. } = &input {
            self.secrets.let_go(*run);
        }
        let Output { answer, reports, effects } = self.core.at(since_boot()).handle(Timestamp::now(), input);
        for report in &reports {
            if let Report::Task(task) = report
                && task.status.state.has_ended()
            {
                self.secrets.let_go(Run::of(task));
            }
            self.tell(report);
        }
        for effect in effects {
            self.carry_out(effect);
        }
        let is_known = self.core.has_adopted() || !self.is_still_looking();
        if is_known && let Some(adopted) = self.adopted.take() {
            let _ = adopted.send(());
        }
        answer
    }

    /// No sign has come from the engine yet, good or bad.
    fn is_still_looking(&self) -> bool {
        self.core.runtime_problem() == super::core::STILL_LOOKING
    }

    fn done(&mut self, done: Result<Done, JoinError>) {
        match done {
            Ok(Done::Input(Some(input))) => {
                if let Input::Pulled { image, .. } = &input {
                    self.pulls.remove(image);
                }
                self.input(input);
            }
            Ok(Done::Input(None)) => {}
            Ok(Done::Sampled(sampler, sample)) => {
                self.sampler = Some(sampler);
                self.tell(&Report::Sample(sample));
            }
            Err(error) if error.is_cancelled() => {}
            Err(error) => tracing::error!(%error, "an effect broke off; please report this"),
        }
    }

    fn carry_out(&mut self, effect: Effect) {
        let runtime = Arc::clone(&self.runtime);
        let (slots, inputs) = (Arc::clone(&self.slots), self.inputs.clone());
        match effect {
            Effect::AbandonPull { image } => {
                if let Some(pull) = self.pulls.remove(&image) {
                    pull.abort();
                }
            }
            Effect::Pull { image } => {
                let name = image.clone();
                let effect = Effect::Pull { image };
                let pull = self
                    .waits
                    .spawn(async move { Done::Input(effects::run(runtime, effect, slots, inputs).await) });
                self.pulls.insert(name, pull);
            }
            Effect::Later { .. } | Effect::ProbeLater { .. } | Effect::Probe { .. } => {
                self.waits
                    .spawn(async move { Done::Input(effects::run(runtime, effect, slots, inputs).await) });
            }
            Effect::Start { task } => {
                let (given, allows) = (self.secrets.give(&task), Arc::clone(&self.allows));
                self.work
                    .spawn(async move { Done::Input(effects::start(runtime, task, given, &allows).await) });
            }
            Effect::Stop { .. } | Effect::Remove { .. } | Effect::Inspect { .. } => {
                self.work
                    .spawn(async move { Done::Input(effects::run(runtime, effect, slots, inputs).await) });
            }
        }
    }

    fn tell(&self, report: &Report) {
        if self.lines.receiver_count() > 0 {
            // Without a receiver it is lost, which is right.
            let _ = self.lines.send(line(report));
        }
    }

    fn heartbeat(&mut self) {
        // Before the heartbeat, so that a lease is known before any work comes.
        let clock = self.core.at(since_boot()).lease_clock();
        self.tell(&Report::LeaseClock(clock));
        self.tell_capacity();
        self.tell(&Report::Heartbeat { runtime_problem: self.core.runtime_problem().to_owned() });
    }

    /// Of the worker as it is now.
    fn hello(&self) -> Report {
        let runtime_problem = self.core.runtime_problem().to_owned();
        let facts = Facts { engine: self.runtime.version(), ..self.hello.facts.clone() };
        Report::Hello(Hello { runtime_problem, facts, ..self.hello.clone() })
    }

    /// An engine that came late, or came back with more or less, is told as a worker is that comes.
    fn tell_capacity(&mut self) {
        let capacity = self.runtime.share_of(self.host);
        if capacity != self.hello.capacity && self.core.has_adopted() {
            self.hello.capacity = capacity;
            self.tell(&self.hello());
            self.tell(&Report::Tasks(self.core.tasks().cloned().collect()));
        }
    }

    /// What a manager hears first. All tasks only once they are known: what is missing in that list does not
    /// exist here.
    fn subscription(&mut self) -> Subscription {
        let rest = self.lines.subscribe();
        // The clock before the Hello, after which work may come.
        let clock = self.core.at(since_boot()).lease_clock();
        let mut first = vec![line(&Report::LeaseClock(clock))];
        self.hello.capacity = self.runtime.share_of(self.host);
        first.push(line(&self.hello()));
        if self.core.has_adopted() {
            first.push(line(&Report::Tasks(self.core.tasks().cloned().collect())));
        }
        let runtime_problem = self.core.runtime_problem().to_owned();
        first.push(line(&Report::Heartbeat { runtime_problem }));
        Subscription { first, rest }
    }

    fn sample(&mut self) {
        if self.lines.receiver_count() == 0 {
            return;
        }
        let Some(mut sampler) = self.sampler.take() else { return };
        let live: Vec<(TaskId, String)> =
            self.core.live().map(|(task, container)| (task, container.to_owned())).collect();
        let task_count = self.core.task_count();
        let runtime = Arc::clone(&self.runtime);
        self.waits.spawn(async move {
            let sample = sampler.sample(Timestamp::now(), task_count, &live, &*runtime);
            Done::Sampled(sampler, sample)
        });
    }

    async fn drain(mut self) -> Result<(), String> {
        self.waits.shutdown().await;
        let deadline = Instant::now() + DRAIN;
        loop {
            tokio::select! {
                done = self.work.join_next() => match done {
                    // Results only: nothing new is begun.
                    Some(Ok(Done::Input(Some(input)))) => {
                        let output = self.core.at(since_boot()).handle(Timestamp::now(), input);
                        output.reports.iter().for_each(|report| self.tell(report));
                    }
                    Some(_) => {}
                    None => break,
                },
                () = sleep_until(deadline) => break,
            }
        }
        self.work.shutdown().await;
        // Without a look at the engine nothing was started, and nothing can be left.
        if self.is_ephemeral && self.core.has_adopted() {
            effects::remove_all(&*self.runtime).await?;
            self.secrets.sweep(|_| false);
        }
        Ok(())
    }
}

/// The clock that leases go by: nobody can set it, and it goes on while the host is suspended.
fn since_boot() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    Duration::new(now.tv_sec.unsigned_abs(), u32::try_from(now.tv_nsec).unwrap_or(0))
}

async fn lease_end(ends: Option<Duration>) {
    match ends {
        Some(ends) => tokio::time::sleep(ends.saturating_sub(since_boot())).await,
        None => std::future::pending().await,
    }
}

fn line(report: &Report) -> Bytes {
    let mut line = serde_json::to_vec(report).expect("a report is JSON with string keys");
    line.push(b'\n');
    line.into()
}
