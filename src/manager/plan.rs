//! A plan: where tasks would go if they were submitted now, and what that would take of the workers. Plain values.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::why::RoomMade;
use crate::cluster::{Resources, Revision, SchedulerName};
use crate::task::{State, TaskId, WorkerId};

/// What would become of a submit
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Plan {
    /// Of the cluster that was asked; nothing of it is changed.
    #[schema(value_type = u64)]
    pub revision: Revision,
    pub scheduler: SchedulerName,
    /// What becomes of each event, in order.
    pub tasks: Vec<Planned>,
    /// The workers that would get some of them.
    pub workers: Vec<PlannedLoad>,
}

impl Plan {
    /// Whether each of the tasks finds a place, if others have to make room for it too.
    pub fn fits(&self) -> bool {
        self.tasks.iter().all(|task| match task.fate {
            Fate::Placed { .. } | Fate::MakesRoom(_) | Fate::Known { .. } | Fate::Stop => true,
            Fate::Waiting { .. } | Fate::NeverFits { .. } => false,
        })
    }
}

/// One event.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Planned {
    pub task: TaskId,
    pub name: String,
    #[serde(flatten)]
    pub fate: Fate,
}

/// What would become of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case", tag = "outcome")]
pub enum Fate {
    Placed {
        worker: WorkerId,
        /// Lower is better; empty where there was no choice.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        score: Option<f64>,
    },
    /// Others would be stopped to make room for it, and it would start then.
    MakesRoom(RoomMade),
    /// It would wait.
    Waiting {
        reason: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        nearest_change: Option<String>,
    },
    /// No worker can take it as it is.
    NeverFits {
        reason: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        nearest_change: Option<String>,
    },
    /// A task with this ID is there already, and nothing would happen.
    Known { state: State },
    /// It is the stop of a task.
    Stop,
}

/// What a worker would have promised, of what may be promised in all (zeros where it told nothing).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PlannedLoad {
    pub worker: WorkerId,
    /// How many of these tasks it would get.
    pub new_tasks: usize,
    /// How many it would have then.
    pub tasks: usize,
    pub before: Resources,
    pub after: Resources,
    pub promised: Resources,
}
