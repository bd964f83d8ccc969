//! Keeps the trust: takes one order after the other, writes down what changed, and only then answers and lets it count.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use jiff::{SignedDuration, Timestamp};
use rustls::sign::CertifiedKey;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;
use uuid::Uuid;

use super::file::Files;
use super::ledger::Ledger;
use super::{Invite, Issued, JoinRequest, Listed, OwnTls, Trust, TrustError, pin_text, renewed_after};
use crate::tls::{self, Authority, Credential, Current, Identity, Members, Request, Role, TlsError};

/// Orders that may wait.
const ORDERS: usize = 64;

type Reply<T> = oneshot::Sender<Result<T, TrustError>>;

#[derive(Debug)]
pub(super) enum Order {
    Invite { role: Role, ttl: Duration, replaces: bool, reply: Reply<Invite> },
    Join { request: JoinRequest, reply: Reply<Issued> },
    Renew { identity: Identity, request: String, reply: Reply<Issued> },
    Rotate { but: Option<Uuid>, reply: Reply<usize> },
    Revoke { who: String, reply: Reply<Listed> },
    List { reply: Reply<Vec<Listed>> },
    Listen { reply: Reply<Option<String>> },
    SetListen { listen: Option<String>, reply: Reply<()> },
}

impl From<TlsError> for TrustError {
    fn from(error: TlsError) -> Self {
        match error {
            TlsError::BadRequest(_) => Self::Invalid(error.to_string()),
            TlsError::Unusable(_) => Self::Failed(error.to_string()),
        }
    }
}

pub(super) fn open(folder: Option<PathBuf>, life: Duration) -> Result<Trust, TrustError> {
    let files = Files::new(folder);
    let (authority, ledger) = files.read()?;
    let (orders, inbox) = mpsc::channel(ORDERS);
    let (members, members_rx) = watch::channel(Arc::new(ledger.members()));
    let (own, own_rx) = watch::channel(None);
    let mut keeper = Keeper { files, ledger, authority: None, members, own, life };
    if let Some(authority) = authority {
        keeper.begin(authority)?;
    }
    tokio::spawn(keeper.run(inbox));
    Ok(Trust { orders, members: members_rx, own: own_rx })
}

struct Keeper {
    files: Files,
    ledger: Ledger,
    authority: Option<Own>,
    members: watch::Sender<Arc<Members>>,
    own: watch::Sender<Option<OwnTls>>,
    life: Duration,
}

/// The authority, and the manager's own certificate by it. Its key is never written down: each start has a new one.
struct Own {
    authority: Authority,
    key: watch::Sender<Arc<CertifiedKey>>,
    renew_at: Instant,
}

impl Keeper {
    async fn run(mut self, mut inbox: mpsc::Receiver<Order>) {
        loop {
            let renew_at = self.authority.as_ref().map(|own| own.renew_at);
            tokio::select! {
                order = inbox.recv() => match order {
                    // Its files are small and seldom written.
                    Some(order) => self.take(order),
                    None => return,
                },
                () = until(renew_at) => self.renew_own(),
            }
        }
    }

    /// Who asked may have gone away meanwhile.
    fn take(&mut self, order: Order) {
        match order {
            Order::Invite { role, ttl, replaces, reply } => _ = reply.send(self.invite(role, ttl, replaces)),
            Order::Join { request, reply } => _ = reply.send(self.join(&request)),
            Order::Renew { identity, request, reply } => _ = reply.send(self.renew(&identity, &request)),
            Order::Rotate { but, reply } => {
                _ = reply.send(self.change(|ledger| Ok(ledger.rotate(but, Timestamp::now()))));
            }
            Order::Revoke { who, reply } => {
                _ = reply.send(self.change(|ledger| ledger.revoke(&who, Timestamp::now())));
            }
            Order::List { reply } => _ = reply.send(Ok(self.ledger.list(Timestamp::now()))),
            Order::Listen { reply } => _ = reply.send(Ok(self.ledger.listen.clone())),
            Order::SetListen { listen, reply } => {
                _ = reply.send(self.change(|ledger| {
                    ledger.listen = listen;
                    Ok(())
                }));
            }
        }
    }

