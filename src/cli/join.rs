//! `join`: makes this user a member of a cluster elsewhere, and keeps what proves it.

use std::fs::DirBuilder;
use std::io::Read as _;
use std::os::unix::fs::DirBuilderExt as _;

use serde_json::json;

use super::args::JoinArgs;
use super::exit::{CliError, Exit};
use super::print::Printer;
use super::reach::kept_at;
use crate::manager::trust::JoinLine;
use crate::node::{MemberError, Membership};
use crate::tls::{Role, name_like};

pub async fn join(args: &JoinArgs) -> Result<Exit, CliError> {
    let line = join_line(&args.line)?;
    if line.role == Role::Worker {
        return Err(CliError::usage("this line invites a worker: use `cube-tui worker --join LINE`"));
    }
    let name = match &args.name {
        Some(name) => name.clone(),
        None => format!("{}-{}", host_name(), line.role.name()),
    };
    let address = line.addresses.first().cloned().unwrap_or_default();
    let path = kept_at(&address)?;
    if let Some(folder) = path.parent() {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
        made.map_err(|error| MemberError::Write { path: folder.to_owned(), error })?;
    }
    let membership = Membership::join(&path, &line, &name).await?;
    let identity = membership.identity();
    let mut printer = Printer::new(args.output.output);
    if printer.is_json() {
        let object = json!({"v": 1, "type": "joined", "name": identity.name, "role": identity.role,
                            "address": address});
        printer.result(&object.to_string())?;
        return Ok(Exit::Done);
    }
    printer.result(&format!("joined as {} ({})", identity.name, identity.role.name()))?;
    printer.remark(&format!("the dashboard on it: cube-tui --attach https://{address}"));
    if let Some((host, port)) = address.rsplit_once(':') {
        printer.remark(&format!("commands: CUBE_MANAGER_HOST={host} CUBE_MANAGER_PORT={port} cube-tui ps"));
    }
    Ok(Exit::Done)
}

/// The line as it was given, or from stdin: there nobody else on this host sees it.
pub fn join_line(text: &str) -> Result<JoinLine, CliError> {
    let mut line = text.to_owned();
    if text == "-" {
        line.clear();
        let read = std::io::stdin().read_to_string(&mut line);
        read.map_err(|error| CliError::usage(format!("cannot read the line from stdin: {error}")))?;
    }
    line.parse().map_err(CliError::usage)
}

/// What this host is called, as far as that makes a name.
pub fn host_name() -> String {
    let name = sysinfo::System::host_name().ok().and_then(|name| name_like(&name));
    name.unwrap_or_else(|| "host".to_owned())
}
