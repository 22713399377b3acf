//! The live stream: nothing is lost between two connections, it ends with the session, and there are not too many.

use std::sync::{Arc, Mutex};

use haechi_protocol::{Ask, Credential, Job, JobState, Me, News, NewsPage, Refusal, Role};
use haechi_server::desk::{Awaited, Desk};
use haechi_server::order::Limits;
use http_body_util::BodyExt;
use hyper::Response;
use hyper::body::Incoming;
use serde_json::Value;
use tokio::sync::watch;

use crate::support::{Server, request};

/// A desk whose news are numbered jobs; the session ends when it is told to.
#[derive(Clone)]
struct Newsroom {
    newest: watch::Sender<i64>,
    asked: Arc<Mutex<Vec<Option<String>>>>,
    session: watch::Sender<bool>,
}

impl Newsroom {
    fn new(newest: i64) -> Self {
        let (newest, _) = watch::channel(newest);
        let (session, _) = watch::channel(true);
        Self { newest, asked: Arc::default(), session }
    }

    fn desk(&self) -> Desk {
        let room = self.clone();
        Desk::new(move |asked| {
            let room = room.clone();
            Box::pin(async move {
                if asked.credential == Credential::None || !*room.session.borrow() {
                    return Err(Refusal::Unauthenticated);
                }
                Ok(match asked.ask {
                    Ask::News(news) => serde_json::to_value(room.news(*news).await?).unwrap(),
                    _ => serde_json::to_value(me()).unwrap(),
                })
            }) as Awaited
        })
    }

    async fn news(&self, news: News) -> Result<NewsPage, Refusal> {
        self.asked.lock().unwrap().push(news.after.clone());
        let mut newest = self.newest.subscribe();
        let Some(after) = news.after else {
            return Ok(NewsPage { cursor: newest.borrow().to_string(), ..NewsPage::default() });
        };
        let after: i64 = after.parse().map_err(|_| Refusal::invalid("after", "not-a-cursor"))?;
        let mut session = self.session.subscribe();
        tokio::select! {
            _ = newest.wait_for(|newest| *newest > after) => {}
            _ = session.wait_for(|there| !there) => return Err(Refusal::Unauthenticated),
        }
        let newest = *newest.borrow();
        let jobs = (after + 1..=newest).map(job).collect();
        Ok(NewsPage { cursor: newest.to_string(), jobs, ..NewsPage::default() })
    }
}

fn job(number: i64) -> Job {
    Job {
        number,
        kind: "scan".to_owned(),
        // A name that would end the event if it were written as it is.
        subject: "a\n\nevent: end\ndata: x\r<b>해치".to_owned(),
        by: String::new(),
        state: JobState::Done,
        progress: None,
        problem: None,
        since: "2026-01-01T00:00:00Z".parse().unwrap(),
        ended: None,
    }
}

fn me() -> Me {
    Me {
        name: "haechi".to_owned(),
        role: Role::Viewer,
        csrf: String::new(),
        must_change_password: false,
        expires: "2030-01-01T00:00:00Z".parse().unwrap(),
    }
}

/// A browser that follows.
struct Follower {
    response: Response<Incoming>,
    text: String,
}

#[derive(Debug, Default, PartialEq)]
struct Event {
    kind: String,
    id: String,
    data: String,
}

impl Follower {
    async fn new(server: &Server, headers: &[(&str, &str)]) -> Self {
        let mut all = vec![("cookie", "__Host-haechi=abc")];
        all.extend(headers);
        let response = server.send(request("GET", "/events/stream", &all, "")).await;
        Self { response, text: String::new() }
    }

