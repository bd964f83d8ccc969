//! The way from the API to the engine for what streams: what a container says, and commands in it. Knows no task and
//! no HTTP.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use tokio::sync::mpsc;

use super::runtime::{Exec, ExecInput, ExecOutput, LogLines, LogsQuery, Runtime, RuntimeError};

/// A task's newest container, as the core knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewestContainer {
    pub generation: u32,
    pub container: String,
    pub is_live: bool,
}

/// A runtime without its type.
pub(super) trait Containers: Send + Sync {
    fn logs(
        self: Arc<Self>,
        container: String,
        query: LogsQuery,
    ) -> BoxFuture<'static, Result<LogLines, RuntimeError>>;

    fn exec(
        self: Arc<Self>,
        container: String,
        exec: Exec,
        input: mpsc::Receiver<ExecInput>,
        output: mpsc::Sender<ExecOutput>,
    ) -> BoxFuture<'static, Result<i64, RuntimeError>>;
}

impl<R: Runtime> Containers for R {
    fn logs(
        self: Arc<Self>,
        container: String,
        query: LogsQuery,
    ) -> BoxFuture<'static, Result<LogLines, RuntimeError>> {
        Box::pin(async move { Runtime::logs(&*self, &container, query).await })
    }

    fn exec(
        self: Arc<Self>,
        container: String,
        exec: Exec,
        input: mpsc::Receiver<ExecInput>,
        output: mpsc::Sender<ExecOutput>,
    ) -> BoxFuture<'static, Result<i64, RuntimeError>> {
        Box::pin(async move { Runtime::exec(&*self, &container, &exec, input, output).await })
    }
}

impl std::fmt::Debug for dyn Containers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Containers")
    }
}
