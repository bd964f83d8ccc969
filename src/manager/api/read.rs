//! Bodies and queries as values, or why not. Knows no route.

use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::http::Refusal;

/// The query of a route that takes none.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NoQuery {}

impl<S: Send + Sync> FromRequestParts<S> for NoQuery {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let Query(nothing) = Query::from_request_parts(parts, state).await?;
        Ok(nothing)
    }
}

pub(super) fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    serde_json::from_slice(body).map_err(|error| Refusal::new(400, error.to_string()))
}

/// The same where an object is meant: an array of its values in order would be taken for one otherwise.
pub(super) fn read_object<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    if first_of(body) == Some(b'{') { read(body) } else { Err(Refusal::new(400, "expected an object")) }
}

pub(super) fn first_of(json: &[u8]) -> Option<u8> {
    json.iter().copied().find(|byte| !byte.is_ascii_whitespace())
}
