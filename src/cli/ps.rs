//! `ps`: the tasks as a table that fits the terminal, or a line of JSON each.

use std::collections::HashMap;

use comfy_table::{ContentArrangement, Table, presets};
use jiff::Timestamp;

use super::args::PsArgs;
use super::exit::{CliError, Exit};
use super::line::{Line, printable, published_ports, seconds_until};
use super::print::Printer;
use crate::client::ManagerHandle;
use crate::cluster::{Cause, Cluster, TaskRecord};
use crate::task::{State, TaskId};

pub async fn ps(args: &PsArgs, manager: &ManagerHandle) -> Result<Exit, CliError> {
    let cluster = manager.snapshot().await?;
    let mut printer = Printer::new(args.output.output);
    let records = listed(&cluster, &args.state);
    if printer.is_json() {
        let causes = last_causes(&cluster);
        for record in records {
            let cause = causes.get(&record.task.id).copied();
            printer.line(&Line::of_task(&record, &cluster, cause))?;
        }
    } else {
        let width = ratatui::crossterm::terminal::size().ok().map(|(width, _)| width);
        let is_terminal = std::io::IsTerminal::is_terminal(&std::io::stdout());
        printer.result(&table(&records, &cluster, Timestamp::now(), width.filter(|_| is_terminal)))?;
    }
    Ok(Exit::Done)
}

/// The tasks in one of `states` (in any, if none is given), in order of submission.
fn listed(cluster: &Cluster, states: &[State]) -> Vec<TaskRecord> {
    let rows = cluster.rows().filter(|row| states.is_empty() || states.contains(&row.state()));
    let mut records: Vec<_> = rows.map(|row| cluster.record(row)).collect();
    records.sort_unstable_by_key(|record| record.submitted_at);
    records
}

/// What changed each task last, as far as that is still kept.
fn last_causes(cluster: &Cluster) -> HashMap<TaskId, Cause> {
    cluster.event_db().iter().filter_map(|change| Some((change.what.task_id()?, change.cause))).collect()
}

fn table(records: &[TaskRecord], cluster: &Cluster, now: Timestamp, width: Option<u16>) -> String {
    let mut table = empty_table(width);
    table.set_header(["ID", "NAME", "STATE", "WORKER", "PORTS", "RST", "AGE", "IMAGE", "REASON"]);
    for record in records {
        let (task, status) = (&record.task, record.status());
        let state = match record.crash_loop() {
            _ if record.is_stopping() => "Stopping",
            Some(_) => "CrashLoop",
            None => status.state.name(),
        };
        let worker = cluster.worker_of(task.id).map_or_else(String::new, ToString::to_string);
        let reason = match status.exit_code {
            Some(code) if status.reason.is_empty() && code != 0 => format!("exit {code}"),
            _ => status.reason.clone(),
        };
        let reason = match next_start(record, now) {
            Some(seconds) => format!("{reason}; next start in {seconds} s"),
            None => reason,
        };
        let mut row = comfy_table::Row::from([
            task.id.short(),
            printable(&task.spec.name),
            with_health(state, record),
            printable(&worker),
            published_ports(task).join(" "),
            status.restart_count.to_string(),
            age(now.duration_since(record.submitted).as_secs()),
            printable(&task.spec.image),
            printable(&reason),
        ]);
        row.max_height(1);
        table.add_row(row);
    }
    text_of(&table)
}

/// A table without lines, as wide as its content or `width`.
pub fn empty_table(width: Option<u16>) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(match width {
        Some(_) => ContentArrangement::Dynamic,
        None => ContentArrangement::Disabled,
    });
    if let Some(width) = width {
        table.set_width(width);
    }
    table
}

pub fn text_of(table: &Table) -> String {
    let lines: Vec<_> = table.lines().map(|line| line.trim_end().to_owned()).collect();
    lines.join("\n")
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

/// `5s`, `12m`, `3h`, `2d`.
fn age(seconds: i64) -> String {
    match seconds.max(0) {
        seconds @ 0..60 => format!("{seconds}s"),
        seconds @ 60..3600 => format!("{}m", seconds / 60),
        seconds @ 3600..86_400 => format!("{}h", seconds / 3600),
        seconds => format!("{}d", seconds / 86_400),
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
        let names = |states: &[State]| {
            listed(&history.cluster, states).iter().map(|record| record.task.id).collect::<Vec<_>>()
        };
        assert_eq!(names(&[]), [id("55ab01fe"), id("11111111")]);
        assert_eq!(names(&[State::Failed]), [id("11111111")]);
        assert_eq!(last_causes(&history.cluster)[&id("11111111")], Cause::WorkerReport);
    }

    #[test]
    fn the_table_fits_the_terminal_with_a_line_for_each_task() {
        let history = history();
        let records = listed(&history.cluster, &[]);
        let now = "2026-11-24T09:00:00Z".parse().unwrap();
        for width in [80, 120, 200] {
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
        let records = listed(&history.cluster, &[]);
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

    #[test]
    fn ages_are_short() {
        for (seconds, text) in [(-5, "0s"), (59, "59s"), (60, "1m"), (3_600, "1h"), (90_000, "1d")] {
            assert_eq!(age(seconds), text);
        }
    }
}
