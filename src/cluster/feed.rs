//! What a watcher receives after its snapshot: Changes, and what passes by. Embedded and over HTTP alike.

use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Change, Cluster, Progress, Revision, WorkerSample};

/// One item of the feed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum FeedItem {
    /// To be folded into the mirror.
    Change(Arc<Change>),
    Sample(Arc<WorkerSample>),
    Progress(Progress),
}

/// The last Change that a mirror knows: where it goes on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mark {
    pub revision: Revision,
    /// When it happened: tells whether it is the same history, for a store that was lost or an ephemeral manager that was
    /// started again counts from 1 again. `None` where nobody knows.
    pub time: Option<Timestamp>,
}

impl From<&Change> for Mark {
    fn from(change: &Change) -> Self {
        Self { revision: change.revision, time: Some(change.time) }
    }
}

impl Cluster {
    /// Where this mirror stands.
    pub fn mark(&self) -> Mark {
        match self.event_db.iter().next_back() {
            Some(change) if change.revision == self.revision => Mark::from(&**change),
            _ => Mark { revision: self.revision, time: None },
        }
    }

    /// Every Change after `mark`, or `None` where that can't be told: some are no longer kept, or it is of another history.
    pub fn since(&self, mark: Mark) -> Option<Vec<Arc<Change>>> {
        if mark.revision > self.revision {
            return None;
        }
        if mark.time.is_some() && self.time_of(mark.revision) != mark.time {
            return None;
        }
        Some(self.event_db.after(mark.revision)?.cloned().collect())
    }

    /// Whether `mark` can't be of this history: it is ahead, or was made by another Change. What is too old to tell is
    /// taken for the same.
    pub fn contradicts(&self, mark: Mark) -> bool {
        let own = self.time_of(mark.revision);
        mark.revision > self.revision || (own.is_some() && mark.time.is_some() && own != mark.time)
    }

    /// When the Change with that revision happened, if it is still kept.
    fn time_of(&self, revision: Revision) -> Option<Timestamp> {
        Some(self.event_db.after(revision.checked_sub(1)?)?.next()?.time)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::{Cause, What};
    use crate::task::TaskId;

    fn change(revision: Revision, second: i64) -> Arc<Change> {
        let time = Timestamp::from_second(second).unwrap();
        let what = What::StopRequested { task: TaskId::default() };
        Arc::new(Change { revision, time, cause: Cause::Api, what })
    }

    #[test]
    fn a_mirror_goes_on_where_it_stands_and_nowhere_else() {
        let mut cluster = Cluster::default();
        let mut marks = vec![cluster.mark()];
        for revision in 1..=3 {
            cluster.apply(&change(revision, 100));
            marks.push(cluster.mark());
        }
        let missed =
            |mark| Some(cluster.since(mark)?.iter().map(|change| change.revision).collect::<Vec<_>>());
        assert_eq!(missed(marks[0]), Some(vec![1, 2, 3]));
        assert_eq!(missed(marks[2]), Some(vec![3]));
        assert_eq!(missed(marks[3]), Some(vec![]));
        let mut other = Cluster::default();
        other.apply(&change(1, 200));
        assert_eq!(missed(other.mark()), None, "another history");
        assert!(cluster.contradicts(other.mark()) && other.contradicts(marks[3]));
        assert!(!marks.iter().any(|mark| cluster.contradicts(*mark)));
        assert_eq!(missed(Mark { revision: 4, time: None }), None, "not there yet");
        assert_eq!(missed(Mark { revision: u64::MAX, time: None }), None);
    }

    #[test]
    fn what_is_no_longer_kept_is_not_told_in_part() {
        let mut cluster = Cluster::default();
        for revision in 1..=EVENTS + 2 {
            cluster.apply(&change(revision, 100));
        }
        assert!(cluster.since(Mark { revision: 1, time: None }).is_none());
        assert_eq!(cluster.since(Mark { revision: 2, time: None }).unwrap().len() as u64, EVENTS);
    }

    const EVENTS: Revision = crate::cluster::EventDb::KEPT as Revision;
}
