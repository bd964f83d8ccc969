//! Submitting: from the form or a task file to the answer. What was typed stays until it is accepted.

use std::sync::Arc;

use jiff::Timestamp;

use crate::manager::request::{RequestError, Submitted};
use crate::task::{Task, TaskEvent, parse_task_file};
use crate::tui::event::{Action, Purpose};
use crate::tui::format::count;
use crate::tui::keymap::{Command, Context};
use crate::tui::model::{Model, Overlay};
use crate::tui::submit_form::{Field, Preview, SubmitForm, Wish};

use super::moves::select_task;

/// Opens the form, with the draft if there is one.
pub(super) fn open(model: &mut Model) {
    let form = model.draft.take().unwrap_or_else(SubmitForm::new);
    model.overlay = Some(Overlay::Form(Box::new(form)));
}

/// Closes the form and keeps what was typed.
pub(super) fn close(model: &mut Model) {
    if let Some(Overlay::Form(form)) = model.overlay.take()
        && !form.is_empty()
    {
        model.say(if form.is_sending {
            "the form is closed, its submit is under way".to_owned()
        } else {
            format!("draft kept: {} brings it back", model.keymap.key(Context::Panes, Command::New))
        });
        let mut draft = *form;
        draft.is_sending = false;
        draft.preview = Preview::default();
        model.draft = Some(draft);
    }
}

/// Sends what the form says, or shows what is wrong with it.
pub(super) fn submit(model: &mut Model, actions: &mut Vec<Action>) {
    let now = model.now;
    let Some(Overlay::Form(form)) = &mut model.overlay else { return };
    if form.is_sending {
        return;
    }
    match form.read() {
        None => {}
        Some(Wish::File(path)) => {
            form.is_sending = true;
            actions.push(Action::ReadTaskFile(path, Purpose::Submit));
        }
        Some(Wish::Task(spec)) => {
            form.is_sending = true;
            let id = form.task_id(&spec);
            let task = Task { id, spec: Arc::from(spec), ..Task::default() };
            actions.push(Action::Submit(vec![TaskEvent::start(task, now)]));
        }
    }
}

/// What a task file says, if it could be read.
pub(super) fn read_events(
    name: &str,
    text: Result<String, String>,
    now: Timestamp,
) -> Result<Vec<TaskEvent>, String> {
    text.and_then(|text| parse_task_file(name, &text, now).map_err(|error| error.to_string()))
}

/// The task file was read, or could not be.
pub(super) fn task_file(
    model: &mut Model,
    events: Result<Vec<TaskEvent>, String>,
    actions: &mut Vec<Action>,
) {
    model.needs_draw = true;
    let Some(Overlay::Form(form)) = &mut model.overlay else { return };
    match events {
        Ok(events) => actions.push(Action::Submit(events)),
        Err(error) => {
            form.is_sending = false;
            form.set_error(Field::File, error);
        }
    }
}

pub(super) fn answered(model: &mut Model, result: Result<Vec<Submitted>, RequestError>) {
    model.needs_draw = true;
    match result {
        Err(error) => {
            if let Some(Overlay::Form(form)) = &mut model.overlay {
                form.is_sending = false;
                form.problem = Some(error.to_string());
            } else {
                let key = model.keymap.key(Context::Panes, Command::New);
                model.say_error(format!("not submitted: {error}; {key} opens the draft"));
            }
        }
        Ok(submitted) => {
            if matches!(&model.overlay, Some(Overlay::Form(form)) if form.is_sending) {
                model.overlay = None;
            }
            model.draft = None;
            let known = submitted.iter().filter(|one| !one.is_new).count();
            let ids: Vec<_> = submitted.iter().take(3).map(|one| one.task.short()).collect();
            let mut text = format!("submitted {} ({})", count(submitted.len(), "task"), ids.join(" "));
            if known > 0 {
                text = format!("{text}; {known} known before, nothing changed there");
            }
            model.say(text);
            if let Some(last) = submitted.last() {
                model.select_when_seen = Some(last.task);
                select_task(model, last.task);
            }
        }
    }
}
