//! Why a task is where it is, asked of the manager's own state: what its placing would say now, put beside its history.
//! Changes nothing.

use super::{Manager, Now};
use crate::cluster::{TaskRecord, WorkerHealth, WorkerRecord};
use crate::manager::why::{Neighbour, RoomMade, Why};
use crate::scheduler::{Explanation, Outcome, Rejection, Request, explain};
use crate::task::{State, TaskId, TaskSpec};

impl Manager {
    /// Why a task is where it is; `None` if there is none. The first `most` workers are told one by one.
    pub fn why(&self, now: Now, task: TaskId, most: usize) -> Option<Why> {
        let record = self.cluster.task(task)?;
        let explanation = self
            .looks_for_a_worker(&record)
            .then(|| self.explain(now, &record.task.spec, Some(&record), most));
        Some(Why { room: self.room_made_for(task), ..Why::new(&self.cluster, record, explanation) })
    }

    /// The room that others are making for it, and who they are.
    pub(super) fn room_made_for(&self, task: TaskId) -> Option<RoomMade> {
        let worker = self.preemption.worker_for(task)?.clone();
        let rows = self.assigned(&worker).into_iter().filter_map(|task| self.cluster.row(task));
        let makes_room = rows.filter(|row| row.preempted().is_some_and(|made| made.by == task));
        Some(RoomMade { stopping: makes_room.map(Neighbour::of).collect(), worker })
    }

    /// Whether somebody wants it to be on another worker than it is, or on one at all.
    fn looks_for_a_worker(&self, record: &TaskRecord) -> bool {
        let home = self.cluster.worker_of(record.task.id).and_then(|worker| self.cluster.worker(worker));
        match record.state() {
            State::Pending => record.is_wanted(),
            State::Scheduled | State::Running => {
                record.is_wanted() && home.is_some_and(|home| home.health == WorkerHealth::Lost)
            }
            State::Completed | State::Failed => false,
        }
    }

    /// Where a task would go now, or what each worker has against it.
    pub(super) fn explain(
        &self,
        now: Now,
        spec: &TaskSpec,
        record: Option<&TaskRecord>,
        most: usize,
    ) -> Explanation {
        let task = record.map(|record| record.task.id).unwrap_or_default();
        let request = Request::new(spec, &self.cluster);
        let objection = |worker: &WorkerRecord| {
            if let Some(refusal) = record.and_then(|record| record.refusal_of(&worker.id)) {
                return Some(Rejection::Refused { why: refusal.why.clone() });
            }
            self.under_way(now).objection(worker, task, spec)
        };
        let mut explanation = explain(self.view(), &request, objection, most);
        let is_waiting = record.is_none_or(|record| record.state() == State::Pending);
        if is_waiting && let Some(unset) = self.unset_secret(spec) {
            // Before any worker is asked.
            explanation.nearest_change = unset.split_once('`').map(|(_, way)| way.replace('`', ""));
            explanation.outcome = Outcome::Waiting { reason: unset };
        }
        explanation
    }
}
