//! Model: everything that decides what the screen shows. Changed by `update` alone; knows no terminal.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use ratatui::layout::Rect;
use tui_input::Input;

use crate::cluster::{Change, Cluster, Revision};
use crate::manager::why::Why;
use crate::task::{TaskId, WorkerId};

use super::keymap::{Command, Context, Keymap};
use super::layout::{Layout, Pane, layout};
use super::loads::Loads;
use super::logs::Logs;
use super::submit_form::SubmitForm;
use super::task_list::TaskList;
use super::theme::Theme;

/// How long a confirmed stop can be taken back.
pub(super) const TAKE_BACK: SignedDuration = SignedDuration::from_secs(5);

const CUT_OF_A_MOMENT: SignedDuration = SignedDuration::from_secs(1);

/// The dashboard's state.
#[derive(Debug)]
pub struct Model {
    pub(super) now: Timestamp,
    pub(super) zone: TimeZone,
    pub(super) area: Rect,
    pub(super) theme: Theme,
    pub(super) title: Title,
    pub(super) keymap: Keymap,

    /// The mirror.
    pub(super) cluster: Cluster,
    pub(super) link: Link,
    pub(super) loads: Loads,
    /// How many tasks each worker has that did not end.
    pub(super) live_tasks: HashMap<WorkerId, usize>,
    /// Long work under way: "pulling 37 %".
    pub(super) progress: HashMap<TaskId, String>,

    pub(super) focus: Pane,
    pub(super) is_zoomed: bool,
    pub(super) tasks: TaskList,
    pub(super) cursors: Cursors,
    pub(super) marks: HashSet<TaskId>,
    pub(super) filter_input: Option<FilterInput>,
    pub(super) overlay: Option<Overlay>,
    /// The form that was closed without a submit: nothing typed is lost.
    pub(super) draft: Option<SubmitForm>,
    pub(super) countdown: Option<Countdown>,
    pub(super) message: Option<Message>,
    /// What waits for its own submit to come back in the feed, to be selected then.
    pub(super) select_when_seen: Option<TaskId>,
    /// How often logs were asked for: what belongs to an earlier request is passed over.
    pub(super) log_requests: u64,

    pub(super) is_focused: bool,
    /// The mirror's revision when the terminal lost the focus.
    pub(super) looked_away_at: Option<Revision>,
    pub(super) needs_draw: bool,
}

/// Words that the starter of the dashboard knows.
#[derive(Clone, Debug)]
pub struct Title {
    /// What the cluster is called: `local`, or where it is attached.
    pub cluster: String,
    /// What happens to the containers on quit, in a few words.
    pub on_quit: String,
    /// The manager is in this process, and may go on without it: `q` asks.
    pub own: Option<OwnManager>,
}

/// A manager that ends with the dashboard, or is left running.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnManager {
    /// The worker that ends with it; its containers run on.
    pub local_worker: Option<WorkerId>,
}

impl Default for Title {
    fn default() -> Self {
        Self { cluster: "local".to_owned(), on_quit: "containers keep running".to_owned(), own: None }
    }
}

/// How fresh the mirror is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Link {
    /// Nothing was seen yet; why the last try failed, if one did.
    Connecting(Option<String>),
    Live,
    /// What is shown is as old as this.
    Cut {
        reason: String,
        since: Timestamp,
    },
}

/// What is selected in each list: by name, never by row; and how many rows of the window stand above it.
#[derive(Clone, Debug, Default)]
pub(super) struct Cursors {
    pub(super) worker: Option<WorkerId>,
    pub(super) workers_above: usize,
    /// A place in `pending`; the next one after it when that has gone.
    pub(super) pending: Option<Revision>,
    pub(super) pending_above: usize,
    pub(super) task: Option<TaskId>,
    /// Where the selected task stood last, for when the filter hides it.
    pub(super) task_rank: usize,
    pub(super) tasks_above: usize,
    /// `None` follows the newest.
    pub(super) event: Option<Revision>,
    pub(super) events_above: usize,
}

/// The filter while it is typed, and the one to go back to.
#[derive(Clone, Debug)]
pub(super) struct FilterInput {
    pub(super) input: Input,
    pub(super) before: String,
}

#[derive(Clone, Debug)]
pub(super) enum Overlay {
    Help {
        scroll: usize,
    },
    Detail(Detail),
    Confirm(Confirm),
    /// What is to become of a worker.
    Cordon(WorkerId),
    Quit(QuitQuestion),
    Form(Box<SubmitForm>),
    Logs(Box<Logs>),
    Why(Box<WhyView>),
}

/// Why a task is where it is: the manager's answer.
#[derive(Clone, Debug)]
pub(super) struct WhyView {
    pub(super) task: TaskId,
    /// The last one, or why there is none.
    pub(super) answer: Option<Result<Box<Why>, String>>,
    /// The mirror's revision when it was asked.
    pub(super) asked_at: Revision,
    pub(super) is_asking: bool,
    pub(super) scroll: usize,
}

/// One task, opened.
#[derive(Clone, Debug)]
pub(super) struct Detail {
    pub(super) task: TaskId,
    /// Its part of the event_db, the oldest first; kept up with the feed.
    pub(super) history: Vec<Arc<Change>>,
    pub(super) scroll: usize,
}

/// The question before a stop, or before a restart of what runs.
#[derive(Clone, Debug)]
pub(super) struct Confirm {
    pub(super) wish: Wish,
    pub(super) tasks: Vec<TaskId>,
    /// How many of those asked for had ended or were stopping already.
    pub(super) left_out: usize,
    /// The button that does it has the focus; Cancel is the default.
    pub(super) yes_is_focused: bool,
}

/// What is asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    Stop,
    Restart,
}

