//! The action `predict`: texts or images through a finished model; one JSON object a line on
//! stdout, and a CSV if asked.

use crate::evaluate::evaluate;
use crate::examples::ExampleSet;
use crate::extensions::Extensions;
use crate::generate::{Generated, generate};
use crate::modality::{self, Encoded, Encoder, Inputs};
use crate::network::{self, Network, Saved};
use crate::proof::read_json;
use crate::replies::{Growing, Replies};
use crate::stop::Stop;
use crate::stored::Examples;
use crate::{device, durable, fill_mask, objective};
use anyhow::{Context, Result, bail};
use finetuned_answers::{AnswerKind, Input, Predictions};
use finetuned_data::Named;
use finetuned_job::outcome::Trained;
use finetuned_job::plan::Plan;
use finetuned_job::run_folder;
use finetuned_job::spec::{Sampling, Spec};
use serde_json::{Map, Value};
use std::cell::OnceCell;
use std::path::Path;

/// A run's model, and what asks it.
pub(crate) struct Finished {
    pub plan: Plan,
    pub encoder: Box<dyn Encoder>,
    pub saved: Saved,
}

impl Finished {
    pub(crate) fn open(spec: &Spec) -> Result<Finished> {
        let folder = network::finished(&spec.run)?;
        let plan: Plan = read_json(&spec.run.join(run_folder::PLAN))?;
        let Trained { head, .. } = read_json(&spec.run.join(run_folder::TRAINED))?;
        let extensions = Extensions::of_plan(spec, &plan, &head)?;
        let device = device::choose(spec.device)?;
        let saved = Network::open(&folder, &head, &plan, &extensions, device)?;
        let encoder = modality::of(plan.task.modality).reopen(&folder, &plan)?;
        Ok(Finished { plan, encoder, saved })
    }
}

/// What is asked.
pub(crate) struct Question<'a> {
    pub inputs: &'a [String],
    pub csv: Option<&'a Path>,
    pub sampling: &'a Sampling,
    /// Whether what follows the only text is printed while it comes into being too.
    pub aloud: bool,
}

pub(crate) fn predict(spec: &Spec, question: &Question, stop: &Stop) -> Result<()> {
    let Question { inputs, csv, sampling, aloud } = *question;
    let mut replies = Replies::apart()?;
    let Finished { plan, encoder, saved } = Finished::open(spec)?;
    let Saved { network, names, thresholds, max_positions } = saved;
    let task = plan.task;
    let answer = finetuned_answers::with_thresholds(task.answer, &names, &thresholds);
    let mut named = finetuned_data::inputs(task.modality, inputs, &plan.data.text_columns)?;
    if answer.takes_tokens() {
        named.iter_mut().for_each(|it| it.record.words = Box::default());
    }
    if named.is_empty() {
        bail!("there is nothing to predict: the inputs hold no {}", task.modality.noun());
    }
    if task.objective.goes_on() {
        let prompts =
            named.iter().map(|it| encoder.prompt(&it.record)).collect::<Result<Vec<_>>>()?;
        let mut growing = (aloud && named.len() == 1).then(Growing::default);
        let found = generate(
            &network,
            &prompts,
            encoder.ends(),
            (sampling, max_positions),
            &mut |_, tokens| {
                stop.check()?;
                match &mut growing {
                    Some(it) => it.print(tokens, encoder.as_ref(), &mut replies),
                    None => Ok(()),
                }
            },
        )?;
        let texts: Vec<_> = found.iter().map(|it| (encoder.text(&it.tokens), it)).collect();
        if let (Some(mut growing), [(text, _)]) = (growing, &texts[..]) {
            growing.print_rest(text.clone(), &mut replies)?;
        }
        let continued = Continued { what: task.modality.noun(), named: &named, texts };
        continued.print(replies)?;
        return csv.map_or(Ok(()), |path| continued.write_csv(path));
    }
    let inputs = Inputs::Named(named.into());
    let encoded = encoder.encode(&inputs, &mut |_| Ok(()))?;
    let inputs = inputs.cut(encoded.as_ref());
    // Where words have answers each has one; else the example has.
    let places = |index| encoded.places(&[index]).map_or(1, |it| it.first[0].len());
    let unknown = |index| finetuned_answers::Target::unknown(places(index), names.len());
    let targets = (0..inputs.len() as u32).map(unknown).collect();
    let set = ExampleSet { inputs, encoded, targets, reference: OnceCell::new() };
    let objective = objective::of(&plan, &[], (None, None), network.device)?;
    let found =
        evaluate(&network, objective.as_ref(), Examples { set: &set, cache: None }, |_| Ok(()))?;
    let masks = fill_mask::fill(&network, &set, encoder.as_ref())?;
    let Inputs::Named(named) = &set.inputs else { bail!("the inputs have names") };
    let replied = Replied {
        what: task.modality.noun(),
        answer,
        named,
        encoded: set.encoded.as_ref(),
        predictions: found.predictions,
        masks,
    };
    replied.print(replies)?;
    csv.map_or(Ok(()), |path| replied.write_csv(path))
}

