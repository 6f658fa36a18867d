//! Contact sheets: some images of each class, and those that a person should look at. Bounded in
//! number and in size; no name of the data becomes a path.

use super::Looked;
use super::decode::on_threads;
use super::near_duplicates::NearPairs;
use super::store::Images;
use crate::example::{Example, Examples, Key};
use crate::refusal;
use crate::request::Request;
use finetuned_images::Pixels;
use finetuned_job::data::{ClassCount, Sheet, SheetSubject};
use finetuned_job::outcome::Failure;
use finetuned_job::run_folder;
use finetuned_job::scores::Split;
use std::collections::{HashMap, HashSet};
use std::path::Path;

/// Side of a small image.
const CELL_PIXELS: u32 = 96;
const COLUMNS: u32 = 8;
/// Images on one sheet: three rows.
const SHOWN_MAX: usize = 24;
/// Of more classes, those with the fewest training images are shown: they are the doubtful ones.
const CLASS_SHEETS_MAX: usize = 50;

pub(super) struct Wanted<'a> {
    /// Empty where numbers are learnt.
    pub(super) classes: &'a [ClassCount],
    pub(super) examples: &'a Examples,
    pub(super) near: &'a NearPairs,
    pub(super) looked: &'a Looked,
}

/// Images that stand under more than one label, one after the other.
pub(super) fn conflicts(examples: &Examples) -> Vec<Example> {
    let mut first: HashMap<Key, &Example> = HashMap::new();
    let mut conflicting: HashSet<Key> = HashSet::new();
    for (_, it) in examples.iter() {
        if first.entry(it.key).or_insert(it).target != it.target {
            conflicting.insert(it.key);
        }
    }
    let all = examples.iter().map(|it| it.1);
    let mut found: Vec<&Example> = all.filter(|it| conflicting.contains(&it.key)).collect();
    found.sort_by_key(|it| it.key);
    found.into_iter().cloned().collect()
}

/// Begins the folder anew.
pub(super) fn draw(wanted: &Wanted<'_>, request: &Request<'_>) -> Result<Vec<Sheet>, Failure> {
    let folder = request.run.join(run_folder::CONTACT);
    let failed = |err| refusal::writing("the contact sheets", &err);
    match std::fs::remove_dir_all(&folder) {
        Err(err) if err.kind() != std::io::ErrorKind::NotFound => return Err(failed(err)),
        _ => std::fs::create_dir_all(&folder).map_err(failed)?,
    }
    let subjects: Vec<_> = subjects(wanted).into_iter().filter(|it| !it.3.is_empty()).collect();
    let path = |name: &str| format!("{}/{name}.png", run_folder::CONTACT);
    let work = |idx: usize| {
        let (name, _, _, shown) = &subjects[idx];
        let small = shown
            .iter()
            .map(|it| small(it, &wanted.looked.images))
            .collect::<Result<Vec<Pixels>, Failure>>()?;
        write(&request.run.join(path(name)), &small)
    };
    on_threads(subjects.len(), request.threads, &work, &mut |_, written| written)?;
    let sheet = |(name, subject, total, shown): (String, _, _, Vec<_>)| Sheet {
        path: path(&name),
        subject,
        shown: shown.len() as u64,
        total,
    };
    Ok(subjects.into_iter().map(sheet).collect())
}

/// (name of the file, subject, how many there are, those shown).
fn subjects<'a>(wanted: &Wanted<'a>) -> Vec<(String, SheetSubject, u64, Vec<&'a Example>)> {
    let train: Vec<&Example> = wanted.examples.train.iter().collect();
    let mut subjects = Vec::new();
    if wanted.classes.is_empty() {
        let mut ordered = train;
        ordered.sort_by(|a, b| first_number(a).total_cmp(&first_number(b)));
        subjects.push(("all".into(), SheetSubject::All, ordered.len() as u64, spread(ordered)));
    } else {
        let mut members: Vec<(usize, Vec<&Example>)> =
            wanted.classes.iter().map(|_| Vec::new()).enumerate().collect();
        for it in train {
            it.target.classes().iter().for_each(|class| members[*class as usize].1.push(it));
        }
        members.sort_by_key(|it| it.1.len());
        members.truncate(CLASS_SHEETS_MAX);
        members.sort_by_key(|it| it.0);
        for (class, of_class) in members {
            let subject = SheetSubject::Class(wanted.classes[class].class.clone());
            subjects.push((
                format!("class-{class:03}"),
                subject,
                of_class.len() as u64,
                spread(of_class),
            ));
        }
    }
    let of = |(split, idx): (Split, usize)| &wanted.examples.of(split)[idx];
    let pairs: Vec<&Example> =
        wanted.near.shown.iter().flat_map(|it| [of(it.a), of(it.b)]).take(2 * SHOWN_MAX).collect();
    subjects.push((
        "near-duplicates".into(),
        SheetSubject::NearDuplicates,
        2 * wanted.near.pairs,
        pairs,
    ));
    let conflicts = wanted.looked.conflicts.iter().take(SHOWN_MAX).collect();
    subjects.push((
        "conflicting-labels".into(),
        SheetSubject::ConflictingLabels,
        wanted.looked.conflicts.len() as u64,
        conflicts,
    ));
    let is_blank = |it: &&Example| wanted.looked.seen.get(&it.key).is_some_and(|it| it.blank);
    let blank: Vec<&Example> = wanted.examples.iter().map(|it| it.1).filter(is_blank).collect();
    subjects.push(("blank".into(), SheetSubject::Blank, blank.len() as u64, spread(blank)));
    subjects
}

fn first_number(it: &Example) -> f64 {
    it.target.numbers().first().copied().unwrap_or(0.0)
}

/// As many as are shown, evenly from the first to the last.
fn spread<T: Copy>(all: Vec<T>) -> Vec<T> {
    let n = all.len().min(SHOWN_MAX);
    (0..n).map(|it| all[it * all.len() / n]).collect()
}

/// Averages blocks of whole pixels until the image is at most twice as large as shown: a sheet's
/// worth of photographs must not lie in memory in full.
fn small(shown: &Example, images: &Images) -> Result<Pixels, Failure> {
    let (_, pixels) = finetuned_images::decode(&images.bytes(shown)?)
        .map_err(|err| refusal::data(err.to_string()))?;
    let (width, height) = (pixels.width() as usize, pixels.height() as usize);
    let block = width.max(height) / (2 * CELL_PIXELS as usize);
    if block < 2 {
        return Ok(pixels);
    }
    let (columns, rows) = (width.div_ceil(block), height.div_ceil(block));
    let mut data = Vec::with_capacity(columns * rows * 3);
    let (rgb, _) = pixels.data().as_chunks::<3>();
    for (row, column) in (0..rows).flat_map(|row| (0..columns).map(move |column| (row, column))) {
        let (mut sum, mut n) = ([0_u32; 3], 0);
        for y in row * block..((row + 1) * block).min(height) {
            for pixel in
                &rgb[y * width + column * block..y * width + ((column + 1) * block).min(width)]
            {
                n += 1;
                sum.iter_mut().zip(pixel).for_each(|(sum, it)| *sum += u32::from(*it));
            }
        }
        data.extend(sum.map(|it| (it / n) as u8));
    }
    Ok(Pixels::new(columns as u32, rows as u32, data))
}

fn write(path: &Path, small: &[Pixels]) -> Result<(), Failure> {
    let png = finetuned_images::contact_sheet(small, COLUMNS, CELL_PIXELS);
    std::fs::write(path, png).map_err(|err| refusal::writing("the contact sheets", &err))
}
