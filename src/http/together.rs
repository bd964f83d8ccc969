//! Items that follow each other closely, in pieces. What an engine hands over line by line would otherwise be sent,
//! and woken up for, line by line all the way.

use std::time::Duration;

use futures_util::{Stream, StreamExt as _, stream};
use tokio::time::{Instant, timeout_at};

/// What comes within this of a piece goes into the next one. After a quiet time an item goes at once.
const WITHIN: Duration = Duration::from_millis(1);

/// A piece has no more than this.
const MOST: usize = 1_024;

pub fn together<T: Send>(items: impl Stream<Item = T> + Send) -> impl Stream<Item = Vec<T>> + Send {
    let state = (Box::pin(items.fuse()), Instant::now());
    stream::unfold(state, async |(mut items, due)| {
        let mut piece = vec![items.next().await?];
        while piece.len() < MOST {
            match timeout_at(due, items.next()).await {
                Ok(Some(item)) => piece.push(item),
                Ok(None) | Err(_) => break,
            }
        }
        Some((piece, (items, Instant::now() + WITHIN)))
    })
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc;
    use tokio_stream::wrappers::UnboundedReceiverStream;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_first_goes_at_once_and_what_follows_closely_goes_together() {
        let (sender, receiver) = mpsc::unbounded_channel();
        let mut pieces = Box::pin(together(UnboundedReceiverStream::new(receiver)));
        sender.send(1).unwrap();
        let began = Instant::now();
        assert_eq!(pieces.next().await, Some(vec![1]));
        assert_eq!(began.elapsed(), Duration::ZERO);
        tokio::spawn(async move {
            for number in 2..=4 {
                tokio::task::yield_now().await;
                sender.send(number).unwrap();
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
            sender.send(5).unwrap();
        });
        assert_eq!(pieces.next().await, Some(vec![2, 3, 4]));
        assert_eq!(pieces.next().await, Some(vec![5]));
        assert_eq!(pieces.next().await, None);
    }

    #[tokio::test]
    async fn all_comes_in_its_order_and_the_end_is_not_waited_for() {
        let pieces: Vec<_> = together(stream::iter(0..3_000)).collect().await;
        assert!(pieces.iter().all(|piece| piece.len() <= MOST));
        assert_eq!(pieces.concat(), (0..3_000).collect::<Vec<_>>());
    }
}
