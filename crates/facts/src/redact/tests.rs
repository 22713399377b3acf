//! Secrets that must go, texts that must stay.

use super::*;
use proptest::prelude::*;

#[test]
fn all_patterns_compile() {
    assert!(PATTERNS.is_some());
}

#[test]
fn secrets_are_told_by_name_and_by_form() {
    let kinds = [
        ("DB_PASSWORD", "hunter2", Some("password")),
        ("dbPassword", "12345678", Some("password")),
        ("MYSQL_ROOT_PASSWORD", "changeme", Some("password")),
        ("MYSQL_ALLOW_EMPTY_PASSWORD", "yes", None),
        ("POSTGRES_PASSWORD_FILE", "/run/secrets/db", None),
        ("APP_SECRET", "/run/secrets/app", None),
        ("APP_SECRET", "/aB3+x", Some("secret")),
        ("API_TOKEN", "${API_TOKEN}", None),
        ("API_TOKEN", "${API_TOKEN:-abc}", Some("token")),
        ("MAX_TOKENS", "4000", None),
        ("TOKEN_TTL", "3600s", None),
        ("X", "AKIAIOSFODNN7EXAMPLE", Some("aws-access-key")),
        ("X", "ghp_0123456789abcdefghij", Some("github-token")),
        ("X", "postgres://me:pw@db/x", Some("url-password")),
        ("X", "postgres://me:${PW}@db/x", None),
        ("X", "https://example.com/a:b@c", None),
        ("X", "-----BEGIN RSA PRIVATE KEY-----\nMII", Some("private-key")),
        ("X", "eyJhbGciOi.eyJzdWIiOi.c2ln", Some("jwt")),
        ("GPG_KEY", "E3FF2839C048B25C084DEBE9B26995E310250568", None),
        ("PWD", "/srv", None),
        ("PATH", "/usr/bin:/bin", None),
        ("LANG", "C.UTF-8", None),
        ("COMPASS", "north", None),
    ];
    for (name, value, kind) in kinds {
        assert_eq!(secret_kind(name, value), kind, "{name}={value}");
    }
}

#[test]
fn command_lines_lose_their_secrets_and_nothing_else() {
    let cases = [
        ("app --password=hunter2 -v", "app --password=[redacted] -v"),
        ("app --password hunter2 -v", "app --password [redacted] -v"),
        ("app --verbose --password 'a b' x", "app --verbose --password [redacted] x"),
        ("FOO_TOKEN=abc app", "FOO_TOKEN=[redacted] app"),
        ("export A_SECRET=\"a\"b'c d'; run", "export A_SECRET=[redacted]; run"),
        (
            r#"curl -d {"password":"x","user":"y"} u"#,
            r#"curl -d {"password":[redacted],"user":"y"} u"#,
        ),
        ("curl -u me:pw https://x", "curl -u me:[redacted] https://x"),
        ("curl -H 'Authorization: Bearer abc.def'", "curl -H 'Authorization: Bearer [redacted]'"),
        ("git clone https://me:pw@h/r", "git clone https://me:[redacted]@h/r"),
        ("git clone https://me:${PW}@h/r", "git clone https://me:${PW}@h/r"),
        ("get https://h/?token=abc&b=1", "get https://h/?token=[redacted]&b=1"),
        ("apt-get install -y passwd", "apt-get install -y passwd"),
        ("cp a:b c=d", "cp a:b c=d"),
        ("echo AKIAIOSFODNN7EXAMPLE", "echo [redacted]"),
    ];
    for (before, after) in cases {
        assert_eq!(text(before), after);
    }
}

#[test]
fn arguments_are_redacted_as_wholes_and_capped() {
    let args = |list: &[&str]| arguments(&list.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>());
    assert_eq!(args(&["x", "--db-password", "a b;c"]), ["x", "--db-password", "[redacted]"]);
    assert_eq!(args(&["x", "--password=a b;c"]), ["x", "--password=[redacted]"]);
    assert_eq!(args(&["env", "API_KEY=a b"]), ["env", "API_KEY=[redacted]"]);
    assert_eq!(args(&["sh", "-c", "TOKEN=abc run"]), ["sh", "-c", "TOKEN=[redacted] run"]);
    let many = vec!["é".repeat(100); 100];
    let kept = arguments(&many);
    assert!(kept.len() <= ARGUMENTS_MAX + 1 && kept.concat().len() < ARGUMENTS_BYTES_MAX + 10);
    assert_eq!(kept.last().map(String::as_str), Some("…"));
}

#[test]
fn env_instructions_may_have_unquoted_spaces() {
    assert_eq!(variables("ENV DB_PASSWORD=my secret words"), "ENV DB_PASSWORD=[redacted]");
    assert_eq!(variables("ENV A_TOKEN=x y B=plain words"), "ENV A_TOKEN=[redacted] B=plain words");
    assert_eq!(variables("ENV PATH=/a:/b"), "ENV PATH=/a:/b");
}

#[test]
fn environment_values_are_never_kept() {
    let list = ["Z=1".to_owned(), "A_TOKEN=abcdef".to_owned(), "odd".to_owned()];
    let kept = environment(&list);
    let shown = serde_json::to_string(&kept).unwrap();
    assert!(!shown.contains("abcdef"), "{shown}");
    assert_eq!(kept.first().unwrap().secret.as_deref(), Some("token"));
}

proptest! {
    #[test]
    fn any_text_is_survived_and_redacting_twice_changes_nothing_more(input in "\\PC{0,200}") {
        let once = text(&input);
        prop_assert_eq!(text(&once), once);
    }

    #[test]
    fn a_secret_in_a_flag_never_gets_through(secret in "[A-Za-z0-9+/]{12,40}", before in "[a-z ]{0,20}") {
        prop_assume!(!is_harmless(&secret, true));
        let args = [before.clone(), format!("--api-key={secret}"), "--password".into(), secret.clone()];
        prop_assert!(!arguments(&args).concat().contains(&secret));
        prop_assert!(!text(&args.join(" ")).contains(&secret));
        let assignment = format!("{before} APP_TOKEN={secret} x");
        prop_assert!(!variables(&assignment).contains(&secret));
    }
}

#[test]
fn long_texts_are_cut_and_cost_little() {
    // A label of nothing but `a=` once took a minute: every `=` looked at the whole rest.
    let hostile = "a=".repeat(1 << 20);
    let shown = text(&hostile);
    assert!(shown.len() < 70_000);
    assert!(shown.ends_with('…'));
    let spelled = [
        "curl -uroot:hunter2hunter2 https://example.com",
        r#"CMD ["curl","-u","root:hunter2hunter2"]"#,
    ];
    for written in spelled {
        assert!(!text(written).contains("hunter2"), "{}", text(written));
    }
}
