//! What holds for every choice, whatever the workers, the tasks and the scheduler.

use std::sync::Arc;

use jiff::Timestamp;
use proptest::prelude::*;

use super::{
    Choice, Filter, Loads, NoWorker, Outcome, Rankings, Rejection, Request, Shape, View, explain,
    select_worker,
};
use crate::cluster::{
    Availability, Capacity, Cause, Change, Cluster, Overcommit, Resources, Sample, SchedulerName, Settings,
    What, WorkerHealth, WorkerRecord,
};
use crate::task::{Constraint, EventId, State, Task, TaskId, TaskSpec, WorkerId};

/// How many cases a property about placement is tried on: `usual`, or as many as `CUBE_CASES` says.
pub(crate) fn cases(usual: u32) -> ProptestConfig {
    let told = std::env::var("CUBE_CASES").ok();
    let cases = told.map_or(usual, |cases| cases.parse().expect("CUBE_CASES is a count"));
    ProptestConfig::with_cases(cases)
}

fn any_health() -> impl Strategy<Value = WorkerHealth> {
    prop_oneof![
        5 => Just(WorkerHealth::Ready),
        1 => Just(WorkerHealth::Connecting),
        1 => Just(WorkerHealth::Stale),
        1 => Just(WorkerHealth::Lost),
    ]
}

/// Few sizes, so that many fit exactly.
fn any_worker() -> impl Strategy<Value = WorkerRecord> {
    let zone = prop_oneof![Just(None), Just(Some("a")), Just(Some("b"))];
    let capacity = (0..4_u8, 0..4_u64, 0..4_u64).prop_map(|(cpus, memory_bytes, disk_bytes)| Capacity {
        cpus: cpus.into(),
        memory_bytes,
        disk_bytes,
    });
    (any_health(), 0..9_u8, capacity, 0..6_u8, zone).prop_map(|(health, sick, capacity, cordoned, zone)| {
        let mut worker = WorkerRecord::new(WorkerId::from(""), false, Timestamp::UNIX_EPOCH);
        worker.health = health;
        worker.runtime_problem = if sick == 0 { "no engine".into() } else { String::new() };
        worker.availability = if cordoned == 0 { Availability::Cordoned } else { Availability::Active };
        worker.capacity = capacity;
        worker.facts.labels = zone.map(|zone| ("zone".to_owned(), zone.to_owned())).into_iter().collect();
        worker
    })
}

fn any_constraint() -> impl Strategy<Value = Option<&'static str>> {
    prop_oneof![
        8 => Just(None),
        1 => Just(Some("zone=a")),
        1 => Just(Some("!zone")),
        1 => Just(Some("without:app=web")),
        1 => Just(Some("with:app=web")),
        1 => Just(Some("spread:zone")),
    ]
}

fn any_spec() -> impl Strategy<Value = TaskSpec> {
    let needs = (0..4_u8, 0..3_u64, prop_oneof![3 => Just(0), 1 => 0..3_u64]);
    (needs, any_constraint(), 0..4_u8, 0..6_u8).prop_map(
        |((cpu, memory_bytes, disk_bytes), constraint, app, port)| {
            let cpu = f64::from(cpu) / 2.0;
            let mut spec = TaskSpec { cpu, memory_bytes, disk_bytes, ..TaskSpec::default() };
            spec.constraints = constraint.into_iter().map(|text| text.parse().unwrap()).collect();
            if app == 0 {
                spec.labels.insert("app".into(), "web".into());
            }
            if port == 0 {
                spec.port_bindings = Some([("80/tcp".to_owned(), "8080".to_owned())].into());
            }
            spec
        },
    )
}

