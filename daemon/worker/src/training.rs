//! The action `train`: a drop becomes `model.unproven/` and `trained.json`, from the newest
//! checkpoint if there is one. The steps themselves are `trainer`'s.

use crate::attempt::Attempt;
use crate::checkpoint::{Best, Checkpoint, Checkpoints, Position};
use crate::estimate::Sample;
use crate::evaluate::{Evaluation, evaluate};
use crate::examples::ExampleSet;
use crate::extensions::Hooks;
use crate::feature_cache::{Caching, FeatureCache};
use crate::journal::Journal;
use crate::learner::Learner;
use crate::network::WEIGHTS;
use crate::prepare::{self, Prepared};
use crate::source::{Batch, Source};
use crate::stop::Stopped;
use crate::stored::{Examples, Stored};
use crate::trainer::{Ended, Extras, Trainer};
use crate::{checkpoint, device, durable, estimate, export, precision, probe};
use anyhow::{Context, Result, bail};
use finetuned_job::data::DataReport;
use finetuned_job::event::{Event, Phase};
use finetuned_job::outcome::{Failure, FailureKind, OUTCOME_VERSION, Probe, Trained};
use finetuned_job::plan::{FreezePlan, Plan, TrainPlan};
use finetuned_job::recipe::{Head, Method, Precision};
use finetuned_job::run_folder;
use finetuned_job::scores::{Scores, Split};
use std::fs;
use std::path::Path;

pub(crate) fn train(attempt: &mut Attempt) -> Result<()> {
    let run = &attempt.spec.run;
    if run.join(run_folder::TRAINED).exists() {
        return Ok(()); // an earlier attempt came this far; the proof is next
    }
    let checkpoints = Checkpoints::open(run)?;
    let resumed = checkpoints.newest(|passed_over| attempt.journal.warn(passed_over))?;
    let resumed_from = resumed.as_ref().map(|it| it.position.step);
    attempt.journal.tell(Event::Started {
        pid: std::process::id(),
        version: env!("CARGO_PKG_VERSION").into(),
        resumed_from,
    })?;

    let prepared = prepare::prepare(attempt)?;
    let (mut plan, model) = prepare::decide(attempt, &prepared)?;
    if resumed.is_some() {
        obey(run, &mut plan, &mut attempt.journal)?;
    }
    let device = device::choose(attempt.spec.device)?;
    let data = &prepared.data;
    let mut learner = Learner::new(model, device, &plan, data.numbers(), &prepared.extensions)?;
    let hooks = prepared.extensions.hooks(&plan)?;
    let position = restore(&mut learner, &plan, &hooks, resumed)?;
    let sample = Sample::new(&learner, &plan, &data.train);
    precision::settle(&mut learner, &mut plan, &sample)?;
    let estimate = estimate::estimate(&mut learner, &plan, &sample)?;
    prepare::write_findings(
        run,
        &plan,
        &DataReport { estimate: Some(estimate), ..data.report.clone() },
    )?;

    let caches = cache(&learner, &plan, &prepared, attempt)?;
    let (train_cache, validation_cache) =
        caches.as_ref().map_or((None, None), |(a, b)| (Some(a), b.as_ref()));
    let splits = (
        Examples { set: &data.train, cache: train_cache },
        Examples { set: &data.validation, cache: validation_cache },
    );
    let mut position = position;
    if resumed_from.is_none() && probe::is_of(&plan) {
        position.probe = Some(probed(&mut learner, (&plan, &prepared), splits, attempt)?);
    }
    let augment = prepare::changes(&plan, &prepared)?;
    let extras = Extras { augment, extensions: &prepared.extensions, hooks };
    let mut trainer = Trainer::new(&plan, learner, splits, extras, &checkpoints, position, attempt);
    match trainer.train()? {
        Ended::Stopped => Err(Stopped.into()),
        Ended::Finished => {
            let (learner, position) = trainer.into_parts();
            let cache = validation_cache.filter(|it| it.stages <= learner.frozen_stages());
            finish((&plan, &prepared), learner, cache, (&checkpoints, &position), attempt)
        }
    }
}

