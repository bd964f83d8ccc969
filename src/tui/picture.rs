//! Picture: a frame as text or SVG, for `--snapshot` and the README. Knows no terminal.

use std::fmt::Write as _;
use std::str::FromStr;

use ratatui::buffer::{Buffer, Cell};
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier};

use super::clean::width;
use super::model::Model;
use super::view::draw;

/// What a picture is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Text,
    Svg,
}

/// A size in cells, `120x36`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    pub width: u16,
    pub height: u16,
}

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let size = text.split_once(['x', 'X']).and_then(|(width, height)| {
            let size = Self { width: width.parse().ok()?, height: height.parse().ok()? };
            ((1..=1000).contains(&size.width) && (1..=1000).contains(&size.height)).then_some(size)
        });
        size.ok_or_else(|| format!("expected a size like 120x36, at most 1000x1000, not \"{text}\""))
    }
}

/// One frame of `model` at its own size.
pub fn render_once(model: &Model, format: Format) -> String {
    let area = Rect::new(0, 0, model.area.width, model.area.height);
    let mut buffer = Buffer::empty(area);
    draw(model, area, &mut buffer);
    match format {
        Format::Text => text(&buffer),
        Format::Svg => svg(&buffer),
    }
}

/// The cells as lines of text, without the spaces at their ends.
pub(super) fn text(buffer: &Buffer) -> String {
    let mut text = String::new();
    for y in 0..buffer.area.height {
        text.push_str(symbols(buffer, 0, buffer.area.width, y).trim_end());
        text.push('\n');
    }
    text
}

/// What stands in some cells of a line; the cells that a wide character covers are left out.
fn symbols(buffer: &Buffer, start: u16, end: u16, y: u16) -> String {
    let mut text = String::new();
    let mut covered = 0;
    for x in start..end {
        if covered > 0 {
            covered -= 1;
            continue;
        }
        let symbol = buffer[(x, y)].symbol();
        covered = width(symbol).saturating_sub(1);
        text.push_str(symbol);
    }
    text
}

const CELL_WIDTH: f32 = 8.4;
const CELL_HEIGHT: u16 = 17;
const BACKGROUND: &str = "#16181d";
const FOREGROUND: &str = "#d6d9e0";

/// The cells as SVG: a rectangle behind and a text for every run of cells that look the same.
fn svg(buffer: &Buffer) -> String {
    let (columns, rows) = (buffer.area.width, buffer.area.height);
    let (width, height) = (f32::from(columns) * CELL_WIDTH + 16.0, rows * CELL_HEIGHT + 16);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.1} {height}\" width=\"{width:.1}\" \
         height=\"{height}\" font-family=\"ui-monospace,'DejaVu Sans Mono',Menlo,Consolas,monospace\" \
         font-size=\"14\">\n<rect width=\"100%\" height=\"100%\" rx=\"8\" fill=\"{BACKGROUND}\"/>\n"
    );
    for y in 0..rows {
        let mut x = 0;
        while x < columns {
            let first = &buffer[(x, y)];
            let mut end = x + 1;
            while end < columns && looks_like(first, &buffer[(end, y)]) {
                end += 1;
            }
            run(&mut svg, buffer, x, end, y);
            x = end;
        }
    }
    svg.push_str("</svg>\n");
    svg
}

fn looks_like(a: &Cell, b: &Cell) -> bool {
    a.fg == b.fg && a.bg == b.bg && a.modifier == b.modifier
}

fn run(svg: &mut String, buffer: &Buffer, start: u16, end: u16, y: u16) {
    let cell = &buffer[(start, y)];
    let mut ink = color(cell.fg, FOREGROUND);
    let mut paper = color(cell.bg, BACKGROUND);
    if cell.modifier.contains(Modifier::REVERSED) {
        std::mem::swap(&mut ink, &mut paper);
    }
    let left = f32::from(start) * CELL_WIDTH + 8.0;
    let length = f32::from(end - start) * CELL_WIDTH;
    let top = y * CELL_HEIGHT + 8;
    let mut out = |part: std::fmt::Arguments<'_>| svg.write_fmt(part).is_ok();
    if paper != BACKGROUND {
        out(format_args!(
            "<rect x=\"{left:.1}\" y=\"{top}\" width=\"{length:.1}\" height=\"{CELL_HEIGHT}\" fill=\"{paper}\"/>\n"
        ));
    }
    let symbols = symbols(buffer, start, end, y);
    if symbols.trim().is_empty() {
        return;
    }
    let weight = if cell.modifier.contains(Modifier::BOLD) { " font-weight=\"bold\"" } else { "" };
    let opacity = if cell.modifier.contains(Modifier::DIM) { " opacity=\"0.6\"" } else { "" };
    let escaped = symbols.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let base = top + 13;
    out(format_args!(
        "<text x=\"{left:.1}\" y=\"{base}\" textLength=\"{length:.1}\" fill=\"{ink}\"{weight}{opacity} \
         xml:space=\"preserve\">{escaped}</text>\n"
    ));
}

/// The colours that the dashboard uses, as a common dark terminal shows them.
fn color(color: Color, default: &'static str) -> &'static str {
    match color {
        Color::Red => "#ff6b6b",
        Color::Green => "#7ddc88",
        Color::Yellow => "#f2cf66",
        Color::Cyan => "#66d3e6",
        Color::Magenta => "#d79bf0",
        Color::Blue => "#7aa8ff",
        Color::Black => "#16181d",
        Color::DarkGray => "#5c6370",
        _ => default,
    }
}

#[cfg(test)]
mod tests {
    use super::{Format, Size, render_once};
    use crate::tui::fixture;

    #[test]
    fn sizes_are_two_numbers() {
        assert_eq!("120x36".parse(), Ok(Size { width: 120, height: 36 }));
        for wrong in ["", "120", "0x5", "axb", "70000x1", "1001x5"] {
            assert!(wrong.parse::<Size>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_svg_holds_the_text_escaped_and_in_colour() {
        let mut model = fixture::busy(120, 36);
        model.title.cluster = "<&>".to_owned();
        let svg = render_once(&model, Format::Svg);
        assert!(svg.contains("&lt;&amp;&gt;") && !svg.contains("<&>"));
        assert!(svg.contains("#7ddc88") && svg.ends_with("</svg>\n"));
    }
}
