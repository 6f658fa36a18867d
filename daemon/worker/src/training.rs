//! The action `train`: a drop becomes `model.unproven/` and `trained.json`, from the newest
//! checkpoint if there is one. The steps themselves are `trainer`'s.

use crate::attempt::Attempt;
use crate::checkpoint::{Checkpoints, Position};
use crate::estimate::Sample;
use crate::evaluate::evaluate;
use crate::examples::ExampleSet;
use crate::extensions::Hooks;
use crate::feature_cache::{Caching, FeatureCache};
use crate::finish::{Again, Chosen, finish};
use crate::learner::Learner;
use crate::prepare::{self, Prepared};
use crate::resume::{obey, restore};
use crate::stop::Stopped;
use crate::stored::Examples;
use crate::trainer::{Aim, Ended, Extras, Trainer};
use crate::{device, estimate, precision, probe, reference, refit};
use anyhow::{Context, Result, bail};
use finetuned_job::data::DataReport;
use finetuned_job::event::{Event, Phase};
use finetuned_job::outcome::{Probe, Refit};
use finetuned_job::plan::Plan;
use finetuned_job::recipe::Method;
use finetuned_job::run_folder;
use finetuned_job::scores::Split;

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
    let mut learner = Learner::new(model, device, &plan, data.numbers(), prepared.learning())?;
    // As it stands, before a checkpoint is restored, the model is the base.
    let sets = [&data.train, &data.validation, &data.test];
    reference::settle(&plan, Some(&learner.network), &sets, attempt)?;
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

    let splits = [&data.train, &data.validation];
    let caches = cache(&learner, (&plan, &prepared), splits, attempt)?;
    let (train_cache, validation_cache) =
        caches.as_ref().map_or((None, None), |(a, b)| (Some(a), b.as_ref()));
    let splits = (
        Examples { set: &data.train, cache: train_cache },
        Examples { set: &data.validation, cache: validation_cache },
    );
    let from =
        Beginning { checkpoints: &checkpoints, position, hooks, is_new: resumed_from.is_none() };
    let of = (&plan, &prepared);
    let (learner, position) = trained(learner, of, splits, from, Aim::Choose, attempt)?;
    let cache = validation_cache.filter(|it| it.stages <= learner.frozen_stages());
    let chosen = choose(of, learner, cache, (&checkpoints, &position), attempt)?;
    finish(of, chosen, cache, &position, attempt)
}

/// Where a training begins, or goes on.
struct Beginning<'a> {
    checkpoints: &'a Checkpoints,
    position: Position,
    hooks: Hooks,
    is_new: bool,
}

/// To the end of a training.
fn trained(
    mut learner: Learner,
    (plan, prepared): (&Plan, &Prepared),
    splits: (Examples, Examples),
    from: Beginning,
    aim: Aim,
    attempt: &mut Attempt,
) -> Result<(Learner, Position)> {
    let Beginning { checkpoints, mut position, hooks, is_new } = from;
    if is_new && probe::is_of(plan) {
        position.probe = Some(probed(&mut learner, (plan, prepared), splits, attempt)?);
    }
    let augment = prepare::changes(plan, prepared)?;
    let extras = Extras { augment, extensions: &prepared.extensions, hooks };
    let from = (checkpoints, position);
    let mut trainer = Trainer::new(plan, learner, splits, extras, from, aim, attempt);
    match trainer.train()? {
        Ended::Stopped => Err(Stopped.into()),
        Ended::Finished => Ok(trainer.into_parts()),
    }
}

/// From the base model again, on training and validation examples together, for as long as
/// validation chose.
fn trained_again(
    (plan, prepared): (&Plan, &Prepared),
    best_step: u64,
    attempt: &mut Attempt,
) -> Result<(Learner, Position)> {
    let data = &prepared.data;
    let all = data.all.as_ref().context("training and validation were not put together")?;
    let plan = refit::plan(plan, best_step);
    let checkpoints = Checkpoints::of_refit(&attempt.spec.run)?;
    let resumed = checkpoints.newest(|passed_over| attempt.journal.warn(passed_over))?;
    let is_new = resumed.is_none();
    let model = prepare::begin(attempt, prepared)?.model;
    let device = device::choose(attempt.spec.device)?;
    let mut learner = Learner::new(model, device, &plan, data.numbers(), prepared.learning())?;
    reference::settle(&plan, Some(&learner.network), &[all], attempt)?;
    let hooks = prepared.extensions.hooks(&plan)?;
    let position = restore(&mut learner, &plan, &hooks, resumed)?;
    let caches = cache(&learner, (&plan, prepared), [all, &data.validation], attempt)?;
    let (train, validation) = caches.as_ref().map_or((None, None), |(a, b)| (Some(a), b.as_ref()));
    let splits = (
        Examples { set: all, cache: train },
        Examples { set: &data.validation, cache: validation },
    );
    let from = Beginning { checkpoints: &checkpoints, position, hooks, is_new };
    trained(learner, (&plan, prepared), splits, from, Aim::Reach, attempt)
}

/// What the frozen stages give for what is learnt from and for the validation split.
fn cache(
    learner: &Learner,
    (plan, prepared): (&Plan, &Prepared),
    splits: [&ExampleSet; 2],
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
    let config = prepared.base.checkpoint.config_json();
    let caching = Caching { stages, outline, plan, config, device: network.device };
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

/// Back to the best step, or on from the last where there is no validation split; then, where it is
/// planned, trained once more.
fn choose(
    (plan, prepared): (&Plan, &Prepared),
    mut learner: Learner,
    validation_cache: Option<&FeatureCache>,
    (checkpoints, position): (&Checkpoints, &Position),
    attempt: &mut Attempt,
) -> Result<Chosen> {
    let validation = &prepared.data.validation;
    let Some(best) = position.best else {
        if 0 < validation.len() {
            bail!("training ended without an evaluation");
        }
        return Ok(Chosen { learner, loss: None, again: None });
    };
    let tensors = || checkpoints.load_best(best.step).context("loading the best step");
    learner.load_tensors(&tensors()?)?;
    if !plan.train.refit {
        return Ok(Chosen { learner, loss: Some(best.loss), again: None });
    }
    let evaluated = |learner: &Learner, attempt: &Attempt| {
        let examples = Examples { set: validation, cache: validation_cache };
        let check = |_| attempt.stop.check();
        evaluate(&learner.network, learner.objective.as_ref(), examples, check)
    };
    let found = evaluated(&learner, attempt)?;
    drop(learner); // two would take twice the memory
    let scores = found.scores(Split::Validation, validation, plan, &prepared.extensions, &[])?;
    let (mut learner, at) = trained_again((plan, prepared), best.step, attempt)?;
    let mut loss = evaluated(&learner, attempt)?
        .scores_only(Split::Validation, validation, plan, &prepared.extensions)?
        .loss;
    // It has learnt from these examples, so it must know them better than before.
    let used = loss <= best.loss;
    if !used {
        learner.load_tensors(&tensors()?)?;
        loss = best.loss;
    }
    let examples = plan.data.train + plan.data.validation;
    let again = Again {
        outcome: Refit { examples, steps: at.step, used },
        probe: at.probe.filter(|_| used),
        validation: scores,
        seconds: at.seconds,
    };
    Ok(Chosen { learner, loss: Some(loss), again: Some(again) })
}
