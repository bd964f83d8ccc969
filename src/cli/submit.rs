//! Submits events and, if asked to, waits for their end: what `submit`, `run` and `--no-ui --submit` share.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::answer::answer;
use super::args::SubmitArgs;
use super::engine::need_an_engine;
use super::exit::{CliError, Exit};
use super::follow::follow;
use super::input::task_events;
use super::line::{Line, name_of};
use super::print::Printer;
use super::progress::Waits;
use super::signals::StopSignals;
use super::wait::{WaitObserver, Waiting};
use crate::client::{ManagerHandle, Watch};
use crate::cluster::Cause;
use crate::task::TaskEvent;

/// `cube-tui submit FILE…`
pub async fn submit(args: &SubmitArgs, manager: &ManagerHandle) -> Result<Exit, CliError> {
    let events = task_events(&args.files, jiff::Timestamp::now())?;
    let mut printer = Printer::new(args.output.output);
    if args.wait.wait {
        let waiting = submit_and_wait(manager, events, args.wait.timeout, &mut printer, false).await?;
        Ok(waiting.exit())
    } else {
        submit_only(manager, events, &mut printer).await?;
        Ok(Exit::Done)
    }
}

/// Submits; prints the id of each task, or its line of JSON.
pub async fn submit_only(
    manager: &ManagerHandle,
    events: Vec<TaskEvent>,
    printer: &mut Printer,
) -> Result<(), CliError> {
    let ids: Vec<_> = events.iter().map(|event| event.task.id).collect();
    remark_known(manager, events, printer).await?;
    if printer.is_json() {
        let cluster = manager.snapshot().await?;
        for record in ids.iter().filter_map(|id| cluster.task(*id)) {
            printer.line(&Line::of_task(&record, &cluster, Some(Cause::Command)))?;
        }
    } else {
        for id in ids {
            printer.result(&id.to_string())?;
        }
    }
    Ok(())
}

/// Submits once some worker's engine can be used, and prints what happens until all tasks have ended for
/// good. With `everything`, what happens to others is printed, too.
pub async fn submit_and_wait(
    manager: &ManagerHandle,
    events: Vec<TaskEvent>,
    timeout: Option<Duration>,
    printer: &mut Printer,
    everything: bool,
) -> Result<Waiting, CliError> {
    let waiting = Waiting::for_tasks(events.iter().map(|event| event.task.id));
    let submitting = async {
        need_an_engine(manager).await?;
        // Watched before it is submitted, so that no Change of it is missed.
        let watch = manager.watch().await?;
        remark_known(manager, events, printer).await?;
        let mut waiting = waiting;
        wait(manager, watch, &mut waiting, printer, everything).await?;
        Ok(waiting)
    };
    // One that prints everything is a manager itself, and ends with the wait.
    let then = if everything { "" } else { TASKS_GO_ON };
    within(timeout, then, submitting).await
}

/// The same for one task, while something else is done with it that ends when it does, or when it is no longer waited
/// for.
pub async fn submit_and_wait_beside(
    manager: &ManagerHandle,
    events: Vec<TaskEvent>,
    timeout: Option<Duration>,
    printer: &mut Printer,
    beside: impl Future<Output = Result<(), CliError>>,
) -> Result<Waiting, CliError> {
    let mut waiting = Waiting::for_tasks(events.iter().map(|event| event.task.id));
    within(timeout, TASKS_GO_ON, async {
        need_an_engine(manager).await?;
        let watch = manager.watch().await?;
        remark_known(manager, events, printer).await?;
        let is_in_vain = CancellationToken::new();
        let waited = async {
            let waited = wait(manager, watch, &mut waiting, printer, false).await;
            // The task itself goes on, and what is done beside it would, too.
            if waiting.is_given_up() {
                is_in_vain.cancel();
            }
            waited
        };
        let (waited, beside) = tokio::join!(waited, is_in_vain.run_until_cancelled(beside));
        waited.and(beside.unwrap_or(Ok(())))?;
        Ok(waiting)
    })
    .await
}

/// Waits until every task has ended for good. `watch` may be older than the submit.
pub async fn wait(
    manager: &ManagerHandle,
    watch: Watch,
    waiting: &mut Waiting,
    printer: &mut Printer,
    everything: bool,
) -> Result<(), CliError> {
    // One that prints everything tells enough.
    let waits = if everything || printer.is_json() { None } else { Waits::on_terminal() };
    let mut observer = WaitObserver { waiting, printer, everything, waits };
    follow(watch, async |mark| manager.resume(mark).await, &mut observer).await
}

/// What becomes of the tasks of a manager elsewhere that are no longer waited for.
pub const TASKS_GO_ON: &str = "; the tasks go on, see `cube-tui ps`";

/// Ends `work` after `timeout`, saying what happens `then`, or when somebody wants this process to end.
pub async fn within<T>(
    timeout: Option<Duration>,
    then: &str,
    work: impl Future<Output = Result<T, CliError>>,
) -> Result<T, CliError> {
    let mut signals = StopSignals::new()?;
    let timed_out = async {
        match timeout {
            Some(timeout) => tokio::time::sleep(timeout).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        result = work => result,
        () = timed_out => {
            let after = humantime::format_duration(timeout.unwrap_or_default());
            let message = format!("gave up waiting after {after}{then}");
            Err(CliError::new(Exit::TimedOut, message))
        }
        () = signals.received() => Err(CliError::new(Exit::Interrupted, "interrupted")),
    }
}

async fn remark_known(
    manager: &ManagerHandle,
    events: Vec<TaskEvent>,
    printer: &mut Printer,
) -> Result<(), CliError> {
    let names: Vec<_> = events.iter().map(|event| name_of(&event.task)).collect();
    let outcomes = answer(manager, manager.submit(events, Cause::Command)).await?;
    for (name, outcome) in names.iter().zip(outcomes) {
        if !outcome.is_new {
            printer.remark(&format!("{name} was submitted before and is {}; nothing changed", outcome.state));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn only_tasks_of_a_manager_elsewhere_go_on_when_the_wait_is_given_up() {
        let forever = || std::future::pending::<Result<(), CliError>>();
        let message =
            async |then| within(Some(Duration::from_secs(3)), then, forever()).await.unwrap_err().message;
        assert_eq!(message("").await, "gave up waiting after 3s");
        let elsewhere = message(TASKS_GO_ON).await;
        assert!(elsewhere.ends_with("the tasks go on, see `cube-tui ps`"), "{elsewhere}");
    }
}
