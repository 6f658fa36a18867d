//! Stories of one run: what is proven, what stays frozen, what a kill costs.

use crate::attempt::{Run, sentences, signal, tiny_bert, wait};
use finetuned_job::event::Event;
use finetuned_job::outcome::{Failed, FailureKind, Start, Trained};
use finetuned_job::plan::Plan;
use finetuned_job::run_folder;
use finetuned_job::scores::Split;
use finetuned_job::spec::{Action, exit};
use rustix::process::Signal;
use safetensors::SafeTensors;
use std::fs;

/// All that exact resume must carry: dropout, momentum, a schedule, accumulation, unfreezing, the
/// best step.
const DEMANDING: &str = r#"
model.dropout = 0.2
[freeze]
train = ["head", "last:1"]
unfreeze = [{ epoch = 2, train = ["all"] }]
layer_decay = 0.8
[data]
validation = 0.1
test = 0.2
[train]
epochs = 5
batch = 8
accumulate = 2
lr = 3e-3
precision = "fp32"
schedule = "cosine"
label_smoothing = 0.05
class_weights = "auto"
patience = 0
[eval]
every_steps = 9
[save]
every_steps = 7
"#;

#[test]
fn a_drop_becomes_a_proven_model() {
    let mut run = Run::new("data.test = 0.2\n[train]\nepochs = 6\nlr = 3e-3\n", &sentences(400, 1));
    let done = run.complete();
    assert_eq!(done.split, Split::Test);
    assert_eq!(done.proof.examples, 80);
    assert!(0.9 < done.scores.metrics["accuracy"], "{:?}", done.scores.metrics);
    assert!(done.baseline.metrics["accuracy"] < 0.65);
    for name in [
        "model/model.safetensors",
        "model/config.json",
        "model/tokenizer.json",
        "model/README.md",
        "report.html",
        "predictions.csv",
    ] {
        assert!(run.folder().join(name).exists(), "{name}");
    }
    assert!(!run.folder().join(run_folder::UNPROVEN).exists());
    let report = fs::read_to_string(run.folder().join("report.html")).unwrap();
    assert!(report.contains("<svg"));
    for outside in ["src=\"http", "<link", "url(", "@import", "<script"] {
        assert!(!report.contains(outside), "the report needs nothing from outside: {outside}");
    }
}

#[test]
fn a_probe_is_the_second_baseline_and_where_training_begins() {
    let csv = sentences(300, 7);
    let run = |method: &str| {
        let recipe = format!("data.test = 0.3\ntrain.method = '{method}'\ntrain.epochs = 2\n");
        let mut run = Run::new(&recipe, &csv);
        let done = run.complete();
        (run, done)
    };
    let (alone, done) = run("probe");
    let probe = done.probe.clone().unwrap();
    assert_eq!((done.steps, done.best_step), (0, 0));
    assert!((done.score - probe.metrics[&done.metric]).abs() < 1e-9, "{done:?}");
    assert!((done.scores.loss - probe.metrics["loss"]).abs() < 1e-4, "{done:?}");
    assert!(done.baseline.metrics[&done.metric] < done.score, "{done:?}");
    let start = probe.start.unwrap();
    assert!(start.is_best && start.tuned.is_none(), "{start:?}");
    assert!(done.summary().contains("A linear probe of the frozen base model would score"));
    // Only the head is another one than the base's.
    let (base, found) = (fs::read(tiny_bert().join("model.safetensors")).unwrap(), alone.weights());
    let (base, found) =
        (SafeTensors::deserialize(&base).unwrap(), SafeTensors::deserialize(&found).unwrap());
    let name = "encoder.layer.0.output.dense.weight";
    let same = |a: &str, b: &str| base.tensor(a).unwrap().data() == found.tensor(b).unwrap().data();
    assert!(same(name, &format!("bert.{name}")));

    let (_, done) = run("auto");
    let tuned = done.probe.clone().unwrap();
    assert_eq!((tuned.c, &tuned.metrics), (probe.c, &probe.metrics));
    let Start { probe: before, tuned: after, is_best } = tuned.start.unwrap();
    assert_eq!(before, start.probe);
    assert_eq!(is_best, done.best_step == 0);
    assert!(is_best || before <= after.unwrap(), "{before} {after:?}");

    let (_, done) = run("full");
    let beside = done.probe.unwrap();
    assert_eq!((beside.c, &beside.metrics, beside.start), (probe.c, &probe.metrics, None));
}

