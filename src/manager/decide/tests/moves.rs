//! What becomes of the tasks of a lost worker, and who survives when it is back.

use super::*;
use crate::manager::decide::{LOST_AFTER, move_backoff};
use crate::manager::request::AvailabilityWish;

const SECOND: Duration = Duration::from_secs(1);
const ALMOST_LOST: Duration = LOST_AFTER.saturating_sub(SECOND);

impl Desk {
    /// Time passes in which these workers, and only these, are heard. Returns what was sent.
    pub(super) fn hears(&mut self, workers: &[&str], time: Duration) -> Vec<Effect> {
        let end = self.since_start + time;
        let mut effects = vec![];
        while self.since_start < end {
            for worker in workers {
                effects.extend(self.heartbeat(worker).effects);
            }
            effects.extend(self.wait(SECOND.min(end.saturating_sub(self.since_start))));
        }
        effects
    }

    fn heartbeat(&mut self, worker: &str) -> Decision {
        self.give(Input::Heartbeat { worker: id(worker), runtime_problem: String::new() })
    }

    pub(super) fn runs_on(&mut self, worker: &str, spec: TaskSpec) -> TaskId {
        let (task, _) = self.submit(spec);
        self.sent(worker, task, SendOutcome::Accepted);
        self.report(worker, task, State::Running);
        task
    }

    /// `worker` is back and lists `task` as running in this generation.
    fn returns_with(&mut self, worker: &str, task: TaskId, generation: u32) -> Vec<Effect> {
        let mut report = self.task(task).task.clone();
        report.status = crate::task::TaskStatus { state: State::Running, generation, ..Default::default() };
        let mut effects = self.give(up(worker)).effects;
        effects.extend(self.give(Input::WorkerTasks { worker: id(worker), tasks: vec![report] }).effects);
        effects
    }

    /// `worker` speaks of this one of its tasks.
    fn shows(&mut self, worker: &str, task: TaskId, generation: u32) -> Vec<Effect> {
        let status = crate::task::TaskStatus { state: State::Running, generation, ..Default::default() };
        self.report_with(worker, task, |task| task.status = status).effects
    }

    fn moves(&self, task: TaskId) -> Vec<&str> {
        let reasons = self.log.iter().filter_map(|change| match &change.what {
            What::Moved { task: moved, reason, .. } if *moved == task => Some(reason.as_str()),
            _ => None,
        });
        reasons.collect()
    }

    /// The manager starts anew on what was stored, with these workers; time since start begins again.
    fn restarted(self, workers: &[&str]) -> Self {
        let manager = Manager::new(self.manager.cluster().clone());
        let mut desk = Self { manager, since_start: Duration::ZERO, log: self.log };
        desk.start(workers);
        desk
    }
}

fn always() -> TaskSpec {
    TaskSpec { restart_policy: RestartPolicy::Always, ..TaskSpec::default() }
}

#[test]
fn a_lost_workers_tasks_start_elsewhere_as_a_new_generation_and_say_why() {
    let mut desk = Desk::with(&["a", "b"]);
    let task = desk.runs_on("a", always());
    assert!(desk.hears(&["b"], ALMOST_LOST).is_empty(), "late is not lost");
    assert_eq!(starts(&desk.hears(&["b"], SECOND)), [("b", 1)]);
    assert_eq!(desk.moves(task), ["a lost: silent for 9 s; moved to b"]);
    assert_eq!(
        (desk.state(task), desk.reason(task)),
        (State::Scheduled, "a lost: silent for 9 s; moved to b")
    );
    assert_eq!(desk.task(task).task.status.restart_count, 0, "a move is no restart");
    desk.report("b", task, State::Running);
    assert_eq!(desk.manager.cluster().worker_of(task), Some(&id("b")));
}

#[test]
fn the_original_is_stopped_when_its_worker_is_back() {
    let mut desk = Desk::with(&["a", "b"]);
    let task = desk.runs_on("a", TaskSpec::default());
    desk.hears(&["b"], LOST_AFTER);
    desk.report("b", task, State::Running);
    let effects = desk.returns_with("a", task, 0);
    assert_eq!((starts(&effects), stops(&effects)), (vec![], vec![("a", 0)]));
    assert_eq!(desk.manager.cluster().worker_of(task), Some(&id("b")));
}

#[test]
fn the_original_is_stopped_also_when_a_lost_worker_speaks_on_without_a_new_list() {
    let mut desk = Desk::with(&["a", "b"]);
    desk.runs_on("a", TaskSpec::default());
    desk.hears(&["b"], LOST_AFTER);
    assert_eq!(stops(&desk.heartbeat("a").effects), [("a", 0)]);
    assert!(desk.heartbeat("a").effects.is_empty(), "once");
}

