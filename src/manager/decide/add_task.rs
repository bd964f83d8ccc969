//! add_task: takes submitted events in, all of a request or none. Knows no worker.

use std::collections::HashMap;
use std::sync::Arc;

use super::{Answer, Effect, Manager, RequestId, Turn};
use crate::cluster::{Cause, TaskRow, What};
use crate::manager::request::{RequestError, Submitted};
use crate::task::{State, TaskEvent, TaskId, TaskSpec};

/// Tasks that may wait for their start, in `pending` or with a worker that has not begun with them: some 4 kB each with
/// the mirror of a dashboard in the same process, so that a flood of them leaves a manager under 300 MB.
pub const MOST_WAITING: usize = 50_000;

impl Manager {
    pub(super) fn submit(
        &mut self,
        turn: &mut Turn,
        request: RequestId,
        cause: Cause,
        events: Vec<TaskEvent>,
    ) {
        let answer = if let Some(error) = self.refusal(&events) {
            Err(error)
        } else {
            let outcomes = events.into_iter().map(|event| self.add_task(turn, cause, event)).collect();
            Ok(Answer::Submitted(outcomes))
        };
        turn.effect(Effect::Answer { request, answer });
    }

    /// What is wrong with a request, looked for before anything is changed.
    pub(super) fn refusal(&self, events: &[TaskEvent]) -> Option<RequestError> {
        let mut within: HashMap<TaskId, Arc<TaskSpec>> = HashMap::with_capacity(events.len());
        for event in events {
            let id = event.task.id;
            let known = within.get(&id).cloned().or_else(|| Some(self.cluster.row(id)?.whole_spec()));
            if event.is_stop() {
                if known.is_none() {
                    return Some(RequestError::UnknownTask(id));
                }
            } else if known.is_some_and(|known| known != event.task.spec) {
                return Some(RequestError::DifferentSpec(id));
            } else {
                within.insert(id, Arc::clone(&event.task.spec));
            }
        }
        let new = within.keys().filter(|id| self.cluster.row(**id).is_none()).count();
        self.too_many(new)
    }

    /// Whether `new` more tasks are too many. What waits no more than is being stopped counts, too: it is still here.
    fn too_many(&self, new: usize) -> Option<RequestError> {
        let waiting = self.cluster.count(State::Pending) + self.cluster.count(State::Scheduled);
        (new > 0 && waiting + new > MOST_WAITING).then(|| {
            RequestError::TooManyWaiting(format!(
                "not submitted: {waiting} tasks wait for their start, and with {new} more it would be over \
                 {MOST_WAITING}; submit again when fewer wait, or less at a time (`cube-tui ps` lists them)"
            ))
        })
    }

    fn add_task(&mut self, turn: &mut Turn, cause: Cause, event: TaskEvent) -> Submitted {
        let task = event.task.id;
        if event.is_stop() {
            let is_new = self.stop_task(turn, cause, task);
            return Submitted { task, is_new, state: self.state_of(task) };
        }
        if let Some(row) = self.cluster.row(task) {
            return Submitted { task, is_new: false, state: row.state() };
        }
        self.change(turn, cause, What::Submitted { event: event.id, task: event.task });
        self.queue(turn, task);
        Submitted { task, is_new: true, state: State::Pending }
    }

    pub(super) fn state_of(&self, task: TaskId) -> State {
        self.cluster.row(task).map_or(State::Pending, TaskRow::state)
    }
}
