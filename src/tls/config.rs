//! What each end of a connection asks of the other. There is no resumption: every connection proves anew who is there.

use std::sync::Arc;

use rustls::client::Resumption;
use rustls::pki_types::CertificateDer;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{ClientConfig, RootCertStore, ServerConfig};

use super::pin::PinVerifier;
use super::provider::provider;
use super::{Current, Pin, TlsError};

fn roots(authority: &CertificateDer<'static>) -> Result<Arc<RootCertStore>, TlsError> {
    let mut roots = RootCertStore::empty();
    roots.add(authority.clone()).map_err(TlsError::unusable)?;
    Ok(roots.into())
}

/// A server for holders of `authority`'s certificates and, with `lets_strangers_in`, for those without any too, who then
/// are nobody. A certificate that is not good ends the handshake either way.
pub fn server(
    authority: &CertificateDer<'static>,
    current: Current,
    lets_strangers_in: bool,
) -> Result<Arc<ServerConfig>, TlsError> {
    let verifier = WebPkiClientVerifier::builder_with_provider(roots(authority)?, provider());
    let verifier = if lets_strangers_in { verifier.allow_unauthenticated() } else { verifier };
    let verifier = verifier.build().map_err(TlsError::unusable)?;
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(TlsError::unusable)?
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(Arc::new(current));
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// A client of `authority`'s servers that shows a certificate.
pub fn client(authority: &CertificateDer<'static>, current: Current) -> Result<ClientConfig, TlsError> {
    let config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(TlsError::unusable)?
        .with_root_certificates(roots(authority)?)
        .with_client_cert_resolver(Arc::new(current));
    Ok(without_resumption(config))
}

/// A client of `authority`'s servers that shows none.
pub fn client_without_certificate(authority: &CertificateDer<'static>) -> Result<ClientConfig, TlsError> {
    let config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(TlsError::unusable)?
        .with_root_certificates(roots(authority)?)
        .with_no_client_auth();
    Ok(without_resumption(config))
}

/// A client that knows no more of the authority than its pin.
pub fn pinned_client(pin: Pin) -> Result<ClientConfig, TlsError> {
    let verifier = PinVerifier { pin, provider: provider() };
    let config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(TlsError::unusable)?
        // The only place: what it lets through is stricter, since it knows which authority it wants.
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    Ok(without_resumption(config))
}

fn without_resumption(mut config: ClientConfig) -> ClientConfig {
    config.resumption = Resumption::disabled();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config
}
