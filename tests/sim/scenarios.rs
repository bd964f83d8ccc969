//! Rows of the table of faults, one by one, each on a calm cluster with its time limits asserted.

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
/// A link that came and went has to hold for ten seconds first.
const AFTER_FLAPPING: Duration = Duration::from_secs(15);

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

    fn heals(&mut self) {
        self.heals_within(HEALED_WITHIN);
    }

    /// And stays so.
    fn heals_within(&mut self, limit: Duration) {
        self.until("healed", limit, |world| invariants::healed(world).is_ok());
        self.pass(Duration::from_mins(2));
        invariants::healed(self).unwrap();
    }
}

#[test]
fn row_5_a_host_that_is_gone_is_lost_within_10_s_and_its_tasks_run_elsewhere_within_15_s() {
    let (mut world, tasks) = World::with_tasks(3, 9);
    let there: Vec<TaskId> = tasks.iter().copied().filter(|task| world.is_on(*task, 0)).collect();
    assert_eq!(there.len(), 3);
    world.crash_host(0);
    let lost = world.until("it is lost", LOST_WITHIN, |world| world.health(0) == WorkerHealth::Lost);
    let left = RUNNING_WITHIN.saturating_sub(lost);
    world.until("all run", left, |world| {
        world.all_run(&there) && there.iter().all(|task| !world.is_on(*task, 0))
    });
    for task in &there {
        assert_eq!(world.live(*task), [Run { task: *task, generation: 1 }]);
        let moves = world.moves_of(*task);
        assert_eq!(moves.len(), 1);
        let named =
            moves[0].starts_with("worker-0 lost: silent for 9 s") && moves[0].contains("; moved to worker-");
        assert!(named, "{moves:?}");
    }
    for task in tasks.iter().filter(|task| !there.contains(task)) {
        assert_eq!(world.moves_of(*task).len(), 0);
    }
    world.after(Duration::ZERO, Event::WorkerStart { worker: 0 });
    world.heals();
}

#[test]
fn row_5_a_host_that_is_gone_while_the_manager_is_down_is_noticed_after_its_start() {
    let (mut world, tasks) = World::with_tasks(3, 9);
    world.kill_manager();
    world.crash_host(1);
    world.pass(SECOND);
    world.manager_start();
    world.until("all run elsewhere", RUNNING_WITHIN, |world| {
        world.all_run(&tasks) && tasks.iter().all(|task| !world.is_on(*task, 1))
    });
}

#[test]
fn row_5_a_worker_that_is_back_takes_the_tasks_of_a_host_that_is_gone() {
    let (mut world, tasks) = World::with_tasks(2, 6);
    world.partition(1, Direction::Both);
    world.crash_host(0);
    world.pass(Duration::from_mins(1));
    assert_eq!(
        tasks.iter().map(|task| world.moves_of(*task).len()).sum::<usize>(),
        0,
        "there was none to go to"
    );
    world.end_partition(1, Direction::Both);
    world.until("all run there", RUNNING_WITHIN, |world| {
        world.all_run(&tasks) && tasks.iter().all(|task| world.is_on(*task, 1))
    });
}

/// For a minute worker 0 is cut off; then the cluster heals.
fn partition(direction: Direction) -> (World, Vec<TaskId>) {
    let (mut world, tasks) = World::with_tasks(3, 9);
    world.partition(0, direction);
    world.pass(Duration::from_mins(1));
    (world, tasks)
}

#[test]
fn row_6_after_a_partition_both_ways_the_newest_generation_survives() {
    for direction in [Direction::Both, Direction::FromWorker] {
        let (mut world, tasks) = partition(direction);
        assert!(world.all_run(&tasks));
        let moved: Vec<TaskId> =
            tasks.iter().copied().filter(|task| world.moves_of(*task).len() == 1).collect();
        assert_eq!(moved.len(), 3, "{direction:?}");
        for task in &moved {
            assert_eq!(world.live(*task).len(), 2, "the original runs on where nobody is heard");
        }
        world.end_partition(0, direction);
        world.heals();
        for task in moved {
            assert_eq!(world.live(task), [Run { task, generation: 1 }]);
        }
    }
}

#[test]
fn row_6_a_worker_that_hears_nothing_and_is_heard_keeps_its_tasks_and_gets_none() {
    let (mut world, tasks) = World::with_tasks(3, 9);
    let before = world.containers();
    world.partition(0, Direction::ToWorker);
    let stopped = *tasks.iter().find(|task| world.is_on(**task, 0)).unwrap();
    world.stop(stopped);
    let new: Vec<TaskId> = (0..6).map(|_| world.submit_one()).collect();
    world.until("the new ones run on the others", RUNNING_WITHIN, |world| world.all_run(&new));
    world.pass(Duration::from_mins(1));
    assert_eq!(world.losses(), 0);
    assert_eq!(world.state(stopped), State::Running, "its stop is under way");
    world.end_partition(0, Direction::ToWorker);
    world.heals();
    assert_eq!(world.state(stopped), State::Completed);
    assert_eq!(before.iter().filter(|container| world.containers().contains(container)).count(), 8);
}