/// The question before a manager of ours ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct QuitQuestion {
    /// Exclusive tasks of workers in other processes, which stop them when no manager renews their lease.
    pub(super) exclusive_elsewhere: Vec<TaskId>,
}

/// A confirmed stop that is not sent yet.
#[derive(Clone, Debug)]
pub(super) struct Countdown {
    pub(super) tasks: Vec<TaskId>,
    /// A few names, for the status line.
    pub(super) names: String,
    pub(super) until: Timestamp,
}

#[derive(Clone, Debug)]
pub(super) struct Message {
    pub(super) text: String,
    pub(super) is_error: bool,
    pub(super) until: Timestamp,
}

impl Model {
    pub fn new(theme: Theme, title: Title, zone: TimeZone, now: Timestamp, width: u16, height: u16) -> Self {
        Self {
            now,
            zone,
            area: Rect::new(0, 0, width, height),
            theme,
            title,
            keymap: Keymap::default(),
            cluster: Cluster::default(),
            link: Link::Connecting(None),
            loads: Loads::default(),
            live_tasks: HashMap::new(),
            progress: HashMap::new(),
            focus: Pane::Tasks,
            is_zoomed: false,
            tasks: TaskList::default(),
            cursors: Cursors::default(),
            marks: HashSet::new(),
            filter_input: None,
            overlay: None,
            draft: None,
            countdown: None,
            message: None,
            select_when_seen: None,
            log_requests: 0,
            is_focused: true,
            looked_away_at: None,
            needs_draw: true,
        }
    }

    /// With what the user put on other keys.
    #[must_use]
    pub fn with_keymap(self, keymap: Keymap) -> Self {
        Self { keymap, ..self }
    }

    /// The mirror, as far as it has been folded.
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// Whether something visible changed since this was asked last.
    pub fn take_needs_draw(&mut self) -> bool {
        std::mem::take(&mut self.needs_draw)
    }

    /// When the time alone will change something, at the latest.
    pub fn next_wake(&self) -> Option<Timestamp> {
        let next_second = || {
            let into_second = SignedDuration::from_nanos(self.now.subsec_nanosecond().into());
            self.now + SignedDuration::from_secs(1) - into_second
        };
        let ticks = self.is_focused || self.countdown.is_some();
        let message = self.message.as_ref().map(|message| message.until);
        let countdown = self.countdown.as_ref().map(|countdown| countdown.until);
        [ticks.then(next_second), message, countdown].into_iter().flatten().min()
    }

    /// Why nothing can be changed now. A cut of a moment is none: what is asked for waits that long anyway.
    pub(super) fn obstacle(&self) -> Option<String> {
        let why = match &self.link {
            Link::Live | Link::Connecting(None) => return None,
            Link::Cut { since, .. } if self.now.duration_since(*since) < CUT_OF_A_MOMENT => return None,
            Link::Cut { reason, .. } => format!("cut off from the manager ({reason})"),
            Link::Connecting(Some(reason)) => format!("no manager yet ({reason})"),
        };
        Some(format!("{why}; nothing was sent, ask again once it says LIVE"))
    }

    /// The key to the tasks' pane, for texts.
    pub(super) fn tasks_key(&self) -> String {
        self.keymap.key(Context::Panes, Command::Pane(Pane::Tasks))
    }

    pub(super) fn layout(&self) -> Layout {
        layout(self.area, self.focus, self.is_zoomed)
    }

    /// How many rows of `pane` are on the screen.
    pub(super) fn rows(&self, pane: Pane) -> usize {
        pane.rows(self.layout().pane(pane))
    }

    pub(super) fn say(&mut self, text: impl Into<String>) {
        let until = self.now + SignedDuration::from_secs(8);
        self.message = Some(Message { text: text.into(), is_error: false, until });
    }

    pub(super) fn say_error(&mut self, text: impl Into<String>) {
        let until = self.now + SignedDuration::from_secs(60);
        self.message = Some(Message { text: text.into(), is_error: true, until });
    }

    /// What people call a task.
    pub(super) fn name_of(&self, task: TaskId) -> String {
        match self.cluster.row(task) {
            Some(row) if !row.name().is_empty() => row.name().to_owned(),
            _ => task.short(),
        }
    }

    /// The task that the keys of the focused pane are about.
    pub(super) fn task_at_hand(&self) -> Option<TaskId> {
        match self.focus {
            Pane::Tasks => self.cursors.task,
            Pane::Pending => self.pending_at_cursor().map(|(_, task)| task),
            Pane::Events => {
                let revision = self.cursors.event.unwrap_or(self.cluster.revision());
                self.event_at(revision).and_then(|change| change.what.task_id())
            }
            Pane::Workers | Pane::Stats => None,
        }
    }

    /// The selected place in `pending`: that of the cursor, or the next, or the last.
    pub(super) fn pending_at_cursor(&self) -> Option<(Revision, TaskId)> {
        let from = self.cursors.pending.unwrap_or(0);
        self.cluster.pending_range(from..).next().or_else(|| self.cluster.pending_range(..).next_back())
    }

    /// The Change with this revision, if it is still kept.
    pub(super) fn event_at(&self, revision: Revision) -> Option<&Arc<Change>> {
        let back = usize::try_from(self.cluster.revision().checked_sub(revision)?).ok()?;
        self.cluster.event_db().iter().rev().nth(back)
    }

    /// The worker that the stats pane shows: the selected one, or the first.
    pub(super) fn worker_at_cursor(&self) -> Option<usize> {
        let workers = self.cluster.workers();
        let selected = self.cursors.worker.as_ref();
        let index = selected.and_then(|id| workers.iter().position(|worker| worker.id == *id));
        index.or((!workers.is_empty()).then_some(0))
    }
}
