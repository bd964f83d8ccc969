//! The form of a new task: its fields, what is wrong with them, and where the cursor stands.

use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};

use crate::manager::plan::{Fate, Plan, Planned, PlannedLoad};
use crate::tui::clean::{clean, clip};
use crate::tui::format::{count, percent, share};
use crate::tui::keymap::{Command, Context};
use crate::tui::model::Model;
use crate::tui::row::{Row, cells_of, wrap};
use crate::tui::submit_form::{Field, SubmitForm};
use crate::tui::theme::{Face, Tone};

use super::window;

const WIDTH: u16 = 72;
const LABEL: usize = 11;

/// Lines for what the preview says: as many as three workers' reasons take.
const PREVIEW: usize = 3;

/// A line of the form.
enum Line {
    Field(Field),
    Says(String, Tone),
}

pub(super) fn draw(model: &Model, form: &SubmitForm, area: Rect, buffer: &mut Buffer) -> Option<Position> {
    let width = usize::from(WIDTH.min(area.width)).saturating_sub(4);
    let (lines, focused) = lines(form, width, area.height);
    let title = if form.is_sending {
        " new task ─ submitting… ".to_owned()
    } else {
        let key = |command| model.keymap.key(Context::Form, command);
        format!(" new task ─ {} submits ─ {} closes ", key(Command::Submit), key(Command::Back))
    };
    let height = cells_of(lines.len() + 2);
    let inside = window(buffer, model.theme, area, &title, WIDTH, height);

    // The field that has the keys is in the window, whatever the room.
    let room = usize::from(inside.height);
    let last_of_field = focused + usize::from(form.error(form.focus()).is_some());
    let scroll = (last_of_field + 1).saturating_sub(room).min(focused);
    let mut cursor = None;
    for (index, line) in lines.iter().skip(scroll).take(room).enumerate() {
        let mut row = Row::new(buffer, model.theme, inside, cells_of(index));
        match line {
            Line::Says(text, tone) => {
                row.skip(1).text(text, *tone);
            }
            Line::Field(field) => {
                let at = field_row(form, *field, &mut row);
                if *field == form.focus() && !form.is_sending {
                    cursor = at.map(|x| Position::new(x, inside.y + cells_of(index)));
                }
            }
        }
    }
    cursor
}

/// All lines, and which of them has the keys. Where there is little room, none is left empty.
fn lines(form: &SubmitForm, width: usize, height: u16) -> (Vec<Line>, usize) {
    let mut lines = Vec::new();
    let mut focused = 0;
    for field in Field::ALL {
        if field == Field::File && usize::from(height) > Field::ALL.len() + 2 {
            lines.push(Line::Says(String::new(), Tone::Plain));
        }
        if field == form.focus() {
            focused = lines.len();
        }
        lines.push(Line::Field(field));
        if let Some(error) = form.error(field) {
            let indent = " ".repeat(LABEL + 1);
            let room = width.saturating_sub(LABEL + 3).max(8);
            for (index, line) in wrap(error, room).into_iter().enumerate() {
                let mark = if index == 0 { "! " } else { "  " };
                lines.push(Line::Says(format!("{indent}{mark}{line}"), Tone::Bad));
            }
        }
    }
    // No room for it where not all fields have some.
    let room = usize::from(height).saturating_sub(Field::ALL.len() + 4).min(PREVIEW);
    lines.extend(preview(form, width, room));
    if let Some(problem) = &form.problem {
        let text = format!("! not submitted: {problem}");
        lines.extend(wrap(&text, width).into_iter().map(|line| Line::Says(line, Tone::Bad)));
    }
    (lines, focused)
}

/// Where it would go, always in `height` lines: the form must not jump while it is typed.
fn preview(form: &SubmitForm, width: usize, height: usize) -> impl Iterator<Item = Line> {
    let (text, tone) = match &form.preview.answer {
        Some(Ok(plan)) => told(plan),
        Some(Err(error)) => (error.clone(), Tone::Dim),
        None if form.preview.is_asking => ("…".to_owned(), Tone::Dim),
        None => match form.draft() {
            Err(Some((field, error))) => (format!("{}: {error}", field.label()), Tone::Dim),
            _ => ("as soon as there is an image, or a file".to_owned(), Tone::Dim),
        },
    };
    let room = width.saturating_sub(LABEL + 1);
    let mut text = wrap(&text, room);
    let is_cut = text.len() > height;
    text.resize(height, String::new());
    if let Some(last) = text.last_mut().filter(|_| is_cut) {
        *last = format!("{}…", clip(last, room.saturating_sub(1)));
    }
    text.into_iter().enumerate().map(move |(index, line)| {
        let label = if index == 0 { "preview" } else { "" };
        Line::Says(format!("{label:<LABEL$} {line}"), tone)
    })
}

