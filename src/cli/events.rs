//! `events`: what happened, and with `--follow` what happens from now on. The same lines as `--no-ui` prints.

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::time::Duration;

use super::answer::answer;
use super::args::{EventsArgs, ago, before_now};
use super::exit::{CliError, Exit};
use super::follow::{Observer, follow};
use super::line::Line;
use super::print::Printer;
use super::resolve::task_id;
use super::signals::StopSignals;
use crate::client::ManagerHandle;
use crate::cluster::{Change, Cluster, Revision, Snapshot, What};
use crate::manager::request::RequestError;
use crate::task::{TaskId, TaskStatus};

/// From where on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    /// After this revision.
    Revision(Revision),
    Ago(Duration),
}

/// `120` is a revision, `5m` a time.
pub fn since(text: &str) -> Result<After, String> {
    if let Ok(revision) = text.parse() {
        return Ok(After::Revision(revision));
    }
    ago(text)
        .map(After::Ago)
        .ok_or_else(|| format!("expected a time such as 5m or 2h, or a revision such as 120, found {text:?}"))
}

pub async fn events(args: &EventsArgs, manager: &ManagerHandle) -> Result<Exit, CliError> {
    let mut signals = StopSignals::new()?;
    let mut printer = Printer::new(args.output.output);
    let telling = async {
        if !args.follow {
            let cluster = answer(manager, manager.snapshot()).await?;
            return Tell::new(args, &cluster, &mut printer)?.history(&cluster);
        }
        let watch = answer(manager, manager.watch()).await?;
        let mut tell = Tell::new(args, &watch.cluster, &mut printer)?;
        follow(watch, async |mark| manager.resume(mark).await, &mut tell).await
    };
    tokio::select! {
        told = telling => told.map(|()| Exit::Done),
        // Of one that follows, it is the way to end it.
        () = signals.received() => Ok(Exit::Done),
    }
}

struct Tell<'a> {
    args: &'a EventsArgs,
    tasks: HashSet<TaskId>,
    printer: &'a mut Printer,
    /// The last one that was told or passed over.
    told: Revision,
}

impl<'a> Tell<'a> {
    fn new(args: &'a EventsArgs, cluster: &Cluster, printer: &'a mut Printer) -> Result<Self, CliError> {
        let tasks = args.task.iter().map(|task| task_id(cluster, task)).collect::<Result<_, _>>()?;
        Ok(Self { args, tasks, printer, told: 0 })
    }

    fn is_asked_for(&self, change: &Change) -> bool {
        let is_task = change.what.task_id().is_some_and(|task| self.tasks.contains(&task));
        let is_late_enough = match self.args.since {
            None => true,
            Some(After::Revision(revision)) => change.revision > revision,
            Some(After::Ago(ago)) => before_now(ago) <= change.time,
        };
        (self.tasks.is_empty() || is_task) && is_late_enough && change.revision > self.told
    }

    /// The newest of what is still kept, the oldest first.
    fn history(&mut self, cluster: &Cluster) -> Result<(), CliError> {
        let asked: Vec<_> = cluster.event_db().iter().filter(|change| self.is_asked_for(change)).collect();
        let first = asked.len().saturating_sub(self.args.limit);
        if first > 0 && self.told == 0 {
            self.printer.remark(&format!("{first} older events are left out; --limit N shows more"));
        }
        let shown: HashSet<Revision> = asked[first..].iter().map(|change| change.revision).collect();
        let mut then = before_history(cluster);
        for change in cluster.event_db().iter() {
            then.apply(change);
            if shown.contains(&change.revision)
                && let Some(line) = Line::of_change(change, &then)
            {
                self.printer.line(&line)?;
            }
        }
        self.told = cluster.revision();
        Ok(())
    }
}

