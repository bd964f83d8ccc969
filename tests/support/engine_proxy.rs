//! A way to the engine that a test can cut (the engine is gone) or clog (it hangs).

use std::{path::PathBuf, sync::Arc};

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, copy_bidirectional, split},
    net::{TcpListener, UnixListener, UnixStream},
    sync::watch,
    task::JoinSet,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Open,
    /// Connections are taken, and no byte moves.
    Hung,
    /// Connections are cut.
    Gone,
    /// As `Open`, but the answer to a request that names this never comes.
    HoldsAnswer(&'static str),
}

#[derive(Debug)]
pub struct EngineProxy {
    host: String,
    _folder: tempfile::TempDir,
    mode: watch::Sender<Mode>,
    /// Ends with this.
    _serving: JoinSet<()>,
}

impl EngineProxy {
    /// Behind a socket.
    pub fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("engine.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let host = format!("unix://{}", socket.display());
        let listener = Arc::new(listener);
        let accept = move || {
            let listener = Arc::clone(&listener);
            async move { listener.accept().await.map(|(client, _)| client) }
        };
        Self::on(host, folder, accept)
    }

    /// Behind a port, as an engine on another machine is.
    pub async fn start_tcp() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = format!("tcp://{}", listener.local_addr().unwrap());
        let listener = Arc::new(listener);
        let accept = move || {
            let listener = Arc::clone(&listener);
            async move { listener.accept().await.map(|(client, _)| client) }
        };
        Self::on(host, tempfile::tempdir().unwrap(), accept)
    }

    fn on<S, F>(
        host: String,
        folder: tempfile::TempDir,
        mut accept: impl FnMut() -> F + Send + 'static,
    ) -> Self
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        F: Future<Output = std::io::Result<S>> + Send,
    {
        let (mode, mode_rx) = watch::channel(Mode::Open);
        let engine = super::docker_host();
        let engine = PathBuf::from(engine.strip_prefix("unix://").expect("a proxy needs a unix socket"));
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok(client) = accept().await {
                connections.spawn(carry(client, engine.clone(), mode_rx.clone()));
                while connections.try_join_next().is_some() {}
            }
        });
        Self { host, _folder: folder, mode, _serving: serving }
    }

    pub fn host(&self) -> String {
        self.host.clone()
    }

    pub fn set(&self, mode: Mode) {
        self.mode.send_replace(mode);
    }
}

async fn carry<S>(mut client: S, engine: PathBuf, mut mode: watch::Receiver<Mode>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    if *mode.borrow() == Mode::Hung {
        let _ = mode.wait_for(|mode| *mode != Mode::Hung).await;
    }
    if *mode.borrow() == Mode::Gone {
        return;
    }
    let Ok(mut engine) = UnixStream::connect(engine).await else { return };
    let now = *mode.borrow();
    if let Mode::HoldsAnswer(what) = now {
        return carry_until(client, engine, what).await;
    }
    loop {
        // Dropping the copy loses no byte that has not been read; a hung or cut connection is not used again.
        tokio::select! {
            _ = copy_bidirectional(&mut client, &mut engine) => return,
            changed = mode.changed() => {
                if changed.is_err() {
                    return;
                }
                let now = *mode.borrow();
                match now {
                    Mode::Open => {}
                    // Connections of before are cut, so that a request comes on one that is watched.
                    Mode::Gone | Mode::HoldsAnswer(_) => return,
                    Mode::Hung => {
                        let _ = mode.wait_for(|mode| *mode != Mode::Hung).await;
                        return;
                    }
                }
            }
        }
    }
}

/// Carries bytes until a request names `what`; from then on it goes to the engine, and no answer comes back.
async fn carry_until<S: AsyncRead + AsyncWrite>(client: S, engine: UnixStream, what: &'static str) {
    let (mut from_client, mut to_client) = split(client);
    let (mut from_engine, mut to_engine) = engine.into_split();
    let (hold, mut is_held) = watch::channel(false);
    let requests = async {
        let mut bytes = vec![0; 1 << 16];
        while let Ok(read @ 1..) = from_client.read(&mut bytes).await {
            if bytes[..read].windows(what.len()).any(|part| part == what.as_bytes()) {
                hold.send_replace(true);
            }
            if to_engine.write_all(&bytes[..read]).await.is_err() {
                return;
            }
        }
    };
    let answers = async {
        tokio::select! {
            _ = tokio::io::copy(&mut from_engine, &mut to_client) => {}
            () = async { _ = is_held.wait_for(|is_held| *is_held).await } => std::future::pending().await,
        }
    };
    tokio::select! {
        () = requests => {}
        () = answers => {}
    }
}
