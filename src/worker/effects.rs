//! Carries out a core's effects on a runtime; each result becomes the next input. Decides nothing.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures_util::{FutureExt as _, StreamExt as _, stream};
use tokio::{
    sync::{Semaphore, mpsc},
    time::{Instant, sleep, timeout},
};

use super::{
    core::{Effect, Input},
    host_paths::host_given,
    runtime::{Given, Probed, Run, Runtime, RuntimeError, Sign},
};
use crate::{cluster::Allows, task::Task};

/// Pulls at the same time: each already fetches several layers at once.
pub(super) const PULLS: usize = 4;
/// Stops at the same time: enough for an engine to be busy, few enough for its connections.
pub(super) const STOPS: usize = 64;
/// Probes at the same time; a command in a container costs the engine more than an inspect does.
pub(super) const PROBES: usize = 32;
/// Looks at a container before the next full list has to tell how it stands.
const INSPECTS: u32 = 3;

/// Runs one effect.
pub(super) async fn run<R: Runtime>(
    runtime: Arc<R>,
    effect: Effect,
    slots: Arc<Slots>,
    inputs: mpsc::Sender<Input>,
) -> Option<Input> {
    match effect {
        Effect::Pull { image } => {
            let _slot = slots.pulls.acquire().await.ok()?;
            let result = pull(&*runtime, &image, &inputs).await;
            Some(Input::Pulled { image, result })
        }
        Effect::Stop { task, container, grace } => {
            let _slot = slots.stops.acquire().await.ok()?;
            let result = runtime.stop(&container, grace).await;
            Some(Input::Stopped { task, container, result })
        }
        Effect::Remove { container } => {
            let _slot = slots.stops.acquire().await.ok()?;
            if let Err(error) = runtime.remove(&container).await {
                tracing::warn!(%error, container, "an ended container stays; the next start removes it");
            }
            None
        }
        Effect::Inspect { run, container } => inspect(&*runtime, run, container).await,
        Effect::Later { task, after } => {
            sleep(after).await;
            Some(Input::Wake(task))
        }
        Effect::ProbeLater { run, container, after } => {
            sleep(after).await;
            Some(Input::ProbeDue { run, container })
        }
        Effect::Probe { run, container, probe, timeout } => {
            let _slot = slots.probes.acquire().await.ok()?;
            let begun = Instant::now();
            let result = runtime.probe(&container, &probe, timeout).await;
            if let Probed::Unknown(why) = &result {
                tracing::debug!(why, container, "not probed");
            }
            Some(Input::Probed { run, container, took: begun.elapsed(), result })
        }
        // The driver's: it holds the pulls, and the secrets that go along with a start.
        Effect::AbandonPull { .. } | Effect::Start { .. } => None,
    }
}

/// Starts a task, once what it is given is there.
pub(super) async fn start<R: Runtime>(
    runtime: Arc<R>,
    task: Task,
    given: Result<Given, RuntimeError>,
    allows: &Allows,
) -> Option<Input> {
    let run = Run::of(&task);
    let started = match (given, host_given(&task.spec, allows).await) {
        (Ok(given), Ok(host)) => runtime.start(&task, &Given { host, ..given }).await,
        (Ok(_), Err(why)) => Err(RuntimeError::Refused(why)),
        (Err(error), _) => Err(error),
    };
    Some(match started {
        Ok(started) => Input::Started { run, started },
        Err(error) => Input::StartFailed { run, error },
    })
}

/// How many of a kind run at the same time.
#[derive(Debug)]
pub(super) struct Slots {
    pulls: Semaphore,
    stops: Semaphore,
    probes: Semaphore,
}

impl Default for Slots {
    fn default() -> Self {
        Self { pulls: Semaphore::new(PULLS), stops: Semaphore::new(STOPS), probes: Semaphore::new(PROBES) }
    }
}

async fn pull<R: Runtime>(
    runtime: &R,
    image: &str,
    inputs: &mpsc::Sender<Input>,
) -> Result<(), RuntimeError> {
    let (progress, mut progress_rx) = mpsc::channel(1);
    let tell = async {
        while let Some(text) = progress_rx.recv().await {
            if inputs.send(Input::PullProgress { image: image.to_owned(), text }).await.is_err() {
                return;
            }
        }
    };
    tokio::join!(runtime.pull(image, progress), tell).0
}

async fn inspect<R: Runtime>(runtime: &R, run: Run, container: String) -> Option<Input> {
    for attempt in 1..=INSPECTS {
        match runtime.inspect(&container).await {
            Ok(Some(found)) => return Some(Input::Found(found)),
            Ok(None) => return Some(Input::Gone { run, container }),
            Err(error) => tracing::debug!(%error, container, attempt, "not inspected"),
        }
        sleep(Duration::from_secs(1)).await;
    }
    None
}

/// Watches the runtime until the receiver of `signs` is gone. A fault in it costs a second: it begins anew, and so lists
/// everything again.
pub(super) async fn watch<R: Runtime>(runtime: Arc<R>, signs: mpsc::Sender<Sign>) {
    /// In which a fault that comes back at once does no harm.
    const REST: Duration = Duration::from_secs(1);
    while AssertUnwindSafe(runtime.watch(signs.clone())).catch_unwind().await.is_err() {
        tracing::error!("watching the engine broke off by a fault of cube-tui's own; please report this");
        tokio::time::sleep(REST).await;
    }
}

/// Stops and removes every container of this worker. The error says what is left.
pub(super) async fn remove_all<R: Runtime>(runtime: &R) -> Result<(), String> {
    /// For all of it: SIGKILL comes after ten seconds, and the engine needs its time for each.
    const DEADLINE: Duration = Duration::from_mins(1);
    /// Nobody waits longer than Docker's default for something that is thrown away.
    const GRACE: Duration = Duration::from_secs(10);
    let round = || async {
        let all = runtime.list().await.map_err(|error| error.to_string())?;
        let count = all.len();
        stream::iter(all)
            .for_each_concurrent(STOPS, |found| async move {
                let grace = found.task.spec.stop_timeout().min(GRACE);
                if let Err(error) = runtime.stop(&found.container, grace).await {
                    tracing::warn!(%error, container = found.container, "not removed");
                }
            })
            .await;
        Ok::<usize, String>(count)
    };
    let rounds = async {
        let mut left = 0;
        // A start whose answer was lost can show up after the first round.
        for _ in 0..3 {
            left = round().await?;
            if left == 0 {
                return Ok(());
            }
        }
        Err(format!("{left} could not be removed"))
    };
    timeout(DEADLINE, rounds).await.unwrap_or_else(|_| Err("the engine took too long".to_owned()))
}
