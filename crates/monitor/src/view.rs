//! One event as rules see it: the values of fields.
//!
//! A field that has no value here is absent, and no comparison with it is true. Values come from the event, its
//! process's known history, and its container.

use std::borrow::Cow;
use std::net::IpAddr;

use haechi_core::event::{Action, Endpoint, Event, Network, Origin, Socket};
use haechi_rules::{Arg, Field, Kind, Subject, Value};

use crate::container::Container;
use crate::fields::{self, Id};
use crate::tree::{Known, Tree};
use crate::{arguments, flags};

/// Bytes that the kernel keeps of the name of a process (`TASK_COMM_LEN` without the NUL).
const NAME_KEPT: usize = 15;

/// One event with what is known around it.
pub struct View<'a> {
    /// The event.
    pub event: &'a Event,
    /// How many events came until now, this one among them.
    pub number: u64,
    /// Processes.
    pub tree: &'a Tree,
    /// Its container.
    pub container: Option<&'a Container>,
    /// Name of this machine.
    pub host: &'a str,
}

/// `10.0.0.2:51234->10.0.0.3:443`, or the path of a Unix socket.
pub fn tuple(network: &Network) -> String {
    let end = |end: Endpoint| match end.ip {
        IpAddr::V4(ip) => format!("{ip}:{}", end.port),
        IpAddr::V6(ip) => format!("[{ip}]:{}", end.port),
    };
    match (network.local, network.remote) {
        (Some(local), Some(remote)) => format!("{}->{}", end(local), end(remote)),
        (Some(one), None) | (None, Some(one)) => end(one),
        (None, None) => network.path.clone(),
    }
}

/// Owner of a user id, without looking into the container: only root has the same name everywhere.
fn user(id: u32) -> Option<Value<'static>> {
    match id {
        0 => Some(text("root")),
        u32::MAX => None,
        other => Some(Value::Text(other.to_string().into())),
    }
}

fn text<'a>(text: impl Into<Cow<'a, str>>) -> Value<'a> {
    Value::Text(text.into())
}

fn filled(words: &str) -> Option<Value<'_>> {
    (!words.is_empty()).then(|| text(words))
}

fn number(number: impl Into<i64>) -> Option<Value<'static>> {
    Some(Value::Number(number.into()))
}

