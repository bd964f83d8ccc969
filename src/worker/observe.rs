//! What the engine shows of this worker's containers, at start (adoption) and ever after. Knows no engine.

use std::{cmp::Reverse, collections::HashSet};

use super::{
    core::{Effect, Entry, Input, Phase, Stray, Wish, Worker},
    report::Report,
    run_task::backoff,
    runtime::{Exit, Found, FoundState, Run},
};
use crate::task::{State, Task, TaskId, TaskStatus};

/// The reason when a container vanished and it wasn't us.
const REMOVED: &str = "container removed by someone else";

impl Worker {
    /// Every container of this worker. The first time that is what it adopts; later it is what it may have
    /// missed.
    pub(super) fn listed(&mut self, mut all: Vec<Found>) {
        // The newest generation of a task, the running one of two, is the one to adopt.
        all.sort_by_key(|found| (found.run.task, Reverse(found.run.generation), rank(found.state)));
        let there: HashSet<String> = all.iter().map(|found| found.container.clone()).collect();
        for found in all {
            self.found(found);
        }
        // A list is old by the time it is read, so whoever is missing in it gets asked for by name.
        for entry in self.task_db.values() {
            if let Phase::Live { generation, container } = &entry.phase
                && !there.contains(container)
            {
                let run = Run { task: entry.task.id, generation: *generation };
                self.out.effects.push(Effect::Inspect { run, container: container.clone() });
            }
        }
        if !self.has_adopted {
            self.has_adopted = true;
            self.runtime_problem.clear();
        }
        self.out.reports.push(Report::Tasks(self.tasks().cloned().collect()));
    }

    /// How one container stands.
    pub(super) fn found(&mut self, found: Found) {
        let Some(entry) = self.task_db.get_mut(&found.run.task) else {
            self.adopt(found);
            return;
        };
        let is_current = found.run.generation == entry.task.status.generation;
        match &mut entry.phase {
            Phase::Live { container, .. } if *container == found.container => match found.state {
                FoundState::Running => self.refresh(found),
                FoundState::Exited(exit) if self.ended_with_engine(found.run, exit) => {
                    self.start_again(found.run.task);
                }
                FoundState::Exited(exit) => self.has_exited(found.run, found.container, exit),
                FoundState::Removing => self.gone(found.run, found.container),
                FoundState::Created => {}
            },
            // Looked at again once the start is answered.
            Phase::Starting { generation, early } if *generation == found.run.generation => {
                early.push(Input::Found(found));
            }
            Phase::Stopping { container, .. } if *container == found.container => {}
            // A start that the engine carried out although its answer was lost.
            Phase::None | Phase::Queued | Phase::Waiting
                if is_current && !entry.task.status.state.has_ended() =>
            {
                self.late_start(found);
            }
            _ => self.stray(found),
        }
    }

    /// A container for a start that is thought to be still ahead.
    fn late_start(&mut self, found: Found) {
        let Some(entry) = self.task_db.get_mut(&found.run.task) else { return };
        let live = Phase::Live { generation: found.run.generation, container: found.container.clone() };
        match found.state {
            FoundState::Running => {
                entry.phase = live;
                self.refresh(found);
            }
            // It is about to be started again.
            FoundState::Exited(_) if entry.task.status.state == State::Running => {}
            FoundState::Exited(exit) => {
                entry.phase = live;
                entry.task.status.container_id.clone_from(&found.container);
                entry.task.status.start_time = found.started;
                self.has_exited(found.run, found.container, exit);
            }
            // The start finds it by its labels.
            FoundState::Created | FoundState::Removing => {}
        }
    }

