//! What design.md promises, looked at after every step and once more when all has healed.

use std::collections::{BTreeMap, BTreeSet};

use cube_tui::cluster::{
    Availability, Cause, Change, Cluster, Resources, TaskRecord, What, WorkerHealth, WorkerRecord,
};
use cube_tui::manager::decide::{Effect, move_backoff, must_be_new};
use cube_tui::task::{RestartPolicy, State, TaskId, WorkerId};
use cube_tui::worker::runtime::{FoundState, Run};

use crate::engine::{Behaviour, behaviour, refused_by};
use crate::world::World;

/// After every step that changed something.
pub fn always(world: &World) {
    what_was_acknowledged_is_stored(world);
    at_most_one_live_container_a_run(world);
    maps_name_the_same_pairs(world.manager_cluster());
    exclusive_tasks_never_overlap(world);
}

/// Invariant 1.
fn what_was_acknowledged_is_stored(world: &World) {
    for task in &world.acknowledged {
        assert!(world.stored.task(*task).is_some(), "acknowledged {task} is not in the store");
    }
    for task in &world.stopped {
        let record = world.stored.task(*task);
        let is_stopped = record
            .as_ref()
            .is_some_and(|record| record.desired == State::Completed || record.state().has_ended());
        assert!(is_stopped, "the stop of {task} is not in the store: {record:?}");
    }
}

/// Invariant 2.
fn at_most_one_live_container_a_run(world: &World) {
    let mut live: BTreeMap<Run, &str> = BTreeMap::new();
    for engine in world.engines() {
        for found in engine.live() {
            if let Some(other) = live.insert(found.run, &found.container) {
                panic!("{:?} runs twice: {other} and {}", found.run, found.container);
            }
        }
    }
}

/// What `Exclusive` promises.
fn exclusive_tasks_never_overlap(world: &World) {
    let mut live: BTreeMap<TaskId, Run> = BTreeMap::new();
    for host in world.workers.iter().filter(|host| !host.is_excused) {
        for found in host.engine.live().filter(|found| found.task.spec.exclusive) {
            if let Some(other) = live.insert(found.run.task, found.run) {
                panic!("Exclusive, and runs twice: {other:?} and {:?} on {}", found.run, host.id);
            }
        }
    }
}

/// Invariant 5, and that what waits is in `pending`.
fn maps_name_the_same_pairs(cluster: &Cluster) {
    let mut pairs = 0;
    for worker in cluster.workers() {
        for task in cluster.tasks_of(&worker.id) {
            pairs += 1;
            assert_eq!(cluster.worker_of(task), Some(&worker.id));
        }
    }
    let mut assigned = 0;
    for record in cluster.task_db() {
        assigned += usize::from(cluster.worker_of(record.task.id).is_some());
        assert_eq!(record.queued.is_some(), record.state() == State::Pending, "{record:?}");
    }
    assert_eq!(pairs, assigned);
}

/// A decision sends a worker the same wish once.
pub fn nothing_is_sent_twice(effects: &[Effect]) {
    for (index, effect) in effects.iter().enumerate() {
        assert!(!effects[..index].contains(effect), "sent twice: {effect:?}");
    }
}

