//! Losses of answers that are compared, and ten updates by each, beside those of TRL's trainers.

use super::*;
use crate::modality::{self, Inputs};
use crate::objective::rewards::Rewards;
use crate::source::Source;
use crate::stored::{Examples, Stored};
use finetuned_data::{Example, Origins, Record};
use finetuned_job::recipe::Recipe;
use finetuned_job::task::Modality;
use finetuned_libtorch::{Algorithm, Optimizer};
use finetuned_models::{BuildOptions, Checkpoint, HeadKind};
use serde::Deserialize;
use serde_json::json;
use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use tch::Device;

/// Made by tests/data/make_preferences.py with torch 2.13.0, transformers 5.23.0 and trl 1.16.0.
#[derive(Deserialize)]
struct Fixture {
    lr: f64,
    pairs: Vec<(String, String, String)>,
    alone: Vec<(String, String, bool)>,
    margins: Vec<f64>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    losses: Vec<f64>,
    /// Mean reward of the wanted answers before the mean of the others, at each step.
    margins: Vec<f64>,
    /// Of the last norm's weight, at the first step.
    gradient: Vec<f32>,
    /// The head of the reward model.
    score: Vec<f32>,
    after: BTreeMap<String, Vec<f32>>,
}

/// Roundings of fp32 in a model of two layers, over ten updates.
const TOLERANCE: f64 = 1e-4;

fn fixture() -> Fixture {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/preferences.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn base() -> Checkpoint {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/tiny-llama");
    finetuned_models::open(&path).unwrap()
}

fn message(role: &str, text: &str) -> serde_json::Value {
    json!([{ "role": role, "content": text }])
}

/// As the data crate writes them.
fn pairs(of: &Fixture) -> Vec<(String, Target)> {
    let record = |((question, chosen, rejected), margin): (&(String, String, String), &f64)| {
        let record = json!({
            "messages": message("user", question),
            "chosen": message("assistant", chosen),
            "rejected": message("assistant", rejected),
            "margin": margin,
        });
        (record.to_string(), Target::default())
    };
    of.pairs.iter().zip(&of.margins).map(record).collect()
}

fn alone(of: &Fixture) -> Vec<(String, Target)> {
    let record = |(question, answer, wanted): &(String, String, bool)| {
        let record = json!({ "messages": message("user", question), "completion": message("assistant", answer) });
        (record.to_string(), Target::of_classes([u32::from(*wanted)]))
    };
    of.alone.iter().map(record).collect()
}

fn set(recipe: &str, records: Vec<(String, Target)>) -> ExampleSet {
    let recipe = Recipe::parse(recipe).unwrap();
    let encoder = modality::of(Modality::Preference).encoder(&base(), &recipe).unwrap();
    let targets = records.iter().map(|it| it.1.clone()).collect();
    let example = |(line, (text, target)): (u64, (String, Target))| Example {
        record: Record::of_text(text),
        target,
        key: 0,
        file: 0,
        line,
    };
    let examples: Arc<[Example]> = (1..).zip(records).map(example).collect();
    let inputs = Inputs::Split { examples, images: None, origins: Arc::new(Origins::default()) };
    let encoded = encoder.encode(&inputs, &mut |_| Ok(())).unwrap();
    ExampleSet { inputs, encoded, targets, reference: OnceCell::new() }
}

fn network(head: HeadKind) -> (Network, BTreeMap<String, Tensor>) {
    let built = base().build(&BuildOptions::new(head)).unwrap();
    let parts = built.model.parts().clone();
    let (outputs, device) = (4, Device::Cpu);
    let mut network =
        Network { model: built.model, head: None, parts, outputs, device, units: None };
    let tensors: BTreeMap<String, Tensor> = built.tensors.into_iter().collect();
    network.set_trainable(&tensors.keys().cloned().collect(), &tensors).unwrap();
    (network, tensors)
}

fn whole<'a>(set: &'a ExampleSet, network: &Network) -> Batch<'a> {
    let all = (0..set.len() as u32).collect();
    let examples = Examples { set, cache: None };
    Stored::plain(examples, vec![all], Device::Cpu).next(network).unwrap().unwrap()
}

fn preferences(loss: PreferenceLoss) -> Preferences {
    let simpo = loss == PreferenceLoss::Simpo;
    let beta = if simpo { 2.0 } else { 0.1 };
    Preferences {
        plan: PreferencePlan { loss, beta, gamma: simpo.then_some(1.0) },
        label_smoothing: if simpo { 0.1 } else { 0.0 },
        weights: [1.5, 1.0],
        is_base: false,
    }
}

fn know_base(set: &ExampleSet, network: &Network) {
    let batch = whole(set, network);
    let found = log_probabilities(network, &batch).unwrap();
    let mut rest = found.into_iter();
    let of = |it: u32| rest.by_ref().take(set.encoded.answers(it).len()).collect();
    set.reference.set((0..set.len() as u32).map(of).collect()).unwrap();
}

#[track_caller]
fn near(found: &Tensor, expected: &[f32], name: &str) {
    let found = Vec::<f32>::try_from(found.view(-1)).unwrap();
    let near = |it: (&f32, &f32)| f64::from((it.0 - it.1).abs()) < TOLERANCE;
    assert!(found.len() == expected.len() && found.iter().zip(expected).all(near), "{name}");
}

