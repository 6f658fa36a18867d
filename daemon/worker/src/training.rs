//! The action `train`: a drop becomes `model.unproven/` and `trained.json`, from the newest
//! checkpoint if there is one. The steps themselves are `trainer`'s.

use crate::checkpoint::{Checkpoint, Checkpoints, Position};
use crate::evaluate::{batches_of, evaluate};
use crate::examples::ExampleSet;
use crate::extensions::Hooks;
use crate::feed::{Batch, Examples, Feed};
use crate::journal::Journal;
use crate::kept::{Keeper, Kept};
use crate::learner::Learner;
use crate::prepare::{self, Prepared};
use crate::stop::{Stop, Stopped};
use crate::trainer::{Ended, Extras, Trainer};
use crate::{checkpoint, durable, export};
use anyhow::{Context, Result, bail};
use finetuned_job::data::DataReport;
use finetuned_job::event::{Event, Phase};
use finetuned_job::outcome::{Failure, FailureKind, OUTCOME_VERSION, Trained};
use finetuned_job::plan::{FreezePlan, Plan};
use finetuned_job::recipe::Head;
use finetuned_job::run_folder;
use finetuned_job::scores::Split;
use finetuned_job::spec::Spec;
use finetuned_models::Rows;
use std::fs;
use std::path::Path;

pub(crate) fn train(spec: &Spec, journal: &mut Journal, stop: &Stop) -> Result<()> {
    let run = &spec.run;
    if run.join(run_folder::TRAINED).exists() {
        return Ok(()); // an earlier attempt came this far; the proof is next
    }
    let checkpoints = Checkpoints::open(run)?;
    let resumed = checkpoints.newest(|passed_over| journal.warn(passed_over))?;
    let resumed_from = resumed.as_ref().map(|it| it.position.step);
    journal.tell(Event::Started {
        pid: std::process::id(),
        version: env!("CARGO_PKG_VERSION").into(),
        resumed_from,
    })?;

    let prepared = prepare::prepare(spec, journal, stop)?;
    let (plan, model) = prepare::decide(spec, &prepared, journal)?;
    if resumed.is_some() {
        obey(run, &plan, journal)?;
    }
    let device = crate::device::choose(spec.device)?;
    let mut learner =
        Learner::new(model, device, &plan, prepared.data.scale(device)?, &prepared.extensions)?;
    let hooks = prepared.extensions.hooks(&plan)?;
    let position = restore(&mut learner, &plan, &hooks, resumed)?;
    let estimate = crate::estimate::estimate(&mut learner, &plan, &prepared.data)?;
    prepare::write_findings(
        run,
        &plan,
        &DataReport { estimate: Some(estimate), ..prepared.data.report.clone() },
    )?;

    let data = &prepared.data;
    let kept = keep(&learner, &plan, spec, &prepared, journal)?;
    let (train_kept, validation_kept) =
        kept.as_ref().map_or((None, None), |(a, b)| (Some(a), b.as_ref()));
    let splits = (
        Examples { set: &data.train, kept: train_kept },
        Examples { set: &data.validation, kept: validation_kept },
    );
    let augment = prepare::changes(&plan, &prepared)?;
    let extras = Extras { augment, extensions: &prepared.extensions, hooks };
    let mut trainer =
        Trainer::new(&plan, learner, splits, extras, &checkpoints, position, (journal, stop));
    match trainer.train()? {
        Ended::Stopped => Err(Stopped.into()),
        Ended::Finished => {
            let (learner, position) = trainer.into_parts();
            let kept = kept.and_then(|it| it.1).filter(|it| it.stages <= learner.frozen_stages());
            finish(
                run,
                (&plan, &prepared),
                learner,
                kept.as_ref(),
                (&checkpoints, &position),
                (journal, stop),
            )
        }
    }
}

/// A checkpoint continues only under the plan that it was made with.
fn obey(run: &Path, plan: &Plan, journal: &mut Journal) -> Result<()> {
    let path = run.join(run_folder::PLAN);
    let text = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    let before: Plan =
        serde_json::from_str(&text).with_context(|| format!("reading {}", path.display()))?;
    let last_bits =
        |it: &Plan| (it.threads, it.device.clone(), it.libtorch.clone(), it.freeze.cached);
    if last_bits(&before) != last_bits(plan) {
        journal.warn("threads, device, libtorch or the room for features changed since the checkpoint: the result may differ in the last bits")?;
    }
    // Kept or not: the same numbers, to the last bits but a few.
    let freeze = |it: &Plan| FreezePlan { cached: false, ..it.freeze.clone() };
    let comparable = |it: &Plan| Plan {
        finetuned: String::new(),
        libtorch: String::new(),
        threads: 0,
        device: String::new(),
        freeze: freeze(it),
        ..it.clone()
    };
    let (before, now) =
        (serde_json::to_value(comparable(&before))?, serde_json::to_value(comparable(plan))?);
    let Some(difference) = first_difference("", &before, &now) else { return Ok(()) };
    let message = format!(
        "the recipe, the data or the base model changed since the checkpoint: {difference}"
    );
    let cure = format!(
        "put it back, or remove {} to train anew",
        run.join(run_folder::CHECKPOINTS).display()
    );
    Err(Failure::new(FailureKind::Recipe, message).with_cure(cure).into())
}

