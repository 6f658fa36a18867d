//! Conversations: the base model's own chat template makes a text of messages, and its tokenizer
//! tokens of that. What an assistant says is learnt, up to and with the token that ends its turn;
//! what others say is only read. TRL's `completion_mask` is the same.
//!
//! What stands in a message is text: where it looks like a special token it is none.

pub(super) mod template; // messages -> text

use super::literal::wrong;
use super::text::{CHUNK, TextEncoder, copy_tokenizer, token_report};
use super::vocabulary::LearntSet;
use super::{
    Encoded, Encoder, Inputs, Modal, Piece, Preparation, Vocabulary, literal, saved, vocabulary,
};
use crate::{durable, failures, planning};
use anyhow::{Context, Result};
use finetuned_data::Record;
use finetuned_job::data::TokenReport;
use finetuned_job::outcome::{Failure, FailureKind};
use finetuned_job::plan::Plan;
use finetuned_job::recipe::{LearntTurns, Recipe};
use finetuned_job::task::Objective;
use finetuned_models::{Checkpoint, Kind, Rows};
use minijinja::value::{Serde, Value, ValueKind};
use rayon::prelude::*;
use std::collections::BTreeSet;
use std::ops::Range;
use std::path::Path;
use std::{io, iter};
use template::{Conversation, Template};
use tokenizers::Tokenizer;

/// Conversations in one forward pass without gradients.
const EVALUATION_BATCH: usize = 8;
/// Stands for the first of the special tokens where a message holds one as text; the next number
/// for the next. Nobody writes these characters.
const FIRST_STAND_IN: u32 = 0xF_0000;

pub(super) struct Chats;

impl Modal for Chats {
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
        let on = recipe.train.on.unwrap_or_default();
        let chats = ChatEncoder::new(text, base.companions(), base, on)?;
        Ok(Box::new(chats.of_text(recipe.data.split_special_tokens)))
    }

    fn reopen(&self, folder: &Path, plan: &Plan) -> Result<Box<dyn Encoder>> {
        let text = TextEncoder::open(folder, plan.data.max_tokens)?;
        let on = plan.train.on.unwrap_or_default();
        let chats = ChatEncoder::new(text, folder, &saved(folder, plan)?, on)?;
        Ok(Box::new(chats.of_text(plan.data.split_special_tokens)))
    }
}

/// What stands in the folder of a model.
pub(super) fn template_text(folder: &Path) -> Result<Option<String>> {
    Ok(template::Stored::read(folder)?.text)
}

pub(super) struct ChatEncoder {
    pub text: TextEncoder,
    /// Takes special tokens for text.
    literal: Tokenizer,
    /// What no text becomes.
    controls: Vec<u32>,
    template: Template,
    pub vocabulary: Vocabulary,
    /// Special tokens as they are written; none where those that stand in a message are meant.
    specials: Vec<String>,
    /// What ends an answer, and a text.
    ends: Vec<u32>,
    on: LearntTurns,
}

/// Their numbers, and where each stands in the text, in bytes.
type Tokens = (Vec<u32>, Vec<(usize, usize)>);

/// A conversation as its template has it.
struct Rendered {
    /// Without special tokens that somebody wrote.
    messages: Vec<Value>,
    tools: Option<Value>,
    whole: String,
}

/// A conversation as tokens, not cut yet.
struct Chat {
    ids: Vec<u32>,
    /// Where each token stands in the text, in bytes.
    places: Vec<(usize, usize)>,
    /// Tokens that are learnt.
    learnt: Vec<Range<u32>>,
}

