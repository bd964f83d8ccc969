//! An answer that says no, in the book's form: `{"HTTPStatusCode":400,"Message":"…"}`.

use std::time::Duration;

use axum::Json;
use axum::extract::rejection::{BytesRejection, JsonRejection, PathRejection, QueryRejection};
use axum::http::StatusCode;
use axum::http::header::RETRY_AFTER;
use axum::response::{IntoResponse, Response};
use serde_json::json;

/// A status and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    status: StatusCode,
    message: String,
    retry_after: Option<Duration>,
}

impl Refusal {
    /// A status out of range is a fault of ours: it becomes 500.
    pub fn new(status: u16, message: impl Into<String>) -> Self {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Self { status, message: message.into(), retry_after: None }
    }

    /// Says when the same request may do better.
    #[must_use]
    pub fn retry_after(self, wait: Duration) -> Self {
        Self { retry_after: Some(wait), ..self }
    }

    pub fn status(&self) -> u16 {
        self.status.as_u16()
    }
}

/// A body that is too large, or was cut.
impl From<BytesRejection> for Refusal {
    fn from(rejection: BytesRejection) -> Self {
        Self::new(rejection.status().as_u16(), rejection.body_text())
    }
}

impl From<PathRejection> for Refusal {
    fn from(rejection: PathRejection) -> Self {
        Self::new(rejection.status().as_u16(), rejection.body_text())
    }
}

impl From<JsonRejection> for Refusal {
    fn from(rejection: JsonRejection) -> Self {
        Self::new(rejection.status().as_u16(), rejection.body_text())
    }
}

impl From<QueryRejection> for Refusal {
    fn from(rejection: QueryRejection) -> Self {
        Self::new(rejection.status().as_u16(), query_words(&rejection.body_text()))
    }
}

/// The parsers' own words for numbers say nothing of what is expected.
fn query_words(text: &str) -> String {
    let text = text.strip_prefix("Failed to deserialize query string: ").unwrap_or(text);
    let name = text.split_once(": ").map_or("", |(name, _)| name);
    [
        // It stands before it already.
        (&*format!("unknown field `{name}`"), "unknown field"),
        ("invalid digit found in string", "expected a whole number, 0 or more"),
        ("cannot parse integer from empty string", "expected a number, found nothing"),
        (", there are no fields", "; it takes none"),
        ("number too large to fit in target type", "that number is too large"),
    ]
    .iter()
    .fold(text.to_owned(), |text, (parsers, ours)| text.replace(parsers, ours))
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let body = json!({ "HTTPStatusCode": self.status.as_u16(), "Message": self.message });
        let mut response = (self.status, Json(body)).into_response();
        if let Some(wait) = self.retry_after {
            response.headers_mut().insert(RETRY_AFTER, wait.as_secs().into());
        }
        response
    }
}
