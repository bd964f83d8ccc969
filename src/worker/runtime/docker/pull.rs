//! Fetches images and tells how far it is. Knows no task.

use std::{collections::HashMap, time::Duration};

use bollard::{models::CreateImageInfo, query_parameters::CreateImageOptionsBuilder};
use futures_util::StreamExt as _;
use tokio::{
    sync::mpsc,
    time::{Instant, timeout},
};

use super::{Docker, failure::Call, status_of};
use crate::worker::runtime::RuntimeError;

/// A pull may take hours, but not without a sign of life.
const SILENCE: Duration = Duration::from_mins(2);
/// Between two words on the progress: what an eye can follow.
const TELL_EVERY: Duration = Duration::from_millis(250);

impl Docker {
    pub(super) async fn pull_image(
        &self,
        image: &str,
        progress: &mpsc::Sender<String>,
    ) -> Result<(), RuntimeError> {
        // The client's own timeout is for the first answer, which a registry can delay.
        let client = self.client()?.with_timeout(SILENCE);
        let options = CreateImageOptionsBuilder::default().from_image(&with_tag(image)).build();
        let mut news = Box::pin(client.create_image(Some(options), None, None));
        let mut layers = Layers::default();
        let mut last_told: Option<Instant> = None;
        loop {
            let news = match timeout(SILENCE, news.next()).await {
                Ok(None) => return Ok(()),
                Ok(Some(Ok(news))) => news,
                Ok(Some(Err(error))) => return Err(self.pull_failed(image, Call::Failed(error))),
                Err(_) => return Err(self.pull_failed(image, Call::NoAnswer(SILENCE))),
            };
            if let Some(message) = news.error_detail.as_ref().and_then(|error| error.message.clone()) {
                return Err(not_pulled(image, &message));
            }
            layers.note(news);
            if last_told.is_none_or(|told| told.elapsed() >= TELL_EVERY) {
                last_told = Some(Instant::now());
                // Whoever is slow misses a number, not the pull.
                let _ = progress.try_send(layers.words());
            }
        }
    }

    fn pull_failed(&self, image: &str, error: Call) -> RuntimeError {
        let is_unknown = status_of(&error) == Some(404);
        match self.call_failed(error) {
            RuntimeError::Refused(message) if is_unknown => {
                RuntimeError::Refused(format!("image {image} not found: {message}"))
            }
            RuntimeError::Refused(message) => not_pulled(image, &message),
            other => other,
        }
    }
}

fn not_pulled(image: &str, message: &str) -> RuntimeError {
    RuntimeError::Refused(format!("image {image} could not be pulled: {message}"))
}

/// Without a tag the engine would fetch every tag there is.
fn with_tag(image: &str) -> String {
    let last = image.rsplit('/').next().unwrap_or(image);
    if image.contains('@') || last.contains(':') { image.to_owned() } else { format!("{image}:latest") }
}

/// How far each layer is: bytes here, bytes in all.
#[derive(Default)]
struct Layers(HashMap<String, (i64, i64)>);

impl Layers {
    fn note(&mut self, news: CreateImageInfo) {
        let (Some(layer), Some(status)) = (news.id, news.status) else { return };
        let (have, all) = self.0.entry(layer).or_default();
        match (status.as_str(), news.progress_detail) {
            ("Downloading", Some(detail)) => {
                *have = detail.current.unwrap_or(*have);
                *all = detail.total.unwrap_or(*all);
            }
            ("Download complete" | "Pull complete" | "Already exists", _) => *have = *all,
            _ => {}
        }
    }

    fn words(&self) -> String {
        let (have, all) = self.0.values().fold((0, 0), |sum, layer| (sum.0 + layer.0, sum.1 + layer.1));
        if all == 0 { "pulling".to_owned() } else { format!("pulling {} %", have.min(all) * 100 / all) }
    }
}

#[cfg(test)]
mod tests {
    use bollard::models::{CreateImageInfo, ProgressDetail};

    use super::{Layers, with_tag};

    fn news(layer: &str, status: &str, detail: Option<(i64, i64)>) -> CreateImageInfo {
        let detail =
            detail.map(|(current, total)| ProgressDetail { current: Some(current), total: Some(total) });
        CreateImageInfo {
            id: Some(layer.to_owned()),
            status: Some(status.to_owned()),
            progress_detail: detail,
            error_detail: None,
        }
    }

    #[test]
    fn progress_is_the_share_of_all_layers_bytes() {
        let mut layers = Layers::default();
        assert_eq!(layers.words(), "pulling");
        layers.note(news("a", "Downloading", Some((10, 100))));
        layers.note(news("b", "Downloading", Some((64, 100))));
        assert_eq!(layers.words(), "pulling 37 %");
        layers.note(news("a", "Download complete", None));
        assert_eq!(layers.words(), "pulling 82 %");
    }

    #[test]
    fn an_image_without_a_tag_means_latest() {
        for (image, expected) in [
            ("busy", "busy:latest"),
            ("busy:1", "busy:1"),
            ("127.0.0.1:5000/busy", "127.0.0.1:5000/busy:latest"),
            ("busy@sha256:00", "busy@sha256:00"),
        ] {
            assert_eq!(with_tag(image), expected);
        }
    }
}
