//! Quitting: at once, or with a question where a manager of ours would end with the dashboard.

use crate::cluster::TaskRow;
use crate::task::{State, TaskId};
use crate::tui::event::Action;
use crate::tui::keymap::Command;
use crate::tui::model::{Link, Model, Overlay, OwnManager, QuitQuestion};

use super::stop;

/// Somebody wants to quit, and is asked first if there is a choice.
pub(super) fn ask(model: &mut Model, actions: &mut Vec<Action>) {
    let has_begun = !matches!(model.link, Link::Connecting(_));
    match model.title.own.clone().filter(|_| has_begun) {
        Some(own) => {
            let exclusive_elsewhere = exclusive_elsewhere(model, &own);
            model.overlay = Some(Overlay::Quit(QuitQuestion { exclusive_elsewhere }));
        }
        None => quit(model, actions),
    }
}

/// A confirmed stop was meant: it is sent before the end, not forgotten.
pub(super) fn quit(model: &mut Model, actions: &mut Vec<Action>) {
    stop::send_now(model, actions);
    actions.push(Action::Quit);
}

/// The answer.
pub(super) fn answered(model: &mut Model, command: Command, actions: &mut Vec<Action>) {
    match command {
        Command::Quit => quit(model, actions),
        Command::LeaveRunning => {
            stop::send_now(model, actions);
            actions.push(Action::LeaveRunning);
        }
        _ => model.overlay = None,
    }
}

/// Those of the local worker run on: nobody is left there to stop them.
fn exclusive_elsewhere(model: &Model, own: &OwnManager) -> Vec<TaskId> {
    let cluster = &model.cluster;
    let is_left = |row: &&TaskRow| {
        let home = cluster.worker_of(row.id());
        row.spec().exclusive
            && matches!(row.state(), State::Scheduled | State::Running)
            && home.is_some()
            && home != own.local_worker.as_ref()
    };
    cluster.rows().filter(is_left).map(TaskRow::id).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::cluster::What;
    use crate::tui::event::Event;
    use crate::tui::fixture::{Log, busy, feed, loading, press, screen, task_id};
    use crate::tui::update::update;

    fn owning(mut model: Model) -> Model {
        let own = OwnManager { local_worker: Some("worker-1:5555".into()) };
        let title = crate::tui::Title { own: Some(own), ..model.title.clone() };
        update(&mut model, Event::Opened(title));
        model
    }

    #[test]
    fn who_owns_the_manager_is_asked_and_nobody_else() {
        let cases = [
            ("q<Enter>", vec![Action::Quit]),
            ("qq", vec![Action::Quit]),
            ("qb", vec![Action::LeaveRunning]),
            ("q<Esc>", vec![]),
            ("q<Esc>j", vec![]),
            ("<C-c>", vec![Action::Quit]),
            ("q<C-c>", vec![Action::Quit]),
            ("Syqb", vec![Action::Stop(vec![task_id(1)]), Action::LeaveRunning]),
        ];
        for (keys, expected) in cases {
            assert_eq!(press(&mut owning(busy(80, 24)), keys), expected, "{keys}");
        }
        assert_eq!(press(&mut busy(80, 24), "q"), [Action::Quit], "attached, or a demo");
        assert_eq!(press(&mut owning(loading(80, 24)), "q"), [Action::Quit], "there is nothing yet to leave");
    }

    #[test]
    fn exclusive_tasks_of_other_workers_are_counted_and_those_of_the_local_one_are_not() {
        let mut model = owning(busy(80, 24));
        press(&mut model, "q");
        assert!(!screen(&model).contains("Exclusive"), "{}", screen(&model));
        press(&mut model, "<Esc>");
        let mut log = Log { revision: model.cluster.revision(), now: model.now };
        for (number, worker) in [(20, "worker-1:5555"), (21, "worker-2:5555"), (22, "worker-4:5555")] {
            let mut submitted = log.submit(number, "once", "x");
            if let What::Submitted { task, .. } = &mut Arc::make_mut(&mut submitted).what {
                Arc::make_mut(&mut task.spec).exclusive = true;
            }
            feed(&mut model, submitted);
            feed(&mut model, log.schedule(number, worker));
            feed(&mut model, log.run(number));
        }
        press(&mut model, "q");
        assert!(screen(&model).contains("2 Exclusive tasks on other workers"), "{}", screen(&model));
    }
}
