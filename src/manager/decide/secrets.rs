//! A task that names a secret waits until that is set. Knows names, and no value.

use std::collections::BTreeSet;

use super::Manager;
use crate::task::{SecretName, TaskSpec};

impl Manager {
    /// What is set by now: what waited for one is tried again.
    pub(super) fn secrets_are(&mut self, names: BTreeSet<SecretName>) {
        if self.secrets != names {
            self.secrets = names;
            self.open_all();
        }
    }

    /// Why a task can't start yet for want of a secret.
    pub(super) fn unset_secret(&self, spec: &TaskSpec) -> Option<String> {
        let unset = spec.secrets.iter().find(|secret| !self.secrets.contains(&secret.name))?;
        Some(not_set(&unset.name))
    }
}

/// The reason, with the way out.
pub fn not_set(name: &SecretName) -> String {
    format!("waiting: secret {name} is not set; `cube-tui secret set {name}`")
}
