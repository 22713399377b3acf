//! Alerts, actions, activity, and what is new: as the monitor kept them. Nothing is judged here.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::Duration;

use haechi_core::alert::Priority;
use haechi_protocol::{
    ActionRow, ActivityRow, AlertGroup, AlertPage, AlertRow, LIMIT_MAX, List, ListActions,
    ListActivity, ListAlerts, MonitorState, News, NewsPage, Refusal, ShowAlert,
};
use haechi_store::{
    ActionFilter, ActionId, ActivityFilter, AlertFilter, AlertId, AlikeAlerts, StoreError,
};
use jiff::{SignedDuration, Timestamp};

use crate::accounts::Caller;
use crate::{Desk, jobs, unavailable};

/// How long a question for what is new waits for something: below what proxies wait for an answer.
const PATIENCE: Duration = Duration::from_secs(25);
/// Alerts that the first page shows, equal ones together.
const URGENT: u32 = 8;

/// Answers [`ListAlerts`].
pub(crate) async fn list(
    desk: &Desk,
    _caller: &Caller,
    question: &ListAlerts,
) -> Result<List<AlertRow>, Refusal> {
    let filter = AlertFilter {
        since: question.since,
        until: question.until,
        container: question.container.clone(),
        rule: question.rule.clone(),
        priority_at_least: question.priority,
        check: None,
        before_id: question.before.map(AlertId),
        limit: rows(question.limit),
    };
    let found = desk.setup.store.alerts(&filter).await.map_err(paged)?;
    let found = found.into_iter().map(|(id, alert)| AlertRow { number: id.0, alert }).collect();
    Ok(page(found, question.limit, |row| row.number))
}

/// Answers [`ShowAlert`].
pub(crate) async fn show(
    desk: &Desk,
    _caller: &Caller,
    question: &ShowAlert,
) -> Result<AlertPage, Refusal> {
    let (store, id) = (&desk.setup.store, AlertId(question.number));
    let alert = store.alert(id).await.map_err(unavailable)?.ok_or(Refusal::Missing)?;
    let actions = store.actions_about(id).await.map_err(unavailable)?;
    let row = AlertRow { number: id.0, alert };
    let actions = actions.into_iter().map(|(id, action)| ActionRow { number: id.0, action });
    Ok(AlertPage { row, actions: actions.collect() })
}

/// Answers [`ListActions`].
pub(crate) async fn actions(
    desk: &Desk,
    _caller: &Caller,
    question: &ListActions,
) -> Result<List<ActionRow>, Refusal> {
    let filter = ActionFilter {
        container: question.container.clone(),
        response: question.response,
        before_id: question.before.map(ActionId),
        limit: rows(question.limit),
        ..ActionFilter::default()
    };
    let found = desk.setup.store.actions(&filter).await.map_err(paged)?;
    let found = found.into_iter().map(|(id, action)| ActionRow { number: id.0, action }).collect();
    Ok(page(found, question.limit, |row| row.number))
}

/// Answers [`ListActivity`].
pub(crate) async fn activity(
    desk: &Desk,
    _caller: &Caller,
    question: &ListActivity,
) -> Result<List<ActivityRow>, Refusal> {
    let filter = ActivityFilter {
        container: question.container.clone(),
        action: question.action.clone(),
        before_id: question.before,
        limit: rows(question.limit),
        ..ActivityFilter::default()
    };
    let found = desk.setup.store.activity(&filter).await.map_err(paged)?;
    let found =
        found.into_iter().map(|(number, activity)| ActivityRow { number, activity }).collect();
    Ok(page(found, question.limit, |row| row.number))
}

