//! Bytes of each kind of file that is taken, and of some that are not.

use std::io::{Cursor, Write as _};

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

const DOCX: &str = "application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml";
const XLSX: &str = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml";

pub(crate) fn png(size: usize) -> Vec<u8> {
    padded(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", size)
}

pub(crate) fn pdf(size: usize) -> Vec<u8> {
    padded(b"%PDF-1.7\n", size)
}

pub(crate) fn exe() -> Vec<u8> {
    padded(b"MZ\x90\0\x03\0\0\0\x04\0\0\0\xff\xff", 512)
}

fn padded(head: &[u8], size: usize) -> Vec<u8> {
    // Not the same byte over and over, so that a piece in the wrong place shows.
    let rest = (head.len()..size).map(|place| u8::try_from(place % 251).unwrap());
    head.iter().copied().chain(rest).collect()
}

/// One of each kind, by its extension.
pub(crate) fn one_of_each() -> Vec<(&'static str, Vec<u8>)> {
    let jpeg = padded(b"\xff\xd8\xff\xe0\0\x10JFIF", 300);
    vec![
        ("pdf", pdf(900)),
        ("png", png(70_000)),
        ("jpg", jpeg.clone()),
        ("jpeg", jpeg),
        ("gif", padded(b"GIF89a\x01\0\x01\0", 200)),
        ("doc", compound("WordDocument")),
        ("docx", docx(b"<w:document/>")),
        ("xls", compound("Workbook")),
        ("xlsx", xlsx()),
    ]
}

/// A document of Office 97 to 2003 that has this stream.
pub(crate) fn compound(stream: &str) -> Vec<u8> {
    let mut file = cfb::CompoundFile::create(Cursor::new(Vec::new())).unwrap();
    file.create_stream(format!("/{stream}")).unwrap().write_all(&[7; 5000]).unwrap();
    file.into_inner().into_inner()
}

/// A zip of these files.
pub(crate) fn zip(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Deflated);
    for (name, bytes) in files {
        zip.start_file(*name, options).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

/// A document of Office since 2007: with the lists of its parts, and its main part unless that is missing.
fn office(name: &str, content_type: &str, text: Option<&[u8]>) -> Vec<u8> {
    let types = format!(
        "<?xml version=\"1.0\"?><Types xmlns=\"http://schemas.openxmlformats.org/package/2006/content-types\">\
         <Default Extension=\"xml\" ContentType=\"application/xml\"/>\
         <Override PartName=\"/{name}\" ContentType=\"{content_type}\"/></Types>"
    );
    let leads = format!(
        "<?xml version=\"1.0\"?>\
         <Relationships xmlns=\"http://schemas.openxmlformats.org/package/2006/relationships\"><Relationship Id=\"r1\" \
         Type=\"http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument\" \
         Target=\"{name}\"/></Relationships>"
    );
    let mut parts = vec![("[Content_Types].xml", types.as_bytes()), ("_rels/.rels", leads.as_bytes())];
    parts.extend(text.map(|text| (name, text)));
    zip(&parts)
}

/// A text document whose text is this.
pub(crate) fn docx(text: &[u8]) -> Vec<u8> {
    office("word/document.xml", DOCX, Some(text))
}

pub(crate) fn xlsx() -> Vec<u8> {
    office("xl/workbook.xml", XLSX, Some(b"<workbook/>"))
}

/// A zip whose lists say that it is a text document, without the part.
pub(crate) fn docx_without_its_text() -> Vec<u8> {
    office("word/document.xml", DOCX, None)
}

/// A text document of nearly 10 MiB, which does not get smaller by packing.
pub(crate) fn large_docx() -> Vec<u8> {
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let text: Vec<u8> = (0..1_305_000)
        .flat_map(|_| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random.to_le_bytes()
        })
        .collect();
    docx(&text)
}
