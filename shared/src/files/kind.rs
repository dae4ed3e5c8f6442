//! Which kinds of files are taken.

use serde::{Deserialize, Serialize};

/// A kind of file, by the extension of its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Extension {
    /// Portable Document Format.
    Pdf,
    /// Portable Network Graphics.
    Png,
    /// An image of the Joint Photographic Experts Group.
    Jpg,
    /// The same, in four letters.
    Jpeg,
    /// Graphics Interchange Format.
    Gif,
    /// A text of Word 97 to 2003.
    Doc,
    /// A text of Word since 2007.
    Docx,
    /// A workbook of Excel 97 to 2003.
    Xls,
    /// A workbook of Excel since 2007.
    Xlsx,
}

impl Extension {
    /// Every one that is taken.
    pub const ALL: [Self; 9] = [
        Self::Pdf,
        Self::Png,
        Self::Jpg,
        Self::Jpeg,
        Self::Gif,
        Self::Doc,
        Self::Docx,
        Self::Xls,
        Self::Xlsx,
    ];

    /// As it stands at the end of a name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pdf => "pdf",
            Self::Png => "png",
            Self::Jpg => "jpg",
            Self::Jpeg => "jpeg",
            Self::Gif => "gif",
            Self::Doc => "doc",
            Self::Docx => "docx",
            Self::Xls => "xls",
            Self::Xlsx => "xlsx",
        }
    }

    /// Its media type (<https://www.iana.org/assignments/media-types/media-types.xhtml>).
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Pdf => "application/pdf",
            Self::Png => "image/png",
            Self::Jpg | Self::Jpeg => "image/jpeg",
            Self::Gif => "image/gif",
            Self::Doc => "application/msword",
            Self::Docx => "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
            Self::Xls => "application/vnd.ms-excel",
            Self::Xlsx => "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        }
    }
}
