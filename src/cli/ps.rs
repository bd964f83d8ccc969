//! `ps`: the tasks as a table that fits the terminal, or a line of JSON each.

use std::collections::HashMap;

use clap::Args;
use jiff::Timestamp;

use super::answer::answer;
use super::args::PsArgs;
use super::complete;
use super::exit::{CliError, Exit};
use super::line::{Line, published_ports, seconds_until};
use super::live::{Seen, live, watch};
use super::print::Printer;
use super::signals::StopSignals;
use super::table::{add_row, age, hide_below, table_of, terminal_width, text_of};
use super::text::printable;
use super::watch_lines::WatchLines;
use crate::client::ManagerHandle;
use crate::cluster::{Cause, Cluster, TaskRecord};
use crate::task::{State, TaskId, WorkerId};

pub async fn ps(args: &PsArgs, manager: &ManagerHandle) -> Result<Exit, CliError> {
    let mut printer = Printer::new(args.output.output);
    let width = terminal_width();
    if args.watch && width.is_some() && !printer.is_json() {
        let draw = |seen: &Seen<'_>| {
            table(&args.filter.listed(seen.cluster), seen.cluster, seen.now, Some(seen.width))
        };
        return live(manager, draw).await;
    }
    if args.watch {
        let mut signals = StopSignals::new()?;
        let mut lines = WatchLines::of_tasks(&mut printer, &args.filter);
        return tokio::select! {
            ended = watch(manager, &mut lines) => ended.map(|()| Exit::Done),
            () = signals.received() => Ok(Exit::Done),
        };
    }
    let cluster = answer(manager, manager.snapshot()).await?;
    let records = args.filter.listed(&cluster);
    if printer.is_json() {
        let causes = last_causes(&cluster);
        for record in records {
            let cause = causes.get(&record.task.id).copied();
            printer.line(&Line::of_task(&record, &cluster, cause))?;
        }
    } else {
        printer.result(&table(&records, &cluster, Timestamp::now(), width))?;
    }
    Ok(Exit::Done)
}

/// Which tasks are listed: those that fit each of these that is given.
#[derive(Args, Clone, Debug, Default)]
pub struct Filter {
    /// Only tasks in this state (also crashloop, stopping); may be repeated
    #[arg(long, value_name = "STATE", value_parser = shown_state, add = complete::words(Shown::names))]
    pub state: Vec<Shown>,
    /// Only tasks on this worker; may be repeated
    #[arg(long, value_name = "WORKER")]
    pub worker: Vec<String>,
    /// Only tasks of this name; * stands for any characters; may be repeated
    #[arg(long, value_name = "NAME")]
    pub name: Vec<String>,
}

/// A state as lists show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    State(State),
    /// Pending, and held back after it crashed several times in a row.
    CrashLoop,
    /// Not ended, and asked to.
    Stopping,
}

impl Shown {
    fn all() -> impl Iterator<Item = Self> {
        State::ALL.map(Self::State).into_iter().chain([Self::CrashLoop, Self::Stopping])
    }

    /// As they are typed.
    fn names() -> Vec<String> {
        Self::all().map(|state| state.name().to_lowercase()).collect()
    }

    fn of(record: &TaskRecord) -> Self {
        if record.is_stopping() {
            Self::Stopping
        } else if record.crash_loop().is_some() {
            Self::CrashLoop
        } else {
            Self::State(record.state())
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::State(state) => state.name(),
            Self::CrashLoop => "CrashLoop",
            Self::Stopping => "Stopping",
        }
    }

    /// A crash loop is pending, too, and what is being stopped may run yet.
    fn fits(self, record: &TaskRecord) -> bool {
        match self {
            Self::State(state) => state == record.state(),
            special => special == Self::of(record),
        }
    }
}

fn shown_state(text: &str) -> Result<Shown, String> {
    let mut found = Shown::all().filter(|state| state.name().eq_ignore_ascii_case(text));
    found.next().ok_or_else(|| format!("expected one of {}", Shown::names().join(", ")))
}

