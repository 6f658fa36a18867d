//! What the macro makes of a plugin in safe Rust that does all that goes wrong.

use crate::host::{Opened, RawMetric, bytes, logged};
use finetuned_sdk::abi::*;
use finetuned_sdk::{
    Augmentation, DropFolder, Error, Found, Hook, Metric, NoSettings, Pixels, Predictions, Problem,
    Random, Reader, Result, Wish,
};
use serde::{Deserialize, Serialize};
use std::mem::offset_of;
use std::ptr::null_mut;

/// Fails where its setting says.
struct Trap {
    at: At,
}

#[derive(Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum At {
    Nowhere,
    New,
    Update,
    Compute,
    Drop,
}

#[derive(Deserialize)]
struct TrapSettings {
    at: At,
}

impl Metric for Trap {
    const NAME: &'static str = "trap";
    const HIGHER_IS_BETTER: bool = true;
    type Settings = TrapSettings;

    fn new(settings: TrapSettings, _classes: &[&str]) -> Result<Trap> {
        assert!(settings.at != At::New, "in new");
        Ok(Trap { at: settings.at })
    }

    fn update(&mut self, batch: &Predictions) -> Result<()> {
        finetuned_sdk::warn!("{} examples", batch.len());
        assert!(self.at != At::Update, "in update");
        Ok(())
    }

    fn merge(&mut self, _other: &Trap) -> Result<()> {
        Ok(())
    }

    fn compute(&self) -> Result<f64> {
        if self.at == At::Compute {
            std::panic::panic_any(7);
        }
        let n: u32 = "seven".parse()?;
        Ok(f64::from(n))
    }
}

impl Drop for Trap {
    fn drop(&mut self) {
        assert!(self.at != At::Drop, "in drop");
    }
}

/// The mean distance between outputs and targets; of several labels, the part of outputs on the
/// wrong side.
struct Apart {
    problem: Problem,
    sum: f64,
    n: u64,
}

impl Metric for Apart {
    const NAME: &'static str = "apart";
    const HIGHER_IS_BETTER: bool = false;
    const PROBLEMS: &'static [Problem] = &[Problem::MultiLabel, Problem::Regression];
    type Settings = NoSettings;

    fn new(_: NoSettings, _outputs: &[&str]) -> Result<Apart> {
        Err(Error::failed("new_for takes its place"))
    }

    fn new_for(problem: Problem, _: NoSettings, outputs: &[&str]) -> Result<Apart> {
        finetuned_sdk::info!("{problem}: {}", outputs.join(", "));
        Ok(Apart { problem, sum: 0.0, n: 0 })
    }

    fn update(&mut self, batch: &Predictions) -> Result<()> {
        assert_eq!(batch.problem(), self.problem);
        for (predicted, target) in
            batch.target_rows().flat_map(|(predicted, target)| predicted.iter().zip(target))
        {
            let predicted =
                if self.problem == Problem::MultiLabel { predicted.round() } else { *predicted };
            self.sum += f64::from((predicted - target).abs());
            self.n += 1;
        }
        Ok(())
    }

    fn merge(&mut self, other: &Apart) -> Result<()> {
        self.sum += other.sum;
        self.n += other.n;
        Ok(())
    }

    fn compute(&self) -> Result<f64> {
        Ok(self.sum / self.n.max(1) as f64)
    }
}

/// Counts steps, stops at the third.
struct Third(Count);

#[derive(Clone, Copy, Serialize, Deserialize)]
struct Count {
    steps: u64,
}

impl Hook for Third {
    const NAME: &'static str = "third";
    type Settings = NoSettings;
    type State = Count;

    fn new(_: NoSettings) -> Result<Third> {
        Ok(Third(Count { steps: 0 }))
    }

    fn progress(&mut self, _: &finetuned_sdk::Progress) -> Result<Wish> {
        self.0.steps += 1;
        Ok(if self.0.steps == 3 { Wish::STOP | Wish::SAVE } else { Wish::GO_ON })
    }

    fn state(&self) -> Count {
        self.0
    }

