//! Forgetting a lost worker of an earlier run.

use std::time::Duration;

use super::{Desk, id, starts};
use crate::cluster::Cause;
use crate::manager::decide::*;
use crate::manager::request::Forgotten;
use crate::task::{State, TaskSpec, WorkerId};

fn forget(desk: &mut Desk, worker: &str) -> (Result<Forgotten, String>, Vec<Effect>) {
    let decision = desk.give(Input::Forget { request: 4, cause: Cause::Command, worker: id(worker) });
    let answer = decision.effects.iter().find_map(|effect| match effect {
        Effect::Answer { answer: Ok(Answer::Forgotten(forgotten)), .. } => Some(Ok(forgotten.clone())),
        Effect::Answer { answer: Err(error), .. } => Some(Err(error.to_string())),
        _ => None,
    });
    (answer.expect("an answer"), decision.effects)
}

/// A cluster whose worker "a" was of an earlier run and ran the tasks that are handed back.
fn with_one_of_before(specs: Vec<TaskSpec>) -> (Desk, Vec<TaskId>) {
    let mut desk = Desk::with(&["a"]);
    let tasks: Vec<_> = specs.into_iter().map(|spec| desk.submit(spec).0).collect();
    for task in &tasks {
        desk.report("a", *task, State::Running);
    }
    desk.start(&["b", "c"]);
    (desk, tasks)
}

#[test]
fn its_tasks_start_elsewhere_exclusive_ones_too_and_a_stop_is_done() {
    let exclusive = TaskSpec { exclusive: true, ..TaskSpec::default() };
    let (mut desk, tasks) = with_one_of_before(vec![TaskSpec::default(), exclusive, TaskSpec::default()]);
    desk.stop(tasks[2]);
    desk.wait(Duration::from_mins(1));
    let (forgotten, _) = forget(&mut desk, "a");
    assert_eq!(forgotten, Ok(Forgotten { worker: id("a"), moved: 2 }));
    assert_eq!(desk.state(tasks[2]), State::Completed);
    assert!(desk.manager.cluster().worker(&id("a")).is_none());
    desk.up("b");
    let mut generations = vec![];
    for task in &tasks[..2] {
        assert_eq!(desk.manager.cluster().worker_of(*task), Some(&id("b")));
        generations.push(desk.task(*task).status().generation);
    }
    assert_eq!(generations, [1, 1], "a new generation, should the old one still live");
}

#[test]
fn only_a_lost_worker_of_another_run_is_forgotten() {
    let (mut desk, _) = with_one_of_before(vec![]);
    for (worker, why) in [("b", "is a worker of this run"), ("nobody", "no worker is called nobody")] {
        let (answer, _) = forget(&mut desk, worker);
        assert!(answer.as_ref().is_err_and(|error| error.contains(why)), "{worker}: {answer:?}");
    }
}

#[test]
fn the_others_keep_their_order_and_the_turn_goes_on() {
    let (mut desk, _) = with_one_of_before(vec![]);
    desk.up("b");
    desk.up("c");
    let chosen = |desk: &mut Desk| {
        let (_, effects) = desk.submit(TaskSpec::default());
        starts(&effects)[0].0.to_owned()
    };
    assert_eq!([chosen(&mut desk), chosen(&mut desk), chosen(&mut desk)], ["b", "c", "b"]);
    forget(&mut desk, "a").0.expect("it is lost");
    assert_eq!([chosen(&mut desk), chosen(&mut desk)], ["c", "b"]);
    let workers: Vec<WorkerId> =
        desk.manager.cluster().workers().iter().map(|worker| worker.id.clone()).collect();
    assert_eq!(workers, [id("b"), id("c")]);
    assert_eq!(desk.manager.cluster().worker(&id("c")).map(|worker| &worker.id), Some(&id("c")));
}
