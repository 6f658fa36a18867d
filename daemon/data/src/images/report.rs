//! What was seen of the images, in numbers and warnings: the data report.

use super::near_duplicates::{self, NearPairs};
use super::preflight::{Judged, Seen};
use super::{ImageExample, ImageRequest, Images, Read, Target, sheets};
use crate::preflight;
use crate::sample::PerSplit;
use finetuned_images::Colour;
use finetuned_job::data::{
    DATA_VERSION, DataReport, Duplicates, Extent, ImageReport, NearDuplicates, NearPair,
    NumberReport, Quarantine, SplitReport,
};
use finetuned_job::outcome::Failure;
use finetuned_job::scores::Split;
use finetuned_job::task::Answer;
use std::collections::BTreeMap;

/// Near duplicates named in the report and shown on their sheet.
const PAIRS_SHOWN: usize = 24;

/// What the stages before have found.
pub(super) struct Findings<'a> {
    pub(super) source: &'a str,
    pub(super) read: Read,
    pub(super) classes: Vec<String>,
    pub(super) duplicates: Duplicates,
    pub(super) splits: Vec<SplitReport>,
    pub(super) quarantined: Quarantine,
    pub(super) warnings: Vec<String>,
    /// Images that stand under more than one label.
    pub(super) conflicts: Vec<ImageExample>,
}

pub(super) fn report(
    found: Findings<'_>,
    examples: &PerSplit<Vec<Judged>>,
    images: &Images,
    request: &ImageRequest<'_>,
) -> Result<DataReport, Failure> {
    let Findings {
        source,
        read,
        classes,
        duplicates,
        splits,
        quarantined,
        mut warnings,
        conflicts,
    } = found;
    let class_counts = preflight::class_counts(examples, &classes);
    preflight::warn_about(&class_counts, examples, &duplicates, &mut warnings);
    let near = near_duplicates::find(examples, PAIRS_SHOWN);
    let sheets = sheets::draw(
        &sheets::Wanted { classes: &classes, examples, near: &near, conflicts: &conflicts },
        images,
        request,
    )?;
    let all: Vec<&Seen> = examples.iter().map(|it| &it.1.seen).collect();
    let blank = all.iter().filter(|it| it.blank).count() as u64;
    warn_about(&near, blank, &mut warnings);
    let (mean, deviation) = channels(&examples.train);
    let images = ImageReport {
        problem: read.problem,
        image_column: read.image_column,
        numbers: numbers(&read.target_columns, read.problem, &examples.train),
        target_columns: read.target_columns,
        bytes: all.iter().map(|it| it.bytes).sum(),
        width: extent(all.iter().map(|it| it.width)),
        height: extent(all.iter().map(|it| it.height)),
        formats: tally(all.iter().map(|it| it.format.name())),
        colours: tally(all.iter().map(|it| colour_name(it.colour))),
        mean,
        deviation,
        near_duplicates: near_duplicates(near, examples, &read.files),
        blank,
        sheets,
    };
    let mut formats: Vec<&str> = read.files.iter().map(|it| it.format.as_str()).collect();
    formats.dedup();
    Ok(DataReport {
        version: DATA_VERSION,
        source: source.into(),
        format: formats.join(", "),
        text_column: None,
        label_column: read.label_column,
        classes: class_counts,
        splits,
        empty_texts: 0,
        duplicates,
        quarantined,
        tokens: None,
        estimate: None,
        warnings,
        content_hash: content_hash(&classes, examples),
        images: Some(images),
        files: read.files,
    })
}

fn warn_about(near: &NearPairs, blank: u64, warnings: &mut Vec<String>) {
    if 0 < near.across_splits {
        warnings.push(format!("pairs of images in two splits that look alike: {}; if they are copies, scores are too good", near.across_splits));
    }
    if 0 < near.conflicting_labels {
        warnings.push(format!(
            "pairs of images that look alike under different labels: {}",
            near.conflicting_labels
        ));
    }
    if near.incomplete {
        warnings.push("so many images look alike that not all pairs were counted".into());
    }
    if 0 < blank {
        warnings.push(format!("images of one colour throughout: {blank}"));
    }
}

