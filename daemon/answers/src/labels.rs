//! Labels as cells have them -> class numbers, and the names of the classes in the end: spellings
//! of one label are one class.

use crate::cell::Cell;
use crate::reading::{Outputs, Reason, Refused};
use crate::target::Target;
use finetuned_job::outcome::{Failure, FailureKind};
use std::collections::{BTreeMap, HashMap};

/// More classes than this are names, numbers or measurements, not classes.
pub(crate) const CLASSES_MAX: usize = 1000;

/// Numbers the classes: as they appear while reading, then in the order of the model's outputs.
#[derive(Debug, Default)]
pub(crate) struct Labels {
    /// In the order of their first appearance, with the rows that they were read of.
    names: Vec<(String, u64)>,
    numbers: HashMap<String, u32>,
}

impl Labels {
    pub(crate) fn number(&mut self, label: String) -> Result<u32, Refused> {
        if let Some(number) = self.numbers.get(&label) {
            self.names[*number as usize].1 += 1;
            return Ok(*number);
        }
        if self.names.len() == CLASSES_MAX {
            let values: Vec<&str> = self.names.iter().take(3).map(|it| it.0.as_str()).collect();
            let message = format!(
                "the label has more than {CLASSES_MAX} different values ({}, …)",
                values.join(", ")
            );
            return Err(Refused::All(Failure::new(FailureKind::Data, message).with_cure("it looks like a number, a name or a text: name the right label column in the recipe")));
        }
        let number = self.names.len() as u32;
        self.names.push((label.clone(), 1));
        self.numbers.insert(label, number);
        Ok(number)
    }

    /// How many different ones there are, as they are spelt, and how many in all.
    pub(crate) fn counts(&self) -> (u64, u64) {
        (self.names.len() as u64, self.names.iter().map(|it| it.1).sum())
    }

    /// Several labels of one example, ascending, each once.
    pub(crate) fn set(&mut self, labels: Vec<String>) -> Result<Target, Refused> {
        let mut numbers =
            labels.into_iter().map(|it| self.number(it)).collect::<Result<Vec<_>, _>>()?;
        numbers.sort_unstable();
        numbers.dedup();
        Ok(Target::of_classes(numbers))
    }

    pub(crate) fn finish(self) -> Outputs {
        let booleans = self.names.iter().all(|it| is_boolean(&it.0));
        let mut spellings: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for (at, (name, _)) in self.names.iter().enumerate() {
            spellings.entry(plain(name, booleans)).or_default().push(at);
        }
        let (mut classes, mut notes) = (Vec::new(), Vec::new());
        for (plain, members) in spellings {
            classes.push((self.chosen(&plain, &members), members.clone()));
            if let (1.., [_, _, ..]) = (members.len(), &members[..]) {
                notes.push(self.note(&classes[classes.len() - 1].0, &members));
            }
        }
        let integers: Option<Vec<i128>> = classes.iter().map(|it| it.0.parse().ok()).collect();
        match integers {
            Some(_) => classes.sort_by_key(|it| (it.0.parse::<i128>().unwrap_or(0), it.1[0])),
            None => classes.sort(),
        }
        let mut renumbered = vec![0; self.names.len()];
        for (new, (_, members)) in classes.iter().enumerate() {
            members.iter().for_each(|old| renumbered[*old] = new as u32);
        }
        Outputs { names: classes.into_iter().map(|it| it.0).collect(), renumbered, notes }
    }

    /// The integer, else the most frequent spelling, of equally frequent ones the first in the
    /// alphabet.
    fn chosen(&self, plain: &str, members: &[usize]) -> String {
        let integer = members.len() > 1 && plain.parse::<i128>().is_ok();
        if integer && members.iter().any(|it| self.names[*it].0 == plain) {
            return plain.into();
        }
        let best = members.iter().map(|it| &self.names[*it]);
        let best = best.max_by(|a, b| a.1.cmp(&b.1).then_with(|| b.0.cmp(&a.0)));
        best.map(|it| it.0.clone()).unwrap_or_default()
    }

    fn note(&self, chosen: &str, members: &[usize]) -> String {
        let mut others: Vec<String> = members
            .iter()
            .map(|it| &self.names[*it])
            .filter(|it| it.0 != chosen)
            .map(|it| format!("`{}` ({})", it.0, it.1))
            .collect();
        others.sort();
        format!("labels that are spellings of `{chosen}` were taken for it: {}", others.join(", "))
    }
}

fn is_boolean(name: &str) -> bool {
    matches!(name, "0" | "1" | "0.0" | "1.0")
        || name.eq_ignore_ascii_case("true")
        || name.eq_ignore_ascii_case("false")
}

