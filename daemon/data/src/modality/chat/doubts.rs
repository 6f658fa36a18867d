//! Tables of conversations from which a model would learn something else than they say: questions
//! about images, texts that a template has been put around, choices that the question leaves out,
//! answers of which another column says no. Each is refused with what helps.

use super::form::{self, usual};
use super::message;
use super::messages::{self, Part};
use crate::names;
use crate::refusal;
use crate::row::nearly_all;
use crate::table::Table;
use finetuned_answers::Cell;
use finetuned_job::outcome::Failure;

/// What columns of things are called that are no texts.
const IMAGE_NAMES: &[&str] =
    &["image", "images", "img", "image_path", "video", "videos", "audio", "audios"];
/// What chat templates write around messages: anywhere in a text, and at its end.
const MARKERS: &[&str] = &[
    "<|im_start|>",
    "<|im_end|>",
    "[INST]",
    "[/INST]",
    "<|user|>",
    "<|assistant|>",
    "<start_of_turn>",
    "<end_of_turn>",
    "<|start_header_id|>",
    "<|eot_id|>",
    "### Instruction:",
    "### Response:",
    "### Assistant:",
];
/// What the first message stands behind.
const OPENERS: &[&str] = &[
    "<|im_start|>",
    "<s>[INST]",
    "[INST]",
    "<|system|>",
    "<|user|>",
    "<bos><start_of_turn>",
    "<start_of_turn>",
    "<|begin_of_text|><|start_header_id|>",
    "<|start_header_id|>",
    "### Instruction:",
    "Below is an instruction that describes a task",
];
const ENDS: &[&str] = &["</s>", "<|endoftext|>", "<|end_of_text|>", "<eos>", "<|end|>"];
/// What columns of answers to choose from are called, and such columns of one answer each.
const CHOICES_NAMES: &[&str] = &["choices", "options", "answer_choices"];
const CHOICE_NAMES: &[[&str; 2]] =
    &[["a", "b"], ["option_a", "option_b"], ["opa", "opb"], ["choice_a", "choice_b"]];
/// What speaks is called before a colon.
const PREFIXES: &[&str] = &["assistant:", "ai:", "bot:", "gpt:", "chatgpt:", "model:"];
/// Fields of a message that say how its answer came about.
const THOUGHTS: &[&str] = &["reasoning_content", "reasoning", "thinking", "thoughts", "thought"];

/// Of all that is asked and answered. `named`: by the recipe.
///
/// # Errors
/// What would be learnt is not what the table says.
pub(in crate::modality) fn check(
    table: &Table,
    inputs: &[usize],
    named: bool,
) -> Result<(), Failure> {
    let found = images(table, inputs).or_else(|| templated(table, inputs));
    let found = found.or_else(|| choices(table, inputs).filter(|_| !named));
    found.map_or(Ok(()), |(why, cure)| Err(refused(table, &why, &cure)))
}

/// Of conversations whose answers are all learnt.
///
/// # Errors
/// As [`check`].
pub(super) fn check_answers(
    table: &Table,
    parts: &[(Part, usize)],
    named: bool,
) -> Result<(), Failure> {
    let found = verdict(table, parts).filter(|_| !named).or_else(|| prefix(table, parts));
    found.map_or(Ok(()), |(why, cure)| Err(refused(table, &why, &cure)))
}

fn refused(table: &Table, why: &str, cure: &str) -> Failure {
    refusal::data(format!("{}: {why}", table.source.name)).with_cure(cure)
}

/// Every text in a cell.
fn texts<'a>(cell: &'a Cell, found: &mut Vec<&'a str>) {
    match cell {
        Cell::Text(text) => found.push(text),
        Cell::List(all) => all.iter().for_each(|it| texts(it, found)),
        Cell::Fields(all) => all.iter().for_each(|it| texts(&it.1, found)),
        _ => {}
    }
}

fn all_texts(cell: &Cell) -> Vec<&str> {
    let mut found = Vec::new();
    texts(cell, &mut found);
    found
}

fn images(table: &Table, inputs: &[usize]) -> Option<(String, String)> {
    let columns = &table.sample.columns;
    let is_thing = |it: &usize| {
        let is_called = IMAGE_NAMES.iter().any(|name| names::is_same(&columns[*it], name));
        table.cells(*it).any(|cell| match cell {
            Cell::Image(_) => true,
            Cell::List(all) => is_called && !all.is_empty(),
            other => is_called && !other.is_missing(),
        })
    };
    let column = (0..columns.len()).filter(|it| !inputs.contains(it)).find(is_thing)?;
    let name = &columns[column];
    Some((
        format!(
            "`{name}` holds what these conversations are about, and a model of texts never sees it"
        ),
        format!(
            "take the rows out that have a value in `{name}`; if their answers need none, take the column out"
        ),
    ))
}

