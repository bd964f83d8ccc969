//! What a worker says of itself, a line of JSON each on `GET /v1/reports`, and what it answers to a batch of
//! events on `POST /v1/events`. Shared by both ends of the wire; knows neither.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::cluster::{Allows, Capacity, Facts, Progress, Sample};
use crate::task::Task;

/// A report at least this often, so that silence means trouble. Three may be missed before a worker is
/// stale, five before it is lost (within the ten seconds that faults.md allows).
pub const HEARTBEAT: Duration = Duration::from_secs(2);

/// One line of the report stream. It begins with `LeaseClock`, `Hello` and `Tasks`; then whatever happens.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Report {
    Hello(Hello),
    /// Everything it has, running and ended: what is not in here, it does not know.
    Tasks(Vec<Task>),
    /// One task changed.
    Task(Task),
    Progress(Progress),
    Sample(Sample),
    /// What a renewal of this worker's lease refers to; at least as often as a heartbeat.
    LeaseClock(LeaseClock),
    /// It lives. The text says why its container engine can't be used, and is empty when it can.
    Heartbeat {
        runtime_problem: String,
    },
}

/// The present by the clock of the worker's host, and whether an Exclusive task there lives by it.
///
/// A manager renews a lease by sending the reading back. So the lease ends [`LEASE`] after the reading was taken,
/// however late the renewal arrives; and who heard the reading knows that it was taken before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseClock {
    /// Milliseconds since the host's boot, with the time that it was suspended.
    pub since_boot_ms: u64,
    pub is_needed: bool,
}

/// How long after a renewed reading of its clock a worker lets an Exclusive task run: two renewals may get lost.
pub const LEASE: Duration = Duration::from_secs(5);

/// When its lease has ended, an Exclusive task gets no longer than this between SIGTERM and SIGKILL.
pub const LEASE_GRACE: Duration = Duration::from_secs(3);

/// Who answers here.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Hello {
    /// The id in the worker's data folder: the same over restarts and addresses.
    pub identity: Uuid,
    pub capacity: Capacity,
    /// As in a heartbeat: who learns that a worker is there learns at once whether it can run anything.
    pub runtime_problem: String,
    /// What constraints are about.
    #[serde(default)]
    pub facts: Facts,
    /// What this worker's own policy lets tasks do.
    #[serde(default)]
    pub allows: Allows,
}

/// The answer to one event of a batch, in the order of the batch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EventAnswer {
    /// As HTTP has it: 201 accepted, 204 stop accepted, 4xx refused, 503 not now.
    pub status: u16,
    /// Why not; empty when accepted.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
}
