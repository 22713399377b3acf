//! Tests of the order of versions.

use proptest::prelude::*;

use super::*;

/// Every line `a < b` or `a = b`, both ways round.
fn holds(scheme: Scheme, lines: &str) {
    for line in lines.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [a, sign, b] = words.as_slice() else { panic!("`{line}` is no comparison") };
        let expected = if *sign == "<" { Ordering::Less } else { Ordering::Equal };
        assert_eq!(compare(scheme, a, b), Ok(expected), "{line}");
        assert_eq!(compare(scheme, b, a), Ok(expected.reverse()), "{line}, turned round");
    }
}

fn refuses(scheme: Scheme, versions: &[&str]) {
    for version in versions {
        let error = Unreadable { scheme, version: (*version).to_owned() };
        assert_eq!(compare(scheme, version, "1"), Err(error.clone()));
        assert_eq!(compare(scheme, "1", version), Err(error));
        assert!(!conforms(scheme, version));
    }
}

#[test]
fn deb() {
    holds(
        Scheme::Deb,
        "1.2~rc1-1 < 1.2-1
        1.2-1~bpo12+1 < 1.2-1
        1.2-1 < 1.2-1+deb12u1
        1.2-1+deb12u9 < 1.2-1+deb12u10
        1.2-1ubuntu1 < 1.2-1ubuntu1.1
        1.2 = 1.2-0
        1.2 = 0:1.2
        9.9-1 < 1:0.1-1
        1.02-1 = 1.2-1
        1.2a < 1.2+
        1.2-3-1 < 1.2-3-2
        1.99999999999999999999999998 < 1.99999999999999999999999999",
    );
    refuses(Scheme::Deb, &["", "a:1", ":1", "1-", "1:", "1.0/2", "1 2", "-1"]);
}

#[test]
fn apk() {
    holds(
        Scheme::Apk,
        "1.2_alpha < 1.2_alpha1
        1.2_alpha9 < 1.2_beta
        1.2_beta < 1.2_pre
        1.2_pre < 1.2_rc
        1.2_rc9 < 1.2
        1.2 < 1.2_cvs
        1.2_cvs < 1.2_svn
        1.2_svn < 1.2_git20240101
        1.2_git20240101 < 1.2_hg
        1.2_hg < 1.2_p1
        1.2_p1 < 1.2a
        1.2a < 1.2b-r0
        1.2b < 1.2.0
        1.2-r9 < 1.2-r10
        1.2 < 1.2-r0
        1.2~0ab < 1.2~0ac-r1
        1.05 < 1.1
        1.1.1t-r3 < 1.1.1u-r0
        1.2_rc1_p2 < 1.2_rc2
        1.2-rubbish < 1.2
        1.2_wrong < 1.2",
    );
    refuses(Scheme::Apk, &["", "-", "${pkgver}-r0"]);
    for (version, valid) in [("1.2b_rc1_p2~0af-r3", true), ("1.2-3", false), ("1.2A", false)] {
        assert_eq!(conforms(Scheme::Apk, version), valid, "{version}");
    }
}

#[test]
fn rpm() {
    holds(
        Scheme::Rpm,
        "1.2~beta-1 < 1.2-1
        1.2-1 < 1.2^git5-1
        1.2^git5-1 < 1.2.1-1
        1.2-9.el9 < 1:1.0-1.el9
        0:1.2-1 = 1.2-1
        1.2-3.el9_2 < 1.2-3.el9_10
        1.2-3.el9 < 1.2-3.el9_2.1
        1.2 < 1.2-1
        1.a < 1.1
        1.2_3 = 1.2.3
        3.0.7-27.el9 < 3.0.7-27.el9_4.1",
    );
    refuses(Scheme::Rpm, &["", "1 2", "%{version}"]);
}

