//! TaskRow: a TaskRecord in a third of its size. A million of them are kept, so what most tasks have lies in it packed,
//! and what few have in a box of its own. What comes out is what went in. Knows no other row.

use std::collections::BTreeMap;
use std::sync::Arc;

use compact_str::CompactString;
use jiff::Timestamp;

use super::worker_tasks::{Seat, WorkerTaskMap};
use super::{Cause, Crashes, Moves, Preempted, Queued, Refusal, Revision, Serving, TaskRecord};
use crate::task::{Health, HostPort, State, Task, TaskId, TaskSpec, TaskStatus};

/// A task as the TaskDb keeps it.
#[expect(clippy::struct_excessive_bools, reason = "two are facts of the task, two say where other facts lie")]
#[derive(Clone, Debug)]
pub struct TaskRow {
    id: TaskId,
    /// Where the spec, which other tasks have too, has the name of one of those.
    name: Option<CompactString>,
    spec: Arc<TaskSpec>,
    submitted_at: Revision,
    submitted: Packed,
    changed: Packed,
    start_time: Packed,
    finish_time: Packed,
    reason: Option<Box<str>>,
    rare: Option<Box<Rare>>,
    generation: u32,
    restart_count: u32,
    /// [`NONE`] if it has none.
    exit_code: i32,
    pub(super) tried: Option<Seat>,
    /// Its entry of the `task_worker_map`.
    pub(super) worker: Option<Seat>,
    /// Its place among those of this worker.
    pub(super) place: u32,
    /// Where `has_container`: what its 64 hex digits say.
    container_id: [u8; 32],
    has_container: bool,
    state: State,
    desired: State,
    is_interrupted: bool,
    never_ran: bool,
    /// It waits in `pending` where and since when it came in.
    waits_since_submit: bool,
}

const NONE: i32 = i32::MIN;

/// What few tasks have.
#[derive(Clone, Debug, Default, PartialEq)]
struct Rare {
    queued: Option<Queued>,
    host_ports: BTreeMap<String, Vec<HostPort>>,
    health: Option<Box<Health>>,
    crashes: Crashes,
    moves: Option<Moves>,
    refusals: Vec<Refusal>,
    restart: Option<Cause>,
    forgiven_restarts: u32,
    attempts: u32,
    preempted: Option<Preempted>,
    serving: Option<Serving>,
    /// Those in another form than the usual one.
    container_id: String,
    exit_code: Option<i64>,
    /// All four, where one is centuries away.
    times: Option<[Option<Timestamp>; 4]>,
}

/// A time as nanoseconds since 1970.
#[derive(Clone, Copy, Debug)]
struct Packed(i64);

impl Packed {
    const NONE: Self = Self(i64::MIN);

    /// `None` if it does not fit.
    fn new(time: Option<Timestamp>) -> Option<Self> {
        let Some(time) = time else { return Some(Self::NONE) };
        let nanoseconds = i64::try_from(time.as_nanosecond()).ok()?;
        (nanoseconds != i64::MIN).then_some(Self(nanoseconds))
    }

    fn time(self) -> Option<Timestamp> {
        let is_set = self.0 != Self::NONE.0;
        is_set.then(|| Timestamp::from_nanosecond(self.0.into()).ok())?
    }
}

impl TaskRow {
    /// `spec` is like that of the record in all but perhaps the name.
    pub(super) fn new(record: TaskRecord, spec: Arc<TaskSpec>, workers: &mut WorkerTaskMap) -> Self {
        let name = &record.task.spec.name;
        let mut row = Self {
            id: record.task.id,
            name: (*name != spec.name).then(|| name.into()),
            spec,
            submitted_at: record.submitted_at,
            submitted: Packed::NONE,
            changed: Packed::NONE,
            start_time: Packed::NONE,
            finish_time: Packed::NONE,
            reason: None,
            rare: None,
            generation: 0,
            restart_count: 0,
            exit_code: NONE,
            tried: None,
            worker: None,
            place: 0,
            container_id: [0; 32],
            has_container: false,
            state: State::Pending,
            desired: State::Running,
            is_interrupted: false,
            never_ran: false,
            waits_since_submit: false,
        };
        row.set(record, workers);
        row
    }