fn near_duplicates(
    near: NearPairs,
    examples: &PerSplit<Vec<Judged>>,
    files: &[finetuned_job::data::FileReport],
) -> NearDuplicates {
    let named =
        |(split, idx): (Split, usize)| (examples.of(split)[idx].example.origin(files), split);
    let shown = near.shown.iter().map(|it| NearPair {
        a: named(it.a),
        b: named(it.b),
        distance: it.distance,
        same_label: it.same_label,
    });
    NearDuplicates {
        images: near.images,
        pairs: near.pairs,
        across_splits: near.across_splits,
        conflicting_labels: near.conflicting_labels,
        shown: shown.collect(),
    }
}

fn colour_name(colour: Colour) -> &'static str {
    match colour {
        Colour::Grey => "grey",
        Colour::Rgb => "RGB",
        Colour::Palette => "palette",
        Colour::Cmyk => "CMYK",
    }
}

fn extent(sides: impl Iterator<Item = u32>) -> Extent {
    let mut sides: Vec<u32> = sides.collect();
    sides.sort_unstable();
    match sides[..] {
        [] => Extent::default(),
        [min, ..] => Extent { min, median: sides[sides.len() / 2], max: sides[sides.len() - 1] },
    }
}

fn tally(names: impl Iterator<Item = &'static str>) -> Vec<(String, u64)> {
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    names.for_each(|it| *counts.entry(it).or_default() += 1);
    let mut counts: Vec<(String, u64)> =
        counts.into_iter().map(|(name, n)| (name.to_string(), n)).collect();
    counts.sort_by_key(|it| std::cmp::Reverse(it.1));
    counts
}

/// Mean and deviation of each channel over all pixels, every image with the same weight.
fn channels(train: &[Judged]) -> ([f64; 3], [f64; 3]) {
    let n = train.len().max(1) as f64;
    let average = |of: fn(&Seen) -> [f32; 3]| {
        [0, 1, 2]
            .map(|channel| train.iter().map(|it| f64::from(of(&it.seen)[channel])).sum::<f64>() / n)
    };
    let (mean, square) = (average(|it| it.mean), average(|it| it.square));
    // Of images of one colour a rounding error may be negative.
    (mean, [0, 1, 2].map(|it| (square[it] - mean[it] * mean[it]).max(0.0).sqrt()))
}

fn numbers(columns: &[String], problem: Answer, train: &[Judged]) -> Vec<NumberReport> {
    if problem != Answer::Numbers {
        return Vec::new();
    }
    let of = |idx: usize| {
        let number = |it: &Judged| match &it.example.target {
            Target::Numbers(it) => it.get(idx).copied(),
            Target::Class(_) | Target::Classes(_) => None,
        };
        let mut numbers: Vec<f64> = train.iter().filter_map(number).collect();
        numbers.sort_by(f64::total_cmp);
        numbers
    };
    let report = |(idx, column): (usize, &String)| {
        let sorted = of(idx);
        let (first, last) = (sorted.first()?, sorted.last()?);
        let n = sorted.len() as f64;
        let mean = sorted.iter().sum::<f64>() / n;
        let deviation = (sorted.iter().map(|it| (it - mean).powi(2)).sum::<f64>() / n).sqrt();
        let median = f64::midpoint(sorted[(sorted.len() - 1) / 2], sorted[sorted.len() / 2]);
        Some(NumberReport {
            column: column.clone(),
            min: *first,
            median,
            max: *last,
            mean,
            deviation,
        })
    };
    columns.iter().enumerate().filter_map(report).collect()
}

/// blake3 over class names and examples of all splits in order, every part with its length before
/// it.
fn content_hash(classes: &[String], examples: &PerSplit<Vec<Judged>>) -> String {
    let mut hash = crate::sample::PartsHash::default();
    classes.iter().for_each(|it| hash.part(it.as_bytes()));
    for split in Split::ALL {
        hash.part(split.name().as_bytes());
        for it in examples.of(split) {
            match &it.example.target {
                Target::Class(class) => hash.part(&class.to_le_bytes()),
                Target::Classes(classes) => {
                    hash.part(&classes.iter().flat_map(|it| it.to_le_bytes()).collect::<Vec<_>>())
                }
                Target::Numbers(numbers) => {
                    hash.part(&numbers.iter().flat_map(|it| it.to_le_bytes()).collect::<Vec<_>>())
                }
            }
            hash.part(&it.example.key.to_le_bytes());
        }
    }
    hash.hex()
}
