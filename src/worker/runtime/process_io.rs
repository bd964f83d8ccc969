//! The pipes of plain processes: what a task's process says, and a command run beside it. Knows no task's state.

use std::process::Stdio;

use bytes::Bytes;
use jiff::Timestamp;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{ChildStderr, ChildStdout, Command};
use tokio::sync::mpsc;

use super::kept_output::KeptOutput;
use super::output::LineCutter;
use super::process::exit_code;
use super::{Exec, ExecInput, ExecOutput, OutputStream, RuntimeError};
use crate::task::TaskSpec;

/// Read at once.
const PIECE: usize = 16 << 10;

/// Keeps what both streams say, until both are at their end.
pub(super) async fn keep(stdout: Option<ChildStdout>, stderr: Option<ChildStderr>, output: &KeptOutput) {
    tokio::join!(
        keep_one(stdout, OutputStream::Stdout, output),
        keep_one(stderr, OutputStream::Stderr, output)
    );
}

async fn keep_one(from: Option<impl AsyncRead + Unpin>, stream: OutputStream, output: &KeptOutput) {
    let Some(mut from) = from else { return };
    let mut cutter = LineCutter::default();
    let mut piece = vec![0; PIECE];
    while let Ok(count @ 1..) = from.read(&mut piece).await {
        cutter.push(Timestamp::now(), &piece[..count], |time, line| output.push(time, stream, line));
    }
    if let Some((time, line)) = cutter.finish() {
        output.push(time, stream, line);
    }
}

/// Runs a command with the task's variables. Killed when `input` is closed or this is dropped.
pub(super) async fn exec(
    spec: &TaskSpec,
    exec: &Exec,
    mut input: mpsc::Receiver<ExecInput>,
    output: mpsc::Sender<ExecOutput>,
) -> Result<i64, RuntimeError> {
    if exec.tty.is_some() || exec.user.is_some() {
        let why = "this task is a plain process: a terminal or another user in it takes a container engine";
        return Err(RuntimeError::Refused(why.to_owned()));
    }
    let Some((program, arguments)) = exec.cmd.split_first() else {
        return Err(RuntimeError::Refused("no command".to_owned()));
    };
    let variables = spec.env.iter().chain(&exec.env);
    let child = Command::new(program)
        .args(arguments)
        .envs(variables.map(|variable| variable.split_once('=').unwrap_or((variable, ""))))
        .stdin(if exec.stdin { Stdio::piped() } else { Stdio::null() })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn();
    let mut child = match child {
        Ok(child) => child,
        Err(error) => {
            let is_missing = error.kind() == std::io::ErrorKind::NotFound;
            let bytes = format!("{program}: {error}\n").into();
            let _ = output.send(ExecOutput { stream: OutputStream::Stderr, bytes }).await;
            return Ok(if is_missing { 127 } else { 126 });
        }
    };
    let (stdout, stderr, mut stdin) = (child.stdout.take(), child.stderr.take(), child.stdin.take());
    let typed = async {
        while let Some(typed) = input.recv().await {
            match typed {
                ExecInput::Stdin(bytes) => {
                    if let Some(open) = &mut stdin
                        && open.write_all(&bytes).await.is_err()
                    {
                        stdin = None;
                    }
                }
                ExecInput::StdinEnd => stdin = None,
                ExecInput::Resize(_) => {}
            }
        }
    };
    let said = async {
        tokio::join!(
            pass_on(stdout, OutputStream::Stdout, &output),
            pass_on(stderr, OutputStream::Stderr, &output)
        );
        child.wait().await
    };
    tokio::select! {
        biased;
        status = said => status.map(exit_code).map_err(|error| RuntimeError::Unreachable(error.to_string())),
        () = typed => Err(RuntimeError::Unreachable("whoever ran this command has gone".to_owned())),
    }
}

async fn pass_on(
    from: Option<impl AsyncRead + Unpin>,
    stream: OutputStream,
    output: &mpsc::Sender<ExecOutput>,
) {
    let Some(mut from) = from else { return };
    let mut piece = vec![0; PIECE];
    while let Ok(count @ 1..) = from.read(&mut piece).await {
        let bytes = Bytes::copy_from_slice(&piece[..count]);
        if output.send(ExecOutput { stream, bytes }).await.is_err() {
            return;
        }
    }
}
