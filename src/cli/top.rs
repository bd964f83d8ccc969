//! `top`: what the running tasks use, the hungriest first. Once, or again and again on a terminal.

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

use super::args::TopArgs;
use super::exit::{CliError, Exit};
use super::follow::Observer;
use super::live::{Seen, live, watch};
use super::loads::Loads;
use super::print::Printer;
use super::submit::within;
use super::table::{add_row, hide_below, table_of, terminal_width, text_of};
use super::text::escaped;
use super::text::printable;
use crate::client::ManagerHandle;
use crate::cluster::{Change, Cluster, FeedItem, Peer, TaskUse};
use crate::manager::request::RequestError;
use crate::task::{TaskId, WorkerId};
use crate::tui::bytes;

/// A worker tells its load every five seconds; one that says nothing for longer is left out.
const SAMPLES_WITHIN: Duration = Duration::from_secs(7);

pub async fn top(args: &TopArgs, manager: &ManagerHandle) -> Result<Exit, CliError> {
    let mut printer = Printer::new(args.output.output);
    let width = terminal_width();
    if width.is_some() && !args.once && !printer.is_json() {
        return live(manager, |seen: &Seen<'_>| table(seen.cluster, seen.loads, Some(seen.width))).await;
    }
    // A pipe gets one table, and lines of JSON for as long as it is read.
    let is_once = args.once || !printer.is_json();
    let mut samples = Samples { printer: &mut printer, is_once, loads: Loads::default(), silent: None };
    let taking = async {
        let taken = watch(manager, &mut samples);
        if is_once {
            // Who is silent until then is left out.
            tokio::time::timeout(SAMPLES_WITHIN, taken).await.unwrap_or(Ok(()))?;
            let cluster = manager.snapshot().await?;
            if !samples.printer.is_json() {
                samples.printer.result(&table(&cluster, &samples.loads, width))?;
            }
        } else {
            taken.await?;
        }
        Ok(Exit::Done)
    };
    within(None, "", taking).await
}

/// Takes samples in: one of each worker, or all there will be.
struct Samples<'a> {
    printer: &'a mut Printer,
    is_once: bool,
    loads: Loads,
    /// The workers that have yet to tell, once they are known.
    silent: Option<HashSet<WorkerId>>,
}

impl Observer for Samples<'_> {
    fn begin(&mut self, cluster: &Cluster) -> Result<ControlFlow<()>, CliError> {
        let tells =
            cluster.workers().iter().filter(|worker| worker.takes_work() && worker.peer == Peer::Cube);
        let silent: HashSet<_> = tells.map(|worker| worker.id.clone()).collect();
        let has_nobody = silent.is_empty();
        self.silent = Some(silent);
        Ok(if self.is_once && has_nobody { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    }

    fn changed(&mut self, _: &Change, _: &Cluster) -> Result<ControlFlow<()>, CliError> {
        Ok(ControlFlow::Continue(()))
    }

    fn passed_by(&mut self, item: &FeedItem, cluster: &Cluster) -> Result<ControlFlow<()>, CliError> {
        let FeedItem::Sample(told) = item else { return Ok(ControlFlow::Continue(())) };
        self.loads.note(item);
        if self.printer.is_json() {
            for usage in &told.sample.tasks {
                self.printer.result(&json(cluster, &told.worker, usage, told.sample.time))?;
            }
        }
        let silent = self.silent.get_or_insert_default();
        silent.remove(&told.worker);
        Ok(if self.is_once && silent.is_empty() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    }

    fn cut_off(&mut self, error: &RequestError) {
        self.printer.remark(&format!("{error}; trying again"));
    }
}

/// A line of JSON: what one task used when its worker looked.
fn json(cluster: &Cluster, worker: &WorkerId, usage: &TaskUse, time: Timestamp) -> String {
    #[derive(Serialize)]
    struct Load<'a> {
        v: u8,
        time: Timestamp,
        #[serde(rename = "type")]
        kind: &'static str,
        worker: &'a WorkerId,
        cpu_percent: Option<f64>,
        memory_bytes: u64,
        task: Named<'a>,
    }
    #[derive(Serialize)]
    #[serde(rename_all = "PascalCase")]
    struct Named<'a> {
        #[serde(rename = "ID")]
        id: TaskId,
        name: &'a str,
    }
    let name = cluster.row(usage.task).map_or("", |row| row.name());
    let &TaskUse { task: id, cpu_percent, memory_bytes } = usage;
    let task = Named { id, name };
    let load = Load { v: 1, time, kind: "load", worker, cpu_percent, memory_bytes, task };
    escaped(&serde_json::to_string(&load).unwrap_or_default())
}

