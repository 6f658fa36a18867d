//! Decides by which loss answers are compared, and what cannot stand beside it in a recipe.

use super::{Facts, defaults};
use finetuned_job::outcome::{Failure, FailureKind};
use finetuned_job::plan::PreferencePlan;
use finetuned_job::recipe::{ClassWeights, PreferenceLoss, Recipe};
use finetuned_job::task::Objective;

/// A label that is more often wrong than right says the opposite.
const SMOOTHING_MAX: f64 = 0.5;

fn refused(message: impl Into<String>, cure: &str) -> Failure {
    Failure::new(FailureKind::Recipe, message).with_cure(cure)
}

const LEAVE_OUT: &str = "leave it out of the recipe";

/// None where likelihoods of answers are not compared.
///
/// # Errors
/// Settings of another task or another loss, a loss of pairs where answers stand alone.
pub(super) fn plan(recipe: &Recipe, facts: &Facts) -> Result<Option<PreferencePlan>, Failure> {
    let asked = &recipe.train;
    let objective = facts.task.objective;
    if objective.compares() && asked.loss.is_some() {
        let message = "train.loss is a plugin's, which sees one example at a time, but answers are compared here";
        return Err(refused(message, LEAVE_OUT));
    }
    if objective != Objective::Preferences {
        let named = [
            (asked.preference.is_some(), "train.loss"),
            (asked.beta.is_some(), "train.beta"),
            (asked.gamma.is_some(), "train.gamma"),
        ];
        if let Some((_, field)) = named.iter().find(|it| it.0) {
            let message = format!(
                "{field} is of likelihoods of answers that are compared, but these are none"
            );
            return Err(refused(
                message,
                "leave it out of the recipe, or set task to `preference`",
            ));
        }
        if objective == Objective::Rewards && asked.label_smoothing != 0.0 {
            let message =
                "train.label_smoothing is for classes and for DPO, but rewards are learnt";
            return Err(refused(message, LEAVE_OUT));
        }
        return Ok(None);
    }
    let alone = !facts.data.classes.is_empty();
    let default = if alone { PreferenceLoss::Kto } else { PreferenceLoss::Dpo };
    let loss = asked.preference.unwrap_or(default);
    if alone && loss != PreferenceLoss::Kto {
        let message = format!(
            "train.loss is `{}`, which compares the two answers of a pair, but the data have answers alone, each with a verdict",
            loss.name()
        );
        return Err(refused(
            message,
            "set train.loss to `kto`, or drop `prompt`, `chosen` and `rejected`",
        ));
    }
    check_smoothing(asked.label_smoothing, loss)?;
    if asked.gamma.is_some() && loss != PreferenceLoss::Simpo {
        let message = format!("train.gamma is of `simpo`, but train.loss is `{}`", loss.name());
        return Err(refused(message, LEAVE_OUT));
    }
    let beta = asked.beta.unwrap_or_else(|| defaults::beta(loss));
    let gamma = (loss == PreferenceLoss::Simpo)
        .then(|| asked.gamma.unwrap_or_else(|| defaults::gamma(beta)));
    Ok(Some(PreferencePlan { loss, beta, gamma }))
}

fn check_smoothing(smoothing: f64, loss: PreferenceLoss) -> Result<(), Failure> {
    let message = match smoothing {
        0.0 => return Ok(()),
        _ if !loss.smooths() => {
            format!(
                "train.label_smoothing is of `dpo` and `simpo`, but train.loss is `{}`",
                loss.name()
            )
        }
        it if it < SMOOTHING_MAX => return Ok(()),
        it => format!(
            "train.label_smoothing is {it}, but must be below {SMOOTHING_MAX}: it is the part of the pairs that are the wrong way round"
        ),
    };
    Err(refused(message, "leave it out of the recipe, or set it to 0.1, say"))
}

/// What unwanted and wanted answers weigh, where they are weighed at all.
pub(super) fn weights(
    asked: Option<ClassWeights>,
    loss: PreferenceLoss,
    facts: &Facts,
) -> Option<Vec<f64>> {
    let counts: Vec<u64> = facts.data.classes.iter().map(|it| it.train).collect();
    match (loss, asked, &counts[..]) {
        (PreferenceLoss::Kto, None | Some(ClassWeights::Auto), [unwanted, wanted]) => {
            Some(defaults::verdict_weights(*unwanted, *wanted))
        }
        _ => None,
    }
}
