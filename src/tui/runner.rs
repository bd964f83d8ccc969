//! The runner: one loop that gathers Events, folds them, carries Actions out and draws when there is news.

use std::io::{self, BufWriter, IsTerminal, Stdout, Write as _};
use std::path::PathBuf;
use std::task::Poll;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt};
use jiff::{Timestamp, tz::TimeZone};
use ratatui::crossterm::event::{Event as TerminalEvent, EventStream, KeyEventKind};
use ratatui::crossterm::terminal;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::client::ManagerHandle;
use crate::cluster::Cause;
use crate::manager::request::{RequestError, WorkerWish};
use crate::task::{TaskEvent, TaskId};
use crate::worker::runtime::{Exec, LogsQuery};

use super::attach::{Ended, attach, terminal_size};
use super::event::{Action, Event, Purpose};
use super::feed::pump;
use super::keymap::Keymap;
use super::model::{Model, Title};
use super::screen::Screen;
use super::terminal::{InDashboard, TerminalGuard, clipboard, stop_process_group};
use super::theme::Theme;
use super::update::update;

/// Frames come no faster than this on the average: more would not be seen, and a burst of Changes is folded into
/// one. Two may follow each other at once, so that news right after a tick of the clock need not wait.
const FRAME: Duration = Duration::from_millis(16);
/// So many items may wait to be folded; the feed waits beyond.
const WAITING: usize = 4096;
/// How long a submit or a stop may take.
const REQUEST_DEADLINE: Duration = Duration::from_secs(15);
/// How long requests under way may hold up the end.
const LAST_REQUESTS: Duration = Duration::from_secs(3);
/// Items of logs that are folded together, when they are there together.
const LOG_ITEMS_TOGETHER: usize = 256;
/// Every image that has a shell has this one.
const SHELL: &str = "/bin/sh";
/// A task file is text somebody wrote; anything larger is a mistake.
const TASK_FILE_LIMIT: u64 = 16 << 20;

/// What a dashboard needs to run.
pub struct Options {
    /// Resolves to the manager to show. The first frame does not wait for it.
    pub manager: BoxFuture<'static, anyhow::Result<Opened>>,
    pub theme: Theme,
    pub title: Title,
    pub keymap: Keymap,
    /// What `~/` means in the path of a task file.
    pub home: Option<PathBuf>,
    pub clock: fn() -> Timestamp,
    /// Ends the dashboard from outside, as a signal does.
    pub shutdown: CancellationToken,
    /// What is said at the bottom, and the way to say it from outside.
    pub notices: (mpsc::Sender<String>, mpsc::Receiver<String>),
}

/// The manager to show, once it is there.
#[derive(Clone, Debug)]
pub struct Opened {
    pub manager: ManagerHandle,
    /// What it is called, if that was not known before.
    pub title: Option<Title>,
}

impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Options")
            .field("theme", &self.theme)
            .field("title", &self.title)
            .finish_non_exhaustive()
    }
}

impl Options {
    /// The defaults around a manager that is there already.
    pub fn new(manager: ManagerHandle) -> Self {
        Self::opening(std::future::ready(Ok(Opened { manager, title: None })))
    }

    /// The defaults around a manager that is still starting.
    pub fn opening(manager: impl Future<Output = anyhow::Result<Opened>> + Send + 'static) -> Self {
        Self {
            manager: manager.boxed(),
            theme: Theme { color: true },
            title: Title::default(),
            keymap: Keymap::default(),
            home: None,
            clock: Timestamp::now,
            shutdown: CancellationToken::new(),
            notices: mpsc::channel(16),
        }
    }
}

/// How the dashboard ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Somebody quit.
    Quit,
    /// Somebody quit, and the manager in this process is to go on.
    LeftRunning,
    /// SIGTERM, SIGHUP or the shutdown token.
    Terminated,
}

/// Runs the dashboard until somebody quits. The terminal is given back whatever happens.
pub async fn run(options: Options) -> anyhow::Result<Outcome> {
    InDashboard(Box::pin(run_inside(options))).await
}

