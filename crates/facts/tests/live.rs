use haechi_facts::{Options, collect};
use std::time::Duration;
#[tokio::test(flavor = "multi_thread")]
async fn dump() {
    let options = Options {
        root: "/".into(),
        endpoint: None,
        timeout: Duration::from_secs(5),
        now: jiff::Timestamp::now(),
        backups: vec![],
        unlock_key_salt: [1; 32],
    };
    let t = std::time::Instant::now();
    let s = collect(&options).await;
    println!("{:?}", t.elapsed());
    println!("{}", serde_json::to_string_pretty(&s).unwrap());
}
