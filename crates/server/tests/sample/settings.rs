//! The sample's exceptions, accounts, tokens, audit log, settings and report.

use std::collections::BTreeMap;

use haechi_core::SubjectKind;
use haechi_core::policy::Exception;
use haechi_protocol::*;

use super::{REPORT, Sample, ago};

impl Sample {
    pub(super) fn exceptions(&self) -> List<ExceptionLine> {
        let line =
            |number: Option<i64>, subject: &str, reason: &str, expired: bool| ExceptionLine {
                number,
                exception: Exception {
                    check: self.name("container.no-socket"),
                    kind: Some(SubjectKind::Container),
                    subject: self.name(subject),
                    reason: self.name(reason),
                    owner: self.name("yuna"),
                    expires: "2026-12-31".parse().unwrap(),
                },
                expired,
                accepted_at: number.map(|_| ago(900)),
                withdrawn_at: None,
            };
        self.list(vec![
            line(
                Some(3),
                "ci-runner",
                "Builds need it until the rootless engine is there (OPS-114)",
                false,
            ),
            line(Some(2), "shop-web-*", "결제 이전이 끝날 때까지 허용", true),
            line(None, "metrics", "Reads the engine's counters", false),
        ])
    }

    pub(super) fn found(&self) -> Found {
        let row = |kind: &str, title: &str, detail: &str, link: &str| FoundRow {
            kind: kind.into(),
            title: self.name(title),
            detail: self.name(detail),
            link: link.into(),
        };
        let rows = vec![
            row("container", "shop-web-1", "registry.example/shop/web:2.4", "/containers/c0"),
            row("image", "registry.example/shop/web:2.4", "Debian 12", "/images/sha256:00"),
            row("item", "5.4 Privileged containers", "CIS Docker 1.7", "/checklist/cis/5.4"),
            row("vulnerability", "CVE-2024-3094", "xz-utils 5.6.0", "javascript:alert(1)"),
        ];
        Found { rows: self.list(rows).rows }
    }

    pub(super) fn database(&self) -> DatabaseState {
        let row = |name: &str, age_days, entries, problem: &str| SourceRow {
            name: self.name(name),
            fetched: ago(age_days * 24).to_string(),
            age_days,
            entries,
            too_old: age_days > 7,
            problem: problem.into(),
        };
        let rows = vec![
            row("osv/Debian", 1, 48_211, ""),
            row("alpine-secdb/v3.20", 2, 9_120, "looks partial"),
            row("nvd", 12, 301_774, ""),
            row("kev", 1, 1_388, ""),
        ];
        DatabaseState { sources: self.list(rows).rows }
    }

    pub(super) fn audit(&self) -> List<AuditRow> {
        let rows = (0..20_i64).map(|number| AuditRow {
            number: 4120 - number,
            at: ago(number),
            actor: if number % 4 == 3 { "haechi".into() } else { self.name("yuna") },
            address: if number % 4 == 3 { String::new() } else { "2001:db8::17".into() },
            action: ["Login", "Act", "Accept", "JobEnded"][number as usize % 4].into(),
            subject: self.name("{\"id\":\"c0de\",\"what\":\"pause\"}"),
            outcome: if number == 5 { "forbidden" } else { "done" }.into(),
            details: [("reason".to_owned(), "점검 중 <b>확인</b>".to_owned())].into(),
            hash: format!("{:064x}", number * 7_919_123),
        });
        self.list(rows.collect())
    }

    pub(super) fn accounts(&self) -> List<AccountRow> {
        let row = |name: &str, role, locked, hours: Option<i64>| AccountRow {
            name: self.name(name),
            role,
            locked,
            last_login: hours.map(ago),
        };
        let rows = vec![
            row("admin", Role::Admin, false, Some(1)),
            row("yuna", Role::Operator, false, Some(20)),
            row("auditor.kim", Role::Auditor, true, None),
        ];
        List { rows, next: None, total: Some(3) }
    }

    pub(super) fn token(&self) -> TokenRow {
        TokenRow {
            number: 2,
            account: self.name("yuna"),
            name: self.name("Grafana"),
            scope: Scope::Read,
            expires: ago(-24 * 60),
            used: Some(ago(1)),
        }
    }

    pub(super) fn tokens(&self) -> List<TokenRow> {
        self.list(vec![self.token(), TokenRow { scope: Scope::Write, used: None, ..self.token() }])
    }

    pub(super) fn settings(&self) -> Settings {
        Settings {
            version: "0.1.0".into(),
            policy: if self.empty() {
                "defaults".into()
            } else {
                self.name("/etc/haechi/policy.toml")
            },
            policy_text: self
                .name("[monitor]\nbudget = 20\n\n[images]\nunsafe_rating = \"critical\"\n"),
            interval_minutes: if self.empty() { 0 } else { 60 },
            certificate: "5f:".repeat(31) + "5f",
        }
    }

    pub(super) fn period(&self) -> PeriodReport {
        let empty = self.empty();
        PeriodReport {
            picture: self.picture(),
            taken: if empty { 0 } else { 214 },
            verifications: if empty {
                Vec::new()
            } else {
                (11..=40).map(|number| self.line(number)).collect()
            },
            items: if empty {
                Vec::new()
            } else {
                (0..REPORT.items.len()).map(|place| self.row(place)).collect()
            },
            exceptions: {
                let mut rows = self.exceptions().rows;
                rows.iter_mut().take(1).for_each(|row| row.withdrawn_at = Some(ago(30)));
                rows
            },
            actions: self.actions().rows,
            more_actions: !empty,
            alerts: if empty {
                BTreeMap::new()
            } else {
                [
                    (self.name("SSH server started in a container"), 3),
                    (self.name("Write below /etc"), 412),
                ]
                .into()
            },
            watched: match empty {
                true => Watched::default(),
                false => Watched {
                    containers: 1_204,
                    seconds: 1_000_000,
                    lost: 12,
                    activity_missed: true,
                },
            },
        }
    }
}
