//! Forgetting: a lost worker that is not of this run is counted on no more. What it may have run is wanted elsewhere.
//! Knows no link.

use super::{Answer, Effect, Manager, RequestId, Turn};
use crate::cluster::{Cause, What, WorkerHealth};
use crate::manager::request::{Forgotten, RequestError};
use crate::task::{State, WorkerId};

impl Manager {
    pub(super) fn forget(&mut self, turn: &mut Turn, request: RequestId, cause: Cause, worker: &WorkerId) {
        let answer = match self.no_forgetting(worker) {
            Some(why) => Err(RequestError::Invalid(why)),
            None => Ok(Answer::Forgotten(self.forget_worker(turn, cause, worker))),
        };
        turn.effect(Effect::Answer { request, answer });
    }

    fn no_forgetting(&self, worker: &WorkerId) -> Option<String> {
        let Some(record) = self.cluster.worker(worker) else {
            return Some(format!("no worker is called {worker}; `cube-tui workers` lists them"));
        };
        if self.configured.contains(worker) {
            return Some(format!(
                "{worker} is a worker of this run and may come back; start the manager without it first"
            ));
        }
        (record.health != WorkerHealth::Lost)
            .then(|| format!("{worker} is {}; only a lost worker can be forgotten", record.health.name()))
    }

    /// Its tasks wait for another worker, the Exclusive ones too: who forgets a worker says that it is gone. A stop
    /// that waited for it is done with it.
    fn forget_worker(&mut self, turn: &mut Turn, cause: Cause, worker: &WorkerId) -> Forgotten {
        let tasks = self.assigned(worker);
        let mut moved = 0;
        for &task in &tasks {
            let Some(record) = self.cluster.task(task).filter(|record| !record.state().has_ended()) else {
                continue;
            };
            let reason = format!("its worker {worker} was forgotten");
            if record.is_stopping() {
                self.change(turn, cause, What::Ended { task, state: State::Completed, reason });
                self.after_end(turn, task);
            } else {
                self.change(turn, cause, What::Returned { task, reason, retry_at: turn.now.wall });
                self.queue(turn, task);
                moved += 1;
            }
        }
        self.change(turn, cause, What::Forgotten { worker: worker.clone() });
        self.leaving.forget(worker, &tasks);
        self.drains.remove(worker);
        self.loads.forget(worker);
        self.watches.remove(worker);
        self.in_flight.remove(worker);
        self.retell();
        self.note_news(turn.now);
        Forgotten { worker: worker.clone(), moved }
    }
}
