//! The question about a worker: cordon, drain, or take work again. Says each effect; Esc changes nothing.

use ratatui::{buffer::Buffer, layout::Rect};

use crate::cluster::Availability;
use crate::task::WorkerId;
use crate::tui::clean::clean;
use crate::tui::format::count;
use crate::tui::model::Model;
use crate::tui::row::{Row, cells_of};
use crate::tui::theme::Tone;

use super::window;

const WIDTH: u16 = 61;

pub(super) fn draw(model: &Model, worker: &WorkerId, area: Rect, buffer: &mut Buffer) {
    let availability = model.cluster.worker(worker).map(|worker| worker.availability).unwrap_or_default();
    let left = model.cluster.reserved(worker).map_or(0, |reserved| reserved.tasks);
    let now = match availability {
        Availability::Active => format!("takes work; {} there", count(left, "task")),
        other => format!("{}; {} there", other.name(), count(left, "task")),
    };
    let lines = [
        (now, Tone::Strong),
        ("c  cordon: nothing new goes there, what runs stays".to_owned(), Tone::Plain),
        ("d  drain: cordon, and move off what runs there".to_owned(), Tone::Plain),
        ("u  uncordon: it takes work again".to_owned(), Tone::Plain),
        ("Esc/n  change nothing".to_owned(), Tone::Dim),
    ];
    let title = format!(" {} ", clean(worker.as_str()));
    let inside = window(buffer, model.theme, area, &title, WIDTH, cells_of(lines.len() + 2));
    for (index, (line, tone)) in lines.iter().enumerate() {
        Row::new(buffer, model.theme, inside, cells_of(index)).skip(1).text(line, *tone);
    }
}
