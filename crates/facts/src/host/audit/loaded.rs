//! A rule as the kernel has it loaded (`struct audit_rule_data`), translated into what it covers.
//!
//! `netlink-packet-audit` gives the layout; its own rule type is not used, because it takes the
//! length of an `exe` field for its value, which shifts every text after it, and refuses fields
//! that are newer than it.

use audit_rules::{
    AUDIT_ARCH, AUDIT_DIR, AUDIT_EQUAL, AUDIT_EXE, AUDIT_FILTERKEY, AUDIT_OBJ_LEV_HIGH,
    AUDIT_OBJ_USER, AUDIT_PERM, AUDIT_PERM_ATTR, AUDIT_PERM_EXEC, AUDIT_PERM_READ,
    AUDIT_PERM_WRITE, AUDIT_SUBJ_CLR, AUDIT_SUBJ_USER, AUDIT_WATCH, RuleBuffer,
};
use haechi_core::facts::AuditRule;

/// `AUDIT_MAX_FIELDS`.
const FIELDS_MAX: u32 = 64;
/// `__AUDIT_ARCH_64BIT`.
const ARCH_64_BIT: u32 = 0x8000_0000;
/// System calls that are listed in a rule's text.
const SYSCALLS_SHOWN: usize = 64;

/// One condition of a rule.
struct Field {
    kind: u32,
    operator: u32,
    value: u32,
    text: Option<String>,
}

/// Translates a rule; `None` if it is not understood.
pub(super) fn rule(payload: &[u8]) -> Option<AuditRule> {
    let buffer = RuleBuffer::new_checked(payload).ok()?;
    let action = match buffer.action() {
        0 => "never",
        2 => "always",
        _ => return None,
    };
    let list = match buffer.flags() {
        0 => "user",
        1 => "task",
        4 => "exit",
        5 => "exclude",
        6 => "filesystem",
        7 => "io_uring",
        _ => return None,
    };
    let fields = fields(&buffer)?;
    let syscalls = Syscalls::new(buffer.syscalls());
    let mut rule = AuditRule {
        action: Some(action.into()),
        list: Some(list.into()),
        source: Some("kernel".into()),
        ..AuditRule::default()
    };
    let (mut path, mut dir, mut permissions) = (None, None, None);
    // Only the exit and io_uring lists look at system calls.
    let mut limited = matches!(list, "exit" | "io_uring") && !syscalls.all;
    for field in &fields {
        let place = match field.kind {
            AUDIT_WATCH => &mut path,
            AUDIT_DIR => &mut dir,
            AUDIT_PERM => &mut permissions,
            // A label.
            AUDIT_FILTERKEY => continue,
            // With all system calls an architecture takes all of its own; its mate is looked for
            // over all rules.
            AUDIT_ARCH => {
                limited |= field.operator != AUDIT_EQUAL;
                continue;
            }
            _ => {
                limited = true;
                continue;
            }
        };
        limited |= field.operator != AUDIT_EQUAL || place.is_some();
        *place = Some(match &field.text {
            Some(text) => text.clone(),
            None => letters(field.value),
        });
    }
    limited |= path.is_some() && dir.is_some();
    let watch = action == "always"
        && list == "exit"
        && !limited
        && permissions.is_some()
        && (path.is_some() || dir.is_some())
        && fields.iter().all(|field| field.kind != AUDIT_ARCH);
    rule.text = Some(text(action, list, &fields, &syscalls, watch));
    rule.path = Some(path.unwrap_or_default());
    rule.dir = Some(dir.unwrap_or_default());
    rule.permissions = Some(permissions.unwrap_or_else(|| "rwxa".into()));
    rule.limited = Some(limited);
    Some(rule)
}

fn fields(buffer: &RuleBuffer<&[u8]>) -> Option<Vec<Field>> {
    let count = buffer.field_count();
    if count > FIELDS_MAX {
        return None;
    }
    let kinds = numbers(buffer.fields());
    let values = numbers(buffer.values());
    let operators = numbers(buffer.field_flags());
    let mut texts = buffer.buf();
    let mut fields = Vec::new();
    for (kind, (value, operator)) in
        kinds.zip(values.zip(operators)).take(usize::try_from(count).ok()?)
    {
        let has_text = matches!(kind, AUDIT_WATCH | AUDIT_DIR | AUDIT_EXE | AUDIT_FILTERKEY)
            || (AUDIT_SUBJ_USER..=AUDIT_SUBJ_CLR).contains(&kind)
            || (AUDIT_OBJ_USER..=AUDIT_OBJ_LEV_HIGH).contains(&kind);
        let text = match has_text {
            true => {
                let (text, rest) = texts.split_at_checked(usize::try_from(value).ok()?)?;
                texts = rest;
                Some(String::from_utf8_lossy(text).into_owned())
            }
            false => None,
        };
        fields.push(Field { kind, operator, value, text });
    }
    // Bytes that belong to no field would mean that a field has a text that is not known here.
    texts.is_empty().then_some(fields)
}

