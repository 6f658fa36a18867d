//! The training run, top to bottom: every decision of the loop stands in [`Trainer::train`].
//!
//! Data order is a pure function of (seed, epoch), noise of (seed, step), and a checkpoint holds
//! all else; so a killed run continues bit for bit.

use crate::attempt::Attempt;
use crate::batches;
use crate::checkpoint::{Best, Checkpoints, Named, Position};
use crate::evaluate::evaluate;
use crate::extensions::{Extensions, Hooks};
use crate::learner::Learner;
use crate::modality::Changes;
use crate::patience::Patience;
use crate::plugins::{HookProgress, Moment};
use crate::schedule::learning_rate;
use crate::source::{Batch, Source};
use crate::stop::Stopped;
use crate::stored::{Examples, Stored};
use anyhow::{Context, Result};
use finetuned_job::event::{Event, Phase, Sampled, Step};
use finetuned_job::outcome::{Failure, FailureKind, Start};
use finetuned_job::plan::Plan;
use finetuned_job::recipe::Method;
use finetuned_job::scores::Split;
use std::collections::BTreeMap;
use std::iter::repeat_n;
use std::time::{Duration, Instant};
use tch::Tensor;

/// Steps faster than this are reported together: a person sees no difference, the disk does.
const STEP_LINE_EVERY: Duration = Duration::from_millis(200);

/// Updates of answers that are compared among which one must have had a gradient.
const STILL_MAX: u64 = 10;

/// Whether a gradient is 0 where nothing differs.
fn may_stand_still(plan: &Plan) -> bool {
    plan.task.objective.compares() || plan.task.objective.samples()
}

pub(crate) struct Trainer<'a, 'b> {
    pub plan: &'a Plan,
    pub learner: Learner,
    pub train: Examples<'a>,
    pub validation: Examples<'a>,
    extras: Extras<'a>,
    pub checkpoints: &'a Checkpoints,
    pub position: Position,
    patience: Patience,
    aim: Aim,
    attempt: &'a mut Attempt<'b>,
    clock: Clock,
    unreported: Unreported,
    /// The step of the newest checkpoint of this process.
    saved: Option<u64>,
    /// By a hook.
    save_wished: bool,
    latest: Latest,
    /// Updates of this process, up to the first that had a gradient.
    still: Option<u64>,
    /// All answers of this process.
    sampled: Option<Sampled>,
}

/// What a run may have besides model and data.
pub(crate) struct Extras<'a> {
    /// Of training images.
    pub augment: Option<Changes>,
    pub extensions: &'a Extensions,
    pub hooks: Hooks,
}

/// What a training is for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Aim {
    /// To find out by evaluations which step is the best.
    Choose,
    /// To make all updates of the plan, without another look.
    Reach,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    Finished,
    Stopped,
}

/// Of the last update.
#[derive(Default, Clone, Copy)]
struct Latest {
    loss: f64,
    lr: f64,
    grad_norm: f64,
}

/// Time in training: what earlier attempts took, and since when this one runs.
struct Clock {
    before: f64,
    start: Instant,
    last_save: Instant,
    last_report: Instant,
}

/// What has happened since the last step line.
#[derive(Default)]
struct Unreported {
    losses: f64,
    updates: u64,
    examples: u64,
    tokens: u64,
    tokens_padded: u64,
    once: f64,
    sampled: Option<Sampled>,
}

