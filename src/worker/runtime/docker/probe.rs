//! Probes of a container: over its network, or a command inside. Knows no pace and no verdict.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bollard::{
    exec::{CreateExecOptions, StartExecOptions, StartExecResults},
    models::{ContainerInspectResponse, ExecInspectResponse, PortMap},
    query_parameters::InspectContainerOptions,
};
use futures_util::StreamExt as _;
use rustix::process::{Pid, Signal, kill_process};
use tokio::time::timeout as within;

use super::{Docker, LOOK, failure::Call, status_of};
use crate::{
    task::Probe,
    worker::runtime::probe::{FirstLine, Probed},
};

/// Where containers can be reached; asked of the engine once each, so that steady probes don't cost it a look.
#[derive(Debug, Default)]
pub(super) struct Reaches {
    /// A lock for a moment's look, never held over a call.
    reaches: Mutex<HashMap<String, Arc<Reach>>>,
}

impl Reaches {
    fn get(&self, container: &str) -> Option<Arc<Reach>> {
        self.reaches.lock().unwrap_or_else(PoisonError::into_inner).get(container).cloned()
    }

    fn put(&self, container: &str, reach: Reach) -> Arc<Reach> {
        let reach = Arc::new(reach);
        let mut reaches = self.reaches.lock().unwrap_or_else(PoisonError::into_inner);
        reaches.insert(container.to_owned(), Arc::clone(&reach));
        reach
    }

    pub(super) fn forget(&self, container: &str) {
        self.reaches.lock().unwrap_or_else(PoisonError::into_inner).remove(container);
    }
}

/// How to get to a container's ports.
#[derive(Debug, Default, PartialEq, Eq)]
struct Reach {
    /// Its own address, if this host is part of its network. The best way: it needs no published port, and there
    /// is no proxy in between that accepts connections for a program that does not.
    own: Option<IpAddr>,
    /// Container port → where the engine publishes it. For engines that live in a machine or a namespace of their
    /// own (Docker Desktop, rootless ones).
    published: HashMap<u16, SocketAddr>,
    /// The TCP ports that the image or the task exposes, the lowest first.
    exposed: Vec<u16>,
}

impl Reach {
    fn of(answer: ContainerInspectResponse) -> Self {
        let is_host =
            answer.host_config.and_then(|host| host.network_mode).is_some_and(|mode| mode == "host");
        let exposed = answer.config.and_then(|config| config.exposed_ports).unwrap_or_default();
        let mut exposed: Vec<u16> = exposed.iter().filter_map(|port| tcp_port(port)).collect();
        exposed.sort_unstable();
        let Some(settings) = answer.network_settings else { return Self::default() };
        let mut networks = settings.networks.into_iter().flatten();
        let own = if is_host {
            Some(IpAddr::V4(Ipv4Addr::LOCALHOST))
        } else {
            networks.find_map(|(_, network)| own_address(&network.gateway?, &network.ip_address?))
        };
        Self { own, published: published(settings.ports), exposed }
    }

    fn address(&self, port: Option<u16>) -> Result<SocketAddr, String> {
        let first = || self.exposed.first().copied();
        let Some(port) = port.or_else(first) else {
            return Err("the container exposes no TCP port; name one, as in http:8080/health".to_owned());
        };
        if let Some(own) = self.own {
            return Ok(SocketAddr::new(own, port));
        }
        let published = self.published.get(&port).copied();
        published.ok_or_else(|| {
            format!("port {port} can't be reached from its worker; publish it with PortBindings")
        })
    }
}

fn tcp_port(port: &str) -> Option<u16> {
    port.strip_suffix("/tcp").unwrap_or(port).parse().ok()
}

/// The container's address, if the other end of its network is this host's: nothing else can be bound to.
/// Elsewhere the same numbers may be somebody else's.
fn own_address(gateway: &str, address: &str) -> Option<IpAddr> {
    let gateway: IpAddr = gateway.parse().ok()?;
    UdpSocket::bind((gateway, 0)).ok()?;
    address.parse().ok()
}

fn published(ports: Option<PortMap>) -> HashMap<u16, SocketAddr> {
    let all = ports.into_iter().flatten().filter_map(|(port, bindings)| {
        let binding = bindings?.into_iter().next()?;
        let host: IpAddr =
            binding.host_ip.unwrap_or_default().parse().unwrap_or(Ipv4Addr::UNSPECIFIED.into());
        let host = match host {
            IpAddr::V4(Ipv4Addr::UNSPECIFIED) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(Ipv6Addr::UNSPECIFIED) => Ipv6Addr::LOCALHOST.into(),
            host => host,
        };
        Some((tcp_port(&port)?, SocketAddr::new(host, binding.host_port?.parse().ok()?)))
    });
    all.collect()
}

impl Docker {
    pub(super) async fn probe_container(&self, container: &str, probe: &Probe, timeout: Duration) -> Probed {
        if let Probe::Command(words) = probe {
            return self.run_in(container, words, timeout).await;
        }
        let reach = match self.reach(container).await {
            Ok(reach) => reach,
            Err(why) => return Probed::Unknown(why),
        };
        let probed = match reach.address(probe.port()) {
            Ok(address) => self.prober.ask(address, probe, timeout).await,
            Err(why) => Probed::Failed(why),
        };
        if probed != Probed::Passed {
            // Somebody may have moved it to another network.
            self.reaches.forget(container);
        }
        probed
    }

    async fn reach(&self, container: &str) -> Result<Arc<Reach>, String> {
        if let Some(reach) = self.reaches.get(container) {
            return Ok(reach);
        }
        let client = self.client().map_err(|error| error.to_string())?;
        let inspect = client.inspect_container(container, None::<InspectContainerOptions>);
        let answer = self.call(LOOK, inspect).await.map_err(|error| self.call_failed(error).to_string())?;
        Ok(self.reaches.put(container, Reach::of(answer)))
    }

