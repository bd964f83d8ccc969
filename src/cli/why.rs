//! `why ID`: what keeps a task waiting, why it went where it is, and how it ended before.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};

use super::answer::answer;
use super::args::WhyArgs;
use super::exit::{CliError, Exit};
use super::print::Printer;
use super::table::{age, terminal_width};
use super::text::printable;
use crate::client::ManagerHandle;
use crate::manager::why::{Line, Marks, Table, Why};
use crate::scheduler::Explanation;
use crate::task::State;

/// Workers in JSON: the rest is counted.
const TOLD: usize = 1_000;

pub async fn why(args: &WhyArgs, manager: &ManagerHandle, color: bool) -> Result<Exit, CliError> {
    let mut printer = Printer::new(args.output.output);
    let most = if printer.is_json() { TOLD } else { args.workers.min(TOLD) };
    let why = answer(manager, manager.why(&args.id, most)).await?;
    if printer.is_json() {
        printer.json(&line("why", &why, Some(why.state)))?;
    } else {
        printer.result(&text(&why, Timestamp::now(), terminal_width(), marks(color)))?;
    }
    Ok(Exit::Done)
}

/// An answer as it came, with what every line has; its state is a word, as in all of them.
pub fn line(kind: &str, answer: &impl Serialize, state: Option<State>) -> Value {
    let mut line = json!({"v": 1, "type": kind});
    // Plain values: there is nothing in them that JSON could not say.
    if let (Value::Object(line), Ok(Value::Object(fields))) = (&mut line, serde_json::to_value(answer)) {
        line.extend(fields);
        if let Some(state) = state {
            line.insert("state".to_owned(), state.name().into());
        }
    }
    line
}

/// As everywhere else: without colours, a state is a word.
pub fn marks(color: bool) -> Marks {
    if color { Marks::Glyphs } else { Marks::Words }
}

fn text(why: &Why, now: Timestamp, width: Option<u16>, marks: Marks) -> String {
    let mut text = Vec::new();
    let name = if why.name.is_empty() { String::new() } else { format!("{} ", printable(&why.name)) };
    text.push(format!("{name}({})", why.task.short()));
    let table = why.waits.as_ref().map(|waits| table(&waits.explanation, width, marks));
    text.extend(table.filter(|table| !table.is_empty()).map(|table| format!("{table}\n")));
    text.extend(labelled(&why.lines(now, age)));
    text.join("\n")
}

/// The workers of an explanation, no line wider than `width`.
pub fn table(explanation: &Explanation, width: Option<u16>, marks: Marks) -> String {
    if explanation.workers.is_empty() {
        return String::new();
    }
    let table = Table::new(explanation, usize::MAX, width.map(usize::from), marks);
    let line = |cells: Vec<&str>| {
        let cells = cells.iter().zip(&table.widths).map(|(cell, width)| padded(cell, *width));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    let heads = line(table.heads.iter().map(String::as_str).collect());
    let rows = table.rows.iter().map(|row| line(row.iter().map(|cell| cell.text.as_str()).collect()));
    std::iter::once(heads).chain(rows).collect::<Vec<_>>().join("\n")
}

/// `text` in exactly `width` cells.
fn padded(text: &str, width: usize) -> String {
    use unicode_width::UnicodeWidthStr;
    let text = printable(text);
    let text = super::table::fitting(&text, width);
    format!("{text}{}", " ".repeat(width.saturating_sub(text.width())))
}

/// Lines with their labels in a column.
pub fn labelled(lines: &[Line]) -> impl Iterator<Item = String> {
    let widest = lines.iter().map(|(label, _)| label.len()).max().unwrap_or(0);
    lines.iter().map(move |(label, text)| format!("{label:<widest$}  {}", printable(text)))
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{History, id};
    use super::*;
    use crate::cluster::WorkerHealth;
    use crate::scheduler::{Loads, Request, View, explain};

    #[test]
    fn the_text_fits_the_terminal_has_words_without_colours_and_moves_no_cursor() {
        let mut history = History::default();
        history.worker(|worker| worker.health = WorkerHealth::Ready);
        history.worker(|worker| {
            (worker.id, worker.health) = ("worker\x1b[2J-2:5555".into(), WorkerHealth::Stale);
            worker.reason = "silent for 6s".into();
        });
        history.submit(id("55ab01fe"), "etl\u{9b}31m");
        let record = history.cluster.task(id("55ab01fe")).unwrap();
        let loads = Loads::default();
        let view = View { cluster: &history.cluster, loads: &loads };
        let explanation = explain(view, &Request::new(&record.task.spec, &history.cluster), |_| None, 9);
        let why = Why::new(&history.cluster, record, Some(explanation));
        let now = "2026-11-24T07:01:00Z".parse().unwrap();
        let line = line("why", &why, Some(why.state));
        assert_eq!(
            (&line["type"], &line["state"], &line["v"]),
            (&json!("why"), &json!("Pending"), &json!(1))
        );
        for width in [30, 80, 200] {
            let text = text(&why, now, Some(width), Marks::Glyphs);
            let table = text.lines().skip(1).take(3);
            assert!(table.clone().all(|line| line.chars().count() <= width.into()), "{text}");
            assert!(text.contains("(55ab01fe)") && text.contains('✗'), "{text}");
            assert!(!text.contains(|c: char| c != '\n' && crate::task::is_unprintable(c)), "{text:?}");
        }
        let text = text(&why, now, None, Marks::Words);
        assert!(text.contains("NO stale") && text.contains("yes") && !text.contains('✗'), "{text}");
        assert!(text.contains("state      Pending for 56s"), "{text}");
        assert!(text.contains("kept away  1 by readiness"), "{text}");
    }
}