    /// One of ours that nobody waits for: a live one must go, an ended one is kept within the limit.
    fn stray(&mut self, found: Found) {
        match found.state {
            FoundState::Running => {
                let grace = found.task.spec.stop_timeout();
                self.kept.forget(&found.container);
                self.strays.retain(|stray| stray.container != found.container);
                let (task, container) = (found.run.task, found.container);
                self.strays.push(Stray { task, container: container.clone(), grace, attempts: 0 });
                self.out.effects.push(Effect::Stop { task, container, grace });
            }
            FoundState::Created => self.out.effects.push(Effect::Remove { container: found.container }),
            FoundState::Exited(exit) => self.keep(found.run, found.container, exit),
            FoundState::Removing => {}
        }
    }

    /// What became of a stop that no task waits for. One that failed is tried again: no list may come for long.
    pub(super) fn stray_stopped(&mut self, container: &str, is_done: bool) {
        let Some(index) = self.strays.iter().position(|stray| stray.container == container) else { return };
        if is_done {
            self.strays.swap_remove(index);
            return;
        }
        let stray = &mut self.strays[index];
        stray.attempts += 1;
        self.out.effects.push(Effect::Later { task: stray.task, after: backoff(stray.attempts) });
    }

    pub(super) fn stop_strays(&mut self, task: TaskId) {
        for stray in self.strays.iter().filter(|stray| stray.task == task && stray.attempts > 0) {
            let (container, grace) = (stray.container.clone(), stray.grace);
            self.out.effects.push(Effect::Stop { task, container, grace });
        }
    }

    fn adopt(&mut self, found: Found) {
        let id = found.run.task;
        let status = TaskStatus {
            state: State::Scheduled,
            generation: found.run.generation,
            restart_count: found.task.status.restart_count,
            container_id: found.container.clone(),
            ..TaskStatus::default()
        };
        let task = Task { status, ..found.task.clone() };
        let entry = Entry::new(task, Wish::Run);
        if entry.task.spec.exclusive {
            self.adopt_under_lease(id);
        }
        match found.state {
            FoundState::Running => {
                let phase =
                    Phase::Live { generation: found.run.generation, container: found.container.clone() };
                self.task_db.insert(id, Entry { phase, ..entry });
                self.refresh(found);
            }
            FoundState::Exited(exit) => {
                self.task_db.insert(id, entry);
                if let Some(entry) = self.task_db.get_mut(&id) {
                    entry.task.status.start_time = found.started;
                }
                self.ended_by_itself(id, exit);
                self.keep(found.run, found.container, exit);
            }
            // The worker died between create and start: the start finds this container by its labels.
            FoundState::Created => {
                self.task_db.insert(id, entry);
                if let Some(entry) = self.task_db.get_mut(&id) {
                    entry.task.status.container_id.clear();
                }
                self.run_task(id);
            }
            FoundState::Removing => {}
        }
    }

    /// Takes over what only the engine knows of a running container.
    fn refresh(&mut self, found: Found) {
        let Some(entry) = self.task_db.get_mut(&found.run.task) else { return };
        let status = &mut entry.task.status;
        if status.generation != found.run.generation || status.state.has_ended() {
            return;
        }
        let before = status.clone();
        if status.state != State::Running {
            status.state = State::Running;
            status.reason.clear();
        }
        status.container_id = found.container;
        status.host_ports = found.host_ports;
        status.start_time = status.start_time.or(found.started).or(Some(self.now));
        if entry.wish == Wish::Run {
            self.begin_checks(found.run.task);
        }
        if self.task(found.run.task).is_some_and(|task| task.status != before) {
            self.report(found.run.task);
        }
        self.run_task(found.run.task);
    }

    /// A container was started. Our own starts are known; any other is worth a look: one that somebody else
    /// started again, or one whose start was given up too early.
    pub(super) fn up(&mut self, run: Run, container: String) {
        let is_ours = self.task_db.get_mut(&run.task).is_some_and(|entry| match &mut entry.phase {
            // One of another generation is a start that an earlier life of this worker asked for.
            Phase::Starting { generation, early } if *generation == run.generation => {
                early.push(Input::Up { run, container: container.clone() });
                true
            }
            Phase::Live { container: known, .. } | Phase::Stopping { container: known, .. } => {
                *known == container
            }
            Phase::None | Phase::Queued | Phase::Pulling { .. } | Phase::Waiting | Phase::Starting { .. } => {
                false
            }
        });
        if !is_ours {
            self.out.effects.push(Effect::Inspect { run, container });
        }
    }

