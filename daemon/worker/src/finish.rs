//! The end of the action `train`: a model whose training is over -> scores of both splits, the
//! model on disk, and last `trained.json`. Which model that is, is left to `training`.

use crate::attempt::Attempt;
use crate::checkpoint::{self, Position};
use crate::evaluate::{Evaluation, evaluate};
use crate::examples::ExampleSet;
use crate::feature_cache::FeatureCache;
use crate::learner::Learner;
use crate::network;
use crate::prepare::{self, Prepared};
use crate::source::{Batch, Source};
use crate::stored::{Examples, Stored};
use crate::{device, durable, export, samples};
use anyhow::{Context, Result};
use finetuned_job::event::{Event, Phase};
use finetuned_job::outcome::{Failure, FailureKind, OUTCOME_VERSION, Probe, Refit, Trained, Wins};
use finetuned_job::plan::Plan;
use finetuned_job::recipe::Head;
use finetuned_job::run_folder;
use finetuned_job::scores::{Baseline, Scores, Split};
use finetuned_models::Pass;

/// The model that is to be saved, before its form changes.
pub(crate) struct Chosen {
    pub learner: Learner,
    /// Its loss on the validation examples; absent where there are none.
    pub loss: Option<f64>,
    pub again: Option<Again>,
}

/// Of a second training.
pub(crate) struct Again {
    pub outcome: Refit,
    /// Of the probe that was fitted to all examples.
    pub probe: Option<Probe>,
    /// Scores of the model that had not learnt from the validation examples.
    pub validation: Scores,
    pub seconds: f64,
}

/// As many examples of a split as one forward pass takes.
fn some<'a>(set: &'a ExampleSet, learner: &Learner) -> Result<Batch<'a>> {
    let first = set.evaluation_batches().into_iter().take(1).collect();
    Stored::plain(Examples { set, cache: None }, first, learner.network.device)
        .next(&learner.network)
        .context("a split is empty")?
}

/// Scores of both splits, the model on disk, and last `trained.json`.
pub(crate) fn finish(
    (plan, prepared): (&Plan, &Prepared),
    chosen: Chosen,
    validation_cache: Option<&FeatureCache>,
    position: &Position,
    attempt: &mut Attempt,
) -> Result<()> {
    let Chosen { mut learner, loss, again } = chosen;
    let (data, run) = (&prepared.data, &attempt.spec.run);
    let set = data.report_split().1;
    let head = if learner.take_own_head(&some(set, &learner)?)? {
        Head::Linear
    } else {
        plan.model.head.clone()
    };
    if plan.model.adapter.is_some() && !plan.save.adapter {
        let examples = some(set, &learner)?;
        merge(&mut learner, &examples)?;
    }
    let rows = learner.take_family_form(&prepared.base.checkpoint, plan)?;
    let validation_cache = validation_cache.filter(|it| Some(it.stages) != rows);
    learner.fold_units()?;
    let Scored { scores, found, validation, thresholds } =
        scored((plan, prepared), &learner, validation_cache, attempt)?;
    if let (Some(before), Some(after)) = (loss, &validation) {
        same_as_before(before, after.loss, plan.task.objective.samples())?;
    }
    let (refit, seconds) = again.as_ref().map_or((None, 0.0), |it| (Some(it.outcome), it.seconds));
    let (validation, probe_again) = match again {
        Some(it) => (Some(it.validation), it.probe),
        None => (validation, None),
    };

    attempt.journal.phase(Phase::Exporting, None)?;
    let unproven = run.join(run_folder::UNPROVEN);
    let tensors = learner.all_tensors();
    let config =
        export::Config { plan, encoder: prepared.encoder.as_ref(), thresholds: &thresholds };
    export::write(&unproven, &prepared.base.checkpoint, config, &tensors)?;
    drop((learner, tensors));
    let before = baseline((plan, prepared), attempt)?;
    let wins = before.wins(&found).filter(|_| plan.task.objective.samples());
    let trained = Trained {
        version: OUTCOME_VERSION,
        scores,
        validation,
        baseline: before.baseline,
        probe: ended(position, probe_again),
        refit,
        steps: position.step,
        best_step: position.best.map_or(position.step, |it| it.step),
        epochs: position.step as f64 / plan.train.steps_per_epoch as f64,
        stopped_early: position.stopped_early,
        seconds: position.seconds + seconds,
        head,
        thresholds,
        groups: position.groups,
        wins,
        before: before.texts,
        model_hash: checkpoint::hash(&unproven.join(network::weights_file(plan)))?,
        padding_saved: 1.0 - position.tokens as f64 / position.tokens_padded.max(1) as f64,
    };
    durable::write_json(&run.join(run_folder::TRAINED), &trained)?;
    attempt.journal.tell(Event::Trained {
        steps: trained.steps,
        best_step: trained.best_step,
        seconds: trained.seconds,
    })
}

/// The probe at the end of training. `again`: one that learnt from as many examples as a model that
/// was trained twice.
fn ended(position: &Position, again: Option<Probe>) -> Option<Probe> {
    let first = position.probe.clone()?;
    let metrics = again.map_or_else(|| first.metrics.clone(), |it| it.metrics);
    Some(Probe { metrics, ..first.ended(position.best.map(|it| it.step)) })
}

/// What is scored without learning.
struct Before {
    baseline: Baseline,
    /// What the base model gives and says, where it is that.
    found: Option<Evaluation>,
    texts: Vec<String>,
}

impl Before {
    /// Of a model whose answers have rewards.
    fn wins(&self, after: &Evaluation) -> Option<Wins> {
        let rewards = |of: &Evaluation| -> Vec<f32> {
            let all = 0..of.predictions.len();
            all.filter_map(|it| of.predictions.of(it).first().copied()).collect()
        };
        Some(Wins::of(&rewards(self.found.as_ref()?), &rewards(after)))
    }
}

