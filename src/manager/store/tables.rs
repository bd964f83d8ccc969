//! The tables of the store's file, and how a row is put in and read. Knows no fold.

use redb::{Key, ReadableTable, Table, TableDefinition};
use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeOwned, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::error::{Blame, StoreError};
use super::row;
use crate::cluster::{Change, Revision, WorkerRecord};

/// The first revision → [`LogRow`]: the log.
pub(super) const CHANGES: Sheet<Revision> = Sheet::new("changes");
/// The revision that brought a task in → `TaskEntry`, as it was at the snapshot's revision. In this order new rows come
/// last, many on one page; by the random ids each would be on a page of its own, written for it alone.
pub(super) const TASKS: Sheet<Revision> = Sheet::new("tasks");
/// Worker id → [`WorkerRow`], likewise.
pub(super) const WORKERS: Sheet<&str> = Sheet::new("workers");
/// One row: the snapshot's `ClusterHead`, from whose revision the log goes on.
pub(super) const META: Sheet<&str> = Sheet::new("meta");
pub(super) const HEAD: &str = "head";

/// Some Changes in a row, as they were made durable together: to put in, find and remove each by itself would cost as
/// much as to make it JSON. Older files have one a row.
#[derive(Debug)]
pub(super) struct LogRow(pub(super) Vec<Change>);

/// No more than this, so that little is lost where one can't be read.
pub(super) const CHANGES_A_ROW: usize = 100;

impl<'de> Deserialize<'de> for LogRow {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Row;

        impl<'de> Visitor<'de> for Row {
            type Value = LogRow;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("Changes")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut changes: A) -> Result<LogRow, A::Error> {
                let mut row = Vec::new();
                while let Some(change) = changes.next_element()? {
                    row.push(change);
                }
                Ok(LogRow(row))
            }

            fn visit_map<A: MapAccess<'de>>(self, change: A) -> Result<LogRow, A::Error> {
                Ok(LogRow(vec![Change::deserialize(MapAccessDeserializer::new(change))?]))
            }
        }

        deserializer.deserialize_any(Row)
    }
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct WorkerRow<R = WorkerRecord> {
    /// In the order of appearance.
    pub(super) place: usize,
    pub(super) record: R,
}

/// A table whose rows have the form of `row`.
pub(super) struct Sheet<K: Key + 'static> {
    name: &'static str,
    pub(super) definition: TableDefinition<'static, K, &'static [u8]>,
}

/// A key, in words for people.
pub(super) trait Place {
    fn words(&self) -> String;
}

impl Place for Revision {
    fn words(&self) -> String {
        format!("revision {self}")
    }
}

impl Place for &str {
    fn words(&self) -> String {
        (*self).to_owned()
    }
}

impl<K> Sheet<K>
where
    K: Key + 'static,
    for<'k> K::SelfType<'k>: Place,
{
    const fn new(name: &'static str) -> Self {
        Self { name, definition: TableDefinition::new(name) }
    }

    /// Puts a row in, and tells its size. `row` is only lent for its memory.
    pub(super) fn put(
        &self,
        table: &mut Table<'_, K, &'static [u8]>,
        key: &K::SelfType<'_>,
        value: &impl Serialize,
        row: &mut Vec<u8>,
        blame: Blame<'_>,
    ) -> Result<usize, StoreError> {
        row::write(row, self.name, K::as_bytes(key).as_ref(), value).map_err(|why| blame.write(why))?;
        table.insert(key, row.as_slice()).map_err(|why| blame.writing(why))?;
        Ok(row.len())
    }

    /// Reads what was found under `key`.
    pub(super) fn read<T: DeserializeOwned>(
        &self,
        key: &K::SelfType<'_>,
        row: &[u8],
        blame: Blame<'_>,
    ) -> Result<T, StoreError> {
        row::read(row, self.name, K::as_bytes(key).as_ref())
            .map_err(|why| blame.row(self.name, key.words(), &why))
    }

    /// Reads the row under `key`, if there is one.
    pub(super) fn get<T: DeserializeOwned>(
        &self,
        table: &impl ReadableTable<K, &'static [u8]>,
        key: &K::SelfType<'_>,
        blame: Blame<'_>,
    ) -> Result<Option<T>, StoreError> {
        let found = table.get(key).map_err(|why| blame.reading(why))?;
        found.map(|row| self.read(key, row.value(), blame)).transpose()
    }

    /// Reads all rows, in the order of their keys, each with its size. Tells if they are fewer or more than the table
    /// says.
    pub(super) fn each<T: DeserializeOwned>(
        &self,
        table: &impl ReadableTable<K, &'static [u8]>,
        blame: Blame<'_>,
        mut take: impl FnMut(&K::SelfType<'_>, Result<T, StoreError>, usize) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let mut left = table.len().map_err(|why| blame.reading(why))?;
        for found in table.iter().map_err(|why| blame.reading(why))? {
            let (key, row) = found.map_err(|why| blame.reading(why))?;
            let (key, row) = (key.value(), row.value());
            take(&key, self.read(&key, row, blame), row.len())?;
            left = left.wrapping_sub(1);
        }
        if left == 0 {
            Ok(())
        } else {
            Err(blame.damaged(format!("table {}", self.name), "rows are missing"))
        }
    }
}