impl<'a, 'b> Trainer<'a, 'b> {
    pub(crate) fn new(
        plan: &'a Plan,
        learner: Learner,
        (train, validation): (Examples<'a>, Examples<'a>),
        extras: Extras<'a>,
        (checkpoints, position): (&'a Checkpoints, Position),
        aim: Aim,
        attempt: &'a mut Attempt<'b>,
    ) -> Trainer<'a, 'b> {
        let now = Instant::now();
        let train_plan = &plan.train;
        let patience = Patience::new(
            train_plan.patience,
            &plan.freeze.unfreeze,
            train_plan.epochs,
            train_plan.steps_per_epoch,
        );
        let clock =
            Clock { before: position.seconds, start: now, last_save: now, last_report: now };
        Trainer {
            plan,
            learner,
            train,
            validation,
            extras,
            checkpoints,
            position,
            patience,
            aim,
            attempt,
            clock,
            unreported: Unreported::default(),
            saved: None,
            save_wished: false,
            latest: Latest::default(),
            still: may_stand_still(plan).then_some(0),
            sampled: None,
        }
    }

    pub(crate) fn train(&mut self) -> Result<Ended> {
        let plan = self.plan;
        let phase = match self.aim {
            Aim::Choose => Phase::Training,
            Aim::Reach => Phase::Refitting,
        };
        let last = plan.train.steps;
        self.attempt.journal.phase(phase, Some(last))?;
        if self.position.step == 0 && plan.train.wise_ft < 1.0 {
            self.checkpoints.save_start(&self.learner.tensors())?;
        }
        if self.evaluation_due() && !self.evaluate()? {
            return Ok(Ended::Stopped);
        }
        let lengths = self.train.set.lengths();
        let first_epoch = self.position.step / plan.train.steps_per_epoch;
        for epoch in first_epoch..u64::from(plan.train.epochs) {
            if self.position.stopped_early || self.position.step == last {
                break;
            }
            self.unfreeze(epoch)?;
            let sizes = (plan.train.batch as usize, plan.train.accumulate as usize);
            let updates = batches::epoch(&lengths, sizes, plan.train.seed, epoch).into_iter();
            let times = plan.train.updates_by_one_lot() as usize;
            let updates: Vec<_> = updates.flat_map(|it| repeat_n(it, times)).collect();
            let done = (self.position.step - epoch * plan.train.steps_per_epoch) as usize;
            let mut source = self.source(epoch, &updates, done);
            for update in updates.iter().skip(done) {
                match self.update(update, &mut source) {
                    // Nothing of it had been done.
                    Err(err) if err.is::<Stopped>() => {
                        self.save()?;
                        return Ok(Ended::Stopped);
                    }
                    other => other?,
                }
                let evaluated = !self.evaluation_due() || self.evaluate()?;
                self.warn_of_the_disk()?;
                if !evaluated {
                    self.save()?;
                    return Ok(Ended::Stopped);
                }
                if self.save_due() {
                    self.save()?;
                }
                if self.position.stopped_early || self.position.step == last {
                    break;
                }
                if self.is_between() && self.attempt.stop.requested() {
                    self.save()?;
                    return Ok(Ended::Stopped);
                }
            }
        }
        self.save()?;
        if self.position.best.is_none() {
            self.interpolate()?; // no evaluation has kept a model
        }
        Ok(Ended::Finished)
    }

    pub(crate) fn into_parts(self) -> (Learner, Position) {
        (self.learner, self.position)
    }

    /// The epoch's batches from update `done` on.
    fn source(&self, epoch: u64, updates: &[Vec<Vec<u32>>], done: usize) -> Stored<'a> {
        let before: usize = updates[..done].iter().map(Vec::len).sum();
        let numbered = (0..).zip(updates.iter().flatten().cloned());
        let changes = self.extras.augment.clone().map(|it| Changes { epoch, ..it });
        let device = self.learner.network.device;
        Stored::new(self.train, numbered.skip(before).collect(), changes, device)
    }

    /// Forward and backward over the batches of one update, then the optimizer; `step` counts on.
    fn update(&mut self, update: &[Vec<u32>], source: &mut dyn Source<'a>) -> Result<()> {
        let step = self.position.step;
        let set = self.train.set;
        let (network, stop) = (&self.learner.network, self.attempt.stop);
        let sampled =
            self.learner
                .objective
                .begin_update(network, set, (update, step), &mut || stop.check())?;
        self.count_sampled(sampled);
        let weight: f64 =
            update.iter().map(|batch| self.learner.loss_weight(set, batch, step)).sum();
        // Nothing is learnt of an update that weighs nothing.
        let weight = weight.max(f64::from(f32::MIN_POSITIVE));
        let mut loss = 0.0;
        for micro in 0..update.len() {
            let batch: Batch = source
                .next(&self.learner.network)
                .context("there are fewer batches than were planned")??;
            self.unreported.once += batch.once.as_secs_f64();
            let part = self.learner.backward(&batch, weight, step, micro as u64)?;
            if !part.is_finite() {
                return Err(self.diverged(&format!("the loss is {part}"), &batch.indices).into());
            }
            loss += part;
        }
        let norm = self.learner.clip(self.plan.train.clip)?;
        if !norm.is_finite() {
            return Err(self
                .diverged(&format!("the gradients' norm is {norm}"), &update.concat())
                .into());
        }
        self.check_that_it_moves(norm)?;
        let train = &self.plan.train;
        let lr = learning_rate(train.schedule, train.lr, train.warmup_steps, train.steps, step);
        self.learner.step(lr)?;
        self.position.step += 1;
        self.count(update);
        self.latest = Latest { loss, lr, grad_norm: norm };
        self.report(loss, lr, norm)?;
        self.ask_hooks(Moment::Step, &[])
    }

