//! Every default that depends on what was found, each from facts written down here: there is no
//! model and no tensor.

use super::*;
use finetuned_images::{Filter, Fit, Jitter, Library, Mixing};
use finetuned_job::data::{ClassCount, SplitReport};
use finetuned_job::plan::{PluginUse, PreferencePlan, Storage};
use finetuned_job::recipe::{Dtype, Optimizer, PreferenceLoss, Schedule};
use finetuned_job::task::{Answer, Modality};
use finetuned_models::Form;
use finetuned_models::Ranks;

/// What was found, as a test changes it.
pub(crate) struct Found {
    task: Task,
    pub data: DataReport,
    preprocess: Option<Preprocess>,
    width: i64,
    tokens: u64,
    cache_bytes_max: u64,
    plugins: Vec<PluginPlan>,
    /// Tensors that the base has not, or has of another task.
    new: Vec<String>,
    /// A norm has running statistics.
    statistics: bool,
    adapter: Option<Adapter>,
}

fn split(split: Split, rows: u64) -> SplitReport {
    SplitReport { split, rows, origin: "file".into() }
}

pub(crate) fn texts() -> Found {
    let class =
        |class: &str, train| ClassCount { class: class.into(), train, validation: 0, test: 0 };
    Found {
        task: Task::named("text-classification").unwrap(),
        data: DataReport {
            version: finetuned_job::data::DATA_VERSION,
            source: "tweets.csv".into(),
            format: "csv".into(),
            files: Vec::new(),
            task: "text-classification".into(),
            task_reason: String::new(),
            outputs: vec!["no".into(), "yes".into()],
            input_columns: vec!["text".into()],
            target_columns: vec!["label".into()],
            numbers: Vec::new(),
            text_column: Some("text".into()),
            label_column: Some("label".into()),
            classes: vec![class("no", 750), class("yes", 250)],
            splits: vec![split(Split::Train, 1000), split(Split::Validation, 100)],
            empty_texts: 0,
            duplicates: Default::default(),
            quarantined: Default::default(),
            tokens: None,
            estimate: None,
            warnings: Vec::new(),
            content_hash: "c0".into(),
            images: None,
        },
        preprocess: None,
        width: 384,
        tokens: 20_000,
        cache_bytes_max: u64::MAX,
        plugins: Vec::new(),
        new: vec!["head.bias".into(), "head.weight".into()],
        statistics: true,
        adapter: None,
    }
}

/// A transformer of images.
fn layered() -> Found {
    Found { statistics: false, ..images(Answer::Class) }
}

pub(crate) fn images(answer: Answer) -> Found {
    let preprocess = Preprocess {
        library: Library::Timm,
        height: 8,
        width: 8,
        fit: Fit::Center,
        crop_pct: 1.0,
        filter: Filter::Bicubic,
        rescale: 1.0 / 255.0,
        mean: [0.5; 3],
        std: [0.5; 3],
    };
    let data = DataReport { format: "image_folders".into(), ..texts().data };
    let task = Task::of(Modality::Image, answer).unwrap();
    Found { task, data, preprocess: Some(preprocess), tokens: 0, ..texts() }
}

/// Of a body of embeddings and two layers below a head; the first layer has a norm with
/// statistics.
fn parts(statistics: bool) -> Parts {
    let names = |all: &[&str]| all.iter().map(|it| it.to_string()).collect::<Vec<String>>();
    Parts {
        embeddings: names(&["words.weight"]),
        layers: vec![
            names(&["layer.0.weight", "layer.0.bias", "layer.0.norm.weight"]),
            names(&["layer.1.weight"]),
        ],
        head: names(&["head.weight", "head.bias"]),
        norms: names(&["layer.0.norm.weight"]),
        buffers: vec![
            Vec::new(),
            if statistics { names(&["layer.0.norm.mean"]) } else { Vec::new() },
            Vec::new(),
            Vec::new(),
        ],
        ..Parts::default()
    }
}