    fn resume(&mut self, state: Count) {
        self.0 = state;
    }
}

/// Every line of every file, with the file's name as its class.
struct Lines;

impl Reader for Lines {
    const NAME: &'static str = "lines";
    type Settings = NoSettings;

    fn new(_: NoSettings) -> Result<Lines> {
        Ok(Lines)
    }

    fn recognise(&mut self, drop: &DropFolder) -> Result<bool> {
        Ok(drop.files().all(|(_, it)| it.ends_with(".lines")))
    }

    fn read(&mut self, drop: &DropFolder, found: &mut Found) -> Result<()> {
        for (file, name) in drop.files() {
            for (text, line) in std::fs::read_to_string(drop.path(name))?.lines().zip(1..) {
                if text.is_empty() {
                    found.bad(file, line, "empty")?;
                    continue;
                }
                let content = finetuned_sdk::Content::Text(text);
                found.example(&finetuned_sdk::Example {
                    content,
                    label: name,
                    split: finetuned_sdk::Split::Open,
                    file,
                    line,
                })?;
            }
        }
        Ok(())
    }
}

struct Invert;

impl Augmentation for Invert {
    const NAME: &'static str = "invert";
    type Settings = NoSettings;

    fn new(_: NoSettings) -> Result<Invert> {
        Ok(Invert)
    }

    fn apply(&self, pixels: &mut Pixels, random: &mut Random) -> Result<()> {
        if random.unit() < 0.5 {
            pixels.rows().flatten().flatten().for_each(|it| *it = 255 - *it);
        }
        Ok(())
    }
}

finetuned_sdk::export! {
    metrics: [Trap, Apart], hooks: [Third], readers: [Lines], augmentations: [Invert]
}

unsafe extern "C" {
    fn finetuned_plugin_entry(
        host: *const Host,
        table: *mut *const Table,
        error: *const Sink,
    ) -> Status;
    static finetuned_plugin_descriptor: Descriptor;
}

fn functions(metric: &str) -> &'static MetricFunctions {
    Opened::enter(finetuned_plugin_entry).find::<MetricFunctions>(KIND_METRIC, metric)
}

