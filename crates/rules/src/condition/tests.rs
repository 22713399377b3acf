//! Tests of the parser: every operator, precedence, and what is refused.

use super::*;
use proptest::prelude::*;

fn parse(text: &str) -> Expr {
    Expr::parse(text).unwrap()
}

fn fault(text: &str) -> String {
    match Expr::parse(text).unwrap_err() {
        Fault::Error(text) => text,
        Fault::Lacking(text) => format!("lacking: {text}"),
    }
}

#[test]
fn not_binds_before_and_and_before_or() {
    assert_eq!(parse("not a and b or c and d"), parse("((not a) and b) or (c and d)"));
    assert_ne!(parse("not a and b"), parse("not (a and b)"));
    assert_ne!(parse("a or b and c"), parse("(a or b) and c"));
    assert_eq!(parse("a or(b)and not(c)").to_string(), "a or b and not c");
    assert_eq!(parse("notable and order").to_string(), "notable and order");
}

#[test]
fn values_are_words_or_quoted_strings() {
    let cases = [
        (r#"fd.name='a "b" c'"#, r#"fd.name = "a \"b\" c""#),
        (r#"fd.name == "it's \\ \" \n""#, "fd.name = \"it's \\\\ \\\" \n\""),
        ("proc.tty!=0", "proc.tty != 0"),
        ("fd.num>=-1", "fd.num >= -1"),
        ("evt.dir = >", "evt.dir = >"),
        ("evt.dir=<", "evt.dir = <"),
        ("fd.name glob /proc/*/environ", "fd.name glob /proc/*/environ"),
        (
            "proc.pname in (runc:[0:PARENT], \"puma reactor\")",
            "proc.pname in (runc:[0:PARENT], \"puma reactor\")",
        ),
        ("proc.pname in(a,b)", "proc.pname in (a, b)"),
        ("proc.pname in shells", "proc.pname in (shells)"),
        ("proc.pname in ()", "proc.pname in ()"),
        ("proc.aname[2]=x", "proc.aname[2] = x"),
        ("proc.env[\"A B\"] exists and x", "proc.env[\"A B\"] exists and x"),
        (
            "tolower(basename( proc.exe )) = val(proc.name)",
            "tolower(basename(proc.exe)) = val(proc.name)",
        ),
    ];
    for (text, printed) in cases {
        assert_eq!(parse(text).to_string(), printed, "{text}");
    }
}

#[test]
fn faults_say_what_was_expected_and_where() {
    let cases = [
        ("", "expected a field, a macro or `(` at the end of the condition"),
        ("a b", "expected `and`, `or` or the end at \"b\""),
        ("(a", "expected `)` at the end of the condition"),
        ("a and", "expected a field, a macro or `(` at the end of the condition"),
        ("fd.name = ", "expected a value at the end of the condition"),
        ("fd.name and x", "expected an operator at \"and x\""),
        ("fd.name = \"x", "\" is not closed at \"\\\"x\""),
        (
            "fd.name = \"\\d\"",
            "unknown escape \\d (a backslash itself is \\\\) at \"\\\"\\\\d\\\"\"",
        ),
        ("proc.aname[ = 1", "expected an argument and `]` at \" = 1\""),
        ("fd.name looks_like x", "lacking: no operator `looks_like`"),
        ("join(fd.name) = x", "lacking: no transformer `join()`"),
    ];
    for (text, what) in cases {
        assert_eq!(fault(text), what, "{text}");
    }
}

#[test]
fn depth_and_length_are_limited() {
    let deep = |n: usize| format!("{}a{}", "(".repeat(n), ")".repeat(n));
    assert!(Expr::parse(&deep(100)).is_ok());
    assert!(fault(&deep(101)).contains("levels deep"));
    assert!(fault(&deep(100_000)).contains("levels deep"));
    assert!(fault(&format!("{} a", "not ".repeat(50_000))).contains("levels deep"));
    assert!(fault(&format!("{}x", "tolower(".repeat(20_000))).contains("levels deep"));
    assert!(fault(&"a or ".repeat(60_000)).contains("bytes"));
}

fn word() -> impl Strategy<Value = Word> {
    prop_oneof![
        "[a-z/*:<>\\[\\]!.0-9-]{1,6}".prop_map(|text| Word { text, bare: true }),
        "\\PC{0,6}".prop_map(|text| Word { text, bare: false }),
    ]
}

fn operand(inner: bool) -> impl Strategy<Value = Operand> {
    let transforms =
        proptest::collection::vec(proptest::sample::select(Transform::ALL), usize::from(inner)..3);
    let arg = proptest::option::of("[a-z0-9 ]{1,4}");
    ("[a-m]{1,4}\\.[a-z]{1,4}", arg, transforms).prop_map(|(field, arg, transforms)| Operand {
        field,
        arg,
        transforms,
    })
}

fn comparison() -> impl Strategy<Value = Test> {
    let op = proptest::sample::select(Op::ALL);
    (operand(false), op, proptest::collection::vec(word(), 1..4), operand(true), any::<bool>())
        .prop_map(|(left, op, mut words, other, dynamic)| {
            let right = match op {
                Op::Exists => Right::Nothing,
                _ if dynamic => Right::Field(other),
                _ if op.takes_list() => Right::List(words),
                _ => words.pop().map_or(Right::Nothing, Right::Word),
            };
            Test { left, op, right }
        })
}

fn tree() -> impl Strategy<Value = Expr> {
    let leaf = prop_oneof!["m[a-z]{0,5}".prop_map(Expr::Macro), comparison().prop_map(Expr::Test),];
    leaf.prop_recursive(5, 40, 4, |inner| {
        let many = proptest::collection::vec(inner.clone(), 2..4);
        prop_oneof![
            many.clone().prop_map(Expr::And),
            many.prop_map(Expr::Or),
            inner.prop_map(|e| Expr::Not(Box::new(e))),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_printed_reads_as_the_same_tree(tree in tree()) {
        prop_assert_eq!(Expr::parse(&tree.to_string()), Ok(tree));
    }

    #[test]
    fn no_text_panics(text in "\\PC{0,60}") {
        let _ = Expr::parse(&text);
        let _ = unquote(&text);
    }

    #[test]
    fn no_text_of_its_own_words_panics(
        words in proptest::collection::vec(proptest::sample::select(&[
            "and", "or", "not", "(", ")", "fd.name", "=", "in", "exists", "\"", "'", "\\", "[", "]", ",", "tolower(", " ", "é",
        ][..]), 0..40)
    ) {
        let _ = Expr::parse(&words.concat());
    }
}
