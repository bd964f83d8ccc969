//! Event and Action: all that reaches the dashboard, in one order, and all that it asks for. Plain values.

use jiff::Timestamp;
use ratatui::crossterm::event::KeyEvent;

use crate::cluster::{Cluster, FeedItem};
use crate::manager::logs::LogItem;
use crate::manager::plan::Plan;
use crate::manager::request::{Drained, RequestError, Restarted, Stopping, Submitted, WorkerWish};
use crate::manager::why::Why;
use crate::task::{TaskEvent, TaskId};
use crate::worker::runtime::LogsQuery;

use super::model::Title;

/// What the model is told.
#[derive(Debug)]
pub enum Event {
    /// What time it is now; comes before the events of a turn.
    Clock(Timestamp),
    /// A key was pressed (releases are left out before).
    Key(KeyEvent),
    Paste(String),
    Resize {
        width: u16,
        height: u16,
    },
    Focus {
        is_focused: bool,
    },
    /// What this is a dashboard of is known now.
    Opened(Title),
    /// A watch began: the mirror starts over from here.
    Watching(Box<Cluster>),
    Feed(FeedItem),
    /// The watch goes on where it was cut: the mirror stays, and what it missed follows.
    Resumed,
    /// The watch ended, and why; the next `Watching` or `Resumed` mends it.
    Cut(String),
    Submitted(Result<Vec<Submitted>, RequestError>),
    Stopped(Result<Vec<Stopping>, RequestError>),
    AvailabilitySet(Result<Drained, RequestError>),
    Restarted(Result<Vec<Restarted>, RequestError>),
    /// Why this task is where it is.
    Why {
        task: TaskId,
        result: Result<Box<Why>, RequestError>,
    },
    /// Where what was typed so far would go.
    Planned(Result<Plan, RequestError>),
    /// What tasks say: items of the request with this number.
    Logs {
        request: u64,
        items: Vec<LogItem>,
    },
    /// That request has come to nothing, and why.
    LogsCut {
        request: u64,
        reason: String,
    },
    /// The shell that somebody had has ended; why, if not well.
    ShellEnded(Result<i64, String>),
    /// The text of the task file that `ReadTaskFile` named, or why it can't be read.
    TaskFile {
        name: String,
        purpose: Purpose,
        text: Result<String, String>,
    },
    /// Something outside went wrong that somebody at the screen should know.
    Notice(String),
    /// Somebody outside (a signal) wants the dashboard to end.
    Terminate,
}

/// What a task file is read for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    Preview,
    Submit,
}

/// What the model asks the runner for.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    Submit(Vec<TaskEvent>),
    Stop(Vec<TaskId>),
    SetAvailability(WorkerWish),
    Restart(Vec<TaskId>),
    ReadTaskFile(String, Purpose),
    /// Ask why this task is where it is.
    Why(TaskId),
    /// Ask where these would go.
    Plan(Vec<TaskEvent>),
    /// Ask for what tasks say, instead of what was asked for before.
    ReadLogs {
        request: u64,
        tasks: Vec<TaskId>,
        query: LogsQuery,
    },
    /// Nobody reads it any more.
    EndLogs,
    /// Lend the terminal to a shell in this task's container.
    Shell(TaskId),
    /// Put this into the clipboard of whoever sits at the terminal.
    Copy(String),
    /// Give the terminal back and stop the process until it is continued.
    Suspend,
    /// Finish what was asked for before, then end.
    Quit,
    /// The same, but the manager in this process is to go on without it.
    LeaveRunning,
}
