//! A manager in this process with its TLS listener open, and workers that join it.

use std::time::Duration;

use cube_tui::client::{ManagerClient, http_client};
use cube_tui::cluster::WorkerRecord;
use cube_tui::manager::api::Invitation;
use cube_tui::manager::trust::{CERTIFICATE_LIFE, JoinLine};
use cube_tui::node::{self, Address, Begun, Membership, Node};
use cube_tui::tls::{self, Current, Role};
use cube_tui::worker::{self, runtime::Fake};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};
use uuid::Uuid;

use crate::support::{wait_for, worker::PATIENCE};

pub struct Cluster {
    pub node: Node,
    /// As somebody on its own machine.
    pub local: ManagerClient,
    pub folder: TempDir,
}

impl Cluster {
    pub async fn start() -> Self {
        Self::with(tempfile::tempdir().unwrap(), CERTIFICATE_LIFE).await
    }

    pub async fn with(folder: TempDir, certificate_life: Duration) -> Self {
        let manager =
            Address { what: "manager", host: "localhost".into(), port: 0, variable: "CUBE_MANAGER_PORT" };
        let config = node::Config {
            folder: Some(folder.path().to_owned()),
            manager,
            local_worker: None,
            workers: vec![],
            scheduling: cube_tui::manager::request::Scheduling::default(),
            listens: true,
            certificate_life,
        };
        let Begun::Node(node) = node::start(config).await.unwrap() else { panic!("the folder is held") };
        let local = ManagerClient::new(http_client(), &format!("http://{}", node.manager_address));
        Self { node, local, folder }
    }

    /// Ends it and starts it again on the same folder.
    pub async fn again(self) -> Self {
        self.node.stop().await.unwrap();
        Self::with(self.folder, CERTIFICATE_LIFE).await
    }

    pub async fn invite_for(&self, role: Role, ttl: Duration) -> JoinLine {
        let invitation = Invitation {
            role,
            ttl_s: ttl.as_secs(),
            listen: Some("127.0.0.1:0".to_owned()),
            address: Some("127.0.0.1".to_owned()),
            replaces: false,
        };
        self.local.invite(&invitation).await.unwrap().line.parse().unwrap()
    }

    pub async fn invite(&self, role: Role) -> JoinLine {
        self.invite_for(role, Duration::from_mins(5)).await
    }

    /// A member of this role.
    pub async fn member(&self, role: Role, name: &str) -> Membership {
        let line = self.invite(role).await;
        let path = self.folder.path().join(format!("{name}.member.json"));
        Membership::join(&path, &line, name).await.unwrap()
    }

    pub async fn worker(&self, name: &str) -> Worker {
        Worker::start(self.member(Role::Worker, name).await).await
    }

    pub async fn until_worker(&self, name: &str, what: &str, is_so: impl Fn(&WorkerRecord) -> bool) {
        wait_for(&format!("{name}: {what}"), PATIENCE, async || {
            let cluster = self.local.snapshot().await.ok()?;
            cluster.worker(&name.into()).filter(|worker| is_so(worker)).map(drop)
        })
        .await;
    }
}

/// A worker without an engine that has joined.
pub struct Worker {
    pub port: u16,
    pub runtime: Fake,
    _guard: DropGuard,
}

impl Worker {
    pub async fn start(membership: Membership) -> Self {
        let cancel = CancellationToken::new();
        let (door, keeper) = membership.into_worker().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let config = worker::Config { tls: Some(door), ..worker::Config::new(Uuid::new_v4()) };
        let runtime = Fake::default();
        let started = worker::start(config, runtime.clone(), listener, cancel.clone()).await.unwrap();
        let port = started.addr.port();
        tokio::spawn(keeper.keep(port, cancel.clone()));
        tokio::spawn(started.join());
        Self { port, runtime, _guard: cancel.drop_guard() }
    }
}

/// A plain client with the certificate of a membership, for any route.
pub fn https(membership: &Membership) -> reqwest::Client {
    let credential = membership.credential();
    let current = Current::fixed(credential.certified_key().unwrap());
    let config = tls::client(&credential.authority().unwrap(), current).unwrap();
    cube_tui::http::https_client(config, vec!["127.0.0.1".to_owned()])
}

/// The same without a certificate.
pub fn https_of_a_stranger(membership: &Membership) -> reqwest::Client {
    let config = tls::client_without_certificate(&membership.credential().authority().unwrap()).unwrap();
    cube_tui::http::https_client(config, vec!["127.0.0.1".to_owned()])
}
