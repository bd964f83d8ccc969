//! Where the log goes: stderr, or a file while the dashboard has the terminal. `RUST_LOG` says how much.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Mutex;

use tracing::{Level, Metadata};
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, fmt};

/// What is told without `RUST_LOG`: what went wrong.
const DEFAULT: &str = "warn";

/// In the data folder.
pub const FILE: &str = "cube-tui.log";

/// To stderr, beside what a command prints.
pub fn to_stderr(rust_log: Option<&str>) {
    start(rust_log, std::io::stderr);
}

/// To a file in `folder`. A log that can't be written is no reason not to start.
pub fn to_file(rust_log: Option<&str>, folder: &Path) {
    let mut options = OpenOptions::new();
    options.create(true).append(true).mode(0o600);
    if std::fs::create_dir_all(folder).is_ok()
        && let Ok(file) = options.open(folder.join(FILE))
    {
        start(rust_log, Mutex::new(file));
    }
}

fn start<W: for<'a> MakeWriter<'a> + Send + Sync + 'static>(rust_log: Option<&str>, writer: W) {
    let filter = EnvFilter::try_new(rust_log.unwrap_or(DEFAULT)).unwrap_or_else(|_| EnvFilter::new(DEFAULT));
    let lines = fmt::layer()
        // Of a full disk under the log, it would tell on the terminal, which is the dashboard's.
        .log_internal_errors(false)
        .with_writer(writer)
        .with_ansi(false);
    // Fails only where a subscriber is there already, as in tests.
    let _ = tracing_subscriber::registry().with(filter).with(filter_fn(keeps_secrets)).with(lines).try_init();
}

/// The engine's client tells whole requests, and the variables of a container may be secrets: of those nothing is logged,
/// whatever was asked for.
fn keeps_secrets(of: &Metadata<'_>) -> bool {
    !(of.target().starts_with("bollard") && *of.level() > Level::INFO)
}
