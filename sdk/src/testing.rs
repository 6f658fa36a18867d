//! For the tests in an author's crate: drives what was written as the host does, and checks what
//! must hold of all. What is wrong comes back as an error, or panics with a sentence where it is a
//! bug and no bad input.

use crate::error::Result;
use crate::problem::one_of;
use crate::reader::Receiver;
use crate::settings::parse;
use crate::{
    Answer, Augmentation, Content, DropFolder, Example, Found, Hook, Metric, Pixels, Predictions,
    Problem, Progress, Random, Reader, Reward, Split, Wish,
};
use serde_json::{Map, Value};
use std::fs;
use std::ops::Range;
use std::path::Path;

#[cfg(feature = "tensor")]
mod tensor;

#[cfg(feature = "doc-only")]
pub use tensor::with_libtorch;
#[cfg(feature = "tensor")]
pub use tensor::{head, loss};

/// Scores examples (probabilities, true class), and checks that it is the same however they are
/// divided; with made-up examples also of whatever else the metric says that it is made for.
///
/// # Errors Those of the metric.
///
/// # Panics Parts that are merged, or taken in one after the other, have another score than the
/// whole.
pub fn metric<M: Metric>(
    settings: &str,
    classes: &[&str],
    examples: &[(Vec<f32>, u32)],
) -> Result<f64> {
    let score = metric_of_labels::<M>(settings, classes, examples)?;
    others::<M>(Problem::SingleLabel, settings)?;
    Ok(score)
}

/// As [`metric`], for examples (outputs, targets) of several labels or of numbers, which have these
/// names.
///
/// # Errors As [`metric`].
///
/// # Panics As [`metric`].
pub fn metric_for<M: Metric>(
    problem: Problem,
    settings: &str,
    names: &[&str],
    examples: &[(Vec<f32>, Vec<f32>)],
) -> Result<f64> {
    let score = metric_of_targets::<M>(problem, settings, names, examples)?;
    others::<M>(problem, settings)?;
    Ok(score)
}

fn metric_of_labels<M: Metric>(
    settings: &str,
    classes: &[&str],
    examples: &[(Vec<f32>, u32)],
) -> Result<f64> {
    streamed::<M>(Problem::SingleLabel, settings, classes, examples.len(), |metric, part| {
        let probabilities: Vec<f32> =
            examples[part.clone()].iter().flat_map(|it| it.0.iter().copied()).collect();
        let labels: Vec<u32> = examples[part].iter().map(|it| it.1).collect();
        metric.update(&Predictions::new(&probabilities, &labels, classes.len())?)
    })
}

fn metric_of_targets<M: Metric>(
    problem: Problem,
    settings: &str,
    names: &[&str],
    examples: &[(Vec<f32>, Vec<f32>)],
) -> Result<f64> {
    streamed::<M>(problem, settings, names, examples.len(), |metric, part| {
        let (outputs, targets): (Vec<&[f32]>, Vec<&[f32]>) =
            examples[part].iter().map(|it| (&it.0[..], &it.1[..])).unzip();
        metric.update(&Predictions::of_targets(
            problem,
            &outputs.concat(),
            &targets.concat(),
            names.len(),
        )?)
    })
}

/// Tries a metric with examples of every problem that it claims but the one that its author has
/// tried.
fn others<M: Metric>(tried: Problem, settings: &str) -> Result<()> {
    const NAMES: [&str; 3] = ["a", "b", "c"];
    let mut random = Random::new(1);
    let mut row = || NAMES.map(|_| 0.05 + 0.9 * random.unit() as f32);
    let examples: Vec<_> = (0..24).map(|_| (row(), row())).collect();
    for &problem in M::PROBLEMS.iter().filter(|it| **it != tried) {
        let target = |it: f32| if problem == Problem::MultiLabel { it.round() } else { it };
        let targets = examples
            .iter()
            .map(|(outputs, targets)| (outputs.to_vec(), targets.map(target).to_vec()));
        let labels = examples.iter().zip(0..).map(|((outputs, _), i)| {
            (outputs.map(|it| it / outputs.iter().sum::<f32>()).to_vec(), i % 3)
        });
        let _ = match problem {
            Problem::SingleLabel => {
                metric_of_labels::<M>(settings, &NAMES, &labels.collect::<Vec<_>>())?
            }
            problem => {
                metric_of_targets::<M>(problem, settings, &NAMES, &targets.collect::<Vec<_>>())?
            }
        };
    }
    Ok(())
}

/// The score of `n` examples, of which `update` takes in a part.
fn streamed<M: Metric>(
    problem: Problem,
    settings: &str,
    names: &[&str],
    n: usize,
    update: impl Fn(&mut M, Range<usize>) -> Result<()>,
) -> Result<f64> {
    let problem = one_of(problem, M::NAME, M::PROBLEMS)?;
    let seen = |part| {
        let mut metric = M::new_for(problem, parse(settings)?, names)?;
        update(&mut metric, part)?;
        Result::Ok(metric)
    };
    let whole = seen(0..n)?.compute()?;
    for cut in 0..=n {
        let mut merged = seen(0..cut)?;
        merged.merge(&seen(cut..n)?)?;
        same(M::NAME, "merged", cut, merged.compute()?, whole);
    }
    let mut one_by_one = seen(0..0)?;
    for i in 0..n {
        update(&mut one_by_one, i..i + 1)?;
    }
    same(M::NAME, "one by one", n, one_by_one.compute()?, whole);
    Ok(whole)
}

