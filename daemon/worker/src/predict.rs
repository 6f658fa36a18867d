//! The action `predict`: texts through a finished model; one JSON object a line on stdout, and a CSV if asked.

use crate::evaluate::evaluate;
use crate::network::{Examples, Network};
use crate::proof::read_json;
use crate::tokens::{Encoder, Row};
use crate::{device, durable};
use anyhow::{Context, Result, bail};
use finetuned_job::outcome::{Failure, FailureKind};
use finetuned_job::plan::Plan;
use finetuned_job::run_folder;
use finetuned_job::spec::Spec;
use serde::Serialize;
use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

#[derive(Serialize)]
struct Prediction<'a> {
    text: &'a str,
    origin: &'a str,
    label: &'a str,
    probability: f32,
    probabilities: BTreeMap<&'a str, f32>,
}

pub(crate) fn predict(spec: &Spec, inputs: &[String], csv: Option<&Path>) -> Result<()> {
    let folder = spec.run.join(run_folder::MODEL);
    if !spec.run.join(run_folder::DONE).exists() || !folder.exists() {
        let message = format!("{} holds no finished model", spec.run.display());
        return Err(Failure::new(FailureKind::Model, message).with_cure("`finetuned status` lists the runs that are done").into());
    }
    let plan: Plan = read_json(&spec.run.join(run_folder::PLAN))?;
    let (network, classes) = Network::open(&folder, device::choose(spec.device)?)?;
    let encoder = Encoder::open(&folder, plan.data.max_tokens)?;
    let inputs = finetuned_data::inputs(inputs, plan.data.text_column.as_deref())?;
    if inputs.is_empty() {
        bail!("there is nothing to predict: the inputs hold no text");
    }
    let rows = inputs.iter().map(|it| Row { text: &it.text, label: 0, file: 0, line: 0 });
    let tokens = encoder.encode(rows, Vec::new(), |_| Ok(()))?;
    let outputs = evaluate(&network, Examples { tokens: &tokens, features: None }, |_| Ok(()))?;
    let predictions: Vec<Prediction> = inputs
        .iter()
        .zip(outputs.probabilities.chunks(classes.len()))
        .map(|(input, row)| prediction(&input.text, &input.origin, &classes, row))
        .collect();
    print(&predictions)?;
    match csv {
        Some(path) => write_csv(path, &classes, &predictions),
        None => Ok(()),
    }
}

fn prediction<'a>(text: &'a str, origin: &'a str, classes: &'a [String], row: &[f32]) -> Prediction<'a> {
    let (mut label, mut probability) = ("", f32::NEG_INFINITY);
    for (class, &p) in classes.iter().zip(row) {
        if probability < p {
            (label, probability) = (class, p);
        }
    }
    Prediction { text, origin, label, probability, probabilities: classes.iter().map(String::as_str).zip(row.iter().copied()).collect() }
}

fn print(predictions: &[Prediction]) -> Result<()> {
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    for it in predictions {
        serde_json::to_writer(&mut out, it).context("printing")?;
        out.write_all(b"\n").context("printing")?;
    }
    out.flush().context("printing")
}

fn write_csv(path: &Path, classes: &[String], predictions: &[Prediction]) -> Result<()> {
    let mut out = csv::Writer::from_writer(Vec::new());
    let header = ["origin", "text", "label", "probability"].into_iter().map(String::from);
    out.write_record(header.chain(classes.iter().map(|it| format!("p_{it}"))))?;
    for it in predictions {
        let fixed = [it.origin.to_string(), it.text.to_string(), it.label.to_string(), it.probability.to_string()];
        let each = classes.iter().map(|class| it.probabilities.get(class.as_str()).copied().unwrap_or(f32::NAN).to_string());
        out.write_record(fixed.into_iter().chain(each))?;
    }
    durable::write(path, &out.into_inner().context("writing the CSV")?)
}
