//! `restart ID…`: starts tasks anew and, if asked to, waits until they run again.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use super::answer::answer;
use super::args::RestartArgs;
use super::exit::{CliError, Exit};
use super::follow::{Observer, follow};
use super::line::{Line, name_of};
use super::print::Printer;
use super::resolve::task_ids;
use super::submit::{TASKS_GO_ON, within};
use crate::client::ManagerHandle;
use crate::cluster::{Cause, Change, Cluster};
use crate::manager::request::{RequestError, Restarted};
use crate::task::{State, TaskId};

pub async fn restart(args: &RestartArgs, manager: &ManagerHandle) -> Result<Exit, CliError> {
    let mut printer = Printer::new(args.output.output);
    within(args.timeout, TASKS_GO_ON, async {
        let watch = answer(manager, manager.watch()).await?;
        let tasks = task_ids(&watch.cluster, &args.ids)?;
        let before = Restarts::of(&tasks, &watch.cluster);
        let outcomes = answer(manager, manager.restart(tasks.clone(), Cause::Command)).await?;
        if args.wait {
            let mut observer = RestartObserver { open: before, exit: Exit::Done, printer: &mut printer };
            follow(watch, async |mark| manager.resume(mark).await, &mut observer).await?;
            return Ok(observer.exit);
        }
        if printer.is_json() {
            let cluster = manager.snapshot().await?;
            for record in tasks.iter().filter_map(|task| cluster.task(*task)) {
                printer.line(&Line::of_task(&record, &cluster, Some(Cause::Command)))?;
            }
        } else {
            for outcome in outcomes {
                printer.result(&sentence(&watch.cluster, &outcome))?;
            }
        }
        Ok(Exit::Done)
    })
    .await
}

fn sentence(cluster: &Cluster, outcome: &Restarted) -> String {
    let name =
        cluster.task(outcome.task).map_or_else(|| outcome.task.to_string(), |record| name_of(&record.task));
    match (outcome.is_new, outcome.state) {
        (true, State::Scheduled | State::Running) => format!("restarting {name}"),
        (true, _) => format!("{name} starts as soon as a worker can take it"),
        (false, State::Pending) => {
            format!("{name} waits for a worker and for nothing else; `cube-tui ps` says why")
        }
        (false, _) => format!("{name} is being restarted already"),
    }
}

/// The generation that each task was before: it runs again as a later one.
struct Restarts(BTreeMap<TaskId, u32>);

impl Restarts {
    fn of(tasks: &[TaskId], cluster: &Cluster) -> Self {
        let generation =
            |task: &TaskId| cluster.task(*task).map(|record| (*task, record.status().generation));
        Self(tasks.iter().filter_map(generation).collect())
    }
}

/// Waits until every task runs again, or has ended for good.
struct RestartObserver<'a> {
    open: Restarts,
    exit: Exit,
    printer: &'a mut Printer,
}

impl RestartObserver<'_> {
    fn look(&mut self, task: TaskId, cluster: &Cluster) {
        let Some(before) = self.open.0.get(&task).copied() else { return };
        let Some(record) = cluster.task(task) else { return };
        let (status, failed) = (record.status(), record.state() == State::Failed);
        if status.generation <= before && record.queued.is_none() {
            return;
        }
        let has_ended =
            record.state().has_ended() && record.restart.is_none() && !record.policy_restarts(failed);
        if record.state() == State::Running || has_ended {
            self.open.0.remove(&task);
            if failed {
                self.exit = Exit::TaskFailed;
            }
        }
    }

    fn flow(&self) -> ControlFlow<()> {
        if self.open.0.is_empty() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

impl Observer for RestartObserver<'_> {
    fn begin(&mut self, cluster: &Cluster) -> Result<ControlFlow<()>, CliError> {
        let open: Vec<_> = self.open.0.keys().copied().collect();
        for task in open {
            self.look(task, cluster);
        }
        Ok(self.flow())
    }

    fn changed(&mut self, change: &Change, after: &Cluster) -> Result<ControlFlow<()>, CliError> {
        if let Some(task) = change.what.task_id().filter(|task| self.open.0.contains_key(task)) {
            if let Some(line) = Line::of_change(change, after) {
                self.printer.line(&line)?;
            }
            self.look(task, after);
        }
        Ok(self.flow())
    }

    fn cut_off(&mut self, error: &RequestError) {
        self.printer.remark(&format!("{error}; trying again"));
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::super::args::Output;
    use super::super::fixture::{History, id};
    use super::*;

    /// The exit code, if the wait is over after the Changes of `then`.
    fn waited(history: &mut History, then: impl FnOnce(&mut History)) -> Option<u8> {
        let tasks = [id("11111111")];
        let mut printer = Printer::to(Output::Text, io::sink(), io::sink());
        let open = Restarts::of(&tasks, &history.cluster);
        let mut observer = RestartObserver { open, exit: Exit::Done, printer: &mut printer };
        let seen = history.changes.len();
        let mut cluster = history.cluster.clone();
        then(history);
        for change in &history.changes[seen..] {
            cluster.apply(change);
            if observer.changed(change, &cluster).unwrap().is_break() {
                return Some(observer.exit.code());
            }
        }
        None
    }

    #[test]
    fn it_is_over_when_the_next_generation_runs_or_fails() {
        let web = id("11111111");
        let mut history = History::default();
        history.submit(web, "web");
        history.schedule(web);
        history.observe(web, State::Running, None, "");
        let ends_only = |history: &mut History| _ = history.observe(web, State::Completed, Some(143), "");
        assert_eq!(waited(&mut history, ends_only), None);
        let runs = |history: &mut History| {
            history.restart(web);
            history.schedule(web);
            history.observe(web, State::Running, None, "");
        };
        assert_eq!(waited(&mut history, runs), Some(0));
        let fails = |history: &mut History| {
            history.restart(web);
            history.schedule(web);
            history.observe(web, State::Failed, Some(3), "");
        };
        assert_eq!(waited(&mut history, fails), Some(1));
    }
}