/// Sums in another order differ by rounding, and by nothing else.
#[track_caller]
fn same(name: &str, how: &str, cut: usize, part: f64, whole: f64) {
    let tolerance = 1e-9 * whole.abs().max(1.0);
    assert!(
        (part - whole).abs() <= tolerance,
        "{name}: {part} if {how} (at {cut}), {whole} in one"
    );
}

/// What a reader found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Findings {
    /// In the order in which they were found.
    pub examples: Vec<FoundExample>,
    /// File, line, reason.
    pub bad: Vec<(String, u64, String)>,
}

/// An [`Example`] that stays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundExample {
    /// Text, or path of the image.
    pub content: String,
    /// Name of its class.
    pub label: String,
    /// Which split the data say that it belongs to.
    pub split: Split,
    /// Below the drop.
    pub file: String,
    /// From 1; 0: no line.
    pub line: u64,
}

struct Collector<'a> {
    files: &'a [String],
    findings: Findings,
}

impl Receiver for Collector<'_> {
    fn example(&mut self, it: &Example) -> Result<()> {
        let (Content::Text(content) | Content::Image(content)) = it.content;
        let (content, label, file) = (content.into(), it.label.into(), self.files[it.file].clone());
        self.findings.examples.push(FoundExample {
            content,
            label,
            split: it.split,
            file,
            line: it.line,
        });
        Ok(())
    }

    fn bad(&mut self, file: usize, line: u64, reason: &str) -> Result<()> {
        self.findings.bad.push((self.files[file].clone(), line, reason.into()));
        Ok(())
    }
}

/// Reads a folder if the reader recognises it; `None` if it does not.
///
/// # Errors
/// Those of the reader; a folder that cannot be listed.
pub fn read<R: Reader>(settings: &str, folder: &Path) -> Result<Option<Findings>> {
    let mut files = Vec::new();
    list(folder, "", &mut files)?;
    files.sort();
    let drop = DropFolder::new(folder, files.iter().map(String::as_str).collect());
    let mut reader = R::new(parse(settings)?)?;
    if !reader.recognise(&drop)? {
        return Ok(None);
    }
    let mut collector = Collector { files: &files, findings: Findings::default() };
    reader.read(&drop, &mut Found::new(&mut collector))?;
    Ok(Some(collector.findings))
}

fn list(folder: &Path, prefix: &str, files: &mut Vec<String>) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        if entry.file_type()?.is_dir() {
            list(&entry.path(), &format!("{name}/"), files)?
        } else {
            files.push(name)
        }
    }
    Ok(())
}

/// What a hook wishes at each point of a run, and checks that a run which was killed at any of them
/// and went on has the same wishes.
///
/// # Errors Those of the hook.
///
/// # Panics A hook that forgets something when the run is killed.
pub fn hook<H: Hook>(settings: &str, run: &[Progress]) -> Result<Vec<Wish>> {
    let mut hook = H::new(parse(settings)?)?;
    let wishes = run.iter().map(|it| hook.progress(it)).collect::<Result<Vec<_>>>()?;
    let mut hook = H::new(parse(settings)?)?;
    for (progress, &wish) in run.iter().zip(&wishes) {
        let saved = serde_json::to_string(&hook.state())?;
        hook = H::new(parse(settings)?)?;
        hook.resume(serde_json::from_str(&saved)?);
        assert_eq!(
            hook.progress(progress)?,
            wish,
            "{}: another wish at step {} if the run is killed before it",
            H::NAME,
            progress.step
        );
    }
    Ok(wishes)
}

/// Applies an augmentation to an image with rows of `width`, and checks that the same seed does the
/// same again.
///
/// # Errors Those of the augmentation.
///
/// # Panics An augmentation that depends on more than settings, pixels and seed.
pub fn augmentation<A: Augmentation>(
    settings: &str,
    width: usize,
    rgb: &[[u8; 3]],
    seed: u64,
) -> Result<Vec<[u8; 3]>> {
    let augmentation = A::new(parse(settings)?)?;
    let apply = || {
        let mut changed = rgb.to_vec();
        augmentation.apply(&mut Pixels::new(width, &mut changed)?, &mut Random::new(seed))?;
        Result::Ok(changed)
    };
    let changed = apply()?;
    assert!(changed == apply()?, "{}: another image from the same seed", A::NAME);
    Ok(changed)
}

/// What an answer to a prompt is worth, and checks that it is a number and the same when it is
/// asked again. `fields`: the other columns of the prompt's row, an object of JSON.
///
/// # Errors Those of the reward; fields that are no object of JSON.
///
/// # Panics It is no finite number, or another one the second time.
pub fn reward<R: Reward>(settings: &str, prompt: &str, answer: &str, fields: &str) -> Result<f64> {
    let fields: Map<String, Value> = serde_json::from_str(fields)?;
    let of = Answer::new(prompt, answer, &fields);
    let reward = R::new(parse(settings)?)?;
    let found = reward.reward(&of)?;
    assert!(found.is_finite(), "{}: the reward is {found}", R::NAME);
    let again = [reward.reward(&of)?, R::new(parse(settings)?)?.reward(&of)?];
    assert!(again == [found; 2], "{}: another reward for the same answer", R::NAME);
    Ok(found)
}
