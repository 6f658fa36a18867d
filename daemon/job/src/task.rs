//! What a task is: the one table that joins a name, what goes in, what comes out, and how it is
//! learnt. The recipe, the inference from the data, plan, card, report and messages take all of
//! that from here. How inputs are read, outputs judged and losses computed is left to the crates
//! that have a file for each of these.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::ops::Deref;

/// What a model looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Modality {
    Text,
    /// Two texts, of which one may be about the other.
    TextPair,
    /// A text whose words have answers.
    Words,
    /// A text that is learnt as it is, in passages as long as a model reads.
    Passage,
    /// Messages, of which those of an assistant are answers.
    Chat,
    /// Messages and answers to them, of which one is wanted and another not.
    Preference,
    /// Messages that the model itself is to answer, and what else is known of them.
    Prompt,
    Image,
}

impl Modality {
    /// What one input is called, in sentences and in tables.
    pub fn noun(self) -> &'static str {
        match self {
            Modality::Text | Modality::Passage => "text",
            Modality::TextPair => "pair",
            Modality::Words => "sentence",
            Modality::Chat | Modality::Preference => "conversation",
            Modality::Prompt => "prompt",
            Modality::Image => "image",
        }
    }

    /// Whether an input is a conversation, which may go on.
    pub fn has_messages(self) -> bool {
        matches!(self, Modality::Chat | Modality::Preference | Modality::Prompt)
    }
}

/// What a model answers. The first three are named as `problem_type` in the configs of
/// transformers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Answer {
    /// One of several classes.
    #[serde(rename = "single_label_classification")]
    Class,
    /// Any number of classes.
    #[serde(rename = "multi_label_classification")]
    Classes,
    /// One or more numbers.
    #[serde(rename = "regression")]
    Numbers,
    /// A tag for each word.
    #[serde(rename = "token_classification")]
    Tags,
    /// The tokens of the input itself.
    #[serde(rename = "language_modeling")]
    Tokens,
    /// How much an answer is wanted.
    #[serde(rename = "preference")]
    Reward,
    /// What the model says, which rewards score.
    #[serde(rename = "completion")]
    Completion,
}

/// What is minimised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Objective {
    /// Of the classes' softmax: `torch.nn.CrossEntropyLoss`.
    CrossEntropy,
    /// Of each class by itself: `torch.nn.BCEWithLogitsLoss`.
    BinaryCrossEntropy,
    /// The squared error of numbers in units of their standard deviation: `torch.nn.MSELoss`.
    SquaredError,
    /// Of the tags' softmax, over words.
    TokenCrossEntropy,
    /// Of the vocabulary's softmax, over tokens that were masked (Devlin et al. 2019).
    MaskedTokens,
    /// Of the vocabulary's softmax, over tokens that follow others (Bengio et al. 2003).
    NextTokens,
    /// Of likelihoods of wanted and unwanted answers: direct preference optimisation (Rafailov et
    /// al. 2023) and its kin.
    Preferences,
    /// Of numbers for wanted and unwanted answers (Bradley and Terry 1952).
    Rewards,
    /// Of likelihoods of the model's own answers, by how much more each is rewarded than the others
    /// to its prompt: group relative policy optimisation (Shao et al. 2024).
    GroupRelative,
}

impl Objective {
    /// Whether outputs are learnt in units of the targets' own: a model that learnt so must be told
    /// them, or have them folded in.
    pub fn in_units(self) -> bool {
        self == Objective::SquaredError
    }

    /// Whether the vocabulary is predicted: the head is the base's own.
    pub fn of_vocabulary(self) -> bool {
        self == Objective::MaskedTokens || self.goes_on()
    }

    /// Whether the model goes on with what it is given.
    pub fn goes_on(self) -> bool {
        matches!(self, Objective::NextTokens | Objective::Preferences | Objective::GroupRelative)
    }

    /// Whether the model makes the answers that it learns from.
    pub fn samples(self) -> bool {
        self == Objective::GroupRelative
    }

    /// Whether answers are compared with each other.
    pub fn compares(self) -> bool {
        matches!(self, Objective::Preferences | Objective::Rewards)
    }
}

/// What kind of work a job of this task is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// Updates by gradients over batches.
    Train,
}

