//! What the model said of the held-out examples: the matrix, what was confused, mistakes, numbers
//! over numbers.

use crate::charts;
use crate::images::data_uri;
use crate::story::Story;
use anyhow::Result;
use finetuned_answers::{Mark, Segment};
use finetuned_job::outcome::Sample;
use minijinja::{Value, context};

/// A larger confusion matrix is unreadable; the commonest confusions stand beside it anyway.
const MATRIX_CLASSES_MAX: usize = 60;
/// Up to here a cell has room for its share below its count, and a column for its name.
const WIDE_CELLS_CLASSES_MAX: usize = 12;
const CONFUSIONS_SHOWN: usize = 15;
/// Characters of a text among the mistakes; the rest stands in predictions.csv.
const MISTAKE_CHARS_MAX: usize = 400;
/// Of more numbers, the first ones have an image.
const SCATTERS_MAX: usize = 8;

pub(super) fn matrix(story: &Story) -> Option<Value> {
    let scores = &story.done.scores;
    if scores.confusion.is_empty() || MATRIX_CLASSES_MAX < scores.confusion.len() {
        return None;
    }
    let row = |(target, counts): (usize, &Vec<u64>)| {
        let total: u64 = counts.iter().sum();
        let cell = |(predicted, &n): (usize, &u64)| {
            let share = if total == 0 { 0.0 } else { n as f64 / total as f64 };
            context! { n, share, right => target == predicted }
        };
        context! { class => &scores.per_class[target].class, total,
        cells => counts.iter().enumerate().map(cell).collect::<Vec<_>>() }
    };
    let rows: Vec<Value> = scores.confusion.iter().enumerate().map(row).collect();
    Some(context! { rows, wide => scores.confusion.len() <= WIDE_CELLS_CLASSES_MAX })
}

pub(super) fn confusions(story: &Story) -> Vec<Value> {
    let classes = &story.done.scores.per_class;
    let shown = |it: crate::story::Confusion| {
        let support = classes[it.target].support.max(1);
        context! { target => &classes[it.target].class,
        predicted => &classes[it.predicted].class, count => it.count,
        share => it.count as f64 / support as f64 }
    };
    story.confusions(CONFUSIONS_SHOWN).into_iter().map(shown).collect()
}

/// Prompts by their end, texts by their beginning.
pub(super) fn samples(story: &Story) -> Vec<Value> {
    let end = |text: &str| {
        let before = text.chars().count().saturating_sub(MISTAKE_CHARS_MAX);
        let mark = if before == 0 { "" } else { "…" };
        format!("{mark}{}", text.chars().skip(before).collect::<String>())
    };
    let shown = |it: &Sample| {
        context! { prompt => end(&it.prompt), reference => &it.reference,
        before => &it.before, after => &it.after }
    };
    story.samples.iter().map(shown).collect()
}

pub(super) fn mistakes(story: &Story) -> Vec<Value> {
    let answer = story.answer();
    let shown = |it: &crate::Mistake| {
        let mut input: String = it.input.chars().take(MISTAKE_CHARS_MAX).collect();
        if input.len() < it.input.len() {
            input.push('…');
        }
        let file = (it.file != it.input).then_some(&it.file);
        context! { input, target => &it.target, predicted => &it.predicted,
            degree => answer.degree_words(it.degree), file, line => it.line,
            marked => it.marked.iter().map(segment).collect::<Vec<_>>(),
        thumbnail => it.thumbnail.as_deref().map(data_uri) }
    };
    story.mistakes.iter().map(shown).collect()
}

fn segment(it: &Segment) -> Value {
    let mark = |(mark, name): &(Mark, String)| {
        let mark = match mark {
            Mark::Right => "right",
            Mark::Missed => "missed",
            Mark::Spurious => "spurious",
        };
        context! { mark, name }
    };
    context! { text => &it.text, marks => it.marks.iter().map(mark).collect::<Vec<_>>() }
}

/// For each number what was predicted over the target; nothing for classes.
pub(super) fn scatters(story: &Story) -> Result<Vec<Value>> {
    let all = story.answer().scatters(story.predictions, story.targets);
    let mut figures = Vec::new();
    for (name, points) in all.into_iter().take(SCATTERS_MAX) {
        let image = charts::scatter(
            "What the model says over what is true; on the line both are equal",
            &points,
        )?;
        figures.extend(image.map(|svg| context! { name, svg => Value::from_safe_string(svg) }));
    }
    Ok(figures)
}
