//! Stories of a model that is trained once more on training and validation examples together, and
//! of one that is mixed with what its training began with.

use crate::attempt::{Run, sentences, tiny_bert};
use crate::training::signal_if_alive;
use finetuned_job::event::{Event, Phase};
use finetuned_job::outcome::{Done, Refit, Trained};
use finetuned_job::plan::Plan;
use finetuned_job::run_folder;
use finetuned_job::spec::Action;
use rustix::process::Signal;
use safetensors::SafeTensors;
use std::fs;

const DEMANDING: &str = r#"
model.dropout = 0.2
[freeze]
layer_decay = 0.8
[data]
test = 0.3
[train]
refit = true
wise_ft = 0.9
epochs = 8
batch = 8
lr = 3e-3
precision = "fp32"
schedule = "cosine"
[save]
every_steps = 9
"#;

fn refit_of(done: &Done) -> Refit {
    done.refit.unwrap_or_else(|| panic!("{done:?}"))
}

#[test]
fn few_examples_are_all_learnt_from_in_the_end() {
    let csv = sentences(300, 7);
    let run = |recipe: &str| {
        let mut run = Run::new(recipe, &csv).with_threads(2);
        let done = run.complete();
        (run, done)
    };
    let (run_once, once) = run("data.test = 0.3\ntrain.refit = false\n");
    let (run_twice, twice) = run("data.test = 0.3\n");
    let plan: Plan = run_twice.json(run_folder::PLAN);
    assert!(plan.train.refit && 0 < plan.data.validation);
    let refit = refit_of(&twice);
    assert_eq!((refit.examples, refit.used), (plan.data.train + plan.data.validation, true));
    assert!(twice.summary().contains(&refit.sentence()), "{}", twice.summary());
    let report = fs::read_to_string(run_twice.folder().join("report.html")).unwrap();
    assert!(report.contains(&refit.sentence()));
    // What chose is the same, and says nothing of examples that were learnt from later.
    assert_eq!((once.best_step, once.refit), (twice.best_step, None));
    let [before, after] =
        [&run_once, &run_twice].map(|it| it.json::<Trained>(run_folder::TRAINED).validation);
    assert_eq!(before, after);
    assert_ne!(once.proof.model_hash, twice.proof.model_hash);
    // The probe beside it learnt from as many examples.
    let metrics = |done: &Done| done.probe.clone().unwrap().metrics;
    assert_ne!(metrics(&once), metrics(&twice));
    // Its steps are no part of the curve of the first training.
    let step = |it: &Event| if let Event::Step(it) = it { Some(it.step) } else { None };
    let last = |run: &Run| run.events().iter().filter_map(step).next_back();
    assert_eq!(last(&run_once), last(&run_twice));
}

#[test]
fn a_probe_that_was_better_is_fitted_to_all_examples() {
    let csv = sentences(300, 7);
    let mut run = Run::new("data.test = 0.3\ntrain.method = 'probe'\n", &csv);
    let done = run.complete();
    let refit = refit_of(&done);
    assert_eq!((refit.steps, refit.examples, refit.used), (0, 210, true));
    let probe = done.probe.clone().unwrap();
    assert!((done.score - probe.metrics[&done.metric]).abs() < 1e-9, "{done:?}");
    assert!((done.scores.loss - probe.metrics["loss"]).abs() < 1e-4, "{done:?}");
}

#[test]
fn without_a_test_split_nobody_could_tell_so_it_is_not_done() {
    let csv = sentences(200, 7);
    let mut run = Run::new("", &csv);
    assert_eq!(run.complete().refit, None);
    let failure = Run::new("train.refit = true\n", &csv).failed(Action::Train).failure;
    assert!(failure.message.contains("there is no test split"), "{failure}");
}

#[test]
fn killed_in_the_second_training_the_model_is_the_same_bit_for_bit() {
    let csv = sentences(400, 4);
    let mut calm = Run::new(DEMANDING, &csv).with_threads(2);
    let undisturbed = calm.complete();
    let steps = refit_of(&undisturbed).steps;
    assert!(40 < steps, "there is something to interrupt: {undisturbed:?}");
    let mut killed = Run::new(DEMANDING, &csv).with_threads(2);
    let mut child = killed.start(Action::Train);
    killed.wait_for(&mut child, |it| matches!(it, Event::Step(it) if 50 <= it.step));
    signal_if_alive(&mut child, Signal::KILL);
    for checkpoint in [18, 36] {
        let mut child = killed.start(Action::Train);
        let wanted = format!("checkpoints/refit/step-{checkpoint}/manifest.json");
        killed.wait_for(&mut child, |_| killed.folder().join(&wanted).exists());
        signal_if_alive(&mut child, Signal::KILL);
        assert!(killed.folder().join(&wanted).exists(), "{}", killed.log());
        assert!(!killed.folder().join(run_folder::TRAINED).exists(), "it was killed in the middle");
    }
    // A stop signal is obeyed there too.
    let mut child = killed.start(Action::Train);
    killed.wait_for(&mut child, |it| matches!(it, Event::Phase { phase: Phase::Refitting, .. }));
    signal_if_alive(&mut child, Signal::TERM);
    let done = killed.complete();
    assert_eq!(done.proof.model_hash, undisturbed.proof.model_hash);
    assert_eq!(done.scores, undisturbed.scores);
    assert_eq!((done.refit, done.probe), (undisturbed.refit, undisturbed.probe));
}

/// Of an fp32 tensor.
fn values(file: &[u8], name: &str) -> Vec<f32> {
    let all = SafeTensors::deserialize(file).unwrap();
    let (numbers, rest) = all.tensor(name).unwrap().data().as_chunks::<4>();
    assert!(rest.is_empty());
    numbers.iter().map(|it| f32::from_le_bytes(*it)).collect()
}

#[test]
fn what_is_saved_lies_between_what_training_began_with_and_what_it_came_to() {
    let csv = sentences(300, 7);
    let weights = |share: &str| {
        // Without validation the last step is taken, so both have trained for as long.
        let recipe = format!(
            "[data]\ntest = 0.3\nvalidation = 0\n[train]\nepochs = 2\nlr = 1e-3\nwise_ft = {share}\n"
        );
        let mut run = Run::new(&recipe, &csv);
        run.complete();
        run.weights()
    };
    let base = fs::read(tiny_bert().join("model.safetensors")).unwrap();
    let (trained, mixed) = (weights("1.0"), weights("0.25"));
    let name = "encoder.layer.0.output.dense.weight";
    let start = values(&base, name);
    let [trained, mixed] = [trained, mixed].map(|it| values(&it, &format!("bert.{name}")));
    assert!(start.iter().zip(&trained).any(|(a, b)| 1e-3 < (a - b).abs()), "it has trained");
    for ((start, trained), mixed) in start.iter().zip(&trained).zip(&mixed) {
        assert!((0.75 * start + 0.25 * trained - mixed).abs() < 1e-6, "{start} {trained} {mixed}");
    }
}
