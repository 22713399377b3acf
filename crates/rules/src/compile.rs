//! From definitions to conditions that can be decided: macros and lists are put in, fields are looked up, words are read
//! as the field's kind.
//!
//! What a rule asks for that is not there is collected, so that all of it is told at once.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use crate::condition::{Expr, Fault, Op, Operand, Right, Test, Transform, Word, unquote};
use crate::evaluate::{Node, Origin, Source};
use crate::field::{Catalog, Field, Kind, Value, split};
use crate::matcher::Matcher;
use crate::merge::{Definition, Definitions, Place};

mod exceptions;

/// Parts inside each other, with those of macros: deciding a condition calls itself for each.
const DEPTH_MAX: usize = 200;

/// Comparisons of all rules together, and words in their lists: macros in macros, lists in lists could make any number
/// from a small file. Falco's own files make about ten thousand of each.
const NODES_MAX: usize = 200_000;
const WORDS_MAX: usize = 1_000_000;

/// Different patterns of all rules together, because of the memory that each takes. Falco's own files have 30.
const AUTOMATA_MAX: usize = 2_000;

/// As much as is told of what a rule lacks: no one reads more.
pub(crate) const LACKING_MAX: usize = 20;

/// Compiles the rules of one load; what they share is made once.
pub(crate) struct Compiler<'d> {
    catalog: &'d dyn Catalog,
    definitions: &'d Definitions,
    macros: BTreeMap<&'d str, Result<Expr, Fault>>,
    /// `None` for one that is wrong, which has been told.
    lists: HashMap<&'d str, Option<Arc<[Word]>>>,
    matchers: HashMap<(Op, Kind, Vec<String>), Arc<Matcher>>,
    automata_left: usize,
    fields: Vec<Field>,
    index: HashMap<Field, usize>,
    nodes_left: usize,
    words_left: usize,
    /// What the rule that is being compiled lacks.
    lacking: Vec<String>,
}

impl<'d> Compiler<'d> {
    pub(crate) fn new(definitions: &'d Definitions, catalog: &'d dyn Catalog) -> Self {
        let macros = definitions.macros.iter();
        Compiler {
            catalog,
            definitions,
            macros: macros.map(|(name, m)| (name.as_str(), Expr::parse(&m.value))).collect(),
            lists: HashMap::new(),
            matchers: HashMap::new(),
            automata_left: AUTOMATA_MAX,
            fields: Vec::new(),
            index: HashMap::new(),
            nodes_left: NODES_MAX,
            words_left: WORDS_MAX,
            lacking: Vec::new(),
        }
    }

    /// The fields that compiled rules use, in the order of their places.
    pub(crate) fn into_fields(self) -> Vec<Field> {
        self.fields
    }

    /// What is wrong with lists and macros, used or not, and where.
    pub(crate) fn check(&mut self) -> Vec<(String, Place)> {
        let mut wrong = Vec::new();
        for (name, list) in &self.definitions.lists {
            // One that leads to a wrong list is not told again.
            if self.lists.contains_key(name.as_str()) {
                continue;
            }
            if let Err(what) = self.list(name, &mut Vec::new()) {
                wrong.push((format!("list {name:?}: {what}"), list.place));
            }
        }
        let mut done = BTreeSet::new();
        for (name, definition) in &self.definitions.macros {
            let fault = match self.macros.get(name.as_str()) {
                Some(Err(Fault::Error(what))) => Err(what.clone()),
                _ => self.check_macro(name, &mut Vec::new(), &mut done),
            };
            if let Err(what) = fault {
                wrong.push((format!("macro {name:?}: {what}"), definition.place));
            }
        }
        wrong
    }

    /// Whether a macro leads to itself or to one that is not there.
    fn check_macro(
        &self,
        name: &'d str,
        path: &mut Vec<&'d str>,
        done: &mut BTreeSet<&'d str>,
    ) -> Result<(), String> {
        enter(name, path)?;
        if !done.insert(name) {
            path.pop();
            return Ok(());
        }
        let mut used = Vec::new();
        if let Some(Ok(expr)) = self.macros.get(name) {
            names(expr, &mut used);
        }
        for other in used {
            let (other, _) = self.macros.get_key_value(other).ok_or_else(|| undefined(other))?;
            self.check_macro(other, path, done)?;
        }
        path.pop();
        Ok(())
    }

    /// Compiles a rule's condition with its exceptions.
    pub(crate) fn rule(&mut self, rule: &Definition) -> Result<Node, Fault> {
        self.lacking.clear();
        let expr = Expr::parse(&rule.condition)?;
        let exceptions = exceptions::exprs(&rule.exceptions)?;
        let mut nodes = vec![self.node(&expr, 0, &mut Vec::new())?];
        for exception in exceptions {
            let node = self.node(&exception, 0, &mut Vec::new())?;
            nodes.push(Node::Not(Box::new(node)));
        }
        if self.lacking.is_empty() {
            Ok(flat(nodes, Node::And))
        } else {
            Err(Fault::Lacking(self.lacking.join(", ")))
        }
    }