#[test]
fn row_6_with_no_other_worker_nothing_is_moved_and_nothing_restarted() {
    for direction in [Direction::Both, Direction::FromWorker, Direction::ToWorker] {
        let (mut world, tasks) = World::with_tasks(1, 5);
        let before = world.containers();
        world.partition(0, direction);
        world.pass(Duration::from_mins(1));
        assert!(world.all_run(&tasks));
        world.end_partition(0, direction);
        world.heals();
        assert_eq!(world.containers(), before, "{direction:?}");
    }
}

#[test]
fn row_6_what_was_stopped_during_a_partition_is_stopped_after_it() {
    for direction in [Direction::Both, Direction::FromWorker, Direction::ToWorker] {
        let (mut world, tasks) = partition(direction);
        for task in &tasks {
            world.stop(*task);
        }
        world.pass(SECOND);
        world.end_partition(0, direction);
        world.heals();
        assert_eq!(world.containers().len(), 0, "{direction:?}");
    }
}

#[test]
fn row_7_a_link_that_flaps_for_five_minutes_moves_no_task_twice_and_is_told_a_few_times() {
    let (mut world, tasks) = World::with_tasks(3, 9);
    let before = world.changes().count();
    world.flap(0, 300);
    world.pass(Duration::from_mins(1));
    let size = |world: &World| format!("{:?}", world.manager.core).len();
    let size_after_a_minute = size(&world);
    world.pass(Duration::from_mins(4));
    assert!(size(&world) <= size_after_a_minute + 100, "{size_after_a_minute} grew to {}", size(&world));
    for task in &tasks {
        assert!(world.moves_of(*task).len() <= 2, "{:?}", world.moves_of(*task));
    }
    let told = world.changes().count() - before;
    assert!(told <= 10, "{told} Changes");
    world.heals_within(AFTER_FLAPPING);
    assert_eq!(world.health(0), WorkerHealth::Ready);
}

#[test]
fn row_7_a_worker_that_is_away_for_longer_than_it_is_there_moves_no_task_more_than_twice() {
    let (mut world, tasks) = World::with_tasks(3, 9);
    let before = world.changes().count();
    for _ in 0..25 {
        world.partition(0, Direction::Both);
        world.pass(11 * SECOND);
        world.end_partition(0, Direction::Both);
        world.pass(SECOND);
    }
    for task in &tasks {
        assert!(world.moves_of(*task).len() <= 2, "{:?}", world.moves_of(*task));
    }
    let told = world.changes().count() - before;
    assert!(told <= 40, "{told} Changes");
    world.heals_within(AFTER_FLAPPING);
}

#[test]
fn row_8_a_worker_that_stands_still_does_not_delay_the_others() {
    let (mut world, _) = World::with_tasks(3, 3);
    world.pause_worker(0, Duration::from_mins(1));
    let mut waits = vec![];
    let mut tasks = vec![];
    for _ in 0..30 {
        let task = world.submit_one();
        tasks.push(task);
        if world.is_on(task, 0) {
            // Its turn: nobody knows yet that it does not answer.
            world.pass(SECOND);
            continue;
        }
        waits.push(world.until("it runs", RUNNING_WITHIN, |world| world.state(task) == State::Running));
    }
    waits.sort_unstable();
    assert!(waits.len() >= 28, "{}", waits.len());
    assert!(waits[waits.len() - 1] <= SECOND, "{waits:?}");
    world.until("all run", RUNNING_WITHIN, |world| world.all_run(&tasks));
    world.pass(Duration::from_mins(1));
    world.heals();
}

/// Some tasks that run, some that end, one that is stopped; what became of each, and in how many Changes.
fn a_day(copies: usize, loses_answers: bool) -> Vec<(State, u32, usize, usize)> {
    let mut world = World::calm(2);
    world.copies = copies;
    let kinds = [
        ("stays", RestartPolicy::No),
        ("good", RestartPolicy::OnFailure(None)),
        ("bad", RestartPolicy::OnFailure(Some(2))),
        ("bad", RestartPolicy::No),
        ("stays", RestartPolicy::Always),
    ];
    let events: Vec<TaskEvent> = kinds.into_iter().map(|(kind, policy)| world.task(kind, policy)).collect();
    world.loses_answers = loses_answers;
    for event in &events {
        world.submit(event.clone());
        world.pass(SECOND);
    }
    world.pass(10 * SECOND);
    world.stop(events[4].task.id);
    world.pass(Duration::from_mins(1));
    world.loses_answers = false;
    world.heals();
    let outcome = |event: &TaskEvent| {
        let task = event.task.id;
        let status = world.manager_cluster().task(task).unwrap().status();
        (status.state, status.restart_count, world.live(task).len(), world.changes_of(task))
    };
    events.iter().map(outcome).collect()
}

