//! What tasks say: their lines, merged, the newest at the bottom. Builds what is visible, no more.

use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use ratatui::style::{Modifier, Style};

use crate::tui::clean::{clean, clip, width};
use crate::tui::format::clock;
use crate::tui::keymap::{Command, Context};
use crate::tui::logs::{Entry, Kind, Logs, RANGES, Standing, find};
use crate::tui::model::Model;
use crate::tui::row::{Row, cells_of};
use crate::tui::sgr::pieces;
use crate::tui::theme::Tone;

use super::{window, within};

/// Names longer than this are cut: the line matters more.
const LONGEST_NAME: usize = 16;

/// A row of the screen, in pieces of one style each.
type Pieces = Vec<(String, Style)>;

pub(super) fn draw(model: &Model, logs: &Logs, area: Rect, buffer: &mut Buffer) -> Option<Position> {
    let outside = outside(area);
    let title = title(model, logs);
    let inside = window(buffer, model.theme, outside, &title, outside.width, outside.height);
    let (room, cells) = (usize::from(inside.height), usize::from(inside.width));
    let first = first_shown(model, logs, area);
    let mut line = 0;
    for (number, entry) in logs.from(first) {
        for pieces in rows(model, logs, number, entry, cells) {
            // The newest may be longer than the screen: then its end is shown.
            if line >= room {
                break;
            }
            let mut row = Row::new(buffer, model.theme, inside, cells_of(line));
            for (text, style) in pieces {
                row.styled(&text, style);
            }
            line += 1;
        }
        if line >= room {
            break;
        }
    }
    if logs.end() == 0 {
        let (text, tone) = match &logs.standing {
            Standing::Asked if !logs.would_have_heard(model.now) => ("asking…", Tone::Busy),
            Standing::Asked | Standing::Live => ("nothing said yet", Tone::Dim),
            Standing::Ended => ("nothing was said", Tone::Dim),
            Standing::Cut(_) => ("", Tone::Dim),
        };
        Row::new(buffer, model.theme, inside, 0).skip(1).text(text, tone);
    }
    below(model, logs, inside, buffer)
}

/// All but status and footer.
fn outside(area: Rect) -> Rect {
    Rect { height: area.height.saturating_sub(2).max(1), ..area }
}

/// The room for lines.
pub(crate) fn inside(area: Rect) -> Rect {
    within(outside(area))
}

fn title(model: &Model, logs: &Logs) -> String {
    let names: Vec<String> = logs.tasks.iter().take(3).map(|task| model.name_of(*task)).collect();
    let more = logs.tasks.len().saturating_sub(3);
    let more = if more == 0 { String::new() } else { format!("+{more} more") };
    let standing = match (&logs.standing, logs.top) {
        (Standing::Ended, None) => "ENDED",
        (Standing::Cut(_), _) => "CUT OFF",
        (_, None) => "FOLLOW",
        (_, Some(_)) => "SCROLLED",
    };
    let on = |is_on| if is_on { "on" } else { "off" };
    let range = RANGES[logs.range].0;
    let range = if range.is_empty() { String::new() } else { format!(" ─ last {range}") };
    let names = names.join("+");
    format!(
        " logs {}{more} ─ {standing} ─ wrap {} ─ time {}{range} ",
        clean(&names),
        on(logs.wraps),
        on(logs.times)
    )
}

/// What stands in the border below: what is looked for, what is new, what was let go.
fn below(model: &Model, logs: &Logs, inside: Rect, buffer: &mut Buffer) -> Option<Position> {
    let border = Rect { y: inside.bottom(), height: 1, ..inside };
    let mut row = Row::new(buffer, model.theme, border, 0);
    row.skip(1);
    if let Some(input) = &logs.input {
        row.text(" /", Tone::Accent);
        let x = row.x();
        row.text(input.value(), Tone::Strong).text(" ", Tone::Plain);
        let cursor = x.saturating_add(cells_of(input.visual_cursor()));
        return (border.y < buffer.area.bottom() && cursor < border.right())
            .then_some(Position { x: cursor, y: border.y });
    }
    if let Standing::Cut(reason) = &logs.standing {
        row.text(&format!(" ! {reason} "), Tone::Bad);
        return None;
    }
    if !logs.search().is_empty() {
        let hits = match logs.hits() {
            (_, 0) => "not found".to_owned(),
            (Some(at), all) => format!("{at} of {all}"),
            (None, all) => format!("{all} found"),
        };
        row.text(&format!(" /{} {hits} ", logs.search()), Tone::Strong);
    }
    let unseen = logs.end().saturating_sub(logs.unseen_from);
    if logs.top.is_some() && unseen > 0 {
        let key = model.keymap.key(Context::Logs, Command::End);
        row.text(&format!(" +{unseen} new, {key} follows "), Tone::Accent);
    }
    if logs.gone() > 0 {
        row.text(&format!(" {} older lines let go ", logs.gone()), Tone::Dim);
    }
    None
}

