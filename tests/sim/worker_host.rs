//! A worker's machine: its core, its engine, its clock, and what a kill or a crash does to them.

use std::time::Duration;

use cube_tui::task::{TaskId, WorkerId};
use cube_tui::worker::report::{EventAnswer, LeaseClock, Report};
use cube_tui::worker::runtime::{Exit, Probed, Run, RuntimeError, Started};
use cube_tui::worker::{self, Limits, Worker};
use jiff::SignedDuration;

use crate::engine::{Behaviour, Engine, behaviour, refuses};
use crate::event::{Event, Trouble};
use crate::network::Net;
use crate::world::World;

const HEARTBEAT: Duration = Duration::from_secs(2);

pub struct WorkerHost {
    pub id: WorkerId,
    pub core: Option<Worker>,
    pub life: u32,
    /// The machine is on; the worker's process may still be down.
    pub is_on: bool,
    /// It crashed and nobody repairs it.
    pub is_gone_for_good: bool,
    pub engine: Engine,
    pub net: Net,
    /// The report stream to the manager; 0 is none.
    pub session: u64,
    /// The stream that lost a line, and so delivers no further one.
    pub silent_session: u64,
    /// When the last line sent will have arrived.
    pub last_line: Duration,
    /// How far its wall clock is off.
    pub clock: SignedDuration,
    pub paused_until: Duration,
    /// When the machine was switched on.
    booted: Duration,
    /// The end of a lease for which an event lies in the queue.
    lease_end: Option<Duration>,
    /// Two faults at once let an Exclusive task of it overlap, until none runs here.
    pub is_excused: bool,
    /// Until then its engine is slow, or answers nothing.
    engine_is_slow_until: Duration,
    engine_hangs_until: Duration,
}

impl WorkerHost {
    pub fn new(number: usize) -> Self {
        Self {
            id: WorkerId::from(format!("worker-{number}").as_str()),
            core: None,
            life: 0,
            is_on: true,
            is_gone_for_good: false,
            engine: Engine::default(),
            net: Net::default(),
            session: 0,
            silent_session: 0,
            last_line: Duration::ZERO,
            clock: SignedDuration::ZERO,
            paused_until: Duration::ZERO,
            booted: Duration::ZERO,
            lease_end: None,
            is_excused: false,
            engine_is_slow_until: Duration::ZERO,
            engine_hangs_until: Duration::ZERO,
        }
    }
}

impl World {
    pub fn worker_start(&mut self, worker: usize) {
        if self.workers[worker].is_gone_for_good {
            return;
        }
        if !self.workers[worker].is_on {
            self.workers[worker].is_on = true;
            self.workers[worker].booted = self.now;
        }
        if self.workers[worker].core.is_some() {
            return;
        }
        self.workers[worker].core = Some(Worker::new(Limits { start_concurrency: 2, ..Limits::default() }));
        let life = self.workers[worker].life;
        let found = self.workers[worker].engine.containers.values().cloned().collect();
        for input in [worker::Input::Listed(found), worker::Input::RuntimeHealth(String::new())] {
            self.work(worker, input);
        }
        self.after(HEARTBEAT, Event::Heartbeat { worker, life });
    }

    /// The process is gone; what it asked its engine for may still be done. Its connections break at once.
    pub fn kill_worker(&mut self, worker: usize) {
        // It may just have asked for the stop of one whose lease ended; to the next worker that is somebody's removal.
        let exclusive = self.workers[worker].engine.live().filter(|found| found.task.spec.exclusive);
        self.harmed.extend(exclusive.map(|found| found.run.task));
        let host = &mut self.workers[worker];
        host.core = None;
        host.life += 1;
        host.paused_until = Duration::ZERO;
        let session = host.session;
        self.cut(worker, session);
    }

    /// The machine is gone, and its containers with it; nobody says goodbye.
    pub fn crash_host(&mut self, worker: usize) {
        self.stream_falls_silent(worker);
        let host = &mut self.workers[worker];
        host.core = None;
        host.life += 1;
        host.is_on = false;
        host.paused_until = Duration::ZERO;
        let lost = std::mem::take(&mut host.engine.containers);
        self.harmed.extend(lost.into_values().map(|found| found.run.task));
        self.is_touched = true;
    }

    /// It stands still (SIGSTOP): connections are accepted by its kernel, and nothing is answered.
    pub fn pause_worker(&mut self, worker: usize, time: Duration) {
        let host = &mut self.workers[worker];
        host.paused_until = host.paused_until.max(self.now + time);
        let session = self.workers[worker].session;
        if time > Duration::from_secs(5) && session != 0 {
            self.after(Duration::from_secs(5), Event::Cut { worker, session });
        }
    }

    pub fn slow_engine(&mut self, worker: usize, time: Duration) {
        self.workers[worker].engine_is_slow_until = self.now + time;
    }

