//! Decides what `report.html` shows and in which order; how it looks is left to `templates/`.
//!
//! One file that asks for nothing: no script, no font, no picture from elsewhere, and a content security policy
//! that says so. Text from users is escaped by the engine; only the pictures of `charts` and our own style sheet
//! are passed as they are.

use crate::charts::{self, Curves, Look, Series};
use crate::recipe_text;
use crate::story::{Story, Verdict, phase_name};
use crate::templates;
use anyhow::Result;
use finetuned_job::recipe::METRICS;
use minijinja::value::Serde;
use minijinja::{Value, context};

/// A larger confusion matrix is unreadable; the commonest confusions stand beside it anyway.
const MATRIX_CLASSES_MAX: usize = 60;
/// Up to here a cell has room for its share below its count, and a column for its name.
const WIDE_CELLS_CLASSES_MAX: usize = 12;
const CONFUSIONS_SHOWN: usize = 15;
/// Characters of a text among the mistakes; the rest stands in predictions.csv.
const MISTAKE_CHARS_MAX: usize = 400;

/// The report as one HTML file.
pub fn html(story: &Story) -> Result<String> {
    let context = context! {
        plan => Serde(story.plan),
        data => Serde(story.data),
        trained => Serde(story.trained),
        done => Serde(story.done),
        style => Value::from_safe_string(include_str!("templates/report.css").to_owned()),
        base_name => story.base_name().trim_start_matches("hf:"),
        proven => story.done.proof.holds(),
        verdict => verdict(story),
        gauge => gauge(story),
        metrics => metrics(story),
        curves => all_curves(story)?,
        matrix => matrix(story),
        confusions => confusions(story),
        mistakes => mistakes(story),
        tokens => tokens(story)?,
        class_most => story.data.classes.iter().map(|it| it.train.max(it.validation).max(it.test)).max().unwrap_or(1).max(1),
        warnings => story.warnings().into_iter().map(str::to_owned).collect::<Vec<_>>(),
        phases => story.phases().into_iter().map(|(phase, seconds)| context! { name => phase_name(phase), seconds }).collect::<Vec<_>>(),
        throughput => throughput(story),
        recipe => recipe_text::recipe(story.plan, story.data)?,
    };
    templates::render("report.html", context)
}

fn verdict(story: &Story) -> &'static str {
    match story.verdict() {
        Verdict::Better => "better",
        Verdict::NotBetter => "not_better",
        Verdict::Unknown => "unknown",
    }
}

/// Places on a line from 0 to 1, in percent; nothing for the loss, which has no such scale.
fn gauge(story: &Story) -> Option<Value> {
    let metric = &story.done.metric;
    let interval = story.done.scores.intervals.get(metric)?;
    let baseline = story.done.baseline.metrics.get(metric)?;
    let place = |value: f64| (value.clamp(0.0, 1.0) * 1000.0).round() / 10.0;
    let (low, high) = (place(interval.low), place(interval.high));
    Some(context! { score => place(story.done.score), low, width => high - low, baseline => place(*baseline) })
}

/// The metric that chose the best step, then those that the recipe names, then all others.
fn metric_order(story: &Story) -> Vec<String> {
    let mut order: Vec<String> = Vec::new();
    let named = [story.done.metric.as_str()].into_iter().chain(story.plan.eval.metrics.iter().map(String::as_str));
    for metric in named.chain(METRICS.iter().copied()) {
        if !order.iter().any(|it| it == metric) {
            order.push(metric.to_owned());
        }
    }
    order
}

/// `chief`: what the recipe names and the loss; `others`: the rest.
fn metrics(story: &Story) -> Value {
    let row = |metric: String| {
        let value = crate::value(&story.done.scores, &metric)?;
        let interval = story.done.scores.intervals.get(&metric).map(Serde);
        Some(context! { name => &metric, value, interval, baseline => story.done.baseline.metrics.get(&metric).copied(),
        validation => crate::value(&story.trained.validation, &metric) })
    };
    let named = |metric: &String| *metric == story.done.metric || story.plan.eval.metrics.contains(metric) || metric == "loss";
    let (chief, others): (Vec<String>, Vec<String>) = metric_order(story).into_iter().partition(named);
    let rows = |names: Vec<String>| names.into_iter().filter_map(row).collect::<Vec<_>>();
    context! { chief => rows(chief), others => rows(others) }
}

