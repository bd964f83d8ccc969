//! Hosts that are gone, stand still, or come and go.

use std::sync::Arc;

use super::*;
use crate::engine::image_refused_by;

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
    world.heals();
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
    world.heals();
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
fn row_15_a_task_that_two_of_three_workers_can_not_start_runs_on_the_third_within_seconds() {
    let mut world = World::calm(3);
    let mut event = world.task("stays", RestartPolicy::No);
    let task = event.task.id;
    Arc::make_mut(&mut event.task.spec).image = image_refused_by(0b011);
    world.submit(event);
    world.until("it runs", 3 * SECOND, |world| world.state(task) == State::Running);
    assert!(world.is_on(task, 2));
    let told: Vec<&str> = world
        .changes()
        .filter_map(|change| match &change.what {
            What::Refused { reason, .. } => Some(reason.as_str()),
            _ => None,
        })
        .collect();
    assert!(told.len() == 2 && told[1].contains("worker-1 could not start it"), "{told:?}");

    let mut event = world.task("stays", RestartPolicy::No);
    let task = event.task.id;
    Arc::make_mut(&mut event.task.spec).image = image_refused_by(0b111);
    world.submit(event);
    world.until("it has failed", 3 * SECOND, |world| world.state(task) == State::Failed);
    world.heals();
}