async fn run_inside(options: Options) -> anyhow::Result<Outcome> {
    if !io::stdout().is_terminal() || !io::stdin().is_terminal() {
        anyhow::bail!("the dashboard needs a terminal; for scripts there is --no-ui");
    }
    let (notice_sender, notices) = options.notices;
    let guard = TerminalGuard::take(notice_sender).context("cannot take the terminal over")?;
    let (width, height) = terminal::size().unwrap_or((80, 24));
    let now = (options.clock)();
    let model = Model::new(options.theme, options.title, TimeZone::system(), now, width, height)
        .with_keymap(options.keymap);
    let (sender, events) = mpsc::channel(WAITING);
    let mut runner = Runner {
        model,
        // A frame is one write: whole, and one system call.
        screen: Screen::new(BufWriter::with_capacity(128 * 1024, io::stdout())),
        guard,
        clock: options.clock,
        home: options.home,
        manager: None,
        requests: JoinSet::new(),
        events: sender.clone(),
        reading: JoinSet::new(),
        shell: None,
        outcome: None,
        frames_until: Instant::now(),
    };
    // Before anything is waited for: who started this sees that it did.
    runner.draw_if_due()?;
    let cancel = CancellationToken::new();
    let _cancel_on_return = cancel.clone().drop_guard();
    let result =
        runner.turn_until_quit(options.manager, options.shutdown, events, sender, notices, &cancel).await;
    cancel.cancel();
    runner.finish().await;
    result.map(|()| runner.outcome.unwrap_or(Outcome::Terminated))
}

struct Runner {
    model: Model,
    screen: Screen<BufWriter<Stdout>>,
    guard: TerminalGuard,
    clock: fn() -> Timestamp,
    home: Option<PathBuf>,
    manager: Option<ManagerHandle>,
    requests: JoinSet<Event>,
    /// For what goes on for longer than a request.
    events: mpsc::Sender<Event>,
    /// The reader of logs, at most one.
    reading: JoinSet<()>,
    /// The task whose shell gets the terminal next.
    shell: Option<TaskId>,
    outcome: Option<Outcome>,
    /// Up to when the frames drawn so far fill the time.
    frames_until: Instant,
}

/// The signals that mean something to a dashboard.
struct Signals {
    terminate: Signal,
    hang_up: Signal,
    stop: Signal,
    go_on: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            hang_up: signal(SignalKind::hangup())?,
            stop: signal(SignalKind::from_raw(rustix::process::Signal::TSTP.as_raw()))?,
            go_on: signal(SignalKind::from_raw(rustix::process::Signal::CONT.as_raw()))?,
        })
    }
}

/// What ended a wait.
enum Woken {
    Event(Event),
    Terminal(Option<io::Result<TerminalEvent>>),
    Manager(anyhow::Result<Opened>),
    Stop,
    GoOn,
    Time,
}

