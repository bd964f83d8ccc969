//! The why overlay: asks the manager about a task, and again when its cluster has moved on. One question at a time.

use crate::manager::request::RequestError;
use crate::manager::why::Why;
use crate::task::TaskId;
use crate::tui::event::Action;
use crate::tui::keymap::Command;
use crate::tui::model::{Model, Overlay, WhyView};

/// Opens it for `task`, and asks.
pub(super) fn open(model: &mut Model, task: Option<TaskId>, actions: &mut Vec<Action>) {
    let Some(task) = task else { return model.say("nothing is selected to ask about") };
    let view = WhyView { task, answer: None, asked_at: 0, is_asking: false, scroll: 0 };
    model.overlay = Some(Overlay::Why(Box::new(view)));
    ask(model, actions);
}

fn ask(model: &mut Model, actions: &mut Vec<Action>) {
    let revision = model.cluster.revision();
    let Some(Overlay::Why(view)) = &mut model.overlay else { return };
    (view.is_asking, view.asked_at) = (true, revision);
    actions.push(Action::Why(view.task));
}

/// A second has passed: what is shown may be out of date.
pub(super) fn tick(model: &mut Model, actions: &mut Vec<Action>) {
    let revision = model.cluster.revision();
    let is_due =
        matches!(&model.overlay, Some(Overlay::Why(view)) if !view.is_asking && view.asked_at < revision);
    if is_due && model.obstacle().is_none() {
        ask(model, actions);
    }
}

pub(super) fn answered(model: &mut Model, task: TaskId, result: Result<Box<Why>, RequestError>) {
    // Of one that was closed meanwhile nobody wants to know.
    let Some(Overlay::Why(view)) = &mut model.overlay else { return };
    if view.task != task {
        return;
    }
    view.is_asking = false;
    view.answer = Some(result.map_err(|error| error.to_string()));
    model.needs_draw = true;
}

/// True if the overlay has dealt with it; scrolling is the same as everywhere.
pub(super) fn key(model: &mut Model, command: Command) -> bool {
    if command == Command::Back {
        model.overlay = None;
        return true;
    }
    false
}
