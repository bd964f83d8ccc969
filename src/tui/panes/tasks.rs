//! The tasks pane: a window on the task_db. Only the rows on the screen are built.

use ratatui::{buffer::Buffer, layout::Rect};

use crate::cluster::TaskRecord;
use crate::task::{TaskId, Verdict};
use crate::tui::clean::clean;
use crate::tui::format::{age, bytes, next_start, percent};
use crate::tui::keymap::{Command, Context};
use crate::tui::layout::{Pane, window_top};
use crate::tui::model::Model;
use crate::tui::row::{Row, cells_of, frame};
use crate::tui::theme::{Face, Tone};
use crate::tui::told::ports;

use super::{say_empty, select, title};

/// Which columns there is room for, and how wide the flexible ones are.
struct Columns {
    has_id: bool,
    name: usize,
    worker: usize,
    has_use: bool,
    has_restarts: bool,
}

impl Columns {
    fn new(width: usize) -> Self {
        // Marks 3, state 11+1, age 5+1.
        let mut left = width.saturating_sub(21);
        let mut take = |cells: usize, at_least: usize| {
            let fits = left >= cells + at_least;
            left -= if fits { cells } else { 0 };
            fits
        };
        let worker = if take(15, 22) { 14 } else { 0 };
        let has_use = take(13, 28);
        let has_id = take(9, 34);
        let has_restarts = take(4, 40);
        let worker = if worker > 0 && take(6, 44) { 20 } else { worker };
        // What is left over is for the note.
        let name = (left / 2).clamp(8, 28);
        Self { has_id, name, worker, has_use, has_restarts }
    }
}

pub(super) fn draw(model: &Model, area: Rect, buffer: &mut Buffer) {
    let is_focused = model.focus == Pane::Tasks;
    let tasks = &model.tasks;
    let area = frame(buffer, model.theme, area, &title(Pane::Tasks, &what_is_shown(model)), is_focused);
    if tasks.len() == 0 {
        let key = |command| model.keymap.key(Context::Panes, command);
        let empty = if tasks.total() == 0 {
            format!("no tasks yet: {} submits one, or from a shell: cube-tui run IMAGE", key(Command::New))
        } else {
            format!("no task passes the filter: {} clears it", key(Command::Back))
        };
        return say_empty(model, buffer, area, &empty);
    }
    let columns = Columns::new(area.width.into());
    heads(model, &columns, area, buffer);
    let rows = usize::from(area.height).saturating_sub(1);
    let selected = model.cursors.task_rank;
    let top = window_top(tasks.len(), selected, model.cursors.tasks_above, rows);
    for (index, task) in tasks.iter_from(top).take(rows).enumerate() {
        let Some(record) = model.cluster.task(task) else { continue };
        let line = cells_of(index + 1);
        let is_selected = top + index == selected;
        task_row(model, task, &record, is_selected, &columns, Row::new(buffer, model.theme, area, line));
        if is_selected {
            select(buffer, area, line, is_focused);
        }
    }
    say_which_rows(model, top, rows, area, buffer);
}

fn what_is_shown(model: &Model) -> String {
    let tasks = &model.tasks;
    let mut text = if tasks.len() == tasks.total() {
        tasks.total().to_string()
    } else {
        format!("{} of {}", tasks.len(), tasks.total())
    };
    let typed = model.filter_input.as_ref().map(|filter| filter.input.value());
    let filter = typed.unwrap_or(tasks.filter().text());
    if model.filter_input.is_some() {
        text = format!("{text} ─ filter: {}▏", clean(filter));
    } else if !filter.is_empty() {
        text = format!("{text} ─ filter: {}", clean(filter));
    }
    if !model.marks.is_empty() {
        text = format!("{text} ─ {} marked", model.marks.len());
    }
    text
}

fn heads(model: &Model, columns: &Columns, area: Rect, buffer: &mut Buffer) {
    let mut row = Row::new(buffer, model.theme, area, 0);
    row.skip(3);
    if columns.has_id {
        row.column("ID", 8, Tone::Dim);
    }
    row.column("NAME", columns.name, Tone::Dim).column("STATE", 11, Tone::Dim);
    if columns.worker > 0 {
        row.column("WORKER", columns.worker, Tone::Dim);
    }
    if columns.has_use {
        row.number("CPU", 5, Tone::Dim).number("MEM", 6, Tone::Dim);
    }
    if columns.has_restarts {
        row.number("RST", 3, Tone::Dim);
    }
    row.number("AGE", 5, Tone::Dim);
}

