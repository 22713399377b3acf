//! What is wrong with rules: said for each when they are loaded, with the place.

use std::fmt::{self, Display, Formatter};

/// How bad a problem is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Worth knowing: the rule runs.
    Note,
    /// The rule does not run: what it asks for is not there.
    LeftOut,
    /// The file is wrong and refused as a whole.
    Error,
}

/// Something that is wrong with a rule or a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// How bad it is.
    pub severity: Severity,
    /// Name of the file, as given.
    pub file: String,
    /// Line in which the item begins, the first is 1.
    pub line: usize,
    /// Name of the rule, unless it is about another item or the file.
    pub rule: Option<String>,
    /// What is wrong.
    pub what: String,
}

impl Display for Problem {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: ", self.file, self.line)?;
        if let Some(rule) = &self.rule {
            write!(f, "rule {rule:?}: ")?;
        }
        f.write_str(&self.what)
    }
}
