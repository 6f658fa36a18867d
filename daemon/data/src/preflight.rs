//! From examples as they were read to splits that a model can be trained on and scored by: leaked
//! examples are left out, missing splits carved, and what can't be learnt is refused.

use crate::carve::{self, Fractions};
use crate::duplicates;
use crate::example::{Example, Examples, Key, Origins};
use crate::refusal;
use crate::request::ValidationDefault;
use finetuned_answers::TargetKind;
use finetuned_job::data::{ClassCount, Duplicates, SplitReport};
use finetuned_job::outcome::Failure;
use finetuned_job::scores::Split;

pub(crate) struct Rules<'a> {
    pub(crate) kind: &'a dyn TargetKind,
    pub(crate) outputs: &'a [String],
    /// Wanted where the drop has no such split.
    pub(crate) validation: Option<f64>,
    /// Of so many examples, where it is not asked for.
    pub(crate) validation_default: fn(u64) -> ValidationDefault,
    pub(crate) test: f64,
    pub(crate) seed: u64,
    /// Examples of which it says the same are never divided here.
    pub(crate) group: &'a dyn Fn(&Example) -> Key,
    /// Of one input.
    pub(crate) noun: &'a str,
    pub(crate) origins: &'a Origins,
}

pub(crate) fn divide(
    examples: &mut Examples,
    rules: &Rules<'_>,
) -> Result<(Duplicates, Vec<SplitReport>), Failure> {
    check_targets(examples, rules)?;
    let from_file = |split| !examples.of(split).is_empty();
    let (has_validation, has_test) = (from_file(Split::Validation), from_file(Split::Test));
    let way = way(examples, rules);
    let duplicates = duplicates::take_out(examples);
    check_train(&examples.train, rules, &duplicates)?;
    let usual = (rules.validation_default)(examples.train.len() as u64);
    let fraction = |has, fraction| if has { 0.0 } else { fraction };
    let fractions = Fractions {
        validation: fraction(has_validation, rules.validation.unwrap_or(usual.part)),
        test: fraction(has_test, rules.test),
        of_each_class: if rules.validation.is_none() { usual.of_each_class as usize } else { 0 },
    };
    carve::carve(examples, (rules.kind, rules.outputs), rules.group, &fractions, rules.seed);
    check_held_out(examples, has_validation, rules.noun)?;
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

/// How examples are divided.
fn way(examples: &Examples, rules: &Rules<'_>) -> &'static str {
    let stratified = examples.iter().any(|it| rules.kind.stratum(&it.1.target).is_some());
    match (stratified, rules.kind.label_names(rules.outputs).is_empty()) {
        (true, _) => "stratified",
        (false, false) => "stratified by label",
        (false, true) => "random",
    }
}

fn check_targets(examples: &Examples, rules: &Rules<'_>) -> Result<(), Failure> {
    let n = examples.len();
    let Some((_, first)) = examples.iter().next() else {
        return Err(refusal::data("the drop has no usable examples"));
    };
    if examples.iter().all(|(_, it)| it.target == first.target)
        && let Some((message, cure)) = rules.kind.all_alike(n, &first.target, rules.outputs)
    {
        return Err(refusal::data(message).with_cure(cure));
    }
    // A rare label among many is no reason to refuse the others: it is warned about.
    let in_train = counts(&examples.train, rules.kind, rules.outputs);
    let absent = examples.iter().find_map(|(split, it)| {
        let stratum = rules.kind.stratum(&it.target)?;
        (in_train[stratum as usize] == 0).then_some((split, it, stratum))
    });
    match absent {
        None => Ok(()),
        Some((split, example, class)) => Err(refusal::data(format!(
            "{}: the class `{}` occurs in {} but not in train{}",
            rules.origins.of(example),
            rules.outputs[class as usize].escape_debug(),
            split.name(),
            alike(class as usize, &in_train, rules.outputs)
        ))
        .with_cure("add examples of it to train, or remove it")),
    }
}

/// A class of train whose name differs only in case, blanks and signs, or nothing. Signs of numbers
/// mean something.
fn alike(class: usize, in_train: &[u64], outputs: &[String]) -> String {
    let letters = |it: &str| -> String {
        it.chars().filter(|it| it.is_alphanumeric()).flat_map(char::to_lowercase).collect()
    };
    let name = letters(&outputs[class]);
    let like = |it: &usize| {
        0 < in_train[*it] && name.contains(char::is_alphabetic) && letters(&outputs[*it]) == name
    };
    let alike = (0..outputs.len()).filter(|it| *it != class).find(like);
    alike.map_or_else(String::new, |it| format!(", which has `{}`", outputs[it].escape_debug()))
}

/// After leaked examples are gone.
fn check_train(
    train: &[Example],
    rules: &Rules<'_>,
    duplicates: &Duplicates,
) -> Result<(), Failure> {
    let dropped = match duplicates.leaked_dropped {
        0 => String::new(),
        n => format!(" once the {n} that stand in validation or test too are left out"),
    };
    let stratum = |it: &Example| rules.kind.stratum(&it.target);
    match train {
        [] => return Err(refusal::data(format!("train has no examples{dropped}"))),
        [only] if stratum(only).is_none() => {
            return Err(one_alone(only, &dropped, rules.origins));
        }
        [first, ..] if stratum(first).is_none() => return Ok(()),
        _ => {}
    }
    let Some(class_idx) = counts(train, rules.kind, rules.outputs).iter().position(|it| *it < 2)
    else {
        return Ok(());
    };
    let class = &rules.outputs[class_idx];
    let found = train.iter().find(|it| stratum(it) == Some(class_idx as u32));
    let is_first_line =
        |it: &&Example| it.record.image.is_none() && rules.origins.place(it).1 == Some(1);
    let header = match found.as_ref().is_some_and(is_first_line) {
        true => "; if line 1 is a header, name its columns in the recipe: data.text, data.label",
        false => "",
    };
    let message = match found {
        Some(only) => {
            let at = rules.origins.of(only);
            format!("the class `{class}` has one example only{dropped} ({at})")
        }
        None => format!("the class `{class}` has no example in train{dropped}"),
    };
    Err(refusal::data(message)
        .with_cure(format!("add examples of it or remove it; a class needs two at least{header}")))
}

/// A file that is one text looks like many to whoever wrote a text a line.
fn one_alone(only: &Example, dropped: &str, origins: &Origins) -> Failure {
    let at = origins.of(only);
    let message = format!("train has one example only{dropped} ({at})");
    let is_file = only.record.image.is_none() && origins.place(only).1.is_none();
    refusal::data(message).with_cure(match is_file {
        true => "add files: one of some pages is one example, a longer one is divided; a text a line is read from a table, as a .csv or .jsonl file with a column `text`",
        false => "add examples",
    })
}

fn check_held_out(examples: &Examples, has_validation: bool, noun: &str) -> Result<(), Failure> {
    if has_validation && examples.validation.is_empty() {
        return Err(refusal::data("every validation example stands in test too, so none is left")
            .with_cure("remove the examples of test from validation"));
    }
    if examples.validation.is_empty() && examples.test.is_empty() {
        return Err(refusal::data("there is neither validation nor test to score the model by")
            .with_cure(format!("set data.validation in the recipe to more than 0, or add validation data; equal {noun}s are never divided")));
    }
    Ok(())
}

/// Examples of each label.
fn counts(examples: &[Example], kind: &dyn TargetKind, outputs: &[String]) -> Vec<u64> {
    let mut counts = vec![0; kind.label_names(outputs).len()];
    let labels = examples.iter().flat_map(|it| kind.labels(&it.target, outputs));
    labels.for_each(|it| counts[it as usize] += 1);
    counts
}

pub(crate) fn class_counts(
    examples: &Examples,
    kind: &dyn TargetKind,
    outputs: &[String],
) -> Vec<ClassCount> {
    let classes = kind.label_names(outputs);
    let [train, validation, test] = Split::ALL.map(|it| counts(examples.of(it), kind, outputs));
    let count = |(idx, class): (usize, &String)| ClassCount {
        class: class.clone(),
        train: train[idx],
        validation: validation[idx],
        test: test[idx],
    };
    classes.iter().enumerate().map(count).collect()
}

/// `noun`: of one input.
pub(crate) fn warn_about(
    classes: &[ClassCount],
    examples: &Examples,
    duplicates: &Duplicates,
    noun: &str,
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
            "`{}` has {} training examples, `{}` has {}, which is easily never predicted",
            most.class, most.train, least.class, least.train
        ));
    }
    if 0 < duplicates.conflicting_labels {
        warnings.push(format!(
            "{noun}s that stand under more than one label: {}",
            duplicates.conflicting_labels
        ));
    }
    if 0 < duplicates.leaked_dropped {
        warnings.push(format!(
            "training examples left out, as their {noun}s stand in validation or test too: {}",
            duplicates.leaked_dropped
        ));
    }
    if 0 < duplicates.leaked_validation_dropped {
        warnings.push(format!(
            "validation examples left out, as their {noun}s stand in test too: {}",
            duplicates.leaked_validation_dropped
        ));
    }
}
