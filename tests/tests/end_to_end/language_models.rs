//! Stories of texts that are learnt as they are, without labels.

use crate::answers::predicted;
use crate::attempt::{Run, binary, sentences, tiny_bert, tiny_llama};
use crate::training::killed_at;
use finetuned_job::outcome::{Done, Sample};
use finetuned_job::plan::Plan;
use finetuned_job::run_folder;
use finetuned_job::spec::Action;
use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

const MASKED: &str = r#"
task = "masked-language-modeling"
[data]
test = 0.2
[train]
epochs = 6
batch = 16
lr = 3e-3
precision = "fp32"
[save]
every_steps = 10
"#;

/// The texts alone.
pub fn texts(rows: u32) -> String {
    let lines = sentences(rows, 3);
    let text = |line: &str| line.rsplit_once(',').map(|it| format!("{}\n", it.0));
    lines.lines().filter_map(text).collect()
}

/// What it says beside the model that it began with.
fn learnt(done: &Done) -> bool {
    let of = |metrics: &std::collections::BTreeMap<String, f64>| metrics["perplexity"];
    done.baseline.is_of_base() && of(&done.scores.metrics) < 0.2 * of(&done.baseline.metrics)
}

#[test]
fn texts_without_labels_make_a_model_that_guesses_what_is_hidden() {
    let mut run = Run::new(MASKED, &texts(400));
    let done = run.complete();
    assert_eq!(
        (done.task.as_str(), done.metric.as_str()),
        ("masked-language-modeling", "perplexity")
    );
    assert!(learnt(&done), "{:?} after {:?}", done.scores.metrics, done.baseline.metrics);
    assert!((done.scores.loss.exp() - done.score).abs() < 1e-6 * done.score, "{done:?}");
    assert!(done.summary().contains("The base model as it was would score"), "{}", done.summary());
    let found = predicted(&run, &["the movie 7 [MASK] good", "the movie 7 was good"]);
    assert_eq!(found[0]["masks"][0][0]["token_str"], "was", "{}", found[0]);
    let perplexity = found[1]["perplexity"].as_f64().unwrap();
    assert!(1.0 <= perplexity && perplexity.is_finite(), "{}", found[1]);
    let card = fs::read_to_string(run.folder().join("model/README.md")).unwrap();
    assert!(card.contains("pipeline(\"fill-mask\""), "{card}");
    let config: serde_json::Value = run.json("model/config.json");
    assert_eq!(config["architectures"][0], "BertForMaskedLM");
}

#[test]
fn killed_twice_a_language_model_is_the_same_bit_for_bit() {
    let csv = texts(300);
    let mut calm = Run::new(MASKED, &csv).with_threads(2);
    let undisturbed = calm.complete();
    let mut killed = Run::new(MASKED, &csv).with_threads(2);
    killed_at(&mut killed, [10, 30]);
    assert!(!killed.folder().join(run_folder::TRAINED).exists(), "it was killed in the middle");
    let done = killed.complete();
    assert_eq!(done.proof.model_hash, undisturbed.proof.model_hash);
    assert_eq!(done.scores, undisturbed.scores);
}

