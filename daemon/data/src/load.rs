//! The way from a folder to a [`Dataset`], the same for whatever goes in and whatever is learnt:
//! read, divide, report.

use crate::example::{Example, Examples, Origins, PartsHash, PerSplit};
use crate::gather::{self, Gather};
use crate::inventory::Inventory;
use crate::modality::{self, Divided, Images};
use crate::preflight::{self, Rules};
use crate::progress::Progress;
use crate::quarantine::Ward;
use crate::reading::{ColumnNames, Reading};
use crate::refusal;
use crate::request::Request;
use crate::targets::{self, Learnt};
use finetuned_answers::TargetKind;
use finetuned_job::data::{
    DATA_VERSION, DataReport, Duplicates, FileReport, NumberReport, Quarantine, SplitReport,
};
use finetuned_job::outcome::Failure;
use finetuned_job::run_folder;
use finetuned_job::scores::Split;
use finetuned_job::task::{Modality, Task};
use std::path::Path;
use std::sync::Arc;

/// The usable examples of a drop. Train has two examples at least, and two of every class where
/// each example has one, before validation and test are carved from it; validation or test is not
/// empty.
#[derive(Debug)]
pub struct Dataset {
    pub task: Task,
    /// The sentence why it is this task.
    pub reason: String,
    /// In the order of the model's: classes by number if all are integers, else by their letters;
    /// columns of numbers as the drop or the recipe has them.
    pub outputs: Vec<String>,
    pub train: Vec<Example>,
    pub validation: Vec<Example>,
    pub test: Vec<Example>,
    /// `tokens` and `estimate` are left open.
    pub report: DataReport,
    /// Gives the bytes of images, to any number of threads; absent where no image goes in.
    pub images: Option<Images>,
    pub origins: Arc<Origins>,
}

/// `source`: the drop's own name. `root`: the folder that `found` was taken of.
pub(crate) fn load(
    (source, root): (&str, &Path),
    (found, modality): (Inventory, Modality),
    request: &Request<'_>,
    progress: &mut Progress<'_>,
) -> Result<Dataset, Failure> {
    let ward = Ward::open(&request.run.join(run_folder::QUARANTINE))?;
    let mut reading = Reading {
        request,
        modality,
        gather: Gather::new(ward),
        files: Vec::new(),
        members: Vec::new(),
        columns: ColumnNames::default(),
        warnings: Vec::new(),
        doubt: modality::doubt,
        progress,
    };
    let mut content = modality::of(modality)?.read(root, found, &mut reading)?;
    let origins = reading.origins();
    let Reading { gather, mut files, columns, mut warnings, .. } = reading;
    warnings.extend(gather.left_out());
    let Gather { mut ward, rows, empty_texts, learnt, examples, .. } = gather;
    ward.close(rows)?;
    for (example, _) in &examples {
        files[example.file as usize].rows += 1;
    }
    let learnt = learnt.ok_or_else(|| refusal::data("the drop has no usable examples"))?;
    targets::check_all(&learnt)?;
    let reason = learnt.reason(examples.len() as u64);
    let Learnt { kind, reader, .. } = learnt;
    let task =
        Task::of(modality, kind.answer()).filter(|it| request.task.is_none_or(|task| task == *it));
    let task = request.task.or(task).ok_or_else(|| unlearnt(modality, &columns))?;
    let mut examples = gather::placed(examples, &origins)?;
    let outputs = reader.finish(&mut examples.targets_mut())?;
    warnings.extend(outputs.notes);
    let outputs = outputs.names;
    content.undivided(&examples);
    let rules = Rules {
        kind,
        outputs: &outputs,
        validation: request.choice.validation,
        validation_default: request.validation,
        test: request.choice.test,
        seed: request.seed,
        group: &|it| content.group(it),
        noun: modality.noun(),
        origins: &origins,
    };
    let (duplicates, splits) = preflight::divide(&mut examples, &rules)?;
    let found = Findings {
        source,
        files,
        columns,
        duplicates,
        splits,
        empty_texts,
        quarantined: ward.report,
        warnings,
    };
    let mut report = report(found, (task, &reason), (kind, &outputs), &examples);
    let divided = Divided { examples: &examples, origins: &origins, task, request };
    content.report(&divided, &mut report)?;
    let PerSplit { train, validation, test } = examples;
    let (images, origins) = (content.images(), Arc::new(origins));
    Ok(Dataset { task, reason, outputs, train, validation, test, report, images, origins })
}

