//! The JSON that the book's peers speak, in both directions and with all its oddities. Knows no HTTP.

mod read;
#[cfg(test)]
mod tests;
mod write;

use serde::{Deserialize, Serialize};

pub use self::read::{OwnTaskEvent, parse_task_event, parse_tasks};
pub use self::write::BookTaskEvent;
pub(super) use self::write::GoFloat;
use super::fields::FieldError;

/// What a body is not, for the answer's message: it names the field and what was expected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct WireError(pub String);

impl From<FieldError> for WireError {
    fn from(error: FieldError) -> Self {
        Self(error.to_string())
    }
}

impl From<serde_json::Error> for WireError {
    fn from(error: serde_json::Error) -> Self {
        if error.is_data() { Self(error.to_string()) } else { Self(format!("not JSON: {error}")) }
    }
}

/// The body of an error answer, as the book's peers print it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ErrorBody {
    #[serde(rename = "HTTPStatusCode")]
    pub http_status_code: u16,
    #[serde(rename = "Message")]
    pub message: String,
}
