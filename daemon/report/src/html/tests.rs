//! What a report must hold.

mod sample_run;

use super::*;
use finetuned_answers::{Mark, Segment};
use finetuned_job::outcome::Sample;
use finetuned_job::scores::Split;
use finetuned_job::task::{Answer, Modality, Task};
pub(crate) use sample_run::SampleRun;

/// Where `REPORT_SAMPLES` names a folder, the report is left there to be looked at.
fn report(name: &str, story: &Story) -> String {
    let text = html(story).unwrap();
    if let Some(folder) = std::env::var_os("REPORT_SAMPLES") {
        let folder = std::path::Path::new(&folder);
        std::fs::write(folder.join(format!("{name}.html")), &text).unwrap();
        std::fs::write(folder.join(format!("{name}.md")), crate::model_card(story).unwrap())
            .unwrap();
        crate::tensorboard(story.events, &folder.join(format!("{name}.tensorboard"))).unwrap();
    }
    text
}

#[test]
fn the_report_says_what_was_reached_and_why_to_believe_it() {
    let sample = SampleRun::tweets();
    let text = report("tweets", &sample.story());
    let score = format!("{:.3}", sample.done.score);
    assert!(
        text.contains(&format!(
            "scores <b>{score}</b> macro\u{a0}F1 on 400 held-out test examples"
        )),
        "{text}"
    );
    for part in [
        "Always answering “neutral” would score",
        "scored the same",
        "Confusion matrix",
        "tweets.csv:17",
        "windows-1252",
        "classifier.weight",
    ] {
        assert!(text.contains(part), "{part}");
    }
    assert_eq!(text.matches("<svg ").count(), 5);
    assert_eq!(text, html(&sample.story()).unwrap());
}

#[test]
fn the_report_asks_nothing_of_the_network_and_runs_nothing() {
    let text = html(&SampleRun::tweets().story()).unwrap();
    for part in ["http://", "https://", "<script", "<link", "<img", "@import", "url(", "onclick"] {
        let found = text.replace("http://www.w3.org/2000/svg", "").find(part);
        assert_eq!(found, None, "{part}");
    }
    assert!(text.contains("default-src 'none'"));
}

#[test]
fn text_from_users_stays_text() {
    const EVIL: &str = "\"><script>alert(1)</script>&amp;'";
    let mut sample = SampleRun::tweets();
    sample.rename_class(1, EVIL);
    sample.done.name = EVIL.into();
    sample.data.source = EVIL.into();
    sample.data.files[0].path = EVIL.into();
    sample.data.label_column = Some(EVIL.into());
    sample.data.quarantined.shown[0].reason = EVIL.into();
    sample.data.warnings[0] = EVIL.into();
    sample.plan.data.classes[0] = EVIL.into();
    sample.plan.model.base = EVIL.into();
    sample.mistakes[0].input = EVIL.into();
    sample.mistakes[0].file = EVIL.into();
    let text = report("evil", &sample.story());
    assert!(!text.contains("<script"), "escaped nowhere?");
    assert!(10 <= text.matches("&lt;script&gt;").count() + text.matches("&lt;script>").count());
}

#[test]
fn parts_of_an_input_are_marked_right_or_wrong() {
    let mut sample = SampleRun::tweets();
    let segment = |text: &str, marks: &[(Mark, &str)]| Segment {
        text: text.into(),
        marks: marks.iter().map(|it| (it.0, it.1.to_owned())).collect(),
    };
    sample.mistakes[0].marked = vec![
        segment("Anna", &[(Mark::Right, "PER")]),
        segment("saw", &[]),
        segment("New <York>", &[(Mark::Missed, "LOC"), (Mark::Spurious, "ORG")]),
    ];
    let text = report("marked", &sample.story());
    for part in [
        r#"<mark class="right">Anna <small>PER right</small></mark> saw "#,
        r#"<mark class="missed both">New &lt;York"#,
        "<small>LOC missed</small> <small>ORG spurious</small></mark>",
    ] {
        assert!(text.contains(part), "{part}");
    }
}

