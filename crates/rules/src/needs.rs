//! What must hold of one field for a rule to be true at all: so that somebody who cannot decide rules (the kernel) knows
//! which events may matter. It may name too much, never too little.

use std::collections::BTreeSet;

use crate::evaluate::{Node, Origin};
use crate::field::Field;
use crate::matcher::Matcher;

/// A comparison that has to be true, of a field without transformers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Needed<'a> {
    /// It is one of these.
    Texts(Vec<&'a str>),
    /// It ends with this.
    End(&'a str),
}

/// Names of which one must be there for the condition to be true; `None` if that cannot be said.
pub(crate) fn needs(
    node: &Node,
    fields: &[Field],
    name: &dyn Fn(&Field, Needed<'_>) -> Option<Vec<String>>,
) -> Option<BTreeSet<String>> {
    match node {
        Node::Const(false) => Some(BTreeSet::new()),
        // Any part that says it will do; the one that names fewest.
        Node::And(parts) => {
            let said = parts.iter().filter_map(|part| needs(part, fields, name));
            said.min_by_key(BTreeSet::len)
        }
        Node::Or(parts) => {
            let said = parts.iter().map(|part| needs(part, fields, name));
            Some(said.collect::<Option<Vec<_>>>()?.into_iter().flatten().collect())
        }
        Node::Test { source, negate: false, matcher } if source.transforms.is_empty() => {
            let Origin::Field(at) = source.origin else { return None };
            let needed = match &**matcher {
                Matcher::EndsWith(end) => Needed::End(end),
                other => Needed::Texts(other.texts()?),
            };
            Some(name(fields.get(at)?, needed)?.into_iter().collect())
        }
        Node::Const(true) | Node::Not(_) | Node::Test { .. } | Node::Pair { .. } => None,
    }
}
