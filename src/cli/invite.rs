//! `invite`: has the manager listen with TLS, and prints the one line with which another host joins.

use serde_json::json;

use super::args::{InviteArgs, InvitedRole};
use super::environment::Environment;
use super::exit::{CliError, Exit};
use super::print::Printer;
use super::reach::client;
use crate::manager::api::{Invitation, Invited};
use crate::tls::Role;

pub async fn invite(args: &InviteArgs, environment: &Environment) -> Result<Exit, CliError> {
    let manager = client(&environment.manager).await?;
    let mut printer = Printer::new(args.output.output);
    if args.close {
        manager.listen(None).await?;
        printer.remark("the manager listens on loopback only");
        return Ok(Exit::Done);
    }
    let role = match args.role {
        InvitedRole::Worker => Role::Worker,
        InvitedRole::Admin => Role::Admin,
        InvitedRole::Viewer => Role::Viewer,
    };
    let invitation = Invitation {
        role,
        ttl_s: args.ttl.as_secs().max(1),
        listen: args.listen.as_ref().map(ToString::to_string),
        address: args.address.clone(),
        replaces: false,
    };
    let invited = manager.invite(&invitation).await?;
    print(&invited, &invitation, &mut printer)?;
    Ok(Exit::Done)
}

/// The line on stdout, so that it can be piped; what to do with it beside it.
pub fn print(invited: &Invited, invitation: &Invitation, printer: &mut Printer) -> Result<(), CliError> {
    let Invited { line, listen, .. } = invited;
    let Invitation { role, ttl_s, .. } = invitation;
    if printer.is_json() {
        let role = role.name();
        let object = json!({"v": 1, "type": "invite", "role": role, "line": line, "address": listen});
        return printer.result(&object.to_string());
    }
    printer.result(line)?;
    let ttl = humantime::format_duration(std::time::Duration::from_secs(*ttl_s));
    printer.remark(&format!(
        "good once, for {ttl}; the manager listens at {listen}, with TLS. On the other host:"
    ));
    let command = if *role == Role::Worker { "worker --join" } else { "join" };
    printer.remark(&format!("  cube-tui {command} {line}"));
    Ok(())
}
