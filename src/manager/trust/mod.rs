//! Whom the manager trusts: the cluster's authority, open invites, and who has joined. Asked by the API, and kept in a
//! file of its own: of secrets there are only hashes in it, but nothing about them belongs in a log that every viewer
//! can read. Knows no task.

mod actor;
mod file;
mod ledger;
mod line;

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot, watch};
use utoipa::ToSchema;
use uuid::Uuid;

pub use file::write_private;
pub use line::{JoinLine, PREFIX};

use crate::http::{Guests, TlsDoor};
use crate::tls::{Identity, Members, Pin, Role};

/// How long a certificate is good: who was away for a week needs a new invite.
pub const CERTIFICATE_LIFE: Duration = Duration::from_hours(24 * 7);

/// After this part of its life a certificate is renewed.
pub fn renewed_after(life: Duration) -> Duration {
    life * 2 / 3
}

/// Why something was not done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TrustError {
    /// Used, expired, voided or never made: nobody is told which.
    #[error(
        "this invite is not good: it was used, has expired or was voided; `cube-tui invite` at the manager makes a new one"
    )]
    NotInvited,
    #[error(
        "there is a {1} called {0:?} in the cluster already; choose another name with --name, or let go of the old one \
         with `cube-tui token revoke {0}`"
    )]
    NameTaken(String, &'static str),
    #[error("{0}")]
    Invalid(String),
    #[error("there is no member and no open invite {0:?}; `cube-tui token list` has them all")]
    Unknown(String),
    /// The manager's own fault, or its disk's.
    #[error("{0}")]
    Failed(String),
}

/// An invite as it was made: the only time that its secret is seen.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Invite {
    pub id: Uuid,
    pub secret: String,
    pub role: Role,
    pub pin: String,
}

/// What somebody shows to become a member.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct JoinRequest {
    pub invite: Uuid,
    pub secret: String,
    pub name: String,
    /// The request for a certificate, PEM.
    pub request: String,
}

/// A certificate, new or renewed; PEM, the authority's behind it.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Issued {
    pub certificate: String,
}

/// Somebody who has joined, or may.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Listed {
    pub id: Uuid,
    /// Empty for an open invite.
    pub name: String,
    pub role: Role,
    pub since: jiff::Timestamp,
    /// When an open invite ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<jiff::Timestamp>,
}

impl Listed {
    /// The one that `who` means: by name, by id, or by the unique start of an id.
    pub fn find<'a>(all: &'a [Self], who: &str) -> Option<&'a Self> {
        let named = all.iter().find(|listed| !listed.name.is_empty() && listed.name == who);
        let wanted = who.replace('-', "").to_ascii_lowercase();
        let mut by_id = all
            .iter()
            .filter(|listed| wanted.len() >= 4 && listed.id.simple().to_string().starts_with(&wanted));
        named.or_else(|| by_id.next().filter(|_| by_id.next().is_none()))
    }
}

/// Both ends of TLS for the manager itself.
#[derive(Clone, Debug)]
pub struct OwnTls {
    client: rustls::ClientConfig,
    server: Arc<rustls::ServerConfig>,
}

/// A way to whoever keeps the trust. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Trust {
    orders: mpsc::Sender<actor::Order>,
    members: watch::Receiver<Arc<Members>>,
    /// From the first invite on.
    own: watch::Receiver<Option<OwnTls>>,
}

impl Trust {
    /// Reads what is in `folder`, or begins with nothing; without a folder, all of it is forgotten at the end.
    pub fn open(folder: Option<std::path::PathBuf>, life: Duration) -> Result<Self, TrustError> {
        actor::open(folder, life)
    }

    /// Makes an invite, and the authority if it is the first. One that `replaces` the others is for a rotation after it.
    pub async fn invite(&self, role: Role, ttl: Duration, replaces: bool) -> Result<Invite, TrustError> {
        self.ask(|reply| actor::Order::Invite { role, ttl, replaces, reply }).await
    }

    /// Makes somebody a member.
    pub async fn join(&self, request: JoinRequest) -> Result<Issued, TrustError> {
        self.ask(|reply| actor::Order::Join { request, reply }).await
    }

    /// A new certificate for a member.
    pub async fn renew(&self, identity: Identity, request: String) -> Result<Issued, TrustError> {
        self.ask(|reply| actor::Order::Renew { identity, request, reply }).await
    }

    /// Voids every open invite but this one; tells how many there were.
    pub async fn rotate(&self, but: Option<Uuid>) -> Result<usize, TrustError> {
        self.ask(|reply| actor::Order::Rotate { but, reply }).await
    }

    /// Lets go of a member or voids an invite, by name or id.
    pub async fn revoke(&self, who: String) -> Result<Listed, TrustError> {
        self.ask(|reply| actor::Order::Revoke { who, reply }).await
    }

    pub async fn list(&self) -> Result<Vec<Listed>, TrustError> {
        self.ask(|reply| actor::Order::List { reply }).await
    }

    /// Where the TLS listener is to listen, as it was left.
    pub async fn listen(&self) -> Result<Option<String>, TrustError> {
        self.ask(|reply| actor::Order::Listen { reply }).await
    }

    /// Remembers that for the next start.
    pub async fn set_listen(&self, listen: Option<String>) -> Result<(), TrustError> {
        self.ask(|reply| actor::Order::SetListen { listen, reply }).await
    }

    pub fn is_member(&self, member: Uuid) -> bool {
        self.members.borrow().contains(member)
    }

    /// A client that shows the manager's certificate to whoever answers at `host`.
    pub fn https_client(&self, host: &str) -> Option<reqwest::Client> {
        let own = self.own.borrow();
        Some(crate::http::https_client(own.as_ref()?.client.clone(), vec![host.to_owned()]))
    }

    /// What the TLS listener asks for; there is one from the first invite on.
    pub fn door(&self) -> Option<TlsDoor> {
        let config = Arc::clone(&self.own.borrow().as_ref()?.server);
        Some(TlsDoor { config, guests: Guests::Members(self.members.clone()) })
    }

    async fn ask<T>(
        &self,
        order: impl FnOnce(oneshot::Sender<Result<T, TrustError>>) -> actor::Order,
    ) -> Result<T, TrustError> {
        let gone = || TrustError::Failed("the manager has stopped".to_owned());
        let (reply, answer) = oneshot::channel();
        self.orders.send(order(reply)).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }
}

/// The pin as a line has it.
fn pin_text(pin: Pin) -> String {
    pin.to_string()
}
