//! The store alone: what a commit costs beside a bare redb commit of the same rows, how long a start reads, and the
//! manager's memory for a task (G9, G10, G13). `cargo bench --bench store`

#![expect(clippy::unwrap_used, reason = "a bench that fails may panic")]

mod measure;

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cube_tui::cluster::{Cause, Change, Revision, What, WorkerRecord};
use cube_tui::manager::store::{RedbStore, Store};
use cube_tui::task::{EventId, State, Task, TaskId, TaskSpec, TaskStatus, WorkerId};
use jiff::Timestamp;
use measure::{Goal, median, ms, per_second, status_of, tell, tell_load};
use redb::{Database, TableDefinition};

/// Enough for old Changes to be folded away all the while.
const ROUNDS: usize = 5;
const COMMITS: usize = 200;
/// Before a path: loads the store there, and nothing else.
const LOAD: &str = "load";
/// As many ended tasks as a manager keeps.
const ENDED: u64 = 10_000;
const PLAIN: TableDefinition<Revision, &[u8]> = TableDefinition::new("changes");

fn main() {
    if !measure::is_bench() {
        return;
    }
    if let Some(path) = std::env::args().skip_while(|argument| argument != LOAD).nth(1) {
        return load(Path::new(&path));
    }
    tell_load();
    beside_redb(1, "one by one");
    beside_redb(100, "in hundreds");
    read(100_000, Ends::Running);
    read(1_000_000, Ends::Running);
    read(1_000_000, Ends::Mixed);
    tell_load();
}

/// The life of tasks, three Changes each, as the manager has them: one after the other.
struct Life {
    revision: Revision,
    worker: WorkerId,
    waiting: Vec<What>,
    tasks: u64,
    ends: Ends,
}

/// How far the tasks of a life come.
#[derive(Clone, Copy, PartialEq)]
enum Ends {
    /// All to Running.
    Running,
    /// As in a large batch: a third waits, a third is Scheduled, a third runs, and the last ten thousand that ended
    /// are kept. They ask for the same under names of their own, and each spec is one of its own, as it comes in.
    Mixed,
}

impl Life {
    fn new(ends: Ends) -> Self {
        let worker = WorkerId::from("worker-1");
        let record = WorkerRecord::new(worker.clone(), false, Timestamp::UNIX_EPOCH);
        Self { revision: 0, worker, waiting: vec![What::Worker { worker: record }], tasks: 0, ends }
    }

    fn next(&mut self) -> Arc<Change> {
        if self.waiting.is_empty() {
            self.task();
        }
        let what = self.waiting.remove(0);
        self.revision += 1;
        Arc::new(Change { revision: self.revision, time: Timestamp::now(), cause: Cause::Command, what })
    }

    fn task(&mut self) {
        let id = TaskId::random();
        let now = Timestamp::now();
        self.tasks += 1;
        let spec = TaskSpec {
            name: format!("render-{:06}", self.tasks),
            image: "shop/render:1.9".to_owned(),
            cmd: vec!["render".to_owned(), "--all".to_owned()],
            env: vec!["BUCKET=frames".to_owned()],
            memory_bytes: 64 << 20,
            ..TaskSpec::default()
        };
        let task = Task { id, spec: spec.into(), ..Task::default() };
        let status = TaskStatus {
            state: State::Running,
            container_id: "0123456789abcdef".repeat(4),
            start_time: Some(now),
            ..TaskStatus::default()
        };
        let worker = self.worker.clone();
        self.waiting = vec![
            What::Submitted { event: EventId::random(), task },
            What::scheduled(id, worker, 0),
            What::Observed { task: id, status: status.clone() },
        ];
        if self.ends == Ends::Mixed && self.tasks > ENDED {
            self.waiting.truncate(1 + usize::try_from(self.tasks % 3).unwrap_or(0));
        } else if self.ends == Ends::Mixed {
            let status =
                TaskStatus { state: State::Completed, finish_time: Some(now), exit_code: Some(0), ..status };
            self.waiting.push(What::Observed { task: id, status });
        }
    }

    fn some(&mut self, count: usize) -> Vec<Arc<Change>> {
        (0..count).map(|_| self.next()).collect()
    }
}

