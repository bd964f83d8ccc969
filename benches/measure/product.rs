//! Manager, store and workers of one process, put together as a node does it, around any runtime: over real sockets
//! and on a redb file.

use std::sync::Arc;
use std::time::Duration;

use cube_tui::client::http_client;
use cube_tui::cluster::{Cause, FeedItem, What, WorkerRecord};
use cube_tui::http;
use cube_tui::manager::{
    self, Handle, WorkerAddress, Workers,
    store::{RedbStore, Store},
};
use cube_tui::task::{State, Task, TaskEvent, TaskId, TaskSpec};
use cube_tui::worker::{self, Config, Limits, runtime::Runtime};
use futures_util::StreamExt as _;
use jiff::Timestamp;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Nothing that a bench waits for takes longer.
pub const PATIENCE: Duration = Duration::from_mins(2);

pub type Feed = futures_util::stream::BoxStream<'static, Result<FeedItem, manager::request::RequestError>>;

/// A worker at work, and the token that ends it.
pub struct Worker {
    started: worker::Started,
    token: CancellationToken,
}

impl Worker {
    pub async fn start(runtime: impl Runtime, identity: Uuid, limits: Limits) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let token = CancellationToken::new();
        let config = Config { limits, ephemeral: true, ..Config::new(identity) };
        let started = worker::start(config, runtime, listener, token.clone()).await.unwrap();
        Self { started, token }
    }

    pub async fn stop(self) {
        self.token.cancel();
        self.started.join().await.unwrap();
    }

    fn address(&self) -> WorkerAddress {
        let address = self.started.addr.to_string();
        WorkerAddress { id: address.as_str().into(), address: address.as_str().into(), insecure: false }
    }
}

pub struct Product {
    pub handle: Handle,
    /// Of the manager's API.
    pub url: String,
    pub workers: Vec<Worker>,
    manager: manager::Started,
    serving: tokio::task::JoinHandle<()>,
    cancel: CancellationToken,
    _folder: Option<tempfile::TempDir>,
}

impl Product {
    pub async fn start(workers: Vec<Worker>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = RedbStore::open(&folder.path().join("changes.redb")).unwrap();
        Self { _folder: Some(folder), ..Self::start_with(workers, Box::new(store)).await }
    }

    pub async fn start_with(workers: Vec<Worker>, store: Box<dyn Store>) -> Self {
        let cancel = CancellationToken::new();
        let addresses: Vec<WorkerAddress> = workers.iter().map(Worker::address).collect();
        let http = http_client();
        let addresses = Workers::new(addresses, http);
        let manager = manager::start(addresses.clone(), store, &cancel).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = manager::api::router(manager.handle.clone(), addresses, None, cancel.clone());
        let serving = tokio::spawn(http::serve(listener, router, cancel.clone()));
        let handle = manager.handle.clone();
        let product = Self { handle, url, workers, manager, serving, cancel, _folder: None };
        let (mut cluster, mut feed) = product.handle.watch().await.unwrap();
        while !(cluster.workers().len() == product.workers.len()
            && cluster.workers().iter().all(WorkerRecord::takes_work))
        {
            if let FeedItem::Change(change) = feed.next().await.unwrap().unwrap() {
                cluster.apply(&change);
            }
        }
        product
    }

    pub async fn submit(&self, tasks: impl IntoIterator<Item = Task>) {
        let events = tasks.into_iter().map(|task| TaskEvent::start(task, Timestamp::now())).collect();
        let events: Vec<_> = events;
        // Who finds that as many wait as may comes again.
        while let Err(error) = self.handle.submit(events.clone(), Cause::Command).await {
            assert!(matches!(error, manager::request::RequestError::TooManyWaiting(_)), "{error}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    pub async fn feed(&self) -> Feed {
        self.handle.watch().await.unwrap().1
    }

    pub async fn stop(self) {
        self.cancel.cancel();
        self.serving.await.unwrap();
        self.manager.stopped().await;
        for worker in self.workers {
            worker.stop().await;
        }
    }
}

/// Reads the feed until `count` more tasks have come to `state`.
pub async fn until(feed: &mut Feed, state: State, count: usize) {
    let mut left = count;
    while left > 0 {
        let item = tokio::time::timeout(PATIENCE, feed.next()).await.expect("in time");
        if let FeedItem::Change(change) = item.unwrap().unwrap()
            && let What::Observed { status, .. } = &change.what
        {
            assert!(status.state != State::Failed || state == State::Failed, "{}", status.reason);
            left -= usize::from(status.state == state);
        }
    }
}

pub fn tasks(spec: TaskSpec, count: usize) -> Vec<Task> {
    let spec = Arc::new(spec);
    (0..count).map(|_| Task { id: TaskId::random(), spec: Arc::clone(&spec), ..Task::default() }).collect()
}
