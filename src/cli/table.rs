//! Tables without lines, as wide as their content or as the terminal. Knows no column.

use comfy_table::{ColumnConstraint, ContentArrangement, Row, Table, presets};
use unicode_width::UnicodeWidthChar;

/// How wide stdout is, where it is a terminal.
pub fn terminal_width() -> Option<u16> {
    let width = ratatui::crossterm::terminal::size().ok().map(|(width, _)| width);
    width.filter(|_| std::io::IsTerminal::is_terminal(&std::io::stdout()))
}

/// A table as wide as its content or `width`. Its first column names what a row is about: never cut.
pub fn table_of<const N: usize>(header: [&str; N], width: Option<u16>) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(match width {
        Some(_) => ContentArrangement::Dynamic,
        None => ContentArrangement::Disabled,
    });
    if let Some(width) = width {
        table.set_width(width);
    }
    table.set_header(header);
    if let Some(first) = table.column_mut(0) {
        first.set_constraint(ColumnConstraint::ContentWidth);
    }
    table
}

/// One line, whatever is in it.
pub fn add_row<const N: usize>(table: &mut Table, cells: [String; N]) {
    let mut row = Row::from(cells);
    row.max_height(1);
    table.add_row(row);
}

/// Leaves columns out where `width` is too narrow for them: those at `columns` below `least`.
pub fn hide_below(table: &mut Table, width: Option<u16>, least: u16, columns: &[usize]) {
    if width.is_some_and(|width| width < least) {
        for column in columns {
            if let Some(column) = table.column_mut(*column) {
                column.set_constraint(ColumnConstraint::Hidden);
            }
        }
    }
}

/// The table's lines, none of them wider than `width`.
pub fn text_of(table: &Table, width: Option<u16>) -> String {
    let most = width.map_or(usize::MAX, usize::from);
    let lines: Vec<_> = table.lines().map(|line| fitting(&line, most).trim_end().to_owned()).collect();
    lines.join("\n")
}

/// As much of `line` as fits into `most` cells.
pub fn fitting(line: &str, most: usize) -> &str {
    let mut used = 0;
    for (at, c) in line.char_indices() {
        used += c.width().unwrap_or(0);
        if used > most {
            return &line[..at];
        }
    }
    line
}

/// `5s`, `12m`, `3h`, `2d`.
pub fn age(seconds: i64) -> String {
    match seconds.max(0) {
        seconds @ 0..60 => format!("{seconds}s"),
        seconds @ 60..3600 => format!("{}m", seconds / 60),
        seconds @ 3600..86_400 => format!("{}h", seconds / 3600),
        seconds => format!("{}d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::age;

    #[test]
    fn ages_are_short() {
        for (seconds, text) in [(-5, "0s"), (59, "59s"), (60, "1m"), (3_600, "1h"), (90_000, "1d")] {
            assert_eq!(age(seconds), text);
        }
    }
}