fn trap(at: &str) -> std::result::Result<RawMetric, (Status, String)> {
    RawMetric::create(functions("trap"), &format!(r#"{{"at": "{at}"}}"#), &["no", "yes"])
}

#[test]
fn the_descriptor_says_what_is_exported() {
    // SAFETY: it is never written.
    let it = unsafe { &finetuned_plugin_descriptor };
    let text = |bytes: &[u8]| {
        String::from_utf8(bytes.iter().copied().take_while(|&it| it != 0).collect()).expect("UTF-8")
    };
    assert_eq!(
        (it.magic, it.abi, it.tier, it.flags, it.n_items),
        (MAGIC, ABI_VERSION, TIER_PLAIN, 0, 5)
    );
    assert_eq!((text(&it.name), text(&it.tch)), ("finetuned-sdk".into(), String::new()));
    let items: Vec<(u32, String)> =
        it.items.iter().map(|it| (it.kind, text(&it.name))).filter(|it| it.0 != 0).collect();
    let expected = [
        (KIND_METRIC, "trap"),
        (KIND_METRIC, "apart"),
        (KIND_HOOK, "third"),
        (KIND_READER, "lines"),
        (KIND_AUGMENTATION, "invert"),
    ];
    assert_eq!(items, expected.map(|(kind, name)| (kind, name.to_string())));
}

#[test]
fn a_panic_is_a_status_and_breaks_its_instance_alone() {
    let (status, message) = trap("new").err().expect("panics");
    assert_eq!(status, PANICKED);
    assert!(
        message.starts_with("panicked at ")
            && message.contains("rust_plugin.rs:")
            && message.ends_with(": in new"),
        "{message}"
    );

    let broken = trap("update").expect("made");
    let (status, message) = broken.update(&[0.5, 0.5], &[0]).expect_err("panics");
    assert!(status == PANICKED && message.ends_with(": in update"), "{message}");
    assert_eq!(
        broken.update(&[0.5, 0.5], &[0]),
        Err((BROKEN, "broken by an earlier panic".into()))
    );

    let whole = trap("nowhere").expect("made");
    whole.update(&[0.5, 0.5], &[0]).expect("another instance works");
    assert_eq!(whole.merge(&broken), Err((FAILED, "the other instance is broken".into())));
    assert_eq!(whole.compute(), Err((FAILED, "invalid digit found in string".into())));
    whole.update(&[0.5, 0.5], &[0]).expect("an error breaks nothing");

    let odd = trap("compute").expect("made");
    let (status, message) = odd.compute().expect_err("panics");
    assert!(status == PANICKED && message.ends_with("a value that is no text"), "{message}");

    let _ = logged();
    drop(trap("drop").expect("made"));
    let lines = logged();
    assert!(
        lines[0].starts_with("1 while it was dropped: panicked at ")
            && lines[0].ends_with("in drop"),
        "{lines:?}"
    );
}

#[test]
fn what_the_host_passes_is_checked() {
    let refused = trap("here").err();
    let message = "settings: unknown variant `here`, expected one of `nowhere`, `new`, `update`, `compute`, `drop`";
    assert_eq!(refused, Some((INVALID, message.into())));
    let metric = trap("nowhere").expect("made");
    assert_eq!(metric.update(&[0.5, 0.5], &[2]), Err((FAILED, "label 2 of 2 classes".into())));
    let _ = logged();
    metric.update(&[0.5, 0.5], &[1]).expect("taken in");
    assert_eq!(logged(), ["2 1 examples"]);
}

#[test]
fn a_metric_knows_what_it_serves_and_serves_nothing_else() {
    let (one, others) = (functions("trap"), functions("apart"));
    assert_eq!(
        (one.problems, others.problems),
        (PROBLEM_SINGLE_LABEL, PROBLEM_MULTI_LABEL | PROBLEM_REGRESSION)
    );
    let create = |problem| {
        RawMetric::create_for(problem, size_of::<MetricShape>(), others, "{}", &["no", "yes"])
    };
    let _ = logged();
    for (problem, score) in [(PROBLEM_MULTI_LABEL, 0.25), (PROBLEM_REGRESSION, 0.3125)] {
        let metric = create(problem).expect("made");
        metric
            .update_targets(&[0.25, 0.75, 0.75, 1.0], &[0.0, 1.0, 0.0, 1.0], 2)
            .expect("taken in");
        assert_eq!(metric.compute(), Ok(score));
        metric.update_targets(&[], &[], 2).expect("an empty batch");
        let none = metric.update(&[0.5, 0.5], &[0]).expect_err("has no targets");
        assert!(none.0 == FAILED && none.1.starts_with("2 outputs and 0 targets of "), "{none:?}");
    }
    assert_eq!(logged(), ["3 several labels: no, yes", "3 numbers: no, yes"]);
    let refused = |it: std::result::Result<RawMetric, _>| it.err().expect("refused");
    assert_eq!(
        refused(create(PROBLEM_SINGLE_LABEL)),
        (
            FAILED,
            "apart is asked for one label, but its PROBLEMS are several labels, numbers".into()
        )
    );
    assert_eq!(
        refused(create(8)),
        (FAILED, "the host asked for the problem 8, which this SDK does not know".into())
    );
    let numbers = RawMetric::create_for(
        PROBLEM_REGRESSION,
        size_of::<MetricShape>(),
        one,
        r#"{"at": "nowhere"}"#,
        &["no", "yes"],
    );
    assert_eq!(
        refused(numbers),
        (FAILED, "trap is asked for numbers, but its PROBLEMS are one label".into())
    );
}

#[test]
fn a_host_from_before_there_were_other_problems_is_understood() {
    // Its shape ends where the problem would stand; what lies there is not its.
    let before = offset_of!(MetricShape, problem);
    let metric = RawMetric::create_for(
        PROBLEM_REGRESSION,
        before,
        functions("trap"),
        r#"{"at": "nowhere"}"#,
        &["no", "yes"],
    )
    .expect("made");
    metric.update(&[0.5, 0.5], &[1]).expect("one label");
}

#[test]
fn the_test_kit_tries_every_problem_that_is_claimed() {
    let examples = [(vec![0.25, 0.75], vec![0.0, 1.0]), (vec![0.75, 1.0], vec![0.0, 1.0])];
    let score = |problem| {
        finetuned_sdk::testing::metric_for::<Apart>(problem, "{}", &["no", "yes"], &examples)
    };
    let _ = logged();
    assert_eq!(score(Problem::Regression).expect("a score"), 0.3125);
    assert_eq!(score(Problem::MultiLabel).expect("a score"), 0.25);
    let refused = score(Problem::SingleLabel).expect_err("refused").to_string();
    assert_eq!(
        refused,
        "apart is asked for one label, but its PROBLEMS are several labels, numbers"
    );
}

#[test]
fn a_hook_wishes_and_remembers() {
    let progress = |step| finetuned_sdk::Progress {
        event: finetuned_sdk::Event::Step,
        step,
        steps: 4,
        epoch: step as f64 / 2.0,
        loss: 0.5,
        lr: 1e-3,
        gradient_norm: 1.0,
    };
    let wishes =
        finetuned_sdk::testing::hook::<Third>("{}", &[1, 2, 3, 4].map(progress)).expect("wishes");
    assert_eq!(wishes, [Wish::GO_ON, Wish::GO_ON, Wish::STOP | Wish::SAVE, Wish::GO_ON]);

    let functions = Opened::enter(finetuned_plugin_entry).find::<HookFunctions>(KIND_HOOK, "third");
    let (mut instance, mut asked) = (null_mut(), 0);
    let raw = Progress {
        size: size_of::<Progress>() as u32,
        event: EVENT_STEP,
        step: 3,
        steps: 4,
        epoch: 1.5,
        loss: 0.5,
        lr: 1e-3,
        gradient_norm: 1.0,
        scores: std::ptr::null(),
        n_scores: 0,
    };
    let f = (
        functions.create.expect("required"),
        functions.load.expect("required"),
        functions.progress.expect("required"),
    );
    // SAFETY: all pointers are valid during the calls.
    unsafe {
        crate::host::answered(|error| f.0(bytes("{}"), &mut instance, error)).expect("made");
        crate::host::answered(|error| f.1(instance, bytes(r#"{"steps":2}"#), error))
            .expect("resumed");
        crate::host::answered(|error| f.2(instance, &raw, &mut asked, error)).expect("asked");
        functions.destroy.expect("required")(instance);
    }
    assert_eq!(asked, WISH_STOP | WISH_SAVE);
}

#[test]
fn a_reader_lists_examples_and_bad_ones() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("b.lines"), "one\n\ntwo\n").expect("written");
    let found = finetuned_sdk::testing::read::<Lines>("{}", folder.path())
        .expect("read")
        .expect("recognised");
    let texts: Vec<(&str, u64)> =
        found.examples.iter().map(|it| (it.content.as_str(), it.line)).collect();
    assert_eq!(texts, [("one", 1), ("two", 3)]);
    assert_eq!(found.bad, [("b.lines".to_string(), 2, "empty".to_string())]);
    std::fs::write(folder.path().join("a.txt"), "x").expect("written");
    assert_eq!(finetuned_sdk::testing::read::<Lines>("{}", folder.path()).expect("looked"), None);
}

#[test]
fn an_augmentation_changes_pixels_by_seed_alone() {
    let seen: Vec<Vec<[u8; 3]>> = (0..8)
        .map(|seed| {
            finetuned_sdk::testing::augmentation::<Invert>("{}", 1, &[[0, 1, 255]], seed)
                .expect("changed")
        })
        .collect();
    assert!(seen.contains(&vec![[0, 1, 255]]) && seen.contains(&vec![[255, 254, 0]]), "{seen:?}");
}
