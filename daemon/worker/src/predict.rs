//! The action `predict`: texts or images through a finished model; one JSON object a line on
//! stdout, and a CSV if asked.

use crate::evaluate::evaluate;
use crate::examples::ExampleSet;
use crate::extensions::Extensions;
use crate::modality::{self, Inputs};
use crate::network::Network;
use crate::proof::read_json;
use crate::stored::Examples;
use crate::{device, durable, objective};
use anyhow::{Context, Result, bail};
use finetuned_job::outcome::{Failure, FailureKind, Trained};
use finetuned_job::plan::Plan;
use finetuned_job::run_folder;
use finetuned_job::spec::Spec;
use finetuned_job::task::Answer;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::Path;

/// A class counts as said from here, where an example may have several.
const SAID: f32 = 0.5;

#[derive(Serialize)]
#[serde(untagged)]
enum Reply<'a> {
    Label { label: &'a str, probability: f32, probabilities: BTreeMap<&'a str, f32> },
    Labels { labels: Vec<&'a str>, probabilities: BTreeMap<&'a str, f32> },
    Numbers { numbers: BTreeMap<&'a str, f32> },
}

struct Prediction<'a> {
    /// The text, or the name of the image.
    input: &'a str,
    origin: &'a str,
    answer: Reply<'a>,
}

pub(crate) fn predict(spec: &Spec, inputs: &[String], csv: Option<&Path>) -> Result<()> {
    let folder = spec.run.join(run_folder::MODEL);
    if !spec.run.join(run_folder::DONE).exists() || !folder.exists() {
        let message = format!("{} holds no finished model", spec.run.display());
        return Err(Failure::new(FailureKind::Model, message)
            .with_cure("`finetuned status` lists the runs that are done")
            .into());
    }
    let plan: Plan = read_json(&spec.run.join(run_folder::PLAN))?;
    let Trained { head, .. } = read_json(&spec.run.join(run_folder::TRAINED))?;
    let answers = Replies::apart()?;
    let extensions = Extensions::of_plan(spec, &plan, &head)?;
    let (network, names) =
        Network::open(&folder, &head, &plan, &extensions, device::choose(spec.device)?)?;
    let task = plan.task;
    let columns: Vec<String> = plan.data.text_column.iter().cloned().collect();
    let named = finetuned_data::inputs(task.modality, inputs, &columns)?;
    if named.is_empty() {
        bail!("there is nothing to predict: the inputs hold no {}", task.modality.noun());
    }
    let inputs = Inputs::Named(named.into());
    let encoded =
        modality::of(task.modality).reopen(&folder, &plan)?.encode(&inputs, &mut |_| Ok(()))?;
    let targets = vec![finetuned_answers::Target::unknown(names.len()); inputs.len()];
    let set = ExampleSet { inputs, encoded, targets };
    let objective = objective::of(&plan, &[], None, network.device)?;
    let found =
        evaluate(&network, objective.as_ref(), Examples { set: &set, cache: None }, |_| Ok(()))?;
    let Inputs::Named(named) = &set.inputs else { bail!("the inputs have names") };
    let predictions: Vec<Prediction> = named
        .iter()
        .zip(found.predictions.values().chunks(names.len()))
        .map(|(it, row)| Prediction {
            input: &it.what,
            origin: &it.origin,
            answer: answer(task.answer, &names, row),
        })
        .collect();
    let what = task.modality.noun();
    answers.print(what, &predictions)?;
    match csv {
        Some(path) => write_csv(path, what, &names, &predictions, found.predictions.values()),
        None => Ok(()),
    }
}

fn answer<'a>(problem: Answer, names: &'a [String], row: &[f32]) -> Reply<'a> {
    let each = names.iter().map(String::as_str).zip(row.iter().copied());
    match problem {
        Answer::Class => {
            let class = finetuned_report::predicted(row) as usize;
            Reply::Label {
                label: &names[class],
                probability: row[class],
                probabilities: each.collect(),
            }
        }
        Answer::Classes => {
            let labels = each.clone().filter(|it| SAID <= it.1).map(|it| it.0).collect();
            Reply::Labels { labels, probabilities: each.collect() }
        }
        Answer::Numbers => Reply::Numbers { numbers: each.collect() },
    }
}

/// The worker's stdout, out of reach of what a plugin prints: that goes to stderr.
struct Replies(File);

impl Replies {
    fn apart() -> Result<Replies> {
        let out = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdout(), 3)
            .context("setting stdout aside")?;
        rustix::stdio::dup2_stdout(rustix::stdio::stderr()).context("setting stdout aside")?;
        Ok(Replies(File::from(out)))
    }

    fn print(self, what: &str, predictions: &[Prediction]) -> Result<()> {
        print(self.0, what, predictions)
    }
}

fn print(out: File, what: &str, predictions: &[Prediction]) -> Result<()> {
    let mut out = std::io::BufWriter::new(out);
    for it in predictions {
        let mut line = serde_json::to_value(&it.answer).context("printing")?;
        let fields = line.as_object_mut().context("printing")?;
        fields.insert(what.into(), it.input.into());
        fields.insert("origin".into(), it.origin.into());
        serde_json::to_writer(&mut out, &line).context("printing")?;
        out.write_all(b"\n").context("printing")?;
    }
    out.flush().context("printing")
}

/// origin, text or image, what is said, then `p_CLASS` for each class; of numbers each under its
/// name.
fn write_csv(
    path: &Path,
    what: &str,
    names: &[String],
    predictions: &[Prediction],
    values: &[f32],
) -> Result<()> {
    let numbers = predictions.iter().any(|it| matches!(it.answer, Reply::Numbers { .. }));
    let mut out = csv::Writer::from_writer(Vec::new());
    let mut header = vec!["origin".to_string(), what.into()];
    if numbers {
        header.extend_from_slice(names);
    } else {
        header.push("label".into());
        header.extend(names.iter().map(|it| format!("p_{it}")));
    }
    out.write_record(header)?;
    for (it, row) in predictions.iter().zip(values.chunks(names.len())) {
        let label = match &it.answer {
            Reply::Label { label, .. } => Some(label.to_string()),
            Reply::Labels { labels, .. } => Some(labels.join("|")),
            Reply::Numbers { .. } => None,
        };
        let fixed = [it.origin.to_string(), it.input.to_string()].into_iter().chain(label);
        out.write_record(fixed.chain(row.iter().map(f32::to_string)))?;
    }
    durable::write(path, &out.into_inner().context("writing the CSV")?)
}
