//! Runs to tell of, for the tests of report, card and recipe.

use crate::{Images, Mistake, Origin, Story, worst_mistakes};
use finetuned_answers::{Input, Predictions, Scored, Target};
use finetuned_images::{Augment, Filter, Fit, Library, Preprocess, Preset};
use finetuned_job::data::{
    ClassCount, DATA_VERSION, DataReport, Duplicates, Extent, FileReport, ImageReport,
    NearDuplicates, NearPair, NumberReport, Quarantine, Quarantined, Sheet, SheetSubject,
    SplitReport, TokenReport,
};
use finetuned_job::event::{Event, Line, Phase, Step};
use finetuned_job::outcome::{Done, OUTCOME_VERSION, Probe, Proof, Sample, Start, Trained};
use finetuned_job::plan::{
    DataPlan, EvalPlan, FreezePlan, LoadSummary, ModelPlan, PLAN_VERSION, Plan, Pooling, Storage,
    TensorPlan, TrainPlan,
};
use finetuned_job::recipe::{
    ClassWeights, Head, Method, Optimizer, Pattern, Precision, SaveChoice, Schedule,
};
use finetuned_job::scores::{Scores, Split};
use finetuned_job::task::{Answer, Metrics, Modality, Task};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

pub(crate) struct SampleRun {
    pub plan: Plan,
    pub data: DataReport,
    pub trained: Trained,
    pub done: Done,
    pub events: Vec<Line>,
    pub mistakes: Vec<Mistake>,
    pub test: Drawn,
    pub samples: Vec<Sample>,
    pub sheets: Vec<(Sheet, Vec<u8>)>,
    pub augmented: Option<Vec<u8>>,
}

/// Examples of a split, and what a model says of them.
pub(crate) struct Drawn {
    targets: Vec<Target>,
    predictions: Predictions,
}

fn unit(rng: &mut ChaCha8Rng) -> f32 {
    rng.next_u32() as f32 / u32::MAX as f32
}

/// `shares`: of each class; `skill`: what its logit has more where it is true.
fn draw(rng: &mut ChaCha8Rng, n: usize, shares: &[f32], skill: f32) -> Drawn {
    let (mut targets, mut outputs) = (Vec::new(), Vec::new());
    for _ in 0..n {
        let mut place = unit(rng) * shares.iter().sum::<f32>();
        let label = shares
            .iter()
            .position(|it| {
                place -= it;
                place <= 0.0
            })
            .unwrap_or(0);
        let weights: Vec<f32> = (0..shares.len())
            .map(|class| (unit(rng) * 4.0 + if class == label { skill } else { 0.0 }).exp())
            .collect();
        let sum: f32 = weights.iter().sum();
        targets.push(Target::of_classes([label as u32]));
        outputs.extend(weights.iter().map(|it| it / sum));
    }
    Drawn { targets, predictions: Predictions::one_row_each(shares.len(), outputs) }
}

impl SampleRun {
    /// Like the demo: 3,000 tweets of three sentiments, ten epochs.
    pub fn tweets() -> SampleRun {
        let classes = ["negative", "neutral", "positive"].map(str::to_owned);
        let texts = [
            ("@united great, another delay. Love it.", 2, 0),
            ("Not bad at all, I have to say", 0, 2),
            ("@SouthwestAir can you follow so I can DM you? <b>Thanks</b> & \"bye\"", 1, 2),
        ];
        let mistakes =
            texts.iter().cycle().take(12).enumerate().map(|(index, &(text, target, predicted))| {
                Mistake {
                    index,
                    input: text.into(),
                    target: classes[target].clone(),
                    predicted: classes[predicted].clone(),
                    degree: 0.97 - index as f64 * 0.013,
                    file: "tweets.csv".into(),
                    line: Some(17 + 211 * index as u64),
                    marked: Vec::new(),
                    thumbnail: None,
                }
            });
        SampleRun::new("tweets.csv", &classes, &[0.28, 0.40, 0.32], 2.6, mistakes.collect())
    }

