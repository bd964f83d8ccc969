//! What a wait waits for, in a line on the terminal that comes and goes: pulls, tasks that have yet to start. Nothing
//! where stderr is no terminal, and never among JSON.

use std::collections::HashMap;
use std::io::IsTerminal as _;

use indicatif::{ProgressBar, ProgressStyle};

use super::text::printable;
use crate::cluster::{Cluster, Progress, TaskRecord};
use crate::task::{State, TaskId, WorkerId};

/// How many tasks are named.
const NAMED: usize = 3;

#[derive(Debug, Default)]
pub struct Waits {
    /// What the workers last said of long work: "pulling 37 %".
    told: HashMap<TaskId, String>,
    bar: Option<ProgressBar>,
}

impl Waits {
    /// For somebody who looks on.
    pub fn on_terminal() -> Option<Self> {
        std::io::stderr().is_terminal().then(Self::default)
    }

    pub fn note(&mut self, progress: &Progress) {
        if progress.text.is_empty() {
            self.told.remove(&progress.task);
        } else {
            self.told.insert(progress.task, progress.text.clone());
        }
    }

    /// Shows what is yet to start among `open`; nothing if all of it runs.
    pub fn show(&mut self, cluster: &Cluster, open: impl Iterator<Item = TaskId>) {
        let records = open.filter_map(|task| cluster.task(task));
        let words: Vec<_> = records.filter_map(|record| self.words(&record, cluster)).collect();
        if words.is_empty() {
            self.clear();
            return;
        }
        let more = words.len().saturating_sub(NAMED);
        let mut text = words[..words.len() - more].join("  ");
        if more > 0 {
            text = format!("{text}  and {more} more");
        }
        let bar = self.bar.get_or_insert_with(|| {
            // The line ends where the terminal does.
            let style = ProgressStyle::with_template("{spinner} {wide_msg}");
            ProgressBar::new_spinner().with_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()))
        });
        bar.set_message(printable(&text));
        bar.tick();
    }

    fn words(&self, record: &TaskRecord, cluster: &Cluster) -> Option<String> {
        let (task, status) = (&record.task, record.status());
        let doing = match (status.state, self.told.get(&task.id)) {
            (State::Scheduled, Some(told)) => format!("{told} ({})", task.spec.image),
            (State::Scheduled, None) => match cluster.worker_of(task.id).map(WorkerId::as_str) {
                Some(worker) => format!("starting on {worker}"),
                None => "starting".to_owned(),
            },
            (State::Pending, _) if !status.reason.is_empty() => status.reason.clone(),
            (State::Pending, _) => "pending".to_owned(),
            (State::Running | State::Completed | State::Failed, _) => return None,
        };
        let name = if task.spec.name.is_empty() { &task.spec.image } else { &task.spec.name };
        Some(format!("{name}: {doing}"))
    }

    pub fn clear(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }

    /// Prints something with the line out of the way.
    pub fn aside<T>(&self, print: impl FnOnce() -> T) -> T {
        match &self.bar {
            Some(bar) => bar.suspend(print),
            None => print(),
        }
    }
}

impl Drop for Waits {
    fn drop(&mut self) {
        self.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{History, id};
    use super::*;

    #[test]
    fn it_tells_pulls_and_what_is_yet_to_start_and_nothing_of_what_runs() {
        let web = id("11111111");
        let mut history = History::default();
        let mut waits = Waits::default();
        let words = |waits: &Waits, history: &History| {
            waits.words(&history.cluster.task(web).unwrap(), &history.cluster)
        };
        history.submit(web, "web");
        assert_eq!(words(&waits, &history).as_deref(), Some("web: pending"));
        history.schedule(web);
        assert_eq!(words(&waits, &history).as_deref(), Some("web: starting on localhost:5555"));
        waits.note(&Progress { task: web, text: "pulling 37 %".into() });
        assert_eq!(words(&waits, &history).as_deref(), Some("web: pulling 37 % (alpine)"));
        history.observe(web, State::Running, None, "");
        assert_eq!(words(&waits, &history), None);
    }
}
