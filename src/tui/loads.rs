//! Loads: the recent samples of every worker and what each task uses now. Passing knowledge, never history.

use std::collections::{HashMap, VecDeque};

use crate::cluster::{Sample, TaskUse, WorkerSample};
use crate::task::{TaskId, WorkerId};

use super::format::share;

/// What the samples told so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Loads {
    by_worker: HashMap<WorkerId, VecDeque<Sample>>,
    by_task: HashMap<TaskId, TaskUse>,
}

impl Loads {
    /// As many as the widest curve has cells.
    const KEPT: usize = 240;

    pub(super) fn record(&mut self, sample: &WorkerSample) {
        for usage in &sample.sample.tasks {
            self.by_task.insert(usage.task, *usage);
        }
        let samples = self.by_worker.entry(sample.worker.clone()).or_default();
        if samples.len() == Self::KEPT {
            samples.pop_front();
        }
        samples.push_back(Sample { tasks: Vec::new(), ..sample.sample.clone() });
    }

    /// A task that ended uses nothing.
    pub(super) fn forget(&mut self, task: TaskId) {
        self.by_task.remove(&task);
    }

    pub(super) fn of_task(&self, task: TaskId) -> Option<&TaskUse> {
        self.by_task.get(&task)
    }

    pub(super) fn last(&self, worker: &WorkerId) -> Option<&Sample> {
        self.by_worker.get(worker)?.back()
    }

    /// The oldest first.
    pub(super) fn of_worker(&self, worker: &WorkerId) -> impl DoubleEndedIterator<Item = &Sample> {
        self.by_worker.get(worker).into_iter().flatten()
    }
}

/// Shares for the curves: CPU, memory, disk, each 0 to 100.
pub(super) fn cpu(sample: &Sample) -> f64 {
    sample.cpu_percent.unwrap_or(0.0)
}

pub(super) fn memory(sample: &Sample) -> f64 {
    share(sample.memory_used_bytes, sample.memory_total_bytes)
}

pub(super) fn disk(sample: &Sample) -> f64 {
    share(sample.disk_used_bytes, sample.disk_total_bytes)
}
