//! The decisions as tables: state, input, expected Changes and effects. `desk` drives virtual time.

mod book;
mod collect;
mod desk;
mod double;
mod drain;
mod flapping;
mod forget;
mod join;
mod lease;
mod moves;
mod placing;
mod plan;
mod preempt;
mod rebalance;
mod recover;
mod refusals;
mod reports;
mod restart;
mod restarts;
mod secrets;
mod stop_to_move;
mod waiting;
mod why;

use std::sync::Arc;
use std::time::Duration;

use desk::*;
use jiff::Timestamp;

use super::{
    Answer, ConfiguredWorker, Decision, Effect, Input, Manager, Now, RequestError, SendOutcome, Wish,
};
use crate::cluster::{Capacity, Cause, Cluster, Facts, Peer, What, WorkerHealth};
use crate::task::{RestartPolicy, State, Task, TaskEvent, TaskId, TaskSpec, WorkerId};

#[test]
fn a_submit_is_scheduled_round_robin_and_sent_in_the_same_turn() {
    let mut desk = Desk::with(&["a", "b"]);
    let sent: Vec<_> = (0..4).map(|_| desk.submit(TaskSpec::default())).collect();
    let workers: Vec<_> = sent.iter().flat_map(|(_, effects)| starts(effects)).collect();
    assert_eq!(workers, [("a", 0), ("b", 0), ("a", 0), ("b", 0)]);
    for (task, effects) in &sent {
        assert_eq!(desk.state(*task), State::Scheduled);
        assert!(effects.iter().any(|effect| matches!(effect, Effect::Answer { answer: Ok(_), .. })));
    }
}

#[test]
fn every_start_says_state_scheduled_as_the_books_workers_need_it() {
    let mut desk = Desk::with(&["a"]);
    let (_, effects) = desk.submit(TaskSpec::default());
    for effect in effects {
        if let Effect::Send { task, .. } = effect {
            assert_eq!(task.status.state, State::Scheduled);
            assert!(task.status.container_id.is_empty());
        }
    }
}

#[test]
fn a_running_report_brings_container_ports_and_times() {
    let mut desk = Desk::with(&["a"]);
    let (task, _) = desk.submit(TaskSpec::default());
    desk.sent("a", task, SendOutcome::Accepted);
    desk.report_with("a", task, |task| {
        task.status.state = State::Running;
        task.status.container_id = "c0ffee".into();
        task.status.start_time = Some(Timestamp::UNIX_EPOCH);
    });
    assert_eq!(desk.state(task), State::Running);
    assert_eq!(desk.task(task).task.status.container_id, "c0ffee");
    assert!(desk.report("a", task, State::Running).changes.is_empty(), "the same again is no news");
}

#[test]
fn a_worker_that_is_down_at_dispatch_gives_the_event_back_with_backoff_and_reason() {
    let mut desk = Desk::with(&["a"]);
    let (task, _) = desk.submit(TaskSpec::default());
    assert!(starts(&desk.sent("a", task, down())).is_empty(), "not at once");
    assert_eq!(desk.state(task), State::Pending);
    assert_eq!(desk.reason(task), "could not send it to a: connection refused");
    let mut waits = vec![];
    for _ in 0..9 {
        let before = desk.since_start;
        while desk.state(task) == State::Pending {
            desk.give(Input::Heartbeat { worker: id("a"), runtime_problem: String::new() });
            desk.wait(Duration::from_millis(250));
        }
        waits.push(desk.since_start.saturating_sub(before).as_millis());
        desk.sent("a", task, down());
    }
    assert_eq!(waits, [500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000]);
}

#[test]
fn a_4xx_of_the_only_worker_fails_the_task_with_its_message() {
    let mut desk = Desk::with(&["a"]);
    let (task, _) = desk.submit(TaskSpec::default());
    assert!(desk.sent("a", task, refused(400, "Image: must not be empty")).is_empty());
    assert_eq!(desk.state(task), State::Failed);
    assert_eq!(desk.reason(task), "a refused it: Image: must not be empty");
}

