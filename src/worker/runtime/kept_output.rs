//! The newest lines of a container whose engine keeps none (a plain process, the fake one): in memory, bounded.
//! Knows no engine.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use jiff::Timestamp;
use tokio::sync::watch;

use super::output::{LogLine, LogLines, LogsQuery, OutputStream};

/// Text that is kept of one container. A demo's tasks say a few lines a second: hours of it.
const KEPT_BYTES: usize = 1 << 20;
/// And lines, which may all be empty.
const KEPT_LINES: usize = 10_000;

/// The lines; clones are the same ones.
#[derive(Clone, Debug)]
pub(super) struct KeptOutput {
    /// A lock for a moment's look.
    lines: Arc<Mutex<Lines>>,
    /// Changes with every line, and says whether more may come.
    is_open: watch::Sender<bool>,
}

#[derive(Debug, Default)]
struct Lines {
    all: VecDeque<LogLine>,
    bytes: usize,
    /// How many were let go before the first that is there.
    gone: usize,
}

impl Default for KeptOutput {
    fn default() -> Self {
        Self { lines: Arc::default(), is_open: watch::channel(true).0 }
    }
}

impl KeptOutput {
    fn lines(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn push(&self, time: Timestamp, stream: OutputStream, bytes: Bytes) {
        let mut lines = self.lines();
        lines.bytes += bytes.len();
        lines.all.push_back(LogLine { time, stream, bytes });
        while lines.bytes > KEPT_BYTES || lines.all.len() > KEPT_LINES {
            let Some(oldest) = lines.all.pop_front() else { break };
            lines.bytes -= oldest.bytes.len();
            lines.gone += 1;
        }
        drop(lines);
        self.is_open.send_modify(|_| {});
    }

    /// Nothing more comes.
    pub(super) fn close(&self) {
        self.is_open.send_replace(false);
    }

    pub(super) fn read(&self, query: LogsQuery) -> LogLines {
        let next = {
            let lines = self.lines();
            let end = lines.gone + lines.all.len();
            query.tail.map_or(0, |tail| end.saturating_sub(tail))
        };
        let reader = Reader { lines: Arc::clone(&self.lines), is_open: self.is_open.subscribe(), next };
        let from = query.since;
        stream::unfold(reader, move |mut reader| async move {
            let line = reader.next(query.follow).await?;
            Some((Ok(line), reader))
        })
        .filter(move |line| {
            let wanted = line.as_ref().map_or(true, |line| from.is_none_or(|from| line.time >= from));
            std::future::ready(wanted)
        })
        .boxed()
    }
}

#[derive(Debug)]
struct Reader {
    lines: Arc<Mutex<Lines>>,
    is_open: watch::Receiver<bool>,
    /// The number of the next line, counted from the first ever.
    next: usize,
}

impl Reader {
    async fn next(&mut self, follow: bool) -> Option<LogLine> {
        loop {
            // Before the look, so that what comes after it is noticed.
            let is_open = *self.is_open.borrow_and_update();
            {
                let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
                let at = self.next.saturating_sub(lines.gone);
                if let Some(line) = lines.all.get(at) {
                    self.next = lines.gone + at + 1;
                    return Some(line.clone());
                }
            }
            if !follow || !is_open || self.is_open.changed().await.is_err() {
                return None;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use futures_util::StreamExt as _;
    use jiff::Timestamp;

    use super::{KEPT_LINES, KeptOutput, LogsQuery, OutputStream};

    fn say(output: &KeptOutput, second: i64, text: &'static str) {
        let time = Timestamp::from_second(second).unwrap();
        output.push(time, OutputStream::Stdout, Bytes::from_static(text.as_bytes()));
    }

    async fn read(output: &KeptOutput, query: LogsQuery) -> Vec<String> {
        let lines: Vec<_> = output.read(query).collect().await;
        lines.into_iter().map(|line| String::from_utf8_lossy(&line.unwrap().bytes).into_owned()).collect()
    }

    #[tokio::test]
    async fn what_is_asked_for_is_read_and_following_ends_with_the_container() {
        let output = KeptOutput::default();
        for (second, text) in [(1, "one"), (2, "two"), (3, "three")] {
            say(&output, second, text);
        }
        assert_eq!(read(&output, LogsQuery::default()).await, ["one", "two", "three"]);
        let tail = LogsQuery { tail: Some(1), ..LogsQuery::default() };
        assert_eq!(read(&output, tail).await, ["three"]);
        let since = LogsQuery { since: Timestamp::from_second(2).ok(), ..LogsQuery::default() };
        assert_eq!(read(&output, since).await, ["two", "three"]);
        let mut following = output.read(LogsQuery { follow: true, tail: Some(0), since: None });
        say(&output, 4, "four");
        assert_eq!(following.next().await.unwrap().unwrap().bytes, "four");
        output.close();
        assert!(following.next().await.is_none());
    }

    #[tokio::test]
    async fn the_oldest_lines_are_let_go() {
        let output = KeptOutput::default();
        for _ in 0..KEPT_LINES + 5 {
            say(&output, 1, "x");
        }
        assert_eq!(read(&output, LogsQuery::default()).await.len(), KEPT_LINES);
        for _ in 0..3 {
            output.push(Timestamp::UNIX_EPOCH, OutputStream::Stdout, vec![b'y'; 600 << 10].into());
        }
        assert_eq!(read(&output, LogsQuery::default()).await.len(), 1);
    }
}
