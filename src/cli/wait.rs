//! Waits for tasks to end for good, and says which exit code that is. Knows no connection.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::time::Duration;

use super::exit::{CliError, Exit};
use super::follow::Observer;
use super::line::{Line, name_of};
use super::print::Printer;
use super::progress::Waits;
use crate::cluster::{Change, Cluster, FeedItem, TaskRecord, What};
use crate::manager::request::RequestError;
use crate::scheduler::NEVER_FITS;
use crate::task::{State, TaskId};

/// What an eye can follow.
const SHOW_EVERY: Duration = Duration::from_millis(250);

/// How one task ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End {
    pub state: State,
    pub exit_code: Option<i64>,
}

/// The tasks that are waited for, and how those that ended did.
#[derive(Debug)]
pub struct Waiting {
    tasks: BTreeMap<TaskId, Option<End>>,
    /// Those that the manager has shown: none may be gone afterwards.
    known: BTreeSet<TaskId>,
    is_given_up: bool,
}

impl Waiting {
    pub fn for_tasks(tasks: impl IntoIterator<Item = TaskId>) -> Self {
        let tasks = tasks.into_iter().map(|task| (task, None)).collect();
        Self { tasks, known: BTreeSet::new(), is_given_up: false }
    }

    pub fn concerns(&self, task: TaskId) -> bool {
        self.tasks.contains_key(&task)
    }

    pub fn is_over(&self) -> bool {
        self.tasks.values().all(Option::is_some)
    }

    /// Whether one of them could not be placed: it has not ended, and is not waited for.
    pub fn is_given_up(&self) -> bool {
        self.is_given_up
    }

    /// The tasks that have yet to end.
    pub fn open(&self) -> impl Iterator<Item = TaskId> {
        self.tasks.iter().filter(|(_, end)| end.is_none()).map(|(task, _)| *task)
    }

    /// Whether the task is waited for and this is its end; remembered if so.
    fn note_end(&mut self, record: &TaskRecord, restarts: bool) -> bool {
        let Some(end) = self.tasks.get_mut(&record.task.id) else { return false };
        if end.is_none() && never_fits(record) {
            // It goes on waiting there, for a worker that nobody has.
            *end = Some(End { state: State::Failed, exit_code: None });
            self.is_given_up = true;
            return true;
        }
        if end.is_some() || restarts || !record.state().has_ended() || record.queued.is_some() {
            return false;
        }
        *end = Some(End { state: record.state(), exit_code: record.status().exit_code });
        true
    }

    /// 0 if every task completed, else 1.
    pub fn exit(&self) -> Exit {
        let failed = |end: &Option<End>| end.is_some_and(|end| end.state == State::Failed);
        if self.tasks.values().any(failed) { Exit::TaskFailed } else { Exit::Done }
    }

    /// For `run`, which waits for one task: the task's own code.
    pub fn exit_of_run(&self) -> Exit {
        match self.tasks.values().next().copied().flatten() {
            Some(End { exit_code: Some(code), state }) => match u8::try_from(code) {
                Ok(0) if state == State::Failed => Exit::TaskFailed,
                Ok(code) => Exit::OfTask(code),
                // No process can end so; whatever a worker means by it, it is not 0.
                Err(_) => Exit::OfTask(255),
            },
            Some(End { exit_code: None, state: State::Completed }) => Exit::Done,
            // It never came to a code of its own: the image is missing, nothing would run it.
            Some(_) | None => Exit::RunFailed,
        }
    }
}

/// Whether every worker is there and none can ever take it.
fn never_fits(record: &TaskRecord) -> bool {
    record.queued.is_some() && record.status().reason.starts_with(NEVER_FITS)
}

/// Whether the manager starts a task again after `change`, which ended it: by its own rule, so that an end
/// with a restart behind it is not taken for the last.
fn restarts_after(change: &Change, record: &TaskRecord) -> bool {
    let status = record.status();
    let failed = status.state == State::Failed;
    let by_policy = matches!(change.what, What::Observed { .. } | What::Ended { .. })
        && record.desired == State::Running
        && record.policy_restarts(failed);
    by_policy || record.restart.is_some()
}

/// Prints what happens to the tasks that are waited for.
#[derive(Debug)]
pub struct WaitObserver<'a> {
    pub waiting: &'a mut Waiting,
    pub printer: &'a mut Printer,
    /// Print also what happens to workers and other tasks.
    pub everything: bool,
    /// For who looks on, what is yet to start.
    pub waits: Option<Waits>,
}