impl Runner {
    /// The loop: wait, drain, fold, draw.
    async fn turn_until_quit(
        &mut self,
        mut opening: BoxFuture<'static, anyhow::Result<Opened>>,
        shutdown: CancellationToken,
        mut events: mpsc::Receiver<Event>,
        sender: mpsc::Sender<Event>,
        mut notices: mpsc::Receiver<String>,
        cancel: &CancellationToken,
    ) -> anyhow::Result<()> {
        let mut input = EventStream::new();
        let mut signals = Signals::new().context("cannot listen to signals")?;
        let mut pumps = JoinSet::new();
        let mut sender = Some(sender);
        while self.outcome.is_none() {
            let wait = self.wait();
            let woken = tokio::select! {
                biased;
                event = input.next() => Woken::Terminal(event),
                _ = signals.terminate.recv() => Woken::Event(Event::Terminate),
                _ = signals.hang_up.recv() => Woken::Event(Event::Terminate),
                () = shutdown.cancelled() => Woken::Event(Event::Terminate),
                _ = signals.stop.recv() => Woken::Stop,
                _ = signals.go_on.recv() => Woken::GoOn,
                manager = &mut opening, if self.manager.is_none() => Woken::Manager(manager),
                Some(notice) = notices.recv() => Woken::Event(Event::Notice(notice)),
                Some(answer) = self.requests.join_next() => Woken::Event(match answer {
                    Ok(event) => event,
                    Err(error) => Event::Notice(format!("a request failed: {error}")),
                }),
                Some(event) = events.recv() => Woken::Event(event),
                () = tokio::time::sleep(wait) => Woken::Time,
            };
            self.fold(Event::Clock((self.clock)()))?;
            match woken {
                Woken::Event(event) => self.fold(event)?,
                Woken::Terminal(event) => self.terminal_event(event)?,
                Woken::Manager(opened) => {
                    let Opened { manager, title } = opened?;
                    if let Some(title) = title {
                        self.fold(Event::Opened(title))?;
                    }
                    if let Some(sender) = sender.take() {
                        pumps.spawn(pump(manager.clone(), sender, cancel.clone()));
                    }
                    self.manager = Some(manager);
                }
                Woken::Stop => self.suspend()?,
                Woken::GoOn => self.resume()?,
                Woken::Time => {}
            }
            // All that waits is folded before one frame is drawn; keys first, and no more than what was
            // waiting when this began, so that a flood can't keep the frame away.
            while let Poll::Ready(event) = poll_once(&mut input).await {
                self.terminal_event(event)?;
            }
            for _ in 0..WAITING {
                let Ok(event) = events.try_recv() else { break };
                self.fold(event)?;
            }
            if let Some(task) = self.shell.take() {
                // Its reader would take keys that are the shell's.
                drop(input);
                self.lend_to_shell(task, &mut signals, &shutdown).await?;
                input = EventStream::new();
            }
            self.draw_if_due()?;
        }
        self.reading.shutdown().await;
        cancel.cancel();
        drop(events);
        while pumps.join_next().await.is_some() {}
        Ok(())
    }

    /// How long nothing needs to be done but on news.
    fn wait(&self) -> Duration {
        if self.model.needs_draw {
            return self.frames_until.saturating_duration_since(Instant::now()).saturating_sub(FRAME);
        }
        let now = (self.clock)();
        let until = self.model.next_wake().map(|at| at.duration_since(now));
        // Without a time of its own it sleeps; an hour is as good as for ever.
        until.map_or(Duration::from_hours(1), |until| until.try_into().unwrap_or(Duration::ZERO))
    }

    fn draw_if_due(&mut self) -> anyhow::Result<()> {
        let now = Instant::now();
        let is_due = self.frames_until <= now + FRAME;
        if is_due && self.model.take_needs_draw() {
            self.screen.show(&self.model).context("cannot write to the terminal")?;
            self.frames_until = self.frames_until.max(now) + FRAME;
        }
        Ok(())
    }

    fn terminal_event(&mut self, event: Option<io::Result<TerminalEvent>>) -> anyhow::Result<()> {
        let event = match event {
            None => return self.fold(Event::Terminate),
            Some(event) => event.context("cannot read from the terminal")?,
        };
        match event {
            TerminalEvent::Key(key) if key.kind == KeyEventKind::Press => self.fold(Event::Key(key)),
            TerminalEvent::Key(_) | TerminalEvent::Mouse(_) => Ok(()),
            TerminalEvent::Paste(text) => self.fold(Event::Paste(text)),
            TerminalEvent::Resize(width, height) => {
                self.screen.forget();
                self.fold(Event::Resize { width, height })
            }
            TerminalEvent::FocusGained => self.fold(Event::Focus { is_focused: true }),
            TerminalEvent::FocusLost => self.fold(Event::Focus { is_focused: false }),
        }
    }

    fn fold(&mut self, event: Event) -> anyhow::Result<()> {
        let is_signal = matches!(event, Event::Terminate);
        for action in update(&mut self.model, event) {
            match action {
                Action::Submit(events) => self.submit(events),
                Action::Stop(tasks) => self.stop(tasks),
                Action::SetAvailability(wish) => self.set_availability(wish),
                Action::Restart(tasks) => self.restart(tasks),
                Action::ReadTaskFile(path, purpose) => self.read_task_file(path, purpose),
                Action::Why(task) => self.why(task),
                Action::Plan(events) => self.plan(events),
                Action::ReadLogs { request, tasks, query } => self.read_logs(request, tasks, query),
                Action::EndLogs => self.reading.abort_all(),
                Action::Shell(task) => self.shell = Some(task),
                Action::Copy(text) => self.screen.send(&clipboard(&text))?,
                Action::Suspend => self.suspend()?,
                Action::Quit => {
                    self.outcome = Some(if is_signal { Outcome::Terminated } else { Outcome::Quit });
                }
                Action::LeaveRunning => self.outcome = Some(Outcome::LeftRunning),
            }
        }
        Ok(())
    }

