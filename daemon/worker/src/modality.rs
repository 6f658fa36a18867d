//! How inputs of every kind come to a model: one file for each modality, which encodes records,
//! makes batches of them, names them for the feature cache, and knows what stands beside the
//! weights in a model folder. What an example should be answered with is none of their business.

mod image; // files -> pixels
mod literal; // what looks like a special token -> token ids of text
mod tokenizer_file; // a folder -> its tokenizer
mod pair; // two texts -> token ids of one sequence
mod text; // texts -> token ids
mod vocabulary; // texts whose tokens are learnt
mod passage; // texts -> token ids of as many passages as they fill
mod words; // words of texts -> token ids
mod chat; // messages -> token ids of a conversation
mod preference; // answers to one question -> token ids of each
mod prompt; // questions that the model answers -> token ids

use crate::failures::model_failure;
use crate::rules::Fields;
use anyhow::{Context, Result, bail};
use finetuned_data::{Example, Images, Named, Origins, Record};
use finetuned_images::{Augment, Mix, Preprocess};
use finetuned_job::data::TokenReport;
use finetuned_job::plan::Plan;
use finetuned_job::recipe::Recipe;
use finetuned_job::task::Modality;
use finetuned_models::{Checkpoint, Input, Kind, Rows};
pub(crate) use preference::ScoredConversations;
use std::collections::BTreeSet;
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, Mutex};
use tch::{Device, Tensor};
use tokenizers::Tokenizer;

/// One kind of input.
pub(crate) trait Modal {
    /// The models that look at it.
    fn models(&self) -> Kind;

    /// What a model gives outputs for.
    fn rows(&self) -> Rows {
        Rows::PerExample
    }

    /// As a base model and a recipe have it.
    ///
    /// # Errors
    /// Files beside the base model that are missing or unknown.
    fn encoder(&self, base: &Checkpoint, recipe: &Recipe) -> Result<Box<dyn Encoder>>;

    /// As a finished model in `folder` has it.
    ///
    /// # Errors
    /// Files in the folder that are missing or unknown.
    fn reopen(&self, folder: &Path, plan: &Plan) -> Result<Box<dyn Encoder>>;
}

pub(crate) fn of(modality: Modality) -> &'static dyn Modal {
    match modality {
        Modality::Text => &text::Texts,
        Modality::TextPair => &pair::Pairs,
        Modality::Words => &words::Words,
        Modality::Passage => &passage::Passages,
        Modality::Chat => &chat::Chats,
        Modality::Preference => &preference::Preferences,
        Modality::Prompt => &prompt::Prompts,
        Modality::Image => &image::Images,
    }
}

/// How many inputs of these sets could not be used, and the first of them.
fn left_out(sets: &[&dyn Encoded], between: &str) -> Option<(usize, String)> {
    /// More of them are not named one by one.
    const SHOWN_MAX: usize = 5;
    let all: Vec<&str> = sets.iter().flat_map(|it| it.left_out()).map(String::as_str).collect();
    let shown = all.iter().take(SHOWN_MAX).copied().chain((SHOWN_MAX < all.len()).then_some("…"));
    (!all.is_empty()).then(|| (all.len(), shown.collect::<Vec<_>>().join(between)))
}

/// A model of a finished one's form: where its folder holds an adapter alone, the base.
///
/// # Errors
/// It is no model.
fn saved(folder: &Path, plan: &Plan) -> Result<Checkpoint> {
    let whole = if plan.save.adapter { Path::new(&plan.model.folder) } else { folder };
    Ok(finetuned_models::open(whole).map_err(model_failure)?)
}

/// The tokenizer of a model's folder.
///
/// # Errors
/// There is none that is read here.
pub(crate) fn tokenizer(folder: &Path) -> Result<Tokenizer> {
    tokenizer_file::open(folder)
}

/// How messages become a text, where a model's folder says so.
///
/// # Errors
/// It can't be read.
pub(crate) fn chat_template(folder: &Path) -> Result<Option<String>> {
    chat::template_text(folder)
}

