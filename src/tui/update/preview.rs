//! The form's preview: asks where the task would go that is being typed. One question at a time, and the newest wins;
//! only what matters to where it goes is a new question.

use std::sync::Arc;

use crate::manager::plan::Plan;
use crate::manager::request::RequestError;
use crate::scheduler::Shape;
use crate::task::{Task, TaskEvent, TaskId};
use crate::tui::event::Action;
use crate::tui::model::{Model, Overlay};

/// The form may say something else than before, or the cluster has moved on.
pub(super) fn ask(model: &mut Model, actions: &mut Vec<Action>) {
    let (now, revision) = (model.now, model.cluster.revision());
    if model.obstacle().is_some() {
        return;
    }
    let Some(Overlay::Form(form)) = &mut model.overlay else { return };
    if form.is_sending {
        return;
    }
    let Some(spec) = form.draft() else {
        form.preview.forget();
        return;
    };
    let shape = Shape::of(&spec);
    let is_known = form.preview.shape == shape && form.preview.asked_at == revision;
    if form.preview.is_asking || is_known && form.preview.has_asked {
        return;
    }
    if form.preview.shape != shape {
        form.preview.answer = None;
    }
    form.preview.shape = shape;
    (form.preview.is_asking, form.preview.has_asked, form.preview.asked_at) = (true, true, revision);
    let task = Task { id: TaskId::random(), spec: Arc::new(spec), ..Task::default() };
    actions.push(Action::Plan(vec![TaskEvent::start(task, now)]));
}

pub(super) fn answered(model: &mut Model, result: Result<Plan, RequestError>, actions: &mut Vec<Action>) {
    model.needs_draw = true;
    // If it was closed meanwhile, the draft asks anew when it is opened.
    let Some(Overlay::Form(form)) = &mut model.overlay else { return };
    form.preview.is_asking = false;
    let shape = form.draft().map(|spec| Shape::of(&spec));
    // What was typed meanwhile is another question; the answer to the old one would be a wrong one.
    form.preview.answer =
        (shape == Some(form.preview.shape.clone())).then(|| result.map_err(|error| error.to_string()));
    ask(model, actions);
}
