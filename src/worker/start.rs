//! A worker from its start (adopt, then serve) to its end (stop accepting, drain, join). Knows no task.

use std::{collections::BTreeMap, io, net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use tokio::{
    net::TcpListener,
    sync::{mpsc, oneshot},
    task::JoinHandle,
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use uuid::Uuid;

use crate::http;

use super::{api, core::Limits, driver::Driver, runtime::Runtime, stats};

/// How long the start waits for the engine's list of containers. An engine that needs longer is a problem that
/// the worker, serving, tells.
const ADOPT_WAIT: Duration = Duration::from_secs(5);

/// Requests that may wait for the driver; more of them wait outside.
const COMMANDS: usize = 1024;

/// What a worker needs to know about itself.
#[derive(Clone, Debug)]
pub struct Config {
    /// The id in its data folder : the containers it adopts carry it.
    pub identity: Uuid,
    pub limits: Limits,
    /// Stop and remove every container of this identity at the end: nobody would remember them.
    pub ephemeral: bool,
    /// The worker's labels, for constraints.
    pub labels: BTreeMap<String, String>,
    /// For a worker that has joined: it takes nobody's word but its manager's.
    pub tls: Option<http::TlsDoor>,
}

impl Config {
    pub fn new(identity: Uuid) -> Self {
        Self { identity, limits: Limits::default(), ephemeral: false, labels: BTreeMap::new(), tls: None }
    }
}

/// Why a worker did not end well.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    #[error("the worker cannot start: {0}")]
    Listener(#[from] io::Error),
    #[error("containers are left behind: {0}; `docker ps --filter label=cube.worker={1}` lists them")]
    LeftBehind(String, Uuid),
    #[error("the worker broke off by a fault of cube-tui's own ({0}); please report this")]
    Panicked(String),
}

impl WorkerError {
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::LeftBehind(..) => true,
            Self::Listener(_) | Self::Panicked(_) => false,
        }
    }
}

/// A running worker.
#[derive(Debug)]
pub struct Started {
    /// Where its API answers.
    pub addr: SocketAddr,
    join: JoinHandle<Result<(), WorkerError>>,
}

impl Started {
    /// Waits for its end, which the token given to `start` begins, or a fault of its own.
    pub async fn join(self) -> Result<(), WorkerError> {
        self.join.await.unwrap_or_else(|error| Err(WorkerError::Panicked(error.to_string())))
    }
}

/// Starts a worker: adopts its containers, then serves on `listener` until `token` is cancelled.
pub async fn start<R: Runtime>(
    config: Config,
    runtime: R,
    listener: TcpListener,
    token: CancellationToken,
) -> io::Result<Started> {
    let addr = listener.local_addr()?;
    let runtime = Arc::new(runtime);
    let (commands, commands_rx) = mpsc::channel(COMMANDS);
    let (adopted, adopted_rx) = oneshot::channel();
    let driver_token = CancellationToken::new();
    let driver = Driver::new(&config, Arc::clone(&runtime), stats::capacity(), adopted);
    let driving = tokio::spawn(driver.run(commands_rx, driver_token.clone()));
    // Either way the worker serves; what it knows of its engine is in its heartbeats.
    let _ = timeout(ADOPT_WAIT, adopted_rx).await;

    let execs = TaskTracker::new();
    let stop = token.child_token();
    let api = api::Api { commands, containers: runtime, execs: execs.clone(), token: stop.clone() };
    let router = api::router(api);
    let serving = {
        let stop = stop.clone();
        async move {
            match config.tls {
                Some(door) => http::serve_tls(listener, door, router, stop).await,
                None => http::serve(listener, router, stop).await,
            }
            execs.close();
            execs.wait().await;
        }
    };
    let join = tokio::spawn(async move {
        let (mut serving, mut driving) = (pin!(serving), driving);
        let drained = tokio::select! {
            () = &mut serving => {
                driver_token.cancel();
                driving.await
            }
            // By a fault: it ends last, else. An API that can only answer errors is worse than none.
            broken = &mut driving => {
                stop.cancel();
                serving.await;
                broken
            }
        };
        let drained = drained.map_err(|error| WorkerError::Panicked(error.to_string()))?;
        drained.map_err(|left| WorkerError::LeftBehind(left, config.identity))
    });
    Ok(Started { addr, join })
}
