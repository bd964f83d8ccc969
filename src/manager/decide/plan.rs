//! What would become of a submit: it is carried out on a copy of the manager, by the very code that would do it, and
//! then looked at. Nothing is changed, and nothing sent.
//!
//! The copy has no links, so that no worker is ever too busy with what it was just sent; one that owes an answer already
//! is passed over, as it would be. Rows of tasks are shared with the manager until one of the two changes them.

use std::collections::HashMap;

use super::busy::is_busy;
use super::queue::Key;
use super::{Decision, Manager, Now, Turn};
use crate::cluster::{Cause, Cluster, Resources, TaskRow, What};
use crate::manager::plan::{Fate, Plan, Planned, PlannedLoad};
use crate::manager::request::RequestError;
use crate::scheduler::Outcome;
use crate::task::{TaskEvent, TaskId};

/// Kinds of waiting tasks that are told the nearest change: for each of them every worker is asked.
const EXPLAINED: usize = 64;

/// A copy of a manager, on which a submit is tried.
#[derive(Debug)]
pub struct Planner {
    copy: Manager,
    turn: Turn,
    events: Vec<TaskEvent>,
}

impl Manager {
    /// Where these would go if they were submitted now; refused where the submit would be.
    pub fn plan(&self, now: Now, events: Vec<TaskEvent>) -> Result<Plan, RequestError> {
        Ok(self.planner(now, events)?.plan())
    }

    /// The part of that for which the manager is needed; the rest may be done elsewhere.
    pub fn planner(&self, now: Now, events: Vec<TaskEvent>) -> Result<Planner, RequestError> {
        if let Some(error) = self.refusal(&events) {
            return Err(error);
        }
        let busy = self.in_flight.iter().filter(|(worker, _)| is_busy(&self.in_flight, now, worker));
        let copy = Self {
            cluster: self.cluster.clone(),
            queue: self.queue.clone(),
            freed: self.freed.clone(),
            joined: self.joined.clone(),
            loads: self.loads.clone(),
            hold: self.hold.clone(),
            preemption: self.preemption.clone(),
            drains: self.drains.clone(),
            secrets: self.secrets.clone(),
            in_flight: busy.map(|(worker, flight)| (worker.clone(), flight.clone())).collect(),
            ..Self::default()
        };
        Ok(Planner { copy, turn: Turn { now, decision: Decision::default() }, events })
    }
}

impl Planner {
    /// Carries the submit out on the copy, and tells what became of it.
    pub fn plan(mut self) -> Plan {
        let (revision, before) = (self.copy.cluster.revision(), taken(&self.copy.cluster));
        let mut tasks = Vec::with_capacity(self.events.len());
        for event in std::mem::take(&mut self.events) {
            tasks.push(self.add(event));
        }
        self.send_work();
        let scores = self.scores();
        let mut explained = HashMap::new();
        let mut new_tasks: HashMap<usize, usize> = HashMap::new();
        for planned in tasks.iter_mut().filter(|planned| planned.fate == undecided()) {
            planned.fate = match self.place(planned.task) {
                Some(place) => {
                    *new_tasks.entry(place).or_default() += 1;
                    let worker = self.copy.cluster.workers()[place].id.clone();
                    Fate::Placed { worker, score: scores.get(&planned.task).copied() }
                }
                None => self.waits(planned.task, &mut explained),
            };
        }
        let cluster = &self.copy.cluster;
        let loads = cluster.workers().iter().enumerate().filter_map(|(place, worker)| {
            let reserved = cluster.reserved_at(place)?;
            Some(PlannedLoad {
                worker: worker.id.clone(),
                new_tasks: *new_tasks.get(&place)?,
                tasks: reserved.tasks,
                before: before.get(place).copied().unwrap_or_default(),
                after: reserved.resources,
                promised: Resources::promised(worker.capacity, cluster.settings().overcommit),
            })
        });
        Plan { revision, scheduler: cluster.settings().scheduler, workers: loads.collect(), tasks }
    }

    /// Turn after turn, as they would follow each other at once, for as long as one leads to something.
    fn send_work(&mut self) {
        loop {
            let before = self.turn.decision.changes.len();
            self.copy.send_work(&mut self.turn);
            let changes = &self.turn.decision.changes[before..];
            let goes_on = |what: &What| matches!(what, What::Scheduled { .. } | What::Preempted { .. });
            let has_led = changes.iter().any(|change| goes_on(&change.what));
            if !(has_led && (self.copy.has_more_to_try() || self.copy.seeks_more_room())) {
                break;
            }
        }
    }

    /// As `add_task` does; what is not decided by that waits for its turn.
    fn add(&mut self, event: TaskEvent) -> Planned {
        let (task, name) = (event.task.id, event.task.spec.name.clone());
        let known = self.copy.cluster.row(task).map(TaskRow::state);
        let fate = match known {
            _ if event.is_stop() => Fate::Stop,
            Some(state) => Fate::Known { state },
            None => {
                let what = What::Submitted { event: event.id, task: event.task };
                self.copy.change(&mut self.turn, Cause::Api, what);
                self.copy.queue(&mut self.turn, task);
                undecided()
            }
        };
        Planned { task, name, fate }
    }

    /// Where it is now.
    fn place(&self, task: TaskId) -> Option<usize> {
        self.copy.cluster.place_of(self.copy.cluster.worker_of(task)?)
    }

    fn scores(&self) -> HashMap<TaskId, f64> {
        let scored = self.turn.decision.changes.iter().filter_map(|change| match &change.what {
            What::Scheduled { task, placement: Some(placement), .. } if !placement.runners_up.is_empty() => {
                Some((*task, placement.score))
            }
            _ => None,
        });
        scored.collect()
    }

    /// Why it has no place. Those of one kind wait for the same.
    fn waits(&self, task: TaskId, explained: &mut HashMap<Key, Fate>) -> Fate {
        let Some(row) = self.copy.cluster.row(task) else { return undecided() };
        if let Some(room) = self.copy.room_made_for(task) {
            return Fate::MakesRoom(room);
        }
        let key = Key::of(row);
        if let Some(fate) = explained.get(&key) {
            return fate.clone();
        }
        if explained.len() >= EXPLAINED {
            let reason = if row.reason().is_empty() { "waiting for its turn" } else { row.reason() };
            return Fate::Waiting { reason: reason.to_owned(), nearest_change: None };
        }
        let record = self.copy.cluster.record(row);
        let explanation = self.copy.explain(self.turn.now, row.spec(), Some(&record), 0);
        let nearest_change = explanation.nearest_change;
        let fate = match explanation.outcome {
            Outcome::Waiting { reason } => Fate::Waiting { reason, nearest_change },
            Outcome::NeverFits { reason } => Fate::NeverFits { reason, nearest_change },
            // Others of its kind stand before it.
            Outcome::Placed { worker } => Fate::Waiting {
                reason: format!("waiting for its turn; {worker} can take it"),
                nearest_change,
            },
        };
        explained.insert(key, fate.clone());
        fate
    }
}

/// Stands where the fate is not known yet.
fn undecided() -> Fate {
    Fate::Waiting { reason: String::new(), nearest_change: None }
}

/// What is reserved on each worker, in their order.
fn taken(cluster: &Cluster) -> Vec<Resources> {
    let places = 0..cluster.workers().len();
    places
        .map(|place| cluster.reserved_at(place).map_or_else(Resources::default, |there| there.resources))
        .collect()
}