impl<'a> View<'a> {
    fn own(&self) -> Option<&'a Known> {
        self.tree.at(self.event.process.pid, self.event.at)
    }

    fn ancestor(&self, level: u32) -> Option<&'a Known> {
        match level {
            0 => self.own(),
            level => self.tree.ancestors(self.event.process.pid).nth(level as usize - 1),
        }
    }

    fn network(&self) -> Option<&'a Network> {
        match &self.event.action {
            Action::Network(network) => Some(network),
            _ => None,
        }
    }

    /// The two ends as client and server: whoever connects is the client.
    fn ends(&self) -> (Option<Endpoint>, Option<Endpoint>) {
        let Some(network) = self.network() else { return (None, None) };
        match self.event.call.as_str() {
            "accept" | "accept4" | "bind" | "listen" => (network.remote, network.local),
            _ => (network.local, network.remote),
        }
    }

    fn fd_path(&self) -> Option<&'a str> {
        match &self.event.action {
            Action::Open(open) => Some(&open.path),
            Action::Path(call) if self.event.call.starts_with('f') => Some(&call.path),
            Action::Network(network) if network.socket == Socket::Unix => Some(&network.path),
            _ => None,
        }
    }

    /// Where something new stands after the event.
    fn placed(&self) -> Option<&'a str> {
        if self.event.result < 0 {
            return None;
        }
        match &self.event.action {
            Action::Open(open) if open.write => Some(&open.path),
            Action::Path(call) => match self.event.call.as_str() {
                "mknod" | "mknodat" | "truncate" => Some(&call.path),
                "rename" | "renameat" | "renameat2" | "link" | "linkat" | "symlink"
                | "symlinkat" => Some(&call.second),
                _ => None,
            },
            _ => None,
        }
    }

    /// What got another name.
    fn taken(&self) -> Option<Cow<'a, str>> {
        let Action::Path(call) = &self.event.action else { return None };
        match self.event.call.as_str() {
            _ if self.event.result < 0 => None,
            "rename" | "renameat" | "renameat2" | "link" | "linkat" => Some((&*call.path).into()),
            // As it was given, from the folder that the link is in.
            "symlink" | "symlinkat" => {
                let (folder, _) = call.second.rsplit_once('/').unwrap_or_default();
                let folder = if call.path.starts_with('/') { "" } else { folder };
                Some(plain(&format!("{folder}/{}", call.path)).into())
            }
            _ => None,
        }
    }

    /// The value of a field; `level` is its number, if it takes one and has it.
    fn field(&self, id: Id, level: Option<u32>) -> Option<Value<'a>> {
        let event = self.event;
        let process = &event.process;
        let end = |end: Option<Endpoint>| end.map(|end| Value::Ip(end.ip));
        let port = |end: Option<Endpoint>| end.map(|end| Value::Number(end.port.into()));
        match id {
            Id::EvtType => Some(text(event.call.as_str())),
            Id::EvtDir => Some(text("<")),
            Id::EvtTime => number(i64::try_from(event.at).unwrap_or(i64::MAX)),
            Id::EvtNumber => number(i64::try_from(self.number).unwrap_or(i64::MAX)),
            Id::EvtResult => Some(text(flags::result(event.result))),
            Id::EvtRawResult => number(event.result),
            Id::EvtFailed => Some(Value::Bool(event.result < 0)),
            Id::EvtArgs => Some(text(arguments::all(event))),
            Id::EvtOpenRead | Id::EvtOpenWrite | Id::EvtOpenCreate => match &event.action {
                Action::Open(open) => Some(Value::Bool(match id {
                    Id::EvtOpenRead => open.read,
                    Id::EvtOpenWrite => open.write,
                    _ => open.created,
                })),
                _ => Some(Value::Bool(false)),
            },
            Id::EvtHost => Some(text(self.host)),
            Id::ProcName => filled(&process.name),
            Id::ProcExe => self.own().and_then(|own| own.args.first()).and_then(|arg| filled(arg)),
            Id::ProcPath => self.own().and_then(|own| filled(&own.path)),
            Id::ProcArgs => {
                self.own().map(|own| text(own.args.get(1..).unwrap_or_default().join(" ")))
            }
            Id::ProcArgc => {
                let count = self.own()?.args.len().saturating_sub(1);
                number(i64::try_from(count).unwrap_or(i64::MAX))
            }
            Id::ProcCommand => self.own().map(|own| text(own.command_line())),
            Id::ProcCwd => self.own().and_then(|own| filled(&own.cwd)),
            Id::ProcPid => number(process.pid),
            Id::ProcParentPid => number(process.parent),
            Id::ProcInnerPid => {
                (process.inner_pid > 0).then_some(Value::Number(process.inner_pid.into()))
            }
            Id::ProcSession => number(process.session),
            Id::ProcSessionName => {
                self.tree.get(process.session).and_then(|leader| filled(&leader.name))
            }
            Id::ProcTty => number(process.tty),
            Id::ProcDuration => duration(event.at, process.started),
            Id::ProcParentDuration => duration(event.at, self.ancestor(1)?.started),
            Id::ProcUpper => Some(Value::Bool(self.own()?.origin == Origin::Changed)),
            Id::ProcMemory => Some(Value::Bool(self.own()?.origin == Origin::Memory)),
            Id::ProcParentName => self.ancestor(1).and_then(|parent| filled(&parent.name)),
            Id::ProcParentExe => self.ancestor(1)?.args.first().and_then(|arg| filled(arg)),
            Id::ProcParentPath => self.ancestor(1).and_then(|parent| filled(&parent.path)),
            Id::ProcParentCommand => self.ancestor(1).map(|parent| text(parent.command_line())),
            Id::AncestorFiles => Some(Value::List(
                self.tree
                    .ancestors(process.pid)
                    .filter(|known| matches!(known.origin, Origin::Image | Origin::Unknown))
                    .map(|known| last(&known.path).into())
                    .collect(),
            )),
            Id::Placed => self.placed().and_then(filled),
            Id::Taken => self.taken().map(text),
            Id::ProcAncestorName if level.is_none() => {
                let names =
                    self.tree.ancestors(process.pid).map(|known| Cow::from(known.name.as_str()));
                Some(Value::List(names.collect()))
            }
            Id::ProcAncestorName => self.ancestor(level?).and_then(|known| filled(&known.name)),
            Id::ProcAncestorExe => self.ancestor(level?)?.args.first().and_then(|arg| filled(arg)),
            Id::ProcAncestorPath => self.ancestor(level?).and_then(|known| filled(&known.path)),
            Id::ProcAncestorCommand => {
                self.ancestor(level?).map(|known| text(known.command_line()))
            }
            Id::ProcAncestorPid => self.ancestor(level?).and_then(|known| number(known.pid)),
            Id::ThreadTid => number(process.tid),
            Id::ThreadEffective => Some(text(flags::capabilities(process.capabilities))),
            Id::ThreadPermitted => Some(text(flags::capabilities(process.permitted))),
            Id::UserUid => number(process.euid),
            Id::UserName => user(process.euid),
            Id::UserLoginUid => number(if process.login_uid == u32::MAX {
                -1
            } else {
                i64::from(process.login_uid)
            }),
            Id::UserLoginName => user(process.login_uid),
            Id::GroupGid => number(process.gid),
            Id::GroupName => user(process.gid),
            Id::FdNum => match &event.action {
                Action::Open(_) => number(event.result),
                Action::Network(_) if event.call.starts_with("accept") => number(event.result),
                _ => None,
            },
            Id::FdName => match self.network() {
                Some(network) => Some(text(tuple(network))),
                None => self.fd_path().and_then(filled),
            },
            Id::FdDirectory => self.fd_path().map(|path| {
                text(match path.rsplit_once('/') {
                    Some(("", _)) | None => "/",
                    Some((folder, _)) => folder,
                })
            }),
            Id::FdFile => self.fd_path().map(|path| text(last(path))),
            Id::FdType => self.fd_type().map(|(word, _)| text(word)),
            Id::FdTypeChar => self.fd_type().map(|(_, char)| text(char)),
            Id::FdProtocol => self.network().and_then(|network| match network.socket {
                Socket::Tcp => Some(text("tcp")),
                Socket::Udp => Some(text("udp")),
                Socket::Raw => Some(text("raw")),
                _ => None,
            }),
            Id::FdFamily => self.network().and_then(|network| match network.socket {
                Socket::Tcp | Socket::Udp | Socket::Raw => Some(text("ip")),
                Socket::Unix => Some(text("unix")),
                _ => None,
            }),
            Id::FdConnected => self.network().map(|network| {
                Value::Bool(network.remote.is_some() && (event.result == 0 || event.result == -115))
            }),
            Id::FdIp => {
                let network = self.network()?;
                let both = [network.local, network.remote].into_iter().flatten();
                Some(Value::Ips(both.map(|end| end.ip).collect()))
            }
            Id::FdPort => {
                let network = self.network()?;
                let both = [network.local, network.remote].into_iter().flatten();
                Some(Value::Numbers(both.map(|end| end.port.into()).collect()))
            }
            Id::FdClientIp => end(self.ends().0),
            Id::FdServerIp => end(self.ends().1),
            Id::FdClientPort => port(self.ends().0),
            Id::FdServerPort => port(self.ends().1),
            Id::FdLocalIp => end(self.network()?.local),
            Id::FdRemoteIp => end(self.network()?.remote),
            Id::FdLocalPort => port(self.network()?.local),
            Id::FdRemotePort => port(self.network()?.remote),
            Id::ContainerId => Some(text(self.container.map_or("host", Container::short_id))),
            Id::ContainerFullId => self.container.and_then(|container| filled(&container.id)),
            Id::ContainerName => self.container.and_then(|container| filled(&container.name)),
            Id::ContainerImage => self.container.and_then(|container| filled(&container.image)),
            Id::ContainerRepository => {
                self.container.and_then(|container| filled(container.repository()))
            }
            Id::ContainerTag => self.container.and_then(|container| filled(container.tag())),
            Id::ContainerPrivileged => {
                let container = self.container.filter(|container| !container.name.is_empty())?;
                Some(Value::Bool(container.privileged))
            }
            Id::ContainerMounts => self.container.map(|container| text(container.mounts.join(" "))),
            Id::ContainerStarted => {
                number(i64::try_from(self.container?.started).unwrap_or(i64::MAX))
            }
            Id::ContainerDuration => duration(event.at, self.container?.started),
            Id::PodNamespace => {
                self.container.and_then(Container::pod).map(|(namespace, _)| text(namespace))
            }
            Id::PodName => self.container.and_then(Container::pod).map(|(_, name)| text(name)),
            Id::Program => self.own().and_then(|own| filled(&own.program)),
            Id::HostMounts => Some(Value::Bool(process.host_mounts)),
            Id::OriginOf => self.own().map(|own| {
                text(match own.origin {
                    Origin::Image => "image",
                    Origin::Changed => "changed",
                    Origin::Mounted => "mounted",
                    Origin::Memory => "memory",
                    Origin::Unknown => "unknown",
                })
            }),
            Id::NetworkStreams => match &event.action {
                Action::Exec(exec) => Some(Value::Bool(exec.network_streams != 0)),
                _ => None,
            },
            Id::DnsName => self.network().and_then(|network| question(&network.payload)).map(text),
        }
    }

    fn fd_type(&self) -> Option<(&'static str, &'static str)> {
        match &self.event.action {
            Action::Open(open) => {
                Some(if open.flags & 0x1_0000 != 0 { ("directory", "d") } else { ("file", "f") })
            }
            Action::Network(network) => {
                let v6 = [network.local, network.remote]
                    .into_iter()
                    .flatten()
                    .any(|end| end.ip.is_ipv6());
                match network.socket {
                    Socket::Unix => Some(("unix", "u")),
                    Socket::Netlink => Some(("netlink", "n")),
                    Socket::Tcp | Socket::Udp | Socket::Raw if v6 => Some(("ipv6", "6")),
                    Socket::Tcp | Socket::Udp | Socket::Raw => Some(("ipv4", "4")),
                    Socket::Other => None,
                }
            }
            _ => None,
        }
    }
}

