//! Filter: which tasks the list shows, from words that somebody types. Knows no list.

use crate::cluster::{Cluster, TaskRow};

use super::theme::Face;

/// Words that all have to match; `!word` must not. A word is looked for in the name, the id, the image, the
/// worker and the state, `state:word` in the state alone. Case does not matter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Filter {
    text: String,
    words: Vec<Word>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "two say what was typed, two what need not be looked at")]
struct Word {
    must_match: bool,
    only_state: bool,
    needle: String,
    /// Could be part of an id: worth spelling the id out for.
    is_hex: bool,
    /// Is part of a word for how a task looks that is no state's name: worth finding out for.
    is_in_looks: bool,
}

impl Filter {
    pub(super) fn new(text: &str) -> Self {
        let words = text.split_whitespace().filter_map(Word::new).collect();
        Self { text: text.trim().to_owned(), words }
    }

    /// As it was typed.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Everything passes.
    pub(super) fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    pub(super) fn passes(&self, row: &TaskRow, cluster: &Cluster) -> bool {
        self.words.iter().all(|word| word.is_in(row, cluster) == word.must_match)
    }
}

impl Word {
    fn new(text: &str) -> Option<Self> {
        let (must_match, text) = text.strip_prefix('!').map_or((true, text), |rest| (false, rest));
        let (only_state, text) = text.strip_prefix("state:").map_or((false, text), |rest| (true, rest));
        let needle = text.to_ascii_lowercase();
        let is_hex = needle.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
        let looks = [Face::Stale, Face::Stopping, Face::CrashLoop];
        let is_in_looks = looks.iter().any(|face| contains(face.word(), &needle));
        (!needle.is_empty()).then_some(Self { must_match, only_state, needle, is_hex, is_in_looks })
    }

    /// What is at hand first, what has to be looked up last.
    fn is_in(&self, row: &TaskRow, cluster: &Cluster) -> bool {
        // What waits was taken from the worker that was tried.
        let worker = cluster.tried(row).filter(|_| row.queued().is_none());
        let is_in_state = || {
            contains(row.state().name(), &self.needle)
                || self.is_in_looks && contains(Face::of(cluster, &cluster.record(row)).word(), &self.needle)
        };
        if self.only_state {
            return is_in_state();
        }
        contains(row.name(), &self.needle)
            || contains(&row.spec().image, &self.needle)
            || is_in_state()
            || worker.is_some_and(|worker| contains(worker.as_str(), &self.needle))
            || self.is_hex && {
                let mut text = [0; uuid::fmt::Hyphenated::LENGTH];
                row.id().0.hyphenated().encode_lower(&mut text).contains(self.needle.as_str())
            }
    }
}

/// Whether `text` contains the lowercase `needle`, ASCII case aside. Allocates nothing: a new filter is
/// tried on every task.
fn contains(text: &str, needle: &str) -> bool {
    let (text, needle) = (text.as_bytes(), needle.as_bytes());
    let Some((first, rest)) = needle.split_first() else { return true };
    let last_start = text.len().saturating_sub(rest.len());
    text[..last_start].iter().enumerate().any(|(at, byte)| {
        byte.to_ascii_lowercase() == *first && text[at + 1..at + needle.len()].eq_ignore_ascii_case(rest)
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::Filter;
    use crate::cluster::{Cause, Change, Cluster, What};
    use crate::task::{EventId, Task, TaskId, TaskSpec, WorkerId};

    #[test]
    fn words_are_looked_for_in_name_id_image_worker_and_state() {
        let id: TaskId = "7f3a91c2-0000-4000-8000-000000000001".parse().unwrap();
        let spec = TaskSpec { name: "Web-1".into(), image: "shop/web:1.9".into(), ..TaskSpec::default() };
        let task = Task { id, spec: Arc::new(spec), ..Task::default() };
        let what = What::Submitted { event: EventId::random(), task };
        let time = jiff::Timestamp::UNIX_EPOCH;
        let mut cluster = Cluster::default();
        cluster.apply(&Arc::new(Change { revision: 1, time, cause: Cause::Api, what }));
        let what = What::scheduled(id, WorkerId::from("worker-3"), 0);
        cluster.apply(&Arc::new(Change { revision: 2, time, cause: Cause::Api, what }));
        let record = cluster.row(id).unwrap();
        let cases = [
            ("", true),
            ("web", true),
            ("WEB-1", true),
            ("shop", true),
            ("7f3a91c2-0", true),
            ("worker-3", true),
            ("SCHED", true),
            ("web !completed", true),
            ("web !scheduled", false),
            ("state:scheduled", true),
            ("state:web", false),
            ("!state:run", true),
            ("web nothing", false),
            ("7f3a91c2-0000-4000-8000-000000000001x", false),
            ("!", true),
        ];
        for (text, expected) in cases {
            assert_eq!(Filter::new(text).passes(record, &cluster), expected, "{text:?}");
        }
    }
}