/// The probe's rows are means, the head's those of first tokens.
#[test]
fn a_probe_leaves_alone_what_is_cached_for_another_kind_of_rows() {
    let base = tempfile::tempdir().unwrap();
    for file in fs::read_dir(tiny_bert()).unwrap() {
        let file = file.unwrap();
        if file.file_type().unwrap().is_file() {
            fs::copy(file.path(), base.path().join(file.file_name())).unwrap();
        }
    }
    let modules = r#"[{"path": "1_Pooling", "type": "sentence_transformers.models.Pooling"}]"#;
    fs::write(base.path().join("modules.json"), modules).unwrap();
    fs::create_dir(base.path().join("1_Pooling")).unwrap();
    let config = r#"{"pooling_mode_mean_tokens": true}"#;
    fs::write(base.path().join("1_Pooling/config.json"), config).unwrap();
    let [cached, running] = [true, false].map(|cache| {
        let recipe = format!(
            "model.dropout = 0.0\n[freeze]\ntrain = ['head']\ncache = {cache}\n[train]\nmethod = 'full'\nepochs = 2\nlr = 1e-2\noptimizer = 'sgd'\n"
        );
        let mut run = Run::with_base(base.path(), &recipe, &sentences(200, 3));
        run.complete();
        assert_eq!(run.json::<Plan>(run_folder::PLAN).freeze.cached, cache);
        run.weights()
    });
    let off = largest_difference(&cached, &running);
    assert!(off < 1e-5, "{off}");
    // And where the head takes means, the finished model has a layer for them.
    let recipe = "[freeze]\ntrain = ['head']\n[train]\nepochs = 2\n";
    let mut run = Run::with_base(base.path(), recipe, &sentences(200, 3));
    let done = run.complete();
    assert!(done.proof.holds());
    let layers = |path: &std::path::Path| {
        let text = fs::read(path.join("config.json")).unwrap();
        let json: serde_json::Value = serde_json::from_slice(&text).unwrap();
        json["num_hidden_layers"].as_i64().unwrap()
    };
    assert_eq!(layers(&run.folder().join("model")), layers(base.path()) + 1);
}

#[test]
fn what_is_frozen_stays_bit_for_bit() {
    let mut run = Run::new(
        "[freeze]\ntrain = ['head', 'last:1', '*.layer.0.*.LayerNorm.weight']\n[train]\nmethod = 'full'\nepochs = 2\nlr = 1e-2\n",
        &sentences(120, 2),
    );
    run.complete();
    let plan: Plan = run.json(run_folder::PLAN);
    assert!(!plan.freeze.cached, "embeddings alone are not kept");
    assert!(plan.freeze.frozen.len() > 10 && plan.freeze.trainable.len() > 10);
    let (base, tuned) = (fs::read(tiny_bert().join("model.safetensors")).unwrap(), run.weights());
    let (base, tuned) =
        (SafeTensors::deserialize(&base).unwrap(), SafeTensors::deserialize(&tuned).unwrap());
    let same = |name: &str| {
        let before = base.tensor(name.strip_prefix("bert.").unwrap_or(name)).ok()?;
        Some(before.data() == tuned.tensor(name).unwrap().data())
    };
    for it in &plan.freeze.frozen {
        assert_eq!(same(&it.name), Some(true), "{} was frozen", it.name);
    }
    // Embeddings of absent tokens and the like may stand still; whole tensors that train may not.
    for it in plan.freeze.trainable.iter().filter(|it| it.name.starts_with("bert.")) {
        assert_eq!(same(&it.name), Some(false), "{} was trained", it.name);
    }
}

#[test]
fn what_trains_on_cached_features_learns_as_on_a_running_body() {
    let csv = sentences(200, 3);
    for train in ["['head']", "['head', 'last:1']"] {
        let recipe = |cache: bool| {
            format!(
                "model.dropout = 0.0\n[freeze]\ntrain = {train}\ncache = {cache}\n[train]\nepochs = 3\nlr = 1e-2\noptimizer = 'sgd'\n"
            )
        };
        let [cached, running] = [true, false].map(|cache| {
            let mut run = Run::new(&recipe(cache), &csv);
            run.complete();
            assert_eq!(run.json::<Plan>(run_folder::PLAN).freeze.cached, cache);
            run.weights()
        });
        assert!(
            largest_difference(&cached, &running) < 1e-5,
            "{train}: {}",
            largest_difference(&cached, &running)
        );
    }
}

