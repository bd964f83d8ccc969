//! A terminal (or pipes) on a command that runs in a container: keys there, its output here, its size kept. Knows no
//! dashboard; whoever calls has the terminal as a shell has it.

use std::io::{self, PipeWriter, Stdin, Write};
use std::thread::JoinHandle;

use bytes::Bytes;
use ratatui::crossterm::terminal::{self, disable_raw_mode, enable_raw_mode};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use tokio::io::{ReadHalf, WriteHalf};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use crate::client::ExecConnection;
use crate::worker::runtime::TerminalSize;
use crate::worker::{Frame, FrameReader, FrameWriter};

/// Read at once from what is typed or piped in.
const PIECE: usize = 16 << 10;
/// Pieces that wait for the connection.
const WAITING: usize = 4;

/// How a command ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    Exit(i64),
    /// There is no exit code, and why.
    Failed(String),
}

/// The size of this terminal.
pub fn terminal_size() -> TerminalSize {
    let (columns, rows) = terminal::size().unwrap_or((80, 24));
    TerminalSize { columns, rows }
}

/// Until the command has ended. Dropped before, it gives the terminal back, and the command is ended.
pub async fn attach(connection: ExecConnection, has_stdin: bool, is_tty: bool) -> io::Result<Ended> {
    let (reader, writer) = connection;
    let _raw = if is_tty { Some(RawMode::enter()?) } else { None };
    let (typed, typed_rx) = mpsc::channel(WAITING);
    let _typing = if has_stdin { Some(Typing::start(typed)?) } else { None };
    tokio::select! {
        ended = show(reader) => ended,
        error = pass_on(writer, typed_rx, is_tty) => Err(error?),
    }
}

/// Raw mode, as long as this lives.
struct RawMode;

impl RawMode {
    fn enter() -> io::Result<Self> {
        enable_raw_mode()?;
        Ok(Self)
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        // There is nobody to tell.
        let _ = disable_raw_mode();
    }
}

/// Goes on for ever, unless listening to the terminal's size fails.
async fn pass_on(
    mut writer: FrameWriter<WriteHalf<reqwest::Upgraded>>,
    mut typed: mpsc::Receiver<Frame>,
    is_tty: bool,
) -> Result<io::Error, io::Error> {
    let mut resized = signal(SignalKind::window_change())?;
    if is_tty {
        // It may have changed since it was told.
        let _ = writer.send(&Frame::Resize(terminal_size())).await;
    }
    loop {
        let frame = tokio::select! {
            Some(typed) = typed.recv() => typed,
            _ = resized.recv(), if is_tty => Frame::Resize(terminal_size()),
            else => std::future::pending().await,
        };
        if writer.send(&frame).await.is_err() {
            // Cut: the reader says so, after what came before.
            std::future::pending::<()>().await;
        }
    }
}

async fn show(mut reader: FrameReader<ReadHalf<reqwest::Upgraded>>) -> io::Result<Ended> {
    loop {
        match reader.next().await {
            Some(Ok(Frame::Stdout(bytes))) => write(io::stdout(), bytes).await?,
            Some(Ok(Frame::Stderr(bytes))) => write(io::stderr(), bytes).await?,
            Some(Ok(Frame::Exit(code))) => return Ok(Ended::Exit(code)),
            Some(Ok(Frame::Failed(why))) => return Ok(Ended::Failed(why)),
            Some(Ok(Frame::Stdin(_) | Frame::StdinEnd | Frame::Resize(_))) => {}
            Some(Err(error)) => return Ok(Ended::Failed(format!("the connection was cut ({error})"))),
            None => return Ok(Ended::Failed("the connection was cut".to_owned())),
        }
    }
}

/// On a thread that may wait: whoever reads slowly must not keep keys from the command.
async fn write(mut to: impl Write + Send + 'static, bytes: Bytes) -> io::Result<()> {
    let written = tokio::task::spawn_blocking(move || to.write_all(&bytes).and_then(|()| to.flush()));
    written.await.unwrap_or_else(|error| Err(io::Error::other(error)))
}

/// Reads what is typed, on a thread that ends with this: a read that nobody can end would take the next key from
/// whoever has the terminal afterwards.
struct Typing {
    /// Closed to end the thread.
    wake: Option<PipeWriter>,
    thread: Option<JoinHandle<()>>,
}

impl Typing {
    fn start(typed: mpsc::Sender<Frame>) -> io::Result<Self> {
        let (woken, wake) = io::pipe()?;
        let thread = std::thread::spawn(move || {
            let stdin = io::stdin();
            while let Ok(true) = is_ready(&stdin, &woken) {
                let mut piece = vec![0; PIECE];
                // Past std's buffer, which a poll does not see.
                let frame = match rustix::io::read(&stdin, &mut piece) {
                    Ok(0) => Frame::StdinEnd,
                    Ok(count) => {
                        piece.truncate(count);
                        Frame::Stdin(Bytes::from(piece))
                    }
                    Err(Errno::INTR) => continue,
                    Err(_) => Frame::StdinEnd,
                };
                let is_end = frame == Frame::StdinEnd;
                if typed.blocking_send(frame).is_err() || is_end {
                    return;
                }
            }
        });
        Ok(Self { wake: Some(wake), thread: Some(thread) })
    }
}

/// Waits for something to read. False when it is to end.
fn is_ready(stdin: &Stdin, woken: &io::PipeReader) -> io::Result<bool> {
    loop {
        let mut both = [PollFd::new(stdin, PollFlags::IN), PollFd::new(woken, PollFlags::IN)];
        match poll(&mut both, None) {
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
            Ok(_) => return Ok(both[1].revents().is_empty()),
        }
    }
}

impl Drop for Typing {
    fn drop(&mut self) {
        drop(self.wake.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
