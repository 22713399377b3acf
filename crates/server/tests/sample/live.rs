//! The sample's containers, alerts, responses and work.

use std::collections::BTreeMap;

use haechi_core::activity::{Activity, ExecCall};
use haechi_core::alert::{Alert, AlertContainer, Ancestor, Priority};
use haechi_core::event::Event;
use haechi_core::report::distinct;
use haechi_core::response::{
    Action, Evidence, EvidenceFile, EvidenceProcess, Outcome, Response, Speed, Withheld,
};
use haechi_core::verdict::Safety;
use haechi_core::{Area, Severity, SubjectKind, Text};
use haechi_protocol::*;
use serde_json::json;

use super::{Mood, REPORT, Sample, ago, hostile};

const NAMES: [&str; 6] =
    ["shop-web-1", "ci-runner", "shop-결제-1", "metrics", "shop-redis-1", "mail"];

impl Sample {
    pub(super) fn risks(&self) -> Vec<RiskLine> {
        let factor = |factor: &str, times, en: &str, ko: &str| RiskFactor {
            factor: factor.into(),
            times,
            why: Text::new(en, ko),
        };
        let text = |en: &str, ko: &str| {
            if self.mood == Mood::Hostile {
                Text::new(&hostile(), &hostile())
            } else {
                Text::new(en, ko)
            }
        };
        let rows = vec![
            RiskLine {
since: None,
                rank: 96.2,
                area: Area::Instance,
                title: text(
                    "ci-runner holds the engine's socket and can take over the host",
                    "ci-runner가 엔진 소켓을 쥐고 있어 호스트를 장악할 수 있음",
                ),
                link: "/containers/c1".into(),
                factors: vec![
                    factor("severity", 10.0, "Critical finding", "심각도가 심각인 결과"),
                    factor("socket", 2.0, "It holds the engine's socket, which is root on the host", "엔진 소켓을 쥐고 있으며 이는 호스트의 root와 같음"),
                    factor("reachable", 1.5, "Port 8080 is published on every address", "8080 포트가 모든 주소에 공개됨"),
                    factor("alerts", 1.25, "3 urgent alerts in the last day", "최근 24시간에 긴급 경보 3건"),
                ],
                remediation: text(
                    "Remove the mount of `/var/run/docker.sock`, or give the runner a rootless engine of its own.",
                    "`/var/run/docker.sock` 마운트를 없애거나, 러너 전용 rootless 엔진을 쓰십시오.",
                ),
                command: "docker rm -f ci-runner\ndocker run -d --name ci-runner --read-only registry.example/ci/runner:5".into(),
                mends: 4,
            },
            RiskLine {
since: None,
                rank: 88.7,
                area: Area::Image,
                title: text(
                    "CVE-2024-3094 in xz-utils runs in shop-web-1",
                    "shop-web-1에서 실행 중인 xz-utils의 CVE-2024-3094",
                ),
                link: "/images/sha256:00".into(),
                factors: vec![
                    factor("severity", 10.0, "CVSS 10.0", "CVSS 10.0"),
                    factor("exploited", 1.8, "Known to be exploited", "실제 공격에 쓰임"),
                    factor("executed", 1.0, "Whether its code runs is not known", "코드가 실행되는지 알 수 없음"),
                    factor("user", 0.8, "It runs as user 1000", "사용자 1000으로 실행됨"),
                ],
                remediation: text("Update xz-utils to 5.6.1+really5.4.5-1 and build the image again.", "xz-utils를 5.6.1+really5.4.5-1로 업데이트하고 이미지를 다시 빌드하십시오."),
                command: "apt-get update && apt-get install --only-upgrade xz-utils".into(),
                mends: 17,
            },
            RiskLine {
since: None,
                rank: 54.0,
                area: Area::Environment,
                title: text("The engine's TCP socket takes anybody", "엔진 TCP 소켓이 누구나 받아들임"),
                link: "/checklist/cis/2.7".into(),
                factors: vec![factor("severity", 5.0, "High finding", "심각도가 높음인 결과")],
                remediation: text("Set `tlsverify` for the daemon.", "데몬에 `tlsverify`를 설정하십시오."),
                command: String::new(),
                mends: 1,
            },
        ];
        self.list(rows).rows
    }

    pub(super) fn alert_counts(&self) -> BTreeMap<Priority, u64> {
        let counts = [(Priority::Critical, 3), (Priority::Warning, 41), (Priority::Notice, 1204)];
        if self.empty() { BTreeMap::new() } else { counts.into() }
    }

    pub(super) fn monitor(&self) -> MonitorState {
        if self.empty() {
            return MonitorState::default();
        }
        MonitorState {
            watching: true,
            since: Some(ago(31)),
            lost: 12,
            lacks: vec![self.name("names of files below a deleted folder")],
            engine_silent: false,
        }
    }

    pub(super) fn job(&self) -> Job {
        Job {
            number: 7,
            kind: "scan".into(),
            subject: self.name("registry.example/shop/web:2.4"),
            by: self.name("yuna"),
            state: JobState::Running,
            progress: Some((13, 21)),
            problem: None,
            since: ago(0),
            ended: None,
        }
    }

