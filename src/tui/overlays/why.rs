//! Why a task waits, is here, or was started again: the manager's answer, as a table of workers and lines below it.

use ratatui::{buffer::Buffer, layout::Rect};

use crate::manager::why::{Marks, Table, Why};
use crate::scheduler::Outcome;
use crate::tui::clean::clean;
use crate::tui::format::age;
use crate::tui::keymap::{Command, Context};
use crate::tui::model::{Model, WhyView};
use crate::tui::row::{Row, cells_of, wrap};
use crate::tui::theme::Tone;

use super::{tall, window, within};

const LABEL: usize = 11;

/// Workers with a row of their own: with more of them the table is no answer any more.
const WORKERS: usize = 12;

/// A line of it.
#[derive(Debug)]
pub(super) enum Line {
    /// Cells, each as wide as told.
    Cells(Vec<(String, usize, Tone)>),
    Told {
        label: &'static str,
        text: String,
        tone: Tone,
    },
}

pub(super) fn draw(model: &Model, view: &WhyView, area: Rect, buffer: &mut Buffer) {
    let size = outside(area);
    let lines = lines(model, view, usize::from(size.width).saturating_sub(2));
    let height = cells_of(lines.len() + 2).max(5).min(size.height);
    let question = match &view.answer {
        Some(Ok(why)) => why.question(),
        _ => format!("why is {} where it is?", model.name_of(view.task)),
    };
    let key = |command| model.keymap.key(Context::Why, command);
    let title = format!(" {} ─ {} ─ {} back ", clean(&question), key(Command::Why), key(Command::Back));
    let inside = window(buffer, model.theme, area, &title, size.width, height);
    let room = usize::from(inside.height);
    let scroll = view.scroll.min(lines.len().saturating_sub(room));
    for (index, line) in lines.iter().skip(scroll).take(room).enumerate() {
        let mut row = Row::new(buffer, model.theme, inside, cells_of(index));
        row.skip(1);
        match line {
            Line::Cells(cells) => {
                for (text, width, tone) in cells {
                    row.column(text, *width, *tone).skip(1);
                }
            }
            Line::Told { label, text, tone } => {
                row.column(label, LABEL, Tone::Dim).text(text, *tone);
            }
        }
    }
    if lines.len() > room {
        let text = format!(" {}-{} of {} ", scroll + 1, (scroll + room).min(lines.len()), lines.len());
        let border = Rect { y: inside.bottom(), height: 1, ..inside };
        Row::new(buffer, model.theme, border, 0).leave(text.len() + 1).text(&text, Tone::Dim);
    }
}

fn outside(area: Rect) -> Rect {
    tall(area, 120)
}

/// The room for lines.
pub(super) fn inside(area: Rect) -> Rect {
    within(outside(area))
}

pub(super) fn lines(model: &Model, view: &WhyView, width: usize) -> Vec<Line> {
    let mut lines = Vec::new();
    match &view.answer {
        None => tell(&mut lines, "", "asking…", Tone::Dim, width),
        Some(Err(error)) => tell(&mut lines, "", error, Tone::Bad, width),
        Some(Ok(why)) => of_answer(model, why, width, &mut lines),
    }
    lines
}

fn of_answer(model: &Model, why: &Why, width: usize, lines: &mut Vec<Line>) {
    if let Some(waits) = why.waits.as_ref().filter(|waits| !waits.explanation.workers.is_empty()) {
        let workers = &waits.explanation.workers;
        let table = Table::new(&waits.explanation, WORKERS, Some(width.saturating_sub(2)), Marks::Glyphs);
        let cells = |cells: Vec<(&str, Tone)>| {
            let cells = cells.into_iter().zip(&table.widths);
            Line::Cells(cells.map(|((text, tone), width)| (text.to_owned(), *width, tone)).collect())
        };
        lines.push(cells(table.heads.iter().map(|head| (head.as_str(), Tone::Dim)).collect()));
        for row in &table.rows {
            let tone = |passes: Option<bool>| match passes {
                Some(true) => Tone::Good,
                Some(false) => Tone::Bad,
                None => Tone::Plain,
            };
            let mut row: Vec<_> = row.iter().map(|cell| (cell.text.as_str(), tone(cell.passes))).collect();
            row[0].1 = Tone::Plain;
            lines.push(cells(row));
        }
        if workers.len() > table.rows.len() {
            let more = workers.len() + waits.explanation.more - table.rows.len();
            tell(lines, "", &format!("and {more} more, counted below"), Tone::Dim, width);
        }
        tell(lines, "", "", Tone::Plain, width);
    }
    let now = model.now;
    let is_never = why
        .waits
        .as_ref()
        .is_some_and(|waits| matches!(waits.explanation.outcome, Outcome::NeverFits { .. }));
    let span = |seconds: i64| age(now - jiff::SignedDuration::from_secs(seconds), now);
    for (label, text) in why.lines(now, span) {
        let tone = match label {
            "verdict" if is_never => Tone::Bad,
            "verdict" | "next start" | "moved" | "room" | "makes room" => Tone::Wait,
            "nearest" => Tone::Good,
            "crash loop" | "refused by" => Tone::Bad,
            _ => Tone::Plain,
        };
        tell(lines, label, &text, tone, width);
    }
}

fn tell(lines: &mut Vec<Line>, label: &'static str, text: &str, tone: Tone, width: usize) {
    let mut label = label;
    for text in wrap(text, width.saturating_sub(LABEL + 2)) {
        lines.push(Line::Told { label, text, tone });
        label = "";
    }
}
