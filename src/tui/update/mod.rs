//! `update`: folds one Event into the Model and says what is to be done. Pure: no clock, no IO.

mod cordon;
#[cfg(test)]
mod cut_tests;
mod feed;
mod keys;
mod logs;
mod moves;
mod preview;
mod quit;
mod restart;
mod stop;
mod submit;
mod why;

pub(super) use keys::contexts;
pub(super) use stop::NAMED;

use super::event::{Action, Event, Purpose};
use super::layout::Pane;
use super::model::{Link, Model, Overlay};
use super::submit_form::paste;

/// Folds `event` into `model`; the Actions are to be carried out in order.
pub fn update(model: &mut Model, event: Event) -> Vec<Action> {
    let mut actions = Vec::new();
    match event {
        Event::Clock(now) => clock(model, now, &mut actions),
        Event::Key(key) => {
            model.needs_draw = true;
            keys::key(model, key, &mut actions);
            preview::ask(model, &mut actions);
        }
        Event::Paste(text) => {
            model.needs_draw = true;
            if let Some(Overlay::Form(form)) = &mut model.overlay {
                if !form.is_sending {
                    paste(form.focused_input(), &text);
                }
                preview::ask(model, &mut actions);
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
        Event::Opened(title) => {
            model.title = title;
            model.needs_draw = true;
        }
        Event::Watching(cluster) => feed::watching(model, *cluster),
        Event::Resumed => feed::resumed(model),
        Event::Feed(item) => feed::item(model, &item),
        Event::Cut(reason) => cut(model, reason),
        Event::Submitted(result) => submit::answered(model, result),
        Event::AvailabilitySet(result) => cordon::answered(model, result),
        Event::Stopped(result) => stop::answered(model, result),
        Event::Restarted(result) => restart::answered(model, result),
        Event::Why { task, result } => why::answered(model, task, result),
        Event::Planned(result) => preview::answered(model, result, &mut actions),
        Event::Logs { request, items } => logs::came(model, request, items),
        Event::LogsCut { request, reason } => logs::cut(model, request, reason),
        Event::ShellEnded(ended) => logs::shell_ended(model, ended),
        Event::TaskFile { name, purpose, text } => {
            let events = submit::read_events(&name, text, model.now);
            match purpose {
                Purpose::Preview => preview::task_file(model, events, &mut actions),
                Purpose::Submit => submit::task_file(model, events, &mut actions),
            }
        }
        Event::Notice(text) => {
            model.say_error(text);
            model.needs_draw = true;
        }
        Event::Terminate => quit::quit(model, &mut actions),
    }
    moves::settle(model);
    actions
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
    if is_new_second {
        why::tick(model, actions);
        preview::ask(model, actions);
    }
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
