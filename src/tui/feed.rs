//! The feed's pump: watches the manager, hands every item on, and watches again when it is cut off.

use std::time::Duration;

use futures_util::StreamExt;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::client::ManagerHandle;

use super::event::Event;

/// How long to wait before trying again: short at first, since most cuts are short.
const FIRST_RETRY: Duration = Duration::from_millis(200);
const LAST_RETRY: Duration = Duration::from_secs(5);

/// Runs until cancelled or until nobody listens.
pub(super) async fn pump(manager: ManagerHandle, events: mpsc::Sender<Event>, cancel: CancellationToken) {
    let run = async {
        let mut retry = FIRST_RETRY;
        loop {
            let reason = match manager.watch().await {
                Err(error) => error.to_string(),
                Ok(mut watch) => {
                    retry = FIRST_RETRY;
                    if events.send(Event::Watching(Box::new(watch.cluster))).await.is_err() {
                        return;
                    }
                    loop {
                        match watch.items.next().await {
                            Some(Ok(item)) => {
                                if events.send(Event::Feed(item)).await.is_err() {
                                    return;
                                }
                            }
                            Some(Err(error)) => break error.to_string(),
                            None => break "the manager ended the stream".to_owned(),
                        }
                    }
                }
            };
            if events.send(Event::Cut(reason)).await.is_err() {
                return;
            }
            tokio::time::sleep(retry).await;
            retry = (retry * 2).min(LAST_RETRY);
        }
    };
    cancel.run_until_cancelled(run).await;
}
