//! The help: the keymap's own words, and what the glyphs mean.

use ratatui::{buffer::Buffer, layout::Rect};

use crate::tui::keymap::{Command, Context};
use crate::tui::layout::centered;
use crate::tui::model::Model;
use crate::tui::theme::{Face, Tone};

use super::{Line, scrolled, window, within};

const WIDTH: u16 = 72;
const LABEL: usize = 12;

pub(super) fn draw(model: &Model, scroll: usize, area: Rect, buffer: &mut Buffer) {
    let size = outside(area);
    let help = model.keymap.key(Context::Panes, Command::Help);
    let title = format!(" {help} help ─ {} back ", model.keymap.key(Context::Help, Command::Back));
    let inside = window(buffer, model.theme, area, &title, size.width, size.height);
    scrolled(buffer, model.theme, inside, &lines(model, inside.width), LABEL, scroll);
}

fn outside(area: Rect) -> Rect {
    centered(area, WIDTH, area.height.saturating_sub(2).max(5))
}

/// The room for lines.
pub(super) fn inside(area: Rect) -> Rect {
    within(outside(area))
}

pub(super) fn lines(model: &Model, _width: u16) -> Vec<Line> {
    let mut lines: Vec<_> = model
        .keymap
        .help()
        .map(|(keys, words)| match words {
            "quit" => Line::new(keys, format!("quit; {}", model.title.on_quit), Tone::Plain),
            words => Line::new(keys, words, Tone::Plain),
        })
        .collect();
    lines.push(Line::new("", "", Tone::Plain));
    let faces = [
        (Face::Pending, "waits for a worker"),
        (Face::CrashLoop, "ended several times in a row: waits longer each time"),
        (Face::Scheduled, "sent to its worker: pulling, creating, starting"),
        (Face::Running, "its container runs"),
        (Face::Stopping, "a stop was asked for"),
        (Face::Stale, "its worker is silent: nobody knows, so not failed"),
        (Face::Completed, "ended well, or was stopped"),
        (Face::Failed, "ended badly, or could not start"),
    ];
    for (face, words) in faces {
        lines.push(Line::new(format!("{} {}", face.glyph(), face.word()), words, face.tone()));
    }
    lines
}
