//! The terminal guard: takes the terminal over and gives it back, once, however the dashboard ends.

use std::cell::Cell;
use std::future::Future;
use std::io::{self, Write};
use std::pin::Pin;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll};

use ratatui::crossterm::event::{
    DisableBracketedPaste, DisableFocusChange, EnableBracketedPaste, EnableFocusChange,
};
use ratatui::crossterm::terminal::{
    DisableLineWrap, EnableLineWrap, EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode,
    enable_raw_mode,
};
use ratatui::crossterm::{cursor, execute};
use tokio::sync::mpsc;

/// The terminal is ours. Process-wide, as the terminal is: the panic hook has to know.
static IS_TAKEN: AtomicBool = AtomicBool::new(false);

/// Where panics of background tasks are told while the dashboard runs.
static NOTICES: Mutex<Option<mpsc::Sender<String>>> = Mutex::new(None);

thread_local! {
    /// This thread is inside the dashboard's own code right now.
    static IN_DASHBOARD: Cell<bool> = const { Cell::new(false) };
}

/// Holds the terminal: raw mode, alternate screen, bracketed paste, focus events. Dropping gives it back.
/// The mouse is left alone, so that text stays selectable.
#[derive(Debug)]
pub(super) struct TerminalGuard;

impl TerminalGuard {
    pub(super) fn take(notices: mpsc::Sender<String>) -> io::Result<Self> {
        install_panic_hook();
        *NOTICES.lock().unwrap_or_else(PoisonError::into_inner) = Some(notices);
        let guard = Self;
        take()?;
        Ok(guard)
    }

    /// Takes it again after a suspend; the same as before if it is still ours.
    #[expect(clippy::unused_self, reason = "only who holds the guard may do this")]
    pub(super) fn retake(&self) -> io::Result<()> {
        take()
    }

    /// Gives it back for a while.
    #[expect(clippy::unused_self, reason = "only who holds the guard may do this")]
    pub(super) fn lend(&self) {
        give_back();
    }
}

impl Drop for TerminalGuard {
    fn drop(&mut self) {
        give_back();
        *NOTICES.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

fn take() -> io::Result<()> {
    IS_TAKEN.store(true, Ordering::SeqCst);
    enable_raw_mode()?;
    execute!(
        io::stdout(),
        EnterAlternateScreen,
        DisableLineWrap,
        EnableBracketedPaste,
        EnableFocusChange,
        cursor::Hide
    )
}

/// Errors are passed over: there is nobody left to tell, and each step is worth trying alone.
fn give_back() {
    if !IS_TAKEN.swap(false, Ordering::SeqCst) {
        return;
    }
    let mut out = io::stdout();
    let _ = execute!(out, DisableFocusChange, DisableBracketedPaste, EnableLineWrap, LeaveAlternateScreen);
    let _ = execute!(out, cursor::Show);
    let _ = disable_raw_mode();
    let _ = out.flush();
}

/// A panic in the dashboard gives the terminal back before its message is printed. One in a background task,
/// which the program survives, is told in the status line and leaves the screen alone.
fn install_panic_hook() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if !IS_TAKEN.load(Ordering::SeqCst) {
                return before(panic);
            }
            if IN_DASHBOARD.get() {
                give_back();
                return before(panic);
            }
            tracing::error!("{panic}");
            // try_lock: the panic may have come while this very lock was held.
            if let Ok(notices) = NOTICES.try_lock()
                && let Some(notices) = notices.as_ref()
            {
                let _ = notices.try_send(format!("a background task failed: {panic}"));
            }
        }));
    });
}

/// Marks the thread that polls `future` as the dashboard's for as long as it does.
#[derive(Debug)]
pub(super) struct InDashboard<F>(pub(super) Pin<Box<F>>);

impl<F: Future> Future for InDashboard<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        IN_DASHBOARD.set(true);
        let poll = self.0.as_mut().poll(context);
        // Not reached by a panic, and need not be: the hook has run by then.
        IN_DASHBOARD.set(false);
        poll
    }
}

/// Stops this process and those of its group (`cargo run` too), as the shell's ^Z does; returns when continued.
pub(super) fn stop_process_group() -> io::Result<()> {
    rustix::process::kill_current_process_group(rustix::process::Signal::STOP)?;
    Ok(())
}

/// OSC 52: puts text into the clipboard of the terminal, also through SSH.
pub(super) fn clipboard(text: &str) -> Vec<u8> {
    let mut sequence = b"\x1b]52;c;".to_vec();
    sequence.extend_from_slice(base64(text.as_bytes()).as_bytes());
    sequence.push(b'\x07');
    sequence
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let byte = |index: usize| usize::from(chunk.get(index).copied().unwrap_or(0));
        let group = byte(0) << 16 | byte(1) << 8 | byte(2);
        for digit in 0..4 {
            let is_padding = digit > chunk.len();
            let value = group >> (18 - 6 * digit) & 63;
            text.push(if is_padding { '=' } else { char::from(DIGITS[value]) });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{base64, clipboard};

    #[test]
    fn base64_is_that_of_rfc_4648() {
        let cases = [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")];
        for (text, expected) in cases {
            assert_eq!(base64(text.as_bytes()), expected);
        }
        assert_eq!(clipboard("foo"), b"\x1b]52;c;Zm9v\x07");
    }
}
