//! Changes as a stream that resumes: as lines of JSON, or as browsers' event sources read it.

use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State as Shared};
use axum::http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use jiff::Timestamp;
use serde::Deserialize;
use utoipa::IntoParams;

use super::Api;
use super::refusals::Refusals;
use crate::cluster::{FeedItem, Mark};
use crate::http::Refusal;
use crate::manager::feed::{Form, Page};
use crate::manager::message::Pages;
use crate::manager::pack;

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct Since {
    /// The last revision that is known already; 0 for all.
    #[serde(default)]
    #[param(required = false, format = "uint64")]
    since: u64,
    /// The time of the Change with that revision: where this cluster's is another one, it is another history, and the
    /// answer 410.
    time: Option<Timestamp>,
}

/// Every Change after a revision, then what happens from now on
///
/// A line of JSON for each item (packed for who accepts gzip) or, with `Accept: text/event-stream`, an event, whose id is the revision of its Change
/// (then `Last-Event-ID` is taken before `since`). The stream has no end of its own. When it is cut, ask again with the
/// last revision that came: nothing is missing then, and nothing comes twice. 410: that is too long ago, or was never;
/// take a new snapshot.
#[utoipa::path(
    get, path = "/v1/changes", tag = "cluster",
    params(Since, ("Last-Event-ID" = Option<u64>, Header, description = "Taken before `since` by event streams")),
    responses(
        (status = 200, description = "An item a line", content(
            (FeedItem = "application/x-ndjson"),
            (String = "text/event-stream"),
        )),
        (status = 410, description = "Too long ago, or not of this history", body = crate::task::ErrorBody),
        Refusals
    )
)]
pub(super) async fn changes(
    Shared(api): Shared<Api>,
    since: Result<Query<Since>, QueryRejection>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let Query(Since { since, time }) = since?;
    let header = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let form = match header(ACCEPT.as_str()) {
        // Not packed: browsers may hold back what they unpack.
        Some(accepted) if accepted.contains("text/event-stream") => Form::EventStream,
        _ if header(ACCEPT_ENCODING.as_str()).is_some_and(takes_gzip) => Form::PackedLines,
        _ => Form::Lines,
    };
    let mark = match header("last-event-id").map(str::trim) {
        Some(id) if form == Form::EventStream && !id.is_empty() => {
            let wrong = |_| Refusal::new(400, format!("Last-Event-ID: expected a revision, found {id:?}"));
            Mark { revision: id.parse().map_err(wrong)?, time: None }
        }
        _ => Mark { revision: since, time },
    };
    let Some(pages) = api.handle.pages(mark).await? else {
        let message =
            format!("what came after revision {} can't be told here; take a new snapshot", mark.revision);
        return Err(Refusal::new(410, message));
    };
    let content_type = match form {
        Form::Lines | Form::PackedLines => "application/x-ndjson",
        Form::EventStream => "text/event-stream",
    };
    let stop = api.cancel.clone().cancelled_owned();
    let body = Body::from_stream(texts(pages, form).map(Ok::<_, std::convert::Infallible>).take_until(stop));
    let mut response = ([(CONTENT_TYPE, content_type)], body).into_response();
    if form == Form::PackedLines {
        response.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    Ok(response)
}

/// Whether an Accept-Encoding names gzip and does not mean "not that" by it.
fn takes_gzip(accepted: &str) -> bool {
    accepted.split(',').any(|coding| {
        let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
        let weight = weight.trim().strip_prefix("q=").and_then(|weight| weight.parse::<f32>().ok());
        name.trim() == "gzip" && weight.is_none_or(|weight| weight > 0.0)
    })
}

/// What was missed, then each page; what of it was not yet durable at the beginning comes on a page once more, and is
/// left out there.
fn texts(pages: Pages, form: Form) -> impl Stream<Item = Bytes> + Send {
    let Pages { missed, revision, stream } = pages;
    let missed = Page::new(missed.into_iter().map(FeedItem::Change).collect()).after(0, form);
    let begin = if form == Form::PackedLines { Bytes::from_static(&pack::BEGIN) } else { Bytes::new() };
    futures_util::stream::iter([begin, missed])
        .chain(stream.map(move |page| page.after(revision, form)))
        .filter(|text| std::future::ready(!text.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::takes_gzip;

    #[test]
    fn gzip_is_for_those_who_name_it() {
        for (accepted, expected) in [
            ("gzip", true),
            ("deflate, gzip;q=0.5, br", true),
            ("gzip; q=0", false),
            ("gzip;q=0.0", false),
            ("identity", false),
            ("x-gzip", false),
            ("", false),
        ] {
            assert_eq!(takes_gzip(accepted), expected, "{accepted}");
        }
    }
}
