//! Stories of answers of which one is wanted: a model that prefers it, and one that says how much.

use crate::answers::predicted;
use crate::attempt::{Run, predict, sentences, tiny_bert, tiny_llama};
use crate::training::killed_at;
use finetuned_job::outcome::Done;
use finetuned_job::plan::Plan;
use finetuned_job::recipe::PreferenceLoss;
use finetuned_job::run_folder;
use finetuned_job::spec::Action;
use serde_json::{Value, json};
use std::fs;

/// Of questions that hold a kind of word, the answer that names it is wanted.
fn rows(n: u32, row: impl Fn(String, &str, &str) -> Vec<Value>) -> String {
    let mut lines = String::new();
    for (nth, line) in sentences(n, 5).lines().skip(1).enumerate() {
        let (text, label) = line.rsplit_once(',').unwrap();
        let (good, bad) = if label == "positive" { ("good", "bad") } else { ("bad", "good") };
        for it in row(format!("{nth} {text}"), good, bad) {
            lines += &format!("{it}\n");
        }
    }
    lines
}

fn pairs(n: u32) -> String {
    rows(n, |prompt, chosen, rejected| {
        vec![json!({ "prompt": prompt, "chosen": chosen, "rejected": rejected })]
    })
}

fn verdicts(n: u32) -> String {
    rows(n, |prompt, chosen, rejected| {
        let row =
            |answer: &str, it: bool| json!({ "prompt": prompt, "completion": answer, "label": it });
        vec![row(chosen, true), row(rejected, false)]
    })
}

fn run(recipe: &str, lines: &str) -> Run {
    Run::with_drop(&tiny_llama(), recipe, "pairs.jsonl", |path| fs::write(path, lines).unwrap())
}

const RECIPE: &str = r#"
[data]
test = 0.2
[save]
every_steps = 10
[train]
epochs = 8
batch = 16
lr = 3e-3
precision = "fp32"
"#;

fn read(run: &Run, file: &str) -> String {
    fs::read_to_string(run.folder().join(file)).unwrap()
}

fn accuracy(done: &Done) -> (f64, f64) {
    (done.baseline.metrics["accuracy"], done.scores.metrics["accuracy"])
}

#[test]
fn pairs_make_a_model_that_prefers_as_they_do() {
    let mut run = run(RECIPE, &pairs(500));
    let done = run.complete();
    assert_eq!((done.task.as_str(), done.metric.as_str()), ("preference", "accuracy"));
    let plan: Plan = run.json(run_folder::PLAN);
    let preference = plan.train.preference.unwrap();
    assert_eq!((preference.loss, preference.beta), (PreferenceLoss::Dpo, 0.1));
    let (base, found) = accuracy(&done);
    assert!(0.2 < base && base < 0.8 && 0.95 < found, "{found} after {base}");
    assert_eq!(done.baseline.metrics["margin"], 0.0, "the base is its own reference");
    assert!(0.5 < done.scores.metrics["margin"], "{:?}", done.scores.metrics);
    assert!(done.baseline.is_of_base() && done.scores.metrics.contains_key("log_ratio"));
    let answer = &predicted(&run, &["7 the movie 3 was lovely"])[0];
    assert_eq!(answer["finish_reason"], "stop", "{answer}");
    let (card, report) = (read(&run, "model/README.md"), read(&run, "report.html"));
    assert!(card.contains("which answers are preferred (`dpo`, beta 0.1)"), "{card}");
    assert!(card.contains("pipeline_tag: text-generation"), "{card}");
    assert!(report.contains("the larger reward") && !report.contains("scikit-learn"), "{report}");
    let rows = read(&run, run_folder::PREDICTIONS);
    assert!(
        rows.starts_with("file,line,conversation,verdict,reward,reward_rejected,margin,correct"),
        "{rows}"
    );
    let config: Value = run.json("model/config.json");
    assert_eq!(config["architectures"][0], "LlamaForCausalLM");
    assert!(run.folder().join(run_folder::REFERENCE).exists());
}

#[test]
fn few_pairs_are_all_learnt_from_in_the_end() {
    let recipe = "[data]\ntest = 0.2\n[train]\nbatch = 16\nlr = 3e-3\n";
    let mut run = run(recipe, &pairs(200));
    let done = run.complete();
    assert!(done.refit.is_some() && done.baseline.metrics["margin"] == 0.0, "{done:?}");
    let files = fs::read_dir(run.folder().join(run_folder::REFERENCE)).unwrap().count();
    assert_eq!(files, 4, "one for each split, and one for training and validation together");
}

#[test]
fn a_drop_of_pairs_is_checked_without_training() {
    let mut run = run(RECIPE, &pairs(60));
    assert!(run.finish(Action::Check).success(), "{}", run.log());
    let data: Value = run.json(run_folder::DATA);
    assert_eq!((&data["task"], &data["label_column"]), (&json!("preference"), &Value::Null));
    assert!(data["estimate"].is_object(), "{data}");
}

#[test]
fn every_loss_prefers_as_the_pairs_do() {
    for loss in ["ipo", "kto", "orpo", "simpo"] {
        // ORPO learns the answers first, and which of them is wanted by a part of its loss.
        let more = if loss == "orpo" { "beta = 2.0\n" } else { "" };
        let mut run = run(&format!("{RECIPE}loss = '{loss}'\n{more}"), &pairs(300));
        let done = run.complete();
        let (base, found) = accuracy(&done);
        assert!(0.9 < found && base < found, "{loss}: {found} after {base}");
        let has_ratio = done.scores.metrics.contains_key("log_ratio");
        assert_eq!(has_ratio, ["ipo", "kto"].contains(&loss), "{loss}");
    }
}

