//! The action `prove`: the saved model is loaded from disk in a process that did not train it,
//! evaluated, and must score what was scored before saving. Then the folder becomes complete: card,
//! report, `done.json` last.
//!
//! Killed anywhere, it is run again: each file is written whole, and nothing before `done.json`
//! counts.

use crate::attempt::Attempt;
use crate::durable::Partial;
use crate::evaluate::{Evaluation, evaluate};
use crate::modality::Changes;
use crate::network::{self, Network, Saved};
use crate::prepare::{Data, Prepared};
use crate::stop::Stopped;
use crate::stored::Examples;
use crate::{
    checkpoint, device, durable, failures, gguf, objective, prepare, reference, resume, samples,
};
use anyhow::{Context, Result};
use finetuned_answers::Input;
use finetuned_job::data::DataReport;
use finetuned_job::event::{Event, Phase};
use finetuned_job::outcome::{Done, Failure, FailureKind, OUTCOME_VERSION, Proof, Sample, Trained};
use finetuned_job::plan::Plan;
use finetuned_job::run_folder;
use finetuned_job::scores::Scores;
use finetuned_job::spec::Spec;
use finetuned_report::{Images, Mistake, Origin, Story};
use std::fs;
use std::path::Path;

pub(crate) fn prove(attempt: &mut Attempt) -> Result<()> {
    let run = &attempt.spec.run;
    if run.join(run_folder::DONE).exists() {
        return Ok(());
    }
    let mut plan = resume::plan_of(run)?;
    let report: DataReport = read_undamaged(&run.join(run_folder::DATA))?;
    let trained: Trained = read_undamaged(&run.join(run_folder::TRAINED))?;
    let prepared = prepare::prepare(attempt)?;
    let data = &prepared.data;
    if data.report.content_hash != plan.data.content_hash {
        return Err(Failure::new(FailureKind::Data, "the data changed between training and proof")
            .with_cure("retry the job")
            .into());
    }
    // A proof that was killed after its last rename finds the model under its final name.
    let unproven = run.join(run_folder::UNPROVEN);
    let folder = if unproven.exists() { unproven.clone() } else { run.join(run_folder::MODEL) };

    let Reloaded { found, proof, scores, samples } =
        reloaded(&folder, &plan, &trained, &prepared, attempt)?;
    compare(&trained, &scores, &proof)?;
    let done = done(attempt.spec, &plan, &trained, proof);
    if !write_gguf(&folder, &plan, &done.name, attempt)? {
        // Card and report name what is there.
        plan.save.gguf = None;
    }
    publish(
        run,
        &folder,
        Facts { plan: &plan, report: &report, trained: &trained, done: &done },
        data,
        (&found, &samples),
    )?;
    attempt.journal.tell(Event::Done { metric: done.metric.clone(), score: done.score })
}

/// What stands in the files of the run.
struct Facts<'a> {
    plan: &'a Plan,
    report: &'a DataReport,
    trained: &'a Trained,
    done: &'a Done,
}

/// What the model gives that was loaded from its folder.
struct Reloaded {
    found: Evaluation,
    proof: Proof,
    scores: Scores,
    samples: Vec<Sample>,
}

/// Evaluates what lies on the disk.
fn reloaded(
    folder: &Path,
    plan: &Plan,
    trained: &Trained,
    prepared: &Prepared,
    attempt: &mut Attempt,
) -> Result<Reloaded> {
    let (split, set) = prepared.data.report_split();
    reference::settle(plan, None, &[set], attempt)?;
    let total = set.len() as u64;
    attempt.journal.phase(Phase::Proving, Some(total))?;
    let (device, extensions) = (device::choose(attempt.spec.device)?, &prepared.extensions);
    let Saved { network, thresholds, .. } =
        Network::open(folder, &trained.head, plan, extensions, device)?;
    let objective =
        objective::of(plan, prepared.data.numbers(), (None, prepared.rewards.clone()), device)?;
    let examples = Examples { set, cache: None };
    let found =
        evaluate(&network, objective.as_ref(), examples, |done| attempt.progress(done, total))?;
    let scores = found.scores(split, set, plan, extensions, &thresholds)?;
    let proof = Proof {
        model_hash: checkpoint::hash(&folder.join(network::weights_file(plan)))?,
        examples: set.len() as u64,
        loss_trained: trained.scores.loss,
        loss_reloaded: scores.loss,
    };
    let encoder = prepared.encoder.as_ref();
    let after = samples::continued(&network, (plan, encoder), set, attempt)?;
    let samples = samples::samples((plan, encoder), set, &trained.before, after);
    Ok(Reloaded { found, proof, scores, samples })
}

