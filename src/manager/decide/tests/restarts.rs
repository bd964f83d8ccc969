//! Restarts over time: how a crash loop grows, what a healthy run ends, and what `on-failure:N` counts.

use std::time::Duration;

use jiff::Timestamp;

use super::{Desk, id, starts};
use crate::manager::decide::*;
use crate::task::{RestartPolicy, State, TaskSpec};

/// A worker and a task that is always started again.
fn desk(policy: RestartPolicy) -> (Desk, TaskId) {
    let mut desk = Desk::with(&["a"]);
    let (task, _) = desk.submit(TaskSpec { restart_policy: policy, ..TaskSpec::default() });
    (desk, task)
}

/// The task runs for so long, and ends.
fn run(desk: &mut Desk, task: TaskId, ran: Duration, code: i64) {
    let now = |desk: &Desk| Some(Timestamp::UNIX_EPOCH + desk.since_start);
    let started = now(desk);
    desk.report_with("a", task, |task| {
        task.status.state = State::Running;
        task.status.start_time = started;
    });
    desk.wait(ran);
    let ended = now(desk);
    desk.report_with("a", task, |task| {
        task.status.state = if code == 0 { State::Completed } else { State::Failed };
        task.status.exit_code = Some(code);
        task.status.finish_time = ended;
    });
}

/// Lets the backoff pass; how long it was. A worker that does not speak for that long would get nothing.
fn next_start(desk: &mut Desk, task: TaskId) -> Duration {
    let before = desk.since_start;
    while desk.state(task) == State::Pending {
        desk.give(Input::Heartbeat { worker: id("a"), runtime_problem: String::new() });
        desk.wait(Duration::from_millis(250));
    }
    desk.since_start.saturating_sub(before)
}

#[test]
fn a_crash_loop_waits_longer_each_time_and_says_so_from_the_third_on() {
    let (mut desk, task) = desk(RestartPolicy::Always);
    for (number, longest) in (1..).zip([1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]) {
        run(&mut desk, task, Duration::from_secs(1), 3);
        let record = desk.task(task);
        assert_eq!((record.crashes.in_a_row, record.status().restart_count), (number, number));
        assert_eq!(record.crash_loop().is_some(), number >= 3, "{number}");
        if number >= 3 {
            let reason = format!("crash loop: failed {number} times in a row, last: exit code 3");
            assert_eq!(desk.reason(task), reason);
        }
        let (longest, waited) = (Duration::from_secs(longest), next_start(&mut desk, task));
        let is_backoff = waited <= longest + Duration::from_millis(250) && waited >= longest.mul_f64(0.75);
        assert!(is_backoff, "start {number} after {waited:?}, not about {longest:?}");
        assert!(desk.task(task).crash_loop().is_none(), "it is being started");
    }
}

#[test]
fn a_healthy_run_starts_the_backoff_over_and_the_restarts_go_on_being_counted() {
    for (ran, in_a_row) in [(Duration::from_secs(599), 6), (Duration::from_mins(10), 1)] {
        let (mut desk, task) = desk(RestartPolicy::Always);
        for _ in 0..5 {
            run(&mut desk, task, Duration::from_secs(1), 3);
            next_start(&mut desk, task);
        }
        run(&mut desk, task, ran, 3);
        let record = desk.task(task);
        assert_eq!((record.crashes.in_a_row, record.status().restart_count), (in_a_row, 6), "{ran:?}");
    }
}

#[test]
fn on_failure_counts_all_restarts_also_those_before_a_healthy_run() {
    let (mut desk, task) = desk(RestartPolicy::OnFailure(Some(2)));
    for _ in 0..2 {
        run(&mut desk, task, Duration::from_mins(11), 3);
        next_start(&mut desk, task);
    }
    run(&mut desk, task, Duration::from_mins(11), 3);
    assert_eq!((desk.state(task), desk.task(task).status().restart_count), (State::Failed, 2));
}

#[test]
fn a_program_that_is_always_done_too_soon_is_a_crash_loop_too() {
    let (mut desk, task) = desk(RestartPolicy::Always);
    for _ in 0..3 {
        run(&mut desk, task, Duration::from_secs(1), 0);
        if desk.task(task).crash_loop().is_none() {
            next_start(&mut desk, task);
        }
    }
    assert_eq!(desk.reason(task), "crash loop: ended 3 times in a row, last: exit code 0");
}

#[test]
fn a_stop_ends_a_crash_loop() {
    let (mut desk, task) = desk(RestartPolicy::Always);
    for _ in 0..4 {
        run(&mut desk, task, Duration::from_secs(1), 3);
        if desk.task(task).crashes.in_a_row < 4 {
            next_start(&mut desk, task);
        }
    }
    assert!(desk.task(task).crash_loop().is_some());
    desk.stop(task);
    assert!(desk.task(task).crash_loop().is_none());
    assert_eq!(desk.state(task), State::Completed);
    assert!(starts(&desk.wait(Duration::from_mins(10))).is_empty());
}

#[test]
fn a_log_from_before_crashes_were_counted_is_read() {
    let (mut desk, task) = desk(RestartPolicy::Always);
    run(&mut desk, task, Duration::from_secs(1), 3);
    let change = desk.give(Input::Tick).changes;
    assert!(change.is_empty());
    let restarting = desk.manager.cluster().event_db().of_task(task).next_back().cloned();
    let mut json = serde_json::to_value(&*restarting.expect("a restart")).expect("a Change is JSON");
    json.as_object_mut().expect("an object").remove("crashes").expect("it is there");
    let read: Change = serde_json::from_value(json).expect("an old Change");
    assert!(matches!(read.what, What::Restarting { crashes, .. } if crashes.in_a_row == 0));
    let mut json = serde_json::to_value(desk.task(task)).expect("a record is JSON");
    json.as_object_mut().expect("an object").remove("crashes").expect("it is there");
    let read: crate::cluster::TaskRecord = serde_json::from_value(json).expect("an old record");
    assert_eq!(read.crashes.in_a_row, 0);
}