#[test]
fn small_batches_accumulated_are_one_large_batch() {
    let recipe = |cut: &str| {
        let demanding = "optimizer = 'sgd'\nlr = 0.05\nclass_weights = 'auto'\nlabel_smoothing = 0.1\nclip = 0.5";
        format!(
            "model.dropout = 0.0\ndata.validation = 0.1\n[train]\nepochs = 2\npatience = 0\n{demanding}\n{cut}\n"
        )
    };
    // 90 training rows: the last update of an epoch has 10 examples.
    let csv = sentences(100, 5);
    let [accumulated, at_once] = ["batch = 4\naccumulate = 5", "batch = 20"].map(|cut| {
        let mut run = Run::new(&recipe(cut), &csv);
        let done = run.complete();
        assert_eq!(done.steps, 10);
        run.weights()
    });
    let distance = largest_difference(&accumulated, &at_once);
    assert!(distance < 1e-6, "{distance}");
}

/// Between two safetensors files of the same fp32 tensors.
pub fn largest_difference(a: &[u8], b: &[u8]) -> f32 {
    let (a, b) = (SafeTensors::deserialize(a).unwrap(), SafeTensors::deserialize(b).unwrap());
    let numbers = |it: &[u8]| {
        it.as_chunks::<4>().0.iter().map(|it| f32::from_le_bytes(*it)).collect::<Vec<f32>>()
    };
    let differences =
        a.iter().filter(|(_, it)| it.dtype() == safetensors::Dtype::F32).flat_map(|(name, it)| {
            let other = numbers(b.tensor(name).unwrap().data());
            numbers(it.data())
                .into_iter()
                .zip(other)
                .map(|(a, b)| (a - b).abs())
                .collect::<Vec<f32>>()
        });
    differences.fold(0.0, f32::max)
}

#[test]
fn killed_at_any_step_the_model_is_the_same_bit_for_bit() {
    let csv = sentences(800, 4);
    let mut calm = Run::new(DEMANDING, &csv).with_threads(2);
    let undisturbed = calm.complete();
    let steps = calm.json::<Plan>(run_folder::PLAN).train.steps;
    assert!(150 < steps, "there is something to interrupt: {steps}");

    // Points that differ from run to run; they are printed, so that a failure can be looked at.
    let seed = u64::from(
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().subsec_nanos(),
    );
    let points: Vec<u64> =
        (0..5).map(|it| ((seed * (it * 2 + 1)) >> 7) % (steps * 9 / 10)).collect();
    println!("killed at steps {points:?} of {steps}, and once while it publishes");
    let mut killed = Run::new(DEMANDING, &csv).with_threads(2);
    for point in points {
        let mut child = killed.start(Action::Train);
        killed.wait_for(&mut child, |it| matches!(it, Event::Step(it) if point <= it.step));
        signal_if_alive(&mut child, Signal::KILL);
    }
    assert!(killed.finish(Action::Train).success(), "{}", killed.log());
    let mut child = killed.start(Action::Prove);
    killed.wait_for(&mut child, |it| {
        matches!(it, Event::Phase { phase: finetuned_job::event::Phase::Proving, .. })
    });
    signal_if_alive(&mut child, Signal::KILL);
    let done = killed.complete();

    assert!(
        killed.events().iter().any(|it| matches!(it, Event::Started { resumed_from: Some(_), .. })),
        "it did resume"
    );
    assert_eq!(done.proof.model_hash, undisturbed.proof.model_hash);
    assert_eq!(done.scores, undisturbed.scores);
    assert_eq!(killed.weights(), calm.weights());
}