    fn node(&mut self, expr: &Expr, depth: usize, path: &mut Vec<&'d str>) -> Result<Node, Fault> {
        if depth == DEPTH_MAX {
            return Err(Fault::Error(format!("more than {DEPTH_MAX} levels deep with macros")));
        }
        self.nodes_left = self
            .nodes_left
            .checked_sub(1)
            .ok_or_else(|| Fault::Error("macros make too many comparisons".into()))?;
        let mut all = |parts: &[Expr], path: &mut Vec<&'d str>| {
            parts.iter().map(|part| self.node(part, depth + 1, path)).collect::<Result<Vec<_>, _>>()
        };
        Ok(match expr {
            Expr::And(parts) => flat(all(parts, path)?, Node::And),
            Expr::Or(parts) => flat(all(parts, path)?, Node::Or),
            Expr::Not(inner) => Node::Not(Box::new(self.node(inner, depth + 1, path)?)),
            Expr::Macro(name) => return self.macro_(name, depth, path),
            Expr::Test(test) => match self.test(test) {
                Err(Fault::Lacking(what)) => {
                    self.lack(what);
                    Node::Const(false)
                }
                decided => decided?,
            },
        })
    }

    fn lack(&mut self, what: String) {
        if self.lacking.len() < LACKING_MAX && !self.lacking.contains(&what) {
            self.lacking.push(what);
        }
    }

    fn macro_(&mut self, name: &str, depth: usize, path: &mut Vec<&'d str>) -> Result<Node, Fault> {
        let Some((known, _)) = self.definitions.macros.get_key_value(name) else {
            return Err(Fault::Error(undefined(name)));
        };
        enter(known, path).map_err(Fault::Error)?;
        // Taken out while it is used, so that it need not be copied: `enter` refuses a macro within itself.
        let node = match self.macros.remove(known.as_str()) {
            Some(Ok(expr)) => {
                let node = self.node(&expr, depth + 1, path);
                self.macros.insert(known, Ok(expr));
                node?
            }
            Some(Err(fault)) => {
                if let Fault::Lacking(what) = &fault {
                    self.lack(what.clone());
                }
                let error = matches!(fault, Fault::Error(_)).then(|| fault.clone());
                self.macros.insert(known, Err(fault));
                match error {
                    Some(error) => return Err(error),
                    None => Node::Const(false),
                }
            }
            None => return Err(Fault::Error(undefined(name))),
        };
        path.pop();
        Ok(node)
    }

    fn test(&mut self, test: &Test) -> Result<Node, Fault> {
        let words = match &test.right {
            Right::Nothing => Vec::new(),
            Right::Word(word) => vec![word.text.clone()],
            Right::List(words) => self.words(words)?,
            Right::Field(right) => return self.pair(&test.left, test.op, right),
        };
        let negate = test.op == Op::Ne;
        if test.left.field == "evt.dir" && test.left.transforms.is_empty() {
            // Only ends of calls are events here.
            let matcher = self.matcher(test.op, Kind::Text, words)?;
            return Ok(Node::Const(matcher.test(&Value::from("<")) == Some(!negate)));
        }
        let (source, kind) = self.source(&test.left)?;
        let matcher = self.matcher(test.op, kind, words).map_err(|fault| match fault {
            Fault::Lacking(what) => Fault::Lacking(format!("{what} ({})", test.left)),
            error => error,
        })?;
        Ok(Node::Test { source, negate, matcher })
    }

    /// The matcher of an operator and words; the same ones share it.
    fn matcher(&mut self, op: Op, kind: Kind, words: Vec<String>) -> Result<Arc<Matcher>, Fault> {
        let key = (op, kind, words);
        if let Some(known) = self.matchers.get(&key) {
            return Ok(known.clone());
        }
        let words: Vec<&str> = key.2.iter().map(String::as_str).collect();
        let matcher = Arc::new(Matcher::new(op, kind, &words)?);
        self.automata_left = self
            .automata_left
            .checked_sub(matcher.automata())
            .ok_or_else(|| Fault::Error(format!("more than {AUTOMATA_MAX} different patterns")))?;
        self.matchers.insert(key, matcher.clone());
        Ok(matcher)
    }

    fn pair(&mut self, left: &Operand, op: Op, right: &Operand) -> Result<Node, Fault> {
        if matches!(op, Op::Glob | Op::IGlob | Op::Regex | Op::PMatch)
            || matches!(op, Op::BContains | Op::BStartsWith)
        {
            return Err(Fault::Lacking(format!("no operator `{}` for two fields", op.text())));
        }
        let (left, right) = (self.source(left)?, self.source(right)?);
        Ok(Node::Pair { left: left.0, op, right: right.0 })
    }

    /// The place of a field's value, and its kind after the transformers.
    fn source(&mut self, operand: &Operand) -> Result<(Source, Kind), Fault> {
        let (origin, mut kind) = match operand.field.as_str() {
            "evt.type" | "syscall.type" if operand.arg.is_none() => (Origin::Call, Kind::Text),
            name => {
                let (base, arg) = split(name, operand.arg.as_deref());
                let field = self.catalog.field(base, arg).ok_or_else(|| {
                    let bare = Operand { transforms: Vec::new(), ..operand.clone() };
                    Fault::Lacking(format!("no field `{bare}`"))
                })?;
                let kind = field.kind;
                let next = self.fields.len();
                let place = *self.index.entry(field.clone()).or_insert(next);
                if place == next {
                    self.fields.push(field);
                }
                (Origin::Field(place), kind)
            }
        };
        for transform in &operand.transforms {
            kind = match (transform, kind) {
                (Transform::Val, kind) => kind,
                (Transform::Len, Kind::Text | Kind::List) => Kind::Number,
                (_, Kind::Text | Kind::List) => kind,
                _ => {
                    let name = transform.text();
                    return Err(Fault::Lacking(format!("`{name}()` is not for `{operand}`")));
                }
            };
        }
        Ok((Source { origin, transforms: operand.transforms.clone().into() }, kind))
    }

    /// Words of a list in a condition; names of lists are replaced by what is in them.
    fn words(&mut self, words: &[Word]) -> Result<Vec<String>, Fault> {
        let mut texts = Vec::new();
        for word in words {
            match self.definitions.lists.get_key_value(&word.text).filter(|_| word.bare) {
                Some((name, _)) => {
                    let list = self.list(name, &mut Vec::new()).map_err(Fault::Error)?;
                    self.spend(list.len())?;
                    texts.extend(list.iter().map(|word| word.text.clone()));
                }
                None => {
                    self.spend(1)?;
                    texts.push(word.text.clone());
                }
            }
        }
        Ok(texts)
    }

    /// What is in a list, with what is in the lists that it names. A list's own name in it is a word.
    fn list(&mut self, name: &'d str, path: &mut Vec<&'d str>) -> Result<Arc<[Word]>, String> {
        if let Some(known) = self.lists.get(name) {
            return known.clone().ok_or_else(|| format!("names {name:?}, which is wrong"));
        }
        let read = self.read_list(name, path);
        self.lists.insert(name, read.as_ref().ok().cloned());
        read
    }

    fn read_list(&mut self, name: &'d str, path: &mut Vec<&'d str>) -> Result<Arc<[Word]>, String> {
        enter(name, path)?;
        let mut words = Vec::new();
        for item in self.definitions.lists.get(name).map_or(&[][..], |list| &list.value) {
            let word = unquote(item).map_err(|fault| match fault {
                Fault::Error(what) | Fault::Lacking(what) => what,
            })?;
            let inner = self.definitions.lists.get_key_value(&word.text);
            match inner.filter(|(inner, _)| word.bare && *inner != name) {
                Some((inner, _)) => {
                    let inner = self.list(inner, path)?;
                    self.spend(inner.len()).map_err(|_| too_many())?;
                    words.extend_from_slice(&inner);
                }
                None => words.push(word),
            }
        }
        path.pop();
        Ok(words.into())
    }

    fn spend(&mut self, words: usize) -> Result<(), Fault> {
        self.words_left =
            self.words_left.checked_sub(words).ok_or_else(|| Fault::Error(too_many()))?;
        Ok(())
    }
}

