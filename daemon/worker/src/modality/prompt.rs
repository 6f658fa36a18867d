//! Prompts that the model itself answers: the base model's chat template writes them as a
//! conversation whose next message is the assistant's, and its tokenizer makes tokens of that. A
//! prompt that leaves no room for an answer, and one whose answers could not be rewarded, is none.

use super::chat::{ChatEncoder, each, json};
use super::text::{TextEncoder, TextSet, token_report};
use super::{
    Asked, Changes, Encoded, Encoder, Inputs, Loader, Modal, Piece, Preparation, Vocabulary,
    left_out, saved, vocabulary,
};
use crate::planning;
use crate::rules::{Fields, Rule};
use anyhow::{Context, Result};
use finetuned_data::Record;
use finetuned_job::data::TokenReport;
use finetuned_job::outcome::{Failure, FailureKind};
use finetuned_job::plan::Plan;
use finetuned_job::recipe::{LearntTurns, Recipe, RewardChoice};
use finetuned_job::task::Objective;
use finetuned_models::{Checkpoint, Kind, Rows};
use serde_json::Value;
use std::path::Path;

/// Prompts that are answered side by side where nothing is learnt.
const EVALUATION_BATCH: usize = 32;

pub(super) struct Prompts;

impl Modal for Prompts {
    fn models(&self) -> Kind {
        Kind::Text
    }

    fn rows(&self) -> Rows {
        Rows::PerToken
    }

    fn encoder(&self, base: &Checkpoint, recipe: &Recipe) -> Result<Box<dyn Encoder>> {
        vocabulary::check(base, Some(Objective::NextTokens))?;
        let max_tokens = planning::max_tokens(recipe, base.max_positions(), true)?;
        let text = TextEncoder::open(base.companions(), max_tokens)?;
        let answer = planning::max_completion_length(recipe, max_tokens)?;
        let split = recipe.data.split_special_tokens;
        encoder(text, base.companions(), base, (&recipe.rewards, answer, split))
    }

    fn reopen(&self, folder: &Path, plan: &Plan) -> Result<Box<dyn Encoder>> {
        let text = TextEncoder::open(folder, plan.data.max_tokens)?;
        // What a person asks is answered, whatever it would have been rewarded for.
        encoder(text, folder, &saved(folder, plan)?, (&[], 1, plan.data.split_special_tokens))
    }
}

fn encoder(
    text: TextEncoder,
    folder: &Path,
    model: &Checkpoint,
    (rewards, answer, split): (&[RewardChoice], u32, bool),
) -> Result<Box<dyn Encoder>> {
    let rules = rewards.iter().map(|it| Rule::of(&it.rule)).collect::<Result<Vec<_>, _>>()?;
    let chat = ChatEncoder::new(text, folder, model, LearntTurns::Completions)?.of_text(split);
    Ok(Box::new(PromptEncoder { chat, rules: rules.into_iter().flatten().collect(), answer }))
}

struct PromptEncoder {
    chat: ChatEncoder,
    /// That read fields.
    rules: Vec<Rule>,
    /// Tokens that an answer may have.
    answer: u32,
}

/// A prompt as tokens, or why it is none.
type Read = Result<(Vec<u32>, Asked), String>;

impl PromptEncoder {
    /// # Errors
    /// What the template says against it.
    fn read(&self, record: &Record) -> Result<Read> {
        let ids = self.chat.prompt(record)?;
        let all: Value = serde_json::from_str(json(record)).context("reading a record")?;
        let fields: Fields = match &record.fields {
            Some(fields) => serde_json::from_str(fields).context("reading a record's fields")?,
            None => Fields::new(),
        };
        if let Some(why) = self.rules.iter().find_map(|it| it.lacks(&fields)) {
            return Ok(Err(why));
        }
        let room = self.chat.text.max_tokens as usize;
        if room < ids.len() + self.answer as usize {
            return Ok(Err(format!(
                "{} tokens leave no room for an answer of {} within {room}",
                ids.len(),
                self.answer
            )));
        }
        let last = all["messages"].as_array().and_then(|it| it.last());
        let prompt = last.and_then(|it| it["content"].as_str()).unwrap_or_default().to_owned();
        Ok(Ok((ids, Asked { prompt, messages: all["messages"].to_string(), fields })))
    }
}

