//! `--no-ui`: submits, prints what happens, and ends as it was asked to. Knows not where the manager runs.

use std::ops::ControlFlow;

use super::args::RootArgs;
use super::exit::{CliError, Exit};
use super::follow::{Observer, TRY_AGAIN_AFTER, follow};
use super::line::Line;
use super::print::Printer;
use super::signals::StopSignals;
use super::submit::{submit_and_wait, submit_only};
use crate::client::{ManagerHandle, Watch};
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
        let watch = first_watch(manager, printer).await?;
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

/// A manager that is there, and says what it waits for, is waited for.
async fn first_watch(manager: &ManagerHandle, printer: &mut Printer) -> Result<Watch, CliError> {
    let mut is_told = false;
    loop {
        match manager.watch().await {
            Err(error @ RequestError::OutOfOrder(_)) => {
                if !std::mem::replace(&mut is_told, true) {
                    printer.remark(&format!("{error}; waiting for that"));
                }
                tokio::time::sleep(TRY_AGAIN_AFTER).await;
            }
            watch => return Ok(watch?),
        }
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use jiff::Timestamp;
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::client::http_client;
    use crate::cluster::Cause;
    use crate::manager::store::{MemoryStore, Store, StoreError};
    use crate::manager::{self, Workers};
    use crate::task::{Task, TaskSpec};

    /// A disk that can be full.
    struct Disk(MemoryStore, Arc<AtomicBool>);

    impl Store for Disk {
        fn load(&mut self) -> Result<Cluster, StoreError> {
            self.0.load()
        }

        fn append(&mut self, changes: &[Arc<Change>]) -> Result<(), StoreError> {
            if self.1.load(Ordering::SeqCst) {
                return Err(StoreError::Write { path: "changes.redb".into(), why: "no room".to_owned() });
            }
            self.0.append(changes)
        }
    }

    #[tokio::test]
    async fn a_manager_that_waits_for_its_disk_from_the_start_is_waited_for() {
        let is_full = Arc::new(AtomicBool::new(true));
        let disk = Box::new(Disk(MemoryStore::default(), Arc::clone(&is_full)));
        let cancel = CancellationToken::new();
        let started = manager::start(Workers::new(vec![], http_client()), disk, &cancel).unwrap();
        let handle = ManagerHandle::Embedded(started.handle.clone());
        let spec = TaskSpec { image: "busy:1".into(), ..TaskSpec::default() };
        let event = TaskEvent::start(Task { spec: spec.into(), ..Task::default() }, Timestamp::now());
        handle.submit(vec![event], Cause::Command).await.unwrap_err();
        // It learns of that on another way than who asked.
        while handle.watch().await.is_ok() {
            tokio::task::yield_now().await;
        }

        let mut printer = Printer::silent();
        let mut first = std::pin::pin!(first_watch(&handle, &mut printer));
        let early = tokio::time::timeout(TRY_AGAIN_AFTER * 2, &mut first).await;
        assert!(early.is_err(), "it neither gives up nor finds what is not there");
        is_full.store(false, Ordering::SeqCst);
        assert_eq!(first.await.unwrap().cluster.task_db().len(), 0);
        cancel.cancel();
        started.stopped().await;
    }
}
