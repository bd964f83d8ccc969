//! The feed: hands every durable Change, and what passes by, to all who watch. Never waits for any of them.

use std::sync::{Arc, OnceLock};

use futures_util::{Stream, StreamExt, stream};
use tokio::sync::broadcast;
use tokio_stream::wrappers::BroadcastStream;
use tokio_util::sync::CancellationToken;

use crate::cluster::{Change, FeedItem};
use crate::manager::request::RequestError;

/// Commits that a watcher may be behind before it has to take a new snapshot. A commit holds many Changes.
const BEHIND: usize = 4_096;

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