    /// Fifty classes of long names.
    pub fn fifty() -> SampleRun {
        let classes: Vec<String> = (0..50)
            .map(|it| {
                format!(
                    "Abteilung {it:02} · Donaudampfschifffahrtsgesellschaft / Kundendienst {}",
                    it * 7919
                )
            })
            .collect();
        let shares: Vec<f32> = (0..50).map(|it| 1.0 / (1.0 + it as f32)).collect();
        let mistake = Mistake {
            index: 0,
            input: "Überlanger Text ohne Leerzeichen: ".to_owned() + &"Rindfleischetikettierung".repeat(30),
            target: classes[3].clone(),
            predicted: classes[41].clone(),
            degree: 0.999,
            file: "a/very/long/path/below/the/drop/with/many/folders/tickets-2026-export-final.parquet".into(),
            line: Some(1_234_567),
            marked: Vec::new(),
            thumbnail: None,
        };
        SampleRun::new("support tickets 2026.parquet", &classes, &shares, 2.6, vec![mistake])
    }

    /// Photographs of animals.
    pub fn pets() -> SampleRun {
        let classes = ["cat", "dog", "guinea pig", "hamster", "parrot", "rabbit", "tortoise"]
            .map(str::to_owned);
        let mut sample = SampleRun::new(
            "pets.zip",
            &classes,
            &[0.3, 0.3, 0.1, 0.1, 0.1, 0.05, 0.05],
            2.6,
            Vec::new(),
        );
        sample.show_images(Answer::Class);
        sample
    }

    /// Scenes with any number of things in them.
    pub fn scenes() -> SampleRun {
        let classes = ["bicycle", "car", "person", "traffic light"].map(str::to_owned);
        let mut rng = ChaCha8Rng::seed_from_u64(8);
        let mut draw = |n: usize| {
            let (mut targets, mut outputs) = (Vec::new(), Vec::new());
            for _ in 0..n {
                let mut there = Vec::new();
                for (class, share) in (0..).zip([0.1, 0.4, 0.6, 0.15]) {
                    there.extend((unit(&mut rng) < share).then_some(class));
                    let more = if there.last() == Some(&class) { 3.0 } else { 0.0 };
                    let logit = 5.0 * unit(&mut rng) - 3.6 + more;
                    outputs.push(1.0 / (1.0 + (-logit).exp()));
                }
                targets.push(Target::of_classes(there));
            }
            Drawn { targets, predictions: Predictions::one_row_each(4, outputs) }
        };
        let (test, validation) = (draw(400), draw(300));
        let train = draw(2_288);
        let mut sample = SampleRun::of(
            "scenes",
            &classes,
            &[230, 915, 1_372, 343],
            [train, validation, test],
            Answer::Classes,
            Vec::new(),
        );
        sample.show_images(Answer::Classes);
        sample
    }

    /// Two numbers from an image.
    pub fn ages() -> SampleRun {
        let numbers = ["age", "height_cm"].map(str::to_owned);
        let mut rng = ChaCha8Rng::seed_from_u64(9);
        let mut draw = |n: usize| {
            let (mut targets, mut outputs) = (Vec::new(), Vec::new());
            for _ in 0..n {
                let age = 80.0 * unit(&mut rng);
                let height = 182.0 - 115.0 * (-age / 7.0).exp() + 16.0 * (unit(&mut rng) - 0.5);
                let mut noise = |width: f32| width * (unit(&mut rng) + unit(&mut rng) - 1.0);
                outputs.extend([0.9 * age + 4.0 + noise(12.0), height + noise(18.0)]);
                targets.push(Target::of_numbers([f64::from(age), f64::from(height)]));
            }
            Drawn { targets, predictions: Predictions::one_row_each(2, outputs) }
        };
        let (test, validation) = (draw(400), draw(300));
        let train = draw(2_288);
        let mut sample = SampleRun::of(
            "ages.csv",
            &numbers,
            &[],
            [train, validation, test],
            Answer::Numbers,
            Vec::new(),
        );
        sample.show_images(Answer::Numbers);
        sample
    }

    fn new(
        name: &str,
        classes: &[String],
        shares: &[f32],
        skill: f32,
        mistakes: Vec<Mistake>,
    ) -> SampleRun {
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        let test = draw(&mut rng, 400, shares, skill);
        let validation = draw(&mut rng, 300, shares, skill);
        let total: f32 = shares.iter().sum();
        let counts: Vec<u64> = shares.iter().map(|it| (it / total * 2_288.0) as u64).collect();
        let targets = (0..)
            .zip(&counts)
            .flat_map(|(class, n)| std::iter::repeat_n(Target::of_classes([class]), *n as usize))
            .collect();
        let predictions = Predictions::one_row_each(classes.len(), Vec::new());
        let train = Drawn { targets, predictions };
        SampleRun::of(name, classes, &counts, [train, validation, test], Answer::Class, mistakes)
    }

