//! Starts and stops a node: claim, listen, load, manage, announce, work; and back.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use super::folder::{Claim, Folder, Holder};
use super::listen::{Address, ListenError, listen};
use crate::client::{ManagerHandle, http_client};
use crate::cluster::Allows;
use crate::cluster::Cause;
use crate::http;
use crate::manager::api::{Door, Gate};
use crate::manager::request::Scheduling;
use crate::manager::secrets::{Secrets, SecretsError};
use crate::manager::store::{MemoryStore, RedbStore, Store, StoreError};
use crate::manager::trust::{Trust, TrustError};
use crate::manager::{self, WorkerAddress, Workers};
use crate::task::WorkerId;
use crate::worker::{self, runtime};

/// In the data folder, by which a worker knows its containers again.
const WORKER_ID: &str = "worker-id";

/// What a node is made of.
#[derive(Debug)]
pub struct Config {
    /// Where it remembers; `None` is a cluster of its own that is gone at its end, containers and all.
    pub folder: Option<PathBuf>,
    pub manager: Address,
    pub local_worker: Option<LocalWorker>,
    /// Workers elsewhere.
    pub workers: Vec<WorkerAddress>,
    /// What this start says of how workers are selected.
    pub scheduling: Scheduling,
    /// Whether the TLS listener is opened again if it was open before.
    pub listens: bool,
    /// How long the certificates are good that members get.
    pub certificate_life: Duration,
}

/// The worker in the manager's own process.
#[derive(Debug)]
pub struct LocalWorker {
    pub id: WorkerId,
    pub address: Address,
    pub engine: Engine,
    /// For constraints.
    pub labels: BTreeMap<String, String>,
    /// What tasks may do on it.
    pub allows: Allows,
}

/// What runs its containers.
#[derive(Clone, Debug)]
pub enum Engine {
    /// The engine's address, as `DOCKER_HOST` has it.
    Docker(String),
    /// Plain processes, for the demo: image name → program and first arguments.
    Processes(BTreeMap<String, Vec<String>>),
}

