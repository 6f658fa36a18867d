//! What is shown of the images of a data set, and in which words.

use crate::images::data_uri;
use crate::story::Story;
use finetuned_images::{Augment, RandAugment};
use finetuned_job::data::{Sheet, SheetSubject};
use finetuned_job::outcome::thousands;
use minijinja::{Value, context};

/// `suspicious` and `classes`, contact sheets; `augmented`, one strip; `left_out`, sheets that only
/// the run folder has.
pub(super) fn gallery(story: &Story) -> Value {
    let is_class =
        |it: &&(Sheet, Vec<u8>)| matches!(it.0.subject, SheetSubject::Class(_) | SheetSubject::All);
    let (classes, suspicious): (Vec<_>, Vec<_>) = story.images.sheets.iter().partition(is_class);
    let all = story.data.images.as_ref().map_or(0, |it| it.sheets.len());
    context! {
        classes => classes.into_iter().map(shown).collect::<Vec<_>>(),
        suspicious => suspicious.into_iter().map(shown).collect::<Vec<_>>(),
        augmented => story.images.augmented.map(data_uri),
        left_out => all.saturating_sub(story.images.sheets.len()),
    }
}

fn shown((sheet, png): &(Sheet, Vec<u8>)) -> Value {
    let title = match &sheet.subject {
        SheetSubject::Class(class) => class.as_str(),
        SheetSubject::All => "All images",
        SheetSubject::NearDuplicates => "Look alike, pair by pair",
        SheetSubject::ConflictingLabels => "Same file, different labels",
        SheetSubject::Blank => "Of one colour throughout",
    };
    let of = if sheet.shown < sheet.total {
        format!("{} of {}", thousands(sheet.shown), thousands(sheet.total))
    } else {
        thousands(sheet.total)
    };
    context! { title, of, src => data_uri(png) }
}

/// How training images are changed, in words; empty where they are not.
pub(super) fn augmentation(augment: Option<&Augment>) -> Vec<String> {
    let Some(augment) = augment else { return Vec::new() };
    let mut words = Vec::new();
    if let Some(crop) = augment.crop {
        let [low, high] = crop.area.map(|it| it * 100.0);
        words.push(format!("a random {low:.0} to {high:.0}\u{a0}% of the area"));
    }
    if let Some(RandAugment { ops, magnitude, .. }) = augment.rand_augment {
        words.push(format!("RandAugment of {ops} operations at magnitude {magnitude}"));
    }
    let (jitter, mixing) = (augment.jitter, augment.mixing);
    let parts = [
        (augment.horizontal_flip, "flipped left to right with probability"),
        (augment.vertical_flip, "upside down with probability"),
        (jitter.brightness, "brightness ±"),
        (jitter.contrast, "contrast ±"),
        (jitter.saturation, "saturation ±"),
        (jitter.hue, "hue ±"),
        (augment.erasing, "a rectangle erased with probability"),
        (mixing.mixup_alpha, "mixup, alpha"),
        (mixing.cutmix_alpha, "CutMix, alpha"),
    ];
    let on = parts.iter().filter(|it| it.0 != 0.0);
    words.extend(on.map(|(number, what)| format!("{what}\u{a0}{number}")));
    words
}