fn numbers(bytes: &[u8]) -> impl Iterator<Item = u32> {
    bytes.chunks_exact(4).filter_map(|b| Some(u32::from_ne_bytes(*b.first_chunk()?)))
}

fn letters(bits: u32) -> String {
    let known = [
        (AUDIT_PERM_READ, 'r'),
        (AUDIT_PERM_WRITE, 'w'),
        (AUDIT_PERM_EXEC, 'x'),
        (AUDIT_PERM_ATTR, 'a'),
    ];
    known.iter().filter(|(bit, _)| bits & bit != 0).map(|(_, letter)| letter).collect()
}

/// The system calls of a rule.
struct Syscalls {
    all: bool,
    /// Numbers; only the first ones.
    named: Vec<usize>,
}

impl Syscalls {
    fn new(mask: &[u8]) -> Self {
        let words: Vec<u32> = numbers(mask).collect();
        // The last word's upper half names classes and is cleared when a rule is loaded, so it says
        // nothing.
        let all = words.split_last().is_some_and(|(_, rest)| rest.iter().all(|word| *word == !0));
        let set = |number: &usize| {
            words.get(number / 32).is_some_and(|word| word >> (number % 32) & 1 == 1)
        };
        let named = match all {
            true => Vec::new(),
            false => (0..words.len() * 32).filter(set).take(SYSCALLS_SHOWN).collect(),
        };
        Self { all, named }
    }
}

/// The rule as auditctl would take it.
fn text(action: &str, list: &str, fields: &[Field], syscalls: &Syscalls, watch: bool) -> String {
    let mut words = Vec::new();
    if !watch {
        words.push(format!("-a {action},{list}"));
        if syscalls.all {
            words.push("-S all".into());
        } else if !syscalls.named.is_empty() {
            let numbers: Vec<_> = syscalls.named.iter().map(usize::to_string).collect();
            words.push(format!("-S {}", numbers.join(",")));
        }
    }
    for field in fields {
        let value = match (&field.text, field.kind) {
            (Some(text), _) => text.clone(),
            (None, AUDIT_PERM) => letters(field.value),
            (None, AUDIT_ARCH) if field.value & ARCH_64_BIT != 0 => "b64".into(),
            (None, AUDIT_ARCH) => "b32".into(),
            // Ids and exit codes: "unset" is all ones, exit codes are negative.
            (None, _) => field.value.cast_signed().to_string(),
        };
        match (field.kind, watch) {
            // Several keys are joined by this byte.
            (AUDIT_FILTERKEY, _) => {
                words.extend(value.split('\u{1}').map(|key| format!("-k {key}")))
            }
            (AUDIT_WATCH | AUDIT_DIR, true) => words.insert(0, format!("-w {value}")),
            (AUDIT_PERM, true) => words.push(format!("-p {value}")),
            (kind, _) => {
                words.push(format!("-F {}{}{value}", name(kind), operator(field.operator)));
            }
        }
    }
    let text = words.join(" ");
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

fn operator(bits: u32) -> &'static str {
    match bits {
        0x4000_0000 => "=",
        0x3000_0000 => "!=",
        0x1000_0000 => "<",
        0x2000_0000 => ">",
        0x5000_0000 => "<=",
        0x6000_0000 => ">=",
        0x0800_0000 => "&",
        0x4800_0000 => "&=",
        _ => "?",
    }
}