impl WaitObserver<'_> {
    fn line(&mut self, line: &Line<'_>) -> Result<(), CliError> {
        let printer = &mut *self.printer;
        match &self.waits {
            Some(waits) => waits.aside(|| printer.line(line)),
            None => printer.line(line),
        }
    }

    fn remark(&mut self, text: &str) {
        let printer = &mut *self.printer;
        match &self.waits {
            Some(waits) => waits.aside(|| printer.remark(text)),
            None => printer.remark(text),
        }
    }

    fn flow(&self) -> ControlFlow<()> {
        if self.waiting.is_over() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

impl Observer for WaitObserver<'_> {
    /// Ends at once what has ended already, with the line that tells how.
    fn begin(&mut self, cluster: &Cluster) -> Result<ControlFlow<()>, CliError> {
        let open: Vec<_> = self.waiting.open().collect();
        for task in open {
            let Some(record) = cluster.task(task) else {
                // A watch that is older than the submit does not know it yet.
                if !self.waiting.known.contains(&task) {
                    continue;
                }
                let message = format!(
                    "the manager no longer knows task {task}: it ended and was collected meanwhile, or the store was replaced"
                );
                return Err(CliError::unreachable(message));
            };
            self.waiting.known.insert(task);
            if self.waiting.note_end(&record, false) {
                let cause = cluster.event_db().of_task(task).next_back().map(|change| change.cause);
                self.line(&Line::of_task(&record, cluster, cause))?;
            }
        }
        Ok(self.flow())
    }

    fn changed(&mut self, change: &Change, after: &Cluster) -> Result<ControlFlow<()>, CliError> {
        let task = change.what.task_id();
        if (self.everything || task.is_some_and(|task| self.waiting.concerns(task)))
            && let Some(line) = Line::of_change(change, after)
        {
            self.line(&line)?;
        }
        if let Some(record) = task.and_then(|task| after.task(task)) {
            if self.waiting.concerns(record.task.id) {
                self.waiting.known.insert(record.task.id);
            }
            let is_news = self.waiting.note_end(&record, restarts_after(change, &record));
            if is_news && never_fits(&record) {
                let name = name_of(&record.task);
                let next =
                    "it stays in `pending` for a worker that can take it; `cube-tui stop` takes it out";
                self.remark(&format!("{name} could not be placed; {next}"));
            }
        }
        Ok(self.flow())
    }

    fn cut_off(&mut self, error: &RequestError) {
        self.remark(&format!("{error}; trying again"));
    }

    fn passed_by(&mut self, item: &FeedItem, _: &Cluster) -> Result<ControlFlow<()>, CliError> {
        if let (Some(waits), FeedItem::Progress(progress)) = (&mut self.waits, item) {
            waits.note(progress);
        }
        Ok(ControlFlow::Continue(()))
    }

    fn every(&self) -> Option<Duration> {
        self.waits.as_ref().map(|_| SHOW_EVERY)
    }

    fn tick(&mut self, cluster: &Cluster) -> Result<ControlFlow<()>, CliError> {
        if let Some(waits) = &mut self.waits {
            waits.show(cluster, self.waiting.open());
        }
        Ok(ControlFlow::Continue(()))
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::super::args::Output;
    use super::super::fixture::{History, id};
    use super::*;
    use crate::cluster::Cause;
    use crate::task::RestartPolicy;

    /// Waits for `task` through all Changes from the `skip`ped ones on; the revision at which it was over.
    fn over_at(history: &History, task: TaskId) -> Option<u64> {
        let mut waiting = Waiting::for_tasks([task]);
        let mut printer = Printer::to(Output::Text, io::sink(), io::sink());
        let mut observer =
            WaitObserver { waiting: &mut waiting, printer: &mut printer, everything: false, waits: None };
        let mut cluster = Cluster::default();
        for change in &history.changes {
            cluster.apply(change);
            if observer.changed(change, &cluster).unwrap().is_break() {
                return Some(change.revision);
            }
        }
        None
    }

    #[test]
    fn an_end_is_an_end_without_a_restart_policy() {
        for state in [State::Completed, State::Failed] {
            let mut history = History::default();
            history.submit(id("11111111"), "web");
            history.schedule(id("11111111"));
            assert_eq!(over_at(&history, id("11111111")), None);
            history.observe(id("11111111"), state, Some(0), "");
            assert_eq!(over_at(&history, id("11111111")), Some(3), "{state}");
        }
    }

    #[test]
    fn a_failure_that_is_restarted_is_not_the_end() {
        let mut history = History::default();
        let web = id("11111111");
        history.submit_with(web, "web", RestartPolicy::OnFailure(Some(1)));
        history.schedule(web);
        history.observe(web, State::Failed, Some(1), "exit 1");
        history.restart(web);
        history.schedule(web);
        assert_eq!(over_at(&history, web), None);
        history.observe(web, State::Failed, Some(1), "exit 1");
        assert_eq!(over_at(&history, web), Some(6), "restarts are used up");
    }

    #[test]
    fn a_stop_ends_even_what_is_always_restarted_and_a_refusal_does_not() {
        let web = id("11111111");
        let mut stopped = History::default();
        stopped.submit_with(web, "web", RestartPolicy::Always);
        stopped.schedule(web);
        stopped.change(Cause::Command, What::StopRequested { task: web });
        stopped.observe(web, State::Completed, Some(143), "");
        assert_eq!(over_at(&stopped, web), Some(4));

        let mut refused = History::default();
        refused.submit_with(web, "web", RestartPolicy::Always);
        refused.schedule(web);
        let what = What::Ended { task: web, state: State::Failed, reason: "refused".into() };
        refused.change(Cause::WorkerLink, what);
        assert_eq!(over_at(&refused, web), None);
    }

    #[test]
    fn what_ended_before_the_wait_is_over_at_once_and_said() {
        let mut history = History::default();
        history.submit(id("11111111"), "web");
        history.schedule(id("11111111"));
        history.observe(id("11111111"), State::Failed, Some(3), "exit 3");
        let (reader, results) = io::pipe().unwrap();
        let mut printer = Printer::to(Output::Text, results, io::sink());
        let mut waiting = Waiting::for_tasks([id("11111111")]);
        let mut observer =
            WaitObserver { waiting: &mut waiting, printer: &mut printer, everything: false, waits: None };
        assert!(observer.begin(&history.cluster).unwrap().is_break());
        assert_eq!(waiting.exit(), Exit::TaskFailed);
        drop(printer);
        let text = io::read_to_string(reader).unwrap();
        assert_eq!(text, "07:00:03  Failed     web (11111111) on localhost:5555: exit 3\n");
    }

    #[test]
    fn a_task_that_never_fits_is_not_waited_for_but_one_that_may_is() {
        let web = id("11111111");
        for (reason, over) in
            [("never fits: a has 2 CPUs, 64 wanted", Some(2)), ("waiting: a is connecting", None)]
        {
            let mut history = History::default();
            history.submit(web, "web");
            history.change(Cause::Scheduler, What::Waiting { task: web, reason: reason.into() });
            assert_eq!(over_at(&history, web), over, "{reason}");
        }
    }

    #[test]
    fn a_task_that_is_gone_is_no_success_but_one_to_come_is_waited_for() {
        let mut waiting = Waiting::for_tasks([id("11111111")]);
        let mut printer = Printer::to(Output::Text, io::sink(), io::sink());
        let mut observer =
            WaitObserver { waiting: &mut waiting, printer: &mut printer, everything: false, waits: None };
        assert!(observer.begin(&Cluster::default()).unwrap().is_continue());
        let mut history = History::default();
        let change = history.submit(id("11111111"), "web");
        assert!(observer.changed(&change, &history.cluster).unwrap().is_continue());
        assert_eq!(observer.begin(&Cluster::default()).unwrap_err().exit.code(), 4);
    }

    #[test]
    fn one_failure_among_many_is_1_and_a_run_has_its_tasks_code() {
        let end = |state, exit_code| Some(End { state, exit_code });
        let waiting = |ends: &[Option<End>]| Waiting {
            tasks: ends.iter().map(|end| (TaskId::random(), *end)).collect(),
            known: BTreeSet::new(),
            is_given_up: false,
        };
        let (done, failed) = (end(State::Completed, Some(0)), end(State::Failed, Some(3)));
        assert_eq!(waiting(&[done, done]).exit().code(), 0);
        assert_eq!(waiting(&[done, failed, done]).exit().code(), 1);
        for (end, code) in [
            (done, 0),
            (failed, 3),
            (end(State::Completed, Some(143)), 143),
            (end(State::Completed, None), 0),
            (end(State::Failed, Some(137)), 137),
            (end(State::Failed, Some(0)), 1),
            (end(State::Failed, Some(-1)), 255),
            (end(State::Failed, Some(256)), 255),
            (end(State::Failed, None), 125),
            (None, 125),
        ] {
            assert_eq!(waiting(&[end]).exit_of_run().code(), code, "{end:?}");
        }
    }
}