    fn submit(&mut self, events: Vec<TaskEvent>) {
        let manager = self.manager.clone();
        self.requests.spawn(async move {
            Event::Submitted(match manager {
                None => Err(not_started()),
                Some(manager) => in_time(manager.submit(events, Cause::Dashboard)).await,
            })
        });
    }

    fn stop(&mut self, tasks: Vec<TaskId>) {
        let manager = self.manager.clone();
        self.requests.spawn(async move {
            Event::Stopped(match manager {
                None => Err(not_started()),
                Some(manager) => in_time(manager.stop(tasks, Cause::Dashboard)).await,
            })
        });
    }

    fn set_availability(&mut self, wish: WorkerWish) {
        let manager = self.manager.clone();
        self.requests.spawn(async move {
            Event::AvailabilitySet(match manager {
                None => Err(not_started()),
                Some(manager) => in_time(manager.set_availability(wish, Cause::Dashboard)).await,
            })
        });
    }

    fn restart(&mut self, tasks: Vec<TaskId>) {
        let manager = self.manager.clone();
        self.requests.spawn(async move {
            Event::Restarted(match manager {
                None => Err(not_started()),
                Some(manager) => in_time(manager.restart(tasks, Cause::Dashboard)).await,
            })
        });
    }

    fn why(&mut self, task: TaskId) {
        /// More rows than any screen has.
        const WORKERS: usize = 100;
        let manager = self.manager.clone();
        self.requests.spawn(async move {
            let result = match manager {
                None => Err(not_started()),
                Some(manager) => in_time(manager.why(&task.to_string(), WORKERS)).await,
            };
            Event::Why { task, result: result.map(Box::new) }
        });
    }

    fn plan(&mut self, events: Vec<TaskEvent>) {
        let manager = self.manager.clone();
        self.requests.spawn(async move {
            Event::Planned(match manager {
                None => Err(not_started()),
                Some(manager) => in_time(manager.plan(events)).await,
            })
        });
    }

    fn read_task_file(&mut self, name: String, purpose: Purpose) {
        let path = match (name.strip_prefix("~/"), &self.home) {
            (Some(rest), Some(home)) => home.join(rest),
            _ => PathBuf::from(&name),
        };
        self.requests.spawn(async move {
            let text = read_text(&path).await.map_err(|error| format!("cannot read {name}: {error}"));
            Event::TaskFile { name, purpose, text }
        });
    }

    fn read_logs(&mut self, request: u64, tasks: Vec<TaskId>, query: LogsQuery) {
        self.reading.abort_all();
        while self.reading.try_join_next().is_some() {}
        let (manager, events) = (self.manager.clone(), self.events.clone());
        self.reading.spawn(read_logs(manager, request, tasks, query, events));
    }

    /// The terminal is the shell's until that ends; the signals that end a dashboard end it, too.
    async fn lend_to_shell(
        &mut self,
        task: TaskId,
        signals: &mut Signals,
        shutdown: &CancellationToken,
    ) -> anyhow::Result<()> {
        self.guard.lend();
        io::stdout().flush()?;
        let name = self.model.name_of(task);
        println!("a shell in {}; `exit` or ^D goes back to the dashboard\r", super::clean::clean(&name));
        let ended = tokio::select! {
            ended = shell(self.manager.clone(), task) => Event::ShellEnded(ended),
            _ = signals.terminate.recv() => Event::Terminate,
            _ = signals.hang_up.recv() => Event::Terminate,
            () = shutdown.cancelled() => Event::Terminate,
        };
        self.resume()?;
        self.fold(Event::Clock((self.clock)()))?;
        self.fold(ended)
    }