/// A checkpoint continues only under the plan that it was made with.
fn obey(run: &Path, plan: &mut Plan, journal: &mut Journal) -> Result<()> {
    let path = run.join(run_folder::PLAN);
    let text = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    let before: Plan =
        serde_json::from_str(&text).with_context(|| format!("reading {}", path.display()))?;
    if plan.train.precision == Precision::Auto {
        plan.train.precision = before.train.precision; // another measurement might say otherwise
    }
    let last_bits =
        |it: &Plan| (it.threads, it.device.clone(), it.libtorch.clone(), it.freeze.cached);
    if last_bits(&before) != last_bits(plan) {
        journal.warn("threads, device, libtorch or the room for features changed since the checkpoint: the result may differ in the last bits")?;
    }
    let Some(difference) = difference(&before, plan)? else { return Ok(()) };
    let message = format!(
        "the recipe, the data or the base model changed since the checkpoint: {difference}"
    );
    let cure = format!(
        "put it back, or remove {} to train anew",
        run.join(run_folder::CHECKPOINTS).display()
    );
    Err(Failure::new(FailureKind::Recipe, message).with_cure(cure).into())
}

/// Where two plans lead to other numbers: the first setting that differs, if any does.
fn difference(before: &Plan, now: &Plan) -> Result<Option<String>> {
    // Features on disk or not: the same numbers, to the last bits but a few.
    let freeze = |it: &Plan| FreezePlan { cached: false, ..it.freeze.clone() };
    let same_lr = before.train.lr == now.train.lr;
    let settings = |it: &Plan| Plan {
        finetuned: String::new(),
        libtorch: String::new(),
        threads: 0,
        device: String::new(),
        // A default is the same once it is written down.
        asked: None,
        // What follows from settings for each tensor is looked at last.
        freeze: FreezePlan {
            trainable: Vec::new(),
            frozen: Vec::new(),
            trainable_parameters: 0,
            frozen_parameters: 0,
            ..freeze(it)
        },
        // It follows the other rate where nobody asks for it, and that is the one to be named.
        train: TrainPlan {
            head_lr: if same_lr { it.train.head_lr } else { 0.0 },
            ..it.train.clone()
        },
        ..it.clone()
    };
    let json = serde_json::to_value::<Plan>;
    if let Some(found) = first_difference("", &json(settings(before))?, &json(settings(now))?) {
        return Ok(Some(found));
    }
    let json = serde_json::to_value::<FreezePlan>;
    Ok(first_difference("freeze", &json(freeze(before))?, &json(freeze(now))?))
}

/// `train.epochs was 3 and is 4`
fn first_difference(
    at: &str,
    before: &serde_json::Value,
    now: &serde_json::Value,
) -> Option<String> {
    use serde_json::Value::{Array, Object};
    match (before, now) {
        (Object(a), Object(b)) if a.len() == b.len() => a
            .iter()
            .zip(b)
            .find_map(|((key, a), (_, b))| first_difference(&format!("{at}.{key}"), a, b)),
        (Array(a), Array(b)) if a.len() == b.len() => {
            let mut each = a.iter().zip(b).enumerate();
            each.find_map(|(idx, (a, b))| first_difference(&format!("{at}[{idx}]"), a, b))
        }
        (a, b) if a == b => None,
        (a, b) => Some(format!("{} was {a} and is {b}", at.trim_start_matches('.'))),
    }
}