    fn of(
        name: &str,
        names: &[String],
        counts: &[u64],
        drawn: [Drawn; 3],
        problem: Answer,
        mistakes: Vec<Mistake>,
    ) -> SampleRun {
        let [train, validation, test] = drawn;
        let Metrics { shown: chief, best: metric, .. } = Metrics::of(problem);
        let answer = finetuned_answers::of(problem, names);
        let of = |split, it: &Drawn, intervals: &[&str]| {
            let (predictions, targets) = (&it.predictions, &it.targets[..]);
            let losses = &vec![0.513; targets.len()];
            answer.scores(&Scored { split, predictions, targets, losses }, intervals, 0).unwrap()
        };
        let trained = Trained {
            version: OUTCOME_VERSION,
            scores: of(Split::Test, &test, chief),
            validation: Some(of(Split::Validation, &validation, &[])),
            baseline: answer.baseline(&train.targets, &test.targets).unwrap().unwrap(),
            probe: Some(Probe {
                c: 3.0,
                metrics: [(plan_metric(problem), 0.5123)].into(),
                start: Some(Start { probe: 0.5012, tuned: Some(0.6034), is_best: false }),
            }),
            refit: None,
            steps: 680,
            best_step: 476,
            epochs: 9.0,
            stopped_early: true,
            seconds: 143.2,
            head: Head::Linear,
            thresholds: Vec::new(),
            groups: None,
            wins: None,
            before: Vec::new(),
            model_hash: "9f2c".repeat(16),
            padding_saved: 0.083,
        };
        let events = events(&of(Split::Validation, &validation, &[]), trained.steps);
        let data = data(name, if problem == Answer::Numbers { &[] } else { names }, counts);
        let mut plan = plan(names, &data);
        plan.eval.metrics = chief.iter().map(|it| (*it).to_owned()).collect();
        plan.eval.best = (*metric).into();
        if problem == Answer::Numbers {
            plan.data.numbers = std::mem::take(&mut plan.data.classes);
        }
        SampleRun {
            done: done(name, &plan, &trained),
            plan,
            data,
            events,
            trained,
            mistakes,
            test,
            samples: Vec::new(),
            sheets: Vec::new(),
            augmented: None,
        }
    }

    /// Makes the run one about images.
    fn show_images(&mut self, problem: Answer) {
        self.plan.task = Task::of(Modality::Image, problem).unwrap();
        self.plan.data.problem = problem;
        self.done.task = self.plan.task.name.into();
        self.plan.data.max_tokens = 0;
        self.plan.data.text_columns = Vec::new();
        self.plan.data.label_column = None;
        self.plan.model = ModelPlan {
            base: "hf:timm/resnet18.a1_in1k".into(),
            architecture: "resnet18".into(),
            preprocess: Some(preprocess()),
            pooling: None,
            ..self.plan.model.clone()
        };
        self.plan.augment = Some(Augment::preset(Preset::Light));
        self.data.text_column = None;
        self.data.label_column = None;
        self.data.tokens = None;
        self.data.format = "image_folders".into();
        self.data.files[0].encoding = None;
        let images = images(problem, self.plan.data.outputs());
        self.plan.data.image_column = images.image_column.clone();
        self.data.numbers = images.numbers.clone();
        self.data.target_columns = images.target_columns.clone();
        self.data.images = Some(images);
        let sheet = |it: &Sheet| (it.clone(), image(&it.path, 24));
        self.sheets = self.data.images.iter().flat_map(|it| &it.sheets).map(sheet).collect();
        self.augmented = Some(image("augmented", 8));
        let names = self.plan.data.outputs();
        let Drawn { targets, predictions } = &self.test;
        let paths: Vec<String> = (0..targets.len())
            .map(|it| format!("test/{}/IMG {it:04}.JPG", names[it % names.len()]))
            .collect();
        let origin = |index: usize| Origin {
            input: Input { text: &paths[index], words: &[] },
            file: if problem == Answer::Numbers { "ages.csv" } else { &paths[index] },
            line: (problem == Answer::Numbers).then_some(index as u64 + 2),
        };
        let answer = finetuned_answers::of(problem, names);
        self.mistakes = worst_mistakes(&*answer, targets, predictions, origin, 12);
        self.mistakes.iter_mut().for_each(|it| it.thumbnail = Some(image(&it.input, 1)));
    }

