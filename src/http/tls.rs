//! Serving over TLS: a handshake that holds up nobody else, and a connection that ends when its certificate does. Knows
//! no route.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use axum::http::header::ORIGIN;
use axum::response::{IntoResponse, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use jiff::Timestamp;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{Caller, DRAIN, Refusal, finished};
use crate::tls::{Identity, Members, Role};

/// A handshake takes two round trips.
const HANDSHAKE_WITHIN: Duration = Duration::from_secs(5);

/// A request's head comes in one piece.
const HEAD_WITHIN: Duration = Duration::from_secs(10);

/// More connections than this at once are no cluster of fifty machines.
const CONNECTIONS: usize = 2_048;

/// After an accept failed, for lack of file descriptors as a rule.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

/// What a TLS listener asks of who connects.
#[derive(Clone, Debug)]
pub struct TlsDoor {
    pub config: Arc<rustls::ServerConfig>,
    pub guests: Guests,
}

/// Whose certificates count, of all that the authority has issued.
#[derive(Clone, Debug)]
pub enum Guests {
    /// The manager's alone.
    Manager,
    /// Those of members. Who is none any more is cut off at once.
    Members(watch::Receiver<Arc<Members>>),
}

impl Guests {
    fn welcome(&self, identity: &Identity) -> bool {
        match self {
            Self::Manager => identity.role == Role::Manager,
            Self::Members(members) => members.borrow().contains(identity.member),
        }
    }

    /// Returns when `identity` is not welcome any more.
    async fn until_unwelcome(&mut self, identity: &Identity) {
        let Self::Members(members) = self else { return std::future::pending().await };
        // The list goes away with the manager, and so does this listener.
        let is_over = members.wait_for(|members| !members.contains(identity.member)).await.is_err();
        if is_over {
            std::future::pending::<()>().await;
        }
    }
}

/// Serves `router` on `listener` to `door`'s guests until `cancel`.
pub async fn serve_tls(listener: TcpListener, door: TlsDoor, router: Router, cancel: CancellationToken) {
    let router = finished(router);
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let connections = TaskTracker::new();
    loop {
        let place = tokio::select! {
            () = cancel.cancelled() => break,
            Ok(place) = Arc::clone(&places).acquire_owned() => place,
        };
        let accepted = tokio::select! {
            () = cancel.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        let (stream, from) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!("a connection could not be taken: {error}");
                tokio::time::sleep(ACCEPT_AGAIN).await;
                continue;
            }
        };
        let (door, router, cancel) = (door.clone(), router.clone(), cancel.clone());
        connections.spawn(async move {
            connection(stream, from, door, router, cancel).await;
            drop(place);
        });
    }
    drop(listener);
    connections.close();
    if tokio::time::timeout(DRAIN, connections.wait()).await.is_err() {
        tracing::warn!("requests still under way were cut");
    }
}

async fn connection(
    stream: TcpStream,
    from: SocketAddr,
    mut door: TlsDoor,
    router: Router,
    cancel: CancellationToken,
) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!("no TCP_NODELAY: {error}");
    }
    let handshake = TlsAcceptor::from(Arc::clone(&door.config)).accept(stream);
    let stream = match tokio::time::timeout(HANDSHAKE_WITHIN, handshake).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return tracing::info!("{from} was not let in: {error}"),
        Err(_) => return tracing::info!("{from} was not let in: no handshake in time"),
    };
    let certificate = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
    let identity = certificate.map(Identity::of).transpose();
    let Ok(identity) = identity else { return tracing::info!("{from} shows a certificate of nobody") };
    let guest = identity.filter(|identity| door.guests.welcome(identity));
    let is_revoked = guest.is_none() && certificate.is_some();
    let caller = match &guest {
        Some(identity) => Caller::Known { identity: identity.clone(), from: from.ip().to_canonical() },
        None if is_revoked => Caller::Revoked,
        None => Caller::Nobody,
    };
    let service = Guest { router: TowerToHyperService::new(router), caller };
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_WITHIN)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let mut serving = std::pin::pin!(serving);
    let over = async {
        match guest {
            Some(identity) => {
                let left = identity.expires.duration_since(Timestamp::now());
                tokio::select! {
                    () = door.guests.until_unwelcome(&identity) => {}
                    () = tokio::time::sleep(left.try_into().unwrap_or_default()) => {}
                }
            }
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        // How a connection ended is its client's business.
        _ = serving.as_mut() => {}
        () = over => {}
        () = cancel.cancelled() => {
            serving.as_mut().graceful_shutdown();
            let _ = tokio::time::timeout(DRAIN, serving).await;
        }
    }
}

/// The router, told who is at the other end.
#[derive(Clone, Debug)]
struct Guest {
    router: TowerToHyperService<Router>,
    caller: Caller,
}

impl hyper::service::Service<Request<Incoming>> for Guest {
    type Response = Response<Body>;
    type Error = std::convert::Infallible;
    type Future = futures_util::future::BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        // A page in a browser that holds a certificate would send it along.
        if request.headers().contains_key(ORIGIN) {
            let refusal = Refusal::new(403, "requests from pages are not taken");
            return Box::pin(std::future::ready(Ok(refusal.into_response())));
        }
        request.extensions_mut().insert(self.caller.clone());
        Box::pin(hyper::service::Service::call(&self.router, request))
    }
}
