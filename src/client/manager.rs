//! The client of a manager's API.

use std::net::IpAddr;
use std::time::Duration;

use futures_util::{Stream, StreamExt, TryStreamExt, stream};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::watchdog::watched;
use super::{Resume, Watch};
use crate::cluster::{Cause, Cluster, FeedItem, Mark, Settings, Snapshot};
use crate::http::{ClientError, REFUSED, STRANGER, checked, https_client, read_lines};
use crate::manager::logs::{LogItem, LogItems};
use crate::manager::request::{
    Drained, Forgotten, RebalanceWish, Rebalanced, Recovered, RequestError, Restarted, Scheduling, Stopping,
    Submitted, WorkerWish,
};
use crate::task::{TaskEvent, TaskId, WorkerId};
use crate::tls::Identity;
use crate::worker::runtime::{Exec, LogsQuery};
use crate::worker::upgraded;

/// Submitting ten thousand tasks at once takes a second or two of a loaded manager.
pub(super) const ANSWER_WITHIN: Duration = Duration::from_secs(30);

/// A manager somewhere else.
#[derive(Clone, Debug)]
pub struct ManagerClient {
    pub(super) http: reqwest::Client,
    pub(super) base: String,
    /// Where that is, for people.
    pub(super) shown: String,
}

impl ManagerClient {
    /// A client of the manager at `base`, such as `http://localhost:5556`.
    pub fn new(http: reqwest::Client, base: &str) -> Self {
        let base = base.trim_end_matches('/').to_owned();
        Self { http, shown: base.clone(), base }
    }

    /// A client of a cluster's manager as a member of it, or as somebody who wants to be one.
    pub(super) fn over_tls(config: rustls::ClientConfig, addresses: &[String]) -> Self {
        let parts: Vec<_> = addresses.iter().filter_map(|address| address.rsplit_once(':')).collect();
        let hosts = parts.iter().map(|(host, _)| host.trim_matches(['[', ']']).to_owned()).collect();
        let port = parts.first().map_or("5557", |(_, port)| port);
        let base = format!("https://{}:{port}", Identity::MANAGER_HOST);
        Self { http: https_client(config, hosts), base, shown: format!("https://{}", addresses.join(",")) }
    }

    /// Where it looks for the manager.
    pub fn shown(&self) -> &str {
        &self.shown
    }

    pub async fn submit(&self, events: &[TaskEvent], cause: Cause) -> Result<Vec<Submitted>, RequestError> {
        self.post("tasks", cause, events).await
    }

    pub async fn stop(&self, tasks: &[TaskId], cause: Cause) -> Result<Vec<Stopping>, RequestError> {
        self.post("stop", cause, tasks).await
    }

    pub async fn restart(&self, tasks: &[TaskId], cause: Cause) -> Result<Vec<Restarted>, RequestError> {
        self.post("restart", cause, tasks).await
    }

    pub async fn forget(&self, worker: &WorkerId, cause: Cause) -> Result<Forgotten, RequestError> {
        self.post("forget", cause, worker).await
    }

    pub async fn recover(&self, cause: Cause) -> Result<Recovered, RequestError> {
        self.post("recover", cause, &()).await
    }

    pub async fn set_availability(&self, wish: &WorkerWish, cause: Cause) -> Result<Drained, RequestError> {
        self.post("availability", cause, wish).await
    }

    pub async fn rebalance(&self, wish: RebalanceWish) -> Result<Rebalanced, RequestError> {
        self.post("rebalance", Cause::Rebalance, &wish).await
    }

    pub async fn set_scheduling(
        &self,
        scheduling: Scheduling,
        cause: Cause,
    ) -> Result<Settings, RequestError> {
        self.post("scheduler", cause, &scheduling).await
    }

    pub(super) async fn get<T: DeserializeOwned>(&self, route: &str) -> Result<T, RequestError> {
        self.read(self.http.get(format!("{}/v1/{route}", self.base)).timeout(ANSWER_WITHIN)).await
    }

    /// The whole cluster.
    pub async fn snapshot(&self) -> Result<Cluster, RequestError> {
        let request = self.http.get(format!("{}/v1/snapshot", self.base)).timeout(ANSWER_WITHIN);
        let snapshot: Snapshot = self.read(request).await?;
        Ok(snapshot.into())
    }

    /// The whole cluster, and everything after it.
    pub async fn watch(&self) -> Result<Watch, RequestError> {
        let cluster = self.snapshot().await?;
        let items = self.changes(cluster.mark()).await.map_err(|error| self.error(error))?;
        Ok(Watch { cluster, items: items.boxed() })
    }

    /// Everything after `mark`, or all of it again where the manager can't tell what came after.
    pub async fn resume(&self, mark: Mark) -> Result<Resume, RequestError> {
        match self.changes(mark).await {
            Ok(items) => Ok(Resume::Items(items.boxed())),
            Err(ClientError::Refused { status: 410, .. }) => Ok(Resume::Anew(Box::new(self.watch().await?))),
            Err(error) => Err(self.error(error)),
        }
    }

