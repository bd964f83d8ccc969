//! Certificates of a cluster's own authority: who somebody is, how that is proved, and what each end of a connection
//! asks of the other. Knows no route, no file and no listener.

mod authority;
mod config;
mod credential;
mod current;
mod identity;
mod pin;
mod provider;

pub use authority::Authority;
pub use config::{client, client_without_certificate, pinned_client, server};
pub use credential::{Credential, Request};
pub use current::Current;
pub use identity::{Identity, Members, Role, check_name, name_like};
pub use pin::Pin;
pub use provider::{random, sha256};

/// Why something about certificates went wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TlsError {
    #[error("unusable certificate or key: {0}")]
    Unusable(String),
    #[error("the request for a certificate is not good: {0}")]
    BadRequest(String),
}

impl TlsError {
    fn unusable(error: impl std::fmt::Display) -> Self {
        Self::Unusable(error.to_string())
    }
}
