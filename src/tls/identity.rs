//! Who a certificate says somebody is. It stands in its DNS names, `NAME.ROLE.cube` and `ID.member.cube`, so that the
//! usual check of a server's name is the check of who answers. Knows no key.

use std::collections::BTreeSet;

use jiff::Timestamp;
use rustls::pki_types::CertificateDer;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::TlsError;

/// What somebody may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Changes the cluster.
    Admin,
    /// Looks at it.
    Viewer,
    /// Runs its tasks.
    Worker,
    /// Is it: what workers do as they are told by.
    Manager,
}

impl Role {
    const ALL: [Self; 4] = [Self::Admin, Self::Viewer, Self::Worker, Self::Manager];

    pub fn name(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Viewer => "viewer",
            Self::Worker => "worker",
            Self::Manager => "manager",
        }
    }

    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.name() == name)
    }
}

/// Who somebody is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    pub role: Role,
    pub name: String,
    /// The same over renewals, and of no other who ever joined, one of the same name neither.
    pub member: Uuid,
    /// Its certificate is no good after this.
    pub expires: Timestamp,
}

impl Identity {
    /// Reads a certificate that was verified before.
    pub fn of(certificate: &CertificateDer<'_>) -> Result<Self, TlsError> {
        let (_, certificate) =
            x509_parser::parse_x509_certificate(certificate).map_err(TlsError::unusable)?;
        let expires = Timestamp::from_second(certificate.validity().not_after.timestamp())
            .map_err(TlsError::unusable)?;
        let names = certificate.subject_alternative_name().map_err(TlsError::unusable)?;
        let names: Vec<&str> = names
            .iter()
            .flat_map(|names| &names.value.general_names)
            .filter_map(|name| match name {
                x509_parser::extensions::GeneralName::DNSName(name) => name.strip_suffix(".cube"),
                _ => None,
            })
            .collect();
        let member = names.iter().find_map(|name| name.strip_suffix(".member")?.parse().ok());
        let who = names.iter().find_map(|name| {
            let (name, role) = name.rsplit_once('.')?;
            Some((name.to_owned(), Role::of_name(role)?))
        });
        match (member, who) {
            (Some(member), Some((name, role))) => Ok(Self { role, name, member, expires }),
            _ => Err(TlsError::Unusable("it names nobody of a cluster".to_owned())),
        }
    }

    /// The DNS names of its certificate.
    pub(super) fn names(role: Role, name: &str, member: Uuid) -> Vec<String> {
        vec![format!("{name}.{}.cube", role.name()), Self::host_of(member)]
    }

    /// The host name under which this member, and no other one, proves itself.
    pub fn host_of(member: Uuid) -> String {
        format!("{}.member.cube", member.simple())
    }

    /// The host name under which a cluster's manager proves itself.
    pub const MANAGER_HOST: &'static str = "manager.manager.cube";
}

/// Those whose certificates count: all who joined, without those who were thrown out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Members(BTreeSet<Uuid>);

impl Members {
    pub fn contains(&self, member: Uuid) -> bool {
        self.0.contains(&member)
    }
}

impl FromIterator<Uuid> for Members {
    fn from_iter<T: IntoIterator<Item = Uuid>>(members: T) -> Self {
        Self(members.into_iter().collect())
    }
}

/// Whether somebody can be called `name`: it becomes part of a host name.
pub fn check_name(name: &str) -> Result<(), String> {
    let is_known = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let is_name = (1..=63).contains(&name.len())
        && name.chars().all(is_known)
        && !name.starts_with('-')
        && !name.ends_with('-');
    if is_name {
        return Ok(());
    }
    let shown: String = name.chars().take(80).collect();
    Err(format!("expected a name of at most 63 lower-case letters, digits and hyphens, found {shown:?}"))
}

/// The name nearest to `text`, such as a host's.
pub fn name_like(text: &str) -> Option<String> {
    let text = text.split('.').next().unwrap_or_default().to_ascii_lowercase();
    let name: String =
        text.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).take(63).collect();
    let name = name.trim_matches('-');
    check_name(name).ok().map(|()| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_part_of_a_host_name_and_one_is_made_of_any_host() {
        for name in ["a", "worker-1", "0", &"x".repeat(63)] {
            assert_eq!(check_name(name), Ok(()), "{name}");
        }
        for name in ["", "-a", "a-", "A", "a.b", "a:1", "ä", "../x", "a\u{1b}", &"x".repeat(64)] {
            assert!(check_name(name).is_err(), "{name}");
        }
        for (host, name) in
            [("Box.example", Some("box")), ("my_box", Some("my-box")), ("---", None), ("", None)]
        {
            assert_eq!(name_like(host).as_deref(), name, "{host}");
        }
    }
}