impl Subject for View<'_> {
    fn value<'a>(&'a self, field: &Field) -> Option<Value<'a>> {
        if field.id == fields::ARGUMENT {
            let Some(Arg::Name(name)) = &field.arg else { return None };
            return arguments::argument(self.event, name).map(Value::Text);
        }
        let line = fields::FIELDS.get(usize::from(field.id))?;
        match (line.id, line.kind) {
            (Id::ProcName, Kind::List) => return names(&self.event.process.name, self.own()),
            (Id::ProcParentName, Kind::List) => {
                let parent = self.ancestor(1)?;
                return names(&parent.name, Some(parent));
            }
            _ => {}
        }
        let level = match field.arg {
            Some(Arg::Index(level)) => Some(level),
            _ => None,
        };
        self.field(line.id, level)
    }
}

/// What a process is called, and what its program's file is. A script is what it is called: its file is that of its
/// interpreter.
fn names<'a>(name: &'a str, known: Option<&'a Known>) -> Option<Value<'a>> {
    let file = known.filter(|known| !is_script(known, name)).map(|known| last(&known.path));
    let both = [Some(name), file].into_iter().flatten().filter(|name| !name.is_empty());
    Some(Value::List(both.map(Cow::Borrowed).collect()))
}

/// Whether an interpreter runs a file by whose name the process is called, as the kernel starts scripts. Of that name
/// the kernel keeps so many bytes.
fn is_script(known: &Known, name: &str) -> bool {
    let script = known.args.get(1).map(|script| last(script).as_bytes()).unwrap_or_default();
    !script.is_empty() && script.get(..NAME_KEPT).unwrap_or(script) == name.as_bytes()
}

