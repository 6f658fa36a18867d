//! What is asked of a drop.

use finetuned_answers::TargetKind;
use finetuned_job::recipe::DataChoice;
use finetuned_job::task::Task;
use std::path::Path;

/// How much becomes validation where nobody says it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ValidationDefault {
    /// Of the examples that may be trained on.
    pub part: f64,
    /// At least so many of each class, but no more than a quarter of it.
    pub of_each_class: u32,
}

pub struct Request<'a> {
    /// Absent: the drop decides.
    pub task: Option<Task>,
    pub choice: &'a DataChoice,
    /// What validation gets of so many examples, where neither recipe nor drop says it.
    pub validation: fn(u64) -> ValidationDefault,
    /// Of the division into splits.
    pub seed: u64,
    /// The run folder. Written there, each begun anew: `quarantine.jsonl`, absent when nothing is
    /// quarantined; of images `contact/`, the contact sheets, and `staging/images`, the bytes of
    /// those that are no files.
    pub run: &'a Path,
    /// That decode at a time.
    pub threads: usize,
}

impl Request<'_> {
    /// Of the answers that are asked for; none where the drop decides.
    pub(crate) fn kind(&self) -> Option<&'static dyn TargetKind> {
        self.task.and_then(|it| finetuned_answers::target_kind(it.answer))
    }

    /// Target columns that the recipe names.
    pub(crate) fn labels(&self) -> Vec<&str> {
        self.choice.label.iter().chain(&self.choice.labels).map(String::as_str).collect()
    }

    /// Every column that the recipe names.
    pub(crate) fn named_columns(&self) -> Vec<&str> {
        let inputs = self.choice.text.iter().chain(&self.choice.image).map(String::as_str);
        inputs.chain(self.labels()).collect()
    }
}