#[test]
fn a_task_no_worker_can_take_stays_pending_says_why_and_goes_when_one_can() {
    let mut desk = Desk::with(&[]);
    let (task, effects) = desk.submit(TaskSpec::default());
    assert!(starts(&effects).is_empty());
    assert_eq!(desk.reason(task), "no worker yet; add one with --worker HOST:PORT");

    let mut desk = Desk { manager: Manager::default(), since_start: Duration::ZERO, log: vec![] };
    desk.start(&["a"]);
    let (task, _) = desk.submit(TaskSpec::default());
    assert_eq!(desk.reason(task), "waiting: a is connecting");
    desk.give(Input::LinkDown { worker: id("a"), reason: "connection refused".into() });
    assert_eq!(desk.reason(task), "waiting: a is connecting (connection refused)");
    desk.up("a");
    assert_eq!(desk.state(task), State::Scheduled);
}

#[test]
fn a_worker_with_a_sick_engine_gets_nothing_new_until_it_is_well() {
    let mut desk = Desk::with(&["a"]);
    let sick = Input::Heartbeat { worker: id("a"), runtime_problem: "docker does not answer".into() };
    desk.give(sick);
    let (task, _) = desk.submit(TaskSpec::default());
    assert_eq!(desk.reason(task), "waiting: a runtime unhealthy (docker does not answer)");
    let well = Input::Heartbeat { worker: id("a"), runtime_problem: String::new() };
    assert_eq!(starts(&desk.give(well).effects), [("a", 0)]);
}

#[test]
fn an_engine_that_fails_in_ever_new_words_does_not_fill_the_log() {
    let mut desk = Desk::with(&["a"]);
    let before = desk.log.len();
    for second in 0..120 {
        let runtime_problem = format!("connection cut ({second})");
        desk.give(Input::Heartbeat { worker: id("a"), runtime_problem });
        desk.wait(Duration::from_secs(1));
    }
    assert_eq!(desk.log.len() - before, 4, "one at once, then one each 30 s");
    desk.give(Input::Heartbeat { worker: id("a"), runtime_problem: String::new() });
    assert_eq!(desk.log.len() - before, 5, "its end is told at once");
}

#[test]
fn a_hung_worker_holds_up_no_one_elses_work() {
    let mut desk = Desk::with(&["hung", "b"]);
    let (first, effects) = desk.submit(TaskSpec::default());
    assert_eq!(starts(&effects), [("hung", 0)]);
    desk.wait(Duration::from_secs(1));
    for _ in 0..10 {
        let (task, effects) = desk.submit(TaskSpec::default());
        assert_eq!(starts(&effects), [("b", 0)]);
        desk.sent("b", task, SendOutcome::Accepted);
    }
    // When its deadline is over, what it was sent goes elsewhere, as a new generation: it may have arrived.
    desk.sent("hung", first, lost());
    desk.give(Input::LinkDown { worker: id("hung"), reason: "silent".into() });
    assert_eq!(starts(&desk.wait(Duration::from_secs(1))), [("b", 1)]);
}

#[test]
fn a_worker_that_owes_a_thousand_answers_gets_no_more_and_nothing_is_dropped() {
    let mut desk = Desk::with(&["a"]);
    let events: Vec<_> = (0..1_500).map(|_| event(TaskSpec::default())).collect();
    let tasks: Vec<_> = events.iter().map(|event| event.task.id).collect();
    let decision = desk.give(Input::Submit { request: 1, cause: Cause::Command, events });
    assert_eq!(starts(&decision.effects).len(), 1_000);
    let more = desk.sent("a", tasks[0], SendOutcome::Accepted);
    assert_eq!(starts(&more).len(), 1, "an answer makes room");
    assert_eq!(desk.manager.cluster().pending_len(), 499);
}

#[test]
fn a_start_whose_reply_was_lost_is_taken_back_when_its_worker_reports_it() {
    let mut desk = Desk::with(&["a"]);
    let (task, _) = desk.submit(TaskSpec::default());
    desk.sent("a", task, lost());
    assert_eq!(desk.state(task), State::Pending);
    let decision = desk.report("a", task, State::Running);
    assert!(decision.effects.is_empty(), "nothing is started again");
    assert_eq!(desk.state(task), State::Running);
    assert_eq!(desk.manager.cluster().worker_of(task), Some(&id("a")));
    assert!(starts(&desk.wait(Duration::from_mins(1))).is_empty());
}

