//! Joining: a wrong pin, a used, expired or voided invite, one worker in the place of another.

use std::time::Duration;

use cube_tui::client::join;
use cube_tui::cluster::{WorkerHealth, WorkerRecord};
use cube_tui::manager::api::Invitation;
use cube_tui::manager::request::RequestError;
use cube_tui::manager::trust::JoinLine;
use cube_tui::tls::{Authority, Credential, Current, Request, Role, server};
use jiff::Timestamp;
use rustix::process::Signal;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;
use uuid::Uuid;

use crate::cluster::{Cluster, Worker};
use crate::support::{
    process::{Ended, Home},
    wait_for,
    worker::PATIENCE,
};

/// The manager of another cluster, who would like to know a secret: hands out what it was sent after the handshake.
async fn impostor() -> (String, tokio::task::JoinHandle<Vec<u8>>) {
    let authority = Authority::make(Timestamp::now()).unwrap();
    let request = Request::make().unwrap();
    let who = (Role::Manager, "manager", Uuid::new_v4());
    let life = Duration::from_mins(1);
    let certificate = authority.issue(&request.pem().unwrap(), who, Timestamp::now(), life).unwrap();
    let credential =
        Credential { manager: vec![], invite: String::new(), certificate, key: request.key_pem() };
    let current = Current::fixed(credential.certified_key().unwrap());
    let config = server(authority.certificate(), current, true).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let heard = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut heard = Vec::new();
        if let Ok(mut stream) = tokio_rustls::TlsAcceptor::from(config).accept(stream).await {
            let _ = stream.read_to_end(&mut heard).await;
        }
        heard
    });
    (address, heard)
}

#[tokio::test]
async fn a_wrong_pin_ends_it_before_the_secret_is_sent() {
    let cluster = Cluster::start().await;
    let line = cluster.invite(Role::Worker).await;
    let (address, heard) = impostor().await;
    let error = join(&JoinLine { addresses: vec![address], ..line.clone() }, "box").await.unwrap_err();
    assert!(matches!(error, RequestError::Unreachable(_)), "{error}");
    let error = error.to_string();
    assert!(error.contains("somebody stands in between") && !error.contains("--no-ui"), "{error}");
    assert_eq!(heard.await.unwrap(), b"", "nothing was sent");
    join(&line, "box").await.expect("the invite is as good as before");
}

fn is_unauthorised<T>(outcome: &Result<T, RequestError>) -> bool {
    matches!(outcome, Err(RequestError::NotAuthorised(_)))
}

