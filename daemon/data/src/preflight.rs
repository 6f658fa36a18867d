//! From examples as they were read to splits that a model can be trained on and judged by: leaked
//! examples are left out, missing splits carved, and what can't be learnt is refused.

use crate::carve::{self, Fractions};
use crate::duplicates;
use crate::refusal;
use crate::sample::{PerSplit, Sample};
use finetuned_job::data::{ClassCount, Duplicates, SplitReport};
use finetuned_job::outcome::Failure;
use finetuned_job::scores::Split;
use finetuned_job::task::Answer;

pub(crate) struct Rules<'a> {
    pub(crate) problem: Answer,
    pub(crate) classes: &'a [String],
    /// Wanted where the drop has no such split.
    pub(crate) validation: f64,
    pub(crate) test: f64,
    pub(crate) seed: u64,
}

/// `origin`: where an example comes from, in words.
pub(crate) fn divide<E: Sample>(
    examples: &mut PerSplit<Vec<E>>,
    rules: &Rules<'_>,
    origin: &dyn Fn(&E) -> String,
) -> Result<(Duplicates, Vec<SplitReport>), Failure> {
    check_answers(examples, rules, origin)?;
    let from_file = |split| !examples.of(split).is_empty();
    let (has_validation, has_test) = (from_file(Split::Validation), from_file(Split::Test));
    let (duplicates, train_keys) = duplicates::take_out(examples);
    check_train(&examples.train, rules, &duplicates, origin)?;
    let fraction = |has, fraction| if has { 0.0 } else { fraction };
    let fractions = Fractions {
        validation: fraction(has_validation, rules.validation),
        test: fraction(has_test, rules.test),
    };
    carve::carve(examples, &train_keys, &fractions, rules.seed);
    drop(train_keys);
    check_judged(examples, has_validation)?;
    let way = if rules.problem == Answer::Class { "stratified" } else { "random" };
    let splits = Split::ALL.into_iter().filter(|it| !examples.of(*it).is_empty()).map(|split| {
        let from_file = match split {
            Split::Train => has_validation || has_test,
            Split::Validation => has_validation,
            Split::Test => has_test,
        };
        let origin =
            if from_file { "file".to_string() } else { format!("{way}, seed {}", rules.seed) };
        SplitReport { split, rows: examples.of(split).len() as u64, origin }
    });
    Ok((duplicates, splits.collect()))
}

fn check_answers<E: Sample>(
    examples: &PerSplit<Vec<E>>,
    rules: &Rules<'_>,
    origin: &dyn Fn(&E) -> String,
) -> Result<(), Failure> {
    let n = examples.len();
    let Some((_, first)) = examples.iter().next() else {
        return Err(refusal::data("the drop has no usable rows"));
    };
    if examples.iter().all(|(_, it)| it.same_answer(first)) {
        return Err(match (rules.problem, rules.classes) {
            (Answer::Class, classes) => {
                let class = first
                    .classes()
                    .first()
                    .and_then(|it| classes.get(*it as usize))
                    .map_or("", String::as_str);
                refusal::data(format!("all {n} examples have the label `{class}`"))
                    .with_cure("a classifier needs two classes at least")
            }
            (Answer::Classes, []) => refusal::data(format!("none of the {n} examples has a label")),
            (Answer::Classes, _) => refusal::data(format!("all {n} examples have the same labels"))
                .with_cure("there is nothing to tell apart"),
            (Answer::Numbers, _) => {
                refusal::data(format!("all {n} examples have the same numbers"))
                    .with_cure("there is nothing to learn")
            }
        });
    }
    // A rare label among many is no reason to refuse the others: it is warned about.
    if rules.problem != Answer::Class {
        return Ok(());
    }
    let in_train = counts(&examples.train, rules.classes.len());
    match examples.iter().find(|(_, it)| in_train[it.stratum() as usize] == 0) {
        None => Ok(()),
        Some((split, example)) => {
            let (at, class) = (origin(example), &rules.classes[example.stratum() as usize]);
            Err(refusal::data(format!(
                "{at}: the class `{class}` occurs in {} but not in train",
                split.name()
            ))
            .with_cure("add examples of it to train, or remove it"))
        }
    }
}

