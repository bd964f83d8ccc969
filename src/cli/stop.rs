//! `stop ID…`: asks for the stop of tasks and, if asked to, waits until they have ended.

use super::answer::answer;
use super::args::StopArgs;
use super::exit::{CliError, Exit};
use super::line::{Line, name_of};
use super::print::Printer;
use super::resolve::task_ids;
use super::submit::{TASKS_GO_ON, wait, within};
use super::wait::Waiting;
use crate::client::ManagerHandle;
use crate::cluster::{Cause, Cluster};
use crate::manager::request::Stopping;

pub async fn stop(args: &StopArgs, manager: &ManagerHandle) -> Result<Exit, CliError> {
    let mut printer = Printer::new(args.output.output);
    within(args.wait.timeout, TASKS_GO_ON, async {
        let watch = answer(manager, manager.watch()).await?;
        let tasks = task_ids(&watch.cluster, &args.ids)?;
        let outcomes = answer(manager, manager.stop(tasks.clone(), Cause::Command)).await?;
        if args.wait.wait {
            let mut waiting = Waiting::for_tasks(tasks);
            wait(manager, watch, &mut waiting, &mut printer, false).await?;
        } else if printer.is_json() {
            let cluster = manager.snapshot().await?;
            for record in tasks.iter().filter_map(|task| cluster.task(*task)) {
                printer.line(&Line::of_task(&record, &cluster, Some(Cause::Command)))?;
            }
        } else {
            for outcome in outcomes {
                printer.result(&sentence(&watch.cluster, &outcome))?;
            }
        }
        // However they ended, they are stopped: that is what was asked for.
        Ok(Exit::Done)
    })
    .await
}

fn sentence(cluster: &Cluster, outcome: &Stopping) -> String {
    let name =
        cluster.task(outcome.task).map_or_else(|| outcome.task.to_string(), |record| name_of(&record.task));
    match (outcome.is_new, outcome.state.has_ended()) {
        (true, false) => format!("stopping {name}"),
        (true, true) => format!("stopped {name} before it started"),
        (false, false) => format!("{name} is being stopped already"),
        (false, true) => format!("{name} had ended before: {}", outcome.state),
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{History, id};
    use super::*;
    use crate::task::State;

    #[test]
    fn a_task_named_twice_is_stopped_once_and_one_unknown_stops_none() {
        let mut history = History::default();
        history.submit(id("11111111"), "web");
        let ids = |ids: &[&str]| {
            task_ids(&history.cluster, &ids.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>())
        };
        assert_eq!(ids(&["web", "1111"]).unwrap(), [id("11111111")]);
        assert!(ids(&["web", "api"]).is_err());
    }

    #[test]
    fn what_became_of_it_is_said() {
        let mut history = History::default();
        history.submit(id("11111111"), "web");
        let say =
            |is_new, state| sentence(&history.cluster, &Stopping { task: id("11111111"), is_new, state });
        assert_eq!(say(true, State::Running), "stopping web (11111111)");
        assert_eq!(say(true, State::Completed), "stopped web (11111111) before it started");
        assert_eq!(say(false, State::Running), "web (11111111) is being stopped already");
        assert_eq!(say(false, State::Failed), "web (11111111) had ended before: Failed");
    }
}
