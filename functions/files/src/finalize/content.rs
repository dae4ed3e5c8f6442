//! The bytes of a file as they come, and whether they are what they were said to be.

use sha2::{Digest as _, Sha256 as Hash};
use shared::files::{Extension, File, Reason};
use shared::sha256::Sha256;
use shared::{Error, Result};

use super::document;

/// Bytes that tell what most kinds of files are.
const HEAD: usize = 1024;

/// The bytes so far. Those of a document are all kept, once, because its directory is at its end; of others only the
/// head is.
pub(super) struct Content {
    hash: Hash,
    kept: Vec<u8>,
    most: usize,
}

impl Content {
    /// Nothing yet of `file`.
    pub(super) fn of(file: &File) -> Self {
        use Extension::{Doc, Docx, Gif, Jpeg, Jpg, Pdf, Png, Xls, Xlsx};
        let most = match file.extension {
            Pdf | Png | Jpg | Jpeg | Gif => HEAD,
            Doc | Docx | Xls | Xlsx => usize::try_from(file.size).unwrap_or_default(),
        };
        Self { hash: Hash::new(), kept: Vec::with_capacity(most), most }
    }

    /// The next bytes.
    pub(super) fn add(&mut self, bytes: &[u8]) {
        self.hash.update(bytes);
        let room = self.most - self.kept.len();
        self.kept.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    /// The checksum of all bytes, or what is wrong with them.
    pub(super) async fn judge(self, file: &File) -> Result<Result<Sha256, Reason>> {
        let Self { hash, kept, .. } = self;
        let sha256 = Sha256::from(<[u8; 32]>::from(hash.finalize()));
        if file.told_sha256.is_some_and(|told| told != sha256) {
            return Ok(Err(Reason::ChecksumMismatch));
        }
        // To unpack a document takes a while: others go on meanwhile.
        let extension = file.extension;
        match tokio::task::spawn_blocking(move || check(extension, &kept)).await {
            Ok(checked) => Ok(checked.map(|()| sha256)),
            // Made to be so: it would be so again.
            Err(ended) if ended.is_panic() => {
                tracing::error!(fileId = %file.id, "what reads documents panicked");
                Ok(Err(Reason::Malformed))
            }
            Err(ended) => Err(Error::internal(ended)),
        }
    }
}

/// Whether bytes are of the kind that an extension says.
fn check(extension: Extension, bytes: &[u8]) -> Result<(), Reason> {
    match extension {
        // At its very beginning: `infer` lets a kilobyte of something else come before it.
        Extension::Pdf if !bytes.starts_with(b"%PDF-") => Err(Reason::TypeMismatch),
        Extension::Pdf | Extension::Png | Extension::Jpg | Extension::Jpeg | Extension::Gif => {
            let is_of_kind = infer::is_mime(bytes, extension.content_type());
            if is_of_kind { Ok(()) } else { Err(Reason::TypeMismatch) }
        }
        Extension::Doc => document::compound(bytes, &["WordDocument"]),
        Extension::Xls => document::compound(bytes, &["Workbook", "Book"]),
        Extension::Docx => document::open_xml(
            bytes,
            "application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml",
        ),
        Extension::Xlsx => document::open_xml(
            bytes,
            "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_begins_as_another_kind_is_not_of_this_one() {
        let png: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR";
        let gif: &[u8] = b"GIF89a\x01\0\x01\0";
        let jpeg: &[u8] = b"\xff\xd8\xff\xe0\0\x10JFIF";
        let pdf: &[u8] = b"%PDF-1.7\n";
        let exe: &[u8] = b"MZ\x90\0\x03\0\0\0";
        let kinds = [
            (Extension::Png, png),
            (Extension::Gif, gif),
            (Extension::Jpg, jpeg),
            (Extension::Jpeg, jpeg),
            (Extension::Pdf, pdf),
        ];
        for (extension, _) in kinds {
            for bytes in [png, gif, jpeg, pdf, exe, b"", b"<svg>", b"PK\x03\x04", b"MZ\0%PDF-1.7\n"] {
                let own = kinds.contains(&(extension, bytes));
                assert_eq!(check(extension, bytes).is_ok(), own, "{extension:?} {bytes:?}");
            }
        }
    }
}
