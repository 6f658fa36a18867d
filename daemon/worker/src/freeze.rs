//! Decides which tensors train, in which epoch, and how fast: patterns of a recipe against the
//! tensor names of a model. Optimizer and loop know no other rule.

use finetuned_job::glob;
use finetuned_job::outcome::{Failure, FailureKind};
use finetuned_job::plan::FreezePlan;
use finetuned_job::recipe::Pattern;
use finetuned_models::Parts;
use std::collections::BTreeSet;

/// The names that the patterns select. A pattern that selects nothing is refused: it is a mistake
/// in the recipe.
pub(crate) fn select(
    patterns: &[Pattern],
    parts: &Parts,
    names: &BTreeSet<String>,
) -> Result<BTreeSet<String>, Failure> {
    let may = |name: &&String| names.contains(*name);
    let mut selected = BTreeSet::new();
    for pattern in patterns {
        let found: Vec<&String> = match pattern {
            Pattern::All => names.iter().collect(),
            Pattern::Head => parts.head.iter().filter(may).collect(),
            Pattern::Norms => parts.norms.iter().filter(may).collect(),
            Pattern::Embeddings => parts.embeddings.iter().filter(may).collect(),
            Pattern::Last(n) if parts.layers.len() < *n as usize => {
                let message = format!(
                    "the recipe trains last:{n}, but the model has {} layers",
                    parts.layers.len()
                );
                return Err(Failure::new(FailureKind::Recipe, message)
                    .with_cure("use `all`, or a smaller number"));
            }
            Pattern::Last(n) => parts.layers[parts.layers.len() - *n as usize..]
                .iter()
                .flatten()
                .filter(may)
                .collect(),
            Pattern::Glob(pattern) => {
                names.iter().filter(|name| glob::matches(pattern, name)).collect()
            }
        };
        if found.is_empty() {
            let examples: Vec<&str> =
                names.iter().step_by(names.len().div_ceil(4).max(1)).map(String::as_str).collect();
            let message = format!(
                "the pattern `{}` of the recipe matches no tensor of the model{}",
                String::from(pattern.clone()),
                if parts.held.is_empty() { "" } else { " that may train beside an adapter" }
            );
            return Err(Failure::new(FailureKind::Recipe, message)
                .with_cure(format!("its tensors are called like {}", examples.join(", "))));
        }
        selected.extend(found.into_iter().cloned());
    }
    Ok(selected)
}

/// The names that may train: all but those of buffers, and those that an adapter stands in for.
pub(crate) fn parameters<'a>(
    names: impl Iterator<Item = &'a String>,
    parts: &Parts,
) -> BTreeSet<String> {
    let buffers: BTreeSet<&String> = parts.buffers.iter().flatten().collect();
    names.filter(|it| !buffers.contains(it) && !parts.held.contains(*it)).cloned().collect()
}

/// What trains in an epoch, counted from 1.
pub(crate) fn trainable(
    freeze: &FreezePlan,
    epoch: u32,
    parts: &Parts,
    names: &BTreeSet<String>,
) -> Result<BTreeSet<String>, Failure> {
    select(
        &patterns(
            &freeze.train,
            freeze.unfreeze.iter().filter(|it| it.epoch <= epoch).map(|it| &it.train),
        ),
        parts,
        names,
    )
}

pub(crate) fn patterns<'a>(
    first: &'a [Pattern],
    later: impl Iterator<Item = &'a Vec<Pattern>>,
) -> Vec<Pattern> {
    first.iter().chain(later.flatten()).cloned().collect()
}

/// Biases and norms are not decayed, as everywhere in the field, nor are lengths of an adapter and
/// factors, which begin with 1.
pub(crate) fn decays(name: &str, parts: &Parts) -> bool {
    !name.ends_with(".bias")
        && !name.ends_with(".lora_magnitude_vector")
        && !name.ends_with(".ia3_l")
        && !parts.norms.iter().any(|it| it == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts() -> (Parts, BTreeSet<String>) {
        let layer = |k: usize| {
            vec![
                format!("bert.encoder.layer.{k}.dense.weight"),
                format!("bert.encoder.layer.{k}.LayerNorm.weight"),
            ]
        };
        let parts = Parts {
            embeddings: vec!["bert.embeddings.word_embeddings.weight".into()],
            layers: (0..12).map(layer).collect(),
            head: vec!["classifier.weight".into(), "classifier.bias".into()],
            norms: (0..12).map(|k| layer(k)[1].clone()).collect(),
            ..Parts::default()
        };
        let names = parts
            .embeddings
            .iter()
            .chain(parts.layers.iter().flatten())
            .chain(&parts.head)
            .cloned()
            .collect();
        (parts, names)
    }

    #[track_caller]
    fn check(patterns: &[&str], expected: Result<usize, &str>) {
        let (parts, names) = parts();
        let patterns: Vec<Pattern> =
            patterns.iter().map(|it| Pattern::try_from(it.to_string()).unwrap()).collect();
        let actual = select(&patterns, &parts, &names).map(|it| it.len()).map_err(|it| it.message);
        assert_eq!(actual, expected.map_err(String::from));
    }

    #[test]
    fn patterns_select_what_they_say() {
        check(&["all"], Ok(27));
        check(&["head"], Ok(2));
        check(&["head", "last:2"], Ok(6));
        check(&["norms"], Ok(12));
        check(&["embeddings", "head"], Ok(3));
        check(&["*.layer.1.*"], Ok(2));
        check(&["*.layer.1?.*"], Ok(4));
        check(&["bert.*.weight", "head"], Ok(27));
    }

    #[test]
    fn a_pattern_that_matches_nothing_is_refused() {
        check(
            &["head", "*.layer.99.*"],
            Err("the pattern `*.layer.99.*` of the recipe matches no tensor of the model"),
        );
        check(&["last:13"], Err("the recipe trains last:13, but the model has 12 layers"));
    }
}