    /// A container ended, in a way to be explained by a look at it. Of one that we are stopping it is no news.
    pub(super) fn doubtful(&mut self, run: Run, container: String, code: Option<i64>) {
        let Some(entry) = self.task_db.get(&run.task) else { return };
        match (&entry.phase, code) {
            (Phase::Live { .. } | Phase::Starting { .. }, _) => {
                self.out.effects.push(Effect::Inspect { run, container });
            }
            (Phase::Stopping { .. }, Some(code)) => {
                self.exited(run, container, Exit { code, out_of_memory: false, at: None });
            }
            _ => {}
        }
    }

    /// A container ended, asked to or not. Of one that the engine was asked to end, an inspect tells: if the engine
    /// goes down itself it takes none.
    pub(super) fn exited(&mut self, run: Run, container: String, exit: Exit) {
        let Some(entry) = self.task_db.get_mut(&run.task) else { return };
        let generation = entry.task.status.generation;
        match &mut entry.phase {
            Phase::Starting { generation, early } if *generation == run.generation => {
                early.push(Input::Exited { run, container, exit });
            }
            Phase::Live { container: live, .. } if *live == container => {
                if entry.killed.is_some() {
                    self.out.effects.push(Effect::Inspect { run, container });
                } else {
                    self.has_exited(run, container, exit);
                }
            }
            // The stop's own answer ends the task; this is how it went.
            Phase::Stopping { container: stopping, .. }
                if *stopping == container && run.generation == generation =>
            {
                entry.task.status.exit_code = Some(exit.code);
            }
            _ => {}
        }
    }

    /// A live container is known to have ended, and its engine is well.
    pub(super) fn has_exited(&mut self, run: Run, container: String, exit: Exit) {
        let Some(entry) = self.task_db.get_mut(&run.task) else { return };
        entry.phase = Phase::None;
        let is_current = run.generation == entry.task.status.generation;
        self.keep(run, container, exit);
        if is_current {
            self.ended_by_itself(run.task, exit);
        }
        self.run_task(run.task);
    }

    fn ended_by_itself(&mut self, id: TaskId, exit: Exit) {
        let (state, reason) = match exit {
            Exit { code, out_of_memory: true, .. } => {
                (State::Failed, format!("out of memory (exit code {code})"))
            }
            Exit { code: 0, .. } => (State::Completed, String::new()),
            Exit { code, .. } => (State::Failed, format!("exit code {code}")),
        };
        self.end(id, state, Some(exit), reason);
    }

    /// A container is no more.
    pub(super) fn gone(&mut self, run: Run, container: String) {
        self.kept.forget(&container);
        self.strays.retain(|stray| stray.container != container);
        let Some(entry) = self.task_db.get_mut(&run.task) else { return };
        let generation = entry.task.status.generation;
        match &mut entry.phase {
            Phase::Starting { early, .. } => early.push(Input::Gone { run, container }),
            Phase::Live { container: live, .. } if *live == container => {
                entry.phase = Phase::None;
                if run.generation == generation {
                    self.end(run.task, State::Failed, None, REMOVED.to_owned());
                }
                self.run_task(run.task);
            }
            _ => {}
        }
    }

    /// Every container that this worker answers for, live or kept.
    pub fn containers(&self) -> impl Iterator<Item = (TaskId, &str)> {
        self.live().chain(self.kept.iter())
    }
}

fn rank(state: FoundState) -> u8 {
    match state {
        FoundState::Running => 0,
        FoundState::Created => 1,
        FoundState::Exited(_) => 2,
        FoundState::Removing => 3,
    }
}
