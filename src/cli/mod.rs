//! The command line: reads arguments and environment, does one command, and ends with its exit code. The only
//! room that reads the environment and that prints.

mod address;
mod args;
mod dashboard;
mod demo;
mod engine;
mod environment;
mod exit;
#[cfg(test)]
mod fixture;
mod follow;
mod input;
mod line;
mod logging;
mod no_ui;
mod node;
mod print;
mod ps;
mod recover;
mod resolve;
mod run;
mod signals;
mod stop;
mod submit;
mod wait;
mod worker;

use std::process::ExitCode;

use clap::Parser;

use args::{Cli, Command};
use environment::Environment;
use exit::CliError;

use crate::client::{ManagerClient, ManagerHandle, http_client};

/// Does what this process's arguments ask for.
pub fn run() -> ExitCode {
    let cli = Cli::parse();
    allow_many_files();
    let is_waiting_run = matches!(&cli.command, Some(Command::Run(run)) if run.wait.wait);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let ended = match runtime {
        Ok(runtime) => runtime.block_on(command(cli)),
        Err(error) => Err(CliError::unreachable(format!("cannot start: {error}"))),
    };
    match ended {
        Ok(code) => code,
        Err(error) => {
            let error = if is_waiting_run { error.of_run() } else { error };
            print::Printer::new(args::Output::Text).failure(&error);
            error.exit.into()
        }
    }
}

/// Every connection is an open file, and the usual soft limit of 1,024 is for programs from before there were more.
fn allow_many_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    // Where it may not be, there are fewer connections.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
}

async fn command(cli: Cli) -> Result<ExitCode, CliError> {
    let environment = Environment::of_process()?;
    let rust_log = environment.rust_log.as_deref();
    match &cli.command {
        None if cli.root.has_dashboard() => {
            // An attached or ephemeral one leaves nothing in a folder of its own.
            if let Some(folder) = node::folder(&cli.root)? {
                logging::to_file(rust_log, &folder);
            }
        }
        Some(Command::Demo(demo)) if !demo.no_ui => {}
        _ => logging::to_stderr(rust_log),
    }
    let exit = match cli.command {
        None => node::root(&cli.root, &environment).await,
        Some(Command::Worker(args)) => worker::worker(&args, &environment).await,
        Some(Command::Demo(args)) => demo::demo(&args, &environment).await,
        Some(Command::DemoTask(args)) => return demo::task(args).await,
        Some(Command::Submit(args)) => submit::submit(&args, &manager(&environment)).await,
        Some(Command::Run(args)) => run::run(&args, &manager(&environment)).await,
        Some(Command::Ps(args)) => ps::ps(&args, &manager(&environment)).await,
        Some(Command::Recover(args)) => recover::recover(&args, &environment).await,
        Some(Command::Stop(args)) => stop::stop(&args, &manager(&environment)).await,
    };
    exit.map(ExitCode::from)
}

/// The manager that commands talk to.
fn manager(environment: &Environment) -> ManagerHandle {
    let base = format!("http://{}", environment.manager);
    ManagerHandle::Remote(ManagerClient::new(http_client(), &base))
}
