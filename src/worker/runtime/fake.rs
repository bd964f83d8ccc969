//! An engine that only exists in memory: every start succeeds at once, unless a script says otherwise. For tests
//! and benches. Knows no clock.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use tokio::sync::{broadcast, mpsc, watch};

use super::{
    Exec, ExecInput, ExecOutput, Exit, Found, FoundState, Given, LogLines, LogsQuery, OutputStream, Probed,
    Run, Runtime, RuntimeError, Sign, Started, kept_output::KeptOutput,
};
use crate::cluster::Capacity;
use crate::task::{HostPort, Probe, Task, TaskId};

/// How tasks of one image behave; the default runs for ever.
#[derive(Clone, Debug, Default)]
pub struct Script {
    /// Starts fail with this.
    pub refuse: Option<String>,
    /// Ends by itself at once.
    pub exit: Option<i64>,
    /// Must be pulled first.
    pub must_pull: bool,
    /// Pulls fail with this.
    pub refuse_pull: Option<String>,
    /// Says this when it starts, a line each.
    pub says: Vec<(OutputStream, String)>,
    /// Probes fail with this.
    pub fail_probe: Option<String>,
}

/// The engine; clones are the same one.
#[derive(Clone, Debug)]
pub struct Fake {
    engine: Arc<Mutex<Engine>>,
    /// What happens, for `watch`.
    signs: broadcast::Sender<Sign>,
    /// Starts wait while this is true.
    is_hung: watch::Sender<bool>,
}

#[derive(Debug, Default)]
struct Engine {
    containers: BTreeMap<String, Found>,
    outputs: HashMap<String, KeptOutput>,
    scripts: HashMap<String, Script>,
    created: u64,
    /// Every start that was carried out.
    starts: u64,
    problem: String,
    /// What it has, if that is not all of the host.
    capacity: Option<Capacity>,
    is_faulty: bool,
    /// The next sign is lost to a fault of whoever watches.
    is_blind: bool,
}

impl Default for Fake {
    fn default() -> Self {
        Self {
            engine: Arc::default(),
            // Enough for everything that happens between two looks of a watcher; a slower one gets a list.
            signs: broadcast::channel(1024).0,
            is_hung: watch::channel(false).0,
        }
    }
}

impl Fake {
    /// Sets how tasks of `image` behave from now on.
    pub fn script(&self, image: &str, script: Script) {
        self.engine().scripts.insert(image.to_owned(), script);
    }

    /// How many containers were started so far.
    pub fn starts(&self) -> u64 {
        self.engine().starts
    }

    /// From now on its worker panics that asks what it has.
    pub fn break_off(&self) {
        self.engine().is_faulty = true;
    }

    /// Whoever watches panics at the next sign, which is lost with that.
    pub fn blind(&self) {
        self.engine().is_blind = true;
    }

    /// The containers that are there.
    pub fn containers(&self) -> Vec<Found> {
        self.engine().containers.values().cloned().collect()
    }

    /// The task's running container ends by itself.
    pub fn exit(&self, task: TaskId, code: i64) {
        let exit = Exit { code, out_of_memory: false, at: None };
        let mut engine = self.engine();
        let running = engine
            .containers
            .values_mut()
            .find(|found| found.run.task == task && found.state == FoundState::Running);
        if let Some(found) = running {
            found.state = FoundState::Exited(exit);
            let container = found.container.clone();
            let found = found.clone();
            if let Some(output) = engine.outputs.get(&container) {
                output.close();
            }
            let _ =
                self.signs.send(Sign::Exited { run: found.run, container: found.container.clone(), exit });
        }
    }

    /// The task's newest container says a line.
    pub fn say(&self, task: TaskId, time: Timestamp, stream: OutputStream, text: &str) {
        let mut engine = self.engine();
        let theirs = engine.containers.values().filter(|found| found.run.task == task);
        let newest = theirs.max_by_key(|found| found.run).map(|found| found.container.clone());
        if let Some(output) = newest.and_then(|container| engine.output(&container)) {
            output.push(time, stream, text.to_owned().into());
        }
    }