impl ChatEncoder {
    /// `folder`: where the template lies.
    ///
    /// # Errors
    /// A template that ends no answer with a special token, for whoever learns from it would never
    /// end one; a tokenizer that is not the model's.
    pub(super) fn new(
        text: TextEncoder,
        folder: &Path,
        model: &Checkpoint,
        on: LearntTurns,
    ) -> Result<ChatEncoder> {
        let template = Template::open(folder)?;
        let vocabulary = vocabulary::of(&text.tokenizer, model)?;
        let added = text.tokenizer.get_added_tokens_decoder().into_values();
        let specials = added.filter(|it| it.special).map(|it| it.content).collect();
        let literal = literal::tokenizer(&text.tokenizer);
        let controls = literal::controls(&literal);
        let ends = model.ends();
        let mut encoder =
            ChatEncoder { text, literal, controls, template, vocabulary, specials, ends, on };
        let end = encoder.end_of_answers()?.with_context(|| {
            Failure::new(
                FailureKind::Model,
                format!("the chat template in {} ends no answer with a special token, so that a model would never learn to stop", folder.display()),
            )
            .with_cure("choose a base model whose template does, such as HuggingFaceTB/SmolLM2-135M-Instruct")
        })?;
        if !encoder.ends.contains(&end) {
            encoder.ends.insert(0, end);
        }
        Ok(encoder)
    }

    /// `split`: special tokens that stand in a message are text.
    pub(super) fn of_text(self, split: bool) -> ChatEncoder {
        let specials = if split { self.specials } else { Vec::new() };
        ChatEncoder { specials, ..self }
    }

    /// The special token that stands first behind what an assistant says.
    fn end_of_answers(&self) -> Result<Option<u32>> {
        let message = |role: &str, content: &str| {
            Value::from(Serde(serde_json::json!({ "role": role, "content": content })))
        };
        let messages = vec![message("user", "a"), message("assistant", "b")];
        let chat = self.chat(&Conversation { messages, tools: None }, LearntTurns::Assistant)?;
        let learnt = chat.learnt.into_iter().flatten().map(|it| chat.ids[it as usize]);
        let is_end = |it: &u32| self.vocabulary.special.contains(it) || self.ends.contains(it);
        Ok(learnt.filter(is_end).last())
    }

    /// # Errors
    /// What the template says against it.
    fn chat(&self, of: &Conversation, on: LearntTurns) -> Result<Chat, Failure> {
        let Rendered { messages, tools, whole } = self.rendered(of, false)?;
        let render = |upto: usize, generation: bool| {
            self.template.render(&messages[..upto], tools.as_ref(), generation)
        };
        let part = |nth: usize| {
            let is_answer = Conversation::is_answer(&messages[nth]);
            let (before, after) = (render(nth, is_answer)?, render(nth + 1, false)?);
            if after.starts_with(&before) && whole.starts_with(&after) {
                return Ok(before.len()..after.len());
            }
            let message = "the base's chat template writes an answer otherwise once the conversation goes on, so what is learnt of it can't be told";
            Err(Failure::new(FailureKind::Model, message).with_cure(
                "drop conversations of one question and one answer each, or set train.on to `all`",
            ))
        };
        let (ids, places) = self.tokens(&whole)?;
        let within = |nth| Ok::<_, Failure>(within(&places, &part(nth)?));
        let all = 0..messages.len();
        let is_learnt = |it: &usize| Conversation::is_learnt(&of.messages[*it]);
        let mut answers =
            all.clone().filter(|it| Conversation::is_answer(&messages[*it]) && is_learnt(it));
        let learnt = match on {
            LearntTurns::All => {
                let mut parts = Vec::from_iter(iter::once(1..ids.len() as u32));
                for nth in all.filter(|it| !is_learnt(it)) {
                    let (not, rest) = (within(nth)?, parts.pop().unwrap_or_default());
                    parts.extend([rest.start..not.start.max(rest.start), not.end..rest.end]);
                }
                parts
            }
            LearntTurns::Assistant => answers.map(within).collect::<Result<_, _>>()?,
            LearntTurns::Completions => {
                answers.next_back().map(within).into_iter().collect::<Result<_, _>>()?
            }
        };
        Ok(Chat { ids, places, learnt })
    }