/// On a processor that does not multiply in bf16 the recipe is refused, and that is shown.
#[test]
fn in_bf16_the_scores_are_near_and_a_kill_costs_not_a_bit() {
    let csv = sentences(400, 4);
    let recipe = |precision: &str| {
        DEMANDING.replace("[train]", "[train]\nmethod = 'full'").replace("fp32", precision)
    };
    let mut exact = Run::new(&recipe("fp32"), &csv).with_threads(2);
    let in_fp32 = exact.complete();
    let mut calm = Run::new(&recipe("bf16"), &csv).with_threads(2);
    // With AVX512-BF16 alone oneDNN takes its fp32 kernels for matrices of fp32.
    if !fs::read_to_string("/proc/cpuinfo").unwrap().contains("amx_bf16")
        && !calm.finish(Action::Train).success()
    {
        let Failed { failure, .. } = calm.json(run_folder::FAILED);
        assert_eq!(failure.kind, FailureKind::Recipe, "{failure}");
        assert!(failure.message.contains("does not multiply in bf16"), "{failure}");
        return;
    }
    let undisturbed = calm.complete();
    let mut killed = Run::new(&recipe("bf16"), &csv).with_threads(2);
    let mut child = killed.start(Action::Train);
    killed.wait_for(&mut child, |it| matches!(it, Event::Step(it) if 30 <= it.step));
    signal_if_alive(&mut child, Signal::KILL);
    let done = killed.complete();
    assert_eq!(done.proof.model_hash, undisturbed.proof.model_hash);
    assert_eq!(done.scores, undisturbed.scores);
    assert_ne!(undisturbed.proof.model_hash, in_fp32.proof.model_hash, "factors were rounded");
    let off = (undisturbed.scores.loss - in_fp32.scores.loss).abs();
    assert!(off < 0.1, "{off}");
}

/// An attempt for each of these steps, which is killed when its checkpoint is there.
pub fn killed_at(run: &mut Run, checkpoints: [u64; 2]) {
    for checkpoint in checkpoints {
        let mut child = run.start(Action::Train);
        run.wait_for(
            &mut child,
            |it| matches!(it, Event::Checkpoint { step } if *step == checkpoint),
        );
        signal_if_alive(&mut child, Signal::KILL);
    }
}

pub fn signal_if_alive(child: &mut std::process::Child, which: Signal) {
    if child.try_wait().unwrap().is_none() {
        signal(child, which);
        wait(child);
    }
}

#[test]
fn a_stop_signal_leaves_a_checkpoint_and_the_next_attempt_goes_on() {
    let mut run = Run::new("[train]\nepochs = 40\npatience = 0\nbatch = 8\n", &sentences(300, 5));
    let mut child = run.start(Action::Train);
    run.wait_for(&mut child, |it| matches!(it, Event::Step(_)));
    signal(&child, Signal::TERM);
    assert_eq!(wait(&mut child).code(), Some(exit::STOPPED));
    let Some(Event::Stopped { step }) = run.events().pop() else {
        panic!("{:?}", run.events().last())
    };
    assert!(0 < step);
    assert!(run.folder().join(format!("checkpoints/step-{step}/manifest.json")).exists());

    let mut child = run.start(Action::Train);
    run.wait_for(&mut child, |it| matches!(it, Event::Step(_)));
    signal_if_alive(&mut child, Signal::KILL);
    assert!(run.events().contains(&Event::Started {
        pid: child.id(),
        version: env!("CARGO_PKG_VERSION").into(),
        resumed_from: Some(step)
    }));
}

#[test]
fn a_stop_signal_ends_an_evaluation_and_the_next_attempt_makes_it() {
    // Far more to validate on than to train on.
    let recipe = "data.validation = 0.85\n[train]\nepochs = 2\nbatch = 64\npatience = 0\nlr = 1e-2\n[eval]\nevery_steps = 1\n";
    let csv = sentences(3000, 5);
    let [mut calm, mut stopped] = [Run::new(recipe, &csv), Run::new(recipe, &csv)];
    let undisturbed = calm.complete();
    let mut child = stopped.start(Action::Train);
    stopped.wait_for(&mut child, |it| matches!(it, Event::Step(_)));
    signal(&child, Signal::TERM);
    assert_eq!(wait(&mut child).code(), Some(exit::STOPPED));
    let Some(Event::Stopped { step }) = stopped.events().pop() else {
        panic!("{:?}", stopped.events().last())
    };
    let evaluated = |run: &Run| -> Vec<u64> {
        run.events()
            .iter()
            .filter_map(
                |it| if let Event::Evaluation { step, .. } = it { Some(*step) } else { None },
            )
            .collect()
    };
    assert!(
        0 < step && !evaluated(&stopped).contains(&step),
        "{:?} before step {step}",
        evaluated(&stopped)
    );
    let done = stopped.complete();
    assert_eq!(
        (evaluated(&stopped), done.best_step, done.scores),
        (evaluated(&calm), undisturbed.best_step, undisturbed.scores)
    );
    assert_eq!(stopped.weights(), calm.weights());
}

