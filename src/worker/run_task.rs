//! Brings one task closer to what is wished for it: the next effect, and what its result means. Knows no engine.

use std::time::Duration;

use super::{
    core::{Effect, Input, Phase, STOPPED, STOPPING, Wish, Worker},
    engine_restart::is_again,
    report::{LEASE_GRACE, Report},
    runtime::{Found, Run, RuntimeError, Started},
};
use crate::{
    cluster::Progress,
    task::{NetworkMode, PullPolicy, State, TaskId, TaskSpec},
};

/// Attempts at a start that end without the engine's word, before the task is given up. An engine that is
/// known to be away does not use them up.
const START_ATTEMPTS: u32 = 5;

/// Between attempts: doubled from the first to the last.
const FIRST_RETRY: Duration = Duration::from_secs(1);
const LAST_RETRY: Duration = Duration::from_secs(30);

impl Worker {
    /// Compares what is there with what is wished for, and asks for the next step.
    pub(super) fn run_task(&mut self, id: TaskId) {
        let Some(entry) = self.task_db.get_mut(&id) else { return };
        let generation = entry.task.status.generation;
        match (entry.wish, &entry.phase) {
            (Wish::Run, Phase::None | Phase::Queued | Phase::Waiting | Phase::Pulling { .. })
                if entry.has_lapsed =>
            {
                if let Phase::Pulling { image } = std::mem::replace(&mut entry.phase, Phase::None) {
                    self.leave_pull(&image, id);
                }
                self.end_lapsed(id);
            }
            (Wish::Run, Phase::None) => {
                if !entry.task.status.state.has_ended() {
                    self.queue_or_pull(id);
                }
            }
            (Wish::Run, Phase::Live { generation: live, container }) => {
                if *live < generation || entry.has_lapsed || entry.unhealthy().is_some() {
                    let container = container.clone();
                    self.stop_container(id, container);
                }
            }
            (_, Phase::Stopping { container, .. }) if entry.has_lapsed => {
                // For another reason, and with a grace that the lease does not have.
                let container = container.clone();
                self.out.effects.push(Effect::Stop { task: id, container, grace: LEASE_GRACE });
            }
            (Wish::Stop, Phase::None | Phase::Queued | Phase::Waiting) if is_again(&entry.task) => {
                self.stop_before_start_again(id);
            }
            (Wish::Stop, Phase::None | Phase::Queued | Phase::Waiting) => {
                entry.phase = Phase::None;
                self.end(id, State::Completed, None, "stopped before it started".to_owned());
            }
            (Wish::Stop, Phase::Pulling { image }) => {
                let image = image.clone();
                entry.phase = Phase::None;
                self.leave_pull(&image, id);
                self.end(id, State::Completed, None, "stopped before it started".to_owned());
            }
            (Wish::Stop, Phase::Live { container, .. }) => {
                let container = container.clone();
                self.stop_container(id, container);
            }
            // What is under way is waited for; its result comes back here.
            (Wish::Run, Phase::Queued | Phase::Pulling { .. } | Phase::Waiting)
            | (Wish::Run | Wish::Stop, Phase::Starting { .. } | Phase::Stopping { .. }) => {}
        }
    }

    /// Starts as many of the queue as there are slots.
    pub(super) fn fill_slots(&mut self) {
        while self.starting < self.limits.start_concurrency && self.runtime_problem.is_empty() {
            let Some(id) = self.queue.pop_front() else { return };
            let Some(entry) = self.task_db.get_mut(&id) else { continue };
            if entry.phase != Phase::Queued {
                continue;
            }
            let generation = entry.task.status.generation;
            entry.phase = Phase::Starting { generation, early: Vec::new() };
            self.starting += 1;
            self.out.effects.push(Effect::Start { task: entry.task.clone() });
        }
    }

    fn queue_or_pull(&mut self, id: TaskId) {
        let Some(entry) = self.task_db.get_mut(&id) else { return };
        if entry.task.spec.pull_policy == PullPolicy::Always && !entry.is_pulled {
            self.pull(id);
        } else {
            entry.phase = Phase::Queued;
            self.queue.push_back(id);
        }
    }

    fn pull(&mut self, id: TaskId) {
        let Some(entry) = self.task_db.get_mut(&id) else { return };
        let image = entry.task.spec.image.clone();
        entry.phase = Phase::Pulling { image: image.clone() };
        // Everybody who wants an image waits for the same pull.
        let waiting = self.pulls.entry(image.clone()).or_default();
        waiting.push(id);
        if waiting.len() == 1 {
            self.out.effects.push(Effect::Pull { image });
        }
        self.progress(id, "pulling");
    }

