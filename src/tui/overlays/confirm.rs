//! The question before a stop or a restart: names what it is about, says the effect, and has Cancel as its default.

use ratatui::{buffer::Buffer, layout::Rect};

use crate::tui::clean::clean;
use crate::tui::format::count;
use crate::tui::keymap::{Command, Context};
use crate::tui::model::{Confirm, Model, Wish};
use crate::tui::row::{Row, cells_of, wrap};
use crate::tui::theme::{Theme, Tone};
use crate::tui::update::NAMED;

use super::window;

const WIDTH: u16 = 61;

pub(super) fn draw(model: &Model, confirm: &Confirm, area: Rect, buffer: &mut Buffer) {
    let total = confirm.tasks.len();
    let width = usize::from(WIDTH.min(area.width)).saturating_sub(4);
    let mut names: Vec<String> = confirm
        .tasks
        .iter()
        .take(NAMED)
        .map(|task| {
            let name = model.name_of(*task);
            // A name and its worker stay together where the line breaks.
            let name = clean(&name).replace(' ', "\u{a0}");
            match model.cluster.worker_of(*task) {
                Some(worker) => format!("{name}\u{a0}({})", clean(worker.as_str())),
                None => format!("{name}\u{a0}(waits)"),
            }
        })
        .collect();
    if total > NAMED {
        names.push(format!("and {} more", total - NAMED));
    }
    let mut lines: Vec<_> =
        wrap(&names.join("  "), width).into_iter().map(|line| (line, Tone::Strong)).collect();
    let undo = model.keymap.key(Context::Countdown, Command::TakeBack);
    let (verb, word, left_out, effect, keys) = match confirm.wish {
        Wish::Stop => (
            "stop",
            "Stop",
            "ended or stopping already",
            "effect: SIGTERM, then a kill after the task's grace time; the container is removed",
            format!("Esc/n cancel   y stop   then 5 s to press {undo}"),
        ),
        Wish::Restart => (
            "restart",
            "Restart",
            "being restarted already",
            "effect: what runs is stopped, then starts in a new container, on its worker if that can take it",
            "Esc/n cancel   y restart".to_owned(),
        ),
    };
    if confirm.left_out > 0 {
        lines.push((format!("{} not asked: {left_out}", confirm.left_out), Tone::Dim));
    }
    lines.extend(wrap(effect, width).into_iter().map(|line| (line, Tone::Dim)));

    // The buttons must be seen whatever the room: they stand first where it is scarce.
    let height = cells_of(lines.len() + 5).min(area.height);
    let title = format!(" {verb} {}? ", count(total, "task"));
    let inside = window(buffer, model.theme, area, &title, WIDTH, height);
    let room = usize::from(inside.height).saturating_sub(3);
    for (index, (line, tone)) in lines.iter().take(room).enumerate() {
        Row::new(buffer, model.theme, inside, cells_of(index)).skip(1).text(line, *tone);
    }
    let yes = format!("[ {word} {total} ]");
    let buttons = inside.height.saturating_sub(2);
    let mut row = Row::new(buffer, model.theme, inside, buttons);
    row.skip(usize::from(inside.width).saturating_sub(yes.len() + 16) / 2);
    button(&mut row, model.theme, "[ Cancel ]", !confirm.yes_is_focused);
    row.skip(3);
    button(&mut row, model.theme, &yes, confirm.yes_is_focused);
    Row::new(buffer, model.theme, inside, buttons + 1).skip(1).text(&keys, Tone::Dim);
}

fn button(row: &mut Row<'_>, theme: Theme, text: &str, is_focused: bool) {
    row.text(if is_focused { "▸" } else { " " }, Tone::Accent);
    let style = theme.style(Tone::Strong);
    row.styled(text, if is_focused { style.patch(Theme::selected()) } else { theme.style(Tone::Plain) });
}
