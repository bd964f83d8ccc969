//! A stream of values as a body of JSON lines.

use axum::body::Body;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use serde::Serialize;

/// Answers with one line of JSON for each item; the body ends when the stream does.
pub fn json_lines<T: Serialize>(items: impl Stream<Item = T> + Send + 'static) -> Response {
    let lines = items.map(|item| {
        serde_json::to_vec(&item).map(|mut line| {
            line.push(b'\n');
            Bytes::from(line)
        })
    });
    ([(CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(lines)).into_response()
}
