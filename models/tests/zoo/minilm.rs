//! all-MiniLM-L6-v2 itself, the weights that most jobs start from: hidden states as transformers
//! has them. `data/make_minilm.py` stored the numbers. The weights are too large to be kept here:
//! without them the test says that it was skipped.

use crate::{fresh, headless, open};
use finetuned_models::{Input, Pass};
use serde::Deserialize;
use std::path::{Path, PathBuf};
use tch::{Kind, Tensor};

/// Hidden states are of size 0.1 to 1, after six layers.
const TOLERANCE: f64 = 2e-5;

#[derive(Deserialize)]
struct Stored {
    sentences: Vec<Sentence>,
}

#[derive(Deserialize)]
struct Sentence {
    text: String,
    ids: Vec<i64>,
    /// First eight numbers of the first and of the last token's hidden state.
    first: Vec<f32>,
    last: Vec<f32>,
    /// Over all tokens and the whole width.
    mean: f64,
    mean_absolute: f64,
}

fn weights() -> Option<PathBuf> {
    let folder = match std::env::var_os("FINETUNED_ASSETS") {
        Some(assets) => PathBuf::from(assets).join("models/minilm"),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../.assets/models/minilm"),
    };
    folder.join("model.safetensors").exists().then_some(folder)
}

#[test]
fn minilm_has_the_hidden_states_of_transformers() {
    let Some(folder) = weights() else {
        // Past the harness, which keeps what a passing test prints.
        use std::io::Write;
        let _ = writeln!(
            std::io::stderr(),
            "SKIPPED: no MiniLM weights in FINETUNED_ASSETS or .assets/models/minilm"
        );
        return;
    };
    let stored: Stored = serde_json::from_str(include_str!("../data/minilm.json")).unwrap();
    let model = open(&folder).build(&fresh()).unwrap();
    assert_eq!(model.report.surplus, ["embeddings.position_ids"]);
    assert_eq!(model.report.missing, ["classifier.weight", "classifier.bias"]);

    let ids: Vec<i64> = stored.sentences.iter().flat_map(|it| it.ids.iter().copied()).collect();
    let lengths: Vec<i64> = stored.sentences.iter().map(|it| it.ids.len() as i64).collect();
    let tokens = Input::tokens(Tensor::from_slice(&ids), lengths.clone());
    let every = open(&folder).build(&headless()).unwrap();
    let hidden = every.model.features(&tokens, &Pass::evaluation()).unwrap().xs;
    let features = model.model.features(&tokens, &Pass::evaluation()).unwrap().xs;
    for (row, (sentence, hidden)) in
        stored.sentences.iter().zip(hidden.split_with_sizes(&lengths, 0)).enumerate()
    {
        let length = lengths[row];
        let near = |ours: &Tensor, theirs: &[f32]| {
            crate::distance(&ours.narrow(0, 0, 8), &Tensor::from_slice(theirs)) < TOLERANCE
        };
        assert!(near(&hidden.get(0), &sentence.first), "{}", sentence.text);
        assert!(near(&hidden.get(length - 1), &sentence.last), "{}", sentence.text);
        assert!(near(&features.get(row as i64), &sentence.first), "{}", sentence.text);
        let mean = |it: Tensor| it.mean(Kind::Double).double_value(&[]);
        assert!(
            (mean(hidden.shallow_clone()) - sentence.mean).abs() < TOLERANCE,
            "{}",
            sentence.text
        );
        assert!(
            (mean(hidden.abs()) - sentence.mean_absolute).abs() < TOLERANCE,
            "{}",
            sentence.text
        );
    }
}
