//! Cordon and drain: the question, and the answer's word.

use super::super::keymap::{Command, Context};
use crate::manager::request::{AvailabilityWish, Drained, RequestError, WorkerWish};
use crate::tui::event::Action;
use crate::tui::format::count;
use crate::tui::layout::Pane;
use crate::tui::model::{Model, Overlay};

/// Asks what is to become of the worker under the cursor.
pub(super) fn ask(model: &mut Model) {
    let worker = model.cursors.worker.clone().filter(|_| matches!(model.focus, Pane::Workers | Pane::Stats));
    if let Some(worker) = worker {
        model.overlay = Some(Overlay::Cordon(worker));
    } else {
        let key = model.keymap.key(Context::Panes, Command::Pane(Pane::Workers));
        model.say(format!("cordon and drain are for workers: {key} goes to their pane"));
    }
}

pub(super) fn key(model: &mut Model, command: Command, actions: &mut Vec<Action>) {
    let Some(Overlay::Cordon(worker)) = model.overlay.take() else { return };
    let wish = match command {
        Command::Cordon => AvailabilityWish::Cordon,
        Command::Drain => AvailabilityWish::Drain { within_s: None },
        Command::Uncordon => AvailabilityWish::Uncordon,
        _ => {
            model.say("nothing was changed");
            return;
        }
    };
    actions.push(Action::SetAvailability(WorkerWish { worker, wish }));
}

pub(super) fn answered(model: &mut Model, result: Result<Drained, RequestError>) {
    model.needs_draw = true;
    match result {
        Err(error) => model.say_error(format!("not changed: {error}")),
        Ok(Drained { worker, left }) => {
            let availability = model.cluster.worker(&worker).map(|worker| worker.availability.name());
            let word = availability.filter(|name| !name.is_empty()).unwrap_or("takes work");
            model.say(format!("{worker}: {word}; {} there", count(left, "task")));
        }
    }
}
