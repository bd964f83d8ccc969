//! How much history a store keeps: the rule by which old Changes are folded away. Knows no file.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use crate::cluster::{Change, EventDb, Revision};

/// How many of the last Changes stay as history. What they did to tasks and workers stays in any case.
#[derive(Clone, Copy, Debug)]
pub struct Retention {
    pub count: usize,
    pub age: Duration,
    /// Of their rows.
    pub bytes: usize,
}

impl Default for Retention {
    /// As many as a manager shows and serves from memory. Of a calm cluster a month, long enough for "what happened
    /// while I was away". And of Changes with very large specs no more than what can be read in a fraction of a second.
    fn default() -> Self {
        Self { count: EventDb::KEPT, age: Duration::from_hours(30 * 24), bytes: 32 << 20 }
    }
}

/// Beyond a limit by this share, old Changes are folded away, down to the limit: many at once, since those of the same
/// task then cost one row together.
const SLACK: u32 = 16;

/// Of a store that is never at rest, the log may grow to this many times its limit. A burst then pays nothing for the
/// folding, and what goes on for longer finds most Changes of a task together and pays for one row.
const BUSY: u32 = 4;

/// Folded away at once while nothing waits for a commit, which may be asked for meanwhile: some ten milliseconds' work.
const CHUNK: usize = 2_048;

/// Folded away by a commit, and beside as many as it adds itself twice over: so it makes room for more than it brings.
/// More than at rest, for between the first Change of a task and its last there may be thousands of others.
const BUSY_CHUNK: usize = 8_192;

/// The log: the Changes that a store keeps, the oldest first, with the size of each.
#[derive(Debug, Default)]
pub(super) struct Log {
    rows: VecDeque<(Arc<Change>, usize)>,
    bytes: usize,
    /// Under which keys the file has them, some in a row.
    keys: VecDeque<Revision>,
}

impl Log {
    pub(super) fn push(&mut self, change: Arc<Change>, bytes: usize) {
        self.bytes += bytes;
        self.rows.push_back((change, bytes));
    }

    /// What is pushed next lies in the row under `key`.
    pub(super) fn begin_row(&mut self, key: Revision) {
        self.keys.push_back(key);
    }

    /// Takes the keys of the rows out that hold nothing after `revision`.
    pub(super) fn rows_up_to(&mut self, revision: Revision) -> Vec<Revision> {
        let mut gone = Vec::new();
        while let Some(key) = self.keys.front() {
            let end = self.keys.get(1).map(|next| next - 1).or(self.last());
            if end.is_some_and(|end| end > revision) {
                break;
            }
            gone.push(*key);
            self.keys.pop_front();
        }
        gone
    }

    /// Takes the oldest out.
    pub(super) fn pop(&mut self) -> Option<Arc<Change>> {
        let (change, bytes) = self.rows.pop_front()?;
        self.bytes -= bytes;
        Some(change)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Arc<Change>> {
        self.rows.iter().map(|(change, _)| change)
    }

    /// The last revision, if there is one.
    pub(super) fn last(&self) -> Option<Revision> {
        self.rows.back().map(|(change, _)| change.revision)
    }
}

impl Retention {
    /// How many of the oldest are to be folded away by a commit that has added `added`: none, until it has to be.
    pub(super) fn due(&self, log: &Log, added: usize) -> usize {
        if self.times(BUSY, 1).is_exceeded(log) { self.beyond(log, BUSY_CHUNK + 2 * added) } else { 0 }
    }

    /// How many of the oldest are to be folded away next while nothing waits for a commit.
    pub(super) fn due_at_rest(&self, log: &Log) -> usize {
        if self.is_due_at_rest(log) { self.beyond(log, CHUNK) } else { 0 }
    }

    /// Whether any are. Asked after every commit, and so without counting them.
    pub(super) fn is_due_at_rest(&self, log: &Log) -> bool {
        self.times(SLACK + 1, SLACK).is_exceeded(log)
    }

    /// With each limit multiplied by `factor / divisor`.
    fn times(&self, factor: u32, divisor: u32) -> Self {
        let (of, by) = (factor as usize, divisor as usize);
        Self { count: self.count * of / by, age: self.age * factor / divisor, bytes: self.bytes * of / by }
    }

    fn is_exceeded(&self, log: &Log) -> bool {
        self.beyond(log, 1) > 0
    }

    /// How many have to go for the rest to be within the limits, counted up to `most`. Now is the time of the newest.
    fn beyond(&self, log: &Log, most: usize) -> usize {
        let Some((newest, _)) = log.rows.back() else { return 0 };
        let mut bytes = log.bytes;
        log.rows
            .iter()
            .zip(0..most)
            .take_while(|((change, size), gone)| {
                let age = newest.time.duration_since(change.time);
                let goes = log.rows.len() - gone > self.count
                    || bytes > self.bytes
                    || age.is_positive() && age.unsigned_abs() > self.age;
                bytes -= size;
                goes
            })
            .count()
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::cluster::{Cause, What};
    use crate::task::TaskId;

    const DAY: Duration = Duration::from_hours(24);

    fn log(times: impl IntoIterator<Item = u32>) -> Log {
        let mut log = Log::default();
        for (day, revision) in times.into_iter().zip(1..) {
            let what = What::StopRequested { task: TaskId::default() };
            let time = Timestamp::UNIX_EPOCH + DAY * day;
            log.push(Arc::new(Change { revision, time, cause: Cause::Command, what }), 100);
        }
        log
    }

    #[test]
    fn history_is_kept_by_count_age_and_size() {
        let all = Retention { count: 1_000, age: 1_000 * DAY, bytes: 1_000_000 };
        let by_count = Retention { count: 32, ..all };
        let by_age = Retention { age: 32 * DAY, ..all };
        let by_size = Retention { bytes: 3_200, ..all };
        let a_day_each = |days: u32| log(0..days);
        for (retention, days, due) in [
            (all, 34, 0),
            (by_count, 32, 0),
            (by_count, 34, 0),
            (by_count, 35, 3),
            (by_age, 35, 0),
            (by_age, 36, 3),
            (by_size, 34, 0),
            (by_size, 35, 3),
        ] {
            assert_eq!(retention.due_at_rest(&a_day_each(days)), due, "{retention:?} of {days}");
        }
    }

    #[test]
    fn a_clock_that_went_back_makes_nothing_old() {
        let retention = Retention { age: DAY, ..Retention::default() };
        assert_eq!(retention.due_at_rest(&log([900, 900, 1, 1])), 0);
    }

    #[test]
    fn while_commits_are_waited_for_four_times_as_much_is_kept() {
        let retention = Retention { count: 32, age: 1_000 * DAY, bytes: 1_000_000 };
        for (changes, due) in [(35, 0), (128, 0), (129, 97)] {
            assert_eq!(retention.due(&log((0..changes).map(|_| 0)), 1), due, "of {changes}");
        }
    }

    #[test]
    fn one_commit_folds_away_a_bounded_part_but_more_than_it_adds() {
        let retention = Retention { count: 0, ..Retention::default() };
        let log = log((0..20_000).map(|_| 0));
        assert_eq!(retention.due_at_rest(&log), CHUNK);
        assert_eq!(retention.due(&log, 1), BUSY_CHUNK + 2);
        assert_eq!(retention.due(&log, 3_000), BUSY_CHUNK + 6_000);
    }
}
