//! `cordon`, `uncordon` and `drain WORKER`: whether a worker takes new work, and whether it keeps what it has.

use std::time::Duration;

use super::args::{DrainArgs, Output, WorkerNameArgs};
use super::drain_first::tasks;
use super::exit::{CliError, Exit};
use super::print::Printer;
use crate::client::ManagerHandle;
use crate::cluster::Cause;
use crate::manager::request::{AvailabilityWish, Drained, WorkerWish};

pub async fn cordon(args: &WorkerNameArgs, manager: &ManagerHandle) -> Result<Exit, CliError> {
    let drained = ask(manager, &args.worker, AvailabilityWish::Cordon).await?;
    let tasks = tasks(drained.left);
    say(
        args.output.output,
        &drained,
        &format!("cordoned {}: nothing new goes there; {tasks} stay", args.worker),
    )
}

pub async fn uncordon(args: &WorkerNameArgs, manager: &ManagerHandle) -> Result<Exit, CliError> {
    let drained = ask(manager, &args.worker, AvailabilityWish::Uncordon).await?;
    say(args.output.output, &drained, &format!("{} takes work again", args.worker))
}

pub async fn drain(args: &DrainArgs, manager: &ManagerHandle) -> Result<Exit, CliError> {
    let within_s = args.deadline.as_ref().map(Duration::as_secs);
    let worker = &args.worker.worker;
    let drained = ask(manager, worker, AvailabilityWish::Drain { within_s }).await?;
    let text = match (drained.left, args.deadline) {
        (0, _) => format!("drained {worker}: nothing runs there"),
        (left, None) => format!("draining {worker}: {} to move off", tasks(left)),
        (left, Some(deadline)) => format!(
            "draining {worker}: {} to move off within {}",
            tasks(left),
            humantime::format_duration(deadline)
        ),
    };
    say(args.worker.output.output, &drained, &text)
}

async fn ask(manager: &ManagerHandle, worker: &str, wish: AvailabilityWish) -> Result<Drained, CliError> {
    let wish = WorkerWish { worker: worker.into(), wish };
    Ok(manager.set_availability(wish, Cause::Command).await?)
}

fn say(output: Output, drained: &Drained, text: &str) -> Result<Exit, CliError> {
    let mut printer = Printer::new(output);
    match output {
        Output::Json => printer.result(&serde_json::to_string(drained).unwrap_or_default())?,
        Output::Text => printer.result(text)?,
    }
    Ok(Exit::Done)
}
