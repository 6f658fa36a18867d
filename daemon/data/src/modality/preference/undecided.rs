//! Two answers of which a column says, row by row, which one is wanted: a winner, two scores, or
//! the places of the answers in a list. Nothing of that is read, and whoever takes the first answer
//! of each row for the wanted one learns half of them the wrong way round.

use super::super::text::holds_texts;
use crate::names;
use crate::refusal;
use crate::table::Table;
use finetuned_answers::Cell;
use finetuned_job::outcome::Failure;
use std::collections::HashSet;

/// What columns are called that say which answer is better, and what their names hold.
const WINNER_NAMES: &[&str] =
    &["label", "labels", "verdict", "vote", "choice", "judge", "judgment"];
const WINNER_WORDS: &[&str] = &["winner", "better", "prefer", "chosen", "best"];
/// What two names differ in, of which neither is better.
const COUNTERPARTS: &[(&str, &str)] =
    &[("a", "b"), ("0", "1"), ("1", "2"), ("left", "right"), ("first", "second")];
/// Different values of a winner, with ties and the like.
const WINNERS_MAX: usize = 10;
/// Answers in a list.
const PLACES_MAX: i128 = 100;

const CURE: &str = "write the wanted answer of each row into a column `chosen` and the other one into `rejected`, beside `prompt`, and take rows without a winner out";

/// `answers`: two columns that the recipe takes for the wanted answer and the other one.
///
/// # Errors
/// Another column says which is the wanted one.
pub(super) fn check(table: &Table, answers: [usize; 2]) -> Result<(), Failure> {
    let (file, columns) = (&table.source.name, &table.sample.columns);
    let [first, second] = answers.map(|it| &columns[it]);
    let Some(says) = says_which(table, &answers) else { return Ok(()) };
    Err(refusal::data(format!(
        "{file}: {says}, but the recipe takes `{first}` for the wanted one in all rows, and `{second}` for the other one"
    ))
    .with_cure(format!("{CURE}; columns that say something else must be left out")))
}

/// That a table has two answers and a column that decides, and what helps; none where it has not.
pub(super) fn refusal(table: &Table) -> Option<(String, String)> {
    let columns = &table.sample.columns;
    let holds = |it: &usize| {
        holds_texts(table, *it) || table.cells(*it).any(|it| matches!(it, Cell::List(_)))
    };
    let is_number = |it: &usize| table.nearly_all(*it, |it| it.number(false).is_some());
    let counterparts = counterparts(columns);
    let answers = counterparts.iter().find(|it| it.iter().all(holds));
    let answers = answers.or_else(|| counterparts.iter().find(|it| !it.iter().any(is_number)))?;
    let says = says_which(table, answers)?;
    let [first, second] = answers.map(|it| &columns[it]);
    Some((format!("{says} (`{first}` or `{second}`), and that is not read"), CURE.into()))
}

/// # Errors
/// `chosen` and `rejected` are the places of answers that stand elsewhere.
pub(super) fn check_places(table: &Table, answers: [usize; 2]) -> Result<(), Failure> {
    let (file, columns) = (&table.source.name, &table.sample.columns);
    let is_place = |it: &Cell| match it {
        Cell::Integer(it) => (0..PLACES_MAX).contains(it),
        Cell::Text(it) => it.trim().parse().is_ok_and(|it| (0..PLACES_MAX).contains(&it)),
        _ => false,
    };
    if !answers.iter().all(|it| table.nearly_all(*it, is_place)) {
        return Ok(());
    }
    let lists = |it: &Cell| match it {
        Cell::List(all) => all.iter().any(|it| matches!(it, Cell::Text(_) | Cell::Fields(_))),
        Cell::Text(it) => it.trim_start().starts_with('['),
        _ => false,
    };
    let list = (0..columns.len()).find(|it| table.nearly_all(*it, lists));
    let Some(elsewhere) = list.or_else(|| counterparts(columns).first().map(|it| it[0])) else {
        return Ok(());
    };
    let [chosen, rejected] = answers.map(|it| &columns[it]);
    Err(refusal::data(format!(
        "{file}: `{chosen}` and `{rejected}` hold numbers, the places of answers that stand in `{}`, and no answers",
        columns[elsewhere]
    ))
    .with_cure(format!("write the answers themselves into `{chosen}` and `{rejected}`")))
}

/// Columns whose names differ in a letter or a number alone: `answer_a` and `answer_b`.
fn counterparts(columns: &[String]) -> Vec<[usize; 2]> {
    let mut found = Vec::new();
    for (first, name) in columns.iter().enumerate() {
        let name = name.to_ascii_lowercase();
        for (a, b) in COUNTERPARTS {
            let others = [
                name.strip_suffix(a).map(|it| format!("{it}{b}")),
                name.strip_prefix(a).map(|it| format!("{b}{it}")),
            ];
            let is_other =
                |it: &String| others.iter().flatten().any(|of| it.eq_ignore_ascii_case(of));
            let second = columns.iter().position(is_other);
            found.extend(second.map(|second| [first, second]));
        }
    }
    found
}

/// A sentence of the column, or of the two scores, that say it.
fn says_which(table: &Table, answers: &[usize; 2]) -> Option<String> {
    let columns = &table.sample.columns;
    let is_winner = |column: &usize| {
        let name = columns[*column].to_ascii_lowercase();
        let is_called = WINNER_NAMES.iter().any(|it| names::is_same(&name, it))
            || WINNER_WORDS.iter().any(|it| name.contains(it));
        let known = table.cells(*column).filter(|it| !it.is_missing());
        let values: HashSet<String> = known.map(Cell::shown).collect();
        is_called && (2..=WINNERS_MAX).contains(&values.len())
    };
    let free = |it: &usize| !answers.contains(it);
    if let Some(winner) = (0..columns.len()).filter(free).find(is_winner) {
        let name = &columns[winner];
        return Some(format!("`{name}` says in each row which of two answers is wanted"));
    }
    let differ = |of: &&[usize; 2]| {
        let numbers = table.sample.rows.iter().filter_map(|row| {
            let [a, b] = of.map(|it| row.get(it).and_then(|it| it.number(false)));
            a.zip(b)
        });
        let (mut above, mut below) = (false, false);
        numbers.for_each(|(a, b)| {
            above |= b < a;
            below |= a < b;
        });
        above && below
    };
    let counterparts = counterparts(columns);
    let scores = counterparts.iter().filter(|it| it.iter().all(free)).find(differ)?;
    let [a, b] = scores.map(|it| &columns[it]);
    Some(format!("`{a}` and `{b}` say in each row which of two answers is wanted"))
}
