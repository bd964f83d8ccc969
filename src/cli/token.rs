//! `token`: who has joined and who may; voids invites, and lets go of members.

use serde_json::json;

use super::args::OutputArgs;
use super::args::{RevokeArgs, TokenCommand};
use super::environment::Environment;
use super::exit::{CliError, Exit};
use super::invite;
use super::line::printable;
use super::print::Printer;
use super::reach::client;
use super::table::{add_row, table_of, terminal_width, text_of};
use crate::client::ManagerClient;
use crate::manager::api::{Invitation, Rotated};
use crate::manager::trust::Listed;
use crate::tls::Role;

/// How long the invite that `rotate` prints is open, in seconds.
const ROTATED_TTL_S: u64 = 900;

pub async fn token(command: &TokenCommand, environment: &Environment) -> Result<Exit, CliError> {
    let manager = client(&environment.manager).await?;
    match command {
        TokenCommand::List(args) => list(&manager, *args).await,
        TokenCommand::Rotate(args) => rotate(&manager, *args).await,
        TokenCommand::Revoke(args) => revoke(&manager, args).await,
    }?;
    Ok(Exit::Done)
}

async fn list(manager: &ManagerClient, args: OutputArgs) -> Result<(), CliError> {
    let all = manager.tokens().await?;
    let mut printer = Printer::new(args.output);
    if printer.is_json() {
        return all.iter().try_for_each(|listed| printer.result(&json_of(listed)));
    }
    let mut table = table_of(["ID", "NAME", "ROLE", "SINCE", ""], terminal_width());
    for listed in &all {
        let Listed { id, name, role, since, expires } = listed;
        let id = id.simple().to_string()[..8].to_owned();
        let name = if name.is_empty() { "-".to_owned() } else { printable(name) };
        let open = expires.map(|expires| format!("open invite, until {expires:.0}")).unwrap_or_default();
        add_row(&mut table, [id, name, role.name().to_owned(), format!("{since:.0}"), open]);
    }
    printer.result(&text_of(&table, terminal_width()))
}

async fn rotate(manager: &ManagerClient, args: OutputArgs) -> Result<(), CliError> {
    let Rotated { voided } = manager.rotate_tokens().await?;
    let mut printer = Printer::new(args.output);
    printer.remark(&format!("open invites voided: {voided}"));
    let invitation = Invitation { role: Role::Worker, ttl_s: ROTATED_TTL_S, listen: None, address: None };
    let invited = manager.invite(&invitation).await?;
    invite::print(&invited, &invitation, &mut printer)
}

async fn revoke(manager: &ManagerClient, args: &RevokeArgs) -> Result<(), CliError> {
    let listed = manager.revoke_token(&args.who).await?;
    let mut printer = Printer::new(args.output.output);
    if printer.is_json() {
        return printer.result(&json_of(&listed));
    }
    let Listed { id, name, role, .. } = &listed;
    match (&**name, role) {
        ("", _) => printer.result(&format!("the invite {id} is void")),
        (name, Role::Worker) => printer.result(&format!("{name} is let go; its tasks move to other workers")),
        (name, _) => printer.result(&format!("{name} is let go")),
    }
}

fn json_of(listed: &Listed) -> String {
    let Listed { id, name, role, since, expires } = listed;
    let kind = if expires.is_some() { "invite" } else { "member" };
    let object = json!({"v": 1, "type": kind, "id": id, "name": name, "role": role, "since": since,
                        "expires": expires});
    object.to_string()
}
