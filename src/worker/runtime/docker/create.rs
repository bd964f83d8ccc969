//! From a task to a container: its body, its labels, its name, and what to do when the name is taken. Knows no
//! state of the task.

use std::{collections::HashMap, path::Path};

use bollard::{
    models::{ContainerCreateBody, DeviceMapping, HostConfig, Mount, MountType, PortBinding},
    query_parameters::CreateContainerOptionsBuilder,
};

use super::{CHANGE, Call, Docker, status_of};
use crate::{
    task::{Capability, NetworkMode, Privileges, Task, TaskSpec, TaskStatus},
    worker::runtime::{FoundState, Given, GivenDevice, Run, RuntimeError},
};

pub(super) const CLUSTER: &str = "cube.cluster";
pub(super) const WORKER: &str = "cube.worker";
pub(super) const TASK: &str = "cube.task";
pub(super) const GENERATION: &str = "cube.generation";
/// The whole task as it was asked for, so that a worker that starts anew knows what it runs.
pub(super) const SPEC: &str = "cube.spec";

/// Names that may be taken by others before a start is given up.
const NAME_ATTEMPTS: u32 = 10;

/// A container for a run.
pub(super) struct Made {
    pub container: String,
    /// False for one that was found and has been started before.
    pub needs_start: bool,
}

impl Docker {
    /// Creates the container, or finds the one that an earlier attempt left for the same run. A task that names its
    /// container wants that one started again.
    pub(super) async fn create(&self, task: &Task, secrets: &Given) -> Result<Made, RuntimeError> {
        if secrets.is_past {
            return self.made_before(task).await;
        }
        let client = self.client()?;
        for attempt in 0..NAME_ATTEMPTS {
            let name = container_name(task, attempt);
            let options = CreateContainerOptionsBuilder::default().name(&name).build();
            let create = client.create_container(Some(options), self.body(task, secrets));
            match self.call(CHANGE, create).await {
                Ok(created) => return Ok(Made { container: created.id, needs_start: true }),
                Err(error) if is_name_taken(&error) => {
                    if let Some(made) = self.left_for(task, &name).await? {
                        return Ok(made);
                    }
                }
                Err(error) if is_image_missing(&error) => {
                    return Err(RuntimeError::ImageMissing(task.spec.image.clone()));
                }
                Err(error) => return Err(self.call_failed(error)),
            }
        }
        let name = container_name(task, 0);
        Err(RuntimeError::Refused(format!(
            "the container name {name} and {NAME_ATTEMPTS} variations of it are taken by others"
        )))
    }

    /// The container of a task whose secrets went into it, and are gone here.
    async fn made_before(&self, task: &Task) -> Result<Made, RuntimeError> {
        for attempt in 0..NAME_ATTEMPTS {
            if let Some(made) = self.left_for(task, &container_name(task, attempt)).await? {
                return Ok(made);
            }
        }
        let id = task.id.short();
        Err(RuntimeError::Refused(format!(
            "its container is gone, and the secrets that it was made with; `cube-tui restart {id}` starts it anew"
        )))
    }

    /// The container of this name, if it is ours and for this very run.
    async fn left_for(&self, task: &Task, name: &str) -> Result<Option<Made>, RuntimeError> {
        let found = self.inspect_container(name).await?;
        let Some(found) = found.filter(|found| found.run == Run::of(task)) else { return Ok(None) };
        Ok(match found.state {
            FoundState::Created => Some(Made { container: found.container, needs_start: true }),
            FoundState::Exited(_) if found.container == task.status.container_id => {
                Some(Made { container: found.container, needs_start: true })
            }
            FoundState::Running | FoundState::Exited(_) => {
                Some(Made { container: found.container, needs_start: false })
            }
            FoundState::Removing => None,
        })
    }

