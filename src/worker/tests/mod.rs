//! The core as tables: what is there, what is heard, what follows.

mod adoption;
mod at_random;
mod ends;
mod engine_restart;
mod generations;
mod health;
mod kept;
mod lease;
mod starts;

use std::{collections::BTreeMap, sync::Arc};

use jiff::{SignedDuration, Timestamp};

use super::{
    core::{Effect, Input, Limits, Output, Worker},
    report::{EventAnswer, Report},
    runtime::{Exit, Found, FoundState, Run, RuntimeError, Started},
};
use crate::task::{HostPort, PullPolicy, State, Task, TaskEvent, TaskId, TaskSpec, TaskStatus};

/// A worker with its clock, in a test's hands.
struct Desk {
    worker: Worker,
    now: Timestamp,
}

impl Desk {
    fn new() -> Self {
        Self::with(Limits::default())
    }

    /// A worker that looked at its engine and found nothing.
    fn with(limits: Limits) -> Self {
        let mut desk = Self { worker: Worker::new(limits), now: Timestamp::UNIX_EPOCH };
        desk.give(Input::Listed(Vec::new()));
        desk
    }

    fn give(&mut self, input: Input) -> Output {
        self.now += SignedDuration::from_secs(1);
        self.worker.handle(self.now, input)
    }

    fn start(&mut self, task: &Task) -> Output {
        self.give(Input::Event(TaskEvent::start(task.clone(), self.now)))
    }

    fn stop(&mut self, task: &Task) -> Output {
        let event = TaskEvent { state: State::Completed, ..TaskEvent::start(task.clone(), self.now) };
        self.give(Input::Event(event))
    }

    fn started(&mut self, task: &Task, container: &str) -> Output {
        let started = Started { container: container.to_owned(), was_there: false };
        self.give(Input::Started { run: Run::of(task), started })
    }

    fn failed(&mut self, task: &Task, error: RuntimeError) -> Output {
        self.give(Input::StartFailed { run: Run::of(task), error })
    }

    fn exited(&mut self, task: &Task, container: &str, code: i64) -> Output {
        self.give(Input::Exited { run: Run::of(task), container: container.to_owned(), exit: exit(code) })
    }

    fn stopped(&mut self, task: &Task, container: &str, result: Result<(), RuntimeError>) -> Output {
        self.give(Input::Stopped { task: task.id, container: container.to_owned(), result })
    }

    /// A task that runs in container `c`.
    fn running(&mut self) -> Task {
        let task = task(1);
        self.start(&task);
        self.started(&task, "c");
        assert_eq!(self.status(&task).state, State::Running);
        task
    }

    fn status(&self, task: &Task) -> &TaskStatus {
        &self.worker.task(task.id).expect("a known task").status
    }

    fn state_and_reason(&self, task: &Task) -> (State, &str) {
        let status = self.status(task);
        (status.state, &status.reason)
    }
}

fn exit(code: i64) -> Exit {
    Exit { code, out_of_memory: false, at: None }
}

fn task(number: u128) -> Task {
    let spec = TaskSpec { name: format!("t{number}"), image: "busy:1".to_owned(), ..TaskSpec::default() };
    let status = TaskStatus { state: State::Scheduled, ..TaskStatus::default() };
    Task { id: TaskId(uuid::Uuid::from_u128(number)), spec: Arc::new(spec), status }
}

fn generation(task: &Task, generation: u32) -> Task {
    let mut task = task.clone();
    task.status.generation = generation;
    task
}

fn found(task: &Task, container: &str, state: FoundState) -> Found {
    Found {
        run: Run::of(task),
        container: container.to_owned(),
        state,
        task: task.clone(),
        host_ports: BTreeMap::new(),
        started: Some(Timestamp::UNIX_EPOCH),
    }
}

fn stop_of(task: &Task, container: &str) -> Effect {
    Effect::Stop { task: task.id, container: container.to_owned(), grace: task.spec.stop_timeout() }
}

fn remove_of(container: &str) -> Effect {
    Effect::Remove { container: container.to_owned() }
}

fn away() -> RuntimeError {
    RuntimeError::Unreachable("no answer".to_owned())
}

fn starts(output: &Output) -> Vec<Run> {
    let starts = output.effects.iter().filter_map(|effect| match effect {
        Effect::Start { task } => Some(Run::of(task)),
        _ => None,
    });
    starts.collect()
}

fn status_of(output: &Output) -> u16 {
    output.answer.as_ref().expect("a wish is answered").status
}
