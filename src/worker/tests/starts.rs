//! What follows from a wish to start, and from what the engine answers.

use super::*;
use crate::cluster::Allows;

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
fn a_full_queue_refuses_for_now() {
    let mut desk = Desk::with(Limits { start_concurrency: 0, queue: 1, ..Limits::default() });
    assert_eq!(status_of(&desk.start(&task(1))), 201);
    assert_eq!(status_of(&desk.start(&task(2))), 503);
    assert_eq!(status_of(&desk.start(&task(1))), 201);
}

/// Whatever the sender thinks: it may know an older policy, or be no manager at all.
#[test]
fn what_its_policy_does_not_allow_is_refused_by_the_worker_itself() {
    let asks = |more: &str| {
        let asked: Task = serde_json::from_str(&format!(r#"{{"Image":"busy:1",{more}}}"#)).unwrap();
        Task { spec: asked.spec, ..task(1) }
    };
    for (asked, line) in [
        (r#""NetworkMode":"host""#, "`host_network = true`"),
        (r#""Privileged":true"#, "`privileged = true`"),
        (r#""PidMode":"host""#, "`host_pid = true`"),
        (r#""IpcMode":"host""#, "`host_ipc = true`"),
        (r#""Mounts":["/:/host"]"#, r#"`host_paths = ["/"]`"#),
        (r#""Mounts":["/var/run/docker.sock:/s"]"#, r#"`host_paths = ["/var/run/docker.sock"]`"#),
        (r#""Devices":["/dev/fuse"]"#, r#"`devices = ["/dev/fuse"]`"#),
        (r#""CapAdd":["ALL"]"#, r#"`capabilities = ["ALL"]`"#),
    ] {
        let mut desk = Desk::new();
        let output = desk.start(&asks(asked));
        let answer = output.answer.unwrap();
        assert_eq!(answer.status, 403, "{asked}");
        assert!(answer.message.contains(line), "{}", answer.message);
        assert_eq!((output.effects, desk.worker.task_count()), (vec![], 0), "{asked}");
        let mut desk = Desk::with(Limits { allows: Allows::all(), ..Limits::default() });
        assert_eq!(status_of(&desk.start(&asks(asked))), 201, "{asked}");
    }
}

#[test]
fn failed_can_not_be_wished_for() {
    let mut desk = Desk::new();
    let event = TaskEvent { state: State::Failed, ..TaskEvent::start(task(1), desk.now) };
    assert_eq!(status_of(&desk.give(Input::Event(event))), 400);
    assert_eq!(desk.worker.task_count(), 0);
}

/// What the start met, and whether another worker may try.
#[test]
fn only_a_start_that_nothing_can_have_come_of_is_said_to_never_have_run() {
    let no_space = || RuntimeError::Refused("no space left".into());
    let cases = [
        ("the engine says no", vec![no_space()], true),
        ("no answer, then a no", vec![away(), no_space()], false),
        ("never an answer", vec![away(); 5], false),
    ];
    for (name, errors, expected) in cases {
        let mut desk = Desk::new();
        let task = task(1);
        desk.start(&task);
        for error in errors {
            desk.failed(&task, error);
            desk.give(Input::Wake(task.id));
        }
        let status = desk.status(&task);
        assert_eq!((status.state, status.never_ran), (State::Failed, expected), "{name}");
        let next = generation(&task, 1);
        desk.start(&next);
        desk.failed(&next, no_space());
        assert!(desk.status(&task).never_ran, "{name}: the next generation is a start of its own");
    }
}

#[test]
fn a_pull_without_an_answer_never_ran_anything() {
    let mut desk = Desk::new();
    let task = task(1);
    desk.start(&task);
    desk.failed(&task, RuntimeError::ImageMissing("busy:1".into()));
    for _ in 0..5 {
        desk.give(Input::Pulled { image: "busy:1".into(), result: Err(away()) });
        desk.give(Input::Wake(task.id));
        desk.failed(&task, RuntimeError::ImageMissing("busy:1".into()));
    }
    let status = desk.status(&task);
    assert_eq!((status.state, status.never_ran), (State::Failed, true), "{}", status.reason);
}

#[test]
fn a_container_that_its_restarted_engine_can_not_start_again_did_run() {
    let mut desk = Desk::new();
    let task = desk.running();
    desk.give(Input::RuntimeHealth("no engine".into()));
    desk.give(Input::Killed { run: Run::of(&task), container: "c".into() });
    desk.give(Input::Found(found(&task, "c", FoundState::Exited(exit(137)))));
    desk.give(Input::RuntimeHealth(String::new()));
    desk.failed(&task, RuntimeError::Refused("no such network".into()));
    let status = desk.status(&task);
    assert_eq!((status.state, status.never_ran), (State::Failed, false), "{}", status.reason);
}

#[test]
fn a_start_that_the_engine_denies_and_has_carried_out_is_stopped_if_a_stop_came_meanwhile() {
    let seen = |task: &Task| {
        [
            Input::Found(found(task, "c", FoundState::Running)),
            Input::Up { run: Run::of(task), container: "c".into() },
        ]
    };
    for which in 0..2 {
        let mut desk = Desk::new();
        let task = task(1);
        desk.start(&task);
        desk.give(seen(&task)[which].clone());
        desk.stop(&task);
        let mut output = desk.failed(&task, away());
        if output.effects == [(Effect::Inspect { run: Run::of(&task), container: "c".into() })] {
            output = desk.give(Input::Found(found(&task, "c", FoundState::Running)));
        }
        let stop = output
            .effects
            .iter()
            .find(|effect| matches!(effect, Effect::Stop { container, .. } if container == "c"));
        assert!(stop.is_some(), "{which}: {output:?}");
    }
}

#[test]
fn a_start_that_the_engine_denies_and_has_carried_out_is_not_asked_for_again() {
    let mut desk = Desk::new();
    let task = task(1);
    desk.start(&task);
    desk.give(Input::Found(found(&task, "c", FoundState::Running)));
    let output = desk.failed(&task, away());
    assert_eq!(output.effects, []);
    assert_eq!((desk.status(&task).state, desk.status(&task).container_id.as_str()), (State::Running, "c"));
}

#[test]
fn an_end_that_is_heard_of_during_a_start_that_fails_is_not_lost_behind_what_was_found_before() {
    let mut desk = Desk::new();
    let task = task(1);
    desk.start(&task);
    desk.give(Input::Found(found(&task, "c", FoundState::Running)));
    desk.exited(&task, "c", 3);
    let output = desk.failed(&task, RuntimeError::Unreachable("no answer".to_owned()));
    let inspect = Effect::Inspect { run: Run::of(&task), container: "c".to_owned() };
    assert!(output.effects.contains(&inspect), "{output:?}");
    desk.give(Input::Found(found(&task, "c", FoundState::Exited(exit(3)))));
    assert_eq!((desk.status(&task).state, desk.status(&task).exit_code), (State::Failed, Some(3)));
}