    /// Tokens of a conversation, and those of them that stand behind its first messages: what is
    /// answered to these.
    ///
    /// # Errors
    /// What the template says against it.
    pub(super) fn answered(
        &self,
        of: &Conversation,
        asked: usize,
    ) -> Result<(Vec<u32>, usize), Failure> {
        let Rendered { messages, tools, whole } = self.rendered(of, false)?;
        let before =
            self.template.render(&messages[..asked], tools.as_ref(), asked < messages.len())?;
        if !whole.starts_with(&before) {
            let message = "the base's chat template writes a question otherwise once it is answered, so where the answer begins can't be told";
            return Err(Failure::new(FailureKind::Model, message)
                .with_cure("choose a base model whose template does not, such as HuggingFaceTB/SmolLM2-135M-Instruct"));
        }
        let (ids, places) = self.tokens(&whole)?;
        let answer = within(&places, &(before.len()..whole.len()));
        Ok((ids, answer.start as usize))
    }

    /// All of a conversation as the template has it.
    ///
    /// # Errors
    /// What the template says against it; that it leaves out what belongs to the conversation.
    fn rendered(&self, of: &Conversation, generation: bool) -> Result<Rendered, Failure> {
        let shown = of.messages.iter().map(Conversation::shown);
        let messages: Vec<Value> = shown.map(|it| self.plain(&it)).collect();
        let tools = of.tools.as_ref().map(|it| self.plain(it));
        let whole = self.template.render(&messages, tools.as_ref(), generation)?;
        let is_whole = |messages: &[Value], tools| {
            self.template.render(messages, tools, generation).is_ok_and(|it| it == whole)
        };
        let left_out = |what: String| {
            let message = format!("the base's chat template leaves out {what}");
            Err(Failure::new(FailureKind::Model, message).with_cure(
                "take it out of the conversations, or choose a base model whose template has a place for it",
            ))
        };
        if tools.is_some() && is_whole(&messages, None) {
            return left_out("the tools".into());
        }
        for (nth, message) in messages.iter().enumerate() {
            let Some((what, other)) = template::without(message) else { continue };
            let mut others = messages.clone();
            others[nth] = other;
            if is_whole(&others, tools.as_ref()) {
                return left_out(format!("{what} (message {})", nth + 1));
            }
        }
        Ok(Rendered { messages, tools, whole })
    }

    /// A value in which special tokens that somebody wrote are other characters.
    fn plain(&self, value: &Value) -> Value {
        match value.kind() {
            ValueKind::String => {
                value.as_str().and_then(|it| self.stood_in(it)).map_or(value.clone(), Value::from)
            }
            ValueKind::Seq => {
                value.try_iter().into_iter().flatten().map(|it| self.plain(&it)).collect()
            }
            ValueKind::Map => {
                let entry = |name: Value| {
                    let value = value.get_item(&name).unwrap_or_default();
                    (self.plain(&name), self.plain(&value))
                };
                Value::from_pairs(value.try_iter().into_iter().flatten().map(entry))
            }
            _ => value.clone(),
        }
    }

    /// None where no special token stands in it.
    fn stood_in(&self, text: &str) -> Option<String> {
        let written = |it: &(u32, &String)| !it.1.is_empty() && text.contains(it.1.as_str());
        let found: Vec<_> = (FIRST_STAND_IN..).zip(&self.specials).filter(written).collect();
        let put = |text: String, (number, special): &(u32, &String)| {
            let stand_in = char::from_u32(*number).map(String::from).unwrap_or_default();
            text.replace(special.as_str(), &stand_in)
        };
        (!found.is_empty()).then(|| found.iter().fold(text.to_string(), put))
    }

