//! `update`: folds one Event into the Model and says what is to be done. Pure: no clock, no IO.

mod feed;
mod keys;
mod logs;
mod moves;
mod restart;
mod stop;
mod submit;

pub(super) use keys::contexts;
pub(super) use stop::NAMED;

use super::event::{Action, Event};
use super::layout::Pane;
use super::model::{Link, Model, Overlay};
use super::submit_form::paste;
use crate::cluster::TaskRecord;
use crate::task::{State, TaskId};

/// Folds `event` into `model`; the Actions are to be carried out in order.
pub fn update(model: &mut Model, event: Event) -> Vec<Action> {
    let mut actions = Vec::new();
    match event {
        Event::Clock(now) => clock(model, now, &mut actions),
        Event::Key(key) => {
            model.needs_draw = true;
            keys::key(model, key, &mut actions);
        }
        Event::Paste(text) => {
            model.needs_draw = true;
            if let Some(Overlay::Form(form)) = &mut model.overlay {
                if !form.is_sending {
                    paste(form.focused_input(), &text);
                }
            } else if let Some(Overlay::Logs(logs)) = &mut model.overlay {
                if let Some(input) = &mut logs.input {
                    paste(input, &text);
                }
            } else if let Some(filter) = &mut model.filter_input {
                paste(&mut filter.input, &text);
                keys::filter_as_typed(model);
            }
        }
        Event::Resize { width, height } => {
            model.area.width = width;
            model.area.height = height;
            model.needs_draw = true;
        }
        Event::Focus { is_focused } => focus(model, is_focused),
        Event::Watching(cluster) => feed::watching(model, *cluster),
        Event::Resumed => feed::resumed(model),
        Event::Feed(item) => feed::item(model, &item),
        Event::Cut(reason) => cut(model, reason),
        Event::Submitted(result) => submit::answered(model, result),
        Event::Stopped(result) => stop::answered(model, result),
        Event::Restarted(result) => restart::answered(model, result),
        Event::Logs { request, items } => logs::came(model, request, items),
        Event::LogsCut { request, reason } => logs::cut(model, request, reason),
        Event::ShellEnded(ended) => logs::shell_ended(model, ended),
        Event::TaskFile { name, text } => submit::task_file(model, &name, text, &mut actions),
        Event::Notice(text) => {
            model.say_error(text);
            model.needs_draw = true;
        }
        Event::Terminate => quit(model, &mut actions),
    }
    moves::settle(model);
    actions
}

/// Quits, unless that would stop something: then it says what, and the next time quits.
fn quit_if_warned(model: &mut Model, actions: &mut Vec<Action>) {
    let left = if model.title.has_manager && !model.was_warned { left_without_lease(model) } else { vec![] };
    if left.is_empty() {
        return quit(model, actions);
    }
    model.was_warned = true;
    let names: Vec<_> = left.iter().take(NAMED).map(|task| model.name_of(*task)).collect();
    let more = if left.len() > NAMED { " and others" } else { "" };
    model.say_error(format!(
        "q again quits: 5 s later their workers stop what is Exclusive: {}{more} (the next start brings it back)",
        names.join(" ")
    ));
}

/// The Exclusive tasks that workers in other processes stop when no manager renews their lease.
fn left_without_lease(model: &Model) -> Vec<TaskId> {
    let cluster = &model.cluster;
    let is_left = |record: &&TaskRecord| {
        let home = cluster.worker_of(record.task.id);
        record.task.spec.exclusive
            && matches!(record.state(), State::Scheduled | State::Running)
            && home.is_some()
            && home != model.title.local_worker.as_ref()
    };
    cluster.task_db().filter(is_left).map(|record| record.task.id).collect()
}

/// A confirmed stop was meant: it is sent before the end, not forgotten.
fn quit(model: &mut Model, actions: &mut Vec<Action>) {
    stop::send_now(model, actions);
    actions.push(Action::Quit);
}

fn clock(model: &mut Model, now: jiff::Timestamp, actions: &mut Vec<Action>) {
    let is_new_second = now.as_second() != model.now.as_second();
    model.now = now;
    if let Some(countdown) = &model.countdown {
        model.needs_draw |= is_new_second;
        if countdown.until <= now {
            stop::send_now(model, actions);
        }
    }
    if model.message.as_ref().is_some_and(|message| message.until <= now) {
        model.message = None;
        model.needs_draw = true;
    }
    model.needs_draw |= is_new_second && model.is_focused;
}

fn focus(model: &mut Model, is_focused: bool) {
    model.is_focused = is_focused;
    if !is_focused {
        model.looked_away_at = Some(model.cluster.revision());
        return;
    }
    model.needs_draw = true;
    let before = model.looked_away_at.take().unwrap_or(model.cluster.revision());
    let missed = model.cluster.revision().saturating_sub(before);
    if missed > 0 && model.message.is_none() {
        model.say(format!("since you looked away: +{missed} in {}", Pane::Events.name()));
    }
}

fn cut(model: &mut Model, reason: String) {
    model.link = match &model.link {
        Link::Connecting(_) => Link::Connecting(Some(reason)),
        Link::Live => Link::Cut { reason, since: model.now },
        Link::Cut { since, .. } => Link::Cut { reason, since: *since },
    };
    model.needs_draw = true;
}