/// `◔ worker-2  mem 61% → 79%`, or why it would wait. Of several tasks how many, and the first that has no place.
fn told(plan: &Plan) -> (String, Tone) {
    let (mut waiting, mut never, mut known) = (0, 0, 0);
    let mut first = None;
    for planned in &plan.tasks {
        match planned.fate {
            Fate::Placed { .. } | Fate::MakesRoom(_) => continue,
            Fate::Waiting { .. } => waiting += 1,
            Fate::NeverFits { .. } => never += 1,
            Fate::Known { .. } | Fate::Stop => {
                known += 1;
                continue;
            }
        }
        first.get_or_insert(planned);
    }
    if let [planned] = &plan.tasks[..] {
        return told_of(planned, plan);
    }
    let mut text = count(plan.tasks.len(), "task");
    for (number, what) in [(waiting, "would wait"), (never, "would never fit"), (known, "are there already")]
    {
        if number > 0 {
            text = format!("{text}, {number} {what}");
        }
    }
    let tone = match (waiting, never) {
        (0, 0) => Tone::Good,
        (_, 0) => Tone::Wait,
        _ => Tone::Bad,
    };
    match first {
        None => (format!("{text}: each finds a place"), tone),
        Some(planned) => (format!("{text}; {}: {}", planned.name, told_of(planned, plan).0), tone),
    }
}

fn told_of(planned: &Planned, plan: &Plan) -> (String, Tone) {
    match &planned.fate {
        Fate::Placed { worker, .. } => {
            let load = plan.workers.iter().find(|load| load.worker == *worker);
            let shares = load.map(shares).unwrap_or_default();
            (format!("{} {worker}{shares}", Face::Scheduled.glyph()), Tone::Good)
        }
        Fate::MakesRoom(room) if room.stopping.is_empty() => {
            (format!("{}, as soon as what ends there has gone", room.worker), Tone::Wait)
        }
        Fate::MakesRoom(room) => {
            (format!("{}, where {} would be stopped", room.worker, room.who()), Tone::Wait)
        }
        Fate::Waiting { reason, .. } => (reason.clone(), Tone::Wait),
        Fate::NeverFits { reason, .. } => (reason.clone(), Tone::Bad),
        Fate::Known { state } => (format!("is there already, {state}"), Tone::Dim),
        Fate::Stop => ("is stopped".to_owned(), Tone::Dim),
    }
}

/// What of the worker is promised before and after, where the task takes some of it.
fn shares(load: &PlannedLoad) -> String {
    let PlannedLoad { before, after, promised, .. } = load;
    let mut text = String::new();
    for (name, before, after, promised) in [
        ("cpu", before.cpu_nanos, after.cpu_nanos, promised.cpu_nanos),
        ("mem", before.memory_bytes, after.memory_bytes, promised.memory_bytes),
    ] {
        if promised > 0 && after != before {
            let (before, after) = (percent(share(before, promised)), percent(share(after, promised)));
            text = format!("{text}  {name} {before} → {after}");
        }
    }
    text
}

/// Draws a field; returns where its cursor stands.
fn field_row(form: &SubmitForm, field: Field, row: &mut Row<'_>) -> Option<u16> {
    let is_focused = field == form.focus();
    row.text(if is_focused { "▸" } else { " " }, Tone::Accent);
    row.column(field.label(), LABEL, if is_focused { Tone::Accent } else { Tone::Plain });
    let width = row.left().saturating_sub(1);
    let input = form.input(field);
    let start = row.x();
    if input.value().is_empty() {
        row.text(field.hint(), Tone::Dim);
        return (width > 0).then_some(start);
    }
    let scroll = input.visual_scroll(width.max(1));
    let mut passed = 0;
    let shown: String = input
        .value()
        .chars()
        .skip_while(|char| {
            let is_left_of_window = passed < scroll;
            passed += unicode_width::UnicodeWidthChar::width(*char).unwrap_or(0);
            is_left_of_window
        })
        .collect();
    let shown = clean(&shown);
    row.column(clip(&shown, width), width, Tone::Plain);
    let at = input.visual_cursor().saturating_sub(scroll).min(width);
    Some(start.saturating_add(cells_of(at)))
}
