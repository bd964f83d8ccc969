//! A router whose every route says who may use it: there is no way to add one without a rule. Knows no route itself.

use axum::Router;
use axum::handler::Handler;
use axum::middleware::from_fn;
use axum::routing::{MethodFilter, on};

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

/// Routes on their way into a [`Router`].
#[derive(Debug)]
pub struct Routes<S> {
    router: Router<S>,
    list: Vec<Route>,
}

impl<S: Clone + Send + Sync + 'static> Default for Routes<S> {
    fn default() -> Self {
        Self { router: Router::new(), list: Vec::new() }
    }
}

impl<S: Clone + Send + Sync + 'static> Routes<S> {
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
        self.list.push(Route { method, path, access });
        let judge = from_fn(move |request, next| super::caller::judge(access, request, next));
        self.router = self.router.route(path, on(filter, handler).route_layer(judge));
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