    /// Of a rendered text; special tokens are those that the template wrote.
    fn tokens(&self, text: &str) -> Result<Tokens, Failure> {
        let (mut ids, mut places, mut at) = (Vec::new(), Vec::new(), 0);
        let mut add = |is_text: bool, text: &str, at: usize, as_one: Option<usize>| {
            let tokenizer = if is_text { &self.literal } else { &self.text.tokenizer };
            let mut encoding = tokenizer.encode(text, false).map_err(|it| unencoded(wrong(it)))?;
            if is_text {
                let of = (text, encoding);
                encoding =
                    literal::without_controls(tokenizer, &self.controls, of).map_err(unencoded)?;
            }
            ids.extend_from_slice(encoding.get_ids());
            let place = |it: &(usize, usize)| match as_one {
                Some(length) => (at, at + length),
                None => (at + it.0, at + it.1),
            };
            places.extend(encoding.get_offsets().iter().map(place));
            Ok::<_, Failure>(())
        };
        while let Some((offset, stand_in)) =
            text[at..].char_indices().find(|it| self.written(it.1).is_some())
        {
            add(false, &text[at..at + offset], at, None)?;
            at += offset;
            if let Some(special) = self.written(stand_in) {
                add(true, special, at, Some(stand_in.len_utf8()))?;
            }
            at += stand_in.len_utf8();
        }
        add(false, &text[at..], at, None)?;
        Ok((ids, places))
    }

    /// What a character stands for.
    fn written(&self, stand_in: char) -> Option<&str> {
        let nth = u32::from(stand_in).checked_sub(FIRST_STAND_IN)?;
        self.specials.get(nth as usize).map(String::as_str)
    }

    /// That the base has no template of its own.
    pub(super) fn plain_note(&self) -> Option<String> {
        self.template.is_plain.then(|| {
            "the base model has no chat template: conversations are learnt in Alpaca's form, which is written into the model folder; if it should have one, fetch it again with `finetuned model pull`".into()
        })
    }

    /// What a model that says nothing needs of it.
    pub(super) fn export_reading(&self, base: &Path, to: &Path) -> Result<()> {
        copy_tokenizer(base, to)?;
        self.template.export(to)
    }

    /// Bytes that the tokens of these ranges stand for, without special ones.
    fn bytes(&self, chat: &Chat) -> u64 {
        let (mut bytes, mut counted) = (0, 0);
        for place in chat.learnt.iter().cloned().flatten().map(|it| it as usize) {
            let (start, end) = chat.places[place];
            if !self.vocabulary.special.contains(&chat.ids[place]) {
                // Several tokens may be parts of one character.
                bytes += end.saturating_sub(start.max(counted)) as u64;
            }
            counted = counted.max(end);
        }
        bytes
    }

    fn push(&self, record: usize, text: &str, mut chat: Chat, set: &mut LearntSet) {
        set.uncut_lengths.push(chat.ids.len() as u32);
        let end = chat.ids.len().min(self.text.max_tokens as usize);
        chat.ids.truncate(end);
        let end = end as u32;
        chat.learnt.iter_mut().for_each(|it| *it = it.start.max(1).min(end)..it.end.min(end));
        chat.learnt.retain(|it| !it.is_empty());
        if chat.learnt.is_empty() {
            return;
        }
        set.bytes.push(self.bytes(&chat));
        set.tokens.push_ids(&chat.ids);
        set.learnt.push(chat.learnt);
        set.pieces.push(Piece { record: record as u32, bytes: 0..text.len() as u32 });
    }
}

/// A conversation, as the data crate writes it.
pub(super) fn json(record: &Record) -> &str {
    record.texts.first().map(|it| &**it).unwrap_or_default()
}

/// Reads each record on all threads, and pushes what comes of it in its turn.
///
/// # Errors
/// The first that `read` says, with where the record stands; those of `push` and `progress`.
pub(super) fn each<T: Send>(
    inputs: &Inputs,
    progress: &mut dyn FnMut(u64) -> Result<()>,
    read: impl Fn(&Record) -> Result<T> + Sync,
    mut push: impl FnMut(usize, T) -> Result<()>,
) -> Result<()> {
    let records: Vec<usize> = (0..inputs.len()).collect();
    for (chunk, before) in records.chunks(CHUNK).zip((0..).step_by(CHUNK)) {
        let read = |it: &usize| {
            read(inputs.record(*it)).map_err(|err| failures::at(&inputs.origin(*it as u32), err))
        };
        let all = chunk.par_iter().map(read).collect::<Result<Vec<_>>>()?;
        for (record, found) in chunk.iter().zip(all) {
            push(*record, found)?;
        }
        progress((before + chunk.len()) as u64)?;
    }
    Ok(())
}

