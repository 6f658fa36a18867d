//! Advantages, losses, gradients and updates beside those of TRL's GRPOTrainer, and what is drawn.

use super::*;
use crate::modality::{self, Inputs};
use crate::source::Source;
use crate::stored::{Examples, Stored};
use finetuned_data::{Example, Origins, Record};
use finetuned_job::recipe::{Recipe, ScaleRewards};
use finetuned_job::task::Modality;
use finetuned_libtorch::{Algorithm, Optimizer};
use finetuned_models::{Adapter, BuildOptions, Checkpoint, Form, HeadKind, Ranks};
use serde::Deserialize;
use serde_json::json;
use std::cell::OnceCell;
use std::path::Path;
use std::sync::Arc;
use tch::Device;

/// Made by tests/data/make_grpo.py with torch 2.13.0, transformers 5.23.0, trl 1.16.0 and peft
/// 0.21.2.
#[derive(Deserialize)]
struct Fixture {
    lr: f64,
    prompts: Vec<String>,
    group: usize,
    longest: u32,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    settings: serde_json::Value,
    rewards: Vec<Vec<f64>>,
    answers: Vec<Vec<u32>>,
    advantages: Vec<f64>,
    losses: Vec<f64>,
    /// Factors of an adapter, where there is one.
    before: BTreeMap<String, Vec<f32>>,
    /// At the first update.
    gradient: BTreeMap<String, Vec<f32>>,
    after: BTreeMap<String, Vec<f32>>,
}

/// Roundings of fp32 in a model of two layers, over six updates.
const TOLERANCE: f64 = 1e-4;

fn fixture() -> Fixture {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/grpo.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn base() -> Checkpoint {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/tiny-llama");
    finetuned_models::open(&path).unwrap()
}

fn recipe(settings: &serde_json::Value, steps: usize, longest: u32) -> Recipe {
    let mut text = format!(
        "task = 'grpo'\ngrpo.num_generations = 4\ngrpo.num_iterations = {steps}\ngrpo.max_completion_length = {longest}\n"
    );
    for (key, value) in settings.as_object().unwrap() {
        text += &format!("grpo.{key} = {value}\n");
    }
    Recipe::parse(&(text + "[[reward]]\nname = 'json'\n")).unwrap()
}

fn set(recipe: &Recipe, prompts: &[String]) -> (ExampleSet, Rc<Rewards>) {
    let encoder: Rc<dyn crate::modality::Encoder> =
        modality::of(Modality::Prompt).encoder(&base(), recipe).unwrap().into();
    let example = |(line, prompt): (u64, &String)| {
        let asked = json!({ "messages": [{ "role": "user", "content": prompt }] });
        let record = Record { fields: Some("{}".into()), ..Record::of_text(asked.to_string()) };
        Example { record, target: Target::default(), key: 0, file: 0, line }
    };
    let examples: Arc<[Example]> = (1..).zip(prompts).map(example).collect();
    let inputs = Inputs::Split { examples, images: None, origins: Arc::new(Origins::default()) };
    let encoded = encoder.encode(&inputs, &mut |_| Ok(())).unwrap();
    let targets = vec![Target::default(); prompts.len()];
    let rewards =
        Rewards::new(&recipe.rewards, |it| panic!("{it}"), (&[], Device::Cpu), encoder).unwrap();
    (ExampleSet { inputs, encoded, targets, reference: OnceCell::new() }, Rc::new(rewards))
}

fn network() -> (Network, BTreeMap<String, Tensor>) {
    let built = base().build(&BuildOptions::new(HeadKind::Vocabulary)).unwrap();
    let parts = built.model.parts().clone();
    let (outputs, device) = (3, Device::Cpu);
    let network = Network { model: built.model, head: None, parts, outputs, device, units: None };
    (network, built.tensors.into_iter().collect())
}

/// Gives the model the factors of the fixture.
fn adapt(network: &mut Network, tensors: &mut BTreeMap<String, Tensor>, case: &Case) {
    let targets = case.before.keys().filter_map(|it| Some(it.rsplit_once(".lora_")?.0.to_owned()));
    let adapter = Adapter {
        form: Form::LowRank(Ranks { r: 2, alpha: 4.0, dropout: 0.0, rslora: false, dora: false }),
        biases: false,
        targets: targets.collect(),
        modules_to_save: [].into(),
    };
    let added = network.model.adapt(&adapter, 0).unwrap();
    for (name, factor) in &added {
        let given = &case.before[name.strip_suffix(".weight").unwrap()];
        let given = Tensor::from_slice(given).view(&factor.size()[..]);
        tch::no_grad(|| factor.shallow_clone().copy_(&given));
    }
    *tensors = added.into_iter().collect();
}

fn objective(recipe: &Recipe, longest: u32, rewards: Rc<Rewards>) -> GroupRelative {
    GroupRelative {
        plan: GrpoPlan {
            choice: recipe.grpo.unwrap(),
            max_completion_length: longest,
            rewards: recipe.rewards.clone(),
            reward_models: Vec::new(),
        },
        seed: 7,
        positions: 128,
        rewards,
        lot: RefCell::new(None),
    }
}

#[track_caller]
fn near(found: &Tensor, expected: &[f32], name: &str) {
    let found = Vec::<f32>::try_from(found.view(-1)).unwrap();
    assert_eq!(found.len(), expected.len(), "{name}");
    for (a, b) in found.iter().zip(expected) {
        assert!(f64::from((a - b).abs()) < TOLERANCE, "{name}: {a}, TRL {b}");
    }
}

#[test]
fn advantages_losses_gradients_and_updates_are_those_of_trl() {
    let fixture = fixture();
    for case in &fixture.cases {
        let recipe = recipe(&case.settings, case.losses.len(), fixture.longest);
        let (set, rewards) = set(&recipe, &fixture.prompts);
        let (mut network, mut tensors) = network();
        if !case.before.is_empty() {
            adapt(&mut network, &mut tensors, case);
        }
        network.set_trainable(&tensors.keys().cloned().collect(), &tensors).unwrap();
        let objective = objective(&recipe, fixture.longest, rewards);
        let choice = objective.plan.choice;
        let given = case.rewards.concat();
        let advantages = groups::advantages(&given, fixture.group, choice.scale_rewards);
        for (ours, theirs) in advantages.iter().zip(&case.advantages) {
            assert!((ours - theirs).abs() < 1e-5, "{}: {ours}, TRL {theirs}", case.name);
        }
        let mut answers = case.answers.iter().zip(advantages).map(|(tokens, advantage)| Answer {
            tokens: tokens.clone(),
            advantage,
            old: None,
        });
        let all: Vec<u32> = (0..set.len() as u32).collect();
        let group = |it: &u32| (*it, answers.by_ref().take(fixture.group).collect());
        let groups = all.iter().map(group).collect();
        *objective.lot.borrow_mut() = Some(Lot { number: 0, update: vec![all.clone()], groups });

        let mut optimizer = Optimizer::new(Algorithm::AdamW { betas: (0.9, 0.999), eps: 1e-8 });
        tensors.iter().for_each(|(name, it)| optimizer.add(name, it, 1.0, 0.01));
        for (step, expected) in (0..).zip(&case.losses) {
            let update = [all.clone()];
            assert!(
                objective
                    .begin_update(&network, &set, (&update, step), &mut || Ok(()))
                    .unwrap()
                    .is_none()
            );
            let examples = Examples { set: &set, cache: None };
            let mut source = Stored::plain(examples, vec![all.clone()], Device::Cpu);
            let batch = source.next(&network).unwrap().unwrap();
            let pass = Pass::training(0, step, 0);
            let sum = objective.loss(&network, &batch, &pass).unwrap();
            let mean = sum / objective.weight(&set, &all, &pass);
            let found = mean.double_value(&[]);
            assert!(
                (found - expected).abs() < TOLERANCE,
                "{} at {step}: {found}, TRL {expected}",
                case.name
            );
            mean.backward();
            for (name, expected) in case.gradient.iter().filter(|_| step == 0) {
                near(&named(&tensors, name).grad(), expected, &format!("{}: {name}", case.name));
            }
            optimizer.step(fixture.lr).unwrap();
            optimizer.zero_grad();
        }
        for (name, expected) in &case.after {
            near(&named(&tensors, name).detach(), expected, &format!("{}: {name}", case.name));
        }
    }
}

/// A factor's name has an end in our files that it has not in the fixture.
fn named<'a>(tensors: &'a BTreeMap<String, Tensor>, name: &str) -> &'a Tensor {
    tensors.get(name).unwrap_or_else(|| &tensors[&format!("{name}.weight")])
}

