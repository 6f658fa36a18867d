//! What is tried of readers, hooks, augmentations and rewards.

use super::teller::{Fault, Outcome, Seen, Teller};
use super::{CALLS, Trial, steady};
use crate::plugins::{
    Answered, Files, HookInstance, HookProgress, Moment, Read, ReaderInstance, Wishes,
};
use anyhow::{Context, Result};
use std::fs;
use std::ops::ControlFlow;

/// A drop of files that a reader may meet, most of which are not its own.
const DROP: &[(&str, &str)] = &[
    ("data.csv", "text,label\ngood film,positive\nbad film,negative\n"),
    ("empty.txt", ""),
    ("train.conll", "EU B-ORG\nrejects O\n\nPeter B-PER\nBlackburn I-PER\n"),
    ("train.jsonl", "{\"text\": \"good film\", \"label\": \"positive\"}\n"),
];

pub(super) fn reader(trial: Trial<'_>, subject: &str, teller: &mut Teller) -> Result<()> {
    let folder = Folder::new()?;
    let files: Vec<String> = DROP.iter().map(|(name, _)| name.to_string()).collect();
    let all = Files { folder: &folder.path, files: &files };
    let mut found = None;
    let works = teller.probe(subject, "recognise", || {
        let reader = trial.plugins.reader(trial.name, "{}")?;
        let nothing = Files { folder: &folder.path, files: &[] };
        if reader.recognise(nothing)? {
            return Err("it recognises a drop without files".to_string().into());
        }
        let mine: Vec<&str> = files
            .iter()
            .filter_map(|it| own(&reader, &folder.path, it).transpose())
            .collect::<Result<_, _>>()?;
        let seen = if mine.is_empty() {
            "none of the sample files is its own, so reading was not tried".into()
        } else {
            mine.join(", ")
        };
        let tells = if mine.is_empty() { Seen::Noted(seen) } else { Seen::Passed(seen) };
        found = Some((reader, mine.iter().map(|it| it.to_string()).collect::<Vec<_>>()));
        Ok(tells)
    })?;
    let Some((reader, mine)) = found.filter(|_| works) else { return Ok(()) };
    if !mine.is_empty() {
        teller.probe(subject, "read", || {
            let mine = Files { files: &mine, ..all };
            let (once, twice) = (read(&reader, mine)?, read(&reader, mine)?);
            let bad = once.iter().filter(|it| matches!(it, Read::Bad { .. })).count();
            if once != twice {
                Err("two readings of the same files differ".to_string().into())
            } else {
                Ok(Seen::Passed(format!(
                    "{} examples, {bad} bad ones, the same twice",
                    once.len() - bad
                )))
            }
        })?;
    }
    teller.probe(subject, "memory", || steady(|| Ok(reader.recognise(all).map(drop)?)))?;
    Ok(())
}

fn own<'a>(
    reader: &ReaderInstance,
    folder: &str,
    file: &'a String,
) -> Result<Option<&'a str>, Fault> {
    Ok(reader
        .recognise(Files { folder, files: std::slice::from_ref(file) })?
        .then_some(file.as_str()))
}

fn read(reader: &ReaderInstance, files: Files<'_>) -> Result<Vec<Read>, Fault> {
    let mut found = vec![];
    reader.read(files, &mut |it| {
        found.push(it);
        ControlFlow::Continue(())
    })?;
    Ok(found)
}

/// Removed when it is dropped.
struct Folder {
    path: String,
}

