//! The events pane: what happened, the newest first.

use ratatui::{buffer::Buffer, layout::Rect};

use crate::cluster::{Change, What};
use crate::tui::format::moment;
use crate::tui::layout::{Pane, window_top};
use crate::tui::model::Model;
use crate::tui::row::{Row, cells_of, frame};
use crate::tui::theme::Tone;
use crate::tui::told::tell;

use super::{say_empty, select, title};

pub(super) fn draw(model: &Model, area: Rect, buffer: &mut Buffer) {
    let is_focused = model.focus == Pane::Events;
    let events = model.cluster.event_db();
    let follows = model.cursors.event.is_none();
    let rest = format!("{} ─ newest first{}", model.cluster.revision(), if follows { "" } else { " ─ held" });
    let area = frame(buffer, model.theme, area, &title(Pane::Events, &rest), is_focused);
    if events.is_empty() {
        return say_empty(model, buffer, area, "nothing happened yet");
    }
    let rows = usize::from(area.height);
    let selected = back(model);
    let top = window_top(events.len(), selected, model.cursors.events_above, rows);
    for (index, change) in events.iter().rev().skip(top).take(rows).enumerate() {
        let line = cells_of(index);
        let is_selected = is_focused && top + index == selected;
        let row = Row::new(buffer, model.theme, area, line);
        event_row(model, change, is_selected, row);
        if is_selected {
            select(buffer, area, line, true);
        }
    }
}

/// How many events are newer than the selected one.
fn back(model: &Model) -> usize {
    let newest = model.cluster.revision();
    let back = newest.saturating_sub(model.cursors.event.unwrap_or(newest));
    usize::try_from(back).unwrap_or(usize::MAX).min(model.cluster.event_db().len().saturating_sub(1))
}

fn event_row(model: &Model, change: &Change, is_selected: bool, mut row: Row<'_>) {
    let told = tell(change);
    row.text(if is_selected { "▸" } else { " " }, Tone::Accent);
    row.text(&moment(change.time, model.now, &model.zone), Tone::Dim).skip(1);
    let mut glyph = [0; 4];
    row.text(told.glyph.encode_utf8(&mut glyph), told.tone).skip(1);
    row.column(told.verb, 10, told.tone);
    let width = if row.left() >= 60 { 20 } else { row.left() / 3 };
    match &change.what {
        What::Worker { worker } => row.column(worker.id.as_str(), width, Tone::Plain),
        What::Forgotten { worker } => row.column(worker.as_str(), width, Tone::Plain),
        what => {
            let name = what.task_id().map_or(String::new(), |task| model.name_of(task));
            row.column(&name, width, Tone::Plain)
        }
    };
    row.text(&told.rest, Tone::Dim);
}
