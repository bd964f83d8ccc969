//! The routes by which others come, stay and are let go. Their rules are the trust's.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::State as Shared;
use axum::extract::rejection::BytesRejection;
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::read::{Asking, NoQuery, read_object};
use super::refusals::Refusals;
use super::{Api, Gate};
use crate::cluster::{Cause, Cluster, Joined};
use crate::http::{Caller, Refusal};
use crate::manager::trust::{Issued, JoinLine, JoinRequest, Listed, TrustError};
use crate::task::{ErrorBody, WorkerId};
use crate::tls::{Identity, Role};

/// The longest that an invite is open.
const LONGEST: Duration = Duration::from_hours(24 * 7);

/// A wish for an invite.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Invitation {
    pub role: Role,
    /// Seconds that it is open.
    pub ttl_s: u64,
    /// Where the TLS listener is to listen, `host:port`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listen: Option<String>,
    /// The host under which others reach this one; found out if it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// Void all the other open invites, once this one is made.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub replaces: bool,
}

/// The line for the other host.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Invited {
    pub line: String,
    /// Where the TLS listener listens.
    pub listen: String,
    /// How many other open invites were voided.
    #[serde(default)]
    pub voided: usize,
}

/// Where the TLS listener is to listen: nowhere without an address.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Listening {
    pub listen: Option<String>,
}

/// A wish for a new certificate for the same member.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Renewal {
    /// The request for a certificate, PEM.
    pub request: String,
}

/// A worker says that it listens, on the host that this comes from.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Announcement {
    pub port: u16,
}

/// How many open invites were voided.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Rotated {
    pub voided: usize,
}

/// Who is to be let go, by name or id.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Revocation {
    pub who: String,
}

/// Who was let go.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Revoked {
    #[serde(flatten)]
    pub listed: Listed,
    /// Tasks that lived on this worker: they start on others.
    #[serde(default)]
    pub tasks: usize,
    /// Those of them that are Exclusive: they start on others once the worker is forgotten.
    #[serde(default)]
    pub exclusive: usize,
}

type Body = Result<Bytes, BytesRejection>;

impl Api {
    fn gate(&self) -> Result<&Gate, Refusal> {
        self.gate.as_ref().ok_or_else(|| Refusal::new(503, "nobody can join this manager"))
    }
}

/// Opens an invite, and the TLS listener for it
#[utoipa::path(
    post, path = "/v1/invites", tag = "members",
    params(Asking),
    request_body(content = Invitation, content_type = "application/json"),
    responses(
        (status = 200, description = "The line for the other host", body = Invited),
        Refusals
    )
)]
pub(super) async fn invite(
    Shared(api): Shared<Api>,
    _: Asking,
    body: Body,
) -> Result<Json<Invited>, Refusal> {
    let Invitation { role, ttl_s, listen, address, replaces } = read_object(&body?)?;
    let ttl = Duration::from_secs(ttl_s);
    if ttl.is_zero() || ttl > LONGEST {
        return Err(Refusal::new(400, "expected an invite to be open for one second to seven days"));
    }
    let address = address.as_deref().map(bare_host).transpose()?;
    let Gate { trust, door } = api.gate()?;
    // Before the listener, which has no certificate before the first.
    let invite = trust.invite(role, ttl, replaces).await?;
    let open = async {
        let remembered = trust.listen().await?;
        let at = door.open(listen.clone().or(remembered)).await?;
        // Whoever joins remembers the port: a free one has to be the same next time.
        let keep = listen.filter(|listen| !listen.ends_with(":0")).unwrap_or_else(|| at.to_string());
        trust.set_listen(Some(keep)).await?;
        let host = match address {
            Some(host) => host,
            None => own_host(at).await?,
        };
        // Last: whoever does not get this one keeps the others.
        let voided = if replaces { trust.rotate(Some(invite.id)).await? } else { 0 };
        Ok::<_, TrustError>((at, host, voided))
    };
    let (at, host, voided) = match open.await {
        Ok(open) => open,
        Err(error) => {
            // Nobody will ever see it.
            trust.revoke(invite.id.to_string()).await?;
            return Err(error.into());
        }
    };
    let host = if host.contains(':') { format!("[{host}]") } else { host };
    let line = JoinLine {
        addresses: vec![format!("{host}:{}", at.port())],
        pin: invite.pin.parse().map_err(|()| Refusal::new(500, "the authority's pin can't be read"))?,
        invite: invite.id,
        secret: invite.secret,
        role,
    };
    Ok(Json(Invited { line: line.to_string(), listen: at.to_string(), voided }))
}

