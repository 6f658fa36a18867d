//! Answers that are compared: each is a sequence of its own, the question with it, as the base
//! model's chat template and tokenizer write a conversation. What stands behind the question is the
//! answer, with the token that ends it.
//!
//! For KTO an example also has answers to other questions: TRL's are those of the row before,
//! within a batch; here those of the nearest example before it that asks something else.

use super::chat::template::Conversation;
use super::chat::{ChatEncoder, each, json};
use super::text::{TextEncoder, TextSet, token_report};
use super::{
    Answered, Changes, Encoded, Encoder, Inputs, Loader, Modal, Piece, Preparation, Role,
    Vocabulary, left_out, saved, vocabulary,
};
use crate::planning;
use anyhow::{Context, Result};
use finetuned_data::Record;
use finetuned_job::data::TokenReport;
use finetuned_job::outcome::{Failure, FailureKind};
use finetuned_job::plan::Plan;
use finetuned_job::recipe::{LearntTurns, PreferenceLoss, Recipe};
use finetuned_job::task::Objective;
use finetuned_models::{Checkpoint, Kind};
use minijinja::value::{Serde, Value};
use std::ops::Range;
use std::path::Path;

/// Examples in one forward pass without gradients.
const EVALUATION_BATCH: usize = 4;

/// Examples before one among which another question is looked for.
const NEAR: usize = 64;

pub(super) struct Preferences;

impl Modal for Preferences {
    fn models(&self) -> Kind {
        Kind::Text
    }

    fn encoder(&self, base: &Checkpoint, recipe: &Recipe) -> Result<Box<dyn Encoder>> {
        vocabulary::check(base, Some(Objective::NextTokens))?;
        let max_tokens = planning::max_tokens(recipe, base.max_positions(), true)?;
        let text = TextEncoder::open(base.companions(), max_tokens)?;
        let objective = recipe.task.map_or(Objective::Preferences, |it| it.objective);
        let with_strays = recipe.train.preference == Some(PreferenceLoss::Kto);
        let split = recipe.data.split_special_tokens;
        encoder(text, base.companions(), base, (objective, with_strays, split))
    }

    fn reopen(&self, folder: &Path, plan: &Plan) -> Result<Box<dyn Encoder>> {
        let text = TextEncoder::open(folder, plan.data.max_tokens)?;
        let split = plan.data.split_special_tokens;
        encoder(text, folder, &saved(folder, plan)?, (plan.task.objective, false, split))
    }
}

fn encoder(
    text: TextEncoder,
    folder: &Path,
    model: &Checkpoint,
    (objective, with_strays, split): (Objective, bool, bool),
) -> Result<Box<dyn Encoder>> {
    let scores = objective == Objective::Rewards;
    let text = if scores { text.before(model) } else { text };
    let chat = ChatEncoder::new(text, folder, model, LearntTurns::Completions)?.of_text(split);
    Ok(Box::new(PreferenceEncoder { chat, scores, with_strays }))
}

struct PreferenceEncoder {
    chat: ChatEncoder,
    /// A conversation is scored as a whole, so none may be cut.
    scores: bool,
    /// Of pairs; answers alone have them always.
    with_strays: bool,
}

/// Conversations as a reward model reads them, which scores each as a whole.
pub(crate) struct ScoredConversations(PreferenceEncoder);

impl ScoredConversations {
    /// `name`: of the model, as the recipe has it.
    ///
    /// # Errors
    /// A model without a chat template: how it reads a conversation is not known.
    pub(crate) fn open(model: &Checkpoint, name: &str) -> Result<ScoredConversations> {
        let text = TextEncoder::open(model.companions(), model.max_positions())?.before(model);
        let learnt = LearntTurns::Completions;
        let chat = ChatEncoder::new(text, model.companions(), model, learnt)?.of_text(true);
        if chat.plain_note().is_some() {
            let message =
                format!("{name} has no chat template, so how it reads a conversation is not known");
            return Err(Failure::new(FailureKind::Model, message)
                .with_cure("put the chat_template.jinja into its folder that it was trained with, or name another reward model")
                .into());
        }
        Ok(ScoredConversations(PreferenceEncoder { chat, scores: true, with_strays: false }))
    }

