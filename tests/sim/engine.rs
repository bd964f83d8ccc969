//! A container engine that outlives its worker: containers, and what happens to them.

use std::collections::BTreeMap;
use std::time::Duration;

use cube_tui::task::Task;
use cube_tui::worker::runtime::{Exit, Found, FoundState, Run};
use jiff::Timestamp;

#[derive(Debug, Default)]
pub struct Engine {
    pub containers: BTreeMap<String, Found>,
    created: u64,
}

/// How a task's program behaves, told by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behaviour {
    Stays,
    Ends { after: Duration, code: i64 },
}

pub fn behaviour(task: &Task) -> Behaviour {
    match task.spec.name.split_once('-').map_or("stays", |(kind, _)| kind) {
        "good" => Behaviour::Ends { after: Duration::from_secs(4), code: 0 },
        "bad" => Behaviour::Ends { after: Duration::from_secs(3), code: 3 },
        _ => Behaviour::Stays,
    }
}

/// The image of tasks that some workers can't start, by the bits of `who`.
pub fn image_refused_by(who: u32) -> String {
    format!("sim:refused-by-{who}")
}

/// Whether `worker` can't start what has this image.
pub fn refuses(worker: usize, image: &str) -> bool {
    refused_by(image) >> worker & 1 == 1
}

/// Whether it is the worker itself that says so, in its answer to the start.
pub fn answers_4xx(worker: usize, image: &str) -> bool {
    refuses(worker, image) && refused_by(image) & ANSWERS_4XX != 0
}

/// Above the bits of all workers.
pub const ANSWERS_4XX: u32 = 1 << 8;

pub fn refused_by(image: &str) -> u32 {
    image.strip_prefix("sim:refused-by-").map_or(0, |who| who.parse().expect("from here"))
}

impl Engine {
    /// The container of this run: a new one, or the one that is there. True if it was there.
    pub fn start(&mut self, task: &Task, now: Timestamp) -> (String, bool) {
        let run = Run::of(task);
        if let Some(found) = self.containers.values_mut().find(|found| found.run == run) {
            if found.state == FoundState::Created {
                found.state = FoundState::Running;
            }
            return (found.container.clone(), true);
        }
        self.created += 1;
        let container = format!("c{}", self.created);
        let found = Found {
            run,
            container: container.clone(),
            state: FoundState::Running,
            task: task.clone(),
            host_ports: BTreeMap::new(),
            started: Some(now),
        };
        self.containers.insert(container.clone(), found);
        (container, false)
    }

    /// The program ends by itself; false if it does not run any more.
    pub fn exit(&mut self, container: &str, exit: Exit) -> bool {
        match self.containers.get_mut(container) {
            Some(found) if found.state == FoundState::Running => {
                found.state = FoundState::Exited(exit);
                true
            }
            _ => false,
        }
    }

    pub fn live(&self) -> impl Iterator<Item = &Found> {
        self.containers.values().filter(|found| found.state == FoundState::Running)
    }
}
