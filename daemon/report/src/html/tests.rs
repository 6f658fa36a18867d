//! A run to tell of (also for the tests of the card and the recipe), and what its report must hold.

use super::*;
use crate::predictions::Mistake;
use crate::{baseline, scores};
use finetuned_job::data::{ClassCount, DATA_VERSION, DataReport, Duplicates, FileReport, Quarantine, Quarantined, SplitReport, TokenReport};
use finetuned_job::event::{Event, Line, Phase, Step};
use finetuned_job::outcome::{Done, OUTCOME_VERSION, Proof, Trained};
use finetuned_job::plan::{DataPlan, EvalPlan, FreezePlan, LoadSummary, ModelPlan, PLAN_VERSION, Plan, TensorPlan, TrainPlan};
use finetuned_job::recipe::{ClassWeights, Head, Optimizer, Pattern, SaveChoice, Schedule, Task};
use finetuned_job::scores::{Scores, Split};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

pub(crate) struct Told {
    pub plan: Plan,
    pub data: DataReport,
    pub trained: Trained,
    pub done: Done,
    pub events: Vec<Line>,
    pub mistakes: Vec<Mistake>,
}

/// Examples of a split: each class's share in thousandths, and how often the model is right.
struct Drawn {
    labels: Vec<u32>,
    probabilities: Vec<f32>,
}

fn unit(rng: &mut ChaCha8Rng) -> f32 {
    rng.next_u32() as f32 / u32::MAX as f32
}

fn draw(rng: &mut ChaCha8Rng, n: usize, shares: &[f32], skill: f32) -> Drawn {
    let mut drawn = Drawn { labels: Vec::new(), probabilities: Vec::new() };
    for _ in 0..n {
        let mut place = unit(rng) * shares.iter().sum::<f32>();
        let label = shares
            .iter()
            .position(|it| {
                place -= it;
                place <= 0.0
            })
            .unwrap_or(0);
        let weights: Vec<f32> = (0..shares.len()).map(|class| (unit(rng) * 4.0 + if class == label { skill } else { 0.0 }).exp()).collect();
        let sum: f32 = weights.iter().sum();
        drawn.labels.push(label as u32);
        drawn.probabilities.extend(weights.iter().map(|it| it / sum));
    }
    drawn
}

impl Told {
    /// Like the demo: 3,000 tweets of three sentiments, ten epochs.
    pub fn tweets() -> Told {
        let classes = ["negative", "neutral", "positive"].map(str::to_owned);
        let texts = [
            ("@united great, another delay. Love it.", 2, 0),
            ("Not bad at all, I have to say", 0, 2),
            ("@SouthwestAir can you follow so I can DM you? <b>Thanks</b> & \"bye\"", 1, 2),
        ];
        let mistakes = texts.iter().cycle().take(12).enumerate().map(|(index, &(text, truth, predicted))| Mistake {
            text: text.into(),
            truth: classes[truth].clone(),
            predicted: classes[predicted].clone(),
            probability: 0.97 - index as f64 * 0.013,
            file: "tweets.csv".into(),
            line: Some(17 + 211 * index as u64),
        });
        Told::new("tweets.csv", &classes, &[0.28, 0.40, 0.32], 2.6, mistakes.collect())
    }

    /// Fifty classes of long names.
    pub fn fifty() -> Told {
        let classes: Vec<String> =
            (0..50).map(|it| format!("Abteilung {it:02} · Donaudampfschifffahrtsgesellschaft / Kundendienst {}", it * 7919)).collect();
        let shares: Vec<f32> = (0..50).map(|it| 1.0 / (1.0 + it as f32)).collect();
        let mistake = Mistake {
            text: "Überlanger Text ohne Leerzeichen: ".to_owned() + &"Rindfleischetikettierung".repeat(30),
            truth: classes[3].clone(),
            predicted: classes[41].clone(),
            probability: 0.999,
            file: "a/very/long/path/below/the/drop/with/many/folders/tickets-2026-export-final.parquet".into(),
            line: Some(1_234_567),
        };
        Told::new("support tickets 2026.parquet", &classes, &shares, 2.6, vec![mistake])
    }

