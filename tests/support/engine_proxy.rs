//! A way to the engine that a test can cut (the engine is gone) or clog (it hangs).

use std::path::PathBuf;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional},
    net::{UnixListener, UnixStream},
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
    folder: tempfile::TempDir,
    mode: watch::Sender<Mode>,
    /// Ends with this.
    _serving: JoinSet<()>,
}

impl EngineProxy {
    pub fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(folder.path().join("engine.sock")).unwrap();
        let (mode, mode_rx) = watch::channel(Mode::Open);
        let engine = super::docker_host();
        let engine = PathBuf::from(engine.strip_prefix("unix://").expect("a proxy needs a unix socket"));
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                connections.spawn(carry(client, engine.clone(), mode_rx.clone()));
                while connections.try_join_next().is_some() {}
            }
        });
        Self { folder, mode, _serving: serving }
    }

    pub fn host(&self) -> String {
        format!("unix://{}", self.folder.path().join("engine.sock").display())
    }

    pub fn set(&self, mode: Mode) {
        self.mode.send_replace(mode);
    }
}

async fn carry(mut client: UnixStream, engine: PathBuf, mut mode: watch::Receiver<Mode>) {
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
async fn carry_until(client: UnixStream, engine: UnixStream, what: &'static str) {
    let (mut from_client, mut to_client) = client.into_split();
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
