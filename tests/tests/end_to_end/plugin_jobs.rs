//! Stories of jobs with plugins: what a good one gives, what a bad one costs. The good ones are the
//! samples in plugins/, which `make plugins` builds; the bad ones are cut from
//! tests/bad_plugins/plugin.c.

use crate::attempt::{Run, on_tiny_bert, predict, sentences};
use crate::images::{COLOURS, on_folders, on_table, shape, tiny_resnet};
use crate::plugins::{build_new, compile};
use crate::sandbox::Sandbox;
use crate::training::{largest_difference, signal_if_alive};
use finetuned_job::event::Event;
use finetuned_job::outcome::{Failed, FailureKind};
use finetuned_job::plan::Plan;
use finetuned_job::run_folder;
use finetuned_job::scores::Split;
use finetuned_job::spec::Action;
use rustix::process::Signal;
use safetensors::SafeTensors;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

/// A plugin folder with these samples.
pub fn samples(names: &[&str]) -> tempfile::TempDir {
    let built = Path::new(env!("CARGO_MANIFEST_DIR")).join("../plugins/target/release");
    let folder = tempfile::tempdir().unwrap();
    for name in names {
        let library = built.join(format!("lib{}.so", name.replace('-', "_")));
        fs::copy(&library, folder.path().join(format!("{name}.so")))
            .unwrap_or_else(|err| panic!("{}: {err}: `make plugins` builds it", library.display()));
    }
    folder
}

const WITH_SAMPLES: &str = r#"
[model]
head = "arcface"
[data]
test = 0.2
[train]
epochs = 8
batch = 16
lr = 2e-3
seed = 1
loss = "focal"
hooks = ["progress_quotient"]
patience = 0
[eval]
metrics = ["accuracy", "ece"]
every_steps = 9
[save]
every_steps = 7
[plugins]
load = ["arcface", "focal", "calibration", "prechelt"]
[plugins.settings.focal]
gamma = 1.5
"#;

fn with_samples(folder: &Path) -> Run {
    let recipe = WITH_SAMPLES.replacen("[model]\n", "", 1).replacen("head =", "model.head =", 1);
    Run::new(&recipe, &sentences(300, 4)).with_plugins(folder)
}

