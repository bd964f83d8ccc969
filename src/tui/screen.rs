//! Screen: keeps what the terminal shows and sends it the difference. An unchanged picture costs no byte.

use std::io::{self, Write};

use ratatui::backend::{Backend, CrosstermBackend};
use ratatui::buffer::Buffer;
use ratatui::crossterm::cursor::{Hide, MoveTo, Show};
use ratatui::crossterm::queue;
use ratatui::crossterm::terminal::{BeginSynchronizedUpdate, Clear, ClearType, EndSynchronizedUpdate};
use ratatui::layout::{Position, Rect};

use super::model::Model;
use super::view::draw;

/// Two buffers, a backend and a cursor.
#[derive(Debug)]
pub struct Screen<W: Write> {
    backend: CrosstermBackend<W>,
    shown: Buffer,
    next: Buffer,
    cursor: Option<Position>,
    /// Nothing is known of what the terminal shows.
    is_unknown: bool,
}

impl<W: Write> Screen<W> {
    pub fn new(writer: W) -> Self {
        Self {
            backend: CrosstermBackend::new(writer),
            shown: Buffer::default(),
            next: Buffer::default(),
            cursor: None,
            is_unknown: true,
        }
    }

    /// Forgets what the terminal shows: the next frame is drawn whole.
    pub fn forget(&mut self) {
        self.is_unknown = true;
    }

    /// Draws the model and sends what changed.
    pub fn show(&mut self, model: &Model) -> io::Result<()> {
        let area = model.area;
        self.fit(area);
        self.next.reset();
        let cursor = draw(model, area, &mut self.next);

        let mut changes = self.shown.diff_iter(&self.next).peekable();
        let has_changes = changes.peek().is_some();
        if has_changes || self.is_unknown || cursor != self.cursor {
            queue!(self.backend, BeginSynchronizedUpdate)?;
            if self.is_unknown {
                queue!(self.backend, Clear(ClearType::All), Hide)?;
                self.cursor = None;
            }
            if has_changes {
                self.backend.draw(changes)?;
            }
            match cursor {
                Some(Position { x, y }) => queue!(self.backend, MoveTo(x, y), Show)?,
                None if self.cursor.is_some() => queue!(self.backend, Hide)?,
                None => {}
            }
            queue!(self.backend, EndSynchronizedUpdate)?;
            Write::flush(&mut self.backend)?;
        }
        self.is_unknown = false;
        self.cursor = cursor;
        std::mem::swap(&mut self.shown, &mut self.next);
        Ok(())
    }

    /// Sends bytes that are no picture.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.backend.write_all(bytes)?;
        Write::flush(&mut self.backend)
    }

    fn fit(&mut self, area: Rect) {
        if self.shown.area != area || self.is_unknown {
            self.shown = Buffer::empty(area);
            self.next = Buffer::empty(area);
            self.is_unknown = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Screen;
    use crate::tui::fixture;

    #[test]
    fn an_unchanged_picture_costs_no_byte() {
        let mut bytes = Vec::new();
        let model = fixture::busy(120, 36);
        let mut screen = Screen::new(&mut bytes);
        screen.show(&model).unwrap();
        drop(screen);
        let first = bytes.len();
        let mut screen = Screen::new(&mut bytes);
        screen.show(&model).unwrap();
        screen.show(&model).unwrap();
        screen.show(&model).unwrap();
        drop(screen);
        assert_eq!(bytes.len(), 2 * first);
    }
}