#[test]
fn a_folder_of_books_is_read_in_passages() {
    let book = |seed: u64| -> String {
        let lines = sentences(500, seed);
        lines
            .lines()
            .skip(1)
            .filter_map(|it| it.rsplit_once(','))
            .map(|it| it.0.to_owned() + ".\n")
            .collect()
    };
    let recipe = "task = 'masked-language-modeling'\ntrain.epochs = 1\n";
    let mut run = Run::with_drop(&tiny_bert(), recipe, "books", |drop| {
        fs::create_dir_all(drop.join("test")).unwrap();
        fs::create_dir_all(drop.join("train/old")).unwrap();
        fs::write(drop.join("train/old/a.txt"), book(1)).unwrap();
        fs::write(drop.join("train/b.txt"), book(2)).unwrap();
        fs::write(drop.join("test/c.txt"), book(3)).unwrap();
    });
    let done = run.complete();
    let plan: Plan = run.json(run_folder::PLAN);
    // Each line has eight tokens at least, and a passage has room for 62.
    assert!(2 * 500 * 8 / 62 < plan.data.train + plan.data.validation, "{:?}", plan.data);
    assert_eq!(done.scores.examples, plan.data.test);
    let warnings = run.json::<serde_json::Value>(run_folder::DATA)["warnings"].to_string();
    assert!(warnings.contains("passages of at most 64 tokens"), "{warnings}");
    let rows = fs::read_to_string(run.folder().join(run_folder::PREDICTIONS)).unwrap();
    assert!(rows.starts_with("file,line,text,tokens,perplexity,token_accuracy"), "{rows}");
}

#[test]
fn what_a_language_model_can_not_use_is_refused_by_name() {
    let refused = |recipe: &str, part: &str| {
        let recipe = format!("task = 'masked-language-modeling'\n{recipe}");
        let failure = Run::new(&recipe, &sentences(60, 1)).failed(Action::Train).failure;
        let spoken = failure.to_string();
        assert!(spoken.contains(part), "{spoken}");
    };
    refused("data.label = 'label'", "leave data.label out of the recipe");
    refused("train.method = 'probe'", "train.method is `probe`");
    refused("train.class_weights = 'auto'", "train.class_weights");
    refused("eval.best = 'macro_f1'", "macro_f1");
    refused("data.text = ['text', 'label']", "data.text names 2 columns");
}

pub const CAUSAL: &str = r#"
task = "causal-language-modeling"
[data]
test = 0.2
[train]
epochs = 4
batch = 16
lr = 3e-3
[save]
every_steps = 10
"#;

#[test]
fn texts_without_labels_make_a_model_that_goes_on_with_them() {
    let mut run = Run::with_base(&tiny_llama(), CAUSAL, &texts(400));
    let done = run.complete();
    assert!(learnt(&done), "{:?} after {:?}", done.scores.metrics, done.baseline.metrics);
    let bits = done.scores.metrics["bits_per_byte"];
    assert!(0.0 < bits && bits < 4.0, "{bits}");
    let found = &predicted(&run, &["the movie 7"])[0];
    assert_eq!(found["finish_reason"], "stop", "it has learnt that texts end: {found}");
    assert!(found["generated_text"].as_str().unwrap().starts_with(" was"), "{found}");
    let again = predicted(&run, &["the movie 7", "--temperature", "0.8", "--seed", "3"]);
    assert_eq!(again, predicted(&run, &["the movie 7", "--temperature", "0.8", "--seed", "3"]));
    let short = &predicted(&run, &["the movie 7", "--max-new-tokens", "1"])[0];
    assert_eq!((&short["tokens"], &short["finish_reason"]), (&1.into(), &"length".into()));
    let config: serde_json::Value = run.json("model/config.json");
    assert_eq!(config["architectures"][0], "LlamaForCausalLM");
    let mut chat = Command::new(binary("finetuned"));
    let chat = chat.arg("chat").arg(run.folder()).stdin(Stdio::null()).output().unwrap();
    let complaint = String::from_utf8_lossy(&chat.stderr);
    assert!(!chat.status.success() && complaint.contains("finetuned predict"), "{complaint}");
}

/// Answers that say which kind of word stands in the question.
fn conversations(rows: u32) -> String {
    let mut lines = String::new();
    for (nth, line) in sentences(rows, 5).lines().skip(1).enumerate() {
        let (text, label) = line.rsplit_once(',').unwrap();
        let messages = serde_json::json!([
            { "role": "user", "content": format!("{nth} {text}") },
            { "role": "assistant", "content": if label == "positive" { "good" } else { "bad" } },
        ]);
        lines += &format!("{}\n", serde_json::json!({ "messages": messages }));
    }
    lines
}

