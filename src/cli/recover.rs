//! `recover`: after the store was lost or damaged, takes over what the workers run. Stops nothing. Knows no store's
//! form.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::args::{RecoverArgs, RootArgs};
use super::dashboard::Behind;
use super::environment::Environment;
use super::exit::{CliError, Exit};
use super::line::Line;
use super::node::{Begun, begin, folder};
use super::print::Printer;
use super::table::{add_row, table_of, text_of};
use super::text::printable;
use crate::client::{ManagerClient, ManagerHandle, http_client};
use crate::cluster::{Cause, Cluster};
use crate::manager::decide::LOST_AFTER;
use crate::manager::request::{Recovered, Silent, TakenOver};
use crate::manager::trust::Listed;
use crate::node::{Mended, mend};
use crate::task::{RestartPolicy, TaskId, WorkerId};
use crate::tls::Role;

/// Workers say what they have within this, or are told of as silent. Less than makes a worker lost: a recovery moves
/// nothing.
const HEARD_WITHIN: Duration = Duration::from_secs(8);
const _: () = assert!(HEARD_WITHIN.as_secs() < LOST_AFTER.as_secs(), "a recovery moves nothing");
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(100);

/// What no worker can tell.
const LOST_FOR_GOOD: &str = "tasks that still waited in `pending`, wishes to stop, cordons and drains, the scheduler and overcommit were only in the lost store: \
     submit, stop, drain or set them again";
/// Why a worker was not asked that only the book of members knows.
const COMES_BY_ITSELF: &str = "it has joined, and comes to a running manager by itself within half a minute";

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
    let ended = take_over(&begun, is_new, &mut printer).await;
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

async fn take_over(begun: &Begun, is_new: bool, printer: &mut Printer) -> Result<Exit, CliError> {
    let manager = begun.manager();
    let members = members(begun).await?;
    let Recovered { taken, heard, mut silent } = ask(manager).await?;
    silent.extend(not_asked(&members, &heard, &silent));
    if heard.is_empty() {
        return Err(CliError::unreachable(nobody(&silent)));
    }
    print(&taken, &heard, &manager.snapshot().await?, printer)?;
    for Silent { worker, reason, .. } in &silent {
        printer.remark(&format!(
            "{worker} did not answer ({reason}); run `cube-tui recover` again when it does"
        ));
    }
    if let Some(not_started) = not_started(&taken) {
        printer.remark(&not_started);
    }
    if is_new || !taken.is_empty() {
        printer.remark(LOST_FOR_GOOD);
    }
    Ok(Exit::Done)
}

/// Who has joined and may: that is not in the store, so it is not lost with it.
async fn members(begun: &Begun) -> Result<Vec<Listed>, CliError> {
    let url = match begun {
        Begun::Here(node) => format!("http://{}", node.manager_address),
        Begun::Elsewhere { url, .. } => url.clone(),
    };
    Ok(ManagerClient::new(http_client(), &url).tokens().await?)
}

/// The workers among the members that a new store knows nothing of, as long as they have not come back.
fn not_asked(members: &[Listed], heard: &[WorkerId], silent: &[Silent]) -> Vec<Silent> {
    let workers = members.iter().filter(|member| member.role == Role::Worker && member.expires.is_none());
    let workers = workers.map(|member| WorkerId::from(&*member.name));
    let unknown = workers
        .filter(|worker| !heard.contains(worker) && !silent.iter().any(|silent| silent.worker == *worker));
    let reason = COMES_BY_ITSELF.to_owned();
    unknown.map(|worker| Silent { worker, reason: reason.clone(), may_come: false }).collect()
}

/// Names what had ended and would be started again, had nobody stopped it.
fn not_started(taken: &[TakenOver]) -> Option<String> {
    let ended = taken.iter().map(|taken| &taken.task).filter(|task| task.status.state.has_ended());
    let ended = ended.filter(|task| task.spec.restart_policy != RestartPolicy::No);
    let ids: Vec<_> = ended.map(|task| task.id.short()).collect();
    let (tasks, them) = match ids.len() {
        0 => return None,
        1 => ("1 task with a RestartPolicy had ended and is not started again", "it"),
        count => {
            (&*format!("{count} tasks with a RestartPolicy had ended and are not started again"), "them")
        }
    };
    Some(format!(
        "{tasks}: only the lost store knew whether somebody had stopped {them}; `cube-tui restart {}` starts {them}",
        ids.join(" ")
    ))
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
    fn workers_that_have_joined_and_were_not_asked_are_named() {
        let member = |name: &str, role, expires| Listed {
            id: uuid::Uuid::nil(),
            name: name.to_owned(),
            role,
            since: jiff::Timestamp::UNIX_EPOCH,
            expires,
        };
        let members = [
            member("asked", Role::Worker, None),
            member("told", Role::Worker, None),
            member("two", Role::Worker, None),
            member("me", Role::Admin, None),
            member("", Role::Worker, Some(jiff::Timestamp::MAX)),
        ];
        let told = Silent { worker: "told".into(), reason: "connection refused".to_owned(), may_come: true };
        let not_asked = not_asked(&members, &["asked".into()], &[told]);
        assert_eq!(not_asked.iter().map(|silent| silent.worker.as_str()).collect::<Vec<_>>(), ["two"]);
        assert!(nobody(&not_asked).contains("two: it has joined"));
    }

    #[test]
    fn what_a_policy_would_start_again_is_told_with_how_to_start_it() {
        let taken = |state, restart_policy| {
            let spec = TaskSpec { restart_policy, ..TaskSpec::default() };
            let mut task = Task { spec: spec.into(), ..Task::default() };
            task.status.state = state;
            TakenOver { worker: "a:1".into(), task }
        };
        let runs = taken(State::Running, RestartPolicy::Always);
        let done = taken(State::Completed, RestartPolicy::No);
        assert_eq!(not_started(&[runs.clone(), done.clone()]), None);
        let crashed = taken(State::Failed, RestartPolicy::Always);
        let told = not_started(&[runs, done, crashed.clone()]).unwrap();
        assert!(told.starts_with("1 task with") && told.contains("`cube-tui restart 00000000`"), "{told}");
        let told = not_started(&[crashed.clone(), crashed]).unwrap();
        assert!(told.starts_with("2 tasks with") && told.contains("restart 00000000 00000000"), "{told}");
    }

    #[test]
    fn who_was_silent_is_named_with_the_reason() {
        let silent = Silent { worker: "a:1".into(), reason: "connection refused".to_owned(), may_come: true };
        assert!(nobody(&[silent]).contains("a:1: connection refused"));
        assert!(nobody(&[]).contains("--worker"));
    }
}
