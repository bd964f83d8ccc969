//! The command line of what others join and leave by. Does nothing.

use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};

use super::super::address::Address;
use super::super::complete;
use super::OutputArgs;
use super::duration::duration;

/// Who may come by an invite.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum InvitedRole {
    /// Runs tasks: `cube-tui worker --join LINE`
    Worker,
    /// Changes the cluster: `cube-tui join LINE`
    Admin,
    /// Looks at it: `cube-tui join LINE`
    Viewer,
}

#[derive(Args, Debug)]
pub struct InviteArgs {
    /// What who joins may do
    #[arg(long, value_name = "ROLE", value_enum, default_value = "worker")]
    pub role: InvitedRole,
    /// How long the line is good; it is used up by the first who joins
    #[arg(long, value_name = "DUR", default_value = "15m", value_parser = duration)]
    pub ttl: Duration,
    /// Where the manager listens with TLS [default: where it does already, 0.0.0.0:5557]
    #[arg(long, value_name = "HOST:PORT")]
    pub listen: Option<Address>,
    /// Under which address the other host reaches this one [default: the one that leads out of it]
    #[arg(long, value_name = "HOST")]
    pub address: Option<String>,
    /// Invite nobody, and have the manager listen on loopback only; who has joined can't renew then
    #[arg(long, conflicts_with_all = ["listen", "address", "role", "ttl"])]
    pub close: bool,
    #[command(flatten)]
    pub output: OutputArgs,
}

#[derive(Args, Debug)]
pub struct JoinArgs {
    /// The line that `cube-tui invite --role admin` (or viewer) printed (`-`: read it from stdin)
    pub line: String,
    /// What this client is called in the cluster [default: this host's name and the role]
    #[arg(long, value_parser = member_name)]
    pub name: Option<String>,
    #[command(flatten)]
    pub output: OutputArgs,
}

#[derive(Debug, Subcommand)]
pub enum TokenCommand {
    /// List the members and the open invites
    List(OutputArgs),
    /// Void every open invite, and print a new one for a worker
    Rotate(RotateArgs),
    /// Let go of a member, or void an invite; a worker's tasks move, with --drain before it goes
    Revoke(RevokeArgs),
}

#[derive(Args, Debug)]
pub struct RotateArgs {
    /// Under which address the other host reaches this one [default: the one that leads out of it]
    #[arg(long, value_name = "HOST")]
    pub address: Option<String>,
    #[command(flatten)]
    pub output: OutputArgs,
}

#[derive(Args, Debug)]
pub struct RevokeArgs {
    /// A member's name, or the id (or its unique start) of a member or an invite
    #[arg(value_name = "NAME|ID", add = complete::members())]
    pub who: String,
    /// Move off what runs on a worker first, and let go of it when nothing is left there or this long has passed (5m)
    #[arg(long, value_name = "WITHIN", num_args = 0..=1, require_equals = true, default_missing_value = "", value_parser = Within::parse)]
    pub drain: Option<Within>,
    #[command(flatten)]
    pub output: OutputArgs,
}

/// For how long at most; for ever without a time.
#[derive(Clone, Copy, Debug)]
pub struct Within(pub Option<Duration>);

impl Within {
    fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() { Ok(Self(None)) } else { duration(text).map(|within| Self(Some(within))) }
    }
}

pub fn member_name(text: &str) -> Result<String, String> {
    crate::tls::check_name(text).map(|()| text.to_owned())
}

pub fn manager_url(text: &str) -> Result<String, String> {
    let example =
        "a manager's URL looks like http://localhost:5556 or, after `cube-tui join`, https://HOST:5557";
    let (scheme, rest) = match text.split_once("://") {
        None => ("http", text),
        Some((scheme @ ("http" | "https"), rest)) => (scheme, rest),
        Some((scheme, _)) => return Err(format!("{scheme}:// is not understood; {example}")),
    };
    let (address, path) = rest.split_once('/').unwrap_or((rest, ""));
    if !path.is_empty() {
        return Err(format!("/{path} is too much: give the address alone; {example}"));
    }
    let usual = if scheme == "http" { 5556 } else { 5557 };
    match address.parse::<Address>() {
        Ok(address) if address.port > 0 => Ok(format!("{scheme}://{address}")),
        Ok(_) => Err(format!("nobody listens on port 0; {example}")),
        Err(_) if !address.is_empty() && !address.contains(':') => Err(format!(
            "the port is missing; {scheme}://{address}:{usual} unless the manager has another one"
        )),
        Err(error) => Err(format!("{error}; {example}")),
    }
}
