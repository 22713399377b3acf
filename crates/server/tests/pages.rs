//! Every page is asked for, in both languages, by every role, at a busy, an empty and a hostile desk; and what forms do.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

#[path = "pages/profiles.rs"]
mod profiles;
mod sample;

use axum::body::{Body, to_bytes};
use axum::http::{Request, Response, StatusCode, header};
use haechi_protocol::{Refusal, Role};
use haechi_server::desk::Desk;
use haechi_server::pages;
use sample::{Mood, desk, hostile, refusing};
use tower::ServiceExt as _;

const CONTAINER: &str = "000000000000000000000000000000000000000000000000000000000000c0de";
const GONE: &str = "000000000000000000000000000000000000000000000000000000000000dead";
const IMAGE: &str = "sha256:00000000000000000000000000000000000000000000000000000000abc0ffee";

/// Every page, with the least role that sees it.
fn pages() -> Vec<(String, Role)> {
    let benchmark = encoded(&sample::REPORT.benchmark);
    let item = encoded(&sample::REPORT.items[3].id);
    let viewer = |path: String| (path, Role::Viewer);
    vec![
        viewer("/login".into()),
        viewer("/login?next=/events".into()),
        viewer("/password".into()),
        viewer("/".into()),
        viewer("/checklist".into()),
        viewer("/checklist?status=fail&area=image&severity=high&text=x".into()),
        viewer(format!("/checklist/{benchmark}/{item}")),
        viewer("/exceptions".into()),
        viewer("/images".into()),
        viewer("/images?safety=unsafe&text=a&after=b".into()),
        viewer(format!("/images/{}", encoded(IMAGE))),
        viewer("/containers?running=yes".into()),
        viewer(format!("/checklist/{benchmark}/{item}?status=pass")),
        viewer(format!("/containers/{CONTAINER}")),
        viewer(format!("/containers/{GONE}")),
        (format!("/containers/{CONTAINER}/stop"), Role::Operator),
        viewer("/profiles".into()),
        viewer("/profiles?after=3".into()),
        viewer("/profiles/7".into()),
        viewer("/events?priority=warning&since=2026-05-01T09:12&before=7".into()),
        viewer("/events/90000".into()),
        viewer("/activity".into()),
        viewer("/activity?of=haechi&action=pause".into()),
        ("/audit".into(), Role::Auditor),
        viewer("/search".into()),
        viewer("/search?text=shop".into()),
        viewer("/settings".into()),
        ("/report".into(), Role::Auditor),
        (format!("/report?benchmark={benchmark}&from=2026-05-18&to=2026-06-17"), Role::Auditor),
        viewer("/exceptions?said=withdraw".into()),
        viewer("/exceptions?said=refused.conflict".into()),
    ]
}

fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

async fn get(desk: &Desk, path: &str, lang: &str) -> (StatusCode, String) {
    let request = Request::get(path).header(header::COOKIE, format!("lang={lang}"));
    read(ask(desk, request.body(Body::empty()).unwrap()).await).await
}

async fn ask(desk: &Desk, request: Request<Body>) -> Response<Body> {
    pages::router().with_state(desk.clone()).oneshot(request).await.unwrap()
}