    fn place(&self, place: usize) -> AlertContainer {
        AlertContainer {
            id: format!("{:064x}", place + 0xc0de),
            name: self.name(NAMES[place % NAMES.len()]),
            image: self.name("registry.example/shop/web:2.4"),
            namespace: self.name("shop"),
            pod: self.name("web-7d9f4c8b5-x2x7q"),
        }
    }

    fn alert(&self, number: i64) -> AlertRow {
        let place = usize::try_from(number).unwrap();
        let kinds = [
            ("SSH server started in a container", Priority::Critical, "sshd -D -p 2222"),
            ("Shell spawned by a web server", Priority::Error, "sh -c 'id; cat /etc/passwd'"),
            (
                "Package manager run in a container",
                Priority::Warning,
                "apt-get install -y netcat-openbsd",
            ),
            ("Write below /etc", Priority::Notice, "cp /tmp/.x /etc/cron.d/backup"),
        ];
        let (rule, priority, command) = kinds[place % kinds.len()];
        let event: Event = serde_json::from_value(json!({
            "at": 1, "cgroup": 7, "call": "execve", "result": 0,
            "process": {"pid": 41233, "tid": 41233, "inner_pid": 88, "parent": 41201, "started": 5, "uid": 0, "euid": 0,
                "gid": 0, "login_uid": 4_294_967_295_u32, "tty": 0, "session": 41201, "capabilities": 0, "permitted": 0,
                "name": "sshd", "owner": 41233, "host_mounts": false},
            "action": {"exec": {"path": "/usr/sbin/sshd", "file": "/usr/sbin/sshd", "args": ["sshd", "-D"], "args_cut": false,
                "cwd": "/srv", "origin": "changed", "before": "sh", "inode": 9, "modified": 1, "held": true, "network_streams": 0}}
        }))
        .unwrap();
        let ancestor = |pid, name: &str, command: &str| Ancestor {
            pid,
            name: name.into(),
            path: format!("/usr/bin/{name}"),
            command: self.name(command),
        };
        AlertRow {
            number: 90_000 - number,
            alert: Alert {
                schema: haechi_core::alert::ALERT_SCHEMA.into(),
                at: ago(number),
                rule: self.name(rule),
                priority,
                text: self.name(&format!(
                    "{rule} (command={command} container={} user=root)",
                    NAMES[place % NAMES.len()]
                )),
                tags: vec!["container".into(), "T1021.004".into(), self.name("network")],
                checks: vec!["container.no-ssh".into()],
                container: self.place(place),
                program: self.name("/usr/sbin/sshd"),
                command: self.name(command),
                ancestors: vec![
                    ancestor(41201, "sh", "sh -c ./entry.sh"),
                    ancestor(41177, "node", "node server.js"),
                ],
                event,
            },
        }
    }

    pub(super) fn alerts(&self, count: i64) -> List<AlertRow> {
        self.list((0..count).map(|number| self.alert(number)).collect())
    }

    pub(super) fn urgent(&self) -> Vec<AlertGroup> {
        let rows = self.alerts(6).rows.into_iter().zip([1, 100, 3, 2, 1, 12]);
        let group = |(row, count)| AlertGroup { row, count, more: count == 100 };
        let mut groups: Vec<AlertGroup> = rows.map(group).collect();
        groups.sort_by_key(|group| group.row.alert.priority);
        groups
    }

    fn action(&self, number: i64) -> ActionRow {
        let outcomes = [
            Outcome::Done,
            Outcome::Withheld(Withheld::Protected),
            Outcome::Failed(self.name("the engine did not answer")),
            Outcome::Ended,
            Outcome::DryRun,
        ];
        let place = usize::try_from(number).unwrap();
        let process = EvidenceProcess {
            pid: 41233,
            parent: 41201,
            uid: 0,
            program: "/usr/sbin/sshd".into(),
            sha256: "ab".repeat(32),
            command: self.name("sshd -D -p 2222"),
            files: Vec::new(),
            maps: Vec::new(),
        };
        let file = EvidenceFile {
            path: self.name("/etc/ssh/sshd_config"),
            size: 3254,
            mode: 0o644,
            modified: 0,
            sha256: String::new(),
            deleted: false,
        };
        ActionRow {
            number: 500 - number,
            action: Action {
                schema: haechi_core::response::ACTION_SCHEMA.into(),
                at: ago(number),
                response: [Response::Pause, Response::Kill, Response::Isolate][place % 3],
                container: self.place(place),
                pid: if place % 3 == 1 { 41233 } else { 0 },
                rule: self.name("SSH server started in a container"),
                cause: self.name("SSH server started in a container (command=sshd -D -p 2222)"),
                outcome: outcomes[place % outcomes.len()].clone(),
                speed: Speed { seen_us: Some(310), stopped_us: Some(2140), ..Speed::default() },
                until: None,
                evidence: Some(Evidence {
                    processes: vec![process],
                    files: vec![file],
                    gaps: vec![self.name("one file was too large")],
                }),
            },
        }
    }