    /// Takes over all but the spec and what a task is known by.
    pub(super) fn set(&mut self, record: TaskRecord, workers: &mut WorkerTaskMap) {
        let TaskRecord { task, desired, submitted, changed, queued, tried, attempts, .. } = record;
        let TaskRecord { crashes, moves, refusals, restart, forgiven_restarts, submitted_at, .. } = record;
        let TaskRecord { preempted, serving, .. } = record;
        let TaskStatus { state, generation, restart_count, container_id, host_ports, .. } = task.status;
        let TaskStatus { start_time, finish_time, exit_code, reason, health, .. } = task.status;
        let mut rare = Rare {
            host_ports,
            health,
            crashes,
            moves,
            refusals,
            restart,
            forgiven_restarts,
            attempts,
            preempted,
            serving,
            ..Rare::default()
        };

        let times = [Some(submitted), Some(changed), start_time, finish_time];
        if let [Some(submitted), Some(changed), Some(start), Some(finish)] = times.map(Packed::new) {
            [self.submitted, self.changed, self.start_time, self.finish_time] =
                [submitted, changed, start, finish];
        } else {
            rare.times = Some(times);
        }
        let first = Queued { position: submitted_at, since: submitted, retry_at: None };
        self.waits_since_submit = queued == Some(first);
        rare.queued = queued.filter(|queued| *queued != first);
        let code = exit_code.and_then(|code| i32::try_from(code).ok()).filter(|code| *code != NONE);
        self.exit_code = code.unwrap_or(NONE);
        rare.exit_code = exit_code.filter(|_| code.is_none());
        self.has_container = read_hex(&container_id, &mut self.container_id);
        if !self.has_container {
            rare.container_id = container_id;
        }
        self.reason = (!reason.is_empty()).then(|| reason.into_boxed_str());
        self.tried = tried.and_then(|worker| workers.seat(&worker));
        (self.generation, self.restart_count) = (generation, restart_count);
        (self.state, self.desired) = (state, desired);
        (self.is_interrupted, self.never_ran) = (task.status.is_interrupted, task.status.never_ran);
        self.rare = (rare != Rare::default()).then(|| Box::new(rare));
    }

    /// All that it says, with this spec.
    pub(super) fn record(&self, spec: Arc<TaskSpec>, workers: &WorkerTaskMap) -> TaskRecord {
        let rare = self.rare.as_deref();
        let [submitted, changed, start_time, finish_time] = self.times();
        let status = TaskStatus {
            state: self.state,
            generation: self.generation,
            restart_count: self.restart_count,
            container_id: self.container_id(),
            host_ports: rare.map(|rare| rare.host_ports.clone()).unwrap_or_default(),
            start_time,
            finish_time,
            exit_code: self.exit_code(),
            reason: self.reason().to_owned(),
            is_interrupted: self.is_interrupted,
            never_ran: self.never_ran,
            health: rare.and_then(|rare| rare.health.clone()),
        };
        TaskRecord {
            task: Task { id: self.id, spec, status },
            desired: self.desired,
            submitted_at: self.submitted_at,
            submitted: submitted.unwrap_or_default(),
            changed: changed.unwrap_or_default(),
            queued: self.queued(),
            tried: self.tried.map(|seat| workers.name(seat).clone()),
            attempts: rare.map(|rare| rare.attempts).unwrap_or_default(),
            crashes: rare.map(|rare| rare.crashes.clone()).unwrap_or_default(),
            moves: rare.and_then(|rare| rare.moves),
            refusals: rare.map(|rare| rare.refusals.clone()).unwrap_or_default(),
            restart: self.restart(),
            forgiven_restarts: rare.map(|rare| rare.forgiven_restarts).unwrap_or_default(),
            preempted: rare.and_then(|rare| rare.preempted.clone()),
            serving: rare.and_then(|rare| rare.serving.clone()),
        }
    }

    pub fn id(&self) -> TaskId {
        self.id
    }

    pub fn name(&self) -> &str {
        self.name.as_deref().unwrap_or(&self.spec.name)
    }

    /// What it asks for. The name in it may be that of another task which asks for the same: see [`Self::name`].
    pub fn spec(&self) -> &Arc<TaskSpec> {
        &self.spec
    }

