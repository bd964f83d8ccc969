//! What the demo's tasks do, inside their containers. Knows nothing of a cluster.

use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

/// How long the batch job works, and how long it takes the other one to crash.
const WORK: Duration = Duration::from_secs(8);
const STEPS: u32 = 8;
const UNTIL_CRASH: Duration = Duration::from_secs(3);

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Program {
    /// An HTTP service that says hello.
    Hello,
    /// Works for some seconds and ends well.
    Batch,
    /// Ends with exit code 3 after some seconds.
    Crash,
}

impl Program {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Hello => "hello",
            Self::Batch => "batch",
            Self::Crash => "crash",
        }
    }
}

/// Runs `program` until its end or SIGTERM: as PID 1 of a container nothing else ends it.
pub async fn run(program: Program, port: u16, greeting: String) -> std::io::Result<ExitCode> {
    // As a plain process it must not outlive a demo that was killed; as PID 1 it has no parent to lose.
    if std::process::id() != 1 {
        rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::TERM))?;
    }
    let mut terminate = signal(SignalKind::terminate())?;
    let work = async {
        match program {
            Program::Hello => hello(port, greeting).await,
            Program::Batch => {
                for step in 1..=STEPS {
                    tokio::time::sleep(WORK / STEPS).await;
                    say(&format!("step {step} of {STEPS} is done"));
                }
                Ok(ExitCode::SUCCESS)
            }
            Program::Crash => {
                say("starting; this is not going to end well");
                tokio::time::sleep(UNTIL_CRASH).await;
                // Whoever reads it may have gone; that is no other way to crash.
                let _ = writeln!(std::io::stderr(), "\x1b[31mfatal:\x1b[0m out of luck");
                Ok(ExitCode::from(3))
            }
        }
    };
    tokio::select! {
        ended = work => ended,
        _ = terminate.recv() => Ok(ExitCode::SUCCESS),
    }
}

/// For whoever reads the logs; nobody need.
fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

async fn hello(port: u16, greeting: String) -> std::io::Result<ExitCode> {
    let listener = TcpListener::bind(("0.0.0.0", port)).await?;
    say(&format!("listening on port {port}"));
    let answer = move || async move {
        say("GET / 200");
        greeting + "\n"
    };
    axum::serve(listener, Router::new().route("/", get(answer))).await?;
    Ok(ExitCode::SUCCESS)
}