    pub(super) fn actions(&self) -> List<ActionRow> {
        self.list((0..5).map(|number| self.action(number)).collect())
    }

    pub(super) fn alert_page(&self, number: i64) -> AlertPage {
        let mut row = self.alert(0);
        row.number = number;
        let actions = if self.empty() { Vec::new() } else { vec![self.action(0)] };
        AlertPage { row, actions }
    }

    pub(super) fn activity(&self) -> List<ActivityRow> {
        let exec = ExecCall {
            id: "e1".into(),
            command: self.name("sh -c 'apt-get install -y openssh-server'"),
            user: self.name("root"),
            privileged: None,
            pid: 41233,
        };
        let rows = (0..12_i64).map(|number| {
            let is_exec = number % 4 == 1;
            ActivityRow {
                number: 800 - number,
                activity: Activity {
                    at: ago(number),
                    kind: if number % 5 == 4 { "image" } else { "container" }.into(),
                    action: if is_exec {
                        "exec_start"
                    } else {
                        ["start", "die", "mount"][number as usize % 3]
                    }
                    .into(),
                    id: format!("{:064x}", number + 0xc0de),
                    name: self.name(NAMES[number as usize % NAMES.len()]),
                    image: self.name("registry.example/shop/web:2.4"),
                    details: vec![self.name("exitCode=137"), "signal=9".into()],
                    exec: is_exec.then(|| exec.clone()),
                },
            }
        });
        self.list(rows.collect())
    }

    fn row_of(&self, place: usize) -> ContainerRow {
        let of = |f: &&haechi_core::Finding| {
            f.subject.kind == SubjectKind::Container && f.subject.name == "shop-web-1"
        };
        let mut counts = haechi_core::report::Counts::default();
        distinct(&REPORT.items).filter(of).for_each(|f| counts.add(f.status));
        let verified = place != 5;
        ContainerRow {
            id: self.place(place).id,
            name: self.place(place).name,
            image: self.place(place).image,
            image_id: format!("sha256:{:064x}", 0xabc0_ffee_u64),
            safety: [Some(Safety::Unsafe), None, Some(Safety::Undecided), Some(Safety::Safe)]
                [place % 4],
            state: ["running", "paused", "exited"][place % 3].into(),
            verified,
            rank: if verified { [96.2, 88.7, 40.0, 12.5, 3.1, 0.0][place % 6] } else { 0.0 },
            counts: if verified { counts } else { Default::default() },
            failing: if verified {
                [(Severity::Critical, 2), (Severity::High, 3), (Severity::Medium, 5)].into()
            } else {
                BTreeMap::new()
            },
            alerts: [1000, 41, 0, 3, 0, 0][place % 6],
        }
    }

    pub(super) fn containers(&self) -> Ranked<ContainerRow> {
        self.ranked((0..6).map(|place| self.row_of(place)).collect())
    }

    /// A container of which only the record is left.
    pub(super) fn gone(&self) -> ContainerPage {
        let container = ContainerRow {
            state: "gone".into(),
            verified: false,
            image_id: String::new(),
            ..self.row_of(5)
        };
        ContainerPage {
            container,
            risks: Vec::new(),
            findings: Vec::new(),
            processes: None,
            connections: Vec::new(),
            resources: None,
            image: None,
            ..self.container()
        }
    }

    pub(super) fn container(&self) -> ContainerPage {
        let empty = self.empty();
        let process = |pid, parent, uid, command: &str| ProcessRow {
            pid,
            parent,
            uid,
            command: self.name(command),
        };
        let line = |local: &str, remote: &str| Connection {
            protocol: "tcp".into(),
            local: local.into(),
            remote: remote.into(),
        };
        let found = distinct(&REPORT.items).filter(|f| f.subject.name == "shop-web-1");
        ContainerPage {
            container: if empty {
                ContainerRow { verified: false, ..self.row_of(5) }
            } else {
                self.row_of(0)
            },
            risks: self.risks().into_iter().take(2).collect(),
            findings: if empty { Vec::new() } else { found.map(|f| self.finding(f)).collect() },
            processes: (!empty).then(|| {
                vec![
                    process(41177, 41150, 1000, "node server.js --port 8080"),
                    process(41201, 41177, 0, "sh -c ./entry.sh --token=[redacted]"),
                    process(41233, 41201, 0, "sshd -D -p 2222"),
                ]
            }),
            connections: if empty {
                Vec::new()
            } else {
                vec![
                    line("0.0.0.0:8080", ""),
                    line("[2001:db8::17]:39112", "[2001:db8:ffff::9]:443"),
                ]
            },
            resources: (!empty).then_some(Resources {
                memory: Some(418_000_000),
                memory_max: Some(512_000_000),
                cpu: Some(0.37),
                cpu_us: Some(1),
                cpu_max: Some(2.0),
                pids: Some(31),
                pids_max: None,
            }),
            unseen: if empty { vec!["its processes".into()] } else { Vec::new() },
            image: (!empty).then(|| self.image_row(0)),
            alerts: self.alerts(4).rows,
            actions: self.actions().rows.into_iter().take(2).collect(),
            profiles: self.links(),
        }
    }
}
