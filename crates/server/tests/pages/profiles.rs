//! The pages of profiles, and files that are made from them.

use super::*;

#[tokio::test]
async fn a_file_is_a_download_and_what_is_not_settled_is_none() {
    let path = |kind: &str| format!("/profiles/7/files/{kind}");
    let busy = desk(Mood::Busy, Role::Operator);
    let request = Request::get(path("seccomp")).body(Body::empty()).unwrap();
    let response = ask(&busy, request).await;
    let disposition = response.headers()[header::CONTENT_DISPOSITION].to_str().unwrap();
    assert_eq!(disposition, "attachment; filename=\"profile-7.seccomp.json\"");
    assert_eq!(read(response).await, (StatusCode::OK, "{}".to_owned()));
    let (status, html) = get(&busy, &path("apparmor"), "en").await;
    assert_eq!(status, StatusCode::CONFLICT);
    assert!(html.contains("NOT SETTLED: files") && !html.contains("{}"), "{html}");
    check(&path("apparmor"), "en", &html);
    for (kind, expected) in [("nonsense", StatusCode::NOT_FOUND), ("..", StatusCode::NOT_FOUND)] {
        assert_eq!(get(&busy, &path(kind), "en").await.0, expected, "{kind}");
    }
    // A name of the desk cannot add to a header, and whoever may not make one gets none.
    let hostile = desk(Mood::Hostile, Role::Operator);
    let request = Request::get(path("seccomp")).body(Body::empty()).unwrap();
    let response = ask(&hostile, request).await;
    let disposition = response.headers()[header::CONTENT_DISPOSITION].to_str().unwrap();
    assert!(disposition.starts_with("attachment; filename=\"imgsrcxonerror"), "{disposition}");
    let viewer = desk(Mood::Busy, Role::Viewer);
    assert_eq!(get(&viewer, &path("seccomp"), "en").await.0, StatusCode::FORBIDDEN);
    assert!(!get(&viewer, "/profiles/7", "en").await.1.contains("/files/"), "it is not offered");
}

#[tokio::test]
async fn a_profile_says_what_is_known_in_words() {
    let busy = desk(Mood::Busy, Role::Viewer);
    let (_, html) = get(&busy, "/profiles/7", "en").await;
    for words in [
        "role=\"img\" aria-label=\"241 things known after 6 d 2 h.",
        "61 used · 94 needed · 329 allowed today",
        "present only</span> <b>118</b>",
        "/events?container=",
        "href=\"/containers/",
        "href=\"/images/sha256%3A",
    ] {
        assert!(html.contains(words), "{words} in {html}");
    }
    for words in ["Dry run:", "set by uid 0", "/tmp/.x", "would be refused", "3 times", "\">42<"] {
        assert!(html.contains(words), "{words} in {html}");
    }
    let (_, html) = get(&busy, "/profiles/7", "ko").await;
    assert!(html.contains("시험 적용: ") && html.contains("3회") && html.contains("강제 적용"));
    let (_, html) = get(&desk(Mood::Empty, Role::Viewer), "/profiles/7", "en").await;
    assert!(html.contains("Off: ") && !html.contains("Dry run"), "{html}");
    let (_, html) = get(&busy, "/profiles", "en").await;
    assert!(html.contains("not known used · not known held today"), "what is not known is no zero");
    let (_, html) = get(&busy, &format!("/images/{}", encoded(IMAGE)), "en").await;
    for state in ["executed", "loaded", "present only", "use not known"] {
        assert!(html.contains(&format!("\">{state}</span>")), "{state} beside a vulnerability");
    }
    assert!(html.contains("href=\"/profiles/7\""));
    let (_, html) = get(&busy, &format!("/containers/{CONTAINER}"), "ko").await;
    assert!(html.contains("href=\"/profiles/7\"") && html.contains("새로운 것 2건"));
    let none = desk(Mood::Empty, Role::Viewer);
    let (_, html) = get(&none, "/profiles", "ko").await;
    assert!(html.contains("<code>haechi monitor --profile</code>"), "how to make one");
}