    /// Where no gradient comes to what trains, the model stays what the base is.
    fn check_that_it_moves(&mut self, norm: f64) -> Result<(), Failure> {
        self.still = self.still.filter(|_| norm == 0.0).map(|it| it + 1);
        if self.still != Some(STILL_MAX) {
            return Ok(());
        }
        let zero = format!(
            "in {STILL_MAX} updates the gradients of all that trains were exactly 0, so that nothing is learnt"
        );
        let reach = "leave freeze.train out of the recipe, or let it name both factors of adapters: what trains now does not reach the model's outputs";
        let alike = |it: &Sampled| it.groups == it.groups_without_variance;
        let (message, cure) = match (self.sampled, self.sampled.filter(alike)) {
            (_, Some(of)) => (
                format!(
                    "of {} prompts each had answers that were all rewarded alike, with {} in the mean: {zero}",
                    of.groups,
                    finetuned_answers::short(of.reward)
                ),
                "let a [[reward]] give some answers more than others, ask what the base model answers at least sometimes, or raise grpo.num_generations or grpo.temperature",
            ),
            (Some(_), None) => (format!("rewards differ, but {zero}"), reach),
            (None, None) => (
                format!("all margins between wanted and unwanted answers stand still: {zero}"),
                reach,
            ),
        };
        Err(Failure {
            at_step: Some(self.position.step + 1),
            ..Failure::new(FailureKind::Training, message).with_cure(cure)
        })
    }

    fn diverged(&self, what: &str, batch: &[u32]) -> Failure {
        let step = self.position.step + 1;
        let examples: Vec<String> =
            batch.iter().take(8).map(|&it| self.train.set.inputs.origin(it)).collect();
        let more = if examples.len() < batch.len() {
            format!(" and {} more", batch.len() - examples.len())
        } else {
            String::new()
        };
        let message =
            format!("{what} at step {step}, in the batch of {}{more}", examples.join(", "));
        let cure =
            "look at these examples, or lower train.lr; a retry starts from the last checkpoint";
        Failure {
            at_step: Some(step),
            ..Failure::new(FailureKind::Training, message).with_cure(cure)
        }
    }

    fn count_sampled(&mut self, sampled: Option<Sampled>) {
        let Some(sampled) = sampled else { return };
        let groups = self.position.groups.get_or_insert_default();
        groups.all += sampled.groups;
        groups.without_variance += sampled.groups_without_variance;
        let together = |it: Option<Sampled>| it.map_or(sampled, |it| it.with(sampled));
        self.unreported.sampled = Some(together(self.unreported.sampled));
        self.sampled = Some(together(self.sampled));
    }

    fn count(&mut self, update: &[Vec<u32>]) {
        self.unreported.updates += 1;
        for batch in update {
            self.unreported.examples += batch.len() as u64;
            let Some((tokens, padded)) = self.train.set.encoded.padding(batch) else { continue };
            self.unreported.tokens += tokens;
            self.unreported.tokens_padded += padded;
            self.position.tokens += tokens;
            self.position.tokens_padded += padded;
        }
    }

    fn report(&mut self, loss: f64, lr: f64, grad_norm: f64) -> Result<()> {
        let train = &self.plan.train;
        if self.aim == Aim::Reach {
            // Its steps are no part of the story of the first training.
            return self.attempt.journal.progress(self.position.step, Some(train.steps));
        }
        self.unreported.losses += loss;
        let seconds = self.clock.last_report.elapsed();
        if seconds < STEP_LINE_EVERY && self.position.step < train.steps {
            return Ok(());
        }
        let since = std::mem::take(&mut self.unreported);
        self.clock.last_report = Instant::now();
        self.attempt.journal.tell(Event::Step(Step {
            step: self.position.step,
            steps: train.steps,
            epoch: self.epochs(),
            loss: since.losses / since.updates.max(1) as f64,
            lr,
            grad_norm,
            examples: since.examples,
            tokens: since.tokens,
            tokens_padded: since.tokens_padded,
            seconds: seconds.as_secs_f64(),
            once_seconds: since.once,
            sampled: since.sampled,
        }))
    }