/// What happens to a cluster beside placing.
#[derive(Clone, Debug)]
enum Step {
    Place(TaskSpec),
    End(usize),
    Worker(usize, WorkerRecord),
    Sample(usize, u8),
    Settings(SchedulerName, bool),
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => any_spec().prop_map(Step::Place),
        3 => any::<usize>().prop_map(Step::End),
        1 => (any::<usize>(), any_worker()).prop_map(|(place, worker)| Step::Worker(place, worker)),
        1 => (any::<usize>(), 0..100_u8).prop_map(|(place, cpu)| Step::Sample(place, cpu)),
        1 => (prop::sample::select(&SchedulerName::ALL), any::<bool>())
            .prop_map(|(name, twice)| Step::Settings(name, twice)),
    ]
}

/// A cluster that is placed on, and what is remembered for it.
#[derive(Default)]
struct World {
    cluster: Cluster,
    loads: Loads,
    rankings: Rankings,
    tasks: Vec<TaskId>,
}

impl World {
    fn change(&mut self, what: What) {
        let revision = self.cluster.revision() + 1;
        let change = Change { revision, time: Timestamp::UNIX_EPOCH, cause: Cause::Scheduler, what };
        self.cluster.apply(&Arc::new(change));
    }

    fn worker(&mut self, place: usize, mut worker: WorkerRecord) {
        worker.id = WorkerId::from(format!("w{place}").as_str());
        let id = worker.id.clone();
        self.change(What::Worker { worker });
        self.rankings.touch(self.cluster.place_of(&id).unwrap());
    }

    fn touch_home(&mut self, task: TaskId) {
        if let Some(place) = self.cluster.worker_of(task).and_then(|worker| self.cluster.place_of(worker)) {
            self.rankings.touch(place);
        }
    }

    /// Chooses in every way there is, and looks at what they say of each other.
    fn place(&mut self, spec: TaskSpec, busy: usize) -> Result<(), TestCaseError> {
        let objection =
            |worker: &WorkerRecord| (worker.id.as_str() == format!("w{busy}")).then_some(Rejection::Busy);
        let view = View { cluster: &self.cluster, loads: &self.loads };
        let request = Request::new(&spec, &self.cluster);
        let chosen = select_worker(view, &request, objection);
        prop_assert_eq!(&chosen, &select_worker(view, &request, objection), "the same input");
        let explanation = explain(view, &request, objection, usize::MAX);
        let short = explain(view, &request, objection, 1);
        prop_assert_eq!((&short.outcome, short.feasible), (&explanation.outcome, explanation.feasible));
        prop_assert_eq!(
            (&short.rejected, &short.nearest_change),
            (&explanation.rejected, &explanation.nearest_change)
        );
        prop_assert_eq!(short.workers.len() + short.more, explanation.workers.len());
        prop_assert_eq!(short.workers.first(), explanation.workers.first());
        if let Some(shape) = Shape::of(&spec) {
            let quick = self.rankings.choose(view, &request, &shape, objection);
            // Who objects is not asked about every worker there: of the counts only those without objections agree.
            let is_busy = self.cluster.workers().iter().any(|worker| objection(worker).is_some());
            let told = |choice: &Choice| (choice.place, choice.score, choice.runners_up.clone());
            prop_assert_eq!(quick.as_ref().map(told), chosen.as_ref().ok().map(told), "remembered or not");
            prop_assert!(is_busy || quick.as_ref() == chosen.as_ref().ok());
        }
        let Ok(choice) = chosen else {
            let no_worker = chosen.unwrap_err();
            let mut told: Vec<_> = no_worker.rejections.iter().map(|(id, _)| id.clone()).collect();
            told.sort_unstable();
            let mut all: Vec<_> = self.cluster.workers().iter().map(|worker| worker.id.clone()).collect();
            all.sort_unstable();
            prop_assert_eq!(told, all, "every worker's reason, once");
            let is_placed = matches!(explanation.outcome, Outcome::Placed { .. });
            prop_assert!(!is_placed);
            prop_assert!(explanation.workers.iter().all(|worker| !worker.is_feasible));
            prop_assert!(explanation.nearest_change.is_some());
            prop_assert_eq!(
                matches!(explanation.outcome, Outcome::NeverFits { .. }),
                no_worker.is_never() && !no_worker.rejections.is_empty()
            );
            return self.never_is_never(&spec, &no_worker);
        };
        let worker = self.cluster.workers()[choice.place].clone();
        prop_assert_eq!(&explanation.outcome, &Outcome::Placed { worker: worker.id.clone() });
        let first = explanation.workers.first().unwrap();
        prop_assert_eq!(&first.worker, &worker.id, "the best is told first");
        prop_assert!(first.is_feasible && first.verdicts.iter().all(|verdict| verdict.passes));
        prop_assert_eq!(
            explanation.workers.iter().filter(|worker| worker.is_feasible).count(),
            choice.feasible
        );
        prop_assert!(objection(&worker).is_none());
        self.is_fine_there(&worker, &spec)?;
        let placement = view.placement(&request, &choice);
        prop_assert_eq!(placement.is_some(), self.cluster.workers().len() > 1);
        let id = TaskId(uuid::Uuid::from_u128(self.tasks.len() as u128 + 1));
        let task = Task { id, spec: spec.into(), ..Task::default() };
        self.change(What::Submitted { event: EventId::default(), task });
        self.change(What::Scheduled { task: id, worker: worker.id, generation: 0, placement });
        self.touch_home(id);
        self.tasks.push(id);
        Ok(())
    }