fn decided(recipe: &str, found: &Found) -> Result<Plan> {
    let recipe = Recipe::parse(recipe).unwrap_or_else(|it| panic!("{it}"));
    let mut parts = parts(found.statistics);
    if found.adapter.is_some() {
        let body = [&parts.embeddings].into_iter().chain(&parts.layers).flatten();
        parts.held = body.cloned().collect();
        let factors = ["A", "B"].map(|it| format!("layer.1.lora_{it}.weight"));
        parts.layers[1].extend(factors);
    }
    let tensors = parts.stages().chain(&parts.buffers).flatten();
    let tensors = tensors.map(|it| (it.clone(), vec![4, 4])).collect();
    let rows = if found.preprocess.is_some() { Rows::PerExample } else { Rows::PerToken };
    let outline = |worth_caching| Outline { rows, shape: vec![16], worth_caching };
    let facts = Facts {
        method: method(&recipe, (found.task.objective, Rows::PerExample), &found.data)?,
        pooling: None,
        adapter: found.adapter.as_ref(),
        task: found.task,
        data: &found.data,
        examples: Split::ALL.map(|it| super::rows(&found.data, it)),
        preprocess: found.preprocess.as_ref(),
        tokens: found.tokens,
        model: ModelFacts {
            base: "hf:ada/tiny".into(),
            folder: "/cache/tiny".into(),
            architecture: "tiny".into(),
            weights_hash: "ab".into(),
            base_adapter: None,
            width: found.width,
            dropout: 0.1,
            storage: Storage::Fp32,
            new: found.new.clone(),
            load: LoadSummary::default(),
        },
        outline: &[false, false, true, true].map(outline),
        parts: &parts,
        plugins: found.plugins.clone(),
        reward_models: Vec::new(),
        tensors: &tensors,
        cache_bytes_max: found.cache_bytes_max,
        threads: 2,
        libtorch: "2.13.0".into(),
        device: "cpu".into(),
    };
    plan(&recipe, 64, facts)
}

#[track_caller]
pub(crate) fn plan_of(recipe: &str, found: &Found) -> Plan {
    decided(recipe, found).unwrap_or_else(|it| panic!("{it:#}"))
}

#[track_caller]
fn refused(recipe: &str, found: &Found, message: &str) {
    assert_eq!(decided(recipe, found).unwrap_err().to_string(), message);
}

const HEAD_ONLY: &str = "freeze.train = ['head']\n";

/// With an adapter beside the upper layer.
fn adapted(found: Found) -> Found {
    let ranks = Ranks { r: 16, alpha: 32.0, dropout: 0.0, rslora: false, dora: false };
    let adapter = Adapter {
        form: Form::LowRank(ranks),
        targets: ["layer.1".to_string()].into(),
        modules_to_save: ["head".to_string()].into(),
        biases: false,
    };
    Found { adapter: Some(adapter), statistics: false, ..found }
}

#[test]
fn an_adapter_and_the_head_train_alone_and_fast() {
    for found in [adapted(texts()), adapted(layered())] {
        let plan = plan_of("", &found);
        assert_eq!((plan.train.lr, plan.train.head_lr), (1e-3, 1e-3));
        assert_eq!((plan.freeze.layer_decay, plan.train.wise_ft), (1.0, 1.0));
        let names: Vec<&str> = plan.freeze.trainable.iter().map(|it| it.name.as_str()).collect();
        let factors = ["layer.1.lora_A.weight", "layer.1.lora_B.weight"];
        assert_eq!(names, [&["head.bias", "head.weight"][..], &factors].concat());
        assert!(plan.freeze.frozen.iter().any(|it| it.name == "words.weight"));
        let last = plan_of("freeze.train = ['head', 'last:1']", &found);
        assert_eq!(last.freeze.trainable, plan.freeze.trainable);
        assert_eq!(plan_of("train.lr = 0.5", &found).train.head_lr, 0.5);
    }
    let factors = Form::Factors { feedforward: ["layer.1".to_string()].into() };
    let mut found = adapted(texts());
    found.adapter = found.adapter.map(|it| Adapter { form: factors, ..it });
    let plan = plan_of("", &found);
    assert_eq!((plan.train.lr, plan.train.head_lr), (6e-3, 1e-3), "factors learn faster");
    let cached = plan_of("", &adapted(texts())).freeze.cached;
    assert!(cached, "what lies below the lowest adapter");
}

#[test]
fn what_an_adapter_rules_out_is_refused() {
    let found = adapted(texts());
    refused(
        "train.wise_ft = 0.5",
        &found,
        "train.wise_ft mixes weights, but those of an adapter are factors of one, whose mixture is none of what they make (leave it out of the recipe)",
    );
    refused(
        HEAD_ONLY,
        &found,
        "the recipe has an adapter, but freeze.train and freeze.unfreeze never train it (leave freeze.train out of the recipe: adapter and head train by default)",
    );
    refused(
        "freeze.train = ['all', 'norms']",
        &found,
        "the pattern `norms` of the recipe matches no tensor of the model that may train beside an adapter (its tensors are called like head.bias, head.weight, layer.1.lora_A.weight, layer.1.lora_B.weight)",
    );
}