/// What a plan writes down of an encoder.
#[derive(Clone, Default)]
pub(crate) struct Preparation {
    /// Tokens left of a text; 0 where there are none.
    pub max_tokens: u32,
    pub preprocess: Option<Preprocess>,
}

impl Preparation {
    /// Height and width of images, for models whose shapes follow from them.
    pub(crate) fn image_size(&self) -> Option<[i64; 2]> {
        self.preprocess.as_ref().map(|it| [it.height.into(), it.width.into()])
    }
}

/// Records -> what can be prepared of them once.
pub(crate) trait Encoder {
    fn preparation(&self) -> Preparation;

    /// `progress` is called with the number of records done.
    ///
    /// # Errors
    /// What `progress` says; records that can't be encoded.
    fn encode(
        &self,
        inputs: &Inputs,
        progress: &mut dyn FnMut(u64) -> Result<()>,
    ) -> Result<Box<dyn Encoded>>;

    /// What a person should know of it, and of what came of all splits, before anything is learnt.
    fn notes(&self, _sets: &[&dyn Encoded]) -> Vec<String> {
        Vec::new()
    }

    /// Lengths before the cut, over all splits.
    fn token_report(&self, _sets: &[&dyn Encoded]) -> Option<TokenReport> {
        None
    }

    /// Tokens of an input that a model is to go on with.
    ///
    /// # Errors
    /// Nothing goes on; an input that can't be encoded.
    fn prompt(&self, _record: &Record) -> Result<Vec<u32>> {
        bail!("this task's inputs do not go on")
    }

    /// Tokens after which nothing follows.
    fn ends(&self) -> &[u32] {
        &[]
    }

    /// Tokens as a person reads them, without special ones.
    fn text(&self, _tokens: &[u32]) -> String {
        String::new()
    }

    /// A token as a person reads it; empty where there are none.
    fn word(&self, _token: u32) -> String {
        String::new()
    }

    /// Writes into a model folder what its readers need beside weights and config, and into the
    /// config what belongs there.
    ///
    /// # Errors
    /// The disk refuses.
    fn export(&self, base: &Path, to: &Path, config: &mut serde_json::Value) -> Result<()>;
}

/// Records, and where each comes from.
#[derive(Clone)]
pub(crate) enum Inputs {
    /// A split of a data set.
    Split { examples: Arc<[Example]>, images: Option<Images>, origins: Arc<Origins> },
    /// What a person names.
    Named(Arc<[Named]>),
}

impl Inputs {
    pub(crate) fn len(&self) -> usize {
        match self {
            Inputs::Split { examples, .. } => examples.len(),
            Inputs::Named(all) => all.len(),
        }
    }

    pub(crate) fn record(&self, index: usize) -> &Record {
        match self {
            Inputs::Split { examples, .. } => &examples[index].record,
            Inputs::Named(all) => &all[index].record,
        }
    }

    /// `tweets.csv:17`, `cats/3.jpg`: for messages.
    pub(crate) fn origin(&self, index: u32) -> String {
        match self {
            Inputs::Split { examples, origins, .. } => origins.of(&examples[index as usize]),
            Inputs::Named(all) => all[index as usize].origin.clone(),
        }
    }

    /// File, as an index into those of the report, and line; 0 for what a person names.
    pub(crate) fn place(&self, index: usize) -> (u32, u64) {
        match self {
            Inputs::Split { examples, .. } => (examples[index].file, examples[index].line),
            Inputs::Named(_) => (0, 0),
        }
    }

    /// The text, or where the image lies.
    pub(crate) fn what(&self, index: usize) -> String {
        match self.record(index).texts.as_ref() {
            [] => self.origin(index as u32),
            texts => texts.join(" / "),
        }
    }