#[test]
fn a_changed_recipe_does_not_continue_a_checkpoint() {
    let mut run = Run::new(DEMANDING, &sentences(230, 6));
    let mut child = run.start(Action::Train);
    run.wait_for(&mut child, |it| matches!(it, Event::Checkpoint { .. }));
    signal_if_alive(&mut child, Signal::KILL);
    run.set_recipe(&DEMANDING.replace("lr = 3e-3", "lr = 4e-3"));
    let failed = run.failed(Action::Train);
    assert_eq!(failed.failure.kind, FailureKind::Recipe);
    assert_eq!(
        failed.failure.message,
        "the recipe, the data or the base model changed since the checkpoint: train.lr was 0.003 and is 0.004"
    );
}

#[test]
fn without_a_validation_split_the_last_step_is_taken_and_none_is_chosen_by_test() {
    for freeze in ["", "freeze.train = ['head']\n"] {
        let recipe = format!(
            "data.validation = 0\ndata.test = 0.25\n{freeze}[train]\nepochs = 3\nlr = 3e-3\npatience = 1\n"
        );
        let mut run = Run::new(&recipe, &sentences(120, 4));
        let done = run.complete();
        let trained: Trained = run.json(run_folder::TRAINED);
        assert_eq!((done.split, done.proof.examples), (Split::Test, 30));
        let plan: Plan = run.json(run_folder::PLAN);
        assert_eq!((done.steps, done.best_step), (plan.train.steps, plan.train.steps));
        assert!(!trained.stopped_early && trained.validation.is_none());
        assert!(!run.events().iter().any(|it| matches!(it, Event::Evaluation { .. })));
        let card = fs::read_to_string(run.folder().join("model/README.md")).unwrap();
        assert!(card.contains("the last one, as there was no validation split"), "{card}");
        let report = fs::read_to_string(run.folder().join("report.html")).unwrap();
        assert!(report.contains("there is no validation split"));
    }
}

/// Labels that nothing in the texts tells: what is learnt of the training rows does not hold
/// elsewhere.
fn unlearnable() -> String {
    let rows = sentences(160, 6);
    let csv = rows.lines().enumerate().map(|(n, line)| match (n, line.rsplit_once(',')) {
        (1.., Some((text, _))) => format!("{text},{}\n", ["a", "b"][(n * n / 3) % 2]),
        _ => format!("{line}\n"),
    });
    csv.collect()
}

#[test]
fn patience_waits_for_what_the_plan_unfreezes_and_begins_anew_there() {
    // A rate of almost nothing: after the first evaluation none is better.
    let recipe = "[freeze]\ntrain = [\"head\"]\nunfreeze = [{ epoch = 6, train = [\"all\"] }]\ncache = false\n\
        [train]\nepochs = 40\nlr = 1e-12\npatience = 2\n";
    let mut run = Run::new(recipe, &unlearnable());
    // Killed in an epoch after it, the next attempt counts on.
    let mut child = run.start(Action::Train);
    run.wait_for(&mut child, |it| matches!(it, Event::Unfrozen { epoch: 6, .. }));
    signal_if_alive(&mut child, Signal::KILL);
    wait(&mut child);
    let done = run.complete();
    let plan: Plan = run.json(run_folder::PLAN);
    let per_epoch = plan.train.steps_per_epoch;
    assert!(run.json::<Trained>(run_folder::TRAINED).stopped_early);
    assert_eq!(done.steps, 7 * per_epoch, "two evaluations after the fifth epoch's");
}