#[test]
fn head_loss_metric_and_hook_of_plugins_are_proven_and_resume_bit_for_bit() {
    let folder = samples(&["arcface", "focal", "calibration", "prechelt"]);
    let mut calm = with_samples(folder.path());
    let undisturbed = calm.complete();
    assert!(
        0.9 < undisturbed.scores.metrics["accuracy"] && undisturbed.scores.metrics["ece"] < 0.2,
        "{:?}",
        undisturbed.scores.metrics
    );
    let plan: Plan = calm.json(run_folder::PLAN);
    let named: Vec<&str> = plan.plugins.iter().map(|it| it.name.as_str()).collect();
    assert_eq!(named, ["arcface", "focal", "calibration", "prechelt"]);
    let library = fs::read(folder.path().join("focal.so")).unwrap();
    assert_eq!(
        (plan.plugins[1].hash.as_str(), &plan.plugins[1].uses[0].settings["gamma"]),
        (blake3::hash(&library).to_hex().as_str(), &serde_json::json!(1.5))
    );
    let weights = calm.weights();
    let tensors = SafeTensors::deserialize(&weights).unwrap();
    assert!(
        tensors.names().iter().any(|it| it.starts_with("plugin.arcface.")),
        "{:?}",
        tensors.names()
    );
    assert!(fs::read_to_string(calm.folder().join("report.html")).unwrap().contains("arcface"));

    let mut killed = with_samples(folder.path());
    for point in [5, 20, 31] {
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
    assert_eq!(killed.weights(), weights);

    let ask = |run: &mut Run| run.finish(predict(vec!["the movie was lovely".into()], None));
    assert!(ask(&mut killed).success(), "{}", killed.log());
    fs::remove_file(folder.path().join("arcface.so")).unwrap();
    assert!(!ask(&mut killed).success());
    assert!(killed.log().contains("no plugin `arcface` is in"), "{}", killed.log());
}

#[test]
fn a_head_may_want_every_token() {
    let folder = samples(&["attention-pool"]);
    let with = |freeze: &str| {
        let recipe = format!(
            "model.head = 'attention_pool'\nmodel.dropout = 0.0\ndata.test = 0.2\n{freeze}[train]\nepochs = 8\nlr = 3e-3\npatience = 0\n[plugins]\nload = ['attention-pool']\n"
        );
        let mut run = Run::new(&recipe, &sentences(300, 4)).with_plugins(folder.path());
        let done = run.complete();
        (
            done.scores.metrics["accuracy"],
            run.json::<Plan>(run_folder::PLAN).freeze.cached,
            run.weights(),
        )
    };
    assert!(0.9 < with("").0);
    // The last layer gives it the tokens; what lies below that need not run again.
    let [cached, running] =
        [true, false].map(|cache| with(&format!("[freeze]\ntrain = ['head']\ncache = {cache}\n")));
    assert_eq!([cached.1, running.1], [true, false]);
    assert!(
        largest_difference(&cached.2, &running.2) < 1e-4,
        "{}",
        largest_difference(&cached.2, &running.2)
    );
}

/// Names of the tensors in a finished model, those of its body left out.
fn head_tensors(run: &Run) -> Vec<String> {
    let weights = run.weights();
    let tensors = SafeTensors::deserialize(&weights).unwrap();
    let heads = tensors
        .names()
        .into_iter()
        .filter(|it| ["plugin.", "fc.", "classifier."].iter().any(|head| it.starts_with(head)));
    let mut heads: Vec<String> = heads.map(|it| it.to_string()).collect();
    heads.sort();
    heads
}

#[test]
fn a_head_that_is_a_linear_map_leaves_a_model_that_needs_no_plugin_where_the_family_has_one_too() {
    let folder = samples(&["multi-sample-dropout"]);
    let recipe = "model.head = 'multi_sample_dropout'\n[train]\nepochs = 3\nlr = 3e-3\n[plugins]\nload = ['multi-sample-dropout']\n";
    let mut images = on_folders(recipe, 20).with_plugins(folder.path());
    images.complete();
    assert_eq!(head_tensors(&images), ["fc.bias", "fc.weight"]);
    let card = fs::read_to_string(images.folder().join("model/README.md")).unwrap();
    assert!(
        card.contains("trained with the head multi\\_sample\\_dropout")
            && card.contains("```python"),
        "{card}"
    );
    // BERT's own head bends between two linear maps.
    let mut texts = Run::new(recipe, &sentences(120, 4)).with_plugins(folder.path());
    texts.complete();
    assert_eq!(
        head_tensors(&texts),
        [
            "plugin.multi_sample_dropout.classifier.bias",
            "plugin.multi_sample_dropout.classifier.weight"
        ]
    );

    let numbers = |hue: usize, _| format!("{}", 10_000 + 500 * hue);
    let longer =
        recipe.replace("epochs = 3\nlr = 3e-3", "epochs = 20\nbatch = 16\nlr = 5e-3\npatience = 0");
    let learnt = format!(
        "task = 'image-regression'\ndata.labels = ['price']\n{longer}[plugins.settings.multi_sample_dropout]\np = 0.1\n"
    );
    let mut priced = on_table(&learnt, "price", numbers).with_plugins(folder.path());
    priced.complete();
    assert_eq!(
        head_tensors(&priced),
        ["fc.bias", "fc.weight"],
        "which speak in the data's units: no others stand there"
    );

    fs::remove_file(folder.path().join("multi-sample-dropout.so")).unwrap();
    let predicted: f64 = asked(&mut priced, 2)["price"].parse().unwrap();
    assert!((10_700.0..11_300.0).contains(&predicted), "blue is 11,000: {predicted}");
    let image = images.folder().join("asked.png");
    fs::write(&image, shape(1, 7)).unwrap();
    assert!(
        images.finish(predict(vec![image.display().to_string()], None)).success(),
        "{}",
        images.log()
    );
    assert!(!texts.finish(predict(vec!["the film was bad".into()], None)).success());
}

#[test]
fn a_reader_brings_a_format_of_its_own() {
    let folder = samples(&["conllu"]);
    let base = crate::attempt::tiny_bert();
    let recipe = "[train]\nepochs = 1\n[plugins]\nload = ['conllu']\n";
    let mut run = Run::with_drop(&base, recipe, "corpus", |root| {
        fs::create_dir(root).unwrap();
        let sentence = |n: u32| {
            let (word, label) = [("good", "positive"), ("bad", "negative")][n as usize % 2];
            format!("# sent_id = {n}\n# label = {label}\n# text = the film {n} was {word}\n1\tfilm\tfilm\tNOUN\t_\t_\t0\troot\t_\t_\n\n")
        };
        fs::write(root.join("all.conllu"), (0..60).map(sentence).collect::<String>()).unwrap();
    })
    .with_plugins(folder.path());
    let done = run.complete();
    assert_eq!(
        done.scores.per_class.iter().map(|it| it.class.as_str()).collect::<Vec<_>>(),
        ["negative", "positive"]
    );
}

/// A plugin folder with tests/data/gallery.c.
fn gallery() -> tempfile::TempDir {
    let (home, here) = (tempfile::tempdir().unwrap(), Path::new(env!("CARGO_MANIFEST_DIR")));
    let compiled = Command::new("cc")
        .args([
            "-std=c11",
            "-O2",
            "-Wall",
            "-Wextra",
            "-Werror",
            "-shared",
            "-fPIC",
            "-fvisibility=hidden",
            "-I",
        ])
        .args([here.join("../sdk/include"), here.join("data/gallery.c")])
        .arg("-o")
        .arg(home.path().join("gallery.so"))
        .output()
        .expect("cc starts");
    assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
    home
}

#[test]
fn an_augmentation_of_a_plugin_is_the_same_again() {
    let plugins = gallery();
    let train = |plugin: &str, kill_at: Option<u64>| {
        let recipe = format!(
            "augment.preset = 'none'\n{plugin}[train]\nmethod = 'full'\nepochs = 2\nbatch = 8\n[save]\nevery_steps = 3\n[plugins]\nload = ['gallery']\n"
        );
        let mut run = on_folders(&recipe, 20).with_plugins(plugins.path()).with_threads(2);
        if let Some(step) = kill_at {
            let mut child = run.start(Action::Train);
            run.wait_for(&mut child, |it| matches!(it, Event::Step(it) if step <= it.step));
            signal_if_alive(&mut child, Signal::KILL);
        }
        run.complete();
        run.weights()
    };
    let darkened = "augment.plugin = 'darken'\n";
    let calm = train(darkened, None);
    assert_eq!(train(darkened, Some(5)), calm);
    assert_ne!(train("", None), calm);
}

#[test]
fn a_reader_written_in_c_brings_images() {
    let home = gallery();
    let recipe = "[train]\nepochs = 1\n[plugins]\nload = ['gallery']\n";
    let mut run = Run::with_drop(&tiny_resnet(), recipe, "gallery", |root| {
        let mut index = String::from("scans/nobody-knows.png\n");
        for n in 0..75 {
            let (hue, folder) = (n % 3, if n < 60 { "scans" } else { "test" });
            fs::create_dir_all(root.join(folder)).unwrap();
            fs::write(root.join(folder).join(format!("{n}.png")), shape(hue, n as u32)).unwrap();
            index += &format!("{folder}/{n}.png {}\n", COLOURS[hue]);
        }
        fs::write(root.join("index.txt"), index).unwrap();
    })
    .with_plugins(home.path());
    let done = run.complete();
    assert_eq!(
        (done.split, done.scores.examples, done.task.as_str()),
        (Split::Test, 15, "image-classification")
    );
    let warned = |it: &Event| matches!(it, Event::Warning { message } if message.contains("the reader passed over 1 examples"));
    assert!(run.events().iter().any(warned));
}

/// Adds a head as `finetuned plugin new` writes it, which serves every problem.
fn with_new_head(folder: &tempfile::TempDir, name: &str) {
    let place = tempfile::tempdir().unwrap();
    fs::copy(build_new(place.path(), name, "head"), folder.path().join(format!("{name}.so")))
        .unwrap();
}

/// What is red is also warm; what is blue has no second label.
fn several_labels(recipe: &str) -> Run {
    on_table(recipe, "label", |hue, _| ["red|warm", "green|warm", "blue"][hue].to_string())
}

/// What a finished run says of an image of this colour: a row of a CSV by its columns.
fn asked(run: &mut Run, hue: usize) -> BTreeMap<String, String> {
    let place = tempfile::tempdir().unwrap();
    let (image, table) = (place.path().join("new.png"), place.path().join("said.csv"));
    fs::write(&image, shape(hue, 1000)).unwrap();
    let action = predict(vec![image.display().to_string()], Some(table.clone()));
    assert!(run.finish(action).success(), "{}", run.log());
    let text = fs::read_to_string(table).unwrap();
    let mut rows = text.lines().map(|it| it.split(',').map(String::from));
    rows.next().unwrap().zip(rows.next().unwrap()).collect()
}

#[test]
fn head_loss_and_metric_of_plugins_serve_several_labels() {
    let folder = samples(&["focal", "calibration"]);
    with_new_head(&folder, "head-of-sets");
    let mut run = several_labels(
        "model.head = 'head-of-sets'\ndata.test = 0.25\n[train]\nepochs = 30\nbatch = 16\nlr = 5e-3\npatience = 0\nloss = 'focal'\n\
         [eval]\nmetrics = ['macro_average_precision', 'ece']\n[plugins]\nload = ['head-of-sets', 'focal', 'calibration']\n",
    )
    .with_plugins(folder.path());
    let done = run.complete();
    assert_eq!(done.task, "image-multi-label-classification");
    assert!(
        0.9 < done.scores.metrics["macro_average_precision"] && done.scores.metrics["ece"] < 0.3,
        "{:?}",
        done.scores.metrics
    );
    let plan: Plan = run.json(run_folder::PLAN);
    let uses: Vec<(&str, &str)> = plan
        .plugins
        .iter()
        .flat_map(|it| &it.uses)
        .map(|it| (it.kind.as_str(), it.name.as_str()))
        .collect();
    assert_eq!(uses, [("head", "head-of-sets"), ("loss", "focal"), ("metric", "ece")]);
    assert_eq!(asked(&mut run, 0)["label"], "red|warm");
}

/// A plugin's loss in C: the squared distance to what is true, of every example. It would not learn
/// unless both were in the same units.
const SQUARES: &[&str] = &[
    "-DKIND=2",
    "-DNAME=\"squares\"",
    "-DPROBLEMS=4",
    "-DGLOBAL=extern void atg_sub(tensor **, tensor *, tensor *);",
    "-DFORWARD={ tensor *apart; tensor *squares; int64_t dim = 1; atg_sub(&apart, in->logits, in->labels); atg_mul(&squares, apart, apart); \
     atg_sum_dim_intlist(losses, squares, &dim, 1, 0, 6); at_free(apart); at_free(squares); return 0; }",
];

#[test]
fn head_loss_and_metric_of_plugins_serve_numbers_which_are_given_in_our_units() {
    const RECIPE: &str = r#"
model.head = "head-of-numbers"
task = "image-regression"
data.labels = ["price", "noise"]
data.test = 0.25
[train]
epochs = 20
batch = 16
lr = 5e-3
patience = 0
loss = "squares"
[eval]
metrics = ["r2", "mae", "mean_distance"]
best = "mean_distance"
[save]
every_steps = 3
[plugins]
load = ["head-of-numbers", "squares", "gallery"]
"#;
    let folder = gallery();
    compile(&folder.path().join("squares.so"), SQUARES);
    with_new_head(&folder, "head-of-numbers");
    let numbers = |hue: usize, n: u32| {
        format!("{:.2},{}.5", 10_000.0 + 500.0 * hue as f64 + f64::from(n % 7), n % 3)
    };
    let start = || on_table(RECIPE, "price,noise", numbers).with_plugins(folder.path());
    let mut calm = start();
    let done = calm.complete();
    let price = done.scores.per_number.iter().find(|it| it.name == "price").unwrap();
    assert!(0.8 < price.r2 && price.mae < 200.0, "{price:?}");
    // The plugin's metric sees what ours sees.
    let (ours, its) = (done.scores.metrics["mae"], done.scores.metrics["mean_distance"]);
    assert!((ours - its).abs() < 1e-6 * ours, "{ours} {its}");
    let weights = calm.weights();
    let mean =
        SafeTensors::deserialize(&weights).unwrap().tensor("units.mean").unwrap().data().to_vec();
    let price_mean = f32::from_le_bytes(mean[..4].try_into().unwrap());
    assert!((10_000.0..11_100.0).contains(&price_mean), "{price_mean}");

    let mut killed = start();
    for point in [20, 60] {
        let mut child = killed.start(Action::Train);
        killed.wait_for(&mut child, |it| matches!(it, Event::Step(it) if point <= it.step));
        signal_if_alive(&mut child, Signal::KILL);
    }
    let again = killed.complete();
    assert!(
        killed.events().iter().any(|it| matches!(it, Event::Started { resumed_from: Some(_), .. })),
        "it did resume"
    );
    assert_eq!((&again.scores, killed.weights()), (&done.scores, weights));

    let predicted: f64 = asked(&mut killed, 2)["price"].parse().unwrap();
    assert!((10_500.0..11_500.0).contains(&predicted), "blue is 11,000: {predicted}");
}

#[test]
fn what_a_plugin_is_not_made_for_is_refused_before_training() {
    let home = tempfile::tempdir().unwrap();
    for (kind, number, wanted) in [
        ("head", 1, "model.head = 'bad'\n"),
        ("loss", 2, "train.loss = 'bad'\n"),
        ("metric", 3, "eval.metrics = ['bad']\n"),
    ] {
        let recipe = format!("{wanted}[plugins]\nload = ['bad']\n");
        for (claims, says) in [(None, "one label"), (Some("-DPROBLEMS=5"), "one label or numbers")]
        {
            // Without the field it is as plugins were built when there was nothing else than one
            // label.
            let of_kind = format!("-DKIND={number}");
            compile(
                &home.path().join("bad.so"),
                &[of_kind.as_str()].into_iter().chain(claims).collect::<Vec<_>>(),
            );
            let mut run = several_labels(&recipe).with_plugins(home.path());
            let failed = run.failed(Action::Train).failure;
            let message = format!(
                "the {kind} bad of the plugin bad is made for {says}, but the data have several labels"
            );
            assert_eq!((failed.kind, failed.message), (FailureKind::Recipe, message));
            assert!(!run.folder().join(run_folder::PLAN).exists(), "{kind}");
        }
    }
}

/// Drops a folder of a table and this recipe.
fn drop_with(sandbox: &Sandbox, name: &str, recipe: &str) {
    let folder = sandbox.home().join(format!("{name}.tmp"));
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("data.csv"), sentences(120, 7)).unwrap();
    fs::write(folder.join("job.toml"), on_tiny_bert(recipe)).unwrap();
    fs::rename(folder, sandbox.inbox().join(name)).unwrap();
}