/// Metrics that a recipe may select.
#[derive(Debug, PartialEq, Eq)]
pub struct Metrics {
    pub known: &'static [&'static str],
    /// Shown first, unless the recipe says otherwise.
    pub shown: &'static [&'static str],
    /// Chooses the best step, unless the recipe says otherwise.
    pub best: &'static str,
}

impl Metrics {
    /// Of the first task that answers so: all that another one has.
    pub fn of(answer: Answer) -> &'static Metrics {
        let of_answer = TASKS.iter().find(|it| it.answer == answer);
        of_answer.map_or(&OF_CLASS, |it| it.metrics)
    }
}

/// A row of the table.
#[derive(Debug)]
pub struct TaskRow {
    /// As a recipe says it.
    pub name: &'static str,
    /// Of Hugging Face, for the model card.
    pub pipeline_tag: &'static str,
    /// Of the configs of transformers; none where the architecture alone says it.
    pub problem_type: Option<&'static str>,
    pub modality: Modality,
    pub answer: Answer,
    pub objective: Objective,
    /// The base model where a recipe names none.
    pub base: &'static str,
    pub metrics: &'static Metrics,
    pub work: Work,
}

const MINILM: &str = "hf:sentence-transformers/all-MiniLM-L6-v2";
const DISTILBERT: &str = "hf:distilbert/distilbert-base-uncased";
const SMOLLM2: &str = "hf:HuggingFaceTB/SmolLM2-135M";
const SMOLLM2_INSTRUCT: &str = "hf:HuggingFaceTB/SmolLM2-135M-Instruct";
const EFFICIENTNET: &str = "hf:timm/tf_efficientnet_lite0.in1k";

const OF_CLASS: Metrics = Metrics {
    known: &[
        "accuracy",
        "top5_accuracy",
        "macro_average_precision",
        "macro_f1",
        "micro_f1",
        "weighted_f1",
        "macro_precision",
        "micro_precision",
        "weighted_precision",
        "macro_recall",
        "micro_recall",
        "weighted_recall",
        "loss",
    ],
    shown: &["accuracy", "macro_f1"],
    best: "macro_f1",
};

/// `accuracy` is that of whole sets.
const OF_CLASSES: Metrics = Metrics {
    known: &[
        "macro_average_precision",
        "accuracy",
        "macro_f1",
        "micro_f1",
        "weighted_f1",
        "macro_precision",
        "micro_precision",
        "weighted_precision",
        "macro_recall",
        "micro_recall",
        "weighted_recall",
        "loss",
    ],
    shown: &["macro_average_precision", "micro_f1"],
    best: "macro_average_precision",
};

/// Means over the numbers.
const OF_NUMBERS: Metrics = Metrics {
    known: &["r2", "mae", "rmse", "pearson", "spearman", "loss"],
    shown: &["r2", "mae", "rmse"],
    best: "r2",
};

/// Entities as seqeval counts them, the averages over their types; of plain tags, which mark none,
/// their answer knows what there is.
const OF_TAGS: Metrics = Metrics {
    known: &[
        "entity_f1",
        "entity_precision",
        "entity_recall",
        "token_accuracy",
        "macro_f1",
        "macro_precision",
        "macro_recall",
        "weighted_f1",
        "weighted_precision",
        "weighted_recall",
        "loss",
    ],
    shown: &["entity_f1", "entity_precision", "entity_recall"],
    best: "entity_f1",
};

/// `perplexity` is e to the power of the mean loss of a token; `bits_per_byte` the loss of a text
/// in bits over its length in UTF-8, which models of other tokens can be compared by.
const OF_NEXT_TOKENS: Metrics = Metrics {
    known: &["perplexity", "bits_per_byte", "token_accuracy", "loss"],
    shown: &["perplexity", "bits_per_byte", "token_accuracy"],
    best: "perplexity",
};

/// The same of tokens here and there in a text.
const OF_MASKED_TOKENS: Metrics = Metrics {
    known: &["perplexity", "token_accuracy", "loss"],
    shown: &["perplexity", "token_accuracy"],
    best: "perplexity",
};

