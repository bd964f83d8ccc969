//! Stopping tasks: the question, the five seconds in which it can be taken back, the answer.

use crate::cluster::TaskRow;
use crate::manager::request::{RequestError, Stopping};
use crate::task::TaskId;
use crate::tui::event::Action;
use crate::tui::format::count;
use crate::tui::keymap::{Command, Context};
use crate::tui::model::{Confirm, Countdown, Model, Overlay, TAKE_BACK, Wish};

/// How many names are spelt out; the rest is counted.
pub(crate) const NAMED: usize = 8;

/// Asks before stopping what is marked, or `task`.
pub(super) fn ask(model: &mut Model, task: Option<TaskId>) {
    let mut asked = marked_or(model, task);
    if asked.is_empty() {
        model.say("nothing is selected to stop");
        return;
    }
    let total = asked.len();
    let cluster = &model.cluster;
    let can_stop = |task: &TaskId| {
        cluster
            .row(*task)
            .is_some_and(|row| !row.state().has_ended() && (!row.is_stopping() || row.preempted().is_some()))
    };
    asked.retain(can_stop);
    asked.sort_unstable_by_key(|task| cluster.row(*task).map(TaskRow::submitted_at));
    if asked.is_empty() {
        let what = if total == 1 { "it has" } else { "they have all" };
        model.say(format!("nothing to stop: {what} ended or are stopping already"));
        if total == 1 {
            model.say("nothing to stop: it has ended or is stopping already");
        }
        return;
    }
    let left_out = total - asked.len();
    let confirm = Confirm { wish: Wish::Stop, tasks: asked, left_out, yes_is_focused: false };
    model.overlay = Some(Overlay::Confirm(confirm));
}

/// The tasks that a key is about.
pub(super) fn marked_or(model: &Model, task: Option<TaskId>) -> Vec<TaskId> {
    let marked: Vec<TaskId> = model.marks.iter().copied().collect();
    if marked.is_empty() { task.into_iter().collect() } else { marked }
}

/// The answer was yes.
pub(super) fn confirmed(model: &mut Model, tasks: Vec<TaskId>, actions: &mut Vec<Action>) {
    // One that is still counting was confirmed too.
    send_now(model, actions);
    model.marks.clear();
    let names: Vec<_> = tasks.iter().take(NAMED).map(|task| model.name_of(*task)).collect();
    let names = match tasks.len().saturating_sub(NAMED) {
        0 => names.join(" "),
        more => format!("{} and {more} more", names.join(" ")),
    };
    model.countdown = Some(Countdown { tasks, names, until: model.now + TAKE_BACK });
}

pub(super) fn take_back(model: &mut Model) {
    if let Some(countdown) = model.countdown.take() {
        model.say(format!("taken back: {} not stopped", countdown.names));
    }
}

/// Sends what is counting down.
pub(super) fn send_now(model: &mut Model, actions: &mut Vec<Action>) {
    if let Some(countdown) = model.countdown.take() {
        if let Some(why) = model.obstacle() {
            model.say_error(format!("{} not stopped: {why}", countdown.names));
            model.needs_draw = true;
            return;
        }
        model.say(format!("asking for the stop of {}…", count(countdown.tasks.len(), "task")));
        model.needs_draw = true;
        actions.push(Action::Stop(countdown.tasks));
    }
}

pub(super) fn answered(model: &mut Model, result: Result<Vec<Stopping>, RequestError>) {
    model.needs_draw = true;
    match result {
        Err(error) => {
            let key = model.keymap.key(Context::Panes, Command::Stop);
            model.say_error(format!("not stopped: {error}; {key} asks again"));
        }
        Ok(stopping) => {
            let (new, ended): (Vec<_>, Vec<_>) = stopping.iter().partition(|stopping| stopping.is_new);
            match (new.as_slice(), ended.len()) {
                ([], ended) => model.say(format!("{} had ended before", count(ended, "task"))),
                ([one], 0) => model.say(format!("stopping {}", model.name_of(one.task))),
                (new, 0) => model.say(format!("stopping {}", count(new.len(), "task"))),
                (new, ended) => {
                    model.say(format!("stopping {}; {ended} had ended before", count(new.len(), "task")));
                }
            }
        }
    }
}
