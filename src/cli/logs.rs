//! `logs ID…`, and the output of `run --wait`: lines of tasks for people, pipes and scripts. Knows no worker.

use std::collections::HashMap;
use std::io::{self, BufWriter, IsTerminal as _, Write};
use std::time::Duration;

use futures_util::StreamExt as _;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use tokio::time::Instant;

use super::args::{LogsArgs, Output, Since, before_now};
use super::exit::{CliError, Exit};
use super::resolve::task_id;
use super::submit::within;
use super::text::printable;
use crate::client::ManagerHandle;
use crate::manager::logs::{LogItem, LogItems, TaskLine};
use crate::task::TaskId;
use crate::tui::keep_colours;
use crate::worker::runtime::{LogsQuery, OutputStream};

/// Items printed between two flushes, when they are there together.
const TOGETHER: usize = 1024;

/// A manager that restarts is back within this.
const GIVE_UP_AFTER: Duration = Duration::from_secs(15);
const TRY_AGAIN_AFTER: Duration = Duration::from_millis(250);

/// Of names, in turn: those of the 16 that are read on dark and light.
const COLOURS: [&str; 6] = ["36", "33", "32", "35", "34", "31"];

pub async fn logs(args: &LogsArgs, manager: &ManagerHandle, color: bool) -> Result<Exit, CliError> {
    let since = args.since.map(|since| match since {
        Since::At(at) => at,
        Since::Ago(ago) => before_now(ago),
    });
    within(None, "", async {
        let cluster = manager.snapshot().await?;
        let mut tasks = Vec::new();
        for id in &args.ids {
            let task = task_id(&cluster, id)?;
            if !tasks.contains(&task) {
                tasks.push(task);
            }
        }
        let mut printer = LogPrinter::new(args.output.output, args.timestamps, color);
        if tasks.len() > 1 {
            printer.name(&cluster, &tasks);
        }
        let query = LogsQuery { follow: args.follow, since, tail: args.tail };
        // The first time an error is the answer; later it is a connection that was cut.
        let items = manager.logs(tasks.clone(), query).await?;
        if let Err(error) = printer.print(items).await {
            if error.exit != Exit::Unreachable {
                return Err(error);
            }
            let query = LogsQuery { since: printer.after_last().or(since), tail: None, ..query };
            printer.print_all(manager, tasks, query).await?;
        }
        Ok(printer.exit)
    })
    .await
}

/// Prints what one task says until it has ended for good, over restarts of its manager, too. That one has said nothing
/// is told by who waits for its end.
pub async fn print_until_end(
    manager: &ManagerHandle,
    task: TaskId,
    mut printer: LogPrinter,
) -> Result<(), CliError> {
    printer.tells_of_none = false;
    printer.print_all(manager, vec![task], LogsQuery { follow: true, ..LogsQuery::default() }).await
}

/// Where lines go, and how they look there.
pub struct LogPrinter {
    output: Output,
    timestamps: bool,
    color: bool,
    /// What stands before the lines of several tasks, one after the other.
    names: HashMap<TaskId, String>,
    stdout: Sink,
    stderr: Sink,
    /// The time of the last line.
    last: Option<Timestamp>,
    /// Whether a task without lines is worth a word.
    tells_of_none: bool,
    /// What a task of which not everything could be had makes of it.
    exit: Exit,
}

struct Sink {
    writer: BufWriter<Box<dyn Write + Send>>,
    /// Nothing but colours may reach it.
    is_terminal: bool,
}

impl Sink {
    fn new(writer: impl Write + Send + 'static, is_terminal: bool) -> Self {
        Self { writer: BufWriter::with_capacity(64 << 10, Box::new(writer)), is_terminal }
    }
}

/// A line of `--output json`.
#[derive(Serialize)]
struct Line<'a> {
    v: u8,
    time: Timestamp,
    #[serde(rename = "type")]
    kind: &'static str,
    stream: &'static str,
    text: &'a str,
    task: Task<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Task<'a> {
    #[serde(rename = "ID")]
    id: TaskId,
    name: &'a str,
}

impl LogPrinter {
    pub fn new(output: Output, timestamps: bool, color: bool) -> Self {
        let stdout = Sink::new(io::stdout(), io::stdout().is_terminal());
        let stderr = Sink::new(io::stderr(), io::stderr().is_terminal());
        Self {
            output,
            timestamps,
            color,
            names: HashMap::new(),
            stdout,
            stderr,
            last: None,
            tells_of_none: true,
            exit: Exit::Done,
        }
    }