/// After leaked examples are gone.
fn check_train<E: Sample>(
    train: &[E],
    rules: &Rules<'_>,
    duplicates: &Duplicates,
    origin: &dyn Fn(&E) -> String,
) -> Result<(), Failure> {
    let dropped = match duplicates.leaked_dropped {
        0 => String::new(),
        n => format!(" once the {n} that stand in validation or test too are left out"),
    };
    if train.is_empty() {
        return Err(refusal::data(format!("train has no examples{dropped}")));
    }
    if rules.problem != Answer::Class {
        return match train.len() {
            1 => Err(refusal::data(format!(
                "train has one example only{dropped} ({})",
                origin(&train[0])
            ))),
            _ => Ok(()),
        };
    }
    let Some(class_idx) = counts(train, rules.classes.len()).iter().position(|it| *it < 2) else {
        return Ok(());
    };
    let class = &rules.classes[class_idx];
    let message = match train.iter().find(|it| it.stratum() as usize == class_idx) {
        Some(only) => {
            format!("the class `{class}` has one example only{dropped} ({})", origin(only))
        }
        None => format!("the class `{class}` has no example in train{dropped}"),
    };
    Err(refusal::data(message)
        .with_cure("add examples of it or remove it; a class needs two at least"))
}

fn check_judged<E: Sample>(
    examples: &PerSplit<Vec<E>>,
    has_validation: bool,
) -> Result<(), Failure> {
    if has_validation && examples.validation.is_empty() {
        return Err(refusal::data("every validation example stands in test too, so none is left"));
    }
    if examples.validation.is_empty() && examples.test.is_empty() {
        return Err(refusal::data("there is neither validation nor test to judge the model by")
            .with_cure(format!("set data.validation in the recipe to more than 0, or add validation data; equal {} are never divided", E::NOUN)));
    }
    Ok(())
}

fn counts<E: Sample>(examples: &[E], classes: usize) -> Vec<u64> {
    let mut counts = vec![0; classes];
    examples.iter().flat_map(E::classes).for_each(|it| counts[*it as usize] += 1);
    counts
}

pub(crate) fn class_counts<E: Sample>(
    examples: &PerSplit<Vec<E>>,
    classes: &[String],
) -> Vec<ClassCount> {
    let [train, validation, test] = Split::ALL.map(|it| counts(examples.of(it), classes.len()));
    let count = |(idx, class): (usize, &String)| ClassCount {
        class: class.clone(),
        train: train[idx],
        validation: validation[idx],
        test: test[idx],
    };
    classes.iter().enumerate().map(count).collect()
}

pub(crate) fn warn_about<E: Sample>(
    classes: &[ClassCount],
    examples: &PerSplit<Vec<E>>,
    duplicates: &Duplicates,
    warnings: &mut Vec<String>,
) {
    /// A class this much rarer than the most frequent one is easily never predicted.
    const IMBALANCE: u64 = 20;
    if examples.validation.is_empty() {
        warnings.push(
            "there is no validation split: the last step is taken, since none may be chosen by test; data.validation above 0 takes some out of train"
                .into(),
        );
    }
    for (split, count) in [
        (Split::Validation, (|it| it.validation) as fn(&ClassCount) -> u64),
        (Split::Test, |it| it.test),
    ] {
        let absent: Vec<&str> =
            classes.iter().filter(|it| count(it) == 0).map(|it| it.class.as_str()).collect();
        if !examples.of(split).is_empty() && !absent.is_empty() {
            warnings.push(format!(
                "{} has no examples of {}: their scores say nothing",
                split.name(),
                refusal::list(&absent)
            ));
        }
    }
    let unlearnt: Vec<&str> =
        classes.iter().filter(|it| it.train == 0).map(|it| it.class.as_str()).collect();
    if !unlearnt.is_empty() {
        warnings.push(format!(
            "train has no examples of {}: the model can't learn them",
            refusal::list(&unlearnt)
        ));
    }
    let by_count = |it: &&ClassCount| it.train;
    if let (Some(least), Some(most)) =
        (classes.iter().min_by_key(by_count), classes.iter().max_by_key(by_count))
        && 0 < least.train
        && IMBALANCE * least.train < most.train
    {
        warnings.push(format!(
            "`{}` has {} training examples, `{}` has {}: consider class_weights = \"auto\"",
            most.class, most.train, least.class, least.train
        ));
    }
    let noun = E::NOUN;
    if 0 < duplicates.conflicting_labels {
        warnings.push(format!(
            "{noun} that stand under more than one label: {}",
            duplicates.conflicting_labels
        ));
    }
    if 0 < duplicates.leaked_dropped {
        warnings.push(format!(
            "training examples left out, as their {noun} stand in validation or test too: {}",
            duplicates.leaked_dropped
        ));
    }
    if 0 < duplicates.leaked_validation_dropped {
        warnings.push(format!(
            "validation examples left out, as their {noun} stand in test too: {}",
            duplicates.leaked_validation_dropped
        ));
    }
}
