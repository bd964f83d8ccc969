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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::task::{LARGEST_SECRET, Task};

    async fn set(names: &[&str], value: &[u8]) -> Secrets {
        let secrets = Secrets::open(None).unwrap();
        for name in names {
            let value = SecretValue::new(value.to_vec()).unwrap();
            secrets.set(name.parse().unwrap(), value).await.unwrap();
        }
        secrets
    }

    fn start(uses: &[&str]) -> Wanted {
        let secrets = uses.iter().map(|used| used.parse().unwrap()).collect();
        let spec = Arc::new(TaskSpec { secrets, ..TaskSpec::default() });
        (Wish::Start, Task { spec, ..Task::default() })
    }

    #[tokio::test]
    async fn each_value_goes_once_and_a_stop_takes_none_along() {
        let secrets = set(&["A", "B"], b"x").await;
        let stop = (Wish::Stop, start(&["B"]).1);
        let wishes = [start(&["A", "A:env:X"]), start(&[]), start(&["A:/a"]), stop];
        let (count, given, withheld) = gather(Some(&secrets), Peer::Cube, &wishes);
        let names: Vec<_> = given.keys().map(SecretName::as_str).collect();
        assert_eq!((count, names, withheld.len()), (4, vec!["A"], 0));
    }

    #[tokio::test]
    async fn a_worker_that_may_have_none_is_sent_none() {
        let secrets = set(&["A"], b"x").await;
        for (secrets, peer) in [(None, Peer::Cube), (Some(&secrets), Peer::Book)] {
            let (_, given, withheld) = gather(secrets, peer, &[start(&["A"])]);
            assert!(given.is_empty());
            assert!(matches!(withheld[&0], SendOutcome::Refused { status: 403, .. }), "{withheld:?}");
        }
    }

    #[tokio::test]
    async fn what_is_not_set_or_fits_no_variable_stays_behind_and_the_others_go() {
        let secrets = set(&["A"], b"a\0b").await;
        let wishes = [start(&["NOPE"]), start(&["A:env"]), start(&["A"])];
        let (count, given, withheld) = gather(Some(&secrets), Peer::Cube, &wishes);
        assert_eq!((count, given.len()), (3, 1));
        let SendOutcome::Failed { reason, may_have_arrived: false } = &withheld[&0] else { panic!() };
        assert!(reason.contains("secret NOPE is not set"), "{reason}");
        let SendOutcome::Refused { message, .. } = &withheld[&1] else { panic!() };
        assert!(message.contains("not a variable") && !message.contains("a\0b"), "{message}");
        assert!(!withheld.contains_key(&2));
    }

    #[tokio::test]
    async fn what_would_be_too_much_for_one_request_goes_with_the_next() {
        let names: Vec<String> = (0..96).map(|number| format!("S{number}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let secrets = set(&names, &vec![b'x'; LARGEST_SECRET]).await;
        let wishes: Vec<_> = names.chunks(32).map(start).collect();
        let (count, given, _) = gather(Some(&secrets), Peer::Cube, &wishes);
        assert_eq!((count, given.len()), (2, 64));
        let (count, given, _) = gather(Some(&secrets), Peer::Cube, &wishes[2..]);
        assert_eq!((count, given.len()), (1, 32));
    }
}