    /// From the epochs that the recipe names, more tensors train; patience begins anew with them. A
    /// checkpoint of such an epoch finds them training, and goes on counting.
    fn unfreeze(&mut self, epoch: u64) -> Result<()> {
        if self.learner.unfreeze(self.plan, epoch as u32 + 1)? {
            self.position.evaluations_without_progress = 0;
            let still_frozen = self.learner.frozen_stages();
            for examples in [&mut self.train, &mut self.validation] {
                // What a stage gave before it trained is worth nothing now.
                examples.cache = examples.cache.filter(|it| it.stages <= still_frozen);
            }
            let (trainable_tensors, trainable_parameters) = self.learner.trainable_counts();
            self.attempt.journal.tell(Event::Unfrozen {
                epoch: epoch as u32 + 1,
                trainable_tensors,
                trainable_parameters,
            })?;
        }
        Ok(())
    }

    /// Whether nothing has to be remembered for the next update but what a checkpoint holds.
    fn is_between(&self) -> bool {
        self.position.step.is_multiple_of(self.plan.train.updates_by_one_lot())
    }

    fn evaluation_due(&self) -> bool {
        let step = self.position.step;
        if !self.is_between() {
            return false;
        }
        let every = self.plan.eval.every_steps.unwrap_or(self.plan.train.steps_per_epoch);
        (step.is_multiple_of(every) || step == self.plan.train.steps)
            && self.position.evaluated != Some(step)
            // Before the first update there is only a probe to evaluate.
            && (0 < step || self.plan.train.method != Method::Full)
            && 0 < self.validation.set.len()
            && self.aim == Aim::Choose
    }

    /// Gives the learner the weights that are scored and saved, where they are others than those
    /// that train, which are given back (WiSE-FT, Wortsman et al. 2022): (1 - a) start + a now.
    fn interpolate(&mut self) -> Result<Option<Named>> {
        let share = self.plan.train.wise_ft;
        if share == 1.0 || self.position.step == 0 {
            return Ok(None);
        }
        let start = self.checkpoints.load_start().context("loading what training began with")?;
        let start: BTreeMap<String, Tensor> = start.into_iter().collect();
        let mut trained = Named::new();
        for (name, now) in self.learner.tensors() {
            let trained_one = (name.clone(), now.copy());
            let start = start.get(&name).with_context(|| format!("{name} had no beginning"))?;
            if now.is_floating_point() {
                let mixed = start.f_to(now.device())?.f_lerp(&now, share)?;
                self.learner.load_tensors(&vec![(name, mixed)])?;
            }
            trained.push(trained_one);
        }
        Ok(Some(trained))
    }

    /// False where a stop signal came before its end: the next attempt begins with it.
    fn evaluate(&mut self) -> Result<bool> {
        let training = self.interpolate()?;
        let evaluated = self.evaluate_as_it_is();
        if let Some(training) = training {
            self.learner.load_tensors(&training)?;
        }
        evaluated
    }

