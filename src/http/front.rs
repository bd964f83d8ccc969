//! What every request passes before its route, in one step: who may come in at all, its body, and an answer also where
//! a route panics. A stack of layers would do the same, and copy all that lies under each of them for every request.

use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, Request};
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt as _;
use hyper::service::Service;
use hyper_util::service::TowerToHyperService;

use super::{Caller, Refusal, body};

/// Why a request does not come in, whatever it asks for.
type Door = fn(&Request) -> Option<Refusal>;

/// A listener's routes, and what lies before them. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Front {
    routes: TowerToHyperService<Router>,
    door: Door,
}

impl Front {
    pub(super) fn new(router: Router, door: Door) -> Self {
        let router = router
            .method_not_allowed_fallback(|| async {
                Refusal::new(405, "this route does not take that method")
            })
            .fallback(|| async { Refusal::new(404, "there is no such route") });
        Self { routes: TowerToHyperService::new(router), door }
    }

    /// The same for who is at the other end of a connection.
    pub(super) fn of(&self, caller: Caller) -> CallersFront {
        CallersFront(Arc::new((self.clone(), caller)))
    }

    async fn answer(&self, caller: &Caller, mut request: Request) -> Response {
        if let Some(refusal) = (self.door)(&request) {
            return refusal.into_response();
        }
        request.extensions_mut().insert(caller.clone());
        // The bounds are those of `body`.
        DefaultBodyLimit::disable().apply(&mut request);
        // A large body's turn lasts until there is an answer.
        let (request, _turn) = match body::read_first(request, caller).await {
            Ok(read) => read,
            Err(refusal) => return refusal.into_response(),
        };
        let answer = AssertUnwindSafe(self.routes.call(request)).catch_unwind();
        answer.await.map_or_else(
            |_| Refusal::new(500, "a fault of cube-tui's own; its log says more").into_response(),
            |Ok(answer)| answer,
        )
    }
}

/// What one connection's requests go to.
#[derive(Clone, Debug)]
pub struct CallersFront(Arc<(Front, Caller)>);

impl Service<hyper::Request<hyper::body::Incoming>> for CallersFront {
    type Response = Response;
    type Error = Infallible;
    type Future = futures_util::future::BoxFuture<'static, Result<Response, Infallible>>;

    fn call(&self, request: hyper::Request<hyper::body::Incoming>) -> Self::Future {
        let front = Arc::clone(&self.0);
        Box::pin(async move {
            let (front, caller) = &*front;
            Ok(front.answer(caller, request.map(Body::new)).await)
        })
    }
}

#[cfg(test)]
mod tests {
    use axum::http::StatusCode;
    use axum::routing::{get, post};
    use bytes::Bytes;

    use super::*;

    async fn status(request: hyper::http::request::Builder, body: Body) -> StatusCode {
        async fn panics() -> StatusCode {
            unreachable!("as a fault of ours would")
        }
        let routes = Router::new()
            .route("/panics", get(panics))
            .route("/large", post(async |_: Bytes| StatusCode::CREATED));
        let front = Front::new(routes, |request| {
            request.headers().contains_key("x-page").then(|| Refusal::new(403, "not a page"))
        });
        front.answer(&Caller::Local, request.body(body).unwrap()).await.status()
    }

    #[tokio::test]
    async fn what_a_route_can_not_answer_is_answered_here() {
        let get = |path: &str| hyper::Request::get(path.to_owned());
        assert_eq!(status(get("/panics"), Body::empty()).await, 500);
        assert_eq!(status(get("/nothing"), Body::empty()).await, 404);
        assert_eq!(status(get("/large"), Body::empty()).await, 405);
        assert_eq!(status(get("/panics").header("x-page", "1"), Body::empty()).await, 403);
    }

    #[tokio::test]
    async fn a_body_is_bounded_by_our_rule_alone() {
        let large = |bytes: usize| (hyper::Request::post("/large"), Body::from(vec![b' '; bytes]));
        for (bytes, expected) in [(8 << 20, 201), (body::LARGEST_BODY + 1, 413)] {
            let (request, body) = large(bytes);
            assert_eq!(status(request, body).await, expected, "{bytes}");
        }
    }
}
