//! The network between the manager and its workers: POSTs and their answers one way, report streams the other, and what
//! gets lost on either.

use std::time::Duration;

use cube_tui::cluster::{Allows, Capacity, Facts, Peer};
use cube_tui::manager::decide::{Input, SendOutcome, Wish};
use cube_tui::task::{EventId, State, Task, TaskEvent, WorkerId};
use cube_tui::worker;
use cube_tui::worker::report::{Hello, Report};
use jiff::SignedDuration;
use uuid::Uuid;

use crate::engine::answers_4xx;
use crate::event::{Direction, Event, Trouble};
use crate::world::World;

/// Of every worker.
pub const CPUS: f64 = 4.0;

/// At most; the link's own retries begin with a tenth of it.
const RECONNECT: Duration = Duration::from_secs(1);
/// How long the manager's client waits for an answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(4);
/// How long its end of a stream waits for the next line.
const STREAM_SILENCE: Duration = Duration::from_secs(5);

/// What is wrong between the manager and one worker.
#[derive(Clone, Copy, Debug, Default)]
pub struct Net {
    pub to_is_lost: bool,
    pub from_is_lost: bool,
}

impl World {
    /// What is sent arrives.
    pub fn can_reach(&self, worker: usize) -> bool {
        !self.workers[worker].net.to_is_lost && self.workers[worker].is_on
    }

    /// What is said arrives.
    pub fn is_heard(&self, worker: usize) -> bool {
        !self.workers[worker].net.from_is_lost && self.workers[worker].is_on
    }

    pub fn partition(&mut self, worker: usize, direction: Direction) {
        let net = &mut self.workers[worker].net;
        net.to_is_lost |= direction != Direction::FromWorker;
        net.from_is_lost |= direction != Direction::ToWorker;
        if direction != Direction::ToWorker {
            self.stream_falls_silent(worker);
        }
    }

    pub fn end_partition(&mut self, worker: usize, direction: Direction) {
        let net = &mut self.workers[worker].net;
        net.to_is_lost &= direction == Direction::FromWorker;
        net.from_is_lost &= direction == Direction::ToWorker;
    }

    /// One second up, one second down.
    pub fn flap(&mut self, worker: usize, times: u32) {
        if self.workers[worker].net.to_is_lost {
            self.end_partition(worker, Direction::Both);
        } else {
            self.workers[worker].net = Net { to_is_lost: true, from_is_lost: true };
            let session = self.workers[worker].session;
            self.cut(worker, session);
        }
        if times > 0 {
            self.after(
                Duration::from_secs(1),
                Event::Heal(Trouble::Flapping { worker, times: times.saturating_sub(1) }),
            );
        } else {
            self.end_partition(worker, Direction::Both);
        }
    }

    /// No more lines come; some time later the manager's end gives up.
    pub fn stream_falls_silent(&mut self, worker: usize) {
        let session = self.workers[worker].session;
        if session == 0 || self.workers[worker].silent_session == session {
            return;
        }
        self.workers[worker].silent_session = session;
        let notice = if self.is_turmoil() { self.within(STREAM_SILENCE) } else { STREAM_SILENCE };
        self.after(notice, Event::Cut { worker, session });
    }
}

/// There.
impl World {
    pub fn send(&mut self, worker: &WorkerId, wish: Wish, task: &Task) {
        let Some(to) = self.workers.iter().position(|host| host.id == *worker) else { return };
        let life = self.manager.life;
        if !self.can_reach(to) || self.misfortune(5) {
            let may_have_arrived = self.rng.bool();
            let outcome = SendOutcome::Failed { reason: "no answer in time".to_owned(), may_have_arrived };
            self.answer(to, wish, task, outcome, ANSWER_WITHIN);
            return;
        }
        // Late duplicates and lost answers are what a network may do to a POST.
        // HTTP itself delivers a POST once or not at all; who repeats one is the manager, and the start of an Exclusive
        // task it repeats nowhere else. So that one has no duplicates.
        let is_single = wish == Wish::Start && task.spec.exclusive;
        let copies = match self.misfortune(10) {
            _ if is_single => 1,
            true => self.rng.usize(2..=5),
            false => self.copies,
        };
        for copy in 0..copies {
            let wait = self.delay();
            let reply_is_lost = copy > 0 || self.loses_answers || !self.is_heard(to) || self.misfortune(5);
            if copy == 0 && (reply_is_lost || self.now < self.workers[to].paused_until) {
                let reason = "no answer in time".to_owned();
                let outcome = SendOutcome::Failed { reason, may_have_arrived: true };
                self.answer(to, wish, task, outcome, ANSWER_WITHIN);
            }
            let reply_is_lost = reply_is_lost || self.now < self.workers[to].paused_until;
            self.after(wait, Event::Post { to, wish, task: task.clone(), life, reply_is_lost });
        }
    }

