//! Preemption: who makes room for whom, how it is kept, and what of it survives what.

use super::placing::{desk_with, up_with};
use super::*;
use crate::manager::request::AvailabilityWish;

fn of(cpu: f64, priority: i32) -> TaskSpec {
    TaskSpec { cpu, priority, ..TaskSpec::default() }
}

fn preempting(cpu: f64, priority: i32) -> TaskSpec {
    TaskSpec { preempt: true, name: "web".into(), ..of(cpu, priority) }
}

impl Desk {
    fn holds(&mut self, worker: &str, spec: TaskSpec) -> TaskId {
        let (task, effects) = self.submit(spec);
        assert_eq!(starts(&effects).first().map(|start| start.0), Some(worker));
        self.is_up(worker, task);
        task
    }

    fn is_up(&mut self, worker: &str, task: TaskId) {
        self.sent(worker, task, SendOutcome::Accepted);
        self.report(worker, task, State::Running);
    }

    fn beats(&mut self, workers: &[&str], seconds: u64) -> Vec<Effect> {
        let mut effects = vec![];
        for _ in 0..seconds {
            for worker in workers {
                let beat = Input::Heartbeat { worker: id(worker), runtime_problem: String::new() };
                effects.extend(self.give(beat).effects);
            }
            effects.extend(self.wait(Duration::from_secs(1)));
        }
        effects
    }

    fn is_stopped(&mut self, worker: &str, task: TaskId) -> Vec<Effect> {
        let report = |task: &mut Task| {
            task.status.state = State::Completed;
            task.status.reason = "stopped".into();
        };
        self.report_with(worker, task, report).effects
    }

    fn manager_restarts(&mut self, workers: &[(&str, f64)]) {
        self.manager = Manager::new(self.manager.cluster().clone());
        self.start(&workers.iter().map(|(worker, _)| *worker).collect::<Vec<_>>());
        for (worker, cpus) in workers {
            self.give(up_with(worker, *cpus));
        }
    }
}

#[test]
fn a_task_that_asks_for_it_takes_the_room_of_a_lower_priority_which_waits_and_is_no_restart() {
    let mut desk = desk_with(&[("a", 2.0)]);
    let low = desk.holds("a", of(2.0, 0));
    let (high, effects) = desk.submit(preempting(2.0, 5));
    assert_eq!((starts(&effects), stops(&effects)), (vec![], vec![("a", 0)]));
    assert_eq!(desk.reason(low), format!("made room for web ({})", high.short()));
    let effects = desk.is_stopped("a", low);
    assert_eq!(starts(&effects), [("a", 0)], "the room is for who asked");
    assert_eq!((desk.state(high), desk.state(low)), (State::Scheduled, State::Pending));
    let record = desk.task(low);
    assert_eq!((record.status().generation, record.status().restart_count), (1, 0));
    assert_eq!((record.desired, &record.preempted), (State::Running, &None));
    desk.is_up("a", high);
    let effects = desk.report("a", high, State::Completed).effects;
    assert_eq!(starts(&effects), [("a", 1)]);
}

#[test]
fn nobody_makes_room_for_one_that_does_not_ask_or_has_no_higher_priority_or_fits_elsewhere() {
    let mut desk = desk_with(&[("a", 2.0)]);
    desk.holds("a", of(2.0, 5));
    for spec in [of(2.0, 9), preempting(2.0, 5), preempting(2.0, 4), preempting(3.0, 9)] {
        let (_, effects) = desk.submit(spec.clone());
        let later = desk.beats(&["a"], 60);
        assert_eq!((stops(&effects), stops(&later)), (vec![], vec![]), "{spec:?}");
    }
    let mut desk = desk_with(&[("a", 2.0), ("b", 2.0)]);
    desk.holds("a", of(2.0, 0));
    let (_, effects) = desk.submit(preempting(2.0, 5));
    assert_eq!((starts(&effects), stops(&effects)), (vec![("b", 0)], vec![]));
}

