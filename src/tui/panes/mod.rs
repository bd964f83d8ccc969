//! The panes, a file each: `draw` and nothing else. They read the Model and change nothing.

mod events;
mod pending;
mod stats;
mod tasks;
mod workers;

use ratatui::{buffer::Buffer, layout::Rect};

use super::layout::Pane;
use super::model::{Link, Model};
use super::row::Row;
use super::theme::{Theme, Tone};

/// Draws `pane` at `area`.
pub(super) fn draw(model: &Model, pane: Pane, area: Rect, buffer: &mut Buffer) {
    if area.is_empty() {
        return;
    }
    match pane {
        Pane::Workers => workers::draw(model, area, buffer),
        Pane::Pending => pending::draw(model, area, buffer),
        Pane::Tasks => tasks::draw(model, area, buffer),
        Pane::Stats => stats::draw(model, area, buffer),
        Pane::Events => events::draw(model, area, buffer),
    }
}

/// The frame's title: ` 3 Tasks 38 of 42 `.
fn title(pane: Pane, rest: &str) -> String {
    let space = if rest.is_empty() { "" } else { " " };
    format!(" {} {}{space}{rest} ", pane.number(), pane.name())
}

/// What an empty pane says, instead of rows: what to do, or why there is nothing to see.
fn say_empty(model: &Model, buffer: &mut Buffer, area: Rect, empty: &str) {
    let (text, tone) = match &model.link {
        Link::Connecting(None) => ("connecting to the manager…".to_owned(), Tone::Busy),
        Link::Connecting(Some(reason)) => (format!("no manager yet: {reason}; trying again"), Tone::Bad),
        Link::Live | Link::Cut { .. } => (empty.to_owned(), Tone::Dim),
    };
    let width = usize::from(area.width).saturating_sub(2);
    for (index, line) in (0..).zip(super::row::wrap(&text, width)) {
        Row::new(buffer, model.theme, area, index).skip(1).text(&line, tone);
    }
}

/// Marks the selected row of a list.
fn select(buffer: &mut Buffer, area: Rect, index: u16, is_focused: bool) {
    let row = Rect { y: area.y + index, height: 1, ..area }.intersection(area).intersection(buffer.area);
    if is_focused && !row.is_empty() {
        buffer.set_style(row, Theme::selected());
    }
}
