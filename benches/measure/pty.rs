//! A program in a pseudo-terminal, and when it wrote what.

use std::io::{Read as _, Write as _};
use std::num::NonZero;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant, SystemTime};

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};

/// What one read brought, and when.
pub struct Chunk {
    pub at: Instant,
    pub wall: SystemTime,
    pub bytes: Vec<u8>,
}

pub struct Pty {
    pub child: Box<dyn Child + Send + Sync>,
    pub chunks: Receiver<Chunk>,
    /// What the screen shows, as far as `take` has read.
    pub screen: vt100::Parser,
    writer: Box<dyn std::io::Write + Send>,
    /// Just before the exec.
    pub started: Instant,
    _master: Box<dyn MasterPty + Send>,
}

impl Pty {
    pub fn start(command: CommandBuilder, width: u16, height: u16) -> Self {
        let size = PtySize { rows: height, cols: width, pixel_width: 0, pixel_height: 0 };
        let pair = native_pty_system().openpty(size).unwrap();
        let mut reader = pair.master.try_clone_reader().unwrap();
        let (sender, chunks) = mpsc::sync_channel(65_536);
        // Ends with the program: then the read fails.
        std::thread::spawn(move || {
            let mut buffer = vec![0; 65_536];
            while let Ok(read @ 1..) = reader.read(&mut buffer) {
                let chunk =
                    Chunk { at: Instant::now(), wall: SystemTime::now(), bytes: buffer[..read].to_vec() };
                if sender.send(chunk).is_err() {
                    return;
                }
            }
        });
        let writer = pair.master.take_writer().unwrap();
        let started = Instant::now();
        let child = pair.slave.spawn_command(command).unwrap();
        let screen = vt100::Parser::new(cells(height), cells(width), 0);
        Self { child, chunks, screen, writer, started, _master: pair.master }
    }

    pub fn pid(&self) -> u32 {
        self.child.process_id().unwrap()
    }

    pub fn press(&mut self, keys: &str) {
        self.writer.write_all(keys.as_bytes()).unwrap();
        self.writer.flush().unwrap();
    }

    /// Reads until the screen is as wanted; returns when the chunk that made it so came.
    pub fn until(&mut self, what: &str, is_so: impl Fn(&vt100::Screen) -> bool) -> Instant {
        let deadline = Instant::now() + Duration::from_mins(1);
        loop {
            match self.chunks.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(chunk) => {
                    self.screen.process(&chunk.bytes);
                    if is_so(self.screen.screen()) {
                        return chunk.at;
                    }
                }
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                    panic!("{what}: the screen shows\n{}", self.screen.screen().contents())
                }
            }
        }
    }

    pub fn until_text(&mut self, text: &str) -> Instant {
        self.until(text, |screen| screen.contents().contains(text))
    }

    /// Reads for so long; returns how many bytes came.
    pub fn listen(&mut self, time: Duration) -> usize {
        let end = Instant::now() + time;
        let mut bytes = 0;
        while let Ok(chunk) = self.chunks.recv_timeout(end.saturating_duration_since(Instant::now())) {
            self.screen.process(&chunk.bytes);
            bytes += chunk.bytes.len();
        }
        bytes
    }

    /// Quits as a user does, or ends it after a while.
    pub fn quit(mut self) {
        self.press("qq");
        let deadline = Instant::now() + Duration::from_secs(40);
        while self.child.try_wait().is_ok_and(|ended| ended.is_none()) {
            if Instant::now() > deadline {
                let _ = self.child.kill();
            }
            // The pty's buffer must not hold it up.
            while self.chunks.try_recv().is_ok() {}
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

fn cells(count: u16) -> NonZero<u16> {
    NonZero::new(count).expect("a terminal has cells")
}
