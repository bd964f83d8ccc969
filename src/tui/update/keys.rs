//! The keys' part of `update`: finds what a key means where, and does it.

use ratatui::crossterm::event::{Event as TerminalEvent, KeyEvent};
use tui_input::Input;
use tui_input::backend::crossterm::EventHandler;

use crate::task::TaskId;
use crate::tui::event::Action;
use crate::tui::filter::Filter;
use crate::tui::keymap::{Command, Context};
use crate::tui::layout::Pane;
use crate::tui::model::{Detail, FilterInput, Model, Overlay, Wish};

use super::moves::{Move, go};
use super::{cordon, logs, quit, restart, stop, submit, why};

pub(super) fn key(model: &mut Model, key: KeyEvent, actions: &mut Vec<Action>) {
    let contexts = contexts(model);
    match model.keymap.command(contexts, key) {
        Some(Command::Interrupt) => quit::quit(model, actions),
        Some(Command::Suspend) => actions.push(Action::Suspend),
        Some(command) if command.changes_cluster() && model.obstacle().is_some() => refuse(model),
        Some(command) => match contexts[0] {
            Context::Detail => detail(model, command, actions),
            Context::Help => help(model, command),
            Context::Why if why::key(model, command) => {}
            Context::Why => scroll(model, command),
            Context::Confirm => confirm(model, command, actions),
            Context::Cordon => cordon::key(model, command, actions),
            Context::Quit => quit::answered(model, command, actions),
            Context::Form => form(model, command, actions),
            Context::Filter => filter(model, command),
            Context::Logs => logs::key(model, command, actions),
            Context::LogSearch => logs::search_key(model, command),
            Context::Countdown | Context::Panes | Context::Everywhere => panes(model, command, actions),
        },
        None => typed(model, key),
    }
}

/// Says why nothing can be changed. What was typed stays.
fn refuse(model: &mut Model) {
    let Some(why) = model.obstacle() else { return };
    match &mut model.overlay {
        Some(Overlay::Form(form)) => form.problem = Some(why),
        _ => model.say_error(why),
    }
}

/// What has the keys, the first first.
pub(crate) fn contexts(model: &Model) -> &'static [Context] {
    match &model.overlay {
        Some(Overlay::Help { .. }) => &[Context::Help, Context::Everywhere],
        Some(Overlay::Detail(_)) => &[Context::Detail, Context::Everywhere],
        Some(Overlay::Why(_)) => &[Context::Why, Context::Everywhere],
        Some(Overlay::Confirm(_)) => &[Context::Confirm, Context::Everywhere],
        Some(Overlay::Cordon(_)) => &[Context::Cordon, Context::Everywhere],
        Some(Overlay::Quit(_)) => &[Context::Quit, Context::Everywhere],
        Some(Overlay::Form(_)) => &[Context::Form, Context::Everywhere],
        Some(Overlay::Logs(logs)) if logs.input.is_some() => &[Context::LogSearch, Context::Everywhere],
        Some(Overlay::Logs(_)) => &[Context::Logs, Context::Everywhere],
        None if model.filter_input.is_some() => &[Context::Filter, Context::Everywhere],
        None if model.countdown.is_some() => &[Context::Countdown, Context::Panes, Context::Everywhere],
        None => &[Context::Panes, Context::Everywhere],
    }
}

fn panes(model: &mut Model, command: Command, actions: &mut Vec<Action>) {
    if let Some(to) = Move::of(command, model.rows(model.focus)) {
        return go(model, to);
    }
    match command {
        Command::Pane(pane) => model.focus = pane,
        Command::NextPane => model.focus = model.focus.next(),
        Command::PreviousPane => model.focus = model.focus.previous(),
        Command::Zoom => model.is_zoomed = !model.is_zoomed,
        Command::Open => open(model),
        Command::Back => back(model),
        Command::Mark => mark(model),
        Command::MarkAll => {
            model.focus = Pane::Tasks;
            model.marks.extend(model.tasks.iter_from(0));
        }
        Command::Filter => {
            model.focus = Pane::Tasks;
            let before = model.tasks.filter().text().to_owned();
            model.filter_input = Some(FilterInput { input: Input::new(before.clone()), before });
        }
        Command::New => submit::open(model),
        Command::Stop => stop::ask(model, model.task_at_hand()),
        Command::Cordon => cordon::ask(model),
        Command::Restart => restart::ask(model, model.task_at_hand(), actions),
        Command::TakeBack => stop::take_back(model),
        Command::SendNow => stop::send_now(model, actions),
        Command::Yank => yank(model, model.task_at_hand(), actions),
        Command::Logs => logs::open(model, model.task_at_hand(), actions),
        Command::Why => why::open(model, model.task_at_hand(), actions),
        Command::Shell => logs::shell(model, model.task_at_hand(), actions),
        Command::Help => model.overlay = Some(Overlay::Help { scroll: 0 }),
        Command::Quit => quit::ask(model, actions),
        _ => {}
    }
}

fn open(model: &mut Model) {
    if matches!(model.focus, Pane::Workers | Pane::Stats) {
        let Some(worker) = model.cursors.worker.clone() else { return };
        model.tasks.set_filter(Filter::new(worker.as_str()), &model.cluster);
        model.focus = Pane::Tasks;
        return;
    }
    let Some(task) = model.task_at_hand() else {
        if model.focus == Pane::Events {
            model.say("this event is about no task");
        }
        return;
    };
    let history = model.cluster.event_db().of_task(task).cloned().collect();
    model.overlay = Some(Overlay::Detail(Detail { task, history, scroll: 0 }));
}

