//! For which calls (`evt.type`) a condition can be true: a rule is only looked at for events of these.
//!
//! Each part of a condition can be true, can be false, or both; what it says about other fields can be both. With this,
//! `and`, `or` and `not` are exact for conditions on the call, and never leave out a call that the rule could be true
//! for.

use std::collections::BTreeSet;

use crate::evaluate::{Node, Origin};
use crate::field::{Catalog, Value};

/// The most calls that a condition is looked at for, one by one; one that names more (there are about 400) is looked
/// at for each event.
const NAMED_MAX: usize = 512;

/// The calls that a condition can be true for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Calls {
    /// Named calls for which it can be true.
    pub can: BTreeSet<String>,
    /// Named calls for which it cannot.
    pub cannot: BTreeSet<String>,
    /// Whether it can be true for a call that it does not name.
    pub others: bool,
}

impl Calls {
    pub(crate) fn of(node: &Node) -> Self {
        let mut named = BTreeSet::new();
        collect(node, &mut named);
        if named.len() > NAMED_MAX {
            return Calls { can: BTreeSet::new(), cannot: BTreeSet::new(), others: true };
        }
        let (can, cannot) =
            named.into_iter().partition(|call| possible(node, Some(call)).can_be_true);
        Calls { can, cannot, others: possible(node, None).can_be_true }
    }

    /// Calls that it can be true for, but of which no events come; an error if there are no others.
    pub(crate) fn seen(&self, catalog: &dyn Catalog) -> Result<Vec<String>, String> {
        let unseen: Vec<String> =
            self.can.iter().filter(|call| !catalog.call(call)).cloned().collect();
        if self.others || unseen.len() < self.can.len() {
            Ok(unseen)
        } else if unseen.is_empty() {
            Err("it is true for no event".to_owned())
        } else {
            Err(format!("no events {}", unseen.join(", ")))
        }
    }

    /// Whether it can be true for this call.
    pub(crate) fn include(&self, call: &str) -> bool {
        self.can.contains(call) || self.others && !self.cannot.contains(call)
    }
}

#[derive(Clone, Copy)]
struct Possible {
    can_be_true: bool,
    can_be_false: bool,
}

impl Possible {
    const BOTH: Self = Possible { can_be_true: true, can_be_false: true };

    fn only(value: bool) -> Self {
        Possible { can_be_true: value, can_be_false: !value }
    }
}

/// What a condition can be for one call, or for any that it does not name.
fn possible(node: &Node, call: Option<&str>) -> Possible {
    match node {
        Node::Const(value) => Possible::only(*value),
        Node::Not(node) => {
            let Possible { can_be_true, can_be_false } = possible(node, call);
            Possible { can_be_true: can_be_false, can_be_false: can_be_true }
        }
        Node::And(nodes) => nodes.iter().fold(Possible::only(true), |all, node| {
            let one = possible(node, call);
            Possible {
                can_be_true: all.can_be_true && one.can_be_true,
                can_be_false: all.can_be_false || one.can_be_false,
            }
        }),
        Node::Or(nodes) => nodes.iter().fold(Possible::only(false), |all, node| {
            let one = possible(node, call);
            Possible {
                can_be_true: all.can_be_true || one.can_be_true,
                can_be_false: all.can_be_false && one.can_be_false,
            }
        }),
        Node::Test { source, negate, matcher } if source.origin == Origin::Call => match call {
            Some(call) => {
                let found = source.test(&Value::from(call), matcher);
                Possible::only(found.is_some_and(|found| found != *negate))
            }
            // None of the words it can be true for is this call.
            None if source.transforms.is_empty() && matcher.texts().is_some() => {
                Possible::only(*negate)
            }
            None => Possible::BOTH,
        },
        Node::Test { .. } | Node::Pair { .. } => Possible::BOTH,
    }
}

fn collect(node: &Node, named: &mut BTreeSet<String>) {
    match node {
        Node::Not(node) => collect(node, named),
        Node::And(nodes) | Node::Or(nodes) => nodes.iter().for_each(|node| collect(node, named)),
        Node::Test { source, matcher, .. } if source.origin == Origin::Call => {
            named.extend(matcher.texts().unwrap_or_default().into_iter().map(str::to_owned));
        }
        Node::Const(_) | Node::Test { .. } | Node::Pair { .. } => {}
    }
}
