//! The store of `--ephemeral` and of tests: gone with the process.

use std::sync::Arc;

use super::{Store, StoreError};
use crate::cluster::{Change, Cluster};

#[derive(Debug, Default)]
pub struct MemoryStore {
    cluster: Cluster,
}

impl Store for MemoryStore {
    fn load(&mut self) -> Result<Cluster, StoreError> {
        Ok(self.cluster.clone())
    }

    fn append(&mut self, changes: &[Arc<Change>]) -> Result<(), StoreError> {
        for change in changes {
            self.cluster.apply(change);
        }
        Ok(())
    }
}
