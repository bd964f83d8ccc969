//! Notices that a silent connection is dead: a stream on which nothing comes looks the same whether nothing happens or
//! the other side is out of reach. Knows no cluster.

use std::time::Duration;

use futures_util::{Stream, StreamExt, stream};

use super::ManagerClient;
use crate::manager::request::RequestError;

/// Workers tell their loads more often than this; a cluster without workers may be as silent as a dead one.
const SILENT_FOR: Duration = Duration::from_secs(10);
const ANSWERS_WITHIN: Duration = Duration::from_secs(5);

/// `items` of the manager of `client`, with an error at the end if it is silent and does not answer when asked.
pub(super) fn watched<T: Send + 'static>(
    items: impl Stream<Item = Result<T, RequestError>> + Send + 'static,
    client: ManagerClient,
) -> impl Stream<Item = Result<T, RequestError>> + Send {
    watched_for(items, client, SILENT_FOR, ANSWERS_WITHIN)
}

fn watched_for<T: Send + 'static>(
    items: impl Stream<Item = Result<T, RequestError>> + Send + 'static,
    client: ManagerClient,
    silent_for: Duration,
    within: Duration,
) -> impl Stream<Item = Result<T, RequestError>> + Send {
    stream::unfold(Some(Box::pin(items)), move |items| {
        let client = client.clone();
        async move {
            let mut items = items?;
            loop {
                match tokio::time::timeout(silent_for, items.next()).await {
                    Ok(None) => return None,
                    Ok(Some(item)) => return Some((item, Some(items))),
                    Err(_) if client.answers(within).await => {}
                    Err(_) => {
                        let silence = humantime::format_duration(silent_for + within);
                        let error = client.unreachable(&format!("no word and no answer for {silence}"));
                        return Some((Err(error), None));
                    }
                }
            }
        }
    })
}

impl ManagerClient {
    /// Whether it answers anything at all.
    async fn answers(&self, within: Duration) -> bool {
        let request = self.http.get(format!("{}/healthz", self.base)).send();
        matches!(tokio::time::timeout(within, request).await, Ok(Ok(_)))
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;
    use crate::http::http_client;

    /// A manager that says nothing, and gives `answer` when it is asked.
    async fn silent(
        answer: &'static [u8],
        silent_for: Duration,
        within: Duration,
    ) -> impl Stream<Item = Result<(), RequestError>> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            let mut kept = Vec::new();
            loop {
                let (mut connection, _) = listener.accept().await.unwrap();
                let mut request = [0; 1024];
                let _ = connection.read(&mut request).await;
                let _ = connection.write_all(answer).await;
                kept.push(connection);
            }
        });
        watched_for(stream::pending(), ManagerClient::new(http_client(), &base), silent_for, within)
    }

    #[tokio::test]
    async fn who_is_silent_and_does_not_answer_is_cut_off() {
        let mut items = Box::pin(silent(b"", Duration::from_millis(1), Duration::from_millis(20)).await);
        let cut = tokio::time::timeout(Duration::from_secs(30), items.next()).await.unwrap();
        assert!(matches!(&cut, Some(Err(error)) if error.to_string().contains("no answer")), "{cut:?}");
        assert!(items.next().await.is_none());
    }

    #[tokio::test]
    async fn who_is_silent_and_answers_is_not() {
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        let mut items = Box::pin(silent(answer, Duration::from_millis(1), Duration::from_secs(30)).await);
        let cut = tokio::time::timeout(Duration::from_millis(300), items.next()).await;
        assert!(cut.is_err(), "{cut:?}");
    }
}