    /// What never fits does not fit either where nothing else runs and nobody keeps anything away; what only waits
    /// would, but for workers that are away.
    fn never_is_never(&self, spec: &TaskSpec, no_worker: &NoWorker) -> Result<(), TestCaseError> {
        let mut at_ease = Self::default();
        at_ease.change(What::Settings { settings: self.cluster.settings() });
        for (place, worker) in self.cluster.workers().iter().enumerate() {
            let mut worker = worker.clone();
            worker.availability = Availability::Active;
            worker.runtime_problem = String::new();
            at_ease.worker(place, worker);
        }
        let view = View { cluster: &at_ease.cluster, loads: &at_ease.loads };
        let fits = select_worker(view, &Request::new(spec, &at_ease.cluster), |_| None).is_ok();
        if no_worker.is_never() {
            prop_assert!(!fits, "{no_worker}");
        }
        let is_with = |constraint: &Constraint| matches!(constraint, Constraint::With(_));
        let is_away = |worker: &WorkerRecord| worker.health != WorkerHealth::Ready;
        let is_told = self.cluster.workers().iter().all(|worker| !is_away(worker))
            && !spec.constraints.iter().any(is_with);
        prop_assert!(!is_told || fits != no_worker.is_never(), "{no_worker}");
        Ok(())
    }

    /// In the words of the README, not of the code.
    fn is_fine_there(&self, worker: &WorkerRecord, spec: &TaskSpec) -> Result<(), TestCaseError> {
        prop_assert!(worker.takes_work());
        let live = || {
            let rows = self.cluster.tasks_of(&worker.id).filter_map(|task| self.cluster.row(task));
            rows.filter(|row| !row.state().has_ended()).map(|row| &**row.spec())
        };
        let is_web = |spec: &TaskSpec| spec.labels.contains_key("app");
        let keeps_web_away =
            |spec: &TaskSpec| spec.constraints.iter().any(|c| matches!(c, Constraint::Without(_)));
        let zone = worker.facts.labels.get("zone").map(String::as_str);
        for constraint in &spec.constraints {
            let holds = match constraint.to_string().as_str() {
                "zone=a" => zone == Some("a"),
                "!zone" => zone.is_none(),
                "spread:zone" => zone.is_some(),
                "without:app=web" => !live().any(is_web),
                "with:app=web" => {
                    let anywhere = self.tasks.iter().filter_map(|task| self.cluster.task(*task));
                    let mut anywhere = anywhere.filter(|record| !record.state().has_ended());
                    live().any(is_web) || (is_web(spec) && !anywhere.any(|record| is_web(&record.task.spec)))
                }
                other => unreachable!("{other}"),
            };
            prop_assert!(holds, "{constraint} on {worker:?}");
        }
        prop_assert!(!(is_web(spec) && live().any(keeps_web_away)));
        prop_assert!(spec.port_bindings.is_none() || live().all(|other| other.port_bindings.is_none()));
        Ok(())
    }

