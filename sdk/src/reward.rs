//! Rewards: what an answer that a model has made is worth.

use crate::abi::{Bytes, Instance, RewardFunctions, Sink, Status};
use crate::error::{Error, Result};
use crate::{abi, border, guard, settings};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use std::marker::PhantomData;

/// Scores an answer that a model has made while it learns from its own answers.
pub trait Reward: Sized + Send + 'static {
    /// What recipes call it: lower-case letters, digits, `-` and `_`.
    const NAME: &'static str;
    /// What a recipe may set. Give every field a default.
    type Settings: DeserializeOwned;

    /// # Errors
    /// Settings that cannot be used.
    fn new(settings: Self::Settings) -> Result<Self>;

    /// What the answer is worth: a finite number, the larger the better. It may depend on nothing
    /// but settings and answer, since a run that was killed asks again.
    ///
    /// # Errors
    /// End the job as failed.
    fn reward(&self, answer: &Answer) -> Result<f64>;
}

/// An answer, and what is known of its prompt.
#[derive(Debug, Clone, Copy)]
pub struct Answer<'a> {
    prompt: &'a str,
    messages: &'a str,
    answer: &'a str,
    fields: &'a Map<String, Value>,
}

impl<'a> Answer<'a> {
    /// An answer to a prompt of one message. `fields`: the other columns of its row.
    pub fn new(prompt: &'a str, answer: &'a str, fields: &'a Map<String, Value>) -> Answer<'a> {
        Answer { prompt, messages: "[]", answer, fields }
    }

    /// The last message of the prompt.
    pub fn prompt(&self) -> &'a str {
        self.prompt
    }

    /// All messages of the prompt, each an object with `role` and `content`.
    ///
    /// # Errors
    /// The host passed no list of JSON.
    pub fn messages(&self) -> Result<Vec<Value>> {
        Ok(serde_json::from_str(self.messages)?)
    }

    /// What the model answered, without special tokens; may be empty.
    pub fn text(&self) -> &'a str {
        self.answer
    }

    /// What stands in another column of the row that the prompt stands in; numbers are numbers,
    /// lists are lists.
    ///
    /// # Errors
    /// The data have no such column.
    pub fn field(&self, name: &str) -> Result<&'a Value> {
        self.fields
            .get(name)
            .ok_or_else(|| Error::invalid(format!("the data have no column `{name}`")))
    }

    /// The same where it holds a text.
    ///
    /// # Errors
    /// The data have no such column, or it holds something else.
    pub fn field_text(&self, name: &str) -> Result<&'a str> {
        let found = self.field(name)?;
        found
            .as_str()
            .ok_or_else(|| Error::invalid(format!("`{name}` is {found}, which is no text")))
    }
}

pub(crate) struct Functions<R>(PhantomData<R>);

impl<R: Reward> Functions<R> {
    pub(crate) const TABLE: &'static RewardFunctions = &RewardFunctions {
        size: size_of::<RewardFunctions>() as u32,
        reserved: 0,
        create: Some(create::<R>),
        destroy: Some(guard::destroy::<R>),
        reward: Some(reward::<R>),
    };
}

// The host keeps the promises of `abi` for each of these.

unsafe extern "C" fn create<R: Reward>(
    json: Bytes,
    out: *mut *mut Instance,
    error: *const Sink,
) -> Status {
    // SAFETY: see above.
    unsafe { guard::create(out, error, || R::new(settings::parse(border::text(json)?)?)) }
}

unsafe extern "C" fn reward<R: Reward>(
    instance: *mut Instance,
    answer: *const abi::Answer,
    reward: *mut f64,
    error: *const Sink,
) -> Status {
    // SAFETY: see above.
    unsafe {
        guard::with::<R>(instance, error, |made| {
            let of = border::sized(answer)?;
            let fields: Map<String, Value> = serde_json::from_str(border::text(of.fields)?)?;
            let answer = Answer {
                prompt: border::text(of.prompt)?,
                messages: border::text(of.messages)?,
                answer: border::text(of.answer)?,
                fields: &fields,
            };
            reward.write(made.reward(&answer)?);
            Ok(())
        })
    }
}
