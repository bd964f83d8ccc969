//! What a user calls a task → its id, or what to do about it. Knows no command.

use super::exit::CliError;
use crate::cluster::Cluster;
use crate::task::TaskId;

/// The task that `text` names in `cluster`: see [`Cluster::find`].
pub fn task_id(cluster: &Cluster, text: &str) -> Result<TaskId, CliError> {
    cluster.find(text).map_err(|error| CliError::usage(error.to_string()))
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
