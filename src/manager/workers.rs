//! How each worker is reached: those that were named at the start over plain HTTP, those that have joined over TLS; and
//! the secrets that may go there. Decides nothing.

use std::collections::HashMap;

use super::secrets::Secrets;
use super::trust::Trust;
use crate::cluster::{Joined, WorkerRecord};
use crate::task::WorkerId;
use crate::worker::WorkerClient;

/// A worker and where its API answers, which for one on a free port is only known once it listens.
#[derive(Clone, Debug)]
pub struct WorkerAddress {
    pub id: WorkerId,
    /// `host:port`.
    pub address: WorkerId,
    pub insecure: bool,
}

/// The ways to all workers.
#[derive(Clone, Debug)]
pub struct Workers {
    named: Vec<WorkerAddress>,
    places: HashMap<WorkerId, WorkerId>,
    http: reqwest::Client,
    trust: Option<Trust>,
    secrets: Option<Secrets>,
}

impl Workers {
    pub fn new(named: Vec<WorkerAddress>, http: reqwest::Client) -> Self {
        let places = named.iter().map(|worker| (worker.id.clone(), worker.address.clone())).collect();
        Self { named, places, http, trust: None, secrets: None }
    }

    /// With those that join by `trust`.
    #[must_use]
    pub fn with(self, trust: Trust) -> Self {
        Self { trust: Some(trust), ..self }
    }

    /// With secrets for their tasks.
    #[must_use]
    pub fn given(self, secrets: Secrets) -> Self {
        Self { secrets: Some(secrets), ..self }
    }

    pub(super) fn secrets(&self) -> Option<&Secrets> {
        self.secrets.as_ref()
    }

    pub(super) fn named(&self) -> &[WorkerAddress] {
        &self.named
    }

    /// A client of a worker that was named.
    pub(super) fn client_of_named(&self, worker: &WorkerAddress) -> WorkerClient {
        WorkerClient::new(self.http.clone(), &worker.address)
    }

    /// A client of a worker that has joined; `None` if its certificate does not count any more.
    pub(super) fn client_of_joined(&self, joined: &Joined) -> Option<WorkerClient> {
        let trust = self.trust.as_ref().filter(|trust| trust.is_member(joined.member))?;
        let (host, port) = joined.address.rsplit_once(':')?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let http = trust.https_client(host)?;
        Some(WorkerClient::of_member(http, joined.member, &joined.address, port))
    }

    /// A client of any worker of this run, and where it answers.
    pub(super) fn client(&self, worker: &WorkerRecord) -> Option<(WorkerClient, String)> {
        if let Some(joined) = &worker.joined {
            return Some((self.client_of_joined(joined)?, format!("https://{}", joined.address)));
        }
        let address = self.places.get(&worker.id)?;
        Some((WorkerClient::new(self.http.clone(), address), format!("http://{address}")))
    }
}