/// The host that `address` names, without brackets. The port is the listener's.
fn bare_host(address: &str) -> Result<String, Refusal> {
    let in_brackets = address.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let host = in_brackets.unwrap_or(address);
    let is_name = host.chars().all(|c| c.is_ascii_alphanumeric() || "-._".contains(c)) && !host.is_empty();
    if is_name || host.parse::<IpAddr>().is_ok() {
        return Ok(host.to_owned());
    }
    let port = address.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
    let why = match port {
        Some(port) => format!(
            "the address goes without a port, which is that of `cube-tui invite --listen`; leave out :{port}"
        ),
        None => "expected a name or an IP address, such as box.example or 10.0.0.1".to_owned(),
    };
    Err(Refusal::new(400, format!("--address {address:?}: {why}")))
}

/// The address of this host that others most likely reach: the one that leads out of it.
async fn own_host(at: SocketAddr) -> Result<String, TrustError> {
    if !at.ip().is_unspecified() {
        return Ok(at.ip().to_string());
    }
    let found = async {
        let socket = tokio::net::UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).await?;
        // Nothing is sent: this only asks the routing table. The address is one that documentation uses.
        socket.connect((Ipv4Addr::new(192, 0, 2, 1), 9)).await?;
        socket.local_addr()
    };
    match found.await.map(|found: SocketAddr| found.ip()) {
        Ok(IpAddr::V4(ip)) if !ip.is_unspecified() => Ok(ip.to_string()),
        _ => Err(TrustError::Invalid(
            "this host has no address that leads anywhere; say under which one the other host reaches it, with \
             --address HOST"
                .to_owned(),
        )),
    }
}

/// Opens the TLS listener, or closes it
#[utoipa::path(
    post, path = "/v1/listen", tag = "members",
    params(Asking),
    request_body(content = Listening, content_type = "application/json"),
    responses(
        (status = 200, description = "Where it listens", body = Listening),
        Refusals
    )
)]
pub(super) async fn listen(
    Shared(api): Shared<Api>,
    _: Asking,
    body: Body,
) -> Result<Json<Listening>, Refusal> {
    let Listening { listen } = read_object(&body?)?;
    let Gate { trust, door } = api.gate()?;
    if let Some(listen) = listen {
        let at = door.open(Some(listen.clone())).await?;
        trust.set_listen(Some(listen)).await?;
        return Ok(Json(Listening { listen: Some(at.to_string()) }));
    }
    trust.set_listen(None).await?;
    let door = door.clone();
    // By itself: who asks may have come in there.
    tokio::spawn(async move { door.close().await });
    Ok(Json(Listening { listen: None }))
}

/// Becomes a member, by an invite
#[utoipa::path(
    post, path = "/v1/join", tag = "members",
    request_body(content = JoinRequest, content_type = "application/json"),
    responses(
        (status = 200, description = "The certificate", body = Issued),
        (status = 409, description = "The name is taken", body = ErrorBody),
        Refusals
    )
)]
pub(super) async fn join(Shared(api): Shared<Api>, body: Body) -> Result<Json<Issued>, Refusal> {
    let request: JoinRequest = read_object(&body?)?;
    Ok(Json(api.gate()?.trust.join(request).await?))
}

/// Who asks, by their certificate. The route's rule has seen to it that there is one.
fn known(caller: Option<Extension<Caller>>) -> Result<(Identity, IpAddr), Refusal> {
    match caller {
        Some(Extension(Caller::Known { identity, from })) => Ok((identity, from)),
        _ => Err(Refusal::new(401, "this needs a certificate of the cluster's")),
    }
}

