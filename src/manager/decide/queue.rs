//! The waiting tasks that are due, in lines of one shape each: where the first of a line can't go, the others can't
//! either, so a line is tried once and not task by task. Knows no worker.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use crate::cluster::{Revision, TaskRow};
use crate::scheduler::Shape;
use crate::task::TaskId;

/// Whose turn it is: the higher priority, then who came first.
pub(super) type Turn = (Reverse<i32>, Revision);

/// Which tasks stand in one line.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Key {
    /// And whether it may take the room of others.
    Shape(Shape, bool),
    /// One with a history of its own, or whose place depends on where others are.
    Alone(TaskId),
}

impl Key {
    pub(super) fn of(row: &TaskRow) -> Self {
        let shape = Shape::of(row.spec()).filter(|_| !row.was_refused());
        shape.map_or(Self::Alone(row.id()), |shape| Self::Shape(shape, row.spec().preempt))
    }
}

/// Tasks of one shape.
#[derive(Clone, Debug, Default)]
struct Line {
    waiting: BTreeMap<Turn, TaskId>,
    closed: Option<Closed>,
    /// When the first one found no place for the first time; one that goes before it in a closed line inherits that.
    head_waits_since: Option<Duration>,
    /// Those that were told why they wait are to be told again.
    tell_again: bool,
    /// [`Queue::news`] when it was closed last.
    told: u64,
}

/// No worker can take what stands in this line.
#[derive(Clone, Debug)]
pub(super) struct Closed {
    /// Why; `None` if a worker only has to answer first.
    pub(super) reason: Option<Arc<str>>,
    /// Whether there is only no room.
    pub(super) is_full: bool,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Queue {
    lines: HashMap<Arc<Key>, Line>,
    /// By the turn of their first task: the lines to be tried, and the closed ones.
    open: BTreeMap<Turn, Arc<Key>>,
    closed: BTreeMap<Turn, Arc<Key>>,
    /// Counts what may have made the reasons of closed lines untrue.
    news: u64,
}

/// The first task of a line.
#[derive(Clone, Debug)]
pub(super) struct Head {
    pub(super) key: Arc<Key>,
    pub(super) turn: Turn,
    pub(super) task: TaskId,
}

impl Queue {
    /// Puts a task in its line. If the line is closed, that is why it waits.
    pub(super) fn add(&mut self, row: &TaskRow, position: Revision) -> Option<Arc<str>> {
        let key = Key::of(row);
        let turn = (Reverse(row.spec().priority), position);
        let key = self.lines.get_key_value(&key).map_or_else(|| Arc::new(key), |(key, _)| Arc::clone(key));
        let line = self.lines.entry(Arc::clone(&key)).or_default();
        let before = line.waiting.first_key_value().map(|(turn, _)| *turn);
        line.waiting.insert(turn, row.id());
        let reason = line.closed.as_ref().and_then(|closed| closed.reason.clone());
        if before.is_none_or(|before| turn < before) {
            if line.closed.is_none() {
                line.head_waits_since = None;
            }
            let index = if line.closed.is_some() { &mut self.closed } else { &mut self.open };
            if let Some(before) = before {
                index.remove(&before);
            }
            index.insert(turn, key);
        }
        reason
    }

    /// The next to be tried.
    pub(super) fn first(&self) -> Option<Head> {
        let (turn, key) = self.open.first_key_value()?;
        let task = *self.lines.get(key)?.waiting.get(turn)?;
        Some(Head { key: Arc::clone(key), turn: *turn, task })
    }

    /// Takes the first of an open line out.
    pub(super) fn take(&mut self, head: &Head) {
        self.open.remove(&head.turn);
        let Some(line) = self.lines.get_mut(&head.key) else { return };
        line.waiting.remove(&head.turn);
        line.head_waits_since = None;
        match line.waiting.first_key_value() {
            Some((turn, _)) => _ = self.open.insert(*turn, Arc::clone(&head.key)),
            None => _ = self.lines.remove(&head.key),
        }
    }

    /// No worker can take the first of an open line, nor any other of it. Gives those of its first `most` that may have
    /// to be told; true with them if those that were told before are to be told again.
    pub(super) fn close(
        &mut self,
        head: &Head,
        closed: Closed,
        now: Duration,
        most: usize,
    ) -> (Vec<TaskId>, bool) {
        self.open.remove(&head.turn);
        let Some(line) = self.lines.get_mut(&head.key) else { return (Vec::new(), false) };
        self.closed.insert(head.turn, Arc::clone(&head.key));
        line.closed = Some(closed);
        line.told = self.news;
        line.head_waits_since.get_or_insert(now);
        let again = std::mem::take(&mut line.tell_again);
        (line.waiting.values().take(most).copied().collect(), again)
    }

