//! The core as tables: what is there, what is heard, what follows.

use std::{collections::BTreeMap, sync::Arc};

use jiff::{SignedDuration, Timestamp};

use super::{
    core::{Effect, Input, Limits, Output, Worker},
    report::{EventAnswer, Report},
    runtime::{Exit, Found, FoundState, Run, RuntimeError, Started},
};
use crate::task::{HostPort, PullPolicy, State, Task, TaskEvent, TaskId, TaskSpec, TaskStatus};

/// A worker with its clock, in a test's hands.
struct Desk {
    worker: Worker,
    now: Timestamp,
}

impl Desk {
    fn new() -> Self {
        Self::with(Limits::default())
    }

    /// A worker that looked at its engine and found nothing.
    fn with(limits: Limits) -> Self {
        let mut desk = Self { worker: Worker::new(limits), now: Timestamp::UNIX_EPOCH };
        desk.give(Input::Listed(Vec::new()));
        desk
    }

    fn give(&mut self, input: Input) -> Output {
        self.now += SignedDuration::from_secs(1);
        self.worker.handle(self.now, input)
    }

    fn start(&mut self, task: &Task) -> Output {
        self.give(Input::Event(TaskEvent::start(task.clone(), self.now)))
    }

    fn stop(&mut self, task: &Task) -> Output {
        let event = TaskEvent { state: State::Completed, ..TaskEvent::start(task.clone(), self.now) };
        self.give(Input::Event(event))
    }

    fn started(&mut self, task: &Task, container: &str) -> Output {
        let started = Started { container: container.to_owned(), was_there: false };
        self.give(Input::Started { run: Run::of(task), started })
    }

    fn failed(&mut self, task: &Task, error: RuntimeError) -> Output {
        self.give(Input::StartFailed { run: Run::of(task), error })
    }

    fn exited(&mut self, task: &Task, container: &str, code: i64) -> Output {
        self.give(Input::Exited { run: Run::of(task), container: container.to_owned(), exit: exit(code) })
    }

    fn stopped(&mut self, task: &Task, container: &str, result: Result<(), RuntimeError>) -> Output {
        self.give(Input::Stopped { task: task.id, container: container.to_owned(), result })
    }

    /// A task that runs in container `c`.
    fn running(&mut self) -> Task {
        let task = task(1);
        self.start(&task);
        self.started(&task, "c");
        assert_eq!(self.status(&task).state, State::Running);
        task
    }

    fn status(&self, task: &Task) -> &TaskStatus {
        &self.worker.task(task.id).expect("a known task").status
    }

    fn state_and_reason(&self, task: &Task) -> (State, &str) {
        let status = self.status(task);
        (status.state, &status.reason)
    }
}

fn exit(code: i64) -> Exit {
    Exit { code, out_of_memory: false, at: None }
}

fn task(number: u128) -> Task {
    let spec = TaskSpec { name: format!("t{number}"), image: "busy:1".to_owned(), ..TaskSpec::default() };
    let status = TaskStatus { state: State::Scheduled, ..TaskStatus::default() };
    Task { id: TaskId(uuid::Uuid::from_u128(number)), spec: Arc::new(spec), status }
}

fn generation(task: &Task, generation: u32) -> Task {
    let mut task = task.clone();
    task.status.generation = generation;
    task
}

fn found(task: &Task, container: &str, state: FoundState) -> Found {
    Found {
        run: Run::of(task),
        container: container.to_owned(),
        state,
        task: task.clone(),
        host_ports: BTreeMap::new(),
        started: Some(Timestamp::UNIX_EPOCH),
    }
}

fn stop_of(task: &Task, container: &str) -> Effect {
    Effect::Stop { task: task.id, container: container.to_owned(), grace: task.spec.stop_timeout() }
}

fn remove_of(container: &str) -> Effect {
    Effect::Remove { container: container.to_owned() }
}

fn away() -> RuntimeError {
    RuntimeError::Unreachable("no answer".to_owned())
}