    /// `messages`: a list of JSON.
    ///
    /// # Errors
    /// What the template says against it; a conversation that is too long for the model.
    pub(crate) fn tokens(&self, messages: &str, answer: &str) -> Result<Vec<u32>> {
        let messages = serde_json::from_str(messages).context("reading a prompt")?;
        let answer = serde_json::json!({ "role": "assistant", "content": answer });
        let completion = vec![Value::from(Serde(answer))];
        let asked = Asked { messages, completion, ..Asked::default() };
        let mut found = self.0.sequences(asked)?;
        let ids = found.pop().context("an answer has no tokens")?.ids;
        match ids.len() <= self.0.max_tokens() {
            true => Ok(ids),
            false => Err(too_long_to_score(ids.len(), self.0.max_tokens()).into()),
        }
    }
}

fn too_long_to_score(tokens: usize, most: usize) -> Failure {
    let message = format!(
        "an answer has {tokens} tokens with what it answers, but the reward model reads at most {most}"
    );
    Failure::new(FailureKind::Recipe, message).with_cure(
        "set grpo.max_completion_length in the recipe to less, shorten the prompt, or name another reward model",
    )
}

/// A record as the data crate writes it.
#[derive(Default, serde::Deserialize)]
struct Asked {
    messages: Vec<Value>,
    #[serde(default)]
    chosen: Vec<Value>,
    #[serde(default)]
    rejected: Vec<Value>,
    #[serde(default)]
    completion: Vec<Value>,
    #[serde(default)]
    tools: Option<Value>,
    #[serde(default)]
    margin: f64,
}

/// A sequence of a set.
#[derive(Debug, Clone, PartialEq)]
struct Sequence {
    ids: Vec<u32>,
    asked: usize,
    role: Role,
    margin: f64,
}

impl PreferenceEncoder {
    fn sequences(&self, of: Asked) -> Result<Vec<Sequence>, Failure> {
        let Asked { messages, chosen, rejected, completion, tools, margin } = of;
        let given = match rejected.is_empty() {
            // What a person names may have no answer yet.
            true => vec![(completion, Role::Alone)],
            false => vec![(chosen, Role::Wanted), (rejected, Role::Unwanted)],
        };
        let asked = messages.len();
        let sequence = |(answer, role): (Vec<Value>, Role)| {
            let messages = [&messages[..], &answer].concat();
            let of = Conversation { messages, tools: tools.clone() };
            let (mut ids, asked) = self.chat.answered(&of, asked)?;
            if self.scores {
                let length = self.chat.text.unfilled(&ids);
                ids.truncate(length);
            }
            Ok(Sequence { ids, asked, role, margin })
        };
        given.into_iter().map(sequence).collect()
    }

    fn too_long(&self, origin: &str, tokens: usize) -> Failure {
        let message = format!(
            "{origin} has {tokens} tokens, and a conversation that is scored must be whole: this model was trained on at most {}",
            self.max_tokens()
        );
        Failure::new(FailureKind::Data, message)
            .with_cure("shorten it, or train with a larger data.max_tokens")
    }

    fn max_tokens(&self) -> usize {
        self.chat.text.max_tokens as usize
    }

    /// Whether all of them are left something to be learnt of, once they are cut.
    fn cut(&self, of: &mut [Sequence]) -> bool {
        let most = self.max_tokens();
        let is_left = |it: &Sequence| match self.scores {
            true => it.ids.len() <= most,
            false => it.asked < most.min(it.ids.len()),
        };
        let all_left = of.iter().all(is_left);
        of.iter_mut().for_each(|it| it.ids.truncate(most));
        all_left && !matches!(of, [a, b] if a.ids == b.ids)
    }
}

impl Encoder for PreferenceEncoder {
    fn preparation(&self) -> Preparation {
        self.chat.preparation()
    }

