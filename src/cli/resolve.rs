//! What a user calls a task (a full id, the unique start of one, a unique name) → its id.

use super::exit::CliError;
use crate::cluster::{Cluster, TaskRow};
use crate::task::TaskId;

/// How many of the tasks that fit are named when one was meant.
const NAMED: usize = 5;

/// The task that `text` names in `cluster`. A full id is taken before a name, a name before the start of an id.
pub fn task_id(cluster: &Cluster, text: &str) -> Result<TaskId, CliError> {
    if let Ok(id) = text.parse::<TaskId>()
        && cluster.task(id).is_some()
    {
        return Ok(id);
    }
    let by_name: Vec<_> = cluster.rows().filter(|row| !text.is_empty() && row.name() == text).collect();
    // An ended task does not take the name away from the one that is there now.
    let live: Vec<_> = by_name.iter().copied().filter(|row| !row.state().has_ended()).collect();
    let named = if live.is_empty() { by_name } else { live };
    if !named.is_empty() {
        return one(text, &named);
    }
    let start: String = text.chars().filter(|c| *c != '-').flat_map(char::to_lowercase).collect();
    let is_hex = !start.is_empty() && start.chars().all(|c| c.is_ascii_hexdigit());
    let by_id: Vec<_> =
        cluster.rows().filter(|row| is_hex && row.id().0.simple().to_string().starts_with(&start)).collect();
    one(text, &by_id)
}

/// Every task that is named, once.
pub fn task_ids(cluster: &Cluster, ids: &[String]) -> Result<Vec<TaskId>, CliError> {
    let mut tasks = Vec::new();
    for id in ids {
        let task = task_id(cluster, id)?;
        if !tasks.contains(&task) {
            tasks.push(task);
        }
    }
    Ok(tasks)
}

fn one(text: &str, fitting: &[&TaskRow]) -> Result<TaskId, CliError> {
    match fitting {
        [] => Err(CliError::usage(format!("no task is called {text:?}; `cube-tui ps` lists what there is"))),
        [row] => Ok(row.id()),
        several => {
            let mut ids: Vec<_> = several.iter().map(|row| row.id().to_string()).collect();
            ids.sort_unstable();
            let more = ids.len().saturating_sub(NAMED);
            ids.truncate(NAMED);
            let more = if more == 0 { String::new() } else { format!(" and {more} more") };
            Err(CliError::usage(format!("{text:?} may be {}{more}; give more of the id", ids.join(", "))))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{History, id};
    use super::task_id;
    use crate::task::State;

    #[test]
    fn full_ids_starts_and_names_find_their_task() {
        let mut history = History::default();
        history.submit(id("55ab01fe"), "web");
        history.submit(id("55ab9999"), "api");
        history.submit(id("abcd0000"), "55ab");
        let cluster = &history.cluster;
        assert_eq!(task_id(cluster, &id("55ab01fe").to_string()).unwrap(), id("55ab01fe"));
        assert_eq!(task_id(cluster, "55AB0").unwrap(), id("55ab01fe"));
        assert_eq!(task_id(cluster, "api").unwrap(), id("55ab9999"));
        assert_eq!(task_id(cluster, "55ab").unwrap(), id("abcd0000"), "a name before the start of an id");
        assert_eq!(task_id(cluster, "55ab01fe-0000").unwrap(), id("55ab01fe"));
    }

    #[test]
    fn what_is_unknown_or_could_be_several_is_refused() {
        let mut history = History::default();
        for start in ["55ab01fe", "55ab9999"] {
            history.submit(id(start), "web");
        }
        for text in ["55ab", "web"] {
            let error = task_id(&history.cluster, text).unwrap_err();
            assert!(error.message.contains(&id("55ab9999").to_string()), "{error}");
            assert_eq!(error.exit.code(), 2);
        }
        for text in ["", "-", "nope", "77", "00000000-0000-0000-0000-000000000000"] {
            let error = task_id(&history.cluster, text).unwrap_err();
            assert!(error.message.contains("cube-tui ps"), "{text}: {error}");
        }
    }

    #[test]
    fn an_ended_task_does_not_take_the_name_away() {
        let mut history = History::default();
        history.submit(id("11111111"), "web");
        history.observe(id("11111111"), State::Failed, Some(1), "exit 1");
        history.submit(id("22222222"), "web");
        assert_eq!(task_id(&history.cluster, "web").unwrap(), id("22222222"));
    }
}