#[test]
fn a_start_that_was_accepted_by_a_worker_killed_right_after_is_sent_again() {
    let mut desk = Desk::with(&["a"]);
    let (task, _) = desk.submit(TaskSpec::default());
    // It was killed and is back, and knows nothing, before its answer to the POST is read.
    desk.give(Input::LinkDown { worker: id("a"), reason: "connection cut".into() });
    desk.give(up("a"));
    let list = Input::WorkerTasks { worker: id("a"), tasks: vec![] };
    assert!(starts(&desk.give(list).effects).is_empty(), "it may be on its way");
    assert_eq!(starts(&desk.sent("a", task, SendOutcome::Accepted)), [("a", 0)]);
    assert!(starts(&desk.sent("a", task, SendOutcome::Accepted)).is_empty());
}

#[test]
fn a_leftover_of_an_older_generation_is_stopped_and_changes_nothing() {
    let mut desk = Desk::with(&["a", "b"]);
    let (task, _) = desk.submit(TaskSpec::default());
    desk.sent("a", task, lost());
    assert_eq!(starts(&desk.wait(Duration::from_secs(1))), [("b", 1)]);
    desk.sent("b", task, SendOutcome::Accepted);
    desk.report("b", task, State::Running);
    let decision = desk.report_with("a", task, |task| {
        task.status.state = State::Running;
        task.status.generation = 0;
    });
    assert!(decision.changes.is_empty());
    assert_eq!(stops(&decision.effects), [("a", 0)]);
}

#[test]
fn the_stop_of_a_leftover_is_sent_again_until_it_arrives() {
    let mut desk = Desk::with(&["a", "b"]);
    let (task, _) = desk.submit(TaskSpec::default());
    desk.sent("a", task, lost());
    desk.wait(Duration::from_secs(1));
    desk.sent("b", task, SendOutcome::Accepted);
    let leftover = |task: &mut Task| {
        task.status.state = State::Running;
        task.status.generation = 0;
    };
    assert_eq!(stops(&desk.report_with("a", task, leftover).effects), [("a", 0)]);
    let sent = |outcome| Input::Sent { worker: id("a"), task, generation: 0, wish: Wish::Stop, outcome };
    desk.give(sent(lost()));
    assert_eq!(stops(&desk.wait(Duration::from_secs(2))), [("a", 0)]);
    desk.give(sent(SendOutcome::Accepted));
    assert!(stops(&desk.wait(Duration::from_mins(1))).is_empty());
}

#[test]
fn what_still_runs_of_a_task_that_has_ended_is_stopped() {
    let mut desk = Desk::with(&["a"]);
    let (task, _) = desk.submit(TaskSpec::default());
    desk.sent("a", task, SendOutcome::Accepted);
    desk.stop(task);
    // A list from before the start arrived.
    desk.give(Input::WorkerTasks { worker: id("a"), tasks: vec![] });
    assert_eq!(desk.state(task), State::Completed);
    let decision = desk.report("a", task, State::Running);
    assert!(decision.changes.is_empty(), "an end is an end");
    assert_eq!(stops(&decision.effects), [("a", 0)]);
}

#[test]
fn a_batch_job_that_exits_0_is_completed_and_not_run_again() {
    let mut desk = Desk::with(&["a"]);
    let spec = TaskSpec { restart_policy: RestartPolicy::OnFailure(Some(3)), ..TaskSpec::default() };
    let (task, _) = desk.submit(spec);
    desk.report("a", task, State::Running);
    desk.report_with("a", task, |task| {
        task.status.state = State::Completed;
        task.status.exit_code = Some(0);
    });
    assert_eq!(desk.state(task), State::Completed);
    assert!(starts(&desk.wait(Duration::from_mins(10))).is_empty());
}

