//! The feed: hands every durable Change, and what passes by, to all who watch. Never waits for any of them. Who watches
//! from afar gets pages, each written out once for all of them; knows no HTTP.

use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio_stream::wrappers::BroadcastStream;
use tokio_util::sync::CancellationToken;

use super::pack::packed;
use crate::cluster::{Change, FeedItem, Revision};
use crate::manager::request::RequestError;

/// Commits that a watcher may be behind before it has to take a new snapshot. A commit holds many Changes. Their places
/// are made at the start.
const BEHIND: usize = 2_048;

/// Pages that a watcher from afar may be behind: some seconds of a busy cluster.
const PAGES_BEHIND: usize = 256;

/// What happens within this of a page goes into the next one: a frame of a dashboard's, and a fiftieth of a second in
/// which a thousand Changes cost each watcher one write and not a thousand. After a quiet time a Change goes at once.
const PACE: Duration = Duration::from_millis(20);

/// With many readers pages come so much later for each: however many there are, they cost no more than four hundred writes
/// a second.
const PACE_FOR_EACH: Duration = Duration::from_micros(2_500);

fn pace(readers: usize) -> Duration {
    PACE.max(PACE_FOR_EACH * u32::try_from(readers).unwrap_or(u32::MAX))
}

/// The sending end.
#[derive(Clone, Debug)]
pub(super) struct FeedSender {
    sender: broadcast::Sender<Arc<[FeedItem]>>,
    cut: CancellationToken,
    why: Arc<OnceLock<RequestError>>,
}

impl FeedSender {
    pub(super) fn new() -> Self {
        Self { sender: broadcast::Sender::new(BEHIND), cut: CancellationToken::new(), why: Arc::default() }
    }

    /// Ends it for all who watch, before a new one begins.
    pub(super) fn cut(&self, why: RequestError) {
        // Once is enough.
        let _ = self.why.set(why);
        self.cut.cancel();
    }

    /// The Changes of one commit.
    pub(super) fn changes(&self, changes: &[Arc<Change>]) {
        if !changes.is_empty() && self.sender.receiver_count() > 0 {
            // Fails only when the last watcher left just now.
            let _ =
                self.sender.send(changes.iter().map(|change| FeedItem::Change(Arc::clone(change))).collect());
        }
    }

    /// Something that is not history.
    pub(super) fn pass_by(&self, item: FeedItem) {
        let _ = self.sender.send(Arc::new([item]));
    }

    /// Everything from now on. Ends with an error when the watcher was too slow or the manager went away.
    pub(super) fn watch(&self) -> impl Stream<Item = Result<FeedItem, RequestError>> + Send + 'static {
        let why = Arc::clone(&self.why);
        let cut = stream::once(async move {
            let anew = || RequestError::Unreachable("the manager has stopped or started anew".to_owned());
            Err(why.get().cloned().unwrap_or_else(anew))
        });
        BroadcastStream::new(self.sender.subscribe())
            .flat_map(|batch| {
                let items: Vec<_> = match batch {
                    Ok(batch) => batch.iter().cloned().map(Ok).collect(),
                    Err(_) => vec![Err(RequestError::Unreachable("this watcher fell behind".to_owned()))],
                };
                stream::iter(items)
            })
            .take_until(self.cut.clone().cancelled_owned())
            .chain(cut)
    }
}

/// The pages of one feed, while somebody reads them.
#[derive(Debug, Default)]
pub(super) struct Pages(Weak<broadcast::Sender<Arc<Page>>>);

impl Pages {
    /// Everything of `feed` from now on; needs a tokio runtime. Ends when there is a gap.
    pub(super) fn read(&mut self, feed: &FeedSender) -> impl Stream<Item = Arc<Page>> + Send + 'static {
        let pages = self.0.upgrade().unwrap_or_else(|| {
            let pages = Arc::new(broadcast::Sender::new(PAGES_BEHIND));
            self.0 = Arc::downgrade(&pages);
            pages
        });
        let receiver = pages.subscribe();
        if Arc::strong_count(&pages) == 1 {
            tokio::spawn(write(feed.sender.subscribe(), pages));
        }
        BroadcastStream::new(receiver)
            .take_while(|page| std::future::ready(page.is_ok()))
            .take_until(feed.cut.clone().cancelled_owned())
            .filter_map(|page| std::future::ready(page.ok()))
    }
}

/// Puts what happens onto pages, until nobody reads them any more. Who comes in the instant of its end finds its stream
/// at an end, too, and comes again.
async fn write(mut items: broadcast::Receiver<Arc<[FeedItem]>>, pages: Arc<broadcast::Sender<Arc<Page>>>) {
    loop {
        let mut page = match items.recv().await {
            Ok(batch) => batch.to_vec(),
            Err(RecvError::Lagged(_) | RecvError::Closed) => return,
        };
        loop {
            match items.try_recv() {
                Ok(batch) => page.extend(batch.iter().cloned()),
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Lagged(_) | TryRecvError::Closed) => return,
            }
        }
        let Ok(readers) = pages.send(Arc::new(Page::new(page))) else { return };
        tokio::time::sleep(pace(readers)).await;
    }
}

/// How a page is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// A line of JSON for each item.
    Lines,
    /// The same, to be unpacked by [`super::pack`]'s rule: for 200 watchers the bytes cost more than all else.
    PackedLines,
    /// As browsers' event sources read it: a Change has its revision for an id.
    EventStream,
}