/// What chat templates write, where nearly all texts of a column have it.
pub(in crate::modality) fn marker(table: &Table, column: usize) -> Option<&'static str> {
    let any = |is: &dyn Fn(&str) -> bool| {
        table.nearly_all(column, |cell| all_texts(cell).into_iter().any(is))
    };
    let within = MARKERS.iter().find(|it| any(&|text| text.contains(**it)));
    within.or_else(|| ENDS.iter().find(|it| any(&|text| text.trim_end().ends_with(**it)))).copied()
}

/// What chat templates begin with, where nearly all texts of a column do. What somebody only
/// writes in a message is text, whatever it looks like.
fn opener(table: &Table, column: usize) -> Option<&'static str> {
    let begins = |it: &Cell, opener: &str| match it {
        Cell::Text(text) => text.trim_start().starts_with(opener),
        _ => false,
    };
    let all = |opener: &&&str| table.nearly_all(column, |it| begins(it, opener));
    OPENERS.iter().find(all).copied()
}

fn templated(table: &Table, inputs: &[usize]) -> Option<(String, String)> {
    let columns = &table.sample.columns;
    let found = inputs.iter().find_map(|it| Some((*it, opener(table, *it)?)));
    let (column, marker) = found?;
    Some((
        format!(
            "`{}` holds texts that a chat template has been put around ({marker}), and the base's own is put around them again",
            columns[column]
        ),
        "write questions and answers without it; to learn whole texts as they are, write each into one column `text`, with task = \"causal-language-modeling\" and data.split_special_tokens = false".into(),
    ))
}

fn choices(table: &Table, inputs: &[usize]) -> Option<(String, String)> {
    let columns = &table.sample.columns;
    let is_free = |it: &usize| !inputs.contains(it);
    let one = usual(columns, CHOICES_NAMES).filter(is_free).map(|it| vec![it]);
    let several = || {
        CHOICE_NAMES.iter().find_map(|of| {
            of.iter().map(|it| usual(columns, &[it]).filter(is_free)).collect::<Option<Vec<_>>>()
        })
    };
    let found = one.or_else(several)?;
    let asked = *inputs.first()?;
    let is_whole = |row: &Vec<Cell>| {
        let question = row.get(asked).map(all_texts).unwrap_or_default().join("\n");
        let choices = found.iter().filter_map(|it| row.get(*it)).flat_map(all_texts);
        choices.into_iter().all(|it| question.contains(it.trim()))
    };
    let lists = |it: &Cell| {
        let is_json = matches!(it, Cell::Text(text) if text.trim_start().starts_with(['[', '{']));
        is_json || matches!(it, Cell::List(_) | Cell::Fields(_))
    };
    let is_list = found.len() == 2 || table.nearly_all(found[0], lists);
    if !is_list || nearly_all(table.sample.rows.iter().map(is_whole)) {
        return None;
    }
    let names: Vec<String> = found.iter().map(|it| format!("`{}`", columns[*it])).collect();
    let names = names.join(" and ");
    Some((
        format!(
            "{names}: answers to choose from stand there, and `{}` does not say them, so the model would choose from what it never sees",
            columns[asked]
        ),
        "write the choices into the question, and the answer as the model is to give it".into(),
    ))
}

fn verdict(table: &Table, parts: &[(Part, usize)]) -> Option<(String, String)> {
    const NAMES: &[&str] =
        &["label", "labels", "kto_tag", "desirable", "thumbs_up", "liked", "chosen", "accepted"];
    let columns = &table.sample.columns;
    let is_flag = |it: &Cell| match it {
        Cell::Bool(_) => true,
        Cell::Text(it) => ["true", "false"].iter().any(|word| it.trim().eq_ignore_ascii_case(word)),
        _ => false,
    };
    let says_no = |column: &usize| {
        let name = &columns[*column];
        let is_called = NAMES.iter().any(|it| names::is_same(name, it));
        let answer = |it: &Cell| it.yes_or_no();
        let is_it = |it: &Cell| is_flag(it) || (is_called && answer(it).is_some());
        let any = |yes: bool| table.cells(*column).any(|it| answer(it) == Some(yes));
        table.nearly_all(*column, is_it) && any(false) && (is_called || any(true))
    };
    let is_free =
        |it: &usize| parts.iter().all(|part| part.1 != *it) && !names::divides(&columns[*it]);
    let name = &columns[(0..columns.len()).filter(is_free).find(says_no)?];
    let inputs: Vec<&String> = parts
        .iter()
        .filter(|it| matches!(it.0, Part::Messages | Part::Question | Part::Answer))
        .map(|it| &columns[it.1])
        .collect();
    Some((
        format!(
            "`{name}` says no of some conversations, and whether their answers are not to be learnt can't be told"
        ),
        format!(
            "to learn which answers are wanted, set task = \"preference\" and data.label = {name:?}; to learn the good ones alone, take the other rows out, and `{name}`; if it means something else, name the other columns: data.text = {inputs:?}"
        ),
    ))
}

