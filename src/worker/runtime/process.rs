//! Tasks as plain child processes: for `demo` and tests on machines without an engine, never by default. There is
//! no isolation, and children end with the worker. Knows no queue.

use std::{
    collections::{BTreeMap, HashMap},
    net::{Ipv4Addr, TcpListener},
    path::PathBuf,
    process::Stdio,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::{
    process::{Child, Command},
    sync::{mpsc, watch},
    task::JoinSet,
};

use super::{
    Exec, ExecInput, ExecOutput, Exit, Found, FoundState, Given, LogLines, LogsQuery, Probed, Run, Runtime,
    RuntimeError, Sign, Started, Usage,
    kept_output::KeptOutput,
    probe::{FirstLine, Prober},
    process_io,
};
use crate::task::{HostPort, Privileges, Probe, Task, TaskSpec};

/// After a SIGKILL a process is gone at once, unless the kernel can't.
const KILL_DEADLINE: Duration = Duration::from_secs(5);

/// How long what a process has left in its pipes is waited for after its end.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Child processes as containers.
#[derive(Debug)]
pub struct Process {
    /// Image name → the program it stands for, and its first arguments.
    images: BTreeMap<String, Vec<String>>,
    children: Mutex<HashMap<String, Running>>,
    created: Mutex<u64>,
    /// What ended, towards `watch`; the receiver is taken by it.
    ended: mpsc::Sender<Sign>,
    ended_rx: tokio::sync::Mutex<mpsc::Receiver<Sign>>,
    /// Joined (aborted) when this is dropped.
    waiters: Mutex<JoinSet<()>>,
    prober: Prober,
}

#[derive(Debug)]
struct Running {
    found: Found,
    pid: Option<Pid>,
    has_ended: watch::Receiver<bool>,
    output: KeptOutput,
}

impl Process {
    /// `images`: what each image name stands for: a program and its first arguments.
    pub fn new(images: BTreeMap<String, Vec<String>>) -> Self {
        let (ended, ended_rx) = mpsc::channel(256);
        Self {
            images,
            children: Mutex::default(),
            created: Mutex::default(),
            ended,
            ended_rx: tokio::sync::Mutex::new(ended_rx),
            waiters: Mutex::default(),
            prober: Prober::default(),
        }
    }

    fn children(&self) -> MutexGuard<'_, HashMap<String, Running>> {
        // A lock, because every use is one look at a map; nobody waits while holding it.
        self.children.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn command(&self, task: &Task) -> Result<Command, RuntimeError> {
        let spec = &task.spec;
        refuse_what_needs_an_engine(spec)?;
        let image = self.images.get(&spec.image);
        let words = match (spec.entrypoint.as_slice(), image) {
            ([], Some(program)) => [program.as_slice(), &spec.cmd].concat(),
            ([], None) => {
                let known: Vec<&str> = self.images.keys().map(String::as_str).collect();
                return Err(RuntimeError::Refused(format!(
                    "image {} not found: this worker runs plain processes and knows {}",
                    spec.image,
                    known.join(", ")
                )));
            }
            (entrypoint, _) => [entrypoint, &spec.cmd].concat(),
        };
        let (program, arguments) = words.split_first().expect("an image or an entrypoint names a program");
        let mut command = Command::new(PathBuf::from(program));
        command
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        for variable in &spec.env {
            let (name, value) = variable.split_once('=').unwrap_or((variable, ""));
            command.env(name, value);
        }
        Ok(command)
    }

    /// Waits for a child's end and tells of it.
    fn wait_for(&self, mut child: Child, found: &Found, output: KeptOutput) -> watch::Receiver<bool> {
        let (has_ended, has_ended_rx) = watch::channel(false);
        let (run, container) = (found.run, found.container.clone());
        let ended = self.ended.clone();
        let mut waiters = self.waiters.lock().unwrap_or_else(PoisonError::into_inner);
        while waiters.try_join_next().is_some() {}
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        waiters.spawn(async move {
            let reading = process_io::keep(stdout, stderr, &output);
            let mut reading = std::pin::pin!(reading);
            let code = tokio::select! {
                () = &mut reading => child.wait().await,
                code = child.wait() => {
                    // What it said last is in the pipes yet; what it started may hold them open for ever.
                    let _ = tokio::time::timeout(LAST_WORDS, &mut reading).await;
                    code
                }
            };
            output.close();
            let code = code.map_or(-1, exit_code);
            let exit = Exit { code, out_of_memory: false, at: None };
            has_ended.send_replace(true);
            let _ = ended.send(Sign::Exited { run, container, exit }).await;
        });
        has_ended_rx
    }
}

/// A process has the host's network, processes and memory anyway, and no mounts: a volume of its own it may do without.
fn refuse_what_needs_an_engine(spec: &TaskSpec) -> Result<(), RuntimeError> {
    let privileges = spec.privileges.as_deref();
    let asks = |is_so: fn(&Privileges) -> bool| privileges.is_some_and(is_so);
    let what = [
        ("paths of the host", spec.host_paths().next().is_some()),
        ("devices", asks(|privileges| !privileges.devices.is_empty())),
        ("capabilities", asks(|privileges| !privileges.cap_add.is_empty())),
        ("privileges", asks(|privileges| privileges.privileged)),
    ];
    match what.iter().find(|(_, is_asked)| *is_asked) {
        None => Ok(()),
        Some((what, _)) => Err(RuntimeError::Refused(format!(
            "this worker runs plain processes and can't give them {what}; that needs a container engine"
        ))),
    }
}

/// As a shell has it: 128 and the signal's number for a process that was killed.
pub(super) fn exit_code(status: std::process::ExitStatus) -> i64 {
    use std::os::unix::process::ExitStatusExt as _;
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
    code.unwrap_or(-1).into()
}

/// A process shares the host's ports: a fixed one is the one asked for, an open one is chosen here, and the
/// first is told in `PORT`.
fn host_ports(spec: &TaskSpec) -> BTreeMap<String, Vec<HostPort>> {
    let bound = spec.port_bindings.iter().flatten().map(|(port, host)| (port.clone(), host.clone()));
    let exposed = spec.exposed_ports.iter().flatten().map(|port| (port.clone(), String::new()));
    // A binding says more than the exposure of the same port, so it comes last.
    let wanted: BTreeMap<String, String> = exposed.chain(bound).collect();
    let published = wanted.into_iter().map(|(port, host)| {
        let host_port = if host.is_empty() || host == "0" { free_port() } else { host };
        (port, vec![HostPort { host_ip: Ipv4Addr::LOCALHOST.to_string(), host_port }])
    });
    published.collect()
}

fn free_port() -> String {
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr());
    port.map_or_else(|_| "0".to_owned(), |address| address.port().to_string())
}