#[test]
fn semver() {
    holds(
        Scheme::Semver,
        "1.2.3-alpha < 1.2.3-alpha.1
        1.2.3-alpha.9 < 1.2.3-alpha.10
        1.2.3-alpha.10 < 1.2.3-alpha.x
        1.2.3-9 < 1.2.3-a
        1.2.3-rc.1 < 1.2.3
        1.2.3-B < 1.2.3-a
        v1.2.3 = 1.2.3
        =1.2.3 = v1.2.3+incompatible
        1.2 = 1.2.0
        1 < 1.0.1
        1.2.3 < 1.2.3.4
        1.2.3beta = 1.2.3-beta
        v0.0.0-20200101000000-abcdefabcdef < v0.0.0-20210101000000-000000000000
        v0.0.0-20210101000000-000000000000 < v0.0.1
        go1.21rc2 = 1.21.0-rc.2
        go1.21rc9 < go1.21rc10
        go1.20.14 < go1.21.0",
    );
    refuses(
        Scheme::Semver,
        &["", "latest", "1.x", "^1.0", "1..2", "1.2.3-", "(devel)", "1.2.", "v"],
    );
}

#[test]
fn nuget() {
    holds(
        Scheme::Nuget,
        "1.0.0 < 1.0.0.1
        1.0.0.0 = 1.0
        1.0.0-RC = 1.0.0-rc
        1.0.0-rc.2 < 1.0.0-RC.10
        1.0.0-rc < 1.0.0.0
        1.0.0+a = 1.0.0+b",
    );
    refuses(Scheme::Nuget, &["[1.0,2.0)", "x", "$version$"]);
}

#[test]
fn pep440() {
    holds(
        Scheme::Pep440,
        "1.0.dev1 < 1.0a1.dev1
        1.0a1.dev1 < 1.0a1
        1.0a1 < 1.0b1
        1.0b9 < 1.0b10
        1.0b1 < 1.0rc1
        1.0rc1 < 1.0rc1.post1
        1.0rc1.post1 < 1.0
        1.0 < 1.0+abc
        1.0+abc < 1.0+1
        1.0+1 < 1.0.post1.dev1
        1.0.post1.dev1 < 1.0.post1
        1.0.post1 < 1.0.1
        9 < 1!0.1
        1.0 = 1
        v1.0-ALPHA_2 = 1.0a2
        1.0c1 = 1.0.rc.1
        1.0-1 = 1.0.post1
        1.0-r4 = 1.0.post4
        1.0.preview = 1.0rc0
        1.0+Ubuntu-1 = 1.0+ubuntu.1
        2004d < 1990
        1.0-squirtle < 1.0",
    );
    refuses(Scheme::Pep440, &["", "1.*", "@VERSION@", ">=1.0"]);
    for (version, valid) in [("1!2.0rc1.post2.dev3+x.4", true), ("2004d", false), ("1.0+", false)] {
        assert_eq!(conforms(Scheme::Pep440, version), valid, "{version}");
    }
}

#[test]
fn maven() {
    holds(
        Scheme::Maven,
        "1.0-alpha1 < 1.0-alpha-2
        1.0-beta < 1.0-M1
        1.0-M1 < 1.0-M2
        1.0-M9 < 1.0-RC1
        1.0-CR1 = 1.0.0-rc-1
        1.0-rc1 < 1.0-SNAPSHOT
        1.0-SNAPSHOT < 1.0.Final
        1.0.Final = 1
        1.0.0.RELEASE = 1.0
        1.0 < 1.0-sp
        1.0-sp < 1.0-jre
        1.0-android < 1.0-jre
        1.0-jre < 1.0-1
        1.0-1 < 1.0.1
        1.0.1.Beta1 < 1.0.1.Final
        2.13.4.1 < 2.13.4.2
        2.13.4 < 2.13.4.1
        1.9 < 1.10
        1.0.z < 1.0.0.z",
    );
    refuses(Scheme::Maven, &["", "${project.version}", "[1.0,2.0)", "--"]);
}

#[test]
fn gem() {
    holds(
        Scheme::Gem,
        "1.0.rc1 < 1.0
        1.0.a < 1.0.b
        1.0.rc2 < 1.0.rc10
        1.0 = 1
        1.0.0.a.0 = 1.a
        1.0-x = 1.0.pre.x
        1.0-x < 1.0
        1.9 < 1.10",
    );
    refuses(Scheme::Gem, &["", "v1", "1..2", "1_0", "1.", "a", "1-"]);
}