    /// The same as the examples that they became, each with its own part of a text.
    pub(crate) fn cut(self, encoded: &dyn Encoded) -> Inputs {
        let Some(pieces) = encoded.pieces() else { return self };
        // A long text is not copied for each of its parts.
        fn part<'a>(it: &Piece, of: &'a Record) -> &'a str {
            let (from, to) = (it.bytes.start as usize, it.bytes.end as usize);
            of.texts.first().and_then(|it| it.get(from..to)).unwrap_or_default()
        }
        match self {
            Inputs::Split { examples, images, origins } => {
                let example = |it: &Piece| {
                    let of = &examples[it.record as usize];
                    let record = Record::of_text(part(it, &of.record));
                    let target = of.target.clone();
                    Example { record, target, key: of.key, file: of.file, line: of.line }
                };
                let examples = pieces.iter().map(example).collect();
                Inputs::Split { examples, images, origins }
            }
            Inputs::Named(all) => {
                let named = |it: &Piece| {
                    let of = &all[it.record as usize];
                    of.part(part(it, &of.record))
                };
                Inputs::Named(pieces.iter().map(named).collect())
            }
        }
    }

    /// Gives the memory of texts back that are encoded and shown nowhere.
    pub(crate) fn forget_texts(&mut self) {
        if let Inputs::Split { examples, .. } = self
            && let Some(examples) = Arc::get_mut(examples)
        {
            examples.iter_mut().for_each(|it| it.record.texts = Box::default());
        }
    }

    /// Of an image.
    ///
    /// # Errors
    /// It can't be read any more, or has changed.
    fn bytes(&self, index: u32) -> Result<Vec<u8>> {
        Ok(match self {
            Inputs::Split { examples, images, .. } => {
                images.as_ref().context("there are no images")?.bytes(&examples[index as usize])?
            }
            Inputs::Named(all) => all[index as usize].image_bytes()?,
        })
    }
}

/// The inputs of a split, as far as they can be prepared once.
pub(crate) trait Encoded {
    fn len(&self) -> usize;

    /// How much work each example is, in units.
    fn lengths(&self) -> Vec<u32>;

    /// What [`Encoded::lengths`] counts, in the plural.
    fn unit(&self) -> &'static str;

    /// The same before anything was cut off; empty where nothing is.
    fn uncut_lengths(&self) -> &[u32] {
        &[]
    }

    /// Tokens that the base model does not know, and what they stood for, as often as given; none
    /// where there are none.
    fn unknown(&self) -> (u64, Vec<(&str, u64)>) {
        (0, Vec::new())
    }

    /// Tokens of this batch, and what filling every sequence up to the longest one would make of
    /// them; none where there are no sequences.
    fn padding(&self, batch: &[u32]) -> Option<(u64, u64)> {
        let lengths = self.sequences(batch);
        let longest = lengths.iter().max()?;
        Some((lengths.iter().sum::<i64>() as u64, (longest * lengths.len() as i64) as u64))
    }

    /// Examples in one forward pass without gradients.
    fn evaluation_batch(&self) -> usize;

    /// Everything that a model is given for these examples, part by part: a name for what frozen
    /// stages give for them.
    ///
    /// # Errors
    /// Inputs that have no such name, because a person has named them.
    fn identify(&self, part: &mut dyn FnMut(&[u8])) -> Result<()>;

    /// Tokens of each sequence of these examples, as [`Input`] has them; none of images.
    fn sequences(&self, indices: &[u32]) -> Vec<i64>;

    /// Where the places of these examples that have targets of their own stand; none where an
    /// example has one target.
    fn places(&self, _indices: &[u32]) -> Option<Places> {
        None
    }

    /// The parts of records that are examples of their own; none where each record is one.
    fn pieces(&self) -> Option<&[Piece]> {
        None
    }

    /// Of an example, special ones too; empty where that is nobody's concern.
    fn tokens(&self, _index: u32) -> &[u32] {
        &[]
    }

    /// Places of its tokens that are learnt, where they are.
    fn learnt(&self, _index: u32) -> Vec<Range<u32>> {
        Vec::new()
    }

