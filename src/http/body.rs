//! Bodies of requests, read before their route is asked: within a size, a time and a depth, and only so many large ones
//! at once. Knows no route; all that is taken here is JSON.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use axum::body::{Body, HttpBody as _};
use axum::extract::Request;
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{Caller, Refusal};

/// The largest body that is read: some ten thousand tasks in one request.
pub const LARGEST_BODY: usize = 16 << 20;

/// A body up to this is read whenever it comes: a connection costs no more than that.
const SMALL_BODY: usize = 16 << 10;

/// Larger bodies that are held at a time, from their first byte to their answer: what is made of one takes several
/// times its size.
const LARGE_BODIES: usize = 2;

/// A body has to be there within this.
const BODY_WITHIN: Duration = Duration::from_secs(30);

/// For its turn among the large bodies a request waits this long.
const TURN_WITHIN: Duration = Duration::from_secs(10);

/// JSON deeper than this is refused unread; a TaskEvent has five levels.
const DEEPEST: usize = 100;

/// All listeners of a process share their memory.
static LARGE: LazyLock<Arc<Semaphore>> = LazyLock::new(|| Arc::new(Semaphore::new(LARGE_BODIES)));

/// A large body's place among those that are held at once.
pub(super) type Turn = Option<OwnedSemaphorePermit>;

/// `request` with its body in memory.
pub(super) async fn read_first(request: Request, caller: &Caller) -> Result<(Request, Turn), Refusal> {
    if request.body().is_end_stream() {
        return Ok((request, None));
    }
    // Who may do no more than join has not much to say.
    let is_known = matches!(caller, Caller::Local | Caller::Known { .. });
    if !is_known && request.body().size_hint().upper().is_none_or(|most| most > SMALL_BODY as u64) {
        return Err(Refusal::new(401, "a stranger's request is short, and says how long it is"));
    }
    let (parts, body) = request.into_parts();
    let (body, turn) = read(body, &LARGE).await?;
    Ok((Request::from_parts(parts, Body::from(body)), turn))
}

async fn read(body: Body, large: &Arc<Semaphore>) -> Result<(Bytes, Turn), Refusal> {
    let announced = body.size_hint().lower();
    if announced > LARGEST_BODY as u64 {
        return Err(too_large());
    }
    let mut turn = None;
    if announced > SMALL_BODY as u64 {
        turn = Some(take_turn(large).await?);
    }
    let collect = async {
        let mut read = BytesMut::new();
        let mut pieces = body.into_data_stream();
        while let Some(piece) = pieces.next().await {
            let cut = |error| Refusal::new(400, format!("the body was cut: {error}"));
            let piece = piece.map_err(cut)?;
            if read.len() + piece.len() > LARGEST_BODY {
                return Err(too_large());
            }
            if turn.is_none() && read.len() + piece.len() > SMALL_BODY {
                turn = Some(take_turn(large).await?);
            }
            read.extend_from_slice(&piece);
        }
        Ok((read.freeze(), turn))
    };
    let late = |_| Refusal::new(408, format!("the body was not there within {} s", BODY_WITHIN.as_secs()));
    let (read, turn) = tokio::time::timeout(BODY_WITHIN, collect).await.map_err(late)??;
    if is_too_deep(&read) {
        return Err(Refusal::new(400, format!("not taken: JSON nested more than {DEEPEST} levels deep")));
    }
    Ok((read, turn))
}

async fn take_turn(large: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit, Refusal> {
    match tokio::time::timeout(TURN_WITHIN, Arc::clone(large).acquire_owned()).await {
        Ok(Ok(turn)) => Ok(turn),
        _ => {
            Err(Refusal::new(503, "other large requests are under way; send it again")
                .retry_after(TURN_WITHIN))
        }
    }
}

fn too_large() -> Refusal {
    let most = LARGEST_BODY >> 20;
    Refusal::new(413, format!("the body is larger than {most} MiB; send it in several requests"))
}

/// Whether `json` opens more than [`DEEPEST`] brackets within one another. Readers that skip what they don't know would
/// follow it all the way down.
fn is_too_deep(json: &[u8]) -> bool {
    let mut depth = 0_usize;
    let mut bytes = json.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'[' | b'{' => {
                depth += 1;
                if depth > DEEPEST {
                    return true;
                }
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            b'"' => {
                while let Some(byte) = bytes.next() {
                    match byte {
                        b'"' => break,
                        b'\\' => _ = bytes.next(),
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures_util::stream;

    use super::*;

    fn large() -> Arc<Semaphore> {
        Arc::new(Semaphore::new(1))
    }

    /// As a body without a length comes.
    fn pieces(count: usize) -> Body {
        let piece = Bytes::from(vec![b' '; 1 << 20]);
        Body::from_stream(stream::iter((0..count).map(move |_| Ok::<_, Infallible>(piece.clone()))))
    }

    #[tokio::test]
    async fn a_body_is_read_up_to_its_largest_size_with_or_without_a_length() {
        let (whole, _) = read(pieces(16), &large()).await.unwrap();
        assert_eq!(whole.len(), LARGEST_BODY);
        for body in [pieces(17), Body::from(vec![b' '; LARGEST_BODY + 1])] {
            let refusal = read(body, &large()).await.unwrap_err();
            assert_eq!(refusal.status(), 413);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_never_ends_is_408_and_who_waits_for_its_turn_too_long_503() {
        let endless = || {
            let start = stream::iter([Ok::<_, Infallible>(Bytes::from(vec![b' '; SMALL_BODY + 1]))]);
            Body::from_stream(start.chain(stream::pending()))
        };
        let large = large();
        let first = tokio::spawn({
            let large = Arc::clone(&large);
            async move { read(endless(), &large).await.unwrap_err().status() }
        });
        tokio::task::yield_now().await;
        let (small, _) = read(Body::from("{}"), &large).await.unwrap();
        assert_eq!(small, "{}");
        assert_eq!(read(pieces(1), &large).await.unwrap_err().status(), 503);
        assert_eq!(first.await.unwrap(), 408);
        assert!(read(pieces(1), &large).await.is_ok(), "its turn is free again");
    }

    #[tokio::test]
    async fn depth_counts_brackets_and_not_what_stands_in_texts() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        let told = |depth: usize| format!("\"\\\"{}\"", "[".repeat(depth));
        for (json, is_taken) in [
            (nested(DEEPEST), true),
            (nested(DEEPEST + 1), false),
            ("[".repeat(100_000), false),
            ("{\"a\":".repeat(100_000), false),
            (told(100_000), true),
            (format!("[{},{}]", nested(DEEPEST - 1), nested(DEEPEST - 1)), true),
        ] {
            let read = read(Body::from(json.clone()), &large()).await;
            assert_eq!(read.is_ok(), is_taken, "{}", &json[..json.len().min(40)]);
        }
    }
}