fn talks(recipe: &str, lines: &str) -> Run {
    Run::with_drop(&tiny_llama(), recipe, "talks.jsonl", |path| fs::write(path, lines).unwrap())
}

const TALKS: &str = r#"
[data]
test = 0.2
[train]
precision = "fp32"
epochs = 12
batch = 16
lr = 1e-2
[save]
every_steps = 10
"#;

#[test]
fn conversations_make_a_model_that_answers_and_stops() {
    // Until it has understood what the answers follow.
    let mut run = talks(&TALKS.replace("epochs = 12", "epochs = 30"), &conversations(600));
    let done = run.complete();
    assert_eq!(done.task, "text-generation", "a list of messages says it");
    assert!(learnt(&done), "{:?} after {:?}", done.scores.metrics, done.baseline.metrics);
    assert!(0.85 < done.scores.metrics["token_accuracy"], "{:?}", done.scores.metrics);
    let found = &predicted(&run, &["7 the movie was lovely"])[0];
    assert_eq!(found["generated_text"].as_str().unwrap().trim(), "good", "{found}");
    assert_eq!(found["finish_reason"], "stop", "{found}");
    let ends: serde_json::Value = run.json("model/generation_config.json");
    assert_eq!(ends["eos_token_id"], 2);
    let card = fs::read_to_string(run.folder().join("model/README.md")).unwrap();
    assert!(card.contains("pipeline(\"text-generation\""), "{card}");
    says_before_and_after(&run);
    is_talked_with(&run);
}

/// One line after the other goes through a pipe, as a person's would; answers come as they grow.
fn is_talked_with(run: &Run) {
    let talk = |flags: &[&str], input: &str| {
        let mut command = Command::new(binary("finetuned"));
        command.arg("chat").arg(run.folder()).args(flags);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        let out = child.wait_with_output().unwrap();
        let [stdout, stderr] = [out.stdout, out.stderr].map(|it| String::from_utf8(it).unwrap());
        (out.status.success(), stdout, stderr)
    };
    let (ended_well, answers, _) =
        talk(&[], "7 the movie was lovely\n\n/new\n7 the movie was lovely\n");
    let lines: Vec<&str> = answers.lines().map(str::trim).filter(|it| !it.is_empty()).collect();
    assert!(ended_well && lines == ["good", "good"], "{answers:?}");
    let flags = ["--json", "--system", "be short", "--max-new-tokens", "1"];
    let (_, answers, _) = talk(&flags, "7 the movie was lovely\nand again\n");
    let answers: Vec<serde_json::Value> =
        answers.lines().map(|it| serde_json::from_str(it).unwrap()).collect();
    assert_eq!(answers.len(), 2, "{answers:?}");
    assert!(answers.iter().all(|it| it["tokens"] == 1), "{answers:?}");
    // What is too long is no end of the conversation.
    let long = format!("{}\n7 the movie was lovely\n", "the movie was lovely ".repeat(2_000));
    let (ended_well, answers, complaint) = talk(&[], &long);
    assert!(ended_well && answers.trim() == "good", "{answers:?}");
    assert!(complaint.contains("tokens"), "{complaint}");
}

/// Samples stand in their file and in the report; of texts from the data the card has none.
fn says_before_and_after(run: &Run) {
    let lines = fs::read_to_string(run.folder().join(run_folder::SAMPLES)).unwrap();
    let samples: Vec<Sample> = lines.lines().map(|it| serde_json::from_str(it).unwrap()).collect();
    assert_eq!(samples.len(), 20);
    let exact = |text: fn(&Sample) -> &str| {
        samples.iter().filter(|it| text(it).trim() == it.reference.trim()).count()
    };
    assert_eq!(exact(|it| &it.before), 0, "{lines}");
    assert!(15 <= exact(|it| &it.after), "{lines}");
    assert!(samples.iter().all(|it| it.prompt.contains(" was ")), "{lines}");
    let read = |file: &str| fs::read_to_string(run.folder().join(file)).unwrap();
    let (report, card) = (read("report.html"), read("model/README.md"));
    assert!(report.contains("20 held-out texts were gone on with"), "{report}");
    assert!(card.contains("20 held-out texts were gone on with"), "{card}");
    assert!(report.contains(samples[0].prompt.trim()) && !card.contains(samples[0].prompt.trim()));
}

