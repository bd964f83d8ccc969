//! A membership in a cluster elsewhere: the file it is kept in, and a worker that lives by it: says where it is, and
//! renews its certificate. Knows no task.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::client::{ManagerClient, join};
use crate::http::{Guests, TlsDoor};
use crate::manager::request::RequestError;
use crate::manager::trust::{JoinLine, renewed_after, write_private};
use crate::tls::{self, Credential, Current, Identity, TlsError};

/// What a membership is called in a data folder.
const FILE: &str = "membership.json";

/// Its host may have got another address; the manager may have lost its store.
const ANNOUNCE_EVERY: Duration = Duration::from_secs(30);

/// After a try that failed, doubled up to the longest.
const FIRST_RETRY: Duration = Duration::from_millis(500);
const LONGEST_RETRY: Duration = Duration::from_secs(30);

/// Why there is no membership to work with.
#[derive(Debug, thiserror::Error)]
pub enum MemberError {
    #[error("cannot keep the membership in {}: {error}", path.display())]
    Write { path: PathBuf, error: io::Error },
    #[error("the membership in {} can't be read: {why}; delete it and join again", path.display())]
    Unreadable { path: PathBuf, why: String },
    #[error(
        "the certificate of {name} expired at {expired}, while nothing here renewed it; ask for a new invite \
         (`cube-tui token revoke {name}` and `cube-tui invite` at the manager), and join again"
    )]
    Expired { name: String, expired: Timestamp },
    #[error("not joined: {0}")]
    NotJoined(RequestError),
}

impl From<TlsError> for MemberError {
    fn from(error: TlsError) -> Self {
        Self::NotJoined(error.into())
    }
}

/// A membership and where it is kept.
#[derive(Debug)]
pub struct Membership {
    path: PathBuf,
    credential: Credential,
    identity: Identity,
}

impl Membership {
    /// Where the membership of a data folder is kept.
    pub fn path_in(folder: &Path) -> PathBuf {
        folder.join(FILE)
    }

    /// The one that is kept at `path`.
    pub fn read(path: &Path) -> Result<Option<Self>, MemberError> {
        let unreadable = |why: String| MemberError::Unreadable { path: path.to_owned(), why };
        let text = match fs::read(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(unreadable(error.to_string())),
        };
        let credential: Credential =
            serde_json::from_slice(&text).map_err(|error| unreadable(error.to_string()))?;
        let identity = credential.identity().map_err(|error| unreadable(error.to_string()))?;
        Ok(Some(Self { path: path.to_owned(), credential, identity }))
    }

    /// Uses `line` up and keeps what it brings at `path`. A line that made the membership that is there does nothing:
    /// a service may be started with the same words every time.
    pub async fn join(path: &Path, line: &JoinLine, name: &str) -> Result<Self, MemberError> {
        if let Ok(Some(known)) = Self::read(path)
            && known.credential.invite == line.invite.to_string()
        {
            return Ok(known);
        }
        let credential = join(line, name).await.map_err(MemberError::NotJoined)?;
        let identity = credential.identity()?;
        let membership = Self { path: path.to_owned(), credential, identity };
        membership.write()?;
        Ok(membership)
    }

    fn write(&self) -> Result<(), MemberError> {
        let failed = |error: io::Error| MemberError::Write { path: self.path.clone(), error };
        let text = serde_json::to_vec_pretty(&self.credential).map_err(|error| failed(error.into()))?;
        write_private(&self.path, &text).map_err(failed)
    }

    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    pub fn credential(&self) -> &Credential {
        &self.credential
    }

    /// Where its manager answers.
    pub fn manager(&self) -> &[String] {
        &self.credential.manager
    }

    /// An error if its certificate is past its time.
    pub fn check_time(&self) -> Result<(), MemberError> {
        let Identity { name, expires, .. } = &self.identity;
        if *expires > Timestamp::now() {
            return Ok(());
        }
        Err(MemberError::Expired { name: name.clone(), expired: *expires })
    }

    fn replace(&mut self, credential: Credential) -> Result<(), MemberError> {
        self.identity = credential.identity()?;
        self.credential = credential;
        self.write()
    }

