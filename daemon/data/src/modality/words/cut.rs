//! A text -> its words, by the rules of Unicode (UAX #29): letters and digits that belong together,
//! and every other sign by itself. The same where a model learns and where it is asked.

use unicode_segmentation::UnicodeSegmentation;

/// In bytes.
pub(super) fn words(text: &str) -> Box<[(u32, u32)]> {
    let words = text.split_word_bound_indices().filter(|it| !it.1.trim().is_empty());
    words.map(|(at, it)| (at as u32, (at + it.len()) as u32)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_signs_stand_alone() {
        let text = "Zoë's flat-mate, 3.5 km\u{a0}off: 東京!";
        let found: Vec<&str> =
            words(text).iter().map(|it| &text[it.0 as usize..it.1 as usize]).collect();
        let expected =
            ["Zoë's", "flat", "-", "mate", ",", "3.5", "km", "off", ":", "東", "京", "!"];
        assert_eq!(found, expected);
    }
}
