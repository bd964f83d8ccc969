//! Rows of the table of faults, one by one, each on a calm cluster with its time limits asserted.

mod clocks;
mod hosts;
mod messages;
mod moves;
mod partitions;

use std::time::Duration;

use cube_tui::cluster::{Change, What, WorkerHealth};
use cube_tui::task::{RestartPolicy, State, TaskEvent, TaskId};
use cube_tui::worker::runtime::Run;
use jiff::SignedDuration;

use crate::engine::Engine;
use crate::event::{Direction, Event, Trouble};
use crate::invariants;
use crate::world::World;

const SECOND: Duration = Duration::from_secs(1);
/// From the fault on; faults.md.
const LOST_WITHIN: Duration = Duration::from_secs(10);
const RUNNING_WITHIN: Duration = Duration::from_secs(15);
const HEALED_WITHIN: Duration = Duration::from_secs(10);

impl World {
    /// A calm cluster on which so many tasks run that stay.
    fn with_tasks(workers: usize, tasks: usize) -> (Self, Vec<TaskId>) {
        let mut world = Self::calm(workers);
        let tasks: Vec<TaskId> = (0..tasks).map(|_| world.submit_one()).collect();
        world.until("all run", 3 * SECOND, |world| world.all_run(&tasks));
        world.pass(3 * SECOND);
        (world, tasks)
    }

    fn submit_one(&mut self) -> TaskId {
        let event = self.task("stays", RestartPolicy::No);
        let task = event.task.id;
        self.submit(event);
        task
    }

    fn state(&self, task: TaskId) -> State {
        self.manager_cluster().task(task).unwrap().state()
    }

    fn all_run(&self, tasks: &[TaskId]) -> bool {
        tasks.iter().all(|task| self.state(*task) == State::Running)
    }

    fn health(&self, worker: usize) -> WorkerHealth {
        self.manager_cluster().worker(&self.workers[worker].id).unwrap().health
    }

    fn is_on(&self, task: TaskId, worker: usize) -> bool {
        self.manager_cluster().worker_of(task) == Some(&self.workers[worker].id)
    }

    /// The live containers of a task, wherever.
    fn live(&self, task: TaskId) -> Vec<Run> {
        self.engines().flat_map(Engine::live).map(|found| found.run).filter(|run| run.task == task).collect()
    }

    /// The live containers on all engines.
    fn containers(&self) -> Vec<(usize, String)> {
        let engines = self.engines().enumerate();
        engines
            .flat_map(|(at, engine)| engine.live().map(move |found| (at, found.container.clone())))
            .collect()
    }

    fn changes(&self) -> impl Iterator<Item = &Change> {
        self.log.iter().flatten().map(|change| &**change)
    }

    fn changes_of(&self, task: TaskId) -> usize {
        self.changes().filter(|change| change.what.task_id() == Some(task)).count()
    }

    fn moves_of(&self, task: TaskId) -> Vec<&str> {
        self.changes()
            .filter_map(|change| match &change.what {
                What::Moved { task: moved, reason, .. } if *moved == task => Some(reason.as_str()),
                _ => None,
            })
            .collect()
    }

    fn losses(&self) -> usize {
        let is_loss = |change: &&Change| matches!(&change.what, What::Worker { worker } if worker.health == WorkerHealth::Lost);
        self.changes().filter(is_loss).count()
    }

    /// Within the time allowed, and for good.
    fn heals(&mut self) {
        self.until("healed", HEALED_WITHIN, |world| invariants::healed(world).is_ok());
        self.pass(Duration::from_mins(2));
        invariants::healed(self).unwrap();
    }
}