    /// A closed line is to be tried again.
    pub(super) fn open(&mut self, head: &Head, tell_again: bool) {
        self.closed.remove(&head.turn);
        if let Some(line) = self.lines.get_mut(&head.key) {
            line.closed = None;
            line.tell_again |= tell_again;
            self.open.insert(head.turn, Arc::clone(&head.key));
        }
    }

    /// The closed lines, in their order.
    pub(super) fn closed(&self) -> impl Iterator<Item = (Head, &Closed, Duration)> {
        self.closed.iter().filter_map(|(turn, key)| {
            let line = self.lines.get(key)?;
            let head = Head { key: Arc::clone(key), turn: *turn, task: *line.waiting.get(turn)? };
            Some((head, line.closed.as_ref()?, line.head_waits_since?))
        })
    }

    /// Something changed that closed lines were told of.
    pub(super) fn note_news(&mut self) {
        self.news += 1;
    }

    /// Opens the closed lines that were told something before the last news, to be told again: those first that were told
    /// longest ago, and one at least, but no more than have `most` tasks between them. Gives how many tasks those are.
    pub(super) fn open_untold(&mut self, most: usize) -> usize {
        let untold = self.closed().filter_map(|(head, _, _)| {
            let line = self.lines.get(&head.key).filter(|line| line.told < self.news)?;
            Some((line.told, head, line.waiting.len().min(most)))
        });
        let mut untold: Vec<_> = untold.collect();
        untold.sort_unstable_by_key(|(told, head, _)| (*told, head.turn));
        let mut opened = 0;
        for (_, head, tasks) in &untold {
            if opened > 0 && opened + tasks > most {
                break;
            }
            self.open(head, true);
            opened += tasks;
        }
        opened
    }

    pub(super) fn has_closed(&self) -> bool {
        !self.closed.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::{Cause, Change, Cluster, What};
    use crate::task::{EventId, Task, TaskSpec};

    fn record(number: u8, cpu: f64, priority: i32) -> TaskRow {
        let mut cluster = Cluster::default();
        let spec = TaskSpec { cpu, priority, ..TaskSpec::default() };
        let id = TaskId(uuid::Uuid::from_u128(number.into()));
        let task = Task { id, spec: spec.into(), ..Task::default() };
        let what = What::Submitted { event: EventId::default(), task };
        let change = Change { revision: 1, time: jiff::Timestamp::UNIX_EPOCH, cause: Cause::Command, what };
        cluster.apply(&change.into());
        cluster.row(id).unwrap().clone()
    }

    #[test]
    fn priority_goes_first_then_who_came_first_over_all_lines() {
        let mut queue = Queue::default();
        for (number, cpu, priority) in [(1, 1.0, 0), (2, 2.0, 0), (3, 1.0, 0), (4, 2.0, 5)] {
            queue.add(&record(number, cpu, priority), number.into());
        }
        let mut order = vec![];
        while let Some(head) = queue.first() {
            order.push(head.task.0.as_u128());
            queue.take(&head);
        }
        assert_eq!(order, [4, 1, 2, 3]);
    }

    #[test]
    fn one_that_goes_before_all_others_of_a_closed_line_is_its_first() {
        let mut queue = Queue::default();
        queue.add(&record(1, 1.0, 0), 1);
        let head = queue.first().unwrap();
        queue.close(&head, Closed { reason: None, is_full: true }, Duration::from_secs(1), 9);
        queue.add(&record(2, 1.0, 7), 2);
        let first = queue.closed().next().map(|(head, _, _)| head).unwrap();
        assert_eq!(first.task.0.as_u128(), 2);
        queue.open(&first, false);
        assert_eq!(queue.first().unwrap().task.0.as_u128(), 2);
    }

    #[test]
    fn a_closed_line_lets_the_others_go_and_tells_who_joins_it() {
        let mut queue = Queue::default();
        queue.add(&record(1, 9.0, 0), 1);
        queue.add(&record(2, 1.0, 0), 2);
        let big = queue.first().unwrap();
        let closed = Closed { reason: Some("no room".into()), is_full: true };
        queue.close(&big, closed, Duration::from_secs(7), 9);
        assert_eq!(queue.first().unwrap().task.0.as_u128(), 2);
        assert_eq!(queue.add(&record(3, 9.0, 0), 3).as_deref(), Some("no room"));
        assert_eq!(queue.add(&record(4, 1.0, 0), 4), None);
        let (head, _, since) = queue.closed().next().unwrap();
        assert_eq!((head.task.0.as_u128(), since), (1, Duration::from_secs(7)));
        queue.open(&head, false);
        assert_eq!(queue.first().unwrap().task.0.as_u128(), 1);
    }
}
