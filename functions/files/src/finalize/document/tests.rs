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

const LEADS: &str =
    "<Relationships><Relationship Type='http://a/officeDocument' Target='word/a.xml'/></Relationships>";

fn listing(types: &str, leads: &str, text: &[u8]) -> Vec<u8> {
    zipped(&[
        ("[Content_Types].xml", types.as_bytes()),
        ("_rels/.rels", leads.as_bytes()),
        ("word/a.xml", text),
    ])
}

fn document(text: &[u8]) -> Vec<u8> {
    listing(&format!("<Types><Override PartName='/word/a.xml' ContentType='{MAIN}'/></Types>"), LEADS, text)
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
    let places: Vec<usize> = (0..bytes.len() - 4).filter(|place| bytes[*place..*place + 4] == size).collect();
    assert!(!places.is_empty());
    for place in places {
        bytes[place..place + 4].copy_from_slice(&1000_u32.to_le_bytes());
    }
    assert_eq!(open_xml(&bytes, MAIN), Err(Reason::Malformed));
}

#[test]
fn a_document_is_what_its_main_part_is() {
    let main = |text: &str| text.replace("MAIN", MAIN);
    let overridden = main("<Types><Override PartName='/word/a.xml' ContentType='MAIN'/></Types>");
    let by_default = main("<Types><Default Extension='XML' ContentType='MAIN'/></Types>");
    let of_another = main(
        "<Types><Default Extension='xml' ContentType='MAIN'/><Override PartName='/WORD/A.xml' ContentType='text/xml'/></Types>",
    );
    let absolute = LEADS.replace("word/", "/Word/");
    for (types, leads, outcome) in [
        (overridden.as_str(), LEADS, Ok(())),
        (&by_default, LEADS, Ok(())),
        (&overridden, &absolute, Ok(())),
        (&of_another, LEADS, Err(Reason::TypeMismatch)),
        (&overridden, "<Relationships/>", Err(Reason::TypeMismatch)),
        (&overridden, &LEADS.replace("a.xml", "none.xml"), Err(Reason::TypeMismatch)),
        (&overridden, &LEADS.replace("/officeDocument", "/thumbnail"), Err(Reason::TypeMismatch)),
        ("<Types/>", LEADS, Err(Reason::TypeMismatch)),
        ("", LEADS, Err(Reason::TypeMismatch)),
        ("<Types><Override", LEADS, Err(Reason::Malformed)),
        (
            "<Types><Override PartName='/word/a.xml' ContentType='&main;'/></Types>",
            LEADS,
            Err(Reason::Malformed),
        ),
    ] {
        assert_eq!(open_xml(&listing(types, leads, b"<w:document/>"), MAIN), outcome, "{types} {leads}");
    }
    assert_eq!(open_xml(&zipped(&[("word/a.xml", b"")]), MAIN), Err(Reason::TypeMismatch));
}

#[test]
fn two_parts_of_one_name_are_refused() {
    let mut bytes = zipped(&[("word/a.xml", &vec![0; 1 << 20]), ("word/b.xml", b"<w:document/>")]);
    while let Some(place) = bytes.windows(10).position(|name| name == b"word/b.xml") {
        bytes[place + 5] = b'a';
    }
    assert_eq!(open_xml(&bytes, MAIN), Err(Reason::Malformed));
}

/// An archive of so many parts that are all the same bytes: deflate that goes on and on and unpacks to nothing.
fn overlapping(parts: usize, size: usize) -> Vec<u8> {
    let packed: Vec<u8> =
        [0, 0, 0, 0xff, 0xff].into_iter().cycle().take(size / 5 * 5).chain([3, 0]).collect();
    let length = u32::try_from(packed.len()).unwrap().to_le_bytes();
    // Version, flags, deflated, time, date; CRC, packed and unpacked size; lengths of name and extra field.
    let common = [&[20, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0][..], &length, &[0; 4], &[5, 0, 0, 0]].concat();
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

#[test]
fn what_would_be_read_over_and_over_is_not() {
    let started = Instant::now();
    assert_eq!(open_xml(&overlapping(9000, 1 << 20), MAIN), Err(Reason::Malformed));
    // Without the bound it is five minutes.
    assert!(started.elapsed() < Duration::from_secs(30), "{:?}", started.elapsed());
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
    let whole = document(b"<w:document/>");
    for round in 0..10_000 {
        let mut bytes = whole.clone();
        for _ in 0..=next() % 4 {
            let place = next() % bytes.len();
            bytes[place] = [0, 0xff, u8::try_from(next() % 256).unwrap(), bytes[place] ^ 1][next() % 4];
        }
        if next().is_multiple_of(5) {
            bytes.truncate(next() % bytes.len());
        }
        let started = Instant::now();
        let _ = open_xml(&bytes, MAIN);
        assert!(started.elapsed() < Duration::from_secs(30), "{round}: {:?}", started.elapsed());
    }
}