#[test]
fn the_room_is_kept_from_others_until_it_is_enough() {
    let mut desk = desk_with(&[("a", 2.0)]);
    let low = [desk.holds("a", of(1.0, 0)), desk.holds("a", of(1.0, 0))];
    let (high, effects) = desk.submit(preempting(2.0, 5));
    assert_eq!(stops(&effects).len(), 2);
    let effects = desk.is_stopped("a", low[0]);
    assert_eq!(starts(&effects), []);
    let (small, _) = desk.submit(of(1.0, 5));
    assert_eq!(desk.state(small), State::Pending);
    assert!(desk.reason(small).contains("keeps its room for task"), "{}", desk.reason(small));
    desk.is_stopped("a", low[1]);
    assert_eq!((desk.state(high), desk.state(low[0])), (State::Scheduled, State::Pending));
}

#[test]
fn a_stop_that_is_never_reported_makes_it_look_elsewhere_in_time() {
    let mut desk = desk_with(&[("a", 2.0), ("b", 2.0)]);
    desk.holds("a", of(2.0, 1));
    let on_b = desk.holds("b", of(2.0, 0));
    let (high, effects) = desk.submit(preempting(2.0, 5));
    assert_eq!(stops(&effects), [("b", 0)]);
    assert_eq!(desk.state(on_b), State::Running);
    let effects = desk.beats(&["a", "b"], 40);
    assert!(stops(&effects).contains(&("a", 0)), "{effects:?}");
    assert_eq!(desk.state(high), State::Pending);
}

#[test]
fn a_preempting_task_that_is_stopped_meanwhile_lets_go_of_the_room() {
    let mut desk = desk_with(&[("a", 2.0)]);
    let low = desk.holds("a", of(2.0, 0));
    let (high, _) = desk.submit(preempting(2.0, 5));
    desk.stop(high);
    let effects = desk.is_stopped("a", low);
    let effects = [effects, desk.beats(&["a"], 5)].concat();
    assert_eq!(starts(&effects), [("a", 1)]);
    desk.is_up("a", low);
    assert_eq!(desk.task(low).status().restart_count, 0);
}

#[test]
fn a_worker_that_is_lost_meanwhile_has_made_no_room_and_its_task_moves() {
    let mut desk = desk_with(&[("a", 2.0), ("b", 1.0)]);
    let low = desk.holds("a", of(2.0, 0));
    let (high, _) = desk.submit(preempting(2.0, 5));
    desk.beats(&["b"], 12);
    assert_eq!((desk.state(low), desk.state(high)), (State::Running, State::Pending));
    // As everything that is lost: where there is room. The lower priority is no longer in anybody's way.
    desk.give(up_with("b", 4.0));
    desk.beats(&["b"], 3);
    assert_eq!(desk.state(high), State::Scheduled);
    assert_eq!(desk.manager.cluster().worker_of(low), Some(&id("b")));
    assert_eq!((desk.task(low).desired, desk.task(low).preempted), (State::Running, None));
}

#[test]
fn room_on_a_worker_that_was_lost_and_came_back_is_kept_for_the_same_task() {
    let mut desk = desk_with(&[("a", 2.0)]);
    let low = [desk.holds("a", of(1.0, 0)), desk.holds("a", of(1.0, 0))];
    let (high, _) = desk.submit(preempting(2.0, 5));
    desk.is_stopped("a", low[0]);
    desk.beats(&[], 15);
    assert_eq!(desk.health("a"), WorkerHealth::Lost);
    let effects = desk.give(up_with("a", 2.0)).effects;
    assert_eq!(starts(&effects), [], "the room is for who asked");
    let effects = [desk.beats(&["a"], 3), desk.is_stopped("a", low[1])].concat();
    assert_eq!(starts(&effects), [("a", 0)]);
    assert_eq!((desk.state(high), desk.state(low[0])), (State::Scheduled, State::Pending));
}

