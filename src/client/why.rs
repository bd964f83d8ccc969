//! Asking why: of a task that is there, and of tasks that would be. Judges nothing.

use super::ManagerClient;
use crate::cluster::{Cause, FindError};
use crate::manager::plan::Plan;
use crate::manager::request::RequestError;
use crate::manager::why::Why;
use crate::task::TaskEvent;

impl ManagerClient {
    pub async fn plan(&self, events: &[TaskEvent]) -> Result<Plan, RequestError> {
        self.post("plan", Cause::Command, events).await
    }

    pub async fn why(&self, task: &str, most: usize) -> Result<Why, RequestError> {
        let none = || RequestError::Invalid(FindError::None(task.to_owned()).to_string());
        // No task is called so, and a path would lead elsewhere.
        if matches!(task, "" | "." | "..") {
            return Err(none());
        }
        let mut url = reqwest::Url::parse(&format!("{}/v1/tasks", self.base))
            .map_err(|error| self.unreachable(&error.to_string()))?;
        if let Ok(mut path) = url.path_segments_mut() {
            path.extend([task, "why"]);
        }
        url.set_query(Some(&format!("workers={most}")));
        self.read(self.http.get(url).timeout(super::manager::ANSWER_WITHIN)).await
    }
}
