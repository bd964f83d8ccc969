//! `workers`: who runs the tasks, as a table that fits the terminal, or a line of JSON each.

use jiff::Timestamp;

use super::answer::answer;
use super::args::WorkersArgs;
use super::exit::{CliError, Exit};
use super::line::Line;
use super::live::{Seen, live, watch};
use super::loads::Loads;
use super::print::Printer;
use super::signals::StopSignals;
use super::table::{add_row, age, hide_below, table_of, terminal_width, text_of};
use super::text::printable;
use super::watch_lines::WatchLines;
use crate::client::ManagerHandle;
use crate::cluster::{Cluster, Sample, WorkerHealth, WorkerRecord};
use crate::tui::bytes;

pub async fn workers(args: &WorkersArgs, manager: &ManagerHandle) -> Result<Exit, CliError> {
    let mut printer = Printer::new(args.output.output);
    let width = terminal_width();
    if args.watch && width.is_some() && !printer.is_json() {
        return live(manager, |seen: &Seen<'_>| table(seen.cluster, seen.loads, seen.now, Some(seen.width)))
            .await;
    }
    if args.watch {
        let mut signals = StopSignals::new()?;
        let mut lines = WatchLines::of_workers(&mut printer);
        return tokio::select! {
            ended = watch(manager, &mut lines) => ended.map(|()| Exit::Done),
            () = signals.received() => Ok(Exit::Done),
        };
    }
    let cluster = answer(manager, manager.snapshot()).await?;
    if printer.is_json() {
        for worker in cluster.workers() {
            printer.line(&Line::of_worker_record(worker, &cluster))?;
        }
    } else {
        printer.result(&table(&cluster, &Loads::default(), Timestamp::now(), width))?;
    }
    Ok(Exit::Done)
}

fn table(cluster: &Cluster, loads: &Loads, now: Timestamp, width: Option<u16>) -> String {
    let mut table = table_of(["NAME", "STATE", "TASKS", "CPU", "MEMORY", "SINCE", "NOTE"], width);
    hide_below(&mut table, width, 50, &[5]);
    for worker in cluster.workers() {
        let load = loads.of_worker(&worker.id);
        let is_live = |task: &crate::task::TaskId| {
            cluster.task(*task).is_some_and(|record| !record.state().has_ended())
        };
        add_row(
            &mut table,
            [
                printable(worker.id.as_str()),
                state(worker).to_owned(),
                cluster.tasks_of(&worker.id).filter(is_live).count().to_string(),
                cpu(worker, load),
                memory(worker, load),
                age(now.duration_since(worker.since).as_secs()),
                printable(&note(worker)),
            ],
        );
    }
    text_of(&table, width)
}

/// What is used of what there is; a worker of the book tells neither.
fn cpu(worker: &WorkerRecord, load: Option<&Sample>) -> String {
    let cpus = worker.capacity.cpus;
    match load.and_then(|load| load.cpu_percent) {
        Some(percent) => format!("{percent:.0}% of {cpus}"),
        None if cpus > 0.0 => cpus.to_string(),
        None => String::new(),
    }
}

fn memory(worker: &WorkerRecord, load: Option<&Sample>) -> String {
    let all = worker.capacity.memory_bytes;
    match load {
        Some(load) => format!("{} of {}", bytes(load.memory_used_bytes), bytes(load.memory_total_bytes)),
        None if all > 0 => bytes(all),
        None => String::new(),
    }
}

fn note(worker: &WorkerRecord) -> String {
    let mut notes = Vec::new();
    if !worker.runtime_problem.is_empty() {
        notes.push(format!("runtime unhealthy: {}", worker.runtime_problem));
    }
    if !worker.reason.is_empty() {
        notes.push(worker.reason.clone());
    }
    notes.extend(worker.notice());
    if worker.insecure {
        notes.push("insecure: plain HTTP beyond this machine".to_owned());
    }
    notes.join("; ")
}

/// A ready worker that takes no work says so.
fn state(worker: &WorkerRecord) -> &'static str {
    match worker.availability.name() {
        word if worker.health == WorkerHealth::Ready && !word.is_empty() => word,
        _ => worker.health.name(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{History, id};
    use super::*;

    #[test]
    fn a_row_tells_what_a_worker_has_does_and_lacks() {
        let mut history = History::default();
        history.worker(|worker| {
            worker.health = WorkerHealth::Ready;
            worker.capacity.cpus = 4.0;
            worker.capacity.memory_bytes = 8 << 30;
        });
        history.worker(|worker| {
            worker.id = "10.0.0.2:5555".into();
            worker.health = WorkerHealth::Ready;
            worker.insecure = true;
            worker.runtime_problem = "cannot reach Docker\x1b]52;c;aGk=\x07".into();
        });
        history.submit(id("11111111"), "web");
        history.schedule(id("11111111"));
        let now = "2026-11-24T09:00:00Z".parse().unwrap();
        insta::assert_snapshot!(table(&history.cluster, &Loads::default(), now, None));
        for width in [40, 60, 80] {
            let text = table(&history.cluster, &Loads::default(), now, Some(width));
            assert!(text.lines().all(|line| line.chars().count() <= width.into()), "{text}");
            assert!(text.contains("localhost:5555") && text.contains("10.0.0.2:5555"), "{text}");
        }
    }
}
