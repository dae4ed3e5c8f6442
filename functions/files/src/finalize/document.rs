//! Whether a document is what its extension says: by its own directory, not by its first bytes.

use std::io::{self, Cursor, Read, Seek, SeekFrom, sink};

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

/// How many times its own size is read of a document, and how many bytes more, before that is enough: of a well-made one
/// every byte is read once, and its directory and its list of parts a second time.
const READINGS: u64 = 3;
const MORE: u64 = 64 << 10;

/// A document's bytes, of which only so many are read. Its parts may lie on top of each other, or lead in circles: a few
/// bytes would be read for hours, and into any amount of memory.
struct Bounded<'a> {
    bytes: Cursor<&'a [u8]>,
    left: u64,
}

impl<'a> Bounded<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Self { bytes: Cursor::new(bytes), left: bytes.len() as u64 * READINGS + MORE }
    }
}

impl Read for Bounded<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.bytes.read(buffer)?;
        self.left = self.left.checked_sub(read as u64).ok_or_else(|| io::Error::other("read too often"))?;
        Ok(read)
    }
}

impl Seek for Bounded<'_> {
    fn seek(&mut self, place: SeekFrom) -> io::Result<u64> {
        self.bytes.seek(place)
    }
}

/// A document of Office 97 to 2003: a compound file that has one of these streams
/// (<https://learn.microsoft.com/openspecs/windows_protocols/ms-cfb>).
pub(super) fn compound(bytes: &[u8], streams: &[&str]) -> Result<(), Reason> {
    if !bytes.starts_with(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1") {
        return Err(Reason::TypeMismatch);
    }
    let file = cfb::CompoundFile::open(Bounded::new(bytes)).map_err(|_| Reason::Malformed)?;
    if streams.iter().any(|stream| file.is_stream(stream)) { Ok(()) } else { Err(Reason::TypeMismatch) }
}

/// A document of Office since 2007: a zip whose list of parts has one that is of the content type `main`
/// (ECMA-376, part 2).
pub(super) fn open_xml(bytes: &[u8], main: &str) -> Result<(), Reason> {
    if !bytes.starts_with(b"PK\x03\x04") {
        return Err(Reason::TypeMismatch);
    }
    let mut archive = ZipArchive::new(Bounded::new(bytes)).map_err(|_| Reason::Malformed)?;
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
fn unpack(archive: &mut ZipArchive<Bounded<'_>>, size: u64) -> Result<(), Reason> {
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

    /// An archive of so many parts that are all the same bytes: deflate that goes on and on and unpacks to nothing.
    fn overlapping(parts: usize, size: usize) -> Vec<u8> {
        let packed: Vec<u8> =
            [0, 0, 0, 0xff, 0xff].into_iter().cycle().take(size / 5 * 5).chain([3, 0]).collect();
        let length = u32::try_from(packed.len()).unwrap().to_le_bytes();
        // Version, flags, deflated, time, date; CRC, packed and unpacked size; lengths of name and extra field.
        let common =
            [&[20, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0][..], &length, &[0; 4], &[5, 0, 0, 0]].concat();
        let mut bytes = [b"PK\x03\x04", &common[..], b"00000", &packed].concat();
        let directory = bytes.len();
        for part in 0..parts {
            let name = format!("{part:05}");
            bytes.extend([&b"PK\x01\x02\x14\0"[..], &common, &[0; 14], name.as_bytes()].concat());
        }
        let length = u32::try_from(bytes.len() - directory).unwrap().to_le_bytes();
        let count = u16::try_from(parts).unwrap().to_le_bytes();
        let start = u32::try_from(directory).unwrap().to_le_bytes();
        bytes.extend([&b"PK\x05\x06\0\0\0\0"[..], &count, &count, &length, &start, &[0, 0]].concat());
        bytes
    }

    /// A compound file whose table of sectors is one and the same sector, over and over.
    fn repeating(lists: u32) -> Vec<u8> {
        const NONE: u32 = 0xffff_fffe;
        const SECTOR: usize = 4096;
        let mut header = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1".to_vec();
        header.extend([0; 16]);
        header.extend([0x3e, 0, 4, 0, 0xfe, 0xff, 12, 0, 6, 0, 0, 0, 0, 0, 0, 0]);
        // Sectors of the directory and of the table, then where the directory is, and so on.
        for word in [1, lists * 1023 + 109, 1, 0, 4096, NONE, 0, 2, lists] {
            header.extend(word.to_le_bytes());
        }
        header.resize(512, 0);
        header.resize(SECTOR, 0);
        let mut bytes = header;
        bytes.extend([0xff; SECTOR]);
        bytes.extend([0; SECTOR]);
        for list in 0..lists {
            bytes.extend([0; SECTOR - 4]);
            let next = if list + 1 == lists { NONE } else { list + 3 };
            bytes.extend(next.to_le_bytes());
        }
        bytes
    }

    #[test]
    fn what_would_be_read_over_and_over_is_not() {
        let started = Instant::now();
        assert_eq!(open_xml(&overlapping(9000, 1 << 20), MAIN), Err(Reason::Malformed));
        assert_eq!(compound(&repeating(250), &["/WordDocument"]), Err(Reason::Malformed));
        assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
        // It is well made but for that: with one part it is an archive that has no list of parts.
        assert_eq!(open_xml(&overlapping(1, 1 << 20), MAIN), Err(Reason::TypeMismatch));
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
