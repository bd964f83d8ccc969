//! `exec ID -- CMD…`: a command in a task's container, wherever that is, on this terminal. Knows no engine.

use std::io::IsTerminal as _;

use super::args::ExecArgs;
use super::exit::{CliError, Exit};
use super::resolve::task_id;
use super::signals::StopSignals;
use crate::client::ManagerHandle;
use crate::tui::{Ended, attach, terminal_size};
use crate::worker::runtime::Exec;

pub async fn exec(args: &ExecArgs, manager: &ManagerHandle) -> Result<Exit, CliError> {
    if args.tty && !(std::io::stdin().is_terminal() && std::io::stdout().is_terminal()) {
        let message = "-t: there is no terminal here to give to the command; leave -t out";
        return Err(CliError::usage(message));
    }
    // With a terminal ^C is a key like any other; these come from elsewhere.
    let mut signals = StopSignals::new()?;
    let running = async {
        let cluster = manager.snapshot().await?;
        let task = task_id(&cluster, &args.id)?;
        let exec = Exec {
            cmd: args.cmd.clone(),
            tty: args.tty.then(terminal_size),
            stdin: args.interactive,
            env: args.env.clone(),
            user: args.user.clone(),
        };
        let connection = manager.exec(task, &exec).await?;
        let ended = attach(connection, args.interactive, args.tty).await;
        match ended.map_err(CliError::from)? {
            Ended::Exit(code) => Ok(Exit::OfTask(u8::try_from(code).unwrap_or(255))),
            Ended::Failed(why) => Err(CliError::unreachable(why)),
        }
    };
    tokio::select! {
        ended = running => ended,
        () = signals.received() => Err(CliError::new(Exit::Interrupted, "interrupted")),
    }
}