#[test]
fn answers_are_drawn_by_seed_lot_prompt_and_place_alone() {
    let prompts = ["is it good", "and the book", "how was it"].map(String::from);
    let recipe = recipe(&json!({}), 1, 6);
    let (set, rewards) = set(&recipe, &prompts);
    let (network, _) = network();
    let objective = objective(&recipe, 6, rewards);
    let tokens = |update: &[Vec<u32>], step: u64| -> BTreeMap<u32, Vec<Vec<u32>>> {
        let sampled = objective
            .begin_update(&network, &set, (update, step), &mut || Ok(()))
            .unwrap()
            .unwrap();
        assert_eq!(
            (sampled.groups, sampled.groups_without_variance),
            (update.concat().len() as u64, sampled.groups)
        );
        let lot = objective.lot.borrow();
        let groups = lot.as_ref().unwrap().groups.iter();
        groups.map(|(it, all)| (*it, all.iter().map(|it| it.tokens.clone()).collect())).collect()
    };
    let first = tokens(&[vec![0, 1], vec![2]], 4);
    let alone = tokens(&[vec![1]], 4);
    assert_eq!(alone[&1], first[&1], "whatever stands beside it");
    assert_eq!(first, tokens(&[vec![0, 1], vec![2]], 4), "drawn once more");
    let later = tokens(&[vec![0, 1], vec![2]], 5);
    assert_ne!(first, later);
    let four = &first[&0];
    assert!(four.iter().any(|it| it != &four[0]), "{four:?}");
    assert_ne!(first[&0], first[&1]);
    assert!(first.values().flatten().all(|it| (1..=6).contains(&it.len())));
}

#[test]
fn an_update_learns_from_no_other_lot() {
    let recipe = recipe(&json!({}), 3, 4);
    let (set, rewards) = set(&recipe, &["is it good".into()]);
    let (network, _) = network();
    let objective = objective(&recipe, 4, rewards);
    let update = [vec![0]];
    let begin = |step| objective.begin_update(&network, &set, (&update, step), &mut || Ok(()));
    let err = begin(4).unwrap_err().to_string();
    assert!(err.contains("the answers are gone"), "{err}");
    assert!(begin(3).unwrap().is_some());
    assert!(begin(4).unwrap().is_none());
    assert_eq!(ScaleRewards::Group, objective.plan.choice.scale_rewards);
}
