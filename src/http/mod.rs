//! What both APIs have in common, at either end: serving, the door against browsers, refusals in the book's form,
//! bodies of JSON lines, the one client and why a request failed. Knows no routes.

mod caller;
mod client;
mod door;
mod json_lines;
mod read_lines;
mod refusal;
mod routes;
mod tls;

use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::serve::ListenerExt as _;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tower_http::catch_panic::CatchPanicLayer;

pub use caller::Caller;
pub use client::{CONNECT_WITHIN, ClientError, checked, http_client, https_client};
pub use json_lines::json_lines;
pub use read_lines::read_lines;
pub use refusal::Refusal;
pub use routes::{Access, Route, Routes};
pub use tls::{Guests, TlsDoor, serve_tls};

/// The largest body that is read: some ten thousand tasks in one request.
pub const LARGEST_BODY: usize = 16 << 20;

/// Requests under way may take this long after the stop; none of ours does.
const DRAIN: Duration = Duration::from_secs(2);

/// Serves `router` on a loopback `listener` until `cancel`.
pub async fn serve(listener: TcpListener, router: Router, cancel: CancellationToken) {
    let router = finished(router)
        .layer(axum::Extension(Caller::Local))
        .layer(axum::middleware::from_fn(door::keep_browsers_out));
    // Streams send many small pieces; without this each would wait for the receipt of the one before.
    let listener = listener.tap_io(|stream| {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!("no TCP_NODELAY: {error}");
        }
    });
    let stop = cancel.clone();
    let served = axum::serve(listener, router).with_graceful_shutdown(async move { stop.cancelled().await });
    let deadline = async {
        cancel.cancelled().await;
        tokio::time::sleep(DRAIN).await;
    };
    tokio::select! {
        result = served.into_future() => {
            if let Err(error) = result {
                tracing::error!("the listener failed: {error}");
            }
        }
        () = deadline => tracing::warn!("requests still under way were cut"),
    }
}

/// With what every listener's router has.
fn finished(router: Router) -> Router {
    router
        .method_not_allowed_fallback(|| async { Refusal::new(405, "this route does not take that method") })
        .fallback(|| async { Refusal::new(404, "there is no such route") })
        .layer(DefaultBodyLimit::max(LARGEST_BODY))
        .layer(CatchPanicLayer::custom(|_| {
            axum::response::IntoResponse::into_response(Refusal::new(
                500,
                "a fault of cube-tui's own; its log says more",
            ))
        }))
}
