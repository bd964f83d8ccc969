//! The feed's pump: watches the manager, hands every item on, and goes on from there when it is cut off.

use std::convert::Infallible;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::client::{ManagerHandle, Resume, Watch};
use crate::cluster::{FeedItem, Mark};
use crate::manager::request::RequestError;

use super::event::Event;

/// How long to wait before trying again: short at first, since most cuts are short.
const FIRST_RETRY: Duration = Duration::from_millis(200);
const LAST_RETRY: Duration = Duration::from_secs(5);

/// Runs until cancelled or until nobody listens.
pub(super) async fn pump(manager: ManagerHandle, events: mpsc::Sender<Event>, cancel: CancellationToken) {
    cancel.run_until_cancelled(run(&manager, &events)).await;
}

/// Ends when nobody listens.
async fn run(manager: &ManagerHandle, events: &mpsc::Sender<Event>) -> Option<Infallible> {
    let mut retry = FIRST_RETRY;
    let mut mirror = None;
    loop {
        let begun = match mirror {
            None => manager.watch().await.map(|watch| Resume::Anew(Box::new(watch))),
            Some(mark) => manager.resume(mark).await,
        };
        let reason = match begun {
            Err(error) => error.to_string(),
            Ok(begun) => {
                retry = FIRST_RETRY;
                let (first, items) = match begun {
                    Resume::Items(items) => (Event::Resumed, items),
                    Resume::Anew(watch) => {
                        let Watch { cluster, items } = *watch;
                        mirror = Some(cluster.mark());
                        (Event::Watching(Box::new(cluster)), items)
                    }
                };
                events.send(first).await.ok()?;
                hand_on(items, events, &mut mirror).await?
            }
        };
        events.send(Event::Cut(reason)).await.ok()?;
        tokio::time::sleep(retry).await;
        retry = (retry * 2).min(LAST_RETRY);
    }
}

/// Hands on what comes until it is cut, and tells why; `None` when nobody listens. `mirror` is where the mirror stands.
async fn hand_on(
    mut items: BoxStream<'static, Result<FeedItem, RequestError>>,
    events: &mpsc::Sender<Event>,
    mirror: &mut Option<Mark>,
) -> Option<String> {
    loop {
        match items.next().await {
            Some(Ok(item)) => {
                if let FeedItem::Change(change) = &item
                    && mirror.is_none_or(|mirror| mirror.revision < change.revision)
                {
                    *mirror = Some(Mark::from(&**change));
                }
                events.send(Event::Feed(item)).await.ok()?;
            }
            Some(Err(error)) => return Some(error.to_string()),
            None => return Some("the manager ended the stream".to_owned()),
        }
    }
}
