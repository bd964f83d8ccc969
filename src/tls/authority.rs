//! The cluster's own certificate authority: made once, issues short certificates. Knows no list of members.

use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DnType, ExtendedKeyUsagePurpose,
    IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use rustls::pki_types::{CertificateDer, pem::PemObject};
use uuid::Uuid;

use super::{Identity, Pin, Role, TlsError};

/// As long as anybody keeps a cluster.
const AUTHORITY_LIFE: Duration = Duration::from_hours(24 * 365 * 20);

/// A certificate is good from a bit before it was made: clocks differ.
const SKEW: Duration = Duration::from_hours(1);

/// Issues the cluster's certificates.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
    certificate_pem: String,
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Authority")
    }
}

impl Authority {
    /// Makes a new one.
    pub fn make(now: Timestamp) -> Result<Self, TlsError> {
        let key = KeyPair::generate().map_err(TlsError::unusable)?;
        let mut params = CertificateParams::default();
        // A name of its own: with two clusters, a chain leads to one of them only.
        params.distinguished_name.push(DnType::CommonName, format!("cube-tui {}", Uuid::new_v4()));
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        set_life(&mut params, now, AUTHORITY_LIFE);
        let certificate = params.self_signed(&key).map_err(TlsError::unusable)?;
        Ok(Self {
            certificate: certificate.der().clone(),
            certificate_pem: certificate.pem(),
            issuer: Issuer::new(params, key),
        })
    }

    /// The one that was written down as these two.
    pub fn read(certificate_pem: &str, key_pem: &str) -> Result<Self, TlsError> {
        let key = KeyPair::from_pem(key_pem).map_err(TlsError::unusable)?;
        Ok(Self {
            certificate: CertificateDer::from_pem_slice(certificate_pem.as_bytes())
                .map_err(TlsError::unusable)?,
            certificate_pem: certificate_pem.to_owned(),
            issuer: Issuer::from_ca_cert_pem(certificate_pem, key).map_err(TlsError::unusable)?,
        })
    }

    pub fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// Secret.
    pub fn key_pem(&self) -> String {
        self.issuer.key().serialize_pem()
    }

    pub fn pin(&self) -> Result<Pin, TlsError> {
        Pin::of(&self.certificate)
    }

    /// A certificate, with this authority's own behind it, for the key of `request`. Whatever else stands in the request
    /// counts for nothing.
    pub fn issue(
        &self,
        request: &str,
        (role, name, member): (Role, &str, Uuid),
        now: Timestamp,
        life: Duration,
    ) -> Result<String, TlsError> {
        let bad = |error: rcgen::Error| TlsError::BadRequest(error.to_string());
        let request = CertificateSigningRequestParams::from_pem(request).map_err(bad)?;
        let names = Identity::names(role, name, member);
        let mut params = CertificateParams::new(names).map_err(TlsError::unusable)?;
        params.distinguished_name.push(DnType::CommonName, name);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = match role {
            Role::Admin | Role::Viewer => vec![ExtendedKeyUsagePurpose::ClientAuth],
            Role::Worker | Role::Manager => {
                vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth]
            }
        };
        set_life(&mut params, now, life);
        let certificate = params.signed_by(&request.public_key, &self.issuer).map_err(TlsError::unusable)?;
        Ok(format!("{}{}", certificate.pem(), self.certificate_pem))
    }
}

fn set_life(params: &mut CertificateParams, now: Timestamp, life: Duration) {
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(now.as_second().unsigned_abs());
    params.not_before = (now - SKEW).into();
    params.not_after = (now + life).into();
}

#[cfg(test)]
mod tests {
    use super::super::Request;
    use super::*;

    #[test]
    fn a_certificate_says_who_it_is_for_whatever_was_asked_for() {
        let authority = Authority::make(Timestamp::now()).unwrap();
        let again = Authority::read(authority.certificate_pem(), &authority.key_pem()).unwrap();
        assert_eq!(again.pin(), authority.pin());
        let member = Uuid::new_v4();
        let request = Request::make().unwrap();
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let life = Duration::from_secs(90);
        let chain = again.issue(&request.pem().unwrap(), (Role::Worker, "box", member), now, life).unwrap();
        let first = CertificateDer::from_pem_slice(chain.as_bytes()).unwrap();
        let identity = Identity::of(&first).unwrap();
        let expires = Timestamp::from_second(1_800_000_090).unwrap();
        assert_eq!(identity, Identity { role: Role::Worker, name: "box".to_owned(), member, expires });
        assert!(Identity::of(authority.certificate()).is_err(), "the authority itself is nobody");
        let error = again.issue("scribble", (Role::Worker, "box", member), now, life).unwrap_err();
        assert!(matches!(error, TlsError::BadRequest(_)));
    }
}
