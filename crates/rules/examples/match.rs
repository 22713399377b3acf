//! Loads rule files, prints what does not run, and how long an event takes: `match ROUNDS FILE...`.
//!
//! For whoever looks for the time that rules take. The fields are a plausible set with made-up values.

use std::collections::HashMap;
use std::io::Write;
use std::time::Instant;

use haechi_rules::{Arg, Catalog, Field, Kind, Rules, State, Subject, Value};

const CALLS: &[&str] = &[
    "open",
    "openat",
    "openat2",
    "execve",
    "execveat",
    "connect",
    "accept",
    "accept4",
    "bind",
    "listen",
    "sendto",
    "ptrace",
    "dup",
    "dup2",
    "dup3",
    "setns",
    "unshare",
    "mount",
    "umount",
    "umount2",
    "symlink",
    "symlinkat",
    "link",
    "linkat",
    "unlink",
    "unlinkat",
    "rename",
    "renameat",
    "renameat2",
    "mkdir",
    "mkdirat",
    "rmdir",
    "chmod",
    "fchmod",
    "fchmodat",
    "init_module",
    "finit_module",
    "bpf",
    "memfd_create",
    "userfaultfd",
    "setuid",
    "clone",
    "socket",
];

const NUMBERS: &[&str] = &[
    "evt.num",
    "evt.rawres",
    "fd.num",
    "fd.sport",
    "fd.cport",
    "fd.lport",
    "fd.rport",
    "proc.tty",
    "proc.duration",
    "proc.ppid.duration",
    "proc.pid",
    "proc.ppid",
    "proc.vpid",
    "user.uid",
    "user.loginuid",
    "group.gid",
];
const BOOLS: &[&str] = &[
    "evt.is_open_write",
    "evt.is_open_read",
    "evt.is_open_exec",
    "container.privileged",
    "proc.is_exe_upper_layer",
    "proc.is_exe_from_memfd",
    "proc.is_sid_leader",
    "proc.is_vpgid_leader",
    "fd.connected",
    "fd.name_changed",
];
const IPS: &[&str] =
    &["fd.ip", "fd.sip", "fd.cip", "fd.rip", "fd.lip", "fd.net", "fd.snet", "fd.cnet"];
const TEXTS: &[&str] = &[
    "evt.type",
    "evt.res",
    "evt.arg",
    "evt.rawarg",
    "evt.args",
    "fd.name",
    "fd.nameraw",
    "fd.directory",
    "fd.filename",
    "fd.type",
    "fd.typechar",
    "fd.l4proto",
    "proc.name",
    "proc.pname",
    "proc.exe",
    "proc.exepath",
    "proc.pexe",
    "proc.pexepath",
    "proc.args",
    "proc.cmdline",
    "proc.pcmdline",
    "proc.cwd",
    "proc.sname",
    "proc.env",
    "user.name",
    "user.loginname",
    "group.name",
    "container.id",
    "container.name",
    "container.image.repository",
    "container.image.tag",
    "container.image.digest",
    "thread.cap_effective",
    "thread.cap_permitted",
    "fs.path.name",
    "k8s.ns.name",
    "k8s.pod.name",
];

struct Fields;

impl Catalog for Fields {
    fn field(&self, name: &str, arg: Option<&str>) -> Option<Field> {
        let all = [NUMBERS, BOOLS, IPS, TEXTS, &["proc.aname", "proc.aexepath", "proc.acmdline"]];
        let kinds = [Kind::Number, Kind::Bool, Kind::Ip, Kind::Text, Kind::List];
        let at = all.iter().position(|names| names.contains(&name))?;
        let id = all.iter().flat_map(|names| names.iter()).position(|known| *known == name)?;
        let arg = arg.map(|arg| arg.parse().map_or_else(|_| Arg::Name(arg.into()), Arg::Index));
        let kind = match kinds.get(at)? {
            Kind::List if arg.is_some() => Kind::Text,
            kind => *kind,
        };
        Some(Field { id: u16::try_from(id).ok()?, arg, kind })
    }