    /// Tells the tasks apart: by their names, and by ids too where those are not enough.
    fn name(&mut self, cluster: &crate::cluster::Cluster, tasks: &[TaskId]) {
        let name = |task: &TaskId| match cluster.task(*task) {
            Some(record) if !record.task.spec.name.is_empty() => printable(&record.task.spec.name),
            _ => task.short(),
        };
        let names: Vec<String> = tasks.iter().map(name).collect();
        let is_twice = |name: &String| names.iter().filter(|other| *other == name).count() > 1;
        let full: Vec<String> = tasks
            .iter()
            .zip(&names)
            .map(
                |(task, name)| if is_twice(name) { format!("{name} {}", task.short()) } else { name.clone() },
            )
            .collect();
        let longest = full.iter().map(|name| name.chars().count()).max().unwrap_or(0);
        for ((index, task), name) in tasks.iter().enumerate().zip(full) {
            let prefix = format!("{name:<longest$} | ");
            let prefix = if self.color && self.stdout.is_terminal {
                format!("\x1b[{}m{prefix}\x1b[0m", COLOURS[index % COLOURS.len()])
            } else {
                prefix
            };
            self.names.insert(*task, prefix);
        }
    }

    /// Over cut connections: the manager restarts, or this was not read for so long that it was cut off.
    async fn print_all(
        &mut self,
        manager: &ManagerHandle,
        tasks: Vec<TaskId>,
        mut query: LogsQuery,
    ) -> Result<(), CliError> {
        let mut give_up = Instant::now() + GIVE_UP_AFTER;
        loop {
            let before = self.last;
            let printed = match manager.logs(tasks.clone(), query).await {
                Ok(items) => self.print(items).await,
                Err(error) => Err(error.into()),
            };
            let Err(error) = printed else { return Ok(()) };
            if error.exit != Exit::Unreachable {
                return Err(error);
            }
            if self.last != before {
                give_up = Instant::now() + GIVE_UP_AFTER;
            }
            if Instant::now() > give_up {
                return Err(error);
            }
            query.since = self.after_last().or(query.since);
            tokio::time::sleep(TRY_AGAIN_AFTER).await;
        }
    }

    /// From when on everything is new.
    fn after_last(&self) -> Option<Timestamp> {
        self.last.and_then(|last| last.saturating_add(SignedDuration::from_nanos(1)).ok())
    }

    async fn print(&mut self, items: LogItems) -> Result<(), CliError> {
        let mut items = items.ready_chunks(TOGETHER);
        while let Some(chunk) = items.next().await {
            for item in chunk {
                match item {
                    Ok(item) => self.item(&item)?,
                    Err(error) => {
                        self.flush()?;
                        return Err(error.into());
                    }
                }
            }
            self.flush()?;
        }
        Ok(())
    }

    fn item(&mut self, item: &LogItem) -> io::Result<()> {
        match item {
            LogItem::Line(line) => {
                self.last = Some(line.time);
                if self.output == Output::Json { self.json(line) } else { self.text(line) }
            }
            LogItem::Note { name, text, .. } => self.remark(name, text),
            LogItem::Failed { are_none: true, .. } if !self.tells_of_none => Ok(()),
            LogItem::Failed { name, text, are_none, .. } => {
                match (are_none, self.exit) {
                    (false, _) => self.exit = Exit::Unreachable,
                    (true, Exit::Done) => self.exit = Exit::TaskFailed,
                    (true, _) => {}
                }
                self.remark(name, text)
            }
            LogItem::End => Ok(()),
        }
    }

    fn json(&mut self, line: &TaskLine) -> io::Result<()> {
        let task = Task { id: line.task, name: &line.name };
        let kind = "log";
        let line = Line { v: 1, time: line.time, kind, stream: line.stream.name(), text: &line.text, task };
        let mut text = serde_json::to_vec(&line)?;
        text.push(b'\n');
        self.stdout.writer.write_all(&text)
    }

    fn text(&mut self, line: &TaskLine) -> io::Result<()> {
        let prefix = self.names.get(&line.task).map_or("", String::as_str);
        // Of several tasks the order matters more than the stream.
        let is_error = line.stream == OutputStream::Stderr && self.names.is_empty();
        let (to, other) = if is_error {
            (&mut self.stderr, &mut self.stdout)
        } else {
            (&mut self.stdout, &mut self.stderr)
        };
        other.writer.flush()?;
        let safe = if to.is_terminal { keep_colours(&line.text) } else { line.text.as_str().into() };
        let safe = if self.color || !to.is_terminal { safe } else { without_colours(&safe).into() };
        let time = if self.timestamps { format!("{:.3} ", line.time) } else { String::new() };
        writeln!(to.writer, "{prefix}{time}{safe}")
    }

    fn remark(&mut self, name: &str, text: &str) -> io::Result<()> {
        self.stdout.writer.flush()?;
        writeln!(self.stderr.writer, "cube-tui: {}: {}", printable(name), printable(text))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stdout.writer.flush()?;
        self.stderr.writer.flush()
    }
}