#[test]
fn the_learning_rate_goes_by_what_trains() {
    let lr = |recipe, found: &Found| plan_of(recipe, found).train.lr;
    assert_eq!(lr("", &texts()), 5e-5 * 768.0 / 384.0);
    assert_eq!(lr("", &Found { width: 1024, ..texts() }), 5e-5 * 768.0 / 1024.0);
    assert_eq!(lr("", &images(Answer::Class)), 2e-4);
    assert_eq!(lr("", &layered()), 1e-4);
    for found in [texts(), images(Answer::Class)] {
        assert_eq!(lr(HEAD_ONLY, &found), 1e-3);
        // What joins later needs the rate of the body from the start.
        let later = "[freeze]\ntrain = ['head']\nunfreeze = [{ epoch = 2, train = ['all'] }]";
        assert_eq!(lr(later, &found), lr("", &found));
        assert_eq!(lr("train.lr = 0.5", &found), 0.5);
    }
}

#[test]
fn epochs_batch_and_warm_up_make_the_steps() {
    let found = texts();
    let whole = plan_of("", &found).train;
    assert_eq!((whole.epochs, whole.batch, whole.accumulate), (10, 16, 1));
    assert_eq!((whole.steps_per_epoch, whole.steps, whole.warmup_steps), (63, 630, 38));
    let head = plan_of(HEAD_ONLY, &found).train;
    assert_eq!((head.epochs, head.steps, head.warmup_steps), (30, 1890, 114));
    let asked = "[train]\nepochs = 2\nbatch = 10\naccumulate = 3\nwarmup = 0.5";
    let asked = plan_of(asked, &found).train;
    assert_eq!((asked.steps_per_epoch, asked.steps, asked.warmup_steps), (34, 68, 34));
    // Few steps have no warm-up.
    let mut few = texts();
    few.data.splits[0].rows = 8;
    let few = plan_of("", &few).train;
    assert_eq!((few.steps, few.warmup_steps), (10, 0));
}

#[test]
fn how_updates_are_made_depends_on_nothing() {
    for found in [texts(), images(Answer::Class), images(Answer::Numbers)] {
        let TrainPlan { optimizer, weight_decay, schedule, clip, label_smoothing, .. } =
            plan_of("", &found).train;
        assert_eq!(optimizer, Optimizer::AdamW { betas: (0.9, 0.999), eps: 1e-8 });
        assert_eq!((weight_decay, schedule), (0.01, Schedule::Linear));
        assert_eq!((clip, label_smoothing), (Some(1.0), 0.0));
        let train = plan_of("", &found).train;
        assert_eq!((train.seed, train.loss, train.hooks), (0, None, Vec::new()));
    }
}

#[test]
fn patience_is_for_long_runs_unless_it_is_asked_for() {
    let patience = |recipe: &str| plan_of(recipe, &texts()).train.patience;
    assert_eq!(patience(""), None);
    assert_eq!(patience("train.epochs = 11"), Some(10));
    assert_eq!(patience("train.patience = 2"), Some(2));
    assert_eq!(patience("[train]\nepochs = 20\npatience = 0"), None);
}

#[test]
fn a_new_head_learns_faster_than_what_is_there() {
    let scale = |recipe: &str, found: &Found, name: &str| {
        let tensors = plan_of(recipe, found).freeze.trainable;
        tensors.iter().find(|it| it.name == name).unwrap().lr_scale
    };
    for (recipe, factor) in [("", 5.0), ("train.head_lr = 1e-3", 10.0), ("train.lr = 1e-3", 1.0)] {
        assert!((scale(recipe, &texts(), "head.weight") - factor).abs() < 1e-12, "{recipe}");
        assert_eq!(scale(recipe, &texts(), "layer.1.weight"), 1.0);
    }
    assert_eq!(scale(HEAD_ONLY, &texts(), "head.weight"), 1.0);
    // What the base has, BERT's pooler say, is no new head.
    let pooled = Found { new: vec!["head.bias".into()], ..texts() };
    assert_eq!(scale("", &pooled, "head.weight"), 1.0);
}

#[test]
fn layers_of_images_transformers_learn_the_slower_the_lower_they_are() {
    let decay = |recipe: &str, found: &Found| plan_of(recipe, found).freeze.layer_decay;
    assert_eq!([texts(), images(Answer::Class)].map(|it| decay("", &it)), [1.0; 2]);
    assert_eq!((decay("", &layered()), decay("freeze.layer_decay = 0.9", &layered())), (0.75, 0.9));
}

