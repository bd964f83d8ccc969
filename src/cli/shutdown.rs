//! `shutdown`: ends the manager that has the data folder, whatever terminal it was started from. Containers keep running.

use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use rustix::process::{Pid, Signal, kill_process};
use tokio::time::{Instant, sleep};

use super::args::ShutdownArgs;
use super::environment::Environment;
use super::exit::{CliError, Exit};
use super::line::Line;
use super::print::Printer;
use crate::node::{Claim, Folder, Holder};

/// It finishes the starts and stops that are under way.
const ENDS_WITHIN: Duration = Duration::from_mins(1);
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(20);
/// A start has yet to write its number down.
const NAMED_WITHIN: Duration = Duration::from_secs(1);

pub async fn shutdown(args: &ShutdownArgs, environment: &Environment) -> Result<Exit, CliError> {
    let mut printer = Printer::new(args.output.output);
    let folder = match args.data_dir.as_ref().or(environment.data_dir.as_ref()) {
        Some(dir) => dir.clone(),
        None => Environment::state_folder()?,
    };
    let Some(holder) = holder(&folder).await? else {
        printer.remark(&format!("no manager runs on {}", folder.display()));
        return Ok(Exit::Done);
    };
    let pid = end(&holder, &folder)?;
    let give_up = Instant::now() + ENDS_WITHIN;
    while claimed(&folder)?.is_some() {
        if Instant::now() >= give_up {
            let message = format!(
                "process {pid} is still finishing the starts and stops that are under way; it ends after them"
            );
            return Err(CliError::new(Exit::TimedOut, message));
        }
        sleep(LOOK_AGAIN_AFTER).await;
    }
    if printer.is_json() {
        printer.line(&Line::of_manager_ended(Timestamp::now()))?;
    } else {
        printer.result(&format!("the manager (pid {pid}) has ended; containers keep running"))?;
    }
    Ok(Exit::Done)
}

/// Who holds `folder`, once it has said so.
async fn holder(folder: &Path) -> Result<Option<Holder>, CliError> {
    // A claim makes what is missing.
    if !folder.exists() {
        return Ok(None);
    }
    let give_up = Instant::now() + NAMED_WITHIN;
    loop {
        match claimed(folder)? {
            Some(holder) if holder.pid == 0 && Instant::now() < give_up => sleep(LOOK_AGAIN_AFTER).await,
            holder => return Ok(holder),
        }
    }
}

fn claimed(folder: &Path) -> Result<Option<Holder>, CliError> {
    match Folder::claim(folder) {
        Ok(Claim::Ours(_)) => Ok(None),
        Ok(Claim::Theirs(holder)) => Ok(Some(holder)),
        Err(error) => {
            let message = format!("cannot use the data folder {}: {error}", folder.display());
            Err(CliError::unreachable(message))
        }
    }
}

/// Asks it to end, as a terminal or an init would.
fn end(holder: &Holder, folder: &Path) -> Result<u32, CliError> {
    let number = holder.pid;
    let pid = i32::try_from(number).ok().and_then(Pid::from_raw).filter(|_| holder.is_here(folder));
    let Some(pid) = pid else {
        let message = format!(
            "process {number} has {} and is not among this user's processes here: end it where it runs, as whom it runs",
            folder.display()
        );
        return Err(CliError::unreachable(message));
    };
    match kill_process(pid, Signal::TERM) {
        // It has ended by itself.
        Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(number),
        Err(error) => Err(CliError::unreachable(format!("cannot end process {number}: {error}"))),
    }
}
