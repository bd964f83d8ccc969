//! The command line of what is done with tasks. Does nothing.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::super::complete;
use super::super::events::{After, since};
use super::super::ps::Filter;
use super::OutputArgs;
use super::duration::{ago, duration};

#[derive(Args, Debug)]
pub struct SubmitArgs {
    /// Task files (`-`: stdin): JSON TaskEvents or Tasks, in an array or one a line
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    #[command(flatten)]
    pub wait: WaitArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

/// Whether to wait for the end.
#[derive(Args, Clone, Copy, Debug, Default)]
pub struct WaitArgs {
    /// Print what happens, and end once the tasks have
    #[arg(long)]
    pub wait: bool,
    /// End at once (the default)
    #[arg(long, conflicts_with = "wait")]
    pub detach: bool,
    /// Give up waiting after this long (90s, 5m)
    #[arg(long, value_name = "DUR", requires = "wait", value_parser = duration)]
    pub timeout: Option<Duration>,
}

#[derive(Args, Debug)]
pub struct PsArgs {
    #[command(flatten)]
    pub filter: Filter,
    /// Go on: drawn anew on a terminal, otherwise a line for each change
    #[arg(short, long)]
    pub watch: bool,
    #[command(flatten)]
    pub output: OutputArgs,
}

#[derive(Args, Debug)]
pub struct LogsArgs {
    /// Tasks: a full id, the unique start of one, or a unique name
    #[arg(required = true, value_name = "ID", add = complete::tasks())]
    pub ids: Vec<String>,
    /// Go on with what comes, until the tasks have ended
    #[arg(short, long)]
    pub follow: bool,
    /// Only what is younger than a duration (5m) or a time (2026-11-24T07:00:00Z)
    #[arg(long, value_name = "DUR|TIME", value_parser = Since::parse)]
    pub since: Option<Since>,
    /// Only the last N lines of each task
    #[arg(long, value_name = "N")]
    pub tail: Option<usize>,
    /// Begin each line with its time
    #[arg(short, long)]
    pub timestamps: bool,
    #[command(flatten)]
    pub output: OutputArgs,
}

/// From when on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Since {
    Ago(Duration),
    At(jiff::Timestamp),
}

impl Since {
    fn parse(text: &str) -> Result<Self, String> {
        if let Some(ago) = ago(text) {
            return Ok(Self::Ago(ago));
        }
        let at = text.parse().map_err(|_| {
            format!("expected a duration such as 5m or a time such as 2026-11-24T07:00:00Z, found {text:?}")
        })?;
        Ok(Self::At(at))
    }
}

#[derive(Args, Debug)]
pub struct ExecArgs {
    /// A task: a full id, the unique start of one, or a unique name
    #[arg(value_name = "ID", add = complete::live_tasks())]
    pub id: String,
    /// Pass on what is typed or piped in
    #[arg(short, long)]
    pub interactive: bool,
    /// Give the command a terminal: this one
    #[arg(short, long)]
    pub tty: bool,
    /// Set a variable; may be repeated
    #[arg(short, long, value_name = "KEY=VALUE")]
    pub env: Vec<String>,
    /// Run it as this user
    #[arg(short, long, value_name = "USER")]
    pub user: Option<String>,
    /// The program and its arguments
    #[arg(last = true, required = true)]
    pub cmd: Vec<String>,
}

#[derive(Args, Debug)]
pub struct StopArgs {
    /// Tasks: a full id, the unique start of one, or a unique name
    #[arg(required = true, value_name = "ID", add = complete::live_tasks())]
    pub ids: Vec<String>,
    #[command(flatten)]
    pub wait: WaitArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

#[derive(Args, Debug)]
pub struct RestartArgs {
    /// Tasks: a full id, the unique start of one, or a unique name
    #[arg(required = true, value_name = "ID", add = complete::tasks())]
    pub ids: Vec<String>,
    /// Print what happens, and end once the tasks run again
    #[arg(long)]
    pub wait: bool,
    /// Give up waiting after this long (90s, 5m)
    #[arg(long, value_name = "DUR", requires = "wait", value_parser = duration)]
    pub timeout: Option<Duration>,
    #[command(flatten)]
    pub output: OutputArgs,
}

#[derive(Args, Debug)]
pub struct EventsArgs {
    /// Go on with what happens from now on
    #[arg(short, long)]
    pub follow: bool,
    /// Only of this task (a full id, the unique start of one, or a unique name); may be repeated
    #[arg(long, value_name = "ID", add = complete::tasks())]
    pub task: Vec<String>,
    /// Only since then: so long ago (5m), or after a revision (120)
    #[arg(long, value_name = "DUR|REV", value_parser = since)]
    pub since: Option<After>,
    /// The newest so many
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub limit: usize,
    #[command(flatten)]
    pub output: OutputArgs,
}

#[derive(Args, Debug)]
pub struct InspectArgs {
    /// Tasks (a full id, the unique start of one, or a unique name) or workers
    #[arg(required = true, value_name = "ID", add = complete::tasks_and_workers())]
    pub ids: Vec<String>,
    #[command(flatten)]
    pub output: OutputArgs,
}

#[derive(Args, Debug)]
pub struct PlanArgs {
    /// Task files (`-`: stdin), as for submit
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    #[command(flatten)]
    pub output: OutputArgs,
}

#[derive(Args, Debug)]
pub struct WhyArgs {
    /// A task: a full id, the unique start of one, or a unique name
    #[arg(value_name = "ID", add = complete::tasks())]
    pub id: String,
    /// Show so many workers, the best or nearest first; the others are counted
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub workers: usize,
    #[command(flatten)]
    pub output: OutputArgs,
}

#[derive(Args, Debug)]
pub struct TopArgs {
    /// Print one table and end
    #[arg(long)]
    pub once: bool,
    #[command(flatten)]
    pub output: OutputArgs,
}
