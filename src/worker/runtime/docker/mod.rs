//! Containers on a Docker Engine (or what speaks its API, as Podman does), through one client for the process's
//! life. Knows no queue; what a container is for stands in its labels.

mod adopt;
mod cgroup;
mod create;
mod engine;
mod events;
mod exec;
mod failure;
mod logs;
mod probe;
mod pull;

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use bollard::query_parameters::{
    RemoveContainerOptionsBuilder, StartContainerOptions, StopContainerOptionsBuilder,
};
use tokio::{sync::mpsc, time::timeout};
use uuid::Uuid;

use super::{
    Exec, ExecInput, ExecOutput, Found, Given, LogLines, LogsQuery, Probed, Runtime, RuntimeError, Sign,
    Started, Usage, probe::Prober,
};
use crate::cluster::Capacity;
use crate::task::{Probe, Task};
use cgroup::Cgroups;
use engine::Engine;
use failure::{Call, status_of};
use probe::Reaches;

/// Where an engine listens unless somebody says otherwise (`DOCKER_HOST`).
pub const DEFAULT_DOCKER_HOST: &str = "unix:///var/run/docker.sock";

/// For calls that only look: an engine that needs longer is in trouble.
const LOOK: Duration = Duration::from_secs(10);
/// For calls that make or remove something; a loaded machine needs seconds for it.
const CHANGE: Duration = Duration::from_mins(1);
/// What a stop may need beyond the task's own time to end.
const STOP_MARGIN: Duration = Duration::from_secs(20);

/// Between two lists of everything, whatever the events say: what an engine does not tell is noticed all the same. Each
/// container is asked about by itself then, which is too much to do every minute.
const LOOK_EVERY: Duration = Duration::from_mins(5);

/// A Docker Engine.
#[derive(Debug)]
pub struct Docker {
    host: String,
    cluster_id: Uuid,
    identity: Uuid,
    /// Made at the first use that succeeds: the engine may come later than we do. A lock for a moment's look,
    /// never held over a call.
    client: Mutex<Option<bollard::Docker>>,
    /// As it told when the connection was made. Locked for a moment, likewise.
    engine: Mutex<Engine>,
    cgroups: Cgroups,
    prober: Prober,
    reaches: Reaches,
    look_every: Duration,
}

impl Docker {
    /// The engine at `host` (`unix://`, `tcp://`); containers get labels with these two ids.
    pub fn new(host: &str, cluster_id: Uuid, identity: Uuid) -> Self {
        let client = Mutex::new(None);
        Self {
            host: host.to_owned(),
            cluster_id,
            identity,
            client,
            engine: Mutex::default(),
            cgroups: Cgroups::default(),
            prober: Prober::default(),
            reaches: Reaches::default(),
            look_every: LOOK_EVERY,
        }
    }

    /// Lists everything as often as this, and not every five minutes.
    #[must_use]
    pub fn looking_every(self, look_every: Duration) -> Self {
        Self { look_every, ..self }
    }

    fn client(&self) -> Result<bollard::Docker, RuntimeError> {
        let mut client = self.client.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = &*client {
            return Ok(client.clone());
        }
        let new = bollard::Docker::connect_with_host(&self.host).map_err(|error| self.failed(error))?;
        // The longest of our deadlines; each call sets its own on a clone.
        Ok(client.insert(new.with_timeout(CHANGE)).clone())
    }

    /// A call with its deadline.
    async fn call<T>(
        &self,
        deadline: Duration,
        call: impl Future<Output = Result<T, bollard::errors::Error>>,
    ) -> Result<T, Call> {
        match timeout(deadline, call).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(Call::Failed(error)),
            Err(_) => Err(Call::NoAnswer(deadline)),
        }
    }

    /// With force also one that runs.
    async fn remove_container(&self, container: &str, force: bool) -> Result<(), RuntimeError> {
        let options = RemoveContainerOptionsBuilder::default().force(force).v(true).build();
        let client = self.client()?;
        match self.call(CHANGE, client.remove_container(container, Some(options))).await {
            Ok(()) => Ok(()),
            // Gone, or somebody is removing it right now; or, without force, somebody started it again, and that is
            // told as an event of its own.
            Err(error) if matches!(status_of(&error), Some(404 | 409)) => Ok(()),
            Err(error) => Err(self.call_failed(error)),
        }
    }

    async fn start_container(&self, container: &str) -> Result<(), RuntimeError> {
        let client = self.client()?;
        let start = client.start_container(container, None::<StartContainerOptions>);
        self.call(CHANGE, start).await.map_err(|error| self.call_failed(error))
    }
}

impl Runtime for Docker {
    fn version(&self) -> String {
        self.engine.lock().unwrap_or_else(PoisonError::into_inner).version.clone()
    }

    fn share_of(&self, host: Capacity) -> Capacity {
        self.engine.lock().unwrap_or_else(PoisonError::into_inner).share_of(host)
    }

    async fn start(&self, task: &Task, secrets: &Given) -> Result<Started, RuntimeError> {
        let made = self.create(task, secrets).await?;
        if !made.needs_start {
            return Ok(Started { container: made.container, was_there: true });
        }
        let was_there = made.container == task.status.container_id;
        if let Err(error) = self.start_container(&made.container).await {
            if !error.is_temporary() {
                // A container that can't start (a port is taken, the program is missing) is of no use.
                self.remove_container(&made.container, true).await?;
            }
            return Err(error);
        }
        Ok(Started { container: made.container, was_there })
    }

    async fn pull(&self, image: &str, progress: mpsc::Sender<String>) -> Result<(), RuntimeError> {
        self.pull_image(image, &progress).await
    }

    async fn stop(&self, container: &str, grace: Duration) -> Result<(), RuntimeError> {
        let seconds = i32::try_from(grace.as_secs()).unwrap_or(i32::MAX);
        let deadline = grace + STOP_MARGIN;
        let client = self.client()?.with_timeout(deadline);
        let options = StopContainerOptionsBuilder::default().t(seconds).build();
        match self.call(deadline, client.stop_container(container, Some(options))).await {
            Ok(()) => {}
            Err(error) if status_of(&error) == Some(404) => return Ok(()),
            Err(error) => return Err(self.call_failed(error)),
        }
        self.cgroups.forget(container);
        self.reaches.forget(container);
        self.remove_container(container, true).await
    }

    async fn remove(&self, container: &str) -> Result<(), RuntimeError> {
        self.cgroups.forget(container);
        self.reaches.forget(container);
        self.remove_container(container, false).await
    }

    async fn probe(&self, container: &str, probe: &Probe, timeout: Duration) -> Probed {
        self.probe_container(container, probe, timeout).await
    }

    async fn inspect(&self, container: &str) -> Result<Option<Found>, RuntimeError> {
        self.inspect_container(container).await
    }

    async fn list(&self) -> Result<Vec<Found>, RuntimeError> {
        self.list_containers().await
    }

    async fn watch(&self, signs: mpsc::Sender<Sign>) {
        self.watch_events(&signs).await;
    }

    async fn logs(&self, container: &str, query: LogsQuery) -> Result<LogLines, RuntimeError> {
        self.container_logs(container, query)
    }

    async fn exec(
        &self,
        container: &str,
        exec: &Exec,
        input: mpsc::Receiver<ExecInput>,
        output: mpsc::Sender<ExecOutput>,
    ) -> Result<i64, RuntimeError> {
        self.exec_in(container, exec, input, output).await
    }

    fn usage(&self, container: &str) -> Option<Usage> {
        self.cgroups.usage(container)
    }
}
