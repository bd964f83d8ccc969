//! Random histories: whatever comes in whatever order, at most one live container a task, and an end is an end.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::{
    task::{HealthCheck, Probe},
    worker::runtime::Probed,
};

proptest! {
    #[test]
    fn no_history_makes_two_live_containers(steps in proptest::collection::vec((0..9_u8, 1..4_u128, 0..3_u32), 1..80)) {
        let mut desk = Desk::with(Limits { start_concurrency: 2, kept_containers: 3, ..Limits::default() });
        // The engine: container → its run; and the effects under way.
        let mut live: BTreeMap<String, Task> = BTreeMap::new();
        let mut under_way: Vec<Effect> = Vec::new();
        let mut created = 0;
        for (step, number, gen_number) in steps {
            let mut wished = generation(&task(number), gen_number);
            if number == 1 {
                let check = HealthCheck { retries: 1, ..HealthCheck::new(Probe::Tcp { port: Some(1) }) };
                Arc::make_mut(&mut wished.spec).health_check = Some(check);
            }
            let output = match step {
                0 | 1 => desk.start(&wished),
                2 => desk.stop(&wished),
                3 => desk.give(Input::Stop(wished.id)),
                4 => match live.pop_first() {
                    Some((container, task)) => desk.exited(&task, &container, i64::from(gen_number)),
                    None => continue,
                },
                5 => match live.pop_first() {
                    Some((container, task)) => desk.give(Input::Gone { run: Run::of(&task), container }),
                    None => continue,
                },
                _ => {
                    if under_way.is_empty() {
                        continue;
                    }
                    let at = usize::try_from(number).unwrap() % under_way.len();
                    match under_way.remove(at) {
                        Effect::Start { task } if gen_number == 2 => desk.failed(&task, away()),
                        Effect::Start { task } => {
                            created += 1;
                            let container = format!("c{created}");
                            prop_assert!(live.values().all(|other| other.id != task.id), "two live: {task:?}");
                            live.insert(container.clone(), task.clone());
                            desk.started(&task, &container)
                        }
                        Effect::Stop { task, container, .. } => {
                            live.remove(&container);
                            desk.give(Input::Stopped { task, container, result: Ok(()) })
                        }
                        Effect::Inspect { run, container } => match live.get(&container) {
                            Some(task) => desk.give(Input::Found(found(task, &container, FoundState::Running))),
                            None => desk.give(Input::Gone { run, container }),
                        },
                        Effect::Later { task, .. } => desk.give(Input::Wake(task)),
                        Effect::ProbeLater { run, container, .. } => desk.give(Input::ProbeDue { run, container }),
                        Effect::Probe { run, container, .. } => {
                            let failed = Probed::Failed("no".to_owned());
                            let result = if gen_number == 2 { failed } else { Probed::Passed };
                            desk.give(Input::Probed { run, container, took: Duration::from_secs(40), result })
                        }
                        Effect::Pull { image } => desk.give(Input::Pulled { image, result: Ok(()) }),
                        Effect::Remove { .. } | Effect::AbandonPull { .. } => continue,
                    }
                }
            };
            under_way.extend(output.effects);
        }
    }
}
