//! Tests of whole files: lists, macros, exceptions, overrides, and what is told.

use super::*;
use crate::Value;
use crate::testing::{Known, Pairs, good, load, problems, rule};

/// Which of a file's rules are true for a call with this process name.
fn found(rules: &Rules, call: &str, name: &'static str) -> Vec<String> {
    let event = Pairs(vec![("proc.name", name.into()), ("fd.num", Value::Number(4))]);
    rules.matching(call, &event).map(|rule| rule.name.clone()).collect()
}

fn is_true(files: &[&str], name: &'static str) -> bool {
    found(&good(files), "open", name) == ["r"]
}

#[test]
fn lists_in_lists_are_flattened_in_any_order() {
    let file = format!(
        "{}- list: outer\n  items: [inner, other, '\"two words\"']\n- list: inner\n  items: [sh, bash, inner, '\"zoo\"']\n- list: zoo\n  items: [lion]\n",
        rule("proc.name in (outer, \"inner \", zsh)")
    );
    for name in ["sh", "bash", "other", "two words", "zsh", "inner", "inner ", "zoo"] {
        assert!(is_true(&[&file], name), "{name}");
    }
    assert!(!is_true(&[&file], "outer") && !is_true(&[&file], "lion"));
    // A list's name in quotes is a word.
    assert!(!is_true(&["- list: l\n  items: [sh]\n", &rule("proc.name in (\"l\")")], "sh"));
    assert!(is_true(&["- list: l\n  items: [sh]\n", &rule("proc.name in l")], "sh"));
}

#[test]
fn macros_and_lists_that_contain_themselves_refuse_the_file() {
    let macros = "- macro: a\n  condition: b and x\n- macro: b\n  condition: not c\n- macro: c\n  condition: (a)\n- macro: x\n  condition: evt.num=0\n";
    let told = problems(&[macros, &rule("proc.name exists")]);
    assert_eq!(told.first().unwrap(), "0:1: macro \"a\": contains itself: a > b > c > a");
    assert!(is_true_after_refusal(macros));
    let lists = "- list: a\n  items: [b]\n- list: b\n  items: [a]\n";
    assert_eq!(problems(&[lists]).first().unwrap(), "0:1: list \"a\": contains itself: a > b > a");
    assert!(problems(&["- macro: a\n  condition: a\n"])[0].contains("contains itself: a > a"));
}

/// The rest is loaded without the refused file.
fn is_true_after_refusal(bad: &str) -> bool {
    let loaded = load(&[bad, &rule("proc.name exists")]);
    assert!(loaded.refused());
    found(&loaded.rules, "open", "x") == ["r"]
}

#[test]
fn small_files_cannot_make_much() {
    let mut bomb = String::from(
        "- macro: m0\n  condition: evt.num=0 or evt.num=1\n- list: l0\n  items: [a, b]\n",
    );
    for i in 1..60 {
        let j = i - 1;
        bomb += &format!(
            "- macro: m{i}\n  condition: m{j} or m{j}\n- list: l{i}\n  items: [l{j}, l{j}]\n"
        );
    }
    let told = problems(&[&bomb]).join("\n");
    assert!(told.contains("lists make more than"), "{told}");
    let macros: String =
        (1..60).map(|i| format!("- macro: m{i}\n  condition: m{0} or m{0}\n", i - 1)).collect();
    let macros = format!("- macro: m0\n  condition: evt.num=0\n{macros}{}", rule("m59"));
    assert!(problems(&[&macros])[0].contains("too many comparisons"));
    let keys: String = (0..100).map(|i| format!("  k{i}: 1\n")).collect();
    assert!(problems(&[&format!("- list: a\n{keys}")])[0].contains("more than 60 keys"));
    let output =
        rule("evt.type=open").replace("output: o", &format!("output: {}", "o".repeat(70_000)));
    assert!(problems(&[&output])[0].contains("output of more than"));
    let many: String = (0..1001).map(|i| format!("{{name: e{i}, fields: proc.name}}, ")).collect();
    let many = format!("- rule: r\n  append: true\n  exceptions: [{many}]\n");
    assert!(problems(&[&rule("evt.type=open"), &many])[0].contains("more than 1000 exceptions"));
    let globs: String = (0..2001).map(|i| format!(" or fd.name glob {i}*")).collect();
    assert!(problems(&[&rule(&format!("evt.num=0{globs}"))])[0].contains("different patterns"));
    let chain: String =
        (1..5000).map(|i| format!("- macro: m{i}\n  condition: not m{}\n", i - 1)).collect();
    let chain = format!("- macro: m0\n  condition: evt.num=0\n{chain}{}", rule("m4999"));
    assert!(problems(&[&chain])[0].contains("deep"));
}

