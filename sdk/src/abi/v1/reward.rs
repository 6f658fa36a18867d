//! Rewards: what an answer that a model has made is worth. Plain tier.

use super::{Bytes, Instance, Sink, Status};

/// An answer, and what is known of its prompt.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Answer {
    /// `sizeof(Answer)`.
    pub size: u32,
    /// 0
    pub reserved: u32,
    /// The last message of the prompt.
    pub prompt: Bytes,
    /// All messages of the prompt: a list of JSON, each an object with `role` and `content`.
    pub messages: Bytes,
    /// What the model answered, without special tokens; may be empty.
    pub answer: Bytes,
    /// The other columns of the row that the prompt stands in: an object of JSON.
    pub fields: Bytes,
}

/// Functions of a reward. Version 1 has them all, none may be null.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct RewardFunctions {
    /// `sizeof(RewardFunctions)`.
    pub size: u32,
    /// 0
    pub reserved: u32,
    /// `settings` and `*instance` as [`HeadFunctions::create`](super::HeadFunctions::create).
    pub create: Option<
        unsafe extern "C" fn(
            settings: Bytes,
            instance: *mut *mut Instance,
            error: *const Sink,
        ) -> Status,
    >,
    /// Ends an instance of `create`, also a broken one.
    pub destroy: Option<unsafe extern "C" fn(instance: *mut Instance)>,
    /// `*reward` is what the answer is worth: a finite number, the larger the better. It depends on
    /// nothing but settings and answer: an instance has no memory, and a resumed run asks again.
    pub reward: Option<
        unsafe extern "C" fn(
            instance: *mut Instance,
            answer: *const Answer,
            reward: *mut f64,
            error: *const Sink,
        ) -> Status,
    >,
}