    fn new(name: &str, classes: &[String], shares: &[f32], skill: f32, mistakes: Vec<Mistake>) -> Told {
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        let test = draw(&mut rng, 400, shares, skill);
        let validation = draw(&mut rng, 300, shares, skill);
        let total: f32 = shares.iter().sum();
        let counts: Vec<u64> = shares.iter().map(|it| (it / total * 2_288.0) as u64).collect();
        let of = |split, it: &Drawn, intervals: &[&str]| scores(split, classes, &it.probabilities, &it.labels, 0.513, intervals, 0).unwrap();
        let found = of(Split::Test, &test, &["accuracy", "macro_f1"]);
        let trained = Trained {
            version: OUTCOME_VERSION,
            validation: of(Split::Validation, &validation, &[]),
            baseline: baseline(classes, &counts, &test.labels).unwrap(),
            steps: 680,
            best_step: 476,
            epochs: 9.0,
            stopped_early: true,
            seconds: 143.2,
            model_hash: "9f2c".repeat(16),
            padding_saved: 0.083,
            scores: found,
        };
        let events = events(&trained.validation, trained.steps);
        let data = data(name, classes, &counts);
        let plan = plan(classes, &data);
        Told { done: done(name, &plan, &trained), plan, data, events, trained, mistakes }
    }

    pub fn story(&self) -> Story<'_> {
        let Told { plan, data, trained, done, events, mistakes } = self;
        Story { plan, data, trained, done, events, mistakes, license: None }
    }

    pub fn rename_class(&mut self, class: usize, name: &str) {
        let old = std::mem::replace(&mut self.plan.data.classes[class], name.to_owned());
        self.data.classes[class].class = name.to_owned();
        for scores in [&mut self.done.scores, &mut self.trained.scores, &mut self.trained.validation] {
            scores.per_class[class].class = name.to_owned();
        }
        for it in self.mistakes.iter_mut().flat_map(|it| [&mut it.truth, &mut it.predicted]).filter(|it| **it == old) {
            *it = name.to_owned();
        }
        if self.done.baseline.class == old {
            self.done.baseline.class = name.to_owned();
        }
    }
}

fn done(name: &str, plan: &Plan, trained: &Trained) -> Done {
    Done {
        version: OUTCOME_VERSION,
        job: 7,
        name: name.into(),
        task: plan.task.name().into(),
        base: plan.model.base.clone(),
        model: "model".into(),
        report: "report.html".into(),
        split: Split::Test,
        metric: "macro_f1".into(),
        score: trained.scores.metrics["macro_f1"],
        scores: trained.scores.clone(),
        baseline: trained.baseline.clone(),
        proof: Proof { model_hash: trained.model_hash.clone(), examples: 400, loss_trained: 0.513, loss_reloaded: 0.513 },
        steps: trained.steps,
        best_step: trained.best_step,
        epochs: trained.epochs,
        seconds: trained.seconds,
        attempts: 2,
    }
}

fn events(validation: &Scores, steps: u64) -> Vec<Line> {
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    let mut at_ms = 1_780_000_000_000;
    let mut lines = Vec::new();
    let mut tell = |ms: u64, event| {
        at_ms += ms;
        lines.push(Line { at_ms, attempt: 1, event });
    };
    for (phase, ms) in [(Phase::Reading, 10), (Phase::Tokenizing, 420), (Phase::Loading, 1_900), (Phase::Training, 260)] {
        tell(ms, Event::Phase { phase, total: None });
    }
    for step in 1..=steps {
        let done = step as f64 / steps as f64;
        let noise = f64::from(unit(&mut rng)) - 0.5;
        let lr = 5e-4 * (step as f64 / 41.0).min(1.0) * (1.0 + (done * std::f64::consts::PI).cos()) / 2.0;
        let loss = 0.22 + 0.9 * (-5.0 * done).exp() + noise * 0.25;
        let grad_norm = 1.2 + 3.0 * (-9.0 * done).exp() + noise;
        let epoch = step as f64 / 68.0;
        tell(200, Event::Step(Step { step, steps, epoch, loss, lr, grad_norm, examples: 32, tokens: 811, tokens_padded: 884, seconds: 0.2 }));
        if step % 68 == 0 {
            let mut scores = validation.clone();
            scores.loss = 0.50 + 0.5 * (-6.0 * done).exp() + 0.08 * done;
            scores
                .metrics
                .iter_mut()
                .for_each(|(name, it)| *it = *it * (1.0 - 0.25 * (-5.0 * done).exp()) - if name == "accuracy" { 0.0 } else { 0.01 });
            tell(900, Event::Evaluation { step, epoch, scores, best: step == 476 });
        }
    }
    tell(10, Event::Phase { phase: Phase::Exporting, total: None });
    tell(450, Event::Warning { message: "the class “neutral” is confused with “negative” in every fifth case".into() });
    lines
}

