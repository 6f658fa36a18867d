//! A tag for each word of a sentence: named entities as BIO, or plain tags such as parts of speech.
//! The likeliest tag of each word is predicted, of equally likely ones the first.

mod entities; // tags -> entities
mod schemes; // tags as files have them -> BIO or plain
mod counts; // entities x entities -> precision, recall, F1
mod marked; // sentences with right, missed and spurious entities
pub(crate) mod read; // cells -> targets
mod scores; // probabilities x targets -> scores, baseline

pub use schemes::is_marked;

use crate::kind::{AnswerKind, Input, Segment, Words};
use crate::{Predictions, Scored, ScoresError, Target, classified};
use entities::entities;
use finetuned_job::scores::Scores;
use finetuned_job::task::{Answer, Metrics};
use serde_json::{Map, Value, json};

pub(crate) struct Tags {
    pub outputs: Vec<String>,
}

/// Words that have one tag, or are one entity.
struct Span<'a> {
    kind: &'a str,
    score: f32,
    /// In bytes of the text.
    start: usize,
    end: usize,
}

fn likeliest(row: &[f32]) -> usize {
    (1..row.len()).fold(0, |best, it| if row[best] < row[it] { it } else { best })
}

impl Tags {
    fn have_entities(&self) -> bool {
        schemes::are_entities(&self.outputs)
    }

    fn known(&self) -> &'static [&'static str] {
        self.metrics().known
    }

    fn names(&self, tags: &[u32]) -> Vec<&str> {
        let name = |it: &u32| self.outputs.get(*it as usize).map_or("", String::as_str);
        tags.iter().map(name).collect()
    }

    fn each_word<'a>(&self, rows: &'a [f32]) -> impl Iterator<Item = &'a [f32]> {
        rows.chunks(self.outputs.len().max(1))
    }

    fn predicted(&self, rows: &[f32]) -> Vec<u32> {
        self.each_word(rows).map(|it| likeliest(it) as u32).collect()
    }

    /// Entities, or plain tags one by one; `scores`: of each word.
    fn spans(&self, input: &Input, tags: &[u32], scores: &[f32]) -> Vec<Span<'_>> {
        let names = self.names(tags);
        let place =
            |it: usize| input.words.get(it).map_or((0, 0), |it| (it.0 as usize, it.1 as usize));
        let span = |kind, start: usize, end: usize| {
            let scores = scores.get(start..end).unwrap_or(&[]);
            Span {
                kind,
                score: scores.iter().sum::<f32>() / scores.len().max(1) as f32,
                start: place(start).0,
                end: place(end - 1).1,
            }
        };
        if !self.have_entities() {
            return names.into_iter().enumerate().map(|(at, it)| span(it, at, at + 1)).collect();
        }
        let kind =
            |it: usize| schemes::kind(self.outputs.get(tags[it] as usize).map_or("", |it| it));
        let found = entities(&names);
        found.iter().map(|it| span(kind(it.start).unwrap_or("O"), it.start, it.end)).collect()
    }

    fn words_of(&self, input: &Input, tags: &[u32]) -> String {
        if !self.have_entities() {
            return self.names(tags).join(" ");
        }
        let spans = self.spans(input, tags, &[]);
        let shown = |it: &Span<'_>| {
            format!("{}: {}", it.kind, input.text.get(it.start..it.end).unwrap_or_default())
        };
        match &spans[..] {
            [] => "no entity".into(),
            all => all.iter().map(shown).collect::<Vec<_>>().join(" | "),
        }
    }

    /// As the pipeline of transformers gives them: places in characters.
    fn replied(&self, input: &Input, rows: &[f32]) -> Value {
        let scores: Vec<f32> = self.each_word(rows).map(|it| it[likeliest(it)]).collect();
        let chars = |to: usize| input.text.get(..to).map_or(0, |it| it.chars().count());
        let one = |it: Span<'_>| {
            json!({
                "entity_group": it.kind,
                "score": it.score,
                "word": input.text.get(it.start..it.end).unwrap_or_default(),
                "start": chars(it.start),
                "end": chars(it.end),
            })
        };
        self.spans(input, &self.predicted(rows), &scores).into_iter().map(one).collect()
    }
}

