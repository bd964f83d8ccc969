//! TaskList: the order of the tasks pane and what its filter lets through, kept change by change. Holds ids
//! only; knows no screen.

use std::collections::HashMap;

use crate::cluster::Cluster;
use crate::task::{TaskId, WorkerId};

use super::filter::Filter;
use super::shown_set::ShownSet;

/// The tasks in order of submission. One change costs O(log n) here; only a new filter or a new mirror looks
/// at every task.
#[derive(Clone, Debug, Default)]
pub(super) struct TaskList {
    /// A row each; those of tasks that are gone stay hidden, until there are too many of them.
    order: Vec<TaskId>,
    /// Only of the tasks that are there.
    row_of: HashMap<TaskId, usize>,
    shown: ShownSet,
    filter: Filter,
}

impl TaskList {
    /// How many pass the filter.
    pub(super) fn len(&self) -> usize {
        self.shown.len()
    }

    /// How many there are.
    pub(super) fn total(&self) -> usize {
        self.row_of.len()
    }

    pub(super) fn filter(&self) -> &Filter {
        &self.filter
    }

    /// How many shown tasks stand before this one, if it is shown itself.
    pub(super) fn rank(&self, task: TaskId) -> Option<usize> {
        let row = *self.row_of.get(&task)?;
        self.shown.contains(row).then(|| self.shown.rank(row))
    }

    /// Where a task stands, or would stand if it were shown.
    pub(super) fn rank_or_next(&self, task: TaskId) -> Option<usize> {
        self.row_of.get(&task).map(|row| self.shown.rank(*row))
    }

    pub(super) fn at(&self, rank: usize) -> Option<TaskId> {
        self.shown.select(rank).map(|row| self.order[row])
    }

    /// The shown tasks from `rank` on.
    pub(super) fn iter_from(&self, rank: usize) -> impl Iterator<Item = TaskId> {
        let first = self.shown.select(rank).unwrap_or(self.order.len());
        self.shown.iter_from(first).map(|row| self.order[row])
    }

    /// Starts over from a mirror.
    pub(super) fn rebuild(&mut self, cluster: &Cluster) {
        let mut rows: Vec<_> = cluster.rows().map(|row| (row.submitted_at(), row.id())).collect();
        rows.sort_unstable();
        self.order = rows.into_iter().map(|(_, id)| id).collect();
        self.row_of = self.order.iter().enumerate().map(|(row, id)| (*id, row)).collect();
        self.refilter(cluster);
    }

    pub(super) fn set_filter(&mut self, filter: Filter, cluster: &Cluster) {
        if filter != self.filter {
            self.filter = filter;
            self.refilter(cluster);
        }
    }

    /// A task is new or changed.
    pub(super) fn task_changed(&mut self, task: TaskId, cluster: &Cluster) {
        let passes = self.passes(task, cluster);
        if let Some(row) = self.row_of.get(&task) {
            self.shown.set(*row, passes);
        } else if cluster.row(task).is_some() {
            self.row_of.insert(task, self.order.len());
            self.order.push(task);
            self.shown.push(passes);
        }
    }

    /// A task is no more. Its row is hidden; that the rows are closed up again now and then costs each removal a
    /// constant on average.
    pub(super) fn removed(&mut self, task: TaskId) {
        /// Few enough not to matter.
        const GONE: usize = 1_024;
        if let Some(row) = self.row_of.remove(&task) {
            self.shown.set(row, false);
        }
        if self.order.len() > 2 * self.row_of.len() + GONE {
            let shown: Vec<bool> = self.close_up().into_iter().map(|row| self.shown.contains(row)).collect();
            self.shown = ShownSet::default();
            for is_shown in shown {
                self.shown.push(is_shown);
            }
        }
    }

    /// Drops the rows of tasks that are gone; the rows that the others had.
    fn close_up(&mut self) -> Vec<usize> {
        let mut rows: Vec<usize> = self.row_of.values().copied().collect();
        rows.sort_unstable();
        self.order = rows.iter().map(|row| self.order[*row]).collect();
        self.row_of = self.order.iter().enumerate().map(|(row, id)| (*id, row)).collect();
        rows
    }

    /// A worker's health changed, and with it how its tasks look.
    pub(super) fn worker_changed(&mut self, worker: &WorkerId, cluster: &Cluster) {
        if self.filter.is_empty() {
            return;
        }
        for task in cluster.tasks_of(worker) {
            if let Some(row) = self.row_of.get(&task) {
                self.shown.set(*row, self.passes(task, cluster));
            }
        }
    }

    fn refilter(&mut self, cluster: &Cluster) {
        if self.order.len() > self.row_of.len() {
            self.close_up();
        }
        // In the order in which they lie in memory; only those that pass are looked up.
        let mut passes = vec![self.filter.is_empty(); self.order.len()];
        if !self.filter.is_empty() {
            for row in cluster.rows().filter(|row| self.filter.passes(row, cluster)) {
                if let Some(row) = self.row_of.get(&row.id()) {
                    passes[*row] = true;
                }
            }
        }
        self.shown = ShownSet::default();
        for passes in passes {
            self.shown.push(passes);
        }
    }

    fn passes(&self, task: TaskId, cluster: &Cluster) -> bool {
        self.filter.is_empty() || cluster.row(task).is_some_and(|row| self.filter.passes(row, cluster))
    }
}
