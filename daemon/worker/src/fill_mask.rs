//! What stands behind a mask: the likeliest tokens for each one that a person wrote into a text, as
//! transformers' `fill-mask` pipeline gives them.

use crate::examples::ExampleSet;
use crate::modality::Encoder;
use crate::network::Network;
use crate::source::Source;
use crate::stored::{Examples, Stored};
use anyhow::Result;
use serde_json::{Value, json};
use tch::{Device, Kind, Tensor};

/// As the pipeline's `top_k`.
const LIKELIEST: i64 = 5;

/// For each example the masks in it, from left to right, each with its likeliest tokens as
/// `{"score", "token", "token_str"}`; none where there is no mask.
///
/// # Errors
/// Whatever the model refuses.
pub(crate) fn fill(
    network: &Network,
    set: &ExampleSet,
    encoder: &dyn Encoder,
) -> Result<Vec<Vec<Value>>> {
    let Some(mask) = set.encoded.vocabulary().and_then(|it| it.mask) else {
        return Ok(vec![Vec::new(); set.len()]);
    };
    let masks = |index: u32| -> Vec<i64> {
        let tokens = (0..).zip(set.encoded.tokens(index));
        tokens.filter(|it| *it.1 == mask).map(|it| it.0).collect()
    };
    let with_masks: Vec<u32> = (0..set.len() as u32).filter(|it| !masks(*it).is_empty()).collect();
    let batches = with_masks.iter().map(|it| vec![*it]).collect();
    let mut source = Stored::plain(Examples { set, cache: None }, batches, network.device);
    let mut found = vec![Vec::new(); set.len()];
    while let Some(batch) = source.next(network) {
        let batch = batch?;
        let index = batch.indices[0];
        let rows = Tensor::f_from_slice(&masks(index))?.f_to(network.device)?;
        let outputs = network.outputs_of(&batch.input, Some(&rows))?;
        let (scores, tokens) =
            outputs.f_softmax(-1, Kind::Float)?.f_topk(LIKELIEST, -1, true, true)?;
        let flat = |it: &Tensor| it.f_view(-1)?.f_to(Device::Cpu);
        let scores: Vec<f32> = Vec::try_from(flat(&scores)?)?;
        let tokens: Vec<i64> = Vec::try_from(flat(&tokens)?)?;
        let one = |(score, token): (&f32, &i64)| {
            let word = encoder.word(*token as u32);
            json!({ "score": score, "token": token, "token_str": word })
        };
        let all: Vec<Value> = scores.iter().zip(&tokens).map(one).collect();
        let masks = all.chunks(LIKELIEST as usize).map(|it| Value::from(it.to_vec()));
        found[index as usize] = masks.collect();
    }
    Ok(found)
}
