//! `why ID`: what keeps a task waiting, why it went where it is, and how it ended before.

use jiff::Timestamp;

use super::answer::answer;
use super::args::WhyArgs;
use super::exit::{CliError, Exit};
use super::line::printable;
use super::print::Printer;
use super::table::{age, terminal_width};
use crate::client::ManagerHandle;
use crate::manager::why::{Line, Marks, Table, Why};
use crate::scheduler::Explanation;

/// Workers in JSON: the rest is counted.
const TOLD: usize = 1_000;

pub async fn why(args: &WhyArgs, manager: &ManagerHandle, color: bool) -> Result<Exit, CliError> {
    let mut printer = Printer::new(args.output.output);
    let most = if printer.is_json() { TOLD } else { args.workers.min(TOLD) };
    let why = answer(manager, manager.why(&args.id, most)).await?;
    if printer.is_json() {
        printer.json(&why)?;
    } else {
        printer.result(&text(&why, Timestamp::now(), terminal_width(), marks(color)))?;
    }
    Ok(Exit::Done)
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
