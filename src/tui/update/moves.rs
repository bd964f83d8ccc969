//! Moving: what each list has selected, and where its window stands. Changes nothing else.

use crate::cluster::Revision;
use crate::task::TaskId;
use crate::tui::keymap::Command;
use crate::tui::layout::Pane;
use crate::tui::model::Model;

/// A way to move.
#[derive(Clone, Copy, Debug)]
pub(super) enum Move {
    By(isize),
    First,
    Last,
}

impl Move {
    /// The move that a command means where `rows` rows are on the screen.
    pub(super) fn of(command: Command, rows: usize) -> Option<Self> {
        let page = isize::try_from(rows.max(1)).unwrap_or(isize::MAX);
        let half = (page / 2).max(1);
        Some(match command {
            Command::Down => Self::By(1),
            Command::Up => Self::By(-1),
            Command::HalfDown => Self::By(half),
            Command::HalfUp => Self::By(-half),
            Command::PageDown => Self::By(page),
            Command::PageUp => Self::By(-page),
            Command::Top => Self::First,
            Command::End => Self::Last,
            _ => return None,
        })
    }

    /// Where this leads from `at` in a list of `total`.
    pub(super) fn from(self, at: usize, total: usize) -> usize {
        let last = total.saturating_sub(1);
        match self {
            Self::By(rows) => at.saturating_add_signed(rows).min(last),
            Self::First => 0,
            Self::Last => last,
        }
    }
}

/// Moves the selection of the focused pane.
pub(super) fn go(model: &mut Model, by: Move) {
    let rows = model.rows(model.focus);
    match model.focus {
        Pane::Tasks => {
            let at = model.cursors.task.and_then(|task| model.tasks.rank(task)).unwrap_or(0);
            let to = by.from(at, model.tasks.len());
            model.cursors.task = model.tasks.at(to);
            model.cursors.task_rank = to;
            shift(&mut model.cursors.tasks_above, at, to, rows);
        }
        Pane::Workers | Pane::Stats => {
            let rows = model.rows(Pane::Workers);
            let at = model.worker_at_cursor().unwrap_or(0);
            let to = by.from(at, model.cluster.workers().len());
            model.cursors.worker = model.cluster.workers().get(to).map(|worker| worker.id.clone());
            shift(&mut model.cursors.workers_above, at, to, rows);
        }
        Pane::Pending => go_pending(model, by, rows),
        Pane::Events => go_events(model, by, rows),
    }
}

/// `pending` has no row numbers: this walks from place to place, at most a page.
fn go_pending(model: &mut Model, by: Move, rows: usize) {
    let Some((at, _)) = model.pending_at_cursor() else { return };
    let cluster = &model.cluster;
    let (to, moved) = match by {
        Move::First => (cluster.pending_range(..).next(), isize::MIN),
        Move::Last => (cluster.pending_range(..).next_back(), isize::MAX),
        Move::By(rows) if rows >= 0 => {
            let places = cluster.pending_range(at..).take(rows.unsigned_abs() + 1);
            (places.last(), rows)
        }
        Move::By(rows) => (cluster.pending_range(..=at).rev().take(rows.unsigned_abs() + 1).last(), rows),
    };
    model.cursors.pending = to.map(|(position, _)| position);
    let above = model.cursors.pending_above.saturating_add_signed(moved);
    model.cursors.pending_above = above.min(rows.saturating_sub(1));
}

/// The newest stands first; standing on it follows what comes.
fn go_events(model: &mut Model, by: Move, rows: usize) {
    let newest = model.cluster.revision();
    let total = model.cluster.event_db().len();
    let at = back_of(model, model.cursors.event);
    let to = by.from(at, total);
    model.cursors.event = (to > 0).then(|| newest - Revision::try_from(to).unwrap_or(0));
    shift(&mut model.cursors.events_above, at, to, rows);
}

/// How many events are newer than this one, among those kept.
pub(super) fn back_of(model: &Model, event: Option<Revision>) -> usize {
    let newest = model.cluster.revision();
    let back = newest.saturating_sub(event.unwrap_or(newest));
    let last = model.cluster.event_db().len().saturating_sub(1);
    usize::try_from(back).unwrap_or(last).min(last)
}

/// Moves the selection within its window, and the window only at its edges.
fn shift(above: &mut usize, from: usize, to: usize, rows: usize) {
    let now = (*above).min(from) + to;
    *above = now.saturating_sub(from).min(rows.saturating_sub(1));
}

/// Selects a task in the tasks pane, if the filter shows it.
pub(super) fn select_task(model: &mut Model, task: TaskId) {
    if let Some(rank) = model.tasks.rank(task) {
        model.select_when_seen = None;
        model.cursors.task = Some(task);
        model.cursors.task_rank = rank;
        model.cursors.tasks_above = model.rows(Pane::Tasks) / 2;
    }
}

/// Keeps the selection on something that is there: after any event, in O(log n).
pub(super) fn settle(model: &mut Model) {
    let cursors = &mut model.cursors;
    let tasks = &model.tasks;
    let rank = cursors.task.and_then(|task| tasks.rank(task));
    if let Some(rank) = rank {
        cursors.task_rank = rank;
    } else {
        // Hidden or gone: its place is taken by the next one that is shown.
        let next = cursors.task.and_then(|task| tasks.rank_or_next(task)).unwrap_or(cursors.task_rank);
        cursors.task_rank = next.min(tasks.len().saturating_sub(1));
        cursors.task = tasks.at(cursors.task_rank);
    }
    if cursors.worker.is_none() {
        cursors.worker = model.cluster.workers().first().map(|worker| worker.id.clone());
    }
}
