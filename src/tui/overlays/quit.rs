//! The question before a manager of ours ends: what the end means, and the way to leave it running.

use ratatui::{buffer::Buffer, layout::Rect};

use crate::task::State;
use crate::tui::format::count;
use crate::tui::keymap::Context;
use crate::tui::model::{Model, QuitQuestion};
use crate::tui::row::{Row, cells_of, wrap};
use crate::tui::theme::Tone;
use crate::tui::update::NAMED;

use super::window;

const WIDTH: u16 = 61;

pub(super) fn draw(model: &Model, question: &QuitQuestion, area: Rect, buffer: &mut Buffer) {
    let width = usize::from(WIDTH.min(area.width)).saturating_sub(4);
    let mut lines: Vec<(String, Tone)> = Vec::new();
    let mut say = |text: &str, tone| lines.extend(wrap(text, width).into_iter().map(|line| (line, tone)));
    let running = match model.cluster.count(State::Running) {
        0 => "the manager ends with this dashboard; nothing runs".to_owned(),
        running => format!(
            "{} running on; until the next start nobody restarts what ends, and nothing new is placed",
            count(running, "task")
        ),
    };
    say(&running, Tone::Strong);
    let elsewhere = &question.exclusive_elsewhere;
    if !elsewhere.is_empty() {
        let names: Vec<_> = elsewhere.iter().take(NAMED).map(|task| model.name_of(*task)).collect();
        let more = if elsewhere.len() > NAMED { " and others" } else { "" };
        let (tasks, names) = (count(elsewhere.len(), "Exclusive task"), names.join(" "));
        say(&format!("{tasks} on other workers stop 5 s after the manager goes: {names}{more}"), Tone::Warn);
    }
    let keys: Vec<_> = model.keymap.footer(Context::Quit).collect();
    // The keys must be seen whatever the room: the words make place for them.
    let height = cells_of(lines.len() + keys.len() + 3).min(area.height);
    let inside = window(buffer, model.theme, area, " quit? ", WIDTH, height);
    let room = usize::from(inside.height).saturating_sub(keys.len() + 1);
    for (index, (line, tone)) in lines.iter().take(room).enumerate() {
        Row::new(buffer, model.theme, inside, cells_of(index)).skip(1).text(line, *tone);
    }
    let first = usize::from(inside.height).saturating_sub(keys.len());
    for (index, (key, word)) in keys.into_iter().enumerate() {
        let word = match word {
            "quit" => format!("quit: {}", model.title.on_quit),
            "leave it running" => "leave the manager running in the background".to_owned(),
            word => word.to_owned(),
        };
        let mut row = Row::new(buffer, model.theme, inside, cells_of(first + index));
        row.skip(1).column(key, 6, Tone::Strong).text(&word, Tone::Plain);
    }
}