    /// The spec with its own name.
    pub fn whole_spec(&self) -> Arc<TaskSpec> {
        match &self.name {
            None => Arc::clone(&self.spec),
            Some(name) => Arc::new(TaskSpec { name: name.to_string(), ..(*self.spec).clone() }),
        }
    }

    /// Whether some worker could not start it, since it last ran or was restarted.
    pub fn was_refused(&self) -> bool {
        self.rare.as_ref().is_some_and(|rare| !rare.refusals.is_empty())
    }

    pub fn state(&self) -> State {
        self.state
    }

    pub fn desired(&self) -> State {
        self.desired
    }

    pub fn generation(&self) -> u32 {
        self.generation
    }

    pub fn restart_count(&self) -> u32 {
        self.restart_count
    }

    pub fn submitted_at(&self) -> Revision {
        self.submitted_at
    }

    pub fn changed(&self) -> Timestamp {
        self.times()[1].unwrap_or_default()
    }

    pub fn reason(&self) -> &str {
        self.reason.as_deref().unwrap_or_default()
    }

    /// A stop was asked for and is not done yet.
    pub fn is_stopping(&self) -> bool {
        self.desired == State::Completed && !self.state.has_ended()
    }

    /// Who wants it started anew once it has ended.
    pub fn restart(&self) -> Option<Cause> {
        self.rare.as_ref()?.restart
    }

    /// Who needs its room, if it is being stopped for that.
    pub fn preempted(&self) -> Option<&Preempted> {
        self.rare.as_ref()?.preempted.as_ref()
    }

    /// Its run from before a move, which serves until the new one does.
    pub fn serving(&self) -> Option<&Serving> {
        self.rare.as_ref()?.serving.as_ref()
    }

    /// How often it had to leave its worker.
    pub fn moves(&self) -> Option<Moves> {
        self.rare.as_ref()?.moves
    }

    /// Since when its present run is up.
    pub fn start_time(&self) -> Option<Timestamp> {
        self.times()[2]
    }

    /// Set while it waits in `pending`.
    pub fn queued(&self) -> Option<Queued> {
        if self.waits_since_submit {
            let since = self.times()[0].unwrap_or_default();
            return Some(Queued { position: self.submitted_at, since, retry_at: None });
        }
        self.rare.as_ref()?.queued
    }

    pub(super) fn set_queued(&mut self, queued: Option<Queued>) {
        let first = Queued {
            position: self.submitted_at,
            since: self.times()[0].unwrap_or_default(),
            retry_at: None,
        };
        self.waits_since_submit = queued == Some(first);
        let queued = queued.filter(|queued| *queued != first);
        if queued.is_some() || self.rare.is_some() {
            self.rare.get_or_insert_default().queued = queued;
            self.rare.take_if(|rare| **rare == Rare::default());
        }
    }

    /// Submitted, changed, started, finished.
    fn times(&self) -> [Option<Timestamp>; 4] {
        self.rare.as_ref().and_then(|rare| rare.times).unwrap_or_else(|| {
            [self.submitted, self.changed, self.start_time, self.finish_time].map(Packed::time)
        })
    }

    fn exit_code(&self) -> Option<i64> {
        let usual = (self.exit_code != NONE).then_some(self.exit_code.into());
        usual.or_else(|| self.rare.as_ref()?.exit_code)
    }

    fn container_id(&self) -> String {
        if self.has_container {
            write_hex(&self.container_id)
        } else {
            self.rare.as_ref().map(|rare| rare.container_id.clone()).unwrap_or_default()
        }
    }
}

/// False if this is anything but 64 lowercase hex digits; then what is in `bytes` means nothing.
fn read_hex(text: &str, bytes: &mut [u8; 32]) -> bool {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let is_long_enough = rest.is_empty() && pairs.len() == bytes.len();
    is_long_enough
        && pairs.iter().zip(bytes).all(|([high, low], byte)| {
            let read = digit(*high).zip(digit(*low)).map(|(high, low)| high << 4 | low);
            *byte = read.unwrap_or_default();
            read.is_some()
        })
}

