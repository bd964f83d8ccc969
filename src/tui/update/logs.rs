//! The logs' part of `update`: opens them, folds in what comes, moves, searches; and the shell beside them.

use tui_input::Input;

use crate::manager::logs::{LogItem, MOST_TASKS};
use crate::task::{State, TaskId};
use crate::tui::event::Action;
use crate::tui::keymap::Command;
use crate::tui::logs::{KEPT_LINES, Logs, RANGES, Standing};
use crate::tui::model::{Model, Overlay};
use crate::tui::overlays::logs::{first_shown, inside, shown_text};
use crate::worker::runtime::LogsQuery;

use super::moves::Move;

/// Of the marked tasks, or of `task`.
pub(super) fn open(model: &mut Model, task: Option<TaskId>, actions: &mut Vec<Action>) {
    let mut tasks: Vec<TaskId> = model.marks.iter().copied().collect();
    if tasks.is_empty() || matches!(model.overlay, Some(Overlay::Detail(_))) {
        tasks = task.into_iter().collect();
    }
    if tasks.is_empty() {
        return model.say(format!("no task is selected here; {} goes to the tasks", model.tasks_key()));
    }
    if tasks.len() > MOST_TASKS {
        return model
            .say_error(format!("{} tasks are marked; {MOST_TASKS} can be read at once", tasks.len()));
    }
    let cluster = &model.cluster;
    tasks.sort_unstable_by_key(|task| cluster.task(*task).map(|record| record.submitted_at));
    model.overlay = Some(Overlay::Logs(Box::new(Logs::new(0, tasks))));
    ask(model, actions);
}

/// Asks (again) for what the overlay shows.
fn ask(model: &mut Model, actions: &mut Vec<Action>) {
    model.log_requests += 1;
    let (request, now) = (model.log_requests, model.now);
    let Some(Overlay::Logs(logs)) = &mut model.overlay else { return };
    logs.restart(request);
    let since = RANGES[logs.range].1.and_then(|range| now.checked_sub(range).ok());
    let query = LogsQuery { follow: true, since, tail: Some(KEPT_LINES / logs.tasks.len().max(1)) };
    actions.push(Action::ReadLogs { request, tasks: logs.tasks.clone(), query });
}

pub(super) fn came(model: &mut Model, request: u64, items: Vec<LogItem>) {
    let Some(Overlay::Logs(logs)) = &mut model.overlay else { return };
    if logs.request == request {
        logs.opened.get_or_insert(model.now);
        for item in items {
            logs.take(item);
        }
        model.needs_draw = true;
    }
}

pub(super) fn cut(model: &mut Model, request: u64, reason: String) {
    let Some(Overlay::Logs(logs)) = &mut model.overlay else { return };
    if logs.request == request {
        logs.standing = Standing::Cut(reason);
        model.needs_draw = true;
    }
}

pub(super) fn key(model: &mut Model, command: Command, actions: &mut Vec<Action>) {
    let area = model.area;
    let rows = usize::from(inside(area).height);
    let Some(Overlay::Logs(logs)) = &model.overlay else { return };
    let top = first_shown(model, logs, area);
    if command == Command::Yank {
        let text = shown_text(model, logs, area);
        model.say("copied what is shown");
        actions.push(Action::Copy(text));
        return;
    }
    let Some(Overlay::Logs(logs)) = &mut model.overlay else { return };
    match command {
        Command::Back => {
            model.overlay = None;
            actions.push(Action::EndLogs);
        }
        Command::End => logs.top = None,
        Command::Wrap => logs.wraps = !logs.wraps,
        Command::Times => logs.times = !logs.times,
        Command::Filter => logs.input = Some(Input::new(logs.search().to_owned())),
        Command::Next => go_to_hit(model, false, top),
        Command::Previous => go_to_hit(model, true, top),
        Command::Since(range) => {
            logs.range = range;
            ask(model, actions);
        }
        _ => {
            let Some(by) = Move::of(command, rows) else { return };
            scroll(model, by, top);
        }
    }
}

fn scroll(model: &mut Model, by: Move, top: usize) {
    let Some(Overlay::Logs(logs)) = &mut model.overlay else { return };
    let to = match by {
        Move::By(lines) => top.saturating_add_signed(lines),
        Move::First => 0,
        Move::Last => usize::MAX,
    };
    if logs.top.is_none() {
        logs.unseen_from = logs.end();
    }
    logs.top = Some(to.max(logs.gone()));
    // Down at the end is where the newest are.
    let is_down = to > top || matches!(by, Move::Last);
    let Some(Overlay::Logs(logs)) = &model.overlay else { return };
    let is_at_end = is_down && first_shown(model, logs, model.area) < to;
    if let Some(Overlay::Logs(logs)) = &mut model.overlay
        && is_at_end
    {
        logs.top = None;
    }
}

fn go_to_hit(model: &mut Model, backwards: bool, top: usize) {
    let third = usize::from(inside(model.area).height) / 3;
    let Some(Overlay::Logs(logs)) = &mut model.overlay else { return };
    let Some(hit) = logs.next_hit(backwards, top) else {
        let text = if logs.search().is_empty() {
            "/ searches".to_owned()
        } else {
            format!("{:?} is not there", logs.search())
        };
        return model.say(text);
    };
    if logs.top.is_none() {
        logs.unseen_from = logs.end();
    }
    logs.hit = Some(hit);
    logs.top = Some(hit.saturating_sub(third));
}

/// While what is looked for is typed.
pub(super) fn search_key(model: &mut Model, command: Command) {
    let top = match &model.overlay {
        Some(Overlay::Logs(logs)) => first_shown(model, logs, model.area),
        _ => return,
    };
    let Some(Overlay::Logs(logs)) = &mut model.overlay else { return };
    let Some(input) = logs.input.take() else { return };
    if command == Command::Enter {
        logs.look_for(input.value());
        if !logs.search().is_empty() {
            // From the newest back: what is looked for is mostly what happened just now.
            go_to_hit(model, true, top);
        }
    }
}

/// Asks for a shell in a task's container.
pub(super) fn shell(model: &mut Model, task: Option<TaskId>, actions: &mut Vec<Action>) {
    let Some(task) = task else {
        return model.say(format!("no task is selected here; {} goes to the tasks", model.tasks_key()));
    };
    match model.cluster.row(task).map(crate::cluster::TaskRow::state) {
        Some(State::Running) => actions.push(Action::Shell(task)),
        Some(state) => {
            model.say(format!("{} is {state}: a shell needs a running container", model.name_of(task)));
        }
        None => {}
    }
}

pub(super) fn shell_ended(model: &mut Model, ended: Result<i64, String>) {
    model.needs_draw = true;
    match ended {
        Ok(0) => model.say("the shell has ended"),
        Ok(code @ (126 | 127)) => {
            model.say_error(format!("there is no /bin/sh that runs in that container (exit code {code})"));
        }
        Ok(code) => model.say(format!("the shell has ended with exit code {code}")),
        Err(why) => model.say_error(format!("no shell: {why}")),
    }
}