/// The number of the line that stands on top.
pub(crate) fn first_shown(model: &Model, logs: &Logs, area: Rect) -> usize {
    let newest = first_of_newest(model, logs, area);
    logs.top.map_or(newest, |top| top.max(logs.gone()).min(newest))
}

/// The same where the newest are shown.
fn first_of_newest(model: &Model, logs: &Logs, area: Rect) -> usize {
    let inside = inside(area);
    let (room, cells) = (usize::from(inside.height).max(1), usize::from(inside.width));
    let mut taken = 0;
    let mut first = logs.end();
    for (number, entry) in logs.newest_first() {
        taken += rows(model, logs, number, entry, cells).len();
        if taken > room && first < logs.end() {
            break;
        }
        first = number;
        if taken >= room {
            break;
        }
    }
    first
}

/// What is on the screen, as text.
pub(crate) fn shown_text(model: &Model, logs: &Logs, area: Rect) -> String {
    let inside = inside(area);
    let (room, cells) = (usize::from(inside.height), usize::from(inside.width));
    let mut taken = 0;
    let mut text = String::new();
    for (number, entry) in logs.from(first_shown(model, logs, area)) {
        taken += rows(model, logs, number, entry, cells).len();
        if taken > room {
            break;
        }
        text.extend(prefix(model, logs, entry).map(|(piece, _)| piece));
        text.push_str(&crate::tui::sgr::without_colours(&entry.text));
        text.push('\n');
    }
    text
}

/// Time and name before a line.
fn prefix(model: &Model, logs: &Logs, entry: &Entry) -> impl Iterator<Item = (String, Style)> {
    let dim = model.theme.style(Tone::Dim);
    let time = logs.times.then(|| match entry.time {
        Some(time) => (format!("{} ", clock(time, &model.zone)), dim),
        None => (" ".repeat(9), dim),
    });
    let name = (logs.tasks.len() > 1).then(|| {
        let longest = logs.tasks.iter().map(|task| width(&clean(&model.name_of(*task)))).max().unwrap_or(0);
        let longest = longest.min(LONGEST_NAME);
        let name = clean(&entry.name).into_owned();
        let name = clip(&name, longest).to_owned();
        let pad = " ".repeat(longest - width(&name));
        (format!("{name}{pad} | "), model.theme.style(Tone::Accent).remove_modifier(Modifier::BOLD))
    });
    time.into_iter().chain(name)
}

/// The rows that a line takes.
fn rows(model: &Model, logs: &Logs, number: usize, entry: &Entry, cells: usize) -> Vec<Pieces> {
    let mut all: Pieces = Vec::new();
    let mark = if logs.hit == Some(number) { "▸" } else { " " };
    all.push((mark.to_owned(), model.theme.style(Tone::Accent)));
    all.extend(prefix(model, logs, entry));
    let base = match entry.kind {
        Kind::Stdout => Style::new(),
        Kind::Stderr => model.theme.style(Tone::Warn),
        Kind::Note => model.theme.style(Tone::Dim),
        Kind::Failed => model.theme.style(Tone::Bad),
    };
    let text =
        if entry.kind == Kind::Note { format!("---- {} ----", entry.text) } else { entry.text.clone() };
    let said = pieces(&text).into_iter().map(|(text, style)| {
        let style = if model.theme.color { style } else { Style { fg: None, bg: None, ..style } };
        (text, base.patch(style))
    });
    all.extend(highlighted(said.collect(), logs.search()));
    if logs.wraps { wrapped(all, cells) } else { vec![all] }
}

/// With what is looked for reversed.
fn highlighted(said: Pieces, needle: &str) -> Pieces {
    let whole: String = said.iter().map(|(text, _)| text.as_str()).collect();
    let mut hits = Vec::new();
    let mut at = 0;
    while let Some(hit) = find(&whole, needle, at) {
        at = hit + needle.len();
        hits.push(hit..at);
    }
    if hits.is_empty() {
        return said;
    }
    let mut pieces: Pieces = Vec::new();
    let mut at = 0;
    for (text, style) in said {
        for char in text.chars() {
            let is_hit = hits.iter().any(|hit| hit.contains(&at));
            let style = if is_hit { style.add_modifier(Modifier::REVERSED) } else { style };
            match pieces.last_mut() {
                Some((text, last)) if *last == style => text.push(char),
                _ => pieces.push((char.to_string(), style)),
            }
            at += char.len_utf8();
        }
    }
    pieces
}

/// Broken where the row ends.
fn wrapped(all: Pieces, cells: usize) -> Vec<Pieces> {
    let mut rows = vec![Vec::new()];
    let mut left = cells;
    for (text, style) in all {
        let mut rest = text.as_str();
        while !rest.is_empty() {
            let head = clip(rest, left);
            if head.is_empty() {
                if left == cells {
                    // Not even one character fits.
                    break;
                }
                rows.push(Vec::new());
                left = cells;
                continue;
            }
            if let Some(row) = rows.last_mut() {
                row.push((head.to_owned(), style));
            }
            left -= width(head);
            rest = &rest[head.len()..];
        }
    }
    rows
}
