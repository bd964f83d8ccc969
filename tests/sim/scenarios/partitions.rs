//! Partitions of a minute, both ways and each one way.

use super::*;

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