#[test]
fn a_task_without_another_worker_keeps_its_place_and_survives_there() {
    let mut desk = Desk::with(&["a"]);
    let task = desk.runs_on("a", TaskSpec::default());
    desk.wait(Duration::from_hours(1));
    assert_eq!(desk.state(task), State::Running);
    assert_eq!(desk.reason(task), "waits for another worker: there is none");
    assert!(desk.returns_with("a", task, 0).iter().all(|effect| matches!(effect, Effect::Answer { .. })));
    assert_eq!((desk.state(task), desk.reason(task)), (State::Running, ""));
    assert_eq!(desk.task(task).task.status.generation, 0);
    assert!(desk.manager.leaving.is_empty(), "nothing is kept of it");
}

#[test]
fn a_task_that_fits_no_other_worker_says_so_and_goes_once_one_can_take_it() {
    let mut desk = Desk::with(&["a", "b"]);
    let sick = || Input::Heartbeat { worker: id("b"), runtime_problem: "no docker".into() };
    desk.give(sick());
    let task = desk.runs_on("a", TaskSpec::default());
    for _ in 0..10 {
        desk.give(sick());
        desk.wait(SECOND);
    }
    assert_eq!(desk.reason(task), "waits for another worker: b runtime unhealthy (no docker)");
    assert_eq!(starts(&desk.heartbeat("b").effects), [("b", 1)]);
}

#[test]
fn what_is_not_to_run_does_not_move() {
    let mut desk = Desk::with(&["a", "b"]);
    let stopping = desk.runs_on("a", always());
    desk.stop(stopping);
    let (ended, _) = desk.submit(TaskSpec::default());
    desk.report("b", ended, State::Completed);
    let ended_there = desk.runs_on("a", TaskSpec::default());
    desk.report("a", ended_there, State::Failed);
    assert!(desk.hears(&["b"], LOST_AFTER + SECOND).is_empty());
    assert!(desk.task(stopping).is_stopping());
    assert_eq!(stops(&desk.give(up("a")).effects), [("a", 0)], "its stop waits for its worker");
}

#[test]
fn a_move_whose_start_fails_is_tried_again_and_an_original_that_is_back_is_old_all_the_same() {
    for outcome in [lost(), down()] {
        let mut desk = Desk::with(&["a", "b"]);
        let task = desk.runs_on("a", TaskSpec::default());
        desk.hears(&["b"], LOST_AFTER);
        desk.sent("b", task, outcome);
        assert_eq!(desk.state(task), State::Pending);
        assert_eq!(stops(&desk.returns_with("a", task, 0)), [("a", 0)], "1 was given, so 0 is old");
        let again = desk.hears(&["a", "b"], SECOND);
        assert_eq!(starts(&again).len(), 1, "{again:?}");
    }
}

#[test]
fn a_move_that_its_new_worker_refuses_fails_and_leaves_nothing_running() {
    let mut desk = Desk::with(&["a", "b"]);
    let task = desk.runs_on("a", TaskSpec::default());
    desk.hears(&["b"], LOST_AFTER);
    desk.sent("b", task, refused(400, "not here"));
    let reason = desk.reason(task);
    assert!(reason.contains("b could not start it (not here); a is lost"), "{reason}");
    assert_eq!(desk.state(task), State::Failed);
    assert_eq!(stops(&desk.returns_with("a", task, 0)), [("a", 0)]);
}

#[test]
fn when_both_are_lost_the_first_that_is_back_runs_the_newest_generation() {
    let mut desk = Desk::with(&["a", "b"]);
    let task = desk.runs_on("a", TaskSpec::default());
    desk.hears(&["b"], LOST_AFTER);
    desk.report("b", task, State::Running);
    desk.wait(LOST_AFTER + SECOND);
    assert_eq!(desk.health("b"), WorkerHealth::Lost);
    let effects = desk.returns_with("a", task, 0);
    assert_eq!((starts(&effects), stops(&effects)), (vec![("a", 2)], vec![("a", 0)]));
    assert_eq!(stops(&desk.returns_with("b", task, 1)), [("b", 1)]);
}

#[test]
fn after_a_restart_of_the_manager_a_worker_has_the_time_to_show_itself() {
    let mut desk = Desk::with(&["a", "b"]);
    let task = desk.runs_on("a", TaskSpec::default());
    let mut desk = desk.restarted(&["a", "b"]);
    desk.up("b");
    assert!(starts(&desk.hears(&["b"], ALMOST_LOST)).is_empty());
    assert_eq!(starts(&desk.hears(&["b"], SECOND)), [("b", 1)]);
    assert_eq!(desk.moves(task), ["a lost: silent for 9 s; moved to b"]);
}