    pub fn renew(&mut self, worker: &WorkerId, since_boot_ms: u64) {
        let Some(to) = self.workers.iter().position(|host| host.id == *worker) else { return };
        if self.can_reach(to) && !self.misfortune(5) {
            let reading = Duration::from_millis(since_boot_ms);
            let wait = self.delay();
            self.after(wait, Event::Renewal { to, reading });
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
        self.after(wait, Event::Answered { life: self.manager.life, input: Box::new(input) });
    }

    pub fn post(&mut self, to: usize, wish: Wish, task: &Task, life: u32, reply_is_lost: bool) {
        if self.workers[to].core.is_none() {
            if !reply_is_lost && life == self.manager.life {
                let reason = "connection refused".into();
                let outcome = SendOutcome::Failed { reason, may_have_arrived: false };
                self.answer(to, wish, task, outcome, Duration::from_millis(1));
            }
            return;
        }
        let (wanted, told) = match wish {
            Wish::Start => (State::Running, State::Scheduled),
            Wish::Stop => (State::Completed, State::Completed),
        };
        if wish == Wish::Start && answers_4xx(to, &task.spec.image) {
            if !reply_is_lost && life == self.manager.life {
                let outcome = SendOutcome::Refused { status: 400, message: "not here".into() };
                self.answer(to, wish, task, outcome, Duration::from_millis(1));
            }
            return;
        }
        let mut asked = task.clone();
        asked.status.state = told;
        let timestamp = self.wall(SignedDuration::ZERO);
        let event = TaskEvent { id: EventId(self.uuid()), state: wanted, timestamp, task: asked };
        let answer = self.work(to, worker::Input::Event(event));
        if reply_is_lost || life != self.manager.life {
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

/// Back.
impl World {
    pub fn connect(&mut self, worker: usize, life: u32) {
        if life != self.manager.life || self.manager.core.is_none() || self.workers[worker].session != 0 {
            return;
        }
        let host = &self.workers[worker];
        let listens = self.can_reach(worker) && self.is_heard(worker) && self.now >= host.paused_until;
        let tasks = match &host.core {
            Some(core) if listens && core.has_adopted() => core.tasks().cloned().collect(),
            _ => {
                let reason = "connection refused".into();
                let worker_id = host.id.clone();
                if self.can_reach(worker) && self.is_heard(worker) {
                    self.manage(Input::HostIsThere { worker: worker_id.clone() });
                }
                self.manage(Input::LinkDown { worker: worker_id, reason });
                self.connect_again(worker);
                return;
            }
        };
        let runtime_problem = host.core.as_ref().map(|core| core.runtime_problem().to_owned());
        let hello = Hello {
            allows: Allows::default(),
            identity: Uuid::nil(),
            capacity: Capacity { cpus: CPUS, memory_bytes: 8 << 30, ..Capacity::default() },
            runtime_problem: runtime_problem.unwrap_or_default(),
            facts: Facts::default(),
        };
        self.next_session += 1;
        self.workers[worker].session = self.next_session;
        self.workers[worker].last_line = self.now;
        for report in
            [Report::LeaseClock(self.lease_clock(worker)), Report::Hello(hello), Report::Tasks(tasks)]
        {
            self.send_line(worker, &report);
        }
    }

    pub fn send_line(&mut self, from: usize, report: &Report) {
        let session = self.workers[from].session;
        if session == 0 || session == self.workers[from].silent_session {
            return;
        }
        if !self.is_heard(from) {
            // A stream has no holes: what can't be sent ends it.
            self.stream_falls_silent(from);
            return;
        }
        // Lines keep their order.
        let when = (self.now + self.delay()).max(self.workers[from].last_line);
        self.workers[from].last_line = when;
        for _ in 0..self.copies {
            self.at(when, Event::Line { from, session, report: Box::new(report.clone()) });
        }
    }

    pub fn line(&mut self, from: usize, report: Report) {
        let worker = self.workers[from].id.clone();
        let input = match report {
            Report::Hello(hello) => Input::WorkerUp {
                allows: Some(hello.allows),
                worker,
                peer: Peer::Cube,
                capacity: hello.capacity,
                runtime_problem: hello.runtime_problem,
                facts: hello.facts.into(),
            },
            Report::Tasks(tasks) => Input::WorkerTasks { worker, tasks },
            Report::Task(task) => Input::WorkerTask { worker, task },
            Report::LeaseClock(clock) => Input::LeaseClock { worker, clock },
            Report::Heartbeat { runtime_problem } => Input::Heartbeat { worker, runtime_problem },
            Report::Progress(_) | Report::Sample(_) => return,
        };
        self.manage(input);
    }

    pub fn cut(&mut self, worker: usize, session: u64) {
        if session == 0 || self.workers[worker].session != session {
            return;
        }
        self.workers[worker].session = 0;
        let id = self.workers[worker].id.clone();
        self.manage(Input::LinkDown { worker: id, reason: "connection cut".into() });
        self.connect_again(worker);
    }

    fn connect_again(&mut self, worker: usize) {
        let wait = RECONNECT / 10 + self.within(RECONNECT * 9 / 10);
        self.after(wait, Event::Connect { worker, life: self.manager.life });
    }
}