impl Encoder for PromptEncoder {
    fn preparation(&self) -> Preparation {
        self.chat.preparation()
    }

    fn encode(
        &self,
        inputs: &Inputs,
        progress: &mut dyn FnMut(u64) -> Result<()>,
    ) -> Result<Box<dyn Encoded>> {
        let mut set = PromptSet {
            tokens: TextSet::new(),
            asked: Vec::new(),
            pieces: Vec::new(),
            uncut_lengths: Vec::new(),
            left_out: Vec::new(),
            vocabulary: self.chat.vocabulary.clone(),
        };
        each(
            inputs,
            progress,
            |it| self.read(it),
            |record, found| {
                match found {
                    Ok((ids, asked)) => set.push(record, inputs, &ids, asked),
                    Err(why) => {
                        set.left_out.push(format!("{}: {why}", inputs.origin(record as u32)));
                    }
                }
                Ok(())
            },
        )?;
        if let (true, Some(first)) = (set.asked.is_empty(), set.left_out.first()) {
            let message = format!("no prompt is left of {}: {first}", inputs.len());
            return Err(Failure::new(FailureKind::Data, message)
                .with_cure("shorten prompts or grpo.max_completion_length, enlarge data.max_tokens, or let `field` of the rewards name another column")
                .into());
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

    /// Which of the prompts are not answered.
    fn notes(&self, sets: &[&dyn Encoded]) -> Vec<String> {
        let note = left_out(sets, "; ")
            .map(|(count, shown)| format!("prompts left out: {count} ({shown})"));
        self.chat.plain_note().into_iter().chain(note).collect()
    }

    fn token_report(&self, sets: &[&dyn Encoded]) -> Option<TokenReport> {
        Some(token_report(sets, self.chat.text.max_tokens))
    }

    fn export(&self, base: &Path, to: &Path, config: &mut Value) -> Result<()> {
        self.chat.export(base, to, config)
    }
}

/// Prompts back to back, and what is known of each.
struct PromptSet {
    tokens: TextSet,
    asked: Vec<Asked>,
    pieces: Vec<Piece>,
    uncut_lengths: Vec<u32>,
    /// Where the records stand that are no examples, and why.
    left_out: Vec<String>,
    vocabulary: Vocabulary,
}

impl PromptSet {
    fn push(&mut self, record: usize, inputs: &Inputs, ids: &[u32], asked: Asked) {
        let text = json(inputs.record(record)).len();
        self.tokens.push_ids(ids);
        self.uncut_lengths.push(ids.len() as u32);
        self.pieces.push(Piece { record: record as u32, bytes: 0..text as u32 });
        self.asked.push(asked);
    }
}

impl Encoded for PromptSet {
    fn len(&self) -> usize {
        self.tokens.len()
    }

    fn lengths(&self) -> Vec<u32> {
        self.tokens.lengths()
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
        self.tokens.identify(part)
    }

    fn sequences(&self, indices: &[u32]) -> Vec<i64> {
        self.tokens.sequences(indices)
    }

    fn pieces(&self) -> Option<&[Piece]> {
        Some(&self.pieces)
    }

    fn tokens(&self, index: u32) -> &[u32] {
        self.tokens.tokens(index)
    }

    fn asked(&self, index: u32) -> Option<&Asked> {
        self.asked.get(index as usize)
    }

    fn left_out(&self) -> &[String] {
        &self.left_out
    }

    fn vocabulary(&self) -> Option<&Vocabulary> {
        Some(&self.vocabulary)
    }

    fn loader(&self, batches: Vec<Vec<u32>>, changes: Option<Changes>) -> Box<dyn Loader + '_> {
        self.tokens.loader(batches, changes)
    }
}
