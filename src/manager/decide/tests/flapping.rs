//! A link that comes and goes, and clocks that jump: what is said of it, and that nothing moves for it.

use super::*;

const SECOND: Duration = Duration::from_secs(1);

impl Desk {
    /// The link to `worker` comes up with all it has, holds, breaks, and stays away.
    fn flap(&mut self, worker: &str, up_for: Duration, down_for: Duration) {
        let tasks: Vec<Task> =
            self.manager.cluster().tasks_of(&id(worker)).map(|task| self.task(task).task.clone()).collect();
        self.up(worker);
        self.give(Input::WorkerTasks { worker: id(worker), tasks });
        self.wait(up_for);
        self.give(Input::LinkDown { worker: id(worker), reason: format!("cut at {:?}", self.since_start) });
        self.wait(down_for);
    }

    fn told_of(&self, worker: &str) -> usize {
        let is_of = |what: &What| match what {
            What::Worker { worker: told } => told.id == id(worker),
            _ => false,
        };
        self.log.iter().filter(|change| is_of(&change.what)).count()
    }
}

#[test]
fn a_link_that_flaps_for_five_minutes_is_told_once_and_moves_nothing() {
    let mut desk = Desk::with(&["b", "a"]);
    desk.give(Input::LinkDown { worker: id("b"), reason: "not yet".into() });
    let (task, _) = desk.submit(TaskSpec::default());
    desk.sent("a", task, SendOutcome::Accepted);
    desk.report("a", task, State::Running);
    let (before, told) = (desk.log.len(), desk.told_of("a"));
    for _ in 0..150 {
        desk.up("b");
        desk.flap("a", SECOND, SECOND);
    }
    let worker = desk.manager.cluster().worker(&id("a")).unwrap();
    assert_eq!(worker.health, WorkerHealth::Stale);
    assert_eq!(
        worker.reason,
        "flapping: its link broke three times within a minute, and has to hold for 10 s"
    );
    assert_eq!(desk.told_of("a") - told, 5, "away and back twice, then away for good");
    assert_eq!(desk.log.len() - before, 5 + 1, "and the other worker's return");
    assert_eq!(desk.manager.cluster().worker_of(task), Some(&id("a")));
    assert_eq!(desk.task(task).moves, None);
    assert!(desk.manager.timers.len() < 10, "{:?}", desk.manager.timers);
    let (_, effects) = desk.submit(TaskSpec::default());
    assert_eq!(starts(&effects), [("b", 0)], "nothing new goes there");

    desk.up("a");
    for second in 0..=10 {
        assert_eq!(desk.health("a") == WorkerHealth::Ready, second == 10, "after {second} s");
        desk.wait(SECOND);
        desk.give(Input::Heartbeat { worker: id("a"), runtime_problem: String::new() });
    }
}

#[test]
fn a_flapping_worker_is_told_to_stop_what_is_stopped_and_what_is_left_over() {
    let mut desk = Desk::with(&["a", "b"]);
    let (task, _) = desk.submit(TaskSpec::default());
    desk.sent("a", task, lost());
    desk.give(Input::Heartbeat { worker: id("b"), runtime_problem: String::new() });
    assert_eq!(starts(&desk.wait(SECOND)), [("b", 1)]);
    for _ in 0..3 {
        desk.flap("a", SECOND, SECOND);
    }
    desk.up("a");
    assert_eq!(desk.health("a"), WorkerHealth::Stale);
    let leftover = |task: &mut Task| (task.status.state, task.status.generation) = (State::Running, 0);
    assert_eq!(stops(&desk.report_with("a", task, leftover).effects), [("a", 0)]);
}

#[test]
fn a_flapping_worker_that_is_silent_is_lost_and_stays_so_until_its_link_has_held() {
    let mut desk = Desk::with(&["a"]);
    for _ in 0..4 {
        desk.flap("a", SECOND, Duration::from_secs(10));
    }
    let told = desk.told_of("a");
    for _ in 0..20 {
        desk.flap("a", SECOND, Duration::from_secs(10));
        assert_eq!(desk.health("a"), WorkerHealth::Lost);
    }
    assert_eq!(desk.told_of("a"), told);
    desk.up("a");
    for _ in 0..10 {
        desk.wait(SECOND);
        desk.give(Input::Heartbeat { worker: id("a"), runtime_problem: String::new() });
    }
    assert_eq!(desk.health("a"), WorkerHealth::Ready);
}
