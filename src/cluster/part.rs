//! A part of a Cluster: some of its tasks beside all of its workers. What a store folds old Changes into, and what it
//! puts a Cluster together from. Knows no disk.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Change, Cluster, Revision, Settings, TaskRecord, TaskRow, WorkerRecord};
use crate::task::{TaskId, WorkerId};

/// A task's row and where it was sent: all that the fold of a Change about this task looks at.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskEntry {
    pub record: TaskRecord,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker: Option<WorkerId>,
}

/// What a Cluster holds beside its tasks and workers. A field that is added here later has to have a default: old
/// stores are without it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ClusterHead {
    /// The last Change folded in.
    pub revision: Revision,
    pub last_worker: Option<usize>,
    /// What a new task begins with: more than any collected one had.
    #[serde(default)]
    pub first_generation: u32,
    #[serde(default)]
    pub settings: Settings,
}

/// Some tasks, and all workers.
#[derive(Clone, Debug, Default)]
pub struct Part(Cluster);

impl Part {
    /// A part without tasks. The workers are in the order of their appearance.
    pub fn new(head: ClusterHead, workers: &[WorkerRecord]) -> Self {
        let ClusterHead { revision, last_worker, first_generation, settings } = head;
        let mut cluster = Cluster { revision, settings, last_worker, first_generation, ..Cluster::default() };
        for worker in workers {
            cluster.worker_changed(worker);
        }
        Self(cluster)
    }

    /// Makes room for many tasks at once.
    pub fn reserve(&mut self, tasks: usize) {
        self.0.task_db.reserve(tasks);
    }

    pub fn insert(&mut self, entry: TaskEntry) {
        let TaskEntry { record, worker } = entry;
        let id = record.task.id;
        self.0.insert(record);
        if let Some(worker) = worker {
            self.0.assign(id, &worker);
        }
    }

    /// Takes a task out.
    pub fn remove(&mut self, task: TaskId) -> Option<TaskEntry> {
        let worker = self.0.worker_of(task).cloned();
        let record = self.0.take(task)?;
        Some(TaskEntry { record, worker })
    }

    /// Folds one Change in, whose tasks are all here. It is not kept as history.
    pub fn apply(&mut self, change: &Arc<Change>) {
        self.0.apply(change);
        self.0.event_db.clear();
    }

    /// The tasks that are here, in no order.
    pub fn task_ids(&self) -> Vec<TaskId> {
        self.0.task_db.rows().map(TaskRow::id).collect()
    }

    pub fn revision(&self) -> Revision {
        self.0.revision
    }

    pub fn head(&self) -> ClusterHead {
        let Cluster { revision, last_worker, first_generation, settings, .. } = self.0;
        ClusterHead { revision, last_worker, first_generation, settings }
    }

    /// In the order of their appearance.
    pub fn workers(&self) -> &[WorkerRecord] {
        &self.0.workers
    }

    /// A worker, and its place in the order of appearance.
    pub fn worker(&self, id: &WorkerId) -> Option<(usize, &WorkerRecord)> {
        let place = *self.0.worker_index.get(id)?;
        Some((place, &self.0.workers[place]))
    }

    /// The whole: every task was inserted.
    pub fn into_cluster(self) -> Cluster {
        self.0
    }
}
