//! What was seen of the images, in numbers and warnings: the data report.

use super::super::Divided;
use super::decode::Seen;
use super::near_duplicates::{self, NearPairs};
use super::{Looked, sheets};
use crate::example::{Example, Examples, Origins};
use finetuned_images::Colour;
use finetuned_job::data::{DataReport, Extent, ImageReport, NearDuplicates, NearPair};
use finetuned_job::outcome::Failure;
use finetuned_job::scores::Split;
use std::collections::BTreeMap;

/// Near duplicates named in the report and shown on their sheet.
const PAIRS_SHOWN: usize = 24;

/// `report` is finished but for what is said of images.
pub(super) fn report(
    looked: &Looked,
    of: &Divided<'_>,
    report: &mut DataReport,
) -> Result<(), Failure> {
    let examples = of.examples;
    let near = near_duplicates::find(examples, &looked.seen, PAIRS_SHOWN);
    let wanted = sheets::Wanted { classes: &report.classes, examples, near: &near, looked };
    let sheets = sheets::draw(&wanted, of.request)?;
    let seen = |all: &[Example]| -> Vec<&Seen> {
        all.iter().filter_map(|it| looked.seen.get(&it.key)).collect()
    };
    let all = Split::ALL.map(|it| seen(examples.of(it))).concat();
    let blank = all.iter().filter(|it| it.blank).count() as u64;
    warn_about(&near, blank, &mut report.warnings);
    let (mean, deviation) = channels(&seen(&examples.train));
    report.images = Some(ImageReport {
        problem: of.task.answer,
        image_column: report.input_columns.first().cloned(),
        numbers: report.numbers.clone(),
        target_columns: match report.label_column {
            Some(_) => Vec::new(),
            None => report.target_columns.clone(),
        },
        bytes: all.iter().map(|it| it.bytes).sum(),
        width: extent(all.iter().map(|it| it.width)),
        height: extent(all.iter().map(|it| it.height)),
        formats: tally(all.iter().map(|it| it.format.name())),
        colours: tally(all.iter().map(|it| colour_name(it.colour))),
        mean,
        deviation,
        near_duplicates: near_duplicates(near, examples, of.origins),
        blank,
        sheets,
    });
    Ok(())
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

fn near_duplicates(near: NearPairs, examples: &Examples, origins: &Origins) -> NearDuplicates {
    let named = |(split, idx): (Split, usize)| (origins.of(&examples.of(split)[idx]), split);
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
fn channels(train: &[&Seen]) -> ([f64; 3], [f64; 3]) {
    let n = train.len().max(1) as f64;
    let average = |of: fn(&Seen) -> [f32; 3]| {
        [0, 1, 2].map(|channel| train.iter().map(|it| f64::from(of(it)[channel])).sum::<f64>() / n)
    };
    let (mean, square) = (average(|it| it.mean), average(|it| it.square));
    // Of images of one colour a rounding error may be negative.
    (mean, [0, 1, 2].map(|it| (square[it] - mean[it] * mean[it]).max(0.0).sqrt()))
}