/// `accuracy` is the part of the pairs whose wanted answer has the larger reward, `margin` the mean
/// of how much larger it is; `log_ratio` the mean of how much likelier an answer of the data is
/// than it was to the base, in nats.
const OF_PREFERENCES: Metrics = Metrics {
    known: &["accuracy", "margin", "log_ratio", "loss"],
    shown: &["accuracy", "margin", "log_ratio"],
    best: "accuracy",
};

const OF_REWARDS: Metrics = Metrics {
    known: &["accuracy", "margin", "loss"],
    shown: &["accuracy", "margin"],
    best: "accuracy",
};

/// `reward` is the mean of what answers are rewarded with, `length` of their tokens, `ended` the
/// part of them that came to an end by themselves; `loss` is the reward with the other sign.
const OF_COMPLETIONS: Metrics = Metrics {
    known: &["reward", "length", "ended", "loss"],
    shown: &["reward", "length", "ended"],
    best: "reward",
};

/// Every task. Where several rows have the same input and answer, the first is what data are taken
/// for.
pub const TASKS: &[TaskRow] = &[
    TaskRow {
        name: "text-classification",
        pipeline_tag: "text-classification",
        problem_type: None,
        modality: Modality::Text,
        answer: Answer::Class,
        objective: Objective::CrossEntropy,
        base: MINILM,
        metrics: &OF_CLASS,
        work: Work::Train,
    },
    TaskRow {
        name: "text-multi-label-classification",
        pipeline_tag: "text-classification",
        problem_type: Some("multi_label_classification"),
        modality: Modality::Text,
        answer: Answer::Classes,
        objective: Objective::BinaryCrossEntropy,
        base: MINILM,
        metrics: &OF_CLASSES,
        work: Work::Train,
    },
    TaskRow {
        name: "text-regression",
        pipeline_tag: "text-classification",
        problem_type: Some("regression"),
        modality: Modality::Text,
        answer: Answer::Numbers,
        objective: Objective::SquaredError,
        base: MINILM,
        metrics: &OF_NUMBERS,
        work: Work::Train,
    },
    TaskRow {
        name: "text-pair-classification",
        pipeline_tag: "text-classification",
        problem_type: None,
        modality: Modality::TextPair,
        answer: Answer::Class,
        objective: Objective::CrossEntropy,
        base: MINILM,
        metrics: &OF_CLASS,
        work: Work::Train,
    },
    TaskRow {
        name: "text-pair-regression",
        pipeline_tag: "text-classification",
        problem_type: Some("regression"),
        modality: Modality::TextPair,
        answer: Answer::Numbers,
        objective: Objective::SquaredError,
        base: MINILM,
        metrics: &OF_NUMBERS,
        work: Work::Train,
    },
    TaskRow {
        name: "token-classification",
        pipeline_tag: "token-classification",
        problem_type: None,
        modality: Modality::Words,
        answer: Answer::Tags,
        objective: Objective::TokenCrossEntropy,
        base: MINILM,
        metrics: &OF_TAGS,
        work: Work::Train,
    },
    TaskRow {
        name: "causal-language-modeling",
        pipeline_tag: "text-generation",
        problem_type: None,
        modality: Modality::Passage,
        answer: Answer::Tokens,
        objective: Objective::NextTokens,
        base: SMOLLM2,
        metrics: &OF_NEXT_TOKENS,
        work: Work::Train,
    },
    TaskRow {
        name: "masked-language-modeling",
        pipeline_tag: "fill-mask",
        problem_type: None,
        modality: Modality::Passage,
        answer: Answer::Tokens,
        objective: Objective::MaskedTokens,
        base: DISTILBERT,
        metrics: &OF_MASKED_TOKENS,
        work: Work::Train,
    },
    TaskRow {
        name: "text-generation",
        pipeline_tag: "text-generation",
        problem_type: None,
        modality: Modality::Chat,
        answer: Answer::Tokens,
        objective: Objective::NextTokens,
        base: SMOLLM2_INSTRUCT,
        metrics: &OF_NEXT_TOKENS,
        work: Work::Train,
    },
    TaskRow {
        name: "preference",
        pipeline_tag: "text-generation",
        problem_type: None,
        modality: Modality::Preference,
        answer: Answer::Reward,
        objective: Objective::Preferences,
        base: SMOLLM2_INSTRUCT,
        metrics: &OF_PREFERENCES,
        work: Work::Train,
    },
    TaskRow {
        name: "reward-modeling",
        pipeline_tag: "text-classification",
        problem_type: Some("regression"),
        modality: Modality::Preference,
        answer: Answer::Reward,
        objective: Objective::Rewards,
        base: SMOLLM2_INSTRUCT,
        metrics: &OF_REWARDS,
        work: Work::Train,
    },
    TaskRow {
        name: "grpo",
        pipeline_tag: "text-generation",
        problem_type: None,
        modality: Modality::Prompt,
        answer: Answer::Completion,
        objective: Objective::GroupRelative,
        base: SMOLLM2_INSTRUCT,
        metrics: &OF_COMPLETIONS,
        work: Work::Train,
    },
    TaskRow {
        name: "image-classification",
        pipeline_tag: "image-classification",
        problem_type: None,
        modality: Modality::Image,
        answer: Answer::Class,
        objective: Objective::CrossEntropy,
        base: EFFICIENTNET,
        metrics: &OF_CLASS,
        work: Work::Train,
    },
    TaskRow {
        name: "image-multi-label-classification",
        pipeline_tag: "image-classification",
        problem_type: Some("multi_label_classification"),
        modality: Modality::Image,
        answer: Answer::Classes,
        objective: Objective::BinaryCrossEntropy,
        base: EFFICIENTNET,
        metrics: &OF_CLASSES,
        work: Work::Train,
    },
    TaskRow {
        name: "image-regression",
        pipeline_tag: "image-classification",
        problem_type: Some("regression"),
        modality: Modality::Image,
        answer: Answer::Numbers,
        objective: Objective::SquaredError,
        base: EFFICIENTNET,
        metrics: &OF_NUMBERS,
        work: Work::Train,
    },
];