#[test]
fn what_is_wrong_is_told_with_file_and_line() {
    for (file, told) in [
        ("- list: l\n", "0:1: list \"l\" without items"),
        ("\n- macro: m\n", "0:2: macro \"m\" without condition"),
        (
            "- macro: m\n  condition: a b\n",
            "0:1: macro \"m\": expected `and`, `or` or the end at \"b\"",
        ),
        ("- rule: r\n  desc: d\n", "0:1: rule \"r\": rule \"r\" without `condition`"),
        ("- x: y\n", "0:1: an item is one of list, macro and rule"),
        ("- rule: r\n  macro: m\n", "0:1: rule \"r\": an item is one of list, macro and rule"),
        ("- required_engine_version: x\n", "0:1: \"x\" is no version"),
        (
            "- rule: r\n  append: true\n  condition: and x\n",
            "0:1: rule \"r\": changes the rule \"r\", which is not there",
        ),
        ("- list: l\n  items: [\"'x\"]\n", "0:1: list \"l\": ' is not closed at \"'x\""),
        (
            "- rule: [\n",
            "0:1: .[0].rule: invalid type: sequence, expected a string at line 1 column 9",
        ),
    ] {
        let all = problems(&[file]);
        assert!(all.iter().any(|what| what == told), "{all:?} {told}");
        assert!(load(&[file]).refused());
    }
    let undefined = rule("no_macro and proc.name=a");
    assert_eq!(problems(&["", &undefined])[0], "1:1: rule \"r\": no macro \"no_macro\"");
    let priority = rule("proc.name=a").replace("INFO", "LOUD");
    assert!(problems(&[&priority])[0].contains("\"LOUD\" is no priority"));
}

#[test]
fn a_rule_that_lacks_something_is_listed_with_all_of_it() {
    let file = format!(
        "- macro: m\n  condition: fd.unknown = 1 or proc.name soundslike x\n{}",
        rule("proc.name = a and not m and proc.other[2] = b and tolower(fd.unknown) = 1")
    );
    let loaded = load(&[&file, &rule("proc.name=a").replace("rule: r", "rule: s")]);
    let what = "no operator `soundslike`, no field `proc.other[2]`, no field `fd.unknown`";
    assert_eq!(loaded.problems[0].to_string(), format!("0:3: rule \"r\": does not run: {what}"));
    assert_eq!(loaded.problems[0].severity, Severity::LeftOut);
    assert_eq!(loaded.rules.list()[0].state, State::LeftOut(what.into()));
    assert_eq!(loaded.rules.list()[1].state, State::Runs);
    assert_eq!(found(&loaded.rules, "open", "a"), ["s"]);

    let source = format!("{}  source: k8s_audit\n", rule("ka.verb = create"));
    assert!(
        problems(&[&source])[0].ends_with("does not run: no events of the source \"k8s_audit\"")
    );
    let macro_ =
        format!("- macro: m\n  condition: fd.unknown = 1\n{}", rule("proc.name=a and not m"));
    assert!(problems(&[&macro_])[0].ends_with("no field `fd.unknown`"));
}