    /// Somebody else removes the task's containers.
    pub fn remove_all_of(&self, task: TaskId) {
        let mut engine = self.engine();
        let theirs: Vec<Found> =
            engine.containers.values().filter(|found| found.run.task == task).cloned().collect();
        for found in theirs {
            engine.remove(&found.container);
            let _ = self.signs.send(Sign::Gone { run: found.run, container: found.container });
        }
    }

    /// The engine goes away (with the reason), or comes back (with "").
    pub fn set_problem(&self, problem: &str) {
        problem.clone_into(&mut self.engine().problem);
        let _ = self.signs.send(Sign::Health(problem.to_owned()));
        if problem.is_empty() {
            let _ = self.signs.send(Sign::Listed(self.containers()));
        }
    }

    /// From now on it has no more than this.
    pub fn set_capacity(&self, capacity: Capacity) {
        self.engine().capacity = Some(capacity);
    }

    /// Starts wait until this is called with false.
    pub fn hang(&self, is_hung: bool) {
        self.is_hung.send_replace(is_hung);
    }

    fn engine(&self) -> MutexGuard<'_, Engine> {
        // A lock, because calls are short and never wait inside; a test that panicked with it spoils nothing.
        self.engine.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn running(&self) -> Result<MutexGuard<'_, Engine>, RuntimeError> {
        let engine = self.engine();
        if engine.problem.is_empty() {
            Ok(engine)
        } else {
            Err(RuntimeError::Unreachable(engine.problem.clone()))
        }
    }
}

impl Engine {
    fn start(&mut self, task: &Task) -> Result<(Started, Option<Exit>), RuntimeError> {
        let image = &task.spec.image;
        let script = self.scripts.get(image).cloned().unwrap_or_default();
        if script.must_pull {
            return Err(RuntimeError::ImageMissing(image.clone()));
        }
        if let Some(reason) = script.refuse {
            return Err(RuntimeError::Refused(reason));
        }
        let run = Run::of(task);
        self.created += 1;
        self.starts += 1;
        let container = format!("fake-{}-{}", task.id.short(), self.created);
        let exit = script.exit.map(|code| Exit { code, out_of_memory: false, at: None });
        let ports = task.spec.port_bindings.iter().flatten();
        let host_ports = ports.map(|(port, host_port)| {
            let host_port = HostPort { host_ip: "127.0.0.1".to_owned(), host_port: host_port.clone() };
            (port.clone(), vec![host_port])
        });
        let found = Found {
            run,
            container: container.clone(),
            state: exit.map_or(FoundState::Running, FoundState::Exited),
            task: task.clone(),
            host_ports: host_ports.collect(),
            started: None,
        };
        self.containers.insert(container.clone(), found);
        for (stream, text) in script.says {
            let output = self.outputs.entry(container.clone()).or_default();
            output.push(Timestamp::now(), stream, text.into());
        }
        Ok((Started { container, was_there: false }, exit))
    }

    /// Made when somebody speaks or listens: most containers of a bench do neither.
    fn output(&mut self, container: &str) -> Option<KeptOutput> {
        let found = self.containers.get(container)?;
        let output = self.outputs.entry(container.to_owned()).or_default();
        if matches!(found.state, FoundState::Exited(_)) {
            output.close();
        }
        Some(output.clone())
    }

    fn remove(&mut self, container: &str) -> Option<Found> {
        if let Some(output) = self.outputs.remove(container) {
            output.close();
        }
        self.containers.remove(container)
    }
}

impl Runtime for Fake {
    fn share_of(&self, host: Capacity) -> Capacity {
        let engine = self.engine();
        assert!(!engine.is_faulty, "a fault on purpose");
        engine.capacity.unwrap_or(host)
    }

    async fn start(&self, task: &Task, _secrets: &Given) -> Result<Started, RuntimeError> {
        if *self.is_hung.borrow() {
            // An error would be the sender gone, and `self` holds it.
            let _ = self.is_hung.subscribe().wait_for(|is_hung| !is_hung).await;
        }
        let (started, exit) = self.running()?.start(task)?;
        if let Some(exit) = exit {
            let container = started.container.clone();
            let _ = self.signs.send(Sign::Exited { run: Run::of(task), container, exit });
        }
        Ok(started)
    }

