//! An engine that only exists in memory: every start succeeds at once, unless a script says otherwise. For tests
//! and benches. Knows no clock.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::{broadcast, mpsc, watch};

use super::{Exit, Found, FoundState, Probed, Run, Runtime, RuntimeError, Sign, Started};
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
    scripts: HashMap<String, Script>,
    created: u64,
    /// Every start that was carried out.
    starts: u64,
    problem: String,
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
            let _ =
                self.signs.send(Sign::Exited { run: found.run, container: found.container.clone(), exit });
        }
    }

    /// Somebody else removes the task's containers.
    pub fn remove_all_of(&self, task: TaskId) {
        let mut engine = self.engine();
        let theirs: Vec<Found> =
            engine.containers.values().filter(|found| found.run.task == task).cloned().collect();
        for found in theirs {
            engine.containers.remove(&found.container);
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
        Ok((Started { container, was_there: false }, exit))
    }
}

impl Runtime for Fake {
    async fn start(&self, task: &Task) -> Result<Started, RuntimeError> {
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
        let removed = self.running()?.containers.remove(container);
        if let Some(found) = removed
            && found.state == FoundState::Running
        {
            let exit = Exit { code: 143, out_of_memory: false, at: None };
            let _ = self.signs.send(Sign::Exited { run: found.run, container: found.container, exit });
        }
        Ok(())
    }

    async fn remove(&self, container: &str) -> Result<(), RuntimeError> {
        self.running()?.containers.remove(container);
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
            if signs.send(sign).await.is_err() {
                return;
            }
        }
    }
}