    fn is_counted_exactly(&self) -> Result<(), TestCaseError> {
        for worker in self.cluster.workers() {
            let kept = self.cluster.reserved(&worker.id).unwrap();
            prop_assert_eq!(kept, &self.cluster.count_reserved(&worker.id));
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(cases(256))]

    #[test]
    fn choices_are_feasible_the_same_quick_or_not_and_agree_with_their_explanation(
        workers in proptest::collection::vec(any_worker(), 0..7),
        steps in proptest::collection::vec((any_step(), 0..12_usize), 1..60),
    ) {
        let mut world = World::default();
        let count = workers.len();
        for (place, worker) in workers.into_iter().enumerate() {
            world.worker(place, worker);
        }
        for (step, busy) in steps {
            match step {
                Step::Place(spec) => world.place(spec, busy)?,
                Step::End(which) if !world.tasks.is_empty() => {
                    let task = world.tasks[which % world.tasks.len()];
                    world.touch_home(task);
                    world.change(What::Ended { task, state: State::Completed, reason: String::new() });
                }
                Step::Worker(place, worker) if count > 0 => world.worker(place % count, worker),
                Step::Sample(place, cpu) if count > 0 => {
                    let id = WorkerId::from(format!("w{}", place % count).as_str());
                    let sample = Sample { cpu_percent: Some(cpu.into()), ..Sample::default() };
                    if world.loads.record(&id, &sample) {
                        let place = world.cluster.place_of(&id).unwrap();
                        world.rankings.touch(place);
                    }
                }
                Step::Settings(scheduler, twice) => {
                    let overcommit = Overcommit { cpu: if twice { 2.0 } else { 1.0 }, ..Overcommit::default() };
                    world.change(What::Settings { settings: Settings { scheduler, overcommit } });
                }
                Step::End(_) | Step::Worker(..) | Step::Sample(..) => {}
            }
            world.is_counted_exactly()?;
        }
    }

    #[test]
    fn what_is_placed_never_reserves_more_than_may_be_promised(
        workers in proptest::collection::vec(any_worker(), 1..5),
        specs in proptest::collection::vec((any_spec(), any::<bool>()), 1..60),
        scheduler in prop::sample::select(&SchedulerName::ALL),
        factor in 1..3_u8,
    ) {
        let mut world = World::default();
        for (place, worker) in workers.into_iter().enumerate() {
            world.worker(place, worker);
        }
        let overcommit = Overcommit { cpu: factor.into(), ..Overcommit::default() };
        world.change(What::Settings { settings: Settings { scheduler, overcommit } });
        for (spec, ends) in specs {
            world.place(spec, usize::MAX)?;
            if let Some(task) = world.tasks.last().copied().filter(|_| ends) {
                world.touch_home(task);
                world.change(What::Ended { task, state: State::Failed, reason: String::new() });
            }
            for worker in world.cluster.workers() {
                let taken = world.cluster.reserved(&worker.id).unwrap().resources;
                let promised = Resources::promised(worker.capacity, overcommit);
                prop_assert!(worker.capacity.cpus <= 0.0 || taken.cpu_nanos <= promised.cpu_nanos);
                prop_assert!(worker.capacity.memory_bytes == 0 || taken.memory_bytes <= promised.memory_bytes);
                prop_assert!(worker.capacity.disk_bytes == 0 || taken.disk_bytes <= promised.disk_bytes);
            }
        }
    }
}

#[test]
fn every_filter_has_its_number() {
    for (number, filter) in Filter::ALL.into_iter().enumerate() {
        assert_eq!(filter as usize, number);
    }
}