#[test]
fn room_that_was_found_elsewhere_meanwhile_is_not_given_up_for_a_worker_that_is_back() {
    let mut desk = desk_with(&[("a", 2.0), ("b", 2.0)]);
    let on_a = desk.holds("a", of(2.0, 0));
    let on_b = desk.holds("b", of(2.0, 1));
    let (high, effects) = desk.submit(preempting(2.0, 5));
    assert_eq!(stops(&effects), [("a", 0)]);
    let effects = desk.beats(&["b"], 15);
    assert_eq!(stops(&effects), [("b", 0)]);
    desk.give(up_with("a", 2.0));
    assert_eq!(starts(&desk.is_stopped("b", on_b)), [("b", 0)]);
    desk.is_stopped("a", on_a);
    assert_eq!(desk.manager.cluster().worker_of(high), Some(&id("b")));
    assert_eq!(desk.manager.cluster().worker_of(on_b), Some(&id("a")), "it goes before the other");
}

#[test]
fn a_manager_that_restarts_in_the_middle_keeps_the_room_for_the_same_task() {
    let mut desk = desk_with(&[("a", 2.0)]);
    let low = [desk.holds("a", of(1.0, 0)), desk.holds("a", of(1.0, 0))];
    let (high, _) = desk.submit(preempting(2.0, 5));
    desk.is_stopped("a", low[0]);
    desk.manager_restarts(&[("a", 2.0)]);
    desk.beats(&["a"], 1);
    assert_eq!(desk.state(low[0]), State::Pending, "the room is kept");
    let effects = desk.is_stopped("a", low[1]);
    assert_eq!(starts(&effects), [("a", 0)]);
    assert_eq!(desk.state(high), State::Scheduled);
}

#[test]
fn a_clean_end_that_nobody_saw_is_that_of_the_stop_and_one_that_was_seen_is_its_own() {
    for (is_seen, expected) in [(true, State::Completed), (false, State::Pending)] {
        let mut desk = desk_with(&[("a", 2.0)]);
        let low = desk.holds("a", of(2.0, 0));
        desk.submit(preempting(2.0, 5));
        if !is_seen {
            desk.give(Input::LinkDown { worker: id("a"), reason: "killed".into() });
            desk.give(up_with("a", 2.0));
        }
        let ends = |task: &mut Task| {
            (task.status.state, task.status.exit_code) = (State::Completed, Some(0));
            task.status.reason = "exit code 0".into();
        };
        desk.report_with("a", low, ends);
        assert_eq!(desk.state(low), expected, "seen: {is_seen}");
    }
}

#[test]
fn one_that_waited_for_a_worker_to_take_work_again_is_given_room_there_once_it_does() {
    let mut desk = desk_with(&[("a", 2.0)]);
    desk.holds("a", of(2.0, 0));
    let wish = |wish| Input::SetAvailability { request: 1, cause: Cause::Command, worker: id("a"), wish };
    desk.give(wish(AvailabilityWish::Cordon));
    for tenths in 11..19 {
        // More of other sizes than are told at once how things stand.
        desk.submit(of(f64::from(tenths) / 10.0, 9));
    }
    let (high, effects) = desk.submit(preempting(2.0, 5));
    assert_eq!((desk.reason(high), stops(&effects)), ("waiting: a is cordoned", vec![]));
    let effects = desk.give(wish(AvailabilityWish::Uncordon)).effects;
    assert_eq!(stops(&[effects, desk.beats(&["a"], 3)].concat()), [("a", 0)]);
}

#[test]
fn of_those_that_fit_nowhere_the_first_in_turn_is_given_room_whatever_its_id() {
    for _ in 0..8 {
        let mut desk = desk_with(&[("a", 2.0)]);
        desk.holds("a", of(2.0, 0));
        let tasks = [(1.5, 5), (1.6, 9), (1.7, 9)].map(|(cpu, priority)| {
            let spec = preempting(cpu, priority);
            Task { id: TaskId::random(), spec: spec.into(), ..Task::default() }
        });
        let events = tasks.iter().map(|task| TaskEvent::start(task.clone(), Timestamp::UNIX_EPOCH)).collect();
        desk.give(Input::Submit { request: 1, cause: Cause::Command, events });
        let by = desk.manager.cluster().rows().find_map(|row| row.preempted().map(|made| made.by));
        assert_eq!(by, Some(tasks[1].id));
    }
}

