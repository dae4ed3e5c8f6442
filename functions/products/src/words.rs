//! The words of a text, as search compares them: without case and accents.

use unicode_normalization::UnicodeNormalization as _;
use unicode_normalization::char::is_combining_mark;

/// The words of `text` in their order, each folded: compatibility forms, accents and case are gone.
pub(crate) fn words(text: &str) -> impl Iterator<Item = String> {
    // By way of upper case, which knows that ß is ss and that a sigma at a word's end is a sigma.
    let bare = text.nfkd().filter(|c| !is_combining_mark(*c));
    let folded: String = bare.flat_map(char::to_uppercase).flat_map(char::to_lowercase).collect();
    let words: Vec<String> = folded
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(ToOwned::to_owned)
        .collect();
    words.into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folded(text: &str) -> Vec<String> {
        words(text).collect()
    }

    #[test]
    fn case_accents_and_forms_do_not_count() {
        assert_eq!(folded("Crème Brûlée"), ["creme", "brulee"]);
        assert_eq!(folded("STRASSE Straße"), ["strasse", "strasse"]);
        assert_eq!(folded("ΟΔΥΣΣΕΥΣ Οδυσσεύς"), ["οδυσσευσ", "οδυσσευσ"]);
        assert_eq!(folded("İstanbul"), ["istanbul"]);
        assert_eq!(folded("ﬁne ２４"), ["fine", "24"]);
    }

    #[test]
    fn words_are_what_letters_and_digits_make() {
        assert_eq!(folded("  USB-C, 3.5mm (black)!\n"), ["usb", "c", "3", "5mm", "black"]);
        assert_eq!(folded("--- ... \u{1f680}"), [""; 0]);
        assert_eq!(folded("日本 коньки"), ["日本", "коньки"]);
    }
}
