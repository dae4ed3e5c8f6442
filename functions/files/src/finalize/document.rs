//! Whether a document is what its extension says: by its own directory, not by its first bytes alone.

use std::io::{self, Cursor, Read, Seek, SeekFrom, sink};

use shared::files::Reason;
use zip::ZipArchive;

mod package;

/// How many times its own size a document may unpack to.
const EXPANSION: u64 = 100;
/// What a small one may unpack to all the same, in bytes.
const LEAST: u64 = 1 << 20;
/// What a large one may unpack to, in bytes: as much as can be looked at in a few seconds.
const MOST: u64 = 256 << 20;
/// Parts of a document at most.
const PARTS: usize = 10_000;
/// How an entry of a zip's directory begins.
const ENTRY: &[u8] = b"PK\x01\x02";

/// How many times its own size is read of a document, and how many bytes more, before that is enough: of a well-made one
/// every byte is read once, and its directory and its list of parts a second time.
const READINGS: u64 = 3;
const MORE: u64 = 64 << 10;

type Archive<'a> = ZipArchive<Bounded<'a>>;

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

/// A document of Office 97 to 2003: a compound file whose directory has one of these streams
/// (<https://learn.microsoft.com/openspecs/windows_protocols/ms-cfb>).
///
/// The directory is looked for, not led to: it has entries of 128 bytes, wherever it lies, and there are programs whose
/// tables of sectors only Office understands.
pub(super) fn compound(bytes: &[u8], streams: &[&str]) -> Result<(), Reason> {
    if !bytes.starts_with(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1") {
        return Err(Reason::TypeMismatch);
    }
    let entries: Vec<Vec<u8>> = streams.iter().map(|name| entry(name)).collect();
    let found = bytes.chunks_exact(128).any(|place| entries.iter().any(|entry| place.starts_with(entry)));
    if found { Ok(()) } else { Err(Reason::TypeMismatch) }
}

/// How the directory's entry of a stream begins: with 32 UTF-16 characters, the length of the name with its end, in bytes,
/// and the type of a stream.
fn entry(name: &str) -> Vec<u8> {
    let mut entry: Vec<u8> = name.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let length = u16::try_from(entry.len() + 2).unwrap_or_default();
    entry.resize(64, 0);
    entry.extend(length.to_le_bytes());
    entry.push(2);
    entry
}

/// A document of Office since 2007: a zip whose main part is of this content type.
pub(super) fn open_xml(bytes: &[u8], main: &str) -> Result<(), Reason> {
    if !bytes.starts_with(b"PK\x03\x04") {
        return Err(Reason::TypeMismatch);
    }
    // Before anything is made of the directory, which takes more memory than bytes.
    if bytes.windows(ENTRY.len()).filter(|bytes| *bytes == ENTRY).count() > PARTS {
        return Err(Reason::ExpandsTooFar);
    }
    let mut archive = ZipArchive::new(Bounded::new(bytes)).map_err(|_| Reason::Malformed)?;
    // Of two parts of one name another program may read the other.
    if archive.has_duplicate_names() {
        return Err(Reason::Malformed);
    }
    unpack(&mut archive, bytes.len() as u64)?;
    let found = package::main_type(&mut archive)?;
    if found.as_deref() == Some(main) { Ok(()) } else { Err(Reason::TypeMismatch) }
}

/// Unpacks everything and keeps nothing. What an archive says of its sizes need not be true.
fn unpack(archive: &mut Archive<'_>, size: u64) -> Result<(), Reason> {
    let mut room = (size * EXPANSION).clamp(LEAST, MOST);
    for place in 0..archive.len() {
        let part = archive.by_index(place).map_err(|_| Reason::Malformed)?;
        // One byte more than there is room for tells.
        let read = io::copy(&mut part.take(room + 1), &mut sink()).map_err(|_| Reason::Malformed)?;
        room = room.checked_sub(read).ok_or(Reason::ExpandsTooFar)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