    /// The next event, as a browser reads it; `None` at the end.
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some((event, rest)) = self.text.clone().split_once("\n\n") {
                self.text = rest.to_owned();
                let mut read = Event::default();
                for line in event.lines() {
                    match line.split_once(": ").unwrap_or((line, "")) {
                        ("event", kind) => read.kind = kind.to_owned(),
                        ("id", id) => read.id = id.to_owned(),
                        ("data", data) => read.data.push_str(data),
                        ("retry" | "", _) => {}
                        other => panic!("{other:?}"),
                    }
                }
                if read != Event::default() {
                    return Some(read);
                }
                continue;
            }
            let frame = self.response.frame().await?.unwrap();
            self.text.push_str(std::str::from_utf8(frame.data_ref()?).unwrap());
        }
    }

    /// Numbers of the jobs that are told, and the place after the last one.
    async fn jobs(&mut self, last: i64) -> (Vec<i64>, String) {
        let mut numbers = Vec::new();
        loop {
            let event = self.next().await.expect("it goes on");
            if event.kind == "job" {
                let job: Value = serde_json::from_str(&event.data).unwrap();
                numbers.push(job["number"].as_i64().unwrap());
                if numbers.last() == Some(&last) {
                    return (numbers, event.id);
                }
                assert_eq!(event.id, "", "only the last one of a piece has the place");
            }
        }
    }
}

#[tokio::test]
async fn a_stream_that_comes_back_loses_nothing() {
    let room = Newsroom::new(5);
    let server = Server::start(room.desk(), Limits::default()).await;
    let mut follower = Follower::new(&server, &[]).await;
    assert_eq!(follower.response.headers()["content-type"], "text/event-stream");
    // The place is told before there is news: who loses the connection now misses nothing either.
    assert_eq!(follower.next().await.unwrap().id, "5");
    room.newest.send_replace(8);
    assert_eq!(follower.jobs(8).await, (vec![6, 7, 8], "8".to_owned()));
    drop(follower);
    room.newest.send_replace(10);
    let mut follower = Follower::new(&server, &[("last-event-id", "8")]).await;
    assert_eq!(follower.jobs(10).await, (vec![9, 10], "10".to_owned()));
    room.newest.send_replace(11);
    assert_eq!(follower.jobs(11).await, (vec![11], "11".to_owned()));
    assert_eq!(room.asked.lock().unwrap().first(), Some(&None));
}

#[tokio::test]
async fn a_stream_ends_with_the_session() {
    let room = Newsroom::new(0);
    let server = Server::start(room.desk(), Limits::default()).await;
    let mut follower = Follower::new(&server, &[]).await;
    follower.next().await.unwrap();
    room.session.send_replace(false);
    let last = follower.next().await.unwrap();
    assert_eq!((last.kind.as_str(), last.data.as_str()), ("end", "unauthenticated"));
    assert_eq!(follower.next().await, None);
    let again = Follower::new(&server, &[("last-event-id", "0")]).await;
    assert_eq!(again.response.status(), 401);
}

#[tokio::test]
async fn a_stream_ends_when_the_server_stops() {
    let room = Newsroom::new(0);
    let server = Server::start(room.desk(), Limits::default()).await;
    let mut follower = Follower::new(&server, &[]).await;
    follower.next().await.unwrap();
    server.stop.cancel();
    assert_eq!(follower.next().await, None);
    server.serving.await.unwrap();
}

