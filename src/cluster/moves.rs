//! How often a task had to leave a lost worker. Decides no move.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// How often a task had to leave a lost worker; sets the backoff of the next move.
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