    fn leave_pull(&mut self, image: &str, id: TaskId) {
        if let Some(waiting) = self.pulls.get_mut(image) {
            waiting.retain(|task| *task != id);
            if waiting.is_empty() {
                self.pulls.remove(image);
                self.out.effects.push(Effect::AbandonPull { image: image.to_owned() });
            }
        }
        self.progress(id, "");
    }

    pub(super) fn pull_progress(&mut self, image: &str, text: &str) {
        for task in self.pulls.get(image).cloned().unwrap_or_default() {
            self.progress(task, text);
        }
    }

    fn progress(&mut self, task: TaskId, text: &str) {
        self.out.reports.push(Report::Progress(Progress { task, text: text.to_owned() }));
    }

    pub(super) fn pulled(&mut self, image: &str, result: &Result<(), RuntimeError>) {
        for id in self.pulls.remove(image).unwrap_or_default() {
            self.progress(id, "");
            let Some(entry) = self.task_db.get_mut(&id) else { continue };
            if entry.phase != (Phase::Pulling { image: image.to_owned() }) {
                continue;
            }
            entry.phase = Phase::None;
            match result {
                Ok(()) => {
                    // A replacement with another image was noted meanwhile: that one is yet to be pulled.
                    entry.is_pulled = entry.task.spec.image == image;
                    self.run_task(id);
                }
                Err(error) => self.start_failed_with(id, error.clone()),
            }
        }
    }

    pub(super) fn started(&mut self, run: Run, started: Started) {
        let Started { container, was_there } = started;
        self.starting = self.starting.saturating_sub(1);
        let Some(entry) = self.task_db.get_mut(&run.task) else {
            // Nobody knows it any more: nobody would ever stop it.
            self.out.effects.push(Effect::Stop { task: run.task, container, grace: Duration::ZERO });
            return;
        };
        let early = match std::mem::replace(&mut entry.phase, Phase::None) {
            Phase::Starting { early, .. } => early,
            other => {
                debug_assert!(false, "started while {other:?}");
                Vec::new()
            }
        };
        entry.phase = Phase::Live { generation: run.generation, container: container.clone() };
        entry.attempts = 0;
        entry.killed = None;
        let is_current = entry.task.status.generation == run.generation;
        let was_again = is_again(&entry.task);
        if is_current {
            entry.task.status.container_id.clone_from(&container);
        }
        if is_current && entry.wish == Wish::Run {
            let status = &mut entry.task.status;
            status.state = State::Running;
            status.start_time = Some(self.now);
            status.reason.clear();
            let is_worth_a_look = was_there || publishes_ports(&entry.task.spec);
            self.begin_checks(run.task);
            self.report(run.task);
            if is_worth_a_look {
                self.out.effects.push(Effect::Inspect { run, container });
            }
        }
        for input in early {
            match input {
                // It may tell of the end before.
                Input::Exited { run, container, .. } | Input::Found(Found { run, container, .. })
                    if was_again =>
                {
                    self.out.effects.push(Effect::Inspect { run, container });
                }
                Input::Exited { run, container, exit } => self.exited(run, container, exit),
                Input::Gone { run, container } => self.gone(run, container),
                Input::Found(found) => self.found(found),
                _ => {}
            }
        }
        self.run_task(run.task);
    }

    pub(super) fn start_failed(&mut self, run: Run, error: RuntimeError) {
        self.starting = self.starting.saturating_sub(1);
        let Some(entry) = self.task_db.get_mut(&run.task) else { return };
        if let Phase::Starting { early, .. } = std::mem::replace(&mut entry.phase, Phase::None) {
            self.seen_meanwhile(early);
        }
        let Some(entry) = self.task_db.get_mut(&run.task).filter(|entry| entry.phase == Phase::None) else {
            return;
        };
        if entry.task.status.generation != run.generation || entry.wish == Wish::Stop {
            self.run_task(run.task);
            return;
        }
        entry.may_run |= error.is_temporary();
        let policy = entry.task.spec.pull_policy;
        match error {
            RuntimeError::ImageMissing(image) if policy == PullPolicy::Never => {
                let reason = format!("image {image} is not on this machine, and PullPolicy is never");
                self.end_unstarted(run.task, reason);
            }
            RuntimeError::ImageMissing(_) if !entry.is_pulled => self.pull(run.task),
            error => self.start_failed_with(run.task, error),
        }
    }

    /// The engine carried a start out although its answer says otherwise: what was heard of its container counts.
    fn seen_meanwhile(&mut self, early: Vec<Input>) {
        for input in early {
            match input {
                Input::Found(found) => self.found(found),
                // The last word may be later than what was found.
                Input::Up { run, container }
                | Input::Exited { run, container, .. }
                | Input::Gone { run, container } => {
                    self.out.effects.push(Effect::Inspect { run, container });
                }
                _ => {}
            }
        }
    }

