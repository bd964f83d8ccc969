//! Why a task went where it went, as it is kept with the Change that sent it there. Small: it is in the log of every
//! task. Decides nothing.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::SchedulerName;
use crate::task::WorkerId;

/// What spoke for the worker that was chosen. Not kept where there was only one to choose from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Placement {
    #[serde(rename = "by")]
    pub scheduler: SchedulerName,
    /// Lower is better; 0 for round robin, which goes by turns.
    #[serde(default)]
    pub score: f64,
    /// What the score is made of.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub terms: Vec<Term>,
    /// How many workers could take it; 0 where nobody counted.
    #[serde(default)]
    pub feasible: usize,
    /// The next best, at most three.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub runners_up: Vec<RunnerUp>,
    /// How many each filter kept away.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rejected: Vec<RejectedBy>,
}

/// A part of a score, and the numbers behind it in words.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Term {
    pub name: String,
    pub value: f64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RunnerUp {
    pub worker: WorkerId,
    pub score: f64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RejectedBy {
    pub filter: String,
    pub workers: usize,
}