#[test]
fn a_report_about_images_holds_them_and_still_asks_nothing_of_the_network() {
    let mut sample = SampleRun::pets();
    sample.data.images.as_mut().unwrap().sheets.push(sample.sheets[0].0.clone());
    let text = report("pets", &sample.story());
    assert!(text.contains("; img-src data:"));
    let images: Vec<&str> = text.split("<img src=\"").skip(1).collect();
    // Contact sheets of seven classes, two of suspicious images, the strip, and one for each
    // mistake.
    assert_eq!(images.len(), 7 + 2 + 1 + sample.mistakes.len());
    assert!(images.iter().all(|it| it.starts_with("data:image/png;base64,iVBOR")));
    for part in [
        "top5 accuracy",
        "Average precision",
        "31 pairs of images that look alike: 4 across splits",
        "copy of &quot;IMG 0001&quot;.JPG",
        "224 × 224 pixels, bicubic",
        "a random 50 to 100\u{a0}% of the area, flipped left to right with probability\u{a0}0.5",
        "Look alike, pair by pair",
        "1 more contact sheet would make",
        "local-dir:model",
        "Confusion matrix",
    ] {
        assert!(text.contains(part), "{part}");
    }
    for part in
        ["Tokens a second", "Padding saved", "Empty texts", "Longest text", "http://", "https://"]
    {
        assert!(!text.replace("http://www.w3.org/2000/svg", "").contains(part), "{part}");
    }
}

#[test]
fn several_labels_have_average_precisions_and_no_matrix() {
    let text = report("scenes", &SampleRun::scenes().story());
    for part in [
        "macro average precision",
        "Average precision",
        "A label is predicted from",
        "commonest labels",
        "car | person",
        ".sigmoid()",
    ] {
        assert!(text.contains(part), "{part}");
    }
    assert!(!text.contains("Confusion matrix") && !text.contains("Confused most"));
}

#[test]
fn what_a_language_model_says_stands_in_the_report_and_only_its_score_in_the_card() {
    let mut sample = SampleRun::tweets();
    assert!(!report("tweets", &sample.story()).contains("Before and after"));
    sample.plan.task = Task::of(Modality::Chat, Answer::Tokens).unwrap();
    sample.plan.data.problem = Answer::Tokens;
    let sample_of = |prompt: &str, before: &str| Sample {
        prompt: prompt.into(),
        reference: "It is <four>.".into(),
        before: before.into(),
        after: "It is <four>.".into(),
    };
    let long = "ab ".repeat(300) + "what is 2 + 2?";
    sample.samples = vec![sample_of(&long, "I see."), sample_of("2 + 2", "It is <four>.")];
    let story = sample.story();
    let text = report("talks", &story);
    let sentence = "2 held-out texts were gone on with: chrF ";
    let words = "100.0 by the finished model; ROUGE-L 0.500 and 1.000; exactly";
    for part in [sentence, words, "It is &lt;four&gt;.", "what is 2 + 2?"] {
        assert!(text.contains(part), "{part}");
    }
    assert!(text.contains("exactly what stands there 1 and 2 times"));
    let card = crate::model_card(&story).unwrap();
    assert!(card.contains(sentence) && !card.contains("four"), "{card}");
    assert!(card.contains("answers as the conversations do"), "{card}");
}

#[test]
fn numbers_have_a_table_and_an_image_each() {
    let sample = SampleRun::ages();
    let text = report("ages", &sample.story());
    for part in [
        "By number",
        "Said over true",
        "height_cm",
        "Over the training examples.",
        "off by",
        "in ages.csv:",
        "2 numbers",
    ] {
        assert!(text.contains(part), "{part}");
    }
    assert!(
        !text.contains("Confusion matrix")
            && !text.contains("By class")
            && !text.contains("<h3>Classes</h3>")
    );
    assert_eq!(text.matches("<svg ").count(), 4 + 2);
}

