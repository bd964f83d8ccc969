//! A body of JSON lines as a stream of values. Knows no route.

use bytes::Bytes;
use futures_util::{Stream, StreamExt, TryStreamExt};
use serde::de::DeserializeOwned;
use tokio_util::codec::{FramedRead, LinesCodec};
use tokio_util::io::StreamReader;

use super::ClientError;

/// A line longer than this is no line of ours: a full list of 100,000 tasks is about 60 MB.
const LONGEST_LINE: usize = 256 << 20;

/// Reads `body` line by line.
pub fn read_lines<T: DeserializeOwned>(
    body: impl Stream<Item = reqwest::Result<Bytes>> + Send + 'static,
) -> impl Stream<Item = Result<T, ClientError>> + Send {
    let reader = StreamReader::new(Box::pin(body.map_err(std::io::Error::other)));
    FramedRead::new(reader, LinesCodec::new_with_max_length(LONGEST_LINE)).map(|line| {
        let unreadable = |reason: String| ClientError::Unreachable { reason, may_have_arrived: true };
        let line = line.map_err(|error| unreadable(format!("connection cut ({error})")))?;
        serde_json::from_str(&line).map_err(|error| unreadable(format!("unreadable line ({error})")))
    })
}
