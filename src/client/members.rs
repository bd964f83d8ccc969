//! Becoming a member of a cluster and staying one, and letting others in. Knows no file.

use super::ManagerClient;
use crate::cluster::Cause;
use crate::manager::api::{
    Announcement, Invitation, Invited, Listening, Renewal, Revocation, Revoked, Rotated,
};
use crate::manager::request::RequestError;
use crate::manager::trust::{Issued, JoinLine, JoinRequest, Listed};
use crate::tls::{self, Credential, Current, Request, TlsError};

impl From<TlsError> for RequestError {
    fn from(error: TlsError) -> Self {
        Self::Invalid(error.to_string())
    }
}

/// Uses `line` up to become the member `name`. Nothing is sent before the manager's authority has shown the line's pin.
pub async fn join(line: &JoinLine, name: &str) -> Result<Credential, RequestError> {
    let manager = ManagerClient::over_tls(tls::pinned_client(line.pin)?, &line.addresses);
    let request = Request::make()?;
    let body = JoinRequest {
        invite: line.invite,
        secret: line.secret.clone(),
        name: name.to_owned(),
        request: request.pem()?,
    };
    let Issued { certificate } = manager.post("join", Cause::Command, &body).await?;
    let credential = Credential {
        manager: line.addresses.clone(),
        invite: line.invite.to_string(),
        certificate,
        key: request.key_pem(),
    };
    // Whoever keeps it can rely on it.
    credential.certified_key()?;
    Ok(credential)
}

impl ManagerClient {
    /// A client with `credential`, whose certificate `current` renews.
    pub fn of_member(credential: &Credential, current: Current) -> Result<Self, RequestError> {
        let config = tls::client(&credential.authority()?, current)?;
        Ok(Self::over_tls(config, &credential.manager))
    }

    /// The same credential with a new certificate.
    pub async fn renew(&self, credential: &Credential) -> Result<Credential, RequestError> {
        let renewal = Renewal { request: Request::of(credential)?.pem()? };
        let Issued { certificate } = self.post("renew", Cause::Command, &renewal).await?;
        let renewed = Credential { certificate, ..credential.clone() };
        renewed.certified_key()?;
        Ok(renewed)
    }

    /// Says that this worker listens on `port`.
    pub async fn announce(&self, port: u16) -> Result<(), RequestError> {
        self.post("announce", Cause::Command, &Announcement { port }).await
    }

    pub async fn invite(&self, invitation: &Invitation) -> Result<Invited, RequestError> {
        self.post("invites", Cause::Command, invitation).await
    }

    /// Has the TLS listener listen there, or nowhere.
    pub async fn listen(&self, listen: Option<String>) -> Result<Listening, RequestError> {
        self.post("listen", Cause::Command, &Listening { listen }).await
    }

    pub async fn tokens(&self) -> Result<Vec<Listed>, RequestError> {
        self.get("tokens").await
    }

    pub async fn rotate_tokens(&self) -> Result<Rotated, RequestError> {
        self.post("tokens/rotate", Cause::Command, &()).await
    }

    pub async fn revoke_token(&self, who: &str) -> Result<Revoked, RequestError> {
        self.post("tokens/revoke", Cause::Command, &Revocation { who: who.to_owned() }).await
    }
}