fn too_many() -> String {
    format!("lists make more than {WORDS_MAX} words")
}

fn undefined(name: &str) -> String {
    format!("no macro {name:?}")
}

/// Goes into a macro or list; refuses one that is already being read.
fn enter<'d>(name: &'d str, path: &mut Vec<&'d str>) -> Result<(), String> {
    path.push(name);
    if path.iter().rev().skip(1).any(|outer| *outer == name) {
        return Err(format!("contains itself: {}", path.join(" > ")));
    }
    if path.len() > DEPTH_MAX {
        return Err(format!("more than {DEPTH_MAX} names deep"));
    }
    Ok(())
}

/// Names of macros in a condition. How deep it is was limited when it was read.
fn names<'e>(expr: &'e Expr, into: &mut Vec<&'e str>) {
    match expr {
        Expr::And(parts) | Expr::Or(parts) => parts.iter().for_each(|part| names(part, into)),
        Expr::Not(inner) => names(inner, into),
        Expr::Macro(name) => into.push(name),
        Expr::Test(_) => {}
    }
}

/// Joins parts; a single one stands for itself.
fn flat(mut parts: Vec<Node>, make: fn(Box<[Node]>) -> Node) -> Node {
    match parts.pop() {
        Some(only) if parts.is_empty() => only,
        Some(last) => {
            parts.push(last);
            make(parts.into())
        }
        None => make(parts.into()),
    }
}
