//! An image registry on this machine, where Debian's `docker-registry` is installed.

use std::{
    net::TcpListener,
    process::{Child, Command, Stdio},
    time::Duration,
};

use bollard::{
    Docker,
    query_parameters::{PushImageOptionsBuilder, TagImageOptionsBuilder},
};
use futures_util::StreamExt as _;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::JoinSet,
};

use super::{Image, wait_for};

/// Why a test of pulls did not run.
pub const NO_REGISTRY: &str = "no `docker-registry` program";

/// Ends with this, and everything in it.
#[derive(Debug)]
pub struct Registry {
    pub address: String,
    child: Child,
    _folder: tempfile::TempDir,
}

impl Registry {
    /// `None` where the program is missing.
    pub async fn start() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        // A port in 127.0.0.0/8: engines take plain HTTP from there.
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let address = free.to_string();
        let config = folder.path().join("config.yml");
        let root = folder.path().join("images");
        let text = format!(
            "version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {}}}}}\nhttp: {{addr: {address}}}\n",
            root.display()
        );
        std::fs::write(&config, text).unwrap();
        let child = Command::new("docker-registry")
            .arg("serve")
            .arg(&config)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let registry = Self { address: address.clone(), child, _folder: folder };
        let connect = async || tokio::net::TcpStream::connect(&address).await.ok();
        wait_for("the registry", Duration::from_secs(20), connect).await;
        Some(registry)
    }

    /// Puts the image there under `name` and takes the tag away from the engine; returns the full reference.
    pub async fn push(&self, docker: &Docker, image: &Image, name: &str) -> String {
        let repository = format!("{}/{name}", self.address);
        let tag = TagImageOptionsBuilder::default().repo(&repository).tag("1").build();
        docker.tag_image(&image.name, Some(tag)).await.unwrap();
        let options = PushImageOptionsBuilder::default().tag("1").build();
        let mut news = Box::pin(docker.push_image(&repository, Some(options), None));
        while let Some(news) = news.next().await {
            news.expect("the registry takes the image");
        }
        let name = format!("{repository}:1");
        Image { name: name.clone() }.remove(docker).await;
        name
    }
}

/// A way to the registry on which what it answers comes at a pace that can be watched. Ends with this.
#[derive(Debug)]
pub struct SlowWay {
    pub address: String,
    _serving: JoinSet<()>,
}

impl Registry {
    pub async fn slow_way(&self) -> SlowWay {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let registry = self.address.clone();
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let registry = TcpStream::connect(&registry).await.unwrap();
                connections.spawn(carry_slowly(client, registry));
                while connections.try_join_next().is_some() {}
            }
        });
        SlowWay { address, _serving: serving }
    }
}

/// Some three megabytes a second for each connection.
async fn carry_slowly(client: TcpStream, registry: TcpStream) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_registry, mut to_registry) = registry.into_split();
    let asks = async { tokio::io::copy(&mut from_client, &mut to_registry).await };
    let answers = async {
        let mut pace = tokio::time::interval(Duration::from_millis(20));
        let mut bytes = vec![0; 64 << 10];
        while let Ok(read @ 1..) = from_registry.read(&mut bytes).await {
            if to_client.write_all(&bytes[..read]).await.is_err() {
                return;
            }
            pace.tick().await;
        }
    };
    tokio::select! {
        _ = asks => {}
        () = answers => {}
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