fn starts(output: &Output) -> Vec<Run> {
    let starts = output.effects.iter().filter_map(|effect| match effect {
        Effect::Start { task } => Some(Run::of(task)),
        _ => None,
    });
    starts.collect()
}

fn status_of(output: &Output) -> u16 {
    output.answer.as_ref().expect("a wish is answered").status
}

#[test]
fn a_start_is_carried_out_and_reported_as_soon_as_it_runs() {
    let mut desk = Desk::new();
    let task = task(1);
    let output = desk.start(&task);
    assert_eq!(output.answer, Some(EventAnswer::accepted()));
    assert_eq!(starts(&output), [Run::of(&task)]);
    let output = desk.started(&task, "c");
    let Report::Task(reported) = &output.reports[0] else { panic!("{:?}", output.reports) };
    assert_eq!(reported.status.state, State::Running);
    assert_eq!(reported.status.container_id, "c");
    assert_eq!(reported.status.start_time, Some(desk.now));
    assert_eq!(output.effects, [], "no engine call more than needed");
}

#[test]
fn a_repeated_start_changes_nothing_at_any_point() {
    let mut desk = Desk::new();
    let task = task(1);
    desk.start(&task);
    let nothing = |output: Output| {
        assert_eq!(output.answer, Some(EventAnswer::accepted()));
        assert_eq!((output.reports.len(), output.effects.len()), (0, 0), "{output:?}");
    };
    nothing(desk.start(&task));
    desk.started(&task, "c");
    nothing(desk.start(&task));
    desk.exited(&task, "c", 0);
    nothing(desk.start(&task));
    assert_eq!(desk.status(&task).state, State::Completed);
}

#[test]
fn only_so_many_start_at_once_and_the_rest_wait_in_order() {
    let mut desk = Desk::with(Limits { start_concurrency: 2, ..Limits::default() });
    let tasks: Vec<Task> = (1..=4).map(task).collect();
    let begun: Vec<usize> = tasks.iter().map(|task| starts(&desk.start(task)).len()).collect();
    assert_eq!(begun, [1, 1, 0, 0]);
    assert_eq!(starts(&desk.started(&tasks[1], "c2")), [Run::of(&tasks[2])]);
    assert_eq!(starts(&desk.failed(&tasks[0], RuntimeError::Refused("no".into()))), [Run::of(&tasks[3])]);
    assert_eq!(desk.started(&tasks[2], "c3").effects, []);
}

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
fn a_newer_generation_replaces_and_an_older_one_is_passed_over() {
    let mut desk = Desk::new();
    let old = desk.running();
    let new = generation(&old, 1);
    let output = desk.start(&new);
    assert_eq!((starts(&output), &output.effects[..]), (vec![], &[stop_of(&old, "c")][..]));
    assert_eq!(desk.status(&new).state, State::Scheduled);
    let output = desk.stopped(&old, "c", Ok(()));
    assert_eq!(starts(&output), [Run::of(&new)], "never two at once");
    desk.started(&new, "d");
    assert_eq!(desk.status(&new).state, State::Running);

    for output in [desk.start(&old), desk.stop(&old), desk.exited(&old, "c", 1)] {
        assert_eq!((output.reports, output.effects), (vec![], vec![]));
    }
    assert_eq!(desk.state_and_reason(&new), (State::Running, ""));
}

#[test]
fn a_newer_generation_in_the_middle_of_a_start_waits_for_it() {
    let mut desk = Desk::new();
    let old = task(1);
    let new = generation(&old, 1);
    desk.start(&old);
    assert_eq!(desk.start(&new).effects, []);
    let output = desk.started(&old, "c");
    assert_eq!((output.effects, output.reports), (vec![stop_of(&old, "c")], vec![]));
    assert_eq!(starts(&desk.stopped(&old, "c", Ok(()))), [Run::of(&new)]);

    // A start that failed has nothing to stop.
    let mut desk = Desk::new();
    desk.start(&old);
    desk.start(&new);
    assert_eq!(starts(&desk.failed(&old, RuntimeError::Refused("no".into()))), [Run::of(&new)]);
}