#[test]
fn answers_with_verdicts_are_learnt_by_kto() {
    // Of a question that is held out nothing is known: the rule itself must be learnt.
    let recipe = RECIPE.replace("epochs = 8", "epochs = 20").replace("lr = 3e-3", "lr = 1e-2");
    let mut run = run(&recipe, &verdicts(400));
    let done = run.complete();
    let plan: Plan = run.json(run_folder::PLAN);
    assert_eq!(plan.train.preference.map(|it| it.loss), Some(PreferenceLoss::Kto));
    assert_eq!(plan.train.class_weight_values.len(), 2);
    let (base, found) = accuracy(&done);
    assert!(base == 0.5 && 0.9 < found, "{found} after {base}");
    let refused =
        self::run(&format!("{RECIPE}loss = 'dpo'\n"), &verdicts(60)).failed(Action::Train);
    let spoken = refused.failure.to_string();
    assert!(spoken.contains("answers alone") && spoken.contains("`kto`"), "{spoken}");
}

/// A reward model, and what was said of it.
pub fn reward_model() -> (Run, Done) {
    let mut run = run(&format!("task = 'reward-modeling'\n{RECIPE}"), &pairs(400));
    let done = run.complete();
    (run, done)
}

#[test]
fn pairs_make_a_reward_model() {
    let (mut run, done) = reward_model();
    assert_eq!(done.task, "reward-modeling");
    let (_, found) = accuracy(&done);
    assert!(0.95 < found && !done.scores.metrics.contains_key("log_ratio"), "{:?}", done.scores);
    let config: Value = run.json("model/config.json");
    assert_eq!(config["architectures"][0], "LlamaForSequenceClassification");
    assert_eq!(config["id2label"], json!({ "0": "reward" }));
    assert_eq!(config["problem_type"], "regression", "transformers opens no class alone");
    let talk = |answer: &str| {
        let question = json!({ "role": "user", "content": "7 the movie 3 was lovely" });
        json!([question, { "role": "assistant", "content": answer }]).to_string()
    };
    let found = predicted(&run, &[&talk("good"), &talk("bad")]);
    let [good, bad] = [0, 1].map(|it| found[it]["reward"].as_f64().unwrap());
    assert!(bad < good, "{good} and {bad}");
    let card = read(&run, "model/README.md");
    assert!(card.contains("AutoModelForSequenceClassification"), "{card}");
    let long = predict(vec![talk(&"good ".repeat(200))], None);
    assert!(!run.finish(long).success() && run.log().contains("must be whole"), "{}", run.log());
}

#[test]
fn a_model_that_prefers_is_the_same_bit_for_bit_after_kills_and_with_an_adapter() {
    let recipe = format!("{RECIPE}[adapter]\nr = 4\nlora_dropout = 0.1\n");
    let lines = pairs(200);
    let mut calm = run(&recipe, &lines).with_threads(2);
    let undisturbed = calm.complete();
    let mut killed = run(&recipe, &lines).with_threads(2);
    killed_at(&mut killed, [10, 40]);
    let done = killed.complete();
    assert_eq!(done.proof.model_hash, undisturbed.proof.model_hash);
    assert_eq!(done.scores, undisturbed.scores);
}

#[test]
fn what_preferences_can_not_use_is_refused_or_named() {
    let refused = |recipe: &str, part: &str| {
        let failure = run(recipe, &pairs(60)).failed(Action::Train).failure.to_string();
        assert!(failure.contains(part), "{failure}");
    };
    refused("train.loss = 'ipo'\ntrain.label_smoothing = 0.1", "label_smoothing");
    refused("train.label_smoothing = 0.6", "must be below 0.5");
    refused("train.gamma = 0.5", "train.gamma is of `simpo`");
    refused("task = 'reward-modeling'\ntrain.beta = 0.5", "train.beta");
    refused("train.method = 'probe'", "train.method is `probe`");
    refused("data.max_tokens = 8", "no example is left");
    let still =
        "train.epochs = 3\ntrain.batch = 8\nfreeze.train = ['*lora_A*']\n[adapter]\nr = 2\n";
    refused(still, "stand still");
    let mut encoder = Run::with_drop(&tiny_bert(), "", "pairs.jsonl", |path| {
        fs::write(path, pairs(60)).unwrap();
    });
    let spoken = encoder.failed(Action::Train).failure.to_string();
    assert!(spoken.contains("sees a text as a whole"), "{spoken}");
    let other = Run::new("train.loss = 'dpo'", &sentences(60, 1)).failed(Action::Train);
    assert!(other.failure.message.contains("these are none"), "{}", other.failure);
}

#[test]
fn a_pair_of_which_an_answer_would_be_cut_away_is_left_out_and_named() {
    let long = json!({ "prompt": "is it good ".repeat(60), "chosen": "yes", "rejected": "no" });
    let mut run = run("train.epochs = 1\n", &(pairs(60) + &long.to_string()));
    run.complete();
    let warnings = run.json::<Value>(run_folder::DATA)["warnings"].to_string();
    assert!(
        warnings.contains("examples left out: 1") && warnings.contains("pairs.jsonl line 61"),
        "{warnings}"
    );
}
