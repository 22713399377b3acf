//! Conditions: the tree that is written in a rule, before names are looked up.
//!
//! [`Expr::parse`] reads one, `Display` writes one that reads as the same tree. What fields and macros are is not
//! known here.
//!
//! Source: <https://falco.org/docs/concepts/rules/conditions/>

use std::fmt::{self, Display, Formatter, Write as _};

mod parse;

pub(crate) use parse::{Fault, unquote};

/// A condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Expr {
    /// All are true; at least two.
    And(Vec<Expr>),
    /// One is true; at least two.
    Or(Vec<Expr>),
    /// It is false.
    Not(Box<Expr>),
    /// A macro's name.
    Macro(String),
    /// A comparison.
    Test(Test),
}

/// A comparison: a field, an operator, what it is compared with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Test {
    pub left: Operand,
    pub op: Op,
    pub right: Right,
}

/// A field as written, with the transformers around it, the innermost first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Operand {
    pub field: String,
    pub arg: Option<String>,
    pub transforms: Vec<Transform>,
}

/// The right side of a comparison.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Right {
    /// Of `exists`.
    Nothing,
    /// One word.
    Word(Word),
    /// Words in parentheses; a bare one may name a list.
    List(Vec<Word>),
    /// Another field, in `val()` or another transformer.
    Field(Operand),
}

/// A word, bare or in quotes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Word {
    pub text: String,
    /// Written without quotes: in a list, it may be a list's name.
    pub bare: bool,
}

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($variant:ident = $text:literal),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub(crate) enum $name { $($variant),* }

        impl $name {
            /// The one that is written so.
            pub(crate) fn of(text: &str) -> Option<Self> {
                match text { $($text => Some(Self::$variant),)* _ => None }
            }

            /// As it is written.
            pub(crate) fn text(self) -> &'static str {
                match self { $(Self::$variant => $text),* }
            }

            /// All of them, for tests.
            #[cfg(test)]
            pub(crate) const ALL: &[Self] = &[$(Self::$variant),*];
        }
    };
}

words! {
    /// An operator. `==` reads as `=`.
    Op {
        Eq = "=", Ne = "!=", Lt = "<", Le = "<=", Gt = ">", Ge = ">=",
        Contains = "contains", IContains = "icontains", BContains = "bcontains",
        StartsWith = "startswith", BStartsWith = "bstartswith", EndsWith = "endswith",
        Glob = "glob", IGlob = "iglob", In = "in", Intersects = "intersects",
        PMatch = "pmatch", Exists = "exists", Regex = "regex",
    }
}

impl Op {
    /// Whether the right side is a list in parentheses.
    pub(crate) fn takes_list(self) -> bool {
        matches!(self, Op::In | Op::Intersects | Op::PMatch)
    }
}

words! {
    /// What is done with a value before it is compared.
    Transform {
        Lower = "tolower", Upper = "toupper", Base64 = "b64", Basename = "basename", Len = "len", Val = "val",
    }
}

impl Display for Expr {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Expr::And(parts) => {
                join(f, parts, " and ", |e| matches!(e, Expr::And(_) | Expr::Or(_)))
            }
            Expr::Or(parts) => join(f, parts, " or ", |e| matches!(e, Expr::Or(_))),
            Expr::Not(inner) => {
                f.write_str("not ")?;
                enclosed(f, inner, matches!(**inner, Expr::And(_) | Expr::Or(_)))
            }
            Expr::Macro(name) => f.write_str(name),
            Expr::Test(test) => test.fmt(f),
        }
    }
}

fn join(
    f: &mut Formatter<'_>,
    parts: &[Expr],
    between: &str,
    parentheses: fn(&Expr) -> bool,
) -> fmt::Result {
    for (i, part) in parts.iter().enumerate() {
        if i > 0 {
            f.write_str(between)?;
        }
        enclosed(f, part, parentheses(part))?;
    }
    Ok(())
}

fn enclosed(f: &mut Formatter<'_>, expr: &Expr, parentheses: bool) -> fmt::Result {
    if parentheses { write!(f, "({expr})") } else { expr.fmt(f) }
}

impl Display for Test {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.left, self.op.text())?;
        match &self.right {
            Right::Nothing => Ok(()),
            Right::Word(word) => write!(f, " {word}"),
            Right::Field(field) => write!(f, " {field}"),
            Right::List(words) => {
                f.write_str(" (")?;
                for (i, word) in words.iter().enumerate() {
                    write!(f, "{}{word}", if i > 0 { ", " } else { "" })?;
                }
                f.write_char(')')
            }
        }
    }
}

impl Display for Operand {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for transform in self.transforms.iter().rev() {
            write!(f, "{}(", transform.text())?;
        }
        f.write_str(&self.field)?;
        if let Some(arg) = &self.arg {
            f.write_char('[')?;
            if parse::is_bare_arg(arg) {
                f.write_str(arg)?
            } else {
                quoted(f, arg)?
            }
            f.write_char(']')?;
        }
        self.transforms.iter().try_for_each(|_| f.write_char(')'))
    }
}

impl Display for Word {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.bare { f.write_str(&self.text) } else { quoted(f, &self.text) }
    }
}

fn quoted(f: &mut Formatter<'_>, text: &str) -> fmt::Result {
    f.write_char('"')?;
    for c in text.chars() {
        match c {
            '"' | '\\' => write!(f, "\\{c}")?,
            _ => f.write_char(c)?,
        }
    }
    f.write_char('"')
}

#[cfg(test)]
mod tests;
