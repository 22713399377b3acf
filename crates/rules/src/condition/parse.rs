//! Reads a condition: a parser by recursive descent over its text, with `not` before `and` before `or`.
//!
//! Which characters make a word depends on the place (`runc:[0:PARENT]` is a word, `proc.aname[2]` a field), so there
//! is no list of tokens in between.

use super::{Expr, Op, Operand, Right, Test, Transform, Word};

/// The longest condition in bytes: ten times the longest known one, so that no file makes a tree of many megabytes.
const LENGTH_MAX: usize = 256 * 1024;

/// Parentheses, `not`s and transformers inside each other, as many as Falco allows: the parser calls itself for each.
const DEPTH_MAX: usize = 100;

/// Why a condition cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It is wrong.
    Error(String),
    /// It asks for something that is not there.
    Lacking(String),
}

impl Expr {
    /// Reads a condition.
    pub(crate) fn parse(text: &str) -> Result<Expr, Fault> {
        if text.len() > LENGTH_MAX {
            return Err(Fault::Error(format!("condition of more than {LENGTH_MAX} bytes")));
        }
        let mut parser = Parser { text, at: 0, depth: 0 };
        let expr = parser.or()?;
        parser.blank();
        if parser.rest().is_empty() {
            Ok(expr)
        } else {
            Err(parser.expected("`and`, `or` or the end"))
        }
    }
}

struct Parser<'a> {
    text: &'a str,
    /// Bytes read; always between two characters.
    at: usize,
    depth: usize,
}

impl<'a> Parser<'a> {
    fn or(&mut self) -> Result<Expr, Fault> {
        self.sequence("or", Expr::Or, |p| p.sequence("and", Expr::And, Self::not))
    }

    /// `part (word part)*`; a single part stands for itself.
    fn sequence(
        &mut self,
        word: &str,
        make: fn(Vec<Expr>) -> Expr,
        part: impl Fn(&mut Self) -> Result<Expr, Fault>,
    ) -> Result<Expr, Fault> {
        let first = part(self)?;
        if !self.keyword(word) {
            return Ok(first);
        }
        let mut parts = vec![first, part(self)?];
        while self.keyword(word) {
            parts.push(part(self)?);
        }
        Ok(make(parts))
    }

    fn not(&mut self) -> Result<Expr, Fault> {
        if self.keyword("not") {
            return self.deeper(|p| Ok(Expr::Not(Box::new(p.not()?))));
        }
        if self.take('(') {
            let inner = self.deeper(Self::or)?;
            self.close()?;
            return Ok(inner);
        }
        let name = self.name();
        if name.is_empty() || is_keyword(name) {
            return Err(self.expected("a field, a macro or `(`"));
        }
        let left = if self.rest().starts_with('(') {
            self.transformed(name)?
        } else if name.contains('.') {
            self.field(name)?
        } else {
            return Ok(Expr::Macro(name.to_owned()));
        };
        let op = self.operator()?;
        let right = self.right(op)?;
        Ok(Expr::Test(Test { left, op, right }))
    }

    /// The rest of `transformer(…)`, at its parenthesis. Falco has more of them than there are here.
    fn transformed(&mut self, name: &str) -> Result<Operand, Fault> {
        let Some(transform) = Transform::of(name) else {
            return Err(Fault::Lacking(format!("no transformer `{name}()`")));
        };
        self.take('(');
        self.blank();
        let inner = self.name();
        let mut operand = if inner.is_empty() {
            return Err(self.expected("a field"));
        } else if self.rest().starts_with('(') {
            self.deeper(|p| p.transformed(inner))?
        } else {
            self.field(inner)?
        };
        self.close()?;
        operand.transforms.push(transform);
        Ok(operand)
    }

    /// The rest of a field: its argument in brackets.
    fn field(&mut self, name: &str) -> Result<Operand, Fault> {
        let mut arg = None;
        if self.take('[') {
            let text = match self.quoted()? {
                Some(text) => text,
                None => self.run(is_arg_char).to_owned(),
            };
            if text.is_empty() || !self.take(']') {
                return Err(self.expected("an argument and `]`"));
            }
            arg = Some(text);
        }
        Ok(Operand { field: name.to_owned(), arg, transforms: Vec::new() })
    }

    fn operator(&mut self) -> Result<Op, Fault> {
        self.blank();
        for symbol in ["==", "=", "!=", "<=", "<", ">=", ">"] {
            if self.rest().starts_with(symbol) {
                self.at += symbol.len();
                let op = Op::of(if symbol == "==" { "=" } else { symbol });
                return op.ok_or_else(|| self.expected("an operator"));
            }
        }
        let start = self.at;
        let word = self.run(|c| c.is_ascii_alphanumeric() || c == '_');
        match Op::of(word) {
            Some(op) => Ok(op),
            None if word.is_empty() || is_keyword(word) => {
                self.at = start;
                Err(self.expected("an operator"))
            }
            None => Err(Fault::Lacking(format!("no operator `{word}`"))),
        }
    }

    fn right(&mut self, op: Op) -> Result<Right, Fault> {
        if op == Op::Exists {
            return Ok(Right::Nothing);
        }
        self.blank();
        if op.takes_list() && self.take('(') {
            return self.list();
        }
        let start = self.at;
        let name = self.name();
        if !name.is_empty() && self.rest().starts_with('(') {
            return Ok(Right::Field(self.transformed(name)?));
        }
        self.at = start;
        let word = self.word()?;
        // `in shell_binaries` is `in (shell_binaries)`.
        Ok(if op.takes_list() { Right::List(vec![word]) } else { Right::Word(word) })
    }

