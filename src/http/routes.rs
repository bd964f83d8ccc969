//! A router whose every route says who may use it: there is no way to add one without a rule. Knows no route itself.

use axum::Router;
use axum::extract::Request;
use axum::handler::Handler;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{MethodFilter, on};
use futures_util::future::BoxFuture;

use super::Caller;

/// Who may use a route, where its listener asks for a credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Anybody: it tells nothing about the cluster.
    Anyone,
    /// Whoever has a certificate of the cluster's, whatever their role.
    Member,
    /// A worker that has joined.
    Worker,
    /// Whoever may look.
    Viewer,
    /// Whoever may change the cluster.
    Admin,
}

/// A route as it was added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    pub method: &'static str,
    pub path: &'static str,
    pub access: Access,
}

/// What routes share, and what is told of each answer.
pub trait Answered: Clone + Send + Sync + 'static {
    fn answered(&self, _route: Route, _status: u16) {}
}

/// Routes on their way into a [`Router`].
#[derive(Debug)]
pub struct Routes<S> {
    router: Router<S>,
    list: Vec<Route>,
}

impl<S: Answered> Default for Routes<S> {
    fn default() -> Self {
        Self { router: Router::new(), list: Vec::new() }
    }
}

impl<S: Answered> Routes<S> {
    #[must_use]
    pub fn get<T: 'static>(self, access: Access, path: &'static str, handler: impl Handler<T, S>) -> Self {
        self.add("GET", MethodFilter::GET, access, path, handler)
    }

    #[must_use]
    pub fn post<T: 'static>(self, access: Access, path: &'static str, handler: impl Handler<T, S>) -> Self {
        self.add("POST", MethodFilter::POST, access, path, handler)
    }

    #[must_use]
    pub fn delete<T: 'static>(self, access: Access, path: &'static str, handler: impl Handler<T, S>) -> Self {
        self.add("DELETE", MethodFilter::DELETE, access, path, handler)
    }

    fn add<T: 'static>(
        mut self,
        method: &'static str,
        filter: MethodFilter,
        access: Access,
        path: &'static str,
        handler: impl Handler<T, S>,
    ) -> Self {
        let route = Route { method, path, access };
        self.list.push(route);
        self.router = self.router.route(path, on(filter, Judged { route, handler }));
        self
    }

    /// What was added, in that order.
    pub fn list(&self) -> &[Route] {
        &self.list
    }

    pub fn into_router(self, state: S) -> Router {
        self.router.with_state(state)
    }
}

/// A handler for those alone that its route is for.
#[derive(Clone)]
struct Judged<H> {
    route: Route,
    handler: H,
}

impl<T: 'static, S: Answered, H: Handler<T, S>> Handler<T, S> for Judged<H> {
    type Future = BoxFuture<'static, Response>;

    fn call(self, request: Request, state: S) -> Self::Future {
        let Self { route, handler } = self;
        Box::pin(async move {
            // A request of which nobody knows where it came from is nobody's.
            let caller = request.extensions().get().unwrap_or(&Caller::Nobody);
            let answer = match route.access.admits(caller) {
                Ok(()) => handler.call(request, state.clone()).await,
                Err(refusal) => refusal.into_response(),
            };
            state.answered(route, answer.status().as_u16());
            answer
        })
    }
}
