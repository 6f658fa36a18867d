//! Decides which scheme the tags of a file are of, and writes them as BIO where they mark entities:
//! the one form that the scores and the `simple` strategy of transformers' pipeline both read.

use super::entities::{Entity, entities};
use std::collections::BTreeSet;
use std::fmt;

/// How tags mark entities.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scheme {
    /// IOB2: each entity begins with B.
    Bio,
    /// B only where an entity follows another of its type.
    Iob1,
    /// B, I, E and S.
    Bioes,
    /// B, I, L and U.
    Bilou,
    /// I alone.
    Io,
    /// Types without prefixes, beside "O".
    Bare,
    /// No entities: a tag for each word, such as its part of speech.
    Plain,
}

/// Tags of which some have a prefix and some have none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SchemeError {
    prefixed: String,
    other: String,
}

impl fmt::Display for SchemeError {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let SchemeError { prefixed, other } = self;
        write!(
            f,
            "tag \"{other}\" is of another scheme than \"{prefixed}\": write all tags beside \
             \"O\" as BIO (B-X, I-X), BIOES, BILOU or IO (I-X), or all without a prefix"
        )
    }
}

impl std::error::Error for SchemeError {}

/// Of BIOES and BILOU; M stands for I (BMES), W for S (BMEWO).
const MARKS: &str = "BIESLUMW";

/// `B-PER`, and as others write it: `B_PER`.
pub fn is_marked(tag: &str) -> bool {
    let parts = tag.split_once(['-', '_']);
    parts.is_some_and(|(mark, kind)| mark.len() == 1 && MARKS.contains(mark) && !kind.is_empty())
}

/// A tag -> its mark and what it marks.
type Notation = fn(&str) -> Option<(&str, &str)>;

/// The same tags in the usual notation, in their order: `B-X` for `B_X` and `X-B`, I for M (BMES)
/// and S for W (BMEWO). Nothing where they are in it, or of none.
pub(crate) fn usual<T: AsRef<str>>(tags: &[T]) -> Option<Vec<String>> {
    let marks: Vec<&str> = tags.iter().map(AsRef::as_ref).filter(|it| *it != "O").collect();
    if marks.is_empty() || marks.len() == tags.len() {
        return None;
    }
    let ways: [Notation; 3] = [
        |it| it.split_once('-'),
        |it| it.split_once('_'),
        |it| it.rsplit_once(['-', '_']).map(|(kind, mark)| (mark, kind)),
    ];
    let is_mark = |it: &(&str, &str)| it.0.len() == 1 && MARKS.contains(it.0) && !it.1.is_empty();
    let fits = |way: &&Notation| {
        marks.iter().all(|it| way(it).is_some_and(|it| is_mark(&it)))
            && marks.iter().any(|it| way(it).is_some_and(|it| it.0 == "B"))
    };
    let way = ways.iter().find(fits)?;
    let written = |tag: &str| match way(tag) {
        Some((mark, kind)) if tag != "O" => {
            let mark = match mark {
                "M" => "I",
                "W" => "S",
                other => other,
            };
            format!("{mark}-{kind}")
        }
        _ => tag.to_owned(),
    };
    let written: Vec<String> = tags.iter().map(|it| written(it.as_ref())).collect();
    let is_same = written.iter().zip(tags).all(|(a, b)| a == b.as_ref());
    (!is_same).then_some(written)
}