/// Invariants 3 and 4, over a Change and the cluster before it.
pub fn change_is_legal(before: &Cluster, change: &Change) {
    let record = || {
        let task = change.what.task_id().expect("a Change of a task");
        before.task(task).unwrap_or_else(|| panic!("of a task that is not known: {change:?}"))
    };
    nothing_is_promised_twice(before, change);
    match &change.what {
        What::Observed { status, .. } => {
            let record = record();
            let ours = record.status();
            assert!(ours.state.can_become(status.state), "{} before {change:?}", ours.state);
            assert_eq!(ours.generation, status.generation, "another generation's report: {change:?}");
            assert_eq!(ours.restart_count, status.restart_count, "{change:?}");
        }
        What::Scheduled { worker, generation, .. } => {
            let record = record();
            if record.queued.is_some() {
                // One that runs although its start was given up is taken back as it is.
                let is_taken_back = change.cause == Cause::WorkerReport;
                let expected =
                    if is_taken_back { record.status().generation } else { next_generation(&record, worker) };
                assert_eq!(*generation, expected, "{change:?}");
            } else {
                // Its worker goes by another name now.
                let home = before.worker_of(record.task.id).and_then(|home| before.worker(home));
                assert!(home.is_some_and(|home| home.health == WorkerHealth::Lost), "{change:?} {record:?}");
                assert_eq!(*generation, record.status().generation, "{change:?}");
            }
        }
        What::Moved { task, from, worker, generation, .. } => {
            let record = record();
            assert!(matches!(record.state(), State::Scheduled | State::Running), "{change:?} {record:?}");
            assert!(record.is_wanted(), "{change:?}");
            assert_eq!(before.worker_of(*task), Some(from), "{change:?}");
            assert_eq!(*generation, record.status().generation + 1, "{change:?}");
            let health = |worker| before.worker(worker).map(|worker| worker.health);
            let drained = before.worker(from).map(|from| from.availability);
            let is_drained = matches!(drained, Some(Availability::Draining { .. }));
            let is_lost = health(from) == Some(WorkerHealth::Lost);
            let is_evened_out = change.cause == Cause::Rebalance && health(from) == Some(WorkerHealth::Ready);
            assert!(is_lost || is_drained || is_evened_out, "moved without a cause: {change:?}");
            if is_evened_out {
                let is_at_rest = (record.state(), record.desired) == (State::Running, State::Running);
                let is_bound = record.task.spec.exclusive || record.serving.is_some();
                assert!(is_at_rest && !is_bound && !moved_lately(&record, change), "{change:?} {record:?}");
            }
            assert_eq!(health(worker), Some(WorkerHealth::Ready), "{change:?}");
        }
        What::Preempted { by, .. } => {
            let record = record();
            let by = before.task(*by).unwrap_or_else(|| panic!("for nobody: {change:?}"));
            assert!(matches!(record.state(), State::Scheduled | State::Running), "{change:?} {record:?}");
            assert_eq!(record.desired, State::Running, "{change:?} {record:?}");
            assert!(by.task.spec.preempt && by.queued.is_some(), "{change:?} {by:?}");
            assert!(by.task.spec.priority > record.task.spec.priority, "{change:?} {by:?}");
            assert!(!moved_lately(&record, change), "{change:?} {record:?}");
        }
        What::Refused { task, worker, to, generation, .. } => {
            let record = record();
            assert_eq!((record.state(), record.desired), (State::Scheduled, State::Running), "{change:?}");
            assert_eq!(before.worker_of(*task), Some(worker), "{change:?}");
            assert_eq!(*generation, record.status().generation + 1, "{change:?}");
            let takes_work = |to| before.worker(to).is_some_and(WorkerRecord::takes_work);
            assert!(to.as_ref().is_none_or(takes_work), "{change:?}");
        }
        What::Restarting { generation, restart_count, by_hand: true, .. } => {
            let record = record();
            assert!(record.state().has_ended() || record.queued.is_some(), "two at once: {change:?}");
            assert_eq!(*generation, record.status().generation + 1, "{change:?}");
            assert_eq!(*restart_count, record.status().restart_count + 1, "{change:?}");
        }
        What::Restarting { generation, restart_count, .. } => {
            let record = record();
            assert!(record.state().has_ended(), "{change:?}");
            assert_eq!(record.desired, State::Running, "{change:?}");
            assert_eq!(*generation, record.status().generation + 1, "{change:?}");
            let is_counted = !record.status().is_interrupted;
            assert_eq!(*restart_count, record.status().restart_count + u32::from(is_counted), "{change:?}");
        }
        What::Ended { state, .. } => assert!(record().state().can_become(*state), "{change:?}"),
        What::Returned { .. } => assert_eq!(record().state(), State::Scheduled, "{change:?}"),
        _ => {}
    }
}

/// Whether it is left alone for a while. (Of a clock that was set back, nothing is believed.)
fn moved_lately(record: &TaskRecord, change: &Change) -> bool {
    record.moves.is_some_and(|moves| {
        let since = change.time.duration_since(moves.last);
        !since.is_negative() && since.unsigned_abs() < move_backoff(moves.in_a_row)
    })
}

/// What is placed fits beside what is there. (What a worker runs after all, although its start was given up, is taken
/// as it is.)
fn nothing_is_promised_twice(before: &Cluster, change: &Change) {
    let to = match &change.what {
        What::Scheduled { worker, .. } if change.cause == Cause::Scheduler => worker,
        What::Moved { worker, .. } => worker,
        What::Refused { to: Some(to), .. } => to,
        _ => return,
    };
    let Some(record) = change.what.task_id().and_then(|task| before.task(task)) else { return };
    let (needs, taken) = (Resources::of(&record.task.spec), before.reserved(to).unwrap().resources);
    let has = Resources::promised(before.worker(to).unwrap().capacity, before.settings().overcommit);
    let fits = needs.cpu_nanos == 0 || needs.cpu_nanos + taken.cpu_nanos <= has.cpu_nanos;
    assert!(fits, "{taken:?} of {has:?} are taken: {change:?}");
    let takes_work = before.worker(to).is_some_and(WorkerRecord::takes_work);
    assert!(takes_work, "{change:?}");
}