/// A bare redb that takes the same Changes as JSON, in turns with ours.
fn beside_redb(batch: usize, how: &str) {
    let folder = tempfile::tempdir().unwrap();
    let mut life = Life::new(Ends::Running);
    let mut store = RedbStore::open(&folder.path().join("changes.redb")).unwrap();
    let bare = Database::create(folder.path().join("bare.redb")).unwrap();
    // Past the point from which on old Changes are folded away.
    for _ in 0..4 {
        let changes = life.some(5_000);
        store.append(&changes).unwrap();
        append_bare(&bare, &changes);
    }
    let (mut ours, mut theirs, mut worst) = (Vec::new(), Vec::new(), Duration::ZERO);
    for _ in 0..ROUNDS {
        let rounds: Vec<_> = (0..COMMITS).map(|_| life.some(batch)).collect();
        let start = Instant::now();
        for changes in &rounds {
            let start = Instant::now();
            store.append(changes).unwrap();
            worst = worst.max(start.elapsed());
        }
        ours.push(per_second(COMMITS * batch, start.elapsed()));
        let start = Instant::now();
        for changes in &rounds {
            append_bare(&bare, changes);
        }
        theirs.push(per_second(COMMITS * batch, start.elapsed()));
    }
    tell("", &format!("Changes made durable, {how}"), median(&ours), "/s", Goal::None);
    tell("", &format!("bare redb, {how}"), median(&theirs), "/s", Goal::None);
    tell("G10", "  beside bare redb", median(&ours) / median(&theirs), "x", Goal::AtLeast(0.8));
    tell("", "  the longest commit", ms(worst), "ms", Goal::None);
}

fn append_bare(database: &Database, changes: &[Arc<Change>]) {
    let transaction = database.begin_write().unwrap();
    let mut table = transaction.open_table(PLAIN).unwrap();
    for change in changes {
        table.insert(change.revision, serde_json::to_vec(change).unwrap().as_slice()).unwrap();
    }
    drop(table);
    transaction.commit().unwrap();
}

/// A start's share of the store, and what stays in memory of it.
fn read(tasks: usize, ends: Ends) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("changes.redb");
    let mut life = Life::new(ends);
    let mut store = RedbStore::open(&path).unwrap();
    while life.tasks < tasks as u64 || !life.waiting.is_empty() {
        let left = tasks as u64 - life.tasks;
        let changes = if left > 1_000 { life.some(1_000) } else { life.some(1) };
        store.append(&changes).unwrap();
    }
    // As a manager does that is at rest.
    while store.has_put_off() {
        store.catch_up().unwrap();
    }
    drop(store);
    let (mut times, mut sizes) = (Vec::new(), Vec::new());
    for _ in 0..3 {
        // In a process of its own, as a start is.
        let program = std::env::current_exe().unwrap();
        let told = Command::new(program).args(["--bench", LOAD]).arg(&path).output().unwrap().stdout;
        let told = String::from_utf8(told).unwrap();
        let mut told = told.split_whitespace().map(|number| number.parse::<f64>().unwrap());
        assert_eq!(told.next(), Some(number(tasks as u64)));
        times.extend(told.next());
        sizes.extend(told.next());
    }
    let size = number(std::fs::metadata(&path).unwrap().len());
    tell(
        "G13",
        &format!("open and load {tasks} tasks{}", if ends == Ends::Mixed { ", mixed" } else { "" }),
        median(&times),
        "ms",
        Goal::None,
    );
    tell("", "  the file", size / 1_048_576.0, "MiB", Goal::None);
    let goal = if tasks < 1_000_000 { Goal::None } else { Goal::AtMost(256.0) };
    let a_task = median(&sizes) * 1_024.0 / number(tasks as u64);
    tell("G9", "  resident for a task, history and store included", a_task, "B", goal);
}

/// Prints how many tasks, the milliseconds, and the KiB that became resident.
fn load(path: &Path) {
    let resident = || status_of("/proc/self/status", "VmRSS");
    let (before, start) = (resident(), Instant::now());
    let mut store = RedbStore::open(path).unwrap();
    let cluster = store.load().unwrap();
    let time = ms(start.elapsed());
    println!("{} {time} {}", cluster.task_db().len(), resident() - before);
}

#[expect(clippy::cast_precision_loss, reason = "sizes of a bench")]
fn number(size: u64) -> f64 {
    size as f64
}
