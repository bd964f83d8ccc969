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
use crate::task::TaskId;

use super::errands::{Errands, shell};
use super::event::{Action, Event};
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
        errands: Errands::new(options.home, sender.clone()),
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
    runner.errands.finish().await;
    result.map(|()| runner.outcome.unwrap_or(Outcome::Terminated))
}

struct Runner {
    model: Model,
    screen: Screen<BufWriter<Stdout>>,
    guard: TerminalGuard,
    clock: fn() -> Timestamp,
    errands: Errands,
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
                manager = &mut opening, if self.errands.manager().is_none() => Woken::Manager(manager),
                Some(notice) = notices.recv() => Woken::Event(Event::Notice(notice)),
                Some(answer) = self.errands.next() => Woken::Event(answer),
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
                    self.errands.open(manager);
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
        self.errands.end_logs();
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
                Action::Submit(events) => self.errands.submit(events),
                Action::Stop(tasks) => self.errands.stop(tasks),
                Action::SetAvailability(wish) => self.errands.set_availability(wish),
                Action::Restart(tasks) => self.errands.restart(tasks),
                Action::ReadTaskFile(path, purpose) => self.errands.read_task_file(path, purpose),
                Action::Why(task) => self.errands.why(task),
                Action::Plan(events) => self.errands.plan(events),
                Action::ReadLogs { request, tasks, query } => self.errands.read_logs(request, tasks, query),
                Action::EndLogs => self.errands.end_logs(),
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
            ended = shell(self.errands.manager().cloned(), task) => Event::ShellEnded(ended),
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
}

/// What waits in `input` now. Polled with the waker of this task and not with an idle one (`now_or_never`): the
/// stream keeps the first waker it is given until that was woken, and keys would wait for the next tick.
async fn poll_once(input: &mut EventStream) -> Poll<Option<io::Result<TerminalEvent>>> {
    std::future::poll_fn(|context| Poll::Ready(input.poll_next_unpin(context))).await
}