#[test]
fn batch_norm_keeps_its_statistics_unless_asked_to_move_them() {
    let plan = |recipe: &str| plan_of(recipe, &images(Answer::Class));
    let frozen = |recipe: &str| plan(recipe).freeze.statistics;
    assert_eq!(plan_of("train.batch = 8", &layered()).freeze.statistics, None, "it has none");
    assert_eq!(["train.batch = 8", "train.batch = 16"].map(frozen), [Some(true), Some(false)]);
    assert_eq!(frozen("train.batch = 8\nfreeze.statistics = false"), Some(false));
    assert_eq!(frozen("train.batch = 8\ntrain.method = 'full'"), Some(false));
    assert_eq!((plan("train.batch = 8").train.lr, plan("train.batch = 16").train.lr), (5e-5, 2e-4));
}

#[test]
fn what_was_asked_for_is_written_down() {
    let asked = plan_of("task = 'text-classification'\n[train]\nbatch = 3", &texts()).asked;
    assert_eq!(asked, Some(["task", "train.batch"].map(String::from).into()));
}

#[test]
fn evaluations_come_with_epochs_and_report_on_the_test_split() {
    let mut found = texts();
    let eval = plan_of("", &found).eval;
    assert_eq!((eval.every_steps, eval.report_on), (None, Split::Validation));
    assert_eq!(plan_of("eval.every_steps = 5", &found).eval.every_steps, Some(5));
    found.data.splits.push(split(Split::Test, 7));
    let plan = plan_of("", &found);
    assert_eq!((plan.eval.report_on, plan.data.test), (Split::Test, 7));
}

#[test]
fn metrics_suit_the_task() {
    for task in Task::all() {
        let mut found = Found { task, ..images(Answer::Class) };
        found.data.outputs = vec!["O".into(), "B-yes".into()];
        let rewarded = "[[reward]]\nname = 'json'";
        let recipe = if task.objective.samples() { rewarded } else { "" };
        let eval = plan_of(recipe, &found).eval;
        assert_eq!(
            (eval.metrics, eval.best.as_str()),
            (task.metrics.shown.iter().map(|it| it.to_string()).collect(), task.metrics.best,)
        );
    }
    let asked = plan_of("eval.metrics = ['loss']\neval.best = 'accuracy'", &texts()).eval;
    assert_eq!((asked.metrics, asked.best), (vec!["loss".to_string()], "accuracy".into()));
    let err = decided("eval.best = 'r2'", &texts()).unwrap_err();
    assert!(err.to_string().starts_with("the recipe asks for the metric r2, which neither"));
}

#[test]
fn a_metric_may_be_a_plugins() {
    let ece = PluginUse { kind: "metric".into(), name: "ece".into(), settings: Default::default() };
    let plugin = |uses| PluginPlan {
        name: "calibration".into(),
        version: "1.0.0".into(),
        hash: "00".into(),
        uses,
    };
    let recipe = "eval.best = 'ece'\nplugins.load = ['calibration']";
    let found = Found { plugins: vec![plugin(vec![ece.clone()])], ..texts() };
    assert_eq!(plan_of(recipe, &found).eval.best, "ece");
    // A loss of the same name is no metric.
    let loss = PluginUse { kind: "loss".into(), ..ece };
    assert!(decided(recipe, &Found { plugins: vec![plugin(vec![loss])], ..texts() }).is_err());
}

#[test]
fn class_weights_balance_the_training_split_where_they_are_asked_for_or_needed() {
    let train = plan_of("", &texts()).train;
    assert_eq!((train.class_weights, train.class_weight_values), (ClassWeights::None, vec![]));
    let train = plan_of("train.class_weights = 'auto'", &texts()).train;
    assert_eq!(train.class_weight_values, [1000.0 / (2.0 * 750.0), 1000.0 / (2.0 * 250.0)]);
    let mut rare = texts();
    rare.data.classes[1].train = 75;
    let weighed = |recipe: &str| plan_of(recipe, &rare).train.class_weights;
    assert_eq!(weighed(""), ClassWeights::Auto);
    assert_eq!(weighed("train.class_weights = 'none'"), ClassWeights::None);
    assert_eq!(
        weighed("train.loss = 'focal'\nplugins.load = ['focal']"),
        ClassWeights::None,
        "a plugin's loss weighs by itself"
    );
    // Of several labels: 250 without for 750 with.
    let train = plan_of("train.class_weights = 'auto'", &images(Answer::Classes)).train;
    assert_eq!(train.class_weight_values, [250.0 / 750.0, 750.0 / 250.0]);
    assert_eq!(plan_of("", &images(Answer::Classes)).train.class_weights, ClassWeights::None);
    refused(
        "train.class_weights = 'auto'",
        &images(Answer::Numbers),
        "train.class_weights weighs the classes of a loss of classes (leave it out of the recipe)",
    );
}