    /// Changes the ledger, on disk first. On an error nothing has changed.
    fn change<T>(
        &mut self,
        change: impl FnOnce(&mut Ledger) -> Result<T, TrustError>,
    ) -> Result<T, TrustError> {
        let mut ledger = self.ledger.clone();
        let outcome = change(&mut ledger)?;
        if ledger != self.ledger {
            self.files.write_ledger(&ledger)?;
            self.ledger = ledger;
            self.members.send_replace(Arc::new(self.ledger.members()));
        }
        Ok(outcome)
    }

    fn invite(&mut self, role: Role, ttl: Duration, replaces: bool) -> Result<Invite, TrustError> {
        if self.authority.is_none() {
            let authority = Authority::make(Timestamp::now())?;
            self.files.write_authority(&authority)?;
            self.begin(authority)?;
        }
        let pin = pin_text(self.own()?.authority.pin()?);
        let (id, secret) = (Uuid::new_v4(), BASE64_URL_SAFE_NO_PAD.encode(tls::random()));
        let now = Timestamp::now();
        let expires = SignedDuration::try_from(ttl).ok().and_then(|ttl| now.checked_add(ttl).ok());
        let expires =
            expires.ok_or_else(|| TrustError::Invalid("that is too long for an invite".to_owned()))?;
        let hash = tls::sha256(secret.as_bytes());
        self.change(|ledger| ledger.invite(id, role, hash, now, expires, replaces))?;
        Ok(Invite { id, secret, role, pin })
    }

    fn join(&mut self, request: &JoinRequest) -> Result<Issued, TrustError> {
        let JoinRequest { invite, secret, name, request } = request;
        let (member, now) = (Uuid::new_v4(), Timestamp::now());
        // A request that is no good is not to cost the invite.
        let authority = &self.authority.as_ref().ok_or(TrustError::NotInvited)?.authority;
        let mut after = self.ledger.clone();
        let new = after.join(*invite, tls::sha256(secret.as_bytes()), name, member, now)?;
        let certificate = authority.issue(request, (new.role, name, new.id), now, self.life)?;
        self.change(|ledger| {
            *ledger = after;
            Ok(())
        })?;
        Ok(Issued { certificate })
    }

    fn renew(&mut self, identity: &Identity, request: &str) -> Result<Issued, TrustError> {
        // It may have been thrown out since its request was let in.
        if !self.ledger.members().contains(identity.member) {
            return Err(TrustError::NotInvited);
        }
        let who = (identity.role, &*identity.name, identity.member);
        let certificate = self.own()?.authority.issue(request, who, Timestamp::now(), self.life)?;
        Ok(Issued { certificate })
    }

    fn own(&self) -> Result<&Own, TrustError> {
        self.authority.as_ref().ok_or_else(|| TrustError::Failed("there is no authority yet".to_owned()))
    }

    /// From now on there is an authority.
    fn begin(&mut self, authority: Authority) -> Result<(), TrustError> {
        let key = watch::Sender::new(self.own_key(&authority)?);
        let certificate = authority.certificate().clone();
        let current = Current::new(key.subscribe());
        let own = OwnTls {
            client: tls::client(&certificate, current.clone())?,
            server: tls::server(&certificate, current, true)?,
        };
        self.own.send_replace(Some(own));
        self.authority = Some(Own { authority, key, renew_at: self.renewal() });
        Ok(())
    }

    fn renewal(&self) -> Instant {
        Instant::now() + renewed_after(self.life)
    }

    fn own_key(&self, authority: &Authority) -> Result<Arc<CertifiedKey>, TrustError> {
        let request = Request::make()?;
        let manager = (Role::Manager, "manager", Uuid::new_v4());
        let certificate = authority.issue(&request.pem()?, manager, Timestamp::now(), self.life)?;
        let credential =
            Credential { manager: Vec::new(), invite: String::new(), certificate, key: request.key_pem() };
        Ok(credential.certified_key()?)
    }

    fn renew_own(&mut self) {
        let renewal = self.renewal();
        let Some(own) = &self.authority else { return };
        match self.own_key(&own.authority) {
            Ok(key) => _ = own.key.send_replace(key),
            Err(error) => tracing::error!("the manager's own certificate was not renewed: {error}"),
        }
        if let Some(own) = &mut self.authority {
            own.renew_at = renewal;
        }
    }
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
