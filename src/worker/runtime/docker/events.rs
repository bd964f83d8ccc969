//! The engine's events and its health, as signs. Events are hints: whenever some may have been missed, everything
//! is listed again. Knows no task's state.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use bollard::{models::EventMessage, query_parameters::EventsOptionsBuilder};
use futures_util::{Stream, StreamExt as _, TryStreamExt as _};
use jiff::Timestamp;
use tokio::{
    sync::mpsc,
    time::{Instant, MissedTickBehavior, interval, sleep},
};

use super::{
    Docker, LOOK,
    create::{SPEC, WORKER},
    engine::Engine,
};
use crate::{
    task::Task,
    worker::runtime::{Exit, RuntimeError, Sign},
};

/// Between two looks whether the engine still answers. With `LOOK` as the deadline a hung engine is known within
/// 15 seconds.
const PING_EVERY: Duration = Duration::from_secs(5);
/// Between two attempts to reach an engine that is away.
const RETRY_EVERY: Duration = Duration::from_secs(1);
/// Events are asked for from this long ago, so that none falls between asking and listing.
const OVERLAP_S: i64 = 2;
/// After the first list all is listed once more: Podman may lose what happens between the events that it remembers and
/// those that it tells as they come.
const LOOK_AGAIN_AFTER: Duration = Duration::from_secs(3);
/// SIGKILL's exit code: the only one that can mean "out of memory" or "removed by force".
const KILLED: i64 = 137;
/// As a kill event tells it.
const SIGKILL: &str = "9";

/// Containers that somebody kills through the engine, or that ran out of memory, until they die: only about these,
/// and those with a memory limit, is the engine asked what a SIGKILL meant. Its answer takes ten times as long as
/// its event, which is enough for everyone else's.
type Suspects = HashSet<String>;

impl Docker {
    /// Until `signs` is closed.
    pub(super) async fn watch_events(&self, signs: &mpsc::Sender<Sign>) {
        let mut told = String::new();
        let mut heard = None;
        loop {
            let Err(error) = self.session(signs, &mut heard).await else { return };
            let problem = error.to_string();
            // Every second anew, for as long as the engine is away: only news is worth a line of the log.
            if problem != told {
                tracing::warn!(%error, "the container engine can't be used");
            }
            told.clone_from(&problem);
            if signs.send(Sign::Health(problem)).await.is_err() {
                return;
            }
            sleep(RETRY_EVERY).await;
        }
    }

    /// From one connection to the engine to its loss. `Ok`: nobody listens any more. `heard`: when the engine last
    /// told something.
    async fn session(
        &self,
        signs: &mpsc::Sender<Sign>,
        heard: &mut Option<Timestamp>,
    ) -> Result<(), RuntimeError> {
        let client = self.client()?;
        let version = self.call(LOOK, client.version()).await.map_err(|error| self.call_failed(error))?;
        tracing::info!(
            engine = version.version.as_deref().unwrap_or("?"),
            api = version.api_version.as_deref().unwrap_or("?"),
            "connected to the container engine at {}",
            self.host
        );
        // A proxy before the engine may keep this one back; then the host's own numbers have to do.
        let info = self.call(LOOK, client.info()).await.map_err(|error| self.call_failed(error));
        let info = info.inspect_err(|error| tracing::info!(%error, "the engine does not tell what it has"));
        *self.engine.lock().unwrap_or_else(std::sync::PoisonError::into_inner) =
            Engine::new(version.version, &info.unwrap_or_default());
        // Before the list: it says how they ended, and this says by whom.
        if let Some(heard) = *heard {
            for sign in self.kills_since(&client, heard).await? {
                if signs.send(sign).await.is_err() {
                    return Ok(());
                }
            }
        }
        // Podman says "remove" where Docker says "destroy", and wants to be asked for "died" to say "die".
        let filters = self.filters(&["start", "kill", "oom", "die", "died", "destroy", "remove"]);
        let since = (Timestamp::now().as_second() - OVERLAP_S).to_string();
        let options = EventsOptionsBuilder::default().filters(&filters).since(&since).build();
        let mut events = Box::pin(client.events(Some(options)));
        let mut ping = interval(PING_EVERY);
        ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut suspects = Suspects::new();
        for sign in self.all_and_since(&mut events, &mut suspects).await? {
            if signs.send(sign).await.is_err() {
                return Ok(());
            }
        }
        let mut look_again = std::pin::pin!(sleep(LOOK_AGAIN_AFTER.min(self.look_every)));
        loop {
            *heard = Some(Timestamp::now());
            tokio::select! {
                event = events.next() => {
                    if let Some(sign) = self.event(event, &mut suspects)?
                        && signs.send(sign).await.is_err()
                    {
                        return Ok(());
                    }
                }
                () = &mut look_again => {
                    look_again.as_mut().reset(Instant::now() + self.look_every);
                    for sign in self.all_and_since(&mut events, &mut suspects).await? {
                        if signs.send(sign).await.is_err() {
                            return Ok(());
                        }
                    }
                }
                _ = ping.tick() => {
                    // Awaited here: while the engine doesn't answer, its events are no better.
                    self.call(LOOK, client.ping()).await.map_err(|error| self.call_failed(error))?;
                }
                () = signs.closed() => return Ok(()),
            }
        }
    }