#[test]
fn tasks_of_a_worker_that_is_not_among_those_of_this_run_move_after_the_same_time() {
    let mut desk = Desk::with(&["a", "b"]);
    let task = desk.runs_on("a", TaskSpec::default());
    let mut desk = desk.restarted(&["b"]);
    desk.up("b");
    assert!(starts(&desk.hears(&["b"], ALMOST_LOST)).is_empty());
    assert_eq!(starts(&desk.hears(&["b"], SECOND)), [("b", 1)]);
    let expected = "a lost: not among the workers of this run; add it with --worker; moved to b";
    assert_eq!(desk.moves(task), [expected]);
}

#[test]
fn a_worker_that_goes_by_another_name_in_this_run_keeps_what_it_has() {
    let mut desk = Desk::with(&["a"]);
    let task = desk.runs_on("a", TaskSpec::default());
    let stopping = desk.runs_on("a", TaskSpec::default());
    desk.stop(stopping);
    let older = desk.runs_on("a", TaskSpec::default());
    let mut desk = desk.restarted(&["a-again"]);
    desk.up("a-again");
    assert!(desk.shows("a-again", task, 0).is_empty());
    assert_eq!(stops(&desk.shows("a-again", stopping, 0)), [("a-again", 0)], "a stop is still wanted");
    assert_eq!(desk.manager.cluster().worker_of(task), Some(&id("a-again")));
    assert_eq!((desk.state(task), desk.task(task).task.status.generation), (State::Running, 0));
    // What it does not show may be anywhere.
    let moved = desk.hears(&["a-again"], LOST_AFTER);
    assert_eq!(starts(&moved), [("a-again", 1)]);
    assert_eq!((desk.moves(older).len(), desk.moves(task).len()), (1, 0));
    assert_eq!(stops(&desk.shows("a-again", older, 0)), [("a-again", 0)]);
}

#[test]
fn a_move_that_was_stored_and_never_sent_is_sent_after_the_restart() {
    let mut desk = Desk::with(&["a", "b"]);
    let task = desk.runs_on("a", TaskSpec::default());
    desk.hears(&["b"], LOST_AFTER);
    let mut desk = desk.restarted(&["a", "b"]);
    desk.up("b");
    let list = desk.give(Input::WorkerTasks { worker: id("b"), tasks: vec![] });
    assert_eq!(starts(&list.effects), [("b", 1)]);
    assert_eq!(stops(&desk.returns_with("a", task, 0)), [("a", 0)]);
}

#[test]
fn a_book_worker_that_is_back_with_the_original_is_told_to_stop_it() {
    let mut desk = Desk::with(&["a", "b"]);
    let (worker, capacity) = (id("a"), Capacity::default());
    desk.give(Input::WorkerUp {
        worker,
        peer: Peer::Book,
        capacity,
        runtime_problem: String::new(),
        facts: Box::default(),
        allows: None,
    });
    let task = desk.runs_on("a", TaskSpec::default());
    desk.hears(&["b"], LOST_AFTER);
    desk.report("b", task, State::Running);
    let report = desk.task(task).task.clone();
    let effects = desk.give(Input::WorkerTask { worker: id("a"), task: report }).effects;
    assert!(effects.is_empty(), "nothing is sent to a lost worker");
    let worker = id("a");
    desk.give(Input::WorkerUp {
        worker,
        peer: Peer::Book,
        capacity,
        runtime_problem: String::new(),
        facts: Box::default(),
        allows: None,
    });
    let mut listed = desk.task(task).task.clone();
    listed.status = crate::task::TaskStatus { state: State::Running, ..Default::default() };
    let effects = desk.give(Input::WorkerTasks { worker: id("a"), tasks: vec![listed] }).effects;
    assert_eq!(stops(&effects), [("a", 1)]);
    assert_eq!(desk.state(task), State::Running);
}