    /// The engine answers nothing; its worker notices some seconds later.
    pub fn hang_engine(&mut self, worker: usize, time: Duration) {
        self.workers[worker].engine_hangs_until = self.now + time;
        let life = self.workers[worker].life;
        let problem = worker::Input::RuntimeHealth("the engine does not answer".into());
        self.after(
            Duration::from_secs(3).min(time / 2),
            Event::Tell { worker, life, input: Box::new(problem) },
        );
        self.after(time, Event::Heal(Trouble::HungEngine { worker }));
    }

    pub fn engine_answers_again(&mut self, worker: usize) {
        if self.now >= self.workers[worker].engine_hangs_until {
            self.sign(worker, worker::Input::RuntimeHealth(String::new()));
        }
    }

    pub fn heartbeat(&mut self, worker: usize, life: u32) {
        let host = &self.workers[worker];
        if host.life != life {
            return;
        }
        if let Some(core) = &host.core {
            let runtime_problem = core.runtime_problem().to_owned();
            let clock = self.lease_clock(worker);
            self.send_line(worker, &Report::LeaseClock(clock));
            self.send_line(worker, &Report::Heartbeat { runtime_problem });
            self.after(HEARTBEAT, Event::Heartbeat { worker, life });
        }
    }

    /// What the engine tells a worker of its own accord. It is told again by the list at the next start.
    pub fn sign(&mut self, worker: usize, input: worker::Input) {
        let life = self.workers[worker].life;
        let wait = self.delay();
        self.after(wait, Event::Tell { worker, life, input: Box::new(input) });
    }

    pub fn exit(&mut self, worker: usize, container: &str, code: i64) {
        let exit = Exit { code, out_of_memory: false, at: Some(self.wall(self.workers[worker].clock)) };
        let engine = &mut self.workers[worker].engine;
        if engine.exit(container, exit)
            && let Some(run) = engine.containers.get(container).map(|found| found.run)
        {
            self.is_touched = true;
            self.sign(worker, worker::Input::Exited { run, container: container.to_owned(), exit });
        }
    }

    pub fn work(&mut self, worker: usize, input: worker::Input) -> Option<EventAnswer> {
        let now = self.wall(self.workers[worker].clock);
        let life = self.workers[worker].life;
        let since_boot = self.since_boot(worker);
        let core = self.workers[worker].core.as_mut()?;
        let output = core.at(since_boot).handle(now, input);
        let lease_end = core.lease_ends();
        self.expect_lease_end(worker, lease_end);
        for report in output.reports {
            self.send_line(worker, &report);
        }
        for effect in output.effects {
            let wait = if let worker::Effect::Later { after, .. } | worker::Effect::ProbeLater { after, .. } =
                &effect
            {
                *after
            } else {
                let mut usual = Duration::from_millis(self.rng.u64(1..400));
                if let worker::Effect::Stop { grace, .. } = &effect
                    && self.misfortune(30)
                {
                    // A program that does not care for SIGTERM.
                    usual += *grace;
                }
                let host = &self.workers[worker];
                let (slow_until, hangs_until) = (host.engine_is_slow_until, host.engine_hangs_until);
                let slow = if self.now < slow_until { self.within(Duration::from_secs(20)) } else { usual };
                slow.max(hangs_until.saturating_sub(self.now) + usual)
            };
            self.after(wait, Event::Engine { worker, life, effect: Box::new(effect) });
        }
        output.answer
    }

    fn since_boot(&self, worker: usize) -> Duration {
        self.now.saturating_sub(self.workers[worker].booted) + Duration::from_mins(1)
    }

    pub fn lease_clock(&mut self, worker: usize) -> LeaseClock {
        let since_boot = self.since_boot(worker);
        let core = self.workers[worker].core.as_mut();
        core.map(|core| core.at(since_boot).lease_clock()).expect("only a worker that runs is asked")
    }

    fn expect_lease_end(&mut self, worker: usize, end: Option<Duration>) {
        if self.workers[worker].lease_end == end {
            return;
        }
        self.workers[worker].lease_end = end;
        if let Some(end) = end {
            let (life, wait) = (self.workers[worker].life, end.saturating_sub(self.since_boot(worker)));
            self.after(wait, Event::Tell { worker, life, input: Box::new(worker::Input::LeaseEnds) });
        }
    }

    /// What no lease can help against: a worker that is gone or stands still, and nobody can see that from outside;
    /// an engine that does not stop or start things in time.
    pub fn excuse_two_faults_at_once(&mut self) {
        for worker in 0..self.workers.len() {
            let is_seen = self.can_reach(worker) && self.is_heard(worker);
            let host = &self.workers[worker];
            let acts = host.core.is_some() && self.now >= host.paused_until;
            let is_slow = self.now < host.engine_is_slow_until.max(host.engine_hangs_until);
            let is_at_fault = host.is_on && ((!acts && !is_seen) || is_slow);
            let runs = host.engine.live().any(|found| found.task.spec.exclusive);
            self.workers[worker].is_excused = is_at_fault || (host.is_excused && (runs || !acts));
        }
    }

