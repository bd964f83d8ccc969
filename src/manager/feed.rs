//! The feed: hands every durable Change, and what passes by, to all who watch. Never waits for any of them.

use std::sync::Arc;

use futures_util::{Stream, StreamExt, stream};
use tokio::sync::broadcast;
use tokio_stream::wrappers::BroadcastStream;

use crate::cluster::{Change, FeedItem};
use crate::manager::request::RequestError;

/// Commits that a watcher may be behind before it has to take a new snapshot. A commit holds many Changes.
const BEHIND: usize = 4_096;

/// The sending end.
#[derive(Clone, Debug)]
pub(super) struct FeedSender(broadcast::Sender<Arc<[FeedItem]>>);

impl FeedSender {
    pub(super) fn new() -> Self {
        Self(broadcast::Sender::new(BEHIND))
    }

    /// The Changes of one commit.
    pub(super) fn changes(&self, changes: &[Arc<Change>]) {
        if !changes.is_empty() && self.0.receiver_count() > 0 {
            // Fails only when the last watcher left just now.
            let _ = self.0.send(changes.iter().map(|change| FeedItem::Change(Arc::clone(change))).collect());
        }
    }

    /// Something that is not history.
    pub(super) fn pass_by(&self, item: FeedItem) {
        let _ = self.0.send(Arc::new([item]));
    }

    /// Everything from now on. Ends with an error when the watcher was too slow or the manager went away.
    pub(super) fn watch(&self) -> impl Stream<Item = Result<FeedItem, RequestError>> + Send + 'static {
        let cut = stream::once(std::future::ready(Err(RequestError::Unreachable(
            "the manager has stopped or started anew".to_owned(),
        ))));
        BroadcastStream::new(self.0.subscribe())
            .flat_map(|batch| {
                let items: Vec<_> = match batch {
                    Ok(batch) => batch.iter().cloned().map(Ok).collect(),
                    Err(_) => vec![Err(RequestError::Unreachable("this watcher fell behind".to_owned()))],
                };
                stream::iter(items)
            })
            .chain(cut)
    }
}
