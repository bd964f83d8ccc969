//! `draw`: the whole screen from the Model, and nothing but the Model. Builds what is visible, no more.

use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};

use crate::cluster::{Sample, SchedulerName, TaskRow, WorkerRecord};
use crate::task::State;

use super::clean::width;
use super::format::{age, bar, clock, count, percent};
use super::keymap::{Command, Context};
use super::layout::{Pane, Shape, layout};
use super::loads;
use super::model::{Link, Model};
use super::row::Row;
use super::theme::{Face, Tone};
use super::update::contexts;
use super::{overlays, panes};

/// Draws the dashboard into `area` of an empty buffer; returns where the cursor stands, if it is shown.
pub fn draw(model: &Model, area: Rect, buffer: &mut Buffer) -> Option<Position> {
    let area = area.intersection(buffer.area);
    if area.is_empty() {
        return None;
    }
    let layout = layout(area, model.focus, model.is_zoomed);
    match layout.shape {
        Shape::Line => one_line(model, layout.header, buffer),
        Shape::One | Shape::Tabs => narrow_header(model, layout.header, buffer),
        Shape::Wide => wide_header(model, layout.header, buffer),
    }
    tabs(model, layout.tabs, buffer);
    for pane in Pane::ALL {
        panes::draw(model, pane, layout.pane(pane), buffer);
    }
    let has_news = status(model, layout.status, buffer);
    if layout.shape == Shape::One && has_news {
        status(model, layout.footer, buffer);
    } else {
        footer(model, layout.footer, buffer);
    }
    overlays::draw(model, area, buffer)
}

/// Glyph, count and, where there is room, a word for every state.
fn counts(model: &Model, wants_words: bool, row: &mut Row<'_>) {
    let words = [
        (State::Running, "run"),
        (State::Scheduled, "sched"),
        (State::Pending, "pend"),
        (State::Completed, "done"),
        (State::Failed, "fail"),
    ];
    let cells =
        |(state, word): &(State, &str)| 4 + word.len() + model.cluster.count(*state).to_string().len();
    let has_words = wants_words && words.iter().map(cells).sum::<usize>() <= row.left() + 2;
    for (state, word) in words {
        let face = Face::from(state);
        let number = model.cluster.count(state);
        let tone = if number == 0 { Tone::Dim } else { face.tone() };
        let text = format!("{}{number}", face.glyph());
        if has_words {
            row.text(&format!("{text} {word}"), tone).skip(2);
        } else {
            row.text(&text, tone).skip(1);
        }
    }
}

/// `OK` or why not, in a word.
fn health(model: &Model) -> (&'static str, Tone) {
    let workers = model.cluster.workers();
    match &model.link {
        Link::Connecting(_) => ("", Tone::Dim),
        Link::Live | Link::Cut { .. } if workers.iter().all(WorkerRecord::takes_work) => ("OK", Tone::Good),
        Link::Live | Link::Cut { .. } => ("! DEGRADED", Tone::Warn),
    }
}

/// The time and how live the picture is, at the right end; returns how many cells that takes.
fn clock_and_link(model: &Model, area: Rect, buffer: &mut Buffer) -> usize {
    let now = clock(model.now, &model.zone);
    let (time, word, tone) = match &model.link {
        Link::Connecting(_) => (now, "connecting".to_owned(), Tone::Busy),
        Link::Live => (now, "LIVE".to_owned(), Tone::Good),
        // The time is that of the picture.
        Link::Cut { since, .. } => {
            (clock(*since, &model.zone), format!("CUT {} ago", age(*since, model.now)), Tone::Bad)
        }
    };
    let cells = width(&word) + 11;
    let mut row = Row::new(buffer, model.theme, area, 0);
    row.leave(cells).skip(1).text(&time, Tone::Plain).skip(1).text(&word, tone);
    cells
}

