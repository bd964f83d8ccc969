//! The routes by which secrets are set, listed and removed. None tells a value.

use axum::Json;
use axum::body::Bytes;
use axum::extract::State as Shared;
use axum::extract::rejection::BytesRejection;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Api;
use super::read::{Asking, NoQuery, read_object};
use super::refusals::Refusals;
use crate::http::Refusal;
use crate::manager::secrets::{Secrets, SecretsError};
use crate::task::{ErrorBody, SecretName, SecretOnWire};

/// A secret that is to be set.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewSecret {
    pub name: SecretName,
    /// Base64.
    #[schema(value_type = String)]
    pub value: SecretOnWire,
}

/// What became of it.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct SecretSet {
    /// It had another value before, which tasks that run keep until they are restarted.
    pub was_set: bool,
}

/// A secret that is to be forgotten.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SecretRemoval {
    pub name: SecretName,
    /// Also if tasks that have not ended name it.
    #[serde(default)]
    pub force: bool,
}

/// A secret as everybody may know it who may change the cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ListedSecret {
    pub name: SecretName,
    pub since: Timestamp,
    /// How many tasks name it that have not ended.
    pub tasks: usize,
}

type Body = Result<Bytes, BytesRejection>;

impl From<SecretsError> for Refusal {
    fn from(error: SecretsError) -> Self {
        Self::new(503, error.to_string())
    }
}

impl Api {
    fn secrets(&self) -> Result<&Secrets, Refusal> {
        self.workers.secrets().ok_or_else(|| Refusal::new(503, "this manager keeps no secrets"))
    }

    /// The tasks that name it and have not ended, by what people call them.
    async fn users(&self, name: &SecretName) -> Result<Vec<String>, Refusal> {
        let cluster = self.handle.snapshot().await?;
        let users = cluster.rows().filter(|row| {
            !row.state().has_ended() && row.spec().secrets.iter().any(|secret| secret.name == *name)
        });
        Ok(users.map(|row| format!("{} ({})", row.name(), row.id().short())).collect())
    }
}

/// Sets a secret: what waits for it starts
#[utoipa::path(
    post, path = "/v1/secrets", tag = "secrets",
    params(Asking),
    request_body(content = NewSecret, content_type = "application/json"),
    responses(
        (status = 200, description = "It is set, also after a restart", body = SecretSet),
        Refusals
    )
)]
pub(super) async fn set(Shared(api): Shared<Api>, _: Asking, body: Body) -> Result<Json<SecretSet>, Refusal> {
    let NewSecret { name, value } = read_object(&body?)?;
    let was_set = api.secrets()?.set(name, value.0).await?;
    api.handle.secrets_changed().await?;
    Ok(Json(SecretSet { was_set }))
}

/// The secrets, without their values
#[utoipa::path(
    get, path = "/v1/secrets", tag = "secrets",
    responses(
        (status = 200, description = "All of them", body = Vec<ListedSecret>),
        Refusals
    )
)]
pub(super) async fn list(Shared(api): Shared<Api>, _: NoQuery) -> Result<Json<Vec<ListedSecret>>, Refusal> {
    let all = api.secrets()?.list();
    let cluster = api.handle.snapshot().await?;
    let mut counts = std::collections::HashMap::<&SecretName, usize>::new();
    for row in cluster.rows().filter(|row| !row.state().has_ended()) {
        let mut names: Vec<_> = row.spec().secrets.iter().map(|secret| &secret.name).collect();
        names.sort_unstable();
        names.dedup();
        for name in names {
            *counts.entry(name).or_default() += 1;
        }
    }
    let listed = all.into_iter().map(|(name, since)| {
        let tasks = counts.get(&name).copied().unwrap_or_default();
        ListedSecret { name, since, tasks }
    });
    Ok(Json(listed.collect()))
}

/// Forgets a secret
#[utoipa::path(
    post, path = "/v1/secrets/remove", tag = "secrets",
    params(Asking),
    request_body(content = SecretRemoval, content_type = "application/json"),
    responses(
        (status = 200, description = "It is gone"),
        (status = 404, description = "There is no secret of this name", body = ErrorBody),
        (status = 409, description = "Tasks that have not ended name it, and force was not set", body = ErrorBody),
        Refusals
    )
)]
pub(super) async fn remove(Shared(api): Shared<Api>, _: Asking, body: Body) -> Result<Json<()>, Refusal> {
    let SecretRemoval { name, force } = read_object(&body?)?;
    let secrets = api.secrets()?;
    let unknown =
        || Refusal::new(404, format!("there is no secret {name}; `cube-tui secret list` has them all"));
    if !secrets.names().contains(&name) {
        return Err(unknown());
    }
    if !force
        && let users = api.users(&name).await?
        && let [first, rest @ ..] = &users[..]
    {
        let more = if rest.is_empty() { String::new() } else { format!(" and {} more", rest.len()) };
        return Err(Refusal::new(
            409,
            format!(
                "secret {name} is named by {first}{more}: stop them first, or --force (what runs keeps it, what \
                 starts anew waits for it)"
            ),
        ));
    }
    if !secrets.remove(name.clone()).await? {
        return Err(unknown());
    }
    api.handle.secrets_changed().await?;
    Ok(Json(()))
}
