//! Where secrets are kept: one file, every value in it sealed by a key that lies beside it in a file of its own, both for
//! their owner only. Whoever has the one without the other has nothing; whoever has both has all.

use std::path::PathBuf;
use std::{fs, io};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use chacha20poly1305::aead::{Aead, AeadCore, KeyInit, OsRng, Payload};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{Kept, Secret, SecretsError};
use crate::manager::trust::write_private;
use crate::task::{SecretName, SecretValue};

const FILE: &str = "secrets.json";
const KEY: &str = "secrets.key";
const KEY_BYTES: usize = 32;
const NONCE_BYTES: usize = 24;

/// A secret as the file has it.
#[derive(Serialize, Deserialize)]
struct Sealed {
    name: SecretName,
    since: Timestamp,
    /// A nonce and what it sealed, base64.
    text: String,
}

/// The files, or nothing for a cluster in memory.
#[derive(Debug)]
pub(super) struct Files(Option<PathBuf>);

impl Files {
    pub(super) fn new(folder: Option<PathBuf>) -> Self {
        Self(folder)
    }

    pub(super) fn read(&self) -> Result<Kept, SecretsError> {
        let Some(folder) = &self.0 else { return Ok(Kept::new()) };
        let path = folder.join(FILE);
        let damaged = |why: &str| {
            SecretsError(format!(
                "cannot read the secrets in {}: {why}; restore it and {KEY} from a backup, or delete it and set every \
                 secret again with `cube-tui secret set NAME`",
                path.display()
            ))
        };
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Kept::new()),
            Err(error) => return Err(damaged(&error.to_string())),
        };
        let all: Vec<Sealed> = serde_json::from_slice(&text).map_err(|error| damaged(&error.to_string()))?;
        if all.is_empty() {
            return Ok(Kept::new());
        }
        let cipher = self.cipher().map_err(|error| damaged(&error.to_string()))?;
        let Some(cipher) = cipher else { return Err(damaged(&format!("its key, {KEY}, is not there"))) };
        let secrets = all.into_iter().map(|sealed| {
            let value = open(&cipher, &sealed)
                .ok_or_else(|| damaged(&format!("{} was changed, or sealed by another key", sealed.name)))?;
            Ok((sealed.name, Secret { value, since: sealed.since }))
        });
        secrets.collect()
    }

    /// Writes all of them, whole or not at all.
    pub(super) fn write(&self, secrets: &Kept) -> Result<(), SecretsError> {
        let Some(folder) = &self.0 else { return Ok(()) };
        let failed = |name: &str, error: &io::Error| {
            SecretsError(format!(
                "cannot write {}: {error}; nothing was changed",
                folder.join(name).display()
            ))
        };
        let cipher = match self.cipher().map_err(|error| failed(KEY, &error))? {
            Some(cipher) => cipher,
            None => self.make_key().map_err(|error| failed(KEY, &error))?,
        };
        let all: Option<Vec<Sealed>> =
            secrets.iter().map(|(name, secret)| seal(&cipher, name, secret)).collect();
        let all = all.ok_or_else(|| failed(FILE, &io::Error::other("a value could not be sealed")))?;
        let text = serde_json::to_vec_pretty(&all).map_err(|error| failed(FILE, &error.into()))?;
        write_private(&folder.join(FILE), &text).map_err(|error| failed(FILE, &error))
    }

    /// `None` before the first secret.
    fn cipher(&self) -> io::Result<Option<XChaCha20Poly1305>> {
        let Some(folder) = &self.0 else { return Ok(None) };
        let key = match fs::read(folder.join(KEY)) {
            Ok(key) => Zeroizing::new(key),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        if key.len() != KEY_BYTES {
            return Err(io::Error::other(format!("{KEY} holds no key")));
        }
        Ok(Some(XChaCha20Poly1305::new(Key::from_slice(&key))))
    }

    fn make_key(&self) -> io::Result<XChaCha20Poly1305> {
        let mut key = XChaCha20Poly1305::generate_key(&mut OsRng);
        if let Some(folder) = &self.0 {
            write_private(&folder.join(KEY), &key)?;
        }
        let cipher = XChaCha20Poly1305::new(&key);
        zeroize::Zeroize::zeroize(key.as_mut_slice());
        Ok(cipher)
    }
}

/// The name is sealed in: no value passes for another's.
fn seal(cipher: &XChaCha20Poly1305, name: &SecretName, secret: &Secret) -> Option<Sealed> {
    let nonce = XChaCha20Poly1305::generate_nonce(&mut OsRng);
    let payload = Payload { msg: secret.value.expose(), aad: name.as_str().as_bytes() };
    let sealed = cipher.encrypt(&nonce, payload).ok()?;
    let text = BASE64_STANDARD.encode([nonce.as_slice(), &sealed].concat());
    Some(Sealed { name: name.clone(), since: secret.since, text })
}

fn open(cipher: &XChaCha20Poly1305, sealed: &Sealed) -> Option<SecretValue> {
    let bytes = BASE64_STANDARD.decode(&sealed.text).ok()?;
    let (nonce, msg) = bytes.split_at_checked(NONCE_BYTES)?;
    let payload = Payload { msg, aad: sealed.name.as_str().as_bytes() };
    SecretValue::new(cipher.decrypt(XNonce::from_slice(nonce), payload).ok()?).ok()
}