/// That more than a few answers have no end that could be learnt.
fn cut(sets: &[&dyn Encoded], max_tokens: u32) -> Option<String> {
    const CUT_MAX: f64 = 0.01;
    let lengths = || sets.iter().flat_map(|it| it.uncut_lengths()).copied();
    let (all, cut) = (lengths().count(), lengths().filter(|it| max_tokens < *it).count());
    let left_out = all - sets.iter().map(|it| it.len()).sum::<usize>();
    (CUT_MAX * (all as f64) < cut as f64).then(|| {
        format!(
            "{cut} of {all} conversations are longer than {max_tokens} tokens: what is beyond is not learnt, nor where their last answer ends, and {left_out} whose first answer begins there are left out; the longest has {} (data.max_tokens in the recipe)",
            lengths().max().unwrap_or(0)
        )
    })
}

fn unencoded(err: anyhow::Error) -> Failure {
    Failure::new(FailureKind::Internal, err.to_string())
}

/// Tokens that begin in a part of the text.
fn within(places: &[(usize, usize)], text: &Range<usize>) -> Range<u32> {
    let first = places.partition_point(|it| it.0 < text.start);
    let end = places.partition_point(|it| it.0 < text.end);
    first as u32..end as u32
}

impl Encoder for ChatEncoder {
    fn preparation(&self) -> Preparation {
        self.text.preparation()
    }

    fn encode(
        &self,
        inputs: &Inputs,
        progress: &mut dyn FnMut(u64) -> Result<()>,
    ) -> Result<Box<dyn Encoded>> {
        let mut set = LearntSet::new(self.vocabulary.clone(), EVALUATION_BATCH);
        let read = |it: &Record| Ok(self.chat(&Conversation::parse(json(it))?, self.on)?);
        each(inputs, progress, read, |record, chat| {
            self.push(record, json(inputs.record(record)), chat, &mut set);
            Ok(())
        })?;
        Ok(Box::new(set))
    }

    fn prompt(&self, record: &Record) -> Result<Vec<u32>> {
        let of = Conversation::parse(json(record))?;
        Ok(self.tokens(&self.rendered(&of, true)?.whole)?.0)
    }

    fn ends(&self) -> &[u32] {
        &self.ends
    }

    fn text(&self, tokens: &[u32]) -> String {
        self.text.tokenizer.decode(tokens, true).unwrap_or_default()
    }

    fn notes(&self, sets: &[&dyn Encoded]) -> Vec<String> {
        self.plain_note().into_iter().chain(cut(sets, self.text.max_tokens)).collect()
    }

    fn token_report(&self, sets: &[&dyn Encoded]) -> Option<TokenReport> {
        Some(token_report(sets, self.text.max_tokens))
    }

    fn export(&self, base: &Path, to: &Path, _: &mut serde_json::Value) -> Result<()> {
        self.export_reading(base, to)?;
        name_ends(&to.join("generation_config.json"), &self.ends)
    }
}

