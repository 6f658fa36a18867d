//! Decides what `report.html` shows and in which order; how it looks is left to `templates/`.
//!
//! One file that asks for nothing: no script, no font, no image from elsewhere, and a content
//! security policy that says so. Text from users is escaped by the engine; only the images of
//! `charts` and our own style sheet are passed as they are.

mod gallery; // images of the data set
mod predicted; // what the model said, right and wrong

use crate::charts::{self, Curves, Look, Series};
use crate::recipe_text;
use crate::story::{Story, Verdict, phase_name};
use crate::templates;
use anyhow::Result;
use finetuned_answers::{higher_is_better, value};
use minijinja::value::Serde;
use minijinja::{Value, context};

/// The report as one HTML file.
pub fn html(story: &Story) -> Result<String> {
    let context = context! {
        plan => Serde(story.plan),
        data => Serde(story.data),
        trained => Serde(story.trained),
        done => Serde(story.done),
        probe_sentence => story.probe_sentence(),
        refit_sentence => story.refit_sentence(),
        groups_sentence => story.groups_sentence(),
        thresholds => story.thresholds(),
        style => Value::from_safe_string(include_str!("templates/report.css").to_owned()),
        base_name => story.base_name().trim_start_matches("hf:"),
        proven => story.done.proof.holds(),
        verdict => verdict(story),
        gauge => gauge(story),
        metrics => metrics(story),
        curves => all_curves(story)?,
        matrix => predicted::matrix(story),
        confusions => predicted::confusions(story),
        mistakes => predicted::mistakes(story),
        samples => predicted::samples(story),
        samples_sentence => story.samples_sentence(),
        scatters => predicted::scatters(story)?,
        gallery => gallery::gallery(story),
        tokens => tokens(story)?,
        noun => story.noun(),
        texts => story.of_texts(),
        library => story.library(),
        augmentation => gallery::augmentation(story.plan.augment.as_ref()),
        words => words(story),
        class_most => story.data.classes.iter().map(|it| it.train.max(it.validation).max(
            it.test)).max().unwrap_or(1).max(1),
        warnings => story.warnings().into_iter().map(str::to_owned).collect::<Vec<_>>(),
        phases => story.phases().into_iter().map(|(phase,
            seconds)| context! { name => phase_name(phase), seconds }).collect::<Vec<_>>(),
        throughput => throughput(story),
        recipe => recipe_text::recipe(story.plan, story.data)?,
        usage => story.usage(&story.done.model)?,
    };
    templates::render("report.html", context)
}

/// Of the kind of answer, for the templates.
fn words(story: &Story) -> Value {
    let it = story.words();
    context! { baseline => it.baseline, scores => it.scores, intervals => it.intervals,
    mistakes => it.mistakes, target => it.target, columns => it.columns }
}

fn verdict(story: &Story) -> &'static str {
    match story.verdict() {
        Verdict::Better => "better",
        Verdict::NotBetter => "not_better",
        Verdict::Unknown => "unknown",
    }
}

/// Places on a line from 0 to 1, in percent; nothing for metrics that have no such scale.
fn gauge(story: &Story) -> Option<Value> {
    let metric = &story.done.metric;
    let known = story.answer().metrics().known;
    if !higher_is_better(metric) || !known.contains(&metric.as_str()) {
        return None;
    }
    let interval = story.done.scores.intervals.get(metric)?;
    let baseline = story.done.baseline.metrics.get(metric)?;
    let place = |value: f64| (value.clamp(0.0, 1.0) * 1000.0).round() / 10.0;
    let (low, high) = (place(interval.low), place(interval.high));
    Some(context! { score => place(story.done.score), low, width => high - low,
    baseline => place(*baseline) })
}

/// The metric that chose the best step, then those that the recipe names, then all others.
fn metric_order(story: &Story) -> Vec<String> {
    let mut order: Vec<String> = Vec::new();
    let named = [story.done.metric.as_str()]
        .into_iter()
        .chain(story.plan.eval.metrics.iter().map(String::as_str));
    let known = story.answer().metrics().known;
    // A plugin's metrics stand among the scores only.
    for metric in named
        .chain(known.iter().copied())
        .chain(story.done.scores.metrics.keys().map(String::as_str))
    {
        if !order.iter().any(|it| it == metric) {
            order.push(metric.to_owned());
        }
    }
    order
}

