//! Runs code that may panic on a broken file, and makes an answer of that. Knows no file.

use std::any::Any;
use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

thread_local! {
    static IS_GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// What `run` returns, or the message of its panic, of which nothing is printed. What `run` may have left half done
/// has to be thrown away then.
pub(super) fn guarded<T>(run: impl FnOnce() -> T) -> Result<T, String> {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            if !IS_GUARDED.get() {
                before(panic);
            }
        }));
    });
    let outer = IS_GUARDED.replace(true);
    let outcome = panic::catch_unwind(AssertUnwindSafe(run));
    IS_GUARDED.set(outer);
    outcome.map_err(|panic| format!("its reader gave up ({})", told(&*panic)))
}

/// The message of a panic.
pub fn told(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("without a word")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_comes_back_as_its_message_and_the_next_one_is_not_swallowed() {
        assert_eq!(guarded(|| 7), Ok(7));
        let told = guarded(|| -> u8 { panic!("page {}", 9) });
        assert_eq!(told, Err("its reader gave up (page 9)".to_owned()));
        assert!(!IS_GUARDED.get());
    }
}
