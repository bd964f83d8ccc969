//! `inspect`: all that the manager knows of tasks and workers, as JSON.

use serde::Serialize;

use super::answer::answer;
use super::args::InspectArgs;
use super::exit::{CliError, Exit};
use super::print::Printer;
use super::resolve::task_id;
use super::text::escaped;
use crate::client::ManagerHandle;
use crate::cluster::{Change, Cluster, Revision, TaskRecord, WorkerRecord};
use crate::task::WorkerId;

pub async fn inspect(args: &InspectArgs, manager: &ManagerHandle) -> Result<Exit, CliError> {
    let cluster = answer(manager, manager.snapshot()).await?;
    let mut printer = Printer::new(args.output.output);
    let form = if printer.is_json() { serde_json::to_string } else { serde_json::to_string_pretty };
    let all = args.ids.iter().map(|id| known(&cluster, id)).collect::<Result<Vec<_>, _>>()?;
    for one in all {
        // Plain values: there is nothing in them that JSON could not say.
        printer.result(&escaped(&form(&one).unwrap_or_default()))?;
    }
    Ok(Exit::Done)
}

/// A worker is meant where no task is called so.
fn known<'a>(cluster: &'a Cluster, text: &str) -> Result<Known<'a>, CliError> {
    let worker = cluster.worker(&WorkerId::from(text));
    match (task_id(cluster, text).map(|task| cluster.task(task)), worker) {
        (Ok(Some(record)), _) => Ok(of_task(cluster, record)),
        (_, Some(worker)) => Ok(of_worker(cluster, worker)),
        (Err(error), None) => Err(error),
        (Ok(None), None) => Err(CliError::usage(format!("nothing is called {text:?}"))),
    }
}

#[derive(Serialize)]
#[serde(untagged)]
enum Record<'a> {
    Task(Box<TaskRecord>),
    Worker(&'a WorkerRecord),
}

#[derive(Serialize)]
struct Known<'a> {
    v: u8,
    #[serde(rename = "type")]
    kind: &'static str,
    revision: Revision,
    /// Where a task was sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    worker: Option<&'a WorkerId>,
    record: Record<'a>,
    /// The tasks that a worker has and that have not ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    tasks: Option<Vec<crate::task::TaskId>>,
    /// As far as it is still kept, the oldest first.
    history: Vec<&'a Change>,
}

fn of_task(cluster: &Cluster, record: TaskRecord) -> Known<'_> {
    let task = record.task.id;
    let history = cluster.event_db().of_task(task).map(|change| &**change).collect();
    let (worker, record) = (cluster.worker_of(task), Record::Task(Box::new(record)));
    Known { v: 1, kind: "task", revision: cluster.revision(), worker, record, tasks: None, history }
}

fn of_worker<'a>(cluster: &'a Cluster, record: &'a WorkerRecord) -> Known<'a> {
    use crate::cluster::What;
    let is_its = |change: &&Change| matches!(&change.what, What::Worker { worker } if worker.id == record.id);
    let history = cluster.event_db().iter().map(|change| &**change).filter(is_its).collect();
    let is_live =
        |task: &crate::task::TaskId| cluster.task(*task).is_some_and(|record| !record.state().has_ended());
    let mut tasks: Vec<_> = cluster.tasks_of(&record.id).filter(is_live).collect();
    tasks.sort_unstable();
    let (revision, record) = (cluster.revision(), Record::Worker(record));
    Known { v: 1, kind: "worker", revision, worker: None, record, tasks: Some(tasks), history }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::fixture::{History, id};
    use super::*;
    use crate::task::State;

    #[test]
    fn a_task_is_shown_with_its_worker_and_history_and_a_worker_with_its_tasks() {
        let mut history = History::default();
        history.worker(|_| {});
        history.submit(id("11111111"), "web");
        history.schedule(id("11111111"));
        history.observe(id("11111111"), State::Running, None, "");
        let value = |text: &str| serde_json::to_value(known(&history.cluster, text).unwrap()).unwrap();
        let task = value("web");
        assert_eq!((&task["type"], &task["worker"]), (&json!("task"), &json!("localhost:5555")));
        assert_eq!(task["history"].as_array().map(Vec::len), Some(3));
        assert_eq!(task["record"]["task"]["ID"], json!(id("11111111")));
        let worker = value("localhost:5555");
        assert_eq!((&worker["type"], &worker["tasks"]), (&json!("worker"), &json!([id("11111111")])));
        assert!(known(&history.cluster, "nobody").is_err());
    }
}