    fn body(&self, task: &Task, given: &Given) -> ContainerCreateBody {
        let spec = &*task.spec;
        let some = |words: &Vec<String>| (!words.is_empty()).then(|| words.clone());
        let ports = published_ports(spec);
        let env: Vec<String> = spec.env.iter().cloned().chain(given.environment()).collect();
        let nothing = Privileges::default();
        let privileges = spec.privileges.as_deref().unwrap_or(&nothing);
        let mounts = mounts(given);
        let devices: Vec<DeviceMapping> = given.host.devices.iter().map(device_mapping).collect();
        let on_host = |is_asked: bool| is_asked.then(|| "host".to_owned());
        ContainerCreateBody {
            image: Some(spec.image.clone()),
            cmd: some(&spec.cmd),
            entrypoint: some(&spec.entrypoint),
            env: some(&env),
            labels: Some(self.labels(task)),
            exposed_ports: (!ports.is_empty()).then(|| ports.keys().cloned().collect()),
            host_config: Some(HostConfig {
                port_bindings: (!ports.is_empty()).then_some(ports),
                nano_cpus: (spec.cpu > 0.0).then(|| nano_cpus(spec.cpu)),
                memory: (spec.memory_bytes > 0).then(|| i64::try_from(spec.memory_bytes).unwrap_or(i64::MAX)),
                network_mode: match spec.network_mode {
                    NetworkMode::Bridge => None,
                    NetworkMode::Host | NetworkMode::None => Some(spec.network_mode.name().to_owned()),
                },
                binds: some(&volumes(spec)),
                mounts: (!mounts.is_empty()).then_some(mounts),
                privileged: privileges.privileged.then_some(true),
                cap_add: some(&privileges.cap_add.iter().map(Capability::to_string).collect()),
                devices: (!devices.is_empty()).then_some(devices),
                pid_mode: on_host(privileges.host_pid),
                ipc_mode: on_host(privileges.host_ipc),
                ..HostConfig::default()
            }),
            ..ContainerCreateBody::default()
        }
    }

    fn labels(&self, task: &Task) -> HashMap<String, String> {
        let run = Run::of(task);
        let status = TaskStatus {
            generation: run.generation,
            restart_count: task.status.restart_count,
            ..TaskStatus::default()
        };
        let asked_for = Task { status, ..task.clone() };
        let spec = serde_json::to_string(&asked_for).expect("a task is JSON with string keys");
        let mut labels: HashMap<String, String> =
            task.spec.labels.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
        // Ours come last: no task may pass for another's.
        labels.extend([
            (CLUSTER.to_owned(), self.cluster_id.to_string()),
            (WORKER.to_owned(), self.identity.to_string()),
            (TASK.to_owned(), run.task.to_string()),
            (GENERATION.to_owned(), run.generation.to_string()),
            (SPEC.to_owned(), spec),
        ]);
        labels
    }
}

/// The named volumes; paths of the host come looked up, as mounts.
fn volumes(spec: &TaskSpec) -> Vec<String> {
    let is_volume = |mount: &&String| !mount.starts_with('/');
    spec.mounts.iter().filter(is_volume).cloned().collect()
}

/// Mounts, and no binds: of those the engine would make up what is missing.
fn mounts(given: &Given) -> Vec<Mount> {
    let mount = |source: &Path, path: &str, is_read_only: bool| Mount {
        target: Some(path.to_owned()),
        source: Some(source.display().to_string()),
        typ: Some(MountType::BIND),
        read_only: Some(is_read_only),
        ..Mount::default()
    };
    let files = given.files.iter().map(|file| mount(&file.source, &file.path, true));
    let paths = given.host.paths.iter().map(|path| mount(&path.source, &path.path, path.is_read_only));
    files.chain(paths).collect()
}

fn device_mapping(GivenDevice { source, device }: &GivenDevice) -> DeviceMapping {
    DeviceMapping {
        path_on_host: Some(source.display().to_string()),
        path_in_container: Some(device.inside.clone()),
        cgroup_permissions: Some(device.access.clone()),
    }
}

#[expect(clippy::cast_possible_truncation, reason = "a float saturates, and no host has 9 billion CPUs")]
fn nano_cpus(cpu: f64) -> i64 {
    (cpu * 1e9).round() as i64
}