/// Where a port of the process is: the one it was told to take, or the one that the probe names.
fn port_on_host(found: &Found, port: Option<u16>) -> Option<u16> {
    let published = |port: u16| found.host_ports.get(&format!("{port}/tcp"))?.first()?.host_port.parse().ok();
    let port = port.or_else(|| found.task.spec.tcp_ports().first().copied())?;
    published(port).or(Some(port))
}

/// A command with the task's variables: there is no inside to run it in.
async fn run_beside(spec: &TaskSpec, words: &[String], timeout: Duration) -> Probed {
    let Some((program, arguments)) = words.split_first() else {
        return Probed::Failed("no command".to_owned());
    };
    let variables = spec.env.iter().map(|variable| variable.split_once('=').unwrap_or((variable, "")));
    let child = Command::new(program)
        .args(arguments)
        .envs(variables)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn();
    let mut child = match child {
        Ok(child) => child,
        Err(error) => return Probed::Failed(format!("{program}: {error}")),
    };
    let (mut out, mut err) = (FirstLine::default(), FirstLine::default());
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let end = async {
        let read_out = async {
            if let Some(stdout) = stdout {
                out.read(stdout).await;
            }
        };
        let read_err = async {
            if let Some(stderr) = stderr {
                err.read(stderr).await;
            }
        };
        tokio::join!(child.wait(), read_out, read_err).0
    };
    match tokio::time::timeout(timeout, end).await {
        Ok(Ok(status)) => {
            let line = if out.text().is_empty() { err.text() } else { out.text() };
            Probed::of_command(exit_code(status), &line)
        }
        Ok(Err(error)) => Probed::Unknown(error.to_string()),
        Err(_) => Probed::timed_out(timeout),
    }
}

impl Runtime for Process {
    async fn start(&self, task: &Task, secrets: &Given) -> Result<Started, RuntimeError> {
        let run = Run::of(task);
        let there = self
            .children()
            .values()
            .find(|running| running.found.run == run)
            .map(|running| running.found.container.clone());
        if let Some(container) = there {
            return Ok(Started { container, was_there: true });
        }
        let mut command = self.command(task)?;
        let host_ports = host_ports(&task.spec);
        if let Some(port) = host_ports.values().flatten().next() {
            command.env("PORT", &port.host_port);
        }
        command.envs(secrets.variables.iter().map(|(name, value)| (name, &**value)));
        // A process has no files of its own: the folder where its secrets lie stands for /run/secrets.
        if let Some(folder) = secrets.files.first().and_then(|file| file.source.parent()) {
            command.env("CUBE_SECRETS_DIR", folder);
        }
        let child = command.spawn().map_err(|error| {
            let program = command.as_std().get_program().to_string_lossy();
            RuntimeError::Refused(format!("{program}: {error}"))
        })?;
        let container = {
            let mut created = self.created.lock().unwrap_or_else(PoisonError::into_inner);
            *created += 1;
            format!("process-{}-{created}", child.id().unwrap_or_default())
        };
        let pid = child.id().and_then(|pid| Pid::from_raw(pid.cast_signed()));
        let state = FoundState::Running;
        let started = Some(Timestamp::now());
        let found =
            Found { run, container: container.clone(), state, task: task.clone(), host_ports, started };
        let mut children = self.children();
        let output = KeptOutput::default();
        let has_ended = self.wait_for(child, &found, output.clone());
        children.insert(container.clone(), Running { found, pid, has_ended, output });
        Ok(Started { container, was_there: false })
    }

