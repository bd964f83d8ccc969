//! `forget WORKER`: counts on a lost worker of an earlier run no more.

use super::answer::answer;
use super::args::ForgetArgs;
use super::exit::{CliError, Exit};
use super::print::Printer;
use crate::client::ManagerHandle;
use crate::cluster::Cause;
use crate::task::WorkerId;

pub async fn forget(args: &ForgetArgs, manager: &ManagerHandle) -> Result<Exit, CliError> {
    let mut printer = Printer::new(args.output.output);
    for worker in &args.workers {
        let worker = WorkerId::from(worker.as_str());
        let forgotten = answer(manager, manager.forget(worker, Cause::Command)).await?;
        if printer.is_json() {
            printer.json(&forgotten)?;
        } else {
            let tasks = match forgotten.moved {
                0 => String::new(),
                1 => "; 1 task of it starts elsewhere".to_owned(),
                count => format!("; {count} tasks of it start elsewhere"),
            };
            printer.result(&format!("forgot {}{tasks}", forgotten.worker))?;
        }
    }
    Ok(Exit::Done)
}
