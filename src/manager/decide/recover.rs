//! recover: takes over what the workers have and the store does not, after the store was lost. Knows no disk.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::time::Duration;

use super::{Answer, Effect, Manager, RequestId, Turn};
use crate::cluster::{Cause, What, WorkerHealth, WorkerRecord};
use crate::manager::request::{Recovered, Silent, TakenOver};
use crate::task::{State, Task, TaskId, WorkerId};

/// A count of unknown tasks that only becomes another one is told this often: with two managers on one worker, the
/// work of one must not fill the log of the other.
const COUNT_AGAIN: Duration = Duration::from_secs(30);

/// What workers have and the store does not, or only as an older generation.
#[derive(Debug, Default)]
pub(super) struct Unknown {
    workers: BTreeMap<WorkerId, OfWorker>,
}

#[derive(Debug, Default)]
struct OfWorker {
    tasks: BTreeMap<TaskId, Task>,
    /// How many of them live; kept, not counted: workers list thousands that have ended.
    live: usize,
    /// Whether its list was heard since the start or since the link to it broke.
    is_listed: bool,
    /// When its count was last told.
    told: Option<Duration>,
}

impl Unknown {
    /// A complete list of a worker begins: what is not in it is not there.
    pub(super) fn begin_list(&mut self, worker: &WorkerId) {
        let of = self.workers.entry(worker.clone()).or_default();
        of.tasks.clear();
        of.live = 0;
        of.is_listed = true;
    }

    pub(super) fn note(&mut self, worker: &WorkerId, task: Task) {
        let of = self.workers.entry(worker.clone()).or_default();
        of.live += usize::from(lives(&task));
        let before = of.tasks.insert(task.id, task);
        of.live -= usize::from(before.is_some_and(|before| lives(&before)));
    }

    pub(super) fn forget(&mut self, worker: &WorkerId, task: TaskId) {
        if let Some(of) = self.workers.get_mut(worker).filter(|of| !of.tasks.is_empty()) {
            of.live -= usize::from(of.tasks.remove(&task).is_some_and(|task| lives(&task)));
        }
    }

    /// The link to a worker broke: what it has may change unheard.
    pub(super) fn link_down(&mut self, worker: &WorkerId) {
        if let Some(of) = self.workers.get_mut(worker) {
            of.is_listed = false;
        }
    }

    fn is_listed(&self, worker: &WorkerId) -> bool {
        self.workers.get(worker).is_some_and(|of| of.is_listed)
    }

    fn live(&self, worker: &WorkerId) -> usize {
        self.workers.get(worker).map_or(0, |of| of.live)
    }

    /// Every unknown task with all who have it, the one to take over first: the newest generation and, of two, the
    /// one that lives.
    fn take(&mut self) -> BTreeMap<TaskId, Vec<(WorkerId, Task)>> {
        let mut tasks: BTreeMap<TaskId, Vec<(WorkerId, Task)>> = BTreeMap::new();
        for (worker, of) in &mut self.workers {
            of.live = 0;
            for (id, task) in std::mem::take(&mut of.tasks) {
                tasks.entry(id).or_default().push((worker.clone(), task));
            }
        }
        for claims in tasks.values_mut() {
            claims.sort_by_key(|(worker, task)| {
                (Reverse(task.status.generation), task.status.state.has_ended(), worker.clone())
            });
        }
        tasks
    }
}

impl Manager {
    /// Takes every unknown task over that somebody may still want: what lives, and what has ended although its restart
    /// policy starts it again. That is not started, since whether it was stopped is what nobody knows any more, but who
    /// wants it can restart it. What has ended otherwise stays with its engine, unless it keeps an older one from being
    /// taken for it.
    pub(super) fn recover(&mut self, turn: &mut Turn, request: RequestId, cause: Cause) {
        let mut taken = Vec::new();
        for mut claims in self.unknown.take().into_values() {
            let is_wanted = claims.iter().any(|(_, task)| lives(task) || may_be_wanted(task));
            // Whoever was noted may have become known since, by a submit of the same id.
            claims.retain(|(_, task)| self.is_unknown(task));
            let mut claims = claims.into_iter();
            if let Some((worker, task)) = claims.next().filter(|_| is_wanted) {
                taken.push(TakenOver { worker: worker.clone(), task: task.clone() });
                self.adopt(turn, cause, worker, task);
                for (worker, task) in claims.filter(|(_, task)| lives(task)) {
                    self.stop_leftover(turn, &worker, task.id, task.status);
                }
            }
        }
        let workers = self.cluster.workers().iter().map(|worker| worker.id.clone());
        let workers: Vec<WorkerId> = workers.filter(|worker| self.configured.contains(worker)).collect();
        for worker in &workers {
            self.tell_unknown(turn, worker);
        }
        let (heard, silent): (Vec<_>, Vec<_>) =
            workers.into_iter().partition(|worker| self.unknown.is_listed(worker));
        let silent = silent.iter().filter_map(|worker| self.cluster.worker(worker)).map(silent_because);
        let recovered = Recovered { taken, heard, silent: silent.collect() };
        turn.effect(Effect::Answer { request, answer: Ok(Answer::Recovered(recovered)) });
    }

    fn is_unknown(&self, task: &Task) -> bool {
        self.cluster.row(task.id).is_none_or(|row| row.generation() < task.status.generation)
    }

    fn adopt(&mut self, turn: &mut Turn, cause: Cause, worker: WorkerId, mut task: Task) {
        let (id, before) = (task.id, self.cluster.worker_of(task.id).cloned());
        // A worker's Pending is "in my queue": to us that is Scheduled.
        if task.status.state == State::Pending {
            task.status.state = State::Scheduled;
        }
        let older = self.cluster.task(id).map(|record| record.status().clone());
        self.change(turn, cause, What::Adopted { task, worker });
        if let (Some(before), Some(older)) = (before, older.filter(|older| !older.state.has_ended())) {
            self.stop_leftover(turn, &before, id, older);
        }
    }

    /// Shows how many tasks of a worker are not in the store: at once when there are some or none any more.
    pub(super) fn tell_unknown(&mut self, turn: &mut Turn, worker: &WorkerId) {
        let count = self.unknown.live(worker);
        let Some(record) = self.cluster.worker(worker).filter(|record| record.unknown_tasks != count) else {
            return;
        };
        let Some(of) = self.unknown.workers.get_mut(worker) else { return };
        let now = turn.now.since_start;
        let is_late = of.told.is_none_or(|told| now.saturating_sub(told) >= COUNT_AGAIN);
        if record.unknown_tasks == 0 || count == 0 || is_late {
            of.told = Some(now);
            let mut record = record.clone();
            record.unknown_tasks = count;
            self.set_worker(turn, Cause::WorkerReport, record);
        }
    }
}

fn lives(task: &Task) -> bool {
    !task.status.state.has_ended()
}

/// Whether an ended task is one that its policy starts again. One that is known to have been stopped is not.
fn may_be_wanted(task: &Task) -> bool {
    let status = &task.status;
    let failed = status.state == State::Failed;
    status.state.has_ended()
        && !status.reason.starts_with(crate::worker::STOPPED)
        && task.spec.restart_policy.restarts(failed, status.restart_count)
}

/// A worker that has not said what it has, and why.
fn silent_because(record: &WorkerRecord) -> Silent {
    let reason = match (&*record.runtime_problem, &*record.reason) {
        ("", "") => format!("{}, and has not said what it runs", record.health.name()),
        ("", reason) => reason.to_owned(),
        (problem, _) => problem.to_owned(),
    };
    Silent { worker: record.id.clone(), reason, may_come: record.health != WorkerHealth::Lost }
}
