//! EventDb: the recent Changes, for the event pane, a task's history and watchers that resume. Knows no disk.

use std::{collections::VecDeque, sync::Arc};

use super::{Change, Revision};
use crate::task::TaskId;

/// The last [`EventDb::KEPT`] Changes, the oldest first.
#[derive(Clone, Debug, Default)]
pub struct EventDb {
    changes: VecDeque<Arc<Change>>,
}

impl EventDb {
    /// Enough for hours of a calm cluster and for a watcher that was away for seconds in a busy one;
    /// about 8 MiB at the most.
    pub const KEPT: usize = 16_384;

    pub(super) fn push(&mut self, change: Arc<Change>) {
        if self.changes.len() == Self::KEPT {
            self.changes.pop_front();
        }
        self.changes.push_back(change);
    }

    pub(super) fn clear(&mut self) {
        self.changes.clear();
    }

    pub fn len(&self) -> usize {
        self.changes.len()
    }

    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// The oldest first; `rev()` for the newest.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Arc<Change>> {
        self.changes.iter()
    }

    /// What happened to one task, the oldest first.
    pub fn of_task(&self, task: TaskId) -> impl DoubleEndedIterator<Item = &Arc<Change>> {
        self.changes.iter().filter(move |change| change.what.task_id() == Some(task))
    }

    /// Every Change after `revision`, or `None` if some of them are no longer here.
    pub fn after(&self, revision: Revision) -> Option<impl Iterator<Item = &Arc<Change>>> {
        let first_kept = self.changes.front().map_or(1, |change| change.revision);
        if revision + 1 < first_kept {
            return None;
        }
        let skip = usize::try_from(revision + 1 - first_kept).unwrap_or(usize::MAX);
        Some(self.changes.iter().skip(skip))
    }
}
