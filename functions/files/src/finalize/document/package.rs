//! What a package of parts is: where its relationships lead, and of which content type that part is
//! (ECMA-376, part 2: <https://ecma-international.org/publications-and-standards/standards/ecma-376/>).

use std::borrow::Cow;
use std::io::Read as _;

use quick_xml::events::Event;
use quick_xml::{Reader, XmlVersion};
use shared::files::Reason;

use super::Archive;

/// A list of the package is read up to so many bytes.
const LIST: u64 = 1 << 20;

/// The content type of the package's main part, if it has one.
pub(super) fn main_type(archive: &mut Archive<'_>) -> Result<Option<String>, Reason> {
    let (Some(relationships), Some(types)) =
        (list(archive, "_rels/.rels")?, list(archive, "[Content_Types].xml")?)
    else {
        return Ok(None);
    };
    let mut relationships = rows(&relationships, "Relationship", ["Type", "Target"])?.into_iter();
    let Some([_, target]) = relationships.find(|[kind, _]| kind.ends_with("/officeDocument")) else {
        return Ok(None);
    };
    let name = target.trim_start_matches("./").trim_start_matches('/');
    if place(archive, name).is_none() {
        return Ok(None);
    }
    let mut overrides = rows(&types, "Override", ["PartName", "ContentType"])?.into_iter();
    let of_part = overrides
        .find(|[part, _]| part.strip_prefix('/').is_some_and(|part| part.eq_ignore_ascii_case(name)));
    let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
    let mut defaults = rows(&types, "Default", ["Extension", "ContentType"])?.into_iter();
    let of_part = of_part.or_else(|| defaults.find(|[known, _]| known.eq_ignore_ascii_case(extension)));
    Ok(of_part.map(|[_, content_type]| content_type))
}

/// Where a part is; names are the same in upper and lower case.
fn place(archive: &Archive<'_>, name: &str) -> Option<usize> {
    archive.file_names().position(|known| known.is_ok_and(|known| known.eq_ignore_ascii_case(name)))
}

fn list(archive: &mut Archive<'_>, name: &str) -> Result<Option<Vec<u8>>, Reason> {
    let Some(place) = place(archive, name) else { return Ok(None) };
    let mut bytes = Vec::new();
    let part = archive.by_index(place).map_err(|_| Reason::Malformed)?;
    part.take(LIST).read_to_end(&mut bytes).map_err(|_| Reason::Malformed)?;
    Ok(Some(bytes))
}

/// Of each element of a name the values of two attributes; one that is missing is empty.
fn rows(xml: &[u8], element: &str, names: [&str; 2]) -> Result<Vec<[String; 2]>, Reason> {
    let mut reader = Reader::from_reader(xml);
    let mut rows = Vec::new();
    loop {
        match reader.read_event().map_err(|_| Reason::Malformed)? {
            Event::Empty(tag) | Event::Start(tag) if tag.local_name().as_ref() == element.as_bytes() => {
                let value = |name| {
                    let found = tag.try_get_attribute(name).map_err(|_| Reason::Malformed)?;
                    let text = found.map(|found| found.normalized_value(XmlVersion::Implicit1_0));
                    text.transpose()
                        .map(|text| text.map_or_else(String::new, Cow::into_owned))
                        .map_err(|_| Reason::Malformed)
                };
                rows.push([value(names[0])?, value(names[1])?]);
            }
            Event::Eof => return Ok(rows),
            _ => {}
        }
    }
}