fn all_curves(story: &Story) -> Result<Vec<Value>> {
    let of = |value: fn(&finetuned_job::event::Step) -> f64| story.steps().map(|it| (it.step as f64, value(it))).collect::<Vec<_>>();
    let mark = Some(story.trained.best_step as f64);
    let scores = metric_order(story).into_iter().filter(|it| it != "loss");
    let shown: Vec<String> = scores.take(story.plan.eval.metrics.len().clamp(1, charts::SERIES_MAX)).collect();
    let dotted = |metric: &str| Series { look: Look::Dotted, points: story.validation(metric) };
    let loss = [Series { look: Look::Noisy, points: of(|it| it.loss) }, dotted("loss")];
    let names = shown.iter().map(|it| finetuned_job::outcome::spoken(it)).collect();
    let plain = |value| Series { look: Look::Plain, points: of(value) };
    let noisy = Series { look: Look::Noisy, points: of(|it| it.grad_norm) };
    let charts = [
        figure("Loss", loss.into(), vec!["training, smoothed".into(), "validation".into()], mark, true)?,
        figure("Validation scores", shown.iter().map(|it| dotted(it)).collect(), names, mark, false)?,
        figure("Learning rate", vec![plain(|it| it.lr)], vec!["learning rate".into()], None, true)?,
        figure("Gradient norm", vec![noisy], vec!["before clipping, smoothed".into()], None, true)?,
    ];
    Ok(charts.into_iter().flatten().collect())
}

fn figure(title: &str, series: Vec<Series>, names: Vec<String>, mark: Option<f64>, from_zero: bool) -> Result<Option<Value>> {
    let ends: Vec<Option<(f64, f64)>> = series.iter().map(|it| it.points.last().copied()).collect();
    let alt = format!("{title} over training steps: {}", names.join(", "));
    let picture = charts::curves(&Curves { alt: &alt, series, mark, from_zero })?;
    let legend: Vec<Value> = names.into_iter().zip(ends).map(|(name, end)| context! { name, last => end.map(|it| it.1) }).collect();
    Ok(picture.map(|svg| context! { title, legend, svg => Value::from_safe_string(svg) }))
}

fn matrix(story: &Story) -> Option<Value> {
    let scores = &story.done.scores;
    if MATRIX_CLASSES_MAX < scores.confusion.len() {
        return None;
    }
    let row = |(truth, counts): (usize, &Vec<u64>)| {
        let total: u64 = counts.iter().sum();
        let cell = |(predicted, &n): (usize, &u64)| {
            let share = if total == 0 { 0.0 } else { n as f64 / total as f64 };
            context! { n, share, right => truth == predicted }
        };
        context! { class => &scores.per_class[truth].class, total, cells => counts.iter().enumerate().map(cell).collect::<Vec<_>>() }
    };
    let rows: Vec<Value> = scores.confusion.iter().enumerate().map(row).collect();
    Some(context! { rows, wide => scores.confusion.len() <= WIDE_CELLS_CLASSES_MAX })
}

fn confusions(story: &Story) -> Vec<Value> {
    let classes = &story.done.scores.per_class;
    let shown = |it: crate::story::Confusion| {
        let support = classes[it.truth].support.max(1);
        context! { truth => &classes[it.truth].class, predicted => &classes[it.predicted].class, count => it.count, share => it.count as f64 / support as f64 }
    };
    story.confusions(CONFUSIONS_SHOWN).into_iter().map(shown).collect()
}

fn mistakes(story: &Story) -> Vec<Value> {
    let shown = |it: &crate::Mistake| {
        let mut text: String = it.text.chars().take(MISTAKE_CHARS_MAX).collect();
        if text.len() < it.text.len() {
            text.push('…');
        }
        context! { text, truth => &it.truth, predicted => &it.predicted, probability => it.probability, file => &it.file, line => it.line }
    };
    story.mistakes.iter().map(shown).collect()
}

fn tokens(story: &Story) -> Result<Option<Value>> {
    let Some(tokens) = &story.data.tokens else { return Ok(None) };
    let alt = format!("Examples by their number of tokens: median {}, longest {}", tokens.median, tokens.longest);
    let mark = (tokens.max_tokens < tokens.longest).then_some(tokens.max_tokens);
    let picture = charts::histogram(&alt, &tokens.histogram, mark)?;
    Ok(picture.map(Value::from_safe_string))
}

fn throughput(story: &Story) -> Option<Value> {
    let sum = story.throughput();
    (0.0 < sum.seconds).then(|| {
        context! { seconds => sum.seconds, examples => sum.examples, examples_rate => (sum.examples as f64 / sum.seconds).round() as u64,
        tokens => sum.tokens, tokens_rate => (sum.tokens as f64 / sum.seconds).round() as u64 }
    })
}

#[cfg(test)]
pub(crate) mod tests;
