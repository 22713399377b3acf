//! Walks through an XML file element by element. No entities but the predefined ones, no DTD, limited depth.

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use crate::reader::Unread;

/// Depth of elements; project files have about 10.
const DEPTH_MAX: usize = 128;

/// What is met on the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::packages) enum Step<'a> {
    /// An element begins: its attributes.
    Start(&'a [(String, String)]),
    /// The text in an element since its last child, without white space around it; at its end.
    Text(&'a str),
    /// An element has ended.
    End,
}

/// Calls `visit` with the path of element names (without namespace) and what is there.
///
/// # Errors
/// It is no XML, or too deep.
pub(in crate::packages) fn walk(
    content: &[u8],
    mut visit: impl FnMut(&[String], Step<'_>),
) -> Result<(), Unread> {
    let source = super::text(content);
    let mut reader = Reader::from_str(&source);
    let mut path: Vec<String> = Vec::new();
    let mut text = String::new();
    let mut any = false;
    loop {
        let event = reader
            .read_event()
            .map_err(|error| Unread(format!("byte {}: {error}", reader.error_position())))?;
        match event {
            Event::Start(element) => {
                if path.len() >= DEPTH_MAX {
                    return Err(Unread(format!("deeper than {DEPTH_MAX} elements")));
                }
                any = true;
                text.clear();
                path.push(local(&element));
                visit(&path, Step::Start(&attributes(&element)?));
            }
            Event::Empty(element) => {
                any = true;
                text.clear();
                path.push(local(&element));
                visit(&path, Step::Start(&attributes(&element)?));
                visit(&path, Step::End);
                path.pop();
            }
            Event::End(_) => {
                visit(&path, Step::Text(text.trim()));
                visit(&path, Step::End);
                path.pop();
                text.clear();
            }
            Event::Text(part) => text.push_str(&part.xml10_content()),
            Event::CData(part) => text.push_str(&part.xml10_content()),
            Event::GeneralRef(name) => text.push(character(&name)?),
            Event::Eof => break,
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::DocType(_) => {}
        }
    }
    if !any {
        return Err(Unread("no XML: it has no element".to_owned()));
    }
    match path.last() {
        Some(open) => Err(Unread(format!("it ends inside <{open}>"))),
        None => Ok(()),
    }
}

fn local(element: &BytesStart<'_>) -> String {
    element.local_name().as_ref().to_owned()
}

fn attributes(element: &BytesStart<'_>) -> Result<Vec<(String, String)>, Unread> {
    let mut list = Vec::new();
    // Looking for attributes that occur twice would take quadratic time.
    for attribute in element.attributes().with_checks(false) {
        let attribute = attribute.map_err(|error| Unread(format!("attribute: {error}")))?;
        let value = attribute
            .normalized_value(quick_xml::XmlVersion::Implicit1_0)
            .map_err(|error| Unread(format!("attribute: {error}")))?;
        list.push((attribute.key.local_name().as_ref().to_owned(), value.into_owned()));
    }
    Ok(list)
}

fn character(name: &quick_xml::events::BytesRef<'_>) -> Result<char, Unread> {
    if let Ok(Some(c)) = name.resolve_char_ref() {
        return Ok(c);
    }
    match name.xml10_content().as_ref() {
        "lt" => Ok('<'),
        "gt" => Ok('>'),
        "amp" => Ok('&'),
        "apos" => Ok('\''),
        "quot" => Ok('"'),
        other => Err(Unread(format!("unknown entity `{other}`"))),
    }
}
