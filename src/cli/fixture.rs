//! A cluster with a history, for the tests of this room.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use crate::cluster::{Cause, Change, Cluster, Crashes, What, WorkerRecord};
use crate::task::{EventId, RestartPolicy, State, Task, TaskId, TaskSpec, TaskStatus, WorkerId};

/// The id that starts with these eight digits.
pub fn id(start: &str) -> TaskId {
    format!("{start}-0000-4000-8000-000000000000").parse().unwrap()
}

#[derive(Debug, Default)]
pub struct History {
    pub cluster: Cluster,
    pub changes: Vec<Arc<Change>>,
}

impl History {
    pub fn change(&mut self, cause: Cause, what: What) -> Arc<Change> {
        let (revision, time) = (self.cluster.revision() + 1, self.time());
        let change = Arc::new(Change { revision, time, cause, what });
        self.cluster.apply(&change);
        self.changes.push(Arc::clone(&change));
        change
    }

    /// Of the next Change: 07:00:00.123 and a second more for each.
    fn time(&self) -> Timestamp {
        let start: Timestamp = "2026-11-24T07:00:00.123Z".parse().unwrap();
        start + SignedDuration::from_secs(i64::try_from(self.cluster.revision() + 1).unwrap())
    }

    pub fn submit(&mut self, id: TaskId, name: &str) -> Arc<Change> {
        self.submit_with(id, name, RestartPolicy::No)
    }

    pub fn submit_with(&mut self, id: TaskId, name: &str, restart_policy: RestartPolicy) -> Arc<Change> {
        let spec =
            TaskSpec { name: name.into(), image: "alpine".into(), restart_policy, ..TaskSpec::default() };
        let task = Task { id, spec: Arc::new(spec), ..Task::default() };
        self.change(Cause::Command, What::Submitted { event: EventId::default(), task })
    }

    pub fn schedule(&mut self, task: TaskId) -> Arc<Change> {
        let worker = WorkerId::from("localhost:5555");
        let generation = self.cluster.task(task).unwrap().status().generation;
        self.change(Cause::Scheduler, What::scheduled(task, worker, generation))
    }

    pub fn observe(
        &mut self,
        task: TaskId,
        state: State,
        exit_code: Option<i64>,
        reason: &str,
    ) -> Arc<Change> {
        let mut status: TaskStatus = self.cluster.task(task).unwrap().status().clone();
        status.state = state;
        status.exit_code = exit_code;
        status.reason = reason.into();
        self.change(Cause::WorkerReport, What::Observed { task, status })
    }

    pub fn restart(&mut self, task: TaskId) -> Arc<Change> {
        let record = self.cluster.task(task).unwrap();
        let (status, in_a_row) = (record.status(), record.crashes.in_a_row + 1);
        let crashes = Crashes { in_a_row, failed: true, last: status.reason.clone() };
        let (generation, restart_count) = (status.generation + 1, status.restart_count + 1);
        let retry_at = self.time() + SignedDuration::from_secs(38);
        let reason = "restart".into();
        let what =
            What::Restarting { task, generation, restart_count, crashes, reason, retry_at, by_hand: false };
        self.change(Cause::RestartPolicy, what)
    }

    pub fn worker(&mut self, change: impl FnOnce(&mut WorkerRecord)) -> Arc<Change> {
        let mut worker = WorkerRecord::new("localhost:5555".into(), false, Timestamp::UNIX_EPOCH);
        change(&mut worker);
        self.change(Cause::WorkerLink, What::Worker { worker })
    }
}