    /// A start that came to nothing: again later, or the end of the task.
    fn start_failed_with(&mut self, id: TaskId, error: RuntimeError) {
        let is_engine_away = !self.runtime_problem.is_empty();
        let Some(entry) = self.task_db.get_mut(&id) else { return };
        if error.is_temporary() && (is_engine_away || entry.attempts + 1 < START_ATTEMPTS) {
            if !is_engine_away {
                entry.attempts += 1;
            }
            entry.phase = Phase::Waiting;
            entry.task.status.reason = error.to_string();
            let after = backoff(entry.attempts);
            self.out.effects.push(Effect::Later { task: id, after });
            self.report(id);
            return;
        }
        let reason = match error {
            RuntimeError::ImageMissing(_) | RuntimeError::Unreachable(_) => format!("start failed: {error}"),
            RuntimeError::Refused(reason) if reason.starts_with("image ") => reason,
            RuntimeError::Refused(reason) => format!("start failed: {reason}"),
        };
        self.end_unstarted(id, reason);
    }

    /// The end of a start that came to nothing. Where nothing can have run, that is said: another worker may try.
    fn end_unstarted(&mut self, id: TaskId, reason: String) {
        let Some(entry) = self.task_db.get_mut(&id) else { return };
        entry.task.status.never_ran = !entry.may_run && !is_again(&entry.task);
        self.end(id, State::Failed, None, reason);
    }

    pub(super) fn wake(&mut self, id: TaskId) {
        self.stop_strays(id);
        let Some(entry) = self.task_db.get_mut(&id) else { return };
        match &entry.phase {
            Phase::Waiting => {
                entry.phase = Phase::None;
                self.run_task(id);
            }
            Phase::Live { .. } => self.run_task(id),
            Phase::None
            | Phase::Queued
            | Phase::Pulling { .. }
            | Phase::Starting { .. }
            | Phase::Stopping { .. } => {}
        }
    }

    fn stop_container(&mut self, id: TaskId, container: String) {
        let Some(entry) = self.task_db.get_mut(&id) else { return };
        if let Phase::Live { generation, .. } = entry.phase {
            entry.phase = Phase::Stopping { generation, container: container.clone() };
        }
        let grace = entry.task.spec.stop_timeout();
        let grace = if entry.has_lapsed { grace.min(LEASE_GRACE) } else { grace };
        let status = &mut entry.task.status;
        if entry.wish == Wish::Stop && status.state == State::Running && status.reason != STOPPING {
            STOPPING.clone_into(&mut status.reason);
            self.report(id);
        }
        self.out.effects.push(Effect::Stop { task: id, container, grace });
    }

    pub(super) fn stopped(&mut self, id: TaskId, container: &str, result: Result<(), RuntimeError>) {
        let Some((entry, generation)) = self.task_db.get_mut(&id).and_then(|entry| match &entry.phase {
            Phase::Stopping { generation, container: stopping } if stopping == container => {
                let generation = *generation;
                Some((entry, generation))
            }
            _ => None,
        }) else {
            self.stray_stopped(container, result.is_ok());
            return;
        };
        if let Err(error) = result {
            entry.attempts += 1;
            entry.phase = Phase::Live { generation, container: container.to_owned() };
            entry.task.status.reason = format!("stop failed, trying again: {error}");
            let after = backoff(entry.attempts);
            self.out.effects.push(Effect::Later { task: id, after });
            self.report(id);
            return;
        }
        let unhealthy = entry.unhealthy().map(str::to_owned);
        entry.phase = Phase::None;
        entry.attempts = 0;
        if entry.wish == Wish::Stop {
            self.end(id, State::Completed, None, STOPPED.to_owned());
        } else if entry.has_lapsed && entry.task.status.generation == generation {
            self.end_lapsed(id);
        } else if let Some(reason) = unhealthy {
            self.end(id, State::Failed, None, reason);
        }
        self.run_task(id);
    }
}

pub(super) fn backoff(attempts: u32) -> Duration {
    FIRST_RETRY.saturating_mul(1 << attempts.saturating_sub(1).min(10)).min(LAST_RETRY)
}

/// Whether the engine chooses or confirms host ports for this task.
fn publishes_ports(spec: &TaskSpec) -> bool {
    spec.network_mode == NetworkMode::Bridge
        && (spec.exposed_ports.as_ref().is_some_and(|ports| !ports.is_empty())
            || spec.port_bindings.as_ref().is_some_and(|ports| !ports.is_empty()))
}