/// `train.epochs was 3 and is 4`
fn first_difference(
    at: &str,
    before: &serde_json::Value,
    now: &serde_json::Value,
) -> Option<String> {
    use serde_json::Value::Object;
    match (before, now) {
        (Object(a), Object(b)) if a.len() == b.len() => a
            .iter()
            .zip(b)
            .find_map(|((key, a), (_, b))| first_difference(&format!("{at}.{key}"), a, b)),
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
fn keep(
    learner: &Learner,
    plan: &Plan,
    spec: &Spec,
    prepared: &Prepared,
    journal: &mut Journal,
) -> Result<Option<(Kept, Option<Kept>)>> {
    let stages = learner.frozen_stages();
    if !plan.freeze.cached {
        return Ok(None);
    }
    let network = &learner.network;
    let size = prepared.data.preprocess().map(|it| [it.height.into(), it.width.into()]);
    let outline = network.model.outline(size.unwrap_or_default())?;
    let Some(outline) = outline.get(stages).filter(|it| it.worth_caching) else {
        return Ok(None); // a resumed run may be past the epoch in which they were frozen
    };
    let keeper = Keeper {
        network,
        stages,
        per_token: outline.rows == Rows::PerToken,
        plan,
        config: prepared.base.config_json(),
    };
    keeper.keep(spec, [&prepared.data.train, &prepared.data.validation], journal)
}

/// As many examples of a split as one forward pass takes.
fn some(set: &ExampleSet, learner: &Learner) -> Result<Batch> {
    let first = batches_of(set).into_iter().take(1).collect();
    Feed::plain(Examples { set, kept: None }, first, learner.network.device)
        .next(&learner.network)
        .context("a split is empty")?
}

/// Back to the best step, or on from the last where there is no validation split; scores of both
/// splits, the model on disk, and last `trained.json`.
fn finish(
    run: &Path,
    (plan, prepared): (&Plan, &Prepared),
    mut learner: Learner,
    validation_kept: Option<&Kept>,
    (checkpoints, position): (&Checkpoints, &Position),
    (journal, stop): (&mut Journal, &Stop),
) -> Result<()> {
    let data = &prepared.data;
    let (split, set) = data.report_split();
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
    learner.speak_plainly()?;
    journal.phase(Phase::Evaluating, Some(set.len() as u64))?;
    let outputs = evaluate(&learner.network, Examples { set, kept: None }, |done| {
        stop.check()?;
        journal.progress(done, Some(set.len() as u64))
    })?;
    let scores = outputs.scores(split, set, plan, &prepared.extensions)?;
    let validation = if split == Split::Validation {
        Some(scores.clone())
    } else if data.validation.len() == 0 {
        None
    } else {
        let outputs = evaluate(
            &learner.network,
            Examples { set: &data.validation, kept: validation_kept },
            |_| stop.check(),
        )?;
        Some(outputs.scores(Split::Validation, &data.validation, plan, &prepared.extensions)?)
    };

    journal.phase(Phase::Exporting, None)?;
    let unproven = run.join(run_folder::UNPROVEN);
    export::write(&unproven, &prepared.base, plan, &learner.all_tensors())?;
    let trained = Trained {
        version: OUTCOME_VERSION,
        scores,
        validation,
        baseline: finetuned_report::baseline(
            plan.data.outputs(),
            data.train.targets.truth(),
            set.targets.truth(),
        )?,
        steps: position.step,
        best_step: position.best.map_or(position.step, |it| it.step),
        epochs: position.step as f64 / plan.train.steps_per_epoch as f64,
        stopped_early: position.stopped_early,
        seconds: position.seconds,
        head,
        model_hash: checkpoint::hash(&unproven.join(export::WEIGHTS))?,
        padding_saved: 1.0 - position.tokens as f64 / position.tokens_padded.max(1) as f64,
    };
    durable::write_json(&run.join(run_folder::TRAINED), &trained)?;
    journal.tell(Event::Trained {
        steps: trained.steps,
        best_step: trained.best_step,
        seconds: trained.seconds,
    })
}