/// What the model answers to what a person named.
struct Replied<'a> {
    /// `text` or `image`.
    what: &'static str,
    answer: Box<dyn AnswerKind>,
    named: &'a [Named],
    encoded: &'a dyn Encoded,
    predictions: Predictions,
    /// What stands behind those that each input has.
    masks: Vec<Vec<Value>>,
}

impl Replied<'_> {
    /// What each is, with where it comes from and its rows of predictions.
    fn each(&self) -> impl Iterator<Item = (&Named, Input<'_>, &[f32])> {
        self.named.iter().enumerate().map(|(index, it)| {
            let words = match &*it.record.words {
                [] => self.encoded.cut(index as u32),
                words => words,
            };
            let input = Input { text: &it.what, words };
            (it, input, self.predictions.of(index))
        })
    }

    fn print(&self, mut replies: Replies) -> Result<()> {
        let line = |((named, input, rows), masks): ((&Named, Input<'_>, &[f32]), &Vec<Value>)| {
            let mut fields = self.answer.reply(&input, rows);
            if !masks.is_empty() {
                // How surprising the other tokens are was not asked.
                fields = Map::from_iter([("masks".into(), masks.clone().into())]);
            }
            fields.insert(
                self.what.into(),
                match &*named.record.texts {
                    [] | [_] => named.what.clone().into(),
                    several => several.iter().map(|it| &**it).collect::<Vec<_>>().into(),
                },
            );
            fields.insert("origin".into(), named.origin.clone().into());
            Value::Object(fields)
        };
        self.each().zip(&self.masks).try_for_each(|it| replies.line(&line(it)))?;
        replies.flush()
    }

    /// origin, text or image, then what the kind of answer has.
    fn write_csv(&self, path: &Path) -> Result<()> {
        let mut out = csv::Writer::from_writer(Vec::new());
        let place = ["origin".to_owned(), self.what.into()].into_iter();
        out.write_record(place.chain(self.answer.reply_columns()))?;
        for (named, input, rows) in self.each() {
            let place = [named.origin.clone(), named.what.clone()].into_iter();
            out.write_record(place.chain(self.answer.reply_cells(&input, rows)))?;
        }
        durable::write(path, &out.into_inner().context("writing the CSV")?)
    }
}

/// What a model says to what a person named.
struct Continued<'a> {
    /// `text` or `conversation`.
    what: &'static str,
    named: &'a [Named],
    texts: Vec<(String, &'a Generated)>,
}

impl Continued<'_> {
    fn print(&self, mut replies: Replies) -> Result<()> {
        for (named, (text, of)) in self.named.iter().zip(&self.texts) {
            let mut reply = of.reply(text);
            reply[self.what] = named.what.clone().into();
            reply["origin"] = named.origin.clone().into();
            replies.line(&reply)?;
        }
        replies.flush()
    }

    fn write_csv(&self, path: &Path) -> Result<()> {
        let mut out = csv::Writer::from_writer(Vec::new());
        out.write_record(["origin", self.what, "generated_text"])?;
        for (named, (text, _)) in self.named.iter().zip(&self.texts) {
            out.write_record([&named.origin, &named.what, text])?;
        }
        durable::write(path, &out.into_inner().context("writing the CSV")?)
    }
}
