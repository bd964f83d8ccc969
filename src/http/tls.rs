//! Serving over TLS: a handshake that holds up nobody else, and a connection that ends when its certificate does. Knows
//! no route.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::http::header::ORIGIN;
use jiff::Timestamp;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::cut::Cuttable;
use super::front::Front;
use super::serve::{serve_connection, serve_each};
use super::{Caller, Refusal};
use crate::tls::{Identity, Members, Role};

/// A handshake takes two round trips.
const HANDSHAKE_WITHIN: Duration = Duration::from_secs(5);

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
    let front = Front::new(router, keep_pages_out);
    let connection = |stream| connection(stream, door.clone(), front.clone(), cancel.clone());
    serve_each(listener, connection, &cancel).await;
}

async fn connection(stream: TcpStream, door: TlsDoor, front: Front, cancel: CancellationToken) {
    let Ok(from) = stream.peer_addr() else { return };
    let handshake = TlsAcceptor::from(door.config).accept(stream);
    let stream = match tokio::time::timeout(HANDSHAKE_WITHIN, handshake).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return tracing::info!("{from} was not let in: {error}"),
        Err(_) => return tracing::info!("{from} was not let in: no handshake in time"),
    };
    let certificate = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
    let caller = match certificate.map(Identity::of) {
        None => Caller::Nobody,
        Some(Ok(identity)) if door.guests.welcome(&identity) => {
            Caller::Known { identity, from: from.ip().to_canonical() }
        }
        Some(Ok(_)) => Caller::Unwelcome,
        Some(Err(_)) => return tracing::info!("{from} shows a certificate of nobody"),
    };
    let (cut, closed) = (CancellationToken::new(), CancellationToken::new());
    if let Caller::Known { identity, .. } = &caller {
        tokio::spawn(cut_off(identity.clone(), door.guests, cut.clone(), closed.clone()));
    }
    let stream = Cuttable::new(stream, cut, closed.drop_guard());
    serve_connection(stream, front.of(caller), cancel).await;
}

/// Cuts a connection when who is at its other end is not welcome any more, or their certificate's time is over.
async fn cut_off(identity: Identity, mut guests: Guests, cut: CancellationToken, closed: CancellationToken) {
    let left = identity.expires.duration_since(Timestamp::now());
    tokio::select! {
        () = closed.cancelled() => return,
        () = guests.until_unwelcome(&identity) => {}
        () = tokio::time::sleep(left.try_into().unwrap_or_default()) => {}
    }
    cut.cancel();
}

/// A page in a browser that holds a certificate would send it along.
fn keep_pages_out(request: &Request) -> Option<Refusal> {
    let refusal = || Refusal::new(403, "requests from pages are not taken");
    request.headers().contains_key(ORIGIN).then(refusal)
}