    /// The engine does what it was asked, also when the asking worker is gone by then.
    pub fn engine(&mut self, worker: usize, life: u32, effect: worker::Effect) {
        if !self.workers[worker].is_on {
            return;
        }
        let is_for_exclusive = |task: &TaskId| {
            self.submitted.iter().any(|event| event.task.id == *task && event.task.spec.exclusive)
        };
        // An engine that fails to stop an Exclusive task in time is a fault that no lease helps against.
        let is_spared = matches!(&effect, worker::Effect::Stop { task, .. } if is_for_exclusive(task));
        let fails = !is_spared && self.misfortune(5);
        self.is_touched = true;
        let no_answer = || RuntimeError::Unreachable("the engine does not answer".into());
        let engine = &mut self.workers[worker].engine;
        let input = match effect {
            worker::Effect::Start { task } => {
                if self.workers[worker].life != life && self.rng.bool() {
                    return;
                }
                let fails = fails && !refuses(worker, &task.spec.image);
                if fails {
                    self.harmed.insert(task.id);
                }
                let since_boot = self.since_boot(worker);
                let host = &mut self.workers[worker];
                // An engine that was so slow that the lease ended meanwhile, or the worker that asked for it.
                let is_late = host.life != life || host.lease_end.is_none_or(|end| end <= since_boot);
                // Nor does its worker know what to stop if the lease ends before an unanswered start is looked at.
                host.is_excused |= task.spec.exclusive && (is_late || fails);
                let run = Run::of(&task);
                let image = &task.spec.image;
                if refuses(worker, image) {
                    let error = if worker.is_multiple_of(2) {
                        RuntimeError::ImageMissing(image.clone())
                    } else {
                        RuntimeError::Refused("no space left".into())
                    };
                    self.work_if_alive(worker, life, worker::Input::StartFailed { run, error });
                    return;
                }
                let started = self.start_container(worker, &task);
                if fails {
                    worker::Input::StartFailed { run, error: no_answer() }
                } else {
                    worker::Input::Started { run, started }
                }
            }
            worker::Effect::Pull { image } => {
                let is_refused = refuses(worker, &image);
                let result =
                    if is_refused { Err(RuntimeError::Refused("no such image".into())) } else { Ok(()) };
                worker::Input::Pulled { image, result }
            }
            worker::Effect::AbandonPull { .. } => return,
            worker::Effect::Stop { task, container, grace: _ } => {
                if !fails && let Some(found) = engine.containers.remove(&container) {
                    // The engine tells everybody, also who started after this was asked for.
                    let container = container.clone();
                    self.sign(worker, worker::Input::Gone { run: found.run, container });
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
                let passes = !self.misfortune(40);
                let result = if passes { Probed::Passed } else { Probed::Failed("no".into()) };
                if !passes {
                    self.harmed.insert(run.task);
                }
                worker::Input::Probed { run, container, took: Duration::ZERO, result }
            }
        };
        self.work_if_alive(worker, life, input);
    }

    fn work_if_alive(&mut self, worker: usize, life: u32, input: worker::Input) {
        let host = &self.workers[worker];
        if host.life == life {
            // A worker that stands still finds the answer when it goes on.
            let wait = host.paused_until.saturating_sub(self.now);
            if wait.is_zero() {
                self.work(worker, input);
            } else {
                self.after(wait, Event::Tell { worker, life, input: Box::new(input) });
            }
        }
    }

    fn start_container(&mut self, worker: usize, task: &cube_tui::task::Task) -> Started {
        let now = self.wall(self.workers[worker].clock);
        let (container, was_there) = self.workers[worker].engine.start(task, now);
        if !was_there {
            if let Behaviour::Ends { after, code } = behaviour(task) {
                self.after(after, Event::Exit { worker, container: container.clone(), code });
            }
            // The engine tells everybody, also who never got the answer.
            self.sign(worker, worker::Input::Up { run: Run::of(task), container: container.clone() });
        }
        Started { container, was_there }
    }

    /// Somebody removes one of a worker's containers.
    pub fn remove_a_container(&mut self, worker: usize) {
        let engine = &mut self.workers[worker].engine;
        if let Some((container, found)) = engine.containers.pop_first() {
            self.is_touched = true;
            // Also of one that has ended: its worker may not have heard of it.
            self.harmed.insert(found.run.task);
            self.sign(worker, worker::Input::Gone { run: found.run, container });
        }
    }
}