fn is_name_taken(error: &Call) -> bool {
    // Podman answers 500 where Docker answers 409.
    match error {
        Call::Failed(bollard::errors::Error::DockerResponseServerError { status_code, message }) => {
            *status_code == 409 || (*status_code == 500 && message.contains("already in use"))
        }
        Call::Failed(_) | Call::NoAnswer(_) => false,
    }
}

fn is_image_missing(error: &Call) -> bool {
    status_of(error) == Some(404)
}

/// Host ports as asked for; exposed ones without a binding get one that the engine chooses, as the book does it.
fn published_ports(spec: &TaskSpec) -> HashMap<String, Option<Vec<PortBinding>>> {
    if spec.network_mode != NetworkMode::Bridge {
        return HashMap::new();
    }
    let bound = spec.port_bindings.iter().flatten().map(|(port, host)| (port.as_str(), host.as_str()));
    let exposed = spec.exposed_ports.iter().flatten().map(|port| (port.as_str(), ""));
    let ports = exposed.chain(bound).map(|(port, host)| {
        let host_port = if host == "0" { "" } else { host };
        let binding = PortBinding { host_ip: None, host_port: Some(host_port.to_owned()) };
        (with_protocol(port), Some(vec![binding]))
    });
    ports.collect()
}

fn with_protocol(port: &str) -> String {
    if port.contains('/') { port.to_owned() } else { format!("{port}/tcp") }
}

/// `cube-<task name>-<short id>-<generation>`, with a number where that is taken.
fn container_name(task: &Task, attempt: u32) -> String {
    let name: String = task
        .spec
        .name
        .chars()
        // Bounded: it shall fit a line, and the id tells it apart anyway.
        .take(40)
        .map(|c| if c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-') { c } else { '-' })
        .collect();
    let name = if name.is_empty() { "task" } else { &name };
    let base = format!("cube-{name}-{}-{}", task.id.short(), task.status.generation);
    if attempt == 0 { base } else { format!("{base}-{}", attempt + 1) }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, sync::Arc};

    use super::{container_name, nano_cpus, published_ports, with_protocol};
    use crate::task::{NetworkMode, Task, TaskSpec};

    #[test]
    fn a_container_name_holds_only_what_an_engine_accepts() {
        for (name, expected) in [("web", "cube-web-00000000-0"), ("", "cube-task-00000000-0")] {
            let spec = TaskSpec { name: name.to_owned(), ..TaskSpec::default() };
            let task = Task { spec: Arc::new(spec), ..Task::default() };
            assert_eq!(container_name(&task, 0), expected);
        }
        let spec = TaskSpec { name: "a b/ü\u{1b}".to_owned(), ..TaskSpec::default() };
        let task = Task { spec: Arc::new(spec), ..Task::default() };
        assert_eq!(container_name(&task, 1), "cube-a-b----00000000-0-2");
    }

    #[test]
    fn a_binding_says_more_than_the_exposure_of_the_same_port() {
        let mut spec = TaskSpec {
            exposed_ports: Some(vec!["80/tcp".to_owned(), "53/udp".to_owned()]),
            port_bindings: Some(BTreeMap::from([("80".to_owned(), "8080".to_owned())])),
            ..TaskSpec::default()
        };
        let ports = published_ports(&spec);
        let host_port = |port: &str| ports[port].as_ref().unwrap()[0].host_port.clone();
        assert_eq!(ports.len(), 2);
        assert_eq!(host_port("80/tcp").as_deref(), Some("8080"));
        assert_eq!(host_port("53/udp").as_deref(), Some(""));
        spec.network_mode = NetworkMode::Host;
        assert!(published_ports(&spec).is_empty());
        assert_eq!(with_protocol("1"), "1/tcp");
    }

    #[test]
    fn cpus_become_nanoseconds_a_second() {
        assert_eq!(nano_cpus(0.5), 500_000_000);
        assert_eq!(nano_cpus(2.0), 2_000_000_000);
    }
}
