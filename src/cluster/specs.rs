//! Specs: one of each in memory, however many tasks ask for the same under different names. Knows no task.

use std::hash::{BuildHasher, Hash, Hasher, RandomState};
use std::sync::{Arc, Weak};

use hashbrown::HashTable;

use crate::task::TaskSpec;

/// Below this many it is not worth looking for those that nobody uses any more.
const FEW: usize = 64;

/// The specs in use. Holds none of them itself: one that no task has is let go.
#[derive(Clone, Debug, Default)]
pub(super) struct Specs {
    known: HashTable<(u64, Weak<TaskSpec>)>,
    hasher: RandomState,
    sweep_at: usize,
}

impl Specs {
    /// The one that is like `spec` in all but perhaps the name; from now on `spec` itself, if there is none.
    pub(super) fn shared(&mut self, spec: &Arc<TaskSpec>) -> Arc<TaskSpec> {
        let hash = self.hash(spec);
        let mut found = None;
        let is_it = |(of, known): &(u64, Weak<TaskSpec>)| {
            found = known.upgrade().filter(|known| *of == hash && is_like(known, spec));
            found.is_some()
        };
        if self.known.find(hash, is_it).is_some()
            && let Some(found) = found
        {
            return found;
        }
        if self.known.len() >= self.sweep_at {
            self.known.retain(|(_, known)| known.strong_count() > 0);
            self.sweep_at = FEW.max(2 * self.known.len());
        }
        self.known.insert_unique(hash, (hash, Arc::downgrade(spec)), |(hash, _)| *hash);
        Arc::clone(spec)
    }

    /// Over what mostly tells two specs apart.
    fn hash(&self, spec: &TaskSpec) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        (&spec.image, &spec.cmd, &spec.entrypoint, &spec.env).hash(&mut hasher);
        (spec.cpu.to_bits(), spec.memory_bytes, &spec.port_bindings, &spec.labels).hash(&mut hasher);
        hasher.finish()
    }
}

/// Whether both ask for the same, whatever their names. Names every field, so that a new one is not forgotten.
fn is_like(a: &Arc<TaskSpec>, b: &Arc<TaskSpec>) -> bool {
    let TaskSpec {
        name: _,
        image,
        cmd,
        entrypoint,
        env,
        cpu,
        memory_bytes,
        disk_bytes,
        exposed_ports,
        port_bindings,
        restart_policy,
        health_check,
        pull_policy,
        network_mode,
        mounts,
        privileges,
        secrets,
        labels,
        stop_timeout_s,
        exclusive,
        constraints,
        priority,
        preempt,
    } = &**a;
    Arc::ptr_eq(a, b)
        || (image, cmd, entrypoint, env) == (&b.image, &b.cmd, &b.entrypoint, &b.env)
            && (cpu.to_bits(), memory_bytes, disk_bytes) == (b.cpu.to_bits(), &b.memory_bytes, &b.disk_bytes)
            && (exposed_ports, port_bindings) == (&b.exposed_ports, &b.port_bindings)
            && (restart_policy, health_check) == (&b.restart_policy, &b.health_check)
            && (pull_policy, network_mode) == (&b.pull_policy, &b.network_mode)
            && (mounts, privileges, secrets) == (&b.mounts, &b.privileges, &b.secrets)
            && (labels, stop_timeout_s) == (&b.labels, &b.stop_timeout_s)
            && (exclusive, constraints) == (&b.exclusive, &b.constraints)
            && (priority, preempt) == (&b.priority, &b.preempt)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(name: &str, image: &str, priority: i32) -> Arc<TaskSpec> {
        Arc::new(TaskSpec { name: name.into(), image: image.into(), priority, ..TaskSpec::default() })
    }

    #[test]
    fn what_differs_in_its_name_alone_is_shared_and_nothing_else_is() {
        let mut specs = Specs::default();
        let first = specs.shared(&spec("job-1", "busy:1", 0));
        assert!(Arc::ptr_eq(&first, &specs.shared(&spec("job-2", "busy:1", 0))));
        assert!(!Arc::ptr_eq(&first, &specs.shared(&spec("job-1", "busy:2", 0))));
        // Not part of the hash.
        assert!(!Arc::ptr_eq(&first, &specs.shared(&spec("job-1", "busy:1", 1))));
    }

    #[test]
    fn another_form_of_the_same_secret_is_another_spec() {
        let mut specs = Specs::default();
        let mut given = |form: &str| {
            let secrets = vec![form.parse().unwrap()];
            specs.shared(&Arc::new(TaskSpec { secrets, ..TaskSpec::default() }))
        };
        let first = given("A:env");
        assert!(Arc::ptr_eq(&first, &given("A:env")));
        assert!(!Arc::ptr_eq(&first, &given("A")));
    }

    #[test]
    fn a_spec_that_no_task_has_is_let_go() {
        let mut specs = Specs::default();
        let kept = specs.shared(&spec("", "kept", 0));
        for number in 0..10_000 {
            specs.shared(&spec("", "gone", number));
        }
        assert!(specs.known.len() <= FEW, "{} of them", specs.known.len());
        assert!(Arc::ptr_eq(&kept, &specs.shared(&spec("", "kept", 0))));
    }
}