/// Why a node did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("cannot use the data folder {}: {error}; name another one with --data-dir", path.display())]
    Folder { path: PathBuf, error: io::Error },
    #[error(
        "{} has a store but not the file {WORKER_ID} beside it: the containers of its tasks would be taken for a stranger's, \
         and each would be started a second time. Copy the whole data folder, not only the store; if {WORKER_ID} is lost and \
         none of those containers runs any more, write a new UUID into it",
        path.display()
    )]
    Copied { path: PathBuf },
    #[error(transparent)]
    Listen(#[from] ListenError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Trust(#[from] TrustError),
    #[error(transparent)]
    Secrets(#[from] SecretsError),
}

/// What a start led to.
#[derive(Debug)]
pub enum Begun {
    Node(Node),
    /// Another process holds the data folder.
    Held(Holder),
}

/// A node at work.
#[derive(Debug)]
pub struct Node {
    pub handle: ManagerHandle,
    /// `host:port` of the manager's API.
    pub manager_address: String,
    /// Id and address of the local worker.
    pub local_worker: Option<(WorkerId, String)>,
    manager: manager::Started,
    serving: TaskTracker,
    worker: Option<tokio::task::JoinHandle<Result<(), worker::WorkerError>>>,
    cancel: CancellationToken,
    worker_cancel: CancellationToken,
    /// Held until everything else has stopped.
    folder: Option<Folder>,
}

/// Starts a node. The local worker looks at its containers meanwhile: the screen need not wait for an engine.
pub async fn start(config: Config) -> Result<Begun, StartError> {
    let mut folder = None;
    if let Some(path) = &config.folder {
        match Folder::claim(path).map_err(|error| StartError::Folder { path: path.clone(), error })? {
            Claim::Ours(ours) => folder = Some(ours),
            Claim::Theirs(holder) => return Ok(Begun::Held(holder)),
        }
    }
    if let (Some(folder), Some(_)) = (&folder, &config.local_worker)
        && folder.has_store_without(WORKER_ID)
    {
        return Err(StartError::Copied { path: folder.path().to_owned() });
    }
    let is_ephemeral = folder.is_none();
    let id = |name| match (&folder, &config.folder) {
        (Some(folder), Some(path)) => {
            folder.id(name).map_err(|error| StartError::Folder { path: path.clone(), error })
        }
        _ => Ok(Uuid::new_v4()),
    };
    let (cluster_id, worker_identity) = (id("cluster-id")?, id(WORKER_ID)?);
    let listener = listen(&config.manager).await?;
    let manager_address = shown(&config.manager, &listener);
    let cancel = CancellationToken::new();
    let worker_cancel = CancellationToken::new();
    let mut workers = config.workers;
    let mut local_worker = None;
    let mut worker = None;
    if let Some(local) = config.local_worker {
        let listener = listen(&local.address).await?;
        let address = shown(&local.address, &listener);
        workers.insert(
            0,
            WorkerAddress { id: local.id.clone(), address: address.as_str().into(), insecure: false },
        );
        local_worker = Some((local.id, address));
        let limits = worker::Limits { allows: local.allows, ..worker::Limits::default() };
        let config = worker::Config {
            ephemeral: is_ephemeral,
            limits,
            labels: local.labels,
            ..worker::Config::new(worker_identity)
        };
        let work = work(local.engine, cluster_id, config, listener, worker_cancel.clone());
        worker = Some(tokio::spawn(work));
    }

    let store: Box<dyn Store> = match &folder {
        Some(folder) => Box::new(RedbStore::open(&folder.store())?),
        None => Box::new(MemoryStore::default()),
    };
    let trust = Trust::open(folder.as_ref().map(|folder| folder.path().to_owned()), config.certificate_life)?;
    let secrets = Secrets::open(folder.as_ref().map(|folder| folder.path().to_owned()))?;
    let workers = Workers::new(workers, http_client()).with(trust.clone()).given(secrets);
    let manager = manager::start(workers.clone(), store, &cancel)?;
    if config.scheduling != Scheduling::default()
        && let Err(error) = manager.handle.set_scheduling(config.scheduling, Cause::Manager).await
    {
        tracing::error!("workers are selected as before: {error}");
    }
    if let (Some(folder), Some(path)) = (&mut folder, config.folder) {
        let announced = folder.announce(Some(manager_address.clone()), false);
        announced.map_err(|error| StartError::Folder { path, error })?;
    }
    let serving = TaskTracker::new();
    let (door, orders) = Door::new();
    let gate = Gate { trust: trust.clone(), door: door.clone() };
    let router = manager::api::router(manager.handle.clone(), workers, Some(gate), cancel.clone());
    serving.spawn(orders.carry_out(router.clone(), trust.clone(), cancel.clone()));
    serving.spawn(http::serve(listener, router, cancel.clone()));
    if let Some(listen) = trust.listen().await?.filter(|_| config.listens) {
        door.open(Some(listen)).await?;
    }
    let handle = ManagerHandle::Embedded(manager.handle.clone());
    let node = Node {
        handle,
        manager_address,
        local_worker,
        manager,
        serving,
        worker,
        cancel,
        worker_cancel,
        folder,
    };
    Ok(Begun::Node(node))
}

/// The local worker until `token` is cancelled. If it ends before by a fault of its own, the manager goes on without it.
async fn work(
    engine: Engine,
    cluster_id: Uuid,
    config: worker::Config,
    listener: tokio::net::TcpListener,
    token: CancellationToken,
) -> Result<(), worker::WorkerError> {
    let stop = token.clone();
    let started = match engine {
        Engine::Docker(host) => {
            let docker = runtime::Docker::new(&host, cluster_id, config.identity);
            worker::start(config, docker, listener, stop).await
        }
        Engine::Processes(images) => {
            worker::start(config, runtime::Process::new(images), listener, stop).await
        }
    };
    let ended = started?.join().await;
    if let Err(error) = &ended
        && !token.is_cancelled()
    {
        tracing::error!("{error}; containers keep running, and the next start of cube-tui finds them again");
    }
    ended
}

impl Node {
    /// Whether it remembers nothing.
    pub fn is_ephemeral(&self) -> bool {
        self.folder.is_none()
    }

    /// Stops: no new requests, what was accepted is stored, the worker drains. Containers keep running, unless
    /// nobody would remember them. Tells what went wrong with that.
    pub async fn stop(self) -> Result<(), worker::WorkerError> {
        self.cancel.cancel();
        self.serving.close();
        self.serving.wait().await;
        self.manager.stopped().await;
        self.worker_cancel.cancel();
        let ended = match self.worker {
            Some(worker) => {
                worker.await.unwrap_or_else(|error| Err(worker::WorkerError::Panicked(error.to_string())))
            }
            None => Ok(()),
        };
        drop(self.folder);
        ended
    }
}

/// `host:port` with the host as it was asked for and the port as it came out.
fn shown(address: &Address, listener: &tokio::net::TcpListener) -> String {
    let port = listener.local_addr().map_or(address.port, |local| local.port());
    format!("{}:{port}", address.host)
}
