//! Whether a document is what its extension says: by its own directory, not by its first bytes.

use std::io::{Cursor, Read as _, sink};

use quick_xml::events::{BytesStart, Event};
use quick_xml::{Reader, XmlVersion};
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
            Event::Empty(tag) | Event::Start(tag)
                if tag.local_name().as_ref() == b"Override"
                    && attribute(&tag, "ContentType")?.as_deref() == Some(wanted) =>
            {
                return attribute(&tag, "PartName");
            }
            Event::Eof => return Ok(None),
            _ => {}
        }
    }
}

fn attribute(tag: &BytesStart<'_>, name: &str) -> Result<Option<String>, Reason> {
    let found = tag.try_get_attribute(name).map_err(|_| Reason::Malformed)?;
    let text = |attribute: quick_xml::events::attributes::Attribute<'_>| {
        attribute
            .normalized_value(XmlVersion::Implicit1_0)
            .map(std::borrow::Cow::into_owned)
            .map_err(|_| Reason::Malformed)
    };
    found.map(text).transpose()
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::time::{Duration, Instant};

    use zip::ZipWriter;
    use zip::write::SimpleFileOptions;

    use super::*;

    const MAIN: &str = "application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml";

    fn zipped(parts: &[(&str, &[u8])]) -> Vec<u8> {
        let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
        for (name, bytes) in parts {
            zip.start_file(*name, SimpleFileOptions::default()).unwrap();
            zip.write_all(bytes).unwrap();
        }
        zip.finish().unwrap().into_inner()
    }

    fn document(text: &[u8]) -> Vec<u8> {
        let list = format!("<Types><Override PartName='/word/a.xml' ContentType='{MAIN}'/></Types>");
        zipped(&[("[Content_Types].xml", list.as_bytes()), ("word/a.xml", text)])
    }

    fn compound_file() -> Vec<u8> {
        let mut file = cfb::CompoundFile::create(Cursor::new(Vec::new())).unwrap();
        file.create_stream("/WordDocument").unwrap().write_all(&[7; 5000]).unwrap();
        file.into_inner().into_inner()
    }

    #[test]
    fn a_document_may_unpack_to_a_hundred_times_itself_and_no_further() {
        for (size, outcome) in [
            (usize::try_from(LEAST).unwrap() - 1000, Ok(())),
            (usize::try_from(LEAST).unwrap() + 1, Err(Reason::ExpandsTooFar)),
            (64 << 20, Err(Reason::ExpandsTooFar)),
        ] {
            assert_eq!(open_xml(&document(&vec![b' '; size]), MAIN), outcome, "{size}");
        }
        // What compresses as text does goes through: 3 MB in 300 KB.
        let mut text = Vec::new();
        for number in 0..100_000_u32 {
            write!(text, "<w:t>{:08x}</w:t>", number.wrapping_mul(2_654_435_761)).unwrap();
        }
        assert_eq!(open_xml(&document(&text), MAIN), Ok(()));
    }

    #[test]
    fn what_an_archive_says_of_its_sizes_is_not_believed() {
        let mut bytes = document(&vec![0; 20 << 20]);
        // In both its headers the part has 1000 bytes.
        let size = (20_u32 << 20).to_le_bytes();
        let places: Vec<usize> =
            (0..bytes.len() - 4).filter(|place| bytes[*place..*place + 4] == size).collect();
        assert!(!places.is_empty());
        for place in places {
            bytes[place..place + 4].copy_from_slice(&1000_u32.to_le_bytes());
        }
        assert_eq!(open_xml(&bytes, MAIN), Err(Reason::Malformed));
    }

    #[test]
    fn a_list_of_parts_that_is_no_xml_or_names_nothing_is_refused() {
        for (list, reason) in [
            ("<Types><Override", Reason::Malformed),
            ("", Reason::TypeMismatch),
            ("<Types><Override PartName='/word/none.xml' ContentType='MAIN'/></Types>", Reason::TypeMismatch),
            (
                "<Types><Override PartName='/word/a.xml' ContentType='text/xml'/></Types>",
                Reason::TypeMismatch,
            ),
            ("<Types><Override ContentType='MAIN'/></Types>", Reason::TypeMismatch),
            ("<Types><Override PartName='/word/a.xml' ContentType='&MAIN;'/></Types>", Reason::Malformed),
        ] {
            let list = list.replace("MAIN'", &format!("{MAIN}'"));
            let bytes = zipped(&[("[Content_Types].xml", list.as_bytes()), ("word/a.xml", b"")]);
            assert_eq!(open_xml(&bytes, MAIN), Err(reason), "{list}");
        }
    }

    /// Of damaged documents some are still readable; none takes long or panics.
    #[test]
    fn a_damaged_document_is_looked_at_in_no_time() {
        let mut random = 0x9e37_79b9_7f4a_7c15_u64;
        let mut next = move || {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            usize::try_from(random >> 1).unwrap()
        };
        let (open, old) = (document(b"<w:document/>"), compound_file());
        for round in 0..20_000 {
            let whole = if round % 2 == 0 { &open } else { &old };
            let mut bytes = whole.clone();
            for _ in 0..=next() % 4 {
                let place = next() % bytes.len();
                bytes[place] = [0, 0xff, u8::try_from(next() % 256).unwrap(), bytes[place] ^ 1][next() % 4];
            }
            if next().is_multiple_of(5) {
                bytes.truncate(next() % bytes.len());
            }
            let started = Instant::now();
            let _ =
                if round % 2 == 0 { open_xml(&bytes, MAIN) } else { compound(&bytes, &["/WordDocument"]) };
            assert!(started.elapsed() < Duration::from_secs(2), "{round}: {:?}", started.elapsed());
        }
    }
}
