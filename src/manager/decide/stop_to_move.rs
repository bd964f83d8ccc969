//! What a drain stops here before it starts elsewhere: the stop goes out once, may be taken back until then, and its
//! task says for which drain it was. Knows no container.

use super::drain::may_leave;
use super::stop_task::STOP_AGAIN;
use super::{Manager, SendOutcome, Timer, Turn, Wish};
use crate::cluster::{Availability, Cause, TaskRecord, TaskRow, What};
use crate::task::{State, TaskId, TaskStatus, WorkerId};

/// How the reason begins of a task that is or was stopped for a drain; kept in the store, it says so after a restart too.
const STOPPED_FOR: &str = "stopped for the drain of ";

impl Manager {
    /// Its end brings it back to `pending`.
    pub(super) fn stop_to_move(&mut self, turn: &mut Turn, worker: &WorkerId, task: TaskId) {
        let Some(record) = self.cluster.task(task) else { return };
        self.drains.entry(worker.clone()).or_default().stopping.insert(task);
        self.tell_of_drain(turn, task, self.why_stopped(worker));
        self.send(turn, worker, Wish::Stop, record.task);
    }

    /// After a start: the stop may not have gone out before it. Of a drain that is over none does.
    pub(super) fn resume_stop_to_move(&mut self, row: &TaskRow) {
        let Some(worker) = self.cluster.worker_of(row.id()).filter(|_| is_stopped_for_a_drain(row)) else {
            return;
        };
        if self.is_draining(worker) {
            self.drains.entry(worker.clone()).or_default().stopping.insert(row.id());
        }
    }

    /// Whether a stop for a drain that goes on is to reach `worker`, if it did not.
    pub(super) fn is_to_stop_for_drain(&self, worker: &WorkerId, task: TaskId) -> bool {
        self.drains.get(worker).is_some_and(|drain| drain.stopping.contains(&task))
            && self.is_draining(worker)
    }

    /// What became of a stop for a drain.
    pub(super) fn stop_to_move_sent(&mut self, turn: &mut Turn, task: TaskId, outcome: &SendOutcome) {
        let Some(worker) = self.cluster.worker_of(task).cloned() else { return };
        let Some(drain) = self.drains.get_mut(&worker).filter(|drain| drain.stopping.contains(&task)) else {
            return;
        };
        match outcome {
            SendOutcome::Accepted => {}
            SendOutcome::Failed { may_have_arrived: true, .. } => {
                self.wake_once_after(turn.now, STOP_AGAIN, Timer::StopAgain(task));
            }
            SendOutcome::Refused { .. } | SendOutcome::Failed { .. } => {
                // It runs on; the next round of a drain that goes on tries it again.
                drain.stopping.remove(&task);
                if !self.is_draining(&worker) {
                    self.tell_of_drain(turn, task, String::new());
                }
            }
        }
    }

    /// Nobody wants `worker` drained any more. What is yet to be stopped is left alone; a stop that was sent can't be
    /// taken back.
    pub(super) fn take_back_drain(&mut self, turn: &mut Turn, worker: &WorkerId) {
        for task in self.assigned(worker) {
            let Some(record) = self.cluster.task(task).filter(may_leave) else { continue };
            let is_stopping = self.drains.get(worker).is_some_and(|drain| drain.stopping.contains(&task));
            if is_stopping && !self.unsend_stop(worker, task) {
                self.tell_of_drain(turn, task, self.why_stopped(worker));
                continue;
            }
            if let Some(drain) = self.drains.get_mut(worker) {
                drain.stopping.remove(&task);
            }
            let reason = &record.status().reason;
            if reason.starts_with(super::drain::STAYS) || reason.starts_with(STOPPED_FOR) {
                self.tell_of_drain(turn, task, String::new());
            }
        }
    }

    /// What the end of a task is told as that its worker stopped although nobody wants it to end: it is wanted as before.
    /// The drain may be over or forgotten by now (a restart of the manager, another wish about the worker).
    pub(super) fn was_stopped_to_move(
        &self,
        worker: &WorkerId,
        record: &TaskRecord,
        report: &TaskStatus,
    ) -> Option<String> {
        let task = record.task.id;
        let is_asked = self.drains.get(worker).is_some_and(|drain| drain.stopping.contains(&task));
        let is_stopped = record.desired == State::Running
            && report.state.has_ended()
            && !report.is_interrupted
            && (is_asked || report.reason.starts_with(crate::worker::STOPPED));
        is_stopped.then(|| {
            if is_asked || record.status().reason.starts_with(STOPPED_FOR) {
                self.why_stopped(worker)
            } else {
                format!("stopped by {worker}, and wanted as before")
            }
        })
    }

    fn why_stopped(&self, worker: &WorkerId) -> String {
        let availability = self.cluster.worker(worker).map(|record| record.availability);
        let taken_back = match availability {
            Some(Availability::Active | Availability::Cordoned) => ", which was taken back meanwhile",
            _ => "",
        };
        format!("{STOPPED_FOR}{worker}{taken_back}")
    }

    fn is_draining(&self, worker: &WorkerId) -> bool {
        let record = self.cluster.worker(worker);
        record.is_some_and(|record| matches!(record.availability, Availability::Draining { .. }))
    }

    fn tell_of_drain(&mut self, turn: &mut Turn, task: TaskId, reason: String) {
        if self.cluster.row(task).is_some_and(|row| row.reason() != reason) {
            self.change(turn, Cause::Scheduler, What::Waiting { task, reason });
        }
    }
}

/// Whether it has yet to end for that.
pub(super) fn is_stopped_for_a_drain(row: &TaskRow) -> bool {
    !row.state().has_ended() && row.reason().starts_with(STOPPED_FOR)
}
