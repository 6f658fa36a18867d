//! Where batches come from. A source gives one after the other, each with its inputs ready and its
//! targets known; which examples, is a pure function of seed, epoch and index.

use crate::examples::ExampleSet;
use crate::network::Network;
use anyhow::Result;
use finetuned_images::Mix;
use finetuned_models::Input;
use std::time::Duration;

pub(crate) struct Batch<'a> {
    pub set: &'a ExampleSet,
    /// Its examples in the set.
    pub indices: Vec<u32>,
    pub input: Input,
    /// How its examples are mixed with each other.
    pub mix: Option<Mix>,
    /// What frozen stages took, that need not run again for these examples.
    pub once: Duration,
}

pub(crate) trait Source<'a> {
    /// `network`: it may be asked for what frozen stages give, or for the examples themselves.
    fn next(&mut self, network: &Network) -> Option<Result<Batch<'a>>>;
}
