//! What can happen at a point of virtual time. Knows no consequence.

use std::time::Duration;

use cube_tui::cluster::SchedulerName;
use cube_tui::manager::decide::{Input, Wish};
use cube_tui::manager::request::AvailabilityWish;
use cube_tui::task::{Task, TaskEvent, TaskId};
use cube_tui::worker::{self, report::Report};

/// Something that happens at a point of virtual time. A `life` counts the starts of a manager or worker: what was
/// under way for an earlier one is lost.
#[derive(Debug)]
pub enum Event {
    /// A user submits it, again and again until somebody says that it was accepted.
    Submit(Box<TaskEvent>),
    /// A user wants one of the tasks stopped.
    StopSome,
    /// The same, again and again until somebody says so.
    Stop(TaskId),
    /// A user wants a worker to take no work, to be emptied, or back.
    Availability {
        worker: usize,
        wish: AvailabilityWish,
    },
    Scheduler(SchedulerName),
    /// A user wants the load evened out, or to know how.
    Rebalance,
    /// A user wants one of the tasks started anew.
    RestartSome,
    /// The same, again and again until somebody says so.
    Restart(TaskId),
    Fault,
    /// A fault is over.
    Heal(Trouble),
    ManagerStart,
    ManagerTick {
        life: u32,
    },
    /// A POST arrives at worker `to`.
    Post {
        to: usize,
        wish: Wish,
        task: Task,
        life: u32,
        reply_is_lost: bool,
    },
    /// A renewal of its lease arrives at worker `to`.
    Renewal {
        to: usize,
        reading: Duration,
    },
    /// What became of a POST arrives at the manager.
    Answered {
        life: u32,
        input: Box<Input>,
    },
    /// A line of a report stream arrives at the manager.
    Line {
        from: usize,
        session: u64,
        report: Box<Report>,
    },
    /// The manager's end of a stream finds it broken.
    Cut {
        worker: usize,
        session: u64,
    },
    Connect {
        worker: usize,
        life: u32,
    },
    Heartbeat {
        worker: usize,
        life: u32,
    },
    WorkerStart {
        worker: usize,
    },
    /// The engine works on an effect of a worker.
    Engine {
        worker: usize,
        life: u32,
        effect: Box<worker::Effect>,
    },
    /// A worker hears of something on its own machine.
    Tell {
        worker: usize,
        life: u32,
        input: Box<worker::Input>,
    },
    /// A container's program ends by itself.
    Exit {
        worker: usize,
        container: String,
        code: i64,
    },
}

/// A fault that lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// What is sent to, or said by, a worker gets lost.
    Partition {
        worker: usize,
        direction: Direction,
    },
    /// The link is up for a second and down for a second, so many more times.
    Flapping {
        worker: usize,
        times: u32,
    },
    HungEngine {
        worker: usize,
    },
    FullDisk,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    Both,
    ToWorker,
    FromWorker,
}

impl Event {
    /// Whether it waits while the manager stands still.
    pub fn is_for_manager(&self) -> bool {
        match self {
            Self::Submit(_)
            | Self::Stop(_)
            | Self::StopSome
            | Self::Availability { .. }
            | Self::Scheduler(_)
            | Self::Rebalance
            | Self::Restart(_)
            | Self::RestartSome
            | Self::ManagerTick { .. }
            | Self::Answered { .. }
            | Self::Line { .. }
            | Self::Cut { .. }
            | Self::Connect { .. } => true,
            Self::Fault
            | Self::Heal(_)
            | Self::ManagerStart
            | Self::Post { .. }
            | Self::Renewal { .. }
            | Self::Heartbeat { .. }
            | Self::WorkerStart { .. }
            | Self::Engine { .. }
            | Self::Tell { .. }
            | Self::Exit { .. } => false,
        }
    }

    /// The worker that has to run for it, if one has to: it waits while that one stands still.
    pub fn for_worker(&self) -> Option<usize> {
        match self {
            Self::Post { to: worker, .. }
            | Self::Renewal { to: worker, .. }
            | Self::Heartbeat { worker, .. }
            | Self::Tell { worker, .. } => Some(*worker),
            _ => None,
        }
    }
}
