//! What a member of a cluster keeps: its certificate and key, the authority, and where its manager is. Knows no file.

use std::sync::Arc;

use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use rustls::sign::CertifiedKey;
use serde::{Deserialize, Serialize};

use super::provider::provider;
use super::{Identity, Pin, TlsError};

/// A key of one's own, and the wish to have it certified.
pub struct Request(KeyPair);

impl std::fmt::Debug for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Request")
    }
}

impl Request {
    pub fn make() -> Result<Self, TlsError> {
        KeyPair::generate().map(Self).map_err(TlsError::unusable)
    }

    /// For the key that a credential has already.
    pub fn of(credential: &Credential) -> Result<Self, TlsError> {
        KeyPair::from_pem(&credential.key).map(Self).map_err(TlsError::unusable)
    }

    /// What is sent: the public half of the key, signed with the other half.
    pub fn pem(&self) -> Result<String, TlsError> {
        let request = CertificateParams::default().serialize_request(&self.0).map_err(TlsError::unusable)?;
        request.pem().map_err(TlsError::unusable)
    }

    /// Secret.
    pub fn key_pem(&self) -> String {
        self.0.serialize_pem()
    }
}

/// A membership. Secret, for its key.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Credential {
    /// Where the manager answers, `host:port` each; the first that does is taken.
    pub manager: Vec<String>,
    /// The invite that it came by.
    pub invite: String,
    /// PEM: the certificate, the authority's behind it.
    pub certificate: String,
    /// PEM.
    pub key: String,
}

impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credential").field("manager", &self.manager).finish_non_exhaustive()
    }
}

impl Credential {
    fn chain(&self) -> Result<Vec<CertificateDer<'static>>, TlsError> {
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(self.certificate.as_bytes()).collect();
        chain.map_err(TlsError::unusable)
    }

    pub fn identity(&self) -> Result<Identity, TlsError> {
        Identity::of(self.chain()?.first().ok_or_else(empty)?)
    }

    pub fn authority(&self) -> Result<CertificateDer<'static>, TlsError> {
        self.chain()?.pop().ok_or_else(empty)
    }

    pub fn pin(&self) -> Result<Pin, TlsError> {
        Pin::of(&self.authority()?)
    }

    /// Certificate and key as a handshake wants them; an error if they do not belong together.
    pub fn certified_key(&self) -> Result<Arc<CertifiedKey>, TlsError> {
        let key = PrivateKeyDer::from_pem_slice(self.key.as_bytes()).map_err(TlsError::unusable)?;
        CertifiedKey::from_der(self.chain()?, key, &provider()).map(Arc::new).map_err(TlsError::unusable)
    }
}

fn empty() -> TlsError {
    TlsError::Unusable("there is none".to_owned())
}