#[tokio::test]
async fn an_invite_is_good_once_and_not_after_its_time_nor_after_a_rotation() {
    let cluster = Cluster::start().await;
    let line = cluster.invite(Role::Worker).await;
    join(&line, "box").await.unwrap();
    assert!(is_unauthorised(&join(&line, "box-2").await), "used");

    let line = cluster.invite_for(Role::Worker, Duration::from_secs(1)).await;
    let expired = Timestamp::now() + Duration::from_secs(1);
    while Timestamp::now() <= expired {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(is_unauthorised(&join(&line, "box-2").await), "expired");

    let line = cluster.invite(Role::Worker).await;
    cluster.local.rotate_tokens().await.unwrap();
    assert!(is_unauthorised(&join(&line, "box-2").await), "rotated");

    let line = cluster.invite(Role::Worker).await;
    let guess = JoinLine { secret: "x".repeat(43), ..line.clone() };
    assert!(is_unauthorised(&join(&guess, "box-2").await), "guessed");
    let taken = join(&line, "box").await.unwrap_err();
    assert!(taken.to_string().contains("token revoke box"), "{taken}");
    // An invite outlives its manager's end.
    let cluster = cluster.again().await;
    join(&line, "box-2").await.unwrap();
    assert_eq!(cluster.local.tokens().await.unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_that_finds_no_address_voids_nothing_and_one_is_told_it() {
    let cluster = Cluster::start().await;
    let line = cluster.invite(Role::Worker).await;
    // Not an address of this host's: nothing can listen there.
    let listen = Some("192.0.2.1:5557".to_owned());
    let nowhere = Invitation { role: Role::Worker, ttl_s: 60, listen, address: None, replaces: true };
    cluster.local.invite(&nowhere).await.expect_err("there is nowhere to come to");
    let open = cluster.local.tokens().await.unwrap();
    assert_eq!(open.iter().map(|open| open.id).collect::<Vec<_>>(), [line.invite]);

    let port = cluster.node.manager_address.rsplit_once(':').unwrap().1;
    let home = Home::without_engine();
    let mut rotate = home.command("token rotate --address box.example");
    rotate.env("CUBE_MANAGER_PORT", port);
    let told = Ended::of(rotate).expect(0, &["open invites voided: 1"]);
    assert!(told.stdout.starts_with("cube-join:box.example:"), "{told:?}");
    let open = cluster.local.tokens().await.unwrap();
    let new: JoinLine = told.stdout.parse().unwrap();
    assert_eq!(open.iter().map(|open| open.id).collect::<Vec<_>>(), [new.invite]);
    assert!(is_unauthorised(&join(&line, "box").await), "voided");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_in_plain_http_at_the_tls_port_is_told_to_join_first() {
    let cluster = Cluster::start().await;
    let line = cluster.invite(Role::Worker).await;
    let address = &line.addresses[0];
    let home = Home::without_engine();
    let mut ps = home.command("ps");
    ps.env("CUBE_MANAGER_HOST", "127.0.0.1").env("CUBE_MANAGER_PORT", address.rsplit_once(':').unwrap().1);
    let says = [&format!("TLS is spoken at http://{address}"), "`cube-tui join LINE` here"];
    let told = Ended::of(ps).expect(5, &says);
    assert!(!told.stderr.contains("--no-ui"), "{told:?}");
    home.run(&format!("--snapshot 80x24 --attach http://{address}")).expect(5, &says);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_was_revoked_says_so_and_what_to_do() {
    let cluster = Cluster::start().await;
    let home = Home::without_engine();
    let line = cluster.invite(Role::Worker).await;
    let start = "worker --data-dir w --listen 127.0.0.1:0 --name box --output json";
    let mut worker = home.start(&format!("{start} --join {line}"));
    cluster.until_worker("box", "is there", |worker| worker.health == WorkerHealth::Ready).await;
    worker.end(Signal::TERM).await;
    // The words that it was started with name it as before.
    let mut worker = home.start(start);
    worker.port_of("worker").await;
    worker.end(Signal::TERM).await;
    for (folder, name, why) in [("w", "other", "joined as box"), ("new", "box", "is no member of a cluster")]
    {
        let words = format!("worker --data-dir {folder} --listen 127.0.0.1:0 --name {name}");
        home.run(&words).expect(2, &[why, "`cube-tui invite` at the manager"]);
    }
    let line = cluster.invite(Role::Admin).await;
    home.run(&format!("worker --data-dir new --join {line}")).expect(2, &["this line invites an admin"]);
    cluster.local.revoke_token("box").await.unwrap();
    let mut worker = home.start(start);
    let said = "box is no member of the cluster at 127.0.0.1:";
    wait_for("its words", PATIENCE, async || worker.stderr().contains(said).then_some(())).await;
    worker.end(Signal::TERM).await;
    let stderr = worker.stderr();
    assert!(stderr.contains("its membership was revoked") && stderr.contains("cube-tui invite"), "{stderr}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_whose_port_is_taken_leaves_its_invite_as_it_was() {
    let cluster = Cluster::start().await;
    let line = cluster.invite(Role::Worker).await;
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let home = Home::without_engine();
    let start = |port: u16| format!("worker --data-dir w --listen 127.0.0.1:{port} --name box --join {line}");
    home.run(&start(taken.local_addr().unwrap().port())).expect(4, &["another program is using it"]);
    let open = cluster.local.tokens().await.unwrap();
    assert_eq!(open.iter().map(|open| open.id).collect::<Vec<_>>(), [line.invite]);
    let _worker = home.start(&start(0));
    cluster.until_worker("box", "is there", |worker| worker.health == WorkerHealth::Ready).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_address_of_an_invite_goes_without_a_port() {
    let cluster = Cluster::start().await;
    let line = cluster.invite(Role::Worker).await;
    let port = cluster.node.manager_address.rsplit_once(':').unwrap().1;
    let home = Home::without_engine();
    let on = |words: &str| {
        let mut command = home.command(words);
        command.env("CUBE_MANAGER_PORT", port);
        Ended::of(command)
    };
    for (address, said) in [
        ("10.99.7.1:7157", "goes without a port, which is that of `cube-tui invite --listen`"),
        ("[fd00::1]:7157", "goes without a port"),
        ("http://box", "expected a name or an IP address"),
    ] {
        on(&format!("invite --address {address}")).expect(2, &[address, said]);
        on(&format!("token rotate --address {address}")).expect(2, &[address, said]);
    }
    let open = cluster.local.tokens().await.unwrap();
    assert_eq!(open.iter().map(|open| open.id).collect::<Vec<_>>(), [line.invite], "nothing was voided");
    for address in ["fd00::1", "[fd00::1]"] {
        let told = on(&format!("invite --address {address}")).expect(0, &[]);
        assert!(told.stdout.starts_with("cube-join:[fd00::1]:"), "{told:?}");
    }
}

#[tokio::test]
async fn one_worker_cannot_stand_in_for_another() {
    let cluster = Cluster::start().await;
    let b = cluster.worker("b").await;
    cluster.until_worker("b", "is ready", WorkerRecord::takes_work).await;
    // Says that it is where the other one listens.
    let a = cluster.member(Role::Worker, "a").await;
    a.client(Duration::from_hours(24)).await.unwrap().announce(b.port).await.unwrap();
    cluster.until_worker("a", "is not taken for b", |worker| worker.health == WorkerHealth::Lost).await;
    let snapshot = cluster.local.snapshot().await.unwrap();
    let reason = &snapshot.worker(&"a".into()).unwrap().reason;
    assert!(reason.contains("certificate"), "{reason}");
    assert!(snapshot.worker(&"b".into()).unwrap().takes_work());
}

#[tokio::test]
async fn a_worker_that_has_joined_is_there_again_after_the_managers_next_start_until_it_is_revoked() {
    let cluster = Cluster::start().await;
    let _worker = cluster.worker("box").await;
    cluster.until_worker("box", "is ready", WorkerRecord::takes_work).await;
    let cluster = cluster.again().await;
    cluster.until_worker("box", "is ready again", WorkerRecord::takes_work).await;
    cluster.local.revoke_token("box").await.unwrap();
    let is_gone = |worker: &WorkerRecord| worker.health == WorkerHealth::Lost && worker.joined.is_none();
    cluster.until_worker("box", "is gone", is_gone).await;
    // It still says where it is, and nobody listens.
    let cluster = cluster.again().await;
    cluster.until_worker("box", "stays gone", is_gone).await;
    // Another one may be called so now.
    let _other: Worker = cluster.worker("box").await;
    cluster.until_worker("box", "is another one", WorkerRecord::takes_work).await;
}
