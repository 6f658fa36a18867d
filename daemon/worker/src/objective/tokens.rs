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
    fn weight(&self, set: &ExampleSet, batch: &[u32], _: &Pass) -> f64 {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::modality::{self, Inputs};
    use crate::source::Source;
    use crate::stored::{Examples, Stored};
    use finetuned_job::recipe::Recipe;
    use finetuned_job::task::Modality;
    use finetuned_libtorch::{Algorithm, Optimizer};
    use finetuned_models::{BuildOptions, HeadKind};
    use serde::Deserialize;
    use std::cell::OnceCell;
    use std::collections::BTreeMap;
    use std::path::Path;

    /// Made by tests/data/make_tag_loss.py with torch 2.13.0 and transformers 5.23.0.
    #[derive(Deserialize)]
    struct Fixture {
        sentences: Vec<[String; 2]>,
        lr: f64,
        losses: Vec<f64>,
        /// Of the first step.
        gradients: BTreeMap<String, Vec<f32>>,
        after: BTreeMap<String, Vec<f32>>,
    }

    const TAGS: [&str; 5] = ["O", "B-PER", "I-PER", "B-geo-loc", "I-geo-loc"];
    const GRADIENT_TOLERANCE: f32 = 1e-5;
    const STEPS_TOLERANCE: f32 = 1e-4;

    /// The sentences, whose words the encoder cuts as the fixture does.
    fn sentences(fixture: &Fixture, base: &finetuned_models::Checkpoint) -> ExampleSet {
        let texts: Vec<String> = fixture.sentences.iter().map(|it| it[0].clone()).collect();
        let named = finetuned_data::inputs(Modality::Words, &texts, &[]).unwrap();
        let inputs = Inputs::Named(named.into());
        let encoder = modality::of(Modality::Words).encoder(base, &Recipe::default()).unwrap();
        let encoded = encoder.encode(&inputs, &mut |_| Ok(())).unwrap();
        let tag = |it: &str| TAGS.iter().position(|tag| *tag == it).unwrap() as u32;
        let target =
            |it: &[String; 2]| Target::of_classes(it[1].split(' ').map(tag).collect::<Vec<u32>>());
        let targets = fixture.sentences.iter().map(target).collect();
        ExampleSet { inputs, encoded, targets, reference: OnceCell::new() }
    }

    #[track_caller]
    fn near(tensor: &Tensor, expected: &[f32], tolerance: f32) {
        let found = Vec::<f32>::try_from(tensor.detach().view(-1)).unwrap();
        assert_eq!(found.len(), expected.len());
        for (a, b) in found.iter().zip(expected) {
            assert!((a - b).abs() <= tolerance * b.abs().max(1.0), "{a} and {b}");
        }
    }

    #[test]
    fn loss_gradients_and_ten_updates_are_those_of_transformers() {
        let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
        let text = std::fs::read_to_string(data.join("tag_loss.json")).unwrap();
        let fixture: Fixture = serde_json::from_str(&text).unwrap();
        let base = finetuned_models::open(&data.join("tags")).unwrap();
        let set = sentences(&fixture, &base);
        let without = BuildOptions { dropout: Some(0.0), ..BuildOptions::new(HeadKind::Keep) };
        let built = base.build(&without).unwrap();
        let parts = built.model.parts().clone();
        let mut network = Network {
            model: built.model,
            head: None,
            parts,
            outputs: TAGS.len(),
            device: Device::Cpu,
            units: None,
        };
        let tensors: BTreeMap<String, Tensor> = built.tensors.into_iter().collect();
        let names = tensors.keys().cloned().collect();
        network.set_trainable(&names, &tensors).unwrap();
        let mut optimizer = Optimizer::new(Algorithm::AdamW { betas: (0.9, 0.999), eps: 1e-8 });
        tensors.iter().for_each(|(name, it)| optimizer.add(name, it, 1.0, 0.01));

        let tags = TAGS.map(str::to_owned);
        let cross_entropy = CrossEntropy::with(&[], 0.0, Device::Cpu).unwrap();
        let objective = Tokens::with(cross_entropy, None, &tags);
        let all: Vec<u32> = (0..set.len() as u32).collect();
        for (step, expected) in fixture.losses.iter().enumerate() {
            let examples = Examples { set: &set, cache: None };
            let mut source = Stored::plain(examples, vec![all.clone()], Device::Cpu);
            let batch = source.next(&network).unwrap().unwrap();
            let pass = Pass::training(0, step as u64, 0);
            let loss = objective.loss(&network, &batch, &pass).unwrap()
                / objective.weight(&set, &all, &pass);
            near(&loss, &[*expected as f32], GRADIENT_TOLERANCE);
            loss.backward();
            if step == 0 {
                for (name, expected) in &fixture.gradients {
                    near(&tensors[name].grad(), expected, GRADIENT_TOLERANCE);
                }
            }
            optimizer.step(fixture.lr).unwrap();
            optimizer.zero_grad();
        }
        for (name, expected) in &fixture.after {
            near(&tensors[name], expected, STEPS_TOLERANCE);
        }
    }
}