/// The same for all spellings of one label: a number without decimals of zero (`007` stays what it
/// is: codes have leading zeros), letters without case and accents in one form, white space of one
/// kind. Single letters differ in case: they may be what is to be told apart.
fn plain(name: &str, booleans: bool) -> String {
    if let Some((whole, decimals)) = name.split_once(['.', ','])
        && !decimals.is_empty()
        && decimals.bytes().all(|it| it == b'0')
        && let digits = whole.strip_prefix('-').unwrap_or(whole)
        && !digits.is_empty()
        && digits.bytes().all(|it| it.is_ascii_digit())
        && (digits == "0" || !digits.starts_with('0'))
    {
        return plain(whole, booleans);
    }
    let spaced = name.split_whitespace().collect::<Vec<_>>().join(" ");
    let plain = match spaced.chars().count() {
        0 | 1 => spaced,
        _ => spaced.to_lowercase(),
    };
    match (booleans, plain.as_str()) {
        (true, "true") => "1".into(),
        (true, "false") => "0".into(),
        _ => composed(&plain),
    }
}

/// Letters and their combining marks as one (NFC), as far as the Latin alphabet goes.
fn composed(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        let joined = out.chars().last().and_then(|last| {
            let place = MARKS.iter().position(|it| *it == c)?;
            let (_, forms) = COMPOSED.iter().find(|it| it.0 == last)?;
            forms.chars().nth(place).filter(|it| *it != '-')
        });
        match joined {
            Some(it) => {
                out.pop();
                out.push(it);
            }
            None => out.push(c),
        }
    }
    out
}

/// Grave, acute, circumflex, tilde, diaeresis, ring, cedilla, caron, ogonek, dot above, double
/// acute, macron.
const MARKS: [char; 12] = [
    '\u{300}', '\u{301}', '\u{302}', '\u{303}', '\u{308}', '\u{30a}', '\u{327}', '\u{30c}',
    '\u{328}', '\u{307}', '\u{30b}', '\u{304}',
];
/// Of each letter its form with each of [`MARKS`]; `-` where Unicode has none of its own.
const COMPOSED: &[(char, &str)] = &[
    ('a', "àáâãäå-ǎąȧ-ā"),
    ('c', "-ćĉ---çč-ċ--"),
    ('d', "------ḑď-ḋ--"),
    ('e', "èéêẽë-ȩěęė-ē"),
    ('g', "-ǵĝ---ģǧ-ġ-ḡ"),
    ('i', "ìíîĩï--ǐį--ī"),
    ('l', "-ĺ----ļľ----"),
    ('n', "ǹń-ñ--ņň-ṅ--"),
    ('o', "òóôõö--ǒǫȯőō"),
    ('r', "-ŕ----ŗř-ṙ--"),
    ('s', "-śŝ---şš-ṡ--"),
    ('t', "----ẗ-ţť-ṫ--"),
    ('u', "ùúûũüů-ǔų-űū"),
    ('y', "ỳýŷỹÿẙ---ẏ-ȳ"),
    ('z', "-źẑ----ž-ż--"),
];

/// One label.
pub(crate) fn label_of(cell: Cell) -> Result<String, Reason> {
    /// Integers above this are not exact in a double.
    const EXACT_MAX: f64 = (1_u64 << 53) as f64;
    match cell {
        Cell::Text(it) if it.contains('\0') => Err(Reason::Nul),
        Cell::Text(it) => match it.trim() {
            "" => Err(Reason::EmptyLabel),
            label if label.len() == it.len() => Ok(it),
            label => Ok(label.to_string()),
        },
        Cell::Missing => Err(Reason::EmptyLabel),
        Cell::Integer(it) => Ok(it.to_string()),
        Cell::Bool(it) => Ok(it.to_string()),
        Cell::Fraction(it) if it.is_nan() => Err(Reason::EmptyLabel),
        // pandas turns integers into doubles where a column has gaps.
        Cell::Fraction(it) if it.fract() == 0.0 && it.abs() < EXACT_MAX => {
            Ok((it as i64).to_string())
        }
        Cell::Fraction(it) => Err(Reason::LabelIsFraction(it)),
        Cell::Bytes(it) => match String::from_utf8(it) {
            Ok(it) => label_of(Cell::Text(it)),
            Err(_) => Err(Reason::LabelIs("binary")),
        },
        Cell::List(_) => Err(Reason::LabelIs("a list")),
        Cell::Image(_) => Err(Reason::LabelIs("an image")),
        Cell::Fields(_) => Err(Reason::LabelIs("an object")),
        Cell::Other(what) => Err(Reason::LabelIs(what)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(labels: &[&str], names: &[&str], notes: usize) {
        let mut all = Labels::default();
        for it in labels {
            let _ = all.number((*it).into());
        }
        let outputs = all.finish();
        assert_eq!(
            (outputs.names, outputs.notes.len()),
            (names.iter().map(|it| it.to_string()).collect(), notes)
        );
    }

    #[test]
    fn spellings_of_one_label_are_one_class() {
        check(&["0", "0.0", "1.0", "1", "1,0"], &["0", "1"], 2);
        check(&["007", "07", "7"], &["007", "07", "7"], 0);
        check(&["Positive", "positive", "positive", "NEGATIVE"], &["NEGATIVE", "positive"], 1);
        check(&["Größe", "Gro\u{308}ße", "Größe", "b"], &["Größe", "b"], 1);
        check(&["a", "A"], &["A", "a"], 0);
        check(&["True", "1", "0", "false"], &["0", "1"], 2);
        check(&["true", "yes", "1"], &["1", "true", "yes"], 0);
        check(&["10", "9"], &["9", "10"], 0);
    }
}
