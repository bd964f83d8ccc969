//! The command line: reads arguments and environment, does one command, and ends with its exit code. The only
//! room that reads the environment and that prints.

mod address;
mod answer;
mod args;
mod availability;
mod background;
mod complete;
mod completions;
mod config_file;
mod dashboard;
mod demo;
mod drain_first;
mod engine;
mod environment;
mod events;
mod exec;
mod exit;
#[cfg(test)]
mod fixture;
mod follow;
mod forget;
mod input;
mod inspect;
mod invite;
mod join;
mod keys;
mod line;
mod live;
mod loads;
mod logging;
mod logs;
mod no_ui;
mod node;
mod plan;
mod print;
mod progress;
mod ps;
mod reach;
mod rebalance;
mod recover;
mod resolve;
mod restart;
mod run;
mod scheduler;
mod secret;
mod shutdown;
mod signals;
mod stop;
mod submit;
mod table;
mod text;
mod token;
mod top;
mod wait;
mod watch_lines;
mod why;
mod worker;
mod workers;

use std::process::ExitCode;

use clap::{CommandFactory, Parser};
use futures_util::future::LocalBoxFuture;

use args::{Cli, Command};
use config_file::ConfigFile;
use environment::Environment;
use exit::CliError;
use reach::manager;

/// Does what this process's arguments ask for.
pub fn run() -> ExitCode {
    match complete::answer(Cli::command) {
        Ok(true) => return ExitCode::SUCCESS,
        Ok(false) => {}
        Err(error) => error.exit(),
    }
    allow_many_files();
    let (cli, config) = match parse() {
        Ok(parsed) => parsed,
        Err(error) => {
            print::Printer::new(args::Output::Text).failure(&error);
            return error.exit.into();
        }
    };
    if cli.root.background.is_some() {
        background::detach();
    }
    let is_waiting_run = match &cli.command {
        Some(Command::Run(run)) => run.wait.wait,
        // Its exit codes are the command's, too.
        Some(Command::Exec(_)) => true,
        _ => false,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let ended = match runtime {
        // Boxed, or every way of blocking on it would have all commands inlined: a hundred kilobytes each.
        Ok(runtime) => runtime.block_on(Box::pin(command(cli, &config)) as LocalBoxFuture<'_, _>),
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

/// The arguments, with the user's config file as their defaults.
fn parse() -> Result<(Cli, ConfigFile), CliError> {
    let config = ConfigFile::of_user().and_then(|config| {
        let command = config.as_defaults(Cli::command())?;
        Ok((command, config))
    });
    match config {
        Ok((command, config)) => {
            let matches = command.try_get_matches();
            let cli = matches.and_then(|matches| Cli::of(&matches));
            Ok((cli.unwrap_or_else(|error| refuse(&error)), config))
        }
        Err(error) => {
            // Help is given all the same.
            Cli::parse();
            Err(error)
        }
    }
}

/// Ends with what is wrong with the arguments, which is said with them: they may hold what a terminal would obey.
fn refuse(error: &clap::Error) -> ! {
    let words = error.render().to_string();
    if words.lines().any(|line| line.contains(crate::task::is_unprintable)) {
        for line in words.lines() {
            eprintln!("{}", text::printable(line));
        }
        std::process::exit(error.exit_code());
    }
    error.exit()
}

async fn command(cli: Cli, config: &ConfigFile) -> Result<ExitCode, CliError> {
    let environment = Environment::of_process(config)?;
    let rust_log = environment.rust_log.as_deref();
    match &cli.command {
        None if cli.root.has_dashboard() => {
            // An attached or ephemeral one leaves nothing in a folder of its own.
            if let Some(folder) = node::folder(&cli.root, &environment)? {
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
        Some(Command::Submit(args)) => submit::submit(&args, &manager(&environment).await?).await,
        Some(Command::Run(args)) => run::run(&args, &manager(&environment).await?, environment.color).await,
        Some(Command::Ps(args)) => ps::ps(&args, &manager(&environment).await?).await,
        Some(Command::Recover(args)) => recover::recover(&args, &environment).await,
        Some(Command::Logs(args)) => {
            logs::logs(&args, &manager(&environment).await?, environment.color).await
        }
        Some(Command::Exec(args)) => exec::exec(&args, &manager(&environment).await?).await,
        Some(Command::Stop(args)) => stop::stop(&args, &manager(&environment).await?).await,
        Some(Command::Scheduler(args)) => scheduler::scheduler(&args, &manager(&environment).await?).await,
        Some(Command::Cordon(args)) => availability::cordon(&args, &manager(&environment).await?).await,
        Some(Command::Uncordon(args)) => availability::uncordon(&args, &manager(&environment).await?).await,
        Some(Command::Drain(args)) => availability::drain(&args, &manager(&environment).await?).await,
        Some(Command::Rebalance(args)) => rebalance::rebalance(&args, &manager(&environment).await?).await,
        Some(Command::Restart(args)) => restart::restart(&args, &manager(&environment).await?).await,
        Some(Command::Workers(args)) => workers::workers(&args, &manager(&environment).await?).await,
        Some(Command::Forget(args)) => forget::forget(&args, &manager(&environment).await?).await,
        Some(Command::Events(args)) => events::events(&args, &manager(&environment).await?).await,
        Some(Command::Inspect(args)) => inspect::inspect(&args, &manager(&environment).await?).await,
        Some(Command::Plan(args)) => plan::plan(&args, &manager(&environment).await?).await,
        Some(Command::Why(args)) => why::why(&args, &manager(&environment).await?, environment.color).await,
        Some(Command::Top(args)) => top::top(&args, &manager(&environment).await?).await,
        Some(Command::Shutdown(args)) => shutdown::shutdown(&args, &environment).await,
        Some(Command::Completions(args)) => completions::completions(&args),
        Some(Command::Man(args)) => completions::man(&args),
        Some(Command::Invite(args)) => invite::invite(&args, &environment).await,
        Some(Command::Join(args)) => join::join(&args).await,
        Some(Command::Secret(command)) => secret::secret(command, &environment).await,
        Some(Command::Token(command)) => token::token(&command, &environment).await,
    };
    exit.map(ExitCode::from)
}