#[test]
fn on_failure_restarts_with_backoff_as_often_as_it_says_and_goes_on_round_robin() {
    let mut desk = Desk::with(&["a", "b"]);
    let spec = TaskSpec { restart_policy: RestartPolicy::OnFailure(Some(2)), ..TaskSpec::default() };
    let (task, effects) = desk.submit(spec);
    assert_eq!(starts(&effects), [("a", 0)]);
    let fail = |desk: &mut Desk, worker: &str| {
        desk.report(worker, task, State::Running);
        desk.report_with(worker, task, |task| {
            task.status.state = State::Failed;
            task.status.exit_code = Some(3);
            task.status.reason = "exit code 3".into();
        });
    };
    fail(&mut desk, "a");
    assert_eq!(desk.reason(task), "restart 1 of 2 after: exit code 3");
    let keep_up = |desk: &mut Desk, wait: Duration| {
        for worker in ["a", "b"] {
            desk.give(Input::Heartbeat { worker: id(worker), runtime_problem: String::new() });
        }
        desk.wait(wait)
    };
    assert!(keep_up(&mut desk, Duration::from_millis(749)).is_empty());
    assert_eq!(starts(&keep_up(&mut desk, Duration::from_millis(251))), [("b", 1)]);
    fail(&mut desk, "b");
    assert!(keep_up(&mut desk, Duration::from_millis(1_499)).is_empty());
    assert_eq!(starts(&keep_up(&mut desk, Duration::from_millis(501))), [("a", 2)]);
    fail(&mut desk, "a");
    assert_eq!(desk.state(task), State::Failed);
    assert_eq!(desk.task(task).task.status.restart_count, 2);
    assert!(starts(&keep_up(&mut desk, Duration::from_mins(10))).is_empty());
}

#[test]
fn a_stop_is_sent_and_done_when_the_worker_says_so() {
    let mut desk = Desk::with(&["a"]);
    let (task, _) = desk.submit(TaskSpec { restart_policy: RestartPolicy::Always, ..TaskSpec::default() });
    desk.report("a", task, State::Running);
    assert_eq!(stops(&desk.stop(task)), [("a", 0)]);
    assert!(desk.task(task).is_stopping());
    assert_eq!(desk.state(task), State::Running, "on the wire the five states stay the five states");
    desk.report("a", task, State::Completed);
    assert_eq!(desk.state(task), State::Completed);
    assert!(starts(&desk.wait(Duration::from_mins(10))).is_empty(), "a stop is not an end of its own");
    assert!(stops(&desk.stop(task)).is_empty(), "again is a no-op");
}

#[test]
fn a_task_whose_worker_was_away_while_it_was_stopped_was_stopped_and_did_not_fail() {
    let mut desk = Desk::with(&["a"]);
    let (task, _) = desk.submit(TaskSpec { restart_policy: RestartPolicy::Always, ..TaskSpec::default() });
    desk.report("a", task, State::Running);
    desk.stop(task);
    desk.report_with("a", task, |task| {
        task.status.state = State::Failed;
        task.status.reason = "exit code 137".to_owned();
        task.status.exit_code = Some(137);
    });
    assert_eq!((desk.state(task), desk.reason(task)), (State::Completed, "stopped"));
    assert!(starts(&desk.wait(Duration::from_mins(10))).is_empty());
}

#[test]
fn a_stop_wins_over_a_start_that_is_still_under_way() {
    let mut desk = Desk::with(&[]);
    let (pending, _) = desk.submit(TaskSpec::default());
    desk.stop(pending);
    assert_eq!((desk.state(pending), desk.reason(pending)), (State::Completed, "stopped before it started"));

    let mut desk = Desk::with(&["a"]);
    let (task, _) = desk.submit(TaskSpec::default());
    desk.stop(task);
    desk.sent("a", task, down());
    assert_eq!(desk.state(task), State::Completed);
    assert!(starts(&desk.wait(Duration::from_mins(1))).is_empty());
}

#[test]
fn a_stop_that_did_not_arrive_is_sent_again_also_when_its_worker_returns() {
    let mut desk = Desk::with(&["a"]);
    let (task, _) = desk.submit(TaskSpec::default());
    desk.report("a", task, State::Running);
    desk.stop(task);
    let lost = Input::Sent { worker: id("a"), task, generation: 0, wish: Wish::Stop, outcome: lost() };
    desk.give(lost);
    assert_eq!(stops(&desk.wait(Duration::from_secs(2))), [("a", 0)]);
    assert_eq!(stops(&desk.give(up("a")).effects), [("a", 0)]);
    let unknown = refused(404, "no such task");
    desk.give(Input::Sent { worker: id("a"), task, generation: 0, wish: Wish::Stop, outcome: unknown });
    assert_eq!(desk.state(task), State::Completed);
}

#[test]
fn a_stop_that_is_asked_for_again_and_again_is_sent_again_once() {
    let mut desk = Desk::with(&["a"]);
    let (task, _) = desk.submit(TaskSpec::default());
    desk.report("a", task, State::Running);
    for _ in 0..5 {
        desk.stop(task);
    }
    for _ in 0..5 {
        let outcome = lost();
        desk.give(Input::Sent { worker: id("a"), task, generation: 0, wish: Wish::Stop, outcome });
        desk.wait(Duration::from_millis(100));
    }
    assert_eq!(stops(&desk.wait(Duration::from_secs(2))), [("a", 0)]);
}