#[test]
fn a_rare_class_is_chosen_by_its_rank() {
    let mut rare = texts();
    rare.data.classes[1] = ClassCount { train: 75, validation: 9, ..rare.data.classes[1].clone() };
    rare.data.classes[0].validation = 91;
    assert_eq!(plan_of("", &rare).eval.best, "macro_average_precision");
    assert_eq!(plan_of("eval.best = 'accuracy'", &rare).eval.best, "accuracy");
    let method = |recipe: &str, found: &Found| plan_of(recipe, found).train.method;
    assert_eq!(method("", &rare), Method::Probe, "too few to tell what fine-tuning brings");
    assert_eq!(method("train.epochs = 5", &rare), Method::Auto);
    assert_eq!(method("", &texts()), Method::Auto);
    rare.data.classes[1].validation = 10;
    assert_eq!(plan_of("", &rare).eval.best, "macro_f1");
}

#[test]
fn numbers_have_no_label_smoothing() {
    let recipe = "train.label_smoothing = 0.1";
    refused(
        recipe,
        &images(Answer::Numbers),
        "train.label_smoothing is for classes, but numbers are learnt (leave it out of the recipe)",
    );
    for answer in [Answer::Class, Answer::Classes] {
        assert_eq!(plan_of(recipe, &images(answer)).train.label_smoothing, 0.1);
    }
}

#[test]
fn gradient_checkpointing_is_for_images() {
    let on = |recipe, found: &Found| plan_of(recipe, found).train.gradient_checkpointing;
    assert!(!on("", &texts()) && on("", &images(Answer::Class)));
    assert!(on("train.gradient_checkpointing = true", &texts()));
    assert!(!on("train.gradient_checkpointing = false", &images(Answer::Class)));
}

#[test]
fn what_frozen_stages_give_is_cached_where_it_is_worth_it_and_there_is_room() {
    let cached = |recipe: &str, found: &Found| plan_of(recipe, found).freeze.cached;
    assert!(cached(HEAD_ONLY, &texts()) && cached("freeze.train = ['head', 'last:1']", &texts()));
    assert!(!cached("", &texts()), "nothing is frozen");
    assert!(!cached("freeze.train = ['head', 'last:2']", &texts()), "only embeddings are");
    assert!(!cached("[freeze]\ntrain = ['head']\ncache = false", &texts()));
    // Four bytes for each number of each token, or of each image of training and validation.
    for (found, bytes) in [(texts(), 4 * 20_000 * 16), (images(Answer::Class), 4 * 1_100 * 16)] {
        assert!(cached(HEAD_ONLY, &Found { cache_bytes_max: bytes, ..found }));
    }
    for (found, bytes) in [(texts(), 4 * 20_000 * 16), (images(Answer::Class), 4 * 1_100 * 16)] {
        assert!(!cached(HEAD_ONLY, &Found { cache_bytes_max: bytes - 1, ..found }));
    }
    // Images that differ from epoch to epoch have features that do.
    assert!(!cached(&format!("{HEAD_ONLY}augment.preset = 'light'"), &images(Answer::Class)));
    let plugin = format!("{HEAD_ONLY}augment.plugin = 'rain'\nplugins.load = ['rain']");
    assert!(!cached(&plugin, &images(Answer::Class)));
}

#[test]
fn tensors_train_by_pattern_and_biases_and_norms_do_not_decay() {
    let freeze =
        plan_of("[freeze]\ntrain = ['head', 'last:2']\nlayer_decay = 0.5", &texts()).freeze;
    let trainable: Vec<(&str, f64, f64)> = freeze
        .trainable
        .iter()
        .map(|it| (it.name.as_str(), it.lr_scale, it.weight_decay))
        .collect();
    assert_eq!(
        trainable,
        [
            ("head.bias", 5.0, 0.0),
            ("head.weight", 5.0, 0.01),
            ("layer.0.bias", 0.25, 0.0),
            ("layer.0.norm.weight", 0.25, 0.0),
            ("layer.0.weight", 0.25, 0.01),
            ("layer.1.weight", 0.5, 0.01),
        ]
    );
    // Statistics are no parameters.
    assert_eq!((freeze.frozen.len(), freeze.frozen[0].name.as_str()), (1, "words.weight"));
    assert_eq!((freeze.trainable_parameters, freeze.frozen_parameters), (6 * 16, 16));
    let all = plan_of("", &texts()).freeze;
    assert!(all.frozen.is_empty() && all.trainable.iter().all(|it| 1.0 <= it.lr_scale));
}