#[test]
fn a_newer_generation_starts_an_ended_task_again() {
    let mut desk = Desk::new();
    let old = desk.running();
    desk.exited(&old, "c", 3);
    let new = generation(&old, 1);
    assert_eq!(starts(&desk.start(&new)), [Run::of(&new)]);
    desk.started(&new, "d");
    let status = desk.status(&new);
    assert_eq!((status.state, status.exit_code, status.finish_time), (State::Running, None, None));
}

#[test]
fn a_restart_as_the_book_asks_for_it_replaces_the_container_once() {
    let restart = |task: &Task| {
        let mut task = task.clone();
        task.status.container_id = "c".to_owned();
        task.status.restart_count = 1;
        task
    };
    // Of a running one.
    let mut desk = Desk::new();
    let task = desk.running();
    let again = restart(&task);
    assert_eq!(desk.start(&again).effects, [stop_of(&task, "c")]);
    let second = generation(&task, 1);
    assert_eq!(starts(&desk.stopped(&task, "c", Ok(()))), [Run::of(&second)]);
    desk.started(&second, "d");
    assert_eq!(desk.start(&again).effects, [], "a repeat is no second restart");
    assert_eq!(desk.status(&task).restart_count, 1);

    // Of an ended one: its container goes.
    let mut desk = Desk::new();
    let task = desk.running();
    desk.exited(&task, "c", 1);
    let output = desk.start(&restart(&task));
    assert!(output.effects.contains(&remove_of("c")), "{:?}", output.effects);
    assert_eq!(starts(&output), [Run::of(&second)]);
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
fn a_missing_image_is_pulled_once_for_all_who_want_it() {
    let mut desk = Desk::new();
    let (one, two) = (task(1), task(2));
    let missing = || RuntimeError::ImageMissing("busy:1".to_owned());
    desk.start(&one);
    desk.start(&two);
    assert_eq!(desk.failed(&one, missing()).effects, [Effect::Pull { image: "busy:1".into() }]);
    assert_eq!(desk.failed(&two, missing()).effects, []);
    let output = desk.give(Input::PullProgress { image: "busy:1".into(), text: "pulling 37 %".into() });
    assert_eq!(output.reports.len(), 2, "both show it");
    let output = desk.give(Input::Pulled { image: "busy:1".into(), result: Ok(()) });
    assert_eq!(starts(&output), [Run::of(&one), Run::of(&two)]);
    // Missing again right after the pull: not for ever.
    desk.failed(&one, missing());
    let failed = (State::Failed, "start failed: image busy:1 is not on this machine");
    assert_eq!(desk.state_and_reason(&one), failed);
}

#[test]
fn a_pull_that_fails_says_so_in_the_task() {
    let mut desk = Desk::new();
    let task = task(1);
    desk.start(&task);
    desk.failed(&task, RuntimeError::ImageMissing("busy:1".into()));
    let reason = "image busy:1 not found: no such manifest";
    let result = Err(RuntimeError::Refused(reason.into()));
    desk.give(Input::Pulled { image: "busy:1".into(), result });
    assert_eq!(desk.state_and_reason(&task), (State::Failed, reason));
}

#[test]
fn the_pull_policy_is_kept() {
    let with = |pull_policy| {
        let mut task = task(1);
        task.spec = Arc::new(TaskSpec { pull_policy, ..(*task.spec).clone() });
        task
    };
    let mut desk = Desk::new();
    let always = with(PullPolicy::Always);
    assert_eq!(desk.start(&always).effects, [Effect::Pull { image: "busy:1".into() }]);
    let output = desk.give(Input::Pulled { image: "busy:1".into(), result: Ok(()) });
    assert_eq!(starts(&output), [Run::of(&always)]);

    let mut desk = Desk::new();
    let never = with(PullPolicy::Never);
    desk.start(&never);
    desk.failed(&never, RuntimeError::ImageMissing("busy:1".into()));
    assert_eq!(
        desk.state_and_reason(&never),
        (State::Failed, "image busy:1 is not on this machine, and PullPolicy is never")
    );
}

#[test]
fn a_pull_does_not_hold_up_other_starts() {
    let mut desk = Desk::with(Limits { start_concurrency: 1, ..Limits::default() });
    let (one, two) = (task(1), task(2));
    desk.start(&one);
    desk.start(&two);
    let output = desk.failed(&one, RuntimeError::ImageMissing("busy:1".into()));
    assert_eq!(starts(&output), [Run::of(&two)]);
}

#[test]
fn an_engine_that_is_away_gets_no_new_work_and_loses_none() {
    let mut desk = Desk::new();
    let (one, two) = (task(1), task(2));
    desk.start(&one);
    let output = desk.give(Input::RuntimeHealth("no engine".into()));
    assert_eq!(output.reports, [Report::Heartbeat { runtime_problem: "no engine".into() }]);
    assert_eq!(desk.start(&two).answer, Some(EventAnswer::refused(503, "no engine")));
    assert_eq!(status_of(&desk.start(&one)), 201, "a repeat is not new work");

    // However often the start is tried meanwhile, it is not given up.
    for _ in 0..20 {
        let output = desk.failed(&one, away());
        assert!(matches!(output.effects[..], [Effect::Later { .. }]));
        assert_eq!(starts(&desk.give(Input::Wake(one.id))), []);
        assert_eq!(desk.state_and_reason(&one), (State::Scheduled, "no answer"));
        desk.give(Input::RuntimeHealth(String::new()));
        desk.give(Input::RuntimeHealth("no engine".into()));
    }
    desk.give(Input::RuntimeHealth(String::new()));
    desk.started(&one, "c");
    assert_eq!(desk.state_and_reason(&one), (State::Running, ""));
    assert_eq!(status_of(&desk.start(&two)), 201);
}

#[test]
fn a_start_without_an_answer_is_tried_a_few_times_only() {
    let mut desk = Desk::new();
    let task = task(1);
    desk.start(&task);
    let mut waits = Vec::new();
    while desk.status(&task).state == State::Scheduled {
        for effect in desk.failed(&task, away()).effects {
            let Effect::Later { after, .. } = effect else { panic!("{effect:?}") };
            waits.push(after.as_secs());
            desk.give(Input::Wake(task.id));
        }
    }
    assert_eq!(waits, [1, 2, 4, 8]);
    assert_eq!(desk.state_and_reason(&task), (State::Failed, "start failed: no answer"));
}

#[test]
fn nothing_new_is_taken_before_the_engine_was_looked_at() {
    let mut worker = Worker::new(Limits::default());
    let event = || Input::Event(TaskEvent::start(task(1), Timestamp::UNIX_EPOCH));
    assert_eq!(status_of(&worker.handle(Timestamp::UNIX_EPOCH, event())), 503);
    worker.handle(Timestamp::UNIX_EPOCH, Input::Listed(Vec::new()));
    assert_eq!(status_of(&worker.handle(Timestamp::UNIX_EPOCH, event())), 201);
}

#[test]
fn containers_are_adopted_as_they_are() {
    let tasks: Vec<Task> = (1..=4).map(task).collect();
    let mut desk = Desk { worker: Worker::new(Limits::default()), now: Timestamp::UNIX_EPOCH };
    let output = desk.give(Input::Listed(vec![
        found(&tasks[0], "runs", FoundState::Running),
        found(&tasks[1], "good", FoundState::Exited(exit(0))),
        found(&tasks[2], "bad", FoundState::Exited(exit(3))),
        found(&tasks[3], "made", FoundState::Created),
    ]));
    let states: Vec<State> = tasks.iter().map(|task| desk.status(task).state).collect();
    assert_eq!(states, [State::Running, State::Completed, State::Failed, State::Scheduled]);
    assert_eq!(desk.status(&tasks[0]).container_id, "runs");
    assert_eq!(desk.status(&tasks[0]).start_time, Some(Timestamp::UNIX_EPOCH));
    assert_eq!(starts(&output), [Run::of(&tasks[3])], "made and never started: started now");
    assert!(matches!(output.reports.last(), Some(Report::Tasks(all)) if all.len() == 4));
    // What a manager that did not see the restart sends again changes nothing.
    for task in &tasks {
        assert_eq!(desk.start(task).effects, []);
    }
}

#[test]
fn of_two_containers_for_a_task_the_newer_running_one_stays() {
    let old = task(1);
    let new = generation(&old, 1);
    for list in [
        vec![found(&old, "c", FoundState::Running), found(&new, "d", FoundState::Running)],
        vec![found(&new, "d", FoundState::Running), found(&old, "c", FoundState::Running)],
    ] {
        let mut desk = Desk { worker: Worker::new(Limits::default()), now: Timestamp::UNIX_EPOCH };
        let output = desk.give(Input::Listed(list));
        assert_eq!(output.effects, [stop_of(&old, "c")]);
        assert_eq!(desk.status(&new).container_id, "d");
    }
    let mut desk = Desk { worker: Worker::new(Limits::default()), now: Timestamp::UNIX_EPOCH };
    let output = desk.give(Input::Listed(vec![
        found(&old, "made", FoundState::Created),
        found(&old, "runs", FoundState::Running),
    ]));
    assert_eq!(output.effects, [remove_of("made")]);
}

#[test]
fn a_list_finds_the_ends_that_were_missed() {
    let mut desk = Desk::new();
    let task = desk.running();
    desk.give(Input::Listed(vec![found(&task, "c", FoundState::Exited(exit(7)))]));
    assert_eq!(desk.state_and_reason(&task), (State::Failed, "exit code 7"));

    // Missing in a list that may be older than the container: asked for by name.
    let mut desk = Desk::new();
    let task = desk.running();
    let output = desk.give(Input::Listed(Vec::new()));
    assert_eq!(output.effects, [Effect::Inspect { run: Run::of(&task), container: "c".into() }]);
    assert_eq!(desk.status(&task).state, State::Running);
}

#[test]
fn a_start_whose_answer_was_lost_is_not_repeated() {
    for (state, expected) in
        [(FoundState::Running, State::Running), (FoundState::Exited(exit(0)), State::Completed)]
    {
        let mut desk = Desk::new();
        let task = task(1);
        desk.start(&task);
        desk.failed(&task, away());
        let output = desk.give(Input::Listed(vec![found(&task, "c", state)]));
        assert_eq!((starts(&output), desk.status(&task).state), (vec![], expected));
        assert_eq!(starts(&desk.give(Input::Wake(task.id))), []);
    }
    // Its name was taken by itself: how it stands is looked at.
    let mut desk = Desk::new();
    let task = task(1);
    desk.start(&task);
    let started = Started { container: "c".into(), was_there: true };
    let output = desk.give(Input::Started { run: Run::of(&task), started });
    assert_eq!(output.effects, [Effect::Inspect { run: Run::of(&task), container: "c".into() }]);
}

#[test]
fn an_ended_container_that_someone_starts_again_is_stopped() {
    let mut desk = Desk::new();
    let task = desk.running();
    desk.exited(&task, "c", 0);
    let run = Run::of(&task);
    let output = desk.give(Input::Up { run, container: "c".into() });
    assert_eq!(output.effects, [Effect::Inspect { run, container: "c".into() }]);
    let output = desk.give(Input::Found(found(&task, "c", FoundState::Running)));
    assert_eq!(output.effects, [stop_of(&task, "c")]);
    assert_eq!(desk.status(&task).state, State::Completed, "an end is an end");
}

#[test]
fn published_ports_are_read_back_and_reported() {
    let mut desk = Desk::new();
    let mut task = task(1);
    let exposed_ports = Some(vec!["80/tcp".to_owned()]);
    task.spec = Arc::new(TaskSpec { exposed_ports, ..(*task.spec).clone() });
    desk.start(&task);
    let output = desk.started(&task, "c");
    assert_eq!(output.effects, [Effect::Inspect { run: Run::of(&task), container: "c".into() }]);
    let port = HostPort { host_ip: "0.0.0.0".into(), host_port: "32768".into() };
    let ports = BTreeMap::from([("80/tcp".to_owned(), vec![port])]);
    let found = Found { host_ports: ports.clone(), ..found(&task, "c", FoundState::Running) };
    assert_eq!(desk.give(Input::Found(found.clone())).reports.len(), 1);
    assert_eq!(desk.status(&task).host_ports, ports);
    assert_eq!(desk.give(Input::Found(found)).reports, [], "the same again is no news");
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

#[test]
fn a_full_queue_refuses_for_now() {
    let mut desk = Desk::with(Limits { start_concurrency: 0, queue: 1, ..Limits::default() });
    assert_eq!(status_of(&desk.start(&task(1))), 201);
    assert_eq!(status_of(&desk.start(&task(2))), 503);
    assert_eq!(status_of(&desk.start(&task(1))), 201);
}

#[test]
fn failed_can_not_be_wished_for() {
    let mut desk = Desk::new();
    let event = TaskEvent { state: State::Failed, ..TaskEvent::start(task(1), desk.now) };
    assert_eq!(status_of(&desk.give(Input::Event(event))), 400);
    assert_eq!(desk.worker.task_count(), 0);
}

/// Random histories: whatever comes in whatever order, at most one live container a task, and an end is an end.
mod at_random {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_history_makes_two_live_containers(steps in proptest::collection::vec((0..9_u8, 1..4_u128, 0..3_u32), 1..80)) {
            let mut desk = Desk::with(Limits { start_concurrency: 2, kept_containers: 3, ..Limits::default() });
            // The engine: container → its run; and the effects under way.
            let mut live: BTreeMap<String, Task> = BTreeMap::new();
            let mut under_way: Vec<Effect> = Vec::new();
            let mut created = 0;
            for (step, number, gen_number) in steps {
                let wished = generation(&task(number), gen_number);
                let output = match step {
                    0 | 1 => desk.start(&wished),
                    2 => desk.stop(&wished),
                    3 => desk.give(Input::Stop(wished.id)),
                    4 => match live.pop_first() {
                        Some((container, task)) => desk.exited(&task, &container, i64::from(gen_number)),
                        None => continue,
                    },
                    5 => match live.pop_first() {
                        Some((container, task)) => desk.give(Input::Gone { run: Run::of(&task), container }),
                        None => continue,
                    },
                    _ => {
                        if under_way.is_empty() {
                            continue;
                        }
                        let at = usize::try_from(number).unwrap() % under_way.len();
                        match under_way.remove(at) {
                            Effect::Start { task } if gen_number == 2 => desk.failed(&task, away()),
                            Effect::Start { task } => {
                                created += 1;
                                let container = format!("c{created}");
                                prop_assert!(live.values().all(|other| other.id != task.id), "two live: {task:?}");
                                live.insert(container.clone(), task.clone());
                                desk.started(&task, &container)
                            }
                            Effect::Stop { task, container, .. } => {
                                live.remove(&container);
                                desk.give(Input::Stopped { task, container, result: Ok(()) })
                            }
                            Effect::Inspect { run, container } => match live.get(&container) {
                                Some(task) => desk.give(Input::Found(found(task, &container, FoundState::Running))),
                                None => desk.give(Input::Gone { run, container }),
                            },
                            Effect::Later { task, .. } => desk.give(Input::Wake(task)),
                            Effect::Pull { image } => desk.give(Input::Pulled { image, result: Ok(()) }),
                            Effect::Remove { .. } | Effect::AbandonPull { .. } => continue,
                        }
                    }
                };
                under_way.extend(output.effects);
            }
        }
    }
}
