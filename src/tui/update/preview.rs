//! The form's preview: asks where the task would go that is being typed, or those of a file. One question at a time, and the newest wins;
//! only what matters to where it goes is a new question.

use std::sync::Arc;

use crate::manager::plan::Plan;
use crate::manager::request::RequestError;
use crate::task::{Task, TaskEvent, TaskId};
use crate::tui::event::{Action, Purpose};
use crate::tui::model::{Model, Overlay};
use crate::tui::submit_form::Wish;

/// A plan of more is some work, for a line of text.
const MOST_TASKS: usize = 1_000;

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
    let Ok(wish) = form.draft() else {
        form.preview.forget();
        return;
    };
    let question = wish.question();
    let is_same = form.preview.asked.as_ref() == Some(&question);
    // A file is asked about once: it may be long, and the cluster never rests.
    let is_known = is_same && (form.preview.asked_at == revision || matches!(wish, Wish::File(_)));
    if form.preview.is_asking || is_known {
        return;
    }
    if !is_same {
        form.preview.answer = None;
    }
    (form.preview.asked, form.preview.is_asking, form.preview.asked_at) = (Some(question), true, revision);
    actions.push(match wish {
        Wish::File(path) => Action::ReadTaskFile(path, Purpose::Preview),
        Wish::Task(spec) => {
            let task = Task { id: TaskId::random(), spec: Arc::from(spec), ..Task::default() };
            Action::Plan(vec![TaskEvent::start(task, now)])
        }
    });
}

/// The task file was read: that was the first half of the question.
pub(super) fn task_file(
    model: &mut Model,
    events: Result<Vec<TaskEvent>, String>,
    actions: &mut Vec<Action>,
) {
    let Some(Overlay::Form(form)) = &model.overlay else { return };
    match events {
        // That path was not typed to its end.
        _ if !form.was_asked() => told(model, Err(String::new()), actions),
        Ok(events) if events.len() > MOST_TASKS => {
            let many = format!("{} tasks; more than {MOST_TASKS} have no preview", events.len());
            told(model, Err(many), actions);
        }
        Ok(events) => actions.push(Action::Plan(events)),
        Err(error) => told(model, Err(error), actions),
    }
}

pub(super) fn answered(model: &mut Model, result: Result<Plan, RequestError>, actions: &mut Vec<Action>) {
    told(model, result.map_err(|error| error.to_string()), actions);
}

fn told(model: &mut Model, result: Result<Plan, String>, actions: &mut Vec<Action>) {
    model.needs_draw = true;
    // If it was closed meanwhile, the draft asks anew when it is opened.
    let Some(Overlay::Form(form)) = &mut model.overlay else { return };
    form.preview.is_asking = false;
    // What was typed meanwhile is another question; the answer to the old one would be a wrong one.
    form.preview.answer = form.was_asked().then_some(result);
    ask(model, actions);
}