#[test]
fn composer() {
    holds(
        Scheme::Composer,
        "dev-main < 0.1
        1.0-dev < 1.0-alpha1
        1.0-alpha1 < 1.0b1
        1.0.0-beta2 < 1.0.0-RC1
        1.0.0-RC1 < 1.0.0
        1.0.0 < 1.0.0-patch1
        1.0.0 < 1.0.0.1
        v1.2.3 = 1.2.3
        1.2.3+exp = 1.2.3
        1.9 < 1.10
        1.0-strange < 1.0-dev",
    );
    refuses(Scheme::Composer, &["", "^1.0|^2.0", "1.*"]);
    assert!(conforms(Scheme::Composer, "v1.2.3"));
    assert!(!conforms(Scheme::Composer, "dev-main"));
}

#[test]
fn generic() {
    holds(
        Scheme::Generic,
        "1.0.2 < 1.0.2a
        1.0.2a < 1.0.2za
        1.0.2z < 1.0.3
        1.1.0 < 1.1.0l
        6.6 < 6.6p1
        6.6p1 < 6.6p2
        1.0-beta2 < 1.0-rc1
        1.0-rc1 < 1.0
        1.0 = 1
        v1.2 = 1.2.0
        1.0A = 1.0a
        1.9 < 1.10
        1.0 < 1.0.0.1
        17.0.1+11 < 17.0.1+12",
    );
    refuses(Scheme::Generic, &["", "*", "-"]);
}

#[test]
fn long_versions_are_refused_and_shortened() {
    let long = "é".repeat(LONGEST);
    let error = compare(Scheme::Generic, "1", &long).unwrap_err();
    assert!(error.version.len() <= LONGEST && !error.version.is_empty());
    let longest = "1.".repeat(LONGEST / 2 - 1) + "1";
    assert_eq!(compare(Scheme::Generic, &longest, &longest), Ok(Ordering::Equal));
}

const ALL: [Scheme; 10] = [
    Scheme::Deb,
    Scheme::Apk,
    Scheme::Rpm,
    Scheme::Semver,
    Scheme::Pep440,
    Scheme::Maven,
    Scheme::Gem,
    Scheme::Composer,
    Scheme::Nuget,
    Scheme::Generic,
];

/// Pieces of which versions of all schemes are made: few, so that versions often are alike up to a place.
fn version() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "0", "1", "2", "10", "01", "00", ".", ".", ".", "-", "-r", "_", "~", "+", "^", ":", "1!",
        "a", "b", "rc", "alpha", "dev", "post", "sp", "ga", "final", "snapshot", "x", "Z", "pl",
        "_p", "p", "_rc", "v", "go", "0:", "é",
    ]);
    prop_oneof![
        prop::collection::vec(piece, 1..8).prop_map(|pieces| pieces.concat()),
        r"[0-2](\.[0-2]){0,3}(-?(a|b|rc|alpha|x|sp)(\.?[0-2]){0,2})?(-[0-2])?",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    /// Reflexive, antisymmetric and transitive, in every scheme.
    #[test]
    fn is_an_order(a in version(), b in version(), c in version()) {
        for scheme in ALL {
            if let Ok(order) = compare(scheme, &a, &a) {
                prop_assert_eq!(order, Ordering::Equal);
            }
            let (ab, ba) = (compare(scheme, &a, &b), compare(scheme, &b, &a));
            prop_assert_eq!(ab.is_ok(), ba.is_ok());
            let (Ok(ab), Ok(ba), Ok(bc), Ok(ac)) =
                (ab, ba, compare(scheme, &b, &c), compare(scheme, &a, &c)) else { continue };
            prop_assert_eq!(ab, ba.reverse(), "{:?}", scheme);
            if ab == bc || bc.is_eq() {
                prop_assert_eq!(ac, ab, "{:?}", scheme);
            }
            if ab.is_eq() {
                prop_assert_eq!(ac, bc, "{:?}", scheme);
            }
        }
    }

    /// Any text is ordered or refused.
    #[test]
    fn never_panics(a in any::<String>(), b in version(), c in "\\PC{0,20}") {
        for scheme in ALL {
            let _ = compare(scheme, &a, &b);
            let _ = compare(scheme, &c, &b);
            let _ = compare(scheme, &a, &c);
            let _ = conforms(scheme, &a);
            let _ = conforms(scheme, &c);
        }
    }
}