fn baseline((plan, prepared): (&Plan, &Prepared), attempt: &mut Attempt) -> Result<Before> {
    let (data, set) = (&prepared.data, prepared.data.report_split().1);
    let constant = finetuned_answers::of(plan.task.answer, plan.data.outputs())
        .baseline(&data.train.targets, &set.targets)?;
    match constant {
        Some(baseline) => Ok(Before { baseline, found: None, texts: Vec::new() }),
        None => before((plan, prepared), attempt),
    }
}

/// What the base model scores as it is, and says.
fn before((plan, prepared): (&Plan, &Prepared), attempt: &mut Attempt) -> Result<Before> {
    let model = prepare::begin(attempt, prepared)?.model;
    let device = device::choose(attempt.spec.device)?;
    let (numbers, extensions) = (prepared.data.numbers(), &prepared.extensions);
    let mut learner = Learner::new(model, device, plan, numbers, prepared.learning())?;
    learner.objective.be_base();
    let (split, set) = prepared.data.report_split();
    attempt.journal.phase(Phase::Evaluating, Some(set.len() as u64))?;
    let examples = Examples { set, cache: None };
    let found = evaluate(&learner.network, learner.objective.as_ref(), examples, |done| {
        attempt.progress(done, set.len() as u64)
    })?;
    let metrics = found.scores_only(split, set, plan, extensions)?.metrics;
    let encoder = prepared.encoder.as_ref();
    let texts = samples::continued(&learner.network, (plan, encoder), set, attempt)?;
    let baseline = Baseline { answer: String::new(), metrics };
    Ok(Before { baseline, found: Some(found), texts })
}

/// Adapters become one with the weights beside them, which must then give the same features.
fn merge(learner: &mut Learner, examples: &Batch) -> Result<()> {
    /// Roundings of fp32 in a model of some layers, for a number of 1.
    const TOLERANCE: f64 = 1e-3;
    let features = |learner: &Learner| {
        let model = &learner.network.model;
        tch::no_grad(|| model.features(&examples.input, &Pass::evaluation())).map(|it| it.xs)
    };
    let before = features(learner)?;
    learner.merge()?;
    let off = features(learner)?.f_sub(&before)?.f_abs()?.f_max()?.f_double_value(&[])?;
    let largest = before.f_abs()?.f_max()?.f_double_value(&[])?;
    if off <= TOLERANCE * largest.max(1.0) {
        return Ok(());
    }
    let message = format!(
        "merging the adapter changed the model's features by {off}, where the largest is {largest}"
    );
    Err(Failure::new(FailureKind::Internal, message)
        .with_cure("this is a defect of finetuned: please report it with worker.log")
        .into())
}

/// What the finished model scores, and from where on it predicts.
struct Scored {
    /// On the split of the report.
    scores: Scores,
    /// What they are of.
    found: Evaluation,
    validation: Option<Scores>,
    thresholds: Vec<f32>,
}

fn scored(
    (plan, prepared): (&Plan, &Prepared),
    learner: &Learner,
    validation_cache: Option<&FeatureCache>,
    attempt: &mut Attempt,
) -> Result<Scored> {
    let data = &prepared.data;
    let (split, set) = data.report_split();
    let (network, objective) = (&learner.network, learner.objective.as_ref());
    attempt.journal.phase(Phase::Evaluating, Some(set.len() as u64))?;
    let found = evaluate(network, objective, Examples { set, cache: None }, |done| {
        attempt.progress(done, set.len() as u64)
    })?;
    let held_out = if split == Split::Validation || data.validation.len() == 0 {
        None
    } else {
        let examples = Examples { set: &data.validation, cache: validation_cache };
        Some(evaluate(network, objective, examples, |_| attempt.stop.check())?)
    };
    let answer = finetuned_answers::of(plan.task.answer, plan.data.outputs());
    let thresholds = if plan.eval.tune_thresholds {
        let on = held_out.as_ref().unwrap_or(&found);
        answer.tuned(&on.predictions, &data.validation.targets)
    } else {
        Vec::new()
    };
    let score = |found: &Evaluation, split, set| {
        found.scores(split, set, plan, &prepared.extensions, &thresholds)
    };
    let scores = score(&found, split, set)?;
    let validation = match held_out {
        Some(found) => Some(score(&found, Split::Validation, &data.validation)?),
        None => (split == Split::Validation).then(|| scores.clone()),
    };
    Ok(Scored { scores, found, validation, thresholds })
}

/// Whatever changed the model's form (a plugin's head that became the model's own, units that were
/// folded in) must have left its loss on validation alone. `samples`: answers are scored that it
/// makes token by token, which a rounding may turn at a tie.
fn same_as_before(before: f64, after: f64, samples: bool) -> Result<(), Failure> {
    /// Roundings of fp32, for a loss of 1.
    const TOLERANCE: f64 = 1e-4;
    if samples || (before - after).abs() <= TOLERANCE * before.abs().max(1.0) {
        return Ok(());
    }
    let message = format!(
        "the finished model has the loss {after} on validation, but before its form was changed it had {before}"
    );
    Err(Failure::new(FailureKind::Internal, message)
        .with_cure("this is a defect of finetuned: please report it with worker.log"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_of_form_that_changes_the_loss_is_a_failure() {
        assert!(same_as_before(0.0014, 0.00141, false).is_ok());
        assert!(same_as_before(-0.5, -0.25, true).is_ok());
        let failure = same_as_before(0.0014, 1.706, false).unwrap_err();
        assert!(failure.message.contains("1.706") && failure.message.contains("0.0014"));
    }
}
