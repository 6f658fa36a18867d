//! What a conversation begins with: all that stands before its first answer. Whoever has learnt an
//! answer to it knows more of another one than of a question that is new, so conversations with the
//! same beginning are not divided; where the data themselves divide them, a warning counts them.

use super::{Content, Divided};
use crate::example::{Example, Key, key_of};
use finetuned_job::data::DataReport;
use finetuned_job::outcome::Failure;
use finetuned_job::scores::Split;
use serde_json::Value;
use std::collections::HashSet;

/// Of conversations that are learnt as they are.
pub(super) struct Questions;

impl Content for Questions {
    fn group(&self, example: &Example) -> Key {
        key(example)
    }

    fn report(&self, of: &Divided<'_>, report: &mut DataReport) -> Result<(), Failure> {
        report.warnings.extend(divided(of));
        Ok(())
    }
}

pub(super) fn parsed(example: &Example) -> Option<Value> {
    serde_json::from_str(example.record.texts.first()?).ok()
}

/// Of all messages before the first answer.
pub(super) fn key(example: &Example) -> Key {
    let record = parsed(example).unwrap_or_default();
    let messages = record["messages"].as_array().map(Vec::as_slice).unwrap_or_default();
    let asked = messages.iter().take_while(|it| it["role"] != "assistant");
    key_of(Value::from_iter(asked.cloned()).to_string().as_bytes())
}

/// That questions stand in training and in what the model is scored by.
pub(super) fn divided(of: &Divided<'_>) -> Option<String> {
    let keys = |split: Split| of.examples.of(split).iter().map(key);
    let held_out: HashSet<Key> = keys(Split::Validation).chain(keys(Split::Test)).collect();
    let shared = keys(Split::Train).filter(|it| held_out.contains(it)).count();
    (0 < shared).then(|| {
        format!(
            "training examples whose question stands in validation or test too, with other answers: {shared}; scores may flatter the model"
        )
    })
}