fn one_line(model: &Model, area: Rect, buffer: &mut Buffer) {
    let mut row = Row::new(buffer, model.theme, area, 0);
    if let Some(countdown) = &model.countdown {
        let left = age(model.now, countdown.until);
        let undo = model.keymap.key(Context::Countdown, Command::TakeBack);
        row.text(&format!("stop in {left} {undo} undo"), Tone::Warn);
        return;
    }
    match &model.link {
        Link::Connecting(_) => row.text("… ", Tone::Busy),
        Link::Live => &mut row,
        Link::Cut { .. } => row.text("CUT ", Tone::Bad),
    };
    counts(model, false, &mut row);
}

fn narrow_header(model: &Model, area: Rect, buffer: &mut Buffer) {
    let right = clock_and_link(model, area, buffer);
    let mut row = Row::new(buffer, model.theme, area, 0);
    row.reserve(right);
    let is_small = area.width < 60;
    row.skip(1).text("cube", Tone::Accent);
    if !is_small {
        row.text(" ▸ ", Tone::Dim).text(&model.title.cluster, Tone::Strong).skip(2);
        let (word, tone) = health(model);
        row.text(if word == "OK" { "" } else { &word[..word.len().min(1)] }, tone).skip(1);
        row.text(&format!("w {}", ready_of_all(model)), Tone::Plain);
    }
    row.skip(2);
    counts(model, false, &mut row);
    if row.left() > 17 {
        row.skip(1);
        loads_in_short(model, &mut row);
    }
}

fn wide_header(model: &Model, area: Rect, buffer: &mut Buffer) {
    let right = clock_and_link(model, area, buffer);
    let mut row = Row::new(buffer, model.theme, area, 0);
    row.reserve(right);
    row.skip(1)
        .text("cube", Tone::Accent)
        .text(" ▸ ", Tone::Dim)
        .text(&model.title.cluster, Tone::Strong)
        .skip(3);
    let (word, tone) = health(model);
    row.text(word, tone).skip(2);
    row.text(&format!("workers {} ready", ready_of_all(model)), Tone::Plain).skip(3);
    // The one that everybody begins with needs no word.
    let scheduler = model.cluster.settings().scheduler;
    if scheduler != SchedulerName::default() {
        row.text(scheduler.name(), Tone::Accent).skip(3);
    }
    row.text(&format!("tasks {}:", model.tasks.total()), Tone::Strong).skip(2);
    counts(model, true, &mut row);

    let mut row = Row::new(buffer, model.theme, area, 1);
    row.skip(1);
    if let Some(cut) = cut_words(model) {
        // Loads of before would look like those of now.
        row.text(&cut, Tone::Bad);
        return;
    }
    for (name, share) in [
        ("cpu", cpu(model)),
        ("mem", mean(model, |sample| Some(loads::memory(sample)))),
        ("disk", mean(model, |sample| Some(loads::disk(sample)))),
    ] {
        row.text(name, Tone::Dim).skip(1);
        row.text(&bar(share.unwrap_or(0.0), 10), if share.is_some() { Tone::Busy } else { Tone::Dim })
            .skip(1);
        row.column(&share.map_or("-".to_owned(), percent), 4, Tone::Plain).skip(1);
    }
    let oldest = model.cluster.pending().next().and_then(|task| model.cluster.row(task));
    let oldest = oldest.and_then(TaskRow::queued).map(|queued| age(queued.since, model.now));
    let queue = match oldest {
        Some(oldest) => format!("queue {}, oldest {oldest}", model.cluster.pending_len()),
        None => "queue empty".to_owned(),
    };
    row.text(&queue, Tone::Plain);
}

/// Since when and why the picture stands still.
fn cut_words(model: &Model) -> Option<String> {
    let Link::Cut { reason, since } = &model.link else { return None };
    let (ago, as_of) = (age(*since, model.now), clock(*since, &model.zone));
    Some(format!("! cut {ago} ago, trying again; what you see is as of {as_of}: {reason}"))
}

fn ready_of_all(model: &Model) -> String {
    let workers = model.cluster.workers();
    let ready = workers.iter().filter(|worker| worker.takes_work()).count();
    format!("{ready}/{}", workers.len())
}

/// The workers' mean CPU.
fn cpu(model: &Model) -> Option<f64> {
    mean(model, |sample| sample.cpu_percent)
}

