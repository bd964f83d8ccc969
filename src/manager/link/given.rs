//! The secrets that go along with starts, or why they don't. Sends nothing.

use std::collections::BTreeMap;

use super::outbox::Wanted;
use crate::cluster::Peer;
use crate::manager::decide::{SendOutcome, Wish, not_set};
use crate::manager::secrets::Secrets;
use crate::task::{SecretForm, SecretName, SecretOnWire, SecretValue, TaskSpec};

/// Values in one POST, in bytes: below what a worker reads at most even as base64, and more than one task can name.
const MOST_AT_ONCE: usize = 4 << 20;

/// By name, each once, however many of the events name it.
pub(super) type Given = BTreeMap<SecretName, SecretOnWire>;

/// How many of `wishes`, from the first on, go out together; what to give with them; and what becomes of those of them
/// that can't go, by their place.
pub(super) fn gather(
    secrets: Option<&Secrets>,
    peer: Peer,
    wishes: &[Wanted],
) -> (usize, Given, BTreeMap<usize, SendOutcome>) {
    let (mut given, mut withheld, mut bytes) = (Given::new(), BTreeMap::new(), 0);
    for (place, (wish, task)) in wishes.iter().enumerate() {
        if *wish == Wish::Stop || task.spec.secrets.is_empty() {
            continue;
        }
        match values(secrets, peer, &task.spec) {
            Ok(values) => {
                let new = values.into_iter().filter(|(name, _)| !given.contains_key(name));
                let new: Vec<_> = new.collect();
                bytes += new.iter().map(|(_, value)| value.expose().len()).sum::<usize>();
                if bytes > MOST_AT_ONCE && !given.is_empty() {
                    return (place, given, withheld);
                }
                given.extend(new.into_iter().map(|(name, value)| (name, SecretOnWire(value))));
            }
            Err(outcome) => _ = withheld.insert(place, outcome),
        }
    }
    (wishes.len(), given, withheld)
}

/// All that a task names, or why it does not start there.
fn values(
    secrets: Option<&Secrets>,
    peer: Peer,
    spec: &TaskSpec,
) -> Result<Vec<(SecretName, SecretValue)>, SendOutcome> {
    let refused = |message: String| SendOutcome::Refused { status: 403, message };
    let secrets = match (secrets, peer) {
        (Some(secrets), Peer::Cube | Peer::Unknown) => secrets,
        // The scheduler knows better than to choose it; but a peer may have changed.
        (None, _) | (_, Peer::Book) => return Err(refused("this worker is given no secrets".to_owned())),
    };
    let values = spec.secrets.iter().map(|used| {
        let name = &used.name;
        let value = secrets
            .value(name)
            .ok_or_else(|| SendOutcome::Failed { reason: not_set(name), may_have_arrived: false })?;
        if matches!(used.form, SecretForm::Variable(_)) && value.expose_text().is_none() {
            let problem = "is no text, or has a NUL: it can be a file, and not a variable";
            return Err(refused(format!("secret {name} {problem}")));
        }
        Ok((name.clone(), value))
    });
    values.collect()
}