/// A worker that could not start a task is not tried again before it ran elsewhere or was restarted; and no task has
/// failed for that while a worker that could take it has not refused it.
pub fn none_is_tried_where_it_was_refused(
    refused: &mut BTreeMap<TaskId, BTreeSet<WorkerId>>,
    before: &Cluster,
    change: &Change,
) {
    let Some(task) = change.what.task_id() else { return };
    let refused = refused.entry(task).or_default();
    let is_news = |worker: &WorkerId| assert!(!refused.contains(worker), "{worker} refused it: {change:?}");
    let failed_unstarted = match &change.what {
        What::Scheduled { worker, .. } | What::Moved { worker, .. } => {
            is_news(worker);
            false
        }
        What::Refused { worker, to, .. } => {
            is_news(worker);
            refused.insert(worker.clone());
            assert!(to.as_ref().is_none_or(|to| !refused.contains(to)), "{change:?}");
            false
        }
        What::Observed { status, .. } => {
            if status.state == State::Running {
                refused.clear();
            }
            // Who made room before it had started waits again, and is tried everywhere then.
            let made_room = before.task(task).is_some_and(|record| record.preempted.is_some());
            status.state == State::Failed && status.never_ran && !made_room
        }
        What::Restarting { .. } => {
            refused.clear();
            false
        }
        What::Ended { state, .. } => {
            let is_unstarted = before.task(task).is_some_and(|record| record.state() != State::Running);
            *state == State::Failed && is_unstarted
        }
        _ => false,
    };
    if failed_unstarted {
        let here = before.worker_of(task);
        let others = before.workers().iter().filter(|worker| Some(&worker.id) != here && worker.takes_work());
        for other in others {
            assert!(refused.contains(&other.id), "{} was not tried: {change:?}", other.id);
        }
    }
}

/// Each generation is given to one worker only.
fn next_generation(record: &TaskRecord, worker: &WorkerId) -> u32 {
    let moves = record.tried.as_ref().is_some_and(|tried| tried != worker);
    record.status().generation + u32::from(moves || must_be_new(record))
}

/// Invariant 6: whether what is wanted is so, and if not, what is not.
pub fn healed(world: &World) -> Result<(), String> {
    let cluster = world.manager_cluster();
    ensure(cluster.revision() == world.stored.revision(), || "the store is behind".into())?;
    for event in &world.submitted {
        let task = event.task.id;
        ensure(world.acknowledged.contains(&task), || format!("{task} was never accepted"))?;
        ensure(cluster.task(task).is_some(), || format!("{task} is lost"))?;
    }
    let gone: Vec<&WorkerId> =
        world.workers.iter().filter(|worker| worker.is_gone_for_good).map(|worker| &worker.id).collect();
    for worker in cluster.workers() {
        let expected = if gone.contains(&&worker.id) { WorkerHealth::Lost } else { WorkerHealth::Ready };
        ensure(worker.health == expected, || format!("{worker:?}"))?;
    }
    let mut live: BTreeMap<TaskId, Vec<Run>> = BTreeMap::new();
    for engine in world.engines() {
        for found in engine.containers.values() {
            ensure(found.state != FoundState::Created, || format!("left half made: {found:?}"))?;
        }
        for found in engine.live() {
            live.entry(found.run.task).or_default().push(found.run);
        }
    }
    for task in live.keys() {
        ensure(cluster.task(*task).is_some(), || format!("{task} runs and nobody knows it"))?;
    }
    for worker in cluster.workers() {
        assert_eq!(cluster.reserved(&worker.id), Some(&cluster.count_reserved(&worker.id)));
    }
    for record in cluster.task_db() {
        let home = cluster.worker_of(record.task.id);
        let waits_for_its_worker = record.is_stopping() || record.task.spec.exclusive;
        if waits_for_its_worker && home.is_some_and(|home| gone.contains(&home)) {
            // A stop can be done nowhere else; and of an Exclusive task nobody may know whether it runs on.
            continue;
        }
        let needs = Resources::of(&record.task.spec).cpu_nanos;
        let has_room = |worker: &&WorkerRecord| {
            let has = Resources::promised(worker.capacity, cluster.settings().overcommit).cpu_nanos;
            let taken = cluster.reserved(&worker.id).map_or(0, |reserved| reserved.resources.cpu_nanos);
            // An old run that serves until the new one does has its room, too.
            let serves = |other: &TaskRecord| {
                let serving = other.serving.as_ref();
                other.task.id != record.task.id && serving.is_some_and(|serving| serving.worker == worker.id)
            };
            let serving = cluster.task_db().filter(serves);
            let serving: u64 = serving.map(|other| Resources::of(&other.task.spec).cpu_nanos).sum();
            taken + serving + needs <= has
        };
        let may_take =
            |worker: &&WorkerRecord| worker.takes_work() && record.refusal_of(&worker.id).is_none();
        let mut others = cluster.workers().iter().filter(may_take).peekable();
        // Room may be held back for one of no lower priority that waits as well.
        let mut waiting = cluster.pending().filter(|task| *task != record.task.id);
        let is_first = waiting
            .all(|task| cluster.row(task).is_none_or(|row| row.spec().priority < record.task.spec.priority));
        if record.task.spec.preempt && record.queued.is_some() && !record.crashes.is_loop() && is_first {
            let mut able = cluster.workers().iter().filter(may_take);
            let of_lower = able.find(|worker| could_make_room(cluster, worker, &record));
            ensure(of_lower.is_none(), || format!("{of_lower:?} could make room for {record:?}"))?;
        }
        if needs > 0 && others.peek().is_some() && !others.any(|worker| has_room(&worker)) {
            // It has no room to move to, or to run in, and does not have to.
            live.remove(&record.task.id);
            continue;
        }
        has_ended_well(world, &record)?;
        let running = live.remove(&record.task.id).unwrap_or_default();
        let wanted = match record.state() {
            State::Running => vec![Run::of(&record.task)],
            State::Pending | State::Scheduled | State::Completed | State::Failed => vec![],
        };
        ensure(running == wanted, || format!("{running:?} runs of {record:?}"))?;
    }
    Ok(())
}

