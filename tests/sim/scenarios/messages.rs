//! Messages that come twice, late, in another order, or whose answers do not come.

use super::*;

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
        let record = world.manager_cluster().task(task).unwrap();
        let status = record.status();
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
