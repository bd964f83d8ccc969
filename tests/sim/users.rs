//! Users: they submit tasks and stop some, and try again until somebody says that it was done.

use std::sync::Arc;
use std::time::Duration;

use cube_tui::cluster::{Cause, SchedulerName};
use cube_tui::manager::decide::{Answer, Input};
use cube_tui::manager::request::{AvailabilityWish, RebalanceWish};
use cube_tui::task::{EventId, HealthCheck, Probe, RestartPolicy, State, Task, TaskEvent, TaskId, TaskSpec};
use jiff::SignedDuration;

use crate::engine::{ANSWERS_4XX, image_refused_by};
use crate::event::Event;
use crate::world::World;

const TRY_AGAIN: Duration = Duration::from_secs(2);

impl World {
    /// A task whose program behaves as the first part of its name says.
    pub fn task(&mut self, kind: &str, restart_policy: RestartPolicy) -> TaskEvent {
        let name = format!("{kind}-{}", self.rng.u32(..));
        let exclusive = kind == "single";
        let image = "sim:1".into();
        // In the bad times of every third its probes may fail.
        let is_checked = self.is_turmoil() && self.submitted.len().is_multiple_of(3);
        let health_check = is_checked.then(|| HealthCheck {
            interval_s: 8,
            retries: 2,
            start_period_s: 5,
            ..HealthCheck::new(Probe::Tcp { port: Some(1) })
        });
        // Some take room, and in a small cluster not all of them have it.
        let cpu = if self.is_turmoil() { f64::from(self.rng.u8(0..4)) / 2.0 } else { 0.0 };
        // Some go before others, and some of those take their room.
        let priority = if self.is_turmoil() { i32::from(self.rng.u8(0..3)) } else { 0 };
        let preempt = self.misfortune(30);
        let spec = TaskSpec {
            name,
            image,
            restart_policy,
            exclusive,
            health_check,
            cpu,
            priority,
            preempt,
            ..TaskSpec::default()
        };
        let task = Task { id: TaskId(self.uuid()), spec: spec.into(), ..Task::default() };
        let timestamp = self.wall(SignedDuration::ZERO);
        TaskEvent { id: EventId(self.uuid()), state: State::Running, timestamp, task }
    }

    pub fn some_task(&mut self) -> TaskEvent {
        let mut event = self.some_kind_of_task();
        if self.rng.u8(0..4) == 0 {
            // Some or all of the workers can't start it.
            let who = self.rng.u32(1..16) | if self.rng.u8(0..3) == 0 { ANSWERS_4XX } else { 0 };
            Arc::make_mut(&mut event.task.spec).image = image_refused_by(who);
        }
        event
    }

    fn some_kind_of_task(&mut self) -> TaskEvent {
        let (kind, restart_policy) = match self.rng.u8(0..8) {
            0 => ("good", RestartPolicy::OnFailure(Some(2))),
            1 => ("bad", RestartPolicy::OnFailure(Some(2))),
            2 => ("bad", RestartPolicy::No),
            3 => ("stays", RestartPolicy::Always),
            4 => ("single", RestartPolicy::No),
            5 => ("single", RestartPolicy::Always),
            _ => ("stays", RestartPolicy::No),
        };
        self.task(kind, restart_policy)
    }

    pub fn submit(&mut self, event: TaskEvent) {
        let task = event.task.id;
        if !self.submitted.iter().any(|before| before.task.id == task) {
            self.submitted.push(event.clone());
        }
        let mut has_heard = false;
        for _ in 0..self.copies.max(usize::from(self.misfortune(20)) + 1) {
            let submit = Input::Submit { request: 1, cause: Cause::Command, events: vec![event.clone()] };
            for answer in self.manage(submit) {
                if let Ok(Answer::Submitted(_)) = answer {
                    self.acknowledged.insert(task);
                    has_heard = !self.misfortune(10);
                }
            }
        }
        if !has_heard {
            self.after(TRY_AGAIN, Event::Submit(event.into()));
        }
    }

    pub fn some_wish(&mut self) -> AvailabilityWish {
        match self.rng.u8(0..5) {
            0 => AvailabilityWish::Cordon,
            1 => AvailabilityWish::Uncordon,
            2 => AvailabilityWish::Drain { within_s: Some(self.rng.u64(0..60)) },
            _ => AvailabilityWish::Drain { within_s: None },
        }
    }

    pub fn set_availability(&mut self, worker: usize, wish: AvailabilityWish) {
        let id = self.workers[worker].id.clone();
        let input = Input::SetAvailability { request: 3, cause: Cause::Command, worker: id, wish };
        let answers = self.manage(input);
        if !answers.iter().any(Result::is_ok) {
            self.after(TRY_AGAIN, Event::Availability { worker, wish });
        }
    }

    pub fn rebalance(&mut self) {
        let wish = RebalanceWish { moves: self.rng.usize(1..20), plan: self.rng.bool() };
        let answers = self.manage(Input::Rebalance { request: 5, wish });
        let is_done = answers.iter().all(|answer| matches!(answer, Ok(Answer::Rebalanced(_))));
        assert!(is_done, "{answers:?}");
    }

    pub fn set_scheduler(&mut self, scheduler: SchedulerName) {
        let input = Input::SetScheduling {
            request: Some(4),
            cause: Cause::Command,
            scheduler: Some(scheduler),
            overcommit: None,
        };
        if !self.manage(input).iter().any(Result::is_ok) {
            self.after(TRY_AGAIN, Event::Scheduler(scheduler));
        }
    }

    pub fn stop_some(&mut self) {
        if let Some(task) = self.rng.choice(&self.submitted).map(|event| event.task.id) {
            self.stop(task);
        }
    }

    pub fn restart_some(&mut self) {
        if let Some(task) = self.rng.choice(&self.submitted).map(|event| event.task.id) {
            self.restart(task);
        }
    }

    pub fn restart(&mut self, task: TaskId) {
        // From here on, also if nobody hears that it was done. How often it runs then, and how it ends, is anybody's
        // guess.
        self.stopped.remove(&task);
        self.harmed.insert(task);
        let mut has_heard = false;
        for _ in 0..self.copies {
            let restart = Input::Restart { request: 3, cause: Cause::Command, tasks: vec![task] };
            for answer in self.manage(restart) {
                if let Ok(Answer::Restarted(_)) = answer {
                    has_heard = !self.misfortune(10);
                }
            }
        }
        if !has_heard {
            self.after(TRY_AGAIN, Event::Restart(task));
        }
    }

    pub fn stop(&mut self, task: TaskId) {
        let mut has_heard = false;
        for _ in 0..self.copies {
            let stop = Input::Stop { request: 2, cause: Cause::Command, tasks: vec![task] };
            for answer in self.manage(stop) {
                if let Ok(Answer::Stopping(_)) = answer {
                    self.stopped.insert(task);
                    has_heard = !self.misfortune(10);
                }
            }
        }
        // Also of one that is yet to be accepted: nobody knows it so far.
        if !has_heard {
            self.after(TRY_AGAIN, Event::Stop(task));
        }
    }
}