fn data(name: &str, classes: &[String], counts: &[u64]) -> DataReport {
    let class = |(class, &n): (&String, &u64)| ClassCount { class: class.clone(), train: n, validation: n / 8, test: n / 6 };
    let file = |path: &str, encoding: &str, bytes| FileReport {
        path: path.into(),
        format: "csv".into(),
        encoding: Some(encoding.into()),
        bytes,
        rows: 3_000,
        split: None,
    };
    let split = |split, rows, origin: &str| SplitReport { split, rows, origin: origin.into() };
    let heights = [12, 190, 520, 610, 540, 430, 300, 190, 110, 60, 30, 8];
    DataReport {
        version: DATA_VERSION,
        source: name.into(),
        format: "csv".into(),
        files: vec![file(name, "windows-1252", 412_881)],
        text_column: Some("text".into()),
        label_column: Some("airline_sentiment".into()),
        classes: classes.iter().zip(counts).map(class).collect(),
        splits: vec![
            split(Split::Train, 2_288, "stratified, seed 0"),
            split(Split::Validation, 300, "stratified, seed 0"),
            split(Split::Test, 400, "file"),
        ],
        empty_texts: 3,
        duplicates: Duplicates { within_splits: 41, conflicting_labels: 6, leaked_dropped: 12, leaked_validation_dropped: 0 },
        quarantined: Quarantine {
            count: 2,
            shown: vec![
                Quarantined { file: name.into(), line: Some(871), reason: "4 columns where the header has 3".into() },
                Quarantined { file: name.into(), line: Some(2_204), reason: "no label".into() },
            ],
        },
        tokens: Some(TokenReport {
            max_tokens: 64,
            mean: 25.3,
            median: 24,
            p90: 41,
            p99: 66,
            longest: 96,
            cut: 38,
            histogram: heights.iter().enumerate().map(|(index, &n)| (8 * (index as u32 + 1), n)).collect(),
        }),
        estimate: None,
        warnings: vec!["6 texts stand under two labels: the model can't be right about both".into()],
        content_hash: "41ab".repeat(16),
        images: None,
    }
}

fn tensor(name: String, shape: &[i64], trains: bool) -> TensorPlan {
    TensorPlan { name, shape: shape.to_vec(), lr_scale: if trains { 0.9 } else { 1.0 }, weight_decay: 0.01 }
}

fn plan(classes: &[String], data: &DataReport) -> Plan {
    let layer = |layer: i64| {
        let linear = ["attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense"];
        linear.map(|it| tensor(format!("bert.encoder.layer.{layer}.{it}.weight"), &[384, 384], 4 <= layer))
    };
    Plan {
        version: PLAN_VERSION,
        finetuned: "0.1.0".into(),
        libtorch: "2.13.0".into(),
        task: Task::TextClassification,
        model: ModelPlan {
            base: "hf:sentence-transformers/all-MiniLM-L6-v2".into(),
            folder: "/cache/all-MiniLM-L6-v2".into(),
            architecture: "bert".into(),
            weights_hash: "53aa".repeat(16),
            head: Head::Linear,
            dropout: 0.1,
            attention_dropout: 0.0,
            load: LoadSummary {
                loaded: 101,
                missing: vec!["classifier.weight".into(), "classifier.bias".into()],
                surplus: vec!["embeddings.position_ids".into()],
            },
        },
        freeze: FreezePlan {
            train: vec![Pattern::Head, Pattern::Last(2)],
            unfreeze: Vec::new(),
            layer_decay: 0.9,
            trainable: (4..6).flat_map(layer).chain([tensor("classifier.weight".into(), &[classes.len() as i64, 384], true)]).collect(),
            frozen: (0..4).flat_map(layer).collect(),
            trainable_parameters: 3_700_227,
            frozen_parameters: 19_013_376,
            cached: false,
        },
        data: DataPlan {
            classes: classes.to_vec(),
            text_column: data.text_column.clone(),
            label_column: data.label_column.clone(),
            train: 2_288,
            validation: 300,
            test: 400,
            max_tokens: 64,
            content_hash: data.content_hash.clone(),
        },
        train: TrainPlan {
            epochs: 10,
            batch: 32,
            accumulate: 1,
            steps_per_epoch: 68,
            steps: 680,
            warmup_steps: 41,
            lr: 5e-4,
            optimizer: Optimizer::AdamW { betas: (0.9, 0.999), eps: 1e-8 },
            weight_decay: 0.01,
            schedule: Schedule::Cosine,
            clip: Some(1.0),
            label_smoothing: 0.0,
            class_weights: ClassWeights::None,
            class_weight_values: Vec::new(),
            patience: Some(2),
            seed: 0,
        },
        eval: EvalPlan { metrics: vec!["accuracy".into(), "macro_f1".into()], best: "macro_f1".into(), every_steps: None, report_on: Split::Test },
        save: SaveChoice { every_steps: None, every_epochs: Some(1), every_minutes: Some(5.0), keep: 2 },
        threads: 2,
        device: "cpu".into(),
    }
}