/// Whether it would fit there without the tasks of a lower priority.
fn could_make_room(cluster: &Cluster, worker: &WorkerRecord, record: &TaskRecord) -> bool {
    let has = Resources::promised(worker.capacity, cluster.settings().overcommit).cpu_nanos;
    let lives = cluster.tasks_of(&worker.id).filter_map(|task| cluster.task(task));
    let stays = lives.filter(|other| !other.state().has_ended());
    let stays = stays.filter(|other| other.task.spec.priority >= record.task.spec.priority);
    let taken: u64 = stays.map(|other| Resources::of(&other.task.spec).cpu_nanos).sum();
    taken + Resources::of(&record.task.spec).cpu_nanos <= has
}

fn has_ended_well(world: &World, record: &TaskRecord) -> Result<(), String> {
    let (task, state) = (&record.task, record.state());
    let was_harmed = world.harmed.contains(&task.id);
    if refused_by(&task.spec.image) != 0 {
        // Who could take it when it was refused is chance; that it waits for nobody is not.
        let restarts = record.desired == State::Running && task.spec.restart_policy == RestartPolicy::Always;
        let goes_on = matches!(state, State::Pending | State::Scheduled);
        let has_reason = state != State::Failed || !task.status.reason.is_empty();
        return ensure(has_reason && (restarts || !goes_on), || format!("{state}: {record:?}"));
    }
    let expected: &[State] = match (record.desired, behaviour(task), task.spec.restart_policy) {
        (State::Completed, ..) => &[State::Completed, State::Failed],
        (_, Behaviour::Ends { code: 0, .. }, _) if was_harmed => &[State::Completed, State::Failed],
        (_, Behaviour::Ends { code: 0, .. }, _) => &[State::Completed],
        (_, Behaviour::Stays, RestartPolicy::No) if was_harmed => &[State::Running, State::Failed],
        (_, Behaviour::Stays, _) => &[State::Running],
        (_, Behaviour::Ends { .. }, _) => &[State::Failed],
    };
    ensure(expected.contains(&state), || format!("{state}, wanted {expected:?}: {record:?}"))?;
    // A move is no restart.
    let restarts = match (behaviour(task), task.spec.restart_policy) {
        (Behaviour::Stays | Behaviour::Ends { code: 0, .. }, _) => 0,
        (_, RestartPolicy::OnFailure(Some(limit))) if record.desired == State::Running => limit,
        _ => record.status().restart_count,
    };
    ensure(was_harmed || record.status().restart_count == restarts, || {
        format!("{restarts} restarts: {record:?}")
    })?;
    let has_reason = state != State::Failed || !task.status.reason.is_empty();
    ensure(has_reason, || format!("failed without a reason: {record:?}"))
}

fn ensure(is_so: bool, wrong: impl FnOnce() -> String) -> Result<(), String> {
    if is_so { Ok(()) } else { Err(wrong()) }
}