/// A path without `.` and `..`, as if no part of it were a link.
fn plain(path: &str) -> String {
    let mut parts = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

/// The last part of a path.
fn last(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or_default()
}

/// The name that a DNS question asks for (RFC 1035, 4.1): labels with their lengths, after a head of twelve bytes.
fn question(payload: &[u8]) -> Option<String> {
    let mut rest = payload.get(12..)?;
    let mut name = String::new();
    loop {
        let (size, after) = rest.split_first()?;
        match usize::from(*size) {
            0 => return Some(name),
            // A question holds no compressed names.
            64.. => return None,
            size => {
                let (label, after) = after.split_at_checked(size)?;
                if !name.is_empty() {
                    name.push('.');
                }
                name.push_str(&String::from_utf8_lossy(label));
                rest = after;
            }
        }
    }
}

/// Nanoseconds from then to now; absent if it is not known.
fn duration(now: u64, then: u64) -> Option<Value<'static>> {
    (then > 0).then(|| Value::Number(i64::try_from(now.saturating_sub(then)).unwrap_or(i64::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_has_its_own_name_and_that_of_its_file_and_a_script_only_its_own() {
        let known = |name: &str, path: &str, args: &[&str]| Known {
            name: name.into(),
            path: path.into(),
            args: args.iter().map(|arg| (*arg).to_owned()).collect(),
            ..Known::default()
        };
        for (known, expected) in [
            (known("report", "/usr/bin/bash", &["report"]), &["report", "bash"][..]),
            (known("sh", "/bin/busybox", &["sh", "-c", "x"]), &["sh", "busybox"]),
            (known("step", "/usr/bin/bash", &["/bin/bash", "/srv/step"]), &["step"]),
            (
                known("a-script-with-a", "/bin/sh", &["sh", "/a-script-with-a-long-name"]),
                &["a-script-with-a"],
            ),
            (known("passwd", "/usr/bin/python3", &["python3", "x.py"]), &["passwd", "python3"]),
            (known("", "", &[]), &[]),
        ] {
            let Some(Value::List(names)) = names(&known.name, Some(&known)) else { panic!() };
            assert_eq!(names, expected);
        }
    }

    #[test]
    fn where_things_are_put_and_from_where_they_are_taken() {
        let both = |call: &str, result: i64, path: &str, second: &str| {
            let action = haechi_core::event::PathCall {
                path: path.into(),
                second: second.into(),
                args: [0; 6],
            };
            let event = Event {
                at: 1,
                cgroup: 1,
                process: haechi_core::event::Process::default(),
                call: call.into(),
                result,
                action: Action::Path(action),
            };
            let tree = Tree::default();
            let view = View { event: &event, number: 1, tree: &tree, container: None, host: "" };
            (view.placed().map(str::to_owned), view.taken().map(Cow::into_owned))
        };
        let some = |path: &str| Some(path.to_owned());
        assert_eq!(both("rename", 0, "/a", "/b/c"), (some("/b/c"), some("/a")));
        assert_eq!(both("rename", -13, "/a", "/b/c"), (None, None));
        let link = both("symlinkat", 0, "../etc/./shadow", "/tmp/x");
        assert_eq!(link, (some("/tmp/x"), some("/etc/shadow")));
        assert_eq!(both("symlink", 0, "/etc//x", "/tmp/y").1, some("/etc/x"));
        assert_eq!(both("truncate", 0, "/var/log/x", ""), (some("/var/log/x"), None));
        assert_eq!(both("chmod", 0, "/a", ""), (None, None));
    }

    #[test]
    fn names_of_questions() {
        let asked = |labels: &[u8]| question(&[&[0; 12], labels].concat());
        assert_eq!(asked(b"\x03www\x07example\x00\x00\x01").as_deref(), Some("www.example"));
        for broken in [&b"\x03ww"[..], b"\x40a\x00", b"", b"\x03www"] {
            assert_eq!(asked(broken), None);
        }
        assert_eq!(question(&[0; 5]), None);
    }
}
