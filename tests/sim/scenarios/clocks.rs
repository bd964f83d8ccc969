//! Clocks that jump, a manager that stands still, and a disk that is full.

use super::*;

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
