//! A tag for each word: cross-entropy over the tokens of words, as
//! `AutoModelForTokenClassification` has it with -100 elsewhere. All sub-tokens of a word are
//! labelled; of those that stand in several windows each counts once.
//!
//! transformers' pipeline joins neighbouring tokens to entities by its "simple" strategy, for which
//! each token speaks for itself: only the first sub-token of a word that begins an entity begins
//! one, and the others are inside it. Which tag that is, is known from the tags' names.

use super::cross_entropy::CrossEntropy;
use super::supervised::{Criterion, by_plugin};
use super::{Evaluated, Objective};
use crate::examples::ExampleSet;
use crate::modality::Places;
use crate::network::Network;
use crate::plugins::LossInstance;
use crate::source::Batch;
use anyhow::{Context, Result, bail};
use finetuned_answers::Target;
use finetuned_job::plan::Plan;
use finetuned_models::Pass;
use tch::{Device, Kind, Tensor};

pub(super) struct Tokens {
    cross_entropy: CrossEntropy,
    /// In the place of cross-entropy.
    plugin: Option<LossInstance>,
    /// Of each tag, that of the same entity's tokens behind the first.
    inside: Vec<u32>,
    /// Of words that have no token.
    outside: usize,
}

/// Rows of a batch that have labels, and their labels.
struct Labelled {
    rows: Vec<i64>,
    classes: Vec<u32>,
    /// The example of the batch that each belongs to.
    examples: Vec<usize>,
}

impl Tokens {
    pub(super) fn new(plan: &Plan, plugin: Option<LossInstance>, device: Device) -> Result<Tokens> {
        let cross_entropy = CrossEntropy::new(plan, device)?;
        Ok(Tokens::with(cross_entropy, plugin, plan.data.outputs()))
    }

    fn with(cross_entropy: CrossEntropy, plugin: Option<LossInstance>, tags: &[String]) -> Tokens {
        let inside = |(at, tag): (usize, &String)| {
            let inside = tag.strip_prefix("B-").map(|it| format!("I-{it}"));
            inside.and_then(|it| tags.iter().position(|tag| *tag == it)).unwrap_or(at) as u32
        };
        let inside = tags.iter().enumerate().map(inside).collect();
        let outside = tags.iter().position(|it| it == "O").unwrap_or(0);
        Tokens { cross_entropy, plugin, inside, outside }
    }

    fn labelled(&self, places: &Places, targets: &[&Target]) -> Result<Labelled> {
        for (first, target) in places.first.iter().zip(targets) {
            let (words, tags) = (first.len(), target.classes().len());
            if words != tags {
                bail!("a text of {words} words has {tags} tags");
            }
        }
        let mut found = Labelled { rows: Vec::new(), classes: Vec::new(), examples: Vec::new() };
        for (row, place) in (0_u32..).zip(&places.rows) {
            let Some((example, word)) = place.map(|it| (it.0 as usize, it.1 as usize)) else {
                continue;
            };
            let tag = targets[example].classes()[word];
            let first = places.first[example][word] == Some(row);
            found.rows.push(row.into());
            found.classes.push(if first { tag } else { self.inside[tag as usize] });
            found.examples.push(example);
        }
        Ok(found)
    }

    fn of_batch(&self, set: &ExampleSet, batch: &[u32]) -> Result<(Places, Labelled)> {
        let places = set.encoded.places(batch).context("the examples have no words")?;
        let labelled = self.labelled(&places, &set.targets(batch))?;
        Ok((places, labelled))
    }
}

/// (n) int64
fn tensor(numbers: impl Iterator<Item = i64>, device: Device) -> Result<Tensor> {
    Ok(Tensor::f_from_slice(&numbers.collect::<Vec<i64>>())?.f_to(device)?)
}

fn targets(labelled: &Labelled, device: Device) -> Result<Tensor> {
    tensor(labelled.classes.iter().map(|it| i64::from(*it)), device)
}

impl Objective for Tokens {
    /// Tokens, or the sum of the weights of their classes. What has words and tags that do not fit
    /// is refused by the loss.
    fn weight(&self, set: &ExampleSet, batch: &[u32]) -> f64 {
        let found = self.of_batch(set, batch);
        found.map_or(0.0, |it| self.cross_entropy.weight_of(it.1.classes.into_iter()))
    }

    fn loss(&self, network: &Network, batch: &Batch, pass: &Pass) -> Result<Tensor> {
        let (_, labelled) = self.of_batch(batch.set, &batch.indices)?;
        let targets = targets(&labelled, network.device)?;
        let rows = tensor(labelled.rows.into_iter(), network.device)?;
        let labels = network.head.is_some().then_some(&targets);
        let forward = network.forward(&batch.input, Some(&rows), labels, pass)?;
        match &self.plugin {
            Some(plugin) => by_plugin(plugin, &self.cross_entropy, &forward, &targets, pass),
            None => self.cross_entropy.loss(&forward.outputs, &targets),
        }
    }

    fn evaluate(&self, network: &Network, batch: &Batch) -> Result<Evaluated> {
        let (places, labelled) = self.of_batch(batch.set, &batch.indices)?;
        let rows = tensor(labelled.rows.iter().copied(), network.device)?;
        // In f64, so that the mean over many tokens does not depend on rounding.
        let outputs = network.outputs_of(&batch.input, Some(&rows))?.f_to_kind(Kind::Double)?;
        self.evaluated(&outputs, &places, &labelled)
    }

    fn evaluate_outputs(&self, _: &Tensor, _: &[&Target]) -> Result<Evaluated> {
        bail!("which rows of outputs are words' is known of a batch only")
    }
}

impl Tokens {
    /// `outputs`: (labelled rows, tags)
    fn evaluated(&self, outputs: &Tensor, places: &Places, of: &Labelled) -> Result<Evaluated> {
        let device = outputs.device();
        let found = self.cross_entropy.evaluate(outputs, &targets(of, device)?)?;
        let examples = places.first.len();
        let mut weights = vec![0.0; examples];
        of.examples.iter().for_each(|it| weights[*it] += 1.0);
        let example = tensor(of.examples.iter().map(|it| *it as i64), device)?;
        let zeros = Tensor::f_zeros([examples as i64], (Kind::Double, device))?;
        let losses = zeros.f_index_add(0, &example, &found.losses)?;

        // What words without a token are given stands behind all rows.
        let tags = self.inside.len() as i64;
        let outside = Tensor::f_zeros([1, tags], (Kind::Double, device))?;
        let _ = outside.f_narrow(1, self.outside as i64, 1)?.f_fill_(1.0)?;
        let all = Tensor::f_cat(&[found.values, outside], 0)?;
        let behind = of.rows.len() as i64;
        let words = places.first.iter().flatten().map(|first| match first {
            Some(row) => of.rows.binary_search(&i64::from(*row)).map_or(behind, |it| it as i64),
            None => behind,
        });
        Ok(Evaluated {
            values: all.f_index_select(0, &tensor(words, device)?)?,
            losses,
            weights: Some(weights),
            rows: Some(places.first.iter().map(Vec::len).collect()),
        })
    }
}
