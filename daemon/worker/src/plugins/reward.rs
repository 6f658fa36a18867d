//! A reward from a plugin.

use super::border::{Function, Handle, Subject, lend};
use finetuned_job::outcome::Failure;
use finetuned_sdk::abi;

/// One reward, built by [`Plugins::reward`](super::Plugins::reward).
pub(crate) struct RewardInstance {
    handle: Handle,
    functions: abi::RewardFunctions,
    rewarding: Function,
}

/// What a reward is shown of an answer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Answered<'a> {
    pub prompt: &'a str,
    /// A list of JSON.
    pub messages: &'a str,
    pub answer: &'a str,
    /// An object of JSON.
    pub fields: &'a str,
}

impl RewardInstance {
    pub(super) fn create(
        subject: Subject,
        functions: abi::RewardFunctions,
        settings: &str,
    ) -> Result<RewardInstance, Failure> {
        let rewarding = subject.function("reward");
        let ends = (functions.create, functions.destroy);
        let handle = Handle::of_settings(subject, ends, settings)?;
        Ok(RewardInstance { handle, functions, rewarding })
    }

    /// A finite number.
    pub(crate) fn reward(&self, of: Answered) -> Result<f64, Failure> {
        let answer = abi::Answer {
            size: size_of::<abi::Answer>() as u32,
            reserved: 0,
            prompt: lend(of.prompt),
            messages: lend(of.messages),
            answer: lend(of.answer),
            fields: lend(of.fields),
        };
        let reward = self.functions.reward.expect("looked at when opened");
        let mut found = f64::NAN;
        // SAFETY: answer and number live until it returns.
        self.handle.call(self.rewarding, |instance, error| unsafe {
            reward(instance, &raw const answer, &raw mut found, error)
        })?;
        if found.is_finite() {
            Ok(found)
        } else {
            Err(self.handle.bad_answer(self.rewarding, format!("the reward {found}")))
        }
    }
}
