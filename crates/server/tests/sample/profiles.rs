//! What containers of the sample do.

use haechi_core::Text;
use haechi_core::alert::Priority;
use haechi_core::allowance::Mode;
use haechi_core::profile::Kind;
use haechi_core::report::profiles::{PackageState, ProfileLine};

use super::common::profiles::{hostile as hostile_line, learning, settled};
use super::*;

impl Sample {
    fn profile_line(&self) -> ProfileLine {
        match self.mood {
            Mood::Busy => settled(),
            Mood::Empty => ProfileLine { number: 7, ..ProfileLine::default() },
            Mood::Hostile => hostile_line(&hostile()),
        }
    }

    pub(super) fn profiles(&self) -> List<ProfileLine> {
        let lines = [self.profile_line(), learning(), settled(), settled()];
        self.list(lines.to_vec())
    }

    pub(super) fn links(&self) -> Vec<ProfileLink> {
        let link = |line: ProfileLine| ProfileLink {
            number: line.number,
            settled: line.settled,
            command: line.command,
            news: line.news,
        };
        if self.empty() { Vec::new() } else { vec![link(self.profile_line()), link(learning())] }
    }

    pub(super) fn profile(&self) -> ProfilePage {
        let profile = self.profile_line();
        if self.empty() {
            return ProfilePage { profile, ..ProfilePage::default() };
        }
        let names: &[(Kind, &[&str])] = &[
            (Kind::Executed, &["/usr/sbin/nginx", "/usr/bin/curl"]),
            (Kind::Mapped, &["/usr/lib/x86_64-linux-gnu/libssl.so.3"]),
            (Kind::Read, &["/etc/nginx/nginx.conf", "/etc/nginx/mime.types", "/etc/passwd"]),
            (Kind::Written, &["/var/log/nginx/access.log"]),
            (Kind::Listening, &["tcp 80", "tcp 443"]),
            (Kind::Peer, &["tcp 10.20.0.7:5432"]),
            (Kind::Call, &["accept4", "epoll_wait", "read", "sendfile", "write"]),
        ];
        let used = names.iter().map(|(kind, values)| UsedRow {
            kind: *kind,
            count: values.len() as u64 + 20,
            values: values.iter().map(|value| self.name(value)).collect(),
        });
        let package = |name: &str, state, file: &str, flaws| PackageRow {
            name: self.name(name),
            version: self.name("1.22.1-9+deb12u2"),
            state,
            file: self.name(file),
            flaws,
        };
        let setting = |of: (&str, &str), today: &str, then: &str| SettingRow {
            of: Text::new(of.0, of.1),
            today: Text::new(&self.name(today), &self.name(today)),
            then: Text::new(then, then),
        };
        let news = [
            (
                Some(Priority::Error),
                "executed /tmp/.x; the file was added or changed in the container",
            ),
            (None, "read /srv/new/a, the first in its folder"),
        ];
        ProfilePage {
            used: used.collect(),
            packages: vec![
                package("nginx", PackageState::Executed, "/usr/sbin/nginx", 2),
                package(
                    "libssl3",
                    PackageState::Loaded,
                    "/usr/lib/x86_64-linux-gnu/libssl.so.3",
                    5,
                ),
                package("perl-base", PackageState::Present, "", 9),
                package("pyyaml", PackageState::Unknown, "", 1),
            ],
            packages_more: 144,
            settings: vec![
                setting(("system calls allowed", "허용된 시스템 호출"), "329", "94"),
                setting(
                    ("capabilities", "capability"),
                    "CHOWN KILL NET_BIND_SERVICE",
                    "NET_BIND_SERVICE",
                ),
                setting(("read-only root", "읽기 전용 루트"), "no", "yes"),
            ],
            remarks: vec![Text::new(&self.name("Give it a volume."), "볼륨을 붙인다.")],
            news: news
                .map(|(priority, said)| NewsRow {
                    at: ago(3),
                    said: Text::new(&self.name(said), &self.name(said)),
                    priority,
                    container: format!("{:064x}", 0xc0de),
                })
                .to_vec(),
            news_more: 0,
            containers: vec![ProfiledRow {
                id: format!("{:064x}", 0xc0de),
                name: self.name("shop-web-1"),
                until: ago(1),
            }],
            alerts: self.alerts(2).rows,
            enforced: self.enforced(),
            profile,
        }
    }

    fn enforced(&self) -> EnforcedRow {
        let text = |text: &str| Text::new(&self.name(text), &self.name(text));
        EnforcedRow {
            mode: Some(Mode::DryRun),
            files: true,
            since: Some(ago(9)),
            actor: self.name("uid 0"),
            said: vec![text("A monitor does it for 2 containers.")],
            found: vec![RefusedRow {
                first_at: ago(4),
                last_at: ago(2),
                times: 3,
                mode: Mode::DryRun,
                value: self.name("/tmp/.x"),
                why: text("not in the profile"),
                done: text("would be refused"),
            }],
            found_more: 41,
        }
    }

    /// The first kind is made; the others are not known well enough.
    pub(super) fn made(&self, question: &MakeFile) -> MadeFile {
        let name = self.name("profile-7.seccomp.json");
        match question.kind {
            FileKind::Seccomp => MadeFile { name, content: Some("{}".into()), said: vec![] },
            _ => MadeFile { name, content: None, said: vec![self.name("NOT SETTLED: files")] },
        }
    }
}