impl Filter {
    /// The tasks that fit, in order of submission.
    pub fn listed(&self, cluster: &Cluster) -> Vec<TaskRecord> {
        let mut records: Vec<_> = cluster.task_db().filter(|record| self.fits(record, cluster)).collect();
        records.sort_unstable_by_key(|record| record.submitted_at);
        records
    }

    pub fn fits(&self, record: &TaskRecord, cluster: &Cluster) -> bool {
        let worker = || cluster.worker_of(record.task.id).map(WorkerId::as_str);
        (self.state.is_empty() || self.state.iter().any(|state| state.fits(record)))
            && (self.worker.is_empty() || self.worker.iter().any(|name| worker() == Some(name)))
            && (self.name.is_empty() || self.name.iter().any(|name| is_like(&record.task.spec.name, name)))
    }
}

/// Whether `name` is what `pattern` says; `*` stands for any characters.
fn is_like(name: &str, pattern: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else { return name == pattern };
    let Some(mut name) = name.strip_prefix(start) else { return false };
    let mut parts: Vec<&str> = rest.split('*').collect();
    let end = parts.pop().unwrap_or_default();
    for part in parts {
        match name.find(part) {
            Some(at) => name = &name[at + part.len()..],
            None => return false,
        }
    }
    name.ends_with(end)
}

/// What changed each task last, as far as that is still kept.
fn last_causes(cluster: &Cluster) -> HashMap<TaskId, Cause> {
    cluster.event_db().iter().filter_map(|change| Some((change.what.task_id()?, change.cause))).collect()
}

fn table(records: &[TaskRecord], cluster: &Cluster, now: Timestamp, width: Option<u16>) -> String {
    let header = ["ID", "NAME", "STATE", "WORKER", "PORTS", "RST", "AGE", "IMAGE", "REASON"];
    let mut table = table_of(header, width);
    hide_below(&mut table, width, 70, &[4, 5, 7]);
    hide_below(&mut table, width, 50, &[6, 8]);
    for record in records {
        let (task, status) = (&record.task, record.status());
        let worker = cluster.worker_of(task.id).map_or_else(String::new, ToString::to_string);
        let reason = match status.exit_code {
            Some(code) if status.reason.is_empty() && code != 0 => format!("exit {code}"),
            _ => status.reason.clone(),
        };
        let reason = match next_start(record, now) {
            Some(seconds) => format!("{reason}; next start in {seconds} s"),
            None => reason,
        };
        let cells = [
            task.id.short(),
            printable(&task.spec.name),
            with_health(Shown::of(record).name(), record),
            printable(&worker),
            printable(&published_ports(task).join(" ")),
            status.restart_count.to_string(),
            age(now.duration_since(record.submitted).as_secs()),
            printable(&task.spec.image),
            printable(&reason),
        ];
        add_row(&mut table, cells);
    }
    text_of(&table, width)
}

/// The seconds that a task in a crash loop is held back yet.
fn next_start(record: &TaskRecord, now: Timestamp) -> Option<u128> {
    record.crash_loop()?;
    seconds_until(record.queued?.retry_at?, now)
}

