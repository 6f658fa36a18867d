//! Numbers made by tests/data/make_fixtures.py with scikit-learn 1.9.1, numpy 2.4.6, scipy 1.17.1.

use super::*;
use serde::Deserialize;

#[derive(Deserialize)]
struct Fixtures {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    classes: usize,
    labels: Vec<u32>,
    probabilities: Vec<f32>,
    expected: Expected,
    intervals: BTreeMap<String, (f64, f64)>,
}

#[derive(Deserialize)]
struct Expected {
    metrics: BTreeMap<String, f64>,
    per_class: Vec<(f64, f64, f64, f64)>,
    confusion: Vec<Vec<u64>>,
}

fn cases() -> Vec<Case> {
    serde_json::from_str::<Fixtures>(include_str!("../../tests/data/scores.json")).unwrap().cases
}

fn names(n: usize) -> Vec<String> {
    (0..n).map(|it| format!("class {it}")).collect()
}

impl Case {
    fn scores(&self, intervals_for: &[&str]) -> Scores {
        scores(Split::Test, &names(self.classes), &self.probabilities, &self.labels, 0.5, intervals_for, 0).unwrap()
    }
}

#[track_caller]
fn near(found: f64, wanted: f64, tolerance: f64, what: &str) {
    assert!((found - wanted).abs() <= tolerance, "{what}: {found}, wanted {wanted}");
}

#[test]
fn every_metric_equals_scikit_learn() {
    for case in cases() {
        let (scores, expected) = (case.scores(&[]), &case.expected);
        assert_eq!(scores.metrics.keys().collect::<Vec<_>>(), expected.metrics.keys().collect::<Vec<_>>());
        for (metric, &wanted) in &expected.metrics {
            near(scores.metrics[metric], wanted, 1e-12, &format!("{}, {metric}", case.name));
        }
        for (found, &(precision, recall, f1, support)) in scores.per_class.iter().zip(&expected.per_class) {
            let what = format!("{}, {}", case.name, found.class);
            near(found.precision, precision, 1e-12, &what);
            near(found.recall, recall, 1e-12, &what);
            near(found.f1, f1, 1e-12, &what);
            assert_eq!(found.support as f64, support, "{what}");
        }
        assert_eq!(scores.confusion, expected.confusion, "{}", case.name);
    }
}

#[test]
fn intervals_equal_scipys_bootstrap_within_its_noise() {
    for case in cases().iter().filter(|it| !it.intervals.is_empty()) {
        let scores = case.scores(&["accuracy", "macro_f1"]);
        for (metric, &(low, high)) in &case.intervals {
            let found = &scores.intervals[metric];
            // The standard error of a 2.5 % point from 1,000 draws is about 7 % of the half width, and the
            // accuracy moves in steps of one example.
            let noise = 0.12 * (high - low) + 1.0 / case.labels.len() as f64;
            near(found.low, low, noise, &format!("{}, {metric}, low", case.name));
            near(found.high, high, noise, &format!("{}, {metric}, high", case.name));
        }
    }
}

#[test]
fn recipe_metrics_all_have_a_value() {
    let scores = cases()[0].scores(METRICS);
    for metric in METRICS {
        assert!(value(&scores, metric).is_some(), "{metric}");
        assert!(scores.intervals[*metric].low <= scores.intervals[*metric].high, "{metric}");
    }
    assert_eq!(value(&scores, "loss"), Some(0.5));
    assert_eq!(value(&scores, "bleu"), None);
    assert!(higher_is_better("macro_f1") && !higher_is_better("loss"));
}

#[test]
fn unusable_input_is_an_error_and_never_a_score() {
    let of = |probabilities: &[f32], labels: &[u32], loss| scores(Split::Validation, &names(2), probabilities, labels, loss, &[], 0).map(|_| ());
    let refused = |result: Result<(), ScoresError>, message: &str| assert_eq!(result.unwrap_err().to_string(), message);
    refused(of(&[], &[], 0.1), "nothing to score: the validation split has no examples");
    refused(of(&[0.5, 0.5, 0.5], &[0, 1], 0.1), "3 probabilities do not make 2 examples of 2 classes");
    refused(of(&[0.5, 0.5], &[2], 0.1), "example 0 has the label 2, but there are 2 classes");
    refused(of(&[0.5, 0.5, f32::NAN, 0.5], &[0, 0], 0.1), "example 1: NaN is no probability; the model's outputs are unusable");
    refused(of(&[-3.0, 4.0], &[0], 0.1), "example 0: -3 is no probability; the model's outputs are unusable");
    refused(of(&[0.5, 0.5], &[0], f64::NAN), "the loss is NaN; the model's outputs are unusable");
    refused(of(&[0.5, 0.5], &[0], f64::INFINITY), "the loss is inf; the model's outputs are unusable");
}

#[test]
fn the_baseline_says_the_training_majority_and_is_scored_on_other_labels() {
    // Class 1 is the majority of the training split but not of the labels that it is scored on.
    let found = baseline(&names(3), &[10, 30, 30], &[0, 0, 1, 2]).unwrap();
    assert_eq!(found.class, "class 1");
    near(found.metrics["accuracy"], 0.25, 1e-12, "accuracy");
    // sklearn.metrics.f1_score([0, 0, 1, 2], [1, 1, 1, 1], average="macro") = 0.4 / 3
    near(found.metrics["macro_f1"], 0.4 / 3.0, 1e-12, "macro_f1");
    assert!(!found.metrics.contains_key("loss"));
    assert!(baseline(&names(3), &[1, 2], &[0]).is_err());
    assert!(baseline(&names(2), &[1, 2], &[7]).is_err());
}
