//! Cursors: where in a list a client has come to, opaque to it.
//!
//! A cursor names the last id of a page and the list that it is of. It gives nothing that the list does not
//! give, so it needs no secret; a checksum tells one that was changed or is of another list.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

/// Bytes of the checksum.
const CHECK: usize = 6;

/// The cursor that continues `list` after `id`.
pub fn write(list: &str, id: Uuid) -> String {
    let mut bytes = id.as_bytes().to_vec();
    bytes.extend_from_slice(&check(list, id));
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The id after which a cursor continues `list`; nothing if it is no cursor of that list.
pub fn read(list: &str, cursor: &str) -> Option<Uuid> {
    let bytes: [u8; 16 + CHECK] = URL_SAFE_NO_PAD.decode(cursor).ok()?.try_into().ok()?;
    let id = Uuid::from_slice(&bytes[..16]).ok()?;
    (bytes[16..] == check(list, id)).then_some(id)
}

fn check(list: &str, id: Uuid) -> [u8; CHECK] {
    let mut hash = Sha256::new();
    hash.update(b"cursor/v1\0");
    hash.update(list.as_bytes());
    hash.update([0]);
    hash.update(id.as_bytes());
    let mut check = [0; CHECK];
    check.copy_from_slice(&hash.finalize()[..CHECK]);
    check
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_of_one_list_and_one_place() {
        let id = Uuid::from_u128(7);
        let cursor = write("users", id);
        assert_eq!(read("users", &cursor), Some(id));
        assert_eq!(read("products", &cursor), None);
        let mut changed = cursor.clone().into_bytes();
        changed[3] ^= 1;
        assert_eq!(read("users", &String::from_utf8(changed).unwrap()), None);
        assert_eq!(read("users", ""), None);
        assert_eq!(read("users", &cursor[1..]), None);
    }
}