/// Where `REPORT_SAMPLES` names a folder, the report is left there to be looked at.
fn report(name: &str, story: &Story) -> String {
    let text = html(story).unwrap();
    if let Some(folder) = std::env::var_os("REPORT_SAMPLES") {
        let folder = std::path::Path::new(&folder);
        std::fs::write(folder.join(format!("{name}.html")), &text).unwrap();
        std::fs::write(folder.join(format!("{name}.md")), crate::model_card(story).unwrap()).unwrap();
        crate::tensorboard(story.events, &folder.join(format!("{name}.tensorboard"))).unwrap();
    }
    text
}

#[test]
fn the_report_says_what_was_reached_and_why_to_believe_it() {
    let told = Told::tweets();
    let text = report("tweets", &told.story());
    let score = format!("{:.3}", told.done.score);
    assert!(text.contains(&format!("scores <b>{score}</b> macro\u{a0}F1 on 400 held-out test examples")), "{text}");
    for part in
        ["Always answering “neutral” would score", "scored the same", "Confusion matrix", "tweets.csv:17", "windows-1252", "classifier.weight"]
    {
        assert!(text.contains(part), "{part}");
    }
    assert_eq!(text.matches("<svg ").count(), 5);
    assert_eq!(text, html(&told.story()).unwrap());
}

#[test]
fn the_report_asks_nothing_of_the_network_and_runs_nothing() {
    let text = html(&Told::tweets().story()).unwrap();
    for part in ["http://", "https://", "<script", "<link", "<img", "@import", "url(", "onclick"] {
        let found = text.replace("http://www.w3.org/2000/svg", "").find(part);
        assert_eq!(found, None, "{part}");
    }
    assert!(text.contains("default-src 'none'"));
}

#[test]
fn text_from_users_stays_text() {
    const EVIL: &str = "\"><script>alert(1)</script>&amp;'";
    let mut told = Told::tweets();
    told.rename_class(1, EVIL);
    told.done.name = EVIL.into();
    told.data.source = EVIL.into();
    told.data.files[0].path = EVIL.into();
    told.data.label_column = Some(EVIL.into());
    told.data.quarantined.shown[0].reason = EVIL.into();
    told.data.warnings[0] = EVIL.into();
    told.plan.data.classes[0] = EVIL.into();
    told.plan.model.base = EVIL.into();
    told.mistakes[0].text = EVIL.into();
    told.mistakes[0].file = EVIL.into();
    let text = report("evil", &told.story());
    assert!(!text.contains("<script"), "escaped nowhere?");
    assert!(10 <= text.matches("&lt;script&gt;").count() + text.matches("&lt;script>").count());
}

#[test]
fn fifty_classes_of_long_names_have_a_report() {
    let text = report("fifty", &Told::fifty().story());
    assert!(text.contains("matrix dense"));
    assert!(text.contains("Confused most"));
    assert!(text.len() < 600_000, "{}", text.len());
}

#[test]
fn a_thousand_classes_get_the_commonest_confusions_instead_of_a_matrix() {
    let mut told = Told::tweets();
    told.done.scores.confusion = vec![vec![0; 1_000]; 1_000];
    told.done.scores.confusion[1][2] = 5;
    let text = html(&told.story()).unwrap();
    assert!(!text.contains("Confusion matrix"));
    assert!(text.contains("Confused most"));
}

#[test]
fn a_run_with_nothing_to_draw_still_has_a_report() {
    let mut told = Told::tweets();
    told.events.clear();
    told.mistakes.clear();
    told.data.tokens = None;
    told.data.text_column = None;
    told.done.scores.intervals.clear();
    told.done.baseline.metrics.clear();
    told.done.metric = "loss".into();
    told.done.split = Split::Validation;
    told.plan.eval.metrics.clear();
    let text = html(&told.story()).unwrap();
    assert!(text.contains("a little optimistic") && text.contains("every example of the validation split was right"));
    assert!(!text.contains("<svg"));
    crate::model_card(&told.story()).unwrap();
}

#[test]
fn a_model_that_scored_otherwise_after_loading_is_called_so() {
    let mut told = Told::tweets();
    told.done.proof.loss_reloaded += 0.01;
    let text = html(&told.story()).unwrap();
    assert!(text.contains("Reloaded model differs") && !text.contains("Reloaded from disk, equal"));
}

#[test]
fn a_score_that_the_baseline_reaches_is_called_so() {
    let mut told = Told::tweets();
    told.done.baseline.metrics.insert("macro_f1".into(), told.done.scores.intervals["macro_f1"].low);
    assert!(html(&told.story()).unwrap().contains("Not clearly better"));
    assert!(crate::model_card(&told.story()).unwrap().contains("not clearly better"));
}