fn prefix(table: &Table, parts: &[(Part, usize)]) -> Option<(String, String)> {
    let of = |column: usize| {
        let answers = |it: &Cell| {
            let turns = messages::turns(it.clone(), "assistant").unwrap_or_default();
            turns.into_iter().filter(message::Message::is_answer).map(|it| it.content)
        };
        table.cells(column).flat_map(answers).collect::<Vec<_>>()
    };
    let answers = parts.iter().filter(|it| matches!(it.0, Part::Messages | Part::Answer));
    let answers: Vec<String> = answers.flat_map(|it| of(it.1)).collect();
    let begins = |answer: &str, prefix: &str| {
        let begin = answer.trim_start().get(..prefix.len());
        begin.is_some_and(|it| it.eq_ignore_ascii_case(prefix))
    };
    let all = |it: &&&str| nearly_all(answers.iter().map(|answer| begins(answer, it)));
    let found = PREFIXES.iter().find(all)?;
    Some((
        format!("nearly all answers begin with `{found}`, which the model would learn to say"),
        "take it out of the answers: the base's chat template says itself who speaks".into(),
    ))
}

/// What is to be said of fields of messages that few templates write.
pub(super) fn thoughts(table: &Table, parts: &[(Part, usize)]) -> Option<String> {
    let column = parts.iter().find(|it| it.0 == Part::Messages)?.1;
    let has = |cell: &Cell, name: &str| match cell {
        Cell::List(all) => all.iter().any(|it| it.field(name).is_some_and(|it| !it.is_missing())),
        _ => false,
    };
    let found = THOUGHTS.iter().find(|name| table.cells(column).any(|it| has(it, name)))?;
    Some(format!(
        "{}: messages have `{found}` beside their content; it is learnt where the base's chat template writes it, and left out where it does not",
        table.source.name
    ))
}

/// Columns that are a form of conversations together, and rows that have all of them.
struct Rows {
    columns: Vec<usize>,
    rows: Vec<usize>,
}

fn forms(table: &Table) -> Vec<Rows> {
    let (columns, rows) = (&table.sample.columns, &table.sample.rows);
    let having = |of: Vec<usize>, is: &dyn Fn(&Cell) -> bool| {
        let has = |row: &Vec<Cell>| of.iter().all(|it| row.get(*it).is_some_and(is));
        let rows = (0..rows.len()).filter(|it| has(&rows[*it])).collect();
        Rows { columns: of, rows }
    };
    let messages = form::MESSAGES_NAMES.iter().filter_map(|it| usual(columns, &[it]));
    let messages = messages.map(|it| having(vec![it], &messages::is_conversation));
    let turns = form::TURNS.iter().filter_map(|(question, answer, _)| {
        Some(vec![usual(columns, &[question])?, usual(columns, &[answer])?])
    });
    let turns = turns.map(|it| having(it, &|it: &Cell| !it.is_missing()));
    messages.chain(turns).filter(|it| !it.rows.is_empty()).collect()
}

/// That some rows have no question in the columns that are read, and a conversation in others.
///
/// # Errors
/// Such rows.
pub(super) fn check_keys(table: &Table, parts: &[(Part, usize)]) -> Result<(), Failure> {
    match keys(table, parts) {
        Some((why, cure)) => Err(refused(table, &why, &cure)),
        None => Ok(()),
    }
}

fn keys(table: &Table, parts: &[(Part, usize)]) -> Option<(String, String)> {
    let columns = &table.sample.columns;
    let is_read = |part: Part| matches!(part, Part::Messages | Part::Question | Part::Answer);
    let read = parts.iter().filter(|it| is_read(it.0)).map(|it| it.1).collect::<Vec<_>>();
    let is_open = |row: &usize| {
        let cells = read.iter().filter_map(|it| table.sample.rows[*row].get(*it));
        cells.into_iter().all(Cell::is_missing)
    };
    let others = forms(table).into_iter().map(|it| {
        let rows = it.rows.into_iter().filter(is_open).collect();
        Rows { rows, ..it }
    });
    let other = others.filter(|it| !it.rows.is_empty()).max_by_key(|it| it.rows.len())?;
    let first = other.rows.first()? + 1;
    let names = |of: &[usize]| {
        let names: Vec<String> = of.iter().map(|it| format!("`{}`", columns[*it])).collect();
        names.join(" and ")
    };
    Some((
        format!(
            "rows have different keys: {} of the first {} have {} (row {first} is the first), and others {}",
            other.rows.len(),
            table.sample.rows.len(),
            names(&other.columns),
            names(&read)
        ),
        "give all rows the same keys, or drop each kind by itself".into(),
    ))
}
