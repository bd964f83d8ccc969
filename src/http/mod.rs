//! What both APIs have in common, at either end: serving, the door against browsers, refusals in the book's form,
//! bodies of JSON lines, the one client and why a request failed. Knows no routes.

mod body;
mod caller;
mod client;
mod cut;
mod door;
mod json_lines;
mod patience;
mod read_array;
mod read_lines;
mod refusal;
mod routes;
mod serve;
mod tls;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use tower_http::catch_panic::CatchPanicLayer;

pub use body::LARGEST_BODY;
pub use caller::Caller;
pub use client::{CONNECT_WITHIN, ClientError, checked, http_client, https_client};
pub use json_lines::json_lines;
pub use read_array::read_array;
pub use read_lines::read_lines;
pub use refusal::Refusal;
pub use routes::{Access, Route, Routes};
pub use serve::{serve, serve_connection};
pub use tls::{Guests, TlsDoor, serve_tls};

/// `router` with what every listener needs: bounds on bodies, an answer to what no route takes, and one where a route
/// panics. Who calls has to be said outside of it.
fn guarded(router: Router) -> Router {
    router
        .method_not_allowed_fallback(|| async { Refusal::new(405, "this route does not take that method") })
        .fallback(|| async { Refusal::new(404, "there is no such route") })
        // The bounds are those of `body`.
        .layer(DefaultBodyLimit::disable())
        .layer(axum::middleware::from_fn(body::read_first))
        .layer(CatchPanicLayer::custom(|_| {
            axum::response::IntoResponse::into_response(Refusal::new(
                500,
                "a fault of cube-tui's own; its log says more",
            ))
        }))
}
