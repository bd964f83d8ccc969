//! Bodies and queries as values, or why not. Knows no route.

use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use utoipa::IntoParams;

use crate::cluster::Cause;
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

/// The query of a route that is POSTed to, whether or not it leaves a history.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct Asking {
    /// Who asks, for the history; without it, some program on the API.
    #[serde(default = "api_request")]
    #[param(inline, required = false)]
    pub(super) cause: Cause,
}

fn api_request() -> Cause {
    Cause::Api
}

impl<S: Send + Sync> FromRequestParts<S> for Asking {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let Query(asking) = Query::from_request_parts(parts, state).await?;
        Ok(asking)
    }
}

/// The value that all of `body` is; an error says in which field.
pub(super) fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    let mut reader = serde_json::Deserializer::from_slice(body);
    let value = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let place = error.path().to_string();
        let why = error.into_inner();
        // JSON that breaks off, or that is wrong as a whole, is in no field.
        let is_a_fields = why.is_data() && place != ".";
        Refusal::new(400, if is_a_fields { format!("{place}: {why}") } else { why.to_string() })
    })?;
    reader.end().map_err(|error| Refusal::new(400, error.to_string()))?;
    Ok(value)
}

/// The same where an object is meant: an array of its values in order would be taken for one otherwise.
pub(super) fn read_object<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    if first_of(body) == Some(b'{') { read(body) } else { Err(Refusal::new(400, "expected an object")) }
}

pub(super) fn first_of(json: &[u8]) -> Option<u8> {
    json.iter().copied().find(|byte| !byte.is_ascii_whitespace())
}