#[test]
fn texts_are_cut_at_256_tokens_or_where_the_model_ends() {
    let of = |recipe: &str, positions, causal| {
        max_tokens(&Recipe::parse(recipe).unwrap(), positions, causal)
    };
    let max = |recipe: &str, positions| of(recipe, positions, false);
    assert_eq!([2_048, 512].map(|it| of("", it, true).unwrap()), [1_024, 512]);
    assert_eq!(max("", 512).unwrap(), 256);
    assert_eq!(max("", 64).unwrap(), 64);
    assert_eq!(max("data.max_tokens = 400", 512).unwrap(), 400);
    assert_eq!(
        max("data.max_tokens = 513", 512).unwrap_err().to_string(),
        "data.max_tokens is 513, but the model reads at most 512 tokens (set it to 512 or less)"
    );
}

/// Texts of which each token is learnt.
fn causal() -> Found {
    let mut found = texts();
    found.task = Task::named("causal-language-modeling").unwrap();
    (found.data.classes, found.data.outputs) = Default::default();
    found
}

#[test]
fn who_learns_to_go_on_with_a_text_reads_it_three_times_and_is_scored_by_its_task() {
    let plan = plan_of("", &causal());
    assert_eq!((plan.train.epochs, plan.train.on), (3, None));
    assert_eq!(plan.eval.metrics, ["perplexity", "bits_per_byte", "token_accuracy"]);
    assert_eq!(plan.eval.best, "perplexity");
    let on = plan_of("train.on = 'all'", &causal()).train.on;
    assert_eq!(on, Some(finetuned_job::recipe::LearntTurns::All));
    let mut masked = causal();
    masked.task = Task::named("masked-language-modeling").unwrap();
    assert_eq!(plan_of("", &masked).eval.metrics, ["perplexity", "token_accuracy"]);
    let message = "train.on says what of conversations is learnt, but these are none (leave it out of the recipe)";
    refused("train.on = 'all'", &masked, message);
}

#[test]
fn losses_of_preferences_have_trls_defaults() {
    let mut pairs = causal();
    pairs.task = Task::named("preference").unwrap();
    pairs.data.outputs = vec!["reward".into()];
    let plan = plan_of("", &pairs);
    assert_eq!((plan.train.epochs, plan.train.lr, plan.train.head_lr), (3, 1e-6, 1e-6));
    assert_eq!(plan.eval.metrics, ["accuracy", "margin", "log_ratio"]);
    let dropout = |recipe: &str, of: &Found| plan_of(recipe, of).model.dropout;
    assert_eq!((dropout("", &pairs), dropout("model.dropout = 0.2", &pairs)), (0.0, 0.2));
    assert_ne!(dropout("", &causal()), 0.0, "all others have the config's");
    let of = |recipe: &str| plan_of(recipe, &pairs).train.preference.unwrap();
    let numbers = |name: &str| {
        let it = of(&format!("train.loss = '{name}'"));
        (it.loss.name(), it.beta, it.gamma)
    };
    assert_eq!(numbers("ipo"), ("ipo", 0.1, None));
    assert_eq!(numbers("simpo"), ("simpo", 2.0, Some(1.0)));
    assert_eq!(of("train.loss = 'simpo'\ntrain.beta = 10.0").gamma, Some(5.0));
    assert_eq!(of(""), PreferencePlan { loss: PreferenceLoss::Dpo, beta: 0.1, gamma: None });
    let without = plan_of("train.loss = 'orpo'", &pairs).eval.metrics;
    assert_eq!(without, ["accuracy", "margin"], "the base is not asked");
    let message =
        "train.class_weights weighs the classes of a loss of classes (leave it out of the recipe)";
    refused("train.class_weights = 'auto'", &pairs, message);
    assert_eq!(of("train.class_weights = 'none'").loss, PreferenceLoss::Dpo);
}

#[test]
fn a_large_base_is_stored_in_half_the_bits_where_that_loses_nothing() {
    const GIB: u64 = 1 << 30;
    let of = |asked, memory| defaults::storage(asked, GIB / 8, memory);
    assert_eq!(of(Dtype::Auto, Some(2 * GIB)), Storage::Fp32);
    assert_eq!(of(Dtype::Auto, Some(2 * GIB - 4)), Storage::Lossless);
    assert_eq!(of(Dtype::Auto, None), Storage::Fp32);
    assert_eq!(of(Dtype::Fp32, Some(1)), Storage::Fp32);
    assert_eq!(of(Dtype::Bf16, None), Storage::Bf16);
}

