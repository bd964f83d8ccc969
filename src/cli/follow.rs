//! Follows a manager's feed over cut connections: every Change once and in order, or a word that some are
//! missing. Knows nothing of what is looked for.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{Stream, StreamExt};
use tokio::time::Instant;

use super::exit::CliError;
use crate::client::{Resume, Watch};
use crate::cluster::{Change, Cluster, FeedItem, Mark};
use crate::manager::request::RequestError;

/// A manager that restarts is back within this; one that stays away longer is worth an answer.
const GIVE_UP_AFTER: Duration = Duration::from_secs(15);
/// Soon enough not to be noticed, seldom enough not to be a burden.
pub const TRY_AGAIN_AFTER: Duration = Duration::from_millis(250);

/// What someone does with what happens. `Break` ends the following.
pub trait Observer {
    /// The cluster as it is: at the start, and again whenever Changes were missed.
    fn begin(&mut self, cluster: &Cluster) -> Result<ControlFlow<()>, CliError>;
    /// One Change, and the cluster after it.
    fn changed(&mut self, change: &Change, after: &Cluster) -> Result<ControlFlow<()>, CliError>;
    /// The connection was cut and is looked for again.
    fn cut_off(&mut self, error: &RequestError);

    /// Something that is not history.
    fn passed_by(&mut self, _: &FeedItem, _: &Cluster) -> Result<ControlFlow<()>, CliError> {
        Ok(ControlFlow::Continue(()))
    }

    /// How often it wants a [tick](Self::tick), if at all.
    fn every(&self) -> Option<Duration> {
        None
    }

    /// Time has passed.
    fn tick(&mut self, _: &Cluster) -> Result<ControlFlow<()>, CliError> {
        Ok(ControlFlow::Continue(()))
    }
}

/// Follows until `observer` has enough. `again` resumes from where the mirror stands.
pub async fn follow(
    first: Watch,
    mut again: impl AsyncFnMut(Mark) -> Result<Resume, RequestError>,
    observer: &mut impl Observer,
) -> Result<(), CliError> {
    let Watch { mut cluster, mut items } = first;
    if observer.begin(&cluster)?.is_break() {
        return Ok(());
    }
    let mut tick = observer.every().map(|every| Instant::now() + every);
    loop {
        let error = loop {
            let flow = match next(&mut items, tick).await {
                Next::Tick(every) => {
                    tick = observer.every().map(|wait| every + wait);
                    observer.tick(&cluster)?
                }
                Next::Item(Some(Ok(FeedItem::Change(change)))) => fold(&mut cluster, &change, observer)?,
                Next::Item(Some(Ok(item))) => observer.passed_by(&item, &cluster)?,
                Next::Item(Some(Err(error))) if error.is_temporary() => break error,
                Next::Item(Some(Err(error))) => return Err(error.into()),
                Next::Item(None) => {
                    break RequestError::Unreachable("the manager ended the connection".to_owned());
                }
            };
            if flow.is_break() {
                return Ok(());
            }
        };
        observer.cut_off(&error);
        match watch_again(cluster.mark(), &mut again).await? {
            Resume::Items(news) => items = news,
            Resume::Anew(watch) => {
                items = watch.items;
                if catch_up(&mut cluster, watch.cluster, observer)?.is_break() {
                    return Ok(());
                }
            }
        }
    }
}

enum Next {
    Item(Option<Result<FeedItem, RequestError>>),
    Tick(Instant),
}

async fn next(
    items: &mut (impl Stream<Item = Result<FeedItem, RequestError>> + Unpin),
    tick: Option<Instant>,
) -> Next {
    let Some(tick) = tick else { return Next::Item(items.next().await) };
    tokio::select! {
        biased;
        () = tokio::time::sleep_until(tick) => Next::Tick(Instant::now()),
        item = items.next() => Next::Item(item),
    }
}

/// Passes a Change on, unless it was folded in before.
fn fold(
    cluster: &mut Cluster,
    change: &Arc<Change>,
    observer: &mut impl Observer,
) -> Result<ControlFlow<()>, CliError> {
    if change.revision <= cluster.revision() {
        return Ok(ControlFlow::Continue(()));
    }
    cluster.apply(change);
    observer.changed(change, cluster)
}