#[test]
fn one_that_made_room_is_left_alone_for_as_long_as_one_that_moved() {
    let mut desk = desk_with(&[("a", 2.0)]);
    let low = desk.holds("a", of(2.0, 0));
    let mut times = vec![];
    for _ in 0..7 {
        let (high, mut effects) = desk.submit(preempting(2.0, 5));
        while stops(&effects).is_empty() {
            effects = desk.beats(&["a"], 1);
        }
        times.push(desk.since_start.as_secs());
        desk.is_stopped("a", low);
        desk.is_up("a", high);
        desk.report("a", high, State::Completed);
        desk.beats(&["a"], 1);
        desk.is_up("a", low);
    }
    let waits: Vec<_> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    let as_moves = |(wait, least): (&u64, u64)| (least..least + 6).contains(wait);
    assert!(waits.iter().zip([5, 10, 20, 40, 80, 160]).all(as_moves), "{waits:?}");
}

#[test]
fn one_that_is_stopped_while_it_waits_is_not_in_the_way_of_the_next() {
    let mut desk = desk_with(&[("a", 2.0)]);
    let low = desk.holds("a", of(2.0, 0));
    let (high, _) = desk.submit(preempting(2.0, 5));
    desk.is_stopped("a", low);
    desk.is_up("a", high);
    desk.report("a", high, State::Completed);
    desk.is_up("a", low);
    // For a while it is left alone.
    let (first, _) = desk.submit(preempting(2.0, 5));
    desk.submit(preempting(2.0, 5));
    desk.stop(first);
    assert_eq!(stops(&desk.beats(&["a"], 10)), [("a", 1)]);
}

#[test]
fn a_batch_task_that_was_done_just_before_its_stop_is_done() {
    let mut desk = desk_with(&[("a", 2.0)]);
    let low = desk.holds("a", of(2.0, 0));
    let (high, _) = desk.submit(preempting(2.0, 5));
    let effects = desk
        .report_with("a", low, |task| {
            task.status.state = State::Completed;
            task.status.exit_code = Some(0);
        })
        .effects;
    assert_eq!(starts(&effects), [("a", 0)]);
    assert_eq!((desk.state(low), desk.state(high)), (State::Completed, State::Scheduled));
}

#[test]
fn a_stop_by_hand_of_one_that_makes_room_is_for_good() {
    let mut desk = desk_with(&[("a", 2.0)]);
    let low = desk.holds("a", of(2.0, 0));
    let (high, _) = desk.submit(preempting(2.0, 5));
    desk.stop(low);
    desk.is_stopped("a", low);
    assert_eq!((desk.state(low), desk.state(high)), (State::Completed, State::Scheduled));
}

#[test]
fn a_crash_loop_takes_nobodys_room() {
    let mut desk = desk_with(&[("a", 2.0)]);
    let spec = TaskSpec { restart_policy: crate::task::RestartPolicy::Always, ..preempting(2.0, 5) };
    let crashes = desk.holds("a", spec);
    for _ in 0..3 {
        desk.report("a", crashes, State::Failed);
        desk.beats(&["a"], 5);
        if desk.state(crashes) == State::Scheduled {
            desk.is_up("a", crashes);
        }
    }
    desk.report("a", crashes, State::Failed);
    let low = desk.holds("a", of(2.0, 0));
    let effects = desk.beats(&["a"], 120);
    assert_eq!((stops(&effects), desk.state(low)), (vec![], State::Running));
}

#[test]
fn a_drain_that_was_taken_back_before_it_tried_anybody_keeps_nobody_from_making_room() {
    let mut desk = desk_with(&[("a", 2.0)]);
    let batch = desk.holds("a", of(2.0, 0));
    desk.wait(Duration::from_secs(10));
    assert_eq!(desk.health("a"), WorkerHealth::Lost);
    for wish in [AvailabilityWish::Drain { within_s: None }, AvailabilityWish::Uncordon] {
        desk.give(Input::SetAvailability { request: 3, cause: Cause::Command, worker: id("a"), wish });
    }
    desk.give(up_with("a", 2.0));
    desk.report("a", batch, State::Running);
    desk.beats(&["a"], 5);
    let (web, _) = desk.submit(preempting(2.0, 5));
    desk.beats(&["a"], 5);
    assert_eq!(desk.task(batch).preempted.map(|made| made.by), Some(web));
}
