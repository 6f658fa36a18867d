//! The action `prove`: the saved model is loaded from disk in a process that did not train it, evaluated, and
//! must score what was scored before saving. Then the folder becomes complete: card, report, `done.json` last.
//!
//! Killed anywhere, it is run again: each file is written whole, and nothing before `done.json` counts.

use crate::durable::Partial;
use crate::evaluate::{Outputs, evaluate};
use crate::journal::Journal;
use crate::network::{Examples, Network};
use crate::prepare::Data;
use crate::stop::Stop;
use crate::{checkpoint, device, durable, export, prepare};
use anyhow::{Context, Result};
use finetuned_job::data::DataReport;
use finetuned_job::event::{Event, Phase};
use finetuned_job::outcome::{Done, Failure, FailureKind, OUTCOME_VERSION, Proof, Trained};
use finetuned_job::plan::Plan;
use finetuned_job::run_folder;
use finetuned_job::scores::Scores;
use finetuned_job::spec::Spec;
use finetuned_report::{Prediction, Story};
use std::fs;
use std::path::Path;

pub(crate) fn prove(spec: &Spec, journal: &mut Journal, stop: &Stop) -> Result<()> {
    let run = &spec.run;
    if run.join(run_folder::DONE).exists() {
        return Ok(());
    }
    let plan: Plan = read_json(&run.join(run_folder::PLAN))?;
    let report: DataReport = read_json(&run.join(run_folder::DATA))?;
    let trained: Trained = read_json(&run.join(run_folder::TRAINED))?;
    let data = prepare::prepare(spec, journal, stop)?.data;
    if data.report.content_hash != plan.data.content_hash {
        return Err(Failure::new(FailureKind::Data, "the data changed between training and proof").with_cure("retry the job").into());
    }
    // A proof that was killed after its last rename finds the model under its final name.
    let unproven = run.join(run_folder::UNPROVEN);
    let folder = if unproven.exists() { unproven.clone() } else { run.join(run_folder::MODEL) };

    let (outputs, proof, again) = reloaded(&folder, spec, &plan, &trained, &data, journal, stop)?;
    compare(&trained, &again, &proof)?;
    let done = done(spec, &plan, &trained, proof);
    let story = Story { plan: &plan, data: &report, trained: &trained, done: &done, events: &[], mistakes: &[], license: None };
    publish(run, &folder, story, &data, &outputs)?;
    journal.tell(Event::Done { metric: done.metric.clone(), score: done.score })
}

/// Evaluates what lies on the disk.
fn reloaded(
    folder: &Path,
    spec: &Spec,
    plan: &Plan,
    trained: &Trained,
    data: &Data,
    journal: &mut Journal,
    stop: &Stop,
) -> Result<(Outputs, Proof, Scores)> {
    let (split, tokens) = data.report_split();
    let total = Some(tokens.len() as u64);
    journal.phase(Phase::Proving, total)?;
    let (network, _) = Network::open(folder, device::choose(spec.device)?)?;
    let outputs = evaluate(&network, Examples { tokens, features: None }, |done| {
        stop.check()?;
        journal.progress(done, total)
    })?;
    let scores = outputs.scores(split, tokens, plan)?;
    let proof = Proof {
        model_hash: checkpoint::hash(&folder.join(export::WEIGHTS))?,
        examples: tokens.len() as u64,
        loss_trained: trained.scores.loss,
        loss_reloaded: scores.loss,
    };
    Ok((outputs, proof, scores))
}

fn compare(trained: &Trained, again: &Scores, proof: &Proof) -> Result<(), Failure> {
    let same_scores = trained.scores.confusion == again.confusion;
    if same_scores && proof.holds() && proof.model_hash == trained.model_hash {
        return Ok(());
    }
    let message = format!(
        "the saved model does not score what the trained one scored: loss {} before, {} after loading it again",
        proof.loss_trained, proof.loss_reloaded
    );
    Err(Failure::new(FailureKind::Proof, message).with_cure("retry the job; if it stays, the disk or the memory of this machine is at fault"))
}

fn done(spec: &Spec, plan: &Plan, trained: &Trained, proof: Proof) -> Done {
    let name = spec.drop.as_deref().and_then(Path::file_name).map_or("drop".into(), |it| it.to_string_lossy().into_owned());
    Done {
        version: OUTCOME_VERSION,
        job: spec.job,
        name,
        task: plan.task.name().into(),
        base: plan.model.base.clone(),
        model: run_folder::MODEL.into(),
        report: run_folder::REPORT.into(),
        split: plan.eval.report_on,
        metric: plan.eval.best.clone(),
        score: finetuned_report::value(&trained.scores, &plan.eval.best).unwrap_or(f64::NAN),
        scores: trained.scores.clone(),
        baseline: trained.baseline.clone(),
        proof,
        steps: trained.steps,
        best_step: trained.best_step,
        epochs: trained.epochs,
        seconds: trained.seconds,
        attempts: spec.attempt,
    }
}

/// Everything that people read, the model's final name, and `done.json` when all is there.
fn publish(run: &Path, folder: &Path, story: Story, data: &Data, outputs: &Outputs) -> Result<()> {
    let classes = &story.plan.data.classes;
    let events = finetuned_report::read_events(&run.join(run_folder::EVENTS))?;
    let mistakes = finetuned_report::worst_mistakes(classes, predictions(data, outputs, classes.len()), finetuned_report::MISTAKES_SHOWN);
    let license = license(Path::new(&story.plan.model.folder));
    let story = Story { events: &events, mistakes: &mistakes, license: license.as_deref(), ..story };

    let rows = predictions(data, outputs, classes.len());
    durable::write_with(&run.join(run_folder::PREDICTIONS), |path| finetuned_report::predictions_csv(path, classes, rows))?;
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
    durable::write_json(&run.join(run_folder::DONE), story.done)
}

fn predictions<'a>(data: &'a Data, outputs: &'a Outputs, classes: usize) -> impl Iterator<Item = Prediction<'a>> {
    data.report_texts.iter().zip(outputs.probabilities.chunks(classes)).map(|(example, probabilities)| Prediction {
        text: &example.text,
        label: example.label,
        probabilities,
        file: data.report.files.get(example.file as usize).map_or("?", |it| &it.path),
        line: Some(example.line),
    })
}

/// What the base model's own card says, where it has one: a line `license: …` in its front matter.
fn license(base: &Path) -> Option<String> {
    let card = fs::read_to_string(base.join("README.md")).ok()?;
    let front = card.strip_prefix("---")?.split("\n---").next()?;
    front.lines().find_map(|line| line.strip_prefix("license:")).map(|it| it.trim().to_string())
}

pub(crate) fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T> {
    let text = fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("reading {}", path.display()))
}
