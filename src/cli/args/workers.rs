//! The command line of workers, and of how they are selected. Does nothing.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};

use super::super::address::Address;
use super::super::complete;
use super::OutputArgs;
use super::duration::duration;
use super::members::member_name;
use crate::cluster::{OWN_LABELS, Overcommit, SchedulerName};
use crate::manager::request::RebalanceWish;
use crate::task::{Constraint, Test};

#[derive(Args, Debug)]
pub struct SchedulerArgs {
    /// How a worker is to be selected
    #[arg(value_parser = scheduler_name())]
    pub name: Option<SchedulerName>,
    /// How many times a worker's capacity may be promised: cpu=2,memory=1.5
    #[arg(long, value_name = "FACTORS")]
    pub overcommit: Option<Overcommit>,
    #[command(flatten)]
    pub output: OutputArgs,
}

#[derive(Args, Debug)]
pub struct RebalanceArgs {
    /// Show the moves and what they come to, and make none
    #[arg(long)]
    pub plan: bool,
    /// So many tasks at most: 1 to 100
    #[arg(long, value_name = "NUMBER", default_value_t = RebalanceWish::MOVES)]
    pub moves: usize,
    #[command(flatten)]
    pub output: OutputArgs,
}

#[derive(Args, Debug)]
pub struct WorkerNameArgs {
    /// The worker, as the workers pane names it: HOST:PORT
    #[arg(add = complete::workers())]
    pub worker: String,
    #[command(flatten)]
    pub output: OutputArgs,
}

#[derive(Args, Debug)]
pub struct DrainArgs {
    #[command(flatten)]
    pub worker: WorkerNameArgs,
    /// Give up after this long (90s, 5m); what is left stays
    #[arg(long, value_name = "DUR", value_parser = duration)]
    pub deadline: Option<Duration>,
}

#[derive(Args, Debug)]
pub struct WorkerArgs {
    /// Where its API listens; port 0 picks a free one [default: CUBE_HOST:CUBE_PORT, localhost:5555; on every address
    /// once it has joined]
    #[arg(long, value_name = "HOST:PORT")]
    pub listen: Option<Address>,
    /// Join the cluster of this line of `cube-tui invite` (`-`: read it from stdin); later starts need it no more
    #[arg(long, value_name = "LINE")]
    pub join: Option<String>,
    /// What it is called in the cluster, from its joining on [default: this host's name]
    #[arg(long, value_parser = member_name)]
    pub name: Option<String>,
    /// What tasks may do here [default: policy.toml in the data folder]
    #[arg(long, value_name = "FILE")]
    pub policy: Option<PathBuf>,
    /// Keep its ids and its membership here instead of in the user's state folder
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// A label, for constraints; may be repeated
    #[arg(long, value_name = "KEY=VALUE", value_parser = worker_label)]
    pub label: Vec<(String, String)>,
    #[command(flatten)]
    pub output: OutputArgs,
}

pub(super) fn scheduler_name() -> impl TypedValueParser<Value = SchedulerName> {
    PossibleValuesParser::new(SchedulerName::ALL.map(SchedulerName::name))
        .try_map(|text| text.parse::<SchedulerName>())
}

/// What a worker is called by constraints.
pub(super) fn worker_label(text: &str) -> Result<(String, String), String> {
    let expected = || format!("expected KEY=VALUE such as zone=a, found {text:?}");
    let (key, value) = text.split_once('=').ok_or_else(expected)?;
    if OWN_LABELS.contains(&key) {
        return Err(format!("{key} is what every worker tells by itself; expected another name"));
    }
    // What no constraint could ask for is no label.
    match format!("{key}={value}").parse() {
        Ok(Constraint::Label { label, test: Test::Is(value) }) => Ok((label, value)),
        _ => Err(expected()),
    }
}

#[derive(Args, Debug)]
pub struct WorkersArgs {
    /// Go on: drawn anew on a terminal, otherwise a line for each change
    #[arg(short, long)]
    pub watch: bool,
    #[command(flatten)]
    pub output: OutputArgs,
}

#[derive(Args, Debug)]
pub struct ForgetArgs {
    /// Lost workers of an earlier run; their tasks start elsewhere
    #[arg(required = true, value_name = "WORKER", add = complete::workers())]
    pub workers: Vec<String>,
    #[command(flatten)]
    pub output: OutputArgs,
}
