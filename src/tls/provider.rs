//! The one provider of cryptography: ring, behind rustls and on its own. Knows no certificate.

use std::sync::Arc;

use ring::rand::{SecureRandom, SystemRandom};
use rustls::crypto::CryptoProvider;

pub(super) fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// What nobody can guess.
///
/// # Panics
/// Where the system has no random numbers: nothing that is kept secret could be made there.
pub fn random() -> [u8; 32] {
    let mut bytes = [0; 32];
    SystemRandom::new().fill(&mut bytes).expect("the system has random numbers");
    bytes
}

pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    let digest = ring::digest::digest(&ring::digest::SHA256, bytes);
    let mut sum = [0; 32];
    sum.copy_from_slice(digest.as_ref());
    sum
}