async fn read(response: Response<Body>) -> (StatusCode, String) {
    let status = response.status();
    let body = to_bytes(response.into_body(), 32 << 20).await.unwrap();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

async fn post(desk: &Desk, path: &str, form: &str) -> Response<Body> {
    let request = Request::post(path)
        .header(header::COOKIE, "__Host-haechi=secret; lang=en")
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
    ask(desk, request.body(Body::from(form.to_owned())).unwrap()).await
}

fn location(response: &Response<Body>) -> &str {
    response.headers()[header::LOCATION].to_str().unwrap()
}

/// The page without what a browser does not read as markup: comments and texts between tags are looked at elsewhere.
fn check(path: &str, lang: &str, html: &str) {
    let place = format!("{path} in {lang}");
    assert!(html.contains(&format!("<html lang=\"{lang}\"")), "{place}");
    assert_eq!(html.matches("<h1").count(), 1, "{place}: one h1");
    assert!(html.contains("href=\"#main\"") && html.contains("<main id=\"main\""), "{place}");
    assert!(!html.contains(" style=") && !html.contains("<style"), "{place}: inline style");
    assert!(!html.contains("javascript:"), "{place}: a script as a link");
    assert!(!html.contains(" onload=") && !html.contains(" onclick="), "{place}: inline script");
    assert_eq!(html.matches("<script").count(), 1, "{place}: one script, from a file");
    assert!(!html.contains("http://") && !html.contains("https://"), "{place}: from elsewhere");
    // No key stands where its words should be.
    for family in
        ["status.", "role.", "page.", "refused.", "invalid.", "state.", "outcome.", "event."]
    {
        assert!(!html.contains(&format!(">{family}")), "{place}: {family} without words");
    }
    let ids: Vec<&str> =
        html.split(" id=\"").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
    let unique: std::collections::BTreeSet<_> = ids.iter().collect();
    assert_eq!(ids.len(), unique.len(), "{place}: an id stands twice in {ids:?}");
    // A form that changes something carries its token.
    for form in html.split("<form").skip(1).map(|rest| rest.split("</form>").next().unwrap()) {
        let changes = form.contains("method=\"post\"")
            && !form.contains("/do/look")
            && !form.contains("/do/login");
        assert!(
            !changes || form.contains("name=\"csrf\" value=\"token-against-forgery\""),
            "{place}: {form}"
        );
    }
}

#[tokio::test]
async fn every_page_shows_for_every_role_in_both_languages() {
    for mood in [Mood::Busy, Mood::Empty] {
        for role in Role::ALL {
            let desk = desk(mood, role);
            for (path, least) in pages() {
                for lang in ["en", "ko"] {
                    let (status, html) = get(&desk, &path, lang).await;
                    let expected = match role >= least {
                        true if path.contains("/checklist/") || path.contains("/images/") => status,
                        true => StatusCode::OK,
                        false => StatusCode::FORBIDDEN,
                    };
                    assert_eq!(status, expected, "{path} for {role:?} at {mood:?}: {html}");
                    check(&path, lang, &html);
                }
            }
        }
    }
}

#[tokio::test]
async fn a_hostile_name_is_shown_and_does_nothing() {
    let desk = desk(Mood::Hostile, Role::Admin);
    for (path, _) in pages() {
        let (_, html) = get(&desk, &path, "ko").await;
        check(&path, "ko", &html);
        assert!(!html.contains("<img"), "{path}: markup of a name");
        for letter in ['\u{202e}', '\u{7}', '\u{3164}'] {
            assert!(!html.contains(letter), "{path}: {letter:?} is invisible");
        }
        assert!(!html.contains(&"\u{300}".repeat(5)), "{path}: a heap of marks");
        assert!(!html.contains("\"'&"), "{path}: a name that was not escaped");
    }
    let (_, html) = get(&desk, &format!("/containers/{CONTAINER}"), "ko").await;
    assert!(html.contains("&#60;img src=x onerror=alert(1)&#62;"), "the name is readable");
    assert!(html.contains("\\u{202e}"), "what is invisible is shown");
    let item = encoded(&sample::REPORT.items[3].id);
    let item = sample::REPORT
        .items
        .iter()
        .find(|i| i.status == haechi_core::Status::Fail)
        .map_or(item, |i| encoded(&i.id));
    let path = format!("/checklist/{}/{item}", encoded(&sample::REPORT.benchmark));
    let (_, html) = get(&desk, &path, "en").await;
    assert!(html.contains("&#38;???해치"), "a form offers a pattern that fits the name: {html}");
    assert!(hostile().len() > 4000);
    let (_, html) = get(&desk, "/events", "en").await;
    let pod = html.split("<span class=\"dim small\">").nth(1).unwrap();
    let pod = pod.split("</td>").next().unwrap();
    assert_eq!(pod.matches("<span class=\"name\">").count(), 2, "each by itself: {pod}");
    assert_eq!(pod.matches('…').count(), 2, "neither is as long as it likes: {pod}");
}

#[tokio::test]
async fn the_style_keeps_names_to_themselves_and_a_wide_list_alone() {
    let busy = desk(Mood::Busy, Role::Viewer);
    let (_, html) = get(&busy, "/events", "en").await;
    assert!(html.contains("<div class=\"columns wide\">"), "{html}");
    let path = html.split('"').find(|part| part.ends_with(".css")).unwrap();
    let (_, css) = get(&busy, path, "en").await;
    for rule in [
        "a, b, code, span { unicode-bidi: isolate; }",
        ".list tbody th, .list tbody td { overflow: clip;",
        "@media (max-width: 1360px) { .columns.wide { grid-template-columns: minmax(0, 1fr); } }",
    ] {
        assert!(css.contains(rule), "{rule}");
    }
}

#[tokio::test]
async fn what_a_role_may_not_do_is_not_offered() {
    let item = format!("/checklist/{}/5.4", encoded(&sample::REPORT.benchmark));
    let container = format!("/containers/{CONTAINER}");
    let offers = [
        ("/", "/do/verify", Role::Operator),
        (&item, "/do/accept", Role::Operator),
        ("/exceptions", "/do/withdraw", Role::Operator),
        (&container, "/stop\"", Role::Operator),
        ("/settings", "/do/update", Role::Operator),
        ("/settings", "/do/account-add", Role::Admin),
        ("/", "href=\"/audit\"", Role::Auditor),
        ("/", "href=\"/report\"", Role::Auditor),
    ];
    for role in Role::ALL {
        let desk = desk(Mood::Busy, role);
        for (path, offer, least) in offers {
            let (_, html) = get(&desk, path, "en").await;
            assert_eq!(html.contains(offer), role >= least, "{offer} at {path} for {role:?}");
        }
    }
}

#[tokio::test]
async fn whoever_is_not_logged_in_is_sent_to_log_in_and_back() {
    let desk = refusing(Refusal::Unauthenticated);
    for (path, _) in pages().into_iter().filter(|(path, _)| !path.starts_with("/login")) {
        let response = ask(&desk, Request::get(&path).body(Body::empty()).unwrap()).await;
        assert_eq!(response.status(), StatusCode::SEE_OTHER, "{path}");
        assert!(
            location(&response).starts_with("/login?next=%2F"),
            "{path}: {}",
            location(&response)
        );
    }
    let busy = sample::desk(Mood::Busy, Role::Viewer);
    for (next, expected) in [
        ("%2Fevents", "/events"),
        ("https%3A%2F%2Fevil.example", "/"),
        ("%2F%2Fevil.example", "/"),
        ("%2F%5Cevil.example", "/"),
        ("%2Fa%0D%0Ab", "/"),
        ("javascript:alert(1)", "/"),
    ] {
        let response = post(&busy, "/do/login", &format!("name=yuna&password=x&next={next}")).await;
        assert_eq!(
            (response.status(), location(&response)),
            (StatusCode::SEE_OTHER, expected),
            "{next}"
        );
        let cookie = response.headers()[header::SET_COOKIE].to_str().unwrap().to_owned();
        assert!(
            cookie.starts_with("__Host-haechi=sample;") && cookie.contains("HttpOnly"),
            "{cookie}"
        );
    }
}

#[tokio::test]
async fn a_refusal_is_shown_beside_the_form_with_what_was_typed() {
    let busy = desk(Mood::Busy, Role::Operator);
    let (status, html) = read(post(&busy, "/do/login", "name=y%3Cb%3E&password=wrong").await).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    assert!(html.contains("The name or the password is wrong."), "{html}");
    assert!(html.contains("value=\"y&#60;b&#62;\"") && !html.contains("value=\"wrong\""), "{html}");

    let form = format!("id={CONTAINER}&deed=stop&reason=++&csrf=token-against-forgery");
    let (status, html) = read(post(&busy, "/do/act", &form).await).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(html.contains("role=\"alert\"") && html.contains("This must not be empty."), "{html}");
    assert!(html.contains("aria-invalid=\"true\" aria-describedby=\"wrong-act\""), "{html}");

    let benchmark = encoded(&sample::REPORT.benchmark);
    for (form, words) in [
        ("reason=&expires=2026-12-31", "This must not be empty."),
        ("reason=because&expires=soon", "Give the last day as a date."),
    ] {
        let form = format!("benchmark={benchmark}&item=5.4&check=c&subject=web-*&{form}");
        let (status, html) = read(post(&busy, "/do/accept", &form).await).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
        assert!(html.contains(words) && html.contains("value=\"web-*\""), "{html}");
    }
    let (_, html) = read(post(&busy, "/do/password", "old=a&new=b&again=c").await).await;
    assert!(html.contains("was not typed the same twice"), "{html}");
}

#[tokio::test]
async fn a_change_leads_back_with_words() {
    let busy = desk(Mood::Busy, Role::Admin);
    for (path, form, to) in [
        ("/do/verify", "back=/", "/?said=verify"),
        ("/do/withdraw", "number=3&back=/exceptions", "/exceptions?said=withdraw"),
        ("/do/scan", "id=x&back=/images%3Ftext%3Da", "/images?text=a&said=scan"),
        ("/do/update", "back=//evil.example", "/?said=update"),
        ("/do/token-remove", "number=2&back=/settings", "/settings?said=removed"),
        ("/do/logout", "back=/", "/login"),
        ("/do/look", "lang=ko&theme=dark&back=/events", "/events"),
    ] {
        let response = post(&busy, path, form).await;
        assert_eq!((response.status(), location(&response)), (StatusCode::SEE_OTHER, to), "{path}");
    }
    let refused = refusing(Refusal::Conflict);
    let response = post(&refused, "/do/verify", "back=/").await;
    assert_eq!(location(&response), "/?said=refused.conflict");
    let (_, html) = get(&busy, "/?said=refused.conflict", "en").await;
    assert!(html.contains("It is there already, or being done."), "{html}");
    let (_, html) = get(&busy, "/?said=%3Cb%3Eyour+bank", "en").await;
    assert!(!html.contains("your bank"), "a link puts no words into a page");
}

#[tokio::test]
async fn a_secret_is_shown_once_and_escaped() {
    let busy = desk(Mood::Busy, Role::Admin);
    let (_, html) = read(post(&busy, "/do/token-add", "name=x&scope=read&days=9").await).await;
    assert!(html.contains("haechi_0123456789abcdef") && html.contains("this once"), "{html}");
    let (_, html) = get(&busy, "/settings", "en").await;
    assert!(!html.contains("haechi_0123456789abcdef"));
}

#[tokio::test]
async fn nothing_verified_looks_like_nothing_passed() {
    let empty = desk(Mood::Empty, Role::Viewer);
    let (_, html) = get(&empty, "/", "en").await;
    assert!(
        html.contains("Nothing was verified yet") && html.contains("Nobody watches the containers")
    );
    assert!(!html.contains("class=\"ring\""), "no score without a verification");
    assert!(!html.contains("is at risk") && !html.contains("No alert."), "{html}");
    let benchmark = encoded(&sample::REPORT.benchmark);
    let path = format!("/report?benchmark={benchmark}&from=2026-05-18&to=2026-06-17");
    let (_, html) = get(&desk(Mood::Empty, Role::Auditor), &path, "en").await;
    for claim in ["is at risk", "No alert.", "No response was taken"] {
        assert!(!html.contains(claim), "{claim}: {html}");
    }
    assert!(html.contains("No container was watched in this period"), "{html}");
    let (_, html) = get(&empty, &format!("/containers/{CONTAINER}"), "en").await;
    assert!(html.contains("nothing is known about it yet") && !html.contains("st-pass"), "{html}");
    let (_, html) = get(&empty, &format!("/images/{}", encoded(IMAGE)), "en").await;
    assert!(
        html.contains("Its vulnerabilities are unknown") && !html.contains("safe-safe"),
        "{html}"
    );
}

/// The path of an item with a failing and a passing finding.
fn mixed() -> (String, &'static haechi_core::report::Item) {
    use haechi_core::Status::{Fail, Pass};
    let has = |item: &&haechi_core::report::Item| {
        [Fail, Pass].iter().all(|status| item.findings.iter().any(|f| f.status == *status))
    };
    let item = sample::REPORT.items.iter().find(has).unwrap();
    let path = format!("/checklist/{}/{}", encoded(&sample::REPORT.benchmark), encoded(&item.id));
    (path, item)
}

#[tokio::test]
async fn an_item_shows_what_fails_and_counts_what_passes() {
    let busy = desk(Mood::Busy, Role::Operator);
    let (path, _) = mixed();
    let (_, html) = get(&busy, &path, "en").await;
    let (_, findings) = html.split_once("id=\"h-findings\"").unwrap();
    assert!(findings.contains("finding is-fail") && !findings.contains("finding is-pass"));
    assert!(findings.contains("Not listed here:") && findings.contains("href=\"?status=pass\""));
    assert!(!findings.contains("rel=\"next\""), "no page of passes comes next");
    let (_, html) = get(&busy, &format!("{path}?status=pass"), "en").await;
    let (_, findings) = html.split_once("id=\"h-findings\"").unwrap();
    assert!(findings.contains("class=\"panel brief\"") && findings.contains("st-pass"));
    assert!(!findings.contains("class=\"sev "), "a pass has no severity: {findings}");
    assert!(!html.contains("/do/accept"), "a pass is not offered to be accepted");
}

#[tokio::test]
async fn nothing_is_about_to_be_accepted_before_it_is_chosen() {
    let busy = desk(Mood::Busy, Role::Operator);
    let (path, item) = mixed();
    let subject = |html: &str| {
        let (_, rest) = html.split_once("name=\"subject\" value=\"").unwrap();
        rest.split('"').next().unwrap().to_owned()
    };
    let (_, html) = get(&busy, &path, "en").await;
    assert_eq!(subject(&html), "");
    assert!(html.contains("name=\"kind\" value=\"\""), "{html}");
    let failing: Vec<_> =
        item.findings.iter().filter(|f| f.status == haechi_core::Status::Fail).collect();
    let last = failing.last().unwrap();
    let offers: Vec<&str> = html
        .split("href=\"")
        .filter_map(|rest| rest.split('"').next())
        .filter(|link| link.ends_with("#accept"))
        .collect();
    assert_eq!(offers.len(), failing.len().min(50), "one beside each that fails");
    let offer = offers.last().unwrap().replace("&#38;", "&").replace("#accept", "");
    let (_, html) = get(&busy, &format!("{path}{offer}"), "en").await;
    assert_eq!(subject(&html), last.subject.name);
    assert!(html.contains(&format!("name=\"kind\" value=\"{}\"", last.subject.kind.name())));
    let passing = item.findings.iter().find(|f| f.status == haechi_core::Status::Pass).unwrap();
    let of =
        if passing.subject.id.is_empty() { &passing.subject.name } else { &passing.subject.id };
    let forged = format!("{path}?check={}&of={}", encoded(&passing.check), encoded(of));
    let (_, html) = get(&busy, &forged, "en").await;
    assert_eq!(subject(&html), "", "a pass cannot be chosen");
}

#[tokio::test]
async fn a_page_of_another_role_says_which_one_it_needs() {
    let viewer = desk(Mood::Busy, Role::Viewer);
    for (path, en, ko) in [
        (
            "/audit",
            "needs the role Auditor; you are Viewer.",
            "감사자 역할이 필요합니다. 현재 역할은 열람자",
        ),
        ("/report", "needs the role Auditor", "감사자 역할이 필요합니다"),
        (
            &format!("/containers/{CONTAINER}/stop"),
            "needs the role Operator",
            "운영자 역할이 필요합니다",
        ),
    ] {
        for (lang, words) in [("en", en), ("ko", ko)] {
            let (status, html) = get(&viewer, path, lang).await;
            assert_eq!(status, StatusCode::FORBIDDEN, "{path}");
            assert!(html.contains(words), "{path}: {html}");
        }
    }
}

#[tokio::test]
async fn a_container_that_is_gone_is_no_dead_end_and_nothing_can_be_done_to_it() {
    let busy = desk(Mood::Busy, Role::Admin);
    let (status, html) = get(&busy, &format!("/containers/{GONE}"), "en").await;
    assert_eq!(status, StatusCode::OK);
    assert!(html.contains("This container is gone.") && html.contains(">mail</h1>"), "{html}");
    assert!(html.contains("class=\"alert\"") && html.contains("class=\"action\""), "{html}");
    assert!(html.contains("not kept any more") && !html.contains("No finding."), "{html}");
    assert!(!html.contains("It came after the last verification"), "{html}");
    assert!(!html.contains("/stop\"") && !html.contains("id=\"processes\""), "{html}");
    let (_, html) = get(&busy, &format!("/containers/{GONE}"), "ko").await;
    assert!(html.contains("이 컨테이너는 이제 없습니다.") && html.contains("사라짐"), "{html}");
    let (status, _) = get(&busy, &format!("/containers/{GONE}/stop"), "en").await;
    assert_eq!(status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn lists_tell_short_ids_whether_they_are_old_and_deeds_in_words() {
    let busy = desk(Mood::Busy, Role::Auditor);
    let (_, html) = get(&busy, "/images", "en").await;
    assert!(html.contains(">5eed5eed5eed</a>") && !html.contains("could not list"), "{html}");
    let hostile = desk(Mood::Hostile, Role::Viewer);
    for (path, words) in [("/images", "could not list the images"), ("/containers", "containers")] {
        let (_, html) = get(&hostile, path, "en").await;
        assert!(html.contains("The newest verification could not list"), "{path}: {html}");
        assert!(html.contains(words), "{path}");
    }
    let (_, html) = get(&busy, "/audit", "ko").await;
    for word in ["로그인", "예외 승인", "작업 종료", "완료", "권한 없음"] {
        assert!(html.contains(&format!(">{word}<")), "{word}: {html}");
    }
}

#[tokio::test]
async fn the_first_page_tells_what_is_worst_in_words_and_equal_alerts_once() {
    let busy = desk(Mood::Busy, Role::Auditor);
    let (_, html) = get(&busy, "/", "en").await;
    let marked: Vec<&str> = html.split("<article").filter(|one| one.contains("at-risk")).collect();
    assert!(marked.len() == 1 && marked[0].contains("#i-instance"), "40 critical: {marked:?}");
    assert!(html.contains("Most at risk</span>"), "{html}");
    let changed = html.split("id=\"h-changed\"").nth(1).unwrap();
    assert!(!changed.contains("±0.0") && changed.contains("One check moved it by less than 0.1."));
    assert_eq!(changed.matches("<li class=").count(), 4, "{changed}");
    let newest = html.split("id=\"newest\"").nth(1).unwrap().split("</section>").next().unwrap();
    assert!(newest.contains("×100+</a>") && !newest.contains("×1<"), "{newest}");
    assert!(newest.contains("/events?rule=Shell"), "to all of them: {newest}");
    assert!(newest.matches("data-number").count() == 6, "each can be new: {newest}");
    let benchmark = encoded(&sample::REPORT.benchmark);
    let path = format!("/report?benchmark={benchmark}&from=2026-05-18&to=2026-06-17");
    for (lang, words) in [("en", "214 verifications on 30 days"), ("ko", "30일에 걸쳐 점검 214회")]
    {
        let (_, html) = get(&busy, &path, lang).await;
        assert!(html.contains(words), "{html}");
    }
}

#[tokio::test]
async fn files_are_named_by_their_content_and_kept_for_good() {
    let busy = desk(Mood::Busy, Role::Viewer);
    let (_, html) = get(&busy, "/", "en").await;
    let paths: Vec<&str> = html.split(['"']).filter(|part| part.starts_with("/assets/")).collect();
    assert_eq!(paths.len(), 3, "{paths:?}");
    for path in paths {
        let response = ask(&busy, Request::get(path).body(Body::empty()).unwrap()).await;
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        let kept = response.headers()[header::CACHE_CONTROL].to_str().unwrap();
        assert!(kept.contains("immutable"), "{path}: {kept}");
    }
    let (status, _) = get(&busy, "/assets/web.0000.css", "en").await;
    assert_eq!(status, StatusCode::NOT_FOUND);
}
