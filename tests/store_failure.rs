//! A manager whose store refuses writes for a while: nothing is promised that is not kept, and it recovers by itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use cube_tui::cluster::{Cause, Change, Cluster};
use cube_tui::http::http_client;
use cube_tui::manager::request::RequestError;
use cube_tui::manager::store::{MemoryStore, Store, StoreError};
use cube_tui::manager::{self, Handle, Workers};
use cube_tui::task::{Task, TaskEvent, TaskId, TaskSpec};
use futures_util::StreamExt;
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

/// A disk that can be full.
struct Disk {
    kept: MemoryStore,
    is_full: Arc<AtomicBool>,
}

impl Store for Disk {
    fn load(&mut self) -> Result<Cluster, StoreError> {
        self.kept.load()
    }

    fn append(&mut self, changes: &[Arc<Change>]) -> Result<(), StoreError> {
        if self.is_full.load(Ordering::SeqCst) {
            let why = "No space left on device".to_owned();
            return Err(StoreError::Write { path: "changes.redb".into(), why });
        }
        self.kept.append(changes)
    }
}

fn event() -> TaskEvent {
    let spec = TaskSpec { image: "busy:1".into(), ..TaskSpec::default() };
    TaskEvent::start(Task { id: TaskId::random(), spec: spec.into(), ..Task::default() }, Timestamp::now())
}

async fn submit(handle: &Handle) -> Result<TaskId, RequestError> {
    let event = event();
    let task = event.task.id;
    handle.submit(vec![event], Cause::Command).await.map(|_| task)
}

/// Until the disk has room again and the manager noticed.
async fn submit_in_time(handle: &Handle) -> TaskId {
    let recovered = async {
        loop {
            match submit(handle).await {
                Ok(task) => return task,
                Err(error) => assert!(error.is_temporary(), "{error}"),
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), recovered).await.expect("it recovers by itself")
}

#[tokio::test]
async fn a_full_disk_fails_submits_with_its_reason_loses_nothing_and_heals() {
    let is_full = Arc::new(AtomicBool::new(false));
    let disk = Disk { kept: MemoryStore::default(), is_full: Arc::clone(&is_full) };
    let cancel = CancellationToken::new();
    let started =
        manager::start(Workers::new(vec![], http_client()), Box::new(disk), &cancel).expect("it starts");
    let handle = started.handle.clone();
    let before = submit(&handle).await.expect("there is room");

    let mut told = Vec::new();
    let (_, mut watched) = handle.watch().await.expect("it can be watched");
    is_full.store(true, Ordering::SeqCst);
    let refused = event();
    let refused_id = refused.task.id;
    let error = handle.submit(vec![refused], Cause::Command).await.expect_err("there is no room");
    assert!(matches!(&error, RequestError::Store(why) if why.contains("No space left")), "{error}");
    for _ in 0..3 {
        assert!(submit(&handle).await.is_err(), "still no room");
    }
    let out_of_order =
        |error: &RequestError| matches!(error, RequestError::OutOfOrder(why) if why.contains("No space"));
    let end = async {
        loop {
            match watched.next().await {
                Some(Ok(item)) => told.push(item),
                end => return end,
            }
        }
    };
    let end = tokio::time::timeout(Duration::from_secs(5), end).await.expect("an old watch ends");
    assert!(matches!(&end, Some(Err(error)) if out_of_order(error)), "and says why: {end:?}");
    let asked = handle.snapshot().await.map(|_| ());
    assert!(matches!(&asked, Err(error) if out_of_order(error)), "who asks is told why: {asked:?}");
    assert!(matches!(handle.watch().await, Err(error) if out_of_order(&error)));

    is_full.store(false, Ordering::SeqCst);
    let after = submit_in_time(&handle).await;
    let cluster = handle.snapshot().await.expect("it answers");
    assert!(cluster.task(before).is_some(), "what was acknowledged is there");
    assert!(cluster.task(after).is_some());
    assert!(cluster.task(refused_id).is_none(), "what was refused is not");
    let told = format!("{told:?}");
    assert!(!told.contains(&refused_id.short()), "told of a Change that was never stored: {told}");
    cancel.cancel();
    started.stopped().await;
}