#[test]
fn rules_are_looked_at_only_for_calls_they_can_be_true_for() {
    for (condition, calls) in [
        ("evt.type = open", "open"),
        ("evt.type in (open, openat) and proc.name exists", "open openat"),
        ("evt.type = open or evt.type = dup", "dup open"),
        ("evt.type = open or proc.name = a", "connect dup execve open openat"),
        ("not evt.type = open", "connect dup execve openat"),
        ("evt.type != open and proc.name = a", "connect dup execve openat"),
        ("not (evt.type in (open, dup) or evt.type = connect)", "execve openat"),
        ("evt.type in (open, dup) and not evt.type = dup", "open"),
        ("not (evt.type = open and proc.name = a)", "connect dup execve open openat"),
        ("not (not evt.type = open)", "open"),
        ("not (proc.name = a or evt.type != open)", "open"),
        ("evt.type startswith open", "open openat connect dup execve"),
        ("tolower(evt.type) = open", "connect dup execve open openat"),
        ("evt.type in (open, dup) and evt.type startswith op", "open"),
        ("evt.dir = > or evt.type = dup", "dup"),
        ("proc.name = a", "connect dup execve open openat"),
    ] {
        let rules = good(&[&rule(condition)]);
        let mut expected: Vec<&str> = calls.split(' ').collect();
        expected.sort_unstable();
        let wanted: Vec<&str> = ["connect", "dup", "execve", "open", "openat"]
            .into_iter()
            .filter(|call| rules.wants(call))
            .collect();
        assert_eq!(wanted, expected, "{condition}");
    }
    let both = good(&[&rule("evt.type startswith open")]);
    assert_eq!((found(&both, "openat", "a").len(), found(&both, "dup", "a").len()), (1, 0));
}

#[test]
fn a_rule_that_names_very_many_calls_is_looked_at_for_each() {
    let names: Vec<String> = (0..600).map(|i| format!("call{i}")).collect();
    let rules = good(&[&rule(&format!("evt.type in ({}, open)", names.join(", ")))]);
    assert!(rules.wants("dup") && found(&rules, "dup", "a").is_empty());
    assert_eq!(found(&rules, "open", "a"), ["r"]);
}

#[test]
fn rules_can_be_shared_between_threads() {
    fn shared<T: Send + Sync>(_: &T) {}
    shared(&good(&[]));
}

#[test]
fn events_that_never_come_are_told() {
    let what = |condition: &str| problems(&[&rule(condition)]).join("\n");
    assert_eq!(
        what("evt.type = read and proc.name=a"),
        "0:1: rule \"r\": does not run: no events read"
    );
    assert_eq!(
        what("evt.type in (open, read)"),
        "0:1: rule \"r\": sees no read: there are no such events"
    );
    assert_eq!(
        what("evt.type = open and evt.dir = >"),
        "0:1: rule \"r\": does not run: it is true for no event"
    );
    assert_eq!(
        what("evt.type = open and evt.type = dup"),
        "0:1: rule \"r\": does not run: it is true for no event"
    );
    assert_eq!(what("evt.type = open and not evt.type = read"), "");
    assert!(what("proc.name = a").contains("is looked at for each event"));
    assert_eq!(problems(&[&format!("{}  warn_evttypes: false\n", rule("proc.name = a"))]), [""; 0]);
}

#[test]
fn exceptions_take_away() {
    let base = rule("proc.name exists");
    let with = |exception: &str| format!("{base}  exceptions:\n  - name: e\n{exception}");
    let single = with("    fields: proc.name\n    values: [a, b, shells]\n");
    let list = "- list: shells\n  items: [sh]\n";
    for (name, expected) in [("a", false), ("sh", false), ("shells", true), ("c", true)] {
        assert_eq!(is_true(&[list, &single], name), expected, "{name}");
    }
    let rows = with(
        "    fields: [proc.name, fd.num]\n    comps: [startswith, in]\n    values:\n    - [a, [4, 5]]\n    - [b, '(6, 7)']\n    - ['\"c d\"', 4]\n",
    );
    for (name, expected) in [("ab", false), ("b", true), ("c de", false), ("x", true)] {
        assert_eq!(is_true(&[&rows], name), expected, "{name}");
    }
    let default = with("    fields: [proc.name, fd.num]\n    values: [[a, 4], [b, 5]]\n");
    assert!(!is_true(&[&default], "a") && is_true(&[&default], "b"));
    assert!(is_true(&[&with("    fields: proc.name\n")], "a"));
    // An exception goes around the whole condition.
    let either = with("    fields: proc.name\n    values: [a]\n")
        .replace("proc.name exists", "proc.name = a or proc.name = c");
    assert!(!is_true(&[&either], "a") && is_true(&[&either], "c"));

    for (exception, what) in [
        ("    values: [a]\n", "no `fields`"),
        ("    fields: [proc.name]\n    comps: [=, =]\n", "different lengths"),
        ("    fields: [proc.name]\n    values: [[a, b]]\n", "different lengths"),
        ("    fields: [proc.name]\n    values: [a]\n", "have to be lists"),
        ("    fields: proc.unknown\n    values: [a]\n", "no field `proc.unknown`"),
        ("    fields: proc.name\n    comps: sounds\n    values: [a]\n", "no operator `sounds`"),
        ("    fields: proc.name and x\n    values: [a]\n", "exception \"e\""),
        ("    fieldz: proc.name\n", "unknown field"),
    ] {
        let told = problems(&[&with(exception)]).join("\n");
        assert!(told.contains(what), "{told}");
        assert!(load(&[&with(exception)]).rules.running().is_empty());
    }
}

