//! How a command ends: the exit codes that scripts rely on, and the error that carries one. Knows no command.

use crate::manager::request::RequestError;

/// The table of exit codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    Done,
    /// A task failed or could not be placed.
    TaskFailed,
    /// Usage or bad input; nothing was done.
    Usage,
    TimedOut,
    /// Manager, worker or engine can't be reached.
    Unreachable,
    /// Refused: not authorised.
    Refused,
    Interrupted,
    /// `run --wait`: the task's own code.
    OfTask(u8),
    /// `run --wait`: cube-tui itself failed.
    RunFailed,
}

impl Exit {
    pub fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::TaskFailed => 1,
            Self::Usage => 2,
            Self::TimedOut => 3,
            Self::Unreachable => 4,
            Self::Refused => 5,
            Self::Interrupted => 130,
            Self::OfTask(code) => code,
            Self::RunFailed => 125,
        }
    }
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        exit.code().into()
    }
}

/// Why a command did not do what it was asked for: what failed, why, what to do next.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct CliError {
    pub exit: Exit,
    /// Empty: there is nothing left to say.
    pub message: String,
}

impl CliError {
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into() }
    }

    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }

    pub fn unreachable(message: impl Into<String>) -> Self {
        Self::new(Exit::Unreachable, message)
    }

    /// The same for `run --wait`, whose exit codes are the task's: all of ours become one.
    pub fn of_run(mut self) -> Self {
        if self.exit != Exit::Interrupted {
            self.exit = Exit::RunFailed;
        }
        self
    }
}

impl From<RequestError> for CliError {
    fn from(error: RequestError) -> Self {
        let exit = match &error {
            RequestError::Invalid(_)
            | RequestError::UnknownTask(_)
            | RequestError::UnknownWorker(_)
            | RequestError::DifferentSpec(_) => Exit::Usage,
            // As a task that could not be placed: later it may be.
            RequestError::TooManyWaiting(_) => Exit::TaskFailed,
            RequestError::NotAuthorised(_) => Exit::Refused,
            RequestError::Store(_) | RequestError::OutOfOrder(_) | RequestError::Unreachable(_) => {
                Exit::Unreachable
            }
        };
        Self::new(exit, error.to_string())
    }
}

impl From<std::io::Error> for CliError {
    /// Of writing to stdout: a reader that went away (`| head`) has what it wanted.
    fn from(error: std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::BrokenPipe => Self::new(Exit::Done, ""),
            _ => Self::new(Exit::Unreachable, format!("cannot write the output: {error}")),
        }
    }
}