/// Brings the mirror up to `now`: Change by Change where they are still kept.
fn catch_up(
    cluster: &mut Cluster,
    now: Cluster,
    observer: &mut impl Observer,
) -> Result<ControlFlow<()>, CliError> {
    let Some(missed) = now.since(cluster.mark()) else {
        *cluster = now;
        return observer.begin(cluster);
    };
    for change in missed {
        if fold(cluster, &change, observer)?.is_break() {
            return Ok(ControlFlow::Break(()));
        }
    }
    Ok(ControlFlow::Continue(()))
}

async fn watch_again(
    mark: Mark,
    again: &mut impl AsyncFnMut(Mark) -> Result<Resume, RequestError>,
) -> Result<Resume, CliError> {
    let give_up = Instant::now() + GIVE_UP_AFTER;
    loop {
        tokio::time::sleep(TRY_AGAIN_AFTER).await;
        match again(mark).await {
            Ok(resume) => return Ok(resume),
            Err(error) if error.is_temporary() && Instant::now() < give_up => {}
            // It is there, and says what it waits for.
            Err(RequestError::OutOfOrder(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use futures_util::{StreamExt, stream};

    use super::super::fixture::{History, id};
    use super::*;
    use crate::cluster::Snapshot;

    /// Writes down what it is told; has enough after `enough` Changes.
    #[derive(Default)]
    struct Notes {
        revisions: Vec<u64>,
        begun: usize,
        cuts: usize,
        enough: usize,
    }

    impl Observer for Notes {
        fn begin(&mut self, _: &Cluster) -> Result<ControlFlow<()>, CliError> {
            self.begun += 1;
            Ok(ControlFlow::Continue(()))
        }

        fn changed(&mut self, change: &Change, after: &Cluster) -> Result<ControlFlow<()>, CliError> {
            assert_eq!(change.revision, after.revision());
            self.revisions.push(change.revision);
            let has_enough = self.revisions.len() == self.enough;
            Ok(if has_enough { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        }

        fn cut_off(&mut self, _: &RequestError) {
            self.cuts += 1;
        }
    }

    fn watch(cluster: &Cluster, items: &[Arc<Change>]) -> Watch {
        let items: Vec<_> = items.iter().map(|change| Ok(FeedItem::Change(Arc::clone(change)))).collect();
        Watch { cluster: cluster.clone(), items: stream::iter(items).boxed() }
    }

    fn away() -> RequestError {
        RequestError::Unreachable("away".into())
    }

    #[tokio::test(start_paused = true)]
    async fn changes_missed_while_cut_off_are_told_in_order_and_once() {
        let mut history = History::default();
        let empty = history.cluster.clone();
        for start in ["11111111", "22222222", "33333333", "44444444"] {
            history.submit(id(start), "web");
        }
        // One arrives; then the line is dead for two tries; then a snapshot with three, and one again.
        let first = watch(&empty, &history.changes[..1]);
        let mut answers: VecDeque<_> = [
            Err(away()),
            Err(away()),
            Ok(Resume::Anew(Box::new(watch(&history.cluster, &history.changes[2..])))),
        ]
        .into();
        let mut notes = Notes { enough: 4, ..Notes::default() };
        follow(first, async |_| answers.pop_front().unwrap(), &mut notes).await.unwrap();
        assert_eq!(notes.revisions, [1, 2, 3, 4]);
        assert_eq!((notes.begun, notes.cuts), (1, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn where_changes_are_no_longer_kept_it_begins_again() {
        let mut history = History::default();
        let empty = history.cluster.clone();
        for start in ["11111111", "22222222"] {
            history.submit(id(start), "web");
        }
        let mut snapshot = Snapshot::from(&history.cluster);
        snapshot.events.remove(0);
        let compacted = Cluster::from(snapshot);
        let last = history.submit(id("33333333"), "web");
        let mut answers: VecDeque<_> = [Ok(Resume::Anew(Box::new(watch(&compacted, &[last]))))].into();
        let mut notes = Notes { enough: 1, ..Notes::default() };
        follow(watch(&empty, &[]), async |_| answers.pop_front().unwrap(), &mut notes).await.unwrap();
        assert_eq!((notes.begun, notes.revisions), (2, vec![3]));
    }

    #[tokio::test(start_paused = true)]
    async fn a_manager_that_stays_away_is_given_up() {
        let started = Instant::now();
        let mut notes = Notes { enough: 1, ..Notes::default() };
        let error =
            follow(watch(&Cluster::default(), &[]), async |_| Err(away()), &mut notes).await.unwrap_err();
        assert_eq!(error.exit.code(), 4);
        assert!(started.elapsed() >= GIVE_UP_AFTER);
    }
}
