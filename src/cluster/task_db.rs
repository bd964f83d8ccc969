//! TaskDb: where the row of each task lies. Knows nothing of what a row says but its id.
//!
//! A copy shares the rows until one of the two changes them, and then only the few beside the changed one are copied:
//! who asks for a whole Cluster hardly keeps its owner waiting.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use hashbrown::HashTable;

use super::TaskRow;
use crate::task::TaskId;

/// Where a row lies.
pub(super) type Slot = u32;

/// Rows that lie, and are copied, together.
const CHUNK: usize = 64;

#[derive(Clone, Debug, Default)]
pub(super) struct TaskDb {
    chunks: Vec<Arc<Vec<Option<TaskRow>>>>,
    free: Vec<Slot>,
    /// By id.
    slots: HashTable<Slot>,
    hasher: RandomState,
}

impl TaskDb {
    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    pub(super) fn reserve(&mut self, more: usize) {
        let Self { chunks, slots, hasher, .. } = self;
        slots.reserve(more, |slot| hasher.hash_one(id_at(chunks, *slot)));
    }

    pub(super) fn slot(&self, id: TaskId) -> Option<Slot> {
        let is_it = |slot: &Slot| id_at(&self.chunks, *slot) == Some(id);
        self.slots.find(self.hasher.hash_one(Some(id)), is_it).copied()
    }

    pub(super) fn at(&self, slot: Slot) -> Option<&TaskRow> {
        at(&self.chunks, slot)
    }

    pub(super) fn at_mut(&mut self, slot: Slot) -> Option<&mut TaskRow> {
        let chunk = self.chunks.get_mut(slot as usize / CHUNK)?;
        Arc::make_mut(chunk).get_mut(slot as usize % CHUNK)?.as_mut()
    }

    pub(super) fn get(&self, id: TaskId) -> Option<&TaskRow> {
        self.at(self.slot(id)?)
    }

    /// Adds a row, whose task must not be here yet. `None` if there is no room for more, at four billion.
    pub(super) fn insert(&mut self, row: TaskRow) -> Option<Slot> {
        let hash = self.hasher.hash_one(Some(row.id()));
        let slot = if let Some(slot) = self.free.pop() {
            *Arc::make_mut(self.chunks.get_mut(slot as usize / CHUNK)?).get_mut(slot as usize % CHUNK)? =
                Some(row);
            slot
        } else {
            if self.chunks.last().is_none_or(|chunk| chunk.len() == CHUNK) {
                self.chunks.push(Arc::new(Vec::with_capacity(CHUNK)));
            }
            let full = (self.chunks.len() - 1) * CHUNK;
            let chunk = Arc::make_mut(self.chunks.last_mut()?);
            let slot = Slot::try_from(full + chunk.len()).ok()?;
            chunk.push(Some(row));
            slot
        };
        let Self { chunks, slots, hasher, .. } = self;
        slots.insert_unique(hash, slot, |slot| hasher.hash_one(id_at(chunks, *slot)));
        Some(slot)
    }

    pub(super) fn remove(&mut self, id: TaskId) -> Option<TaskRow> {
        let is_it = |slot: &Slot| id_at(&self.chunks, *slot) == Some(id);
        let entry = self.slots.find_entry(self.hasher.hash_one(Some(id)), is_it).ok()?;
        let (slot, _) = entry.remove();
        self.free.push(slot);
        let chunk = self.chunks.get_mut(slot as usize / CHUNK)?;
        Arc::make_mut(chunk).get_mut(slot as usize % CHUNK)?.take()
    }

    /// All rows, in no order.
    pub(super) fn rows(&self) -> impl ExactSizeIterator<Item = &TaskRow> {
        let rows = self.chunks.iter().flat_map(|chunk| chunk.iter()).flatten();
        Rows { rows, left: self.len() }
    }
}

fn at(chunks: &[Arc<Vec<Option<TaskRow>>>], slot: Slot) -> Option<&TaskRow> {
    chunks.get(slot as usize / CHUNK)?.get(slot as usize % CHUNK)?.as_ref()
}

fn id_at(chunks: &[Arc<Vec<Option<TaskRow>>>], slot: Slot) -> Option<TaskId> {
    at(chunks, slot).map(TaskRow::id)
}

/// Rows, of which it is known how many there are.
struct Rows<I> {
    rows: I,
    left: usize,
}

impl<I: Iterator> Iterator for Rows<I> {
    type Item = I::Item;

    fn next(&mut self) -> Option<I::Item> {
        let row = self.rows.next()?;
        self.left -= 1;
        Some(row)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl<I: Iterator> ExactSizeIterator for Rows<I> {}
