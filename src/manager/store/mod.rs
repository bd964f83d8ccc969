//! Where Changes are kept. One trait; in memory, or in a crash-safe file. Knows no decision.
//!
//! What a store keeps is a snapshot, and the log of the Changes after it; that log is also the history that is left.
//! [`Retention`] says how long it may grow. What is older is folded into the snapshot, task by task, while nothing waits
//! for a commit, or, if that never comes, in the commits: so a commit costs the same however large the cluster is, no
//! second Cluster is held, and a start reads no more than the tasks and the log.

mod error;
mod file;
mod fold;
mod guard;
mod memory;
mod migrate;
mod places;
mod presence;
mod read_tasks;
mod redb;
mod retention;
mod row;
mod salvage;
mod set_aside;
mod tables;
mod witness;

use std::sync::Arc;

pub use self::error::StoreError;
pub(super) use self::guard::told;
pub use self::memory::MemoryStore;
pub use self::redb::RedbStore;
pub use self::retention::Retention;
pub use self::salvage::{Salvage, salvage};
pub use self::set_aside::set_aside;
use crate::cluster::{Change, Cluster};

/// A snapshot, and the log of the Changes after it.
pub trait Store: Send + 'static {
    /// The snapshot with the log folded in.
    fn load(&mut self) -> Result<Cluster, StoreError>;

    /// Adds Changes at the end: all of them, durably, or none.
    fn append(&mut self, changes: &[Arc<Change>]) -> Result<(), StoreError>;

    /// Makes sure that what was appended will be found by the next start.
    fn look_after(&mut self) -> Result<(), StoreError> {
        Ok(())
    }

    /// Whether there is work that was put off until nothing waits for a commit.
    fn has_put_off(&self) -> bool {
        false
    }

    /// Does a small part of it. What was appended is not touched by a failure.
    fn catch_up(&mut self) -> Result<(), StoreError> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
