//! A command in a container that runs: its input, its output, its size, its exit code. Knows no task and no client.

use std::pin::Pin;
use std::time::Duration;

use bollard::container::LogOutput;
use bollard::exec::{CreateExecOptions, ResizeExecOptions, StartExecOptions, StartExecResults};
use futures_util::StreamExt as _;
use tokio::io::{AsyncWrite, AsyncWriteExt as _};
use tokio::sync::mpsc;
use tokio::time::sleep;

use super::failure::Call;
use super::{Docker, LOOK, probe};
use crate::worker::runtime::{Exec, ExecInput, ExecOutput, OutputStream, RuntimeError, TerminalSize};

/// After its output is at its end, an engine needs a moment to know the exit code. A command that closed its output
/// and goes on is not waited for longer.
const CODE_WITHIN: u32 = 100;
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(20);

type Output = Pin<Box<dyn futures_util::Stream<Item = Result<LogOutput, bollard::errors::Error>> + Send>>;
type Input = Pin<Box<dyn AsyncWrite + Send>>;

impl Docker {
    /// Ends with the command or, when `input` is closed, by killing it: its user has gone.
    pub(super) async fn exec_in(
        &self,
        container: &str,
        exec: &Exec,
        input: mpsc::Receiver<ExecInput>,
        output: mpsc::Sender<ExecOutput>,
    ) -> Result<i64, RuntimeError> {
        let client = self.client()?;
        let options = CreateExecOptions {
            attach_stdin: Some(exec.stdin),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            tty: Some(exec.tty.is_some()),
            env: Some(exec.env.clone()),
            cmd: Some(exec.cmd.clone()),
            user: exec.user.clone(),
            ..CreateExecOptions::default()
        };
        let made = self.call(LOOK, client.create_exec(container, options)).await;
        let id = made.map_err(|error| self.call_failed(error))?.id;
        let start = StartExecOptions { tty: exec.tty.is_some(), ..StartExecOptions::default() };
        let started = match self.call(LOOK, client.start_exec(&id, Some(start))).await {
            Ok(started) => started,
            // Some engines refuse here what others tell as output: the exit code is what both know.
            Err(error @ Call::Failed(_)) => {
                let why = self.call_failed(error);
                return match self.exec_code(&id).await {
                    Ok(code @ (126 | 127)) => {
                        let bytes = format!("{why}\n").into();
                        let _ = output.send(ExecOutput { stream: OutputStream::Stderr, bytes }).await;
                        Ok(code)
                    }
                    _ => Err(why),
                };
            }
            Err(error) => return Err(self.call_failed(error)),
        };
        let StartExecResults::Attached { output: from, input: into } = started else {
            return Err(RuntimeError::Refused("the engine gave no way to the command".to_owned()));
        };
        if let Some(size) = exec.tty {
            self.resize(&id, size).await;
        }
        match self.carry(&id, from, into, input, output).await {
            Carried::Ended => self.exec_code(&id).await,
            Carried::Abandoned => {
                self.kill_exec(container, &id).await;
                Err(RuntimeError::Unreachable("whoever ran this command has gone".to_owned()))
            }
            Carried::Broken(error) => Err(self.failed(error)),
        }
    }

    /// Both ways, until one of them ends.
    async fn carry(
        &self,
        id: &str,
        mut from: Output,
        into: Input,
        mut input: mpsc::Receiver<ExecInput>,
        output: mpsc::Sender<ExecOutput>,
    ) -> Carried {
        let typed = async {
            let mut into = Some(into);
            while let Some(typed) = input.recv().await {
                match typed {
                    ExecInput::Stdin(bytes) => {
                        // A command that reads no more is not at its end for that.
                        if let Some(open) = &mut into
                            && (open.write_all(&bytes).await.is_err() || open.flush().await.is_err())
                        {
                            into = None;
                        }
                    }
                    ExecInput::StdinEnd => {
                        if let Some(mut open) = into.take() {
                            let _ = open.shutdown().await;
                        }
                    }
                    ExecInput::Resize(size) => self.resize(id, size).await,
                }
            }
        };
        let said = async {
            while let Some(piece) = from.next().await {
                let piece = match piece {
                    Ok(LogOutput::StdErr { message }) => {
                        ExecOutput { stream: OutputStream::Stderr, bytes: message }
                    }
                    Ok(piece) => ExecOutput { stream: OutputStream::Stdout, bytes: piece.into_bytes() },
                    Err(error) => return Carried::Broken(error),
                };
                if output.send(piece).await.is_err() {
                    return Carried::Abandoned;
                }
            }
            Carried::Ended
        };
        tokio::select! {
            biased;
            carried = said => carried,
            () = typed => Carried::Abandoned,
        }
    }

    /// A size that could not be told is no reason to end: the next one may.
    async fn resize(&self, id: &str, size: TerminalSize) {
        let Ok(client) = self.client() else { return };
        let size = ResizeExecOptions { height: size.rows, width: size.columns };
        if let Err(error) = self.call(LOOK, client.resize_exec(id, size)).await {
            tracing::debug!("a terminal's size was not told: {}", self.call_failed(error));
        }
    }

    async fn exec_code(&self, id: &str) -> Result<i64, RuntimeError> {
        let client = self.client()?;
        for _ in 0..CODE_WITHIN {
            let state = self.call(LOOK, client.inspect_exec(id)).await;
            let state = state.map_err(|error| self.call_failed(error))?;
            if let (false, Some(code)) = (state.running.unwrap_or(false), state.exit_code) {
                return Ok(code);
            }
            sleep(LOOK_AGAIN_AFTER).await;
        }
        Err(RuntimeError::Unreachable("the engine does not say how the command ended".to_owned()))
    }

    async fn kill_exec(&self, container: &str, id: &str) {
        let Ok(client) = self.client() else { return };
        if let Ok(state) = self.call(LOOK, client.inspect_exec(id)).await
            && let (true, Some(pid @ 1..)) = (state.running.unwrap_or(false), state.pid)
        {
            probe::kill(container, pid);
        }
    }
}

/// How the exchange with a command ended.
enum Carried {
    Ended,
    /// Nobody is there any more to type or to read.
    Abandoned,
    Broken(bollard::errors::Error),
}
