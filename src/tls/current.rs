//! The certificate that one end shows at the moment: a renewed one is shown from the next handshake on.

use std::sync::Arc;

use rustls::SignatureScheme;
use rustls::client::ResolvesClientCert;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::sync::watch;

/// Follows whoever renews it.
#[derive(Clone, Debug)]
pub struct Current(watch::Receiver<Arc<CertifiedKey>>);

impl Current {
    pub fn new(from: watch::Receiver<Arc<CertifiedKey>>) -> Self {
        Self(from)
    }

    /// One that nobody renews: for as long as a command takes.
    pub fn fixed(key: Arc<CertifiedKey>) -> Self {
        Self(watch::channel(key).1)
    }

    fn key(&self) -> Arc<CertifiedKey> {
        Arc::clone(&self.0.borrow())
    }
}

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.key())
    }
}

impl ResolvesClientCert for Current {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(self.key())
    }

    fn has_certs(&self) -> bool {
        true
    }
}
