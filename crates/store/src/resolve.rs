//! Which verification people mean by `latest`, `previous`, a number or a date.
//!
//! Of several that match a date, the one recorded last is meant. Nothing is guessed beyond that.

use jiff::Timestamp;

use crate::error::StoreError;
use crate::read::none;
use crate::{Store, VerificationId, VerificationRow};

/// The forms in which a verification can be named.
#[derive(Debug, PartialEq, Eq)]
enum Spec<'a> {
    Latest,
    Previous,
    Number(VerificationId),
    /// A moment, in seconds since 1970.
    Moment(i64),
    /// The beginning of a time as it is kept: `2026-07`, `2026-07-28`, `2026-07-28T09`.
    Prefix(&'a str),
}

impl Store {
    /// The verification that `spec` names, of one host or of any:
    ///
    /// - `latest`: the one recorded last;
    /// - `previous`: the one before it, of the same host and benchmark;
    /// - a number, as `history` lists it;
    /// - an RFC 3339 time (to the second), or the beginning of one in UTC, as `2026-07-28`.
    ///
    /// # Errors
    /// `spec` has none of these forms, there is no such verification (says what there is instead),
    /// or the database cannot be read.
    pub async fn resolve(
        &self,
        host: Option<&str>,
        spec: &str,
    ) -> Result<VerificationId, StoreError> {
        match parse(spec) {
            None => Err(StoreError::BadSpec { asked: format!("{spec:?}") }),
            Some(Spec::Latest) => Ok(self.newest(host, spec).await?.id),
            Some(Spec::Previous) => {
                let newest = self.newest(host, spec).await?;
                match self.latest(&newest.host, &newest.benchmark, Some(newest.id)).await? {
                    Some(row) => Ok(row.id),
                    None => Err(StoreError::NotFound {
                        asked: spec.to_owned(),
                        detail: format!(
                            "verification {} is the only one of host {:?} with benchmark {:?}",
                            newest.id, newest.host, newest.benchmark
                        ),
                    }),
                }
            }
            Some(Spec::Number(id)) => self.by_number(host, id).await,
            Some(Spec::Moment(second)) => {
                let id = sqlx::query_scalar(
                    "SELECT max(id) FROM verification
                     WHERE taken_s = ?2 AND (?1 IS NULL OR host = ?1)",
                )
                .bind(host)
                .bind(second)
                .fetch_one(&self.pool)
                .await
                .map_err(self.failed("looking for a verification"))?;
                self.or_span(host, spec, id).await
            }
            Some(Spec::Prefix(prefix)) => {
                let id = sqlx::query_scalar(
                    "SELECT max(id) FROM verification
                     WHERE substr(taken_at, 1, length(?2)) = ?2 AND (?1 IS NULL OR host = ?1)",
                )
                .bind(host)
                .bind(prefix)
                .fetch_one(&self.pool)
                .await
                .map_err(self.failed("looking for a verification"))?;
                self.or_span(host, spec, id).await
            }
        }
    }

    async fn newest(&self, host: Option<&str>, spec: &str) -> Result<VerificationRow, StoreError> {
        let newest = self.history(host, 1).await?.into_iter().next();
        newest.ok_or_else(|| StoreError::NotFound { asked: spec.to_owned(), detail: nothing(host) })
    }

    async fn by_number(
        &self,
        host: Option<&str>,
        id: VerificationId,
    ) -> Result<VerificationId, StoreError> {
        let of: Option<String> = sqlx::query_scalar("SELECT host FROM verification WHERE id = ?")
            .bind(id)
            .fetch_optional(&self.pool)
            .await
            .map_err(self.failed("looking for a verification"))?;
        match (of, host) {
            (None, _) => Err(none(id)),
            (Some(of), Some(host)) if of != host => Err(StoreError::NotFound {
                asked: id.to_string(),
                detail: format!("this verification is of host {of:?}, not of {host:?}"),
            }),
            (Some(_), _) => Ok(id),
        }
    }

    /// What was found, or an error that says from when to when there are verifications.
    async fn or_span(
        &self,
        host: Option<&str>,
        spec: &str,
        found: Option<VerificationId>,
    ) -> Result<VerificationId, StoreError> {
        if let Some(id) = found {
            return Ok(id);
        }
        let (count, first, last): (i64, Option<String>, Option<String>) = sqlx::query_as(
            "SELECT count(*), min(taken_at), max(taken_at)
             FROM verification WHERE ?1 IS NULL OR host = ?1",
        )
        .bind(host)
        .fetch_one(&self.pool)
        .await
        .map_err(self.failed("looking for a verification"))?;
        let detail = match (first, last) {
            (Some(first), Some(last)) => {
                format!(
                    "no verification is of then; the {count} on record are of {first} to {last}"
                )
            }
            _ => nothing(host),
        };
        Err(StoreError::NotFound { asked: spec.to_owned(), detail })
    }
}

fn nothing(host: Option<&str>) -> String {
    match host {
        Some(host) => format!("there is no verification of host {host:?} yet"),
        None => "there is no verification yet".to_owned(),
    }
}

fn parse(spec: &str) -> Option<Spec<'_>> {
    let spec = spec.trim();
    match spec {
        "latest" => return Some(Spec::Latest),
        "previous" => return Some(Spec::Previous),
        _ => {}
    }
    if let Ok(number) = spec.parse() {
        return (number > 0).then_some(Spec::Number(VerificationId(number)));
    }
    if let Ok(moment) = spec.parse::<Timestamp>() {
        return Some(Spec::Moment(moment.as_second()));
    }
    // Compared with the kept times as text, so it has to look like the beginning of one.
    let like = "0000-00-00T00:00:00".bytes();
    let dated = spec.len() >= "0000-00".len()
        && spec.len() <= like.len()
        && spec.bytes().zip(like).all(|(is, like)| match like {
            b'0' => is.is_ascii_digit(),
            other => is == other,
        });
    dated.then_some(Spec::Prefix(spec))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn specs() {
        assert_eq!(parse("latest"), Some(Spec::Latest));
        assert_eq!(parse(" previous "), Some(Spec::Previous));
        assert_eq!(parse("12"), Some(Spec::Number(VerificationId(12))));
        assert_eq!(parse("1970-01-01T09:00:01+09:00"), Some(Spec::Moment(1)));
        for prefix in ["2026-07", "2026-07-28", "2026-07-28T09", "2026-07-28T09:30:00"] {
            assert_eq!(parse(prefix), Some(Spec::Prefix(prefix)));
        }
        for bad in
            ["", "0", "-3", "yesterday", "2026-", "2026_07", "%", "2026-07-28 09", "２０２６-07"]
        {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
