//! What a worker answers to a wish (start, stop) and what it notes. Knows no engine; `run_task` does the rest.

use super::{
    core::{Effect, Entry, Wish, Worker},
    host_paths,
    report::EventAnswer,
};
use crate::task::{State, Task, TaskEvent, TaskId, TaskStatus};

impl EventAnswer {
    pub fn accepted() -> Self {
        Self { status: 201, message: String::new() }
    }

    pub fn stop_accepted() -> Self {
        Self { status: 204, message: String::new() }
    }

    pub fn refused(status: u16, message: impl Into<String>) -> Self {
        Self { status, message: message.into() }
    }

    pub fn is_accepted(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

/// How an event's generation stands to the one that is known.
enum Age {
    Older,
    Same,
    /// With the generation it gets.
    Newer(u32),
}

impl Worker {
    /// Takes a manager's event. The state in it is the one wanted.
    pub(super) fn add_task(&mut self, event: TaskEvent) -> EventAnswer {
        match event.state {
            State::Pending | State::Scheduled | State::Running => self.add_start(event.task),
            State::Completed => self.add_stop(event.task),
            State::Failed => {
                EventAnswer::refused(400, "State 4 (Failed) can't be wished for; 2 starts, 3 stops")
            }
        }
    }

    /// The book's DELETE: it names no generation, so it means whatever is there.
    pub(super) fn stop_task(&mut self, id: TaskId) -> EventAnswer {
        let Some(entry) = self.task_db.get_mut(&id) else {
            return EventAnswer::refused(404, format!("no task {id} on this worker"));
        };
        entry.wish = Wish::Stop;
        self.run_task(id);
        EventAnswer::stop_accepted()
    }

    fn add_start(&mut self, task: Task) -> EventAnswer {
        let id = task.id;
        match self.task_db.get(&id).map(|entry| age(entry, &task)) {
            // The sender of a repeat, or of news that were overtaken, has nothing left to do.
            Some(Age::Same | Age::Older) => return EventAnswer::accepted(),
            Some(Age::Newer(_)) | None => {}
        }
        if let Err(denied) = self.limits.allows.check(&task.spec) {
            return EventAnswer::refused(403, host_paths::refusal(&denied));
        }
        if !self.runtime_problem.is_empty() {
            return EventAnswer::refused(503, self.runtime_problem.clone());
        }
        if task.spec.exclusive && !self.may_start_exclusive(&task) {
            return EventAnswer::refused(503, "this worker has no lease for Exclusive tasks at the moment");
        }
        if self.queue.len() >= self.limits.queue {
            return EventAnswer::refused(
                503,
                format!("{} starts are waiting here already", self.queue.len()),
            );
        }
        match self.task_db.get(&id).map(|entry| age(entry, &task)) {
            Some(Age::Newer(generation)) => self.replace(task, generation),
            Some(Age::Same | Age::Older) | None => {
                let generation = task.status.generation;
                self.insert(task, generation, Wish::Run);
            }
        }
        self.run_task(id);
        EventAnswer::accepted()
    }

    /// A stop that names its generation. One that overtook its start is noted, so that the start finds it.
    fn add_stop(&mut self, task: Task) -> EventAnswer {
        let id = task.id;
        let generation = task.status.generation;
        match self.task_db.get_mut(&id) {
            None => self.insert(task, generation, Wish::Stop),
            Some(entry) => {
                let known = &mut entry.task.status;
                let is_this_container =
                    !task.status.container_id.is_empty() && task.status.container_id == known.container_id;
                // A book's manager knows no generations, but it knows how often it restarted the task.
                let is_this_restart = generation == 0
                    && task.status.restart_count > 0
                    && task.status.restart_count >= known.restart_count;
                if generation < known.generation && !is_this_container && !is_this_restart {
                    return EventAnswer::stop_accepted();
                }
                entry.wish = Wish::Stop;
                if generation > known.generation {
                    self.replace(task, generation);
                    self.task_db.get_mut(&id).expect("just replaced").wish = Wish::Stop;
                }
            }
        }
        self.run_task(id);
        EventAnswer::stop_accepted()
    }

    fn insert(&mut self, task: Task, generation: u32, wish: Wish) {
        let task = asked_for(task, generation);
        let entry = Entry::new(task, wish);
        if entry.task.spec.exclusive {
            self.put_under_lease(entry.task.id);
        }
        self.task_db.insert(entry.task.id, entry);
    }

    /// A newer generation takes over; what runs of the older one is stopped by `run_task`.
    fn replace(&mut self, task: Task, generation: u32) {
        let named_container = task.status.container_id.clone();
        let entry = self.task_db.get_mut(&task.id).expect("only a known task is replaced");
        entry.task = asked_for(task, generation);
        entry.wish = Wish::Run;
        entry.is_pulled = false;
        entry.attempts = 0;
        entry.may_run = false;
        entry.checks = None;
        entry.has_lapsed = false;
        let (id, is_exclusive) = (entry.task.id, entry.task.spec.exclusive);
        if is_exclusive {
            self.put_under_lease(id);
        }
        if self.kept.forget(&named_container) {
            self.out.effects.push(Effect::Remove { container: named_container });
        }
    }
}

/// The task as it is before its start.
fn asked_for(task: Task, generation: u32) -> Task {
    let restart_count = task.status.restart_count;
    let status = TaskStatus { state: State::Scheduled, generation, restart_count, ..TaskStatus::default() };
    Task { status, ..task }
}

/// The book's managers know no generations: theirs are all 0, and a restart shows by its higher count. (It also
/// names the container that it replaces, but so does a mere repeat of a task that was read from here.)
fn age(entry: &Entry, asked: &Task) -> Age {
    let known = &entry.task.status;
    let asked = &asked.status;
    if asked.generation > known.generation {
        return Age::Newer(asked.generation);
    }
    if asked.generation == 0 && asked.restart_count > known.restart_count {
        return Age::Newer(known.generation + 1);
    }
    if asked.generation < known.generation { Age::Older } else { Age::Same }
}
