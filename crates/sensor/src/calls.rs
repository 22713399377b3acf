//! Which system calls are told, and how: one table, loaded into the kernel side.
//!
//! Promises that every call listed here is known by both of its numbers, that of the 64-bit entry and those of the
//! 32-bit entry (`int 0x80`). It judges nothing: which calls are bad is for rules. Numbers are those of the kernel
//! (`asm/unistd_64.h`, `asm/unistd_32.h`).

/// No argument of the call.
const NONE: u8 = 255;
/// The process's working directory.
const CWD: u8 = 254;
/// The use of another entry than the 64-bit one; told once for each process.
const OTHER_ENTRY: u16 = 601;
/// `socketcall(2)`, which only the 32-bit entry has.
const SOCKETCALL: u16 = 602;

/// A process left the control group of its container: what it does from then on is not seen.
const LEFT_GROUP: u16 = 603;

/// What a call is about: the numbers of `enum kind` in `bpf/record.h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Opens a file.
    Open = 5,
    /// Is about a socket.
    Network = 6,
    /// Is about one or two paths.
    Path = 7,
    /// Anything else.
    Call = 8,
}

/// Which calls of a name are told: `enum filter` in `bpf/record.h`.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Filter {
    /// All.
    Always,
    /// Those with one of these bits in an argument.
    HasBits(u8, u64),
    /// Those of which an argument points to a number with one of these bits.
    PointsToBits(u8, u64),
    /// Those with this number as an argument.
    Equals(u8, u64),
    /// Those without it.
    Differs(u8, u64),
    /// Those with one of these two.
    OneOf(u8, u32, u32),
}

/// How one call is told.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Row {
    /// Its name.
    pub name: &'static str,
    /// Its number at the 64-bit entry.
    pub number: u16,
    /// Its numbers at the 32-bit entry.
    pub compat: &'static [u16],
    /// What it is about.
    pub kind: Kind,
    /// Whether the reader is woken at once.
    pub urgent: bool,
    /// What the kernel side needs to know; the meaning depends on the kind (see `bpf/calls.h`).
    pub places: [u8; 4],
    /// Which of these calls are told.
    pub filter: Filter,
}

impl Row {
    /// The row as the kernel side has it: `struct call` in `bpf/record.h`.
    pub(crate) fn words(&self) -> [u64; 3] {
        let (filter, filtered, mask) = match self.filter {
            Filter::Always => (0, 0, 0),
            Filter::HasBits(argument, bits) => (1, argument, bits),
            Filter::PointsToBits(argument, bits) => (2, argument, bits),
            Filter::Equals(argument, value) => (3, argument, value),
            Filter::Differs(argument, value) => (4, argument, value),
            Filter::OneOf(argument, one, other) => {
                (5, argument, u64::from(one) | u64::from(other) << 32)
            }
        };
        let [low, high] = self.number.to_ne_bytes();
        let [a, b, c, d] = self.places;
        let shape = [low, high, self.kind as u8, u8::from(self.urgent), a, b, c, d];
        [mask, u64::from_ne_bytes(shape), u64::from_ne_bytes([filter, filtered, 0, 0, 0, 0, 0, 0])]
    }

    const fn wake(mut self) -> Self {
        self.urgent = true;
        self
    }

    const fn only(mut self, filter: Filter) -> Self {
        self.filter = filter;
        self
    }
}

/// An open: where its path, the folder and the flags are; `how` if the flags are behind a pointer (openat2).
const fn open(
    name: &'static str,
    number: u16,
    compat: &'static [u16],
    [path, folder, flags]: [u8; 3],
    how: u8,
) -> Row {
    let places = [path, folder, flags, how];
    Row { name, number, compat, kind: Kind::Open, urgent: false, places, filter: Filter::Always }
}

/// A call about a socket: where its descriptor, the address and the address's length are, and what kind it is.
const fn network(name: &'static str, number: u16, compat: &'static [u16], places: [u8; 4]) -> Row {
    Row { name, number, compat, kind: Kind::Network, urgent: true, places, filter: Filter::Always }
}

/// A call about paths: where the first, its folder, the second and its folder are.
const fn path(name: &'static str, number: u16, compat: &'static [u16], places: [u8; 4]) -> Row {
    Row { name, number, compat, kind: Kind::Path, urgent: false, places, filter: Filter::Always }
}

/// Any other call: where a text, and where a descriptor of a file is.
const fn call(
    name: &'static str,
    number: u16,
    compat: &'static [u16],
    text: u8,
    descriptor: u8,
) -> Row {
    let places = [text, NONE, descriptor, 0];
    Row { name, number, compat, kind: Kind::Call, urgent: true, places, filter: Filter::Always }
}

/// Any other call, without a text.
const fn plain(name: &'static str, number: u16, compat: &'static [u16]) -> Row {
    call(name, number, compat, NONE, NONE)
}

