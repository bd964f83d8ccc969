//! What a user calls a task (a full id, the unique start of one, a unique name) → its id. Knows no one who asks.

use super::{Cluster, TaskRow};
use crate::task::TaskId;

/// How many of the tasks that fit are named when one was meant.
const NAMED: usize = 5;

/// Why a text names no task.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FindError {
    #[error("no task is called {0:?}; `cube-tui ps` lists what there is")]
    None(String),
    #[error("{text:?} may be {}{}; give more of the id", ids.join(", "), and_more(*more))]
    Several { text: String, ids: Vec<String>, more: usize },
}

fn and_more(more: usize) -> String {
    if more == 0 { String::new() } else { format!(" and {more} more") }
}

impl Cluster {
    /// The task that `text` names. A full id is taken before a name, a name before the start of an id.
    pub fn find(&self, text: &str) -> Result<TaskId, FindError> {
        if let Ok(id) = text.parse::<TaskId>()
            && self.row(id).is_some()
        {
            return Ok(id);
        }
        let by_name: Vec<_> = self.rows().filter(|row| !text.is_empty() && row.name() == text).collect();
        // An ended task does not take the name away from the one that is there now.
        let live: Vec<_> = by_name.iter().copied().filter(|row| !row.state().has_ended()).collect();
        let named = if live.is_empty() { by_name } else { live };
        if !named.is_empty() {
            return one(text, &named);
        }
        let start: String = text.chars().filter(|c| *c != '-').flat_map(char::to_lowercase).collect();
        let is_hex = !start.is_empty() && start.chars().all(|c| c.is_ascii_hexdigit());
        let by_id: Vec<_> =
            self.rows().filter(|row| is_hex && row.id().0.simple().to_string().starts_with(&start)).collect();
        one(text, &by_id)
    }
}

fn one(text: &str, fitting: &[&TaskRow]) -> Result<TaskId, FindError> {
    match fitting {
        [] => Err(FindError::None(text.to_owned())),
        [row] => Ok(row.id()),
        several => {
            let mut ids: Vec<_> = several.iter().map(|row| row.id().to_string()).collect();
            ids.sort_unstable();
            let more = ids.len().saturating_sub(NAMED);
            ids.truncate(NAMED);
            Err(FindError::Several { text: text.to_owned(), ids, more })
        }
    }
}
