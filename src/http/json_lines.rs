//! A stream of values as a body of JSON lines.

use axum::body::Body;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use bytes::{BufMut as _, BytesMut};
use futures_util::{Stream, StreamExt};
use serde::Serialize;

/// Lines that go out together when they are there together.
const TOGETHER: usize = 256;

/// Answers with one line of JSON for each item; the body ends when the stream does.
pub fn json_lines<T: Serialize>(items: impl Stream<Item = T> + Send + 'static) -> Response {
    let lines = items.ready_chunks(TOGETHER).map(|items| {
        let mut lines = BytesMut::with_capacity(items.len() * 128).writer();
        for item in &items {
            serde_json::to_writer(&mut lines, item)?;
            lines.get_mut().put_u8(b'\n');
        }
        serde_json::Result::Ok(lines.into_inner().freeze())
    });
    ([(CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(lines)).into_response()
}