/// Puts the learner where the checkpoint stands.
fn restore(
    learner: &mut Learner,
    plan: &Plan,
    hooks: &Hooks,
    resumed: Option<Checkpoint>,
) -> Result<Position> {
    let Some(mut found) = resumed else {
        learner.unfreeze(plan, 1)?;
        return Ok(Position::default());
    };
    // The epoch of the last update done: what the next epoch unfreezes comes with the next epoch.
    let epoch = found.position.step.saturating_sub(1) / plan.train.steps_per_epoch;
    learner.unfreeze(plan, epoch as u32 + 1)?;
    learner.load_tensors(&found.tensors).context("loading the checkpoint")?;
    hooks.load(&mut found.state)?;
    learner.load_state(found.state).context("loading the checkpoint")?;
    Ok(found.position)
}

/// What the frozen stages give for the training and the validation split.
fn cache(
    learner: &Learner,
    plan: &Plan,
    prepared: &Prepared,
    attempt: &mut Attempt,
) -> Result<Option<(FeatureCache, Option<FeatureCache>)>> {
    let stages = learner.frozen_stages();
    if !plan.freeze.cached {
        return Ok(None);
    }
    let network = &learner.network;
    let size = prepared.encoder.preparation().image_size();
    let outline = network.model.outline(size.unwrap_or_default())?;
    let Some(outline) = outline.get(stages).filter(|it| it.worth_caching) else {
        return Ok(None); // a resumed run may be past the epoch in which they were frozen
    };
    let config = prepared.base.config_json();
    let caching = Caching { stages, outline, plan, config, device: network.device };
    let splits = [&prepared.data.train, &prepared.data.validation];
    caching.open(attempt.spec.features.as_ref(), splits, &mut attempt.journal)
}

/// What a linear probe of the frozen base scores. Training begins with it, where it can.
fn probed(
    learner: &mut Learner,
    (plan, prepared): (&Plan, &Prepared),
    splits: (Examples, Examples),
    attempt: &mut Attempt,
) -> Result<Probe> {
    attempt.journal.phase(Phase::Probing, None)?;
    let found = probe::probe(learner, (plan, prepared), splits, || attempt.stop.check())?;
    if plan.train.method != Method::Full {
        learner.begin_with(&found.weight, &found.bias)?;
    }
    Ok(found.outcome)
}

/// As many examples of a split as one forward pass takes.
fn some<'a>(set: &'a ExampleSet, learner: &Learner) -> Result<Batch<'a>> {
    let first = set.evaluation_batches().into_iter().take(1).collect();
    Stored::plain(Examples { set, cache: None }, first, learner.network.device)
        .next(&learner.network)
        .context("a split is empty")?
}

/// Back to the best step, or on from the last where there is no validation split; scores of both
/// splits, the model on disk, and last `trained.json`.
fn finish(
    (plan, prepared): (&Plan, &Prepared),
    mut learner: Learner,
    validation_cache: Option<&FeatureCache>,
    (checkpoints, position): (&Checkpoints, &Position),
    attempt: &mut Attempt,
) -> Result<()> {
    let (data, run) = (&prepared.data, &attempt.spec.run);
    let set = data.report_split().1;
    if let Some(best) = position.best {
        learner
            .load_tensors(&checkpoints.load_best(best.step)?)
            .context("loading the best step")?;
    } else if 0 < data.validation.len() {
        bail!("training ended without an evaluation");
    }
    let head = if learner.take_own_head(&some(set, &learner)?)? {
        Head::Linear
    } else {
        plan.model.head.clone()
    };
    let rows = learner.take_family_form(&prepared.base, plan)?;
    let validation_cache = validation_cache.filter(|it| Some(it.stages) != rows);
    learner.fold_units()?;
    let Scored { scores, validation, thresholds } =
        scored((plan, prepared), &learner, validation_cache, attempt)?;
    if let (Some(best), Some(again)) = (position.best, &validation) {
        same_as_the_best_step(best, again.loss)?;
    }

    attempt.journal.phase(Phase::Exporting, None)?;
    let unproven = run.join(run_folder::UNPROVEN);
    let tensors = learner.all_tensors();
    let config =
        export::Config { plan, encoder: prepared.encoder.as_ref(), thresholds: &thresholds };
    export::write(&unproven, &prepared.base, config, &tensors)?;
    let trained = Trained {
        version: OUTCOME_VERSION,
        scores,
        validation,
        baseline: finetuned_answers::of(plan.task.answer, plan.data.outputs())
            .baseline(&data.train.targets, &set.targets)?,
        probe: position.probe.clone().map(|it| it.ended(position.best.map(|it| it.step))),
        steps: position.step,
        best_step: position.best.map_or(position.step, |it| it.step),
        epochs: position.step as f64 / plan.train.steps_per_epoch as f64,
        stopped_early: position.stopped_early,
        seconds: position.seconds,
        head,
        thresholds,
        model_hash: checkpoint::hash(&unproven.join(WEIGHTS))?,
        padding_saved: 1.0 - position.tokens as f64 / position.tokens_padded.max(1) as f64,
    };
    durable::write_json(&run.join(run_folder::TRAINED), &trained)?;
    attempt.journal.tell(Event::Trained {
        steps: trained.steps,
        best_step: trained.best_step,
        seconds: trained.seconds,
    })
}

