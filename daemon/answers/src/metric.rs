//! Decides how a metric is found among scores, which way it is better and how a number is written.

use finetuned_job::scores::Scores;

/// Whether a greater value of the metric is a better one: all but losses and errors.
pub fn higher_is_better(metric: &str) -> bool {
    !["loss", "mae", "rmse", "perplexity", "bits_per_byte"].contains(&metric)
}

/// A metric by its name, `loss` included.
pub fn value(scores: &Scores, metric: &str) -> Option<f64> {
    if metric == "loss" { Some(scores.loss) } else { scores.metrics.get(metric).copied() }
}

/// Four digits that count: `3.142`, `0.00052`, `12750`.
pub fn short(value: f64) -> String {
    let places = 3 - value.abs().max(f64::from(f32::MIN_POSITIVE)).log10().floor() as i32;
    let digits = places.clamp(0, 12) as usize;
    let text = format!("{value:.digits$}");
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}
