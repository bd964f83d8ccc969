//! The client of a worker's API: ours (batches, a stream of reports) and the book's routes.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::time::Duration;

use futures_util::Stream;
use reqwest::header;
use tokio::net::TcpStream;
use uuid::Uuid;

use super::api::Renewal;
use super::exec::EXEC_PROTOCOL;
use super::logs::WorkerLog;
use super::report::{EventAnswer, Report};
use super::runtime::{Exec, LogsQuery};
use super::secrets::EventsWithSecrets;
use crate::http::{CONNECT_WITHIN, ClientError, checked, read_lines};
use crate::task::{SecretName, SecretOnWire, Stats, Task, TaskEvent, TaskId, WorkerId, parse_tasks};
use crate::tls::Identity;

/// A worker answers in milliseconds: it only queues. One that needs longer than this hangs.
const ANSWER_WITHIN: Duration = Duration::from_secs(4);

/// What its engine has to be asked for.
const ENGINE_WITHIN: Duration = Duration::from_secs(15);

/// A worker to talk to.
#[derive(Clone, Debug)]
pub struct WorkerClient {
    http: reqwest::Client,
    base: String,
    /// Where it listens, `host:port`.
    address: String,
}

impl WorkerClient {
    /// A client of the worker at `address` (`host:port`).
    pub fn new(http: reqwest::Client, address: &WorkerId) -> Self {
        Self { http, base: format!("http://{address}"), address: address.to_string() }
    }

    /// A client of the worker that joined as `member` and listens at `address`, on `port`. `http` finds it there, and
    /// talks to nobody else.
    pub fn of_member(http: reqwest::Client, member: Uuid, address: &str, port: &str) -> Self {
        Self {
            http,
            base: format!("https://{}:{port}", Identity::host_of(member)),
            address: address.to_owned(),
        }
    }

    /// Our own stream of reports; a 404 says that it is a peer of the book.
    pub async fn reports(
        &self,
    ) -> Result<impl Stream<Item = Result<Report, ClientError>> + use<>, ClientError> {
        // The deadline is for the answer to begin; the stream itself has no end.
        let request = self.http.get(format!("{}/v1/reports", self.base)).send();
        let response = tokio::time::timeout(ANSWER_WITHIN, request).await.map_err(|_| no_answer())??;
        Ok(read_lines(checked(response).await?.bytes_stream()))
    }

    /// Whether the worker's host takes a connection, or says that nobody is there to take it: then it runs, and so may
    /// its containers.
    pub async fn host_is_there(&self) -> bool {
        match tokio::time::timeout(CONNECT_WITHIN, TcpStream::connect(&*self.address)).await {
            Ok(Ok(_)) => true,
            Ok(Err(error)) => error.kind() == ErrorKind::ConnectionRefused,
            Err(_) => false,
        }
    }

    /// Our own batch: each event's answer, in order.
    /// The `secrets` that their tasks name go along.
    pub async fn post_events(
        &self,
        events: &[TaskEvent],
        secrets: &BTreeMap<SecretName, SecretOnWire>,
    ) -> Result<Vec<EventAnswer>, ClientError> {
        let request = self.http.post(format!("{}/v1/events", self.base)).timeout(ANSWER_WITHIN);
        let request = if secrets.is_empty() {
            request.json(events)
        } else {
            request.json(&EventsWithSecrets { events, secrets: secrets.clone() })
        };
        Ok(checked(request.send().await?).await?.json().await?)
    }

    /// Renews the lease by a reading of the worker's own clock.
    pub async fn renew_lease(&self, since_boot_ms: u64) -> Result<(), ClientError> {
        let renewal = Renewal { since_boot_ms };
        let request = self.http.post(format!("{}/v1/lease", self.base)).json(&renewal).timeout(ANSWER_WITHIN);
        checked(request.send().await?).await.map(drop)
    }

    /// What a task's newest container says.
    pub async fn logs(
        &self,
        task: TaskId,
        query: LogsQuery,
    ) -> Result<impl Stream<Item = Result<WorkerLog, ClientError>> + Send + use<>, ClientError> {
        let url = format!("{}/v1/tasks/{task}/logs?{}", self.base, query.in_url());
        // The deadline is for the answer to begin; the engine may have to be asked for it.
        let request = self.http.get(url).send();
        let response = tokio::time::timeout(ENGINE_WITHIN, request).await.map_err(|_| no_answer())??;
        Ok(read_lines(checked(response).await?.bytes_stream()))
    }

    /// Starts a command in a task's container: a connection that carries frames.
    pub async fn exec(&self, task: TaskId, exec: &Exec) -> Result<reqwest::Upgraded, ClientError> {
        upgraded(self.http.post(format!("{}/v1/tasks/{task}/exec", self.base)), exec).await
    }

    /// The book's start.
    pub async fn post_task(&self, event: &TaskEvent) -> Result<(), ClientError> {
        let request = self
            .http
            .post(format!("{}/tasks", self.base))
            .json(&event.for_book_peer())
            .timeout(ANSWER_WITHIN);
        checked(request.send().await?).await.map(drop)
    }

    /// The book's stop.
    pub async fn delete_task(&self, task: TaskId) -> Result<(), ClientError> {
        let request = self.http.delete(format!("{}/tasks/{task}", self.base)).timeout(ANSWER_WITHIN);
        checked(request.send().await?).await.map(drop)
    }

    /// The book's list.
    pub async fn tasks(&self) -> Result<Vec<Task>, ClientError> {
        let request = self.http.get(format!("{}/tasks", self.base)).timeout(ANSWER_WITHIN);
        let body = checked(request.send().await?).await?.bytes().await?;
        parse_tasks(&body).map_err(|error| ClientError::Unreachable {
            reason: format!("unreadable list: {error}"),
            may_have_arrived: true,
        })
    }

    /// The book's stats.
    pub async fn stats(&self) -> Result<Stats, ClientError> {
        let request = self.http.get(format!("{}/stats", self.base)).timeout(ANSWER_WITHIN);
        Ok(checked(request.send().await?).await?.json().await?)
    }
}

/// Asks for a connection that carries frames, of a worker or of a manager before it.
pub async fn upgraded(
    request: reqwest::RequestBuilder,
    exec: &Exec,
) -> Result<reqwest::Upgraded, ClientError> {
    let request = request
        .header(header::CONNECTION, "upgrade")
        .header(header::UPGRADE, EXEC_PROTOCOL)
        .version(reqwest::Version::HTTP_11)
        .json(exec)
        .send();
    let response = tokio::time::timeout(ENGINE_WITHIN, request).await.map_err(|_| no_answer())??;
    if response.status() == reqwest::StatusCode::SWITCHING_PROTOCOLS {
        return Ok(response.upgrade().await?);
    }
    checked(response).await?;
    Err(ClientError::Unreachable {
        reason: "it gave no connection for a command".to_owned(),
        may_have_arrived: true,
    })
}

fn no_answer() -> ClientError {
    ClientError::Unreachable { reason: "no answer in time".to_owned(), may_have_arrived: true }
}
