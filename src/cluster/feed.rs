//! What a watcher receives after its snapshot: Changes, and what passes by. Embedded and over HTTP alike.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Change, Progress, WorkerSample};

/// One item of the feed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FeedItem {
    /// To be folded into the mirror.
    Change(Arc<Change>),
    Sample(Arc<WorkerSample>),
    Progress(Progress),
}