fn compare(trained: &Trained, again: &Scores, proof: &Proof) -> Result<(), Failure> {
    let same_scores = trained.scores.confusion == again.confusion && same(&trained.scores, again);
    if same_scores && proof.holds() && proof.model_hash == trained.model_hash {
        return Ok(());
    }
    let message = format!(
        "the saved model does not score what the trained one scored: loss {} before, {} after loading it again",
        proof.loss_trained, proof.loss_reloaded
    );
    Err(Failure::new(FailureKind::Proof, message).with_cure(
        "retry the job; if it stays, the disk or the memory of this machine is at fault",
    ))
}

/// Numbers that follow from the outputs; those of a model of numbers stand here alone.
fn same(before: &Scores, after: &Scores) -> bool {
    before.metrics.iter().all(|(name, a)| {
        after
            .metrics
            .get(name)
            .is_some_and(|b| (a - b).abs() <= Proof::LOSS_TOLERANCE * a.abs().max(1.0))
    })
}

fn done(spec: &Spec, plan: &Plan, trained: &Trained, proof: Proof) -> Done {
    let name = spec
        .drop
        .as_deref()
        .and_then(Path::file_name)
        .map_or("drop".into(), |it| it.to_string_lossy().into_owned());
    Done {
        version: OUTCOME_VERSION,
        job: spec.job,
        name,
        task: plan.task.name.into(),
        base: plan.model.base.clone(),
        model: run_folder::MODEL.into(),
        report: run_folder::REPORT.into(),
        split: plan.eval.report_on,
        metric: plan.eval.best.clone(),
        score: finetuned_answers::value(&trained.scores, &plan.eval.best).unwrap_or(f64::NAN),
        scores: trained.scores.clone(),
        baseline: trained.baseline.clone(),
        probe: trained.probe.clone(),
        refit: trained.refit,
        proof,
        steps: trained.steps,
        best_step: trained.best_step,
        epochs: trained.epochs,
        seconds: trained.seconds,
        attempts: spec.attempt,
    }
}

/// The GGUF file, where the recipe wants one, and whether it is there. A proof that was killed
/// behind it finds it whole, of the same weights. The model is proven without it: that it can't be
/// written is a warning.
fn write_gguf(folder: &Path, plan: &Plan, name: &str, attempt: &mut Attempt) -> Result<bool> {
    let Some(of) = plan.save.gguf else { return Ok(false) };
    let path = folder.join(of.file_name());
    if path.exists() {
        return Ok(true);
    }
    match gguf::write((folder, name), of, &path, attempt.stop) {
        Ok(_) => Ok(true),
        Err(err) if err.is::<Stopped>() => Err(err),
        Err(err) => {
            let why = failures::of(err);
            attempt.journal.warn(format!(
                "{} is not there: {why}; `finetuned export` writes it later",
                of.file_name()
            ))?;
            Ok(false)
        }
    }
}

