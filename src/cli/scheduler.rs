//! `scheduler [NAME]`: how workers are selected, shown or changed.

use super::args::{Output, SchedulerArgs};
use super::exit::{CliError, Exit};
use super::print::Printer;
use crate::client::ManagerHandle;
use crate::cluster::{Cause, Settings};
use crate::manager::request::Scheduling;

pub async fn scheduler(args: &SchedulerArgs, manager: &ManagerHandle) -> Result<Exit, CliError> {
    let settings = if args.name.is_none() && args.overcommit.is_none() {
        manager.snapshot().await?.settings()
    } else {
        let scheduling = Scheduling { scheduler: args.name, overcommit: args.overcommit };
        manager.set_scheduling(scheduling, Cause::Command).await?
    };
    let mut printer = Printer::new(args.output.output);
    match args.output.output {
        Output::Json => printer.result(&serde_json::to_string(&settings).unwrap_or_default())?,
        Output::Text => printer.result(&text(settings))?,
    }
    Ok(Exit::Done)
}

fn text(Settings { scheduler, overcommit }: Settings) -> String {
    format!("scheduler {scheduler}, overcommit {overcommit}")
}
