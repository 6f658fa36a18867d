//! Decides what the model's `README.md` says: the metadata that the Hugging Face Hub reads from
//! model cards, then the same facts in sentences. It may be published, so no text of the data set
//! stands in it, and no path of this machine.

use crate::recipe_text;
use crate::story::{Story, Verdict};
use crate::templates;
use anyhow::Result;
use finetuned_job::plan::{ModelPlan, Plan};
use finetuned_job::recipe::Gguf;
use finetuned_job::scores::ClassScores;
use minijinja::value::Serde;
use minijinja::{Value, context};

/// The model card: YAML metadata, then Markdown. Metadata that is not known (licence, language, a
/// base that is no Hub model) is left out rather than guessed.
pub fn model_card(story: &Story) -> Result<String> {
    let done = story.done;
    let base_id = hub_id(&story.plan.model.base).or(hub_id(story.plan.model.whole_base()));
    let public = Plan {
        model: ModelPlan { base: story.base_name(), ..story.plan.model.clone() },
        ..story.plan.clone()
    };
    let context = context! {
        plan => Serde(story.plan),
        data => Serde(story.data),
        done => Serde(done),
        license => story.license,
        base_id,
        base_name => story.base_name(),
        summary => done.summary(),
        probe_sentence => story.probe_sentence(),
        refit_sentence => story.refit_sentence(),
        groups_sentence => story.groups_sentence(),
        thresholds => story.thresholds(),
        samples_sentence => story.samples_sentence(),
        metrics => metrics(story),
        card_metrics => hub_metrics(story),
        recipe => recipe_text::recipe(&public, story.data)?,
        verdict => if story.verdict() == Verdict::NotBetter { "not_better" } else { "" },
        weakest => weakest(&done.scores.per_class).map(Serde),
        noun => story.noun(),
        texts => story.of_texts(),
        baseline_name => story.words().baseline,
        intervals => story.words().intervals,
        library => story.library(),
        usage => story.usage("path/to/this/folder")?,
        plugin_head => plugin_head(story),
        gguf => story.plan.save.gguf.map(Gguf::file_name),
    };
    templates::render("card.md", context)
}

/// `OWNER/NAME` of a base on the Hub; nothing where it has letters that no such name has, for it
/// becomes a link.
fn hub_id(base: &str) -> Option<&str> {
    let id = base.strip_prefix("hf:")?;
    let id = id.split_once('@').map_or(id, |(id, _)| id);
    id.chars().all(|it| it.is_ascii_alphanumeric() || "-_./".contains(it)).then_some(id)
}

fn plugin_head(story: &Story) -> Option<Value> {
    let (name, plugin) = story.plugin_head()?;
    Some(context! { name, plugin => plugin.map(Serde), needed => story.needs_plugin() })
}

/// The Hub's name of a metric: `f1` for `macro_f1`.
fn hub_metric(name: &str) -> &str {
    match name {
        "macro_average_precision" => "average_precision",
        "r2" => "r_squared",
        "pearson" => "pearsonr",
        "spearman" => "spearmanr",
        _ => name.rsplit('_').next().unwrap_or(name),
    }
}

fn metric_names(story: &Story) -> Vec<String> {
    let mut names = vec![story.done.metric.clone()];
    let usual = story.words().card_metrics;
    for name in usual.iter().copied().chain(story.plan.eval.metrics.iter().map(String::as_str)) {
        if !names.iter().any(|it| it == name) {
            names.push(name.to_owned());
        }
    }
    names
}

fn metrics(story: &Story) -> Vec<Value> {
    let scores = &story.done.scores;
    let row = |name: String| {
        let value = finetuned_answers::value(scores, &name)?;
        let interval = scores.intervals.get(&name).map(Serde);
        let baseline = story.done.baseline.metrics.get(&name).copied();
        let probe = story.done.probe.as_ref().and_then(|it| it.metrics.get(&name).copied());
        Some(
            context! { type => hub_metric(&name), name => &name, value, interval, baseline, probe },
        )
    };
    metric_names(story).into_iter().filter_map(row).collect()
}