#[test]
fn later_items_replace_append_and_override() {
    let base = format!("{}  tags: [one]\n", rule("proc.name = a"));
    let cases: [(&str, &str); 8] = [
        ("- rule: r\n  append: true\n  condition: or proc.name = b\n", "a b"),
        ("- rule: r\n  condition: or proc.name = b\n  override: {condition: append}\n", "a b"),
        ("- rule: r\n  condition: proc.name = b\n  override: {condition: replace}\n", "b"),
        ("- rule: r\n  enabled: false\n", ""),
        ("- rule: r\n  enabled: false\n  override: {enabled: replace}\n", ""),
        (
            "- rule: r\n  append: true\n  exceptions: [{name: e, fields: proc.name, values: [a]}]\n",
            "",
        ),
        (
            "- rule: r\n  exceptions: [{name: e, fields: proc.name, values: [b]}]\n  override: {exceptions: append}\n",
            "a",
        ),
        ("- rule: r\n  desc: d\n  output: o\n  priority: ERROR\n  condition: proc.name = c\n", "c"),
    ];
    for (change, names) in cases {
        let rules = good(&[&base, change]);
        let found: Vec<&str> = ["a", "b", "c"]
            .into_iter()
            .filter(|name| !found(&rules, "open", name).is_empty())
            .collect();
        assert_eq!(found.join(" "), names, "{change}");
        assert_eq!(rules.list().len(), 1);
    }
    let changed = good(&[
        &base,
        "- rule: r\n  desc: e\n  priority: ALERT\n  tags: [check:x, two]\n  override: {desc: append, priority: replace, tags: append}\n",
    ]);
    let rule = &changed.running()[0];
    assert_eq!((rule.description.as_str(), rule.priority), ("d e", Priority::Alert));
    assert_eq!((rule.tags.len(), rule.checks().collect::<Vec<_>>()), (3, vec!["x"]));
    assert_eq!((changed.list()[0].file.as_str(), changed.list()[0].line), ("1", 1));

    let names = "- list: l\n  items: [a]\n- macro: m\n  condition: proc.name in (l)\n";
    let changes = "- list: l\n  append: true\n  items: [b]\n- macro: m\n  condition: or proc.name = c\n  override: {condition: append}\n";
    for name in ["a", "b", "c"] {
        assert!(is_true(&[names, changes, &crate::testing::rule("m")], name), "{name}");
    }
    let replaced = "- list: l\n  items: [b]\n  override: {items: replace}\n";
    assert!(!is_true(&[names, replaced, &crate::testing::rule("m")], "a"));
}

#[test]
fn overrides_that_do_not_fit_refuse_the_file() {
    let base = rule("evt.type = open and proc.name = a");
    for (keys, what) in [
        ("condition: x\n  override: {condition: prepend}", "cannot \"prepend\" `condition`"),
        ("condition: x\n  desc: y\n  override: {condition: append}", "`desc` is given, but"),
        (
            "condition: or x\n  override: {condition: append, desc: replace}",
            "names `desc`, which is not given",
        ),
        ("priority: INFO\n  override: {priority: append}", "cannot do this to `priority`"),
        (
            "condition: or x\n  append: true\n  override: {condition: append}",
            "`append` beside `override`",
        ),
        ("override: {}", "`override` of nothing"),
    ] {
        let told = problems(&[&base, &format!("- rule: r\n  {keys}\n")]);
        assert!(told[0].starts_with("1:1: ") && told[0].contains(what), "{told:?}");
    }
    // The first file's rule stays as it was.
    let loaded = load(&[&base, "- rule: r\n  append: true\n  condition: or (\n"]);
    assert!(loaded.refused());
    assert_eq!(found(&loaded.rules, "open", "a"), ["r"]);
}

