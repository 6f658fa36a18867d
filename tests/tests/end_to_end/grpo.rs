//! Stories of models that learn from their own answers, by what these are rewarded with.

use crate::answers::predicted;
use crate::attempt::{Run, copy_files, sentences, tiny_bert, tiny_llama};
use crate::plugin_jobs::samples;
use crate::preferences::reward_model;
use crate::training::killed_at;
use finetuned_job::event::Event;
use finetuned_job::outcome::{Done, Sample, Trained};
use finetuned_job::plan::Plan;
use finetuned_job::run_folder;
use finetuned_job::spec::Action;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

/// Questions beside what they should be answered with.
fn prompts(n: u32) -> String {
    let mut lines = String::new();
    for (nth, line) in sentences(n, 5).lines().skip(1).enumerate() {
        let (text, label) = line.rsplit_once(',').unwrap();
        lines += &format!("{}\n", json!({ "prompt": format!("{nth} {text}"), "answer": label }));
    }
    lines
}

fn run(recipe: &str, lines: &str) -> Run {
    Run::with_drop(&tiny_llama(), recipe, "prompts.jsonl", |path| fs::write(path, lines).unwrap())
}

/// Answers that begin with a digit.
const RECIPE: &str = r#"
task = "grpo"
[data]
test = 0.2
[grpo]
num_generations = 16
max_completion_length = 4
[train]
epochs = 4
batch = 8
accumulate = 1
lr = 1e-2
precision = "fp32"
[save]
every_steps = 5
[[reward]]
name = "regex"
pattern = '^[0-9]'
"#;

fn rewards(done: &Done) -> (f64, f64) {
    (done.baseline.metrics["reward"], done.scores.metrics["reward"])
}

fn read(run: &Run, file: &str) -> String {
    fs::read_to_string(run.folder().join(file)).unwrap()
}

#[test]
fn answers_become_what_is_rewarded() {
    let mut run = run(RECIPE, &prompts(200));
    let done = run.complete();
    assert_eq!((done.task.as_str(), done.metric.as_str()), ("grpo", "reward"));
    let (before, after) = rewards(&done);
    assert!(before < 0.2 && 0.8 < after, "{after} after {before}");
    assert!(done.baseline.is_of_base() && done.scores.loss == -after, "{done:?}");
    let answer = &predicted(&run, &["7 the movie 3 was lovely"])[0];
    let text = answer["generated_text"].as_str().unwrap().trim().to_owned();
    assert!(text.starts_with(|it: char| it.is_ascii_digit()), "{answer}");
    let sampled: Vec<_> = run
        .events()
        .into_iter()
        .filter_map(|it| if let Event::Step(step) = it { step.sampled } else { None })
        .collect();
    let (first, last) = (sampled.first().unwrap(), sampled.last().unwrap());
    assert!(first.reward < 0.5 * last.reward, "{first:?} {last:?}");
    let trained: Trained = run.json(run_folder::TRAINED);
    let groups = trained.groups.unwrap();
    assert_eq!(groups.all, sampled.iter().map(|it| it.groups).sum::<u64>());
    assert!(groups.without_variance < groups.all, "{groups:?}");
    // A reward is 0 or 1 here, so that wins less losses is what the mean has risen by.
    let wins = trained.wins.unwrap();
    let risen = (wins.won as f64 - wins.lost as f64) / wins.prompts as f64;
    assert!((risen - (after - before)).abs() < 1e-6, "{wins:?}, from {before} to {after}");
    says_what_was_learnt(&run);
}