#[test]
fn a_bad_plugin_costs_its_own_job_one_sentence_and_nobody_else_anything() {
    let mut sandbox = Sandbox::new("[train]\nepochs = 1\n");
    sandbox.configure("[train]\nepochs = 1\n", "[plugins]\ncall_s = 2\n");
    let folder = sandbox.home().join("plugins");
    fs::create_dir_all(&folder).unwrap();
    sandbox.serve();
    let metric = "metrics = ['accuracy', 'bad']";
    let cases: &[(&[&str], &str, &str)] = &[
        (
            &["-DUPDATE=abort();"],
            metric,
            "died by SIGABRT in the metric bad of the plugin bad, in update",
        ),
        (
            &["-DUPDATE=*(volatile int *)0 = 1;"],
            metric,
            "died by SIGSEGV in the metric bad of the plugin bad, in update",
        ),
        (&["-DUPDATE=exit(0);"], metric, "in the metric bad of the plugin bad, in update"),
        (
            &["-DMERGE=for (;;);", "-DCOMPUTE=for (;;);"],
            metric,
            "in the metric bad of the plugin bad, in compute",
        ),
        (
            &["-DCOMPUTE=*score = 0.0 / 0.0; return 0;"],
            metric,
            "the metric bad of the plugin bad gave the score NaN in compute",
        ),
        (
            &["-DUPDATE=return say(error, 3, \"boom, src/lib.rs:1\");"],
            metric,
            "the metric bad of the plugin bad panicked in update: boom, src/lib.rs:1",
        ),
        (
            &["-DKIND=1", "-DFORWARD=*logits = at_shallow_clone(in->features); return 0;"],
            "",
            "the head bad of the plugin bad gave a tensor of shape",
        ),
        (
            &["-DCREATE=return say(error, 1, \"no such key: colour\");"],
            metric,
            "the metric bad of the plugin bad can't go on in create: no such key: colour",
        ),
    ];
    for (job, (flags, eval, says)) in (1..).zip(cases) {
        // A new build under the same name, and the daemon runs on.
        fs::remove_file(folder.join("bad.so")).ok();
        compile(&folder.join("bad.so"), flags);
        let head = if eval.is_empty() { "model.head = 'bad'\n" } else { "" };
        drop_with(
            &sandbox,
            &format!("bad{job}"),
            &format!("{head}[train]\nepochs = 1\n[eval]\n{eval}\n[plugins]\nload = ['bad']\n"),
        );
        sandbox.wait_for_state(job, "failed");
        let failed: Failed =
            serde_json::from_slice(&fs::read(sandbox.run(job).join(run_folder::FAILED)).unwrap())
                .unwrap();
        assert!(failed.failure.message.contains(says), "{flags:?}: {}", failed.failure);
        assert_eq!(failed.failure.kind, FailureKind::Plugin, "{flags:?}: {}", failed.failure);
        assert!(sandbox.is_alive());
    }
    compile(&folder.join("good.tmp"), &[]);
    fs::rename(folder.join("good.tmp"), folder.join("bad.so")).unwrap();
    drop_with(
        &sandbox,
        "mended",
        "[train]\nepochs = 1\n[eval]\nmetrics = ['accuracy', 'bad']\n[plugins]\nload = ['bad']\n",
    );
    drop_with(&sandbox, "plain", "[train]\nepochs = 1\n");
    let jobs = cases.len() as u64;
    [jobs + 1, jobs + 2].into_iter().for_each(|it| sandbox.wait_for_state(it, "done"));
}
