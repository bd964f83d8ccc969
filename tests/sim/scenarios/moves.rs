//! Moves that somebody asks for: preemption, rebalance, and what a restart of the manager does to them.

use std::sync::Arc;

use cube_tui::cluster::Cause;
use cube_tui::manager::decide::{Answer, Input};
use cube_tui::manager::request::{AvailabilityWish, RebalanceWish, Rebalanced};

use super::*;

impl World {
    fn submit_of(&mut self, cpu: f64, priority: i32, preempt: bool) -> TaskId {
        let mut event = self.task("stays", RestartPolicy::No);
        let spec = Arc::make_mut(&mut event.task.spec);
        (spec.cpu, spec.priority, spec.preempt) = (cpu, priority, preempt);
        let task = event.task.id;
        self.submit(event);
        task
    }

    fn even_out(&mut self, plan: bool) -> Rebalanced {
        let wish = RebalanceWish { moves: 100, plan };
        match self.manage(Input::Rebalance { request: 5, wish }).pop() {
            Some(Ok(Answer::Rebalanced(rebalanced))) => *rebalanced,
            other => panic!("{other:?}"),
        }
    }

    fn count_on(&self, worker: usize) -> usize {
        self.manager_cluster().reserved(&self.workers[worker].id).unwrap().tasks
    }
}

#[test]
fn a_preempting_task_runs_within_seconds_and_who_made_room_waits_until_there_is_some() {
    for manager_dies in [false, true] {
        let mut world = World::calm(2);
        let cpus = world.manager_cluster().workers()[0].capacity.cpus;
        let low: Vec<TaskId> = (0..2).map(|_| world.submit_of(cpus, 0, false)).collect();
        world.until("all run", 3 * SECOND, |world| world.all_run(&low));
        let high = world.submit_of(cpus, 5, true);
        if manager_dies {
            world.kill_manager();
            world.pass(SECOND);
            world.manager_start();
        }
        world.until("it runs", RUNNING_WITHIN, |world| world.state(high) == State::Running);
        let waiting: Vec<TaskId> =
            low.iter().copied().filter(|task| world.state(*task) == State::Pending).collect();
        assert_eq!(waiting.len(), 1, "never more than it takes");
        world.pass(Duration::from_mins(1));
        assert_eq!(world.state(waiting[0]), State::Pending);
        assert!(world.live(waiting[0]).is_empty());
        world.stop(high);
        world.until("it is back", RUNNING_WITHIN, |world| world.all_run(&low));
        assert!(
            low.iter()
                .all(|task| { world.manager_cluster().task(*task).unwrap().status().restart_count == 0 })
        );
        world.heals();
    }
}

#[test]
fn room_on_a_worker_that_was_away_is_kept_for_who_asked_and_nobody_is_stopped_twice_for_it() {
    let mut world = World::calm(1);
    let cpus = world.manager_cluster().workers()[0].capacity.cpus;
    let low: Vec<TaskId> = (0..2).map(|_| world.submit_of(cpus / 2.0, 0, false)).collect();
    world.until("all run", 3 * SECOND, |world| world.all_run(&low));
    let high = world.submit_of(cpus, 5, true);
    let waiting = |world: &World| low.iter().filter(|task| world.state(**task) == State::Pending).count();
    world.until("one has made room", 3 * SECOND, |world| waiting(world) == 1);
    world.partition(0, Direction::Both);
    world.until("it is lost", LOST_WITHIN, |world| world.health(0) == WorkerHealth::Lost);
    world.end_partition(0, Direction::Both);
    world.until("it runs", RUNNING_WITHIN, |world| world.state(high) == State::Running);
    world.pass(Duration::from_mins(1));
    assert_eq!(waiting(&world), 2);
    let stopped = world.changes().filter(|change| matches!(change.what, What::Preempted { .. })).count();
    assert_eq!(stopped, 2, "each of them once");
    world.heals();
}

#[test]
fn after_a_worker_came_back_a_rebalance_evens_out_what_moved_off_it_and_a_second_one_does_nothing() {
    let (mut world, tasks) = World::with_tasks(3, 12);
    world.crash_host(0);
    world.until("all run elsewhere", RUNNING_WITHIN, |world| world.all_run(&tasks) && world.count_on(0) == 0);
    world.after(Duration::ZERO, Event::WorkerStart { worker: 0 });
    world.pass(Duration::from_mins(1));
    assert_eq!(world.count_on(0), 0, "nothing moves by itself");
    let plan = world.even_out(true);
    assert_eq!((plan.moves.len(), plan.is_under_way), (4, false));
    let made = world.even_out(false);
    assert_eq!(made.moves, plan.moves);
    world.until("all is even", RUNNING_WITHIN, |world| {
        (0..3).all(|worker| world.count_on(worker) == 4) && world.all_run(&tasks)
    });
    world.pass(SECOND * 5);
    for planned in &plan.moves {
        assert!(world.is_on(planned.task, 0));
        assert_eq!(world.live(planned.task).len(), 1, "the old run is gone");
    }
    assert_eq!(world.even_out(false).moves, []);
    world.heals();
}

#[test]
fn a_manager_that_restarts_in_the_middle_of_a_drain_stops_nothing_before_it_runs_elsewhere() {
    let (mut world, tasks) = World::with_tasks(2, 6);
    // What starts on the other one takes its time.
    world.slow_engine(1, 30 * SECOND);
    world.set_availability(0, AvailabilityWish::Drain { within_s: None });
    for _ in 0..3 {
        world.pass(2 * SECOND);
        world.kill_manager();
        world.pass(SECOND);
        world.manager_start();
    }
    let end = world.now + Duration::from_mins(2);
    while world.now < end {
        for task in &tasks {
            assert!(!world.live(*task).is_empty(), "{task} runs nowhere at {:?}", world.now);
        }
        world.pass(Duration::from_millis(100));
    }
    assert!(world.all_run(&tasks) && world.count_on(0) == 0);
    assert!(world.changes().all(|change| change.cause != Cause::RestartPolicy));
    world.set_availability(0, AvailabilityWish::Uncordon);
    world.heals();
}