    /// Answers of an example that are compared, each a sequence of its own, in the order in which a
    /// batch has them; none where nothing is compared.
    fn answers(&self, _index: u32) -> Vec<Answered<'_>> {
        Vec::new()
    }

    /// What is known of a prompt that the model answers; none of other inputs.
    fn asked(&self, _index: u32) -> Option<&Asked> {
        None
    }

    /// Where the records stand that could not be used, and why is known to the encoder.
    fn left_out(&self) -> &[String] {
        &[]
    }

    /// UTF-8 of what the tokens that are learnt stand for; 0 where nobody asks.
    fn bytes(&self, _index: u32) -> u64 {
        0
    }

    /// What tokens there are, where they are what is learnt.
    fn vocabulary(&self) -> Option<&Vocabulary> {
        None
    }

    /// Where the places of an example stand in its text, in bytes, where its record names none.
    fn cut(&self, _index: u32) -> &[(u32, u32)] {
        &[]
    }

    /// Gives inputs of these batches, which may be made ready in advance, one after the other.
    fn loader(&self, batches: Vec<Vec<u32>>, changes: Option<Changes>) -> Box<dyn Loader + '_>;

    /// PNG of an example, `side` pixels at most, where it can be looked at.
    fn thumbnail(&self, _index: u32, _side: u32) -> Option<Vec<u8>> {
        None
    }

    /// PNG of the first examples side by side, changed as they are for training.
    ///
    /// # Errors
    /// They can't be read any more.
    fn strip(&self, _shown: u32, _side: u32, _changes: &Changes) -> Result<Option<Vec<u8>>> {
        Ok(None)
    }
}

/// A prompt, as rewards see it.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    /// Of the last message.
    pub prompt: String,
    /// All of them: a list of JSON.
    pub messages: String,
    /// What stands beside it.
    pub fields: Fields,
}

/// An answer with what it answers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Answered<'a> {
    pub tokens: &'a [u32],
    /// Tokens before the answer.
    pub asked: usize,
    pub role: Role,
    /// How far the wanted answer of a pair should be ahead.
    pub margin: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Wanted,
    Unwanted,
    /// The example's target says whether it is wanted, if anything does.
    Alone,
    /// An answer to another question: how likely such ones are is what KTO measures others by.
    Stray,
}

/// A part of a record's text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Piece {
    pub record: u32,
    pub bytes: Range<u32>,
}

/// Tokens that a model may guess.
#[derive(Debug, Clone)]
pub(crate) struct Vocabulary {
    pub size: u32,
    /// Stands for one that is hidden, where tokens are.
    pub mask: Option<u32>,
    /// They say nothing of a text.
    pub special: BTreeSet<u32>,
}

/// Where words stand among the rows of a batch.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Places {
    /// Of each row: (example of the batch, word) whose token it is. None for special tokens, and
    /// for tokens that another window answers for.
    pub rows: Vec<Option<(u32, u32)>>,
    /// Of each example of the batch, for each word: its first row; none where it has no token.
    pub first: Vec<Vec<Option<u32>>>,
}

/// Inputs on their way to a model.
pub(crate) trait Loader {
    /// What these examples are to a model. Those named in advance come soonest in that order.
    ///
    /// # Errors
    /// They can't be read any more.
    fn input(&mut self, indices: &[u32], device: Device) -> Result<Input>;

    /// Mixes the examples of batch `number` of the epoch with each other, where they are to be.
    ///
    /// # Errors
    /// No memory.
    fn mix(&mut self, _number: u64, _input: &mut Input) -> Result<Option<Mix>> {
        Ok(None)
    }
}

/// How training examples of an epoch are changed.
#[derive(Clone)]
pub(crate) struct Changes {
    pub augment: Augment,
    /// A plugin's, before all else: one for each thread.
    pub plugin: Option<Arc<[Mutex<crate::plugins::AugmentationInstance>]>>,
    pub seed: u64,
    /// Counts from 0.
    pub epoch: u64,
}

/// (batch) int64
pub(crate) fn partners(mix: &Mix) -> Result<Tensor> {
    let partners: Vec<i64> = mix.partners.iter().map(|&it| it as i64).collect();
    Ok(Tensor::f_from_slice(&partners)?)
}
