//! Truth tables of every operator.

use std::cell::Cell;

use crate::testing::{Known, Pairs, good, holds, rule};
use crate::{Field, Rules, Subject, Value};

fn ip(text: &str) -> Value<'static> {
    Value::Ip(text.parse().unwrap())
}

fn list(items: &[&'static str]) -> Value<'static> {
    Value::List(items.iter().map(|item| (*item).into()).collect())
}

/// Conditions about a field's value: those that are true, those that are not.
fn check(field: &'static str, value: Value<'static>, truths: &[&str], lies: &[&str]) {
    let event = [(field, value)];
    for (conditions, expected) in [(truths, true), (lies, false)] {
        for condition in conditions {
            let condition = format!("{field} {condition}");
            assert_eq!(holds(&condition, "open", &event), expected, "{condition}");
            let not = format!("not {condition}");
            assert_eq!(holds(&not, "open", &event), !expected, "{not}");
        }
    }
}

#[test]
fn every_operator_on_text() {
    check(
        "fd.name",
        "/etc/Shadow".into(),
        &[
            "= /etc/Shadow",
            "== '/etc/Shadow'",
            "!= /etc/shadow",
            "< /f",
            "<= /etc/Shadow",
            "> /a",
            ">= /etc/Shadow",
            "contains Sha",
            "icontains sHADOW",
            "bcontains 536861",
            "startswith /etc",
            "bstartswith 2f65",
            "endswith dow",
            "glob /e*w",
            "glob /etc/[R-T]ha?ow",
            "glob /*[!a-z]hadow",
            "iglob /ETC/*",
            "in (a, /etc/Shadow)",
            "intersects (/etc/Shadow)",
            "pmatch (/usr, /etc)",
            "pmatch (/etc/Shadow)",
            "pmatch (/e*/)",
            "pmatch (/)",
            "exists",
            "regex '/etc/[A-Z].*'",
            "contains ''",
        ],
        &[
            "= /etc/shadow",
            "!= /etc/Shadow",
            "< /e",
            "<= /d",
            "> /etc/Shadow",
            ">= /f",
            "contains sha",
            "icontains shadows",
            "bcontains 736861",
            "startswith etc",
            "bstartswith 65",
            "endswith Sha",
            "glob /etc",
            "glob /etc/[!R-T]hadow",
            "glob '/etc/\\\\*'",
            "iglob ETC/*",
            "in (a, /etc/shadow)",
            "in ()",
            "intersects (b)",
            "pmatch (/et, /etc/Shadow/x, etc)",
            "pmatch (/*/x)",
            "regex etc",
            "regex 'x|/etc/Sha'",
        ],
    );
}

#[test]
fn numbers_are_compared_as_numbers() {
    check(
        "fd.num",
        Value::Number(10),
        &[
            "= 10",
            "= 0xa",
            "!= 9",
            "> 9",
            ">= 10",
            "< 100",
            "<= 10",
            "in (9, 10)",
            "in (0x0A)",
            "exists",
            "startswith 1",
        ],
        &["= 9", "!= 10", "> 10", "< 9", "<= -1", "in (1, 0)", "startswith 0"],
    );
    check("fd.num", "10".into(), &["> 9", "= 10"], &["< 9"]);
    check("fd.num", "x".into(), &[], &["> 9", "= 10"]);
    check(
        "fd.port",
        Value::Numbers(vec![80, 5000]),
        &["= 80", "in (5000)", "!= 81", "> 100"],
        &["!= 80", "= 1"],
    );
    check("evt.res", "10".into(), &["> 9", "< b"], &["< 9"]);
}

#[test]
fn truth_values_and_addresses() {
    check(
        "evt.is_open_write",
        Value::Bool(true),
        &["= true", "!= false", "in (true, false)"],
        &["= false", "!= true"],
    );
    check(
        "fd.sip",
        ip("10.1.2.3"),
        &[
            "= 10.1.2.3",
            "= '10.0.0.0/8'",
            "!= 10.1.2.4",
            "in ('192.168.0.0/16', \"10.1.0.0/16\")",
            "= ::ffff:10.1.2.3",
            "startswith 10.",
        ],
        &["= 10.1.2.4", "!= 10.0.0.0/8", "in (10.2.0.0/16, ::/0)"],
    );
    check("fd.sip", ip("::ffff:10.1.2.3"), &["= 10.1.2.3", "= 0.0.0.0/0"], &["= ::/0"]);
    check(
        "fd.sip",
        ip("2001:db8::5"),
        &["= 2001:db8::/32", "= ::/0"],
        &["= 2001:db9::/32", "= 0.0.0.0/0"],
    );
    let both = Value::Ips(vec!["10.0.0.1".parse().unwrap(), "8.8.8.8".parse().unwrap()]);
    check("fd.ip", both, &["= 8.8.8.8", "= 10.0.0.1", "!= 1.1.1.1"], &["!= 8.8.8.8", "= 1.1.1.1"]);
}

#[test]
fn one_of_several_values_is_enough() {
    let names = list(&["sh", "sshd"]);
    check(
        "proc.aname",
        names,
        &["= sshd", "in (a, sh)", "intersects (sh)", "!= bash", "contains ssh", "exists"],
        &["!= sh", "= s"],
    );
    check("proc.aname", list(&[]), &[], &["!= sh", "= sh", "exists", "contains ''"]);
    assert!(holds("proc.aname[2] = sshd", "open", &[("proc.aname[2]", "sshd".into())]));
    assert!(holds("evt.arg.flags contains X", "open", &[("evt.arg.flags", "A|X".into())]));
    assert!(!holds("evt.arg.flags contains X", "open", &[("evt.arg[0]", "X".into())]));
}

#[test]
fn a_comparison_with_an_absent_value_is_false() {
    for op in [
        "= x",
        "!= x",
        "< x",
        ">= x",
        "contains x",
        "in (x)",
        "exists",
        "glob *",
        "pmatch (/)",
        "regex .*",
        "= val(proc.name)",
        "!= val(proc.name)",
    ] {
        let event = [("proc.name", Value::from("x"))];
        assert!(!holds(&format!("fd.name {op}"), "open", &event), "{op}");
        assert!(holds(&format!("not fd.name {op}"), "open", &event), "not {op}");
    }
}

#[test]
fn and_or_not_have_their_truth_tables() {
    let value = |b: bool| if b { "proc.name = a" } else { "proc.name = b" };
    let event = [("proc.name", Value::from("a"))];
    for (a, b, c) in (0..8).map(|n| (n & 1 == 1, n & 2 == 2, n & 4 == 4)) {
        let (x, y, z) = (value(a), value(b), value(c));
        let cases = [
            (format!("{x} and {y}"), a && b),
            (format!("{x} or {y}"), a || b),
            (format!("not {x}"), !a),
            (format!("not not {x}"), a),
            (format!("{x} or {y} and {z}"), a || (b && c)),
            (format!("({x} or {y}) and {z}"), (a || b) && c),
            (format!("not {x} and {y} or not ({y} or {z})"), (!a && b) || !(b || c)),
        ];
        for (condition, expected) in cases {
            assert_eq!(holds(&condition, "open", &event), expected, "{condition}");
        }
    }
}

#[test]
fn transformers_on_either_side() {
    let event = [
        ("proc.name", Value::from("Sh")),
        ("proc.pname", "sh".into()),
        ("fd.name", "/bin/SH".into()),
        ("proc.cmdline", "c2g=".into()),
        ("proc.aname", list(&["A", "B"])),
        ("fd.num", Value::Number(3)),
    ];
    for (condition, expected) in [
        ("tolower(proc.name) = sh", true),
        ("toupper(proc.name) = SH", true),
        ("basename(fd.name) = SH", true),
        ("tolower(basename(fd.name)) = val(proc.pname)", true),
        ("proc.pname = tolower(proc.name)", true),
        ("proc.pname = val(proc.name)", false),
        ("proc.pname != val(proc.name)", true),
        ("b64(proc.cmdline) = sh", true),
        ("b64(fd.name) exists", false),
        ("len(proc.name) = 2", true),
        ("len(proc.aname) > 1", true),
        ("tolower(proc.aname) in (b)", true),
        ("len(proc.aname) < val(fd.num)", true),
        ("fd.name icontains val(proc.name)", true),
        ("fd.name contains val(proc.name)", false),
        ("fd.name endswith toupper(proc.name)", true),
        ("fd.name startswith val(fd.name)", true),
        ("proc.pname in tolower(proc.name)", true),
    ] {
        assert_eq!(holds(condition, "open", &event), expected, "{condition}");
    }
}

#[test]
fn a_line_break_hides_nothing() {
    let event = [("proc.cmdline", Value::from("sh -c x\ncurl y"))];
    for condition in ["regex '.*curl.*'", "glob *curl*", "iglob *CURL*", "contains curl"] {
        assert!(holds(&format!("proc.cmdline {condition}"), "open", &event), "{condition}");
    }
}

#[test]
fn directions_are_ends_of_calls() {
    assert!(holds("evt.dir = < and proc.name exists", "open", &[("proc.name", "a".into())]));
    assert!(holds("evt.dir != > and evt.type = open", "open", &[]));
    assert!(holds("not evt.dir = > and evt.type = open", "open", &[]));
}

#[test]
fn each_field_is_asked_for_once() {
    struct Counting(Pairs, Cell<usize>);
    impl Subject for Counting {
        fn value<'a>(&'a self, field: &Field) -> Option<Value<'a>> {
            self.1.set(self.1.get() + 1);
            self.0.value(field)
        }
    }
    let rules: Rules = good(&[
        &rule("proc.name = a or proc.name = b or proc.name startswith c"),
        &rule("proc.name = d or proc.name = e").replace("rule: r", "rule: s"),
    ]);
    let event = Counting(Pairs(vec![("proc.name", "e".into())]), Cell::new(0));
    assert_eq!(rules.matching("open", &event).map(|r| r.name.as_str()).collect::<Vec<_>>(), ["s"]);
    assert_eq!(event.1.get(), 1);
}

