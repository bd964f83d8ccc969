//! `--watch` where no terminal is: what there is, a line each, then a line for each change of it.

use std::collections::HashSet;
use std::ops::ControlFlow;

use super::exit::CliError;
use super::follow::Observer;
use super::line::Line;
use super::print::Printer;
use super::ps::Filter;
use crate::cluster::{Change, Cluster, What};
use crate::manager::request::RequestError;
use crate::task::TaskId;

pub struct WatchLines<'a> {
    printer: &'a mut Printer,
    /// The tasks that are told of; `None` tells of workers.
    filter: Option<&'a Filter>,
    /// Told of before: then it is also told that one is no longer what was asked for.
    told: HashSet<TaskId>,
}

impl<'a> WatchLines<'a> {
    pub fn of_workers(printer: &'a mut Printer) -> Self {
        Self { printer, filter: None, told: HashSet::new() }
    }

    pub fn of_tasks(printer: &'a mut Printer, filter: &'a Filter) -> Self {
        Self { printer, filter: Some(filter), told: HashSet::new() }
    }
}

impl Observer for WatchLines<'_> {
    fn begin(&mut self, cluster: &Cluster) -> Result<ControlFlow<()>, CliError> {
        if let Some(filter) = self.filter {
            for record in filter.listed(cluster) {
                self.told.insert(record.task.id);
                self.printer.line(&Line::of_task(&record, cluster, None))?;
            }
        } else {
            for worker in cluster.workers() {
                self.printer.line(&Line::of_worker_record(worker, cluster))?;
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    fn changed(&mut self, change: &Change, after: &Cluster) -> Result<ControlFlow<()>, CliError> {
        let is_told = match (self.filter, change.what.task_id()) {
            (Some(filter), Some(task)) => {
                let fits = after.task(task).is_some_and(|record| filter.fits(&record, after));
                let was_told = if fits { !self.told.insert(task) } else { self.told.remove(&task) };
                fits || was_told
            }
            (Some(_), None) => false,
            (None, _) => matches!(change.what, What::Worker { .. } | What::Forgotten { .. }),
        };
        if is_told && let Some(line) = Line::of_change(change, after) {
            self.printer.line(&line)?;
        }
        Ok(ControlFlow::Continue(()))
    }

    fn cut_off(&mut self, error: &RequestError) {
        self.printer.remark(&format!("{error}; trying again"));
    }
}
