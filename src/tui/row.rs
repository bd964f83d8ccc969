//! Row: writes one line of cells from left to right, cleaned and cut. Knows no contents.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::Span;
use ratatui::widgets::{Block, BorderType, Widget};

use super::clean::{clean, clip, cut, width};
use super::theme::{Theme, Tone};

/// One line of the buffer, written from the left.
pub(super) struct Row<'a> {
    buffer: &'a mut Buffer,
    theme: Theme,
    x: u16,
    y: u16,
    right: u16,
}

impl<'a> Row<'a> {
    /// Line `index` of `area`; writes nothing where that is not inside.
    pub(super) fn new(buffer: &'a mut Buffer, theme: Theme, area: Rect, index: u16) -> Self {
        let area = area.intersection(buffer.area);
        let right = if index < area.height { area.right() } else { area.x };
        Self { buffer, theme, x: area.x, y: area.y.saturating_add(index), right }
    }

    /// How many cells are left.
    pub(super) fn left(&self) -> usize {
        (self.right - self.x).into()
    }

    /// Text, as it is long.
    pub(super) fn text(&mut self, text: &str, tone: Tone) -> &mut Self {
        self.styled(text, self.theme.style(tone))
    }

    pub(super) fn styled(&mut self, text: &str, style: Style) -> &mut Self {
        if self.x < self.right {
            let text = clean(text);
            let text = cut(&text, self.left());
            (self.x, _) = self.buffer.set_stringn(self.x, self.y, &text, self.left(), style);
        }
        self
    }

    /// A column of `width` cells and a space: the text at its left end.
    pub(super) fn column(&mut self, text: &str, width: usize, tone: Tone) -> &mut Self {
        let end = self.end_of(width);
        let text = clean(text);
        self.text(&cut(&text, width), tone);
        self.x = end;
        self
    }

    /// The same with the text at its right end.
    pub(super) fn number(&mut self, text: &str, columns: usize, tone: Tone) -> &mut Self {
        let end = self.end_of(columns);
        let text = clean(text);
        let text = cut(&text, columns);
        self.skip(columns - width(&text));
        self.text(&text, tone);
        self.x = end;
        self
    }

    pub(super) fn skip(&mut self, cells: usize) -> &mut Self {
        self.x = self.x.saturating_add(cells_of(cells)).min(self.right);
        self
    }

    /// Moves so that `cells` are left; for what stands at the right end.
    pub(super) fn leave(&mut self, cells: usize) -> &mut Self {
        self.x = self.x.max(self.right.saturating_sub(cells_of(cells)));
        self
    }

    /// Keeps the last `cells` for something else.
    pub(super) fn reserve(&mut self, cells: usize) -> &mut Self {
        self.right = self.right.saturating_sub(cells_of(cells)).max(self.x);
        self
    }

    fn end_of(&self, width: usize) -> u16 {
        self.x.saturating_add(cells_of(width + 1)).min(self.right)
    }

    pub(super) fn x(&self) -> u16 {
        self.x
    }
}

pub(super) fn cells_of(number: usize) -> u16 {
    u16::try_from(number).unwrap_or(u16::MAX)
}

/// Draws the frame of a pane with its title; returns the inside.
pub(super) fn frame(buffer: &mut Buffer, theme: Theme, area: Rect, title: &str, is_focused: bool) -> Rect {
    let area = area.intersection(buffer.area);
    let tone = if is_focused { Tone::Accent } else { Tone::Dim };
    let title = cut(title, usize::from(area.width).saturating_sub(4)).into_owned();
    let block = Block::bordered()
        .border_type(BorderType::Rounded)
        .border_style(theme.style(tone))
        .title(Span::styled(title, theme.style(if is_focused { Tone::Accent } else { Tone::Plain })));
    let inside = block.inner(area);
    block.render(area, buffer);
    inside
}

/// Text over several lines: at most `width` cells each, broken at spaces where there are some.
pub(super) fn wrap(text: &str, max: usize) -> Vec<String> {
    let text = clean(text);
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split(' ') {
        let mut word = word.to_owned();
        if !line.is_empty() && width(&line) + 1 + width(&word) > max {
            lines.push(std::mem::take(&mut line));
        }
        while width(&word) > max {
            let head = clip(&word, max).len();
            if head == 0 {
                // Not even one character fits: nothing of it can be shown.
                word.clear();
                break;
            }
            let rest = word.split_off(head);
            lines.push(std::mem::replace(&mut word, rest));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(&word);
    }
    lines.push(line);
    lines
}

#[cfg(test)]
mod tests {
    use super::{width, wrap};

    #[test]
    fn long_text_is_broken_at_spaces_and_never_too_wide() {
        assert_eq!(wrap("no worker fits: mem", 10), ["no worker", "fits: mem"]);
        assert_eq!(wrap("sha256:0123456789abcdef x", 8), ["sha256:0", "12345678", "9abcdef", "x"]);
        for max in 0..20 {
            assert!(wrap("日本語日本語 and words", max).iter().all(|line| width(line) <= max));
        }
    }
}