/// The scheme that all sentences together are of.
pub(crate) fn scheme<T: AsRef<str>>(sentences: &[Vec<T>]) -> Result<Scheme, SchemeError> {
    let tags: BTreeSet<&str> = sentences.iter().flatten().map(AsRef::as_ref).collect();
    let marks: Vec<&str> = tags.iter().copied().filter(|&it| it != "O").collect();
    let outside = marks.len() < tags.len();
    let letters: BTreeSet<char> = marks.iter().filter_map(|it| letter(it, outside)).collect();
    let with = marks.iter().find(|it| letter(it, outside).is_some());
    let without = marks.iter().find(|it| letter(it, outside).is_none());
    let has = |any: [char; 2]| any.iter().any(|it| letters.contains(it));
    match (with, without) {
        (_, Some(_)) if !outside => return Ok(Scheme::Plain),
        (None, Some(_)) => return Ok(Scheme::Bare),
        (Some(&with), Some(&without)) => return Err(error(with, without)),
        _ => {}
    }
    if has(['E', 'S']) && has(['L', 'U']) {
        let of = |any: [char; 2]| marks.iter().find(|it| it.starts_with(any)).unwrap_or(&"O");
        return Err(error(of(['E', 'S']), of(['L', 'U'])));
    }
    Ok(if has(['E', 'S']) {
        Scheme::Bioes
    } else if has(['L', 'U']) {
        Scheme::Bilou
    } else if letters == BTreeSet::from(['I']) {
        Scheme::Io
    } else if is_iob1(sentences) {
        Scheme::Iob1
    } else {
        Scheme::Bio
    })
}

fn error(prefixed: &str, other: &str) -> SchemeError {
    SchemeError { prefixed: prefixed.to_owned(), other: other.to_owned() }
}

/// The prefix of a tag. B and I alone mark entities that have no type, but only beside "O".
fn letter(tag: &str, outside: bool) -> Option<char> {
    let known = |it: &str| it.chars().next().filter(|it| "BIESLU".contains(*it));
    match tag.split_once('-') {
        Some((prefix, kind)) if prefix.len() == 1 && !kind.is_empty() => known(prefix),
        None if outside && matches!(tag, "B" | "I") => known(tag),
        _ => None,
    }
}

/// Whether B stands nowhere but behind an entity of its type, and some entity begins with I.
fn is_iob1<T: AsRef<str>>(sentences: &[Vec<T>]) -> bool {
    let (mut begins_with_i, mut needed) = (false, true);
    for tags in sentences {
        let found = entities(tags);
        for (place, entity) in found.iter().enumerate() {
            let after = place.checked_sub(1).map(|it| &found[it]);
            let follows = after.is_some_and(|it| it.end == entity.start && it.kind == entity.kind);
            let with_b = tags[entity.start].as_ref().starts_with('B');
            begins_with_i |= !with_b;
            needed &= !with_b || follows;
        }
    }
    begins_with_i && needed
}

impl Scheme {
    /// In sentences.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Scheme::Bio => "BIO",
            Scheme::Iob1 => "IOB1",
            Scheme::Bioes => "BIOES",
            Scheme::Bilou => "BILOU",
            Scheme::Io => "IO",
            Scheme::Bare => "types without prefixes",
            Scheme::Plain => "plain",
        }
    }

    /// Whether the tags mark entities.
    pub(crate) fn has_entities(self) -> bool {
        self != Scheme::Plain
    }

    /// A sentence as BIO; plain tags stay as they are.
    pub(crate) fn convert<T: AsRef<str>>(self, tags: &[T]) -> Vec<String> {
        let read = |tag: &str| match (self, tag.split_at_checked(1)) {
            (Scheme::Plain, _) | (_, Some(("O", ""))) => tag.to_owned(),
            (Scheme::Bare, _) => format!("I-{tag}"),
            (Scheme::Bilou, Some(("L", rest))) => format!("E{rest}"),
            (Scheme::Bilou, Some(("U", rest))) => format!("S{rest}"),
            _ => tag.to_owned(),
        };
        let read: Vec<String> = tags.iter().map(|it| read(it.as_ref())).collect();
        if self.has_entities() { bio(&entities(&read), read.len()) } else { read }
    }
}

