//! What a task's Constraints ask of a worker's labels, and of the tasks that live there.

use super::Context;
use crate::scheduler::{Filter, Rejection};
use crate::task::{Constraint, Test};

pub(super) fn constraints(Context { request, worker, .. }: Context<'_>) -> Option<Rejection> {
    request.spec.constraints.iter().find_map(|constraint| {
        let (label, test) = match constraint {
            Constraint::Label { label, test } => (label, test),
            // Who is spread over a label has to be somewhere on it.
            Constraint::Spread(label) => (label, &Test::Exists),
            Constraint::With(_) | Constraint::Without(_) => return None,
        };
        let has = worker.label(label);
        (!test.passes(label, has.as_deref())).then(|| Rejection::Constraint {
            wanted: constraint.to_string(),
            label: label.clone(),
            has: has.map(std::borrow::Cow::into_owned),
        })
    })
}

pub(super) fn affinity(Context { request, reserved, .. }: Context<'_>) -> Option<Rejection> {
    let wish = request.spec.constraints.iter().find_map(|constraint| match constraint {
        Constraint::With(pair) => {
            let pair = pair.to_string();
            let is_there = reserved.with_label(&pair) > 0 || request.may_be_first(&pair);
            (!is_there).then_some(Rejection::NotWith { pair })
        }
        Constraint::Without(pair) => {
            let pair = pair.to_string();
            (reserved.with_label(&pair) > 0).then_some(Rejection::KeptApart { pair, by_it: true })
        }
        Constraint::Label { .. } | Constraint::Spread(_) => None,
    });
    wish.or_else(|| {
        let repelled = request.labels.iter().find(|pair| reserved.repels(pair));
        repelled.map(|pair| Rejection::KeptApart { pair: pair.clone(), by_it: false })
    })
}

pub(super) fn numbers(filter: Filter, Context { request, worker, .. }: Context<'_>) -> String {
    let told = request.spec.constraints.iter().filter_map(|constraint| match (constraint, filter) {
        (Constraint::Label { label, .. } | Constraint::Spread(label), Filter::Constraints) => {
            Some(match worker.label(label) {
                Some(value) => format!("{constraint} ({label}={value})"),
                None => constraint.to_string(),
            })
        }
        (Constraint::With(_) | Constraint::Without(_), Filter::Affinity) => Some(constraint.to_string()),
        _ => None,
    });
    let told: Vec<_> = told.collect();
    if told.is_empty() { "has none".to_owned() } else { told.join(", ") }
}