/// Of a kind of answer that no task has for such inputs.
fn unlearnt(modality: Modality, columns: &ColumnNames) -> Failure {
    let of_inputs = Task::all().filter(|it| it.modality == modality);
    let tasks: Vec<&str> = of_inputs.map(|it| it.name).collect();
    let (inputs, targets) = (columns.inputs.join("` and `"), columns.targets.join("`, `"));
    let message = format!(
        "what `{targets}` holds can't be learnt of `{inputs}`: of {}s are learnt {}",
        modality.noun(),
        tasks.join(" and ")
    );
    refusal::data(message).with_cure(
        "name other columns in a job.toml: data.text = \"COLUMN\" (one, where one is enough) and data.label = \"COLUMN\"; or set task, as to \"text-generation\" or \"grpo\" for answers to questions",
    )
}

/// What the stages before the report have found.
struct Findings<'a> {
    source: &'a str,
    files: Vec<FileReport>,
    columns: ColumnNames,
    duplicates: Duplicates,
    splits: Vec<SplitReport>,
    empty_texts: u64,
    quarantined: Quarantine,
    warnings: Vec<String>,
}

fn report(
    found: Findings<'_>,
    (task, reason): (Task, &str),
    (kind, outputs): (&dyn TargetKind, &[String]),
    examples: &Examples,
) -> DataReport {
    let Findings { columns: ColumnNames { inputs, targets, .. }, mut warnings, .. } = found;
    let noun = task.modality.noun();
    let counts = preflight::class_counts(examples, kind, outputs);
    preflight::warn_about(&counts, examples, &found.duplicates, noun, &mut warnings);
    let mut formats: Vec<&str> = found.files.iter().map(|it| it.format.as_str()).collect();
    formats.dedup();
    // Of several columns, and of columns of numbers, each is an output.
    let is_label = |it: &&String| targets.len() == 1 && !outputs.contains(it);
    let classes = if counts.is_empty() { &[] } else { outputs };
    DataReport {
        version: DATA_VERSION,
        source: found.source.into(),
        format: formats.join(", "),
        task: task.name.into(),
        task_reason: reason.into(),
        outputs: outputs.to_vec(),
        text_column: inputs.first().filter(|_| !is_of_images(examples)).cloned(),
        label_column: targets.first().filter(is_label).cloned(),
        input_columns: inputs,
        target_columns: targets,
        numbers: if counts.is_empty() { numbers(outputs, &examples.train) } else { Vec::new() },
        classes: counts,
        splits: found.splits,
        empty_texts: found.empty_texts,
        duplicates: found.duplicates,
        quarantined: found.quarantined,
        tokens: None,
        estimate: None,
        warnings,
        content_hash: content_hash(classes, examples),
        images: None,
        files: found.files,
    }
}

fn is_of_images(examples: &Examples) -> bool {
    examples.iter().any(|it| it.1.record.image.is_some())
}

fn numbers(outputs: &[String], train: &[Example]) -> Vec<NumberReport> {
    let report = |(idx, column): (usize, &String)| {
        let mut sorted: Vec<f64> =
            train.iter().filter_map(|it| it.target.numbers().get(idx).copied()).collect();
        sorted.sort_by(f64::total_cmp);
        let (first, last) = (sorted.first()?, sorted.last()?);
        let n = sorted.len() as f64;
        let mean = sorted.iter().sum::<f64>() / n;
        let deviation = (sorted.iter().map(|it| (it - mean).powi(2)).sum::<f64>() / n).sqrt();
        let median = f64::midpoint(sorted[(sorted.len() - 1) / 2], sorted[sorted.len() / 2]);
        Some(NumberReport {
            column: column.clone(),
            min: *first,
            median,
            max: *last,
            mean,
            deviation,
        })
    };
    outputs.iter().enumerate().filter_map(report).collect()
}

/// blake3 over class names and examples of all splits in order, every part with its length before
/// it.
fn content_hash(classes: &[String], examples: &Examples) -> String {
    let mut hash = PartsHash::default();
    classes.iter().for_each(|it| hash.part(it.as_bytes()));
    for split in Split::ALL {
        hash.part(split.name().as_bytes());
        for example in examples.of(split) {
            let target = &example.target;
            let classes = target.classes().iter().flat_map(|it| it.to_le_bytes());
            let numbers = target.numbers().iter().flat_map(|it| it.to_le_bytes());
            hash.part(&classes.chain(numbers).collect::<Vec<_>>());
            match example.record.image {
                Some(_) => hash.part(&example.key.to_le_bytes()),
                None => example.record.parts(&mut hash),
            }
        }
    }
    hash.hex()
}