fn margin_of(set: &ExampleSet, batch: &Batch, found: &Evaluated) -> f64 {
    let values = numbers(&found.values.view(-1)).unwrap();
    let mut rewards = [Vec::new(), Vec::new()];
    for (row, index) in values.chunks(4).zip(&batch.indices) {
        match set.targets[*index as usize].classes() {
            [wanted] => rewards[*wanted as usize].push(row[0]),
            _ => {
                rewards[1].push(row[0]);
                rewards[0].push(row[1]);
            }
        }
    }
    let [unwanted, wanted] = rewards.map(|it| it.iter().sum::<f64>() / it.len() as f64);
    wanted - unwanted
}

#[test]
fn ten_updates_by_each_loss_are_those_of_trl() {
    let fixture = fixture();
    for case in &fixture.cases {
        let loss = PreferenceLoss::named(&case.name);
        let (recipe, head): (_, HeadKind) = match loss {
            Some(loss) => (format!("train.loss = '{}'", loss.name()), HeadKind::Vocabulary),
            None => ("task = 'reward-modeling'".into(), HeadKind::Classes(1)),
        };
        let records = match loss {
            Some(PreferenceLoss::Kto) => alone(&fixture),
            _ => pairs(&fixture),
        };
        let set = set(&recipe, records);
        let (network, tensors) = network(head);
        if let Some(own) = tensors.get("score.weight") {
            let given = Tensor::from_slice(&case.score).view([1, -1]);
            tch::no_grad(|| own.shallow_clone().copy_(&given));
        }
        let objective: Box<dyn Objective> = match loss {
            Some(loss) => Box::new(preferences(loss)),
            None => Box::new(Rewards),
        };
        if loss.is_some_and(PreferenceLoss::has_reference) {
            know_base(&set, &network);
        }
        let mut optimizer = Optimizer::new(Algorithm::AdamW { betas: (0.9, 0.999), eps: 1e-8 });
        tensors.iter().for_each(|(name, it)| optimizer.add(name, it, 1.0, 0.01));
        for (step, (expected, margin)) in (0..).zip(case.losses.iter().zip(&case.margins)) {
            let (batch, pass) = (whole(&set, &network), Pass::training(0, step, 0));
            let found = margin_of(&set, &batch, &objective.evaluate(&network, &batch).unwrap());
            assert!((found - margin).abs() < TOLERANCE, "{}: {found}, TRL {margin}", case.name);
            let sum = objective.loss(&network, &batch, &pass).unwrap();
            let mean = sum / objective.weight(&set, &batch.indices, &pass);
            let found = mean.double_value(&[]);
            assert!(
                (found - expected).abs() < TOLERANCE * expected.abs().max(1.0),
                "{} at {step}: {found}, TRL {expected}",
                case.name
            );
            mean.backward();
            if step == 0 {
                near(&tensors["model.norm.weight"].grad(), &case.gradient, &case.name);
            }
            optimizer.step(fixture.lr).unwrap();
            optimizer.zero_grad();
        }
        for (name, expected) in &case.after {
            near(&tensors[name].detach(), expected, &case.name);
        }
    }
}

#[test]
fn the_base_beside_itself_has_margins_of_0_and_its_own_opinion() {
    let fixture = fixture();
    let set = set("train.loss = 'dpo'", pairs(&fixture));
    let (network, _) = network(HeadKind::Vocabulary);
    let mut objective = preferences(PreferenceLoss::Dpo);
    let batch = whole(&set, &network);
    let missing = objective.evaluate(&network, &batch).err().unwrap().to_string();
    assert!(missing.contains("were not computed"), "{missing}");
    objective.be_base();
    let found = objective.evaluate(&network, &batch).unwrap();
    let values: Vec<f64> = numbers(&found.values.view(-1)).unwrap();
    for (row, &index) in values.chunks(4).zip(&batch.indices) {
        assert_eq!(row[..3], [0.0; 3]);
        let (answers, one) = (set.encoded.answers(index), vec![vec![index]]);
        let examples = Examples { set: &set, cache: None };
        let alone = Stored::plain(examples, one, Device::Cpu).next(&network).unwrap().unwrap();
        let found = log_probabilities(&network, &alone).unwrap();
        let mean = |at: usize| found[at] / (answers[at].tokens.len() - answers[at].asked) as f64;
        assert_eq!(row[3], f64::from(mean(1) < mean(0)));
    }
    let losses: Vec<f64> = numbers(&found.losses).unwrap();
    assert!(losses.iter().all(|it| (it - std::f64::consts::LN_2).abs() < 1e-6), "{losses:?}");
}

#[test]
fn a_pair_has_for_kto_two_answers_and_two_to_other_questions() {
    let fixture = fixture();
    let set = set("train.loss = 'kto'", pairs(&fixture));
    let roles: Vec<Role> = set.encoded.answers(1).iter().map(|it| it.role).collect();
    assert_eq!(roles, [Role::Wanted, Role::Unwanted, Role::Stray, Role::Stray]);
    let (own, before) = (set.encoded.answers(1), set.encoded.answers(0));
    assert_eq!(own[2].tokens[..own[2].asked], own[0].tokens[..own[0].asked]);
    assert_eq!(own[3].tokens[own[3].asked..], before[1].tokens[before[1].asked..]);
    let objective = preferences(PreferenceLoss::Kto);
    assert_eq!(objective.weight(&set, &[0, 1, 2], &Pass::evaluation()), 6.0);
}