/// In card, report, files of samples and predictions.
fn says_what_was_learnt(run: &Run) {
    let lines = read(run, run_folder::SAMPLES);
    let samples: Vec<Sample> = lines.lines().map(|it| serde_json::from_str(it).unwrap()).collect();
    assert_eq!(samples.len(), 20);
    assert!(samples.iter().all(|it| it.prompt.contains(" was ") && it.reference.is_empty()));
    let (card, report) = (read(run, "model/README.md"), read(run, "report.html"));
    assert!(card.contains("by what each was rewarded with (`regex`;"), "{card}");
    assert!(card.contains("pipeline_tag: text-generation"), "{card}");
    assert!(report.contains("were all rewarded alike"), "{report}");
    assert!(report.contains("20 held-out prompts were answered"), "{report}");
    assert!(report.contains("is rewarded more than the base"), "{report}");
    assert!(read(run, run_folder::PREDICTIONS).starts_with("file,line,prompt,reward,tokens,ended"));
    let plan: Plan = run.json(run_folder::PLAN);
    let text = finetuned_report_recipe(&card);
    let again = finetuned_job::recipe::Recipe::parse(&text).unwrap();
    assert_eq!(again.rewards, plan.train.grpo.unwrap().rewards);
    let config: Value = run.json("model/config.json");
    assert_eq!(config["architectures"][0], "LlamaForCausalLM");
}

/// The recipe that the card shows.
fn finetuned_report_recipe(card: &str) -> String {
    let from = card.split_once("```toml\n").unwrap().1;
    from.split_once("```").unwrap().0.to_owned()
}