    fn suspend(&mut self) -> anyhow::Result<()> {
        self.guard.lend();
        io::stdout().flush()?;
        stop_process_group().context("cannot suspend")?;
        self.resume()
    }

    /// Also after a stop that was not ours: whoever had the terminal meanwhile has changed it.
    fn resume(&mut self) -> anyhow::Result<()> {
        self.guard.retake().context("cannot take the terminal over again")?;
        self.screen.forget();
        let (width, height) = terminal::size().unwrap_or((80, 24));
        self.fold(Event::Resize { width, height })
    }

    /// Lets requests under way arrive: a stop that was confirmed is not forgotten.
    async fn finish(&mut self) {
        let all = async { while self.requests.join_next().await.is_some() {} };
        if tokio::time::timeout(LAST_REQUESTS, all).await.is_err() {
            self.requests.shutdown().await;
        }
    }
}

/// What waits in `input` now. Polled with the waker of this task and not with an idle one (`now_or_never`): the
/// stream keeps the first waker it is given until that was woken, and keys would wait for the next tick.
async fn poll_once(input: &mut EventStream) -> Poll<Option<io::Result<TerminalEvent>>> {
    std::future::poll_fn(|context| Poll::Ready(input.poll_next_unpin(context))).await
}

/// Passes on what tasks say, as fast as it is folded.
async fn read_logs(
    manager: Option<ManagerHandle>,
    request: u64,
    tasks: Vec<TaskId>,
    query: LogsQuery,
    events: mpsc::Sender<Event>,
) {
    let asked = match manager {
        None => Err(not_started()),
        Some(manager) => in_time(manager.logs(tasks, query)).await,
    };
    let cut = |error: RequestError| Event::LogsCut { request, reason: error.to_string() };
    let items = match asked {
        Ok(items) => items,
        Err(error) => {
            // Nobody is there any more to hear it.
            let _ = events.send(cut(error)).await;
            return;
        }
    };
    // Who has said nothing may say nothing for long.
    if events.send(Event::Logs { request, items: Vec::new() }).await.is_err() {
        return;
    }
    let mut chunks = items.ready_chunks(LOG_ITEMS_TOGETHER);
    while let Some(chunk) = chunks.next().await {
        let mut items = Vec::with_capacity(chunk.len());
        let mut error = None;
        for item in chunk {
            match item {
                Ok(item) => items.push(item),
                Err(failed) => error = Some(failed),
            }
        }
        if events.send(Event::Logs { request, items }).await.is_err() {
            return;
        }
        if let Some(error) = error {
            let _ = events.send(cut(error)).await;
        }
    }
}

/// A shell in a task's container, on this terminal.
async fn shell(manager: Option<ManagerHandle>, task: TaskId) -> Result<i64, String> {
    let manager = manager.ok_or_else(|| not_started().to_string())?;
    let exec = Exec {
        cmd: vec![SHELL.to_owned()],
        tty: Some(terminal_size()),
        stdin: true,
        env: vec!["TERM=xterm-256color".to_owned()],
        user: None,
    };
    let connection = in_time(manager.exec(task, &exec)).await.map_err(|error| error.to_string())?;
    match attach(connection, true, true).await {
        Ok(Ended::Exit(code)) => Ok(code),
        Ok(Ended::Failed(why)) => Err(why),
        Err(error) => Err(format!("the terminal failed: {error}")),
    }
}

async fn in_time<T>(request: impl Future<Output = Result<T, RequestError>>) -> Result<T, RequestError> {
    let late = |_| RequestError::Unreachable("the manager did not answer in time".to_owned());
    tokio::time::timeout(REQUEST_DEADLINE, request).await.map_err(late)?
}

fn not_started() -> RequestError {
    RequestError::Unreachable("the manager has not started yet; try again in a moment".to_owned())
}

async fn read_text(path: &std::path::Path) -> io::Result<String> {
    let size = tokio::fs::metadata(path).await?;
    if !size.is_file() {
        return Err(io::Error::other("it is not a file"));
    }
    if size.len() > TASK_FILE_LIMIT {
        return Err(io::Error::other("it is larger than 16 MiB"));
    }
    tokio::fs::read_to_string(path).await
}