/// One step back: out of the zoom, out of the marks, out of the filter, to the newest event.
fn back(model: &mut Model) {
    if model.message.take().is_some_and(|message| message.is_error) {
        return;
    }
    if !model.marks.is_empty() {
        model.marks.clear();
    } else if !model.tasks.filter().is_empty() {
        model.tasks.set_filter(Filter::default(), &model.cluster);
    } else if model.is_zoomed {
        model.is_zoomed = false;
    } else if model.focus == Pane::Events {
        model.cursors.event = None;
    }
}

fn mark(model: &mut Model) {
    if !matches!(model.focus, Pane::Tasks | Pane::Pending) {
        model.say(format!("marks are for tasks: {} goes to their pane", model.tasks_key()));
        return;
    }
    let Some(task) = model.task_at_hand() else { return };
    if !model.marks.remove(&task) {
        model.marks.insert(task);
    }
    go(model, Move::By(1));
}

fn yank(model: &mut Model, task: Option<TaskId>, actions: &mut Vec<Action>) {
    let worker = || model.cursors.worker.as_ref().map(ToString::to_string);
    let text = match model.focus {
        Pane::Workers | Pane::Stats if task.is_none() => worker(),
        _ => task.map(|task| task.to_string()),
    };
    let Some(text) = text else { return };
    model.say(format!("copied {text}"));
    actions.push(Action::Copy(text));
}

fn detail(model: &mut Model, command: Command, actions: &mut Vec<Action>) {
    let Some(Overlay::Detail(detail)) = &mut model.overlay else { return };
    let task = detail.task;
    match command {
        Command::Back => model.overlay = None,
        Command::Yank => yank(model, Some(task), actions),
        Command::Logs => logs::open(model, Some(task), actions),
        Command::Why => why::open(model, Some(task), actions),
        Command::Shell => logs::shell(model, Some(task), actions),
        Command::Stop => {
            let marks = std::mem::take(&mut model.marks);
            stop::ask(model, Some(task));
            model.marks = marks;
        }
        Command::Restart => {
            let marks = std::mem::take(&mut model.marks);
            model.overlay = None;
            restart::ask(model, Some(task), actions);
            model.marks = marks;
        }
        _ => scroll(model, command),
    }
}

fn help(model: &mut Model, command: Command) {
    if command == Command::Back {
        model.overlay = None;
    } else {
        scroll(model, command);
    }
}

/// Scrolls the overlay; how far there is something is its view's to say.
fn scroll(model: &mut Model, command: Command) {
    let rows = usize::from(model.area.height).saturating_sub(6);
    let lines = crate::tui::overlays::lines(model);
    let scroll = match &mut model.overlay {
        Some(Overlay::Help { scroll } | Overlay::Detail(Detail { scroll, .. })) => scroll,
        Some(Overlay::Why(view)) => &mut view.scroll,
        _ => return,
    };
    let Some(by) = Move::of(command, rows) else { return };
    *scroll = by.from((*scroll).min(lines), lines + 1);
}

fn confirm(model: &mut Model, command: Command, actions: &mut Vec<Action>) {
    let Some(Overlay::Confirm(confirm)) = &mut model.overlay else { return };
    let is_yes = match command {
        Command::Yes => true,
        Command::Press => confirm.yes_is_focused,
        Command::Toggle => {
            confirm.yes_is_focused = !confirm.yes_is_focused;
            return;
        }
        _ => false,
    };
    let (wish, tasks) = (confirm.wish, std::mem::take(&mut confirm.tasks));
    model.overlay = None;
    match wish {
        Wish::Stop if is_yes => stop::confirmed(model, tasks, actions),
        Wish::Restart if is_yes => restart::confirmed(model, tasks, actions),
        Wish::Stop => model.say("nothing was stopped"),
        Wish::Restart => model.say("nothing was restarted"),
    }
}

fn form(model: &mut Model, command: Command, actions: &mut Vec<Action>) {
    let Some(Overlay::Form(form)) = &mut model.overlay else { return };
    match command {
        Command::Back => submit::close(model),
        Command::Submit => submit::submit(model, actions),
        Command::Enter if form.focus() == crate::tui::submit_form::Field::File => {
            submit::submit(model, actions);
        }
        Command::Enter | Command::NextField => form.next(),
        Command::PreviousField => form.previous(),
        _ => {}
    }
}

fn filter(model: &mut Model, command: Command) {
    if let Some(to) = Move::of(command, model.rows(model.focus)) {
        return go(model, to);
    }
    let Some(input) = model.filter_input.take() else { return };
    if command == Command::Back {
        model.tasks.set_filter(Filter::new(&input.before), &model.cluster);
    }
}

/// A key that is no command goes into the field that has the keys.
fn typed(model: &mut Model, key: KeyEvent) {
    let event = TerminalEvent::Key(key);
    if let Some(Overlay::Form(form)) = &mut model.overlay {
        if !form.is_sending {
            form.focused_input().handle_event(&event);
        }
    } else if let Some(Overlay::Logs(logs)) = &mut model.overlay {
        if let Some(input) = &mut logs.input {
            input.handle_event(&event);
        }
    } else if let Some(filter) = &mut model.filter_input
        && model.overlay.is_none()
    {
        filter.input.handle_event(&event);
        filter_as_typed(model);
    }
}

/// The list follows the filter while it is typed.
pub(super) fn filter_as_typed(model: &mut Model) {
    if let Some(filter) = &model.filter_input {
        let filter = Filter::new(filter.input.value());
        model.tasks.set_filter(filter, &model.cluster);
    }
}
