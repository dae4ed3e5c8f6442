//! Whether a document is what its extension says: by its own directory, not by its first bytes.

use std::io::{Cursor, Read as _, sink};

use quick_xml::{Reader, XmlVersion};
use quick_xml::events::{BytesStart, Event};
use shared::files::Reason;
use zip::ZipArchive;

/// How many times its own size a document may unpack to.
const EXPANSION: u64 = 100;
/// What a small one may unpack to all the same, in bytes.
const LEAST: u64 = 1 << 20;
/// What a large one may unpack to, in bytes: as much as can be looked at in a few seconds.
const MOST: u64 = 256 << 20;
/// Parts of a document at most.
const PARTS: usize = 10_000;
/// The list of parts is read up to so many bytes.
const LIST: u64 = 1 << 20;

/// A document of Office 97 to 2003: a compound file that has one of these streams
/// (<https://learn.microsoft.com/openspecs/windows_protocols/ms-cfb>).
pub(super) fn compound(bytes: &[u8], streams: &[&str]) -> Result<(), Reason> {
    if !bytes.starts_with(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1") {
        return Err(Reason::TypeMismatch);
    }
    let file = cfb::CompoundFile::open(Cursor::new(bytes)).map_err(|_| Reason::Malformed)?;
    if streams.iter().any(|stream| file.is_stream(stream)) { Ok(()) } else { Err(Reason::TypeMismatch) }
}

/// A document of Office since 2007: a zip whose list of parts has one that is of the content type `main`
/// (ECMA-376, part 2).
pub(super) fn open_xml(bytes: &[u8], main: &str) -> Result<(), Reason> {
    if !bytes.starts_with(b"PK\x03\x04") {
        return Err(Reason::TypeMismatch);
    }
    let mut archive = ZipArchive::new(Cursor::new(bytes)).map_err(|_| Reason::Malformed)?;
    unpack(&mut archive, bytes.len() as u64)?;
    let Some(place) = archive.index_for_name("[Content_Types].xml") else { return Err(Reason::TypeMismatch) };
    let mut list = Vec::new();
    let part = archive.by_index(place).map_err(|_| Reason::Malformed)?;
    part.take(LIST).read_to_end(&mut list).map_err(|_| Reason::Malformed)?;
    match part_of_type(&list, main)? {
        Some(name) if archive.index_for_name(name.trim_start_matches('/')).is_some() => Ok(()),
        _ => Err(Reason::TypeMismatch),
    }
}

/// Unpacks everything and keeps nothing. What an archive says of its sizes need not be true.
fn unpack(archive: &mut ZipArchive<Cursor<&[u8]>>, size: u64) -> Result<(), Reason> {
    if archive.len() > PARTS {
        return Err(Reason::ExpandsTooFar);
    }
    let mut room = (size * EXPANSION).clamp(LEAST, MOST);
    for place in 0..archive.len() {
        let part = archive.by_index(place).map_err(|_| Reason::Malformed)?;
        // One byte more than there is room for tells.
        let read = std::io::copy(&mut part.take(room + 1), &mut sink()).map_err(|_| Reason::Malformed)?;
        room = room.checked_sub(read).ok_or(Reason::ExpandsTooFar)?;
    }
    Ok(())
}

/// The name of the part that a list of parts says is of this content type.
fn part_of_type(list: &[u8], wanted: &str) -> Result<Option<String>, Reason> {
    let mut reader = Reader::from_reader(list);
    loop {
        match reader.read_event().map_err(|_| Reason::Malformed)? {
            Event::Empty(tag) | Event::Start(tag) if tag.local_name().as_ref() == b"Override" => {
                if attribute(&tag, "ContentType")?.as_deref() == Some(wanted) {
                    return attribute(&tag, "PartName");
                }
            }
            Event::Eof => return Ok(None),
            _ => {}
        }
    }
}

fn attribute(tag: &BytesStart<'_>, name: &str) -> Result<Option<String>, Reason> {
    let found = tag.try_get_attribute(name).map_err(|_| Reason::Malformed)?;
    let text = |attribute: quick_xml::events::attributes::Attribute<'_>| {
        attribute.normalized_value(XmlVersion::Implicit1_0).map(std::borrow::Cow::into_owned).map_err(|_| Reason::Malformed)
    };
    found.map(text).transpose()
}
