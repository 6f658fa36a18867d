//! Stories of runs on images: single labels, several labels, numbers; batch norm that stands still;
//! kept features; what a kill costs; what people drop by mistake.

use crate::attempt::{Run, sentences};
use crate::training::{largest_difference, signal_if_alive};
use finetuned_images::{Pixels, contact_sheet};
use finetuned_job::data::DataReport;
use finetuned_job::event::Event;
use finetuned_job::outcome::FailureKind;
use finetuned_job::plan::Plan;
use finetuned_job::run_folder;
use finetuned_job::spec::Action;
use rustix::process::Signal;
use safetensors::SafeTensors;
use std::fs;
use std::path::{Path, PathBuf};

pub fn tiny_resnet() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("data/tiny-resnet")
}

/// PNG of a bright shape on a dark ground: its colour is `hue` of three, its place and shade vary
/// with `n`.
pub fn shape(hue: usize, n: u32) -> Vec<u8> {
    const SIDE: u32 = 32;
    let (left, top, shade) = (n * 5 % 17, n * 7 % 13, 30 + n * 11 % 60);
    let inside = |x: u32, y: u32| (left..left + 14).contains(&x) && (top..top + 14).contains(&y);
    let pixel = |x: u32, y: u32| {
        let mut rgb = [shade as u8 / 2; 3];
        if inside(x, y) {
            rgb[hue] = 160 + (n * 13 % 90) as u8;
        }
        rgb
    };
    let data = (0..SIDE).flat_map(|y| (0..SIDE).flat_map(move |x| pixel(x, y))).collect();
    contact_sheet(&[Pixels::new(SIDE, SIDE, data)], 1, SIDE)
}

pub const COLOURS: [&str; 3] = ["red", "green", "blue"];

/// `n` images of each colour, in a folder of its name.
fn folders(root: &Path, n: u32) {
    for (hue, colour) in COLOURS.iter().enumerate() {
        fs::create_dir_all(root.join(colour)).unwrap();
        (0..n).for_each(|it| {
            fs::write(root.join(colour).join(format!("{it}.png")), shape(hue, it * 3 + hue as u32))
                .unwrap()
        });
    }
}

pub fn on_folders(recipe: &str, n: u32) -> Run {
    Run::with_drop(&tiny_resnet(), recipe, "shapes", |root| folders(root, n))
}

#[test]
fn a_folder_of_images_becomes_a_proven_model() {
    let mut run = on_folders(
        "data.test = 0.25\n[train]\nepochs = 40\nbatch = 16\nlr = 5e-3\npatience = 0\n",
        40,
    );
    let done = run.complete();
    assert!(0.9 < done.scores.metrics["accuracy"], "{:?}", done.scores.metrics);
    assert_eq!(done.task, "image-classification");
    let report = fs::read_to_string(run.folder().join(run_folder::REPORT)).unwrap();
    assert!(report.contains("data:image/png;base64,"));
    let config: serde_json::Value = run.json("model/config.json");
    assert_eq!(config["label_names"], serde_json::json!(["blue", "green", "red"]));
    assert!(
        fs::read_to_string(run.folder().join(run_folder::PREDICTIONS)).unwrap().contains(".png,")
    );
    let data: DataReport = run.json(run_folder::DATA);
    for sheet in &data.images.unwrap().sheets {
        assert!(run.folder().join(&sheet.path).exists(), "{}", sheet.path);
    }
}

/// The base has a head of another task, of which it keeps nothing.
#[test]
fn a_head_in_the_place_of_another_tasks_learns_at_the_rate_of_new_heads() {
    let recipe = "[freeze]\nlayer_decay = 1.0\n[train]\nepochs = 1\nlr = 1e-3\nhead_lr = 4e-3\n";
    let mut run = on_folders(recipe, 8);
    run.complete();
    let plan: Plan = run.json(run_folder::PLAN);
    assert_eq!(plan.model.load.missing, [""; 0]);
    for it in &plan.freeze.trainable {
        assert_eq!(it.lr_scale, if it.name.starts_with("fc.") { 4.0 } else { 1.0 }, "{}", it.name);
    }
}

