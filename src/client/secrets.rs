//! Setting, listing and removing secrets. Reads no value from anywhere.

use super::ManagerClient;
use crate::cluster::Cause;
use crate::manager::api::{ListedSecret, NewSecret, SecretRemoval, SecretSet};
use crate::manager::request::RequestError;
use crate::task::{SecretName, SecretOnWire, SecretValue};

impl ManagerClient {
    pub async fn set_secret(&self, name: SecretName, value: SecretValue) -> Result<SecretSet, RequestError> {
        self.post("secrets", Cause::Command, &NewSecret { name, value: SecretOnWire(value) }).await
    }

    pub async fn secrets(&self) -> Result<Vec<ListedSecret>, RequestError> {
        self.get("secrets").await
    }

    /// Forgets one; with `force` also one that tasks name.
    pub async fn remove_secret(&self, name: SecretName, force: bool) -> Result<(), RequestError> {
        self.post("secrets/remove", Cause::Command, &SecretRemoval { name, force }).await
    }
}
