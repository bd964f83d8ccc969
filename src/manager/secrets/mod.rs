//! The secrets that tasks name: set, listed by name, removed, and looked up on the way to a worker. Beside the log and not
//! in it: whoever may look at the cluster can read that. Knows no task.

mod file;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot, watch};

use crate::task::{SecretName, SecretValue};
use file::Files;

/// Orders that may wait.
const ORDERS: usize = 64;

/// A disk's fault, or damage.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SecretsError(String);

impl SecretsError {
    /// A disk may have room again.
    pub fn is_temporary(&self) -> bool {
        true
    }
}

/// A secret that was set.
#[derive(Clone, Debug)]
pub(super) struct Secret {
    pub(super) value: SecretValue,
    pub(super) since: Timestamp,
}

/// All of them.
type Kept = BTreeMap<SecretName, Secret>;

type Reply = oneshot::Sender<Result<bool, SecretsError>>;

#[derive(Debug)]
enum Order {
    Set { name: SecretName, secret: Secret, reply: Reply },
    Remove { name: SecretName, reply: Reply },
}

/// A way to whoever keeps them. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Secrets {
    orders: mpsc::Sender<Order>,
    kept: watch::Receiver<Arc<Kept>>,
}

impl Secrets {
    /// Reads what is in `folder`; without a folder, all of it is forgotten at the end. Needs a tokio runtime.
    pub fn open(folder: Option<PathBuf>) -> Result<Self, SecretsError> {
        let files = Files::new(folder);
        let kept = files.read()?;
        let (orders, inbox) = mpsc::channel(ORDERS);
        let (sender, kept) = watch::channel(Arc::new(kept));
        tokio::spawn(keep(files, sender, inbox));
        Ok(Self { orders, kept })
    }

    /// Sets one. Returns when that is durable; true if it was set before.
    pub async fn set(&self, name: SecretName, value: SecretValue) -> Result<bool, SecretsError> {
        let secret = Secret { value, since: Timestamp::now() };
        self.ask(|reply| Order::Set { name, secret, reply }).await
    }

    /// Forgets one. Returns when that is durable; false if there was none.
    pub async fn remove(&self, name: SecretName) -> Result<bool, SecretsError> {
        self.ask(|reply| Order::Remove { name, reply }).await
    }

    /// Each one's name, and since when it is set.
    pub fn list(&self) -> Vec<(SecretName, Timestamp)> {
        self.kept.borrow().iter().map(|(name, secret)| (name.clone(), secret.since)).collect()
    }

    pub fn names(&self) -> BTreeSet<SecretName> {
        self.kept.borrow().keys().cloned().collect()
    }

    pub(super) fn value(&self, name: &SecretName) -> Option<SecretValue> {
        self.kept.borrow().get(name).map(|secret| secret.value.clone())
    }

    async fn ask(&self, order: impl FnOnce(Reply) -> Order) -> Result<bool, SecretsError> {
        let gone = || SecretsError("the manager has stopped".to_owned());
        let (reply, answer) = oneshot::channel();
        self.orders.send(order(reply)).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }
}

/// Takes one order after the other: writes it down, and only then lets it count. The file is small and seldom written.
async fn keep(files: Files, kept: watch::Sender<Arc<Kept>>, mut inbox: mpsc::Receiver<Order>) {
    while let Some(order) = inbox.recv().await {
        let mut next = Kept::clone(&kept.borrow());
        let (was_there, reply) = match order {
            Order::Set { name, secret, reply } => (next.insert(name, secret).is_some(), reply),
            Order::Remove { name, reply } => (next.remove(&name).is_some(), reply),
        };
        let written = files.write(&next).map(|()| was_there);
        if written.is_ok() {
            kept.send_replace(Arc::new(next));
        }
        // Who asked may have gone away meanwhile.
        let _ = reply.send(written);
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    const MARKER: &str = "hunter2-or-so";

    fn name(text: &str) -> SecretName {
        text.parse().unwrap()
    }

    fn value() -> SecretValue {
        SecretValue::new(MARKER.into()).unwrap()
    }

    #[tokio::test]
    async fn what_is_set_is_there_after_a_restart_and_not_readable_on_disk() {
        let folder = tempfile::tempdir().unwrap();
        let secrets = Secrets::open(Some(folder.path().to_owned())).unwrap();
        assert_eq!(secrets.set(name("A"), value()).await, Ok(false));
        assert_eq!(secrets.set(name("A"), value()).await, Ok(true));
        assert_eq!(secrets.set(name("B"), value()).await, Ok(false));
        assert_eq!(secrets.remove(name("B")).await, Ok(true));
        assert_eq!(secrets.remove(name("B")).await, Ok(false));
        let again = Secrets::open(Some(folder.path().to_owned())).unwrap();
        assert_eq!(again.names(), [name("A")].into());
        assert_eq!(again.value(&name("A")), Some(value()));
        for entry in std::fs::read_dir(folder.path()).unwrap() {
            let path = entry.unwrap().path();
            assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{}", path.display());
            let bytes = std::fs::read(&path).unwrap();
            assert!(
                !bytes.windows(MARKER.len()).any(|window| window == MARKER.as_bytes()),
                "{}",
                path.display()
            );
        }
        assert!(!format!("{secrets:?}").contains(MARKER));
    }

    #[tokio::test]
    async fn without_its_key_or_under_another_name_nothing_is_read_and_the_error_says_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let secrets = Secrets::open(Some(folder.path().to_owned())).unwrap();
        secrets.set(name("A"), value()).await.unwrap();
        let file = folder.path().join("secrets.json");
        let text = std::fs::read_to_string(&file).unwrap();
        std::fs::write(&file, text.replace("\"A\"", "\"B\"")).unwrap();
        let error = Secrets::open(Some(folder.path().to_owned())).unwrap_err().to_string();
        assert!(error.contains("secrets.json") && error.contains("secret set"), "{error}");
        std::fs::write(&file, text).unwrap();
        std::fs::remove_file(folder.path().join("secrets.key")).unwrap();
        let error = Secrets::open(Some(folder.path().to_owned())).unwrap_err().to_string();
        assert!(error.contains("secrets.key"), "{error}");
    }

    #[tokio::test]
    async fn in_memory_nothing_is_written() {
        let secrets = Secrets::open(None).unwrap();
        secrets.set(name("A"), value()).await.unwrap();
        assert_eq!(secrets.value(&name("A")), Some(value()));
    }
}
