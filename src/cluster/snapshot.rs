//! A Cluster as one value that can travel: what a mirror starts from. Knows no HTTP.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Change, Cluster, Revision, Settings, TaskRecord, WorkerRecord};
use crate::task::{TaskId, WorkerId};

/// Everything a Cluster holds, at one revision.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Snapshot {
    #[schema(value_type = u64)]
    pub revision: Revision,
    /// In order of submission.
    pub tasks: Vec<TaskRecord>,
    pub workers: Vec<WorkerRecord>,
    /// The pairs of `task_worker_map`.
    pub assignments: Vec<(TaskId, WorkerId)>,
    pub last_worker: Option<usize>,
    #[serde(default)]
    pub first_generation: u32,
    #[serde(default)]
    pub settings: Settings,
    /// The recent Changes, the oldest first.
    pub events: Vec<Arc<Change>>,
}

impl From<&Cluster> for Snapshot {
    fn from(cluster: &Cluster) -> Self {
        let mut tasks: Vec<_> = cluster.task_db().collect();
        tasks.sort_unstable_by_key(|record| record.submitted_at);
        Self {
            revision: cluster.revision,
            tasks,
            workers: cluster.workers.clone(),
            assignments: cluster
                .rows()
                .filter_map(|row| Some((row.id(), cluster.worker_task_map.name(row.worker?).clone())))
                .collect(),
            last_worker: cluster.last_worker,
            first_generation: cluster.first_generation,
            settings: cluster.settings,
            events: cluster.event_db.iter().cloned().collect(),
        }
    }
}

impl From<Snapshot> for Cluster {
    fn from(snapshot: Snapshot) -> Self {
        let mut cluster = Self {
            revision: snapshot.revision,
            last_worker: snapshot.last_worker,
            first_generation: snapshot.first_generation,
            settings: snapshot.settings,
            ..Self::default()
        };
        for worker in &snapshot.workers {
            cluster.worker_changed(worker);
        }
        for change in snapshot.events {
            cluster.event_db.push(change);
        }
        for record in snapshot.tasks {
            cluster.insert(record);
        }
        for (task, worker) in snapshot.assignments {
            cluster.assign(task, &worker);
        }
        cluster
    }
}
