//! `token`: who has joined and who may; voids invites, and lets go of members.

use serde_json::{Value, json};

use super::args::OutputArgs;
use super::args::{RevokeArgs, RotateArgs, TokenCommand, Within};
use super::drain_first::{drain_first, tasks as count_of};
use super::environment::Environment;
use super::exit::{CliError, Exit};
use super::invite;
use super::print::Printer;
use super::reach::client;
use super::table::{add_row, table_of, terminal_width, text_of};
use super::text::printable;
use crate::client::{ManagerClient, ManagerHandle};
use crate::manager::api::{Invitation, Revoked};
use crate::manager::trust::Listed;
use crate::task::WorkerId;
use crate::tls::Role;

/// How long the invite that `rotate` prints is open, in seconds.
const ROTATED_TTL_S: u64 = 900;

pub async fn token(command: &TokenCommand, environment: &Environment) -> Result<Exit, CliError> {
    let manager = client(&environment.manager).await?;
    match command {
        TokenCommand::List(args) => list(&manager, *args).await,
        TokenCommand::Rotate(args) => rotate(&manager, args).await,
        TokenCommand::Revoke(args) => revoke(manager, args).await,
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

async fn rotate(manager: &ManagerClient, args: &RotateArgs) -> Result<(), CliError> {
    let address = args.address.clone();
    let invitation =
        Invitation { role: Role::Worker, ttl_s: ROTATED_TTL_S, listen: None, address, replaces: true };
    let invited = manager.invite(&invitation).await?;
    let mut printer = Printer::new(args.output.output);
    printer.remark(&format!("open invites voided: {}", invited.voided));
    invite::print(&invited, &invitation, &mut printer)
}

async fn revoke(manager: ManagerClient, args: &RevokeArgs) -> Result<(), CliError> {
    let mut printer = Printer::new(args.output.output);
    let left = match args.drain {
        None => None,
        Some(Within(within)) => {
            let all = manager.tokens().await?;
            let worker = Listed::find(&all, &args.who).filter(|listed| listed.expires.is_none());
            let Some(Listed { name, .. }) = worker.filter(|listed| listed.role == Role::Worker) else {
                let why = format!(
                    "{:?} is no worker that has joined; `cube-tui token list` has them all",
                    args.who
                );
                return Err(CliError::usage(format!("--drain: {why}")));
            };
            let handle = ManagerHandle::Remote(manager.clone());
            Some(drain_first(&handle, &WorkerId::from(&**name), within, &mut printer).await?)
        }
    };
    let Revoked { listed, tasks, exclusive } = manager.revoke_token(&args.who).await?;
    if printer.is_json() {
        let mut object = object_of(&listed);
        if listed.role == Role::Worker && !listed.name.is_empty() {
            object["tasks"] = json!(tasks);
            object["exclusive"] = json!(exclusive);
        }
        return printer.result(&object.to_string());
    }
    let mut told = sentence(&listed, tasks, left.as_deref());
    if exclusive > 0 {
        let name = printable(&listed.name);
        told = format!(
            "{told}; of these, Exclusive: {exclusive}, to start elsewhere when nothing of it runs there any more and \
             `cube-tui forget {name}` says so"
        );
    }
    printer.result(&told)
}

/// What became of it; `left` is what a drain could not move.
fn sentence(listed: &Listed, tasks: usize, left: Option<&[String]>) -> String {
    let Listed { id, name, role, .. } = listed;
    let name = printable(name);
    match (&*name, role, left) {
        ("", ..) => format!("the invite {id} is void"),
        (name, Role::Worker, Some([])) => format!("{name} is let go; nothing was left there"),
        (name, Role::Worker, Some(left)) => format!(
            "{name} is let go; left there, and to start elsewhere as those of a lost worker: {}",
            printable(&left.join(", "))
        ),
        (name, Role::Worker, None) if tasks == 0 => format!("{name} is let go; nothing ran there"),
        (name, Role::Worker, None) => format!(
            "{name} is let go; {} there {} to other workers as those of a lost one (--drain moves them before)",
            count_of(tasks),
            if tasks == 1 { "moves" } else { "move" }
        ),
        (name, _, _) => format!("{name} is let go"),
    }
}

fn json_of(listed: &Listed) -> String {
    object_of(listed).to_string()
}

fn object_of(listed: &Listed) -> Value {
    let Listed { id, name, role, since, expires } = listed;
    let kind = if expires.is_some() { "invite" } else { "member" };
    json!({"v": 1, "type": kind, "id": id, "name": name, "role": role, "since": since, "expires": expires})
}
