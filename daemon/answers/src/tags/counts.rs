//! Decides how good predicted tags are: entities as seqeval's default mode scores them, plain tags
//! as scikit-learn does. Sentences are counted once, so that any resample of them is a sum.

use super::entities::entities;
use std::collections::{BTreeMap, BTreeSet};

/// How often something was right, predicted, and there.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Counts {
    right: u64,
    predicted: u64,
    support: u64,
}

/// What every sentence adds to the scores.
#[derive(Debug, Clone)]
pub(crate) struct Counted {
    /// Types of entities, or plain tags, sorted; those that the targets or predictions have.
    kinds: Vec<String>,
    sentences: Vec<Sentence>,
}

#[derive(Debug, Clone)]
struct Sentence {
    words: u64,
    words_right: u64,
    /// By place in `kinds`.
    kinds: Vec<(usize, Counts)>,
}

/// Zero where nothing could be counted.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Score {
    pub precision: f64,
    pub recall: f64,
    pub f1: f64,
    pub support: u64,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct TagScores {
    /// In the order of [`Counted::kinds`].
    pub each: Vec<Score>,
    pub micro: Score,
    pub macro_: Score,
    pub weighted: Score,
    /// Part of the words whose tag is right; nothing where there are no words.
    pub accuracy: Option<f64>,
}

impl Counted {
    /// BIO tags of sentences, of which both have the same words.
    pub(crate) fn entities<T: AsRef<str>>(targets: &[Vec<T>], predictions: &[Vec<T>]) -> Counted {
        Counted::new(targets, predictions, |target, prediction| {
            let [support, predicted] = [target, prediction].map(|it| entities(it));
            let mut counts: BTreeMap<String, Counts> = BTreeMap::new();
            let found: BTreeSet<_> = support.iter().collect();
            for entity in &predicted {
                let of = counts.entry(entity.kind.to_owned()).or_default();
                of.predicted += 1;
                of.right += u64::from(found.contains(entity));
            }
            for entity in support {
                counts.entry(entity.kind.to_owned()).or_default().support += 1;
            }
            counts
        })
    }

    /// Plain tags: each word counts.
    pub(crate) fn plain<T: AsRef<str>>(targets: &[Vec<T>], predictions: &[Vec<T>]) -> Counted {
        Counted::new(targets, predictions, |target, prediction| {
            let mut counts: BTreeMap<String, Counts> = BTreeMap::new();
            for (target, prediction) in target.iter().zip(prediction) {
                let (target, prediction) = (target.as_ref(), prediction.as_ref());
                counts.entry(target.to_owned()).or_default().support += 1;
                let of = counts.entry(prediction.to_owned()).or_default();
                of.predicted += 1;
                of.right += u64::from(target == prediction);
            }
            counts
        })
    }

    fn new<T: AsRef<str>>(
        targets: &[Vec<T>],
        predictions: &[Vec<T>],
        count: impl Fn(&[T], &[T]) -> BTreeMap<String, Counts>,
    ) -> Counted {
        let pairs = || targets.iter().zip(predictions);
        let counts: Vec<_> = pairs().map(|(target, it)| count(target, it)).collect();
        let kinds: BTreeSet<&String> = counts.iter().flat_map(|it| it.keys()).collect();
        let kinds: Vec<String> = kinds.into_iter().cloned().collect();
        let sentences = pairs()
            .zip(counts)
            .map(|((target, prediction), counts)| {
                let both = target.iter().zip(prediction);
                let right = both.filter(|(a, b)| a.as_ref() == b.as_ref()).count();
                let place = |kind: &String| kinds.partition_point(|it| it < kind);
                Sentence {
                    words: target.len() as u64,
                    words_right: right as u64,
                    kinds: counts.iter().map(|(kind, it)| (place(kind), *it)).collect(),
                }
            })
            .collect();
        Counted { kinds, sentences }
    }

    pub(crate) fn kinds(&self) -> &[String] {
        &self.kinds
    }

    /// Number of sentences.
    pub(crate) fn len(&self) -> usize {
        self.sentences.len()
    }

    /// Numbers looked at to measure once.
    pub(crate) fn effort(&self) -> usize {
        self.sentences.iter().map(|it| 1 + it.kinds.len()).sum()
    }

    /// The scores where each sentence counts once.
    pub(crate) fn scores(&self) -> TagScores {
        self.measure(&vec![1; self.len()])
    }

    /// The scores where sentence i counts `times[i]` times. A type that none of them has is left
    /// out of the means.
    pub(crate) fn measure(&self, times: &[u32]) -> TagScores {
        let mut kinds = vec![Counts::default(); self.kinds.len()];
        let (mut words, mut words_right) = (0, 0);
        for (sentence, times) in self.sentences.iter().zip(times.iter().map(|&it| u64::from(it))) {
            words += times * sentence.words;
            words_right += times * sentence.words_right;
            for &(kind, counts) in &sentence.kinds {
                kinds[kind].add(counts, times);
            }
        }
        let mut all = Counts::default();
        kinds.iter().for_each(|it| all.add(*it, 1));
        let each: Vec<Score> = kinds.iter().map(|it| it.score()).collect();
        let present = || each.iter().zip(&kinds).filter(|it| it.1.predicted + it.1.support > 0);
        TagScores {
            micro: all.score(),
            macro_: mean(present().map(|it| (it.0, 1.0)), all.support),
            weighted: mean(present().map(|it| (it.0, it.0.support as f64)), all.support),
            accuracy: (words > 0).then(|| words_right as f64 / words as f64),
            each,
        }
    }
}

impl Counts {
    fn add(&mut self, other: Counts, times: u64) {
        self.right += times * other.right;
        self.predicted += times * other.predicted;
        self.support += times * other.support;
    }

    fn score(self) -> Score {
        let part = |of: u64| if of == 0 { 0.0 } else { self.right as f64 / of as f64 };
        let (precision, recall) = (part(self.predicted), part(self.support));
        let sum = precision + recall;
        let f1 = if sum == 0.0 { 0.0 } else { 2.0 * precision * recall / sum };
        Score { precision, recall, f1, support: self.support }
    }
}

fn mean<'a>(scores: impl Iterator<Item = (&'a Score, f64)>, support: u64) -> Score {
    let (mut sum, mut weights) = (Score { support, ..Score::default() }, 0.0);
    for (score, weight) in scores {
        weights += weight;
        sum.precision += weight * score.precision;
        sum.recall += weight * score.recall;
        sum.f1 += weight * score.f1;
    }
    let part = |it: f64| if weights == 0.0 { 0.0 } else { it / weights };
    let (precision, recall, f1) = (part(sum.precision), part(sum.recall), part(sum.f1));
    Score { precision, recall, f1, support }
}