fn task_row(
    model: &Model,
    task: TaskId,
    record: &TaskRecord,
    is_selected: bool,
    columns: &Columns,
    mut row: Row<'_>,
) {
    let face = Face::of(&model.cluster, record);
    row.text(if is_selected { "▸" } else { " " }, Tone::Accent);
    row.text(if model.marks.contains(&task) { "* " } else { "  " }, Tone::Accent);
    if columns.has_id {
        row.column(&task.short(), 8, Tone::Dim);
    }
    let name = record.task.spec.name.as_str();
    row.column(
        if name.is_empty() { record.task.spec.image.as_str() } else { name },
        columns.name,
        Tone::Plain,
    );
    let mut state = String::with_capacity(16);
    state.push(face.glyph());
    state.push(' ');
    state.push_str(face.word());
    row.column(&state, 11, face.tone());
    if columns.worker > 0 {
        let worker = model.cluster.worker_of(task).map_or("-", |worker| worker.as_str());
        row.column(worker, columns.worker, Tone::Plain);
    }
    if columns.has_use {
        let (cpu, memory) = usage(model, task, face);
        row.number(&cpu, 5, Tone::Plain).number(&memory, 6, Tone::Plain);
    }
    if columns.has_restarts {
        row.number(&record.status().restart_count.to_string(), 3, Tone::Plain);
    }
    row.number(&age(in_state_since(record), model.now), 5, Tone::Dim);
    let (note, tone) = note(model, task, record, face);
    row.text(&note, tone);
}

/// CPU and memory of what runs; `?` where nobody knows now.
fn usage(model: &Model, task: TaskId, face: Face) -> (String, String) {
    let unknown = |mark: &str| (mark.to_owned(), mark.to_owned());
    match face {
        Face::Stale => unknown("?"),
        Face::Running | Face::Stopping => match model.loads.of_task(task) {
            Some(usage) => (usage.cpu_percent.map_or("-".to_owned(), percent), bytes(usage.memory_bytes)),
            None => unknown("-"),
        },
        Face::Pending | Face::CrashLoop | Face::Scheduled | Face::Completed | Face::Failed => unknown("-"),
    }
}

/// Since when it is in its state.
fn in_state_since(record: &TaskRecord) -> jiff::Timestamp {
    let status = record.status();
    let queued = record.queued.map(|queued| queued.since);
    let start = if status.state.has_ended() { None } else { status.start_time };
    status.finish_time.or(start).or(queued).unwrap_or(record.changed)
}

/// What there is to say beyond the state: progress, why it waits, how it ended, where it listens.
fn note(model: &Model, task: TaskId, record: &TaskRecord, face: Face) -> (String, Tone) {
    let status = record.status();
    if let Some(progress) = model.progress.get(&task)
        && !status.state.has_ended()
    {
        return (progress.clone(), Tone::Busy);
    }
    match face {
        Face::Pending | Face::Scheduled => (status.reason.clone(), Tone::Wait),
        Face::CrashLoop => (crash_loop(model, record), Tone::Bad),
        Face::Running => match status.health.as_deref().map(|health| health.verdict) {
            Some(Verdict::Starting) => (format!("starting {}", ports(status)), Tone::Wait),
            Some(Verdict::Unhealthy) => (status.reason.clone(), Tone::Bad),
            Some(Verdict::Healthy) | None => (ports(status), Tone::Dim),
        },
        Face::Stopping => (String::new(), Tone::Warn),
        Face::Stale if status.reason.is_empty() => ("its worker is silent".to_owned(), Tone::Warn),
        Face::Stale => (status.reason.clone(), Tone::Warn),
        Face::Completed | Face::Failed => {
            // A worker's reason names the exit code.
            let code = status.exit_code.filter(|_| status.reason.is_empty() && face == Face::Failed);
            let note = code.map_or_else(|| status.reason.clone(), |code| format!("exit {code}"));
            (note, if face == Face::Failed { Tone::Bad } else { Tone::Dim })
        }
    }
}

/// When it is started again, then why it has to wait: a narrow column shows the first of it.
fn crash_loop(model: &Model, record: &TaskRecord) -> String {
    match next_start(record, model.now) {
        Some(wait) => format!("again in {wait}: {}", record.crashes.words()),
        // It is due, and something else holds it back now.
        None => record.status().reason.clone(),
    }
}

/// `rows 1-11 of 38` in the lower border, once not all of them fit.
fn say_which_rows(model: &Model, top: usize, rows: usize, area: Rect, buffer: &mut Buffer) {
    let total = model.tasks.len();
    if total <= rows {
        return;
    }
    let text = format!(" rows {}-{} of {total} ", top + 1, (top + rows).min(total));
    let border = Rect { y: area.bottom(), height: 1, ..area };
    Row::new(buffer, model.theme, border, 0).leave(text.len() + 1).text(&text, Tone::Dim);
}