#[test]
fn after_a_restart_of_the_manager_tasks_can_be_stopped_and_lost_dispatches_are_made_up() {
    let mut desk = Desk::with(&["a"]);
    let (running, _) = desk.submit(TaskSpec::default());
    desk.report("a", running, State::Running);
    let (scheduled, _) = desk.submit(TaskSpec::default());
    let running_report = desk.task(running).task.clone();

    let mut desk = Desk {
        manager: Manager::new(desk.manager.cluster().clone()),
        since_start: Duration::ZERO,
        log: desk.log,
    };
    desk.start(&["a"]);
    desk.up("a");
    let list = Input::WorkerTasks { worker: id("a"), tasks: vec![running_report] };
    assert_eq!(starts(&desk.give(list).effects), [("a", 0)], "the one that the worker does not know");
    assert_eq!(desk.state(scheduled), State::Scheduled);
    assert_eq!(desk.state(running), State::Running);
    assert_eq!(stops(&desk.stop(running)), [("a", 0)]);
}

#[test]
fn a_worker_that_lists_only_an_older_generation_is_sent_the_current_one() {
    let mut desk = Desk::with(&["a"]);
    let (task, _) = desk.submit(TaskSpec { restart_policy: RestartPolicy::Always, ..TaskSpec::default() });
    desk.report("a", task, State::Running);
    desk.report("a", task, State::Failed);
    let mut listed = desk.task(task).task.clone();
    (listed.status.generation, listed.status.state) = (0, State::Failed);
    assert_eq!(starts(&desk.wait(Duration::from_secs(1))), [("a", 1)]);

    // The manager is killed between storing that and sending it.
    let cluster = desk.manager.cluster().clone();
    let mut desk = Desk { manager: Manager::new(cluster), since_start: Duration::ZERO, log: desk.log };
    desk.start(&["a"]);
    desk.give(up("a"));
    let list = Input::WorkerTasks { worker: id("a"), tasks: vec![listed] };
    assert_eq!(starts(&desk.give(list).effects), [("a", 1)]);
}

#[test]
fn a_running_task_that_its_worker_no_longer_knows_has_failed() {
    let mut desk = Desk::with(&["a"]);
    let (task, _) = desk.submit(TaskSpec::default());
    desk.sent("a", task, SendOutcome::Accepted);
    desk.report("a", task, State::Running);
    desk.give(Input::WorkerTasks { worker: id("a"), tasks: vec![] });
    assert_eq!((desk.state(task), desk.reason(task)), (State::Failed, "a no longer has it"));
}

#[test]
fn the_same_task_again_is_a_no_op_and_with_another_spec_it_is_refused() {
    let mut desk = Desk::with(&["a"]);
    let first = event(TaskSpec::default());
    let give = |desk: &mut Desk, events| {
        let decision = desk.give(Input::Submit { request: 7, cause: Cause::Command, events });
        match decision.effects.into_iter().find(|effect| matches!(effect, Effect::Answer { .. })) {
            Some(Effect::Answer { answer, .. }) => (answer, decision.changes.len()),
            _ => panic!("no answer"),
        }
    };
    let (answer, _) = give(&mut desk, vec![first.clone()]);
    assert!(matches!(answer, Ok(Answer::Submitted(outcomes)) if outcomes[0].is_new));
    let (answer, changes) = give(&mut desk, vec![first.clone()]);
    assert!(matches!(answer, Ok(Answer::Submitted(outcomes)) if !outcomes[0].is_new));
    assert_eq!(changes, 0);
    let mut other = first.clone();
    other.task.spec = TaskSpec { image: "other".into(), ..TaskSpec::default() }.into();
    let (answer, changes) = give(&mut desk, vec![event(TaskSpec::default()), other]);
    assert_eq!(answer, Err(RequestError::DifferentSpec(first.task.id)));
    assert_eq!(changes, 0, "nothing of a refused request is done");
}

