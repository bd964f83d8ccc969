//! Whether a manager answers at an address, and what does if none. Knows no cluster.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::ManagerClient;
use crate::http::{CONNECT_WITHIN, ClientError, NOT_PLAIN, checked};
use crate::manager::request::RequestError;

/// A manager on this machine answers at once; a busy one is there all the same.
const PULSE_WITHIN: Duration = Duration::from_millis(300);
const IDENTIFIED_WITHIN: Duration = Duration::from_secs(10);

impl ManagerClient {
    /// False if nobody listens there any more. Who is silent may only be busy.
    pub async fn is_there(&self) -> bool {
        let request = self.http.get(format!("{}/healthz", self.base)).send();
        !matches!(tokio::time::timeout(PULSE_WITHIN, request).await, Ok(Err(_)))
    }

    /// Makes sure that it is a manager, at little cost to it.
    pub async fn identify(&self) -> Result<(), RequestError> {
        // No cluster gets there, which is what a manager says then.
        let beyond = format!("/v1/changes?since={}", u64::MAX);
        match self.answer(&beyond).await {
            Ok(()) | Err(ClientError::Refused { status: 410, .. }) => Ok(()),
            Err(ClientError::Refused { status: 404 | 405, .. }) => Err(self.somebody_else().await),
            Err(ClientError::Unreachable { reason, may_have_arrived: true })
                if reason != NO_ANSWER && !self.meets_tls().await =>
            {
                Err(self.no_manager(&format!("another program listens there, and speaks no HTTP ({reason})")))
            }
            Err(error) => Err(self.not_answered(error).await),
        }
    }

    /// Why a request got no answer. A TLS listener is not out of reach: it asks for more than this has.
    pub(super) async fn not_answered(&self, error: ClientError) -> RequestError {
        match error {
            ClientError::Unreachable { reason, .. } if reason == NOT_PLAIN && self.meets_tls().await => {
                RequestError::NotAuthorised(format!(
                    "TLS is spoken at {}, for those who have joined there: `cube-tui invite --role admin` at the \
                     manager prints the line for `cube-tui join LINE` here",
                    self.shown
                ))
            }
            error => self.error(error),
        }
    }

    /// Whether a request in plain text is answered as TLS does it: with an alert.
    async fn meets_tls(&self) -> bool {
        const ALERT: [u8; 2] = [21, 3];
        let Some(address) = self.base.strip_prefix("http://") else { return false };
        let answer = async {
            let mut stream = TcpStream::connect(address).await?;
            stream.write_all(b"GET / HTTP/1.0\r\n\r\n").await?;
            let mut answer = [0; 2];
            stream.read_exact(&mut answer).await.map(|_| answer)
        };
        matches!(tokio::time::timeout(CONNECT_WITHIN, answer).await, Ok(Ok(ALERT)))
    }

    async fn somebody_else(&self) -> RequestError {
        self.no_manager(match self.answer("/stats").await {
            Ok(()) => {
                "a worker answers there; a manager's port is 5556, unless CUBE_MANAGER_PORT said otherwise at its start"
            }
            Err(_) => "another program answers there",
        })
    }

    async fn answer(&self, path: &str) -> Result<(), ClientError> {
        let response =
            self.http.get(format!("{}{path}", self.base)).timeout(IDENTIFIED_WITHIN).send().await?;
        checked(response).await.map(drop)
    }

    fn no_manager(&self, why: &str) -> RequestError {
        RequestError::Unreachable(format!("{} is no manager: {why}", self.shown))
    }
}

/// How a client says that it waited in vain.
const NO_ANSWER: &str = "no answer in time";