    pub fn story(&self) -> Story<'_> {
        let images = Images { sheets: &self.sheets, augmented: self.augmented.as_deref() };
        Story {
            plan: &self.plan,
            data: &self.data,
            trained: &self.trained,
            done: &self.done,
            events: &self.events,
            mistakes: &self.mistakes,
            targets: &self.test.targets,
            predictions: &self.test.predictions,
            samples: &self.samples,
            images,
            license: None,
        }
    }

    pub fn rename_class(&mut self, class: usize, name: &str) {
        let old = std::mem::replace(&mut self.plan.data.classes[class], name.to_owned());
        self.data.classes[class].class = name.to_owned();
        for scores in [&mut self.done.scores, &mut self.trained.scores]
            .into_iter()
            .chain(&mut self.trained.validation)
        {
            scores.per_class[class].class = name.to_owned();
        }
        for it in self
            .mistakes
            .iter_mut()
            .flat_map(|it| [&mut it.target, &mut it.predicted])
            .filter(|it| **it == old)
        {
            *it = name.to_owned();
        }
        if self.done.baseline.answer == old {
            self.done.baseline.answer = name.to_owned();
        }
    }
}

fn plan_metric(problem: Answer) -> String {
    Metrics::of(problem).best.into()
}

fn done(name: &str, plan: &Plan, trained: &Trained) -> Done {
    Done {
        version: OUTCOME_VERSION,
        job: 7,
        name: name.into(),
        task: plan.task.name.into(),
        base: plan.model.base.clone(),
        model: "model".into(),
        report: "report.html".into(),
        split: Split::Test,
        metric: plan.eval.best.clone(),
        score: trained.scores.metrics[&plan.eval.best],
        scores: trained.scores.clone(),
        baseline: trained.baseline.clone(),
        probe: trained.probe.clone(),
        refit: trained.refit,
        proof: Proof {
            model_hash: trained.model_hash.clone(),
            examples: 400,
            loss_trained: 0.513,
            loss_reloaded: 0.513,
        },
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
    for (phase, ms) in [
        (Phase::Reading, 10),
        (Phase::Tokenizing, 420),
        (Phase::Loading, 1_900),
        (Phase::Training, 260),
    ] {
        tell(ms, Event::Phase { phase, total: None });
    }
    for step in 1..=steps {
        let done = step as f64 / steps as f64;
        let noise = f64::from(unit(&mut rng)) - 0.5;
        let lr = 5e-4 * (step as f64 / 41.0).min(1.0) * (1.0 + (done * std::f64::consts::PI).cos())
            / 2.0;
        let loss = 0.22 + 0.9 * (-5.0 * done).exp() + noise * 0.25;
        let grad_norm = 1.2 + 3.0 * (-9.0 * done).exp() + noise;
        let epoch = step as f64 / 68.0;
        tell(
            200,
            Event::Step(Step {
                step,
                steps,
                epoch,
                loss,
                lr,
                grad_norm,
                examples: 32,
                tokens: 811,
                tokens_padded: 884,
                seconds: 0.2,
                once_seconds: 0.0,
                sampled: None,
            }),
        );
        if step % 68 == 0 {
            let mut scores = validation.clone();
            scores.loss = 0.50 + 0.5 * (-6.0 * done).exp() + 0.08 * done;
            scores.metrics.iter_mut().for_each(|(name, it)| {
                *it = *it * (1.0 - 0.25 * (-5.0 * done).exp())
                    - if name == "accuracy" { 0.0 } else { 0.01 }
            });
            tell(900, Event::Evaluation { step, epoch, scores, best: step == 476 });
        }
    }
    tell(10, Event::Phase { phase: Phase::Exporting, total: None });
    tell(
        450,
        Event::Warning {
            message: "the class “neutral” is confused with “negative” in every fifth case".into(),
        },
    );
    lines
}

fn data(name: &str, classes: &[String], counts: &[u64]) -> DataReport {
    let class = |(class, &n): (&String, &u64)| ClassCount {
        class: class.clone(),
        train: n,
        validation: (n as f64 / 9.0).round() as u64,
        test: n / 6,
    };
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
        task: "text-classification".into(),
        task_reason: "`airline_sentiment` has 3 values that recur: classes are learnt".into(),
        outputs: classes.to_vec(),
        text_column: Some("text".into()),
        label_column: Some("airline_sentiment".into()),
        input_columns: vec!["text".into()],
        target_columns: vec!["airline_sentiment".into()],
        numbers: Vec::new(),
        classes: classes.iter().zip(counts).map(class).collect(),
        splits: vec![
            split(Split::Train, 2_288, "stratified, seed 0"),
            split(Split::Validation, 300, "stratified, seed 0"),
            split(Split::Test, 400, "file"),
        ],
        empty_texts: 3,
        duplicates: Duplicates {
            within_splits: 41,
            conflicting_labels: 6,
            leaked_dropped: 12,
            leaked_validation_dropped: 0,
        },
        quarantined: Quarantine {
            count: 2,
            shown: vec![
                Quarantined {
                    file: name.into(),
                    line: Some(871),
                    reason: "4 columns where the header has 3".into(),
                },
                Quarantined { file: name.into(), line: Some(2_204), reason: "no label".into() },
            ],
        },
        tokens: Some(TokenReport {
            unknown: 0.0,
            unknown_words: Vec::new(),
            max_tokens: 64,
            mean: 25.3,
            median: 24,
            p90: 41,
            p99: 66,
            longest: 96,
            cut: 38,
            histogram: heights
                .iter()
                .enumerate()
                .map(|(index, &n)| (8 * (index as u32 + 1), n))
                .collect(),
        }),
        estimate: None,
        warnings: vec![
            "6 texts stand under two labels: the model can't be right about both".into(),
        ],
        content_hash: "41ab".repeat(16),
        images: None,
    }
}

