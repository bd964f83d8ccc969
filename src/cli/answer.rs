//! Waits for a manager's answer, and says so where it takes long: nobody should have to guess who is silent.

use std::pin::pin;
use std::time::Duration;

use super::args::Output;
use super::print::Printer;
use crate::client::ManagerHandle;
use crate::manager::request::RequestError;

/// A healthy manager answers in milliseconds.
const SAY_AFTER: Duration = Duration::from_secs(2);

pub async fn answer<T>(
    manager: &ManagerHandle,
    asked: impl Future<Output = Result<T, RequestError>>,
) -> Result<T, RequestError> {
    let mut asked = pin!(asked);
    if let Ok(answer) = tokio::time::timeout(SAY_AFTER, &mut asked).await {
        return answer;
    }
    let place = match manager {
        ManagerHandle::Remote(client) => format!(" at {}", client.shown()),
        ManagerHandle::Embedded(_) => String::new(),
    };
    Printer::new(Output::Text).remark(&format!("waiting for the manager{place}"));
    asked.await
}
