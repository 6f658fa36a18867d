//! Decides in which encoding a zip's names are that don't say so: UTF-8 where all of them are; else
//! what statistics take them for; else code page 437, which the format's specification names.

use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use encoding_rs::{Encoding, IBM866, SHIFT_JIS, WINDOWS_1252};
use std::borrow::Cow;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EntryNames {
    Utf8,
    Cp437,
    Legacy(&'static Encoding),
}

/// Of code page 437, what stands for the bytes from 0x80 on.
const CP437: &str = "ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜ¢£¥₧ƒáíóúñÑªº¿⌐¬½¼¡«»░▒▓│┤╡╢╖╕╣║╗╝╜╛┐└┴┬├─┼╞╟╚╔╩╦╠═╬╧╨╤╥╙╘╒╓╫╪┘┌█▄▌▐▀αßΓπΣσµτΦΘΩδ∞φε∩≡±≥≤⌠⌡÷≈°∙·√ⁿ²■\u{a0}";

/// Bytes of names that decide; more of them say nothing new.
const BYTES_MAX: usize = 1 << 20;

impl EntryNames {
    pub(super) fn decode(self, name: &[u8]) -> Cow<'_, str> {
        match self {
            EntryNames::Utf8 => String::from_utf8_lossy(name),
            EntryNames::Cp437 => cp437(name).into(),
            EntryNames::Legacy(it) => it.decode_without_bom_handling(name).0,
        }
    }

    pub(super) fn warning(self, archive: &str) -> Option<String> {
        let encoding = match self {
            EntryNames::Utf8 => return None,
            EntryNames::Cp437 => "code page 437",
            EntryNames::Legacy(it) => it.name(),
        };
        Some(format!(
            "{archive}: names in it are no UTF-8, and were read as {encoding}; make the archive again if they look wrong"
        ))
    }
}

fn cp437(name: &[u8]) -> String {
    let high: Vec<char> = CP437.chars().collect();
    let char = |it: &u8| match it.checked_sub(0x80) {
        Some(at) => high.get(usize::from(at)).copied().unwrap_or(' '),
        None => char::from(*it),
    };
    name.iter().map(char).collect()
}

/// Names that don't say their encoding, one after the other.
#[derive(Default)]
pub(super) struct NamesSeen {
    /// Those that are no UTF-8.
    odd: Vec<u8>,
}

impl NamesSeen {
    pub(super) fn take(&mut self, name: &[u8]) {
        if std::str::from_utf8(name).is_err() && self.odd.len() < BYTES_MAX {
            // The parts that tell: many files lie in one folder.
            self.odd.extend(name);
            self.odd.push(b'\n');
        }
    }

    pub(super) fn decide(self) -> EntryNames {
        if self.odd.is_empty() {
            return EntryNames::Utf8;
        }
        let as_cp437 = cp437(&self.odd);
        let plain = |text: &str| text.chars().filter(|it| !it.is_ascii()).all(char::is_alphabetic);
        if plain(&as_cp437) && is_sparse(&as_cp437) {
            return EntryNames::Cp437;
        }
        let mut detector = EncodingDetector::new(Iso2022JpDetection::Deny);
        detector.feed(&self.odd, true);
        let guess = detector.guess(None, Utf8Detection::Deny);
        let fits = |it: &'static Encoding| {
            let text = it.decode_without_bom_handling_and_without_replacement(&self.odd)?;
            (plain(&text) && is_of_one_script(&text)).then_some(EntryNames::Legacy(it))
        };
        let known = [guess, SHIFT_JIS, IBM866, WINDOWS_1252];
        known.into_iter().find_map(fits).unwrap_or(EntryNames::Cp437)
    }
}

/// Words of Latin letters have no Cyrillic or Greek ones among them.
fn is_of_one_script(text: &str) -> bool {
    let is_other = |it: char| ('\u{370}'..'\u{530}').contains(&it);
    let mut words = text.split(|it: char| !it.is_alphabetic());
    words.all(|it| !it.contains(is_other) || it.chars().all(is_other))
}

/// Accents among Latin letters, as European names have them: fewer than half of a word's letters,
/// and no small one before a capital.
fn is_sparse(text: &str) -> bool {
    let words = text.split(|it: char| !it.is_alphabetic());
    words.filter(|it| !it.is_ascii()).all(|word| {
        let odd = word.chars().filter(|it| !it.is_ascii()).count();
        let letters: Vec<char> = word.chars().collect();
        let jumps = letters.windows(2).any(|it| it[0].is_lowercase() && it[1].is_uppercase());
        2 * odd < letters.len() && !jumps
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(names: &[&[u8]], encoding: EntryNames, first: &str) {
        let mut seen = NamesSeen::default();
        names.iter().for_each(|it| seen.take(it));
        let decided = seen.decide();
        assert_eq!((decided, &*decided.decode(names[0])), (encoding, first));
    }

    #[test]
    fn encodings_of_names() {
        assert_eq!(CP437.chars().count(), 128);
        check(&[b"Gr\x94\xe1e/1.png", b"K\x84se/1.png"], EntryNames::Cp437, "Größe/1.png");
        check(&[b"\x94L/0.png", b"\x8c\xa2/0.png"], EntryNames::Legacy(SHIFT_JIS), "猫/0.png");
        check(&[b"\x94L/0.png"], EntryNames::Legacy(SHIFT_JIS), "猫/0.png");
        check(&[b"Gr\xf6\xdfe/1.png"], EntryNames::Legacy(WINDOWS_1252), "Größe/1.png");
        check(&["Größe".as_bytes()], EntryNames::Utf8, "Größe");
        check(
            &[b"\x8a\xae\xe2\xeb/1.png", b"\x91\xae\xa1\xa0\xaa\xa8/1.png"],
            EntryNames::Legacy(IBM866),
            "Коты/1.png",
        );
    }
}
