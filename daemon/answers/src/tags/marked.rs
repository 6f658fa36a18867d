//! Decides which words of a sentence are shown as an entity that is right, missed or spurious. How
//! they look is left to the template.

use super::entities::{Entity, entities};
use crate::kind::{Input, Mark, Segment};
use std::collections::BTreeSet;

/// A sentence of BIO tags from left to right, in adjacent words that the same entities hold.
/// Neighbours of the same marks are two entities.
pub(super) fn marked<T: AsRef<str>>(input: &Input, target: &[T], prediction: &[T]) -> Vec<Segment> {
    let [target, prediction] = [target, prediction].map(|it| BTreeSet::from_iter(entities(it)));
    let mark = |it: &Entity<'_>| match (target.contains(it), prediction.contains(it)) {
        (true, true) => Mark::Right,
        (true, false) => Mark::Missed,
        _ => Mark::Spurious,
    };
    let all: BTreeSet<&Entity<'_>> = target.union(&prediction).collect();
    let mut borders: BTreeSet<usize> = all.iter().flat_map(|it| [it.start, it.end]).collect();
    borders.extend([0, input.words.len()]);
    let borders: Vec<usize> = borders.into_iter().collect();
    let segment = |it: &[usize]| {
        let here = all.iter().filter(|entity| entity.start <= it[0] && it[1] <= entity.end);
        let mut marks: Vec<_> = here.map(|it| (mark(it), it.kind.to_owned())).collect();
        marks.sort();
        let (from, to) = (input.words[it[0]].0 as usize, input.words[it[1] - 1].1 as usize);
        Segment { text: input.text.get(from..to).unwrap_or_default().to_owned(), marks }
    };
    borders.windows(2).map(segment).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entities_are_right_missed_or_spurious() {
        let of = |it: &'static str| it.split(' ').collect::<Vec<_>>();
        let text = "Anna saw New York City in May";
        let words = [(0, 4), (5, 8), (9, 12), (13, 17), (18, 22), (23, 25), (26, 29)];
        let segments = marked(
            &Input { text, words: &words },
            &of("B-PER O B-LOC I-LOC I-LOC O O"),
            &of("B-PER O O B-LOC I-LOC O B-PER"),
        );
        let shown: Vec<String> =
            segments.iter().map(|it| format!("{} {:?}", it.text, it.marks)).collect();
        assert_eq!(
            shown,
            [
                r#"Anna [(Right, "PER")]"#,
                "saw []",
                r#"New [(Missed, "LOC")]"#,
                r#"York City [(Missed, "LOC"), (Spurious, "LOC")]"#,
                "in []",
                r#"May [(Spurious, "PER")]"#,
            ]
        );
        assert_eq!(marked::<&str>(&Input { text: "", words: &[] }, &[], &[]), []);
    }
}