/// New namespaces: `CLONE_NEWTIME`, `NEWNS`, `NEWCGROUP`, `NEWUTS`, `NEWIPC`, `NEWUSER`, `NEWPID`, `NEWNET`.
const NEW_SPACES: u64 = 0x7e02_0080;
/// The same for `clone(2)`, where the low byte is a signal.
const CLONE_SPACES: u64 = 0x7e02_0000;
/// `TIOCSTI`: types into a terminal.
const TYPE_IN: u64 = 0x5412;
/// `SIGURG`, by which the runtime of Go interrupts its own threads all the time; it does nothing by default.
const WAKE_THREAD: u64 = 23;
/// `F_DUPFD` and `F_DUPFD_CLOEXEC`.
const DUPLICATE: u32 = 0;
const DUPLICATE_CLOSING: u32 = 1030;

/// Ways of network calls: `enum network` in `bpf/record.h`.
const DUP: u8 = 1;
const DATAGRAM: u8 = 2;
const MESSAGE: u8 = 3;
const MESSAGES: u8 = 4;

/// The table.
pub(crate) const CALLS: &[Row] = &[
    open("open", 2, &[5], [0, CWD, 1], 0),
    open("creat", 85, &[8], [0, CWD, NONE], 0),
    open("openat", 257, &[295], [1, 0, 2], 0),
    open("openat2", 437, &[437], [1, 0, 2], 1),
    open("open_by_handle_at", 304, &[342], [NONE, NONE, 2], 0),
    network("connect", 42, &[362], [0, 1, 2, 0]),
    network("accept", 43, &[], [NONE, NONE, NONE, 0]),
    network("accept4", 288, &[364], [NONE, NONE, NONE, 0]),
    network("bind", 49, &[361], [0, 1, 2, 0]),
    network("listen", 50, &[363], [0, NONE, NONE, 0]),
    network("sendto", 44, &[369], [0, 4, 5, DATAGRAM]),
    network("sendmsg", 46, &[370], [0, NONE, NONE, MESSAGE]),
    network("sendmmsg", 307, &[345], [0, NONE, NONE, MESSAGES]),
    network("dup", 32, &[41], [NONE, NONE, NONE, DUP]),
    network("dup2", 33, &[63], [NONE, NONE, NONE, DUP]),
    network("dup3", 292, &[330], [NONE, NONE, NONE, DUP]),
    network("fcntl", 72, &[55, 221], [NONE, NONE, NONE, DUP]).only(Filter::OneOf(
        1,
        DUPLICATE,
        DUPLICATE_CLOSING,
    )),
    path("unlink", 87, &[10], [0, CWD, NONE, NONE]),
    path("unlinkat", 263, &[301], [1, 0, NONE, NONE]),
    path("rename", 82, &[38], [0, CWD, 1, CWD]),
    path("renameat", 264, &[302], [1, 0, 3, 2]),
    path("renameat2", 316, &[353], [1, 0, 3, 2]),
    path("link", 86, &[9], [0, CWD, 1, CWD]),
    path("linkat", 265, &[303], [1, 0, 3, 2]),
    // What a symbolic link points to is kept as it is given: it is relative to the link.
    path("symlink", 88, &[83], [0, NONE, 1, CWD]),
    path("symlinkat", 266, &[304], [0, NONE, 2, 1]),
    path("mkdir", 83, &[39], [0, CWD, NONE, NONE]),
    path("mkdirat", 258, &[296], [1, 0, NONE, NONE]),
    path("rmdir", 84, &[40], [0, CWD, NONE, NONE]),
    path("mknod", 133, &[14], [0, CWD, NONE, NONE]),
    path("mknodat", 259, &[297], [1, 0, NONE, NONE]),
    path("chmod", 90, &[15], [0, CWD, NONE, NONE]),
    path("fchmod", 91, &[94], [NONE, 0, NONE, NONE]),
    path("fchmodat", 268, &[306], [1, 0, NONE, NONE]),
    path("fchmodat2", 452, &[452], [1, 0, NONE, NONE]),
    path("chown", 92, &[182, 212], [0, CWD, NONE, NONE]),
    path("fchown", 93, &[95, 207], [NONE, 0, NONE, NONE]),
    path("lchown", 94, &[16, 198], [0, CWD, NONE, NONE]),
    path("fchownat", 260, &[298], [1, 0, NONE, NONE]),
    path("truncate", 76, &[92, 193], [0, CWD, NONE, NONE]),
    // The second text is the name of the attribute.
    path("setxattr", 188, &[226], [0, CWD, 1, NONE]),
    path("lsetxattr", 189, &[227], [0, CWD, 1, NONE]),
    path("fsetxattr", 190, &[228], [NONE, 0, 1, NONE]),
    path("setxattrat", 463, &[463], [1, 0, 3, NONE]),
    // What is mounted may be a device, a name or nothing: it is kept as it is given.
    path("mount", 165, &[21], [0, NONE, 1, CWD]).wake(),
    path("umount2", 166, &[22, 52], [0, CWD, NONE, NONE]).wake(),
    path("chroot", 161, &[61], [0, CWD, NONE, NONE]).wake(),
    path("pivot_root", 155, &[217], [0, CWD, 1, CWD]).wake(),
    path("move_mount", 429, &[429], [1, 0, 3, 2]).wake(),
    path("open_tree", 428, &[428], [1, 0, NONE, NONE]).wake(),
    path("fspick", 433, &[433], [1, 0, NONE, NONE]).wake(),
    path("mount_setattr", 442, &[442], [1, 0, NONE, NONE]).wake(),
    path("name_to_handle_at", 303, &[341], [1, 0, NONE, NONE]),
    path("swapon", 167, &[87], [0, CWD, NONE, NONE]).wake(),
    path("swapoff", 168, &[115], [0, CWD, NONE, NONE]).wake(),
    path("acct", 163, &[51], [0, CWD, NONE, NONE]).wake(),
    call("fsopen", 430, &[430], 0, NONE),
    call("fsconfig", 431, &[431], 2, NONE),
    plain("fsmount", 432, &[432]),
    plain("setuid", 105, &[23, 213]),
    plain("setgid", 106, &[46, 214]),
    plain("setreuid", 113, &[70, 203]),
    plain("setregid", 114, &[71, 204]),
    plain("setresuid", 117, &[164, 208]),
    plain("setresgid", 119, &[170, 210]),
    plain("setfsuid", 122, &[138, 215]),
    plain("setfsgid", 123, &[139, 216]),
    plain("setgroups", 116, &[81, 206]),
    plain("setsid", 112, &[66]),
    plain("capset", 126, &[185]),
    plain("ptrace", 101, &[26]),
    plain("setns", 308, &[346]),
    plain("unshare", 272, &[310]),
    plain("clone", 56, &[120]).only(Filter::HasBits(0, CLONE_SPACES)),
    plain("clone3", 435, &[435]).only(Filter::PointsToBits(0, NEW_SPACES)),
    call("memfd_create", 319, &[356], 0, NONE),
    plain("memfd_secret", 447, &[447]),
    plain("io_uring_setup", 425, &[425]),
    plain("bpf", 321, &[357]),
    plain("init_module", 175, &[128]),
    call("finit_module", 313, &[350], NONE, 0),
    call("delete_module", 176, &[129], 0, NONE),
    plain("keyctl", 250, &[288]),
    call("add_key", 248, &[286], 0, NONE),
    call("request_key", 249, &[287], 0, NONE),
    // Signal 0 only asks whether the process is there.
    plain("kill", 62, &[37]).only(Filter::HasBits(1, u64::MAX)),
    plain("tkill", 200, &[238]).only(Filter::HasBits(1, u64::MAX)),
    plain("tgkill", 234, &[270]).only(Filter::Differs(2, WAKE_THREAD)),
    plain("pidfd_send_signal", 424, &[424]).only(Filter::HasBits(1, u64::MAX)),
    plain("pidfd_getfd", 438, &[438]),
    plain("process_vm_readv", 310, &[347]),
    plain("process_vm_writev", 311, &[348]),
    plain("process_madvise", 440, &[440]),
    plain("perf_event_open", 298, &[336]),
    plain("userfaultfd", 323, &[374]),
    plain("ioctl", 16, &[54]).only(Filter::Equals(1, TYPE_IN)),
    plain("personality", 135, &[136]),
    plain("kexec_load", 246, &[283]),
    plain("kexec_file_load", 320, &[]),
    plain("reboot", 169, &[88]),
    plain("settimeofday", 164, &[79]),
    plain("clock_settime", 227, &[264, 404]),
    plain("sethostname", 170, &[74]),
    plain("setdomainname", 171, &[121]),
    plain("syslog", 103, &[103]),
    plain("iopl", 172, &[110]),
    plain("ioperm", 173, &[101]),
    plain("modify_ldt", 154, &[123]),
    plain("fanotify_init", 300, &[338]),
    plain("socketcall", SOCKETCALL, &[102]),
];

