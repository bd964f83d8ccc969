//! The manager's machine: its core, its store, its clock, and what a kill or a full disk does to them.

use std::sync::Arc;
use std::time::Duration;

use cube_tui::manager::decide::{Answer, ConfiguredWorker, Decision, Effect, Input, Manager, Now};
use cube_tui::manager::request::RequestError;
use jiff::SignedDuration;

use crate::event::Event;
use crate::invariants;
use crate::world::World;

/// Between a failed write and the next look at the store, as in the driver.
const STORE_RETRY: Duration = Duration::from_secs(1);
const RESTART: Duration = Duration::from_secs(1);

#[derive(Default)]
pub struct ManagerHost {
    pub core: Option<Manager>,
    pub life: u32,
    /// Its process has not ended: what counts the time since its start goes on.
    is_process_alive: bool,
    started: Duration,
    /// How far its wall clock is off.
    pub clock: SignedDuration,
    /// When its next tick is due, if one lies in the queue.
    pub next_tick: Option<Duration>,
    pub paused_until: Duration,
    pub disk_is_full: bool,
}

impl World {
    pub fn manager_start(&mut self) {
        if self.manager.core.is_some() {
            return;
        }
        self.manager.core = Some(Manager::new(self.stored.clone()));
        if !self.manager.is_process_alive {
            self.manager.is_process_alive = true;
            self.manager.started = self.now;
        }
        let workers =
            self.workers.iter().map(|worker| ConfiguredWorker { id: worker.id.clone(), insecure: false });
        let workers = workers.collect();
        self.manage(Input::Started { workers });
        for worker in 0..self.workers.len() {
            self.after(Duration::ZERO, Event::Connect { worker, life: self.manager.life });
        }
    }

    pub fn kill_manager(&mut self) {
        self.manager.is_process_alive = false;
        self.manager.paused_until = Duration::ZERO;
        self.end_manager();
    }

    /// What it knew and had under way is gone.
    fn end_manager(&mut self) {
        self.manager.core = None;
        self.manager.life += 1;
        self.manager.next_tick = None;
        for worker in &mut self.workers {
            worker.session = 0;
        }
    }

    /// Has the manager decide, stores that, and lets its effects loose; the answers that got out.
    pub fn manage(&mut self, input: Input) -> Vec<Result<Answer, RequestError>> {
        let since_start = self.now.saturating_sub(self.manager.started);
        let wall = self.wall(self.manager.clock);
        let Some(manager) = &mut self.manager.core else { return vec![] };
        let Decision { changes, effects } = manager.handle(Now { wall, since_start }, input);
        let wake = manager.next_wake();
        if self.misfortune(1) {
            self.tell(|| "FAULT the manager is killed before it stored its decision".into());
            self.kill_manager();
            self.after(RESTART, Event::ManagerStart);
            return vec![];
        }
        if self.manager.disk_is_full && !changes.is_empty() {
            self.tell(|| "  the store refuses it".into());
            self.end_manager();
            self.after(STORE_RETRY, Event::ManagerStart);
            return vec![];
        }
        self.is_touched |= !changes.is_empty();
        for change in changes {
            self.tell(|| format!("  r{} {:?}", change.revision, change.what));
            invariants::change_is_legal(&self.stored, &change);
            invariants::none_is_tried_where_it_was_refused(&mut self.refused, &self.stored, &change);
            self.stored.apply(&change);
            if let Some(log) = &mut self.log {
                log.push(Arc::clone(&change));
            }
        }
        if self.misfortune(1) {
            self.tell(|| "FAULT the manager is killed before it acted on its decision".into());
            self.kill_manager();
            self.after(RESTART, Event::ManagerStart);
            return vec![];
        }
        invariants::nothing_is_sent_twice(&effects);
        let mut answers = vec![];
        for effect in effects {
            match effect {
                Effect::Answer { answer, .. } => answers.push(answer),
                // Who joins comes over HTTP, which there is none of here.
                Effect::Link { .. } | Effect::Unlink { .. } => {}
                Effect::RenewLease { worker, since_boot_ms } => self.renew(&worker, since_boot_ms),
                Effect::Send { worker, wish, task } => self.send(&worker, wish, &task),
            }
        }
        if let Some(due) = wake {
            let when = (self.manager.started + due).max(self.now);
            if self.manager.next_tick.is_none_or(|next| when < next) {
                self.manager.next_tick = Some(when);
                self.at(when, Event::ManagerTick { life: self.manager.life });
            }
        }
        answers
    }
}
