//! The action `predict`: texts or images through a finished model; one JSON object a line on
//! stdout, and a CSV if asked.

use crate::evaluate::evaluate;
use crate::examples::{ExampleSet, Inputs, Targets};
use crate::extensions::Extensions;
use crate::feed::Examples;
use crate::images::{ImageSet, Source};
use crate::network::Network;
use crate::proof::read_json;
use crate::tokens::{Encoder, Row};
use crate::{device, durable, prepare};
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
use std::sync::Arc;

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

/// What a person wants to know of, with the names for it.
struct Question {
    inputs: Inputs,
    /// (what it is, where it comes from)
    named: Vec<(String, String)>,
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
    let problem = plan.data.problem;
    let answers = Replies::apart()?;
    let extensions = Extensions::of_plan(spec, &plan, &head)?;
    let (network, names) =
        Network::open(&folder, &head, &plan, &extensions, device::choose(spec.device)?)?;
    let Question { inputs, named } = question(&plan, &folder, inputs)?;
    let set = ExampleSet { targets: Targets::unknown(problem, named.len(), names.len()), inputs };
    let outputs = evaluate(&network, Examples { set: &set, kept: None }, |_| Ok(()))?;
    let predictions: Vec<Prediction> = named
        .iter()
        .zip(outputs.values.chunks(names.len()))
        .map(|((input, origin), row)| Prediction {
            input,
            origin,
            answer: answer(problem, &names, row),
        })
        .collect();
    let what = if plan.model.preprocess.is_some() { "image" } else { "text" };
    answers.print(what, &predictions)?;
    match csv {
        Some(path) => write_csv(path, what, &names, &predictions, &outputs.values),
        None => Ok(()),
    }
}

fn question(plan: &Plan, folder: &Path, inputs: &[String]) -> Result<Question> {
    if let Some(preprocess) = prepare::preprocess(plan)? {
        let inputs = finetuned_data::image_inputs(inputs)?;
        let named = inputs.iter().map(|it| (it.origin.clone(), it.origin.clone())).collect();
        return Ok(Question {
            inputs: Inputs::Images(Arc::new(ImageSet {
                source: Source::Named(inputs),
                preprocess,
            })),
            named,
        });
    }
    let inputs = finetuned_data::inputs(inputs, plan.data.text_column.as_deref())?;
    if inputs.is_empty() {
        bail!("there is nothing to predict: the inputs hold no text");
    }
    let rows = inputs.iter().map(|it| Row { text: &it.text, file: 0, line: 0 });
    let tokens =
        Encoder::open(folder, plan.data.max_tokens)?.encode(rows, Vec::new(), |_| Ok(()))?;
    Ok(Question {
        inputs: Inputs::Texts(tokens),
        named: inputs.into_iter().map(|it| (it.text, it.origin)).collect(),
    })
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