#[test]
fn answers_that_are_rewarded_have_trls_defaults_and_their_fields() {
    let mut prompts = causal();
    prompts.task = Task::named("grpo").unwrap();
    prompts.data.input_columns = vec!["prompt".into(), "answer".into()];
    let number = "[[reward]]\nname = 'number'\n";
    let plan = plan_of(number, &prompts);
    let (train, grpo) = (&plan.train, plan.train.grpo.as_ref().unwrap());
    assert_eq!((train.epochs, train.batch, train.accumulate), (3, 1, 8));
    assert_eq!((train.lr, train.refit, plan.model.dropout), (1e-6, false, 0.0));
    assert_eq!((grpo.choice, grpo.max_completion_length), (Default::default(), 32));
    assert_eq!((&*plan.eval.best, &plan.eval.metrics[..1]), ("reward", &["reward".into()][..]));
    let twice = plan_of(&format!("grpo.num_iterations = 2\n{number}"), &prompts).train;
    assert_eq!(twice.steps, 2 * train.steps, "each lot of answers is learnt from twice");
    let four = plan_of(&format!("train.batch = 4\n{number}"), &prompts).train;
    assert_eq!((four.batch, four.accumulate, four.steps), (4, 2, train.steps));
    let field = "a reward reads the column `a`, but beside the prompts stand answer (name a column by `field` in the [[reward]], or add it to the data)";
    refused("[[reward]]\nname = 'number'\nfield = 'a'", &prompts, field);
    let beta = format!("grpo.beta = 0.04\n{number}");
    let whole = "grpo.beta holds the model against its base, which is no longer there where all of it trains: a second model in memory would be needed (add an [adapter] table, below which the base stays as it is, or set grpo.beta to 0)";
    refused(&beta, &prompts, whole);
    let other = "[[reward]] is of answers that the model makes itself, but the task is `text-generation` (set task to `grpo`, or leave it out of the recipe)";
    refused(number, &Found { task: Task::named("text-generation").unwrap(), ..causal() }, other);
}

#[test]
fn dropout_is_the_models_and_the_rest_is_written_down() {
    let plan = plan_of("", &texts());
    assert_eq!((plan.model.dropout, plan.model.attention_dropout), (0.1, 0.0));
    assert_eq!(plan_of("model.dropout = 0.0", &texts()).model.dropout, 0.0);
    assert_eq!(
        (plan.version, plan.libtorch.as_str(), plan.device.as_str()),
        (PLAN_VERSION, "2.13.0", "cpu")
    );
    assert_eq!((plan.data.train, plan.data.validation, plan.data.max_tokens), (1000, 100, 64));
    assert_eq!((plan.model.preprocess, plan.augment), (None, None));
    let images = images(Answer::Class);
    assert_eq!(plan_of("", &images).model.preprocess, images.preprocess);
}

#[track_caller]
fn augmentation_of(recipe: &str, found: &Found) -> Augment {
    plan_of(recipe, found).augment.expect("of images")
}

#[test]
fn images_are_changed_lightly_where_the_body_trains() {
    let found = images(Answer::Class);
    assert_eq!(augmentation_of("", &found), Augment::preset(Preset::Light));
    assert_eq!(augmentation_of(HEAD_ONLY, &found), Augment::preset(Preset::None));
    let later = "[freeze]\ntrain = ['head']\nunfreeze = [{ epoch = 2, train = ['all'] }]";
    assert_eq!(augmentation_of(later, &found), Augment::preset(Preset::Light));
    let strong = Augment::preset(Preset::Strong);
    assert_eq!(augmentation_of("augment.preset = 'strong'", &found), strong);
    assert_eq!(
        augmentation_of(
            "[augment]\npreset = 'none'\nhue = 0.1\nmixup = 0.3\ncrop = [0.9, 1.0]",
            &found
        ),
        Augment {
            crop: Some(Crop { area: [0.9, 1.0], ratio: [3.0 / 4.0, 4.0 / 3.0] }),
            jitter: Jitter { hue: 0.1, ..Augment::preset(Preset::None).jitter },
            mixing: Mixing { mixup_alpha: 0.3, cutmix_alpha: 0.0 },
            ..Augment::preset(Preset::None)
        }
    );
}

#[test]
fn no_default_changes_the_answer() {
    let light = Augment::preset(Preset::Light);
    let mut digits = images(Answer::Class);
    digits.data.format = "idx".into();
    let unflipped = Augment { horizontal_flip: 0.0, ..light.clone() };
    assert_eq!(augmentation_of("", &digits), unflipped);
    let numbers = images(Answer::Numbers);
    assert_eq!(augmentation_of("", &numbers), Augment { crop: None, ..unflipped });
    assert_eq!(augmentation_of("", &images(Answer::Classes)), light);
    for found in [digits, numbers] {
        assert_eq!(augmentation_of("augment.preset = 'light'", &found), light);
        let asked = augmentation_of("[augment]\nhorizontal_flip = 0.2\ncrop = [0.8, 1.0]", &found);
        assert_eq!((asked.horizontal_flip, asked.crop.map(|it| it.area)), (0.2, Some([0.8, 1.0])));
    }
}