/// NO_COLOR holds for what tasks say, too.
fn without_colours(safe: &str) -> String {
    let mut plain = String::with_capacity(safe.len());
    for (index, piece) in safe.split('\x1b').enumerate() {
        plain.push_str(if index == 0 { piece } else { piece.split_once('m').map_or("", |(_, text)| text) });
    }
    plain
}

impl std::fmt::Debug for LogPrinter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LogPrinter").field("output", &self.output).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, PipeReader};
    use std::sync::Arc;

    use futures_util::{StreamExt as _, stream};

    use super::super::fixture::{History, id};
    use super::*;

    fn printer(output: Output, is_terminal: bool) -> (LogPrinter, PipeReader, PipeReader) {
        let ((out, out_tx), (err, err_tx)) = (io::pipe().unwrap(), io::pipe().unwrap());
        let printer = LogPrinter {
            stdout: Sink::new(out_tx, is_terminal),
            stderr: Sink::new(err_tx, is_terminal),
            ..LogPrinter::new(output, false, true)
        };
        (printer, out, err)
    }

    fn line(task: &str, stream: OutputStream, text: &str) -> LogItem {
        let name = Arc::from("web");
        LogItem::Line(TaskLine {
            task: id(task),
            name,
            time: Timestamp::UNIX_EPOCH,
            stream,
            text: text.into(),
        })
    }

    async fn printed(mut printer: LogPrinter, items: Vec<LogItem>) -> Exit {
        printer.print(stream::iter(items).map(Ok).boxed()).await.unwrap();
        printer.exit
    }

    fn failed(are_none: bool, text: &str) -> LogItem {
        LogItem::Failed { task: id("22222222"), name: "api\x1b[2J".into(), text: text.into(), are_none }
    }

    #[tokio::test]
    async fn one_task_keeps_its_streams_apart_and_a_pipe_gets_what_was_written() {
        let (printer, out, err) = printer(Output::Text, false);
        let items = vec![
            line("11111111", OutputStream::Stdout, "out \x1b]52;c;eA==\x07"),
            line("11111111", OutputStream::Stderr, "err"),
        ];
        assert_eq!(printed(printer, items).await, Exit::Done);
        assert_eq!(io::read_to_string(out).unwrap(), "out \x1b]52;c;eA==\x07\n");
        assert_eq!(io::read_to_string(err).unwrap(), "err\n");
    }

    #[tokio::test]
    async fn several_tasks_come_with_names_and_a_terminal_gets_nothing_but_colours() {
        let mut history = History::default();
        history.submit(id("11111111"), "web");
        history.submit(id("22222222"), "api\x1b[2J");
        let (mut printer, out, err) = printer(Output::Text, true);
        printer.name(&history.cluster, &[id("11111111"), id("22222222")]);
        let items = vec![
            line("11111111", OutputStream::Stdout, "a\x1b[2J\x1b[31mred"),
            line("22222222", OutputStream::Stderr, "b"),
            failed(false, "gone"),
        ];
        assert_eq!(printed(printer, items).await, Exit::Unreachable);
        let text = io::read_to_string(out).unwrap();
        assert_eq!(text, "\x1b[36mweb     | \x1b[0ma\x1b[31mred\x1b[0m\n\x1b[33mapi [2J | \x1b[0mb\n");
        assert_eq!(io::read_to_string(err).unwrap(), "cube-tui: api [2J: gone\n");
    }

    #[tokio::test]
    async fn who_has_said_nothing_is_not_out_of_reach_and_a_wait_for_its_end_says_enough() {
        for (items, exit) in [
            (vec![failed(true, "none")], Exit::TaskFailed),
            (vec![failed(true, "none"), failed(false, "away")], Exit::Unreachable),
            (vec![failed(false, "away"), failed(true, "none")], Exit::Unreachable),
        ] {
            assert_eq!(printed(printer(Output::Text, false).0, items).await, exit);
        }
        let (printer, _out, err) = printer(Output::Text, false);
        let printer = LogPrinter { tells_of_none: false, ..printer };
        assert_eq!(printed(printer, vec![failed(true, "none")]).await, Exit::Done);
        assert_eq!(io::read_to_string(err).unwrap(), "");
    }

    #[tokio::test]
    async fn json_says_task_stream_time_and_text() {
        let (printer, out, _err) = printer(Output::Json, false);
        printed(printer, vec![line("11111111", OutputStream::Stderr, "x\"\x1b")]).await;
        let text = io::read_to_string(out).unwrap();
        let line: serde_json::Value = serde_json::from_str(&text).unwrap();
        let expected = serde_json::json!({
            "v": 1, "time": "1970-01-01T00:00:00Z", "type": "log", "stream": "stderr", "text": "x\"\u{1b}",
            "task": {"ID": id("11111111"), "Name": "web"},
        });
        assert_eq!(line, expected);
    }
}