    async fn pull(&self, image: &str, progress: mpsc::Sender<String>) -> Result<(), RuntimeError> {
        let _ = progress.send("pulling 37 %".to_owned()).await;
        let mut engine = self.running()?;
        let script = engine.scripts.entry(image.to_owned()).or_default();
        if let Some(reason) = &script.refuse_pull {
            return Err(RuntimeError::Refused(format!("image {image} not found: {reason}")));
        }
        script.must_pull = false;
        Ok(())
    }

    async fn stop(&self, container: &str, _grace: Duration) -> Result<(), RuntimeError> {
        let removed = self.running()?.remove(container);
        if let Some(found) = removed
            && found.state == FoundState::Running
        {
            let exit = Exit { code: 143, out_of_memory: false, at: None };
            let _ = self.signs.send(Sign::Exited { run: found.run, container: found.container, exit });
        }
        Ok(())
    }

    async fn remove(&self, container: &str) -> Result<(), RuntimeError> {
        self.running()?.remove(container);
        Ok(())
    }

    async fn inspect(&self, container: &str) -> Result<Option<Found>, RuntimeError> {
        Ok(self.running()?.containers.get(container).cloned())
    }

    async fn list(&self) -> Result<Vec<Found>, RuntimeError> {
        Ok(self.running()?.containers.values().cloned().collect())
    }

    async fn probe(&self, container: &str, _probe: &Probe, _timeout: Duration) -> Probed {
        let engine = match self.running() {
            Ok(engine) => engine,
            Err(error) => return Probed::Unknown(error.to_string()),
        };
        let image = engine.containers.get(container).map(|found| &found.task.spec.image);
        let failure = image.and_then(|image| engine.scripts.get(image)?.fail_probe.clone());
        failure.map_or(Probed::Passed, Probed::Failed)
    }

    async fn logs(&self, container: &str, query: LogsQuery) -> Result<LogLines, RuntimeError> {
        let output = self.running()?.output(container);
        let gone = || RuntimeError::Refused(format!("there is no container {container}"));
        Ok(output.ok_or_else(gone)?.read(query))
    }

    /// Says what it hears, and ends with the number that is its first argument, or 0.
    async fn exec(
        &self,
        _container: &str,
        exec: &Exec,
        mut input: mpsc::Receiver<ExecInput>,
        output: mpsc::Sender<ExecOutput>,
    ) -> Result<i64, RuntimeError> {
        let code = exec.cmd.get(1).and_then(|code| code.parse().ok()).unwrap_or(0);
        while let Some(input) = input.recv().await {
            let bytes = match input {
                ExecInput::Stdin(bytes) => bytes,
                ExecInput::Resize(size) => format!("{}x{}\n", size.columns, size.rows).into(),
                ExecInput::StdinEnd => return Ok(code),
            };
            if output.send(ExecOutput { stream: OutputStream::Stdout, bytes }).await.is_err() {
                break;
            }
        }
        Err(RuntimeError::Unreachable("whoever ran this command has gone".to_owned()))
    }

    async fn watch(&self, signs: mpsc::Sender<Sign>) {
        let mut happening = self.signs.subscribe();
        let first = match self.list().await {
            Ok(all) => Sign::Listed(all),
            Err(error) => Sign::Health(error.to_string()),
        };
        let mut next = Some(first);
        loop {
            let sign = match next.take() {
                Some(sign) => sign,
                None => match happening.recv().await {
                    Ok(sign) => sign,
                    Err(broadcast::error::RecvError::Lagged(_)) => Sign::Listed(self.containers()),
                    Err(broadcast::error::RecvError::Closed) => return,
                },
            };
            assert!(!std::mem::take(&mut self.engine().is_blind), "a fault on purpose");
            if signs.send(sign).await.is_err() {
                return;
            }
        }
    }
}