/// Renews the certificate that this is asked with
#[utoipa::path(
    post, path = "/v1/renew", tag = "members",
    request_body(content = Renewal, content_type = "application/json"),
    responses(
        (status = 200, description = "The certificate", body = Issued),
        (status = 409, description = "The name is taken", body = ErrorBody),
        (status = 404, description = "There is nobody of this name or id", body = ErrorBody),
        Refusals
    )
)]
pub(super) async fn renew(
    Shared(api): Shared<Api>,
    caller: Option<Extension<Caller>>,
    body: Body,
) -> Result<Json<Issued>, Refusal> {
    let (identity, _) = known(caller)?;
    let Renewal { request } = read_object(&body?)?;
    Ok(Json(api.gate()?.trust.renew(identity, request).await?))
}

/// A worker that has joined says where it listens
///
/// Name and host are not the worker's to say: they are its certificate's and its connection's.
#[utoipa::path(
    post, path = "/v1/announce", tag = "members",
    request_body(content = Announcement, content_type = "application/json"),
    responses(
        (status = 200, description = "Taken"),
        Refusals
    )
)]
pub(super) async fn announce(
    Shared(api): Shared<Api>,
    caller: Option<Extension<Caller>>,
    body: Body,
) -> Result<Json<()>, Refusal> {
    let (identity, from) = known(caller)?;
    let Announcement { port } = read_object(&body?)?;
    let joined = Joined { address: SocketAddr::new(from, port).to_string(), member: identity.member };
    api.handle.worker_joined(identity.name.as_str().into(), joined, Cause::WorkerLink).await?;
    Ok(Json(()))
}

/// Who has joined, and which invites are open
#[utoipa::path(
    get, path = "/v1/tokens", tag = "members",
    responses(
        (status = 200, description = "All of them", body = Vec<Listed>),
        Refusals
    )
)]
pub(super) async fn list(Shared(api): Shared<Api>, _: NoQuery) -> Result<Json<Vec<Listed>>, Refusal> {
    Ok(Json(api.gate()?.trust.list().await?))
}

/// Voids all open invites
#[utoipa::path(
    post, path = "/v1/tokens/rotate", tag = "members",
    params(Asking),
    responses(
        (status = 200, description = "How many there were", body = Rotated),
        Refusals
    )
)]
pub(super) async fn rotate(Shared(api): Shared<Api>, _: Asking) -> Result<Json<Rotated>, Refusal> {
    let voided = api.gate()?.trust.rotate(None).await?;
    Ok(Json(Rotated { voided }))
}

/// Lets somebody go, by name or id
#[utoipa::path(
    post, path = "/v1/tokens/revoke", tag = "members",
    params(Asking),
    request_body(content = Revocation, content_type = "application/json"),
    responses(
        (status = 200, description = "Who it was", body = Revoked),
        (status = 404, description = "There is nobody of this name or id", body = ErrorBody),
        Refusals
    )
)]
pub(super) async fn revoke(
    Shared(api): Shared<Api>,
    _: Asking,
    body: Body,
) -> Result<Json<Revoked>, Refusal> {
    let Revocation { who } = read_object(&body?)?;
    let listed = api.gate()?.trust.revoke(who).await?;
    let (mut tasks, mut exclusive) = (0, 0);
    if listed.role == Role::Worker && !listed.name.is_empty() {
        let worker = WorkerId::from(listed.name.as_str());
        let there = worker.clone();
        let count = move |cluster: &Cluster| {
            let rows = cluster.tasks_of(&there).filter_map(|task| cluster.row(task));
            let exclusive = rows.filter(|row| row.spec().exclusive && !row.state().has_ended()).count();
            (cluster.reserved(&there).map_or(0, |reserved| reserved.tasks), exclusive)
        };
        (tasks, exclusive) = api.handle.read(count).await?;
        api.handle.worker_left(worker, Cause::Command).await?;
    }
    Ok(Json(Revoked { listed, tasks, exclusive }))
}