#[test]
fn requirements_and_unknown_keys_are_notes() {
    let file = format!(
        "- required_engine_version: 0.99.0\n- required_engine_version: 26\n- required_engine_version: 0.31.0-rc1\n- required_plugin_versions:\n  - name: json\n    version: 1.0.0\n  - name: container\n    version: 0.4.0\n{}  sound: loud\n",
        rule("evt.type=open")
    );
    let loaded = load(&[&file]);
    assert!(loaded.problems.iter().all(|p| p.severity == Severity::Note));
    let told: Vec<String> = loaded.problems.iter().map(|p| p.what.clone()).collect();
    assert_eq!(
        told,
        [
            "written for a later version of the language (0.99.0)",
            "needs the plugin \"json\", which is not there",
            "unknown key `sound`",
        ]
    );
}

#[test]
fn outputs_show_values_and_make_control_characters_visible() {
    let file = rule("evt.type=open").replace("output: o", "output: '100% name=%proc.name, flags=%evt.arg.flags up=%proc.aname[2]. %%x num=%fd.num none=%fd.name un=%no.field'");
    let loaded = load(&[&file]);
    assert!(loaded.problems[0].what.ends_with("shows <NA> for no.field"));
    let event = Pairs(vec![
        ("proc.name", "a\u{1b}[2J\n".into()),
        ("evt.arg.flags", "X|Y".into()),
        ("proc.aname[2]", "init".into()),
        ("fd.num", Value::Number(-3)),
    ]);
    let output = &loaded.rules.running()[0].output;
    let mut text = String::new();
    output.render(&event, &mut text);
    assert_eq!(text, "100% name=a\\u{1b}[2J\\u{a}, flags=X|Y up=init. %x num=-3 none=<NA> un=<NA>");
    let fields: Vec<_> = output.fields(&event).collect();
    assert_eq!(fields[2], ("proc.aname[2]", Some("init".into())));
    assert_eq!(fields[4], ("fd.name", None));

    let mut long = String::new();
    output.render(&Pairs(vec![("proc.name", Value::Text("é".repeat(9000).into()))]), &mut long);
    assert!(long.len() < 5000 && long.contains("…(13904 bytes more)"), "{long}");
}

#[test]
fn hostile_bytes_never_panic() {
    use proptest::prelude::*;
    let words = [
        "- ",
        "rule: r\n",
        "macro: m\n",
        "list: l\n",
        "  ",
        "condition: ",
        "items: [",
        "]",
        "override: {",
        "}",
        "m",
        "\n",
        "append: true\n",
        "exceptions:\n",
        "proc.name=a",
        "'",
        "\"",
    ];
    let text = proptest::collection::vec(proptest::sample::select(words.to_vec()), 0..30);
    proptest!(|(words in text, raw in "\\PC{0,80}")| {
        let _ = Rules::load(&[("f", words.concat()), ("g", raw)], &Known);
    });
}

#[test]
fn what_a_rule_needs_is_never_too_little() {
    let name = |field: &Field, needed: Needed<'_>| match (field.id, needed) {
        (0, Needed::Texts(words)) => Some(words.into_iter().map(str::to_owned).collect()),
        (0, Needed::End(end)) => Some(vec![end.strip_prefix('/')?.to_owned()]),
        _ => None,
    };
    for (condition, expected) in [
        ("proc.name = a", Some("a")),
        ("proc.name in (a, b) and fd.name = x", Some("a b")),
        ("proc.name in (a, b) and proc.name = a", Some("a")),
        ("fd.name = x and (proc.name = a or proc.name endswith /c)", Some("a c")),
        ("proc.name = a or fd.name = x", None),
        ("not proc.name = a", None),
        ("proc.name != a", None),
        ("tolower(proc.name) = a", None),
        ("proc.name contains a", None),
        ("proc.name endswith c", None),
        ("fd.name = x", None),
    ] {
        let rules = good(&[&rule(&format!("evt.type = open and ({condition})"))]);
        let needs = rules.needs(&rules.running()[0], &name);
        let needs = needs.map(|names| names.into_iter().collect::<Vec<_>>().join(" "));
        assert_eq!(needs.as_deref(), expected, "{condition}");
        assert!(rules.can_match(&rules.running()[0], "open"));
        assert!(!rules.can_match(&rules.running()[0], "dup"));
    }
}
