//! A terminal for a test: a real pseudo-terminal, a process in it, and a screen that shows what it wrote.

#![allow(dead_code, clippy::allow_attributes, reason = "each test binary uses its part of this")]

use std::{
    io::{Read, Write},
    num::NonZeroU16,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, SlavePty, native_pty_system};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use super::{
    process::{Home, PROGRAM},
    worker::PATIENCE,
};

type Seen = Arc<(Mutex<vt100::Parser>, Condvar)>;

/// Nobody is there to be told of a chunk that came while the condition was looked at.
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(50);

pub struct Terminal {
    child: Box<dyn Child + Send + Sync>,
    pub pid: Pid,
    writer: Option<Box<dyn Write + Send>>,
    master: Option<Box<dyn MasterPty + Send>>,
    slave: Option<Box<dyn SlavePty + Send>>,
    seen: Seen,
    is_over: Arc<AtomicBool>,
    reader: Option<thread::JoinHandle<()>>,
    /// The line discipline before anyone touched it.
    before: String,
}

/// Columns and rows.
pub type Size = (u16, u16);

impl Terminal {
    /// `cube-tui` with the words of `line`.
    pub fn start(home: &Home, line: &str, size: Size) -> Self {
        let mut command = CommandBuilder::new(PROGRAM);
        command.args(line.split_whitespace());
        Self::run(home, command, size)
    }

    pub fn run(home: &Home, mut command: CommandBuilder, size: Size) -> Self {
        let pair = native_pty_system().openpty(pty_size(size)).expect("a pseudo-terminal");
        let before = line_discipline(&*pair.master);
        command.env_clear();
        for (name, value) in home.variables() {
            command.env(name, value);
        }
        command.env("TERM", "xterm-256color");
        command.env("PS1", "shell> ");
        command.cwd(home.dir.path());
        let child = pair.slave.spawn_command(command).expect("the program starts");
        let pid = child.process_id().and_then(|pid| Pid::from_raw(pid.cast_signed())).expect("a pid");
        let seen: Seen = Arc::new((Mutex::new(parser(size)), Condvar::new()));
        let is_over = Arc::new(AtomicBool::new(false));
        let from = pair.master.try_clone_reader().expect("a reader");
        let (shown, over) = (Arc::clone(&seen), Arc::clone(&is_over));
        let reader = thread::spawn(move || read(from, &shown, &over));
        Self {
            child,
            pid,
            writer: Some(pair.master.take_writer().expect("a writer")),
            master: Some(pair.master),
            slave: Some(pair.slave),
            seen,
            is_over,
            reader: Some(reader),
            before,
        }
    }

    fn parser(&self) -> MutexGuard<'_, vt100::Parser> {
        // Also after a test has panicked with it: its last screen is told then.
        self.seen.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Types.
    pub fn keys(&mut self, keys: &str) {
        let writer = self.writer.as_mut().expect("it is not closed");
        writer.write_all(keys.as_bytes()).and_then(|()| writer.flush()).expect("the terminal takes keys");
    }

    /// Waits until the screen is as wanted.
    #[track_caller]
    pub fn until(&self, what: &str, is_so: impl Fn(&vt100::Screen) -> bool) {
        let start = Instant::now();
        let mut parser = self.parser();
        while !is_so(parser.screen()) {
            assert!(
                start.elapsed() < PATIENCE,
                "{what}: not within {PATIENCE:?}\n{}",
                parser.screen().contents()
            );
            (parser, _) =
                self.seen.1.wait_timeout(parser, LOOK_AGAIN_AFTER).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Waits until all of `parts` can be read somewhere.
    #[track_caller]
    pub fn shows(&self, parts: &[&str]) {
        self.until(&format!("{parts:?} on the screen"), |screen| {
            let contents = screen.contents();
            parts.iter().all(|part| contents.contains(part))
        });
    }

    /// Waits for a line with all of `parts`, and returns it.
    #[track_caller]
    pub fn line(&self, parts: &[&str]) -> String {
        let find = |screen: &vt100::Screen| {
            let contents = screen.contents();
            contents.lines().find(|line| parts.iter().all(|part| line.contains(part))).map(str::to_owned)
        };
        self.until(&format!("a line with {parts:?}"), |screen| find(screen).is_some());
        find(self.parser().screen()).unwrap_or_default()
    }

    pub fn contents(&self) -> String {
        self.parser().screen().contents()
    }

    pub fn resize(&self, size: Size) {
        let (columns, rows) = in_cells(size);
        self.parser().set_size(rows, columns);
        self.master.as_ref().expect("it is not closed").resize(pty_size(size)).expect("a new size");
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid, signal).expect("it is there");
    }

    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("it is ours").is_some()
    }

    /// Waits for the end, and returns the exit code.
    #[track_caller]
    pub fn ended(&mut self) -> u32 {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("it is ours") {
                assert!(status.signal().is_none(), "it was killed: {status}");
                return status.exit_code();
            }
            assert!(start.elapsed() < PATIENCE, "it does not end\n{}", self.contents());
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits until everything that a dashboard takes is given back.
    #[track_caller]
    pub fn is_given_back(&self) {
        self.until("the terminal as it was before", |screen| {
            !screen.alternate_screen() && !screen.hide_cursor() && !screen.bracketed_paste()
        });
        assert_eq!(self.line_discipline(), self.before, "raw mode is off again");
    }

    /// Waits until a dashboard has taken the terminal.
    #[track_caller]
    pub fn is_taken(&self) {
        self.until("a dashboard", |screen| screen.alternate_screen() && screen.hide_cursor());
        assert_ne!(self.line_discipline(), self.before, "raw mode is on");
    }

    fn line_discipline(&self) -> String {
        line_discipline(&**self.master.as_ref().expect("it is not closed"))
    }

    /// Closes the terminal, as a window that is closed does.
    pub fn close(&mut self) {
        self.is_over.store(true, Ordering::SeqCst);
        // Something to read, so that the reader looks up.
        self.resize((79, 23));
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
        (self.writer, self.slave, self.master) = (None, None, None);
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("{}", self.contents());
        }
        // What a shell has started has the terminal, too, and would be left.
        let foreground =
            self.master.as_ref().and_then(|master| Pid::from_raw(master.process_group_leader()?));
        if let Some(group) = foreground
            && !self.has_ended()
        {
            let _ = kill_process_group(group, Signal::KILL);
        }
        let _ = kill_process(self.pid, Signal::KILL);
        let _ = self.child.wait();
    }
}

fn read(mut from: Box<dyn Read + Send>, shown: &Seen, is_over: &AtomicBool) {
    let mut bytes = [0; 8192];
    while let Ok(count @ 1..) = from.read(&mut bytes) {
        shown.0.lock().unwrap_or_else(PoisonError::into_inner).process(&bytes[..count]);
        shown.1.notify_all();
        if is_over.load(Ordering::SeqCst) {
            return;
        }
    }
}

fn line_discipline(master: &dyn MasterPty) -> String {
    format!("{:?}", master.get_termios())
}

fn pty_size((cols, rows): Size) -> PtySize {
    PtySize { rows, cols, pixel_width: 0, pixel_height: 0 }
}

fn in_cells((columns, rows): Size) -> (NonZeroU16, NonZeroU16) {
    let cells = |number: u16| NonZeroU16::new(number).expect("a size");
    (cells(columns), cells(rows))
}

fn parser(size: Size) -> vt100::Parser {
    let (columns, rows) = in_cells(size);
    vt100::Parser::new(rows, columns, 0)
}