/// What happened within a [`pace`], and how that is written, once it was.
#[derive(Debug)]
pub(super) struct Page {
    items: Vec<FeedItem>,
    lines: OnceLock<Bytes>,
    packed_lines: OnceLock<Bytes>,
    event_stream: OnceLock<Bytes>,
}

impl Page {
    pub(super) fn new(items: Vec<FeedItem>) -> Self {
        Self { items, lines: OnceLock::new(), packed_lines: OnceLock::new(), event_stream: OnceLock::new() }
    }

    /// Its text for somebody who knows all up to `revision`: without that.
    pub(super) fn after(&self, revision: Revision, form: Form) -> Bytes {
        let is_news =
            |item: &&FeedItem| !matches!(item, FeedItem::Change(change) if change.revision <= revision);
        if self.items.iter().all(|item| is_news(&item)) {
            return self.text(form);
        }
        written(self.items.iter().filter(is_news), form)
    }

    fn text(&self, form: Form) -> Bytes {
        let text = match form {
            Form::Lines => &self.lines,
            Form::PackedLines => &self.packed_lines,
            Form::EventStream => &self.event_stream,
        };
        text.get_or_init(|| written(self.items.iter(), form)).clone()
    }
}

fn written<'a>(items: impl Iterator<Item = &'a FeedItem>, form: Form) -> Bytes {
    let mut text = Vec::new();
    for item in items {
        if form == Form::EventStream {
            if let FeedItem::Change(change) = item {
                text.extend_from_slice(format!("id: {}\n", change.revision).as_bytes());
            }
            text.extend_from_slice(b"data: ");
        }
        // Into memory, and of a type whose every value is JSON: it does not fail.
        if serde_json::to_writer(&mut text, item).is_err() {
            tracing::error!("an item of the feed could not be written: {item:?}");
        }
        text.extend_from_slice(if form == Form::EventStream { b"\n\n" } else { b"\n" });
    }
    if form == Form::PackedLines && !text.is_empty() { packed(&text) } else { text.into() }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::cluster::{Cause, Progress, What};
    use crate::task::TaskId;

    fn change(revision: Revision) -> Arc<Change> {
        let what = What::StopRequested { task: TaskId::default() };
        Arc::new(Change { revision, time: Timestamp::UNIX_EPOCH, cause: Cause::Api, what })
    }

    fn revisions(text: &Bytes) -> Vec<Revision> {
        let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        let items = lines.map(|line| serde_json::from_slice(line).unwrap());
        items
            .filter_map(|item| if let FeedItem::Change(change) = item { Some(change.revision) } else { None })
            .collect()
    }

    #[tokio::test(start_paused = true)]
    async fn what_comes_together_is_one_page_that_is_written_once_for_all() {
        let feed = FeedSender::new();
        let mut pages = Pages::default();
        let mut first = Box::pin(pages.read(&feed));
        let mut second = Box::pin(pages.read(&feed));
        feed.changes(&[change(1)]);
        let page = first.next().await.unwrap();
        assert_eq!(revisions(&page.after(0, Form::Lines)), [1]);
        assert!(Arc::ptr_eq(&page, &second.next().await.unwrap()));
        feed.changes(&[change(2), change(3)]);
        feed.pass_by(FeedItem::Progress(Progress { task: TaskId::default(), text: "pulling".into() }));
        feed.changes(&[change(4)]);
        let page = first.next().await.unwrap();
        assert_eq!(page.items.len(), 4);
        let texts = [page.after(1, Form::Lines), second.next().await.unwrap().after(0, Form::Lines)];
        assert_eq!(texts[0].as_ptr(), texts[1].as_ptr(), "one text for both");
        assert_eq!(revisions(&page.after(3, Form::Lines)), [4], "nothing is told twice");
        assert!(String::from_utf8_lossy(&page.after(3, Form::EventStream)).contains("\n\nid: 4\ndata: {"));
    }

    #[tokio::test(start_paused = true)]
    async fn the_more_read_the_further_apart_pages_come_but_the_first_comes_at_once() {
        for (readers, expected) in [(1, 20), (200, 500)] {
            let feed = FeedSender::new();
            let mut pages = Pages::default();
            let mut streams = Vec::new();
            for _ in 0..readers {
                streams.push(Box::pin(pages.read(&feed)));
            }
            let began = tokio::time::Instant::now();
            feed.changes(&[change(1)]);
            streams[0].next().await.unwrap();
            assert_eq!(began.elapsed(), Duration::ZERO);
            feed.changes(&[change(2)]);
            streams[0].next().await.unwrap();
            // The timer's wheel has steps of a millisecond.
            let took = began.elapsed().as_millis();
            assert!((expected..=expected + 1).contains(&took), "{readers} readers: {took} ms");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn when_nobody_reads_no_page_is_written_and_who_comes_later_reads_again() {
        let feed = FeedSender::new();
        let mut pages = Pages::default();
        drop(pages.read(&feed));
        feed.changes(&[change(1)]);
        while feed.sender.receiver_count() > 0 {
            tokio::task::yield_now().await;
        }
        let mut again = Box::pin(pages.read(&feed));
        feed.changes(&[change(2)]);
        assert_eq!(revisions(&again.next().await.unwrap().after(0, Form::Lines)), [2]);
    }
}
