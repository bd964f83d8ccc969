//! The command line of starts: dashboard, manager, demo, and what ends or repairs them. Does nothing.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::super::address::{Address, loopback_worker};
use super::super::background::Ports;
use super::duration::duration;
use super::members::manager_url;
use super::workers::{scheduler_name, worker_label};
use super::{Output, OutputArgs};
use crate::cluster::{Overcommit, SchedulerName};
use crate::demo::Program;
use crate::tui::{Format, Size};

#[derive(Args, Clone, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch on the command line")]
pub struct RootArgs {
    /// Run without a dashboard: print what happens until SIGINT or SIGTERM
    #[arg(long)]
    pub no_ui: bool,
    /// Submit the tasks in FILE (`-`: stdin) at start; may be repeated
    #[arg(long, value_name = "FILE")]
    pub submit: Vec<PathBuf>,
    /// End once every submitted task has ended
    #[arg(long, requires_all = ["no_ui", "submit"])]
    pub wait: bool,
    /// Give up waiting after this long (90s, 5m)
    #[arg(long, value_name = "DUR", requires = "wait", value_parser = duration)]
    pub timeout: Option<Duration>,
    /// How output looks
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t, requires = "no_ui")]
    pub output: Output,
    #[command(flatten)]
    pub node: NodeArgs,
    /// What tasks may do on the local worker [default: policy.toml in the data folder]
    #[arg(long, value_name = "FILE", conflicts_with = "no_local_worker")]
    pub policy: Option<PathBuf>,
    /// Leave the TLS listener closed that an earlier `cube-tui invite` opened
    #[arg(long)]
    pub no_listen: bool,
    /// Keep nothing: a cluster of its own in memory, whose containers go with it
    #[arg(long, conflicts_with = "data_dir")]
    pub ephemeral: bool,
    /// Show the manager at URL instead of starting one
    #[arg(long, value_name = "URL", value_parser = manager_url,
          conflicts_with_all = ["worker", "insecure_worker", "no_local_worker", "policy", "no_listen", "data_dir", "ephemeral",
                               "scheduler", "overcommit", "label"])]
    pub attach: Option<String>,
    /// How a worker is selected [default: as before; roundrobin at first]
    #[arg(long, value_name = "NAME", value_parser = scheduler_name())]
    pub scheduler: Option<SchedulerName>,
    /// Whether `scheduler` was typed: it may come from the config file, too
    #[arg(skip)]
    pub is_scheduler_typed: bool,
    /// How many times a worker's capacity may be promised: cpu=2,memory=1.5 [default: as before; once at first]
    #[arg(long, value_name = "FACTORS")]
    pub overcommit: Option<Overcommit>,
    /// A label of the local worker, for constraints; may be repeated
    #[arg(long, value_name = "KEY=VALUE", value_parser = worker_label)]
    pub label: Vec<(String, String)>,
    /// Be the manager that a dashboard leaves running: wait for its folder, and listen where it did
    #[arg(long, value_name = "PORTS", hide = true)]
    pub background: Option<Ports>,
    /// Print one frame as text, or as SVG with WxH.svg, and exit
    #[arg(long, value_name = "WxH", value_parser = picture, conflicts_with = "no_ui")]
    pub snapshot: Option<(Size, Format)>,
}

/// What a manager's start is made of.
#[derive(Args, Clone, Debug, Default)]
pub struct NodeArgs {
    /// Also manage this worker; plain HTTP, so on this machine only; may be repeated
    #[arg(long, value_name = "HOST:PORT", value_parser = loopback_worker)]
    pub worker: Vec<Address>,
    /// Also manage this worker over plain HTTP beyond this machine, such as one of the book's
    #[arg(long, value_name = "HOST:PORT")]
    pub insecure_worker: Vec<Address>,
    /// Run no worker here
    #[arg(long)]
    pub no_local_worker: bool,
    /// Keep the store here instead of in the user's state folder
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
}

impl RootArgs {
    /// Whether the terminal is the dashboard's.
    pub fn has_dashboard(&self) -> bool {
        !self.no_ui && self.snapshot.is_none() && self.background.is_none()
    }

    /// The options that were typed and that only a start of a manager can follow.
    pub fn of_a_start(&self) -> Vec<&'static str> {
        let options = [
            ("--worker", !self.node.worker.is_empty()),
            ("--insecure-worker", !self.node.insecure_worker.is_empty()),
            ("--no-local-worker", self.node.no_local_worker),
            ("--policy", self.policy.is_some()),
            ("--no-listen", self.no_listen),
            ("--scheduler", self.is_scheduler_typed),
            ("--overcommit", self.overcommit.is_some()),
            ("--label", !self.label.is_empty()),
        ];
        options.into_iter().filter(|(_, is_typed)| *is_typed).map(|(option, _)| option).collect()
    }
}

#[derive(Args, Debug)]
pub struct DemoArgs {
    /// Run without a dashboard: print what happens until SIGINT or SIGTERM
    #[arg(long)]
    pub no_ui: bool,
    /// How output looks
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t, requires = "no_ui")]
    pub output: Output,
}

#[derive(Args, Debug)]
pub struct DemoTaskArgs {
    pub program: Program,
    /// Where the hello service listens
    #[arg(long, env = "PORT", default_value_t = 8080)]
    pub port: u16,
    /// What it says
    #[arg(long, env = "GREETING", default_value = "hello")]
    pub greeting: String,
}

#[derive(Args, Debug)]
pub struct ShutdownArgs {
    /// The data folder of the manager, if it is not in the user's state folder
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    #[command(flatten)]
    pub output: OutputArgs,
}

#[derive(Args, Debug)]
pub struct RecoverArgs {
    #[command(flatten)]
    pub node: NodeArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

fn picture(text: &str) -> Result<(Size, Format), String> {
    match text.strip_suffix(".svg") {
        Some(size) => Ok((size.parse()?, Format::Svg)),
        None => Ok((text.parse()?, Format::Text)),
    }
}
