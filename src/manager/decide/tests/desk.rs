//! A manager's core on virtual time: what it is given, and what comes of it.

use super::*;

pub(super) struct Desk {
    pub(super) manager: Manager,
    pub(super) since_start: Duration,
    pub(super) log: Vec<Arc<crate::cluster::Change>>,
}

pub(super) fn id(name: &str) -> WorkerId {
    WorkerId::from(name)
}

pub(super) fn event(spec: TaskSpec) -> TaskEvent {
    let spec = TaskSpec { image: "busy:1".into(), ..spec };
    TaskEvent::start(
        Task { id: TaskId::random(), spec: spec.into(), ..Task::default() },
        Timestamp::UNIX_EPOCH,
    )
}

impl Desk {
    pub(super) fn with(workers: &[&str]) -> Self {
        let mut desk = Self { manager: Manager::default(), since_start: Duration::ZERO, log: vec![] };
        desk.start(workers);
        for worker in workers {
            desk.up(worker);
        }
        desk
    }

    pub(super) fn start(&mut self, workers: &[&str]) {
        let workers =
            workers.iter().map(|worker| ConfiguredWorker { id: id(worker), insecure: false }).collect();
        self.give(Input::Started { workers });
    }

    pub(super) fn up(&mut self, worker: &str) {
        self.give(up(worker));
    }

    pub(super) fn now(&self) -> Now {
        Now { wall: Timestamp::UNIX_EPOCH + self.since_start, since_start: self.since_start }
    }

    pub(super) fn give(&mut self, input: Input) -> Decision {
        let decision = self.manager.handle(self.now(), input);
        self.log.extend(decision.changes.iter().cloned());
        self.check_maps();
        decision
    }

    /// Lets time pass, ticking whenever the manager asks for it.
    pub(super) fn wait(&mut self, wait: Duration) -> Vec<Effect> {
        let end = self.since_start + wait;
        let mut effects = vec![];
        while let Some(due) = self.manager.next_wake().filter(|due| *due <= end) {
            self.since_start = due.max(self.since_start);
            effects.extend(self.give(Input::Tick).effects);
        }
        self.since_start = end;
        effects
    }

    pub(super) fn submit(&mut self, spec: TaskSpec) -> (TaskId, Vec<Effect>) {
        let event = event(spec);
        let task = event.task.id;
        let decision = self.give(Input::Submit { request: 1, cause: Cause::Command, events: vec![event] });
        (task, decision.effects)
    }

    pub(super) fn sent(&mut self, worker: &str, task: TaskId, outcome: SendOutcome) -> Vec<Effect> {
        let generation = self.task(task).task.status.generation;
        self.give(Input::Sent { worker: id(worker), task, generation, wish: Wish::Start, outcome }).effects
    }

    pub(super) fn report(&mut self, worker: &str, task: TaskId, state: State) -> Decision {
        self.report_with(worker, task, |task| task.status.state = state)
    }

    pub(super) fn report_with(
        &mut self,
        worker: &str,
        task: TaskId,
        change: impl FnOnce(&mut Task),
    ) -> Decision {
        let mut report = self.task(task).task.clone();
        change(&mut report);
        self.give(Input::WorkerTask { worker: id(worker), task: report })
    }

    pub(super) fn stop(&mut self, task: TaskId) -> Vec<Effect> {
        self.give(Input::Stop { request: 2, cause: Cause::Command, tasks: vec![task] }).effects
    }

    pub(super) fn task(&self, task: TaskId) -> crate::cluster::TaskRecord {
        self.manager.cluster().task(task).unwrap()
    }

    pub(super) fn state(&self, task: TaskId) -> State {
        self.task(task).state()
    }

    pub(super) fn reason(&self, task: TaskId) -> &str {
        self.manager.cluster().row(task).unwrap().reason()
    }

    pub(super) fn health(&self, worker: &str) -> WorkerHealth {
        self.manager.cluster().worker(&id(worker)).unwrap().health
    }

    /// Invariant 5, and that the log folds to the same cluster anywhere.
    pub(super) fn check_maps(&self) {
        let cluster = self.manager.cluster();
        for worker in cluster.workers() {
            for task in cluster.tasks_of(&worker.id) {
                assert_eq!(cluster.worker_of(task), Some(&worker.id));
            }
        }
        for record in cluster.task_db() {
            let is_pending = record.state() == State::Pending;
            assert_eq!(record.queued.is_some(), is_pending, "{record:?}");
            if let Some(worker) = cluster.worker_of(record.task.id) {
                assert!(cluster.tasks_of(worker).any(|task| task == record.task.id));
            }
        }
        for worker in cluster.workers() {
            assert_eq!(cluster.reserved(&worker.id), Some(&cluster.count_reserved(&worker.id)));
        }
        let mut mirror = Cluster::default();
        for change in &self.log {
            mirror.apply(change);
        }
        assert_eq!(mirror.revision(), cluster.revision());
        for state in State::ALL {
            let counted = cluster.task_db().filter(|record| record.state() == state).count();
            assert_eq!(cluster.count(state), counted);
            assert_eq!(mirror.count(state), counted);
        }
    }
}

pub(super) fn up(worker: &str) -> Input {
    let (worker, capacity) = (id(worker), Capacity::default());
    Input::WorkerUp {
        worker,
        peer: Peer::Cube,
        capacity,
        runtime_problem: String::new(),
        facts: Box::default(),
        allows: None,
    }
}

pub(super) fn starts(effects: &[Effect]) -> Vec<(&str, u32)> {
    effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Send { worker, wish: Wish::Start, task } => {
                Some((worker.as_str(), task.status.generation))
            }
            _ => None,
        })
        .collect()
}

pub(super) fn stops(effects: &[Effect]) -> Vec<(&str, u32)> {
    effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Send { worker, wish: Wish::Stop, task } => {
                Some((worker.as_str(), task.status.generation))
            }
            _ => None,
        })
        .collect()
}

pub(super) fn refused(status: u16, message: &str) -> SendOutcome {
    SendOutcome::Refused { status, message: message.into() }
}

pub(super) fn lost() -> SendOutcome {
    SendOutcome::Failed { reason: "no answer in time".into(), may_have_arrived: true }
}

pub(super) fn down() -> SendOutcome {
    SendOutcome::Failed { reason: "connection refused".into(), may_have_arrived: false }
}
