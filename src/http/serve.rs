//! Connections: how many at a time, how long each may take for its request, and their end. Knows no route, and no
//! more of a listener than that bytes come and go.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::Caller;
use super::door::keep_browsers_out;
use super::front::{CallersFront, Front};
use super::patience::Patient;

/// Connections at a time, where the process may have that many files; whoever comes then waits for one to end. Some
/// hundred dashboards and clients, and a thousand that do nothing but hold on.
const MOST_CONNECTIONS: u64 = 2_048;

/// A request's head has to be there within this, counted from the connection's begin or from the answer before: a client
/// that keeps connections for later has to let go of them sooner ([`super::client`] does).
pub(super) const HEADERS_WITHIN: Duration = Duration::from_secs(15);

/// What is read of a connection before somebody takes it: far more than heads are long.
const READ_AHEAD: usize = 32 << 10;

/// Requests under way may take this long after the stop; none of ours does.
const DRAIN: Duration = Duration::from_secs(2);

/// After the system had no connection to give (no file left, say), before it is asked again.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

/// Serves `router` on a loopback `listener` until `cancel`.
pub async fn serve(listener: TcpListener, router: Router, cancel: CancellationToken) {
    let front = Front::new(router, keep_browsers_out).of(Caller::Local);
    let connection = |stream| serve_connection(stream, front.clone(), cancel.clone());
    serve_each(listener, connection, &cancel).await;
}

/// Has `serve` serve each connection of `listener`, many at a time, until `cancel`.
pub(super) async fn serve_each<F>(
    listener: TcpListener,
    serve: impl Fn(TcpStream) -> F,
    cancel: &CancellationToken,
) where
    F: Future<Output = ()> + Send + 'static,
{
    let connections = TaskTracker::new();
    let room = Arc::new(Semaphore::new(most_connections()));
    while let Some((stream, place)) = cancel.run_until_cancelled(accept(&listener, &room)).await {
        let connection = serve(stream);
        connections.spawn(async move {
            connection.await;
            drop(place);
        });
    }
    drop(listener);
    connections.close();
    if tokio::time::timeout(DRAIN, connections.wait()).await.is_err() {
        tracing::warn!("requests still under way were cut");
    }
}

/// The next connection, once there is room for it.
async fn accept(listener: &TcpListener, room: &Arc<Semaphore>) -> (TcpStream, OwnedSemaphorePermit) {
    loop {
        let Ok(place) = Arc::clone(room).acquire_owned().await else {
            // Nobody closes it.
            return std::future::pending().await;
        };
        match listener.accept().await {
            Ok((stream, _)) => {
                // Streams send many small pieces; without this each would wait for the receipt of the one before.
                if let Err(error) = stream.set_nodelay(true) {
                    tracing::debug!("no TCP_NODELAY: {error}");
                }
                return (stream, place);
            }
            // A client that went away before it was served.
            Err(error) if is_the_clients(&error) => {}
            Err(error) => {
                tracing::error!("the listener failed: {error}; trying again");
                tokio::time::sleep(ACCEPT_AGAIN).await;
            }
        }
    }
}

fn is_the_clients(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

/// Serves the requests of one connection, one after the other, until it or `cancel` ends it. An upgrade takes the
/// connection over and goes on after this.
pub(super) async fn serve_connection<I>(io: I, front: CallersFront, cancel: CancellationToken)
where
    I: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADERS_WITHIN)
        .max_buf_size(READ_AHEAD)
        .serve_connection(TokioIo::new(Patient::new(io)), front)
        .with_upgrades();
    let mut connection = std::pin::pin!(connection);
    let result = tokio::select! {
        result = &mut connection => result,
        () = cancel.cancelled() => {
            connection.as_mut().graceful_shutdown();
            // Answers under way get their time; whoever is in the middle of a request waits no longer than that.
            tokio::time::timeout(DRAIN, connection).await.unwrap_or(Ok(()))
        }
    };
    if let Err(error) = result {
        tracing::debug!("a connection broke off: {error}");
    }
}

/// Half of what the process may have open: the store, the workers, the engine and another listener need some too.
fn most_connections() -> usize {
    let files = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let most = files.map_or(MOST_CONNECTIONS, |files| (files / 2).clamp(16, MOST_CONNECTIONS));
    usize::try_from(most).unwrap_or(16)
}