/// Name of a call by its number at the 64-bit entry.
pub(crate) fn name(number: u32) -> Option<&'static str> {
    match number {
        59 => Some("execve"),
        322 => Some("execveat"),
        number if number == u32::from(OTHER_ENTRY) => Some("other_entry"),
        number if number == u32::from(LEFT_GROUP) => Some("left_group"),
        number => CALLS.iter().find(|row| u32::from(row.number) == number).map(|row| row.name),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_number_stands_for_two_calls() {
        let mut seen = HashSet::new();
        let mut seen_compat = HashSet::new();
        for row in CALLS {
            assert!(seen.insert(row.number), "{}", row.name);
            for number in row.compat {
                assert!(seen_compat.insert(number), "{}", row.name);
                assert!(*number < 512, "{}", row.name);
            }
            assert_eq!(name(u32::from(row.number)), Some(row.name));
        }
    }

    #[test]
    fn a_row_is_laid_out_as_the_kernel_side_reads_it() {
        let row = plain("kill", 62, &[37]).only(Filter::HasBits(1, 0xff));
        let bytes: Vec<u8> = row.words().into_iter().flat_map(u64::to_ne_bytes).collect();
        assert_eq!(bytes[..8], 0xff_u64.to_ne_bytes());
        assert_eq!(bytes[8..10], 62_u16.to_ne_bytes());
        assert_eq!(bytes[10..18], [8, 1, 255, 255, 255, 0, 1, 1]);
    }
}
