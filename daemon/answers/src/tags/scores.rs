//! Decides what is scored of sentences and their predicted tags, and which metrics there are.
//! Intervals are drawn over sentences. Counting is left to `counts`.

use super::Tags;
use super::counts::{Counted, TagScores};
use crate::bootstrap::{self, Sampled};
use crate::classified::check_probabilities;
use crate::scored::{check_rows, mean};
use crate::{Scored, ScoresError, Target};
use finetuned_job::scores::{ClassScores, Scores};
use finetuned_job::task::Metrics;

/// Of tags that mark no entities: the averages are over tags, each word counts.
pub(super) const PLAIN: Metrics = Metrics {
    known: &[
        "token_accuracy",
        "macro_f1",
        "macro_precision",
        "macro_recall",
        "weighted_f1",
        "weighted_precision",
        "weighted_recall",
        "loss",
    ],
    shown: &["token_accuracy", "macro_f1"],
    best: "token_accuracy",
};

pub(super) fn scores(
    tags: &Tags,
    of: &Scored<'_>,
    intervals_for: &[&str],
    seed: u64,
) -> Result<Scores, ScoresError> {
    let Scored { split, predictions, targets, losses } = *of;
    check_rows(of, tags.outputs.len(), |it| it.classes().len())?;
    check(targets, tags.outputs.len())?;
    check_probabilities(predictions)?;
    let sentences = |of: &dyn Fn(usize) -> Vec<u32>| -> Vec<Vec<&str>> {
        (0..targets.len()).map(|it| tags.names(&of(it))).collect()
    };
    let right = sentences(&|it| targets[it].classes().to_vec());
    let predicted = sentences(&|it| tags.predicted(predictions.of(it)));
    let entities = tags.have_entities();
    let count = if entities { Counted::entities } else { Counted::plain };
    let sampled = Sentences { counted: count(&right, &predicted), losses, entities };
    let found = sampled.counted.scores();
    let known = if entities { tags.known() } else { PLAIN.known };
    let metric = |name: &&str| Some(((*name).to_owned(), metric(&found, entities, name)?));
    let strata = bootstrap::together(targets.len());
    let per_class = sampled.counted.kinds().iter().zip(&found.each);
    let per_class = per_class.map(|(kind, it)| ClassScores {
        class: kind.clone(),
        precision: it.precision,
        recall: it.recall,
        f1: it.f1,
        average_precision: None,
        support: it.support,
    });
    Ok(Scores {
        split,
        examples: targets.len() as u64,
        loss: mean(losses),
        metrics: known.iter().filter_map(metric).collect(),
        intervals: bootstrap::intervals(&sampled, intervals_for, &strata, seed)?,
        per_class: per_class.collect(),
        confusion: Vec::new(),
        per_number: Vec::new(),
    })
}

/// The share of each tag among the words of the training split, so that the most frequent one is
/// predicted, of equally frequent ones the first.
pub(super) fn constant(tags: &Tags, train: &[Target]) -> Result<(String, Vec<f32>), ScoresError> {
    check(train, tags.outputs.len())?;
    let mut counts = vec![0_u64; tags.outputs.len()];
    train.iter().flat_map(Target::classes).for_each(|it| counts[*it as usize] += 1);
    let words = counts.iter().sum::<u64>().max(1);
    let row: Vec<f32> = counts.iter().map(|it| (*it as f64 / words as f64) as f32).collect();
    Ok((tags.names(&tags.predicted(&row)).concat(), row))
}

struct Sentences<'a> {
    counted: Counted,
    losses: &'a [f64],
    entities: bool,
}

impl Sampled for Sentences<'_> {
    fn losses(&self) -> &[f64] {
        self.losses
    }

    fn effort(&self) -> usize {
        self.counted.effort()
    }

    fn measure(&self, times: &[u32], metrics: &[&str]) -> Vec<Option<f64>> {
        let found = self.counted.measure(times);
        metrics.iter().map(|it| metric(&found, self.entities, it)).collect()
    }
}

/// All but the loss.
fn metric(of: &TagScores, entities: bool, name: &str) -> Option<f64> {
    let score = match name.split_once('_')? {
        ("token", "accuracy") => return Some(of.accuracy.unwrap_or(0.0)),
        ("entity", _) if entities => of.micro,
        ("macro", _) => of.macro_,
        ("weighted", _) => of.weighted,
        _ => return None,
    };
    match name.rsplit('_').next()? {
        "f1" => Some(score.f1),
        "precision" => Some(score.precision),
        "recall" => Some(score.recall),
        _ => None,
    }
}

fn check(targets: &[Target], outputs: usize) -> Result<(), ScoresError> {
    for (example, target) in targets.iter().enumerate() {
        if let Some(&label) = target.classes().iter().find(|it| outputs <= **it as usize) {
            return Err(ScoresError::Label { example, label, classes: outputs });
        }
        if target.classes().is_empty() || !target.numbers().is_empty() {
            return Err(ScoresError::Kind { example });
        }
    }
    Ok(())
}
