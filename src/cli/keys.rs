//! Keys on the terminal beside what is drawn anew there: those that leave it. Knows no table.

use std::future::pending;
use std::io;

use futures_util::StreamExt as _;
use ratatui::crossterm::event::{Event, EventStream, KeyCode};
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use tokio::signal::unix::{SignalKind, signal};

/// Comes to an end with `q` or Esc. Where no keys can be had it never does.
pub async fn left() {
    let Ok(unseen) = Unseen::take() else { return pending().await };
    let Ok(mut continued) = signal(SignalKind::from_raw(rustix::process::Signal::CONT.as_raw())) else {
        return pending().await;
    };
    let mut events = EventStream::new();
    loop {
        tokio::select! {
            event = events.next() => match event {
                Some(Ok(Event::Key(key))) if matches!(key.code, KeyCode::Char('q') | KeyCode::Esc) => return,
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return pending().await,
            },
            // The shell had its own way with the terminal meanwhile.
            _ = continued.recv() => unseen.hide(),
        }
    }
}

/// Keys come as they are typed and are not shown; ^C and ^Z mean what they always do. Dropped, all is as it was.
struct Unseen {
    before: Termios,
}

impl Unseen {
    fn take() -> io::Result<Self> {
        let unseen = Self { before: tcgetattr(io::stdin())? };
        unseen.hide();
        Ok(unseen)
    }

    fn hide(&self) {
        let mut modes = self.before.clone();
        modes.local_modes -= LocalModes::ICANON | LocalModes::ECHO;
        // A terminal that is gone has nobody at it.
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &modes);
    }
}

impl Drop for Unseen {
    fn drop(&mut self) {
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.before);
    }
}
