//! Every route of every TLS listener: no certificate, a wrong one, an expired one, that of the wrong role.

use std::time::Duration;

use cube_tui::cluster::WorkerRecord;
use cube_tui::http::{Access, Route};
use cube_tui::manager::api::route_list;
use cube_tui::manager::request::RebalanceWish;
use cube_tui::tls::{Credential, Current, Identity, Role};
use reqwest::Method;
use uuid::Uuid;

use crate::cluster::{Cluster, https, https_of_a_stranger};

/// A request to `route`, with everything in its head that must make no difference.
async fn knock(http: &reqwest::Client, base: &str, route: &Route) -> Result<u16, reqwest::Error> {
    knock_with(http, base, route, "{}").await
}

async fn knock_with(
    http: &reqwest::Client,
    base: &str,
    route: &Route,
    body: &'static str,
) -> Result<u16, reqwest::Error> {
    let path = route.path.replace("{id}", &Uuid::new_v4().to_string());
    let request = http
        .request(Method::from_bytes(route.method.as_bytes()).unwrap(), format!("{base}{path}"))
        .header("Authorization", "Bearer ")
        .header("X-Forwarded-For", "127.0.0.1")
        .header("X-Real-Ip", "127.0.0.1")
        .header("X-Role", "admin")
        .header("Content-Type", "application/json")
        .body(body);
    Ok(request.send().await?.status().as_u16())
}

#[tokio::test]
async fn no_route_of_the_managers_tls_listener_is_open_to_whom_it_is_not_for() {
    let cluster = Cluster::start().await;
    let viewer = cluster.member(Role::Viewer, "viewer").await;
    let worker = cluster.member(Role::Worker, "worker").await;
    let gone = cluster.member(Role::Admin, "gone").await;
    cluster.local.revoke_token("gone").await.unwrap();
    let admin = cluster.member(Role::Admin, "admin").await;
    let port = admin.manager()[0].rsplit_once(':').unwrap().1.to_owned();
    let base = format!("https://{}:{port}", Identity::MANAGER_HOST);
    let before = cluster.local.snapshot().await.unwrap().revision();
    let members = cluster.local.tokens().await.unwrap();

    let [viewer_http, worker_http, gone_http] = [&viewer, &worker, &gone].map(https);
    let stranger = https_of_a_stranger(&admin);
    let routes = route_list();
    assert!(routes.len() > 15, "{routes:?}");
    for route in &routes {
        let refused = |access: Access| match access {
            Access::Anyone => [false; 4],
            Access::Member => [true, true, false, false],
            Access::Worker => [true, true, true, false],
            Access::Viewer => [true, true, false, true],
            Access::Admin => [true, true, true, true],
        };
        let clients = [&stranger, &gone_http, &viewer_http, &worker_http];
        for ((who, http), is_refused) in clients.into_iter().enumerate().zip(refused(route.access)) {
            if !is_refused {
                continue;
            }
            let status = knock(http, &base, route).await.unwrap();
            let expected = if who < 2 { 401 } else { 403 };
            assert_eq!(status, expected, "{who} at {} {}", route.method, route.path);
        }
    }
    assert_eq!(cluster.local.snapshot().await.unwrap().revision(), before, "nothing changed");
    assert_eq!(cluster.local.tokens().await.unwrap(), members);
    // That the others were refused says something: who may does get in.
    let snapshot = Route { method: "GET", path: "/v1/snapshot", access: Access::Viewer };
    assert_eq!(knock(&viewer_http, &base, &snapshot).await.unwrap(), 200);
    let tokens = Route { method: "GET", path: "/v1/tokens", access: Access::Admin };
    assert_eq!(knock(&https(&admin), &base, &tokens).await.unwrap(), 200);
}

#[tokio::test]
async fn a_viewer_may_plan_a_rebalance_and_not_make_it() {
    let cluster = Cluster::start().await;
    let viewer = cluster.member(Role::Viewer, "viewer").await;
    let worker = cluster.member(Role::Worker, "worker").await;
    let admin = cluster.member(Role::Admin, "admin").await;
    let port = admin.manager()[0].rsplit_once(':').unwrap().1.to_owned();
    let base = format!("https://{}:{port}", Identity::MANAGER_HOST);
    let route = Route { method: "POST", path: "/v1/rebalance", access: Access::Viewer };
    for (membership, plan, moves) in [(&worker, 403, 403), (&viewer, 200, 403), (&admin, 200, 200)] {
        let (http, name) = (https(membership), &membership.identity().name);
        assert_eq!(knock_with(&http, &base, &route, r#"{"plan": true}"#).await.unwrap(), plan, "{name}");
        for body in ["{}", r#"{"plan": false}"#] {
            assert_eq!(knock_with(&http, &base, &route, body).await.unwrap(), moves, "{name}: {body}");
        }
    }
    assert_eq!(cluster.local.rebalance(RebalanceWish { moves: 1, plan: false }).await.map(drop), Ok(()));
}

#[tokio::test]
async fn a_certificate_of_another_cluster_and_an_expired_one_do_not_get_through_the_handshake() {
    let cluster = Cluster::start().await;
    let other = Cluster::start().await;
    let admin = cluster.member(Role::Admin, "admin").await;
    let stranger = other.member(Role::Admin, "admin").await;
    let short = Cluster::with(tempfile::tempdir().unwrap(), Duration::from_secs(1)).await;
    let expired = short.member(Role::Admin, "admin").await;
    let port = |membership: &cube_tui::node::Membership| {
        membership.manager()[0].rsplit_once(':').unwrap().1.to_owned()
    };
    // Their certificate, and trust in the authority of where they knock.
    let as_if = |theirs: &Credential, authority: &Credential| {
        let current = Current::fixed(theirs.certified_key().unwrap());
        let config = cube_tui::tls::client(&authority.authority().unwrap(), current).unwrap();
        cube_tui::http::https_client(config, vec!["127.0.0.1".to_owned()])
    };
    let http = as_if(stranger.credential(), admin.credential());
    for route in route_list() {
        let base = format!("https://{}:{}", Identity::MANAGER_HOST, port(&admin));
        assert!(knock(&http, &base, &route).await.is_err(), "{} {}", route.method, route.path);
    }
    // To the end of its last second.
    let over = expired.identity().expires + Duration::from_secs(1);
    while jiff::Timestamp::now() <= over {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let http = as_if(expired.credential(), expired.credential());
    for route in route_list() {
        let base = format!("https://{}:{}", Identity::MANAGER_HOST, port(&expired));
        assert!(knock(&http, &base, &route).await.is_err(), "{} {}", route.method, route.path);
    }
}

#[tokio::test]
async fn a_worker_that_has_joined_takes_nobodys_word_but_its_managers() {
    let cluster = Cluster::start().await;
    let admin = cluster.member(Role::Admin, "admin").await;
    let other = cluster.member(Role::Worker, "other").await;
    let membership = cluster.member(Role::Worker, "box").await;
    let base = Identity::host_of(membership.identity().member);
    let worker = crate::cluster::Worker::start(membership).await;
    let base = format!("https://{base}:{}", worker.port);
    for route in cube_tui::worker::route_list() {
        let open = route.access == Access::Anyone;
        // Without a certificate there is no handshake.
        assert!(knock(&https_of_a_stranger(&admin), &base, &route).await.is_err());
        for membership in [&admin, &other] {
            let status = knock(&https(membership), &base, &route).await.unwrap();
            assert_eq!(status, if open { 200 } else { 401 }, "{} {}", route.method, route.path);
        }
    }
    cluster.until_worker("box", "its manager is let in", WorkerRecord::takes_work).await;
}