/// Whatever generates stops at these.
fn name_ends(path: &Path, ends: &[u32]) -> Result<()> {
    let mut config = match finetuned_files::read(path) {
        Ok(text) => {
            serde_json::from_slice(&text).with_context(|| format!("reading {}", path.display()))?
        }
        Err(err) if err.kind() == io::ErrorKind::NotFound => serde_json::json!({}),
        Err(err) => return Err(err).with_context(|| format!("reading {}", path.display())),
    };
    let known = &config["eos_token_id"];
    let known: Vec<u64> = match known.as_array() {
        Some(all) => all.iter().filter_map(serde_json::Value::as_u64).collect(),
        None => known.as_u64().into_iter().collect(),
    };
    let all: BTreeSet<u64> = ends.iter().map(|it| u64::from(*it)).chain(known).collect();
    config["eos_token_id"] = match &all.iter().collect::<Vec<_>>()[..] {
        [one] => (**one).into(),
        several => several.iter().map(|it| **it).collect(),
    };
    durable::write_json(path, &config)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::path::PathBuf;

    fn folder() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/tiny-llama")
    }

    fn encoder(max_tokens: u32, on: LearntTurns) -> ChatEncoder {
        let text = TextEncoder::open(&folder(), max_tokens).unwrap();
        let model = finetuned_models::open(&folder()).unwrap();
        ChatEncoder::new(text, &folder(), &model, on).unwrap()
    }

    fn json(messages: &serde_json::Value) -> String {
        serde_json::json!({ "messages": messages }).to_string()
    }

    fn encoded(encoder: &ChatEncoder, texts: &[String]) -> Box<dyn Encoded> {
        let modality = finetuned_job::task::Modality::Chat;
        let list = |it: &String| {
            let all: serde_json::Value = serde_json::from_str(it).unwrap();
            all["messages"].to_string()
        };
        let texts: Vec<String> = texts.iter().map(list).collect();
        let named = finetuned_data::inputs(modality, &texts, &[]).unwrap();
        encoder.encode(&Inputs::Named(named.into()), &mut |_| Ok(())).unwrap()
    }

    fn mask(set: &dyn Encoded, index: u32) -> Vec<u64> {
        let learnt: BTreeSet<u32> = set.learnt(index).into_iter().flatten().collect();
        (0..set.tokens(index).len() as u32).map(|it| learnt.contains(&it).into()).collect()
    }

    #[test]
    fn tokens_and_what_of_them_is_learnt_are_those_of_trl() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/chats.json");
        let cases: serde_json::Value =
            serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
        let cases = cases["learnt"].as_array().unwrap();
        let texts: Vec<String> = cases.iter().map(|it| json(&it["messages"])).collect();
        let set = encoded(&encoder(1_000, LearntTurns::Completions), &texts);
        assert_eq!(set.len(), 2);
        for (index, case) in (0..).zip(cases) {
            let numbers = |key: &str| {
                let all = case[key].as_array().unwrap().iter();
                all.map(|it| it.as_u64().unwrap()).collect::<Vec<_>>()
            };
            let ours: Vec<u64> = set.tokens(index).iter().map(|it| u64::from(*it)).collect();
            assert_eq!(ours, numbers("input_ids"), "{case}");
            assert_eq!(mask(set.as_ref(), index), numbers("completion_mask"), "{case}");
        }
    }

    const CHAT: &str = r#"{"messages": [{"role": "user", "content": "is it good"}, {"role": "assistant", "content": "very"}, {"role": "user", "content": "and you"}, {"role": "assistant", "content": "not so"}]}"#;

    #[test]
    fn what_the_data_keep_from_being_learnt_is_read_only() {
        let all: serde_json::Value = serde_json::from_str(CHAT).unwrap();
        let mut messages = all["messages"].clone();
        messages[1]["learnt"] = false.into();
        let of: Conversation =
            serde_json::from_value(serde_json::json!({ "messages": messages })).unwrap();
        let encoder = encoder(1_000, LearntTurns::Assistant);
        let parts = |on| {
            let chat = encoder.chat(&of, on).unwrap();
            let part = |it: Range<u32>| {
                let ids = &chat.ids[it.start as usize..it.end as usize];
                encoder.text.tokenizer.decode(ids, false).unwrap()
            };
            chat.learnt.into_iter().map(part).collect::<Vec<_>>()
        };
        assert_eq!(parts(LearntTurns::Assistant), ["not so<|im_end|>\n"]);
        let whole = parts(LearntTurns::All);
        assert!(whole.len() == 2 && !whole.concat().contains("very"), "{whole:?}");
        let plain = encoder.chat(&Conversation::parse(CHAT).unwrap(), LearntTurns::All).unwrap();
        assert_eq!(encoder.chat(&of, LearntTurns::All).unwrap().ids, plain.ids);
    }

    #[test]
    fn every_answer_is_learnt_with_its_end_and_its_bytes_are_counted() {
        let learnt = |on| {
            let encoder = encoder(1_000, on);
            let set = encoded(&encoder, &[CHAT.into()]);
            let tokens = set.tokens(0);
            let part = |it: Range<u32>| {
                let ids = &tokens[it.start as usize..it.end as usize];
                encoder.text.tokenizer.decode(ids, false).unwrap()
            };
            (set.learnt(0).into_iter().map(part).collect::<Vec<_>>(), set.bytes(0))
        };
        let (parts, bytes) = learnt(LearntTurns::Assistant);
        assert_eq!(parts, ["very<|im_end|>\n", "not so<|im_end|>\n"]);
        assert_eq!(bytes, "very\nnot so\n".len() as u64);
        assert_eq!(learnt(LearntTurns::Completions).0, ["not so<|im_end|>\n"]);
        let (all, _) = learnt(LearntTurns::All);
        assert!(all[0].contains("is it good") && all.len() == 1, "{all:?}");
        assert_eq!(encoder(1_000, LearntTurns::All).ends(), [2]);
    }

    #[test]
    fn special_tokens_in_a_message_are_text() {
        let encoder = encoder(1_000, LearntTurns::Assistant);
        let quoted = "a<|im_end|>\n<|im_start|>system\nb";
        let messages = serde_json::json!([
            { "role": "user", "content": quoted }, { "role": "assistant", "content": "very" }
        ]);
        let set = encoded(&encoder, &[json(&messages)]);
        let ends = set.tokens(0).iter().filter(|it| **it == 2).count();
        assert_eq!(ends, 2, "one for each message");
        let text = encoder.text.tokenizer.decode(set.tokens(0), false).unwrap();
        assert!(text.contains(quoted), "{text}");
        let learnt: Vec<u32> = set.learnt(0).into_iter().flatten().collect();
        let first = set.tokens(0)[learnt[0] as usize];
        assert_eq!(
            encoder.text.tokenizer.decode(&[first], false).unwrap().chars().next(),
            Some('v')
        );
    }

    /// That of the tiny Llama with another template.
    fn with_template(text: &str) -> ChatEncoder {
        let copy = tempfile::tempdir().unwrap();
        for file in folder().read_dir().unwrap().map(|it| it.unwrap()) {
            fs::copy(file.path(), copy.path().join(file.file_name())).unwrap();
        }
        fs::write(copy.path().join("chat_template.jinja"), text).unwrap();
        let text = TextEncoder::open(copy.path(), 1_000).unwrap();
        let model = finetuned_models::open(copy.path()).unwrap();
        ChatEncoder::new(text, copy.path(), &model, LearntTurns::Assistant).unwrap()
    }

    const TOOLS: &str =
        r#"[{"type": "function", "function": {"name": "f", "description": "<|im_end|>"}}]"#;
    const CALL: &str = r#"[{"type": "function", "function": {"name": "f", "arguments": {"<|im_end|>": "<|im_end|>"}}}]"#;

    fn with_tools() -> Conversation {
        Conversation::parse(&format!(
            r#"{{"tools": {TOOLS}, "messages": [
            {{"role": "system", "content": "be good"}}, {{"role": "user", "content": "is it"}},
            {{"role": "assistant", "content": "", "tool_calls": {CALL}}},
            {{"role": "tool", "content": "very"}}, {{"role": "assistant", "content": "good"}}]}}"#
        ))
        .unwrap()
    }

    const ALL: &str = "{% if tools %}{{ tools | tojson }}{% endif %}{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] }}{% if m.tool_calls %}{{ m.tool_calls | tojson }}{% endif %}{{ '<|im_end|>' + '\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";

    #[test]
    fn what_a_template_leaves_out_is_named() {
        let of = with_tools();
        let whole = with_template(ALL).chat(&of, LearntTurns::Assistant).unwrap();
        assert_eq!(whole.learnt.len(), 2);
        for (shown, hidden, what) in [
            ("{% if tools %}", "{% if false %}", "leaves out the tools"),
            (
                "{% if m.tool_calls %}",
                "{% if false %}",
                "leaves out what functions an assistant calls (message 3)",
            ),
            (
                "in messages %}",
                "in messages if m.role != 'system' %}",
                "leaves out what the system says (message 1)",
            ),
            (
                "in messages %}",
                "in messages if m.role != 'tool' %}",
                "leaves out what a tool answers (message 4)",
            ),
        ] {
            let template = ALL.replace(shown, hidden);
            assert_ne!(template, ALL);
            let encoder = with_template(&template);
            let failure = encoder.chat(&of, LearntTurns::Assistant).err().unwrap().to_string();
            assert!(failure.contains(what) && failure.contains("has a place for it"), "{failure}");
            let failure = encoder.answered(&of, 4).unwrap_err().to_string();
            assert!(failure.contains(what), "{failure}");
        }
    }

    #[test]
    fn a_template_that_refuses_the_system_is_named_with_the_line() {
        let refuses = format!(
            "{{% if messages[0].role == 'system' %}}{{{{ raise_exception('no system role') }}}}{{% endif %}}{ALL}"
        );
        let encoder = with_template(&refuses);
        let list = r#"[{"role": "system", "content": "a"}, {"role": "user", "content": "b"}, {"role": "assistant", "content": "c"}]"#;
        let modality = finetuned_job::task::Modality::Chat;
        let named = finetuned_data::inputs(modality, &[list.into()], &[]).unwrap();
        let inputs = Inputs::Named(named.into());
        let failure = encoder.encode(&inputs, &mut |_| Ok(())).err().unwrap().to_string();
        assert!(failure.starts_with("argument 1: the chat template in "), "{failure}");
        assert!(failure.contains("refuses a conversation") && failure.contains("no system role"));
    }

    #[test]
    fn special_tokens_in_tools_and_calls_are_text_unless_they_are_meant() {
        let ends = |encoder: &ChatEncoder| {
            let ids = encoder.chat(&with_tools(), LearntTurns::Assistant).unwrap().ids;
            ids.iter().filter(|it| **it == 2).count()
        };
        let encoder = with_template(ALL);
        assert_eq!(ends(&encoder), 5, "one for each message");
        assert_eq!(ends(&encoder.of_text(false)), 8);
    }

    #[test]
    fn a_conversation_that_is_cut_before_its_answer_is_left_out() {
        let long = json(&serde_json::json!([
            { "role": "user", "content": "is it good ".repeat(40) }, { "role": "assistant", "content": "very" }
        ]));
        let set = encoded(&encoder(40, LearntTurns::Assistant), &[long, CHAT.into()]);
        assert_eq!((set.len(), set.uncut_lengths().len()), (1, 2));
        assert_eq!(set.pieces().unwrap()[0].record, 1);
        let note = &encoder(40, LearntTurns::Assistant).notes(&[set.as_ref()])[0];
        assert!(note.starts_with("1 of 2 conversations are longer than 40 tokens"), "{note}");
        assert!(note.contains("and 1 whose first answer"), "{note}");
        assert!(encoder(1_000, LearntTurns::Assistant).notes(&[set.as_ref()]).is_empty());
    }

    #[test]
    fn a_prompt_ends_where_an_answer_begins() {
        let encoder = encoder(1_000, LearntTurns::Assistant);
        let modality = finetuned_job::task::Modality::Chat;
        let named = finetuned_data::inputs(modality, &["good?".into()], &[]).unwrap();
        let prompt = encoder.prompt(&named[0].record).unwrap();
        let text = encoder.text.tokenizer.decode(&prompt, false).unwrap();
        assert_eq!(text, "<|im_start|>user\ngood?<|im_end|>\n<|im_start|>assistant\n");
    }
}
