//! Where the rows of tasks lie, in few bytes a task: by a hash of the id, so that who looks has to compare the id that
//! the row says. Knows no file.

use std::hash::{BuildHasher, RandomState};

use hashbrown::HashTable;

use crate::cluster::Revision;
use crate::task::TaskId;

#[derive(Debug, Default)]
pub(super) struct Places {
    places: HashTable<Place>,
    hasher: RandomState,
}

/// In bytes, for ten of them a task instead of sixteen: with 48 bits of the key, which last for 178 years of 50,000 Changes
/// a second.
#[derive(Debug, PartialEq)]
struct Place {
    hash: [u8; 4],
    key: [u8; 6],
}

impl Places {
    pub(super) fn with_capacity(tasks: usize) -> Self {
        Self { places: HashTable::with_capacity(tasks), hasher: RandomState::new() }
    }

    /// The keys under which the row of `task` may lie: mostly its own, or none.
    pub(super) fn of(&self, task: TaskId) -> impl Iterator<Item = Revision> {
        let hash = self.hash(task);
        self.places.iter_hash(spread(hash)).filter(move |place| place.hash() == hash).map(Place::revision)
    }

    pub(super) fn add(&mut self, task: TaskId, key: Revision) {
        let hash = self.hash(task);
        self.places.insert_unique(spread(hash), Place::new(hash, key), |place| spread(place.hash()));
    }

    pub(super) fn remove(&mut self, task: TaskId, key: Revision) {
        let hash = self.hash(task);
        let place = Place::new(hash, key);
        if let Ok(entry) = self.places.find_entry(spread(hash), |other| *other == place) {
            entry.remove();
        }
    }

    #[expect(clippy::cast_possible_truncation, reason = "half of the hash is kept")]
    fn hash(&self, task: TaskId) -> u32 {
        self.hasher.hash_one(task) as u32
    }
}

impl Place {
    fn new(hash: u32, key: Revision) -> Self {
        let mut place = Self { hash: hash.to_le_bytes(), key: [0; 6] };
        place.key.copy_from_slice(&key.to_le_bytes()[..6]);
        place
    }

    fn hash(&self) -> u32 {
        u32::from_le_bytes(self.hash)
    }

    fn revision(&self) -> Revision {
        let mut bytes = [0; 8];
        bytes[..6].copy_from_slice(&self.key);
        Revision::from_le_bytes(bytes)
    }
}

/// All bits of a table's hash, out of what is kept of it.
fn spread(hash: u32) -> u64 {
    u64::from(hash).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_task_is_found_where_it_was_put_last() {
        let mut places = Places::default();
        let tasks: Vec<TaskId> = (0..5_000).map(|_| TaskId::random()).collect();
        let far = (1 << 48) - 5_000;
        for (task, key) in tasks.iter().zip(far..) {
            places.add(*task, key);
        }
        for (task, key) in tasks.iter().zip(far..).step_by(2) {
            places.remove(*task, key);
            places.add(*task, 1);
        }
        for (index, (task, key)) in tasks.iter().zip(far..).enumerate() {
            let found: Vec<_> = places.of(*task).collect();
            assert!(found.contains(&if index % 2 == 0 { 1 } else { key }), "{index}: {found:?}");
            assert!(found.len() < 3, "a hash in common is rare: {found:?}");
        }
        assert_eq!(places.of(TaskId::default()).count(), 0);
    }
}
