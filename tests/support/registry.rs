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

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