    /// The engine's failures are not the command's: whatever keeps it from being run says nothing of the task.
    async fn run_in(&self, container: &str, words: &[String], timeout: Duration) -> Probed {
        match self.exec_probe(container, words, timeout).await {
            Ok(probed) => probed,
            // The engine's no: the program is missing, or the container stands still.
            Err(error @ Call::Failed(_)) if matches!(status_of(&error), Some(400 | 409)) => {
                Probed::Failed(self.call_failed(error).to_string())
            }
            Err(error) => Probed::Unknown(self.call_failed(error).to_string()),
        }
    }

    async fn exec_probe(&self, container: &str, words: &[String], timeout: Duration) -> Result<Probed, Call> {
        let Ok(client) = self.client() else { return Ok(Probed::Unknown("no engine".to_owned())) };
        let options = CreateExecOptions {
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            cmd: Some(words.to_vec()),
            ..CreateExecOptions::default()
        };
        let exec = self.call(LOOK, client.create_exec(container, options)).await?.id;
        let mut line = FirstLine::default();
        let started = self.call(LOOK, client.start_exec(&exec, None::<StartExecOptions>)).await?;
        if let StartExecResults::Attached { mut output, input: _input } = started {
            let read = async {
                while let Some(Ok(log)) = output.next().await {
                    line.push(&log.into_bytes());
                }
            };
            let _ = within(timeout, read).await;
        }
        let state = self.call(LOOK, client.inspect_exec(&exec)).await?;
        Ok(command_ended(container, &state, &line.text(), timeout))
    }
}

fn command_ended(container: &str, state: &ExecInspectResponse, line: &str, timeout: Duration) -> Probed {
    match (state.running.unwrap_or(false), state.exit_code, state.pid) {
        (false, Some(code), _) => Probed::of_command(code, line),
        (true, _, Some(pid @ 1..)) => {
            kill(container, pid);
            Probed::timed_out(timeout)
        }
        _ => Probed::Unknown("the engine has not started the command in time".to_owned()),
    }
}

/// The engine has no call that ends a command, and one that hangs would gather with every probe. Where that is
/// not allowed (or the engine lives elsewhere) they go with the container.
pub(super) fn kill(container: &str, pid: i64) {
    let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) else { return };
    let cgroup = std::fs::read_to_string(format!("/proc/{}/cgroup", pid.as_raw_nonzero()));
    // Numbers are the engine's; only in this very container it is certain whose they are.
    if cgroup.is_ok_and(|cgroup| cgroup.contains(container)) {
        let _ = kill_process(pid, Signal::KILL);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bollard::models::{ContainerInspectResponse, ExecInspectResponse};
    use serde_json::json;

    use super::{Probed, Reach, command_ended};

    fn address(answer: &serde_json::Value, port: Option<u16>) -> Result<String, String> {
        let answer: ContainerInspectResponse = serde_json::from_value(answer.clone()).unwrap();
        Reach::of(answer).address(port).map(|address| address.to_string())
    }

    #[test]
    fn a_container_is_reached_by_its_own_address_or_where_it_is_published() {
        let bridge = |gateway: &str| {
            json!({
                "Config": {"ExposedPorts": {"9000/tcp": {}, "80/tcp": {}, "53/udp": {}}},
                "HostConfig": {"NetworkMode": "default"},
                "NetworkSettings": {
                    "Ports": {"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "32768"}], "90/tcp": null},
                    "Networks": {"bridge": {"Gateway": gateway, "IPAddress": "172.17.0.2"}},
                },
            })
        };
        // 127.0.0.1 is ours, 192.0.2.1 is nobody's.
        let (ours, theirs) = (bridge("127.0.0.1"), bridge("192.0.2.1"));
        assert_eq!(address(&ours, Some(80)).as_deref(), Ok("172.17.0.2:80"));
        assert_eq!(address(&ours, None).as_deref(), Ok("172.17.0.2:80"), "the lowest that is exposed");
        assert_eq!(address(&ours, Some(90)).as_deref(), Ok("172.17.0.2:90"));
        assert_eq!(address(&theirs, Some(80)).as_deref(), Ok("127.0.0.1:32768"));
        assert!(address(&theirs, Some(90)).unwrap_err().contains("publish it with PortBindings"));

        let host =
            json!({"HostConfig": {"NetworkMode": "host"}, "NetworkSettings": {"Networks": {"host": {}}}});
        assert_eq!(address(&host, Some(80)).as_deref(), Ok("127.0.0.1:80"));
        assert!(address(&host, None).unwrap_err().contains("name one"));
    }

    #[test]
    fn a_command_that_never_began_says_nothing_of_the_task() {
        let ended = |running, exit_code, pid| {
            let state = ExecInspectResponse { running, exit_code, pid, ..ExecInspectResponse::default() };
            command_ended("c", &state, "line", Duration::from_secs(3))
        };
        let failed = |text: &str| Probed::Failed(text.to_owned());
        assert_eq!(ended(Some(false), Some(0), Some(7)), Probed::Passed);
        assert_eq!(ended(Some(false), Some(1), Some(7)), failed("exit code 1: line"));
        assert_eq!(ended(Some(true), None, Some(i64::MAX)), failed("no answer within 3 s"));
        for (running, exit_code, pid) in
            [(Some(true), None, Some(0)), (Some(false), None, Some(0)), (None, None, None)]
        {
            assert!(matches!(ended(running, exit_code, pid), Probed::Unknown(_)), "{running:?} {pid:?}");
        }
    }
}
