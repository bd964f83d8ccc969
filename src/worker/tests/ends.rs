//! Ends: of a task's own, asked for, and by others; and what is kept of them.

use super::*;

#[test]
fn ends_of_its_own_tell_how() {
    let oom = Exit { code: 137, out_of_memory: true, at: None };
    for (exit, state, reason) in [
        (exit(0), State::Completed, ""),
        (exit(3), State::Failed, "exit code 3"),
        (exit(137), State::Failed, "exit code 137"),
        (oom, State::Failed, "out of memory (exit code 137)"),
    ] {
        let mut desk = Desk::new();
        let task = desk.running();
        let output = desk.give(Input::Exited { run: Run::of(&task), container: "c".into(), exit });
        assert_eq!(desk.state_and_reason(&task), (state, reason));
        assert_eq!(desk.status(&task).exit_code, Some(exit.code));
        assert_eq!(desk.status(&task).finish_time, Some(desk.now));
        assert_eq!(output.reports.len(), 1);
        assert_eq!(output.effects, [], "the container is kept for its logs");
        // Told twice, it ended once.
        assert_eq!(desk.exited(&task, "c", 9).reports, []);
        assert_eq!(desk.status(&task).exit_code, Some(exit.code));
    }
}

#[test]
fn an_end_that_is_told_before_its_start_is_not_lost() {
    let mut desk = Desk::new();
    let task = task(1);
    desk.start(&task);
    assert_eq!(desk.exited(&task, "c", 3).reports, []);
    let output = desk.started(&task, "c");
    assert_eq!(output.reports.len(), 2, "it ran, and it ended");
    assert_eq!(desk.state_and_reason(&task), (State::Failed, "exit code 3"));
}

#[test]
fn a_container_removed_by_someone_else_fails_its_task() {
    let mut desk = Desk::new();
    let task = desk.running();
    desk.give(Input::Gone { run: Run::of(&task), container: "other".into() });
    assert_eq!(desk.status(&task).state, State::Running, "another one's removal is no news");
    desk.give(Input::Gone { run: Run::of(&task), container: "c".into() });
    assert_eq!(desk.state_and_reason(&task), (State::Failed, "container removed by someone else"));

    let mut desk = Desk::new();
    let task = desk.running();
    let doubt = desk.give(Input::Doubtful { run: Run::of(&task), container: "c".into(), code: Some(137) });
    assert_eq!(doubt.effects, [Effect::Inspect { run: Run::of(&task), container: "c".into() }]);
    desk.give(Input::Found(found(&task, "c", FoundState::Removing)));
    assert_eq!(desk.state_and_reason(&task), (State::Failed, "container removed by someone else"));
}

#[test]
fn a_stop_ends_well_whatever_the_exit_code() {
    let mut desk = Desk::new();
    let task = desk.running();
    let output = desk.stop(&task);
    assert_eq!(output.answer, Some(EventAnswer::stop_accepted()));
    assert_eq!(output.effects, [stop_of(&task, "c")]);
    assert_eq!(desk.state_and_reason(&task), (State::Running, "stopping"));
    assert_eq!(desk.stop(&task).effects, [], "asked twice, done once");
    assert_eq!(desk.exited(&task, "c", 143).reports, []);
    desk.stopped(&task, "c", Ok(()));
    assert_eq!(desk.state_and_reason(&task), (State::Completed, "stopped"));
    assert_eq!(desk.status(&task).exit_code, Some(143));
    assert_eq!(desk.stop(&task).effects, []);
}

#[test]
fn a_stop_that_fails_is_tried_again() {
    let mut desk = Desk::new();
    let task = desk.running();
    desk.stop(&task);
    let output = desk.stopped(&task, "c", Err(away()));
    assert!(matches!(output.effects[..], [Effect::Later { .. }]), "{:?}", output.effects);
    assert_eq!(desk.state_and_reason(&task), (State::Running, "stop failed, trying again: no answer"));
    assert_eq!(desk.give(Input::Wake(task.id)).effects, [stop_of(&task, "c")]);
    desk.stopped(&task, "c", Ok(()));
    assert_eq!(desk.state_and_reason(&task), (State::Completed, "stopped"));
}