#[test]
fn a_smaller_error_than_the_baselines_is_the_better_one() {
    let mut sample = SampleRun::ages();
    sample.done.metric = "mae".into();
    sample.done.score = sample.done.scores.metrics["mae"];
    let text = html(&sample.story()).unwrap();
    assert!(text.contains("better than the mean") && !text.contains("class=\"gauge\""));
}

#[test]
fn plugins_are_named_with_version_and_hash() {
    let mut sample = SampleRun::pets();
    sample.plan.model.head = finetuned_job::recipe::Head::Plugin("cosine".into());
    sample.trained.head = sample.plan.model.head.clone();
    sample.plan.plugins = vec![finetuned_job::plan::PluginPlan {
        name: "margins".into(),
        version: "0.2.1".into(),
        hash: "77aa".repeat(16),
        uses: vec![finetuned_job::plan::PluginUse {
            kind: "head".into(),
            name: "cosine".into(),
            settings: serde_json::from_str("{\"scale\":16}").unwrap(),
        }],
    }];
    let text = report("plugins", &sample.story());
    for part in [
        "margins",
        "0.2.1",
        "head cosine",
        "{&quot;scale&quot;:16}",
        "is a plugin's",
        &"77aa".repeat(16),
    ] {
        assert!(text.contains(part), "{part}");
    }
    let card = crate::model_card(&sample.story()).unwrap();
    assert!(
        card.contains("Its head is cosine of the plugin margins 0.2.1")
            && !card.contains("```python"),
        "{card}"
    );
    // A head that turned out to be a linear map is the family's own in the files.
    sample.trained.head = finetuned_job::recipe::Head::Linear;
    let card = crate::model_card(&sample.story()).unwrap();
    assert!(
        card.contains("trained with the head cosine of the plugin margins 0.2.1")
            && card.contains("```python"),
        "{card}"
    );
    assert!(!report("plugins", &sample.story()).contains("is a plugin's"));
}

#[test]
fn fifty_classes_of_long_names_have_a_report() {
    let text = report("fifty", &SampleRun::fifty().story());
    assert!(text.contains("matrix dense"));
    assert!(text.contains("Confused most"));
    assert!(text.len() < 600_000, "{}", text.len());
}

#[test]
fn a_thousand_classes_get_the_commonest_confusions_instead_of_a_matrix() {
    let mut sample = SampleRun::tweets();
    sample.done.scores.confusion = vec![vec![0; 1_000]; 1_000];
    sample.done.scores.confusion[1][2] = 5;
    let text = html(&sample.story()).unwrap();
    assert!(!text.contains("Confusion matrix"));
    assert!(text.contains("Confused most"));
}

#[test]
fn a_run_with_nothing_to_draw_still_has_a_report() {
    let mut sample = SampleRun::tweets();
    sample.events.clear();
    sample.mistakes.clear();
    sample.data.tokens = None;
    sample.data.text_column = None;
    sample.done.scores.intervals.clear();
    sample.done.baseline.metrics.clear();
    sample.done.metric = "loss".into();
    sample.done.split = Split::Validation;
    sample.plan.eval.metrics.clear();
    let text = html(&sample.story()).unwrap();
    assert!(
        text.contains("a little optimistic")
            && text.contains("every example of the validation split was right")
    );
    assert!(!text.contains("<svg"));
    crate::model_card(&sample.story()).unwrap();
}

#[test]
fn a_model_that_scored_otherwise_after_loading_is_called_so() {
    let mut sample = SampleRun::tweets();
    sample.done.proof.loss_reloaded += 0.01;
    let text = html(&sample.story()).unwrap();
    assert!(text.contains("Reloaded model differs") && !text.contains("Reloaded from disk, equal"));
}

#[test]
fn a_score_that_the_baseline_reaches_is_called_so() {
    let mut sample = SampleRun::tweets();
    sample
        .done
        .baseline
        .metrics
        .insert("macro_f1".into(), sample.done.scores.intervals["macro_f1"].low);
    assert!(html(&sample.story()).unwrap().contains("Not clearly better"));
    assert!(crate::model_card(&sample.story()).unwrap().contains("not clearly better"));
}
