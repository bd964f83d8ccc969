//! `POST /v1/tasks/{id}/exec`: a command in a task's container. The connection is upgraded, and carries frames from
//! then on: a byte that says what it is, and what it holds. Both ends of the wire are here.

use std::io;

use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection};
use axum::extract::{FromRequestParts, Path, State as Shared};
use axum::http::{StatusCode, header, request::Parts};
use axum::response::{IntoResponse as _, Response};
use bytes::{BufMut as _, Bytes, BytesMut};
use futures_util::StreamExt as _;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadHalf, WriteHalf};
use tokio::sync::mpsc;
use tokio_util::codec::{FramedRead, LengthDelimitedCodec};

use super::api::{Api, task_id};
use super::runtime::{Exec, ExecInput, ExecOutput, OutputStream, TerminalSize};
use crate::http::Refusal;

/// What both ends call this.
pub const EXEC_PROTOCOL: &str = "cube-exec";

/// Far more than is read at once at either end.
const LARGEST_FRAME: usize = 1 << 20;

/// The bytes of a frame's length.
const LENGTH: usize = 4;

/// Pieces that wait for the engine, or for whoever reads: beyond it the other side waits.
const WAITING: usize = 8;

/// A frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    Stdin(Bytes),
    StdinEnd,
    Resize(TerminalSize),
    Stdout(Bytes),
    Stderr(Bytes),
    /// The last one: the command's exit code.
    Exit(i64),
    /// The last one: why there is no exit code.
    Failed(String),
}

impl Frame {
    fn kind(&self) -> u8 {
        match self {
            Self::Stdin(_) => 0,
            Self::Stdout(_) => 1,
            Self::Stderr(_) => 2,
            Self::Resize(_) => 3,
            Self::Exit(_) => 4,
            Self::StdinEnd => 5,
            Self::Failed(_) => 6,
        }
    }

    fn encode(&self) -> Bytes {
        let mut frame = BytesMut::new();
        // Its length comes first, and is known last.
        frame.put_u32(0);
        frame.put_u8(self.kind());
        match self {
            Self::Stdin(bytes) | Self::Stdout(bytes) | Self::Stderr(bytes) => frame.put_slice(bytes),
            Self::StdinEnd => {}
            Self::Resize(size) => {
                frame.put_u16(size.columns);
                frame.put_u16(size.rows);
            }
            Self::Exit(code) => frame.put_i64(*code),
            Self::Failed(why) => frame.put_slice(why.as_bytes()),
        }
        let length = u32::try_from(frame.len() - LENGTH).expect("a frame is far smaller than 4 GiB");
        frame[..LENGTH].copy_from_slice(&length.to_be_bytes());
        frame.freeze()
    }

    fn decode(mut frame: BytesMut) -> io::Result<Self> {
        let unreadable = || io::Error::new(io::ErrorKind::InvalidData, "an unreadable frame");
        if frame.is_empty() {
            return Err(unreadable());
        }
        let kind = frame.split_to(1)[0];
        let number = |at: usize| frame.get(at..at + 2).map(|bytes| u16::from_be_bytes([bytes[0], bytes[1]]));
        Ok(match kind {
            0 => Self::Stdin(frame.freeze()),
            1 => Self::Stdout(frame.freeze()),
            2 => Self::Stderr(frame.freeze()),
            3 => {
                let size = number(0).zip(number(2)).ok_or_else(unreadable)?;
                Self::Resize(TerminalSize { columns: size.0, rows: size.1 })
            }
            4 => Self::Exit(i64::from_be_bytes(frame.as_ref().try_into().map_err(|_| unreadable())?)),
            5 => Self::StdinEnd,
            6 => Self::Failed(String::from_utf8_lossy(&frame).into_owned()),
            _ => return Err(unreadable()),
        })
    }
}

/// What comes over an upgraded connection.
#[derive(Debug)]
pub struct FrameReader<T>(FramedRead<T, LengthDelimitedCodec>);

/// What goes over it. Apart from the reader, so that neither way waits for the other.
#[derive(Debug)]
pub struct FrameWriter<T>(T);

/// Both halves of an upgraded connection.
pub fn frames<T: AsyncRead + AsyncWrite>(
    connection: T,
) -> (FrameReader<ReadHalf<T>>, FrameWriter<WriteHalf<T>>) {
    let (reader, writer) = tokio::io::split(connection);
    let codec = LengthDelimitedCodec::builder().max_frame_length(LARGEST_FRAME).new_codec();
    (FrameReader(FramedRead::new(reader, codec)), FrameWriter(writer))
}

impl<T: AsyncRead + Unpin> FrameReader<T> {
    /// `None` when the other side has gone. May be dropped while it waits.
    pub async fn next(&mut self) -> Option<io::Result<Frame>> {
        let frame = self.0.next().await?;
        Some(frame.and_then(Frame::decode))
    }
}

impl<T: AsyncWrite + Unpin> FrameWriter<T> {
    /// Returns when it is on its way. Must not be dropped before: half a frame would be sent.
    pub async fn send(&mut self, frame: &Frame) -> io::Result<()> {
        let bytes = frame.encode();
        self.0.write_all(&bytes).await?;
        self.0.flush().await
    }
}