fn tensor(name: String, shape: &[i64], trains: bool) -> TensorPlan {
    TensorPlan {
        name,
        shape: shape.to_vec(),
        lr_scale: if trains { 0.9 } else { 1.0 },
        weight_decay: 0.01,
    }
}

fn plan(classes: &[String], data: &DataReport) -> Plan {
    let layer = |layer: i64| {
        let linear = [
            "attention.self.query",
            "attention.self.key",
            "attention.self.value",
            "attention.output.dense",
        ];
        linear.map(|it| {
            tensor(format!("bert.encoder.layer.{layer}.{it}.weight"), &[384, 384], 4 <= layer)
        })
    };
    Plan {
        version: PLAN_VERSION,
        finetuned: "0.1.0".into(),
        libtorch: "2.13.0".into(),
        task: Task::of(Modality::Text, Answer::Class).unwrap(),
        model: ModelPlan {
            base: "hf:sentence-transformers/all-MiniLM-L6-v2".into(),
            folder: "/cache/all-MiniLM-L6-v2".into(),
            architecture: "bert".into(),
            weights_hash: "53aa".repeat(16),
            base_adapter: None,
            head: Head::Linear,
            pooling: Some(Pooling::Mean),
            dropout: 0.1,
            attention_dropout: 0.0,
            storage: Storage::Fp32,
            adapter: None,
            preprocess: None,
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
            statistics: None,
            trainable: (4..6)
                .flat_map(layer)
                .chain([tensor("classifier.weight".into(), &[classes.len() as i64, 384], true)])
                .collect(),
            frozen: (0..4).flat_map(layer).collect(),
            trainable_parameters: 3_700_227,
            frozen_parameters: 19_013_376,
            cached: false,
        },
        data: DataPlan {
            problem: Answer::Class,
            numbers: Vec::new(),
            image_column: None,
            classes: classes.to_vec(),
            text_columns: data.input_columns.clone(),
            label_column: data.label_column.clone(),
            train: 2_288,
            validation: 300,
            test: 400,
            max_tokens: 64,
            split_special_tokens: true,
            content_hash: data.content_hash.clone(),
        },
        augment: None,
        plugins: Vec::new(),
        train: TrainPlan {
            method: Method::Auto,
            loss: None,
            preference: None,
            grpo: None,
            hooks: Vec::new(),
            gradient_checkpointing: false,
            precision: Precision::Fp32,
            on: None,
            epochs: 10,
            batch: 32,
            accumulate: 1,
            steps_per_epoch: 68,
            steps: 680,
            warmup_steps: 41,
            lr: 5e-4,
            head_lr: 5e-4,
            optimizer: Optimizer::AdamW { betas: (0.9, 0.999), eps: 1e-8 },
            weight_decay: 0.01,
            schedule: Schedule::Cosine,
            clip: Some(1.0),
            label_smoothing: 0.0,
            class_weights: ClassWeights::None,
            class_weight_values: Vec::new(),
            patience: Some(2),
            refit: false,
            wise_ft: 1.0,
            seed: 0,
        },
        eval: EvalPlan {
            metrics: vec!["accuracy".into(), "macro_f1".into()],
            best: "macro_f1".into(),
            every_steps: None,
            tune_thresholds: false,
            report_on: Split::Test,
        },
        save: SaveChoice {
            every_steps: None,
            every_epochs: Some(1),
            every_minutes: Some(5.0),
            keep: 2,
            adapter: false,
            gguf: None,
        },
        asked: None,
        threads: 2,
        device: "cpu".into(),
    }
}

