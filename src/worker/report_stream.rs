//! A worker's reports as the body of an HTTP answer, a line of JSON each. Knows no core.

use std::convert::Infallible;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt as _, stream};
use tokio_stream::wrappers::BroadcastStream;
use tokio_util::sync::CancellationToken;

use super::driver::Subscription;

/// Lines that go out together when they are there together.
const TOGETHER: usize = 64;

/// Ends when `token` is cancelled, the worker ends, or the reader falls too far behind: then it starts over.
pub(super) fn body(subscription: Subscription, token: CancellationToken) -> Body {
    Body::from_stream(lines(subscription, token).map(Ok::<_, Infallible>))
}

fn lines(subscription: Subscription, token: CancellationToken) -> impl Stream<Item = Bytes> + Send + 'static {
    let rest = BroadcastStream::new(subscription.rest)
        // An error says that lines were lost; nothing may follow a gap.
        .take_while(|line| std::future::ready(line.is_ok()))
        .filter_map(|line| std::future::ready(line.ok()));
    stream::iter(subscription.first)
        .chain(rest)
        .ready_chunks(TOGETHER)
        .map(join)
        .take_until(token.cancelled_owned())
}

fn join(mut lines: Vec<Bytes>) -> Bytes {
    if lines.len() == 1 {
        return lines.remove(0);
    }
    let mut all = BytesMut::with_capacity(lines.iter().map(Bytes::len).sum());
    for line in &lines {
        all.extend_from_slice(line);
    }
    all.freeze()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use futures_util::StreamExt as _;
    use tokio::sync::broadcast;
    use tokio_util::sync::CancellationToken;

    use super::lines;
    use crate::worker::driver::Subscription;

    #[tokio::test]
    async fn a_reader_that_lost_lines_is_cut_off() {
        let (sender, rest) = broadcast::channel(2);
        let first = vec![Bytes::from_static(b"hello\n")];
        let stream = lines(Subscription { first, rest }, CancellationToken::new());
        for number in 0..4 {
            sender.send(Bytes::from(format!("{number}\n"))).unwrap();
        }
        let all: Vec<Bytes> = stream.collect().await;
        assert_eq!(all.concat(), b"hello\n");
    }

    #[tokio::test]
    async fn the_stream_ends_with_the_worker() {
        let (_sender, rest) = broadcast::channel(2);
        let token = CancellationToken::new();
        let stream = lines(Subscription { first: Vec::new(), rest }, token.clone());
        token.cancel();
        assert_eq!(stream.count().await, 0);
    }
}
