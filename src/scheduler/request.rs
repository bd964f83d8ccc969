//! What a task asks of a worker, worked out once for all of them. Checks nothing.

use std::collections::{BTreeMap, HashMap};

use crate::cluster::{Cluster, Resources, label_set};
use crate::task::{Constraint, NetworkMode, Privileges, SecretName, TaskSpec};

/// A task's wishes.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    pub spec: &'a TaskSpec,
    pub needs: Resources,
    pub(super) ports: Vec<String>,
    /// Its own labels, `app=web` each.
    pub(super) labels: Vec<String>,
    /// For each `with:` of its constraints whether it may be the first: no task has the label, and it has it itself.
    may_be_first: Vec<String>,
    /// For each `spread:`, the label and how many tasks like it there are for each value.
    spreads: Vec<(&'a str, HashMap<String, usize>)>,
    /// What "like it" means: the same labels.
    group: String,
}

impl<'a> Request<'a> {
    pub fn new(spec: &'a TaskSpec, cluster: &Cluster) -> Self {
        let mut request = Self {
            spec,
            needs: Resources::of(spec),
            ports: spec.fixed_host_ports().collect(),
            labels: spec.labels.iter().map(|(label, value)| format!("{label}={value}")).collect(),
            may_be_first: Vec::new(),
            spreads: Vec::new(),
            group: String::new(),
        };
        for constraint in &spec.constraints {
            match constraint {
                Constraint::With(pair) => {
                    let pair = pair.to_string();
                    let mut places = 0..cluster.workers().len();
                    let is_there = |place| {
                        cluster.reserved_at(place).is_some_and(|reserved| reserved.with_label(&pair) > 0)
                    };
                    if request.labels.contains(&pair) && !places.any(is_there) {
                        request.may_be_first.push(pair);
                    }
                }
                Constraint::Spread(label) => request.count(label, cluster),
                Constraint::Without(_) | Constraint::Label { .. } => {}
            }
        }
        request
    }

    fn count(&mut self, label: &'a str, cluster: &Cluster) {
        self.group = label_set(self.spec);
        let mut counts: HashMap<String, usize> = HashMap::new();
        for (place, worker) in cluster.workers().iter().enumerate() {
            if let Some(value) = worker.label(label) {
                *counts.entry(value.into_owned()).or_default() += self.like_it(cluster, place);
            }
        }
        self.spreads.push((label, counts));
    }

    /// How many tasks with the same labels live there; all of them, if it has none.
    fn like_it(&self, cluster: &Cluster, place: usize) -> usize {
        let reserved = cluster.reserved_at(place);
        let count = |reserved: &crate::cluster::Reserved| {
            if self.group.is_empty() { reserved.tasks } else { reserved.with_label(&self.group) }
        };
        reserved.map_or(0, count)
    }

    pub(super) fn may_be_first(&self, pair: &str) -> bool {
        self.may_be_first.iter().any(|first| first == pair)
    }

    /// How many tasks like it are where this worker is, over all labels that it is to be spread over: fewer come first.
    pub(super) fn crowd(&self, worker: &crate::cluster::WorkerRecord) -> usize {
        let of = |(label, counts): &(&str, HashMap<String, usize>)| {
            worker.label(label).and_then(|value| counts.get(&*value).copied()).unwrap_or(usize::MAX / 4)
        };
        self.spreads.iter().map(of).sum()
    }

    /// What its choice depends on beside each single worker; `None` if it depends on several of them together.
    pub fn shape(&self) -> Option<Shape> {
        Shape::of(self.spec)
    }
}

/// All of a spec that matters to where it goes: tasks of one shape are as good as each other.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Shape {
    needs: Resources,
    exclusive: bool,
    /// What it asks for that a worker's policy may deny.
    is_on_host_network: bool,
    host_paths: Vec<String>,
    privileges: Option<Box<Privileges>>,
    /// Not every worker is given some, and each waits for its own.
    secrets: Vec<SecretName>,
    ports: Vec<String>,
    labels: BTreeMap<String, String>,
    constraints: Vec<Constraint>,
}

impl Shape {
    /// `None` if the choice for one worker depends on what others have: then there is nothing to remember.
    pub fn of(spec: &TaskSpec) -> Option<Self> {
        let is_of_one_worker = |constraint: &Constraint| match constraint {
            Constraint::Label { .. } | Constraint::Without(_) => true,
            Constraint::With(_) | Constraint::Spread(_) => false,
        };
        spec.constraints.iter().all(is_of_one_worker).then(|| Self {
            needs: Resources::of(spec),
            exclusive: spec.exclusive,
            is_on_host_network: spec.network_mode == NetworkMode::Host,
            host_paths: spec.host_paths().map(str::to_owned).collect(),
            privileges: spec.privileges.clone(),
            secrets: spec.secrets.iter().map(|secret| secret.name.clone()).collect(),
            ports: spec.fixed_host_ports().collect(),
            labels: spec.labels.clone(),
            constraints: spec.constraints.clone(),
        })
    }
}