impl Folder {
    fn new() -> Result<Folder> {
        let path =
            std::env::temp_dir().join(format!("finetuned-plugin-check-{}", std::process::id()));
        fs::create_dir(&path).with_context(|| format!("creating {}", path.display()))?;
        for (name, text) in DROP {
            fs::write(path.join(name), text).with_context(|| format!("writing {name}"))?;
        }
        Ok(Folder {
            path: path.to_str().context("the temporary folder's name is no UTF-8")?.to_string(),
        })
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

const STEPS: u64 = 60;
const STEPS_PER_EPOCH: u64 = 20;

/// A run that learns, then stands still: what it wished at each update.
fn course(hook: &HookInstance, steps: std::ops::Range<u64>) -> Result<Vec<Wishes>, Fault> {
    let mut wishes = vec![];
    for step in steps {
        let loss = 1.0 / (1.0 + step.min(30) as f64);
        let scores =
            [("accuracy", 1.0 - loss, true), ("macro_f1", 1.0 - loss, true), ("loss", loss, false)];
        let at = HookProgress {
            moment: Moment::Step,
            step: step + 1,
            steps: STEPS,
            epoch: (step + 1) as f64 / STEPS_PER_EPOCH as f64,
            loss,
            lr: 1e-3,
            grad_norm: loss,
            scores: &[],
        };
        wishes.push(hook.progress(&at)?);
        if (step + 1) % (STEPS_PER_EPOCH / 4) == 0 {
            wishes.push(hook.progress(&HookProgress {
                moment: Moment::Evaluated,
                scores: &scores,
                ..at.clone()
            })?);
        }
        if (step + 1) % STEPS_PER_EPOCH == 0 {
            wishes.push(hook.progress(&HookProgress { moment: Moment::EpochEnd, ..at })?);
        }
    }
    Ok(wishes)
}

pub(super) fn hook(trial: Trial<'_>, subject: &str, teller: &mut Teller) -> Result<()> {
    let create = || -> Result<HookInstance, Fault> { Ok(trial.plugins.hook(trial.name, "{}")?) };
    let works = teller.probe(subject, "progress", || {
        let (once, twice) = (course(&create()?, 0..STEPS)?, course(&create()?, 0..STEPS)?);
        let count = |wish: fn(&Wishes) -> bool| once.iter().filter(|it| wish(it)).count();
        if once != twice {
            return Err("the same course makes other wishes".to_string().into());
        }
        Ok(Seen::Passed(format!(
            "in {STEPS} updates it wished to stop {} times, to save {} times; the same twice",
            count(|it| it.stop),
            count(|it| it.save)
        )))
    })?;
    if !works {
        return Ok(());
    }
    teller.probe(subject, "save and load", || {
        let half = STEPS / 2;
        let (first, second) = (create()?, create()?);
        course(&first, 0..half)?;
        second.load(&first.save()?)?;
        if course(&first, half..STEPS)? != course(&second, half..STEPS)?
            || first.save()? != second.save()?
        {
            return Err("a resumed run makes other wishes than one that was never stopped"
                .to_string()
                .into());
        }
        Ok(Seen::Passed("a resumed run makes the same wishes".into()))
    })?;
    teller.probe(subject, "memory", || steady(|| course(&create()?, 0..1).map(drop)))?;
    Ok(())
}

pub(super) fn augmentation(trial: Trial<'_>, subject: &str, teller: &mut Teller) -> Result<()> {
    /// Bytes on either side of the pixels that must stay.
    const GUARD: usize = 64;
    let create = || -> Result<_, Fault> { Ok(trial.plugins.augmentation(trial.name, "{}")?) };
    let works = teller.probe(subject, "apply", || -> Outcome {
        let augmentation = create()?;
        for (width, height) in [(32, 24), (1, 1), (7, 1)] {
            let inside = width as usize * height as usize * 3;
            let mut bytes = vec![0xa5; inside + 2 * GUARD];
            augmentation.apply(&mut bytes[GUARD..GUARD + inside], (width, height), 1)?;
            let (left, right) = (&bytes[..GUARD], &bytes[GUARD + inside..]);
            if left.iter().chain(right).any(|it| *it != 0xa5) {
                return Err(format!(
                    "it writes beyond the pixels of an image of {width} x {height}"
                )
                .into());
            }
        }
        Ok(Seen::Passed("stays within the pixels, down to 1 x 1".into()))
    })?;
    if !works {
        return Ok(());
    }
    teller.probe(subject, "determinism", || {
        let image: Vec<u8> = (0..32 * 24 * 3).map(|it| (it * 31 % 251) as u8).collect();
        let applied = |it: &crate::plugins::AugmentationInstance, seed: u64| -> Result<Vec<u8>,
            Fault> {
            let mut pixels = image.clone();
            it.apply(&mut pixels, (32, 24), seed)?;
            Ok(pixels)
        };
        let (one, other) = (create()?, create()?);
        let first = applied(&one, 5)?;
        applied(&one, 6)?;
        if first != applied(&one, 5)? || first != applied(&other, 5)? {
            return Err("the same image and seed give another result: it remembers something, or draws from elsewhere".to_string().into());
        }
        Ok(Seen::Passed("same image and seed, same result".into()))
    })?;
    teller.probe(subject, "memory", || {
        let (augmentation, mut pixels, mut seed) = (create()?, vec![9; 8 * 8 * 3], 0);
        steady(|| {
            seed = (seed + 1) % u64::from(CALLS);
            Ok(augmentation.apply(&mut pixels, (8, 8), seed)?)
        })
    })?;
    Ok(())
}

/// Answers to one prompt. Which columns a reward reads is not known: there are the usual ones.
const ANSWERS: [&str; 5] = ["", "4", "It is 4.", "<think>two and two</think>\n{\"a\": 4}", "no"];
const FIELDS: &str =
    r#"{"answer": "4", "solution": "2 + 2 = 4", "target": "4", "keywords": ["four", "4"]}"#;

fn answered(answer: &str) -> Answered<'_> {
    let messages = r#"[{"role": "user", "content": "2 + 2?"}]"#;
    Answered { prompt: "2 + 2?", messages, answer, fields: FIELDS }
}

pub(super) fn reward(trial: Trial<'_>, subject: &str, teller: &mut Teller) -> Result<()> {
    let create = || -> Result<_, Fault> { Ok(trial.plugins.reward(trial.name, "{}")?) };
    let works = teller.probe(subject, "reward", || -> Outcome {
        let (one, other) = (create()?, create()?);
        let all = |it: &crate::plugins::RewardInstance| -> Result<Vec<f64>, Fault> {
            ANSWERS.iter().map(|answer| Ok(it.reward(answered(answer))?)).collect()
        };
        let first = all(&one)?;
        if first != all(&one)? || first != all(&other)? {
            return Err("the same answer is rewarded otherwise the second time: it remembers something, or draws from elsewhere".to_string().into());
        }
        let shown: Vec<String> = first.iter().map(f64::to_string).collect();
        let shown = format!("{} for {} answers, the same twice", shown.join(", "), first.len());
        Ok(match first.iter().all(|it| *it == first[0]) {
            true => Seen::Noted(format!("{shown}; nothing is learnt of equal rewards")),
            false => Seen::Passed(shown),
        })
    })?;
    if works {
        teller.probe(subject, "memory", || {
            let reward = create()?;
            steady(|| Ok(reward.reward(answered(ANSWERS[2])).map(drop)?))
        })?;
    }
    Ok(())
}
