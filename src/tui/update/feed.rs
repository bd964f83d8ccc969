//! The feed's part of `update`: folds Changes into the mirror and keeps what is derived from it.

use std::sync::Arc;

use super::moves::select_task;
use crate::cluster::{Change, Cluster, FeedItem, What};
use crate::task::{TaskId, WorkerId};
use crate::tui::model::{Link, Model, Overlay};

/// A watch began.
pub(super) fn watching(model: &mut Model, cluster: Cluster) {
    if !matches!(model.link, Link::Connecting(_)) && cluster.contradicts(model.cluster.mark()) {
        model.say_error(format!(
            "another cluster or store answers now: what was shown is gone ({})",
            model.title.cluster
        ));
    }
    model.cluster = cluster;
    model.link = Link::Live;
    model.tasks.rebuild(&model.cluster);
    model.live_tasks.clear();
    for row in model.cluster.rows() {
        if let Some(worker) = live_on(&model.cluster, row.id()) {
            *model.live_tasks.entry(worker.clone()).or_default() += 1;
        }
    }
    model.progress.clear();
    let cluster = &model.cluster;
    model.marks.retain(|task| cluster.row(*task).is_some());
    if let Some(Overlay::Detail(detail)) = &mut model.overlay {
        detail.history = model.cluster.event_db().of_task(detail.task).cloned().collect();
    }
    if let Some(task) = model.select_when_seen {
        select_task(model, task);
    }
    model.needs_draw = true;
}

/// A watch goes on with the same mirror.
pub(super) fn resumed(model: &mut Model) {
    model.link = Link::Live;
    // What was under way at the cut may be over, and nobody told.
    model.progress.clear();
    model.needs_draw = true;
}

pub(super) fn item(model: &mut Model, item: &FeedItem) {
    match item {
        FeedItem::Change(change) => fold(model, change),
        FeedItem::Sample(sample) => {
            model.loads.record(sample);
            model.needs_draw |= model.is_focused;
        }
        FeedItem::Progress(progress) => {
            if progress.text.is_empty() {
                model.progress.remove(&progress.task);
            } else {
                model.progress.insert(progress.task, progress.text.clone());
            }
            model.needs_draw = true;
        }
    }
}

fn fold(model: &mut Model, change: &Arc<Change>) {
    if change.revision <= model.cluster.revision() {
        return;
    }
    let before = change.what.task_id().and_then(|task| live_on(&model.cluster, task)).cloned();
    model.cluster.apply(change);
    model.needs_draw = true;
    if let What::Worker { worker } = &change.what {
        model.tasks.worker_changed(&worker.id, &model.cluster);
    }
    collected(model, change.what.collected());
    let Some(task) = change.what.task_id() else { return };
    model.tasks.task_changed(task, &model.cluster);
    let after = live_on(&model.cluster, task);
    if before.as_ref() != after {
        if let Some(live) = before.and_then(|worker| model.live_tasks.get_mut(&worker)) {
            *live = live.saturating_sub(1);
        }
        if let Some(worker) = after {
            *model.live_tasks.entry(worker.clone()).or_default() += 1;
        }
    }
    if let Some(Overlay::Detail(detail)) = &mut model.overlay
        && detail.task == task
    {
        detail.history.push(Arc::clone(change));
    }
    if model.cluster.row(task).is_some_and(|row| row.state().has_ended()) {
        model.loads.forget(task);
    }
    // Whatever was under way led to this.
    if !matches!(
        change.what,
        What::Waiting { .. } | What::StopRequested { .. } | What::RestartRequested { .. }
    ) {
        model.progress.remove(&task);
    }
    if model.select_when_seen == Some(task) {
        select_task(model, task);
    }
}

/// Tasks that ended are no more: their rows go, and nothing points to them. The selection goes to the next one.
fn collected(model: &mut Model, tasks: &[TaskId]) {
    let selected = model.cursors.task.filter(|selected| tasks.contains(selected));
    for task in tasks {
        if Some(*task) != selected {
            model.tasks.removed(*task);
        }
        model.marks.remove(task);
        model.loads.forget(*task);
        model.progress.remove(task);
    }
    // Last, when all that stood before it is gone: then its rank is that of the next.
    if let Some(selected) = selected {
        model.cursors.task_rank = model.tasks.rank_or_next(selected).unwrap_or(model.cursors.task_rank);
        model.tasks.removed(selected);
    }
    // One unknown task, and a stop of many is refused.
    if let Some(Overlay::Confirm(confirm)) = &mut model.overlay {
        confirm.tasks.retain(|task| !tasks.contains(task));
    }
    if let Some(countdown) = &mut model.countdown {
        countdown.tasks.retain(|task| !tasks.contains(task));
    }
}

/// The worker that a task keeps busy, while it does.
fn live_on(cluster: &Cluster, task: TaskId) -> Option<&WorkerId> {
    let worker = cluster.worker_of(task)?;
    let has_ended = cluster.row(task).is_none_or(|row| row.state().has_ended());
    (!has_ended).then_some(worker)
}
