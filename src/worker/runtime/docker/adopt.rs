//! From a container back to its task, by its labels. Others' containers don't exist here.

use std::collections::{BTreeMap, HashMap};

use bollard::{
    models::{ContainerInspectResponse, ContainerState, ContainerStateStatusEnum, PortMap},
    query_parameters::{InspectContainerOptions, ListContainersOptionsBuilder},
};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use jiff::Timestamp;

use super::{
    Docker, LOOK,
    create::{GENERATION, SPEC, TASK, WORKER},
    status_of,
};
use crate::{
    task::{HostPort, Task},
    worker::runtime::{Exit, Found, FoundState, Run, RuntimeError},
};

/// Inspects at the same time: enough to hide the round trips, little enough not to disturb starts.
const INSPECTS: usize = 8;

impl Docker {
    /// Every container with our label, in any state.
    pub(super) async fn list_containers(&self) -> Result<Vec<Found>, RuntimeError> {
        let client = self.client()?;
        let filters = HashMap::from([("label", vec![format!("{WORKER}={}", self.identity)])]);
        let options = ListContainersOptionsBuilder::default().all(true).filters(&filters).build();
        let list = self.call(LOOK, client.list_containers(Some(options))).await;
        let ids: Vec<String> = list
            .map_err(|error| self.call_failed(error))?
            .into_iter()
            .filter_map(|container| container.id)
            .collect();
        let found: Vec<Option<Found>> = stream::iter(ids)
            .map(|id| async move { self.inspect_container(&id).await })
            .buffer_unordered(INSPECTS)
            .try_collect()
            .await?;
        Ok(found.into_iter().flatten().collect())
    }

    /// By id or name. `None` also where it is not ours.
    pub(super) async fn inspect_container(&self, container: &str) -> Result<Option<Found>, RuntimeError> {
        let client = self.client()?;
        let inspect = client.inspect_container(container, None::<InspectContainerOptions>);
        match self.call(LOOK, inspect).await {
            Ok(answer) => Ok(self.found(answer)),
            Err(error) if status_of(&error) == Some(404) => Ok(None),
            Err(error) => Err(self.call_failed(error)),
        }
    }

    fn found(&self, answer: ContainerInspectResponse) -> Option<Found> {
        let labels = answer.config?.labels?;
        let run = self.run_of(&labels)?;
        let mut task: Task = serde_json::from_str(labels.get(SPEC)?).ok()?;
        task.id = run.task;
        let state = answer.state?;
        Some(Found {
            run,
            container: answer.id?,
            started: time(state.started_at.as_deref()),
            state: found_state(&state),
            task,
            host_ports: host_ports(answer.network_settings.and_then(|network| network.ports)),
        })
    }

    /// What these labels say, if they are ours.
    pub(super) fn run_of(&self, labels: &HashMap<String, String>) -> Option<Run> {
        if *labels.get(WORKER)? != self.identity.to_string() {
            return None;
        }
        Some(Run { task: labels.get(TASK)?.parse().ok()?, generation: labels.get(GENERATION)?.parse().ok()? })
    }
}

fn found_state(state: &ContainerState) -> FoundState {
    match state.status {
        Some(ContainerStateStatusEnum::CREATED) => FoundState::Created,
        Some(ContainerStateStatusEnum::REMOVING | ContainerStateStatusEnum::DEAD) => FoundState::Removing,
        Some(ContainerStateStatusEnum::EXITED) => FoundState::Exited(Exit {
            code: state.exit_code.unwrap_or(-1),
            out_of_memory: state.oom_killed.unwrap_or(false),
            at: time(state.finished_at.as_deref()),
        }),
        _ => FoundState::Running,
    }
}

/// The engine's "not yet" is Go's zero time.
fn time(text: Option<&str>) -> Option<Timestamp> {
    text.and_then(|text| text.parse().ok()).filter(|time: &Timestamp| time.as_second() > 0)
}

fn host_ports(ports: Option<PortMap>) -> BTreeMap<String, Vec<HostPort>> {
    let published = ports.into_iter().flatten().filter_map(|(port, bindings)| {
        let host_ports: Vec<HostPort> = bindings?
            .into_iter()
            .map(|binding| HostPort {
                host_ip: binding.host_ip.unwrap_or_default(),
                host_port: binding.host_port.unwrap_or_default(),
            })
            .collect();
        // A port without a host port is never told: the book's managers trip over it.
        (!host_ports.is_empty()).then_some((port, host_ports))
    });
    published.collect()
}
