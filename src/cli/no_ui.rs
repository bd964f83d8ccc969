//! `--no-ui`: submits, prints what happens, and ends as it was asked to. Knows not where the manager runs.

use std::ops::ControlFlow;

use super::args::RootArgs;
use super::exit::{CliError, Exit};
use super::follow::{Observer, follow};
use super::line::Line;
use super::print::Printer;
use super::signals::StopSignals;
use super::submit::{submit_and_wait, submit_only};
use crate::client::ManagerHandle;
use crate::cluster::{Change, Cluster, WorkerHealth, WorkerRecord};
use crate::manager::request::RequestError;
use crate::task::TaskEvent;

/// Runs on `manager` until one of `signals` comes or, without them, until the tasks have ended (`--wait`). `events` are those of
/// `--submit`: read before anything was started, so that a bad file leaves nothing behind.
pub async fn no_ui(
    args: &RootArgs,
    events: Vec<TaskEvent>,
    manager: &ManagerHandle,
    printer: &mut Printer,
    signals: Option<StopSignals>,
) -> Result<Exit, CliError> {
    match signals {
        Some(signals) => print_until_signal(events, manager, printer, signals).await,
        None => Ok(submit_and_wait(manager, events, args.timeout, printer, true).await?.exit()),
    }
}

/// Submits, and prints what happens until a signal comes, or at once if one has come already.
pub async fn print_until_signal(
    events: Vec<TaskEvent>,
    manager: &ManagerHandle,
    printer: &mut Printer,
    mut signals: StopSignals,
) -> Result<Exit, CliError> {
    let printing = async {
        let watch = manager.watch().await?;
        if !events.is_empty() {
            submit_only(manager, events, &mut Printer::silent()).await?;
        }
        follow(watch, async |mark| manager.resume(mark).await, &mut PrintObserver(printer)).await
    };
    tokio::select! {
        result = printing => result.map(|()| Exit::Done),
        // Nothing was waited for: a signal is the way to end this.
        () = signals.received() => Ok(Exit::Done),
    }
}

/// Prints everything.
struct PrintObserver<'a>(&'a mut Printer);

impl Observer for PrintObserver<'_> {
    /// What the workers told before anybody watched: that an engine is away is news to whoever starts this.
    fn begin(&mut self, cluster: &Cluster) -> Result<ControlFlow<()>, CliError> {
        let known = |worker: &&WorkerRecord| worker.health != WorkerHealth::Connecting;
        for worker in cluster.workers().iter().filter(known) {
            self.0.line(&Line::of_worker_record(worker, cluster))?;
        }
        Ok(ControlFlow::Continue(()))
    }

    fn changed(&mut self, change: &Change, after: &Cluster) -> Result<ControlFlow<()>, CliError> {
        if let Some(line) = Line::of_change(change, after) {
            self.0.line(&line)?;
        }
        Ok(ControlFlow::Continue(()))
    }

    fn cut_off(&mut self, error: &RequestError) {
        self.0.remark(&format!("{error}; trying again"));
    }
}
