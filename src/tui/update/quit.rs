//! Quitting: at once, or with a question where a manager of ours would end with the dashboard.

use crate::task::WorkerId;
use crate::tui::event::Action;
use crate::tui::keymap::Command;
use crate::tui::model::{Link, Model, Overlay, OwnManager, QuitQuestion};

use super::stop;

/// Somebody wants to quit, and is asked first if there is a choice.
pub(super) fn ask(model: &mut Model, actions: &mut Vec<Action>) {
    let has_begun = !matches!(model.link, Link::Connecting(_));
    match model.title.own.clone().filter(|_| has_begun) {
        Some(own) => {
            let exclusive_elsewhere = exclusive_elsewhere(model, &own);
            model.overlay = Some(Overlay::Quit(QuitQuestion { exclusive_elsewhere }));
        }
        None => quit(model, actions),
    }
}

/// A confirmed stop was meant: it is sent before the end, not forgotten.
pub(super) fn quit(model: &mut Model, actions: &mut Vec<Action>) {
    stop::send_now(model, actions);
    actions.push(Action::Quit);
}

/// The answer.
pub(super) fn answered(model: &mut Model, command: Command, actions: &mut Vec<Action>) {
    match command {
        Command::Quit => quit(model, actions),
        Command::LeaveRunning => {
            stop::send_now(model, actions);
            actions.push(Action::LeaveRunning);
        }
        _ => model.overlay = None,
    }
}

/// Exclusive tasks on workers in other processes. Those of the local worker run on: nobody is left there to stop them.
fn exclusive_elsewhere(model: &Model, own: &OwnManager) -> usize {
    let is_elsewhere = |worker: &WorkerId| own.local_worker.as_ref() != Some(worker);
    let cluster = &model.cluster;
    let exclusive = cluster.task_db().filter(|record| record.task.spec.exclusive);
    let live = exclusive.filter(|record| !record.state().has_ended());
    live.filter(|record| cluster.worker_of(record.task.id).is_some_and(is_elsewhere)).count()
}