#[test]
fn patience_ends_a_run_that_learns_no_more_and_the_best_step_stays() {
    let mut run = Run::new(
        "[train]\nmethod = 'full'\nepochs = 40\nlr = 3e-3\npatience = 2\n",
        &unlearnable(),
    );
    let done = run.complete();
    let plan: Plan = run.json(run_folder::PLAN);
    assert!(run.json::<Trained>(run_folder::TRAINED).stopped_early);
    assert!(done.steps < plan.train.steps, "{} of {} steps", done.steps, plan.train.steps);
    let evaluations: Vec<(u64, f64, bool)> = run
        .events()
        .iter()
        .filter_map(|it| match it {
            Event::Evaluation { step, scores, best, .. } => {
                Some((*step, scores.metrics[&plan.eval.best], *best))
            }
            _ => None,
        })
        .collect();
    let highest = evaluations.iter().map(|it| it.1).fold(0.0, f64::max);
    let last_best = evaluations.iter().rfind(|it| it.2).unwrap();
    assert_eq!((done.best_step, last_best.1), (last_best.0, highest));
    assert_eq!(
        done.scores.metrics[&plan.eval.best], highest,
        "what is left is the model of that step"
    );
    assert_eq!(evaluations.iter().rev().take_while(|it| !it.2).count(), 2, "patience");
}

#[test]
fn checkpoints_come_by_epochs_and_by_minutes() {
    let saved = |save: &str| {
        let mut run = Run::new(
            &format!("[train]\nepochs = 3\nbatch = 16\npatience = 0\n[save]\n{save}\n"),
            &sentences(120, 8),
        );
        run.complete();
        let steps = run.json::<Plan>(run_folder::PLAN).train.steps_per_epoch;
        let events = run.events();
        (
            steps,
            events
                .iter()
                .filter_map(
                    |it| if let Event::Checkpoint { step } = it { Some(*step) } else { None },
                )
                .collect::<Vec<u64>>(),
        )
    };
    let (epoch, steps) = saved("every_epochs = 1\nevery_minutes = 0");
    assert_eq!(steps[..2], [epoch, 2 * epoch], "{steps:?}");
    // So few that each step takes longer.
    let (epoch, steps) = saved("every_minutes = 1e-9");
    assert!((1..3 * epoch).all(|it| steps.contains(&it)), "{steps:?}");
}

#[test]
fn a_loss_that_is_no_number_stops_the_run_and_names_the_batch() {
    let base = tempfile::tempdir().unwrap();
    for name in ["config.json", "tokenizer.json", "tokenizer_config.json"] {
        fs::copy(tiny_bert().join(name), base.path().join(name)).unwrap();
    }
    // A base model with a number that is none, as a bad download or a diverged training leaves it.
    let mut weights = fs::read(tiny_bert().join("model.safetensors")).unwrap();
    let end = weights.len();
    weights[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
    fs::write(base.path().join("model.safetensors"), weights).unwrap();

    let mut run =
        Run::with_base(base.path(), "[train]\nmethod = 'full'\nepochs = 1\n", &sentences(200, 7));
    let failed = run.failed(Action::Train);
    assert_eq!(failed.failure.kind, FailureKind::Training, "{}", failed.failure);
    assert!(
        failed
            .failure
            .message
            .starts_with("the loss is NaN at step 1, in the batch of data.csv line "),
        "{}",
        failed.failure
    );
    assert_eq!(failed.failure.at_step, Some(1));
    assert!(!run.folder().join(run_folder::UNPROVEN).exists());
}

#[test]
fn want_of_memory_is_a_kind_of_failure_of_its_own() {
    // Enough to begin with; one batch of all rows needs more.
    const CEILING: u64 = 160 << 20;
    let recipe = "[train]\nepochs = 1\nbatch = 16384\n";
    let mut run = Run::new(recipe, &sentences(20_000, 3)).with_memory(CEILING);
    let failure = run.failed(Action::Train).failure;
    assert_eq!(failure.kind, FailureKind::Memory, "{failure}\n{}", run.log());
    assert!(failure.to_string().contains("lower train.batch"), "{failure}");
}

#[test]
fn a_model_that_changed_on_disk_is_not_proven() {
    let mut run = Run::new("[train]\nepochs = 1\n", &sentences(200, 8));
    assert!(run.finish(Action::Train).success(), "{}", run.log());
    let path = run.folder().join(run_folder::UNPROVEN).join("model.safetensors");
    let mut bytes = fs::read(&path).unwrap();
    let end = bytes.len() - 3;
    bytes[end] ^= 0x40;
    fs::write(&path, bytes).unwrap();
    let failed = run.failed(Action::Prove);
    assert_eq!(failed.failure.kind, FailureKind::Proof, "{}", failed.failure);
    assert!(
        !run.folder().join(run_folder::MODEL).exists()
            && !run.folder().join(run_folder::DONE).exists()
    );
}