fn table(cluster: &Cluster, loads: &Loads, width: Option<u16>) -> String {
    let mut uses: Vec<_> = loads
        .of_tasks()
        .filter(|(worker, usage)| {
            // Its last sample may be from before the end, or from before a move.
            let ended = cluster.row(usage.task).is_none_or(|row| row.state().has_ended());
            !ended && cluster.worker_of(usage.task) == Some(*worker)
        })
        .collect();
    uses.sort_by(|(_, one), (_, other)| {
        let key = |usage: &TaskUse| (usage.cpu_percent.unwrap_or(-1.0), usage.memory_bytes);
        let ((cpu, memory), (other_cpu, other_memory)) = (key(one), key(other));
        other_cpu.total_cmp(&cpu).then(other_memory.cmp(&memory)).then(one.task.cmp(&other.task))
    });
    let mut table = table_of(["ID", "NAME", "CPU", "MEMORY", "OF", "WORKER"], width);
    hide_below(&mut table, width, 60, &[4]);
    for (worker, usage) in uses {
        let Some(record) = cluster.task(usage.task) else { continue };
        let limit = record.task.spec.memory_bytes;
        add_row(
            &mut table,
            [
                usage.task.short(),
                printable(&record.task.spec.name),
                usage.cpu_percent.map_or_else(|| "-".to_owned(), |percent| format!("{percent:.1}%")),
                bytes(usage.memory_bytes),
                if limit == 0 { String::new() } else { bytes(limit) },
                printable(worker.as_str()),
            ],
        );
    }
    text_of(&table, width)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::fixture::{History, id};
    use super::*;
    use crate::cluster::{Sample, WorkerSample};
    use crate::task::State;

    fn sample(uses: &[(&str, Option<f64>, u64)]) -> FeedItem {
        let tasks = uses
            .iter()
            .map(|(start, cpu_percent, memory_bytes)| TaskUse {
                task: id(start),
                cpu_percent: *cpu_percent,
                memory_bytes: *memory_bytes,
            })
            .collect();
        let sample = Sample { tasks, ..Sample::default() };
        FeedItem::Sample(Arc::new(WorkerSample { worker: "localhost:5555".into(), sample }))
    }

    #[test]
    fn the_hungriest_is_first_and_what_ended_is_gone() {
        let mut history = History::default();
        for (start, name) in [("11111111", "calm"), ("22222222", "busy\x1b[2J"), ("33333333", "gone")] {
            history.submit(id(start), name);
            history.schedule(id(start));
            history.observe(id(start), State::Running, None, "");
        }
        history.observe(id("33333333"), State::Completed, Some(0), "");
        let mut loads = Loads::default();
        let uses = [
            ("11111111", Some(3.0), 5 << 20),
            ("22222222", Some(152.25), 64 << 20),
            ("33333333", Some(9.0), 1 << 30),
        ];
        assert!(loads.note(&sample(&uses)));
        insta::assert_snapshot!(table(&history.cluster, &loads, None));
        let text = json(
            &history.cluster,
            &"localhost:5555".into(),
            &TaskUse { task: id("22222222"), cpu_percent: Some(152.25), memory_bytes: 7 },
            Timestamp::UNIX_EPOCH,
        );
        let line: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!((&line["type"], &line["task"]["Name"]), (&"load".into(), &"busy\x1b[2J".into()));
    }
}
