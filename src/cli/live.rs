//! Something on the terminal that is drawn anew while the cluster changes: `top`, `ps --watch`. Knows no table.

use std::io::{self, Write};
use std::ops::ControlFlow;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use super::answer::answer;
use super::exit::{CliError, Exit};
use super::follow::{Observer, follow};
use super::keys::left;
use super::loads::Loads;
use super::signals::StopSignals;
use super::text::printable;
use crate::client::ManagerHandle;
use crate::cluster::{Change, Cluster, FeedItem};
use crate::manager::request::RequestError;

/// Faster than this nobody reads.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Ages and countdowns go on without news.
const DRAW_EVERY: Duration = Duration::from_secs(1);

/// What there is to draw from.
#[derive(Debug)]
pub struct Seen<'a> {
    pub cluster: &'a Cluster,
    pub loads: &'a Loads,
    pub now: Timestamp,
    pub width: u16,
}

/// Draws until a key leaves it, or a signal comes.
pub async fn live(manager: &ManagerHandle, draw: impl Fn(&Seen<'_>) -> String) -> Result<Exit, CliError> {
    let mut signals = StopSignals::new()?;
    let mut screen = Live { draw, loads: Loads::default(), has_news: true, drawn: None, cut: None };
    tokio::select! {
        ended = watch(manager, &mut screen) => ended.map(|()| Exit::Done),
        () = signals.received() => Ok(Exit::Done),
        () = left() => Ok(Exit::Done),
    }
}

/// Follows `manager` with `observer`, to its end.
pub async fn watch(manager: &ManagerHandle, observer: &mut impl Observer) -> Result<(), CliError> {
    let watch = answer(manager, manager.watch()).await?;
    follow(watch, async |mark| manager.resume(mark).await, observer).await
}

struct Live<F> {
    draw: F,
    loads: Loads,
    has_news: bool,
    drawn: Option<Instant>,
    /// Why what is shown is old.
    cut: Option<String>,
}

impl<F: Fn(&Seen<'_>) -> String> Live<F> {
    fn show(&mut self, cluster: &Cluster) -> Result<(), CliError> {
        let (width, height) = ratatui::crossterm::terminal::size().unwrap_or((80, 24));
        let text = (self.draw)(&Seen { cluster, loads: &self.loads, now: Timestamp::now(), width });
        let mut frame = String::from(if self.drawn.is_none() { "\x1b[2J\x1b[H" } else { "\x1b[H" });
        let lines: Vec<&str> = self.cut.as_deref().into_iter().chain(text.lines()).collect();
        let room = usize::from(height).saturating_sub(1).max(1);
        let shown = if lines.len() > room { room - 1 } else { lines.len() };
        for line in &lines[..shown] {
            frame.push_str(line);
            // What stood there before ends with it.
            frame.push_str("\x1b[K\n");
        }
        if shown < lines.len() {
            let more = format!("… and {} more\x1b[K\n", lines.len() - shown);
            frame.push_str(&more);
        }
        frame.push_str("\x1b[J");
        let mut stdout = io::stdout().lock();
        stdout.write_all(frame.as_bytes())?;
        stdout.flush()?;
        self.has_news = false;
        self.drawn = Some(Instant::now());
        Ok(())
    }
}

impl<F: Fn(&Seen<'_>) -> String> Observer for Live<F> {
    fn begin(&mut self, cluster: &Cluster) -> Result<ControlFlow<()>, CliError> {
        self.cut = None;
        self.show(cluster)?;
        Ok(ControlFlow::Continue(()))
    }

    fn changed(&mut self, _: &Change, _: &Cluster) -> Result<ControlFlow<()>, CliError> {
        self.cut = None;
        self.has_news = true;
        Ok(ControlFlow::Continue(()))
    }

    fn passed_by(&mut self, item: &FeedItem, _: &Cluster) -> Result<ControlFlow<()>, CliError> {
        self.cut = None;
        self.has_news |= self.loads.note(item);
        Ok(ControlFlow::Continue(()))
    }

    fn cut_off(&mut self, error: &RequestError) {
        self.cut = Some(printable(&format!("cut off, this is old: {error}; trying again")));
        self.has_news = true;
    }

    fn every(&self) -> Option<Duration> {
        Some(LOOK_EVERY)
    }

    fn tick(&mut self, cluster: &Cluster) -> Result<ControlFlow<()>, CliError> {
        if self.has_news || self.drawn.is_none_or(|drawn| drawn.elapsed() >= DRAW_EVERY) {
            self.show(cluster)?;
        }
        Ok(ControlFlow::Continue(()))
    }
}
