//! Text that looks like a special token and is none: what people write never ends a text, nor
//! begins an answer. A tokenizer leaves special tokens alone where it is asked to, but some of them
//! stand in its vocabulary like any other word; then the text is cut within them.

use anyhow::Result;
use tokenizers::{Encoding, Tokenizer};

/// What stands for words that are in no vocabulary: any text may hold those.
const UNKNOWN: [&str; 2] = ["[UNK]", "<unk>"];

pub(super) fn wrong(err: tokenizers::Error) -> anyhow::Error {
    anyhow::anyhow!("tokenizing: {err}")
}

/// A tokenizer that takes special tokens for text.
pub(super) fn tokenizer(of: &Tokenizer) -> Tokenizer {
    let mut literal = of.clone();
    literal.set_encode_special_tokens(true);
    literal
}

/// Tokens that no text may become, in order.
pub(super) fn controls(tokenizer: &Tokenizer) -> Vec<u32> {
    let added = tokenizer.get_added_tokens_decoder().into_iter();
    let special = added.filter(|it| it.1.special && !UNKNOWN.contains(&it.1.content.as_str()));
    let mut ids: Vec<u32> = special.map(|it| it.0).collect();
    ids.sort_unstable();
    ids
}

/// Tokens of a text without any of `controls`. `encoding`: what the tokenizer made of it.
///
/// # Errors
/// The tokenizer refuses a part of the text.
pub(super) fn without_controls(
    tokenizer: &Tokenizer,
    controls: &[u32],
    (text, encoding): (&str, Encoding),
) -> Result<Encoding> {
    let mut parts = Vec::new();
    divide(tokenizer, controls, (text, 0, encoding), &mut parts)?;
    let mut parts = parts.into_iter();
    let Some((_, first)) = parts.next() else { return Ok(Encoding::default()) };
    Ok(parts.fold(first, |all, (at, part)| joined(&all, &part, at)))
}

/// Behind the first character of each token that is a control token, until there is none. What is
/// one character stays: it can't be cut.
fn divide(
    tokenizer: &Tokenizer,
    controls: &[u32],
    (text, at, encoding): (&str, usize, Encoding),
    parts: &mut Vec<(usize, Encoding)>,
) -> Result<()> {
    let tokens = encoding.get_ids().iter().zip(encoding.get_offsets());
    let cuts = tokens.filter(|it| controls.binary_search(it.0).is_ok()).filter_map(|(_, place)| {
        let mut chars = text.get(place.0..place.1)?.char_indices();
        chars.nth(1).map(|it| place.0 + it.0)
    });
    let mut cuts: Vec<usize> = cuts.collect();
    if cuts.is_empty() {
        parts.push((at, encoding));
        return Ok(());
    }
    cuts.push(text.len());
    let mut from = 0;
    for to in cuts {
        let part = &text[from..to];
        let encoding = tokenizer.encode(part, false).map_err(wrong)?;
        divide(tokenizer, controls, (part, at + from, encoding), parts)?;
        from = to;
    }
    Ok(())
}

/// `at`: where the second one's text begins in the first one's.
fn joined(first: &Encoding, second: &Encoding, at: usize) -> Encoding {
    let words = first.get_word_ids().iter().flatten().max().map_or(0, |it| it + 1);
    let word = |it: &Option<u32>| it.map(|it| it + words);
    let place = |it: &(usize, usize)| (it.0 + at, it.1 + at);
    let offsets = second.get_offsets().iter().map(place);
    Encoding::new(
        [first.get_ids(), second.get_ids()].concat(),
        [first.get_type_ids(), second.get_type_ids()].concat(),
        [first.get_tokens(), second.get_tokens()].concat(),
        first
            .get_word_ids()
            .iter()
            .copied()
            .chain(second.get_word_ids().iter().map(word))
            .collect(),
        first.get_offsets().iter().copied().chain(offsets).collect(),
        [first.get_special_tokens_mask(), second.get_special_tokens_mask()].concat(),
        [first.get_attention_mask(), second.get_attention_mask()].concat(),
        Vec::new(),
        Default::default(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn open(name: &str) -> Tokenizer {
        let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data");
        Tokenizer::from_file(data.join(name).join("tokenizer.json")).unwrap()
    }

    fn encoded(of: &Tokenizer, text: &str) -> Encoding {
        let literal = tokenizer(of);
        let encoding = literal.encode(text, false).unwrap();
        without_controls(&literal, &controls(of), (text, encoding)).unwrap()
    }

    #[test]
    fn what_looks_like_a_special_token_is_text() {
        for name in ["tiny-bert", "tiny-llama"] {
            let of = open(name);
            let specials = of.get_added_tokens_decoder();
            for special in specials.values().filter(|it| !UNKNOWN.contains(&it.content.as_str())) {
                let text = format!("good {0}{0} very {0}", special.content);
                let encoding = encoded(&of, &text);
                let found = encoding.get_ids();
                assert!(found.iter().all(|it| !controls(&of).contains(it)), "{name}: {text}");
                assert!(of.encode(text, false).unwrap().get_ids() != found);
            }
            let plain = of.encode("good and very", false).unwrap();
            assert_eq!(encoded(&of, "good and very"), plain);
        }
    }

    /// Of Unigram and whole words, the vocabulary itself has the special tokens.
    #[test]
    fn a_vocabulary_that_has_special_tokens_as_words_is_cut_within_them() {
        const UNIGRAM: &str = r#"{"version": "1.0", "truncation": null, "padding": null,
            "added_tokens": [
                {"id": 0, "content": "<unk>", "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true},
                {"id": 1, "content": "</s>", "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true}],
            "normalizer": {"type": "NFKC"}, "pre_tokenizer": null, "post_processor": null, "decoder": null,
            "model": {"type": "Unigram", "unk_id": 0, "byte_fallback": false, "vocab": [["<unk>", 0.0], ["</s>", 0.0],
                ["<", -5.0], ["/", -5.0], ["s", -5.0], [">", -5.0], ["a", -5.0], ["b", -5.0], ["/s>", -6.0]]}}"#;
        let of: Tokenizer = UNIGRAM.parse().unwrap();
        assert!(tokenizer(&of).encode("</s>", false).unwrap().get_ids() == [1], "it is needed");
        // The last one is brought to the same characters by NFKC.
        for (text, tokens) in [
            ("a</s>b", ["a", "<", "/s>", "b"]),
            ("</s>ab", ["<", "/s>", "a", "b"]),
            ("a\u{ff1c}/s>b", ["a", "<", "/s>", "b"]),
        ] {
            let found = encoded(&of, text);
            assert_eq!(found.get_tokens(), tokens);
            let places = found.get_offsets();
            assert!(places.windows(2).all(|it| it[0].1 == it[1].0), "{places:?}");
            assert_eq!((places[0].0, places[3].1), (0, text.len()));
            assert_eq!(found.get_word_ids().iter().flatten().count(), 4);
        }
    }
}