/// What the finished model scores, and from where on it predicts.
struct Scored {
    /// On the split of the report.
    scores: Scores,
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
    Ok(Scored { scores, validation, thresholds })
}

/// Whatever changed the model's form since its best step (a plugin's head that became the model's
/// own, units that were folded in) must have left what it predicts alone.
fn same_as_the_best_step(best: Best, again: f64) -> Result<(), Failure> {
    /// Roundings of fp32, for a loss of 1.
    const TOLERANCE: f64 = 1e-4;
    if (best.loss - again).abs() <= TOLERANCE * best.loss.abs().max(1.0) {
        return Ok(());
    }
    let message = format!(
        "the finished model has the loss {again} on validation, but its best step had {}: its form was changed wrongly",
        best.loss
    );
    Err(Failure::new(FailureKind::Internal, message)
        .with_cure("this is a defect of finetuned: please report it with worker.log"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::planning::tests::{plan_of, texts};

    #[test]
    fn a_plan_differs_in_what_decides_numbers_and_the_setting_is_named() {
        let plan = |recipe: &str| plan_of(recipe, &texts());
        let check = |before: &Plan, now: &str, expected: Option<&str>| {
            assert_eq!(difference(before, &plan(now)).unwrap().as_deref(), expected, "{now}");
        };
        let before = plan("");
        check(&before, "[train]\nbatch = 16\nlr = 1e-4\nhead_lr = 5e-4", None);
        let rate = "train.lr was 0.0001 and is 0.002";
        check(&before, "train.lr = 2e-3", Some(rate));
        check(&before, "[train]\nlr = 2e-3\nhead_lr = 1.0", Some(rate));
        check(&before, "train.head_lr = 2e-3", Some("train.head_lr was 0.0005 and is 0.002"));
        let decay = "train.weight_decay was 0.01 and is 0.1";
        check(&before, "train.weight_decay = 0.1", Some(decay));
        let frozen = "freeze.train[0] was \"all\" and is \"last:1\"";
        check(&before, "freeze.train = ['last:1']", Some(frozen));
        // As another version may have decided it.
        let mut other = before.clone();
        other.freeze.trainable[0].lr_scale = 1.0;
        let scale = "freeze.trainable[0].lr_scale was 1.0 and is 5.0";
        check(&other, "", Some(scale));
    }

    #[test]
    fn a_change_of_form_that_changes_the_loss_is_a_failure() {
        let best = Best { step: 3, score: 0.9986, loss: 0.0014 };
        assert!(same_as_the_best_step(best, 0.00141).is_ok());
        let failure = same_as_the_best_step(best, 1.706).unwrap_err();
        assert!(failure.message.contains("1.706") && failure.message.contains("0.0014"));
    }
}
