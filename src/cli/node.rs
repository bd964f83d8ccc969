//! The commands that start something that stays: the root command, `worker`, `demo`. Turns arguments into their
//! configurations; starting and stopping is the node's.

use super::args::{RootArgs, WorkerArgs};
use super::environment::Environment;
use super::exit::{CliError, Exit};
use super::input::task_events;
use super::no_ui::no_ui;
use super::print::Printer;
use crate::client::{ManagerClient, ManagerHandle, http_client};

/// Without a command: the dashboard, or `--no-ui`.
pub async fn root(args: &RootArgs, environment: &Environment) -> Result<Exit, CliError> {
    let events = task_events(&args.submit, jiff::Timestamp::now())?;
    if let Some(url) = &args.attach {
        let manager = ManagerHandle::Remote(ManagerClient::new(http_client(), url));
        if args.no_ui {
            return no_ui(args, events, &manager, &mut Printer::new(args.output)).await;
        }
        // The dashboard on `manager` goes here.
        return Err(not_yet());
    }
    // The node starts here (data folder or --ephemeral, workers, listeners of `environment`), or, where another
    // process holds the folder, a remote handle takes its place. Then `no_ui` or the dashboard on its handle;
    // then the node stops, whatever came out.
    let _ = environment;
    Err(not_yet())
}

/// `worker`: alone, for a manager elsewhere.
pub async fn worker(args: &WorkerArgs, environment: &Environment) -> Result<Exit, CliError> {
    let _listen = args.listen.as_ref().unwrap_or(&environment.worker);
    Err(not_yet())
}

/// `demo`
pub async fn demo(environment: &Environment) -> Result<Exit, CliError> {
    let _ = environment;
    Err(not_yet())
}

fn not_yet() -> CliError {
    CliError::unreachable("this part is not built yet")
}