    async fn pull(&self, image: &str, _progress: mpsc::Sender<String>) -> Result<(), RuntimeError> {
        if self.images.contains_key(image) {
            return Ok(());
        }
        Err(RuntimeError::Refused(format!("image {image} not found: this worker runs plain processes")))
    }

    async fn stop(&self, container: &str, grace: Duration) -> Result<(), RuntimeError> {
        let running = self.children().get(container).map(|running| (running.pid, running.has_ended.clone()));
        let Some((pid, mut has_ended)) = running else { return Ok(()) };
        for (signal, patience) in [(Signal::TERM, grace), (Signal::KILL, KILL_DEADLINE)] {
            if *has_ended.borrow() {
                break;
            }
            if let Some(pid) = pid {
                // An error says that it is gone, which is what is waited for.
                let _ = kill_process_group(pid, signal);
            }
            let _ = tokio::time::timeout(patience, has_ended.wait_for(|ended| *ended)).await;
        }
        if !*has_ended.borrow() {
            return Err(RuntimeError::Unreachable("the process did not end after SIGKILL".to_owned()));
        }
        self.children().remove(container);
        Ok(())
    }

    async fn remove(&self, container: &str) -> Result<(), RuntimeError> {
        self.children().remove(container);
        Ok(())
    }

    async fn probe(&self, container: &str, probe: &Probe, timeout: Duration) -> Probed {
        let found = self.children().get(container).map(|running| running.found.clone());
        let Some(found) = found else { return Probed::Unknown("the process is gone".to_owned()) };
        if let Probe::Command(words) = probe {
            return run_beside(&found.task.spec, words, timeout).await;
        }
        match port_on_host(&found, probe.port()) {
            Some(port) => self.prober.ask((Ipv4Addr::LOCALHOST, port).into(), probe, timeout).await,
            None => {
                Probed::Failed("the task exposes no TCP port; name one, as in http:8080/health".to_owned())
            }
        }
    }

    async fn inspect(&self, container: &str) -> Result<Option<Found>, RuntimeError> {
        Ok(self.children().get(container).map(|running| running.found.clone()))
    }

    async fn list(&self) -> Result<Vec<Found>, RuntimeError> {
        Ok(self.children().values().map(|running| running.found.clone()).collect())
    }

    async fn watch(&self, signs: mpsc::Sender<Sign>) {
        let all = self.children().values().map(|running| running.found.clone()).collect();
        if signs.send(Sign::Listed(all)).await.is_err() {
            return;
        }
        let mut ended = self.ended_rx.lock().await;
        while let Some(sign) = ended.recv().await {
            if let Sign::Exited { container, exit, .. } = &sign
                && let Some(running) = self.children().get_mut(container)
            {
                running.found.state = FoundState::Exited(*exit);
            }
            if signs.send(sign).await.is_err() {
                return;
            }
        }
    }

    async fn logs(&self, container: &str, query: LogsQuery) -> Result<LogLines, RuntimeError> {
        let output = self.children().get(container).map(|running| running.output.clone());
        let gone = || RuntimeError::Refused("the process is gone, and its output with it".to_owned());
        Ok(output.ok_or_else(gone)?.read(query))
    }

    /// Beside the task's process: there is no inside to run it in.
    async fn exec(
        &self,
        container: &str,
        exec: &Exec,
        input: mpsc::Receiver<ExecInput>,
        output: mpsc::Sender<ExecOutput>,
    ) -> Result<i64, RuntimeError> {
        let spec = self.children().get(container).map(|running| running.found.task.spec.clone());
        let spec = spec.ok_or_else(|| RuntimeError::Refused("the process is gone".to_owned()))?;
        process_io::exec(&spec, exec, input, output).await
    }

    fn usage(&self, container: &str) -> Option<Usage> {
        let pid = self.children().get(container)?.pid?.as_raw_nonzero();
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // After the name, which may hold anything, in brackets: fields 3 and up (proc(5)).
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let number = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
        // utime and stime are in ticks of 1/100 s, the resident size in pages of 4 KiB.
        Some(Usage { cpu_ns: (number(14)? + number(15)?) * 10_000_000, memory_bytes: number(24)? * 4096 })
    }
}
