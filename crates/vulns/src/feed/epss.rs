//! EPSS scores of a day (<https://www.first.org/epss/data_stats>, CSV).
//!
//! The first line may be `#model_version:…,score_date:…`; files of the first model have neither it nor percentiles,
//! which are then computed from the scores of the file.

use std::io::{BufRead, BufReader, Read};

use haechi_core::vulnerability::Epss;

use super::{FeedError, Item, Parcel, Sink, keyable};

/// Name of the feed and of its source.
pub const NAME: &str = "epss";
/// Most rows: there are some 300,000 CVEs.
const MAX_ROWS: usize = 5_000_000;
/// Longest first line.
const MAX_LINE: u64 = 4096;

/// The date in a first line `#model_version:…,score_date:…`.
pub fn date(first_line: &str) -> Option<&str> {
    let (_, rest) = first_line.strip_prefix('#')?.split_once("score_date:")?;
    Some(rest.split(',').next().unwrap_or_default().trim())
}

/// Reads a day's file.
///
/// # Errors
/// Its header is not EPSS's, it has no row, or the sink ends it.
pub fn read(input: impl Read, out: &mut dyn Sink) -> Result<(), FeedError> {
    let mut input = BufReader::new(input);
    let mut first = String::new();
    (&mut input).take(MAX_LINE).read_line(&mut first)?;
    let mut day = String::new();
    let rest: Box<dyn Read + '_> = if first.starts_with('#') {
        if let Some(date) = date(&first) {
            out.dated(date);
            date.clone_into(&mut day);
        }
        Box::new(input)
    } else {
        Box::new(std::io::Cursor::new(first).chain(input))
    };
    let mut csv = csv::ReaderBuilder::new().flexible(true).trim(csv::Trim::All).from_reader(rest);
    let header = csv.headers().map_err(shape)?.clone();
    let column = |name: &str| header.iter().position(|h| h.eq_ignore_ascii_case(name));
    let (Some(cve), Some(score)) = (column("cve"), column("epss")) else {
        let seen: Vec<&str> = header.iter().take(5).collect();
        return Err(FeedError::Shape(format!(
            "the header is `{}`, not `cve,epss,percentile`",
            seen.join(",")
        )));
    };
    let percentile = column("percentile");
    let mut rows: Vec<(String, Epss)> = Vec::new();
    for (i, row) in csv.records().enumerate() {
        let row = match row {
            Ok(row) => row,
            Err(error) if error.is_io_error() => return Err(shape(error)),
            Err(error) => {
                out.broken(&format!("row {}", i + 1), &error.to_string());
                continue;
            }
        };
        if rows.len() >= MAX_ROWS {
            return Err(FeedError::Shape(format!("more than {MAX_ROWS} rows")));
        }
        let part = |at: usize| row.get(at)?.parse::<f64>().ok().filter(|v| (0.0..=1.0).contains(v));
        let id = row.get(cve).unwrap_or_default();
        let place = percentile.map_or(Some(0.0), part);
        let (Some(score), Some(percentile), true) =
            (part(score), place, id.starts_with("CVE-") && keyable(id))
        else {
            out.broken(
                &format!("row {} {}", i + 1, id.chars().take(40).collect::<String>()),
                "not a CVE with scores from 0 to 1",
            );
            continue;
        };
        rows.push((id.to_owned(), Epss { score, percentile }));
    }
    if rows.is_empty() {
        return Err(FeedError::Shape("no row in it".to_owned()));
    }
    if percentile.is_none() {
        rank(&mut rows);
    }
    for (cve, epss) in rows {
        out.take(Parcel {
            id: cve.clone(),
            modified: day.clone(),
            items: vec![Item::Epss(cve, epss)],
        })?;
    }
    Ok(())
}

/// Percentile: the part of all scores that are not greater.
#[expect(clippy::cast_precision_loss, reason = "at most five million rows")]
fn rank(rows: &mut [(String, Epss)]) {
    let mut scores: Vec<f64> = rows.iter().map(|r| r.1.score).collect();
    scores.sort_by(f64::total_cmp);
    for (_, epss) in rows {
        let below = scores.partition_point(|s| *s <= epss.score);
        epss.percentile = below as f64 / scores.len() as f64;
    }
}

fn shape(error: csv::Error) -> FeedError {
    FeedError::Shape(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feed::testing::Basket;

    fn scores(text: &str) -> Result<(Vec<(String, Epss)>, Basket), FeedError> {
        let mut basket = Basket::default();
        read(text.as_bytes(), &mut basket)?;
        let items = basket.parcels.iter().flat_map(|p| p.items.clone());
        let all = items
            .filter_map(|i| if let Item::Epss(c, e) = i { Some((c, e)) } else { None })
            .collect();
        Ok((all, basket))
    }

    #[test]
    fn todays_form_and_the_first() {
        let (all, basket) = scores(
            "#model_version:v1,score_date:2030-02-03T00:00:00+0000\ncve,epss,percentile\n\
             CVE-2030-1,0.5,0.9\nCVE-2030-2,1.5,0.1\nnonsense\n",
        )
        .unwrap();
        assert_eq!(all, [("CVE-2030-1".to_owned(), Epss { score: 0.5, percentile: 0.9 })]);
        assert_eq!(basket.dates, ["2030-02-03T00:00:00+0000"]);
        assert_eq!(basket.broken.len(), 2);
        let (all, _) = scores("cve,epss\nCVE-2030-1,0.1\nCVE-2030-2,0.9\n").unwrap();
        assert_eq!(all.iter().map(|r| r.1.percentile).collect::<Vec<_>>(), [0.5, 1.0]);
    }

    #[test]
    fn a_broken_header_is_an_error() {
        for bad in [
            "#model_version:1,score_date:2030-01-01\ninvalid,header\nCVE-2030-1,0.1\n",
            "",
            "cve,epss\n",
        ] {
            assert!(scores(bad).is_err(), "{bad}");
        }
    }
}