#[test]
fn the_column_beside_a_prompt_is_what_its_answer_is_held_against() {
    // The same number stands beside every prompt: the model must find out which.
    let lines = prompts(120).replace("positive", "7").replace("negative", "7");
    let recipe = RECIPE.split("[[reward]]").next().unwrap().replace("epochs = 4", "epochs = 8");
    let number = "[[reward]]\nname = 'number'\n";
    let mut run = run(&format!("{recipe}{number}"), &lines);
    let done = run.complete();
    let (before, after) = rewards(&done);
    assert!(before < 0.2 && 0.8 < after, "{after} after {before}");
    let samples = read(&run, run_folder::SAMPLES);
    assert!(samples.lines().all(|it| it.contains(r#""reference":"7""#)), "{samples}");
}

#[test]
fn a_model_that_is_rewarded_is_the_same_bit_for_bit_after_kills() {
    let adapter = "[adapter]\nr = 4\nlora_dropout = 0.1\n";
    // Held against the base below the adapter; and several updates by one lot of answers.
    let held = RECIPE.replace("[train]", "beta = 0.05\n[train]").replace("lr = 1e-2", "lr = 3e-2");
    let twice = RECIPE.replace("[train]", "num_iterations = 2\ntemperature = 0.9\n[train]");
    for recipe in [format!("{held}{adapter}"), twice] {
        let lines = prompts(100);
        let mut calm = run(&recipe, &lines).with_threads(2);
        let undisturbed = calm.complete();
        let mut killed = run(&recipe, &lines).with_threads(2);
        killed_at(&mut killed, [10, 20]);
        assert!(!killed.folder().join(run_folder::TRAINED).exists(), "it was killed in the middle");
        let done = killed.complete();
        assert_eq!(done.proof.model_hash, undisturbed.proof.model_hash);
        assert_eq!(done.scores, undisturbed.scores);
        let groups = |run: &Run| run.json::<Trained>(run_folder::TRAINED).groups;
        assert_eq!(groups(&killed), groups(&calm));
    }
}

const BY_PLUGIN: &str = "[[reward]]\nname = 'keywords'\n[plugins]\nload = ['keywords']\n";

#[test]
fn a_plugin_rewards_answers_and_its_errors_end_the_job() {
    let folder = samples(&["keywords"]);
    let lines = |keywords: Value| -> String {
        let row = |it: u32| json!({ "prompt": format!("{it} and the book"), "keywords": keywords });
        (0..150).map(|it| format!("{}\n", row(it))).collect()
    };
    let recipe = RECIPE.split("[[reward]]").next().unwrap().to_owned() + BY_PLUGIN;
    let mut good = run(&recipe, &lines(json!(["good"]))).with_plugins(folder.path());
    let done = good.complete();
    let (before, after) = rewards(&done);
    assert!(before < 0.2 && 0.8 < after, "{after} after {before}");
    let plan: Plan = good.json(run_folder::PLAN);
    assert_eq!(
        (&*plan.plugins[0].uses[0].kind, &*plan.plugins[0].uses[0].name),
        ("reward", "keywords")
    );
    assert!(read(&good, "model/README.md").contains("rewarded with (`keywords`"));

    let mut empty = run(&recipe, &lines(json!([]))).with_plugins(folder.path());
    let failure = empty.failed(Action::Train).failure.to_string();
    let part = "the reward keywords of the plugin keywords can't go on in reward: `keywords` is [], which holds no words";
    assert!(failure.contains(part) && failure.contains("prompts.jsonl line "), "{failure}");
    let none = recipe.replace("name = 'keywords'", "name = 'keyword'");
    let mut unknown = run(&none, &lines(json!(["good"]))).with_plugins(folder.path());
    let failure = unknown.failed(Action::Train).failure.to_string();
    assert!(failure.contains("no reward `keyword` is there"), "{failure}");
}

#[test]
fn a_reward_model_rewards_answers() {
    let (judge, _) = reward_model();
    let model = judge.folder().join("model");
    let with = |model: &Path| {
        let recipe = RECIPE.split("[[reward]]").next().unwrap();
        format!("{recipe}[[reward]]\nmodel = {:?}\nweight = 0.5\n", model.display().to_string())
    };
    let mut rewarded = run(&with(&model), &prompts(150));
    let done = rewarded.complete();
    let (before, after) = rewards(&done);
    assert!(before + 0.5 < after, "{after} after {before}");
    let plan: Plan = rewarded.json(run_folder::PLAN);
    assert_eq!(plan.train.grpo.unwrap().reward_models.len(), 1);
    let card = read(&rewarded, "model/README.md");
    assert!(card.contains(&format!("rewarded with (`{}`", model.display())), "{card}");

    // What a held-out answer was rewarded with is what the reward model says of it.
    let rows = read(&rewarded, run_folder::PREDICTIONS);
    let (asked, numbers) = rows.lines().nth(1).unwrap().rsplit_once("}\",").unwrap();
    let line: usize = asked.split(',').nth(1).unwrap().parse().unwrap();
    let lines = prompts(150);
    let row: Value = serde_json::from_str(lines.lines().nth(line - 1).unwrap()).unwrap();
    let prompt = row["prompt"].as_str().unwrap();
    let reward: f64 = numbers.split(',').next().unwrap().parse().unwrap();
    let answer =
        predicted(&rewarded, &["--max-new-tokens", "4", prompt])[0]["generated_text"].clone();
    let talk =
        json!([{ "role": "user", "content": prompt }, { "role": "assistant", "content": answer }]);
    let found = predicted(&judge, &[&talk.to_string()])[0]["reward"].as_f64().unwrap();
    assert!((0.5 * found - reward).abs() < 1e-4, "{found} and {reward}: {talk}");

    let none = run(&with(&tiny_llama()), &prompts(60)).failed(Action::Train).failure.to_string();
    assert!(none.contains("is no reward model"), "{none}");
    fs::remove_file(model.join("chat_template.jinja")).unwrap();
    let silent = run(&with(&model), &prompts(60)).failed(Action::Train).failure.to_string();
    assert!(silent.contains("has no chat template"), "{silent}");
}

#[test]
fn a_drop_names_reward_models_that_lie_in_it() {
    let (judge, _) = reward_model();
    let dropped = |named: &str| {
        let recipe = RECIPE.replace("epochs = 4", "epochs = 1");
        let recipe = recipe.split("[[reward]]").next().unwrap();
        let recipe = format!("model.base = 'tiny'\n{recipe}[[reward]]\nmodel = {named:?}\n");
        Run::with_drop(&tiny_llama(), "", "drop", |drop| {
            copy_files(&tiny_llama(), &drop.join("tiny"));
            copy_files(&judge.folder().join("model"), &drop.join("judge"));
            fs::write(drop.join("prompts.jsonl"), prompts(60)).unwrap();
            fs::write(drop.join("job.toml"), recipe).unwrap();
        })
    };
    let mut within = dropped("judge");
    within.complete();
    let elsewhere = judge.folder().join("model").display().to_string();
    let failure = dropped(&elsewhere).failed(Action::Train).failure.to_string();
    assert!(failure.starts_with("reward.model: the drop's recipe names"), "{failure}");
}

#[test]
fn a_drop_of_prompts_is_checked_without_training() {
    let mut run = run(RECIPE, &prompts(60));
    assert!(run.finish(Action::Check).success(), "{}", run.log());
    let data: Value = run.json(run_folder::DATA);
    assert_eq!((&data["task"], &data["input_columns"][0]), (&json!("grpo"), &json!("prompt")));
    let plan: Plan = run.json(run_folder::PLAN);
    assert_eq!(plan.train.grpo.unwrap().choice.num_generations, 16);
}

#[test]
fn what_would_teach_nothing_or_the_wrong_thing_is_refused() {
    let refused = |recipe: &str, part: &str| {
        let failure = run(recipe, &prompts(60)).failed(Action::Train).failure.to_string();
        assert!(failure.contains(part), "{failure}");
    };
    let with = |rest: &str| format!("task = 'grpo'\n{rest}");
    refused(&with(""), "has no [[reward]]");
    refused(
        &with("[[reward]]\nname = 'number'\nfield = 'solution'"),
        "a reward reads the column `solution`, but beside the prompts stand answer",
    );
    refused(&with("[[reward]]\nname = 'number'"), "`answer` has no number");
    refused(&with("[[reward]]\nname = 'regex'\npattern = '('"), "unclosed group");
    refused(&with("train.beta = 0.1\n[[reward]]\nname = 'json'"), "set grpo.beta");
    refused(&with("grpo.beta = 0.1\n[[reward]]\nname = 'json'"), "add an [adapter] table");
    refused(&with("train.refit = true\ndata.test = 0.2\n[[reward]]\nname = 'json'"), "train.refit");
    refused(
        &with("grpo.max_completion_length = 128\n[[reward]]\nname = 'json'"),
        "have 128 tokens together",
    );
    refused(
        "task = 'text-generation'\ndata.text = ['prompt', 'answer']\n[grpo]",
        "task is `text-generation`",
    );
    // Nothing that this model says is JSON.
    let alike = RECIPE.split("[[reward]]").next().unwrap().to_owned();
    refused(
        &format!("{alike}[[reward]]\nname = 'json'\n"),
        "were all rewarded alike, with 0 in the mean",
    );
    let encoder = Run::with_drop(&tiny_bert(), RECIPE, "prompts.jsonl", |path| {
        fs::write(path, prompts(60)).unwrap();
    })
    .failed(Action::Train);
    assert!(encoder.failure.message.contains("sees a text as a whole"), "{}", encoder.failure);
    let labelled = with("data.label = 'answer'\n[[reward]]\nname = 'json'");
    refused(&labelled, "leave data.label out of the recipe");
}

#[test]
fn prompts_that_can_not_be_answered_are_put_aside_or_named() {
    let bad = [
        json!({ "prompt": [{ "role": "user", "content": "a" }, { "role": "assistant", "content": "b" }], "answer": "1" }),
        json!({ "prompt": "is it good ".repeat(60), "answer": "1" }),
        json!({ "prompt": "and this one", "answer": null }),
    ];
    let bad: String = bad.iter().map(|it| format!("{it}\n")).collect();
    let exact = "[[reward]]\nname = 'exact_match'\nweight = 0.1\n";
    let recipe = format!("{}{exact}", RECIPE.replace("epochs = 4", "epochs = 1"));
    let mut run = run(&recipe, &(prompts(60) + &bad));
    run.complete();
    assert!(read(&run, "quarantine.jsonl").contains("the prompt ends with an answer"));
    let warnings = run.json::<Value>(run_folder::DATA)["warnings"].to_string();
    for part in ["prompts left out: 2", "line 62: ", "leave no room", "line 63: `answer` is empty"]
    {
        assert!(warnings.contains(part), "{warnings}");
    }
}