#[test]
fn a_model_that_answers_is_the_same_bit_for_bit_after_kills_and_with_an_adapter_left() {
    let recipe = format!("{TALKS}adapter = true\n[adapter]\nr = 4\nlora_dropout = 0.1\n");
    let lines = conversations(200);
    let mut calm = talks(&recipe, &lines).with_threads(2);
    let undisturbed = calm.complete();
    let mut killed = talks(&recipe, &lines).with_threads(2);
    killed_at(&mut killed, [10, 40]);
    let done = killed.complete();
    assert_eq!(done.proof.model_hash, undisturbed.proof.model_hash);
    assert_eq!(done.scores, undisturbed.scores);
    let config: serde_json::Value = calm.json("model/adapter_config.json");
    assert_eq!(config["task_type"], "CAUSAL_LM");
    assert_eq!(predicted(&calm, &["7 the movie"]), predicted(&killed, &["7 the movie"]));
}

#[test]
fn a_base_without_a_chat_template_gets_one_that_stays_with_the_model() {
    let base = tempfile::tempdir().unwrap();
    for file in ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"] {
        fs::copy(tiny_llama().join(file), base.path().join(file)).unwrap();
    }
    let mut run = Run::with_drop(base.path(), TALKS, "talks.jsonl", |path| {
        fs::write(path, conversations(200)).unwrap();
    });
    run.complete();
    let warnings = run.json::<serde_json::Value>(run_folder::DATA)["warnings"].to_string();
    assert!(warnings.contains("learnt in Alpaca's form"), "{warnings}");
    let template = fs::read_to_string(run.folder().join("model/chat_template.jinja")).unwrap();
    assert!(template.contains("### Response:"), "{template}");
    let found = &predicted(&run, &["7 the movie was lovely"])[0];
    assert_eq!(found["finish_reason"], "stop", "{found}");
}

#[test]
fn conversations_that_teach_nothing_are_put_aside_or_refused() {
    let bad = [
        r#"{"messages": [{"role": "assistant", "content": "a"}]}"#,
        r#"{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": ""}]}"#,
        r#"{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}, {"role": "assistant", "content": "c"}]}"#,
    ];
    let lines = conversations(100) + &bad.join("\n");
    let mut run = talks("train.epochs = 1", &lines);
    run.complete();
    let aside = fs::read_to_string(run.folder().join("quarantine.jsonl")).unwrap();
    for part in ["message 1 answers nothing", "message 2, an answer, is empty", "a second answer"] {
        assert!(aside.contains(part), "{aside}");
    }
    let encoder = Run::with_drop(&tiny_bert(), "", "talks.jsonl", |path| {
        fs::write(path, conversations(60)).unwrap();
    })
    .failed(Action::Train);
    let spoken = encoder.failure.to_string();
    assert!(spoken.contains("sees a text as a whole") && spoken.contains("SmolLM2"), "{spoken}");
    let none = "train.on = 'all'\n";
    let of_texts = Run::new(none, &sentences(60, 1)).failed(Action::Train);
    let recipe = format!("task = 'causal-language-modeling'\n{none}");
    let of_passages = Run::with_base(&tiny_llama(), &recipe, &texts(60)).failed(Action::Train);
    for failed in [of_texts, of_passages] {
        assert!(failed.failure.message.contains("these are none"), "{}", failed.failure);
    }
}