/// The mean of a share over the workers that have told one.
fn mean(model: &Model, share: impl Fn(&Sample) -> Option<f64>) -> Option<f64> {
    let samples = model.cluster.workers().iter().filter_map(|worker| model.loads.last(&worker.id));
    let shares = samples.filter_map(share);
    let (sum, count) = shares.fold((0.0, 0_u32), |(sum, count), share| (sum + share, count + 1));
    (count > 0).then(|| sum / f64::from(count))
}

fn loads_in_short(model: &Model, row: &mut Row<'_>) {
    for (name, share) in [("cpu", cpu(model)), ("mem", mean(model, |sample| Some(loads::memory(sample))))] {
        row.text(name, Tone::Dim).skip(1);
        row.column(&share.map_or("-".to_owned(), percent), 3, Tone::Plain);
    }
}

fn tabs(model: &Model, area: Rect, buffer: &mut Buffer) {
    let mut row = Row::new(buffer, model.theme, area, 0);
    for pane in Pane::ALL {
        let number = match pane {
            Pane::Workers => Some(model.cluster.workers().len()),
            Pane::Pending => Some(model.cluster.pending_len()),
            Pane::Tasks => Some(model.tasks.total()),
            Pane::Stats | Pane::Events => None,
        };
        let number = number.map_or(String::new(), |number| format!(" {number}"));
        let name = format!("{} {}{number}", pane.number(), pane.name());
        if pane == model.focus {
            row.text(&format!("[{name}]"), Tone::Accent);
        } else {
            row.text(&format!(" {name} "), Tone::Dim);
        }
        row.skip(1);
    }
}

/// What there is to say; false if there is nothing.
fn status(model: &Model, area: Rect, buffer: &mut Buffer) -> bool {
    let mut row = Row::new(buffer, model.theme, area, 0);
    row.skip(1);
    if let Some(countdown) = &model.countdown {
        let tasks = count(countdown.tasks.len(), "task");
        let left = age(model.now, countdown.until);
        let keys: Vec<_> =
            model.keymap.footer(Context::Countdown).map(|(key, word)| format!("{key} {word}")).collect();
        let keys = format!("{}   (quitting sends it)", keys.join("   "));
        if row.left() < 50 {
            let key = |command| model.keymap.key(Context::Countdown, command);
            let keys = format!("{} undo  {} now", key(Command::TakeBack), key(Command::SendNow));
            row.text(&format!("Stopping {} in {left}", countdown.tasks.len()), Tone::Warn).skip(2);
            row.text(&keys, Tone::Strong);
            return true;
        }
        let text = format!("Stopping {tasks} in {left}: {}", countdown.names);
        let room = row.left().saturating_sub(width(&keys) + 3);
        row.column(&text, room.max(24), Tone::Warn).skip(1).text(&keys, Tone::Strong);
        return true;
    }
    if let Some(message) = &model.message {
        let tone = if message.is_error { Tone::Bad } else { Tone::Plain };
        row.text(if message.is_error { "! " } else { "" }, tone).text(&message.text, tone);
    } else if let Some(cut) = cut_words(model).filter(|_| model.layout().shape != Shape::Wide) {
        // A wide header has it already.
        row.text(&cut, Tone::Bad);
    } else if let Link::Connecting(Some(reason)) = &model.link {
        row.text(&format!("! no manager yet: {reason}; trying again"), Tone::Bad);
    } else {
        return false;
    }
    true
}

fn footer(model: &Model, area: Rect, buffer: &mut Buffer) {
    let context = contexts(model)[0];
    let context = if context == Context::Countdown { Context::Panes } else { context };
    let mut row = Row::new(buffer, model.theme, area, 0);
    row.skip(1);
    for (key, word) in model.keymap.footer(context) {
        let word = if word == "quit" { format!("quit ({})", model.title.on_quit) } else { word.to_owned() };
        let needed = width(key) + 1 + width(&word);
        if needed > row.left() {
            continue;
        }
        row.text(key, Tone::Strong).skip(1).text(&word, Tone::Dim).skip(2);
    }
}