#[test]
fn images_need_no_extension() {
    let mut run =
        Run::with_drop(&tiny_resnet(), "[train]\nepochs = 1\nbatch = 16\n", "shapes", |root| {
            folders(root, 20);
            for (colour, it) in
                COLOURS.iter().flat_map(|colour| (0..20).map(move |it| (root.join(colour), it)))
            {
                fs::rename(colour.join(format!("{it}.png")), colour.join(format!("{it:04}")))
                    .unwrap();
            }
            fs::write(root.join("red/notes"), "taken in May\n").unwrap();
        });
    run.complete();
    let data: DataReport = run.json(run_folder::DATA);
    assert_eq!(data.splits.iter().map(|it| it.rows).sum::<u64>(), 60);
    assert_eq!(
        (data.quarantined.count, data.warnings),
        (0, vec!["red/notes is no data that finetuned reads and was ignored".to_string()])
    );
}

#[test]
fn statistics_of_frozen_parts_stand_still_and_those_of_others_move() {
    let mut run = on_folders(
        "[freeze]\ntrain = ['head', 'last:2']\n[train]\nmethod = 'full'\nepochs = 1\nbatch = 8\n",
        30,
    );
    run.complete();
    let plan: Plan = run.json(run_folder::PLAN);
    let (base, tuned) = (fs::read(tiny_resnet().join("model.safetensors")).unwrap(), run.weights());
    let (base, tuned) =
        (SafeTensors::deserialize(&base).unwrap(), SafeTensors::deserialize(&tuned).unwrap());
    let names = |plan: &[finetuned_job::plan::TensorPlan]| {
        plan.iter().map(|it| it.name.clone()).collect::<Vec<_>>()
    };
    let frozen = names(&plan.freeze.frozen);
    let mut seen = [0, 0];
    for (name, tensor) in tuned.iter() {
        let Some(norm) = name
            .strip_suffix(".running_mean")
            .or(name.strip_suffix(".running_var"))
            .or(name.strip_suffix(".num_batches_tracked"))
        else {
            continue;
        };
        let stands = frozen.contains(&format!("{norm}.weight"));
        assert_eq!(base.tensor(name).unwrap().data() == tensor.data(), stands, "{name}");
        seen[usize::from(stands)] += 1;
    }
    assert!(seen.iter().all(|it| 6 <= *it), "{seen:?}");
}

