//! Labels as cells have them -> class numbers, and the names of the classes in the end: spellings
//! of one label are one class.

use crate::cell::{Cell, NULL, yes_or_no};
use crate::reading::{Outputs, Reason, Refused};
use crate::target::Target;
use finetuned_job::outcome::{Failure, FailureKind};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use unicode_normalization::UnicodeNormalization;

/// More classes than this are names, numbers or measurements, not classes.
pub const CLASSES_MAX: usize = 1000;

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

    /// How many different ones there are, and how many in all.
    pub(crate) fn counts(&self) -> (u64, u64) {
        (self.spellings().len() as u64, self.names.iter().map(|it| it.1).sum())
    }

    /// Several labels of one example, ascending, each once.
    pub(crate) fn set(&mut self, labels: Vec<String>) -> Result<Target, Refused> {
        let mut numbers =
            labels.into_iter().map(|it| self.number(it)).collect::<Result<Vec<_>, _>>()?;
        numbers.sort_unstable();
        numbers.dedup();
        Ok(Target::of_classes(numbers))
    }

    /// The members of each class by what all of its spellings have in common.
    fn spellings(&self) -> BTreeMap<String, Vec<usize>> {
        let means: Option<BTreeSet<bool>> = self.names.iter().map(|it| yes_or_no(&it.0)).collect();
        // Letters for true and false of two kinds are neither.
        let letter = |it: &str| self.names.iter().any(|name| name.0.eq_ignore_ascii_case(it));
        let mixed = (letter("y") || letter("n")) && (letter("t") || letter("f"));
        let booleans = !mixed && means.is_some_and(|it| it.len() == 2);
        let mut spellings: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for (at, (name, _)) in self.names.iter().enumerate() {
            spellings.entry(plain(name, booleans)).or_default().push(at);
        }
        self.joined(spellings)
    }

    /// With those that look alike, as some of their letters are of another script, taken together.
    fn joined(&self, spellings: BTreeMap<String, Vec<usize>>) -> BTreeMap<String, Vec<usize>> {
        if !self.names.iter().any(|it| 1 < it.0.chars().count() && in_latin(&it.0) != it.0) {
            return spellings;
        }
        let mut by_look: HashMap<String, String> = HashMap::new();
        let mut joined: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for (plain_name, members) in spellings {
            let looks = members.iter().map(|it| look(&self.names[*it].0));
            let looks: BTreeSet<String> = looks.collect();
            let known = looks.iter().find_map(|it| by_look.get(it)).cloned();
            let key = known.unwrap_or(plain_name);
            by_look.extend(looks.into_iter().map(|it| (it, key.clone())));
            joined.entry(key).or_default().extend(members);
        }
        joined
    }

    /// Of all rows: what a number is, and how often.
    pub(crate) fn as_numbers(&self) -> Vec<(Option<f64>, u64)> {
        let number = |it: &str| Cell::Text(it.into()).number(true);
        self.names.iter().map(|(name, n)| (number(name), *n)).collect()
    }

    pub(crate) fn finish(self, targets: &mut [&mut Target]) -> Outputs {
        let spellings = self.spellings();
        let (mut classes, mut notes) = (Vec::new(), Vec::new());
        for (plain, members) in spellings {
            classes.push((self.chosen(&plain, &members), members.clone()));
            if 1 < members.len() {
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
        targets.iter_mut().for_each(|it| **it = it.renumbered(&renumbered));
        Outputs { names: classes.into_iter().map(|it| it.0).collect(), notes }
    }

    /// The integer, else the most frequent spelling, of equally frequent ones one without odd
    /// blanks and signs, then the first in the alphabet.
    fn chosen(&self, plain: &str, members: &[usize]) -> String {
        let integer = members.len() > 1 && plain.parse::<i128>().is_ok();
        if integer && members.iter().any(|it| self.names[*it].0 == plain) {
            return plain.into();
        }
        let best = members.iter().map(|it| &self.names[*it]);
        let clean = |it: &str| seen(it) == it;
        let best = best
            .max_by(|(a, n), (b, m)| n.cmp(m).then(clean(a).cmp(&clean(b))).then_with(|| b.cmp(a)));
        best.map(|it| it.0.clone()).unwrap_or_default()
    }

    fn note(&self, chosen: &str, members: &[usize]) -> String {
        let mut others: Vec<String> = members
            .iter()
            .map(|it| &self.names[*it])
            .filter(|it| it.0 != chosen)
            .map(|(name, n)| {
                let same_signs = name.nfc().eq(chosen.nfc());
                let form = if same_signs { ", in another Unicode form" } else { "" };
                let script = odd_letter(name, chosen).unwrap_or_default();
                format!("`{}` ({n}{form}{script})", name.escape_debug())
            })
            .collect();
        others.sort();
        format!("labels that are spellings of `{chosen}` were taken for it: {}", others.join(", "))
    }
}

/// The same for all spellings of one label: a number without decimals of zero (`007` stays what it
/// is: codes have leading zeros), letters without case and accents in one form, white space of one
/// kind, for which `_` stands too. Single letters differ in case: they may be what is to be told
/// apart.
fn plain(name: &str, booleans: bool) -> String {
    if let Some(number) = name.strip_prefix('+')
        && number.starts_with(|it: char| it.is_ascii_digit())
        && number.parse::<f64>().is_ok()
    {
        return plain(number, booleans);
    }
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
    if let Some(yes) = yes_or_no(name).filter(|_| booleans) {
        return u8::from(yes).to_string();
    }
    let seen = seen(name);
    match seen.chars().count() {
        0 | 1 => seen,
        _ => seen.to_lowercase().replace('_', " "),
    }
}

/// As it looks: in one Unicode form, of full width or not, with single blanks, dashes and quotes of
/// one kind and without signs that nobody sees.
fn seen(name: &str) -> String {
    let is_seen = |it: &char| !"\u{200b}\u{200e}\u{200f}\u{2060}\u{feff}\u{ad}".contains(*it);
    let sign = |it: char| match it {
        '\u{2010}'..='\u{2015}' | '\u{2212}' => '-',
        '\u{2018}' | '\u{2019}' | '\u{2bc}' => '\'',
        '\u{201c}' | '\u{201d}' | '\u{201e}' => '"',
        // As East Asian typesetting has them.
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(it as u32 - 0xfee0).unwrap_or(it),
        other => other,
    };
    let seen: String = name.chars().filter(is_seen).map(sign).collect();
    seen.split_whitespace().collect::<Vec<_>>().join(" ").nfc().collect()
}

/// Letters of Cyrillic and Greek, and behind each the Latin one that looks the same.
const ALIKE: &[(&str, &str)] = &[
    ("\u{430}\u{435}\u{43e}\u{440}\u{441}\u{443}\u{445}", "aeopcyx"),
    ("\u{456}\u{458}\u{455}\u{4bb}\u{501}\u{4cf}", "ijshdl"),
    ("\u{410}\u{412}\u{415}\u{41a}\u{41c}\u{41d}\u{41e}", "ABEKMHO"),
    ("\u{420}\u{421}\u{422}\u{423}\u{425}\u{406}\u{408}\u{405}", "PCTYXIJS"),
    ("\u{3bf}\u{3bd}", "ov"),
    ("\u{391}\u{392}\u{395}\u{396}\u{397}\u{399}\u{39a}", "ABEZHIK"),
    ("\u{39c}\u{39d}\u{39f}\u{3a1}\u{3a4}\u{3a5}\u{3a7}", "MNOPTYX"),
];

/// With Latin letters in place of others that look like them.
fn in_latin(name: &str) -> String {
    let pairs = || ALIKE.iter().flat_map(|(others, latin)| others.chars().zip(latin.chars()));
    let latin = |it: char| pairs().find(|(other, _)| *other == it).map_or(it, |(_, latin)| latin);
    name.nfc().map(|it| if it.is_ascii() { it } else { latin(it) }).collect()
}

/// The same for all labels that look alike, of two letters or more.
fn look(name: &str) -> String {
    if name.chars().count() < 2 { name.to_string() } else { plain(&in_latin(name), false) }
}

/// The first letter of another script than its twin in `chosen`, in a sentence.
fn odd_letter(name: &str, chosen: &str) -> Option<String> {
    let mut pairs = name.chars().zip(chosen.chars());
    let (odd, _) = pairs.find(|(a, b)| {
        let (a, b) = (a.to_string(), b.to_string());
        a != b && in_latin(&a) == in_latin(&b)
    })?;
    Some(format!(", with {odd} U+{:04X} of another script", odd as u32))
}

/// Whether it has zeros before it: `007`.
pub(crate) fn is_code(label: &str) -> bool {
    1 < label.len() && label.starts_with('0') && !label.contains(['.', ','])
}

/// One label.
pub(crate) fn label_of(cell: Cell) -> Result<String, Reason> {
    /// Integers above this are not exact in a double.
    const EXACT_MAX: f64 = (1_u64 << 53) as f64;
    match cell {
        Cell::Text(it) if it.contains('\0') => Err(Reason::Nul),
        Cell::Text(it) => match it.trim() {
            "" | NULL => Err(Reason::EmptyLabel),
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
        let outputs = all.finish(&mut []);
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
        check(&["Gr\u{f6}\u{df}e", "gro\u{308}\u{df}e"], &["Gr\u{f6}\u{df}e"], 1);
        check(&["\u{ac00}a", "\u{1100}\u{1161}a", "b"], &["b", "\u{ac00}a"], 1);
        check(&["not so", "not\u{a0}so", "not  so", "so"], &["not so", "so"], 1);
        check(&["spam\u{200b}", "spam", "ham", "spam"], &["ham", "spam"], 1);
        check(&["１", "1", "2"], &["1", "2"], 1);
        check(
            &["follow-up", "follow\u{2011}up", "follow\u{2013}up", "new"],
            &["follow-up", "new"],
            1,
        );
        check(&["yes", "no", "1", "0", "Y"], &["0", "1"], 2);
        check(&["y", "n", "f"], &["f", "n", "y"], 0);
        check(&["+1", "-1", "1", "-1.0"], &["-1", "1"], 2);
        check(&["WAHR", "FALSCH", "true", "WAHR"], &["FALSCH", "WAHR"], 1);
        check(&["yes", "no", "maybe", "1"], &["1", "maybe", "no", "yes"], 0);
        check(&["a", "A"], &["A", "a"], 0);
        check(&["very good", "very_good", "very_good"], &["very_good"], 1);
        check(&["True", "1", "0", "false"], &["0", "1"], 2);
        check(&["pass", "p\u{430}ss", "pass", "fail"], &["fail", "pass"], 1);
        check(&["\u{410}1", "A1", "a1", "A1", "A2"], &["A1", "A2"], 1);
        check(&["\u{410}", "A"], &["A", "\u{410}"], 0);
        check(
            &["\u{432}\u{430}\u{43b}", "\u{412}\u{430}\u{43b}", "Ban"],
            &["Ban", "\u{412}\u{430}\u{43b}"],
            1,
        );
        check(&["true", "yes", "1"], &["1", "true", "yes"], 0);
        check(&["10", "9"], &["9", "10"], 0);
    }
}