    /// Everything that is there, and what was told while it was listed.
    async fn all_and_since(
        &self,
        events: &mut (impl Stream<Item = Result<EventMessage, bollard::errors::Error>> + Unpin),
        suspects: &mut Suspects,
    ) -> Result<Vec<Sign>, RuntimeError> {
        let mut early = Vec::new();
        let mut list = Box::pin(self.list_containers());
        let all = loop {
            // Events first, so that they are subscribed to before the list is made.
            tokio::select! {
                biased;
                event = events.next() => early.push(self.event(event, suspects)?),
                all = &mut list => break all?,
            }
        };
        let first = [Sign::Listed(all), Sign::Health(String::new())];
        Ok(first.into_iter().chain(early.into_iter().flatten()).collect())
    }

    fn filters(&self, events: &[&str]) -> HashMap<&'static str, Vec<String>> {
        HashMap::from([
            ("type", vec!["container".to_owned()]),
            ("label", vec![format!("{WORKER}={}", self.identity)]),
            ("event", events.iter().map(|&event| event.to_owned()).collect()),
        ])
    }

    /// Kills that nobody heard of: of an engine that was killed itself, and ended its containers at its next start.
    async fn kills_since(
        &self,
        client: &bollard::Docker,
        heard: Timestamp,
    ) -> Result<Vec<Sign>, RuntimeError> {
        let now = Timestamp::now();
        let options = EventsOptionsBuilder::default()
            .filters(&self.filters(&["kill"]))
            .since(&(heard.as_second() - OVERLAP_S).to_string())
            .until(&format!("{}.{:09}", now.as_second(), now.subsec_nanosecond()))
            .build();
        let events = client.events(Some(options)).try_collect::<Vec<_>>();
        let events = self.call(LOOK, events).await.map_err(|error| self.call_failed(error))?;
        let mut suspects = Suspects::new();
        Ok(events.into_iter().filter_map(|event| self.sign(event, &mut suspects)).collect())
    }

    /// What an event means to us; an end of the stream is an engine that went away.
    fn event(
        &self,
        event: Option<Result<EventMessage, bollard::errors::Error>>,
        suspects: &mut Suspects,
    ) -> Result<Option<Sign>, RuntimeError> {
        match event {
            Some(Ok(message)) => Ok(self.sign(message, suspects)),
            Some(Err(error)) => match self.failed(error) {
                RuntimeError::Refused(text) => Err(RuntimeError::Unreachable(text)),
                other => Err(other),
            },
            None => Err(RuntimeError::Unreachable(format!(
                "the container engine at {} closed the connection; is it restarting?",
                self.host
            ))),
        }
    }

    fn sign(&self, message: EventMessage, suspects: &mut Suspects) -> Option<Sign> {
        let actor = message.actor?;
        let attributes = actor.attributes?;
        let run = self.run_of(&attributes)?;
        let container = actor.id?;
        match message.action?.as_str() {
            "start" => Some(Sign::Up { run, container }),
            "destroy" | "remove" => Some(Sign::Gone { run, container }),
            "kill" => {
                if attributes.get("signal").is_none_or(|signal| signal == SIGKILL) {
                    suspects.insert(container.clone());
                }
                Some(Sign::Killed { run, container })
            }
            "oom" => {
                suspects.insert(container);
                None
            }
            "die" | "died" => {
                let is_suspect =
                    suspects.remove(&container) || is_podmans(&attributes) || has_memory_limit(&attributes);
                let code = attributes.get("exitCode").and_then(|code| code.parse().ok());
                let at = message.time_nano.and_then(|nanos| Timestamp::from_nanosecond(nanos.into()).ok());
                Some(match code {
                    Some(KILLED) if is_suspect => Sign::Doubtful { run, container, code },
                    None => Sign::Doubtful { run, container, code },
                    Some(code) => {
                        Sign::Exited { run, container, exit: Exit { code, out_of_memory: false, at } }
                    }
                })
            }
            _ => None,
        }
    }
}

/// Podman tells of no kill where it removes a container by force.
fn is_podmans(attributes: &HashMap<String, String>) -> bool {
    attributes.contains_key("containerExitCode")
}

/// The engine's own word for it, `oom`, may come after the end.
fn has_memory_limit(labels: &HashMap<String, String>) -> bool {
    let task = labels.get(SPEC).and_then(|spec| serde_json::from_str::<Task>(spec).ok());
    task.is_some_and(|task| task.spec.memory_bytes > 0)
}