/// A row of [`TASKS`], by reference.
#[derive(Clone, Copy)]
pub struct Task(&'static TaskRow);

impl Task {
    pub fn all() -> impl Iterator<Item = Task> {
        TASKS.iter().map(Task)
    }

    pub fn named(name: &str) -> Option<Task> {
        Task::all().find(|it| it.name == name)
    }

    /// What data with these inputs and answers are taken for; none where nothing learns that.
    pub fn of(modality: Modality, answer: Answer) -> Option<Task> {
        Task::all().find(|it| (it.modality, it.answer) == (modality, answer))
    }

    /// Every metric of any task, in the order of letters.
    pub fn all_metrics() -> Vec<&'static str> {
        let mut names: Vec<&str> = TASKS.iter().flat_map(|it| it.metrics.known).copied().collect();
        names.sort_unstable();
        names.dedup();
        names
    }
}

impl Deref for Task {
    type Target = TaskRow;

    fn deref(&self) -> &TaskRow {
        self.0
    }
}

/// Names are unique: tested below.
impl PartialEq for Task {
    fn eq(&self, other: &Task) -> bool {
        self.name == other.name
    }
}

impl Eq for Task {}

impl fmt::Debug for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl Serialize for Task {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name)
    }
}

impl<'de> Deserialize<'de> for Task {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Task, D::Error> {
        let name = String::deserialize(deserializer)?;
        Task::named(&name).ok_or_else(|| D::Error::custom(format!("`{name}` is no task")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_come_back_from_json() {
        for task in Task::all() {
            assert_eq!(Task::all().filter(|it| *it == task).count(), 1, "{task:?}");
            let text = serde_json::to_string(&task).unwrap();
            assert_eq!(serde_json::from_str::<Task>(&text).unwrap(), task);
        }
        assert!(serde_json::from_str::<Task>("\"text-clasification\"").is_err());
    }

    #[test]
    fn what_is_shown_and_chooses_is_known() {
        for task in Task::all() {
            let Metrics { known, shown, best } = task.metrics;
            assert!(shown.iter().chain([best]).all(|it| known.contains(it)), "{task:?}");
            let of_answer = Metrics::of(task.answer).known;
            assert!(known.iter().all(|it| of_answer.contains(it)), "{task:?}");
        }
    }
}