fn preprocess() -> Preprocess {
    Preprocess {
        library: Library::Timm,
        height: 224,
        width: 224,
        fit: Fit::Center,
        crop_pct: 0.875,
        filter: Filter::Bicubic,
        rescale: 1.0 / 255.0,
        mean: [0.485, 0.456, 0.406],
        std: [0.229, 0.224, 0.225],
    }
}

fn images(problem: Answer, names: &[String]) -> ImageReport {
    let sheet = |path: &str, subject, shown, total| Sheet {
        path: format!("contact/{path}.png"),
        subject,
        shown,
        total,
    };
    let mut sheets: Vec<Sheet> = match problem {
        Answer::Numbers => vec![sheet("000", SheetSubject::All, 24, 2_988)],
        _ => (0..)
            .zip(names)
            .map(|(index, name)| {
                sheet(&format!("{index:03}"), SheetSubject::Class(name.clone()), 24, 343)
            })
            .collect(),
    };
    sheets.push(sheet("near", SheetSubject::NearDuplicates, 24, 58));
    sheets.push(sheet("blank", SheetSubject::Blank, 2, 2));
    let number = |(index, column): (usize, &String)| NumberReport {
        column: column.clone(),
        min: 0.2,
        median: 40.1 + 100.0 * index as f64,
        max: 79.9 + 110.0 * index as f64,
        mean: 39.87 + 100.0 * index as f64,
        deviation: 23.1,
    };
    let several = problem != Answer::Class;
    ImageReport {
        problem,
        image_column: several.then(|| "path".into()),
        target_columns: if several { names.to_vec() } else { Vec::new() },
        numbers: if problem == Answer::Numbers {
            names.iter().enumerate().map(number).collect()
        } else {
            Vec::new()
        },
        bytes: 312_881_000,
        width: Extent { min: 31, median: 640, max: 6_000 },
        height: Extent { min: 40, median: 480, max: 4_000 },
        formats: vec![("jpeg".into(), 2_950), ("png".into(), 38)],
        colours: vec![("rgb".into(), 2_970), ("grey".into(), 18)],
        mean: [0.481, 0.457, 0.408],
        deviation: [0.229, 0.224, 0.226],
        near_duplicates: NearDuplicates {
            images: 58,
            pairs: 31,
            across_splits: 4,
            conflicting_labels: 1,
            shown: vec![NearPair {
                a: ("train/cat/IMG 0001.JPG".into(), Split::Train),
                b: ("test/cat/copy of \"IMG 0001\".JPG".into(), Split::Test),
                distance: 2,
                same_label: true,
            }],
        },
        blank: 2,
        sheets,
    }
}

/// A contact sheet of coloured squares.
fn image(name: &str, count: u32) -> Vec<u8> {
    let mut rng = ChaCha8Rng::seed_from_u64(name.bytes().map(u64::from).sum());
    let small = |_| {
        finetuned_images::Pixels::new(
            96,
            72,
            [0; 3].map(|_: u8| rng.next_u32() as u8).repeat(96 * 72),
        )
    };
    let images: Vec<_> = (0..count).map(small).collect();
    finetuned_images::contact_sheet(&images, 8, 96)
}
