//! Completion while it is typed: a shell asks what a word may become, and the manager that runs knows which tasks and
//! workers there are. Where none answers soon, nothing is said.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::time::Duration;

use clap::Command;
use clap_complete::CompleteEnv;
use clap_complete::engine::{ArgValueCandidates, ArgValueCompleter, CompletionCandidate};
use futures_util::future::{join_all, try_join};

use super::config_file::ConfigFile;
use super::environment::Environment;
use super::reach::client;
use crate::client::{ManagerClient, TaskName};
use crate::manager::request::RequestError;
use crate::manager::trust::Listed;
use crate::task::State;

/// By this variable a shell says that it only asks.
pub const VARIABLE: &str = "CUBE_TUI_COMPLETE";

/// Somebody's finger is still on the Tab key.
const WITHIN: Duration = Duration::from_millis(300);

const LIVE: [State; 3] = [State::Running, State::Scheduled, State::Pending];
const ENDED: [State; 2] = [State::Failed, State::Completed];

/// Answers a shell that asks how words of `command` may go on; false if none did.
pub fn answer(command: fn() -> Command) -> Result<bool, clap::Error> {
    let folder = std::env::current_dir().ok();
    let asked = CompleteEnv::with_factory(command).var(VARIABLE).bin("cube-tui").completer("cube-tui");
    asked.try_complete(std::env::args_os(), folder.as_deref())
}

/// Completes tasks that have not ended.
pub fn live_tasks() -> ArgValueCompleter {
    completer(|manager, start| async move { tasks_in(&manager, &start, &[]).await })
}

/// Completes tasks.
pub fn tasks() -> ArgValueCompleter {
    completer(|manager, start| async move { tasks_in(&manager, &start, &ENDED).await })
}

/// Completes workers.
pub fn workers() -> ArgValueCompleter {
    completer(|manager, start| async move { workers_of(&manager, &start).await })
}

/// Completes members by name, and open invites by id.
pub fn members() -> ArgValueCompleter {
    completer(|manager, start| async move {
        let word = |listed: Listed| match &*listed.name {
            "" => (listed.id.to_string(), "open invite"),
            name => (name.to_owned(), listed.role.name()),
        };
        let words = manager.tokens().await?.into_iter().map(word);
        Ok(words.filter(|(word, _)| word.starts_with(&start)).collect())
    })
}

/// Completes what is one of a few words.
pub fn words(all: fn() -> Vec<String>) -> ArgValueCandidates {
    ArgValueCandidates::new(move || all().into_iter().map(CompletionCandidate::new).collect())
}

/// Completes both.
pub fn tasks_and_workers() -> ArgValueCompleter {
    completer(|manager, start| async move {
        let (tasks, workers) =
            try_join(tasks_in(&manager, &start, &ENDED), workers_of(&manager, &start)).await?;
        Ok([tasks, workers].concat())
    })
}

/// What is named, and a word about it.
type Named = Vec<(String, &'static str)>;

fn completer<F>(ask: impl Fn(ManagerClient, String) -> F + Send + Sync + 'static) -> ArgValueCompleter
where
    F: Future<Output = Result<Named, RequestError>>,
{
    ArgValueCompleter::new(move |word: &OsStr| {
        let Some(start) = word.to_str().map(str::to_owned) else { return Vec::new() };
        let named = run(async {
            let environment = Environment::of_process(&ConfigFile::of_user().ok()?).ok()?;
            ask(client(&environment.manager).await.ok()?, start).await.ok()
        });
        let candidate =
            |(value, help): (String, &'static str)| CompletionCandidate::new(value).help(Some(help.into()));
        named.unwrap_or_default().into_iter().map(candidate).collect()
    })
}

/// Nothing runs yet when a shell asks, and nothing will.
fn run<T>(asking: impl Future<Output = Option<T>>) -> Option<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
    let answer = runtime.block_on(async { tokio::time::timeout(WITHIN, asking).await.ok().flatten() });
    // A name that is still being looked up must not hold up the end.
    runtime.shutdown_background();
    answer
}

async fn workers_of(manager: &ManagerClient, start: &str) -> Result<Named, RequestError> {
    let workers = manager.worker_names().await?;
    let fitting = workers.into_iter().filter(|worker| worker.as_str().starts_with(start));
    Ok(fitting.map(|worker| (worker.to_string(), "worker")).filter(|(name, _)| is_one_word(name)).collect())
}

async fn tasks_in(manager: &ManagerClient, start: &str, ended: &[State]) -> Result<Named, RequestError> {
    let states = [&LIVE[..], ended].concat();
    let answers = join_all(states.iter().map(|state| manager.task_names(start, *state))).await;
    let mut tasks = Vec::new();
    for (state, answer) in states.into_iter().zip(answers) {
        tasks.extend(answer?.into_iter().map(|task| (state, task)));
    }
    Ok(words_for(&tasks, start))
}

/// What each task is called on the command line: its name where that means it alone, else its id.
fn words_for(tasks: &[(State, TaskName)], start: &str) -> Named {
    let mut called: HashMap<&str, (usize, usize)> = HashMap::new();
    for (state, task) in tasks {
        let (live, all) = called.entry(&task.name).or_default();
        *live += usize::from(!state.has_ended());
        *all += 1;
    }
    let word = |(state, task): &(State, TaskName)| {
        let (live, all) = called[&*task.name];
        // An ended task does not take the name away from the one that is there now.
        let same = if state.has_ended() { all } else { live };
        let by_name = is_one_word(&task.name) && same == 1;
        let id = task.id.to_string();
        let word = if by_name && task.name.starts_with(start) { task.name.clone() } else { id };
        word.starts_with(start).then_some((word, state.name()))
    };
    tasks.iter().filter_map(word).collect()
}

/// Whether a shell takes it as it is.
fn is_one_word(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || "_-.:@%+/,".contains(c))
}

#[cfg(test)]
mod tests {
    use super::super::fixture::id;
    use super::*;

    #[test]
    fn a_task_is_called_by_its_name_where_that_means_it_alone() {
        let task = |state, start: &str, name: &str| (state, TaskName { id: id(start), name: name.into() });
        let tasks = [
            task(State::Running, "55ab01fe", "web"),
            task(State::Pending, "66000000", "api"),
            task(State::Running, "66000001", "api"),
            task(State::Failed, "77000000", "web"),
            task(State::Failed, "88000000", "job"),
            task(State::Completed, "99000000", "two words"),
            task(State::Running, "aa000000", ""),
        ];
        let words =
            |start| -> Vec<String> { words_for(&tasks, start).into_iter().map(|(word, _)| word).collect() };
        let ids = |starts: &[&str]| starts.iter().map(|start| id(start).to_string()).collect::<Vec<_>>();
        let all = [&["web".to_owned()][..], &ids(&["66000000", "66000001", "77000000"]), &["job".to_owned()]];
        assert_eq!(words(""), [&all.concat()[..], &ids(&["99000000", "aa000000"])].concat());
        assert_eq!(words("w"), ["web"]);
        assert_eq!(words("a"), ids(&["aa000000"]), "two are called api");
        assert_eq!(words("55a"), ids(&["55ab01fe"]), "who types an id wants one");
        assert_eq!(words("x"), Vec::<String>::new());
    }
}
