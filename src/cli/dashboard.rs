//! The dashboard on a manager that is there or is just being started, and one frame of it for `--snapshot`. Draws
//! nothing itself.

use std::time::Duration;

use anyhow::Context as _;
use futures_util::StreamExt;
use jiff::{Timestamp, tz::TimeZone};
use tokio::sync::oneshot;

use super::args::Output;
use super::environment::Environment;
use super::exit::{CliError, Exit};
use super::print::Printer;
use crate::client::ManagerHandle;
use crate::cluster::{Cluster, FeedItem, WorkerHealth};
use crate::tui::{self, Event, Format, Model, Opened, Options, Outcome, Size, Theme, Title};

/// A worker tells its load every few seconds; a picture waits for one of each.
const PICTURE_WITHIN: Duration = Duration::from_secs(6);

/// What runs behind a dashboard, and its manager.
pub trait Behind: Send + 'static {
    fn manager(&self) -> &ManagerHandle;

    /// What it is called, if that was not known before.
    fn title(&self) -> Option<Title> {
        None
    }

    /// What somebody who looks at it should know first.
    fn notice(&self) -> Option<&str> {
        None
    }
}

/// Shows the dashboard at once, while `begin` starts what it shows. Hands back what was behind, for its end.
pub async fn dashboard<B: Behind>(
    environment: &Environment,
    title: Title,
    begin: impl Future<Output = Result<B, CliError>> + Send + 'static,
) -> (Option<B>, Result<Outcome, CliError>) {
    let (tell, manager) = oneshot::channel();
    let options = Options {
        theme: Theme { color: environment.color },
        title,
        keymap: environment.keymap.clone(),
        home: environment.home.clone(),
        ..Options::opening(async move { manager.await.context("the manager did not start")? })
    };
    let notices = options.notices.0.clone();
    if let Some(clashes) = environment.key_clashes() {
        // Nobody has said anything yet: there is room.
        let _ = notices.try_send(clashes);
    }
    // Of its own, because it goes on when somebody quits before it is done: what it made has to be taken away again.
    let behind = tokio::spawn(async move {
        let behind = begin.await;
        let manager = match &behind {
            Ok(behind) => {
                if let Some(notice) = behind.notice() {
                    let _ = notices.try_send(notice.to_owned());
                }
                Ok(Opened { manager: behind.manager().clone(), title: behind.title() })
            }
            Err(error) => Err(anyhow::anyhow!(error.message.clone())),
        };
        // Nobody listens if somebody quit before it began.
        let _ = tell.send(manager);
        behind
    });
    let shown = tui::run(options).await;
    let ended = shown.map_err(|error| CliError::unreachable(format!("{error:#}")));
    match behind.await {
        Ok(Ok(behind)) => (Some(behind), ended),
        Ok(Err(error)) => (None, Err(error)),
        Err(panic) => (None, Err(CliError::unreachable(format!("the manager did not start: {panic}")))),
    }
}

/// A signal is a way to end a dashboard like any other.
pub fn exit(outcome: Outcome) -> Exit {
    match outcome {
        Outcome::Quit | Outcome::LeftRunning | Outcome::Terminated => Exit::Done,
    }
}

/// Prints one frame.
pub async fn snapshot(
    environment: &Environment,
    title: Title,
    (size, format): (Size, Format),
    manager: &ManagerHandle,
) -> Result<Exit, CliError> {
    let theme = Theme { color: environment.color };
    let mut model = Model::new(theme, title, TimeZone::system(), Timestamp::now(), size.width, size.height)
        .with_keymap(environment.keymap.clone());
    let watch = manager.watch().await?;
    let mut mirror = watch.cluster.clone();
    let mut items = watch.items;
    let mut silent: usize = watch.cluster.workers().len();
    tui::update(&mut model, Event::Watching(Box::new(watch.cluster)));
    let deadline = tokio::time::Instant::now() + PICTURE_WITHIN;
    while silent > 0 || is_starting(&mirror) {
        let Ok(Some(Ok(item))) = tokio::time::timeout_at(deadline, items.next()).await else { break };
        match &item {
            FeedItem::Change(change) => mirror.apply(change),
            FeedItem::Sample(_) => silent = silent.saturating_sub(1),
            FeedItem::Progress(_) => {}
        }
        tui::update(&mut model, Event::Feed(item));
    }
    tui::update(&mut model, Event::Clock(Timestamp::now()));
    Printer::new(Output::Text).result(tui::render_once(&model, format).trim_end())?;
    Ok(Exit::Done)
}

/// Whether some worker has yet to show itself.
fn is_starting(cluster: &Cluster) -> bool {
    cluster.workers().iter().any(|worker| worker.health == WorkerHealth::Connecting)
}