#[tokio::test]
async fn there_are_not_too_many_streams() {
    let room = Newsroom::new(0);
    let limits = Limits { streams_per_session: 2, streams: 3, ..Limits::default() };
    let server = Server::start(room.desk(), limits).await;
    let first = Follower::new(&server, &[]).await;
    let _second = Follower::new(&server, &[]).await;
    let third = Follower::new(&server, &[]).await;
    assert_eq!(third.response.status(), 429);
    assert_eq!(third.response.headers()["retry-after"], "5");
    let token = ("authorization", "Bearer abc");
    let _other = Follower::new(&server, &[token]).await;
    let fourth = Follower::new(&server, &[token]).await;
    assert_eq!(fourth.response.status(), 429);
    drop(first);
    // Its place is free once the server has seen that it left.
    while Follower::new(&server, &[]).await.response.status() != 200 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_place_that_is_none_is_refused() {
    let room = Newsroom::new(0);
    let server = Server::start(room.desk(), Limits::default()).await;
    let long = "1".repeat(65);
    for place in ["", "a b", "가", &long] {
        let follower = Follower::new(&server, &[("last-event-id", place)]).await;
        assert_eq!(follower.response.status(), 422, "{place:?}");
    }
    let headers = [("cookie", "__Host-haechi=abc")];
    for path in ["/events/stream?after=", "/events/stream?before=1"] {
        let response = server.send(request("GET", path, &headers, "")).await;
        assert_eq!(response.status(), 422, "{path}");
    }
    let response = server.send(request("GET", "/events/stream", &[], "")).await;
    assert_eq!(response.status(), 401);
}

/// Waits for news with this credential, until the answer begins.
async fn poll(server: &Server, header: (&str, &str)) -> Response<Incoming> {
    server.send(request("GET", "/api/v1/news?after=0", &[header], "")).await
}

#[tokio::test]
async fn who_waits_for_news_keeps_nobody_from_being_answered() {
    let room = Newsroom::new(0);
    let limits = Limits { requests: 2, streams: 8, streams_per_account: 3, ..Limits::default() };
    let server = Arc::new(Server::start(room.desk(), limits).await);
    let waiting: Vec<_> = (0..3)
        .map(|number| {
            let server = server.clone();
            let token = format!("Bearer {number}");
            tokio::spawn(async move { poll(&server, ("authorization", &token)).await.status() })
        })
        .collect();
    // All three hold more than the places that there are, and hold none.
    while room.asked.lock().unwrap().len() < 3 {
        tokio::task::yield_now().await;
    }
    let me = [("authorization", "Bearer 0")];
    let response = server.send(request("GET", "/api/v1/session", &me, "")).await;
    assert_eq!(response.status(), 200);
    let response = server.send(request("GET", "/healthz", &[], "")).await;
    assert_eq!(response.status(), 200);
    // They have the seats of their account, whatever it is logged in by, and by which way.
    assert_eq!(poll(&server, ("authorization", "Bearer 9")).await.status(), 429);
    let follower = Follower::new(&server, &[]).await;
    assert_eq!(follower.response.status(), 429);
    room.newest.send_replace(1);
    for one in waiting {
        assert_eq!(one.await.unwrap(), 200);
    }
    assert_eq!(Follower::new(&server, &[]).await.response.status(), 200);
}

#[tokio::test]
async fn who_has_no_place_left_leaves_others_theirs_and_health() {
    let (release, released) = watch::channel(false);
    let asked = Arc::new(Mutex::new(0));
    let counted = asked.clone();
    let desk = Desk::new(move |asked| {
        let mut released = released.clone();
        if asked.credential == Credential::Token("greedy".to_owned()) {
            *counted.lock().unwrap() += 1;
        }
        Box::pin(async move {
            match asked.credential {
                Credential::None => Err(Refusal::Unauthenticated),
                Credential::Token(token) if token == "greedy" => {
                    released.wait_for(|released| *released).await.unwrap();
                    Ok(serde_json::to_value(me()).unwrap())
                }
                _ => Ok(serde_json::to_value(me()).unwrap()),
            }
        }) as Awaited
    });
    let limits = Limits { requests: 8, ..Limits::default() };
    let server = Arc::new(Server::start(desk, limits).await);
    let ask = |token: &'static str| {
        let server = server.clone();
        async move {
            let headers = [("authorization", token)];
            server.send(request("GET", "/api/v1/session", &headers, "")).await.status()
        }
    };
    let greedy: Vec<_> = (0..12).map(|_| tokio::spawn(ask("Bearer greedy"))).collect();
    while *asked.lock().unwrap() < 2 {
        tokio::task::yield_now().await;
    }
    assert_eq!(ask("Bearer modest").await, 200);
    let response = server.send(request("GET", "/healthz", &[], "")).await;
    assert_eq!(response.status(), 200);
    assert_eq!(*asked.lock().unwrap(), 2, "a quarter of the places");
    release.send_replace(true);
    for one in greedy {
        assert_eq!(one.await.unwrap(), 200);
    }
}
