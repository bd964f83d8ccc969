//! Reads the rows of all tasks, many of them on several threads: to check and parse them is most of what a start does.
//! Knows no Cluster.

use std::num::NonZero;
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread;

use redb::{Database, ReadableDatabase, ReadableTable, ReadableTableMetadata};

use super::error::{Blame, StoreError};
use super::guard::guarded;
use super::tables::TASKS;
use crate::cluster::{Revision, TaskEntry};

/// Fewer are read before a thread has begun.
const ROWS_A_THREAD: u64 = 2_000;

/// More would wait for the disk, and for the one that takes the rows.
const THREADS: u64 = 8;

/// The keys are dealt out in so many shares a thread, for a share may hold next to no rows.
const SHARES_A_THREAD: u64 = 16;

/// Rows handed over at once.
const ROWS: usize = 128;

/// Such parcels that may wait to be taken.
const PARCELS: usize = 8;

type Row = (Revision, TaskEntry);

/// How many rows the table of tasks has.
pub(super) fn count(database: &Database, blame: Blame<'_>) -> Result<u64, StoreError> {
    let read = database.begin_read().map_err(|why| blame.reading(why))?;
    let table = read.open_table(TASKS.definition).map_err(|why| blame.reading(why))?;
    table.len().map_err(|why| blame.reading(why))
}

/// Hands each row to `take`, in no order. Tells if they are fewer or more than the table says.
pub(super) fn each(
    database: &Database,
    blame: Blame<'_>,
    mut take: impl FnMut(Row),
) -> Result<(), StoreError> {
    let expected = count(database, blame)?;
    let processors = thread::available_parallelism().map_or(1, NonZero::get) as u64;
    let threads = (expected / ROWS_A_THREAD).min(processors).min(THREADS);
    let mut seen = 0;
    if threads <= 1 {
        let all = 0..=Revision::MAX;
        read_keys(database, all, blame, &mut |row| {
            seen += 1;
            take(row);
            true
        })?;
    } else {
        on_threads(database, blame, threads, |rows| {
            seen += rows.len() as u64;
            rows.into_iter().for_each(&mut take);
        })?;
    }
    if seen == expected { Ok(()) } else { Err(blame.damaged("table tasks", "rows are missing")) }
}

fn on_threads(
    database: &Database,
    blame: Blame<'_>,
    threads: u64,
    mut take: impl FnMut(Vec<Row>),
) -> Result<(), StoreError> {
    let shares = &Shares::of(ends(database, blame)?, threads * SHARES_A_THREAD);
    thread::scope(|scope| {
        let (sender, parsed) = mpsc::sync_channel(PARCELS);
        let readers: Vec<_> = (0..threads)
            .map(|_| {
                let sender = sender.clone();
                scope.spawn(move || guarded(|| read_shares(database, blame, shares, &sender)))
            })
            .collect();
        drop(sender);
        parsed.into_iter().for_each(&mut take);
        readers.into_iter().try_for_each(|reader| {
            let outcome = reader.join().unwrap_or_else(|_| Err("its reader gave up".to_owned()));
            outcome.unwrap_or_else(|why| Err(blame.damaged("the file", why)))
        })
    })
}

/// The first and the last key.
fn ends(database: &Database, blame: Blame<'_>) -> Result<(Revision, Revision), StoreError> {
    let read = database.begin_read().map_err(|why| blame.reading(why))?;
    let table = read.open_table(TASKS.definition).map_err(|why| blame.reading(why))?;
    let first = table.first().map_err(|why| blame.reading(why))?.map_or(0, |(key, _)| key.value());
    let last = table.last().map_err(|why| blame.reading(why))?.map_or(0, |(key, _)| key.value());
    // The other way round only in a broken file, whose rows are then counted as missing.
    Ok((first, last.max(first)))
}

/// The keys between two, dealt out to who is ready for more.
struct Shares {
    first: Revision,
    last: Revision,
    width: Revision,
    count: u64,
    dealt: AtomicU64,
}

impl Shares {
    fn of((first, last): (Revision, Revision), count: u64) -> Self {
        Self { first, last, width: (last - first) / count + 1, count, dealt: AtomicU64::new(0) }
    }

    /// The next one that nobody has.
    fn next(&self) -> Option<RangeInclusive<Revision>> {
        let number = self.dealt.fetch_add(1, Ordering::Relaxed);
        let from = self.first.checked_add(number.checked_mul(self.width)?)?;
        let is_one = number < self.count && from <= self.last;
        is_one.then(|| from..=from.saturating_add(self.width - 1).min(self.last))
    }
}

fn read_shares(
    database: &Database,
    blame: Blame<'_>,
    shares: &Shares,
    sender: &mpsc::SyncSender<Vec<Row>>,
) -> Result<(), StoreError> {
    let mut rows = Vec::with_capacity(ROWS);
    while let Some(keys) = shares.next() {
        read_keys(database, keys, blame, &mut |row| {
            rows.push(row);
            if rows.len() < ROWS {
                return true;
            }
            sender.send(std::mem::replace(&mut rows, Vec::with_capacity(ROWS))).is_ok()
        })?;
    }
    // Fails only if the one that takes them gave up.
    let _ = sender.send(rows);
    Ok(())
}

/// Reads the rows under `keys` for as long as `take` wants more.
fn read_keys(
    database: &Database,
    keys: RangeInclusive<Revision>,
    blame: Blame<'_>,
    take: &mut impl FnMut(Row) -> bool,
) -> Result<(), StoreError> {
    let read = database.begin_read().map_err(|why| blame.reading(why))?;
    let table = read.open_table(TASKS.definition).map_err(|why| blame.reading(why))?;
    for found in table.range(keys).map_err(|why| blame.reading(why))? {
        let (key, row) = found.map_err(|why| blame.reading(why))?;
        let key = key.value();
        if !take((key, TASKS.read(&key, row.value(), blame)?)) {
            break;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_in_one_share() {
        for (first, last, count) in [(0, 0, 1), (1, 100, 7), (5, 9, 32), (0, Revision::MAX, 3)] {
            let shares = Shares::of((first, last), count);
            let mut from = Some(first);
            while let Some(share) = shares.next() {
                assert_eq!(Some(*share.start()), from, "{first} to {last} in {count}");
                from = share.end().checked_add(1);
            }
            assert_eq!(from, last.checked_add(1), "{first} to {last} in {count}");
        }
    }
}