/// A request's upgrade; a refusal where none was asked for.
#[derive(Debug)]
pub struct Upgrade(pub OnUpgrade);

impl<S: Send + Sync> FromRequestParts<S> for Upgrade {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        let asked = parts.headers.get(header::UPGRADE).is_some_and(|name| name == EXEC_PROTOCOL);
        let upgrade = parts.extensions.remove::<OnUpgrade>().filter(|_| asked);
        let how =
            || Refusal::new(426, format!("this route speaks frames: ask with `Upgrade: {EXEC_PROTOCOL}`"));
        upgrade.map(Self).ok_or_else(how)
    }
}

/// The answer before the frames.
pub fn switching() -> Response {
    let headers = [(header::CONNECTION, "upgrade"), (header::UPGRADE, EXEC_PROTOCOL)];
    (StatusCode::SWITCHING_PROTOCOLS, headers).into_response()
}

pub(super) async fn post_exec(
    Shared(api): Shared<Api>,
    id: Result<Path<String>, PathRejection>,
    Upgrade(upgrade): Upgrade,
    exec: Result<Json<Exec>, JsonRejection>,
) -> Result<Response, Refusal> {
    let (task, Json(exec)) = (task_id(id)?, exec?);
    if exec.cmd.is_empty() {
        return Err(Refusal::new(400, "Cmd: expected a program and its arguments"));
    }
    let newest = api.newest_container(task).await?;
    if !newest.is_live {
        return Err(Refusal::new(
            409,
            format!("task {task} is not running: a command needs a running container"),
        ));
    }
    // Ends with the connection, the command or the worker; whoever stops the worker waits for it.
    api.execs.clone().spawn(async move {
        let Ok(connection) = upgrade.await else { return };
        serve(&api, newest.container, exec, TokioIo::new(connection)).await;
    });
    Ok(switching())
}

async fn serve(api: &Api, container: String, exec: Exec, connection: impl AsyncRead + AsyncWrite) {
    let (mut reader, mut writer) = frames(connection);
    let (input, input_rx) = mpsc::channel(WAITING);
    let (output, mut output_rx) = mpsc::channel::<ExecOutput>(WAITING);
    let typed = async {
        tokio::select! {
            () = pass_on(&mut reader, &input) => {}
            () = api.token.cancelled() => {}
        }
        // Closed: the command is ended.
        drop(input);
        std::future::pending::<()>().await;
    };
    let said = async {
        while let Some(ExecOutput { stream, bytes }) = output_rx.recv().await {
            let frame = match stream {
                OutputStream::Stdout => Frame::Stdout(bytes),
                OutputStream::Stderr => Frame::Stderr(bytes),
            };
            if writer.send(&frame).await.is_err() {
                output_rx.close();
            }
        }
    };
    let running = api.containers.clone().exec(container, exec, input_rx, output);
    let ended = tokio::select! {
        (ended, ()) = async { tokio::join!(running, said) } => ended,
        () = typed => return,
    };
    let last = match ended {
        Ok(code) => Frame::Exit(code),
        Err(error) => Frame::Failed(error.to_string()),
    };
    // Whoever went meanwhile needs no answer.
    let _ = writer.send(&last).await;
}

/// Until the other side goes, or is no peer of ours.
async fn pass_on(reader: &mut FrameReader<impl AsyncRead + Unpin>, input: &mpsc::Sender<ExecInput>) {
    while let Some(Ok(frame)) = reader.next().await {
        let typed = match frame {
            Frame::Stdin(bytes) => ExecInput::Stdin(bytes),
            Frame::StdinEnd => ExecInput::StdinEnd,
            Frame::Resize(size) => ExecInput::Resize(size),
            Frame::Stdout(_) | Frame::Stderr(_) | Frame::Exit(_) | Frame::Failed(_) => return,
        };
        if input.send(typed).await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::{Bytes, BytesMut};

    use super::{Frame, TerminalSize, frames};

    #[tokio::test]
    async fn frames_arrive_as_they_were_sent_and_scribble_is_an_error() {
        let (here, there) = tokio::io::duplex(64);
        let ((_, mut here), (mut there, _)) = (frames(here), frames(there));
        let sent = [
            Frame::Stdin(Bytes::from_static(b"\0\xff\n")),
            Frame::StdinEnd,
            Frame::Resize(TerminalSize { columns: 300, rows: 24 }),
            Frame::Stdout(Bytes::from(vec![7; 5000])),
            Frame::Stderr(Bytes::new()),
            Frame::Failed("näh".to_owned()),
            Frame::Exit(-1),
        ];
        let all = sent.clone();
        let sending = tokio::spawn(async move {
            for frame in all {
                here.send(&frame).await.unwrap();
            }
        });
        for frame in sent {
            assert_eq!(there.next().await.unwrap().unwrap(), frame);
        }
        sending.await.unwrap();
        assert!(there.next().await.is_none());
        for scribble in [&b""[..], b"\x09x", b"\x03\0", b"\x04123"] {
            assert!(Frame::decode(BytesMut::from(scribble)).is_err(), "{scribble:?}");
        }
    }
}
