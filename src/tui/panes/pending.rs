//! The pending pane: what waits, for how long, and why.

use ratatui::{buffer::Buffer, layout::Rect};

use crate::cluster::{Revision, TaskRecord};
use crate::task::TaskId;
use crate::tui::format::{age, bytes, next_start};
use crate::tui::layout::Pane;
use crate::tui::model::Model;
use crate::tui::row::{Row, cells_of, frame};
use crate::tui::theme::{Face, Tone};

use super::{say_empty, select, title};

pub(super) fn draw(model: &Model, area: Rect, buffer: &mut Buffer) {
    let is_focused = model.focus == Pane::Pending;
    let count = model.cluster.pending_len();
    let area = frame(buffer, model.theme, area, &title(Pane::Pending, &count.to_string()), is_focused);
    let Some((selected, _)) = model.pending_at_cursor() else {
        return say_empty(model, buffer, area, "nothing waits");
    };
    let width = usize::from(area.width);
    let (name, needs) = if width >= 60 { (20, 9) } else { (12.min(width / 3), 0) };
    let mut row = Row::new(buffer, model.theme, area, 0);
    row.skip(3).column("TASK", name, Tone::Dim);
    if needs > 0 {
        row.column("NEEDS", needs, Tone::Dim);
    }
    row.number("WAIT", 5, Tone::Dim).text("WHY", Tone::Dim);

    let rows = usize::from(area.height).saturating_sub(1);
    for (index, (position, task)) in window(model, selected, rows).into_iter().enumerate() {
        let Some(record) = model.cluster.task(task) else { continue };
        let line = cells_of(index + 1);
        let is_selected = position == selected;
        let mut row = Row::new(buffer, model.theme, area, line);
        row.text(if is_selected { "▸" } else { " " }, Tone::Accent);
        let is_marked = model.marks.contains(&task);
        let face = Face::of(&model.cluster, &record);
        let (glyph, tone) = if is_marked { ('*', Tone::Accent) } else { (face.glyph(), face.tone()) };
        row.text(glyph.encode_utf8(&mut [0; 4]), tone).skip(1);
        row.column(&model.name_of(task), name, Tone::Plain);
        if needs > 0 {
            row.column(&needed(&record), needs, Tone::Dim);
        }
        let since = record.queued.map_or(record.submitted, |queued| queued.since);
        row.number(&age(since, model.now), 5, Tone::Dim).text(&why(model, &record), face.tone());
        if is_selected {
            select(buffer, area, line, is_focused);
        }
    }
}

/// The rows on the screen, walked to from the selected place.
fn window(model: &Model, selected: Revision, rows: usize) -> Vec<(Revision, TaskId)> {
    let above = model.cursors.pending_above.min(rows.saturating_sub(1));
    let before = model.cluster.pending_range(..selected);
    let mut window: Vec<_> = before.rev().take(above).collect();
    window.reverse();
    let left = rows - window.len();
    window.extend(model.cluster.pending_range(selected..).take(left));
    window
}

/// `4c 16G`: what it asks for.
fn needed(record: &TaskRecord) -> String {
    let spec = &record.task.spec;
    let cpu = if spec.cpu > 0.0 { format!("{}c ", spec.cpu) } else { String::new() };
    let memory = if spec.memory_bytes > 0 { bytes(spec.memory_bytes) } else { String::new() };
    if cpu.is_empty() && memory.is_empty() { "-".to_owned() } else { format!("{cpu}{memory}") }
}

/// Why it waits, and when it is tried again.
fn why(model: &Model, record: &TaskRecord) -> String {
    let retry = next_start(record, model.now).map(|wait| format!("again in {wait}"));
    let reason = &record.status().reason;
    match (retry, reason.is_empty()) {
        (None, true) => "next".to_owned(),
        (None, false) => reason.clone(),
        (Some(retry), true) => retry,
        (Some(retry), false) => format!("{retry}: {reason}"),
    }
}