/// `Running (healthy)`, as Docker has it.
fn with_health(state: &str, record: &TaskRecord) -> String {
    match record.status().health.as_deref() {
        Some(health) if record.state() == State::Running => format!("{state} ({})", health.verdict.name()),
        _ => state.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{History, id};
    use super::*;
    use crate::cluster::What;
    use crate::task::{Health, RestartPolicy, Verdict};

    fn history() -> History {
        let mut history = History::default();
        let (web, api) = (id("55ab01fe"), id("11111111"));
        history.submit(web, "web");
        history.submit(api, "an-api-with-quite-a-long-name\x1b[2J");
        history.schedule(web);
        history.schedule(api);
        history.observe(web, State::Running, None, "");
        history.observe(
            api,
            State::Failed,
            Some(3),
            "a reason that goes on and on and would not fit in 80 columns",
        );
        history
    }

    #[test]
    fn tasks_are_listed_in_order_of_submission() {
        let history = history();
        let ids = |filter: &Filter| {
            filter.listed(&history.cluster).iter().map(|record| record.task.id).collect::<Vec<_>>()
        };
        let (web, api) = (id("55ab01fe"), id("11111111"));
        assert_eq!(ids(&Filter::default()), [web, api]);
        assert_eq!(ids(&Filter { state: vec![Shown::State(State::Failed)], ..Filter::default() }), [api]);
        assert_eq!(ids(&Filter { worker: vec!["localhost:5555".into()], ..Filter::default() }), [web, api]);
        assert_eq!(ids(&Filter { worker: vec!["localhost".into()], ..Filter::default() }), []);
        assert_eq!(ids(&Filter { name: vec!["an-*-long*".into()], ..Filter::default() }), [api]);
        assert_eq!(last_causes(&history.cluster)[&id("11111111")], Cause::WorkerReport);
    }

    #[test]
    fn a_star_stands_for_any_characters() {
        for (name, pattern, expected) in [
            ("web", "web", true),
            ("web-1", "web", false),
            ("web-1", "web*", true),
            ("web-1", "*1", true),
            ("web-1", "w*b*1", true),
            ("web-1", "w*x*1", false),
            ("a", "a*a", false),
            ("", "*", true),
        ] {
            assert_eq!(is_like(name, pattern), expected, "{name} {pattern}");
        }
    }

    #[test]
    fn the_table_fits_the_terminal_with_a_line_for_each_task() {
        let history = history();
        let records = Filter::default().listed(&history.cluster);
        let now = "2026-11-24T09:00:00Z".parse().unwrap();
        for width in [40, 60, 80, 120, 200] {
            let text = table(&records, &history.cluster, now, Some(width));
            assert_eq!(text.lines().count(), 3, "{text}");
            assert!(text.lines().all(|line| line.chars().count() <= width.into()), "{text}");
            assert!(!text.contains('\x1b'));
        }
        let text = table(&records, &history.cluster, now, None);
        for part in ["55ab01fe", "Running", "localhost:5555", "1h", "fit in 80 columns"] {
            assert!(text.contains(part), "{part} in {text}");
        }
    }

    #[test]
    fn a_crash_loop_is_told_in_state_and_reason_and_counts_down() {
        let mut history = History::default();
        let web = id("55ab01fe");
        history.submit_with(web, "web", RestartPolicy::Always);
        for _ in 0..3 {
            history.schedule(web);
            history.observe(web, State::Failed, Some(3), "exit code 3");
            history.restart(web);
        }
        let records = Filter::default().listed(&history.cluster);
        assert!(Shown::CrashLoop.fits(&records[0]) && Shown::State(State::Pending).fits(&records[0]));
        assert_eq!(shown_state("CRASHLOOP"), Ok(Shown::CrashLoop));
        assert!(shown_state("gone").unwrap_err().contains("failed, crashloop, stopping"));
        for (now, end) in [
            ("2026-11-24T07:00:11Z", "restart; next start in 38 s"),
            ("2026-11-24T07:00:48Z", "restart; next start in 1 s"),
            ("2026-11-24T07:00:49Z", "restart"),
        ] {
            let text = table(&records, &history.cluster, now.parse().unwrap(), None);
            assert!(text.contains("CrashLoop") && text.ends_with(end), "{text}");
        }
    }

    #[test]
    fn health_is_shown_of_what_runs_and_has_a_check() {
        let mut history = history();
        let shown = |history: &History, id| {
            let record = history.cluster.task(id).unwrap();
            with_health(record.state().name(), &record)
        };
        assert_eq!(shown(&history, id("55ab01fe")), "Running");
        let mut status = history.cluster.task(id("55ab01fe")).unwrap().status().clone();
        status.health = Some(Box::new(Health { verdict: Verdict::Healthy, failure: String::new() }));
        history.change(Cause::WorkerReport, What::Observed { task: id("55ab01fe"), status });
        assert_eq!(shown(&history, id("55ab01fe")), "Running (healthy)");
        assert_eq!(shown(&history, id("11111111")), "Failed");
    }
}
