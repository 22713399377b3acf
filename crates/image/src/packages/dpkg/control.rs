//! Stanzas of fields, deb-control(5): `Name: value`, continued by lines that begin with a space, ended by an empty line.
//!
//! Works on bytes in place and copies only the fields that are asked for. Line ends may be CRLF.

/// Longest value of a one-line field that is taken: names, versions and maintainers have some dozen bytes.
const VALUE_MAX: usize = 4096;

/// One stanza.
pub(super) struct Stanza<'a> {
    /// Its first line, counted from 1.
    pub line: usize,
    /// The first line that is neither field nor continuation.
    pub broken: Option<usize>,
    fields: Vec<(&'a str, &'a [u8])>,
}

impl<'a> Stanza<'a> {
    /// A field's first line, trimmed. Field names have no case. Too long or no text is as good as absent.
    pub(super) fn get(&self, name: &str) -> Option<&'a str> {
        let line = self.raw(name)?.split(|&byte| byte == b'\n').next().unwrap_or_default();
        let line = line.trim_ascii();
        if line.len() > VALUE_MAX { None } else { str::from_utf8(line).ok() }
    }

    /// A field's value with all its lines. Of a repeated field the last counts.
    pub(super) fn raw(&self, name: &str) -> Option<&'a [u8]> {
        let field = self.fields.iter().rev().find(|(field, _)| field.eq_ignore_ascii_case(name));
        field.map(|(_, value)| *value)
    }
}

/// The stanzas of a file.
pub(super) fn stanzas(content: &[u8]) -> impl Iterator<Item = Stanza<'_>> {
    let mut rest = content;
    let mut line = 0;
    std::iter::from_fn(move || next_stanza(&mut rest, &mut line))
}

/// The fields that are kept; the others would only cost memory.
const WANTED: [&str; 7] =
    ["Package", "Version", "Status", "Architecture", "Source", "Maintainer", "Conffiles"];

fn next_stanza<'a>(rest: &mut &'a [u8], line: &mut usize) -> Option<Stanza<'a>> {
    let mut stanza = Stanza { line: 0, broken: None, fields: Vec::new() };
    // The value that continuation lines extend: where it begins, and whether anyone wants it.
    let mut open: Option<(&'a str, &'a [u8], usize)> = None;
    let mut in_field = false;
    loop {
        if rest.is_empty() {
            break;
        }
        let end = memchr::memchr(b'\n', rest).map_or(rest.len(), |at| at + 1);
        let whole = *rest;
        let (raw, after) = rest.split_at_checked(end)?;
        *rest = after;
        *line += 1;
        let text = raw.trim_ascii_end();
        if text.is_empty() {
            if stanza.line == 0 {
                continue;
            }
            break;
        }
        if stanza.line == 0 {
            stanza.line = *line;
        }
        if matches!(text.first(), Some(b' ' | b'\t')) {
            if let Some((_, _, length)) = &mut open {
                *length += raw.len();
            } else if !in_field {
                stanza.broken.get_or_insert(*line);
            }
            continue;
        }
        close(&mut stanza, open.take());
        let Some(colon) = memchr::memchr(b':', text).filter(|&at| at > 0) else {
            in_field = false;
            stanza.broken.get_or_insert(*line);
            continue;
        };
        in_field = true;
        let name =
            text.get(..colon).map(<[u8]>::trim_ascii).and_then(|name| str::from_utf8(name).ok());
        if let Some(name) = name.filter(|name| WANTED.iter().any(|w| w.eq_ignore_ascii_case(name)))
            && let Some(value) = whole.get(colon + 1..)
        {
            open = Some((name, value, raw.len() - colon - 1));
        }
    }
    close(&mut stanza, open);
    (stanza.line != 0).then_some(stanza)
}

fn close<'a>(stanza: &mut Stanza<'a>, open: Option<(&'a str, &'a [u8], usize)>) {
    if let Some((name, value, length)) = open
        && let Some(value) = value.get(..length)
    {
        // A hostile stanza may repeat a field without end: only the last of each is kept.
        stanza.fields.retain(|(field, _)| !field.eq_ignore_ascii_case(name));
        stanza.fields.push((name, value));
    }
}
