//! The overlays, a file each: what lies over the panes and has the keys. They read the Model only.

mod confirm;
mod cordon;
mod detail;
mod form;
mod help;
pub(super) mod logs;
mod quit;
mod why;

use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use ratatui::widgets::{Clear, Widget};

use super::layout::centered;
use super::model::{Model, Overlay};
use super::row::{Row, cells_of, frame};
use super::theme::{Theme, Tone};

/// Draws the overlay, if there is one; returns where the cursor stands in it.
pub(super) fn draw(model: &Model, area: Rect, buffer: &mut Buffer) -> Option<Position> {
    match model.overlay.as_ref()? {
        Overlay::Help { scroll } => help::draw(model, *scroll, area, buffer),
        Overlay::Detail(detail) => detail::draw(model, detail, area, buffer),
        Overlay::Confirm(confirm) => confirm::draw(model, confirm, area, buffer),
        Overlay::Cordon(worker) => cordon::draw(model, worker, area, buffer),
        Overlay::Quit(question) => quit::draw(model, question, area, buffer),
        Overlay::Form(form) => return form::draw(model, form, area, buffer),
        Overlay::Why(view) => why::draw(model, view, area, buffer),
        Overlay::Logs(logs) => return logs::draw(model, logs, area, buffer),
    }
    None
}

/// How far the overlay can scroll.
pub(super) fn lines(model: &Model) -> usize {
    let (lines, room) = match &model.overlay {
        Some(Overlay::Help { .. }) => {
            (help::lines(model, help::inside(model.area).width).len(), help::inside(model.area).height)
        }
        Some(Overlay::Detail(detail)) => {
            let inside = detail::inside(model.area);
            (detail::lines(model, detail, inside.width.into()).len(), inside.height)
        }
        Some(Overlay::Why(view)) => {
            let inside = why::inside(model.area);
            (why::lines(model, view, inside.width.into()).len(), inside.height)
        }
        Some(
            Overlay::Confirm(_) | Overlay::Cordon(_) | Overlay::Quit(_) | Overlay::Form(_) | Overlay::Logs(_),
        )
        | None => {
            return 0;
        }
    };
    lines.saturating_sub(room.into())
}

/// A box of at most this size in the middle, cleared and framed; returns its inside.
fn window(buffer: &mut Buffer, theme: Theme, area: Rect, title: &str, width: u16, height: u16) -> Rect {
    let area = centered(area, width, height);
    Clear.render(area, buffer);
    // A wide character that reached under the window is gone, not half of it.
    for y in area.top()..area.bottom() {
        if let Some(cell) = area.x.checked_sub(1).and_then(|x| buffer.cell_mut((x, y)))
            && super::clean::width(cell.symbol()) > 1
        {
            cell.set_symbol(" ");
        }
    }
    frame(buffer, theme, area, title, true)
}

/// A box in the middle that leaves a margin of the dashboard to be seen, and is no wider than lines are read well.
fn tall(area: Rect, widest: u16) -> Rect {
    let width = area.width.saturating_sub(4).clamp(20, widest);
    centered(area, width, area.height.saturating_sub(2).max(5))
}

/// The size that the frame of a box leaves for lines.
fn within(outside: Rect) -> Rect {
    Rect { width: outside.width.saturating_sub(2), height: outside.height.saturating_sub(2), ..outside }
}

/// A line of an overlay that scrolls: a label and a text.
#[derive(Debug)]
struct Line {
    label: String,
    text: String,
    tone: Tone,
}

impl Line {
    fn new(label: impl Into<String>, text: impl Into<String>, tone: Tone) -> Self {
        Self { label: label.into(), text: text.into(), tone }
    }
}

/// Draws the lines that fit, from `scroll` on, and says in the border when there are more.
fn scrolled(buffer: &mut Buffer, theme: Theme, area: Rect, lines: &[Line], label: usize, scroll: usize) {
    let room = usize::from(area.height);
    let scroll = scroll.min(lines.len().saturating_sub(room));
    for (index, line) in lines.iter().skip(scroll).take(room).enumerate() {
        let mut row = Row::new(buffer, theme, area, cells_of(index));
        row.skip(1).column(&line.label, label, Tone::Dim).text(&line.text, line.tone);
    }
    if lines.len() > room {
        let text = format!(" {}-{} of {} ", scroll + 1, (scroll + room).min(lines.len()), lines.len());
        let border = Rect { y: area.bottom(), height: 1, ..area };
        Row::new(buffer, theme, border, 0).leave(text.len() + 1).text(&text, Tone::Dim);
    }
}