/// Answers [`News`]: at once if there is something, else when there is, or empty after a while.
pub(crate) async fn news(
    desk: &Desk,
    _caller: &Caller,
    question: &News,
) -> Result<NewsPage, Refusal> {
    let store = &desk.setup.store;
    let newest = store.newest_change().await.map_err(unavailable)?;
    let Some(after) = &question.after else {
        return Ok(NewsPage { cursor: newest.to_string(), ..NewsPage::default() });
    };
    let after: i64 = after.parse().map_err(|_| Refusal::invalid("after", "not-a-cursor"))?;
    if after > newest || after < 0 {
        // Of another database.
        return Ok(NewsPage { cursor: newest.to_string(), gap: true, ..NewsPage::default() });
    }
    if after == newest {
        let mut changed = desk.changed.subscribe();
        let later = changed.wait_for(|number| *number > after);
        if tokio::time::timeout(PATIENCE, later).await.is_err() {
            return Ok(NewsPage { cursor: after.to_string(), ..NewsPage::default() });
        }
    }
    let changes = store.changes(after).await.map_err(unavailable)?;
    let mut page = NewsPage {
        cursor: changes.up_to.to_string(),
        gap: changes.gap,
        verification: changes.verifications.last().copied(),
        ..NewsPage::default()
    };
    // What was forgotten meanwhile is no news.
    for number in changes.alerts {
        let alert = store.alert(AlertId(number)).await.map_err(unavailable)?;
        page.alerts.extend(alert.map(|alert| AlertRow { number, alert }));
    }
    for number in changes.actions {
        let action = store.action(ActionId(number)).await.map_err(unavailable)?;
        page.actions.extend(action.map(|action| ActionRow { number, action }));
    }
    for number in changes.jobs {
        page.jobs.extend(store.job(number).await.map_err(unavailable)?.map(jobs::told));
    }
    Ok(page)
}

/// A day ago.
fn day_ago() -> Timestamp {
    let since = Timestamp::now().saturating_sub(SignedDuration::from_hours(24));
    since.unwrap_or(Timestamp::MIN)
}

/// Alerts of the last day by priority.
pub(crate) async fn last_day(desk: &Desk) -> Result<BTreeMap<Priority, u64>, Refusal> {
    desk.setup.store.alerts_by_priority(day_ago()).await.map_err(unavailable)
}

/// The most urgent alerts of the last day.
pub(crate) async fn urgent(desk: &Desk) -> Result<Vec<AlertGroup>, Refusal> {
    let found = desk.setup.store.urgent_alerts(day_ago(), URGENT).await.map_err(unavailable)?;
    let group = |alike: AlikeAlerts| AlertGroup {
        row: AlertRow { number: alike.id.0, alert: alike.newest },
        count: alike.count,
        more: alike.more,
    };
    Ok(found.into_iter().map(group).collect())
}

/// Whether containers are watched, and what was lost since they are.
pub(crate) async fn monitor(desk: &Desk) -> Result<MonitorState, Refusal> {
    let mut state = desk.monitor.borrow().clone();
    state.engine_silent = state.watching && !desk.heard.load(Ordering::Relaxed);
    if let Some(since) = state.since {
        state.lost = desk.setup.store.lost_since(since).await.map_err(unavailable)?;
    }
    Ok(state)
}

fn rows(limit: u32) -> u32 {
    limit.clamp(1, LIMIT_MAX)
}

/// A page of a list that is asked for with `before`.
pub(crate) fn page<T>(rows_found: Vec<T>, limit: u32, number: impl Fn(&T) -> i64) -> List<T> {
    let full = u32::try_from(rows_found.len()).is_ok_and(|found| found >= rows(limit));
    let next = rows_found.last().filter(|_| full).map(|row| number(row).to_string());
    List { rows: rows_found, next, total: None }
}

/// An error of a page: what it was to go on from may be forgotten.
pub(crate) fn paged(error: StoreError) -> Refusal {
    match error {
        StoreError::NoRow { .. } => Refusal::invalid("before", "forgotten"),
        other => unavailable(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[tokio::test]
    async fn who_watches_without_hearing_the_engine_says_so() {
        let root = tempfile::tempdir().unwrap();
        let desk = testing::desk(root.path(), |_| ()).await;
        assert!(!monitor(&desk).await.unwrap().engine_silent, "nobody watches");
        desk.monitor.send_replace(MonitorState { watching: true, ..MonitorState::default() });
        assert!(monitor(&desk).await.unwrap().engine_silent);
        desk.heard.store(true, Ordering::Relaxed);
        assert!(!monitor(&desk).await.unwrap().engine_silent);
    }
}
