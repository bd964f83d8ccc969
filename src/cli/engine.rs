//! Whether any worker could run something: what a submit that waits asks before it submits. Knows no engine.

use std::ops::ControlFlow;
use std::time::Duration;

use super::answer::answer;
use super::exit::CliError;
use super::follow::{Observer, follow};
use crate::client::ManagerHandle;
use crate::cluster::{Change, Cluster, WorkerHealth, WorkerRecord};
use crate::manager::request::RequestError;

/// What the workers say of their engines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Engines {
    /// At least one worker takes work.
    Usable,
    /// None does, and this is why.
    Unusable(String),
    /// Some have yet to answer.
    Unknown,
}

/// What is known of the engines of `cluster`.
pub fn engines(cluster: &Cluster) -> Engines {
    let workers = cluster.workers();
    if workers.iter().any(WorkerRecord::takes_work) {
        return Engines::Usable;
    }
    if workers.is_empty() {
        return Engines::Unusable(
            "the manager has no worker; start one with `cube-tui worker`, and the manager with --worker HOST:PORT"
                .to_owned(),
        );
    }
    let may_come = |health| matches!(health, WorkerHealth::Connecting | WorkerHealth::Stale);
    if workers.iter().any(|worker| worker.runtime_problem.is_empty() && may_come(worker.health)) {
        return Engines::Unknown;
    }
    let reasons: Vec<_> = workers
        .iter()
        .map(|worker| {
            let reason =
                if worker.runtime_problem.is_empty() { &worker.reason } else { &worker.runtime_problem };
            format!("{}: {reason}", worker.id)
        })
        .collect();
    Engines::Unusable(format!("no worker can run a container; {}", reasons.join("; ")))
}

/// Workers answer within milliseconds, or after a few tries that take this long.
const KNOWN_WITHIN: Duration = Duration::from_secs(10);

/// Waits until some engine is known to be usable; an error if none is.
pub async fn need_an_engine(manager: &ManagerHandle) -> Result<(), CliError> {
    let found = async {
        let watch = answer(manager, manager.watch()).await?;
        follow(watch, async |mark| manager.resume(mark).await, &mut EngineObserver).await
    };
    tokio::time::timeout(KNOWN_WITHIN, found).await.unwrap_or_else(|_| {
        let within = humantime::format_duration(KNOWN_WITHIN);
        Err(CliError::unreachable(format!("nothing was submitted: no worker answered within {within}")))
    })
}

/// Follows a cluster until its engines are known to be usable, or known not to be.
#[derive(Debug)]
struct EngineObserver;

impl Observer for EngineObserver {
    fn begin(&mut self, cluster: &Cluster) -> Result<ControlFlow<()>, CliError> {
        match engines(cluster) {
            Engines::Usable => Ok(ControlFlow::Break(())),
            Engines::Unknown => Ok(ControlFlow::Continue(())),
            Engines::Unusable(why) => Err(CliError::unreachable(format!("nothing was submitted: {why}"))),
        }
    }

    fn changed(&mut self, _: &Change, after: &Cluster) -> Result<ControlFlow<()>, CliError> {
        self.begin(after)
    }

    fn cut_off(&mut self, _: &RequestError) {}
}

#[cfg(test)]
mod tests {
    use super::super::fixture::History;
    use super::*;

    #[test]
    fn one_usable_engine_is_enough_and_all_unusable_are_named() {
        let mut history = History::default();
        assert!(matches!(engines(&history.cluster), Engines::Unusable(_)));
        history.worker(|_| {});
        assert_eq!(engines(&history.cluster), Engines::Unknown);
        history.worker(|worker| {
            worker.health = WorkerHealth::Ready;
            worker.runtime_problem = "cannot reach Docker".into();
        });
        let Engines::Unusable(why) = engines(&history.cluster) else { panic!("usable") };
        assert!(why.contains("localhost:5555: cannot reach Docker"), "{why}");
        history.worker(|worker| {
            worker.id = "localhost:5560".into();
            worker.health = WorkerHealth::Ready;
        });
        assert_eq!(engines(&history.cluster), Engines::Usable);
        assert_eq!(EngineObserver.begin(&history.cluster).unwrap(), ControlFlow::Break(()));
    }
    #[test]
    fn a_lost_worker_is_not_waited_for() {
        let mut history = History::default();
        history.worker(|worker| {
            worker.health = WorkerHealth::Lost;
            worker.reason = "silent for 10 s".into();
        });
        assert!(
            matches!(engines(&history.cluster), Engines::Unusable(why) if why.contains("silent for 10 s"))
        );
    }
}
