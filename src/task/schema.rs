//! The forms that stand in the API's description where JSON is not written by derived code. Knows no route.

use std::borrow::Cow;

use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

use super::flat::{FlatTask, FlatTaskEvent};
use super::{State, Task, TaskEvent};

impl PartialSchema for State {
    fn schema() -> RefOr<Schema> {
        let names = State::ALL.map(|state| format!("{} {}", state.number(), state.name()));
        let object = ObjectBuilder::new()
            .schema_type(Type::Integer)
            .enum_values(Some(State::ALL.map(State::number)))
            .description(Some(names.join(", ")));
        object.into()
    }
}

impl ToSchema for State {
    fn name() -> Cow<'static, str> {
        "State".into()
    }
}

/// The same JSON as the flat form that it is read through.
macro_rules! as_flat {
    ($name:ident, $flat:ident) => {
        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                $flat::schema()
            }
        }

        impl ToSchema for $name {
            fn name() -> Cow<'static, str> {
                $flat::name()
            }

            fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
                $flat::schemas(schemas);
            }
        }
    };
}

as_flat!(Task, FlatTask);
as_flat!(TaskEvent, FlatTaskEvent);