#[test]
fn stopping_an_unknown_task_is_an_error_and_stops_none_of_the_others() {
    let mut desk = Desk::with(&["a"]);
    let (task, _) = desk.submit(TaskSpec::default());
    let unknown = TaskId::random();
    let decision = desk.give(Input::Stop { request: 3, cause: Cause::Command, tasks: vec![task, unknown] });
    assert!(decision.changes.is_empty());
    let expected = Effect::Answer { request: 3, answer: Err(RequestError::UnknownTask(unknown)) };
    assert_eq!(decision.effects, [expected]);
}

#[test]
fn an_event_that_wants_completed_is_a_stop() {
    let mut desk = Desk::with(&["a"]);
    let (task, _) = desk.submit(TaskSpec::default());
    let mut stop = event(TaskSpec::default());
    stop.task.id = task;
    stop.state = State::Completed;
    let decision = desk.give(Input::Submit { request: 4, cause: Cause::Api, events: vec![stop] });
    assert_eq!(stops(&decision.effects), [("a", 0)]);
}

#[test]
fn a_silent_worker_is_stale_then_lost_and_its_tasks_stay_as_they_were() {
    let mut desk = Desk::with(&["a"]);
    let (task, _) = desk.submit(TaskSpec::default());
    desk.report("a", task, State::Running);
    desk.wait(Duration::from_millis(4_999));
    assert_eq!(desk.health("a"), WorkerHealth::Ready);
    desk.wait(Duration::from_millis(1));
    assert_eq!(desk.health("a"), WorkerHealth::Stale);
    desk.wait(Duration::from_secs(4));
    assert_eq!(desk.health("a"), WorkerHealth::Lost);
    assert_eq!(desk.state(task), State::Running);
    assert_eq!(desk.manager.next_wake(), None, "nobody waits for it on a clock");
    desk.give(Input::Heartbeat { worker: id("a"), runtime_problem: String::new() });
    assert_eq!(desk.health("a"), WorkerHealth::Ready);
}

#[test]
fn a_wall_clock_that_jumps_loses_no_worker() {
    let mut desk = Desk::with(&["a"]);
    for hours in [-1, 1, 0] {
        let wall = Timestamp::UNIX_EPOCH + jiff::SignedDuration::from_hours(hours);
        desk.since_start += Duration::from_secs(1);
        desk.manager.handle(Now { wall, since_start: desk.since_start }, Input::Tick);
        assert_eq!(desk.health("a"), WorkerHealth::Ready);
    }
}

#[test]
fn a_worker_of_an_earlier_run_is_shown_as_lost_and_says_why() {
    let desk = Desk::with(&["a", "b"]);
    let mut desk = Desk {
        manager: Manager::new(desk.manager.cluster().clone()),
        since_start: Duration::ZERO,
        log: desk.log,
    };
    desk.start(&["b"]);
    assert_eq!(desk.health("a"), WorkerHealth::Lost);
    let reason = &desk.manager.cluster().worker(&id("a")).unwrap().reason;
    assert_eq!(reason, "not among the workers of this run; add it with --worker");
}

#[test]
fn a_flapping_worker_retells_its_reason_to_the_first_in_line_only() {
    let mut desk = Desk::with(&["a"]);
    desk.give(Input::LinkDown { worker: id("a"), reason: "one".into() });
    for _ in 0..200 {
        desk.submit(TaskSpec::default());
    }
    let decision = desk.give(Input::LinkDown { worker: id("a"), reason: "two".into() });
    let told = decision.changes.iter().filter(|change| matches!(change.what, What::Waiting { .. })).count();
    assert_eq!(told, 64);
}

#[test]
fn a_wall_clock_that_was_set_back_between_two_runs_makes_no_wait_longer() {
    let mut desk = Desk::with(&["a"]);
    let (task, _) = desk.submit(TaskSpec::default());
    let reason = "connection refused".to_owned();
    desk.sent("a", task, SendOutcome::Failed { reason, may_have_arrived: false });
    let mut manager = Manager::new(desk.manager.cluster().clone());
    let wall = Timestamp::UNIX_EPOCH - jiff::SignedDuration::from_hours(2);
    let workers = vec![ConfiguredWorker { id: id("a"), insecure: false }];
    manager.handle(Now { wall, since_start: Duration::ZERO }, Input::Started { workers });
    let queued = manager.cluster().task(task).unwrap().queued.unwrap();
    let wait = queued.retry_at.unwrap().duration_since(queued.since).unsigned_abs();
    assert!(wait <= Duration::from_secs(1), "{wait:?}");
    assert_eq!(manager.next_wake(), Some(wait));
}