#[test]
fn a_plugins_head_or_loss_sees_no_mixed_labels() {
    let mixed = "augment.mixup = 0.2\nplugins.load = ['x']\n";
    for whose in ["model.head = 'cosine'", "train.loss = 'focal'"] {
        let err = decided(&format!("{mixed}{whose}"), &images(Answer::Class)).unwrap_err();
        assert!(err.to_string().starts_with("mixup and CutMix mix the labels"), "{err}");
    }
    assert!(decided(mixed, &images(Answer::Class)).is_ok());
}

#[test]
fn few_examples_are_learnt_from_once_more_where_a_test_split_can_tell() {
    let found = |train, validation, test| Found {
        data: DataReport {
            splits: vec![
                split(Split::Train, train),
                split(Split::Validation, validation),
                split(Split::Test, test),
            ],
            ..texts().data
        },
        ..texts()
    };
    let few = found(160, 40, 500);
    let refit = |recipe: &str, found: &Found| plan_of(recipe, found).train.refit;
    assert!(refit("", &few) && refit("train.method = 'probe'", &few));
    assert!(!refit("", &found(900, 100, 500)), "many");
    assert!(!refit("", &found(160, 40, 0)) && !refit("", &found(160, 0, 500)));
    assert!(!refit("train.epochs = 3", &few), "who says how long means one training");
    assert!(!refit("train.refit = false", &few));
    assert!(refit("train.refit = true", &found(900, 100, 500)));
    assert!(refit("[train]\nrefit = true\nepochs = 3", &few));
    let hook = "[train]\nhooks = ['stop_at']\n[plugins]\nload = ['stop']\n";
    assert!(!refit(hook, &few));
    // Two classes, of which the rarer has enough to tune a threshold by.
    let mut rare = found(500, 110, 500);
    for (class, train, validation) in [(0, 480, 100), (1, 20, 10)] {
        rare.data.classes[class].train = train;
        rare.data.classes[class].validation = validation;
    }
    let tuned = "eval.tune_thresholds = true\n";
    assert!(!refit("", &rare) && plan_of("", &rare).eval.tune_thresholds);
    assert!(refit("eval.tune_thresholds = false", &rare));
    let wanted =
        "train.refit trains the model once more on training and validation examples together, but";
    let cure = "(leave it out of the recipe)";
    for (recipe, found, obstacle) in [
        ("", found(160, 40, 0), "there is no test split, which the report could be about then"),
        ("", found(160, 0, 500), "there is no validation split, which could be learnt from then"),
        (hook, few, "a plugin's head, loss or hook is not begun twice"),
        (tuned, rare, "thresholds are tuned for the model that has not seen validation"),
    ] {
        let recipe = recipe.replace("[train]\n", "");
        let message = format!("{wanted} {obstacle} {cure}");
        let (asked, rest) = match recipe.starts_with("eval") {
            true => (recipe.as_str(), ""),
            false => ("", recipe.as_str()),
        };
        refused(&format!("{asked}[train]\nrefit = true\n{rest}"), &found, &message);
    }
}

#[test]
fn few_images_are_mixed_with_what_training_began_with() {
    let share = |recipe: &str, found: &Found| plan_of(recipe, found).train.wise_ft;
    let few = |found: Found| {
        let splits = vec![split(Split::Train, 160), split(Split::Validation, 40)];
        Found { data: DataReport { splits, ..found.data }, ..found }
    };
    assert_eq!(share("", &few(images(Answer::Class))), 0.5);
    assert_eq!(share("", &few(layered())), 0.5);
    assert_eq!(share("", &few(texts())), 1.0);
    assert_eq!([images(Answer::Class), layered()].map(|it| share("", &it)), [1.0; 2], "many");
    assert_eq!(share("freeze.statistics = false", &few(images(Answer::Class))), 1.0);
    assert_eq!(share("train.wise_ft = 0.3", &texts()), 0.3);
    for method in ["full", "probe"] {
        let recipe = format!("train.method = '{method}'");
        assert_eq!(share(&recipe, &few(layered())), 1.0);
        let recipe = format!("[train]\nwise_ft = 0.5\nmethod = '{method}'");
        refused(
            &recipe,
            &few(layered()),
            "train.wise_ft mixes what fine-tuning comes to with the probe that it began with, but training does not begin with one and go on here (leave it out of the recipe, or set train.method to `auto`)",
        );
    }
}