#[test]
fn a_task_that_moves_again_and_again_waits_longer_each_time() {
    let mut desk = Desk::with(&["a", "b"]);
    let task = desk.runs_on("a", TaskSpec::default());
    let mut waits = vec![];
    for (off, onto) in [("a", "b"), ("b", "a")].into_iter().cycle().take(6) {
        let before = desk.since_start;
        desk.up(onto);
        while desk.manager.cluster().worker_of(task) == Some(&id(off)) {
            desk.hears(&[onto], SECOND);
        }
        desk.report(onto, task, State::Running);
        waits.push(desk.since_start.saturating_sub(before).as_secs());
    }
    // The second worker was last heard a second before it got the task.
    assert_eq!(waits, [9, 8, 10, 20, 40, 80]);
    desk.hears(&["a", "b"], Duration::from_secs(601));
    desk.hears(&["b"], LOST_AFTER);
    assert_eq!(desk.moves(task).len(), 7, "a place that was kept for long forgets it");
    assert_eq!(desk.task(task).moves.map(|moves| moves.in_a_row), Some(1));
    assert_eq!([1, 2, 7, 40].map(move_backoff), [5, 10, 300, 300].map(Duration::from_secs));
}

#[test]
fn ten_thousand_tasks_move_in_turns_that_each_take_a_part() {
    let mut desk = Desk::with(&["a", "b"]);
    desk.give(Input::LinkDown { worker: id("b"), reason: "away".into() });
    let events: Vec<_> = (0..10_000).map(|_| event(TaskSpec::default())).collect();
    let tasks: Vec<_> = events.iter().map(|event| event.task.id).collect();
    desk.manager.handle(desk.now(), Input::Submit { request: 1, cause: Cause::Command, events });
    for task in &tasks {
        let outcome = SendOutcome::Accepted;
        let sent = Input::Sent { worker: id("a"), task: *task, generation: 0, wish: Wish::Start, outcome };
        desk.manager.handle(desk.now(), sent);
    }
    desk.manager.handle(desk.now(), up("b"));
    let mut turns = 0;
    for _ in 0..LOST_AFTER.as_secs() {
        desk.since_start += SECOND;
        let heartbeat = Input::Heartbeat { worker: id("b"), runtime_problem: String::new() };
        desk.manager.handle(desk.now(), heartbeat);
        while desk.manager.next_wake().is_some_and(|due| due <= desk.since_start) {
            let effects = desk.manager.handle(desk.now(), Input::Tick).effects;
            assert!(effects.len() <= 500, "{}", effects.len());
            turns += usize::from(!effects.is_empty());
        }
    }
    // One worker takes a thousand unanswered; each answer makes room for the next.
    assert_eq!(turns, 2);
    let mut moved = std::collections::VecDeque::new();
    let on_b = |desk: &Desk| desk.manager.cluster().tasks_of_len(&id("b"));
    assert_eq!(on_b(&desk), 1_000);
    moved.extend(desk.manager.assigned(&id("b")));
    while let Some(task) = moved.pop_front() {
        let outcome = SendOutcome::Accepted;
        let sent = Input::Sent { worker: id("b"), task, generation: 1, wish: Wish::Start, outcome };
        for effect in desk.manager.handle(desk.now(), sent).effects {
            if let Effect::Send { task, .. } = effect {
                moved.push_back(task.id);
            }
        }
    }
    assert_eq!(on_b(&desk), 10_000);
}

#[test]
fn a_manager_that_itself_stood_still_takes_no_worker_for_lost() {
    let mut desk = Desk::with(&["a", "b"]);
    let task = desk.runs_on("a", TaskSpec::default());
    desk.hears(&["a", "b"], Duration::from_secs(3));
    desk.since_start += Duration::from_mins(1);
    assert!(desk.give(Input::Tick).changes.is_empty());
    desk.heartbeat("b");
    assert_eq!((desk.health("a"), desk.moves(task).len()), (WorkerHealth::Ready, 0));
    desk.hears(&["b"], LOST_AFTER);
    assert_eq!(desk.moves(task).len(), 1, "what is silent from now on is lost");
}

#[test]
fn room_for_a_small_one_is_not_kept_from_it_by_the_many_large_ones_that_wait_as_well() {
    let mut desk = super::placing::desk_with(&[("a", 40.0), ("b", 1.0)]);
    let of = |cpu| TaskSpec { cpu, ..TaskSpec::default() };
    desk.wish("a", AvailabilityWish::Cordon);
    let full = desk.runs("b", of(1.0));
    desk.wish("a", AvailabilityWish::Uncordon);
    for _ in 0..30 {
        desk.runs("a", of(1.2));
    }
    let small = desk.runs("a", of(0.5));
    assert!(desk.hears(&["b"], LOST_AFTER).is_empty(), "nobody has room");
    desk.report("b", full, State::Completed);
    assert_eq!(starts(&desk.hears(&["b"], SECOND)), [("b", 1)]);
    assert_eq!(desk.moves(small), ["a lost: silent for 9 s; moved to b"]);
}