    fn encode(
        &self,
        inputs: &Inputs,
        progress: &mut dyn FnMut(u64) -> Result<()>,
    ) -> Result<Box<dyn Encoded>> {
        let mut set = PreferenceSet::new(self.chat.vocabulary.clone());
        let is_named = matches!(inputs, Inputs::Named(_));
        let read = |it: &Record| {
            let asked = serde_json::from_str(json(it)).context("reading a record")?;
            Ok(self.sequences(asked)?)
        };
        each(inputs, progress, read, |record, mut sequences| {
            let longest = sequences.iter().map(|it| it.ids.len()).max().unwrap_or(0);
            set.uncut_lengths.push(longest as u32);
            let origin = || inputs.origin(record as u32);
            if is_named && self.scores && self.max_tokens() < longest {
                return Err(self.too_long(&origin(), longest).into());
            }
            if self.cut(&mut sequences) || is_named {
                let bytes = 0..json(inputs.record(record)).len() as u32;
                set.pieces.push(Piece { record: record as u32, bytes });
                set.push(sequences);
            } else {
                set.left_out.push(origin());
            }
            Ok(())
        })?;
        if set.pieces.is_empty() && 0 < inputs.len() {
            let message = format!(
                "no example is left: of all {} pairs an answer begins beyond {} tokens, or ends there where it is to be scored",
                inputs.len(),
                self.max_tokens()
            );
            return Err(Failure::new(FailureKind::Data, message)
                .with_cure(
                    "set data.max_tokens in the recipe to more, or drop shorter conversations",
                )
                .into());
        }
        if !is_named {
            set.add_strays(self.with_strays, self.max_tokens());
        }
        Ok(Box::new(set))
    }

    fn prompt(&self, record: &Record) -> Result<Vec<u32>> {
        self.chat.prompt(record)
    }

    fn ends(&self) -> &[u32] {
        self.chat.ends()
    }

    fn text(&self, tokens: &[u32]) -> String {
        self.chat.text(tokens)
    }

    /// Which of the examples are not learnt.
    fn notes(&self, sets: &[&dyn Encoded]) -> Vec<String> {
        let max_tokens = self.max_tokens();
        let what = match self.scores {
            true => format!(
                "longer than {max_tokens} tokens, and a conversation that is scored must be whole"
            ),
            false => format!(
                "an answer of theirs begins beyond {max_tokens} tokens, or differs from the other one only there"
            ),
        };
        let note = left_out(sets, ", ").map(|(count, shown)| {
            format!(
                "examples left out: {count}, as {what} ({shown}); data.max_tokens in the recipe says how long they may be"
            )
        });
        self.chat.plain_note().into_iter().chain(note).collect()
    }

    fn token_report(&self, sets: &[&dyn Encoded]) -> Option<TokenReport> {
        Some(token_report(sets, self.chat.text.max_tokens))
    }

    fn export(&self, base: &Path, to: &Path, config: &mut serde_json::Value) -> Result<()> {
        match self.scores {
            true => self.chat.export_reading(base, to),
            false => self.chat.export(base, to, config),
        }
    }
}

/// Sequences of examples, back to back.
struct PreferenceSet {
    tokens: TextSet,
    /// Of each sequence, with tokens before its answer.
    sequences: Vec<(usize, Role, f64)>,
    /// `starts[i]..starts[i + 1]` are the sequences of example i.
    starts: Vec<usize>,
    pieces: Vec<Piece>,
    /// Of each record, of its longest sequence.
    uncut_lengths: Vec<u32>,
    /// Where the records stand that are no examples.
    left_out: Vec<String>,
    vocabulary: Vocabulary,
}

impl PreferenceSet {
    fn new(vocabulary: Vocabulary) -> PreferenceSet {
        PreferenceSet {
            tokens: TextSet::new(),
            sequences: Vec::new(),
            starts: vec![0],
            pieces: Vec::new(),
            uncut_lengths: Vec::new(),
            left_out: Vec::new(),
            vocabulary,
        }
    }

    fn push(&mut self, of: Vec<Sequence>) {
        for it in of {
            self.tokens.push_ids(&it.ids);
            self.sequences.push((it.asked, it.role, it.margin));
        }
        self.starts.push(self.sequences.len());
    }

    fn of(&self, index: usize) -> Range<usize> {
        self.starts[index]..self.starts[index + 1]
    }