#[test]
fn what_frozen_stages_give_may_be_cached() {
    for train in ["['head']", "['head', 'last:1']"] {
        let [cached, running] = [true, false].map(|cache| {
            let recipe =
                format!("augment.preset = 'none'\n[freeze]\ntrain = {train}\ncache = {cache}\n[train]\nepochs = 3\nlr = 1e-2\noptimizer = 'sgd'\n");
            let mut run = on_folders(&recipe, 20);
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
fn computing_again_what_gradients_need_gives_the_same_bits() {
    for (base, table) in [("images", ""), ("texts", &*sentences(120, 3))] {
        let [again, once] = [true, false].map(|again| {
            let recipe = format!("[train]\nepochs = 3\nbatch = 8\naccumulate = 2\nlr = 1e-3\nprecision = 'fp32'\ngradient_checkpointing = {again}\n");
            let recipe = if base == "texts" { recipe } else { format!("augment.preset = 'strong'\n{recipe}") };
            let mut run = if base == "texts" { Run::new(&recipe, table) } else { on_folders(&recipe, 20) };
            run.complete();
            assert_eq!(run.json::<Plan>(run_folder::PLAN).train.gradient_checkpointing, again);
            run.weights()
        });
        assert_eq!(again, once, "{base}");
    }
}

/// Splits whose features were computed.
fn computed(run: &Run) -> usize {
    run.events().iter().filter(|it| matches!(it, Event::Features { found: false, .. })).count()
}

#[test]
fn features_are_shared_between_jobs_and_checked() {
    let home = tempfile::tempdir().unwrap();
    let features = home.path().join("features");
    let run = |lr: &str, features: &Path| {
        let recipe = format!(
            "augment.preset = 'none'\n[freeze]\ntrain = ['head']\n[train]\nepochs = 3\nlr = {lr}\n"
        );
        let mut run = on_folders(&recipe, 20).with_features(features);
        run.complete();
        run
    };
    let first = run("1e-2", &features);
    assert_eq!(computed(&first), 2, "training and validation");
    let (again, other) = (run("1e-2", &features), run("1e-3", &features));
    assert_eq!((computed(&again), computed(&other)), (0, 0));
    assert_eq!(again.weights(), first.weights());

    let rows = fs::read_dir(&features)
        .unwrap()
        .map(|it| it.unwrap().path())
        .find(|it| it.extension().is_some_and(|it| it == "rows"))
        .unwrap();
    let mut bytes = fs::read(&rows).unwrap();
    bytes[17] ^= 1;
    fs::write(&rows, bytes).unwrap();
    let mended = run("1e-2", &features);
    assert_eq!(computed(&mended), 1);
    assert!(
        mended
            .events()
            .iter()
            .any(|it| matches!(it, Event::Warning { message } if message.contains("was removed")))
    );
    assert_eq!(mended.weights(), first.weights());

    let no_folder = home.path().join("file");
    fs::write(&no_folder, "x").unwrap();
    let refused = run("1e-2", &no_folder);
    let warned = |it: &Event| matches!(it, Event::Warning { message } if message.contains("features are not cached on disk"));
    assert!(refused.events().iter().any(warned));
    assert_eq!(refused.weights(), first.weights());
}

#[test]
fn texts_share_features_too() {
    let home = tempfile::tempdir().unwrap();
    for train in ["['head']", "['head', 'last:1']"] {
        let [first, again] = [2, 0].map(|splits| {
            let recipe = format!("[freeze]\ntrain = {train}\n[train]\nepochs = 2\n");
            let mut run = Run::new(&recipe, &sentences(120, 1)).with_features(home.path());
            run.complete();
            assert_eq!(computed(&run), splits, "{train}");
            run.weights()
        });
        assert_eq!(first, again, "{train}");
    }
}

#[test]
fn killed_at_any_step_a_model_of_images_is_the_same_bit_for_bit() {
    const DEMANDING: &str = r#"
augment.preset = "strong"
[freeze]
train = ["head", "last:1"]
unfreeze = [{ epoch = 2, train = ["all"] }]
[train]
epochs = 4
batch = 8
accumulate = 2
patience = 0
precision = "fp32"
[eval]
every_steps = 5
[save]
every_steps = 3
"#;
    let mut calm = on_folders(DEMANDING, 60);
    let undisturbed = calm.complete();
    let mut killed = on_folders(DEMANDING, 60);
    for point in [4, 17, 31] {
        let mut child = killed.start(Action::Train);
        killed.wait_for(&mut child, |it| matches!(it, Event::Step(it) if point <= it.step));
        signal_if_alive(&mut child, Signal::KILL);
    }
    let done = killed.complete();
    assert!(
        killed.events().iter().any(|it| matches!(it, Event::Started { resumed_from: Some(_), .. })),
        "it did resume"
    );
    assert_eq!(done.scores, undisturbed.scores);
    assert_eq!(killed.weights(), calm.weights());
}

#[test]
fn killed_while_features_are_computed_it_is_the_same_bit_for_bit() {
    let recipe = "augment.preset = 'none'
[freeze]
train = ['head', 'last:1']
[train]
epochs = 3
batch = 8
[save]
every_steps = 1
";
    let mut calm = on_folders(recipe, 60);
    calm.complete();
    let features = tempfile::tempdir().unwrap();
    for folder in [None, Some(features.path())] {
        let run = on_folders(recipe, 60);
        let mut killed = if let Some(folder) = folder { run.with_features(folder) } else { run };
        let steps = calm.json::<Plan>(run_folder::PLAN).train.steps_per_epoch;
        // In the first epoch twice, then in the second.
        for point in [2, steps / 2, steps + 2] {
            let mut child = killed.start(Action::Train);
            killed.wait_for(
                &mut child,
                |it| matches!(it, Event::Checkpoint { step } if point <= *step),
            );
            signal_if_alive(&mut child, Signal::KILL);
        }
        killed.complete();
        let resumed: Vec<u64> = killed
            .events()
            .iter()
            .filter_map(|it| {
                if let Event::Started { resumed_from, .. } = it { *resumed_from } else { None }
            })
            .collect();
        assert!(resumed.len() == 3 && resumed[0] < steps, "{resumed:?} of {steps} an epoch");
        assert_eq!(killed.weights(), calm.weights(), "features in {folder:?}");
    }
}

/// A drop with `metadata.csv` of these columns, over images whose colours come in turn.
pub fn on_table(recipe: &str, header: &str, row: impl Fn(usize, u32) -> String) -> Run {
    Run::with_drop(&tiny_resnet(), recipe, "table", |root| {
        fs::create_dir(root).unwrap();
        let mut table = format!("file_name,{header}\n");
        for n in 0..120_u32 {
            let hue = n as usize % 3;
            fs::write(root.join(format!("{n}.png")), shape(hue, n)).unwrap();
            table += &format!("{n}.png,{}\n", row(hue, n));
        }
        fs::write(root.join("metadata.csv"), table).unwrap();
    })
}

#[test]
fn an_image_may_have_several_labels() {
    // What is red is also warm; what is blue has no second label.
    let labels = |hue: usize, _| ["red|warm", "green|warm", "blue"][hue].to_string();
    let mut run = on_table(
        "data.test = 0.25\n[train]\nepochs = 30\nbatch = 16\nlr = 5e-3\npatience = 0\n",
        "label",
        labels,
    );
    let done = run.complete();
    assert_eq!(done.task, "image-multi-label-classification");
    assert!(0.9 < done.scores.metrics["macro_average_precision"], "{:?}", done.scores.metrics);
    assert_eq!(
        run.json::<serde_json::Value>("model/config.json")["problem_type"],
        "multi_label_classification"
    );
}

#[test]
fn numbers_are_learnt_in_their_own_units_and_given_in_ours() {
    let numbers = |hue: usize, n: u32| {
        format!("{:.2},{}.5", 10_000.0 + 500.0 * hue as f64 + f64::from(n % 7), n % 3)
    };
    let mut run = on_table(
        "task = 'image-regression'\ndata.labels = ['price', 'noise']\ndata.test = 0.25\n[train]\nepochs = 20\nbatch = 16\nlr = 5e-3\npatience = 0\n",
        "price,noise",
        numbers,
    );
    let done = run.complete();
    let price = done.scores.per_number.iter().find(|it| it.name == "price").unwrap();
    assert!(0.8 < price.r2 && price.mae < 200.0, "{price:?}");
    assert!(done.baseline.metrics["r2"] < 0.1, "{:?}", done.baseline);
}

#[test]
fn what_can_not_be_learnt_from_is_refused() {
    let one = |root: &Path| {
        fs::create_dir_all(root.join("only")).unwrap();
        (0..9).for_each(|n| {
            fs::write(root.join("only").join(format!("{n}.png")), shape(0, n)).unwrap()
        });
    };
    let mut run = Run::with_drop(&tiny_resnet(), "", "one", one);
    let failed = run.failed(Action::Train).failure;
    assert_eq!(failed.kind, FailureKind::Data, "{failed}");

    let mut run = Run::with_base(&tiny_resnet(), "", "text,label\ngood,a\nbad,b\nfine,a\npoor,b\n");
    let failed = run.failed(Action::Train).failure;
    assert_eq!(
        (failed.kind, failed.message.contains("the data are texts")),
        (FailureKind::Recipe, true),
        "{failed}"
    );
}