fn hub_metrics(story: &Story) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for name in metric_names(story) {
        let name = hub_metric(&name).to_owned();
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// The class of the lowest F1 among those that have examples.
fn weakest(classes: &[ClassScores]) -> Option<&ClassScores> {
    classes.iter().filter(|it| 0 < it.support).min_by(|a, b| a.f1.total_cmp(&b.f1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::html::tests::SampleRun;

    #[test]
    fn the_card_names_no_path_and_no_text_of_the_data() {
        let mut sample = SampleRun::tweets();
        sample.plan.model.base = "/home/someone/models/secret-bert/".into();
        let card = model_card(&sample.story()).unwrap();
        assert!(!card.contains("/home/someone"), "{card}");
        assert!(!card.contains(&sample.mistakes[0].input));
        assert!(card.contains("fine-tuned from secret-bert"));
        assert!(!card.contains("base_model:"));
    }

    #[test]
    fn the_metadata_is_what_the_hub_reads() {
        let mut sample = SampleRun::tweets();
        sample.plan.model.base = "hf:sentence-transformers/all-MiniLM-L6-v2@main".into();
        let card = model_card(&Story { license: Some("apache-2.0"), ..sample.story() }).unwrap();
        let metadata =
            card.strip_prefix("---\n").and_then(|it| it.split_once("\n---\n")).unwrap().0;
        expect_test::expect![[r#"
            license: "apache-2.0"
            base_model: "sentence-transformers/all-MiniLM-L6-v2"
            library_name: transformers
            pipeline_tag: text-classification
            tags:
            - finetuned
            - text-classification
            metrics:
            - "f1"
            - "accuracy"
            model-index:
            - name: "tweets.csv"
              results:
              - task:
                  type: text-classification
                  name: Text classification
                dataset:
                  type: "csv"
                  name: "tweets.csv"
                  split: "test"
                metrics:
                - type: "f1"
                  name: "macro F1"
                  value: 0.880282993364733
                - type: "accuracy"
                  name: "accuracy"
                  value: 0.8825
                - type: "f1"
                  name: "weighted F1"
                  value: 0.8827041888556528
        "#]]
        .assert_eq(&format!("{metadata}\n"));
    }

    #[test]
    fn names_from_users_cannot_break_out_of_metadata_or_table() {
        let mut sample = SampleRun::tweets();
        sample.done.name = "a\"\n---\nevil: true".into();
        sample.rename_class(0, "x | y\n# z <script>");
        let card = model_card(&sample.story()).unwrap();
        let metadata =
            card.strip_prefix("---\n").and_then(|it| it.split_once("\n---\n")).unwrap().0;
        assert!(metadata.contains(r#"- name: "a\"\n---\nevil: true""#), "{metadata}");
        assert!(card.contains(r"| x \| y \# z &lt;script\> |"), "{card}");
    }

    /// Front matter without what every card has.
    fn family(sample: &SampleRun) -> String {
        let card = model_card(&sample.story()).unwrap();
        let found = [
            "library_name",
            "pipeline_tag",
            "- image",
            "- timm",
            "- type",
            "type: image",
            "  name: Image",
        ];
        card.split("\n---\n")
            .next()
            .unwrap()
            .lines()
            .filter(|it| found.iter().any(|part| it.contains(part)))
            .map(|it| format!("{it}\n"))
            .collect()
    }

    #[test]
    fn the_metadata_says_what_the_model_does_and_which_library_opens_it() {
        expect_test::expect![[r#"
            library_name: timm
            pipeline_tag: image-classification
            - timm
            - image-classification
                  type: image-classification
                  name: Image classification
                - type: "f1"
                - type: "accuracy"
                - type: "f1"
        "#]]
        .assert_eq(&family(&SampleRun::pets()));
        expect_test::expect![[r#"
            library_name: timm
            pipeline_tag: image-classification
            - timm
            - image-classification
            - image-multi-label-classification
                  type: image-classification
                  name: Image multi-label classification
                - type: "average_precision"
                - type: "f1"
        "#]]
        .assert_eq(&family(&SampleRun::scenes()));
        expect_test::expect![[r#"
            library_name: timm
            - timm
            - image-regression
                  type: image-regression
                  name: Image regression
                - type: "r_squared"
                - type: "mae"
                - type: "rmse"
        "#]]
        .assert_eq(&family(&SampleRun::ages()));
    }

    #[test]
    fn the_snippet_is_of_the_library_that_opens_the_model() {
        let mut sample = SampleRun::scenes();
        let card = model_card(&sample.story()).unwrap();
        assert!(
            card.contains(r#"timm.create_model("local-dir:path/to/this/folder", pretrained=True)"#)
                && card.contains(".sigmoid()[0]"),
            "{card}"
        );
        sample.plan.model.preprocess.as_mut().unwrap().library =
            finetuned_images::Library::Transformers;
        let card = model_card(&sample.story()).unwrap();
        let snippet = card.split("```").nth(1).unwrap();
        expect_test::expect![[r#"
            python
            from PIL import Image
            from transformers import AutoImageProcessor, AutoModelForImageClassification

            prepare = AutoImageProcessor.from_pretrained("path/to/this/folder")
            model = AutoModelForImageClassification.from_pretrained("path/to/this/folder").eval()
            image = Image.open("image.jpg").convert("RGB")
            outputs = model(**prepare(image, return_tensors="pt")).logits.sigmoid()[0].tolist()
            print(dict(zip(model.config.id2label.values(), outputs)))
        "#]]
        .assert_eq(snippet);
        let card = model_card(&SampleRun::ages().story()).unwrap();
        assert!(
            !card.contains("sigmoid")
                && !card.contains("softmax")
                && card.contains("reads 2 numbers from an image (age, height\\_cm)"),
            "{card}"
        );
    }
}