    fn answer(&self, sequence: usize) -> Answered<'_> {
        let (asked, role, margin) = self.sequences[sequence];
        Answered { tokens: self.tokens.tokens(sequence as u32), asked, role, margin }
    }

    /// Gives each answer one to another question beside it, where that is wanted.
    fn add_strays(&mut self, of_pairs: bool, max_tokens: usize) {
        let are_alone = self.sequences.first().is_some_and(|it| it.1 == Role::Alone);
        if !(of_pairs || are_alone) {
            return;
        }
        let mut with = PreferenceSet::new(self.vocabulary.clone());
        for index in 0..self.len() {
            let mut all: Vec<Sequence> = self.of(index).map(|it| self.copied(it)).collect();
            let own = &all[0].ids[..all[0].asked];
            let asks = |other: usize| {
                let of = self.answer(self.of(other).start);
                &of.tokens[..of.asked] != own
            };
            let before = |nth: usize| (index + self.len() - nth) % self.len();
            let nth = (1..self.len().min(NEAR)).find(|it| asks(before(*it))).unwrap_or(1);
            let others = self.of(before(nth));
            let stray = |(at, own): (usize, &Sequence)| {
                let from = self.answer((others.start + at).min(others.end - 1));
                let ids = [&own.ids[..own.asked], &from.tokens[from.asked..]].concat();
                let ids = ids[..ids.len().min(max_tokens)].to_vec();
                Sequence { ids, role: Role::Stray, ..own.clone() }
            };
            let strays: Vec<Sequence> = all.iter().enumerate().map(stray).collect();
            all.extend(strays);
            with.push(all);
        }
        let PreferenceSet { pieces, uncut_lengths, left_out, .. } = std::mem::replace(self, with);
        (self.pieces, self.uncut_lengths, self.left_out) = (pieces, uncut_lengths, left_out);
    }

    fn copied(&self, sequence: usize) -> Sequence {
        let Answered { tokens, asked, role, margin } = self.answer(sequence);
        Sequence { ids: tokens.to_vec(), asked, role, margin }
    }

    /// Sequences of these examples, one example behind the other.
    fn all_of(&self, indices: &[u32]) -> Vec<u32> {
        indices.iter().flat_map(|it| self.of(*it as usize)).map(|it| it as u32).collect()
    }
}

impl Encoded for PreferenceSet {
    fn len(&self) -> usize {
        self.starts.len() - 1
    }

    fn lengths(&self) -> Vec<u32> {
        let tokens = |it: usize| self.tokens.tokens(it as u32).len() as u32;
        (0..self.len()).map(|it| self.of(it).map(tokens).sum()).collect()
    }

    fn unit(&self) -> &'static str {
        self.tokens.unit()
    }

    fn uncut_lengths(&self) -> &[u32] {
        &self.uncut_lengths
    }

    fn evaluation_batch(&self) -> usize {
        EVALUATION_BATCH
    }

    fn identify(&self, part: &mut dyn FnMut(&[u8])) -> Result<()> {
        self.tokens.identify(part)?;
        for (asked, role, _) in &self.sequences {
            part(&[&asked.to_le_bytes()[..], &[*role as u8]].concat());
        }
        Ok(())
    }

    fn sequences(&self, indices: &[u32]) -> Vec<i64> {
        self.tokens.sequences(&self.all_of(indices))
    }

    fn pieces(&self) -> Option<&[Piece]> {
        Some(&self.pieces)
    }

    /// Of the wanted answer, or of the only one.
    fn tokens(&self, index: u32) -> &[u32] {
        self.tokens.tokens(self.of(index as usize).start as u32)
    }

    fn learnt(&self, index: u32) -> Vec<Range<u32>> {
        let of = self.answer(self.of(index as usize).start);
        std::iter::once(of.asked as u32..of.tokens.len() as u32).collect()
    }

    fn answers(&self, index: u32) -> Vec<Answered<'_>> {
        self.of(index as usize).map(|it| self.answer(it)).collect()
    }

    fn left_out(&self) -> &[String] {
        &self.left_out
    }

    fn vocabulary(&self) -> Option<&Vocabulary> {
        Some(&self.vocabulary)
    }

    fn loader(&self, batches: Vec<Vec<u32>>, _: Option<Changes>) -> Box<dyn Loader + '_> {
        drop(batches);
        Box::new(self)
    }
}

/// Tokens take no time, and are not changed.
impl Loader for &PreferenceSet {
    fn input(&mut self, indices: &[u32], device: tch::Device) -> Result<finetuned_models::Input> {
        self.tokens.input(&self.all_of(indices), device)
    }
}
