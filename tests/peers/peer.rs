//! One engine to be asked in its own way: Podman, or Docker over TCP.

use bollard::Docker;

use super::{
    podman::{self, Podman},
    support::{
        self, Image,
        engine_proxy::{EngineProxy, Mode},
    },
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Podman,
    Tcp,
}

pub struct Peer {
    pub host: String,
    /// Straight to the engine, also while the way that the worker has is cut.
    pub docker: Docker,
    pub image: Image,
    way: Way,
}

enum Way {
    Podman(Podman),
    Tcp(EngineProxy),
}

impl Peer {
    /// The error says why there is none.
    pub async fn start(kind: Kind) -> Result<Self, String> {
        let (host, docker, way) = match kind {
            Kind::Podman => {
                let podman = match Podman::start().await {
                    Err(why) if podman::is_required() => panic!("CUBE_REQUIRE_PODMAN=1, and {why}"),
                    podman => podman?,
                };
                let docker = Docker::connect_with_host(&podman.host()).expect("its socket is there");
                (podman.host(), docker, Way::Podman(podman))
            }
            Kind::Tcp => {
                let docker = support::engine().await.ok_or(support::NO_ENGINE)?;
                let proxy = EngineProxy::start_tcp().await;
                (proxy.host(), docker, Way::Tcp(proxy))
            }
        };
        let image = Image::build(&docker).await;
        Ok(Self { host, docker, image, way })
    }

    /// The worker loses its engine; containers run on.
    pub fn cut(&mut self) {
        match &mut self.way {
            Way::Podman(podman) => podman.kill(),
            Way::Tcp(proxy) => proxy.set(Mode::Gone),
        }
    }

    pub async fn mend(&mut self) {
        match &mut self.way {
            Way::Podman(podman) => podman.again().await,
            Way::Tcp(proxy) => proxy.set(Mode::Open),
        }
    }
}