    fn call(&self, name: &str) -> bool {
        CALLS.contains(&name)
    }
}

struct Event(HashMap<u16, Value<'static>>);

impl Event {
    fn new(values: &[(&str, Value<'static>)]) -> Self {
        let common = [
            ("container.id", "0123456789ab"),
            ("container.image.repository", "registry.example/web"),
            ("proc.name", "server"),
            ("proc.pname", "containerd-shim"),
            ("proc.exepath", "/srv/server"),
            ("proc.cmdline", "server --listen 8080"),
            ("user.name", "web"),
        ];
        let mut event = HashMap::new();
        for (name, value) in common.map(|(name, value)| (name, value.into())).iter().chain(values) {
            if let Some(field) = Fields.field(name, None) {
                event.insert(field.id, value.clone());
            }
        }
        Event(event)
    }
}

impl Subject for Event {
    fn value<'a>(&'a self, field: &Field) -> Option<Value<'a>> {
        Some(match self.0.get(&field.id).filter(|_| field.arg.is_none())? {
            Value::Text(text) => Value::Text(text.as_ref().into()),
            other => other.clone(),
        })
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [rounds, names @ ..] = words.as_slice() else {
        return Err("usage: match ROUNDS FILE...".into());
    };
    let texts = names.iter().map(std::fs::read_to_string).collect::<Result<Vec<_>, _>>()?;
    let files: Vec<_> = names.iter().zip(&texts).collect();
    let mut out = std::io::stdout().lock();

    let begin = Instant::now();
    let loaded = Rules::load(&files, &Fields);
    writeln!(out, "loaded in {:?}", begin.elapsed())?;
    for problem in &loaded.problems {
        writeln!(out, "{:?} {problem}", problem.severity)?;
    }
    let rules = &loaded.rules;
    let count = |is: fn(&State) -> bool| rules.list().iter().filter(|rule| is(&rule.state)).count();
    writeln!(
        out,
        "{} rules: {} run, {} disabled, {} left out",
        rules.list().len(),
        count(|s| *s == State::Runs),
        count(|s| *s == State::Disabled),
        count(|s| matches!(s, State::LeftOut(_))),
    )?;

    let file = ("fd.typechar", "f".into());
    let events = [
        (
            "execve",
            Event::new(&[
                ("proc.args", "--listen 8080".into()),
                ("proc.exe", "/srv/server".into()),
            ]),
        ),
        (
            "openat",
            Event::new(&[
                ("fd.name", "/etc/ssl/certs/ca-certificates.crt".into()),
                file.clone(),
                ("fd.num", Value::Number(5)),
                ("evt.is_open_read", Value::Bool(true)),
            ]),
        ),
        (
            "openat",
            Event::new(&[
                ("fd.name", "/etc/shadow".into()),
                file,
                ("fd.num", Value::Number(5)),
                ("evt.is_open_read", Value::Bool(true)),
            ]),
        ),
        (
            "connect",
            Event::new(&[
                ("fd.typechar", "4".into()),
                ("fd.sip", Value::Ip([10, 0, 0, 5].into())),
                ("fd.snet", Value::Ip([10, 0, 0, 5].into())),
                ("evt.rawres", Value::Number(0)),
            ]),
        ),
        ("listen", Event::new(&[])),
    ];
    let rounds: u32 = rounds.parse()?;
    for (call, event) in &events {
        let begin = Instant::now();
        let mut found = 0;
        for _ in 0..rounds {
            found += rules.matching(call, event).count();
        }
        let each = begin.elapsed() / rounds.max(1);
        let names: Vec<&str> = rules.matching(call, event).map(|rule| rule.name.as_str()).collect();
        writeln!(
            out,
            "{call}: {each:?} an event, {found} alerts in {rounds}: {}",
            names.join(", ")
        )?;
    }
    Ok(())
}
