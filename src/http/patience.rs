//! A connection whose other end has to take what it asked for: who stops reading is cut off, so that answers don't pile
//! up for it. Knows no HTTP.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

/// A reader that took nothing for this long is gone, and not somebody who pages through what he asked for.
const TAKES_SOMETHING_WITHIN: Duration = Duration::from_mins(10);

/// Bytes that go out within [`TAKES_SOMETHING_WITHIN`], or not at all.
#[derive(Debug)]
pub(super) struct Patient<I> {
    io: I,
    /// Runs while `stalled`; made once there is a first stall.
    deadline: Option<Pin<Box<Sleep>>>,
    stalled: bool,
}

impl<I> Patient<I> {
    pub(super) fn new(io: I) -> Self {
        Self { io, deadline: None, stalled: false }
    }

    fn until_the_deadline<T>(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stalled = false;
            return written;
        }
        let deadline = self.deadline.get_or_insert_with(|| Box::pin(tokio::time::sleep(Duration::ZERO)));
        if !self.stalled {
            self.stalled = true;
            deadline.as_mut().reset(Instant::now() + TAKES_SOMETHING_WITHIN);
        }
        ready!(deadline.as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the other end takes nothing any more")))
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for Patient<I> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_read(cx, buf)
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Patient<I> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.io).poll_write(cx, buf);
        this.until_the_deadline(cx, written)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.io).poll_write_vectored(cx, bufs);
        this.until_the_deadline(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let flushed = Pin::new(&mut this.io).poll_flush(cx);
        this.until_the_deadline(cx, flushed)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_takes_nothing_is_cut_off_and_who_takes_a_little_is_not() {
        let (ours, mut theirs) = duplex(16);
        let mut ours = Patient::new(ours);
        let slow = tokio::spawn(async move {
            let mut piece = [0; 8];
            for _ in 0..4 {
                tokio::time::sleep(TAKES_SOMETHING_WITHIN / 2).await;
                theirs.read_exact(&mut piece).await.unwrap();
            }
            theirs
        });
        ours.write_all(&[0; 48]).await.unwrap();
        let _theirs = slow.await.unwrap();
        let began = Instant::now();
        let error = ours.write_all(&[0; 48]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(began.elapsed() >= TAKES_SOMETHING_WITHIN);
    }
}
