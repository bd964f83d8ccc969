//! A way to the engine that a test can cut (the engine is gone) or clog (it hangs).

use std::path::PathBuf;

use tokio::{
    io::copy_bidirectional,
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
}

#[derive(Debug)]
pub struct EngineProxy {
    folder: tempfile::TempDir,
    mode: watch::Sender<Mode>,
    /// Ends with this.
    _serving: JoinSet<()>,
}

impl EngineProxy {
    pub async fn start() -> Self {
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
                    Mode::Gone => return,
                    Mode::Hung => {
                        let _ = mode.wait_for(|mode| *mode != Mode::Hung).await;
                        return;
                    }
                }
            }
        }
    }
}