#[test]
fn row_11_everything_delivered_two_to_five_times_is_as_if_it_came_once() {
    let once = a_day(1, false);
    for copies in 2..=5 {
        assert_eq!(a_day(copies, false), once, "{copies} times");
    }
    let ends: Vec<_> = once.iter().map(|(state, restarts, live, _)| (*state, *restarts, *live)).collect();
    let expected = [
        (State::Running, 0, 1),
        (State::Completed, 0, 0),
        (State::Failed, 2, 0),
        (State::Failed, 0, 0),
        (State::Completed, 0, 0),
    ];
    assert_eq!(ends, expected);
}

#[test]
fn row_12_when_every_answer_is_lost_the_retries_change_nothing() {
    let states = |day: Vec<(State, u32, usize, usize)>| -> Vec<_> {
        day.into_iter().map(|(state, restarts, live, _)| (state, restarts, live)).collect()
    };
    assert_eq!(states(a_day(1, true)), states(a_day(1, false)));
}

#[test]
fn row_12_a_client_that_asks_again_is_told_of_success_and_starts_nothing_twice() {
    let (mut world, _) = World::with_tasks(2, 0);
    let event = world.task("stays", RestartPolicy::No);
    for _ in 0..3 {
        world.submit(event.clone());
        world.pass(SECOND);
    }
    assert!(world.acknowledged.contains(&event.task.id));
    assert_eq!(world.live(event.task.id).len(), 1);
    assert_eq!(world.changes_of(event.task.id), 3, "submitted, scheduled, running");
}

#[test]
fn row_13_a_stop_that_overtakes_its_start_wins() {
    for seed in 0..200 {
        let mut world = World::calm(2);
        world.rng = fastrand::Rng::with_seed(seed);
        let task = world.submit_one();
        world.stop(task);
        world.heals();
        assert_eq!(world.state(task), State::Completed);
        assert_eq!(world.live(task), []);
    }
}

#[test]
fn row_13_an_old_report_after_a_new_one_changes_nothing() {
    let (mut world, tasks) = World::with_tasks(2, 2);
    let on_0 = *tasks.iter().find(|task| world.is_on(**task, 0)).unwrap();
    let old = world.manager_cluster().task(on_0).unwrap().task.clone();
    world.crash_host(0);
    world.until("it runs again", RUNNING_WITHIN, |world| world.is_on(on_0, 1) && world.all_run(&tasks));
    let before = world.changes().count();
    for worker in 0..2 {
        let worker = world.workers[worker].id.clone();
        world.manage(cube_tui::manager::decide::Input::WorkerTask { worker, task: old.clone() });
    }
    assert_eq!(world.changes().count(), before);
    world.pass(Duration::from_mins(1));
    assert_eq!(world.live(on_0), [Run { task: on_0, generation: 1 }]);
}

#[test]
fn row_18_no_worker_is_lost_for_a_wall_clock_that_jumps_by_an_hour() {
    let (mut world, tasks) = World::with_tasks(3, 9);
    let before = world.containers();
    for hours in [1, -1, -1, 1] {
        world.manager.clock += SignedDuration::from_hours(hours);
        world.pass(20 * SECOND);
        world.workers[0].clock -= SignedDuration::from_hours(hours);
        world.pass(20 * SECOND);
        let task = world.submit_one();
        world.until("a new one runs", SECOND, |world| world.state(task) == State::Running);
    }
    assert_eq!((world.losses(), tasks.iter().map(|task| world.moves_of(*task).len()).sum::<usize>()), (0, 0));
    assert!(before.iter().all(|container| world.containers().contains(container)));
    world.heals();
}

#[test]
fn a_manager_that_stood_still_for_a_minute_moves_nothing() {
    let (mut world, tasks) = World::with_tasks(3, 9);
    let before = world.containers();
    world.manager.paused_until = world.now + Duration::from_mins(1);
    world.pass(Duration::from_mins(2));
    assert_eq!(tasks.iter().map(|task| world.moves_of(*task).len()).sum::<usize>(), 0);
    assert_eq!(world.containers(), before);
    world.heals();
}

#[test]
fn a_worker_that_goes_by_another_name_after_a_restart_of_the_manager_keeps_its_containers() {
    let (mut world, tasks) = World::with_tasks(2, 6);
    let before = world.containers();
    world.kill_manager();
    world.workers[0].id = "renamed".into();
    world.manager_start();
    world.pass(Duration::from_mins(1));
    assert_eq!(world.containers(), before);
    assert!(world.all_run(&tasks));
    assert_eq!(tasks.iter().filter(|task| world.is_on(**task, 0)).count(), 3);
}

#[test]
fn a_disk_that_is_full_for_a_minute_touches_no_container() {
    let (mut world, _) = World::with_tasks(3, 9);
    let before = world.containers();
    world.manager.disk_is_full = true;
    let task = world.submit_one();
    assert!(!world.acknowledged.contains(&task), "what is not stored is not promised");
    world.after(Duration::from_mins(1), Event::Heal(Trouble::FullDisk));
    world.pass(Duration::from_mins(1));
    assert!(before.iter().all(|container| world.containers().contains(container)));
    world.heals();
    assert_eq!(world.state(task), State::Running, "its user asked again");
}