/// The cluster from which the kept events lead to `now`, as far as that can be told: what came in before them is as it
/// is now until an event says how it was.
fn before_history(now: &Cluster) -> Cluster {
    let mut snapshot = Snapshot::from(now);
    let kept = std::mem::take(&mut snapshot.events);
    snapshot.revision = kept.first().map_or(now.revision(), |change| change.revision - 1);
    let submitted: HashSet<TaskId> = kept
        .iter()
        .filter(|change| matches!(change.what, What::Submitted { .. }))
        .filter_map(|change| change.what.task_id())
        .collect();
    for record in &mut snapshot.tasks {
        if submitted.contains(&record.task.id) {
            record.task.status = TaskStatus::default();
        }
    }
    snapshot.into()
}

impl Observer for Tell<'_> {
    fn begin(&mut self, cluster: &Cluster) -> Result<ControlFlow<()>, CliError> {
        if cluster.revision() < self.told {
            // Another store: its events are all new.
            self.told = 0;
        }
        self.history(cluster)?;
        Ok(ControlFlow::Continue(()))
    }

    fn changed(&mut self, change: &Change, after: &Cluster) -> Result<ControlFlow<()>, CliError> {
        if self.is_asked_for(change)
            && let Some(line) = Line::of_change(change, after)
        {
            self.printer.line(&line)?;
        }
        self.told = change.revision;
        Ok(ControlFlow::Continue(()))
    }

    fn cut_off(&mut self, error: &RequestError) {
        self.printer.remark(&format!("{error}; trying again"));
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::super::args::{Output, OutputArgs};
    use super::super::fixture::{History, id};
    use super::*;
    use crate::task::State;

    fn told(args: &EventsArgs, cluster: &Cluster) -> (String, String) {
        let ((results, out), (remarks, err)) = (io::pipe().unwrap(), io::pipe().unwrap());
        let mut printer = Printer::to(Output::Text, out, err);
        Tell::new(args, cluster, &mut printer).unwrap().history(cluster).unwrap();
        drop(printer);
        (io::read_to_string(results).unwrap(), io::read_to_string(remarks).unwrap())
    }

    fn args() -> EventsArgs {
        EventsArgs { follow: false, task: vec![], since: None, limit: 100, output: OutputArgs::default() }
    }

    fn history() -> History {
        let mut history = History::default();
        history.submit(id("11111111"), "web");
        history.schedule(id("11111111"));
        history.observe(id("11111111"), State::Running, None, "");
        history.submit(id("22222222"), "api");
        history.observe(id("11111111"), State::Failed, Some(3), "exit code 3");
        history
    }

    #[test]
    fn each_event_is_told_as_things_stood_then() {
        let history = history();
        let (text, remarks) = told(&args(), &history.cluster);
        assert_eq!(
            text.lines().collect::<Vec<_>>(),
            [
                "07:00:01  Pending    web (11111111)",
                "07:00:02  Scheduled  web (11111111) on localhost:5555",
                "07:00:03  Running    web (11111111) on localhost:5555",
                "07:00:04  Pending    api (22222222)",
                "07:00:05  Failed     web (11111111) on localhost:5555: exit code 3",
            ]
        );
        assert_eq!(remarks, "");
    }

    #[test]
    fn task_since_and_limit_choose() {
        let history = history();
        let lines = |args: &EventsArgs| told(args, &history.cluster).0.lines().count();
        assert_eq!(lines(&EventsArgs { task: vec!["web".into()], ..args() }), 4);
        assert_eq!(lines(&EventsArgs { since: Some(After::Revision(3)), ..args() }), 2);
        assert_eq!(
            lines(&EventsArgs { since: since("1s").ok(), ..args() }),
            0,
            "they are from long ago or to come"
        );
        assert_eq!(lines(&EventsArgs { since: since("100000y").ok(), ..args() }), 5);
        let (text, remarks) = told(&EventsArgs { limit: 1, ..args() }, &history.cluster);
        assert!(text.starts_with("07:00:05") && remarks.contains("4 older events"), "{text} {remarks}");
    }

    #[test]
    fn a_number_is_a_revision_and_anything_else_a_time() {
        assert_eq!(since("120"), Ok(After::Revision(120)));
        assert_eq!(since("5m"), Ok(After::Ago(Duration::from_mins(5))));
        assert!(since("yesterday").unwrap_err().contains("expected a time such as 5m"));
    }
}