#[test]
fn a_stop_in_every_phase_before_running_wins() {
    let stopped = (State::Completed, "stopped before it started");
    // It waits for a slot.
    let mut desk = Desk::with(Limits { start_concurrency: 0, ..Limits::default() });
    let task = task(1);
    desk.start(&task);
    assert_eq!(desk.stop(&task).effects, []);
    assert_eq!(desk.state_and_reason(&task), stopped);

    // It is being started: stopped as soon as it is up, and never shown as running.
    let mut desk = Desk::new();
    desk.start(&task);
    assert_eq!(desk.stop(&task).effects, []);
    let output = desk.started(&task, "c");
    assert_eq!((output.effects, output.reports), (vec![stop_of(&task, "c")], vec![]));
    desk.stopped(&task, "c", Ok(()));
    assert_eq!(desk.state_and_reason(&task), (State::Completed, "stopped"));

    // Its start fails anyway.
    let mut desk = Desk::new();
    desk.start(&task);
    desk.stop(&task);
    desk.failed(&task, RuntimeError::Refused("no".into()));
    assert_eq!(desk.state_and_reason(&task), stopped);

    // Its image is being pulled: nobody else waits for it.
    let mut desk = Desk::new();
    desk.start(&task);
    desk.failed(&task, RuntimeError::ImageMissing("busy:1".into()));
    assert_eq!(desk.stop(&task).effects, [Effect::AbandonPull { image: "busy:1".into() }]);
    assert_eq!(desk.state_and_reason(&task), stopped);

    // It overtook its start.
    let mut desk = Desk::new();
    assert_eq!(status_of(&desk.stop(&task)), 204);
    let output = desk.start(&task);
    assert_eq!((status_of(&output), starts(&output)), (201, vec![]));
    assert_eq!(desk.state_and_reason(&task), stopped);
}

#[test]
fn the_books_delete_stops_what_is_there_and_knows_what_is_not() {
    let mut desk = Desk::new();
    assert_eq!(status_of(&desk.give(Input::Stop(task(9).id))), 404);
    let task = desk.running();
    let output = desk.give(Input::Stop(task.id));
    assert_eq!((status_of(&output), &output.effects[..]), (204, &[stop_of(&task, "c")][..]));
}

#[test]
fn a_stop_as_the_books_chapter_8_posts_it_names_the_container() {
    let mut desk = Desk::new();
    let mut task = desk.running();
    task.status.restart_count = 1;
    task.status.container_id = "c".into();
    desk.start(&task);
    desk.stopped(&task, "c", Ok(()));
    desk.started(&generation(&task, 1), "d");
    task.status.container_id = "d".into();
    assert_eq!(desk.stop(&task).effects, [stop_of(&task, "d")]);
}

#[test]
fn only_so_many_ended_containers_are_kept() {
    let mut desk = Desk::with(Limits { kept_containers: 2, ..Limits::default() });
    let mut removed = Vec::new();
    for number in 1..=4_u32 {
        let task = task(number.into());
        desk.start(&task);
        desk.started(&task, &format!("c{number}"));
        removed.extend(desk.exited(&task, &format!("c{number}"), 1).effects);
    }
    assert_eq!(removed, [remove_of("c1"), remove_of("c2")]);
    assert_eq!(desk.worker.task_count(), 4, "how they ended is remembered longer");
}

#[test]
fn only_so_many_ended_tasks_are_remembered() {
    let mut desk = Desk::with(Limits { ended_tasks: 2, ..Limits::default() });
    let long = desk.running();
    for number in 2..=5 {
        let task = task(number);
        desk.start(&task);
        desk.failed(&task, RuntimeError::Refused("no".into()));
    }
    let left: Vec<TaskId> = desk.worker.tasks().map(|task| task.id).collect();
    assert_eq!(left, [long.id, task(4).id, task(5).id]);
}
