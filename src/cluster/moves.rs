//! What of a task's moves is remembered: how often it had to leave its worker, for whom it makes room, and which old run
//! of it serves until the new one does. Decides no move.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::task::{TaskId, WorkerId};

/// How often a task had to leave its worker: one that was lost, or one with others to run; sets the backoff of the next move.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Moves {
    /// Moves of which each came within [`Moves::FORGOTTEN_AFTER`] of the one before.
    pub in_a_row: u32,
    pub last: Timestamp,
}

impl Moves {
    /// A task that kept its place for this long is as good as one that never moved.
    pub const FORGOTTEN_AFTER: SignedDuration = SignedDuration::from_mins(10);

    pub(super) fn next(before: Option<Self>, now: Timestamp) -> Self {
        let in_a_row = before
            .filter(|before| now.duration_since(before.last) < Self::FORGOTTEN_AFTER)
            .map_or(0, |before| before.in_a_row);
        Self { in_a_row: in_a_row.saturating_add(1), last: now }
    }
}

/// A task is being stopped to make room for another one, and is wanted as before once it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Preempted {
    pub by: TaskId,
    /// "made room for web (1f0e…)"
    pub reason: String,
}

/// A run from before a move: it is stopped when the new one runs, and not before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Serving {
    pub worker: WorkerId,
    pub generation: u32,
}
