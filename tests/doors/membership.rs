//! What a membership is worth: it renews itself, and ends at once when it is revoked.

use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use cube_tui::cluster::WorkerRecord;
use cube_tui::manager::request::RequestError;
use cube_tui::node::Membership;
use cube_tui::tls::Role;
use futures_util::StreamExt as _;

use crate::cluster::{Cluster, Worker};
use crate::support::{wait_for, worker::PATIENCE};

#[tokio::test]
async fn certificates_renew_themselves_on_both_sides() {
    // Long enough for a link to hold from one heartbeat to the next.
    const LIFE: Duration = Duration::from_secs(6);
    let cluster = Cluster::with(tempfile::tempdir().unwrap(), LIFE).await;
    let membership = cluster.member(Role::Worker, "box").await;
    let path = cluster.folder.path().join("box.member.json");
    let first = membership.identity().expires;
    let _worker = Worker::start(membership).await;
    cluster.until_worker("box", "is ready", WorkerRecord::takes_work).await;
    // Twice as long as any of the first certificates, the manager's own among them.
    wait_for("it has a later certificate", PATIENCE, async || {
        let kept = Membership::read(&path).unwrap().unwrap();
        assert_eq!(kept.identity().name, "box");
        (kept.identity().expires.duration_since(first) > (LIFE * 2).try_into().unwrap()).then_some(())
    })
    .await;
    cluster.until_worker("box", "is ready with later certificates", WorkerRecord::takes_work).await;
    // A link made now shows none of the first ones.
    let _other = cluster.worker("other").await;
    cluster.until_worker("other", "is ready", WorkerRecord::takes_work).await;
}

#[tokio::test]
async fn who_is_revoked_is_cut_off_at_once_also_from_what_is_open() {
    let cluster = Cluster::start().await;
    let admin = cluster.member(Role::Admin, "me").await;
    let client = admin.client(Duration::from_hours(24)).await.unwrap();
    let mut watch = client.watch().await.unwrap();
    assert!(tokio::time::timeout(Duration::from_millis(200), watch.items.next()).await.is_err(), "open");
    cluster.local.revoke_token("me").await.unwrap();
    let end = tokio::time::timeout(PATIENCE, watch.items.next()).await.expect("it ends");
    assert!(!matches!(end, Some(Ok(_))), "{end:?}");
    let error = client.snapshot().await.unwrap_err();
    assert!(matches!(&error, RequestError::NotAuthorised(why) if why.contains("revoked")), "{error}");
}

#[tokio::test]
async fn what_is_kept_is_for_its_owner_alone_and_secrets_are_not_in_it() {
    let cluster = Cluster::start().await;
    cluster.member(Role::Viewer, "me").await;
    let line = cluster.invite(Role::Admin).await;
    for name in ["authority.json", "members.json", "me.member.json"] {
        let path = cluster.folder.path().join(name);
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600, "{name}");
        assert!(!std::fs::read_to_string(path).unwrap().contains(&line.secret), "{name}");
    }
    let listed = serde_json::to_string(&cluster.local.tokens().await.unwrap()).unwrap();
    assert!(!listed.contains(&line.secret));
    let store = std::fs::read(cluster.folder.path().join("changes.redb")).unwrap();
    let secret = line.secret.as_bytes();
    assert!(!store.windows(secret.len()).any(|window| window == secret));
}