/// A sentence of `words` words with these entities.
fn bio(entities: &[Entity<'_>], words: usize) -> Vec<String> {
    let mut tags = vec!["O".to_owned(); words];
    for entity in entities {
        for (word, tag) in tags[..entity.end].iter_mut().enumerate().skip(entity.start) {
            let prefix = if word == entity.start { 'B' } else { 'I' };
            *tag = format!("{prefix}-{}", entity.kind);
        }
    }
    tags
}

/// Whether outputs are tags of entities, as [`label_names`] gives them.
pub(crate) fn are_entities(outputs: &[String]) -> bool {
    let [outside, tags @ ..] = outputs else { return false };
    outside == "O" && tags.iter().all(|it| kind(it).is_some())
}

/// The type of a BIO tag.
pub(crate) fn kind(tag: &str) -> Option<&str> {
    tag.strip_prefix("B-").or_else(|| tag.strip_prefix("I-"))
}

/// Names of the outputs of a model of BIO tags: O, then B-X and I-X of each type in order.
pub(crate) fn label_names(kinds: &BTreeSet<&str>) -> Vec<String> {
    let both = kinds.iter().flat_map(|it| [format!("B-{it}"), format!("I-{it}")]);
    ["O".to_owned()].into_iter().chain(both).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sentences(text: &[&str]) -> Vec<Vec<String>> {
        text.iter().map(|it| it.split_whitespace().map(str::to_owned).collect()).collect()
    }

    #[track_caller]
    fn reads(text: &[&str], expected: Scheme, converted: &[&str]) {
        let read = sentences(text);
        assert_eq!(scheme(&read), Ok(expected));
        let bio: Vec<Vec<String>> = read.iter().map(|it| expected.convert(it)).collect();
        assert_eq!(bio, sentences(converted));
    }

    #[test]
    fn each_scheme_is_known_and_becomes_bio() {
        let bio = ["B-PER I-PER O B-geo-loc", "O B-PER B-PER"];
        reads(&bio, Scheme::Bio, &bio);
        reads(&["I-PER I-PER O I-geo-loc", "O I-PER B-PER"], Scheme::Iob1, &bio);
        reads(&["B-PER E-PER O S-geo-loc", "O S-PER S-PER"], Scheme::Bioes, &bio);
        reads(&["B-PER L-PER O U-geo-loc", "O U-PER U-PER"], Scheme::Bilou, &bio);
        let io = ["B-PER I-PER O B-geo-loc", "O B-PER I-PER", ""];
        reads(&["I-PER I-PER O I-geo-loc", "O I-PER I-PER", ""], Scheme::Io, &io);
        reads(&["PER PER O geo-loc", "O PER PER", ""], Scheme::Bare, &io);
        reads(&["B I O", "B B"], Scheme::Bio, &["B-_ I-_ O", "B-_ B-_"]);
        reads(&["DET NOUN VERB", "B-side NOUN"], Scheme::Plain, &["DET NOUN VERB", "B-side NOUN"]);
    }

    /// A sentence that begins with I among others of BIO is a slip, not another scheme.
    #[test]
    fn one_entity_that_begins_with_i_is_still_bio() {
        reads(&["I-PER O", "O B-PER"], Scheme::Bio, &["B-PER O", "O B-PER"]);
    }

    #[test]
    fn mixed_schemes_are_refused() {
        for (mixed, names) in [("B-PER MISC O", ["B-PER", "MISC"]), ("S-A U-A O", ["S-A", "U-A"])] {
            let error = scheme(&sentences(&[mixed])).unwrap_err().to_string();
            assert!(names.iter().all(|it| error.contains(it)), "{error}");
        }
    }

    #[test]
    fn other_notations_are_written_in_the_usual_one() {
        let of = |tags: &[&str]| usual(tags).map(|it| it.join(" "));
        assert_eq!(of(&["O", "B_PER", "E_PER", "W_LOC"]).unwrap(), "O B-PER E-PER S-LOC");
        assert_eq!(of(&["PER-B", "PER-I", "O"]).unwrap(), "B-PER I-PER O");
        assert_eq!(of(&["B-PER", "M-PER", "E-PER", "O"]).unwrap(), "B-PER I-PER E-PER O");
        assert_eq!(of(&["O", "B-PER", "I-PER"]), None);
        assert_eq!(of(&["O", "PER", "LOC"]), None);
        assert_eq!(of(&["B_PER", "NOUN", "O"]), None);
    }

    #[test]
    fn outputs_are_sorted_by_type() {
        let kinds = ["PER", "LOC"].into();
        assert_eq!(label_names(&kinds), ["O", "B-LOC", "I-LOC", "B-PER", "I-PER"]);
    }
}