fn write_hex(bytes: &[u8; 32]) -> String {
    let digit = |half: u8| char::from(if half < 10 { b'0' + half } else { b'a' + half - 10 });
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

#[cfg(test)]
mod tests {
    use proptest::option;
    use proptest::prelude::*;

    use super::*;
    use crate::task::WorkerId;

    fn time() -> impl Strategy<Value = Timestamp> {
        let far = [Timestamp::MIN, Timestamp::MAX, Timestamp::UNIX_EPOCH];
        let near =
            any::<i64>().prop_map(|nanoseconds| Timestamp::from_nanosecond(nanoseconds.into()).unwrap());
        prop_oneof![4 => near, 1 => proptest::sample::select(far.to_vec())]
    }

    fn status() -> impl Strategy<Value = TaskStatus> {
        let code = prop_oneof![any::<i64>(), Just(i64::from(NONE)), 0..256_i64];
        let container = prop_oneof!["", "[0-9a-f]{64}", "[0-9a-fA-Fx]{62,66}", "[a-z0-9-]{1,70}"];
        let ports = proptest::collection::btree_map("[0-9]{1,4}/tcp", Just(Vec::new()), 0..2);
        let state = proptest::sample::select(State::ALL.to_vec());
        (state, any::<(u32, u32, bool, bool)>(), container, ports, option::of(time()), option::of(time()))
            .prop_flat_map(move |(state, numbers, container_id, host_ports, start_time, finish_time)| {
                let (generation, restart_count, is_interrupted, never_ran) = numbers;
                (option::of(code.clone()), "[a-z ]{0,9}").prop_map(move |(exit_code, reason)| TaskStatus {
                    state,
                    generation,
                    restart_count,
                    container_id: container_id.clone(),
                    host_ports: host_ports.clone(),
                    start_time,
                    finish_time,
                    exit_code,
                    reason,
                    is_interrupted,
                    never_ran,
                    health: None,
                })
            })
    }

    fn record() -> impl Strategy<Value = TaskRecord> {
        let crashes = (0..3_u32, any::<bool>(), "[a-z]{0,3}").prop_map(|(in_a_row, failed, last)| Crashes {
            in_a_row,
            failed,
            last,
        });
        let queued = (any::<u64>(), time(), option::of(time()))
            .prop_map(|(position, since, retry_at)| Queued { position, since, retry_at });
        let name = "[a-z]{0,40}";
        (
            name,
            status(),
            time(),
            time(),
            option::of(queued),
            option::of("[a-c]"),
            0..2_u32,
            crashes,
            any::<bool>(),
        )
            .prop_map(
                |(name, status, submitted, changed, queued, tried, attempts, crashes, waits)| {
                    let spec = TaskSpec { name, image: "busy:1".into(), ..TaskSpec::default() };
                    let task = Task { id: TaskId::random(), spec: Arc::new(spec), status };
                    let first = Queued { position: 7, since: submitted, retry_at: None };
                    TaskRecord {
                        queued: if waits { Some(first) } else { queued },
                        changed,
                        tried: tried.as_deref().map(WorkerId::from),
                        attempts,
                        restart: waits.then_some(Cause::Command),
                        forgiven_restarts: attempts,
                        preempted: waits
                            .then(|| Preempted { by: TaskId::random(), reason: "made room".into() }),
                        serving: (attempts > 0).then(|| Serving { worker: "a".into(), generation: attempts }),
                        crashes,
                        ..TaskRecord::new(task, 7, submitted)
                    }
                },
            )
    }

    proptest! {
        #[test]
        fn what_comes_out_is_what_went_in(first in record(), mut then in record()) {
            let mut workers = WorkerTaskMap::default();
            let model = Arc::new(TaskSpec { name: "other".into(), ..(*first.task.spec).clone() });
            let mut row = TaskRow::new(first.clone(), model, &mut workers);
            prop_assert_eq!(row.name(), &*first.task.spec.name);
            prop_assert_eq!(&row.record(row.whole_spec(), &workers), &first);
            // Nothing of what it was before stays.
            then.task.id = first.task.id;
            then.task.spec = Arc::clone(&first.task.spec);
            row.set(then.clone(), &mut workers);
            prop_assert_eq!(&row.record(row.whole_spec(), &workers), &then);
            for queued in [None, first.queued, then.queued] {
                row.set_queued(queued);
                then.queued = queued;
                prop_assert_eq!(&row.record(row.whole_spec(), &workers), &then);
            }
        }
    }

    #[test]
    fn a_row_is_small() {
        assert_eq!(size_of::<Option<TaskRow>>(), 176);
    }
}