impl AnswerKind for Tags {
    fn outputs(&self) -> &[String] {
        &self.outputs
    }

    fn metrics(&self) -> &'static Metrics {
        if self.have_entities() { Metrics::of(Answer::Tags) } else { &scores::PLAIN }
    }

    fn scores(
        &self,
        of: &Scored<'_>,
        intervals_for: &[&str],
        seed: u64,
    ) -> Result<Scores, ScoresError> {
        scores::scores(self, of, intervals_for, seed)
    }

    fn constant(&self, train: &[Target]) -> Result<Option<(String, Vec<f32>)>, ScoresError> {
        scores::constant(self, train).map(Some)
    }

    /// A word each.
    fn rows(&self, target: &Target) -> usize {
        target.classes().len()
    }

    /// How likely the surest wrong tag was.
    fn degrees(&self, predictions: &Predictions, targets: &[Target]) -> Vec<Option<f64>> {
        let degree = |(example, target): (usize, &Target)| {
            let words = self.each_word(predictions.of(example)).zip(target.classes());
            let wrong = words.filter(|(row, tag)| likeliest(row) != **tag as usize);
            wrong.map(|(row, _)| f64::from(row[likeliest(row)])).reduce(f64::max)
        };
        targets.iter().enumerate().map(degree).collect()
    }

    /// Tags stand between spaces, one for each word; `wrong`: how many are.
    fn columns(&self) -> Vec<String> {
        ["tags", "predicted_tags", "wrong"].map(str::to_owned).into()
    }

    fn cells(&self, _: &Input, target: &Target, rows: &[f32]) -> Vec<String> {
        let (tags, predicted) = (target.classes(), self.predicted(rows));
        let wrong = tags.iter().zip(&predicted).filter(|it| it.0 != it.1).count();
        let names = |tags: &[u32]| self.names(tags).join(" ");
        vec![names(tags), names(&predicted), wrong.to_string()]
    }

    fn target_words(&self, input: &Input, target: &Target) -> String {
        self.words_of(input, target.classes())
    }

    fn prediction_words(&self, input: &Input, rows: &[f32]) -> String {
        self.words_of(input, &self.predicted(rows))
    }

    fn marked(&self, input: &Input, target: &Target, rows: &[f32]) -> Vec<Segment> {
        let (tags, predicted) = (target.classes(), self.predicted(rows));
        let words = input.words.len();
        if !self.have_entities() || [tags.len(), predicted.len()] != [words; 2] {
            return Vec::new();
        }
        marked::marked(input, &self.names(tags), &self.names(&predicted))
    }

    fn takes_tokens(&self) -> bool {
        self.have_entities()
    }

    /// `entities`, of plain tags one for each word.
    fn reply(&self, input: &Input, rows: &[f32]) -> Map<String, Value> {
        Map::from_iter([("entities".into(), self.replied(input, rows))])
    }

    /// As JSON.
    fn reply_columns(&self) -> Vec<String> {
        vec!["entities".into()]
    }

    fn reply_cells(&self, input: &Input, rows: &[f32]) -> Vec<String> {
        vec![self.replied(input, rows).to_string()]
    }

    fn words(&self) -> Words {
        let entities = self.have_entities();
        Words {
            baseline: "commonest tag",
            scores: if entities {
                " An entity is right if its type and all of its words are, as seqeval counts."
            } else {
                " Each word counts."
            },
            intervals: "percentile bootstrap intervals over the sentences",
            mistakes: "Where the model was surest and wrong: often it is the tag that is wrong",
            target: if entities { "Entities" } else { "Tags" },
            columns: "tags",
            card_metrics: if entities {
                &["entity_precision", "entity_recall", "entity_f1", "token_accuracy"]
            } else {
                &["token_accuracy", "macro_f1"]
            },
            thresholds: "",
            activation: ".softmax(-1)",
        }
    }

    fn degree_words(&self, degree: f64) -> String {
        classified::degree_words(degree)
    }
}

#[cfg(test)]
mod tests;
