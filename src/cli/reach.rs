//! How this process reaches a manager: plain HTTP on this machine; with the membership that `cube-tui join` keeps,
//! elsewhere. Knows no command.

use std::path::PathBuf;

use super::address::Address;
use super::environment::Environment;
use super::exit::{CliError, Exit};
use crate::client::{ManagerClient, ManagerHandle, http_client};
use crate::manager::trust::CERTIFICATE_LIFE;
use crate::node::{MemberError, Membership};

/// The part of the user's state folder in which memberships of this user's are kept, a file for each manager.
const FOLDER: &str = "clients";

/// The manager that commands talk to.
pub async fn manager(environment: &Environment) -> Result<ManagerHandle, CliError> {
    client(&environment.manager).await.map(ManagerHandle::Remote)
}

/// A client of the manager at `address`: as a member if this user has joined there.
pub async fn client(address: &Address) -> Result<ManagerClient, CliError> {
    if let Some(membership) = membership(address)? {
        return Ok(membership.client(CERTIFICATE_LIFE).await?);
    }
    Ok(ManagerClient::new(http_client(), &format!("http://{address}")))
}

/// The manager at `url`.
pub async fn at_url(url: &str) -> Result<ManagerClient, CliError> {
    let Some(address) = url.strip_prefix("https://") else {
        return Ok(ManagerClient::new(http_client(), url));
    };
    let address: Address = address.parse().map_err(CliError::usage)?;
    let Some(membership) = membership(&address)? else {
        let why = format!(
            "no membership is kept for {address}; run `cube-tui invite --role admin` (or viewer) at that manager, and \
             here `cube-tui join LINE`"
        );
        return Err(CliError::new(Exit::Refused, why));
    };
    Ok(membership.client(CERTIFICATE_LIFE).await?)
}

fn membership(address: &Address) -> Result<Option<Membership>, CliError> {
    // Without a home there is none.
    let Ok(path) = kept_at(&address.to_string()) else { return Ok(None) };
    Ok(Membership::read(&path)?)
}

/// Where the membership for the manager at `address` is kept.
pub fn kept_at(address: &str) -> Result<PathBuf, CliError> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-.".contains(c);
    let name: String = address.chars().map(|c| if is_plain(c) { c } else { '_' }).collect();
    Ok(Environment::state_folder()?.join(FOLDER).join(format!("{name}.json")))
}

impl From<MemberError> for CliError {
    fn from(error: MemberError) -> Self {
        let exit = match &error {
            MemberError::Write { .. } | MemberError::Unreadable { .. } => Exit::Unreachable,
            MemberError::Expired { .. } => Exit::Refused,
            MemberError::NotJoined(error) => Self::from(error.clone()).exit,
        };
        Self::new(exit, error.to_string())
    }
}
