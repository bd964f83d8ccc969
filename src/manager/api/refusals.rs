//! What every route may answer beside its own, as the description says it.

use std::collections::BTreeMap;

use utoipa::IntoResponses;
use utoipa::openapi::{Content, Ref, RefOr, ResponseBuilder};

/// What the listener answers before a route is asked, and what any route may say.
pub(super) struct Refusals;

impl IntoResponses for Refusals {
    fn responses() -> BTreeMap<String, RefOr<utoipa::openapi::Response>> {
        let all = [
            (400, "Something of the request is not as described"),
            (401, "This listener asks for a credential"),
            (403, "Not from a page of another site, nor with this credential"),
            (405, "This route does not take that method"),
            (408, "The body was not there in time"),
            (413, "Too large; send it in several requests"),
            (503, "Not now: the manager is out of order, or too many large requests are under way"),
        ];
        all.map(|(status, description)| {
            let body = Content::new(Some(Ref::from_schema_name("ErrorBody")));
            let response =
                ResponseBuilder::new().description(description).content("application/json", body).build();
            (status.to_string(), response.into())
        })
        .into()
    }
}
