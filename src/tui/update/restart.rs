//! Restarting tasks: the question if one of them runs, and the answer.

use crate::manager::request::{RequestError, Restarted};
use crate::task::TaskId;
use crate::tui::event::Action;
use crate::tui::format::count;
use crate::tui::keymap::{Command, Context};
use crate::tui::model::{Confirm, Model, Overlay, Wish};

use super::stop::marked_or;

/// Restarts what is marked, or `task`; asks before, where that stops something.
pub(super) fn ask(model: &mut Model, task: Option<TaskId>, actions: &mut Vec<Action>) {
    let mut asked = marked_or(model, task);
    let total = asked.len();
    let cluster = &model.cluster;
    asked.retain(|task| cluster.task(*task).is_some_and(|record| record.restart.is_none()));
    asked.sort_unstable_by_key(|task| cluster.task(*task).map(|record| record.submitted_at));
    let left_out = total - asked.len();
    if asked.is_empty() {
        model.say(match total {
            0 => "nothing is selected to restart",
            _ => "nothing to restart: that is under way already",
        });
        return;
    }
    let runs = |task: &TaskId| {
        let record = cluster.task(*task);
        record.is_some_and(|record| record.queued.is_none() && !record.state().has_ended())
    };
    if asked.iter().any(runs) {
        let confirm = Confirm { wish: Wish::Restart, tasks: asked, left_out, yes_is_focused: false };
        model.overlay = Some(Overlay::Confirm(confirm));
    } else {
        confirmed(model, asked, actions);
    }
}

pub(super) fn confirmed(model: &mut Model, tasks: Vec<TaskId>, actions: &mut Vec<Action>) {
    model.marks.clear();
    model.say(format!("asking for the restart of {}…", count(tasks.len(), "task")));
    actions.push(Action::Restart(tasks));
}

pub(super) fn answered(model: &mut Model, result: Result<Vec<Restarted>, RequestError>) {
    model.needs_draw = true;
    match result {
        Err(error) => {
            let key = model.keymap.key(Context::Panes, Command::Restart);
            model.say_error(format!("not restarted: {error}; {key} asks again"));
        }
        Ok(restarted) => {
            let (new, same): (Vec<_>, Vec<_>) = restarted.iter().partition(|restarted| restarted.is_new);
            match (new.as_slice(), same.len()) {
                ([], 1) => model.say("nothing to restart: it waits for a worker and for nothing else"),
                ([], _) => model.say("nothing to restart: they wait for a worker and for nothing else"),
                ([one], 0) => model.say(format!("restarting {}", model.name_of(one.task))),
                (new, 0) => model.say(format!("restarting {}", count(new.len(), "task"))),
                (new, same) => {
                    model.say(format!("restarting {}; {same} only wait", count(new.len(), "task")));
                }
            }
        }
    }
}
