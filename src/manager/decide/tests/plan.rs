//! A plan agrees with what then happens, whatever the cluster, the tasks and the scheduler; and changes nothing.

use proptest::prelude::*;

use super::placing::{desk_with, up_with};
use super::*;
use crate::cluster::{Sample, SchedulerName};
use crate::manager::plan::{Fate, Plan};
use crate::manager::request::AvailabilityWish;
use crate::manager::why::{Neighbour, RoomMade};
use crate::scheduler::properties::cases;
use crate::task::Constraint;

fn any_spec() -> impl Strategy<Value = TaskSpec> {
    let constraint = prop_oneof![
        8 => Just(None),
        1 => Just(Some("worker!=w0")),
        1 => Just(Some("without:app=web")),
        1 => Just(Some("with:app=web")),
        1 => Just(Some("spread:worker")),
    ];
    (0..5_u8, 0..4_u64, constraint, 0..4_u8, 0..6_u8, (-1..2_i32, 0..4_u8)).prop_map(
        |(cpu, gib, constraint, app, port, (priority, preempts))| {
            let mut spec = TaskSpec {
                cpu: f64::from(cpu) / 2.0,
                memory_bytes: gib << 30,
                priority,
                ..TaskSpec::default()
            };
            spec.constraints =
                constraint.into_iter().map(|text| text.parse::<Constraint>().unwrap()).collect();
            spec.preempt = preempts == 0;
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

/// What happens to a cluster before it is asked.
#[derive(Clone, Debug)]
enum Step {
    Submit(Box<TaskSpec>),
    End(usize),
    Sick(usize, bool),
    Cordon(usize, bool),
    Load(usize, u8),
    Wait(u16),
    Scheduler(SchedulerName),
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        10 => any_spec().prop_map(|spec| Step::Submit(Box::new(spec))),
        3 => any::<usize>().prop_map(Step::End),
        1 => (any::<usize>(), any::<bool>()).prop_map(|(worker, sick)| Step::Sick(worker, sick)),
        1 => (any::<usize>(), any::<bool>()).prop_map(|(worker, on)| Step::Cordon(worker, on)),
        1 => (any::<usize>(), 0..100_u8).prop_map(|(worker, cpu)| Step::Load(worker, cpu)),
        1 => (0..40_u16).prop_map(Step::Wait),
        1 => prop::sample::select(&SchedulerName::ALL).prop_map(Step::Scheduler),
    ]
}

impl Desk {
    /// Workers that answer at once and start all they are given.
    fn carry_out(&mut self, effects: Vec<Effect>) {
        let mut effects = std::collections::VecDeque::from(effects);
        while let Some(effect) = effects.pop_front() {
            let Effect::Send { worker, wish, task } = effect else { continue };
            let generation = task.status.generation;
            let sent = Input::Sent {
                worker: worker.clone(),
                task: task.id,
                generation,
                wish,
                outcome: SendOutcome::Accepted,
            };
            effects.extend(self.give(sent).effects);
            if wish == Wish::Start {
                effects.extend(self.report(worker.as_str(), task.id, State::Running).effects);
            }
        }
    }

    fn step(&mut self, step: Step, workers: usize) {
        let name = |worker: usize| format!("w{}", worker % workers);
        let effects = match step {
            Step::Submit(spec) => self.submit(*spec).1,
            Step::End(which) => {
                let mut running: Vec<_> = self.manager.cluster().task_db().collect();
                running.retain(|record| record.state() == State::Running);
                running.sort_by_key(|record| record.submitted_at);
                let Some(record) = running.get(which % running.len().max(1)) else { return };
                let worker = self.manager.cluster().worker_of(record.task.id).unwrap().to_string();
                self.report(&worker, record.task.id, State::Completed).effects
            }
            Step::Sick(worker, is_sick) => {
                let runtime_problem = if is_sick { "no engine".to_owned() } else { String::new() };
                self.give(Input::Heartbeat { worker: id(&name(worker)), runtime_problem }).effects
            }
            Step::Cordon(worker, on) => {
                let wish = if on { AvailabilityWish::Cordon } else { AvailabilityWish::Uncordon };
                let worker = id(&name(worker));
                self.give(Input::SetAvailability { request: 3, cause: Cause::Command, worker, wish }).effects
            }
            Step::Load(worker, cpu) => {
                let sample = Box::new(Sample { cpu_percent: Some(cpu.into()), ..Sample::default() });
                self.give(Input::Load { worker: id(&name(worker)), sample }).effects
            }
            Step::Wait(seconds) => {
                let mut effects = Vec::new();
                for _ in 0..seconds {
                    for worker in 0..workers {
                        let runtime_problem = self.problem_of(&name(worker));
                        effects.extend(
                            self.give(Input::Heartbeat { worker: id(&name(worker)), runtime_problem })
                                .effects,
                        );
                    }
                    effects.extend(self.wait(Duration::from_secs(1)));
                }
                effects
            }
            Step::Scheduler(scheduler) => {
                let (scheduler, cause) = (Some(scheduler), Cause::Command);
                self.give(Input::SetScheduling { request: None, cause, scheduler, overcommit: None }).effects
            }
        };
        self.carry_out(effects);
    }

    fn problem_of(&self, worker: &str) -> String {
        self.manager.cluster().worker(&id(worker)).unwrap().runtime_problem.clone()
    }

    /// All turns that follow at once.
    fn until_at_rest(&mut self) {
        while self.manager.next_wake().is_some_and(|wake| wake <= self.since_start) {
            self.give(Input::Tick);
        }
    }

    fn plan(&self, events: &[TaskEvent]) -> Plan {
        self.manager.plan(self.now(), events.to_vec()).unwrap()
    }
}

proptest! {
    #![proptest_config(cases(256))]

    #[test]
    fn a_plan_is_what_happens_when_the_same_is_submitted(
        capacities in proptest::collection::vec(0..5_u8, 1..5),
        steps in proptest::collection::vec(any_step(), 0..30),
        specs in proptest::collection::vec(any_spec(), 1..12),
    ) {
        let names: Vec<_> = (0..capacities.len()).map(|worker| format!("w{worker}")).collect();
        let workers: Vec<_> = names.iter().zip(&capacities).map(|(name, cpus)| (&**name, f64::from(*cpus))).collect();
        let mut desk = desk_with(&workers);
        for step in steps {
            desk.step(step, workers.len());
        }
        let events: Vec<_> = specs.into_iter().map(event).collect();
        let before = desk.manager.cluster().revision();
        let plan = desk.plan(&events);
        prop_assert_eq!(&desk.plan(&events), &plan, "asked again");
        prop_assert_eq!((plan.revision, desk.manager.cluster().revision()), (before, before));
        desk.give(Input::Submit { request: 1, cause: Cause::Command, events: events.clone() });
        desk.until_at_rest();
        let cluster = desk.manager.cluster();
        for (event, planned) in events.iter().zip(&plan.tasks) {
            let task = event.task.id;
            let (state, reason) = (desk.state(task), desk.reason(task));
            prop_assert_eq!(planned.task, task);
            match &planned.fate {
                Fate::Placed { worker, .. } => prop_assert_eq!(cluster.worker_of(task), Some(worker)),
                Fate::MakesRoom(room) => {
                    let by = |victim: &Neighbour| desk.task(victim.task).preempted.map(|made| made.by);
                    prop_assert!(room.stopping.iter().all(|victim| by(victim) == Some(task)), "{:?}", planned);
                    prop_assert_eq!(state, State::Pending);
                }
                Fate::Waiting { .. } => {
                    prop_assert_eq!(state, State::Pending, "{:?}", planned);
                    prop_assert!(!reason.starts_with("never fits"), "{reason}, {planned:?}");
                }
                Fate::NeverFits { reason: never, .. } => {
                    prop_assert_eq!((state, never.starts_with("never fits")), (State::Pending, true));
                }
                Fate::Known { .. } | Fate::Stop => prop_assert!(false, "{planned:?}"),
            }
        }
        for load in &plan.workers {
            let reserved = cluster.reserved(&load.worker).unwrap();
            prop_assert_eq!((load.after, load.tasks), (reserved.resources, reserved.tasks));
        }
    }
}

#[test]
fn a_plan_says_what_a_submit_would_be_refused_for_and_what_is_known() {
    let mut desk = desk_with(&[("a", 2.0)]);
    let one = event(TaskSpec { cpu: 2.0, ..TaskSpec::default() });
    desk.give(Input::Submit { request: 1, cause: Cause::Command, events: vec![one.clone()] });
    let two = event(TaskSpec { cpu: 1.0, ..TaskSpec::default() });
    let three = event(TaskSpec { cpu: 3.0, ..TaskSpec::default() });
    let plan = desk.plan(&[one.clone(), two, three.clone(), three]);
    let fates: Vec<_> = plan.tasks.iter().map(|planned| &planned.fate).collect();
    assert_eq!(fates[0], &Fate::Known { state: State::Scheduled });
    let Fate::Waiting { nearest_change: Some(nearest), .. } = fates[1] else { panic!("{plan:?}") };
    assert_eq!(nearest, "free 1 CPU on a");
    assert!(matches!(fates[2], Fate::NeverFits { .. }));
    assert_eq!(fates[3], &Fate::Known { state: State::Pending }, "the same again");
    assert!(!plan.fits() && plan.workers.is_empty());
    let mut other = one;
    other.task.spec = TaskSpec::default().into();
    let refused = desk.manager.plan(desk.now(), vec![other]);
    assert!(matches!(refused, Err(RequestError::DifferentSpec(_))), "{refused:?}");
}

#[test]
fn a_plan_says_who_would_be_stopped_to_make_room_and_stops_nobody() {
    let mut desk = desk_with(&[("a", 2.0)]);
    let (victim, effects) = desk.submit(TaskSpec { cpu: 2.0, name: "batch".into(), ..TaskSpec::default() });
    desk.carry_out(effects);
    let urgent = event(TaskSpec { cpu: 1.0, priority: 9, preempt: true, ..TaskSpec::default() });
    let plan = desk.plan(&[urgent]);
    let stopping = vec![Neighbour { task: victim, name: "batch".into(), priority: 0 }];
    assert_eq!(plan.tasks[0].fate, Fate::MakesRoom(RoomMade { worker: id("a"), stopping }));
    assert!(plan.fits(), "it will run");
    assert_eq!(desk.state(victim), State::Running);
    assert!(desk.manager.cluster().row(victim).unwrap().preempted().is_none());
}

#[test]
fn a_worker_that_owes_an_answer_gets_nothing_in_a_plan_either() {
    let mut desk = desk_with(&[("a", 9.0), ("b", 9.0)]);
    let (_, effects) = desk.submit(TaskSpec::default());
    let owing = starts(&effects)[0].0.to_owned();
    desk.since_start += Duration::from_secs(1);
    let events: Vec<_> = (0..4).map(|_| event(TaskSpec::default())).collect();
    let plan = desk.plan(&events);
    assert_eq!(plan.workers.len(), 1, "{plan:?}");
    assert_ne!(plan.workers[0].worker, id(&owing));
    desk.give(up_with(&owing, 9.0));
}

#[test]
fn a_plan_sees_that_a_task_can_be_with_one_that_is_placed_after_it() {
    let mut desk = desk_with(&[("a", 2.0), ("b", 2.0)]);
    let with =
        TaskSpec { constraints: vec!["with:app=web".parse().unwrap()], priority: 5, ..TaskSpec::default() };
    let web = TaskSpec { labels: [("app".to_owned(), "web".to_owned())].into(), ..TaskSpec::default() };
    let events = [event(with), event(web)];
    let plan = desk.plan(&events);
    assert!(plan.fits(), "{plan:?}");
    desk.give(Input::Submit { request: 1, cause: Cause::Command, events: events.to_vec() });
    desk.until_at_rest();
    let homes = events.each_ref().map(|event| desk.manager.cluster().worker_of(event.task.id).cloned());
    assert!(homes[0].is_some() && homes[0] == homes[1], "{homes:?}");
}

#[test]
fn a_plan_makes_room_for_as_many_as_will_get_some() {
    let names: Vec<String> = (0..6).map(|number| format!("w{number}")).collect();
    let workers: Vec<_> = names.iter().map(|name| (&**name, 2.0)).collect();
    let mut desk = desk_with(&workers);
    for _ in &workers {
        let (_, effects) = desk.submit(TaskSpec { cpu: 2.0, ..TaskSpec::default() });
        desk.carry_out(effects);
    }
    let urgent = |number: usize| {
        let memory_bytes = (10 + number as u64) << 20;
        event(TaskSpec { cpu: 2.0, memory_bytes, priority: 9, preempt: true, ..TaskSpec::default() })
    };
    let plan = desk.plan(&(0..6).map(urgent).collect::<Vec<_>>());
    assert!(plan.fits(), "{plan:?}");
}
