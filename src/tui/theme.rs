//! How things look: a glyph, a word and a tone for every state, and a style for every tone. Knows no layout.

use ratatui::style::{Color, Modifier, Style};

use crate::cluster::{Availability, Cluster, TaskRecord, WorkerHealth, WorkerRecord};
use crate::task::State;

/// What a style is for. Only the 16 colours of every terminal are used, and nothing is told by colour alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tone {
    Plain,
    Dim,
    Strong,
    Accent,
    Good,
    Busy,
    Wait,
    Warn,
    Bad,
}

/// With or without colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Theme {
    pub color: bool,
}

impl Theme {
    pub(super) fn style(self, tone: Tone) -> Style {
        let style = match tone {
            Tone::Plain => Style::new(),
            Tone::Dim => Style::new().add_modifier(Modifier::DIM),
            Tone::Strong => Style::new().add_modifier(Modifier::BOLD),
            Tone::Accent => Style::new().fg(Color::Cyan).add_modifier(Modifier::BOLD),
            Tone::Good => Style::new().fg(Color::Green),
            Tone::Busy => Style::new().fg(Color::Cyan),
            Tone::Wait => Style::new().fg(Color::Yellow),
            Tone::Warn => Style::new().fg(Color::Magenta),
            Tone::Bad => Style::new().fg(Color::Red).add_modifier(Modifier::BOLD),
        };
        if self.color { style } else { Style { fg: None, ..style } }
    }

    /// Laid over the selected row of the pane that has the keys.
    pub(super) fn selected() -> Style {
        // One bar in two colours: reversed cells of many colours would be a patchwork.
        Style::new().fg(Color::Reset).bg(Color::Reset).add_modifier(Modifier::REVERSED)
    }
}

/// How a task looks: its state, or what overrides it for the eye.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Face {
    Pending,
    /// Pending, because it crashed several times in a row.
    CrashLoop,
    Scheduled,
    Running,
    /// A stop was asked for and is not done.
    Stopping,
    /// Its worker is silent: nobody knows, so nobody says failed.
    Stale,
    Completed,
    Failed,
}

impl Face {
    pub(super) fn of(cluster: &Cluster, record: &TaskRecord) -> Self {
        let state = record.state();
        let is_silent =
            |worker: &WorkerRecord| matches!(worker.health, WorkerHealth::Stale | WorkerHealth::Lost);
        let is_on_silent_worker = || {
            // Mostly none is, and then nothing has to be looked up.
            if !cluster.workers().iter().any(is_silent) {
                return false;
            }
            let worker = cluster.worker_of(record.task.id).and_then(|worker| cluster.worker(worker));
            worker.is_some_and(is_silent)
        };
        match state {
            State::Completed => Self::Completed,
            State::Failed => Self::Failed,
            State::Scheduled | State::Running if is_on_silent_worker() => Self::Stale,
            State::Pending | State::Scheduled | State::Running if record.is_stopping() => Self::Stopping,
            State::Pending if record.crash_loop().is_some() => Self::CrashLoop,
            State::Pending => Self::Pending,
            State::Scheduled => Self::Scheduled,
            State::Running => Self::Running,
        }
    }

    pub(super) fn glyph(self) -> char {
        match self {
            Self::Pending => '◌',
            Self::CrashLoop => '↻',
            Self::Scheduled => '◔',
            Self::Running => '▸',
            Self::Stopping => '■',
            Self::Stale => '?',
            Self::Completed => '✓',
            Self::Failed => '✗',
        }
    }

    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::CrashLoop => "CrashLoop",
            Self::Scheduled => "Scheduled",
            Self::Running => "Running",
            Self::Stopping => "Stopping",
            Self::Stale => "stale",
            Self::Completed => "Completed",
            Self::Failed => "Failed",
        }
    }

    pub(super) fn tone(self) -> Tone {
        match self {
            Self::Pending => Tone::Wait,
            Self::Scheduled => Tone::Busy,
            Self::Running => Tone::Good,
            Self::Stopping | Self::Stale => Tone::Warn,
            Self::Completed => Tone::Dim,
            Self::CrashLoop | Self::Failed => Tone::Bad,
        }
    }
}

impl From<State> for Face {
    fn from(state: State) -> Self {
        match state {
            State::Pending => Self::Pending,
            State::Scheduled => Self::Scheduled,
            State::Running => Self::Running,
            State::Completed => Self::Completed,
            State::Failed => Self::Failed,
        }
    }
}

/// The glyph, the word and the tone of a worker.
pub(super) fn worker_face(worker: &WorkerRecord) -> (char, &'static str, Tone) {
    match worker.health {
        WorkerHealth::Ready if !worker.runtime_problem.is_empty() => ('!', "no engine", Tone::Bad),
        WorkerHealth::Ready if worker.availability != Availability::Active => {
            ('⊘', worker.availability.name(), Tone::Warn)
        }
        WorkerHealth::Ready => ('✓', "ready", Tone::Good),
        WorkerHealth::Connecting => ('◔', "connecting", Tone::Busy),
        WorkerHealth::Stale => ('?', "stale", Tone::Warn),
        WorkerHealth::Lost => ('✗', "lost", Tone::Bad),
    }
}
