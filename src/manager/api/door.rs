//! The TLS listener: opened when somebody is invited first, closed again when an admin says so. Knows no route.

use std::net::SocketAddr;

use axum::Router;
use tokio::net::{TcpListener, lookup_host};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::http::serve_tls;
use crate::manager::trust::{Trust, TrustError};

/// Orders that may wait.
const ORDERS: usize = 8;

#[derive(Debug)]
enum Order {
    /// At this address; where it listens already, or at the usual one, if none is given.
    Open {
        listen: Option<String>,
        reply: oneshot::Sender<Result<SocketAddr, TrustError>>,
    },
    Close {
        reply: oneshot::Sender<()>,
    },
}

/// Where the TLS listener listens if nobody says otherwise.
const USUAL: &str = "0.0.0.0:5557";

/// A way to whoever opens and closes the listener.
#[derive(Clone, Debug)]
pub struct Door(mpsc::Sender<Order>);

/// The other end.
#[derive(Debug)]
pub struct DoorOrders(mpsc::Receiver<Order>);

impl Door {
    pub fn new() -> (Self, DoorOrders) {
        let (orders, inbox) = mpsc::channel(ORDERS);
        (Self(orders), DoorOrders(inbox))
    }

    /// Opens it, if it is not open there, and tells where it is.
    pub async fn open(&self, listen: Option<String>) -> Result<SocketAddr, TrustError> {
        let gone = || TrustError::Failed("the manager has stopped".to_owned());
        let (reply, answer) = oneshot::channel();
        self.0.send(Order::Open { listen, reply }).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }

    pub async fn close(&self) {
        let (reply, answer) = oneshot::channel();
        if self.0.send(Order::Close { reply }).await.is_ok() {
            let _ = answer.await;
        }
    }
}

/// A listener that is open.
struct Open {
    /// As it was asked for.
    listen: String,
    address: SocketAddr,
    cancel: CancellationToken,
    serving: JoinHandle<()>,
}

impl Open {
    async fn close(self) {
        self.cancel.cancel();
        let _ = self.serving.await;
    }
}

impl DoorOrders {
    /// Does as it is told until `cancel`, for the routes of `router`.
    pub async fn carry_out(mut self, router: Router, trust: Trust, cancel: CancellationToken) {
        let mut open: Option<Open> = None;
        loop {
            let order = tokio::select! {
                () = cancel.cancelled() => break,
                order = self.0.recv() => order,
            };
            match order {
                Some(Order::Open { listen, reply }) => {
                    let opened = opened(&mut open, listen, &router, &trust, &cancel).await;
                    // Who asked may have gone away meanwhile.
                    let _ = reply.send(opened);
                }
                Some(Order::Close { reply }) => {
                    if let Some(open) = open.take() {
                        open.close().await;
                    }
                    let _ = reply.send(());
                }
                None => break,
            }
        }
        if let Some(open) = open {
            open.close().await;
        }
    }
}

async fn opened(
    open: &mut Option<Open>,
    listen: Option<String>,
    router: &Router,
    trust: &Trust,
    cancel: &CancellationToken,
) -> Result<SocketAddr, TrustError> {
    if let Some(open) = open
        && listen
            .as_ref()
            // With port 0, what is remembered is what became of it.
            .is_none_or(|listen| *listen == open.listen || *listen == open.address.to_string())
    {
        return Ok(open.address);
    }
    let no_authority = || TrustError::Failed("nobody was invited yet".to_owned());
    let door = trust.door().ok_or_else(no_authority)?;
    let listen = listen.unwrap_or_else(|| USUAL.to_owned());
    let listener = bind(&listen).await?;
    let cannot = |error| TrustError::Failed(format!("cannot listen at {listen}: {error}"));
    let address = listener.local_addr().map_err(cannot)?;
    let cancel = cancel.child_token();
    let serving = tokio::spawn(serve_tls(listener, door, router.clone(), cancel.clone()));
    if let Some(before) = open.replace(Open { listen, address, cancel, serving }) {
        // By itself: who asked for this may have come in there.
        tokio::spawn(before.close());
    }
    Ok(address)
}

async fn bind(listen: &str) -> Result<TcpListener, TrustError> {
    let cannot = |error: std::io::Error| {
        let why = match error.kind() {
            std::io::ErrorKind::AddrInUse => "another program is using that port".to_owned(),
            _ => error.to_string(),
        };
        let message = format!(
            "the manager cannot listen with TLS at {listen}: {why}. Choose another place with `cube-tui invite \
             --listen HOST:PORT`, or start with --no-listen"
        );
        TrustError::Failed(message)
    };
    let found: Vec<SocketAddr> = lookup_host(listen).await.map_err(cannot)?.collect();
    TcpListener::bind(&*found).await.map_err(cannot)
}
