//! chrF: how near texts come to those that they should be, by the runs of characters that both
//! have, 0 to 100. Of Popović, "chrF: character n-gram F-score for automatic MT evaluation" (2015),
//! with sacreBLEU's defaults: runs of 1 to 6 characters, white space left out, recall four times as
//! important as precision.

use std::collections::HashMap;

const LONGEST: usize = 6;
/// Recall's weight, squared.
const FACTOR: f64 = 4.0;

/// Runs of one length in both texts of all pairs.
#[derive(Debug, Clone, Copy, Default)]
struct Runs {
    found: u64,
    wanted: u64,
    shared: u64,
}

/// Of (found, wanted) texts together.
pub fn chrf<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> f64 {
    let mut all = [Runs::default(); LONGEST];
    for (found, wanted) in pairs {
        let [found, wanted] = [found, wanted]
            .map(|it| it.chars().filter(|char| !char.is_whitespace()).collect::<Vec<_>>());
        for (length, of) in (1..).zip(&mut all) {
            let (found, wanted) = (counts(&found, length), counts(&wanted, length));
            let sum = |it: &HashMap<&[char], u64>| it.values().sum::<u64>();
            // A text without a reference says nothing.
            of.found += if wanted.is_empty() { 0 } else { sum(&found) };
            of.wanted += sum(&wanted);
            let shared = |(run, n): (&&[char], &u64)| wanted.get(run).map_or(0, |it| *it.min(n));
            of.shared += found.iter().map(shared).sum::<u64>();
        }
    }
    let counted = all.iter().filter(|it| 0 < it.found && 0 < it.wanted);
    let n = counted.clone().count().max(1) as f64;
    let precision = counted.clone().map(|it| it.shared as f64 / it.found as f64).sum::<f64>() / n;
    let recall = counted.map(|it| it.shared as f64 / it.wanted as f64).sum::<f64>() / n;
    match FACTOR * precision + recall {
        0.0 => 0.0,
        sum => 100.0 * (1.0 + FACTOR) * precision * recall / sum,
    }
}

fn counts(text: &[char], length: usize) -> HashMap<&[char], u64> {
    let mut counts = HashMap::new();
    text.windows(length).for_each(|it| *counts.entry(it).or_default() += 1);
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_sacrebleus() {
        let text = include_str!("../../tests/data/chrf.json");
        let json: serde_json::Value = serde_json::from_str(text).unwrap();
        for case in json["cases"].as_array().unwrap() {
            let texts =
                |key: &str| case[key].as_array().unwrap().iter().map(|it| it.as_str().unwrap());
            let found = chrf(texts("found").zip(texts("wanted")));
            let theirs = case["chrf"].as_f64().unwrap();
            assert!((found - theirs).abs() < 1e-9, "{found} for {case}");
        }
    }
}
