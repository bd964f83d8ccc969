//! The workers pane: health, load and tasks of each.

use ratatui::{buffer::Buffer, layout::Rect};

use crate::cluster::{Peer, WorkerRecord};
use crate::tui::format::{age, bar, curve, percent};
use crate::tui::layout::{Pane, window_top};
use crate::tui::loads::{self, cpu};
use crate::tui::model::Model;
use crate::tui::row::{Row, cells_of, frame};
use crate::tui::theme::{Tone, worker_face};

use super::{say_empty, select, title};

/// Which columns there is room for, and how wide the flexible ones are.
struct Columns {
    name: usize,
    bar: u16,
    curve: usize,
    has_memory: bool,
}

impl Columns {
    fn new(width: usize) -> Self {
        // Mark 1, state 12+1, cpu 4+1, tasks 5+1, heartbeat 5.
        let fixed = 30;
        let mut left = width.saturating_sub(fixed);
        let mut take = |cells: usize, at_least: usize| {
            let fits = left >= cells + at_least;
            left -= if fits { cells } else { 0 };
            fits
        };
        let has_memory = take(6, 12);
        let bar = if take(11, 14) { 10 } else { 0 };
        let curve = if take(9, 15) { 8 } else { 0 };
        Self { name: left.saturating_sub(1).clamp(4, 30), bar, curve, has_memory }
    }
}

pub(super) fn draw(model: &Model, area: Rect, buffer: &mut Buffer) {
    let workers = model.cluster.workers();
    let is_focused = model.focus == Pane::Workers;
    let ready = workers.iter().filter(|worker| worker.takes_work()).count();
    let rest = format!("{ready}/{} ready", workers.len());
    let area = frame(buffer, model.theme, area, &title(Pane::Workers, &rest), is_focused);
    if workers.is_empty() {
        return say_empty(
            model,
            buffer,
            area,
            "no workers: start with --worker HOST:PORT, or leave --no-local-worker out",
        );
    }
    let columns = Columns::new(area.width.into());
    heads(model, &columns, area, buffer);
    let rows = usize::from(area.height).saturating_sub(1);
    let selected = model.worker_at_cursor().unwrap_or(0);
    let top = window_top(workers.len(), selected, model.cursors.workers_above, rows);
    for (index, worker) in workers.iter().enumerate().skip(top).take(rows) {
        let line = cells_of(index - top + 1);
        let mut row = Row::new(buffer, model.theme, area, line);
        let is_selected = index == selected;
        row.text(if is_selected { "▸" } else { " " }, Tone::Accent);
        worker_row(model, worker, &columns, &mut row);
        if is_selected {
            select(buffer, area, line, is_focused);
        }
    }
}

fn heads(model: &Model, columns: &Columns, area: Rect, buffer: &mut Buffer) {
    let mut row = Row::new(buffer, model.theme, area, 0);
    row.skip(1).column("NAME", columns.name, Tone::Dim).column("STATE", 12, Tone::Dim);
    if columns.bar > 0 {
        row.column("CPU", columns.bar.into(), Tone::Dim).skip(5);
    } else {
        row.number("CPU", 4, Tone::Dim);
    }
    if columns.curve > 0 {
        row.column("LAST", columns.curve, Tone::Dim);
    }
    if columns.has_memory {
        row.number("MEM", 5, Tone::Dim);
    }
    row.number("TASKS", 5, Tone::Dim).number("AGE", 4, Tone::Dim);
}

fn worker_row(model: &Model, worker: &WorkerRecord, columns: &Columns, row: &mut Row<'_>) {
    let (glyph, word, tone) = match worker_face(worker) {
        (glyph, "ready", _) if worker.insecure => (glyph, "insecure", Tone::Warn),
        face => face,
    };
    row.column(&name_of(worker, columns.name), columns.name, Tone::Plain).column(
        &format!("{glyph} {word}"),
        12,
        tone,
    );
    let sample = model.loads.last(&worker.id);
    let share = sample.and_then(|sample| sample.cpu_percent);
    if !worker.runtime_problem.is_empty() && columns.bar > 0 {
        row.text(&format!("runtime unhealthy: {}", worker.runtime_problem), Tone::Bad);
        return;
    }
    if worker.unknown_tasks > 0 && columns.bar > 0 {
        // Short: in most layouts there is room for no more.
        row.text(&format!("{} not in store: cube-tui recover", worker.unknown_tasks), Tone::Warn);
        return;
    }
    if columns.bar > 0 {
        row.column(&bar(share.unwrap_or(0.0), columns.bar), columns.bar.into(), load_tone(share));
    }
    row.number(&share.map_or("-".to_owned(), percent), 4, load_tone(share));
    if columns.curve > 0 {
        let samples = model.loads.of_worker(&worker.id);
        row.column(&curve(samples.map(cpu), columns.curve), columns.curve, Tone::Busy);
    }
    if columns.has_memory {
        let memory = sample.filter(|sample| sample.memory_total_bytes > 0).map(loads::memory);
        row.number(&memory.map_or("-".to_owned(), percent), 5, load_tone(memory));
    }
    let live = model.live_tasks.get(&worker.id).copied().unwrap_or(0);
    row.number(&live.to_string(), 5, Tone::Plain);
    let heard = sample.map_or("-".to_owned(), |sample| age(sample.time, model.now));
    row.number(&heard, 4, Tone::Dim);
    if worker.peer == Peer::Book {
        row.text("book", Tone::Dim);
    }
}

/// With the address of one that has joined, where there is room.
fn name_of(worker: &WorkerRecord, room: usize) -> String {
    let name = worker.id.to_string();
    match &worker.joined {
        Some(joined) if name.len() + 1 + joined.address.len() <= room => format!("{name} {}", joined.address),
        _ => name,
    }
}

fn load_tone(share: Option<f64>) -> Tone {
    match share {
        None => Tone::Dim,
        Some(share) if share >= 90.0 => Tone::Bad,
        Some(share) if share >= 75.0 => Tone::Wait,
        Some(_) => Tone::Good,
    }
}