#[test]
fn words_that_the_field_cannot_have_leave_the_rule_out() {
    for (condition, what) in [
        ("fd.num = abc", "\"abc\" is no whole number (fd.num)"),
        ("fd.num in (1, x)", "\"x\" is no whole number (fd.num)"),
        ("fd.sip = 10.0.0.0/33", "is no address or network"),
        ("fd.sip = 1.2.3", "is no address or network"),
        ("evt.is_open_write = yes", "is no `true` or `false`"),
        ("evt.is_open_write > 1", "`>` is not for this kind of field"),
        ("fd.name regex '('", "pattern \"(\" is wrong or too large"),
        ("fd.name regex 'a{1000}{1000}'", "is wrong or too large"),
        ("fd.name glob '+(a)'", "no extended pattern"),
        ("fd.name bcontains 1g", "no sequence of bytes"),
        ("len(fd.num) = 1", "`len()` is not for"),
        ("fd.name glob val(proc.name)", "no operator `glob` for two fields"),
    ] {
        let files = [("f", rule(condition))];
        let loaded = Rules::load(&files, &Known);
        let text = loaded.problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
        assert!(text.contains("does not run: ") && text.contains(what), "{condition}: {text}");
        assert!(!loaded.refused() && loaded.rules.running().is_empty());
    }
}
