//! What the base model finds of answers that are compared, the log-probability of each: computed
//! once, before anything trains, so that no second model has to be in memory, and written into the
//! run folder. A resumed run and the proof read the same bits there.

use crate::attempt::Attempt;
use crate::examples::ExampleSet;
use crate::network::Network;
use crate::source::Source;
use crate::stored::{Examples, Stored};
use crate::{durable, objective};
use anyhow::{Context, Result, bail};
use finetuned_job::event::Phase;
use finetuned_job::outcome::{Failure, FailureKind};
use finetuned_job::plan::Plan;
use finetuned_job::run_folder;
use std::fs;
use std::path::{Path, PathBuf};
use tch::{Kind, Tensor};

/// Changes where the numbers would mean something else.
const VERSION: &[u8] = b"log-probabilities 1";
const NAME: &str = "log_probabilities";

/// Gives these sets what the base finds of their answers, where the plan's loss asks for it.
/// `base`: the base model; without it, what was not computed before is a failure.
///
/// # Errors
/// A stop signal; whatever the model or the disk refuses.
pub(crate) fn settle(
    plan: &Plan,
    base: Option<&Network>,
    sets: &[&ExampleSet],
    attempt: &mut Attempt,
) -> Result<()> {
    if !plan.train.preference.is_some_and(|it| it.loss.has_reference()) {
        return Ok(());
    }
    for set in sets.iter().filter(|it| it.reference.get().is_none()) {
        let path = path(&attempt.spec.run, plan, set)?;
        let stored = path.exists().then(|| by_example(set, &read(&path)?)).transpose();
        let known = match (stored, base) {
            (Ok(Some(known)), _) => known,
            (Ok(None), None) => return Err(lost(&path).into()),
            (Err(damaged), None) => return Err(damaged),
            (Ok(None) | Err(_), Some(base)) => {
                let found = computed(base, set, attempt)?;
                durable::write_with(&path, |path| write(path, &found))?;
                by_example(set, &found)?
            }
        };
        let _ = set.reference.set(known);
    }
    Ok(())
}

fn lost(path: &Path) -> Failure {
    let message = format!(
        "{} is gone, which training was measured by: the finished model can't be scored again",
        path.display()
    );
    Failure::new(FailureKind::Proof, message)
        .with_cure("`finetuned retry JOB` goes on from the last checkpoint and computes it anew")
}

/// Named after the base, the tokens, and where answers begin.
fn path(run: &Path, plan: &Plan, set: &ExampleSet) -> Result<PathBuf> {
    let mut hash = blake3::Hasher::new();
    let mut part = |bytes: &[u8]| {
        hash.update(&(bytes.len() as u64).to_le_bytes());
        hash.update(bytes);
    };
    part(VERSION);
    part(plan.model.begins_with().as_bytes());
    set.encoded.identify(&mut part)?;
    let folder = run.join(run_folder::REFERENCE);
    fs::create_dir_all(&folder).with_context(|| format!("creating {}", folder.display()))?;
    Ok(folder.join(format!("{}.safetensors", &hash.finalize().to_hex()[..32])))
}

/// Of all answers, in the order of the examples.
fn computed(base: &Network, set: &ExampleSet, attempt: &mut Attempt) -> Result<Vec<f64>> {
    let total = set.len() as u64;
    attempt.journal.phase(Phase::Evaluating, Some(total))?;
    let mut each: Vec<Vec<f64>> = vec![Vec::new(); set.len()];
    let examples = Examples { set, cache: None };
    let mut source = Stored::plain(examples, set.evaluation_batches(), base.device);
    let mut done = 0;
    while let Some(batch) = source.next(base) {
        let batch = batch?;
        let mut found = objective::log_probabilities(base, &batch)?.into_iter();
        for &index in &batch.indices {
            let answers = set.encoded.answers(index).len();
            each[index as usize] = found.by_ref().take(answers).collect();
        }
        done += batch.indices.len() as u64;
        attempt.progress(done, total)?;
    }
    let all = each.concat();
    if all.iter().any(|it| !it.is_finite()) {
        bail!("the base model gives NaN or infinite log-probabilities");
    }
    Ok(all)
}

fn write(path: &Path, all: &[f64]) -> Result<()> {
    Ok(finetuned_models::save(&[(NAME.into(), Tensor::f_from_slice(all)?)], path)?)
}

fn read(path: &Path) -> Result<Vec<f64>> {
    let all =
        finetuned_models::read(path).with_context(|| format!("reading {}", path.display()))?;
    let known = all.into_iter().find(|it| it.0 == NAME);
    let known = known.with_context(|| format!("{} has no {NAME}", path.display()))?.1;
    Ok(Vec::try_from(known.f_to_kind(Kind::Double)?)?)
}

fn by_example(set: &ExampleSet, all: &[f64]) -> Result<Vec<Box<[f64]>>> {
    let (mut each, mut rest) = (Vec::with_capacity(set.len()), all);
    for index in 0..set.len() as u32 {
        let n = set.encoded.answers(index).len();
        let (own, others) = rest.split_at_checked(n).context("too few log-probabilities")?;
        each.push(own.into());
        rest = others;
    }
    if !rest.is_empty() {
        bail!("more log-probabilities than answers");
    }
    Ok(each)
}
