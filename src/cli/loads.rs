//! What the workers' samples said last: of each worker, and of each task. Knows no table.

use std::collections::HashMap;

use crate::cluster::{FeedItem, Sample, TaskUse};
use crate::task::WorkerId;

#[derive(Debug, Default)]
pub struct Loads {
    workers: HashMap<WorkerId, Sample>,
}

impl Loads {
    /// True if it was a sample.
    pub fn note(&mut self, item: &FeedItem) -> bool {
        let FeedItem::Sample(told) = item else { return false };
        self.workers.insert(told.worker.clone(), told.sample.clone());
        true
    }

    pub fn of_worker(&self, worker: &WorkerId) -> Option<&Sample> {
        self.workers.get(worker)
    }

    /// What each task uses, and where.
    pub fn of_tasks(&self) -> impl Iterator<Item = (&WorkerId, &TaskUse)> {
        self.workers.iter().flat_map(|(worker, sample)| sample.tasks.iter().map(move |task| (worker, task)))
    }
}