    /// The rest of a list, after its parenthesis.
    fn list(&mut self) -> Result<Right, Fault> {
        let mut words = Vec::new();
        self.blank();
        if self.take(')') {
            return Ok(Right::List(words));
        }
        loop {
            self.blank();
            words.push(self.word()?);
            self.blank();
            if !self.take(',') {
                break;
            }
        }
        self.close()?;
        Ok(Right::List(words))
    }

    fn word(&mut self) -> Result<Word, Fault> {
        if let Some(text) = self.quoted()? {
            return Ok(Word { text, bare: false });
        }
        let text = self.run(is_bare_char);
        if text.is_empty() {
            return Err(self.expected("a value"));
        }
        Ok(Word { text: text.to_owned(), bare: true })
    }

    /// A string in quotes, if there is one here.
    fn quoted(&mut self) -> Result<Option<String>, Fault> {
        let rest = self.rest();
        let Some(quote) = rest.chars().next().filter(|c| is_quote(*c)) else {
            return Ok(None);
        };
        let mut escaped = false;
        for (i, c) in rest.char_indices().skip(1) {
            if c == quote && !escaped {
                let inner = rest.get(1..i).unwrap_or_default();
                let text = unescape(inner).map_err(|what| self.fault(what))?;
                self.at += i + 1;
                return Ok(Some(text));
            }
            escaped = c == '\\' && !escaped;
        }
        Err(self.fault(format!("{quote} is not closed")))
    }

    /// The name of a field, a macro, a transformer: begins with a letter.
    fn name(&mut self) -> &'a str {
        if !self.rest().starts_with(|c: char| c.is_ascii_alphabetic()) {
            return "";
        }
        self.run(is_name_char)
    }

    /// Takes a word that is followed by something that cannot be part of it.
    fn keyword(&mut self, word: &str) -> bool {
        self.blank();
        let found =
            self.rest().strip_prefix(word).is_some_and(|after| !after.starts_with(is_name_char));
        if found {
            self.at += word.len();
        }
        found
    }

    fn close(&mut self) -> Result<(), Fault> {
        self.blank();
        if self.take(')') { Ok(()) } else { Err(self.expected("`)`")) }
    }

    fn deeper<T>(&mut self, inner: impl FnOnce(&mut Self) -> Result<T, Fault>) -> Result<T, Fault> {
        if self.depth == DEPTH_MAX {
            return Err(self.fault(format!("more than {DEPTH_MAX} levels deep")));
        }
        self.depth += 1;
        let result = inner(self);
        self.depth -= 1;
        result
    }

    fn take(&mut self, c: char) -> bool {
        let found = self.rest().starts_with(c);
        if found {
            self.at += c.len_utf8();
        }
        found
    }

    fn blank(&mut self) {
        self.run(char::is_whitespace);
    }

    /// Takes the characters for which this is true.
    fn run(&mut self, part: impl Fn(char) -> bool) -> &'a str {
        let rest = self.rest();
        let end = rest.find(|c| !part(c)).unwrap_or(rest.len());
        self.at += end;
        rest.get(..end).unwrap_or_default()
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn expected(&self, what: &str) -> Fault {
        self.fault(format!("expected {what}"))
    }

    /// An error that shows where.
    fn fault(&self, what: String) -> Fault {
        let here: String = self.rest().chars().take(30).collect();
        Fault::Error(match here.as_str() {
            "" => format!("{what} at the end of the condition"),
            _ => format!("{what} at {here:?}"),
        })
    }
}

fn is_keyword(word: &str) -> bool {
    matches!(word, "and" | "or" | "not")
}

/// A macro's or a field's name; Falco knows no hyphen, but a name with one can mean nothing else.
fn is_name_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-')
}

/// Whether a character may be part of a word without quotes.
fn is_bare_char(c: char) -> bool {
    !c.is_whitespace() && !is_quote(c) && !matches!(c, '(' | ')' | '=' | ',')
}

fn is_arg_char(c: char) -> bool {
    !c.is_whitespace() && !is_quote(c) && !matches!(c, '[' | ']')
}

/// Whether an argument needs no quotes.
pub(super) fn is_bare_arg(arg: &str) -> bool {
    arg.chars().all(is_arg_char)
}

fn is_quote(c: char) -> bool {
    matches!(c, '"' | '\'')
}

/// A value as a list in YAML gives it: in quotes of the condition language (`'"sh -c id"'`), or a word as it is.
pub(crate) fn unquote(item: &str) -> Result<Word, Fault> {
    let mut parser = Parser { text: item, at: 0, depth: 0 };
    if let Some(text) = parser.quoted()?
        && parser.rest().is_empty()
    {
        return Ok(Word { text, bare: false });
    }
    Ok(Word { text: item.to_owned(), bare: true })
}

fn unescape(inner: &str) -> Result<String, String> {
    let mut text = String::with_capacity(inner.len());
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            text.push(c);
            continue;
        }
        text.push(match chars.next() {
            Some('b') => '\u{8}',
            Some('f') => '\u{c}',
            Some('n') => '\n',
            Some('r') => '\r',
            Some('t') => '\t',
            Some(c @ (' ' | '\\' | '/' | '"' | '\'')) => c,
            Some(c) => return Err(format!("unknown escape \\{c} (a backslash itself is \\\\)")),
            None => return Err("a backslash before the end".to_owned()),
        });
    }
    Ok(text)
}