/// Everything that people read, the model's final name, and `done.json` when all is there.
fn publish(
    run: &Path,
    folder: &Path,
    facts: Facts,
    data: &Data,
    (found, samples): (&Evaluation, &[Sample]),
) -> Result<()> {
    let Facts { plan, report, trained, done } = facts;
    let events = finetuned_report::read_events(&run.join(run_folder::EVENTS))?;
    let set = data.report_split().1;
    let shown: Vec<String> = (0..set.len()).map(|it| set.inputs.what(it)).collect();
    let origin = |example: usize| {
        let (file, line) = set.inputs.place(example);
        Origin {
            input: Input { text: &shown[example], words: &set.inputs.record(example).words },
            file: data.report.files.get(file as usize).map_or("?", |it| &it.path),
            line: Some(line),
        }
    };
    let (answer, outputs) = (plan.task.answer, plan.data.outputs());
    let answer = finetuned_answers::with_thresholds(answer, outputs, &trained.thresholds);
    let (targets, predictions) = (&set.targets[..], &found.predictions);
    let keep = finetuned_report::MISTAKES_SHOWN;
    let mistakes =
        finetuned_report::worst_mistakes(answer.as_ref(), targets, predictions, origin, keep);
    let mistakes = with_thumbnails(mistakes, data);
    let sheets = finetuned_report::read_sheets(run, report)?;
    let augmented = augmented(plan, data)?;
    let license = license(Path::new(&plan.model.folder));
    let story = Story {
        plan,
        data: report,
        trained,
        done,
        events: &events,
        mistakes: &mistakes,
        targets,
        predictions,
        samples,
        images: Images { sheets: &sheets, augmented: augmented.as_deref() },
        license: license.as_deref(),
    };
    durable::write_with(&run.join(run_folder::PREDICTIONS), |path| {
        finetuned_report::predictions_csv(
            path,
            (plan, answer.as_ref()),
            targets,
            predictions,
            origin,
        )
    })?;
    if !samples.is_empty() {
        let lines: Result<Vec<String>, _> = samples.iter().map(serde_json::to_string).collect();
        let text = lines?.join("\n") + "\n";
        durable::write(&run.join(run_folder::SAMPLES), text.as_bytes())?;
    }
    durable::write(&run.join(run_folder::REPORT), finetuned_report::html(&story)?.as_bytes())?;
    let board = Partial::new(&run.join(run_folder::TENSORBOARD))?;
    finetuned_report::tensorboard(&events, board.path())?;
    board.finish()?;
    durable::write(&folder.join("README.md"), finetuned_report::model_card(&story)?.as_bytes())?;
    let model = run.join(run_folder::MODEL);
    if folder != model {
        durable::rename(folder, &model)?;
    }
    durable::remove_tree(&run.join(run_folder::STAGING))?;
    durable::write_json(&run.join(run_folder::DONE), done)
}

/// A small image beside each mistake, where the examples are images.
fn with_thumbnails(mut mistakes: Vec<Mistake>, data: &Data) -> Vec<Mistake> {
    /// Pixels of its longer side.
    const SIDE: u32 = 96;
    for mistake in &mut mistakes {
        mistake.thumbnail = data.report_split().1.encoded.thumbnail(mistake.index as u32, SIDE);
    }
    mistakes
}

/// The first training images as the first epoch saw them, where they were changed.
fn augmented(plan: &Plan, data: &Data) -> Result<Option<Vec<u8>>> {
    /// Images, and the side of each in pixels.
    const SHOWN: u32 = 8;
    const SIDE: u32 = 112;
    let Some(augment) = plan.augment.clone() else { return Ok(None) };
    let changes = Changes { augment, plugin: None, seed: plan.train.seed, epoch: 0 };
    data.train.encoded.strip(SHOWN, SIDE, &changes)
}

/// What the base model's own card says, where it has one: a line `license: …` in its front matter.
fn license(base: &Path) -> Option<String> {
    let card = fs::read_to_string(base.join("README.md")).ok()?;
    let front = card.strip_prefix("---")?.split("\n---").next()?;
    front.lines().find_map(|line| line.strip_prefix("license:")).map(|it| it.trim().to_string())
}

/// A file that training has left, and could leave again.
fn read_undamaged<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T> {
    read_json(path).map_err(|err| match err.downcast_ref::<serde_json::Error>() {
        Some(_) => Failure::new(FailureKind::Disk, format!("{err:#}: the file is damaged"))
            .with_cure("`finetuned retry JOB` goes on from the last checkpoint and makes it anew")
            .into(),
        None => err,
    })
}

pub(crate) fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T> {
    let text = fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("reading {}", path.display()))
}
