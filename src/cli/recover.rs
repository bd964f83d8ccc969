//! `recover`: after the store was lost or damaged, takes over what the workers run. Stops nothing. Knows no store's
//! form.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::args::{RecoverArgs, RootArgs};
use super::dashboard::Behind;
use super::environment::Environment;
use super::exit::{CliError, Exit};
use super::line::{Line, printable};
use super::node::{Begun, begin, folder};
use super::print::Printer;
use super::table::{add_row, table_of, text_of};
use crate::client::ManagerHandle;
use crate::cluster::{Cause, Cluster};
use crate::manager::decide::LOST_AFTER;
use crate::manager::request::{Recovered, Silent, TakenOver};
use crate::node::{Mended, mend};
use crate::task::{TaskId, WorkerId};

/// Workers say what they have within this, or are told of as silent. Less than makes a worker lost: a recovery moves
/// nothing.
const HEARD_WITHIN: Duration = Duration::from_secs(8);
const _: () = assert!(HEARD_WITHIN.as_secs() < LOST_AFTER.as_secs(), "a recovery moves nothing");
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(100);

/// What no worker can tell.
const LOST_FOR_GOOD: &str = "tasks that still waited in `pending`, and wishes to stop, were only in the lost store: submit or stop them again";

pub async fn recover(args: &RecoverArgs, environment: &Environment) -> Result<Exit, CliError> {
    let mut printer = Printer::new(args.output.output);
    let root = root_args(args);
    let is_new = match folder(&root, environment)? {
        Some(folder) if !folder.exists() => {
            // A name with a slip in it must not become a second cluster that takes the first one's tasks.
            let why = format!(
                "there is no {}; if a cluster is to begin anew in it, make the folder first",
                folder.display()
            );
            return Err(CliError::new(Exit::Usage, why));
        }
        Some(folder) => is_new_store(&mend(&folder)?, &mut printer),
        None => false,
    };
    let begun = begin(&root, environment).await?;
    if let Begun::Elsewhere { note: Some(note), .. } = &begun {
        printer.remark(note);
    }
    let ended = take_over(begun.manager(), is_new, &mut printer).await;
    begun.end(ended).await
}

/// The node that a recovery needs where no manager runs.
fn root_args(args: &RecoverArgs) -> RootArgs {
    RootArgs { no_ui: true, node: args.node.clone(), ..RootArgs::default() }
}

/// Tells how the store was found; true if what was in it is gone.
fn is_new_store(mended: &Mended, printer: &mut Printer) -> bool {
    match mended {
        Mended::Sound | Mended::Held => false,
        Mended::Missing => {
            printer.remark("there was no store; a new one is begun");
            true
        }
        Mended::SetAside { damage, to } => {
            printer.remark(&damage.to_string());
            printer.remark(&format!("it is kept as {}, and a new one is begun", to.display()));
            true
        }
    }
}

async fn take_over(manager: &ManagerHandle, is_new: bool, printer: &mut Printer) -> Result<Exit, CliError> {
    let Recovered { taken, heard, silent } = ask(manager).await?;
    if heard.is_empty() {
        return Err(CliError::unreachable(nobody(&silent)));
    }
    print(&taken, &heard, &manager.snapshot().await?, printer)?;
    for Silent { worker, reason, .. } in &silent {
        printer.remark(&format!(
            "{worker} did not answer ({reason}); run `cube-tui recover` again when it does"
        ));
    }
    if is_new || !taken.is_empty() {
        printer.remark(LOST_FOR_GOOD);
    }
    Ok(Exit::Done)
}

/// Has everything taken over, again while some worker may still answer. A newer generation that is heard of later
/// takes the place of an older one.
async fn ask(manager: &ManagerHandle) -> Result<Recovered, CliError> {
    let give_up = Instant::now() + HEARD_WITHIN;
    let mut all: BTreeMap<TaskId, TakenOver> = BTreeMap::new();
    loop {
        let Recovered { taken, heard, silent } = manager.recover(Cause::Command).await?;
        all.extend(taken.into_iter().map(|taken| (taken.task.id, taken)));
        if !silent.iter().any(|silent| silent.may_come) || Instant::now() >= give_up {
            return Ok(Recovered { taken: all.into_values().collect(), heard, silent });
        }
        sleep(LOOK_AGAIN_AFTER).await;
    }
}

fn nobody(silent: &[Silent]) -> String {
    if silent.is_empty() {
        return "nothing was taken over: the manager has no worker; name them with --worker HOST:PORT"
            .to_owned();
    }
    let why = silent.iter().map(|Silent { worker, reason, .. }| format!("{worker}: {reason}"));
    format!("nothing was taken over: no worker answered; {}", why.collect::<Vec<_>>().join("; "))
}

fn print(
    taken: &[TakenOver],
    heard: &[WorkerId],
    cluster: &Cluster,
    printer: &mut Printer,
) -> Result<(), CliError> {
    if printer.is_json() {
        for record in taken.iter().filter_map(|taken| cluster.task(taken.task.id)) {
            printer.line(&Line::of_task(&record, cluster, Some(Cause::Command)))?;
        }
        return Ok(());
    }
    if taken.is_empty() {
        let heard: Vec<_> = heard.iter().map(WorkerId::as_str).collect();
        return printer
            .result(&format!("nothing to recover: all that {} runs is in the store", heard.join(", ")));
    }
    printer.result(&table(taken))?;
    let tasks = if taken.len() == 1 { "task" } else { "tasks" };
    printer.result(&format!("{} {tasks} taken over", taken.len()))
}

fn table(taken: &[TakenOver]) -> String {
    let mut table = table_of(["ID", "NAME", "WORKER", "CONTAINER", "STATE"], None);
    for TakenOver { worker, task } in taken {
        let cells = [
            task.id.short(),
            printable(&task.spec.name),
            printable(worker.as_str()),
            printable(&task.status.container_id.chars().take(12).collect::<String>()),
            task.status.state.name().to_owned(),
        ];
        add_row(&mut table, cells);
    }
    text_of(&table, None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::{State, Task, TaskSpec};

    #[test]
    fn what_was_taken_over_is_a_line_each() {
        let spec = TaskSpec { name: "web\x1b[2J".to_owned(), ..TaskSpec::default() };
        let mut task = Task { spec: spec.into(), ..Task::default() };
        task.status.state = State::Running;
        task.status.container_id = "5c51c7fd7753".repeat(5);
        let text = table(&[TakenOver { worker: "localhost:5555".into(), task }]);
        assert_eq!(text.lines().count(), 2);
        for part in ["00000000", "web [2J", "localhost:5555", "5c51c7fd7753", "Running"] {
            assert!(text.contains(part), "{part} in {text}");
        }
    }

    #[test]
    fn who_was_silent_is_named_with_the_reason() {
        let silent = Silent { worker: "a:1".into(), reason: "connection refused".to_owned(), may_come: true };
        assert!(nobody(&[silent]).contains("a:1: connection refused"));
        assert!(nobody(&[]).contains("--worker"));
    }
}