    /// What tasks say; see [`crate::manager::Handle::logs`].
    pub async fn logs(&self, tasks: &[TaskId], query: LogsQuery) -> Result<LogItems, RequestError> {
        let tasks: Vec<String> = tasks.iter().map(|task| format!("task={task}")).collect();
        let url = format!("{}/v1/logs?{}&{}", self.base, query.in_url(), tasks.join("&"));
        let answer = tokio::time::timeout(ANSWER_WITHIN, self.http.get(url).send()).await;
        let response = answer.map_err(|_| self.unreachable("no answer in time"))?;
        let response = response.map_err(|error| self.error(error.into()))?;
        let response = checked(response).await.map_err(|error| self.error(error))?;
        let this = self.clone();
        let items = read_lines(response.bytes_stream()).map_err(move |error| this.error(error));
        // Without its End a stream was cut, however politely.
        let cut = self.unreachable("the stream was cut");
        let with_end = items.map(Some).chain(stream::iter([None])).scan(false, move |is_whole, item| {
            let item = match item {
                Some(item) => {
                    *is_whole |= matches!(item, Ok(LogItem::End) | Err(_));
                    Some(Some(item))
                }
                None if *is_whole => None,
                None => Some(Some(Err(cut.clone()))),
            };
            std::future::ready(item)
        });
        Ok(with_end.filter_map(std::future::ready).boxed())
    }

    /// Starts a command in a task's container: a connection that carries frames.
    pub async fn exec(&self, task: TaskId, exec: &Exec) -> Result<reqwest::Upgraded, RequestError> {
        let request = self.http.post(format!("{}/v1/tasks/{task}/exec", self.base));
        upgraded(request, exec).await.map_err(|error| match error {
            ClientError::Refused { status: 503, message } => RequestError::Unreachable(message),
            error => self.error(error),
        })
    }

    async fn changes(
        &self,
        mark: Mark,
    ) -> Result<impl Stream<Item = Result<FeedItem, RequestError>> + Send + use<>, ClientError> {
        let time = mark.time.map(|time| format!("&time={time}")).unwrap_or_default();
        let url = format!("{}/v1/changes?since={}{time}", self.base, mark.revision);
        // The deadline is for the answer to begin; the stream itself has no end.
        let answer = tokio::time::timeout(ANSWER_WITHIN, self.http.get(url).send()).await;
        let late =
            |_| ClientError::Unreachable { reason: "no answer in time".to_owned(), may_have_arrived: true };
        let response = checked(answer.map_err(late)??).await?;
        let this = self.clone();
        let items = read_lines(response.bytes_stream()).map_err(move |error| this.error(error));
        Ok(watched(items, self.clone()))
    }

    pub(super) async fn post<T: DeserializeOwned>(
        &self,
        route: &str,
        cause: Cause,
        body: &(impl Serialize + ?Sized),
    ) -> Result<T, RequestError> {
        let cause = match cause {
            Cause::Dashboard => "dashboard",
            _ => "command",
        };
        let url = format!("{}/v1/{route}?cause={cause}", self.base);
        self.read(self.http.post(url).json(body).timeout(ANSWER_WITHIN)).await
    }

    pub(super) async fn read<T: DeserializeOwned>(
        &self,
        request: reqwest::RequestBuilder,
    ) -> Result<T, RequestError> {
        let response = match request.send().await {
            Ok(response) => checked(response).await.map_err(|error| self.error(error))?,
            Err(error) => return Err(self.not_answered(error.into()).await),
        };
        response.json().await.map_err(|error| self.error(error.into()))
    }

    pub(super) fn error(&self, error: ClientError) -> RequestError {
        match error {
            ClientError::Refused { status: 429, message } => RequestError::TooManyWaiting(message),
            ClientError::Refused { status: 401 | 403, message } => RequestError::NotAuthorised(message),
            ClientError::Refused { status, message } if status < 500 => RequestError::Invalid(message),
            ClientError::Refused { message, .. } => RequestError::from_answer(&message),
            ClientError::Unreachable { reason, .. } => self.unreachable(&reason),
        }
    }

    pub(super) fn unreachable(&self, reason: &str) -> RequestError {
        let next = match reason {
            REFUSED if self.is_of_this_machine() => "; is one running? try `cube-tui --no-ui`",
            STRANGER => {
                "; this host's line or membership is of another cluster, or somebody stands in between: a new `cube-tui \
                 invite` at the manager prints a line that is its own"
            }
            _ => "",
        };
        RequestError::Unreachable(format!("cannot reach the manager at {} ({reason}){next}", self.shown))
    }

    /// Whether it looks for the manager where one that is started here would listen.
    fn is_of_this_machine(&self) -> bool {
        let Ok(url) = reqwest::Url::parse(&self.base) else { return false };
        let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
        let is_loopback = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
        url.scheme() == "http" && is_loopback
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::http_client;

    #[test]
    fn what_helps_is_said_by_what_failed_and_where() {
        let failed = |base: &str, reason: &str| {
            ManagerClient::new(http_client(), base).unreachable(reason).to_string()
        };
        for base in ["http://localhost:5556", "http://127.3.2.1:5556", "http://[::1]:5556"] {
            let error = failed(base, REFUSED);
            assert!(
                error.ends_with("(connection refused); is one running? try `cube-tui --no-ui`"),
                "{error}"
            );
        }
        for (base, reason) in [
            ("http://192.0.2.1:5556", REFUSED),
            ("https://127.0.0.1:5557", REFUSED),
            ("http://nowhere:5556", "Name or service not known"),
            ("http://localhost:5556", "no answer in time"),
        ] {
            let expected = format!("cannot reach the manager at {base} ({reason})");
            assert_eq!(failed(base, reason), expected);
        }
        let error = failed("https://box:5557", STRANGER);
        assert!(error.contains("somebody stands in between: a new `cube-tui invite`"), "{error}");
    }
}