/// `chief`: what the recipe names and the loss; `others`: the rest.
fn metrics(story: &Story) -> Value {
    let row = |metric: String| {
        let shown = value(&story.done.scores, &metric)?;
        let interval = story.done.scores.intervals.get(&metric).map(Serde);
        Some(context! { name => &metric, value => shown, interval,
            baseline => story.done.baseline.metrics.get(&metric).copied(),
        validation => story.trained.validation.as_ref().and_then(|it| value(it, &metric)) })
    };
    let named = |metric: &String| {
        *metric == story.done.metric || story.plan.eval.metrics.contains(metric) || metric == "loss"
    };
    let (chief, others): (Vec<String>, Vec<String>) =
        metric_order(story).into_iter().partition(named);
    let rows = |names: Vec<String>| names.into_iter().filter_map(row).collect::<Vec<_>>();
    context! { chief => rows(chief), others => rows(others) }
}

fn all_curves(story: &Story) -> Result<Vec<Value>> {
    let of = |value: fn(&finetuned_job::event::Step) -> f64| {
        story.steps().map(|it| (it.step as f64, value(it))).collect::<Vec<_>>()
    };
    let mark = Some(story.trained.best_step as f64);
    let scores = metric_order(story).into_iter().filter(|it| it != "loss");
    let mut shown: Vec<String> =
        scores.take(story.plan.eval.metrics.len().clamp(1, charts::SERIES_MAX)).collect();
    // Errors and shares have no axis in common.
    let upwards = shown.first().is_none_or(|it| higher_is_better(it));
    shown.retain(|it| higher_is_better(it) == upwards);
    let dotted = |metric: &str| Series { look: Look::Dotted, points: story.validation(metric) };
    let mut loss = vec![Series { look: Look::Noisy, points: of(|it| it.loss) }, dotted("loss")];
    loss.retain(|it| !it.points.is_empty());
    let names = shown.iter().map(|it| finetuned_job::outcome::spoken(it)).collect();
    let plain = |value| Series { look: Look::Plain, points: of(value) };
    let noisy = Series { look: Look::Noisy, points: of(|it| it.grad_norm) };
    let charts = [
        figure("Loss", loss, vec!["training, smoothed".into(), "validation".into()], mark, true)?,
        figure(
            "Validation scores",
            shown.iter().map(|it| dotted(it)).collect(),
            names,
            mark,
            false,
        )?,
        figure("Learning rate", vec![plain(|it| it.lr)], vec!["learning rate".into()], None, true)?,
        figure("Gradient norm", vec![noisy], vec!["before clipping, smoothed".into()], None, true)?,
    ];
    Ok(charts.into_iter().flatten().collect())
}

fn figure(
    title: &str,
    series: Vec<Series>,
    names: Vec<String>,
    mark: Option<f64>,
    from_zero: bool,
) -> Result<Option<Value>> {
    let ends: Vec<Option<(f64, f64)>> = series.iter().map(|it| it.points.last().copied()).collect();
    let alt = format!("{title} over training steps: {}", names.join(", "));
    let image = charts::curves(&Curves { alt: &alt, series, mark, from_zero })?;
    let legend: Vec<Value> = names
        .into_iter()
        .zip(ends)
        .map(|(name, end)| context! { name, last => end.map(|it| it.1) })
        .collect();
    Ok(image.map(|svg| context! { title, legend, svg => Value::from_safe_string(svg) }))
}

fn tokens(story: &Story) -> Result<Option<Value>> {
    let Some(tokens) = &story.data.tokens else { return Ok(None) };
    let alt = format!(
        "Examples by their number of tokens: median {}, longest {}",
        tokens.median, tokens.longest
    );
    let mark = (tokens.max_tokens < tokens.longest).then_some(tokens.max_tokens);
    let image = charts::histogram(&alt, &tokens.histogram, mark)?;
    Ok(image.map(Value::from_safe_string))
}

fn throughput(story: &Story) -> Option<Value> {
    let sum = story.throughput();
    (0.0 < sum.seconds).then(|| {
        context! { seconds => sum.seconds, examples => sum.examples,
            examples_rate => (sum.examples as f64 / sum.seconds).round() as u64,
        tokens_rate => (sum.tokens as f64 / sum.seconds).round() as u64 }
    })
}

#[cfg(test)]
pub(crate) mod tests;