/// Names of fields as in `include/uapi/linux/audit.h`; of a newer one the number.
fn name(kind: u32) -> String {
    let known = match kind {
        0 => "pid",
        1 => "uid",
        2 => "euid",
        3 => "suid",
        4 => "fsuid",
        5 => "gid",
        6 => "egid",
        7 => "sgid",
        8 => "fsgid",
        9 => "auid",
        10 => "pers",
        11 => "arch",
        12 => "msgtype",
        13 => "subj_user",
        14 => "subj_role",
        15 => "subj_type",
        16 => "subj_sen",
        17 => "subj_clr",
        18 => "ppid",
        19 => "obj_user",
        20 => "obj_role",
        21 => "obj_type",
        22 => "obj_lev_low",
        23 => "obj_lev_high",
        24 => "auid_set",
        25 => "sessionid",
        26 => "fstype",
        100 => "devmajor",
        101 => "devminor",
        102 => "inode",
        103 => "exit",
        104 => "success",
        105 => "path",
        106 => "perm",
        107 => "dir",
        108 => "filetype",
        109 => "obj_uid",
        110 => "obj_gid",
        111 => "field_compare",
        112 => "exe",
        113 => "saddr_fam",
        200..=203 => return format!("a{}", kind - 200),
        other => return format!("field{other}"),
    };
    known.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A rule's bytes: all system calls as the kernel gives them back, and conditions.
    fn bytes(list: u32, action: u32, fields: &[(u32, u32, u32)], texts: &str) -> Vec<u8> {
        let mut words = vec![list, action, fields.len() as u32];
        words.extend([!0; 63]);
        words.push(0xffff);
        for column in 0..3 {
            let at = |index: usize| fields.get(index).map_or(0, |f| [f.0, f.1, f.2][column]);
            words.extend((0..64).map(at));
        }
        words.push(texts.len() as u32);
        let mut bytes: Vec<u8> = words.into_iter().flat_map(u32::to_ne_bytes).collect();
        bytes.extend(texts.as_bytes());
        bytes
    }

    #[test]
    fn conditions_decide_what_is_covered() {
        let eq = AUDIT_EQUAL;
        let watch =
            rule(&bytes(4, 2, &[(105, 2, eq), (106, 10, eq), (210, 3, eq)], "/xa\u{1}b")).unwrap();
        assert_eq!(watch.text.as_deref(), Some("-w /x -p wa -k a -k b"));
        assert_eq!((watch.limited, watch.path.as_deref()), (Some(false), Some("/x")));
        for (fields, texts, expected) in [
            (vec![(107, 2, eq)], "/x", "-a always,exit -S all -F dir=/x"),
            (vec![(105, 2, 0x3000_0000)], "/x", "-a always,exit -S all -F path!=/x limited"),
            (
                vec![(112, 2, eq), (105, 2, eq)],
                "/e/x",
                "-a always,exit -S all -F exe=/e -F path=/x limited",
            ),
            (
                vec![(105, 2, eq), (999, 7, eq)],
                "/x",
                "-a always,exit -S all -F path=/x -F field999=7 limited",
            ),
            (
                vec![(105, 2, eq), (105, 2, eq)],
                "/x/y",
                "-a always,exit -S all -F path=/x -F path=/y limited",
            ),
            (
                vec![(105, 2, eq), (107, 2, eq)],
                "/x/y",
                "-a always,exit -S all -F path=/x -F dir=/y limited",
            ),
            (vec![(9, !0, 0x3000_0000)], "", "-a always,exit -S all -F auid!=-1 limited"),
            (
                vec![(103, (-13_i32).cast_unsigned(), eq)],
                "",
                "-a always,exit -S all -F exit=-13 limited",
            ),
        ] {
            let seen = rule(&bytes(4, 2, &fields, texts)).unwrap();
            let limited = if seen.limited.unwrap() { " limited" } else { "" };
            assert_eq!(format!("{}{limited}", seen.text.unwrap()), expected);
        }
        let never = rule(&bytes(1, 0, &[], "")).unwrap();
        assert_eq!(never.text.as_deref(), Some("-a never,task -S all"));
        assert_eq!(never.limited, Some(false));
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        assert!(rule(&[]).is_none());
        assert!(rule(&bytes(4, 1, &[], "")).is_none(), "an action that no kernel loads");
        assert!(rule(&bytes(9, 2, &[], "")).is_none(), "an unknown list");
        assert!(rule(&bytes(4, 2, &[(105, 3, AUDIT_EQUAL)], "/x")).is_none(), "text too short");
        assert!(rule(&bytes(4, 2, &[(999, 3, AUDIT_EQUAL)], "/xy")).is_none(), "text of nobody");
        assert!(rule(&bytes(4, 2, &[(0, 0, 0); 64], "")).is_some());
        let mut many = bytes(4, 2, &[], "");
        many[8..12].copy_from_slice(&65_u32.to_ne_bytes());
        assert!(rule(&many).is_none());
    }

    proptest! {
        #[test]
        fn any_bytes_are_read(
            mut bytes in prop::collection::vec(any::<u8>(), 0..1400),
            cut in 0_usize..3,
        ) {
            if bytes.len() > 1040 && cut > 0 {
                // Plausible heads, so that more than the length check is reached.
                bytes[..12].copy_from_slice(&[4, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0]);
                let length = u32::try_from(bytes.len() - 1040).unwrap();
                bytes[1036..1040].copy_from_slice(&length.to_ne_bytes());
            }
            rule(&bytes);
        }
    }
}
