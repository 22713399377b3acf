//! Tests of scores from vectors.

use super::*;

fn value(vector: &str) -> f64 {
    score(vector).unwrap().score
}

#[test]
fn the_most_specific_score_counts() {
    let base = "AV:N/AC:M/Au:S/C:P/I:P/A:N";
    assert_eq!(value(base), 4.9);
    let temporal = format!("{base}/E:U/RL:OF/RC:UC");
    assert_eq!(value(&temporal), 3.3);
    assert_eq!(value(&format!("{base}/CDP:ND/TD:N/CR:ND/IR:ND/AR:ND")), 0.0);
    assert_eq!(value(&format!("{temporal}/CDP:ND/TD:ND/CR:ND/IR:ND/AR:ND")), 3.3);

    let base = "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:L/I:N/A:N";
    assert_eq!(value(base), 5.3);
    assert_eq!(value(&format!("{base}/E:U/RL:O/RC:U")), 4.3);
    assert_eq!(value(&format!("{base}/CR:H")), 6.1);
    assert_eq!(value(&format!("{base}/MC:N")), 0.0);

    let base = "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N";
    assert_eq!(value(base), 9.3);
    assert!(value(&format!("{base}/E:U")) < 9.3);
    assert_eq!(value(&format!("{base}/S:P/AU:Y/U:Red")), 9.3);
}

#[test]
fn versions_and_ratings() {
    for (vector, version, rating) in [
        ("(AV:L/AC:H/Au:M/C:P/I:N/A:N)", "2.0", Rating::Low),
        ("CVSS:3.0/AV:N/AC:L/PR:N/UI:N/S:C/C:H/I:H/A:H", "3.0", Rating::Critical),
        (" CVSS:3.1/S:U/C:N/I:N/A:N/AV:N/AC:L/PR:N/UI:N ", "3.1", Rating::Negligible),
        ("CVSS:4.0/AV:L/AC:L/AT:N/PR:L/UI:N/VC:L/VI:L/VA:L/SC:N/SI:N/SA:N", "4.0", Rating::Medium),
    ] {
        let scored = score(vector).unwrap();
        assert_eq!(
            (scored.version, scored.rating),
            (version, rating),
            "{vector}: {}",
            scored.score
        );
    }
}

#[test]
fn what_is_no_vector() {
    let v3 = "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:L/I:N/A:N";
    let v4 = "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N";
    for vector in [
        "",
        "/",
        "()",
        "7.5",
        "AV:N/AC:M/Au:S/C:P/I:P",
        "AV:N/AC:M/Au:S/C:P/A:N/I:P",
        "AV:N/AC:M/Au:S/C:P/I:P/A:N/E:U",
        "AV:N/AC:M/Au:S/C:P/I:P/A:N/A:N",
        "AV:N/AC:M/Au:S/C:P/I:P/A:H",
        "(AV:N/AC:M/Au:S/C:P/I:P/A:N",
        "CVSS:2.0/AV:N/AC:M/Au:S/C:P/I:P/A:N",
        "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:L/I:N",
        "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:L/I:N/A:X",
        "CVSS:3.2/AV:N/AC:L/PR:N/UI:N/S:U/C:L/I:N/A:N",
        "CVSS:4.0/AC:L/AV:N/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N",
        &format!("{v3}/A:N"),
        &format!("{v3}/"),
        &format!("{v3}/E:U:U"),
        &format!("{v3}/XX:N"),
        &format!("{v4}/SA:N"),
        &format!("{v4}/CR:H/E:A"),
        &format!("{v4}/E:🚮"),
        &format!("{v3}{}", "/E:U".repeat(LONGEST)),
    ] {
        let error = score(vector).unwrap_err();
        assert!(vector.starts_with(&error.vector) && !error.reason.is_empty(), "{vector}");
    }
}

proptest::proptest! {
    #[test]
    fn never_panics(
        any in proptest::prelude::any::<String>(),
        near in "(CVSS:(3\\.[01]|4\\.0)/)?((AV|AC|AT|Au|PR|UI|S|V?C|V?I|V?A|S[CIA]|E|RL):[NLHPXACU]/?){0,14}",
    ) {
        for vector in [any, near] {
            if let Ok(scored) = score(&vector) {
                proptest::prop_assert!((0.0..=10.0).contains(&scored.score));
            }
        }
    }
}
