//! ROUGE-L: how near texts come to those that they should be, by the longest sequence of words
//! that both have in this order, 0 to 1. Of Lin, "ROUGE: A Package for Automatic Evaluation of
//! Summaries" (2004), as Google's rouge_score computes it without a stemmer: words are runs of the
//! letters a to z and digits, whatever their case; everything else is left out, so that of Chinese
//! nothing stays.

/// The mean F-measure over (found, wanted) texts; none where no wanted text has a word.
pub fn rouge_l<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Option<f64> {
    let (mut sum, mut texts, mut has_words) = (0.0, 0_usize, false);
    for (found, wanted) in pairs {
        let (found, wanted) = (words(found), words(wanted));
        has_words |= !wanted.is_empty();
        sum += f_measure(&found, &wanted);
        texts += 1;
    }
    has_words.then(|| sum / texts as f64)
}

fn words(text: &str) -> Vec<String> {
    let lower = text.to_lowercase();
    let parts = lower.split(|it: char| !it.is_ascii_alphanumeric());
    parts.filter(|it| !it.is_empty()).map(String::from).collect()
}

fn f_measure(found: &[String], wanted: &[String]) -> f64 {
    let shared = shared(found, wanted) as f64;
    if shared == 0.0 {
        return 0.0;
    }
    let (precision, recall) = (shared / found.len() as f64, shared / wanted.len() as f64);
    2.0 * precision * recall / (precision + recall)
}

/// Words of the longest common subsequence.
fn shared(first: &[String], second: &[String]) -> usize {
    // Of what came before in the first text, and each beginning of the second.
    let mut lengths = vec![0; second.len() + 1];
    for word in first {
        let mut before = 0;
        for (at, other) in second.iter().enumerate() {
            let above = lengths[at + 1];
            lengths[at + 1] = if word == other { before + 1 } else { above.max(lengths[at]) };
            before = above;
        }
    }
    lengths[second.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_that_of_rouge_score() {
        let text = include_str!("../../tests/data/rouge.json");
        let json: serde_json::Value = serde_json::from_str(text).unwrap();
        for case in json["cases"].as_array().unwrap() {
            let [found, wanted] = ["found", "wanted"].map(|it| case[it].as_str().unwrap());
            let theirs = case["rougeL"].as_f64().unwrap();
            let ours = f_measure(&words(found), &words(wanted));
            assert!((ours - theirs).abs() < 1e-12, "{ours} for {case}");
        }
        let pairs = json["cases"].as_array().unwrap().iter();
        let pairs = pairs.map(|it| (it["found"].as_str().unwrap(), it["wanted"].as_str().unwrap()));
        let mean = json["mean"].as_f64().unwrap();
        assert!((rouge_l(pairs).unwrap() - mean).abs() < 1e-12);
    }

    #[test]
    fn of_other_scripts_it_says_nothing() {
        assert_eq!(rouge_l([("\u{4f60}\u{597d}", "\u{4f60}\u{597d}")]), None);
        assert_eq!(rouge_l([("good", "\u{4f60}\u{597d}"), ("good", "good")]), Some(0.5));
    }
}
