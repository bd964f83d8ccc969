//! A stream of values as a body of JSON lines.

use axum::body::Body;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use bytes::{BufMut as _, BytesMut};
use futures_util::{Stream, StreamExt as _};
use serde::Serialize;

/// Answers with one line of JSON for each item; each piece goes out at once, and the body ends when the pieces do.
pub fn json_lines<T: Serialize>(pieces: impl Stream<Item = Vec<T>> + Send + 'static) -> Response {
    let lines = pieces.map(|items| {
        let mut lines = BytesMut::with_capacity(items.len() * 128).writer();
        for item in &items {
            serde_json::to_writer(&mut lines, item)?;
            lines.get_mut().put_u8(b'\n');
        }
        serde_json::Result::Ok(lines.into_inner().freeze())
    });
    ([(CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(lines)).into_response()
}
