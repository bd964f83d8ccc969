//! Rebalance: that a plan is what then happens, a few at a time, and what stays where it is.

use super::placing::{desk_with, up_with};
use super::*;
use crate::manager::request::{RebalanceWish, Rebalanced};

fn of(cpu: f64) -> TaskSpec {
    TaskSpec { cpu, ..TaskSpec::default() }
}

impl Desk {
    /// Runs all of them on `a`, and has an empty `b` beside it.
    fn crowded(specs: impl IntoIterator<Item = TaskSpec>) -> (Self, Vec<TaskId>) {
        let mut desk = desk_with(&[("a", 8.0)]);
        let tasks = specs.into_iter().map(|spec| {
            let (task, _) = desk.submit(spec);
            desk.comes_up("a", task);
            task
        });
        let tasks: Vec<TaskId> = tasks.collect();
        desk.start(&["a", "b"]);
        desk.give(up_with("a", 8.0));
        desk.give(up_with("b", 8.0));
        (desk, tasks)
    }

    fn comes_up(&mut self, worker: &str, task: TaskId) -> Vec<Effect> {
        let mut effects = self.sent(worker, task, SendOutcome::Accepted);
        effects.extend(self.report(worker, task, State::Running).effects);
        effects
    }

    fn evens_out(&mut self, moves: usize, plan: bool) -> (Rebalanced, Vec<Effect>) {
        let wish = RebalanceWish { moves, plan };
        let mut effects = self.give(Input::Rebalance { request: 7, wish }).effects;
        let at = effects.iter().position(|effect| matches!(effect, Effect::Answer { .. })).unwrap();
        match effects.remove(at) {
            Effect::Answer { answer: Ok(Answer::Rebalanced(rebalanced)), .. } => (*rebalanced, effects),
            other => panic!("{other:?}"),
        }
    }

    fn at(&self, worker: &str, state: State) -> Vec<TaskId> {
        let cluster = self.manager.cluster();
        let mut tasks: Vec<_> =
            cluster.tasks_of(&id(worker)).filter(|task| self.state(*task) == state).collect();
        tasks.sort_unstable();
        tasks
    }

    /// Brings up what starts on `b`, one by one, until nothing does.
    fn all_come_up(&mut self) {
        while let Some(task) = self.at("b", State::Scheduled).first().copied() {
            let old = self.task(task).status().generation - 1;
            assert_eq!(stops(&self.comes_up("b", task)), [("a", old)], "it stops when the new one runs");
        }
    }
}

#[test]
fn a_plan_changes_nothing_and_is_what_then_happens_and_a_second_one_is_empty() {
    let (mut desk, _) = Desk::crowded((0..10).map(|_| of(0.5)));
    let before = desk.log.len();
    let (plan, effects) = desk.evens_out(100, true);
    assert_eq!((desk.log.len(), effects), (before, vec![]));
    assert_eq!((plan.moves.len(), plan.is_under_way), (5, false));
    assert!((plan.before.most - 10.0).abs() < 1e-9 && (plan.after.most - 5.0).abs() < 1e-9, "{plan:?}");
    let (made, effects) = desk.evens_out(100, false);
    assert_eq!((&made.moves, made.is_under_way), (&plan.moves, true));
    assert_eq!((starts(&effects).len(), stops(&effects)), (4, vec![]), "a few at a time");
    desk.all_come_up();
    let mut planned: Vec<_> = plan.moves.iter().map(|planned| planned.task).collect();
    planned.sort_unstable();
    assert_eq!(desk.at("b", State::Running), planned);
    assert!(desk.log.iter().any(|change| change.cause == Cause::Rebalance));
    let (second, effects) = desk.evens_out(100, false);
    assert_eq!((second.moves, second.is_under_way, effects), (vec![], false, vec![]));
}

#[test]
fn what_is_bound_to_where_it_is_stays_and_no_more_moves_are_made_than_wanted() {
    let bound = [
        TaskSpec { exclusive: true, ..of(0.1) },
        TaskSpec { mounts: vec!["data:/d".into()], ..of(0.1) },
        TaskSpec { port_bindings: Some([("80/tcp".to_owned(), "80".to_owned())].into()), ..of(0.1) },
        TaskSpec { constraints: vec!["worker=a".parse().unwrap()], ..of(0.1) },
        TaskSpec { constraints: vec!["spread:worker".parse().unwrap()], ..of(0.1) },
    ];
    let (mut desk, tasks) = Desk::crowded(bound.into_iter().chain((0..5).map(|_| of(0.1))));
    let (all, _) = desk.evens_out(100, true);
    assert!(all.moves.iter().all(|planned| tasks[5..].contains(&planned.task)), "{all:?}");
    assert_eq!(all.moves.len(), 5);
    assert_eq!(desk.evens_out(2, true).0.moves.len(), 2);
    let wish = RebalanceWish { moves: 101, plan: true };
    let refused = desk.give(Input::Rebalance { request: 7, wish }).effects;
    assert!(matches!(&refused[0], Effect::Answer { answer: Err(RequestError::Invalid(_)), .. }));
}

#[test]
fn a_move_that_is_no_longer_good_is_not_made() {
    let (mut desk, _) = Desk::crowded((0..16).map(|_| of(0.5)));
    let (made, effects) = desk.evens_out(8, false);
    assert_eq!((made.moves.len(), starts(&effects).len()), (8, 4));
    let cordon = crate::manager::request::AvailabilityWish::Cordon;
    desk.give(Input::SetAvailability { request: 5, cause: Cause::Command, worker: id("b"), wish: cordon });
    desk.all_come_up();
    assert_eq!(desk.at("b", State::Running).len(), 4);
    assert_eq!(desk.at("a", State::Running).len(), 12);
}

#[test]
fn the_room_of_what_moves_off_is_given_to_nobody_before_it_runs_elsewhere() {
    let (mut desk, _) = Desk::crowded((0..8).map(|_| of(1.0)));
    desk.evens_out(4, false);
    let only_a = || TaskSpec { constraints: vec!["worker=a".parse().unwrap()], ..of(1.0) };
    let (waits, _) = desk.submit(only_a());
    assert_eq!(desk.state(waits), State::Pending);
    let task = desk.at("b", State::Scheduled)[0];
    desk.comes_up("b", task);
    assert_eq!(desk.state(waits), State::Scheduled);
}

#[test]
fn a_manager_that_restarts_in_the_middle_of_a_move_lets_the_old_run_serve_until_the_new_one_does() {
    let (mut desk, _) = Desk::crowded((0..4).map(|_| of(1.0)));
    desk.evens_out(1, false);
    let task = desk.at("b", State::Scheduled)[0];
    desk.manager = Manager::new(desk.manager.cluster().clone());
    desk.start(&["a", "b"]);
    desk.give(up_with("a", 8.0));
    desk.give(up_with("b", 8.0));
    let mut old = desk.task(task).task.clone();
    (old.status.generation, old.status.state) = (0, State::Running);
    let effects = desk.give(Input::WorkerTask { worker: id("a"), task: old.clone() }).effects;
    assert_eq!(stops(&effects), [], "it serves");
    let effects = desk.give(Input::WorkerTasks { worker: id("a"), tasks: vec![old] }).effects;
    assert!(!stops(&effects).contains(&("a", 0)), "it serves");
    let effects = desk.comes_up("b", task);
    assert_eq!(stops(&effects), [("a", 0)]);
    assert_eq!(desk.task(task).serving, None);
}