    fn evaluate_as_it_is(&mut self) -> Result<bool> {
        let (network, objective) = (&self.learner.network, self.learner.objective.as_ref());
        let check = |_| self.attempt.stop.check();
        let found = match evaluate(network, objective, self.validation, check) {
            Err(err) if err.is::<Stopped>() => return Ok(false),
            other => other.with_context(|| format!("evaluating step {}", self.position.step))?,
        };
        self.position.evaluated = Some(self.position.step);
        let best = &self.plan.eval.best;
        let extensions = self.extras.extensions;
        let scores =
            found.scores_only(Split::Validation, self.validation.set, self.plan, extensions)?;
        let score = finetuned_answers::value(&scores, best)
            .with_context(|| format!("there is no metric {best}"))?;
        let higher = extensions.higher_is_better(best, self.plan)?;
        let tuned = self.note_start(score, higher);
        let better = match self.position.best {
            None => true,
            // At the same score the surer model is the better one: a small set's score stands still
            // for long.
            Some(so_far) if so_far.score == score => scores.loss < so_far.loss,
            Some(so_far) => (so_far.score < score) == higher,
        };
        if better {
            self.position.best = Some(Best { step: self.position.step, score, loss: scores.loss });
            self.checkpoints.save_best(self.position.step, &self.learner.tensors())?;
        }
        if better || tuned {
            self.position.evaluations_without_progress = 0;
        } else {
            self.position.evaluations_without_progress += 1;
        }
        self.position.stopped_early |= self.patience.ran_out(&self.position);
        let each: Vec<(&str, f64, bool)> = scores
            .metrics
            .iter()
            .map(|(name, value)| {
                Ok((name.as_str(), *value, extensions.higher_is_better(name, self.plan)?))
            })
            .chain([Ok(("loss", scores.loss, false))])
            .collect::<Result<_>>()?;
        self.ask_hooks(Moment::Evaluated, &each)?;
        self.attempt.journal.tell(Event::Evaluation {
            step: self.position.step,
            epoch: self.epochs(),
            scores,
            best: better,
        })?;
        Ok(true)
    }

    /// What the probe scored that training began with, and the best score after it; true where
    /// this is such a best one. Fine-tuning may leave the probe before it passes it, so patience
    /// looks at fine-tuning alone.
    fn note_start(&mut self, score: f64, higher: bool) -> bool {
        let step = self.position.step;
        let Some(probe) = &mut self.position.probe else { return false };
        match &mut probe.start {
            None if step == 0 => {
                let start = Start { probe: score, tuned: None, is_best: true };
                probe.start = Some(start);
                false
            }
            None => false,
            Some(start) => {
                let better = start.tuned.is_none_or(|it| it != score && (it < score) == higher);
                start.tuned = if better { Some(score) } else { start.tuned };
                better
            }
        }
    }

    /// Hooks may wish to end the run, or a checkpoint.
    fn ask_hooks(&mut self, moment: Moment, scores: &[(&str, f64, bool)]) -> Result<()> {
        let Latest { loss, lr, grad_norm } = self.latest;
        let (step, steps, epoch) = (self.position.step, self.plan.train.steps, self.epochs());
        let wishes = self.extras.hooks.tell(&HookProgress {
            moment,
            step,
            steps,
            epoch,
            loss,
            lr,
            grad_norm,
            scores,
        })?;
        self.position.stopped_early |= wishes.stop && step < steps;
        self.save_wished |= wishes.save;
        Ok(())
    }

    fn warn_of_the_disk(&mut self) -> Result<()> {
        let mut warnings =
            [self.train, self.validation].into_iter().filter_map(|it| it.cache?.take_warning());
        warnings.try_for_each(|it| self.attempt.journal.warn(it))
    }

    fn save_due(&self) -> bool {
        let (save, step) = (&self.plan.save, self.position.step);
        let every_epochs =
            save.every_epochs.map(|it| u64::from(it) * self.plan.train.steps_per_epoch);
        let due = |every: Option<u64>| every.is_some_and(|it| step.is_multiple_of(it));
        let minutes = self.clock.last_save.elapsed().as_secs_f64() / 60.0;
        let due = self.save_wished
            || due(save.every_steps)
            || due(every_epochs)
            || save.every_minutes.is_some_and(|it| it <= minutes);
        due && self.is_between()
    }

    fn save(&mut self) -> Result<()> {
        if self.saved == Some(self.position.step) {
            return Ok(());
        }
        self.position.seconds = self.clock.before + self.clock.start.elapsed().as_secs_f64();
        let mut state = self.learner.state()?;
        state.extend(self.extras.hooks.state()?);
        self.checkpoints.save(
            &self.position,
            &self.learner.tensors(),
            &state,
            self.plan.save.keep,
        )?;
        self.saved = Some(self.position.step);
        self.save_wished = false;
        self.clock.last_save = Instant::now();
        match self.aim {
            Aim::Choose => {
                self.attempt.journal.tell(Event::Checkpoint { step: self.position.step })
            }
            Aim::Reach => Ok(()),
        }
    }

    fn epochs(&self) -> f64 {
        self.position.step as f64 / self.plan.train.steps_per_epoch as f64
    }
}