    /// A client for one command. A certificate in the last third of its time is renewed with it.
    pub async fn client(mut self, life: Duration) -> Result<ManagerClient, MemberError> {
        self.check_time()?;
        let client = self.client_now()?;
        let left = Duration::try_from(self.identity.expires.duration_since(Timestamp::now()));
        if left.unwrap_or_default() > life.saturating_sub(renewed_after(life)) {
            return Ok(client);
        }
        match client.renew(&self.credential).await {
            Ok(credential) => {
                self.replace(credential)?;
                self.client_now()
            }
            // It is good for a while yet.
            Err(error) => {
                tracing::info!("the certificate was not renewed: {error}");
                Ok(client)
            }
        }
    }

    fn client_now(&self) -> Result<ManagerClient, MemberError> {
        let current = Current::fixed(self.credential.certified_key()?);
        ManagerClient::of_member(&self.credential, current).map_err(MemberError::NotJoined)
    }

    /// What a worker needs to serve its manager, and what it has to do meanwhile.
    pub fn into_worker(self) -> Result<(TlsDoor, Keeper), MemberError> {
        self.check_time()?;
        let key = watch::Sender::new(self.credential.certified_key()?);
        let current = Current::new(key.subscribe());
        let client = ManagerClient::of_member(&self.credential, current.clone());
        let client = client.map_err(MemberError::NotJoined)?;
        let config = tls::server(&self.credential.authority()?, current, false)?;
        let door = TlsDoor { config, guests: Guests::Manager };
        Ok((door, Keeper { membership: self, key, client }))
    }
}

/// Keeps a worker's membership alive.
#[derive(Debug)]
pub struct Keeper {
    membership: Membership,
    key: watch::Sender<std::sync::Arc<rustls::sign::CertifiedKey>>,
    client: ManagerClient,
}

impl Keeper {
    /// Says now and then that this worker listens on `port`, and renews its certificate in time, until `cancel`.
    pub async fn keep(mut self, port: u16, cancel: CancellationToken) {
        let mut announce = Due::now();
        let mut renew = Due::at(self.renewal());
        let mut told = String::new();
        loop {
            tokio::select! {
                () = cancel.cancelled() => return,
                () = sleep_until(renew.at) => {
                    let renewed = self.renew().await;
                    renew.next(renewed.is_ok().then(|| self.renewal()));
                    if let Err(error) = renewed {
                        tracing::warn!("the certificate was not renewed: {error}; trying again");
                    }
                }
                () = sleep_until(announce.at) => {
                    let announced = self.client.announce(port).await;
                    announce.next(announced.is_ok().then(|| Instant::now() + ANNOUNCE_EVERY));
                    let trouble = announced.err().map(|error| self.not_announced(&error)).unwrap_or_default();
                    // Once is enough.
                    if !trouble.is_empty() && trouble != told {
                        tracing::warn!("{trouble}");
                    }
                    told = trouble;
                }
            }
        }
    }

    fn not_announced(&self, error: &RequestError) -> String {
        // It goes on: what is Exclusive here has to be stopped when its lease ends, which nobody else can do.
        if let RequestError::NotAuthorised(_) = error {
            return format!(
                "{} is no member of the cluster at {} any more: its membership was revoked, and no work comes from \
                 there; `cube-tui invite` at the manager prints the line for `cube-tui worker --join LINE` here",
                self.membership.identity().name,
                self.membership.manager().join(", ")
            );
        }
        format!("the manager was not told where this worker is: {error}; trying again")
    }

    async fn renew(&mut self) -> Result<(), MemberError> {
        let renewed = self.client.renew(&self.membership.credential).await;
        self.membership.replace(renewed.map_err(MemberError::NotJoined)?)?;
        self.key.send_replace(self.membership.credential.certified_key()?);
        tracing::info!("the certificate was renewed; it is good until {}", self.membership.identity.expires);
        Ok(())
    }

    /// When two thirds of what the certificate has left are over.
    fn renewal(&self) -> Instant {
        let left = self.membership.identity.expires.duration_since(Timestamp::now());
        Instant::now() + renewed_after(Duration::try_from(left).unwrap_or_default())
    }
}

/// When something is done next.
struct Due {
    at: Instant,
    retry: Duration,
}

impl Due {
    fn now() -> Self {
        Self::at(Instant::now())
    }

    fn at(at: Instant) -> Self {
        Self { at, retry: FIRST_RETRY }
    }

    /// At `done`, or soon, if it was not done.
    fn next(&mut self, done: Option<Instant>) {
        if let Some(at) = done {
            *self = Self::at(at);
        } else {
            self.at = Instant::now() + self.retry;
            self.retry = (self.retry * 2).min(LONGEST_RETRY);
        }
    }
}
