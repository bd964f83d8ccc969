//! What keeps the manager from going on for now: a store that takes nothing, or a fault in its own code. Nothing is
//! promised meanwhile; then all is read from the store again. Knows no store and no decision.

use std::panic::{self, AssertUnwindSafe};
use std::time::Duration;

use tokio::time::Instant;

use super::message::Message;
use super::request::RequestError;
use super::store::told;

/// Before it is tried again: somebody may have to make room first.
const RETRY: Duration = Duration::from_secs(1);

pub(super) struct Failure {
    pub(super) why: String,
    pub(super) retry_at: Instant,
}

impl Failure {
    pub(super) fn new(why: String) -> Self {
        Self { why, retry_at: Instant::now() + RETRY }
    }

    pub(super) fn refuse(&self, message: Message) {
        let out_of_order = || RequestError::OutOfOrder(self.why.clone());
        match message {
            Message::Submit { reply, .. }
            | Message::Stop { reply, .. }
            | Message::Restart { reply, .. }
            | Message::Forget { reply, .. }
            | Message::Recover { reply, .. }
            | Message::SetAvailability { reply, .. }
            | Message::Rebalance { reply, .. }
            | Message::SetScheduling { reply, .. }
            | Message::Joined { reply, .. }
            | Message::Left { reply, .. } => {
                let _ = reply.send(Err(RequestError::Store(self.why.clone())));
            }
            // What is known may be ahead of what is stored, and would be taken back.
            Message::Watch { reply, .. } => _ = reply.send(Err(out_of_order())),
            Message::Pages { reply, .. } => _ = reply.send(Err(out_of_order())),
            Message::Snapshot(reply) => _ = reply.send(Err(out_of_order())),
            Message::Read(question) => (question.0)(Err(out_of_order())),
            Message::Why { reply, .. } => _ = reply.send(Err(out_of_order())),
            Message::Plan { reply, .. } => _ = reply.send(Err(out_of_order())),
            // The links are being taken down; who follows a task asks again.
            Message::Input(_) | Message::SecretsChanged | Message::Places(..) | Message::Feed(_) => {}
        }
    }
}

/// Runs `run`. A panic in it costs what it was about and not the manager; what it left half done has to be thrown
/// away.
pub(super) fn caught(run: impl FnOnce()) -> Result<(), String> {
    panic::catch_unwind(AssertUnwindSafe(run))
        .map_err(|panic| format!("a fault of cube-tui's own: {}", told(&*panic)))
}
